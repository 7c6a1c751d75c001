"""A snapshot: one immutable index of one repository, in a directory of its own.

    <root>/<snapshot id>/manifest.json      what it was made from and by, counts, what was skipped and why
                         chunks.sqlite3     files, chunks, definitions, references (chunk id = FAISS id)
                         words.bin          which chunks and files hold which words, and what else ranks a file
                         cards.faiss        the vectors of files, and
                         vectors.faiss      of chunks: both come later, and words are found without them
                         vectors-partial.faiss   what there is of the latter until then (indexer/embedding.py)

It is written as `<root>/.building-<snapshot id>` and renamed when everything in it is on the disk, so a directory that has its
final name is whole, whenever the builder was killed. Who works in a directory or searches it holds a lock on it
(indexer/snapshot_locks.py). Nothing here knows which snapshot is live.

Importing this module needs the standard library only; the web process reads snapshots too.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import threading
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from indexer.errors import SnapshotError
from indexer.snapshot_locks import BUILDING, MANIFEST, hold
from indexer.types import Chunk, Definition, Manifest, ParsedFile, Reference, SourceFile, StoredFile

if TYPE_CHECKING:
    from indexer.lexical_index import LexicalIndex
    from indexer.records import FileRecord

SCHEMA = 4
CHUNKS = "chunks.sqlite3"
VECTORS = "vectors.faiss"
PARTIAL_VECTORS = "vectors-partial.faiss"
CARDS = "cards.faiss"

# How many files a manifest names for each reason, and how many notes it has; the database has them all.
_EXAMPLES = 20
_NOTES = 200

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
CREATE INDEX refs_by_name ON refs (name);
CREATE INDEX refs_by_file ON refs (file_id, line);
CREATE INDEX redacted_by_file ON redacted (file_id);
"""


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Turn a full or failing disk under `place` into a SnapshotError that says what to do."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "disk is full" in str(error)
        if full:
            raise SnapshotError(f"The disk that holds {place} is full: free some space and index again.") from error
        raise SnapshotError(f"{place} can't be written or read ({error}): look at the disk and index again.") from error


class SnapshotWriter:
    """Writes `<root>/.building-<snapshot>` and publishes it under its final name; leaving the context discards what is not
    published.

    Files get the ids 1, 2, 3, … in the order in which they are added, and so do chunks: the same files in the same order make
    the same snapshot, wherever they came from. previous: the snapshot to copy files from, open until this is
    published.
    """

    def __init__(self, root: Path, snapshot: str, previous: SnapshotReader | None = None) -> None:
        from indexer.lexical_index import LexicalWriter

        self._final = root / snapshot
        self.directory = root / f"{BUILDING}{snapshot}"
        self.directory.mkdir(parents=True)
        self.held = hold(self.directory)
        self._db = sqlite3.connect(self.directory / CHUNKS, isolation_level=None, uri=True, check_same_thread=False)
        # Nobody reads a half-written snapshot and `publish` syncs the finished file, so SQLite needs neither journal nor sync.
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE", "cache_size = -65536"):
            self._db.execute(f"PRAGMA {pragma}")
        if previous is not None:
            self._db.execute("ATTACH ? AS previous", (previous.uri,))
        self._db.execute("BEGIN")
        for statement in _TABLES.split(";"):
            self._db.execute(statement)
        self._lexical = LexicalWriter(self.directory, self._db, previous.lexical if previous else None)
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
        self._db.executemany("INSERT INTO refs VALUES (?, ?, ?, ?)", ((file_id, *each) for each in record.references))
        secrets = [(*found, 0) for found in record.redacted] + [(*found, 1) for found in record.allowed]
        if secrets:
            self._db.executemany("INSERT INTO redacted VALUES (?, ?, ?, ?)", ((file_id, *found) for found in secrets))
        self._lexical.add_file(file_id, first_chunk, record.terms)
        self._count(file.path, len(record.definitions), record.note, secrets)

    def copy_file(self, path: str) -> None:
        """Add a file as the previous snapshot holds it."""
        old_id, note = self._db.execute("SELECT id, note FROM previous.files WHERE path = ?", (path,)).fetchone()
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
        words = self._lexical.finish(self._index)
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
        from indexer.symbols import index_names

        for statement in _INDEXES.split(";"):
            self._db.execute(statement)
        index_names(self._db)

    def __enter__(self) -> SnapshotWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._db.close()
        shutil.rmtree(self.directory, ignore_errors=True)
        os.close(self.held)


class FileChunks(NamedTuple):
    """A file, the hash of its card, how much the others refer to it, and its chunks: (id, hash of the embedded text) each."""

    file_id: int
    path: str
    language: str
    card: str
    referred: float
    chunks: tuple[tuple[int, str], ...]


class SnapshotReader:
    """Reads one published snapshot. Threads may share it: each gets a connection of its own.

    Raises SnapshotError when the directory isn't there, isn't whole or was written by another version.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.manifest = read_manifest(directory)
        self._local = threading.local()
        self._lock = threading.Lock()
        self._opened: list[sqlite3.Connection] = []
        self._lexical: LexicalIndex | None = None
        if not (directory / CHUNKS).is_file():
            raise SnapshotError(f"The snapshot {directory.name} has no {CHUNKS}: index the repository again.")

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's read-only connection to chunks.sqlite3."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            try:
                connection = sqlite3.connect(self.uri, uri=True, check_same_thread=False)
            except sqlite3.Error as error:
                raise SnapshotError(
                    f"The snapshot {self.directory.name} can't be opened: index the repository again."
                ) from error
            connection.execute("PRAGMA mmap_size = 268435456")
            self._local.connection = connection
            with self._lock:
                self._opened.append(connection)
        return connection

    @property
    def uri(self) -> str:
        """The database for SQLite. immutable: no locks and no journal are looked for, since nobody ever writes it again."""
        return f"{(self.directory / CHUNKS).resolve().as_uri()}?mode=ro&immutable=1"

    @property
    def lexical(self) -> LexicalIndex:
        """The lexical index, which all threads share. Raises SnapshotError."""
        from indexer.lexical_index import LexicalIndex

        connection = self.connection
        with self._lock:
            if self._lexical is None:
                self._lexical = LexicalIndex(self.directory, connection)
            return self._lexical

    @property
    def vectors(self) -> Path:
        """Where the vectors are, or will be."""
        return self.directory / VECTORS

    @property
    def partial_vectors(self) -> Path:
        """Where the vectors of some chunks are while the others are being made."""
        return self.directory / PARTIAL_VECTORS

    @property
    def cards(self) -> Path:
        """Where the vectors of files are, or will be."""
        return self.directory / CARDS

    @property
    def has_vectors(self) -> bool:
        return self.vectors.is_file()

    def paths(self) -> list[str]:
        """All paths, sorted."""
        return [path for (path,) in self.connection.execute("SELECT path FROM files ORDER BY path")]

    def blobs(self) -> dict[str, str]:
        """The git object id of every path."""
        return dict(self.connection.execute("SELECT path, blob FROM files"))

    def blobs_of(self, paths: Iterable[str]) -> dict[str, str]:
        """The git object ids of those of these paths that the snapshot holds."""
        query = "SELECT path, blob FROM files WHERE path IN (SELECT value FROM json_each(?))"
        return dict(self.connection.execute(query, (json.dumps(list(paths)),)))

    def skipped(self) -> list[tuple[str, str, str]]:
        """(path, reason, blob) of every file that was left out, by path; blob is "" where the source left it out unread."""
        return list(self.connection.execute("SELECT path, reason, blob FROM skipped ORDER BY path"))

    def chunks_of_files(self) -> list[FileChunks]:
        """Every file and its chunks, by id."""
        chunks: dict[int, list[tuple[int, str]]] = defaultdict(list)
        for file_id, *chunk in self.connection.execute("SELECT file_id, id, embed_hash FROM chunks ORDER BY id"):
            chunks[file_id].append((chunk[0], chunk[1]))
        query = "SELECT id, path, language, card FROM files ORDER BY id"
        referred = self.lexical.table.files["referred"].tolist()
        return [
            FileChunks(file_id, path, language, card, referred[file_id], tuple(chunks[file_id]))
            for file_id, path, language, card in self.connection.execute(query)
        ]

    def file(self, path: str) -> StoredFile:
        """The file as it was indexed. Raises SnapshotError when the snapshot doesn't hold it."""
        row = self._file_row(path)
        return StoredFile(path, row["blob"], row["language"], row["lines"], zlib.decompress(row["content"]).decode())

    def contents(self, ids: Iterable[int]) -> Iterator[tuple[int, bytes]]:
        """(file id, UTF-8 text) of these files, one after the other."""
        for file_id in ids:
            (content,) = self.connection.execute("SELECT content FROM files WHERE id = ?", (file_id,)).fetchone()
            yield file_id, zlib.decompress(content)

    def compressed(self, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        """(file id, compressed UTF-8 text: `zlib`) of the files with these ids, both ends included, one after the other."""
        return iter(
            self.connection.execute("SELECT id, content FROM files WHERE id BETWEEN ? AND ? ORDER BY id", (first, last))
        )

    def outline(self, path: str) -> tuple[Definition, ...]:
        """What the file defines, by line. Raises SnapshotError when the snapshot doesn't hold it."""
        return self._definitions(self._file_row(path)["id"])

    def parsed(self, path: str) -> ParsedFile:
        """What the parser made of this file, as far as a snapshot keeps it, which is all that a later build needs."""
        row = self._file_row(path)
        text = zlib.decompress(row["content"]).decode()
        lines = text.split("\n")
        chunks = tuple(
            Chunk(start, end, symbol, kind, "\n".join(lines[start - 1 : end]))
            for start, end, symbol, kind in self.connection.execute(
                "SELECT start_line, end_line, symbol, kind FROM chunks WHERE file_id = ? ORDER BY id", (row["id"],)
            )
        )
        references = tuple(
            Reference(*found)
            for found in self.connection.execute(
                "SELECT name, line, kind FROM refs WHERE file_id = ? ORDER BY rowid", (row["id"],)
            )
        )
        query = "SELECT kind, count, allowed FROM redacted WHERE file_id = ? ORDER BY rowid"
        secrets = self.connection.execute(query, (row["id"],)).fetchall()
        return ParsedFile(
            row["language"],
            text,
            chunks,
            self._definitions(row["id"]),
            references,
            header=row["header"],
            note=row["note"],
            redacted=tuple((kind, count) for kind, count, allowed in secrets if not allowed),
            allowed=tuple((kind, count) for kind, count, allowed in secrets if allowed),
        )

    def _definitions(self, file_id: int) -> tuple[Definition, ...]:
        query = (
            "SELECT name, qualified_name, kind, line, start_line, end_line, signature FROM definitions"
            " WHERE file_id = ? ORDER BY id"
        )
        return tuple(Definition(*row) for row in self.connection.execute(query, (file_id,)))

    def _file_row(self, path: str) -> sqlite3.Row:
        cursor = self.connection.cursor()
        cursor.row_factory = sqlite3.Row
        row: sqlite3.Row | None = cursor.execute("SELECT * FROM files WHERE path = ?", (path,)).fetchone()
        if row is None:
            raise SnapshotError(f"{path} is not in this snapshot.")
        return row

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._lock:
            for connection in self._opened:
                connection.close()
            self._opened.clear()
            self._lexical = None
        self._local = threading.local()

    def __enter__(self) -> SnapshotReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def write_manifest(directory: Path, manifest: Manifest) -> None:
    text = json.dumps(asdict(manifest), indent=1, ensure_ascii=False)
    (directory / MANIFEST).write_text(text, encoding="utf-8")


def read_manifest(directory: Path) -> Manifest:
    """Raises SnapshotError when there is none, or when it was written by another version."""
    try:
        values: dict[str, Any] = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SnapshotError(f"{directory} holds no whole snapshot: index the repository again.") from error
    if values.get("schema") != SCHEMA:
        raise SnapshotError(f"The snapshot {directory.name} was written by another version of Sextant: index again.")
    examples = {reason: tuple(paths) for reason, paths in values.pop("skipped_examples", {}).items()}
    lists = {name: tuple(values[name]) for name in ("notes", "redacted_files")}
    return Manifest(**{**values, "skipped_examples": examples, **lists})


def sync(path: Path) -> None:
    """Have the file's or directory's contents on the disk before going on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
