"""How long it takes until a repository can be searched by words and symbols, beside semble.

    python -m benchmarks.indexing FOLDER [FOLDER ...] [--rounds N] [--semble PYTHON]

Each FOLDER is indexed anew N times, from the start of the build until its snapshot is published, in a process that has imported
everything; the parsing processes start within the measured time. Then a file is changed and indexed again, until that is
published. With --semble the same folders are indexed alternately by semble (PyPI), run by the Python that has it: its
chunks and BM25 without vectors, its own time after its imports. semble reads code only, Sextant all text. The best round of
each counts, since others may share the cores; CPU seconds include the parsing processes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.machine import machine
from indexer.benchmark import build, request_of
from indexer.snapshot import read_manifest

# Everything but the embedding of semble.index.create.create_index_from_path, which a model of one dimension stands for.
SEMBLE = """
import json, resource, sys, time
from pathlib import Path
import numpy as np
from semble.index.create import create_index_from_path

class NoModel:
    dim = 1
    def encode(self, texts, **options):
        return np.zeros((len(texts), 1), dtype=np.float32)

folder = Path(sys.argv[1])
started, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_utime
_, _, chunks, files = create_index_from_path(folder, NoModel(), display_root=folder)
seconds = time.perf_counter() - started
print(json.dumps([len(files), len(chunks), seconds, resource.getrusage(resource.RUSAGE_SELF).ru_utime - used]))
"""


@dataclass(frozen=True, slots=True)
class Run:
    """seconds: until searchable; cpu_seconds: user time of all processes."""

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
    print(f"{'':20}{'files':>8}{'chunks':>8}{'s':>8}{'CPU s':>8}{'changed, s':>12}", end="")
    print(f"{'semble: files':>16}{'s':>8}{'CPU s':>8}{'ratio':>8}" if options.semble else "")
    ratios = [_compare(folder.resolve(), options.rounds, options.semble) for folder in options.folders]
    if options.semble:
        print(f"\nmedian ratio of the seconds over {len(ratios)} repositories: {median(ratios):.2f}")


def _compare(folder: Path, rounds: int, semble: str | None) -> float:
    ours: list[tuple[Run, float]] = []
    theirs: list[Run] = []
    for _ in range(rounds):
        ours.append(index(folder))
        if semble:
            theirs.append(_by_semble(semble, folder))
    best, changed = min((run for run, _ in ours), key=lambda run: run.seconds), min(changed for _, changed in ours)
    row = f"{folder.name:20}{best.files:8,}{best.chunks:8,}{best.seconds:8.2f}{best.cpu_seconds:8.2f}{changed:12.2f}"
    if not theirs:
        print(row, flush=True)
        return 0.0
    other = min(theirs, key=lambda run: run.seconds)
    ratio = best.seconds / other.seconds
    print(f"{row}{other.files:16,}{other.seconds:8.2f}{other.cpu_seconds:8.2f}{ratio:8.2f}", flush=True)
    return ratio


def index(folder: Path) -> tuple[Run, float]:
    """A first build of a copy of the folder, and the seconds of a second one after one file has changed."""
    with TemporaryDirectory() as place:
        source = Path(place, folder.name)
        shutil.copytree(folder, source, symlinks=True)
        snapshot, first = _build(source, Path(place), None)
        file = next(path for path in sorted(source.rglob("*")) if path.is_file() and path.suffix in (".md", ".py", ".rst"))
        file.write_bytes(file.read_bytes() + b"\nchanged since\n")
        _, second = _build(source, Path(place), snapshot)
    return first, second.seconds


def _build(source: Path, place: Path, previous: Path | None) -> tuple[Path, Run]:
    request = replace(request_of(source, place / "index"), previous=previous)
    started, used = time.perf_counter(), _user_seconds()
    ended = 0.0

    def note() -> None:
        nonlocal ended
        ended = time.perf_counter()

    snapshot = build(request, published=note)
    manifest = read_manifest(snapshot)
    return snapshot, Run(manifest.files, manifest.chunks, ended - started, _user_seconds() - used)


def _user_seconds() -> float:
    return sum(resource.getrusage(who).ru_utime for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _by_semble(python: str, folder: Path) -> Run:
    done = subprocess.run(
        [python, "-c", SEMBLE, str(folder)], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": ""}
    )
    return Run(*json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
