"""Full-text search over chunks and over files, in the snapshot's own SQLite file.

Two FTS5 tables over the terms of `indexer.tokens`, both without a copy of the text (`content=''`):

* `chunk_words` (rowid = chunk id): `body`, the chunk's text, and `place`, its symbol path and its file's path.
* `file_cards` (rowid = file id): what a person would write on a card about the file: `stem`, `folders`, `header` (its head
  comment) and `symbols` (the names it defines).

`file_signals` keeps what ranks a file whatever is asked: `referred`, how much the rest of the repository refers to it
(`symbols.references_to_files`), and how much of all such references goes to its top folder (`main`) and to the folder that it
is in (`folder`), each as a share of what the most referred one gets.

The snapshot writer calls `create`, then `add_file` once a file, then `finish`, all inside its own transaction on tables that it
has created (`files`, `chunks`, `definitions`, `refs`).
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from indexer import symbols
from indexer.errors import SnapshotError
from indexer.file_traits import stem_of, traits_of
from indexer.tokens import terms, word_stems
from indexer.types import ParsedFile

# Whatever changes the terms or the tables counts this up: a snapshot of another version has to be indexed again.
LEXICAL_VERSION = 3

_CARD_COLUMNS = ("stem", "folders", "header", "symbols")
_LAST_ID = 2**63 - 1

_TABLES = """
CREATE VIRTUAL TABLE chunk_words USING fts5(body, place, content='', tokenize='unicode61 remove_diacritics 0');
CREATE VIRTUAL TABLE file_cards USING fts5(stem, folders, header, symbols, content='',
                                           tokenize='unicode61 remove_diacritics 0');
CREATE VIRTUAL TABLE chunk_vocabulary USING fts5vocab(chunk_words, row);
CREATE TABLE lexical_version (version INTEGER NOT NULL);
CREATE TABLE file_signals (file_id INTEGER PRIMARY KEY, referred REAL NOT NULL, main REAL NOT NULL,
                           folder REAL NOT NULL);
"""


def create(db: sqlite3.Connection) -> None:
    """Make the full-text tables in a database that is being built."""
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            db.execute(statement)
    db.execute("INSERT INTO lexical_version VALUES (?)", (LEXICAL_VERSION,))


def add_file(db: sqlite3.Connection, file_id: int, path: str, parsed: ParsedFile, chunk_ids: Sequence[int]) -> None:
    """Index one file; `chunk_ids` are the row ids of `parsed.chunks`, in their order."""
    stem = " ".join(terms(stem_of(path)))
    where = f"{stem} {' '.join(terms(path))}"
    db.executemany(
        "INSERT INTO chunk_words (rowid, body, place) VALUES (?, ?, ?)",
        (
            (chunk_id, " ".join(terms(chunk.text)), f"{' '.join(terms(chunk.symbol))} {where}")
            for chunk_id, chunk in zip(chunk_ids, parsed.chunks, strict=True)
        ),
    )
    folders = " ".join(word_stems(str(PurePosixPath(path).parent)))
    names = " ".join(term for definition in parsed.definitions for term in terms(definition.name))
    db.execute(
        "INSERT INTO file_cards (rowid, stem, folders, header, symbols) VALUES (?, ?, ?, ?, ?)",
        (file_id, stem, folders, " ".join(terms(parsed.header)), names),
    )


def finish(db: sqlite3.Connection) -> None:
    """Once all files are in: compact the full-text tables and derive what depends on every file."""
    db.execute("INSERT INTO chunk_words (chunk_words) VALUES ('optimize')")
    db.execute("INSERT INTO file_cards (file_cards) VALUES ('optimize')")
    symbols.index_names(db)
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


def is_current(db: sqlite3.Connection) -> bool:
    """Whether this version of Sextant can search these tables."""
    try:
        LexicalIndex(db)
    except SnapshotError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class ChunkHit:
    """A chunk and its BM25 score, higher is better."""

    chunk_id: int
    file_id: int
    score: float


class LexicalIndex:
    """Looks terms up. Terms come from `indexer.tokens` and are weighted: a weight multiplies a term's share of the score.

    files: the file ids to keep to (both ends included), or None for all. allowed: those of them that count, or None for all.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        try:
            (version,) = db.execute("SELECT version FROM lexical_version").fetchone()
            (self.size,) = db.execute("SELECT count(*) FROM chunks").fetchone()
        except (sqlite3.Error, TypeError) as error:
            raise SnapshotError("The snapshot holds no full-text index: index the repository again.") from error
        if version != LEXICAL_VERSION:
            raise SnapshotError("The snapshot was indexed by another version of Sextant: index the repository again.")

    def frequencies(self, terms: Iterable[str]) -> dict[str, int]:
        """In how many chunks each term occurs; terms that don't occur are left out."""
        wanted = list(terms)
        query = f"SELECT term, doc FROM chunk_vocabulary WHERE term IN ({','.join('?' * len(wanted))})"  # noqa: S608
        return dict(self._db.execute(query, wanted))

    def rarity(self, frequency: int) -> float:
        """The inverse document frequency of a term in `frequency` chunks (Lucene's variant, which is never negative)."""
        return math.log1p((self.size - frequency + 0.5) / (frequency + 0.5))

    def chunks(
        self,
        terms: Mapping[str, float],
        limit: int,
        files: tuple[int, int] | None = None,
        allowed: frozenset[int] | None = None,
    ) -> list[ChunkHit]:
        """The best chunks by BM25 over their text and place, best first."""
        first, last = self._chunk_range(files)
        within, ids = _within("SELECT id FROM chunks WHERE file_id IN (SELECT value FROM json_each(?))", allowed)
        query = (
            "SELECT hits.rowid, chunks.file_id, hits.score FROM ("  # noqa: S608
            f" SELECT rowid, -rank AS score FROM chunk_words WHERE chunk_words MATCH ? AND rowid BETWEEN ? AND ?{within}"
            " ORDER BY rank LIMIT ?) AS hits JOIN chunks ON chunks.id = hits.rowid"
        )
        scores: dict[int, float] = defaultdict(float)
        file_of: dict[int, int] = {}
        for weight, group in _by_weight(terms):
            for chunk_id, file_id, score in self._db.execute(query, (_any_of(group), first, last, *ids, limit)):
                scores[chunk_id] += weight * score
                file_of[chunk_id] = file_id
        best = sorted(scores, key=lambda chunk_id: (-scores[chunk_id], chunk_id))[:limit]
        return [ChunkHit(chunk_id, file_of[chunk_id], scores[chunk_id]) for chunk_id in best]

    def coverage(self, terms: Iterable[str], chunk_ids: Collection[int]) -> dict[int, list[str]]:
        """Which of the terms each of these chunks holds, in its text or place; chunks that hold none are left out."""
        query = "SELECT rowid FROM chunk_words WHERE chunk_words MATCH ? AND +rowid IN (SELECT value FROM json_each(?))"
        ids = json.dumps(list(chunk_ids))
        held: dict[int, list[str]] = defaultdict(list)
        for term in terms:
            for (chunk_id,) in self._db.execute(query, (_any_of([term]), ids)):
                held[chunk_id].append(term)
        return dict(held)

    def cards(
        self,
        terms: Mapping[str, float],
        weights: Sequence[float],
        limit: int,
        files: tuple[int, int] | None = None,
        allowed: frozenset[int] | None = None,
    ) -> dict[int, float]:
        """BM25 of the best file cards by file id, best first. weights: of stem, folders, header and symbols."""
        first, last = files or (0, _LAST_ID)
        within, ids = _within("SELECT value FROM json_each(?)", allowed)
        query = (
            "SELECT rowid, -bm25(file_cards, ?, ?, ?, ?) AS score FROM file_cards"  # noqa: S608
            f" WHERE file_cards MATCH ? AND rowid BETWEEN ? AND ?{within} ORDER BY score DESC, rowid LIMIT ?"
        )
        columns = " ".join(name for name, weight in zip(_CARD_COLUMNS, weights, strict=True) if weight)
        scores: dict[int, float] = defaultdict(float)
        for weight, group in _by_weight(terms):
            match = f"{{{columns}}} : ({_any_of(group)})"
            for file_id, score in self._db.execute(query, (*weights, match, first, last, *ids, limit)):
                scores[file_id] += weight * score
        return dict(sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:limit])

    def _chunk_range(self, files: tuple[int, int] | None) -> tuple[int, int]:
        """Chunks are numbered file by file, so a range of files is a range of chunks."""
        if files is None:
            return 0, _LAST_ID
        query = "SELECT min(id), max(id) FROM chunks WHERE file_id BETWEEN ? AND ?"
        first, last = self._db.execute(query, files).fetchone()
        return (first, last) if first is not None else (0, -1)


def _within(ids: str, allowed: frozenset[int] | None) -> tuple[str, list[str]]:
    """A condition on row ids and its values; none where everything is allowed."""
    return ("", []) if allowed is None else (f" AND rowid IN ({ids})", [json.dumps(sorted(allowed))])


def _any_of(terms: Iterable[str]) -> str:
    """An FTS5 query for any of the terms. They hold letters and digits only, so quoting them is enough."""
    return " OR ".join(f'"{term}"' for term in terms)


def _by_weight(terms: Mapping[str, float]) -> list[tuple[float, list[str]]]:
    groups: dict[float, list[str]] = defaultdict(list)
    for term, weight in terms.items():
        groups[weight].append(term)
    return list(groups.items())
