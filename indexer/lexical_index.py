"""Lexical search over chunks and over files: BM25 on postings that are mapped from `words.bin`.

Two inverted indexes (`indexer.postings`) over the terms of `indexer.tokens`:

* `chunks`: a chunk's text, and its place, which is its symbol path and its file's path.
* `cards`: what a person would write on a card about a file: its stem, folders, header (its head comment) and symbols (the names
  it defines), counted apart.

`chunk_files` (uint32) holds the file of each chunk. Ranking is FTS5's bm25() to the last digit but for its rounding.

The table `file_signals` of the snapshot's database keeps what ranks a file whatever is asked: `referred`, how much the rest of
the repository refers to it (`symbols.references_to_files`, from `file_uses`), and how much of all such references goes to its
top folder (`main`) and to the folder that it is in (`folder`), each as a share of what the most referred one gets.

The snapshot writer makes a LexicalWriter, calls `add_file` or `copy_file` once a file, then `finish`, inside its own
transaction on tables that it has created (`files`, `definitions`, `refs`).
"""

from __future__ import annotations

import math
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from indexer import symbols
from indexer.array_file import ArrayFileWriter, open_arrays
from indexer.errors import SnapshotError
from indexer.file_traits import traits_of
from indexer.postings import LENGTH, Postings, PostingsBuilder, best
from indexer.term_counts import CARD_COLUMNS, FileTerms, term_hash

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Whatever changes the terms or the arrays counts this up: a snapshot of another version has to be indexed again.
LEXICAL_VERSION = 5

WORDS = "words.bin"

_TABLES = """
CREATE TABLE lexical_version (version INTEGER NOT NULL);
CREATE TABLE file_signals (file_id INTEGER PRIMARY KEY, referred REAL NOT NULL, main REAL NOT NULL,
                           folder REAL NOT NULL);
CREATE TABLE file_uses (file_id INTEGER NOT NULL, used_id INTEGER NOT NULL, weight REAL NOT NULL,
                        PRIMARY KEY (file_id, used_id)) WITHOUT ROWID;
"""


class LexicalWriter:
    """Writes `words.bin` into the directory of a snapshot that is being built, and the signals into its database.

    previous: the index to copy files from. Files and chunks come in the order of their ids.
    """

    def __init__(self, directory: Path, db: sqlite3.Connection, previous: LexicalIndex | None = None) -> None:
        self._path = directory / WORDS
        self._db = db
        self._previous = previous
        self._chunks = PostingsBuilder(directory, "chunks")
        self._cards = PostingsBuilder(directory, "cards", columns=len(CARD_COLUMNS))
        self._chunk_counts: list[int] = [0]
        for statement in _TABLES.split(";\n"):
            if statement.strip():
                db.execute(statement)
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

    def finish(self) -> Path:
        """Once all files are in: write the arrays, and derive what depends on every file. Returns the file to be synced."""
        previous = self._previous
        with ArrayFileWriter(self._path) as file:
            self._chunks.write(file, previous.chunk_postings if previous else None)
            self._cards.write(file, previous.card_postings if previous else None)
            chunk_files = np.repeat(np.arange(len(self._chunk_counts), dtype=LENGTH), self._chunk_counts)
            file.add("chunk_files", [np.zeros(1, LENGTH), chunk_files], LENGTH)
        for builder in (self._chunks, self._cards):
            builder.clear()
        self._write_signals()
        return self._path

    def _write_signals(self) -> None:
        db = self._db
        symbols.index_names(db)
        symbols.index_uses(db)
        referred = symbols.references_to_files(db)
        files = db.execute("SELECT id, path, language FROM files").fetchall()
        main, folder = _shares(files, referred, _top_folder), _shares(files, referred, _own_folder)
        db.executemany(
            "INSERT INTO file_signals VALUES (?, ?, ?, ?)",
            (
                (file_id, referred.get(file_id, 0.0), main.get(_top_folder(path), 0.0), folder.get(_own_folder(path), 0.0))
                for file_id, path, _ in files
            ),
        )


def _shares(
    files: Iterable[tuple[int, str, str]], referred: Mapping[int, float], folder_of: Callable[[str], str]
) -> dict[str, float]:
    """How much of the code that others use lies in each folder: 1 for the folder that has most of it."""
    weights: dict[str, float] = defaultdict(float)
    for file_id, path, language in files:
        if not traits_of(path, language).test:
            weights[folder_of(path)] += math.log1p(referred.get(file_id, 0.0))
    most = max(weights.values(), default=0.0)
    return {folder: weight / most for folder, weight in weights.items()} if most else {}


def _top_folder(path: str) -> str:
    return path.partition("/")[0] if "/" in path else ""


def _own_folder(path: str) -> str:
    return path.rpartition("/")[0]


class ChunkHit(NamedTuple):
    """A chunk and its BM25 score, higher is better."""

    chunk_id: int
    file_id: int
    score: float


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
        except KeyError as error:
            raise SnapshotError(f"{WORDS} of the snapshot lacks {error}: index the repository again.") from error
        self.size = self.chunk_postings.size

    def frequencies(self, terms: Iterable[str]) -> dict[str, int]:
        """In how many chunks each term occurs; terms that don't occur are left out."""
        wanted = list(terms)
        counts = self.chunk_postings.frequencies(list(map(term_hash, wanted)))
        return {term: count for term, count in zip(wanted, counts, strict=True) if count}

    def rarity(self, frequency: int) -> float:
        """The inverse document frequency of a term in `frequency` chunks (Lucene's variant, which is never negative)."""
        return math.log1p((self.size - frequency + 0.5) / (frequency + 0.5))

    def chunks(
        self,
        terms: Mapping[str, float],
        limit: int,
        files: tuple[int, int] | None = None,
        allowed: Collection[int] | None = None,
    ) -> list[ChunkHit]:
        """The best chunks by BM25 over their text and place, best first."""
        index = self.chunk_postings
        scores = np.zeros(index.size + 1)
        for postings, weight in zip(index.find(list(map(term_hash, terms))), terms.values(), strict=True):
            index.add_scores(scores, postings, weight)
        if files is not None:
            first, end = np.searchsorted(self._chunk_files, [files[0], files[1] + 1])
            scores[:first] = 0
            scores[end:] = 0
        if allowed is not None:
            scores[~self._mask(allowed)[self._chunk_files]] = 0
        ids = best(scores, limit)
        return list(map(ChunkHit, ids.tolist(), self._chunk_files[ids].tolist(), scores[ids].tolist()))

    def shares(self, worth: Mapping[str, float], chunk_ids: Sequence[int]) -> NDArray[np.float64]:
        """The worth of the terms that each of these chunks holds, in its text or place, summed up."""
        wanted = np.array(chunk_ids, dtype=np.int64)
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
        index = self.card_postings
        scores = np.zeros(index.size + 1)
        for postings, weight in zip(index.find(list(map(term_hash, terms))), terms.values(), strict=True):
            index.add_scores(scores, postings, weight, weights)
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


def check_version(db: sqlite3.Connection) -> None:
    """Raises SnapshotError when this version of Sextant can't search what the snapshot of this database holds."""
    try:
        (version,) = db.execute("SELECT version FROM lexical_version").fetchone()
    except (sqlite3.Error, TypeError) as error:
        raise SnapshotError("The snapshot holds no full-text index: index the repository again.") from error
    if version != LEXICAL_VERSION:
        raise SnapshotError("The snapshot was indexed by another version of Sextant: index the repository again.")
