"""A build killed with SIGKILL at each stage: the live snapshot answers as before, and the next build ends what was begun."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from indexer.embedder import HashingEmbedder
from indexer.embedding_cache import EmbeddingCache
from indexer.retriever import Retriever
from indexer.snapshot import SnapshotReader
from indexer.snapshot_locks import BUILDING

from .builds import GREETINGS, Bench, write_files

pytestmark = pytest.mark.integration

# Builds what it is told to, says so when it has come to the given point, and stays there until it is killed.
BUILDER = """
import signal, sys, uuid
from pathlib import Path
from indexer import build, embedding, vector_index
from indexer.build import BuildRequest, Hooks, build_snapshot
from indexer.embedder import HashingEmbedder

point, source, folder, previous = sys.argv[1:]
folder = Path(folder)

def arrive(reached):
    if reached == point:
        print("there", flush=True)
        signal.pause()

def progress(step):
    arrive(step.stage)
    if 2 * step.done >= step.total:
        arrive(f"half-way {step.stage}")

class WaitingWriter(build.SnapshotWriter):
    def publish(self, manifest):
        directory = super().publish(manifest)
        arrive("renamed")
        return directory

def sync(path):
    arrive("vectors written")
    return sync_for_real(path)

sync_for_real, vector_index.sync, build.SnapshotWriter = vector_index.sync, sync, WaitingWriter
HashingEmbedder.portion, embedding.FIRST_PARTIAL = 10, 10

if __name__ == "__main__":
    request = BuildRequest(
        "small", source, "", str(uuid.uuid4()), folder / "index", folder / "clones", folder / "embeddings.sqlite3", "hashing",
        Path(previous) if previous else None, parse_processes=2,
    )
    build_snapshot(request, Hooks(published=lambda directory: arrive("published"), progress=progress))
"""


def kill_at(point: str, bench: Bench) -> None:
    """Start a build in a process of its own and kill it, and it alone, when it has come to `point`."""
    script = bench.folder / "builder.py"
    script.write_text(BUILDER)
    command = [sys.executable, str(script), point, str(bench.source), str(bench.folder), str(bench.live or "")]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as builder:
        assert builder.stdout is not None
        said = builder.stdout.readline()
        builder.send_signal(signal.SIGKILL)
        # The pipe ends only when every process that has it is gone: the parsing processes go with their parent.
        assert builder.stdout.read() == ""
    assert (said, builder.returncode) == ("there\n", -signal.SIGKILL)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.mark.parametrize(
    ("point", "leftover"),
    [
        ("reading", 0),
        ("half-way parsing", 1),
        ("publishing", 1),
        ("renamed", 1),
        ("published", 1),
        ("half-way embedding", 1),
        ("vectors written", 1),
    ],
)
def test_a_build_killed_anywhere_leaves_the_live_snapshot_as_it_was_and_the_next_one_succeeds(bench, point, leftover):
    first = bench.build()
    files = {f"module{n}.py": f"def function{n}():\n    return {n}\n" for n in range(60)}
    write_files(bench.source, {**files, "greetings.py": "changed = True\n"})
    kill_at(point, bench)
    assert len(bench.snapshots()) == 1 + leftover
    with bench.reader() as reader:
        assert reader.file("greetings.py").text == GREETINGS
        assert reader.has_vectors
    report = bench.build()
    assert report.files == 63
    assert report.snapshot != first.snapshot
    assert not [name for name in bench.snapshots() if name.startswith(BUILDING)]
    with bench.reader() as reader:
        assert reader.has_vectors
        assert sorted(path.name for path in reader.directory.iterdir() if not path.name.startswith(".")) == [
            "cards.faiss",
            "chunks.sqlite3",
            "manifest.json",
            "vectors.faiss",
            "words.bin",
        ]


def test_what_a_killed_build_had_embedded_is_not_embedded_again(bench):
    write_files(bench.source, {f"module{n}.py": f"def function{n}():\n    return {n}\n" for n in range(60)})
    kill_at("half-way embedding", bench)
    (published,) = bench.root.iterdir()
    with SnapshotReader(published) as reader, EmbeddingCache(bench.request().cache, HashingEmbedder.cache_key) as cache:
        missing = cache.missing(text_hash for file in reader.chunks_of_files() for _, text_hash in file.chunks)
    bench.live = published
    report = bench.build()
    assert report.snapshot == published.name
    assert 30 <= report.reused < report.chunks
    assert report.embedded == len(missing)


def test_what_a_killed_build_had_embedded_is_searched_meanwhile(bench):
    write_files(bench.source, {f"module{n}.py": f"def function{n}():\n    return {n}\n" for n in range(60)})
    kill_at("half-way embedding", bench)
    (published,) = bench.root.iterdir()
    retriever = Retriever(HashingEmbedder(), device="cpu")
    result = retriever.search(published, "which function returns 7")
    assert 0 < result.embedded < result.chunks
    assert result.vectors
    bench.live = published
    bench.build()
    again = retriever.search(published, "which function returns 7")
    assert again.embedded == again.chunks
    retriever.close()


def test_a_first_build_that_is_killed_is_begun_again(bench):
    kill_at("half-way parsing", bench)
    assert [name.startswith(BUILDING) for name in bench.snapshots()] == [True]
    report = bench.build()
    assert bench.snapshots() == [report.snapshot]
