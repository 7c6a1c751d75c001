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
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, product
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
_INCLUDING = ("c", "cpp")


class FileUses(NamedTuple):
    uses: NDArray[Any]
    imports: NDArray[Any]
    passed_on: NDArray[Any]

    @classmethod
    def none(cls) -> FileUses:
        return cls(np.zeros(0, USE), np.zeros(0, PAIR), np.zeros(0, PAIR))


class Meant(NamedTuple):
    """What uses mean: (n,) the place of the use, the file, and how surely, 1 divided by how many files it may mean."""

    places: NDArray[np.intp]
    files: NDArray[np.int64]
    sureness: NDArray[np.float64]


def folder_numbers(paths: Iterable[str]) -> list[int]:
    """For each path a number that it shares with the others in its folder."""
    numbers: dict[str, int] = {}
    return [numbers.setdefault(path.rpartition("/")[0], len(numbers)) for path in paths]


def uses_of_files(db: sqlite3.Connection) -> FileUses:
    """What each file uses and imports, where file ids are 1, 2, 3, …"""
    files = db.execute("SELECT id, path, language FROM files ORDER BY id").fetchall()
    imports = _imports(db, files)
    folders = np.array([0, *folder_numbers(path for _, path, _ in files)])
    defined = _numbers(db, "SELECT DISTINCT number, file_id FROM known JOIN definitions USING (name) ORDER BY number, file_id")
    used = _numbers(db, "SELECT DISTINCT number, file_id FROM known JOIN refs USING (name)")
    meant = _meant(used[:, 0], used[:, 1], defined, imports, folders)
    pairs, places = np.unique(_pairs(used[meant.places, 1], meant.files), return_inverse=True)
    uses = np.zeros(len(pairs), USE)
    uses["file"], uses["used"] = pairs >> np.uint64(32), pairs & np.uint64(0xFFFFFFFF)
    uses["weight"] = np.bincount(places, meant.sureness, minlength=len(pairs))
    return FileUses(uses, imports, _passed_on(db, imports))


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
    for place, file_id, sureness in zip(*(column.tolist() for column in meant), strict=True):
        in_chunk = used[named[place][0]]
        in_chunk[file_id] = max(in_chunk.get(file_id, 0.0), sureness)
    return used


def _meant(
    names: NDArray[np.int64], users: NDArray[np.int64], defined: NDArray[np.int64], imports: NDArray[Any], folders: NDArray[Any]
) -> Meant:
    """names, users: (n,), the number of the name that is used, and the file that uses it; defined: (m, 2), the numbers of names
    with the files that define them, sorted."""
    starts, ends = (np.searchsorted(defined[:, 0], names, side) for side in ("left", "right"))
    counts = ends - starts
    places = np.repeat(np.arange(len(names)), counts)
    files = defined[np.arange(len(places)) + np.repeat(ends - np.cumsum(counts), counts), 1]

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
    return Meant(places[kept], files[kept], 1 / many[kept])


def _imports(db: sqlite3.Connection, files: Sequence[tuple[int, str, str]]) -> NDArray[Any]:
    """The pairs of files of which one imports the other. A name that too many files go by tells nothing of which is meant."""
    including = {file_id for file_id, _, language in files if language in _INCLUDING}
    importing: dict[str, list[int]] = defaultdict(list)
    for name, file_id in db.execute("SELECT name, file_id FROM refs WHERE kind = 'import'"):
        if file_id not in including:
            importing[name].append(file_id)
    wanted = {name: keys_of_import(name) for name in importing}
    keys = set(chain.from_iterable(wanted.values()))
    going_by: dict[str, set[int]] = defaultdict(set)
    at_top = db.execute("SELECT name, file_id FROM definitions WHERE name = qualified_name")
    for key, file_id in chain(((stem_of(path), file_id) for file_id, path, _ in files), at_top):
        if key in keys:
            going_by[key].add(file_id)
    pairs: set[tuple[int, int]] = set()
    for name, users in importing.items():
        for key in wanted[name]:
            if len(found := going_by.get(key, ())) <= MOST_DEFINING:
                pairs.update(product(users, found))
    return np.sort(_pairs(*np.array(sorted(pairs), np.int64).reshape(-1, 2).T))


def _passed_on(db: sqlite3.Connection, imports: NDArray[Any]) -> NDArray[Any]:
    query = """
        SELECT file_id, sum(kind = 'import') AS imported FROM refs GROUP BY file_id
        HAVING imported >= count(*) - imported
           AND imported > (SELECT count(*) FROM definitions WHERE definitions.file_id = refs.file_id)"""
    passing = np.array([file_id for file_id, _ in db.execute(query)], PAIR)
    return imports[np.isin(imports >> np.uint64(32), passing)]


def _definers(db: sqlite3.Connection, names: Iterable[str]) -> Mapping[str, list[int]]:
    """The files that define each name, without the names that too many define."""
    query = """
        SELECT value, (SELECT group_concat(file_id) FROM
                       (SELECT DISTINCT file_id FROM definitions WHERE name = value ORDER BY file_id LIMIT ?)) AS files
        FROM json_each(?) WHERE files IS NOT NULL"""
    rows = db.execute(query, (MOST_DEFINING + 1, json.dumps(list(names))))
    found = ((name, list(map(int, str(files).split(",")))) for name, files in rows)
    return {name: files for name, files in found if len(files) <= MOST_DEFINING}


def _numbers(db: sqlite3.Connection, query: str) -> NDArray[np.int64]:
    """The rows of two integers that a query finds: (n, 2). known: the names that can be told apart, and a number of each."""
    known = """
        WITH known AS MATERIALIZED (
            SELECT name, min(id) AS number FROM definitions GROUP BY name HAVING count(DISTINCT file_id) <= ?)"""
    return np.fromiter(chain.from_iterable(db.execute(f"{known} {query}", (MOST_DEFINING,))), np.int64).reshape(-1, 2)


def _pairs(files: NDArray[Any], others: NDArray[Any]) -> NDArray[np.uint64]:
    return files.astype(PAIR) << np.uint64(32) | others.astype(PAIR)


def _are_in(values: NDArray[np.uint64], known: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values are among those known, which are sorted."""
    if not len(known):
        return np.zeros(len(values), dtype=bool)
    found: NDArray[np.bool_] = known[np.minimum(np.searchsorted(known, values), len(known) - 1)] == values
    return found
