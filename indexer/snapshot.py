"""A snapshot: one immutable index of one repository, in a directory of its own.

    <root>/<snapshot id>/manifest.json      what it was made from and by, counts, what was skipped and why
                         chunks.sqlite3     files, chunks, definitions, references (chunk id = FAISS id)
                         words.bin          which chunks and files hold which words, and what else ranks a file
                         cards.faiss        the vectors of files, and
                         vectors.faiss      of chunks: both come later, and words are found without them
                         vectors-partial.faiss   what there is of the latter until then (indexer/embedding.py)

A directory that has its final name is whole, whenever its builder (indexer/snapshot_writer.py) was killed. Who works in one or
searches it holds a lock on it (indexer/snapshot_locks.py). Nothing here knows which snapshot is live.

Importing this module needs the standard library only; the web process reads snapshots too.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from indexer.errors import OutdatedSnapshot, SnapshotError
from indexer.snapshot_locks import MANIFEST
from indexer.types import Chunk, Definition, Manifest, ParsedFile, Reference, StoredFile

if TYPE_CHECKING:
    from indexer.lexical_index import LexicalIndex

SCHEMA = 6
CHUNKS = "chunks.sqlite3"
VECTORS = "vectors.faiss"
PARTIAL_VECTORS = "vectors-partial.faiss"
CARDS = "cards.faiss"


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
        raise OutdatedSnapshot
    examples = {reason: tuple(paths) for reason, paths in values.pop("skipped_examples", {}).items()}
    lists = {name: tuple(values[name]) for name in ("notes", "redacted_files")}
    return Manifest(**{**values, "skipped_examples": examples, **lists})
