"""Who defines a name, who uses it, and in which definition each use stands, from a snapshot's `definitions` and `refs`.

A use is known by its name only: tree-sitter sees no types. Where several definitions share a name, a use is taken to mean the
nearest: the one in its own file, else those in files that it imports, else those of its folder. What remains open is told by
`Use.ambiguous`, not decided by chance.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from indexer.file_traits import keys_of_import, stem_of, traits_of
from indexer.query import Name
from indexer.tokens import fold

# More definitions of one name than this can't be told apart by where they are used.
_MOST_DEFINITIONS = 200
MOST_USES = 1000
# In this order a reader wants to see uses.
_KIND_ORDER = {"call": 0, "inherit": 1, "type": 2, "name": 3, "import": 4}
_WEAK = ("variable", "constant", "field", "property", "prototype", "parameter")

_SELECT = (
    "SELECT d.file_id, f.path, d.name, d.qualified_name, d.kind, d.line, d.start_line, d.end_line, d.signature"
    " FROM definitions d JOIN files f ON f.id = d.file_id"
)


@dataclass(frozen=True, slots=True)
class Defined:
    """A definition: where it is, and its lines."""

    file_id: int
    path: str
    name: str
    qualified_name: str
    kind: str
    line: int
    start_line: int
    end_line: int
    signature: str


@dataclass(frozen=True, slots=True)
class Use:
    """A use of a name: its line, what kind of use, and the innermost definition around it (None at the top level of a file).

    ambiguous: whether it may as well mean another definition of the same name. test: whether the file is a test.
    """

    file_id: int
    path: str
    line: int
    kind: str
    inside: Defined | None
    ambiguous: bool
    test: bool


class CodeGraph:
    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def definitions(self, name: Name) -> list[Defined]:
        """The definitions of exactly this name and qualifier, by path; where none has the qualifier, those of the name."""
        query = f"{_SELECT} WHERE d.name = ? ORDER BY f.path, d.line LIMIT ?"
        found = [Defined(*row) for row in self._db.execute(query, (name.text, _MOST_DEFINITIONS))]
        if not name.qualifier:
            return found
        whole = fold(name.qualifier) + fold(name.text)
        return [each for each in found if fold(each.qualified_name).endswith(whole)] or found

    def uses(self, name: Name, kinds: Iterable[str] = ()) -> list[Use]:
        """Where the definitions of `name` are used, in an order worth reading: calls before imports, code before tests.

        kinds: "call", "inherit", "type", "name", "import"; none means all. A use that means another definition of the same name
        is left out.
        """
        wanted = self.definitions(name)
        same_name = self.definitions(Name(name.text, "", name.weight))
        query = (
            "SELECT r.file_id, f.path, f.language, r.line, r.kind FROM refs r JOIN files f ON f.id = r.file_id"
            " WHERE r.name = ? ORDER BY f.path, r.line LIMIT ?"
        )
        rows = self._db.execute(query, (name.text, MOST_USES)).fetchall()
        chosen = set(kinds)
        rows = [row for row in rows if not chosen or row[4] in chosen]
        around = self._around([(row[0], row[3]) for row in rows])
        imports = self._imports({row[0] for row in rows}) if len(same_name) > 1 else {}
        uses = []
        for file_id, path, language, line, kind in rows:
            meant = _nearest(file_id, path, same_name, imports.get(file_id, frozenset()))
            if wanted and not any(each in wanted for each in meant):
                continue
            inside = around.get((file_id, line))
            test = traits_of(path, language).test
            uses.append(Use(file_id, path, line, kind, inside, any(each not in wanted for each in meant), test))
        return sorted(uses, key=lambda use: (use.test, _KIND_ORDER.get(use.kind, 5), use.ambiguous, use.path, use.line))

    def callers(self, name: Name) -> list[tuple[Defined, list[Use]]]:
        """The definitions that call `name`, with their calls, best first; a call at the top level of a file has no caller."""
        calls: dict[Defined, list[Use]] = defaultdict(list)
        for use in self.uses(name, ("call",)):
            if use.inside is not None:
                calls[use.inside].append(use)
        return list(calls.items())

    def at(self, file_id: int, line: int) -> Defined | None:
        """The innermost function, class or the like around a line."""
        return self._around([(file_id, line)]).get((file_id, line))

    def of_lines(self, file_id: int, first: int, last: int) -> Defined | None:
        """What a stretch of lines is about: the first definition that begins in it, or else the one around it."""
        query = f"{_SELECT} WHERE d.file_id = ? AND d.line BETWEEN ? AND ? ORDER BY d.line"
        rows = (Defined(*row) for row in self._db.execute(query, (file_id, first, last)))
        return next((each for each in rows if each.kind not in _WEAK), None) or self.at(file_id, first)

    def _around(self, places: Sequence[tuple[int, int]]) -> dict[tuple[int, int], Defined]:
        """By place, the innermost definition around it that isn't a mere variable."""
        by_file: dict[int, list[Defined]] = defaultdict(list)
        for file_id in {file_id for file_id, _ in places}:
            rows = self._db.execute(f"{_SELECT} WHERE d.file_id = ?", (file_id,))
            by_file[file_id] = [each for each in (Defined(*row) for row in rows) if each.kind not in _WEAK]
        found = {}
        for file_id, line in places:
            holding = [each for each in by_file[file_id] if each.start_line <= line <= each.end_line]
            if holding:
                found[file_id, line] = min(holding, key=lambda each: (each.end_line - each.start_line, -each.start_line))
        return found

    def _imports(self, files: Iterable[int]) -> dict[int, frozenset[str]]:
        """By file, the names that it imports."""
        imported: dict[int, set[str]] = defaultdict(set)
        for file_id in files:
            for (name,) in self._db.execute("SELECT name FROM refs WHERE file_id = ? AND kind = 'import'", (file_id,)):
                imported[file_id] |= keys_of_import(name)
        return {file_id: frozenset(names) for file_id, names in imported.items()}


def _nearest(file_id: int, path: str, definitions: Sequence[Defined], imported: frozenset[str]) -> list[Defined]:
    """The definitions that a use in this file may mean."""
    if len(definitions) < 2:
        return list(definitions)
    own = [each for each in definitions if each.file_id == file_id]
    if own:
        return own
    known = [each for each in definitions if {stem_of(each.path), each.qualified_name.split(".")[0]} & imported]
    if known:
        return known
    folder = path.rpartition("/")[0]
    return [each for each in definitions if each.path.rpartition("/")[0] == folder] or list(definitions)
