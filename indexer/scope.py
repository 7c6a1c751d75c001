"""The files that a search keeps to: folders, languages, and whether tests count.

Applied before anything is ranked or cut, so that a filter loses no result that it allows. Files are numbered by path, so a
folder is a range of ids; what cuts across folders is a set of ids within that range.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from indexer.errors import FilterError
from indexer.file_traits import traits_of
from indexer.pins import folder_of
from indexer.types import Filters

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A language's name may cover others.
_ALSO = {"typescript": ("tsx",)}
_LAST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Scope:
    """files: the first and last id, or None for all. allowed: the ids within that range that count, or None for all of them."""

    files: tuple[int, int] | None = None
    allowed: frozenset[int] | None = None

    @classmethod
    def of(cls, db: sqlite3.Connection, filters: Filters, folders: Sequence[tuple[int, int]] = ()) -> Scope:
        """folders: ranges of ids that a question has pinned, beside what the filters say. Raises FilterError."""
        _check_languages(db, filters.languages)
        files = _range(db, filters.folder)
        if len(folders) == 1:
            files = _common(files, folders[0])
        if not filters.languages and filters.tests and len(folders) < 2:
            return cls(files)
        first, last = files or (0, _LAST_ID)
        wanted = {name for language in filters.languages for name in (language, *_ALSO.get(language, ()))}
        rows = db.execute("SELECT id, path, language FROM files WHERE id BETWEEN ? AND ?", (first, last))
        allowed = frozenset(
            file_id
            for file_id, path, language in rows
            if (not wanted or language in wanted)
            and (filters.tests or not traits_of(path, language).test)
            and (not folders or any(low <= file_id <= high for low, high in folders))
        )
        return cls(files, allowed)

    @property
    def is_empty(self) -> bool:
        return self.files == (0, -1) or (self.allowed is not None and not self.allowed)

    @property
    def bounds(self) -> tuple[int, int]:
        return self.files or (0, _LAST_ID)

    def chunks(self, db: sqlite3.Connection) -> tuple[int, int] | None:
        """The first and last id of the range's chunks, which follow each other as the files do, or None for all."""
        if self.files is None:
            return None
        first, last = db.execute("SELECT min(id), max(id) FROM chunks WHERE file_id BETWEEN ? AND ?", self.files).fetchone()
        return (0, -1) if first is None else (first, last)

    def holds(self, file_id: int) -> bool:
        first, last = self.bounds
        return first <= file_id <= last and (self.allowed is None or file_id in self.allowed)

    def count(self, files: int) -> int:
        """How many files count, of so many."""
        if self.allowed is not None:
            return len(self.allowed)
        first, last = self.bounds
        return max(0, min(last, files) - max(first, 1) + 1)

    def mask(self, file_ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these files count."""
        first, last = self.bounds
        held: NDArray[np.bool_] = (first <= file_ids) & (file_ids <= last)
        if self.allowed is not None:
            held &= np.fromiter((file_id in self.allowed for file_id in file_ids.tolist()), bool, len(file_ids))
        return held


def _check_languages(db: sqlite3.Connection, wanted: Sequence[str]) -> None:
    if not wanted:
        return
    query = "SELECT language FROM files WHERE language <> '' GROUP BY language ORDER BY count(*) DESC, language"
    here = [language for (language,) in db.execute(query)]
    for language in wanted:
        if not {language, *_ALSO.get(language, ())} & set(here):
            raise FilterError(f"No file here is in the language “{language}”: keep to one of {', '.join(here)}, or to none.")


def _range(db: sqlite3.Connection, folder: str) -> tuple[int, int] | None:
    """The ids of a folder's files, or of the one file of that path; (0, -1) when there is neither."""
    place = "/".join(part for part in folder.replace("\\", "/").split("/") if part not in ("", "."))
    if not place:
        return None
    file = db.execute("SELECT id FROM files WHERE path = ?", (place,)).fetchone()
    return (file[0], file[0]) if file else folder_of(db, place) or (0, -1)


def _common(one: tuple[int, int] | None, other: tuple[int, int]) -> tuple[int, int]:
    if one is None:
        return other
    first, last = max(one[0], other[0]), min(one[1], other[1])
    return (first, last) if first <= last else (0, -1)
