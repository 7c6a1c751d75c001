"""`@path` and `@symbol` in a question: what has to be among the evidence, whatever else is found.

`@src/app.py`, `@app.py:120`, `@indexer/` and `@Session.request` are pins; an address (me@host) and what stands in backticks
or in a fenced block (`@decorator`) is none. What a pin means only a snapshot can tell: an exact path before the end of a path,
a folder before a definition. A pinned folder narrows the search.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from indexer.query import Name, Pin
from indexer.symbols import definitions_of

# A name that half the repository shares pins nothing in particular.
_MOST_PLACES = 3


@dataclass(frozen=True, slots=True)
class Pinned:
    """What a pin stands for: a folder (ids of its first and last file), or files and the lines in them (0 for the whole)."""

    pin: Pin
    folder: tuple[int, int] | None = None
    places: tuple[tuple[int, int], ...] = ()

    @property
    def is_resolved(self) -> bool:
        return self.folder is not None or bool(self.places)


def resolve(db: sqlite3.Connection, pins: Sequence[Pin]) -> list[Pinned]:
    return [_resolve(db, pin) for pin in pins]


def _resolve(db: sqlite3.Connection, pin: Pin) -> Pinned:
    path = "/".join(part for part in pin.text.split("/") if part not in ("", "."))
    if path and not pin.text.endswith("/") and (files := _files(db, path)):
        return Pinned(pin, places=tuple((file_id, pin.line) for file_id in files))
    if path and (folder := folder_of(db, path) or _folder_ending(db, path)):
        return Pinned(pin, folder=folder)
    return Pinned(pin, places=_definitions(db, pin))


def _files(db: sqlite3.Connection, path: str) -> list[int]:
    """The file of that path; or else those whose path ends so, the shortest first, where they are few."""
    query = "SELECT id FROM files WHERE path = ? OR substr(path, ?) = ? ORDER BY path <> ?, length(path), path LIMIT ?"
    values = (path, -len(path) - 1, f"/{path}", path, _MOST_PLACES)
    found = [file_id for (file_id,) in db.execute(query, values)]
    exact = db.execute("SELECT id FROM files WHERE path = ?", (path,)).fetchone()
    return [exact[0]] if exact else found


def folder_of(db: sqlite3.Connection, path: str) -> tuple[int, int] | None:
    """The ids of the first and last file under a folder: they follow each other, since a snapshot numbers its files by path."""
    # "0" is the character after "/".
    query = "SELECT min(id), max(id) FROM files WHERE path > ? AND path < ?"
    first, last = db.execute(query, (f"{path}/", f"{path}0")).fetchone()
    return None if first is None else (first, last)


def _folder_ending(db: sqlite3.Connection, path: str) -> tuple[int, int] | None:
    """The folder whose path ends so, if there is one and only one."""
    inside = f"/{path}/"
    query = "SELECT DISTINCT substr(path, 1, instr(path, ?)) FROM files WHERE instr(path, ?) > 0 LIMIT 2"
    found = [folder for (folder,) in db.execute(query, (inside, inside))]
    return folder_of(db, f"{found[0]}{path}") if len(found) == 1 else None


def _definitions(db: sqlite3.Connection, pin: Pin) -> tuple[tuple[int, int], ...]:
    *qualifiers, last = re.split(r"\.|::|#|->|\\", pin.text.rstrip("/"))
    if not last:
        return ()
    hits = definitions_of(db, [Name(last, ".".join(qualifiers), 1.0)])
    same = [hit for hit in hits if hit.weight == hits[0].weight]
    return tuple((hit.file_id, hit.line) for hit in same[:_MOST_PLACES])
