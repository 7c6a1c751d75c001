"""Full-text search over chunks and over files, in the snapshot's own SQLite file.

Two FTS5 tables over the terms of `indexer.tokens`, both without a copy of the text (`content=''`):

* `chunk_words` (rowid = chunk id): `body`, the chunk's text, and `place`, its symbol path and its file's path.
* `file_cards` (rowid = file id): what a person would write on a card about the file: `stem`, `folders`, `header` (its head
  comment) and `symbols` (the names it defines).

`file_signals` keeps what ranks a file whatever the query is: who refers to it, how long it is, where it lies. The snapshot
writer calls `create`, then `add_file` once a file, then `finish`, all inside its own transaction on tables that it has
created (`files`, `chunks`, `definitions`, `refs`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import PurePosixPath

from indexer.tokens import TOKENS_VERSION, terms, word_stems
from indexer.types import ParsedFile

_TABLES = """
CREATE VIRTUAL TABLE chunk_words USING fts5(body, place, content='', tokenize='unicode61 remove_diacritics 0');
CREATE VIRTUAL TABLE file_cards USING fts5(stem, folders, header, symbols, content='',
                                           tokenize='unicode61 remove_diacritics 0');
CREATE VIRTUAL TABLE chunk_vocabulary USING fts5vocab(chunk_words, row);
CREATE TABLE lexical_version (version INTEGER NOT NULL);
CREATE TABLE file_signals (file_id INTEGER PRIMARY KEY, referring_files REAL NOT NULL DEFAULT 0);
"""


def create(db: sqlite3.Connection) -> None:
    """Make the full-text tables in a database that is being built."""
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            db.execute(statement)
    db.execute("INSERT INTO lexical_version VALUES (?)", (TOKENS_VERSION,))


def add_file(db: sqlite3.Connection, file_id: int, path: str, parsed: ParsedFile, chunk_ids: Sequence[int]) -> None:
    """Index one file; `chunk_ids` are the row ids of `parsed.chunks`, in their order."""
    place = PurePosixPath(path)
    where = " ".join(terms(f"{path} {place.stem}"))
    db.executemany(
        "INSERT INTO chunk_words (rowid, body, place) VALUES (?, ?, ?)",
        (
            (chunk_id, " ".join(terms(chunk.text)), f"{' '.join(terms(chunk.symbol))} {where}")
            for chunk_id, chunk in zip(chunk_ids, parsed.chunks, strict=True)
        ),
    )
    symbols = " ".join(term for definition in parsed.definitions for term in terms(definition.name))
    db.execute(
        "INSERT INTO file_cards (rowid, stem, folders, header, symbols) VALUES (?, ?, ?, ?, ?)",
        (
            file_id,
            " ".join(terms(place.stem)),
            " ".join(word_stems(str(place.parent))),
            " ".join(terms(parsed.header)),
            symbols,
        ),
    )


def finish(db: sqlite3.Connection) -> None:
    """Once all files are in: compact the full-text tables and derive what depends on every file."""
    db.execute("INSERT INTO chunk_words (chunk_words) VALUES ('optimize')")
    db.execute("INSERT INTO file_cards (file_cards) VALUES ('optimize')")
    db.execute("CREATE INDEX IF NOT EXISTS definitions_by_key ON definitions (lower(replace(name, '_', '')))")
    db.execute("INSERT INTO file_signals (file_id) SELECT id FROM files")
