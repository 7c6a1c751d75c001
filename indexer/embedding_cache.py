"""Vectors by (model, hash of the embedded text), in one SQLite file that all repositories and builds share.

It outlives snapshots: a build that was killed, a branch that comes back and a file that moved find their vectors here. It is
only a cache: a file that SQLite can't read is put aside and a new one begun. Vectors are kept as float16, which is what the
index keeps too (768 bytes for 384 dimensions). Transactions are short, so that builds can share it.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from indexer.file_lock import alone

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

_TABLE = """
CREATE TABLE IF NOT EXISTS vectors (model TEXT NOT NULL, hash TEXT NOT NULL, vector BLOB NOT NULL, PRIMARY KEY (model, hash))
WITHOUT ROWID"""
_MISSING = "SELECT hash FROM vectors WHERE model = ? AND hash IN (SELECT value FROM json_each(?))"
_GET = "SELECT hash, vector FROM vectors WHERE model = ? AND hash IN (SELECT value FROM json_each(?))"
# Bounds the memory of one query.
_HASHES_PER_QUERY = 4000


class EmbeddingCache:
    """One process's door to the cache of one model. Hashes are sha256 in hex."""

    def __init__(self, path: Path, model: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._model = model
        # Two that switch one new file to WAL: SQLite gives up on one of them at once. And a damaged file is put aside once.
        with alone(path.with_name(f".{path.name}.lock")):
            self._db = _open(path)

    def missing(self, hashes: Iterable[str]) -> set[str]:
        """Those of `hashes` that have no vector yet."""
        missing: set[str] = set()
        for some in _portions(hashes):
            found = self._db.execute(_MISSING, (self._model, json.dumps(some)))
            missing.update(set(some).difference(text_hash for (text_hash,) in found))
        return missing

    def put(self, hashes: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Keep `vectors` (n, dimension), one a hash, in one transaction."""
        rows = [
            (self._model, text_hash, vector.tobytes())
            for text_hash, vector in zip(hashes, vectors.astype(np.float16), strict=True)
        ]
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?, ?)", rows)

    def get(self, hashes: Sequence[str]) -> NDArray[np.float32]:
        """(n, dimension) float32, in the order of `hashes`. Raises KeyError when one of them has no vector."""
        found: dict[str, bytes] = {}
        for some in _portions(dict.fromkeys(hashes)):
            found.update(self._db.execute(_GET, (self._model, json.dumps(some))))
        vectors = np.frombuffer(b"".join(found[text_hash] for text_hash in hashes), dtype=np.float16)
        return vectors.reshape(len(hashes), -1).astype(np.float32)

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> EmbeddingCache:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _portions(hashes: Iterable[str]) -> Iterator[list[str]]:
    remaining = iter(hashes)
    while portion := list(islice(remaining, _HASHES_PER_QUERY)):
        yield portion


def _open(path: Path) -> sqlite3.Connection:
    try:
        return _connect(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):  # locked, full, not permitted: not the file's fault
            raise
        logger.warning("The embedding cache %s is damaged (%s): it was put aside and a new one begun", path, error)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        path.replace(path.with_name(path.name + ".damaged"))
        return _connect(path)


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=30, isolation_level=None)
    try:
        # WAL without a sync a commit: a lost power line costs vectors that are computed again, never a damaged file.
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(_TABLE)
    except sqlite3.Error:
        db.close()
        raise
    return db
