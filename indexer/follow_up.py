"""What a follow-up means: "it", "that function" and "this file" are what the last answer cited.

`indexer.query` sees that a question is a follow-up and what it points at; only a snapshot can tell which definitions the cited
lines hold. No model is asked.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from indexer.code_graph import CodeGraph, Defined
from indexer.query import BORROWED_WEIGHT, Name, Query
from indexer.tokens import identifier_terms, word_stems
from indexer.types import Cited

# By file id, in the order of the citations, the definitions that were cited there.
CitedFiles = Mapping[int, Sequence[Defined]]


def cited_files(db: sqlite3.Connection, cited: Sequence[Cited]) -> CitedFiles:
    """The files of this snapshot that the last answer cited; the last citation comes last."""
    graph = CodeGraph(db)
    files: dict[int, list[Defined]] = {}
    for each in cited:
        row = db.execute("SELECT id FROM files WHERE path = ?", (each.path,)).fetchone()
        if row is None:
            continue
        defined = graph.of_lines(row[0], each.start_line, each.end_line)
        files[row[0]] = [*files.pop(row[0], []), *([defined] if defined else [])]
    return files


def meant(query: Query, cited: CitedFiles) -> Defined | None:
    """What "it" and "that function" are: the last definition that was cited, if the question points at one."""
    defined = [each for definitions in cited.values() for each in definitions]
    return defined[-1] if defined and (query.points_at == "definition" or query.subject is not None) else None


def resolved(query: Query, cited: CitedFiles) -> Query:
    """A follow-up with the names that the last answer cited, the one that is meant before the others."""
    by_name = {each.qualified_name: each for definitions in cited.values() for each in definitions}
    if not by_name:
        return replace(query, subject=None, kind="plain") if query.subject and not query.subject.text else query
    it = meant(query, cited)
    known = {(name.text, name.qualifier) for name in query.names}
    borrowed = [_name_of(each, BORROWED_WEIGHT if each == it else BORROWED_WEIGHT**2) for each in by_name.values()]
    query = replace(query, names=(*query.names, *(name for name in borrowed if (name.text, name.qualifier) not in known)))
    if it is None:
        return query
    return replace(
        query,
        terms=_joined(query.terms, identifier_terms(it.name)),
        stems=_joined(query.stems, word_stems(it.name)),
        subject=_name_of(it, 1.0) if query.subject else None,
        gist=f"{query.gist}\n{it.qualified_name}",
    )


def _joined(own: Mapping[str, float], others: Iterable[str]) -> dict[str, float]:
    return {**own, **{other: BORROWED_WEIGHT for other in others if other not in own}}


def _name_of(defined: Defined, weight: float) -> Name:
    return Name(defined.name, defined.qualified_name.removesuffix(defined.name).rstrip("."), weight)
