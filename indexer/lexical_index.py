"""Lexical search over chunks and over files: BM25 on postings that are mapped from `words.bin`.

Two inverted indexes (`indexer.postings`) over the terms of `indexer.tokens`:

* `chunks`: a chunk's text, and its place, which is its symbol path and its file's path.
* `cards`: what a person would write on a card about a file: its stem, folders, header (its head comment) and symbols (the names
  it defines), counted apart.

`chunk_files` (uint32) holds the file of each chunk. Ranking is FTS5's bm25() to the last digit but for its rounding.

`indexer.file_table` has what else ranks a file: its path's words, its kind, its uses of other files. It lies in the same file.

The snapshot writer makes a LexicalWriter, calls `add_file` or `copy_file` once a file, then `finish`, inside its own
transaction on a table that it has created (`files`).
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, overload

import numpy as np

from indexer.array_file import ArrayFileWriter, open_arrays
from indexer.errors import OutdatedSnapshot, SnapshotError
from indexer.file_table import FileRow, FileTable, tabulate
from indexer.file_uses import NamesOfFiles, uses_of_files
from indexer.postings import LENGTH, TERM, Postings, PostingsBuilder, best
from indexer.term_counts import CARD_COLUMNS, FileTerms, term_hash

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Whatever changes the terms or the arrays counts this up: a snapshot of another version has to be indexed again.
LEXICAL_VERSION = 7

WORDS = "words.bin"


class LexicalWriter:
    """Writes `words.bin` into the directory of a snapshot that is being built.

    previous: the index to copy files from. Files and chunks come in the order of their ids.
    """

    def __init__(self, directory: Path, db: sqlite3.Connection, previous: LexicalIndex | None = None) -> None:
        self._path = directory / WORDS
        self._db = db
        self._previous = previous
        self._chunks = PostingsBuilder(directory, "chunks")
        self._cards = PostingsBuilder(directory, "cards", columns=len(CARD_COLUMNS))
        self._chunk_counts: list[int] = [0]
        db.execute("CREATE TABLE lexical_version (version INTEGER NOT NULL)")
        db.execute("INSERT INTO lexical_version VALUES (?)", (LEXICAL_VERSION,))

    def add_file(self, file_id: int, first_chunk: int, terms: FileTerms) -> None:
        """A file whose chunks have the ids from `first_chunk` on."""
        self._chunks.add(first_chunk, terms.chunks)
        self._cards.add(file_id, terms.card)
        self._chunk_counts.append(len(terms.chunks.lengths) // LENGTH.itemsize)

    def copy_file(self, file_id: int, first_chunk: int, chunks: int, previous_file: int, previous_chunk: int) -> None:
        """A file as the previous index holds it, under its ids there."""
        self._chunks.copy(first_chunk, chunks, previous_chunk)
        self._cards.copy(file_id, 1, previous_file)
        self._chunk_counts.append(chunks)

    def finish(self, names: NamesOfFiles, index: Callable[[], None]) -> Path:
        """Once all files are in: write the arrays, and derive what depends on every file. Returns the file to be synced.

        names: of all files; index: gives the database its indexes, and is called in another thread while the arrays are
        written: SQLite and numpy both let others run while they sort.
        """
        previous = self._previous
        rows = self._db.execute("SELECT path, language, lines FROM files ORDER BY id")
        files = list(map(FileRow._make, rows))
        with ThreadPoolExecutor(1) as aside, ArrayFileWriter(self._path) as file:
            indexed = aside.submit(index)
            self._chunks.write(file, previous.chunk_postings if previous else None)
            self._cards.write(file, previous.card_postings if previous else None)
            chunk_files = np.repeat(np.arange(len(self._chunk_counts), dtype=LENGTH), self._chunk_counts)
            file.add("chunk_files", [np.zeros(1, LENGTH), chunk_files], LENGTH)
            for name, array in tabulate(files, uses_of_files(names)).items():
                file.add(name, [array], array.dtype)
            indexed.result()
        for builder in (self._chunks, self._cards):
            builder.clear()
        return self._path


class ChunkHit(NamedTuple):
    """A chunk and its BM25 score, higher is better."""

    chunk_id: int
    file_id: int
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class Hits(Sequence[ChunkHit]):
    """Chunks that a signal found, best first: (n,) int64, int64 and float64."""

    chunks: NDArray[np.int64]
    files: NDArray[np.int64]
    scores: NDArray[np.float64]

    @classmethod
    def none(cls) -> Hits:
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))

    def __len__(self) -> int:
        return len(self.chunks)

    @overload
    def __getitem__(self, place: int) -> ChunkHit: ...

    @overload
    def __getitem__(self, place: slice) -> Hits: ...

    def __getitem__(self, place: int | slice) -> ChunkHit | Hits:
        if isinstance(place, slice):
            return Hits(self.chunks[place], self.files[place], self.scores[place])
        return ChunkHit(int(self.chunks[place]), int(self.files[place]), float(self.scores[place]))

    def only(self, wanted: NDArray[np.bool_]) -> Hits:
        return Hits(self.chunks[wanted], self.files[wanted], self.scores[wanted])

    def ranks(self) -> dict[int, tuple[int, float]]:
        """By chunk, its rank from 1 on and its score."""
        return dict(zip(self.chunks.tolist(), enumerate(self.scores.tolist(), 1), strict=True))

    def best_of_files(self) -> dict[int, float]:
        """The score of each file's best chunk, by file."""
        # The best comes last, and stays.
        return dict(zip(self.files[::-1].tolist(), self.scores[::-1].tolist(), strict=True))


class LexicalIndex:
    """Looks terms up. Terms come from `indexer.tokens` and are weighted: a weight multiplies a term's share of the score.

    directory: of a published snapshot; db: a connection to its database, which is used here only. Threads may share it.
    files: the file ids to keep to (both ends included), or None for all. allowed: those of them that count, or None for all.
    Raises SnapshotError for what another version wrote.
    """

    def __init__(self, directory: Path, db: sqlite3.Connection) -> None:
        check_version(db)
        arrays = open_arrays(directory / WORDS)
        try:
            self.chunk_postings = Postings(arrays, "chunks")
            self.card_postings = Postings(arrays, "cards")
            self._chunk_files: NDArray[np.uint32] = arrays["chunk_files"]
            self.table = FileTable(arrays, self._rarities)
        except KeyError as error:
            raise SnapshotError(f"{WORDS} of the snapshot lacks {error}: index the repository again.") from error

    @property
    def size(self) -> int:
        """How many chunks there are."""
        return self.chunk_postings.size

    def frequencies(self, terms: Iterable[str]) -> dict[str, int]:
        """In how many chunks each term occurs; terms that don't occur are left out."""
        wanted = list(terms)
        counts = self.chunk_postings.frequencies(np.array(list(map(term_hash, wanted)), dtype=TERM))
        return {term: count for term, count in zip(wanted, counts.tolist(), strict=True) if count}

    def rarity(self, frequency: int) -> float:
        """The inverse document frequency of a term in `frequency` chunks (Lucene's variant, which is never negative)."""
        return math.log1p((self.size - frequency + 0.5) / (frequency + 0.5))

    def _rarities(self, hashes: NDArray[np.uint64]) -> NDArray[np.float64]:
        frequencies = self.chunk_postings.frequencies(hashes)
        return np.log1p((self.size - frequencies + 0.5) / (frequencies + 0.5))

    def file_of(self, chunk_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """The file of each of these chunks."""
        return self._chunk_files[chunk_ids].astype(np.int64)

    def first_chunks(self, file_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """The first chunk of each of these files, 0 for one that has none."""
        places = np.searchsorted(self._chunk_files, file_ids)
        places[places == len(self._chunk_files)] = 0
        return np.where(self._chunk_files[places] == file_ids, places, 0)

    def chunks(
        self,
        terms: Mapping[str, float],
        limit: int,
        files: tuple[int, int] | None = None,
        allowed: Collection[int] | None = None,
    ) -> Hits:
        """The best chunks by BM25 over their text and place, best first."""
        scores = self.chunk_postings.scores(_hashed(terms))
        if files is not None:
            first, end = np.searchsorted(self._chunk_files, [files[0], files[1] + 1])
            scores[:first] = 0
            scores[end:] = 0
        if allowed is not None:
            scores[~self._mask(allowed)[self._chunk_files]] = 0
        ids = best(scores, limit)
        return Hits(ids, self.file_of(ids), scores[ids])

    def shares(self, worth: Mapping[str, float], wanted: NDArray[np.int64]) -> NDArray[np.float64]:
        """The worth of the terms that each of these chunks holds, in its text or place, summed up."""
        order = np.argsort(wanted)
        ascending = wanted[order]
        sums = np.zeros(len(wanted))
        for postings, value in zip(self.chunk_postings.find(list(map(term_hash, worth))), worth.values(), strict=True):
            ids = postings["id"].astype(np.int64)
            if len(ids):
                places = np.minimum(np.searchsorted(ids, ascending), len(ids) - 1)
                sums[ids[places] == ascending] += value
        shares = np.empty_like(sums)
        shares[order] = sums
        return shares

    def cards(
        self,
        terms: Mapping[str, float],
        weights: Sequence[float],
        limit: int,
        files: tuple[int, int] | None = None,
        allowed: Collection[int] | None = None,
    ) -> dict[int, float]:
        """BM25 of the best file cards by file id, best first. weights: of stem, folders, header and symbols."""
        scores = self.card_postings.scores(_hashed(terms), weights)
        if files is not None:
            scores[: files[0]] = 0
            scores[max(0, files[1] + 1) :] = 0
        if allowed is not None:
            scores[~self._mask(allowed)] = 0
        ids = best(scores, limit)
        return dict(zip(ids.tolist(), scores[ids].tolist(), strict=True))

    def _mask(self, allowed: Collection[int]) -> NDArray[np.bool_]:
        """By file id, whether it is allowed."""
        mask = np.zeros(self.card_postings.size + 1, dtype=bool)
        mask[np.fromiter(allowed, dtype=np.int64, count=len(allowed))] = True
        return mask


def _hashed(terms: Mapping[str, float]) -> dict[int, float]:
    return {term_hash(term): weight for term, weight in terms.items()}


def check_version(db: sqlite3.Connection) -> None:
    """Raises SnapshotError when this version of Sextant can't search what the snapshot of this database holds."""
    try:
        (version,) = db.execute("SELECT version FROM lexical_version").fetchone()
    except (sqlite3.Error, TypeError) as error:
        raise SnapshotError("The snapshot holds no full-text index: index the repository again.") from error
    if version != LEXICAL_VERSION:
        raise OutdatedSnapshot
