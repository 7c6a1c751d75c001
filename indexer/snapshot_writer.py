"""Writes a snapshot (indexer/snapshot.py) as `<root>/.building-<snapshot id>`, and renames it when all of it is on the disk."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import chain, repeat
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from indexer.disk import sync
from indexer.file_uses import FileNames, NamesOfFiles
from indexer.lexical_index import LexicalWriter
from indexer.snapshot import CHUNKS, SnapshotReader, write_manifest
from indexer.snapshot_locks import BUILDING, MANIFEST, hold
from indexer.symbols import index_names
from indexer.types import Manifest, SourceFile

if TYPE_CHECKING:
    from indexer.records import FileRecord

# How many files a manifest names for each reason, and how many notes it has; the database has them all.
_EXAMPLES = 20
_NOTES = 200
# So many rows are written by one statement, which takes a third less time a row.
_ROWS_TOGETHER = 8

_TABLES = """
CREATE TABLE files (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, language TEXT NOT NULL, blob TEXT NOT NULL, size INTEGER NOT NULL,
    lines INTEGER NOT NULL, header TEXT NOT NULL, note TEXT NOT NULL, content BLOB NOT NULL,
    card TEXT NOT NULL);
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY, file_id INTEGER NOT NULL, start_line INTEGER NOT NULL, end_line INTEGER NOT NULL,
    symbol TEXT NOT NULL, kind TEXT NOT NULL, embed_hash TEXT NOT NULL);
CREATE TABLE definitions (
    id INTEGER PRIMARY KEY, file_id INTEGER NOT NULL, name TEXT NOT NULL, qualified_name TEXT NOT NULL, kind TEXT NOT NULL,
    line INTEGER NOT NULL, start_line INTEGER NOT NULL, end_line INTEGER NOT NULL, signature TEXT NOT NULL);
CREATE TABLE refs (file_id INTEGER NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL, line INTEGER NOT NULL);
CREATE TABLE redacted (file_id INTEGER NOT NULL, kind TEXT NOT NULL, count INTEGER NOT NULL, allowed INTEGER NOT NULL);
CREATE TABLE skipped (path TEXT NOT NULL, reason TEXT NOT NULL, blob TEXT NOT NULL);
"""

# Made once all rows are in, which is faster than keeping them up to date.
_INDEXES = """
CREATE INDEX chunks_by_file ON chunks (file_id, start_line);
CREATE INDEX definitions_by_name ON definitions (name, file_id);
CREATE INDEX definitions_by_file ON definitions (file_id, line);
CREATE INDEX refs_by_name ON refs (name, file_id);
CREATE INDEX refs_by_file ON refs (file_id, line);
CREATE INDEX redacted_by_file ON redacted (file_id);
"""

# The names in a file, as FileNames has them.
_NAMES = """
SELECT (SELECT json_group_array(name) FROM previous.refs WHERE file_id = ?1),
       (SELECT json_group_array(name) FROM previous.refs WHERE file_id = ?1 AND kind = 'import'),
       (SELECT json_group_array(name) FROM previous.definitions WHERE file_id = ?1),
       (SELECT json_group_array(name) FROM previous.definitions WHERE file_id = ?1 AND name = qualified_name)
"""


class SnapshotWriter:
    """Writes `<root>/.building-<snapshot>` and publishes it under its final name; leaving the context discards what is not
    published.

    Files get the ids 1, 2, 3, … in the order in which they are added, and so do chunks: the same files in the same order make
    the same snapshot, wherever they came from. previous: the snapshot to copy files from, open until this is
    published.
    """

    def __init__(self, root: Path, snapshot: str, previous: SnapshotReader | None = None) -> None:
        self._final = root / snapshot
        self.directory = root / f"{BUILDING}{snapshot}"
        self.directory.mkdir(parents=True)
        self.held = hold(self.directory)
        self._db = sqlite3.connect(self.directory / CHUNKS, isolation_level=None, uri=True, check_same_thread=False)
        # Nobody reads a half-written snapshot and `publish` syncs the finished file, so SQLite needs neither journal nor sync.
        # Larger pages than usual are fewer to write.
        for pragma in (
            "page_size = 16384",
            "journal_mode = OFF",
            "synchronous = OFF",
            "locking_mode = EXCLUSIVE",
            "cache_size = -65536",
        ):
            self._db.execute(f"PRAGMA {pragma}")
        if previous is not None:
            self._db.execute("ATTACH ? AS previous", (previous.uri,))
        self._db.execute("BEGIN")
        for statement in _TABLES.split(";"):
            self._db.execute(statement)
        self._lexical = LexicalWriter(self.directory, self._db, previous.lexical if previous else None)
        self._names = NamesOfFiles()
        self.files = self.chunks = self.definitions = 0
        self.skipped: Counter[str] = Counter()
        self.skipped_examples: dict[str, list[str]] = {}
        self.notes: list[str] = []
        self.redacted: Counter[str] = Counter()
        self.redacted_files: list[str] = []
        self.allowed: Counter[str] = Counter()

    def add_file(self, file: SourceFile, record: FileRecord) -> None:
        """Add one file."""
        file_id, first_chunk = self._next(len(record.chunks))
        row = (
            file_id, file.path, record.language, file.blob, file.size, record.lines, record.header, record.note, record.content,
            record.card,
        )  # fmt: skip
        self._db.execute("INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        chunks = ((chunk_id, file_id, *chunk) for chunk_id, chunk in enumerate(record.chunks, first_chunk))
        self._db.executemany("INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?)", chunks)
        definitions = ((file_id, *definition) for definition in record.definitions)
        self._db.executemany("INSERT INTO definitions VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", definitions)
        used, lines, kinds = record.references
        _insert(self._db, "refs", 4, zip(repeat(file_id), used, kinds, lines, strict=False))
        secrets = [(*found, 0) for found in record.redacted] + [(*found, 1) for found in record.allowed]
        if secrets:
            self._db.executemany("INSERT INTO redacted VALUES (?, ?, ?, ?)", ((file_id, *found) for found in secrets))
        self._lexical.add_file(file_id, first_chunk, record.terms)
        imported = [name for name, kind in zip(used, kinds, strict=True) if kind == "import"]
        defined = [definition[0] for definition in record.definitions]
        at_top = [name for name, qualified_name, *_ in record.definitions if name == qualified_name]
        self._names.add(file.path, record.language, FileNames(used, imported, defined, at_top))
        self._count(file.path, len(record.definitions), record.note, secrets)

    def copy_file(self, path: str) -> None:
        """Add a file as the previous snapshot holds it."""
        query = "SELECT id, language, note FROM previous.files WHERE path = ?"
        old_id, language, note = self._db.execute(query, (path,)).fetchone()
        query = "SELECT coalesce(min(id), 0), count(*) FROM previous.chunks WHERE file_id = ?"
        old_chunk, chunks = self._db.execute(query, (old_id,)).fetchone()
        file_id, first_chunk = self._next(chunks)
        self._db.execute(
            "INSERT INTO files SELECT ?, path, language, blob, size, lines, header, note, content, card FROM previous.files"
            " WHERE id = ?",
            (file_id, old_id),
        )
        self._db.execute(
            "INSERT INTO chunks SELECT id + ?, ?, start_line, end_line, symbol, kind, embed_hash FROM previous.chunks"
            " WHERE file_id = ? ORDER BY id",
            (first_chunk - old_chunk, file_id, old_id),
        )
        definitions = self._db.execute(
            "INSERT INTO definitions SELECT NULL, ?, name, qualified_name, kind, line, start_line, end_line, signature"
            " FROM previous.definitions WHERE file_id = ? ORDER BY id",
            (file_id, old_id),
        ).rowcount
        self._db.execute(
            "INSERT INTO refs SELECT ?, name, kind, line FROM previous.refs WHERE file_id = ? ORDER BY rowid", (file_id, old_id)
        )
        query = "SELECT kind, count, allowed FROM previous.redacted WHERE file_id = ? ORDER BY rowid"
        secrets = self._db.execute(query, (old_id,)).fetchall()
        self._db.executemany("INSERT INTO redacted VALUES (?, ?, ?, ?)", ((file_id, *found) for found in secrets))
        self._lexical.copy_file(file_id, first_chunk, chunks, old_id, old_chunk)
        (*names,) = map(json.loads, self._db.execute(_NAMES, (old_id,)).fetchone())
        self._names.add(path, language, FileNames(*names))
        self._count(path, definitions, note, secrets)

    def _next(self, chunks: int) -> tuple[int, int]:
        """The ids of the next file and of the first of its chunks."""
        self.files += 1
        first_chunk = self.chunks + 1
        self.chunks += chunks
        return self.files, first_chunk

    def _count(self, path: str, definitions: int, note: str, secrets: Sequence[tuple[str, int, int]]) -> None:
        """secrets: (kind, how many, whether they were left in)."""
        self.definitions += definitions
        if note and len(self.notes) < _NOTES:
            self.notes.append(f"{path}: {note}")
        if not secrets:
            return
        redacted = {kind: count for kind, count, allowed in secrets if not allowed}
        self.redacted.update(redacted)
        self.allowed.update({kind: count for kind, count, allowed in secrets if allowed})
        if redacted and len(self.redacted_files) < _NOTES:
            self.redacted_files.append(path)

    def add_skipped(self, path: str, reason: str, blob: str = "") -> None:
        """Note a file that was left out. blob: its object id if its contents are why, so that it isn't read again."""
        self._db.execute("INSERT INTO skipped VALUES (?, ?, ?)", (path, reason, blob))
        self.skipped[reason] += 1
        if self.skipped[reason] <= _EXAMPLES:
            self.skipped_examples.setdefault(reason, []).append(path)

    def publish(self, manifest: Manifest) -> Path:
        """Finish the database, put everything on the disk and give the directory its final name."""
        words = self._lexical.finish(self._names, self._index)
        self._db.execute("COMMIT")
        self._db.close()
        write_manifest(self.directory, manifest)
        with ThreadPoolExecutor(3) as threads:  # at once, since a disk does much of the work only once then
            list(threads.map(sync, (words, self.directory / CHUNKS, self.directory / MANIFEST)))
        sync(self.directory)
        self.directory.rename(self._final)
        sync(self._final.parent)
        return self._final

    def _index(self) -> None:
        for statement in _INDEXES.split(";"):
            self._db.execute(statement)
        index_names(self._db)

    def __enter__(self) -> SnapshotWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._db.close()
        shutil.rmtree(self.directory, ignore_errors=True)
        os.close(self.held)


def _insert(db: sqlite3.Connection, table: str, columns: int, rows: Iterable[Sequence[object]]) -> None:
    values = tuple(chain.from_iterable(rows))
    together = len(values) // (columns * _ROWS_TOGETHER) * columns * _ROWS_TOGETHER
    for count, start, end in ((_ROWS_TOGETHER, 0, together), (1, together, len(values))):
        step = count * columns
        db.executemany(_insertion(table, columns, count), (values[at : at + step] for at in range(start, end, step)))


@cache
def _insertion(table: str, columns: int, rows: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return f"INSERT INTO {table} VALUES {', '.join([row] * rows)}"  # noqa: S608 - names of our own tables
