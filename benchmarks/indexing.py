"""How long it takes until a repository can be searched by words and symbols, beside semble.

    python -m benchmarks.indexing FOLDER [FOLDER ...] [--rounds N] [--semble PYTHON]

Each FOLDER is indexed anew N times, from the start of the build until its snapshot is published: secrets redacted, texts,
words, definitions and references on the disk. Twice a round: once as `manage.py indexer` does it, by a process that has
imported everything and whose parsing processes are forked from a template that stands since it was started ("s"), and once by
`manage.py index_repo`, from when it says that it reads until it says that search works ("cold, s"): Django's start isn't
counted, beside which the template starts and compiles queries. Then a file is changed and indexed again by the first, until
that is published.

With --semble the same folders are indexed alternately by semble (PyPI), run by the Python that has it: its chunks and BM25
without vectors, in memory, its own time after its imports; so both are compared after imports, and the cold ratio charges
Sextant with what of its parsing processes isn't ready by then. semble reads code only, in one process; Sextant reads
all text, in as many processes as there are cores. The best round of each counts, since others may share the cores; CPU seconds
are user and system time of all processes of the first kind of build. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks.machine import cpu_seconds, machine
from indexer import parser_process
from indexer.benchmark import build, request_of
from indexer.languages import LANGUAGES
from indexer.parser_pool import ParserPool
from indexer.snapshot import read_manifest

MANAGE = [sys.executable, str(Path(__file__).parents[1] / "manage.py")]

# Everything but the embedding of semble.index.create.create_index_from_path, which a model of one dimension stands for.
SEMBLE = """
import json, sys, time
from pathlib import Path
import numpy as np
from semble.index.create import create_index_from_path

class NoModel:
    dim = 1
    def encode(self, texts, **options):
        return np.zeros((len(texts), 1), dtype=np.float32)

folder = Path(sys.argv[1])
started, used = time.perf_counter(), time.process_time()
_, _, chunks, files = create_index_from_path(folder, NoModel(), display_root=folder)
seconds = time.perf_counter() - started
print(json.dumps([len(files), len(chunks), seconds, time.process_time() - used]))
"""


@dataclass(frozen=True, slots=True)
class Run:
    """seconds: until searchable; cpu_seconds: of all processes."""

    files: int
    chunks: int
    seconds: float
    cpu_seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--semble", metavar="PYTHON", help="a Python that can import semble")
    options = parser.parse_args()
    print(f"machine  {machine()}\n")
    print(f"{'':18}{'files':>7}{'chunks':>8}{'s':>7}{'CPU s':>7}{'cold, s':>9}{'changed, s':>12}", end="")
    print(f"{'semble: files':>16}{'s':>7}{'CPU s':>7}{'ratio':>7}{'cold':>7}" if options.semble else "")
    with TemporaryDirectory() as home:
        subprocess.run([*MANAGE, "migrate", "--verbosity", "0"], env=_at_home(home), check=True)
        ratios = [_compare(folder.resolve(), Path(home), options.rounds, options.semble) for folder in options.folders]
    if options.semble:
        warm, cold = (median(each) for each in zip(*ratios, strict=True))
        print(f"\nmedian ratio of the seconds over {len(ratios)} repositories: {warm:.2f}, cold {cold:.2f}")


def _compare(folder: Path, home: Path, rounds: int, semble: str | None) -> tuple[float, float]:
    """The ratios of the seconds to semble's, of a build as the service does it and of a cold one; zeros without semble."""
    ours: list[Builds] = []
    theirs: list[Run] = []
    for _ in range(rounds):
        ours.append(index(folder, home))
        if semble:
            theirs.append(_by_semble(semble, folder))
    best = min((each.first for each in ours), key=lambda run: run.seconds)
    cold, changed = min(each.cold_seconds for each in ours), min(each.changed.seconds for each in ours)
    row = f"{folder.name:18}{best.files:7,}{best.chunks:8,}{best.seconds:7.2f}{best.cpu_seconds:7.2f}{cold:9.2f}{changed:12.2f}"
    if not theirs:
        print(row, flush=True)
        return 0.0, 0.0
    other = min(theirs, key=lambda run: run.seconds)
    ratios = best.seconds / other.seconds, cold / other.seconds
    print(f"{row}{other.files:16,}{other.seconds:7.2f}{other.cpu_seconds:7.2f}{ratios[0]:7.2f}{ratios[1]:7.2f}", flush=True)
    return ratios


class Builds(NamedTuple):
    cold_seconds: float
    first: Run
    changed: Run


def index(folder: Path, home: Path) -> Builds:
    """Two first builds of a copy of the folder, and one after a file has changed. home: an empty data folder."""
    with TemporaryDirectory() as place:
        source = Path(place, folder.name)
        shutil.copytree(folder, source, symlinks=True)
        cold_seconds = _by_command(source, shutil.copytree(home, Path(place, "home")))
        _stand_ready()
        snapshot, first = _build(source, Path(place), None)
        file = next(path for path in sorted(source.rglob("*")) if path.is_file() and path.suffix in (".md", ".py", ".rst"))
        file.write_bytes(file.read_bytes() + b"\nchanged since\n")
        _, changed = _build(source, Path(place), snapshot)
    return Builds(cold_seconds, first, changed)


def _at_home(home: Path | str) -> dict[str, str]:
    return {**os.environ, "SEXTANT_DATA_DIR": str(home)}


def _by_command(source: Path, home: Path) -> float:
    """The seconds from one stage that the command tells to the other; vectors are not waited for."""
    command = [*MANAGE, "index_repo", str(source)]
    told: dict[str, float] = {}
    with subprocess.Popen(command, env=_at_home(home), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr or ():
            told[line.partition(" ")[0]] = time.perf_counter()
            if "Embedding" in told:
                break
        process.terminate()
    return told["Embedding"] - told["Reading"]


def _stand_ready() -> None:
    """Wait until the template has compiled all that `manage.py indexer` lets it compile."""
    parser_process.prepare(list(LANGUAGES))
    with ParserPool(1) as pool:
        list(pool.parse_many([("ready.txt", b"ready")]))


def _build(source: Path, place: Path, previous: Path | None) -> tuple[Path, Run]:
    request = replace(request_of(source, place / "index"), previous=previous)
    used = sum(cpu_seconds())
    started = time.perf_counter()
    ended = 0.0

    def note() -> None:
        nonlocal ended
        ended = time.perf_counter()

    snapshot = build(request, published=note)
    manifest = read_manifest(snapshot)
    return snapshot, Run(manifest.files, manifest.chunks, ended - started, sum(cpu_seconds()) - used)


def _by_semble(python: str, folder: Path) -> Run:
    done = subprocess.run(
        [python, "-c", SEMBLE, str(folder)], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": ""}
    )
    return Run(*json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
