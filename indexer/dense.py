"""The dense signal of one open snapshot: its vectors as far as they are there, opened at the first search and again whenever
the indexer has written more (`indexer.embedding` says which files it writes)."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from indexer.errors import VectorIndexError
from indexer.snapshot import SnapshotReader

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexer.vector_index import Ids, VectorIndex

# Both ends included.
IdRange = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """(n,) int64 and float64: the ids, nearest first, and their cosines."""

    ids: NDArray[np.int64]
    cosines: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Near:
    """Chunks, and files by their cards while chunks are still being embedded; embedded: how many chunks have a vector; vector:
    what they are near to; cards: the index of all cards that have a vector."""

    chunks: Nearest
    files: Nearest
    embedded: int
    vector: NDArray[np.float32]
    cards: VectorIndex | None

    def of_cards(self, files: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n,) the cosine of each file's card, by file id; NaN where it has no vector."""
        cosines = np.full(len(files), np.nan)
        if len(files):
            found = _nearest(self.cards, self.vector, len(files), files)
            places = np.argsort(files)
            cosines[places[np.searchsorted(files, found.ids, sorter=places)]] = found.cosines
        return cosines


@dataclass(frozen=True, slots=True)
class _Opened:
    """An index, and what tells whether the file is still the same."""

    index: VectorIndex
    version: tuple[int, int]


class SnapshotVectors:
    """Threads may share it. An index that was replaced is dropped and not closed, since others may be searching it."""

    def __init__(self, reader: SnapshotReader, device: str) -> None:
        self._reader = reader
        self._device = device
        self._lock = threading.Lock()
        self._opened: dict[Path, _Opened] = {}

    @property
    def are_there(self) -> bool:
        """Whether there is anything to search."""
        return any(place.is_file() for place in (self._reader.vectors, self._reader.partial_vectors, self._reader.cards))

    @property
    def embedded(self) -> int:
        """How many of the snapshot's chunks have a vector. Raises VectorIndexError."""
        if self._reader.has_vectors:
            return self._reader.manifest.chunks
        index, _ = self._current()
        return index.size if index else 0

    def search(self, vector: NDArray[np.float32], count: int, chunks: IdRange | None, files: IdRange | None) -> Near:
        """What is nearest to `vector` (dimension,) among these chunks and files, or among all. Raises VectorIndexError."""
        index, cards = self._current()
        return Near(
            _nearest(index, vector, count, chunks),
            _nearest(None if self._reader.has_vectors else cards, vector, count, files),
            index.size if index else 0,
            vector,
            cards,
        )

    def _current(self) -> tuple[VectorIndex | None, VectorIndex | None]:
        """The indexes of chunks and of cards, as they are on the disk now."""
        with self._lock:
            cards = self._open(self._reader.cards)
            if whole := self._open(self._reader.vectors):
                self._opened.pop(self._reader.partial_vectors, None)
                return whole, cards
            try:
                return self._open(self._reader.partial_vectors), cards
            except VectorIndexError:
                # It goes when the whole index appears, which may have been just now.
                if whole := self._open(self._reader.vectors):
                    return whole, cards
                raise

    def _open(self, place: Path) -> VectorIndex | None:
        try:
            found = place.stat()
        except FileNotFoundError:
            return None
        version = (found.st_ino, found.st_mtime_ns)
        opened = self._opened.get(place)
        if opened is None or opened.version != version:
            from indexer.vector_index import open_index

            opened = self._opened[place] = _Opened(open_index(place, self._device), version)
        return opened.index

    def close(self) -> None:
        with self._lock:
            for opened in self._opened.values():
                opened.index.close()
            self._opened.clear()


def _nearest(index: VectorIndex | None, vector: NDArray[np.float32], count: int, ids: Ids | None) -> Nearest:
    if index is None:
        return Nearest(np.zeros(0, np.int64), np.zeros(0))
    scores, found = (rows[0] for rows in index.search(vector.reshape(1, -1), count, ids))
    return Nearest(found[found >= 0], scores[found >= 0].astype(np.float64))
