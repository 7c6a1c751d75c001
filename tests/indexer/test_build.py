import errno
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import numpy as np
import pytest

from indexer import snapshot_writer, vector_index
from indexer.build import Hooks
from indexer.embedder import HashingEmbedder
from indexer.errors import BuildCancelled, EmbedderError, SnapshotError, SourceError
from indexer.lexical_index import WORDS
from indexer.snapshot import SCHEMA, SnapshotReader
from indexer.types import Progress
from indexer.vector_index import open_index

from .builds import ACCOUNTS, GREETINGS, Bench, write_files

pytestmark = pytest.mark.integration


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def contents(reader: SnapshotReader) -> dict[str, object]:
    """Every row of a snapshot, and the bytes of its lexical index."""
    tables = ["files", "chunks", "definitions", "refs", "skipped", "redacted"]
    with reader:
        rows = {table: reader.connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables}
        return {**rows, WORDS: (reader.directory / WORDS).read_bytes()}


def test_a_build_holds_every_file_with_its_chunks_and_their_vectors(bench):
    report = bench.build()
    assert (report.files, report.embedded, report.reused) == (3, report.chunks, 0)
    with bench.reader() as reader:
        assert reader.paths() == ["README.md", "bank/accounts.py", "greetings.py"]
        assert reader.file("greetings.py").text == GREETINGS
        assert {d.qualified_name for d in reader.outline("bank/accounts.py")} == {"Account", "Account.withdraw"}
        index = open_index(reader.vectors)
        assert index.size == report.chunks == reader.manifest.chunks
        nearest = index.search(HashingEmbedder().encode_query("withdraw an amount from an account")[np.newaxis], 1)
        (path,) = reader.connection.execute(
            "SELECT path FROM files JOIN chunks ON file_id = files.id WHERE chunks.id = ?", (int(nearest.ids[0, 0]),)
        ).fetchone()
        assert path == "bank/accounts.py"


def test_it_is_searchable_before_anything_is_embedded(bench, monkeypatch):
    seen = []

    def published(directory: Path) -> None:
        with SnapshotReader(directory) as reader:
            seen.append((reader.paths(), reader.has_vectors))

    monkeypatch.setattr(HashingEmbedder, "encode_documents", lambda self, texts: seen.append("embedding") or fail())
    with pytest.raises(ZeroDivisionError):
        bench.build(Hooks(published=published))
    assert seen == [(["README.md", "bank/accounts.py", "greetings.py"], False), "embedding"]


def fail() -> None:
    raise ZeroDivisionError


def test_a_second_build_of_an_unchanged_folder_keeps_the_snapshot_and_embeds_nothing(bench):
    first = bench.build()
    second = bench.build()
    assert second.snapshot == first.snapshot
    assert (second.embedded, second.reused) == (0, first.chunks)
    assert bench.snapshots() == [first.snapshot]


def test_one_changed_file_has_only_its_chunks_embedded(bench):
    first = bench.build()
    (bench.source / "greetings.py").write_text(GREETINGS.replace("hello", "goodbye"))
    second = bench.build()
    assert second.snapshot != first.snapshot
    assert second.embedded == 1
    assert second.reused == second.chunks - 1


def test_renaming_a_folder_embeds_nothing(bench):
    bench.build()
    (bench.source / "bank").rename(bench.source / "credit")
    report = bench.build()
    assert report.embedded == 0
    with bench.reader() as reader:
        assert reader.paths() == ["README.md", "credit/accounts.py", "greetings.py"]


def test_files_that_were_built_upon_make_the_same_snapshot_as_files_that_are_read_anew(bench):
    bench.build()
    write_files(
        bench.source, {"a.py": "import greetings\n", "bank/loans.py": ACCOUNTS.replace("Account", "Loan"), "z.bin": b"\0"}
    )
    (bench.source / "README.md").unlink()
    bench.build()
    assert contents(bench.reader()) == contents(bench.build_anew())


def test_a_file_that_was_skipped_for_its_contents_is_not_read_again(bench):
    write_files(bench.source, {"picture.dat": b"\0\1\2"})
    first = bench.build()
    assert first.skipped == {"binary": 1}
    assert bench.build().snapshot == first.snapshot
    write_files(bench.source, {"picture.dat": "now it is text\n"})
    third = bench.build()
    assert (third.snapshot != first.snapshot, third.skipped) == (True, {})


def test_another_embedder_gives_another_snapshot(bench):
    first = bench.build()
    with pytest.raises(EmbedderError, match="can't be loaded"):
        bench.build(embedder=str(bench.folder / "no-model"))
    assert bench.build().snapshot == first.snapshot


def test_a_snapshot_of_another_version_is_not_built_upon(bench):
    first = bench.build()
    manifest = bench.root / first.snapshot / "manifest.json"
    manifest.write_text(manifest.read_text().replace(f'"schema": {SCHEMA}', '"schema": 0'))
    second = bench.build()
    assert (second.snapshot != first.snapshot, second.embedded) == (True, 0)


def test_a_snapshot_with_an_outdated_full_text_index_is_built_anew_without_embedding_anything(bench, monkeypatch):
    monkeypatch.setattr("indexer.lexical_index.LEXICAL_VERSION", 0)
    first = bench.build()
    monkeypatch.undo()
    second = bench.build()
    assert (second.snapshot != first.snapshot, second.embedded) == (True, 0)
    assert bench.build().snapshot == second.snapshot


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, r"holds no files but what \.gitignore and \.sextantignore leave out: there is nothing to index\."),
        (
            {".gitignore": b"/*\n", "app.py": b"x = 1\n"},
            r"\.gitignore and \.sextantignore leave out: there is nothing to index\.",
        ),
        ({"a.bin": b"\0"}, r"skipped: 1 binary\)\."),
    ],
)
def test_a_folder_without_anything_to_index_is_refused_and_leaves_nothing(tmp_path, files, sentence):
    bench = Bench(tmp_path, files)
    with pytest.raises(SourceError, match=sentence):
        bench.build()
    assert bench.snapshots() == []


def test_a_folder_that_became_empty_keeps_its_last_snapshot(bench):
    first = bench.build()
    shutil.rmtree(bench.source)
    bench.source.mkdir()
    with pytest.raises(SourceError):
        bench.build()
    assert bench.snapshots() == [first.snapshot]


def test_a_file_that_changes_or_goes_while_the_folder_is_read_is_left_to_the_next_run(bench, monkeypatch):
    bench.build()
    monkeypatch.setattr("indexer.source.KEPT_BYTES", 0)
    for name in ("greetings.py", "README.md"):
        (bench.source / name).write_text("changed = False\n")

    def meddle(progress: Progress) -> None:
        if progress == Progress("reading", 3, 0):
            (bench.source / "greetings.py").write_text("changed = True\n")
            (bench.source / "README.md").unlink()

    report = bench.build(Hooks(progress=meddle))
    assert report.skipped == {"changed meanwhile": 2}
    with bench.reader() as reader:
        assert reader.paths() == ["bank/accounts.py"]
    again = bench.build()
    assert again.skipped == {}
    with bench.reader() as reader:
        assert reader.file("greetings.py").text == "changed = True\n"


def test_a_commit_is_indexed_whatever_the_work_tree_holds(bench):
    git = ["git", "-C", str(bench.source), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "one"], check=True)
    (bench.source / "greetings.py").write_text("changed = True\n")
    report = bench.build(ref="main")
    with bench.reader() as reader:
        assert reader.file("greetings.py").text == GREETINGS
        assert (reader.manifest.commit, reader.manifest.ref, reader.manifest.dirty) == (report.commit, "main", False)
    bench.build()
    with bench.reader() as reader:
        assert reader.file("greetings.py").text == "changed = True\n"
        assert reader.manifest.dirty


def test_progress_counts_up_within_each_stage_and_ends_with_done(bench):
    seen: list[Progress] = []
    report = bench.build(Hooks(progress=seen.append))
    stages = list(dict.fromkeys(progress.stage for progress in seen))
    assert stages == ["reading", "parsing", "publishing", "embedding", "done"]
    for stage in stages:
        counts = [progress.done for progress in seen if progress.stage == stage]
        assert counts == sorted(counts)
    assert seen[-1] == Progress("done", report.chunks, report.chunks)
    assert Progress("parsing", 3, 3) in seen


@pytest.mark.parametrize("stage", ["reading", "parsing", "publishing", "embedding"])
def test_a_build_that_is_asked_to_stop_does_and_the_next_one_ends_it(bench, stage):
    first = bench.build()
    (bench.source / "greetings.py").write_text(GREETINGS.replace("hello", "goodbye"))
    reached: list[str] = []
    hooks = Hooks(progress=lambda progress: reached.append(progress.stage), cancelled=lambda: stage in reached)
    with pytest.raises(BuildCancelled):
        bench.build(hooks)
    SnapshotReader(bench.root / first.snapshot).close()
    assert len(bench.snapshots()) == (2 if stage in ("publishing", "embedding") else 1)
    assert bench.build().reused >= first.chunks - 1


def test_two_builds_of_one_repository_at_once_make_two_whole_snapshots(bench):
    other = Bench(bench.folder)
    other.live = None

    def build_another(progress: Progress) -> None:
        if progress.stage == "parsing" and other.live is None:
            other.build()

    bench.build(Hooks(progress=build_another))
    assert bench.live != other.live
    assert contents(bench.reader()) == contents(other.reader())
    assert bench.reader().has_vectors
    assert other.reader().has_vectors


def limited(pages: int):
    """sqlite3.connect for a disk that is full once a database has that many pages."""

    def connect(*args: object, **options: object) -> sqlite3.Connection:
        connection = sqlite3.Connection(*args, **options)
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    return connect


def test_a_disk_that_is_full_while_the_snapshot_is_written_leaves_the_live_one_alone(bench, monkeypatch):
    first = bench.build()
    write_files(bench.source, {f"more{n}.py": f"NAME = {os.urandom(20).hex()!r}\n" * 60 for n in range(50)})
    with monkeypatch.context() as patch, pytest.raises(SnapshotError, match="is full: free some space and index again"):
        patch.setattr(snapshot_writer.sqlite3, "connect", limited(40))
        bench.build()
    assert bench.snapshots() == [first.snapshot]
    assert bench.build().files == 53


def test_a_disk_that_is_full_while_the_manifest_is_written_leaves_nothing(bench, monkeypatch):
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(SnapshotError, match="is full"):
        patch.setattr(snapshot_writer, "sync", full)
        bench.build()
    assert bench.snapshots() == []


def test_a_disk_that_is_full_while_the_vectors_are_written_keeps_a_searchable_snapshot_and_the_cache(bench, monkeypatch):
    def full(path: Path) -> None:
        if "vectors" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")

    published: list[Path] = []
    with monkeypatch.context() as patch, pytest.raises(SnapshotError, match="is full"):
        patch.setattr(vector_index, "sync", full)
        bench.build(Hooks(published=published.append))
    (bench.live,) = published
    assert sorted(path.name for path in bench.live.iterdir()) == ["cards.faiss", "chunks.sqlite3", "manifest.json", "words.bin"]
    report = bench.build()
    assert (report.snapshot, report.embedded) == (bench.live.name, 0)
    assert bench.reader().has_vectors


def test_an_error_while_publishing_ends_the_build_and_leaves_the_rest_alone(bench):
    first = bench.build()
    (bench.source / "more.py").write_text("more = 1\n")

    def refuse(directory: Path) -> None:
        raise BuildCancelled("Another process has it.")

    with pytest.raises(BuildCancelled, match="Another process"):
        bench.build(Hooks(published=refuse))
    SnapshotReader(bench.root / first.snapshot).close()
