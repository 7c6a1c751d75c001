"""Definitions by name.

A name is looked up by its letters and digits alone, so `http_client` finds `HTTPClient`; the spelling decides between several.
Among the definitions of one name a type counts more than a function, and a function more than a field: who asks for
`Session` wants the class, not the attribute. A file that passes a name on (`pub use session::Session`) counts nearly as one
that defines it: that is where others are to take it from.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from indexer.query import Name
from indexer.tokens import fold

# How much a definition of each kind is what a person means by a name. Kinds that are not listed are types of their language.
KIND_WEIGHTS = {
    "function": 0.9,
    "macro": 0.9,
    "method": 0.8,
    "constant": 0.7,
    "prototype": 0.6,
    "callback": 0.6,
    "namespace": 0.6,
    "property": 0.5,
    "field": 0.5,
    "variable": 0.5,
    "constructor": 0.4,
    "test": 0.2,
}
_PASSED_ON = 0.7
_OTHER_SPELLING = 0.6
_OTHER_QUALIFIER = 0.3

_MOST_DEFINITIONS = 500
_MOST_WORDS_CALLED, _LONGEST_CALLED = 8, 3

_KEY = "lower(replace(replace(name, '_', ''), '''', ''))"


@dataclass(frozen=True, slots=True)
class DefinitionHit:
    """A definition of a name that a question mentions; weight from 0 to 1; whole: the question says where it is defined, too
    ("Session.request")."""

    file_id: int
    name: str
    line: int
    weight: float
    whole: bool = False


def index_names(db: sqlite3.Connection) -> None:
    """Make definitions findable by their letters and digits."""
    db.execute(f"CREATE INDEX IF NOT EXISTS definitions_by_key ON definitions ({_KEY})")


def definitions_of(
    db: sqlite3.Connection, names: Sequence[Name], holds: Callable[[int], bool] = lambda _: True
) -> list[DefinitionHit]:
    """The definitions of the names in the files that count, the likeliest first. holds: whether a file counts."""
    return likeliest_first(hit for name in names for hit in _definitions_of(db, name, holds))


def likeliest_first(hits: Iterable[DefinitionHit]) -> list[DefinitionHit]:
    return sorted(hits, key=lambda hit: (-hit.weight, hit.file_id, hit.line))


def imports_of(db: sqlite3.Connection, names: Sequence[Name]) -> list[DefinitionHit]:
    """Where names that are defined here, in this spelling, are imported, each file once: what they weigh in a file that passes
    them on (indexer.file_uses)."""
    weights = {name.text: name.weight * _PASSED_ON for name in reversed(names)}
    query = """
        SELECT file_id, name, min(line) FROM refs WHERE kind = 'import' AND name IN (SELECT value FROM json_each(?))
        AND EXISTS (SELECT 1 FROM definitions WHERE definitions.name = refs.name) GROUP BY name, file_id"""
    rows = db.execute(query, (json.dumps(list(weights)),)) if names else ()
    return [DefinitionHit(file_id, name, line, weights[name]) for file_id, name, line in rows]


def _definitions_of(db: sqlite3.Connection, name: Name, holds: Callable[[int], bool]) -> list[DefinitionHit]:
    key = fold(name.text)
    if not key:
        return []
    query = f"SELECT file_id, name, qualified_name, kind, line FROM definitions WHERE {_KEY} = ?"  # noqa: S608
    rows = (row for row in db.execute(query, (key,)) if holds(row[0]))
    return [
        DefinitionHit(
            file_id, found, line, name.weight * _likeness(name, found, qualified, kind), _is_whole(name, found, qualified)
        )
        for file_id, found, qualified, kind, line in islice(rows, _MOST_DEFINITIONS)
    ]


def _likeness(name: Name, found: str, qualified: str, kind: str) -> float:
    likeness = KIND_WEIGHTS.get(kind, 1.0)
    if name.text.rstrip("!?") != found.rstrip("!?"):
        likeness *= _OTHER_SPELLING
    if name.qualifier:
        return max(likeness, KIND_WEIGHTS["function"]) if _is_whole(name, found, qualified) else likeness * _OTHER_QUALIFIER
    return likeness


def _is_whole(name: Name, found: str, qualified: str) -> bool:
    return bool(name.qualifier) and fold(qualified).endswith(fold(name.qualifier) + fold(found))


def called(db: sqlite3.Connection, words: Sequence[str], holds: Callable[[int], bool]) -> float:
    """How much of a question names, as neighbouring words and in any number, what something here is called ("type adapters":
    TypeAdapter): the share of its words, times what a definition of that kind counts, 0 to 1.

    words: its content words. holds: whether a file counts.
    """
    folded = [fold(word) for word in words[:_MOST_WORDS_CALLED]]
    most = 0.0
    for length in range(1, min(_LONGEST_CALLED, len(folded)) + 1):
        keys = {key for start in range(len(folded) - length + 1) for key in _number("".join(folded[start : start + length]))}
        query = f"SELECT DISTINCT file_id, kind FROM definitions WHERE {_KEY} IN ({','.join('?' * len(keys))})"  # noqa: S608
        kinds = {kind for file_id, kind in db.execute(query, sorted(keys)) if holds(file_id)}
        most = max([most, *(KIND_WEIGHTS.get(kind, 1.0) * length / len(folded) for kind in kinds)])
    return most


def _number(word: str) -> set[str]:
    """A word, and what it is the plural of: "queries" of "query", "classes" of "class"."""
    singular = word[:-3] + "y" if word.endswith("ies") else word.removesuffix("es")
    return {word, word.removesuffix("s"), singular} - {""}
