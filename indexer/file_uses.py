"""Which files use which, by the names that they use: between all files, and from a few chunks.

tree-sitter sees no types, so a use is known by its name, and one rule says which file's definition it means: its own file's, in
which case it uses no other; else those of the files that it imports; else those in its own folder; else all of them. More than
MOST_MEANT files that may be meant tell nothing, and what more than MOST_DEFINING files define isn't looked into.

A file imports another where it imports a name that the other goes by (its stem) or defines at its top level. C and C++ include
a header, which tells nothing of where that is implemented, so only folders count there.

A file that imports more names than it defines, and as many as it uses, passes on what others define: `index.ts`, `mod.rs`, a
Haskell module that exports modules.

    uses         USE, sorted by file and by the file that it uses
    imports      uint64, sorted: the file times 2^32, and the file that it imports
    passed_on    uint64, sorted: those of imports whose first file passes on
"""

from __future__ import annotations

import json
import math
import sqlite3
from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from indexer.file_traits import keys_of_import, stem_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_MEANT = 5
MOST_DEFINING = 12
# One file's use of another: how many names of it, each divided among the files that it may mean.
USE = np.dtype([("file", "<u4"), ("used", "<u4"), ("weight", "<f8")])
PAIR = np.dtype("<u8")
# What every share of a use is a multiple of, so that a sum doesn't depend on the order.
_SHARES = math.lcm(*range(1, MOST_MEANT + 1))
# Of the uses of about so many names at a time is told what they mean: some hundred bytes each.
_USES_TOGETHER = 500_000
_INCLUDING = ("c", "cpp")


class FileUses(NamedTuple):
    uses: NDArray[Any]
    imports: NDArray[Any]
    passed_on: NDArray[Any]

    @classmethod
    def none(cls) -> FileUses:
        return cls(np.zeros(0, USE), np.zeros(0, PAIR), np.zeros(0, PAIR))


class Meant(NamedTuple):
    """What uses mean: (n,) the place of the use, the file, and how many files it may mean."""

    places: NDArray[np.intp]
    files: NDArray[np.int64]
    many: NDArray[np.int64]


class FileNames(NamedTuple):
    """The names in one file, as often as they are there: those that it uses, those of them that it imports, those that it
    defines, and those of them that it defines inside of nothing else."""

    used: Sequence[str]
    imported: Sequence[str]
    defined: Sequence[str]
    at_top: Sequence[str]


class NamesOfFiles:
    """The names in all files, gathered while these are written. A name is known by Python's own hash of it, which is there
    anyway and has 64 bits, so it takes 8 bytes for each file that it is in."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.used, self.defined, self.imported, self.goes_by = (_Sets() for _ in range(4))
        self.passing: list[bool] = []

    def add(self, path: str, language: str, names: FileNames) -> None:
        """The next file: ids are 1, 2, 3, …"""
        self.paths.append(path)
        self.used.add(names.used)
        self.defined.add(names.defined)
        including = language in _INCLUDING
        self.imported.add(() if including else chain.from_iterable(map(keys_of_import, set(names.imported))))
        self.goes_by.add((stem_of(path), *names.at_top))
        imported = len(names.imported)
        self.passing.append(imported >= len(names.used) - imported and imported > len(names.defined))


class _Sets:
    """A set of names for each file, one after the other."""

    def __init__(self) -> None:
        self._hashes = array("q")
        self._counts = array("I")

    def add(self, names: Iterable[str]) -> None:
        hashes = set(map(hash, names))
        self._hashes.extend(hashes)
        self._counts.append(len(hashes))

    def pairs(self) -> NDArray[np.int64]:
        """The pairs of a name and the id of a file that has it, by file: (n, 2)."""
        files = np.repeat(np.arange(1, len(self._counts) + 1), np.frombuffer(self._counts, np.uint32))
        return np.column_stack([np.frombuffer(self._hashes, np.int64), files])

    def telling(self) -> NDArray[np.int64]:
        """The same without the names of too many files, by name."""
        pairs = self.pairs()
        pairs = pairs.take(np.argsort(pairs[:, 0], kind="stable"), axis=0)
        ends = np.append(np.flatnonzero(np.diff(pairs[:, 0])) + 1, len(pairs))
        counts = np.diff(ends, prepend=0)
        return pairs[np.repeat(counts <= MOST_DEFINING, counts)]


def folder_numbers(paths: Iterable[str]) -> list[int]:
    """For each path a number that it shares with the others in its folder."""
    numbers: dict[str, int] = {}
    return [numbers.setdefault(path.rpartition("/")[0], len(numbers)) for path in paths]


def uses_of_files(names: NamesOfFiles) -> FileUses:
    """What each file uses and imports."""
    imports = _imports(names)
    folders = np.array([0, *folder_numbers(names.paths)])
    defined, used = names.defined.telling(), names.used.pairs()
    used = used[_are_in(used[:, 0], defined[:, 0])]
    begins = np.searchsorted(used[:, 1], used[_USES_TOGETHER::_USES_TOGETHER, 1])  # of files
    uses = np.concatenate([_uses(some, defined, imports, folders) for some in np.split(used, begins)])
    passing = np.flatnonzero(names.passing) + 1
    return FileUses(uses, imports, imports[np.isin(imports >> np.uint64(32), passing.astype(PAIR))])


def _uses(used: NDArray[np.int64], defined: NDArray[np.int64], imports: NDArray[Any], folders: NDArray[Any]) -> NDArray[Any]:
    """The uses of some files. used: (n, 2), names with the files that use them; the others as in `_meant`."""
    meant = _meant(used[:, 0], used[:, 1], defined, imports, folders)
    pairs, places = np.unique(_pairs(used[meant.places, 1], meant.files), return_inverse=True)
    uses = np.zeros(len(pairs), USE)
    uses["file"], uses["used"] = pairs >> np.uint64(32), pairs & np.uint64(0xFFFFFFFF)
    uses["weight"] = np.bincount(places, _SHARES // meant.many, minlength=len(pairs)) / _SHARES
    return uses


def files_used_in(
    db: sqlite3.Connection, chunk_ids: Sequence[int], imports: NDArray[Any], folders: NDArray[Any]
) -> dict[int, dict[int, float]]:
    """By chunk, the files that define something which the chunk uses, and how surely each: that of the surest name. imports: as
    `uses_of_files` tells it; folders: by file id, as `folder_numbers` does."""
    query = """
        SELECT DISTINCT chunks.id, refs.name, refs.file_id FROM chunks
        JOIN refs ON refs.file_id = chunks.file_id AND refs.line BETWEEN chunks.start_line AND chunks.end_line
        WHERE chunks.id IN (SELECT value FROM json_each(?))"""
    named = db.execute(query, (json.dumps(list(chunk_ids)),)).fetchall()
    definers = _definers(db, {name for _, name, _ in named})
    named = [each for each in named if each[1] in definers]
    numbers = {name: number for number, name in enumerate(definers)}
    defined = np.array([(numbers[name], file_id) for name, files in definers.items() for file_id in files], np.int64)
    names = np.array([numbers[name] for _, name, _ in named], np.int64)
    owners = np.array([own for *_, own in named], np.int64)
    meant = _meant(names, owners, defined.reshape(-1, 2), imports, folders)
    used: dict[int, dict[int, float]] = {chunk_id: {} for chunk_id in chunk_ids}
    for place, file_id, many in zip(*(column.tolist() for column in meant), strict=True):
        in_chunk = used[named[place][0]]
        in_chunk[file_id] = max(in_chunk.get(file_id, 0.0), 1 / many)
    return used


def _meant(
    names: NDArray[np.int64], users: NDArray[np.int64], defined: NDArray[np.int64], imports: NDArray[Any], folders: NDArray[Any]
) -> Meant:
    """names, users: (n,), the number of the name that is used, and the file that uses it; defined: (m, 2), the numbers of names
    with the files that define them, sorted."""
    places, files = _files_with(names, defined)

    def those_with(use: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.bincount(places, use, minlength=len(names)).astype(bool)[places]

    kept = ~those_with(files == users[places])
    places, files = places[kept], files[kept]
    imported = _are_in(_pairs(users[places], files), imports)
    kept = imported | ~those_with(imported)
    places, files = places[kept], files[kept]
    beside = folders[users[places]] == folders[files]
    kept = beside | ~those_with(beside)
    places, files = places[kept], files[kept]
    many = np.bincount(places, minlength=len(names))[places]
    kept = many <= MOST_MEANT
    return Meant(places[kept], files[kept], many[kept])


def _files_with(names: NDArray[np.int64], of_files: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """For each pair of a name and of a file that has it: the place of the name, the file. of_files: (m, 2), sorted."""
    starts, ends = (np.searchsorted(of_files[:, 0], names, side) for side in ("left", "right"))
    counts = ends - starts
    places = np.repeat(np.arange(len(names)), counts)
    return places, of_files[np.arange(len(places)) + np.repeat(ends - np.cumsum(counts), counts), 1]


def _imports(names: NamesOfFiles) -> NDArray[np.uint64]:
    """The pairs of files of which one imports the other. A name that too many files go by tells nothing of which is meant."""
    imported = names.imported.pairs()
    places, files = _files_with(imported[:, 0], names.goes_by.telling())
    pairs = np.sort(_pairs(imported[places, 1], files))
    return pairs[np.diff(pairs, prepend=np.uint64(0)) > 0]  # np.unique would import numpy.ma for 20 ms


def _definers(db: sqlite3.Connection, names: Iterable[str]) -> Mapping[str, list[int]]:
    """The files that define each name, without the names that too many define."""
    query = """
        SELECT value, (SELECT group_concat(file_id) FROM
                       (SELECT DISTINCT file_id FROM definitions WHERE name = value ORDER BY file_id LIMIT ?)) AS files
        FROM json_each(?) WHERE files IS NOT NULL"""
    rows = db.execute(query, (MOST_DEFINING + 1, json.dumps(list(names))))
    found = ((name, list(map(int, str(files).split(",")))) for name, files in rows)
    return {name: files for name, files in found if len(files) <= MOST_DEFINING}


def _pairs(files: NDArray[Any], others: NDArray[Any]) -> NDArray[np.uint64]:
    return files.astype(PAIR) << np.uint64(32) | others.astype(PAIR)


def _are_in(values: NDArray[Any], known: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values are among those known, which are sorted."""
    if not len(known):
        return np.zeros(len(values), dtype=bool)
    found: NDArray[np.bool_] = known[np.minimum(np.searchsorted(known, values), len(known) - 1)] == values
    return found
