import json
import os
import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from indexer.embedded_texts import embedded_texts, text_hash
from indexer.errors import SnapshotError
from indexer.records import record_of
from indexer.snapshot import SCHEMA, SnapshotReader, read_manifest, write_manifest
from indexer.snapshot_locks import BUILDING, hold, remove, sweep
from indexer.snapshot_writer import SnapshotWriter
from indexer.types import Chunk, Definition, Manifest, ParsedFile, Reference, SourceFile

MANIFEST = Manifest(
    schema=SCHEMA,
    chunker=1,
    repository="small",
    ref="main",
    commit="c" * 40,
    dirty=False,
    created_at="2026-01-01T00:00:00+00:00",
    files=1,
    chunks=2,
    definitions=1,
    embedder="hashing",
    dimension=256,
    skipped={"binary": 2},
    skipped_examples={"binary": ("a.png", "b.png")},
    notes=("odd.py: the parser crashed",),
)
PARSED = ParsedFile(
    language="python",
    text="import os\n\ndef grüße():\n    return os\n",
    chunks=(Chunk(1, 2, "", "module", "import os\n"), Chunk(3, 5, "grüße", "function", "def grüße():\n    return os\n")),
    definitions=(Definition("grüße", "grüße", "function", 3, 3, 4, "def grüße():"),),
    references=(Reference("os", 4, "name"),),
    header="head",
    note="the parser crashed",
)
HASHES = [text_hash(text) for text in embedded_texts("src/odd.py", PARSED)]


def source_file(path: str) -> SourceFile:
    return SourceFile(path, 40, "1" * 40, lambda: b"")


@pytest.fixture
def published(tmp_path):
    with SnapshotWriter(tmp_path, "one") as writer:
        writer.add_file(source_file("src/odd.py"), record_of("src/odd.py", PARSED))
        writer.add_skipped("logo.png", "binary", "2" * 40)
        return writer.publish(MANIFEST)


def test_what_was_written_is_read_again(published):
    with SnapshotReader(published) as reader:
        assert reader.manifest == MANIFEST
        assert reader.paths() == ["src/odd.py"]
        assert reader.blobs() == {"src/odd.py": "1" * 40}
        assert reader.skipped() == [("logo.png", "binary", "2" * 40)]
        assert reader.parsed("src/odd.py") == PARSED
        assert reader.outline("src/odd.py") == PARSED.definitions
        assert [file.chunks for file in reader.chunks_of_files()] == [((1, HASHES[0]), (2, HASHES[1]))]
        assert not reader.has_vectors


def test_a_stored_file_counts_its_lines_as_an_editor_does(published):
    with SnapshotReader(published) as reader:
        file = reader.file("src/odd.py")
    assert (file.text, file.lines, file.language, file.blob) == (PARSED.text, 4, "python", "1" * 40)


def test_a_path_that_the_snapshot_does_not_hold_is_an_error(published):
    with SnapshotReader(published) as reader, pytest.raises(SnapshotError, match=r"\.\./secret is not in this snapshot"):
        reader.file("../secret")


def test_a_snapshot_can_not_be_written_to(published):
    with SnapshotReader(published) as reader, pytest.raises(Exception, match="readonly"):
        reader.connection.execute("DELETE FROM files")


def test_threads_read_one_snapshot_at_once(published):
    found = []
    with SnapshotReader(published) as reader:
        threads = [threading.Thread(target=lambda: found.append(reader.file("src/odd.py").text)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [PARSED.text] * 8


def test_what_is_not_published_leaves_nothing_behind(tmp_path):
    with pytest.raises(RuntimeError), SnapshotWriter(tmp_path, "one") as writer:
        writer.add_file(source_file("a.py"), record_of("src/odd.py", PARSED))
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_snapshot_has_its_name_only_once_it_is_whole(tmp_path):
    with SnapshotWriter(tmp_path, "one") as writer:
        writer.add_file(source_file("a.py"), record_of("src/odd.py", PARSED))
        assert [path.name for path in tmp_path.iterdir()] == [f"{BUILDING}one"]
        writer.publish(MANIFEST)
        assert [path.name for path in tmp_path.iterdir()] == ["one"]


@pytest.mark.parametrize("damage", ["missing", "not JSON", "another version", "no database"])
def test_a_directory_that_is_no_whole_snapshot_is_refused_in_one_sentence(published, damage):
    manifest = published / "manifest.json"
    if damage == "missing":
        manifest.unlink()
    elif damage == "not JSON":
        manifest.write_text("{")
    elif damage == "another version":
        manifest.write_text(json.dumps({"schema": SCHEMA + 1}))
    else:
        (published / "chunks.sqlite3").unlink()
    with pytest.raises(SnapshotError, match=r"index (the repository )?again\.$"):
        SnapshotReader(published)


def test_a_manifest_with_nothing_skipped_is_read_again(tmp_path):
    manifest = replace(MANIFEST, skipped={}, skipped_examples={}, notes=())
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest


def test_a_sweep_takes_what_a_dead_builder_left_and_nothing_else(tmp_path, published):
    writer = SnapshotWriter(tmp_path, "alive")
    dead = "import sys, os, pathlib; from indexer.snapshot_writer import SnapshotWriter"
    dead += "; SnapshotWriter(pathlib.Path(sys.argv[1]), 'dead'); os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", dead, str(tmp_path)]).returncode == -9
    assert sweep(tmp_path) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{BUILDING}alive", "one"]
    writer.__exit__(None, None, None)


def test_a_snapshot_that_somebody_works_on_is_not_removed(published):
    descriptor = hold(published)
    assert not remove(published)
    os.close(descriptor)
    assert remove(published)
    assert remove(published)


def test_an_open_reader_outlives_the_removal_of_its_snapshot(published):
    with SnapshotReader(published) as reader:
        assert reader.paths()
        assert remove(published)
        assert reader.file("src/odd.py").text == PARSED.text
