"""Who calls what a search has found, as further passages: for a reader that has room left.

Only of names that the question itself says, and that one of the best passages defines. A call that may as well mean another
definition of the same name brings nothing, and neither does a test.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from indexer.code_graph import CodeGraph, Defined
from indexer.query import name_in
from indexer.scope import Scope
from indexer.snapshot import SnapshotReader
from indexer.types import Origin, Passage, SearchResult, SearchStep

MOST_CALLERS = 4
_BEST_PASSAGES = 5
# Lines. Of a longer caller, what stands around its first call.
_LONGEST = 60


def with_callers(reader: SnapshotReader, result: SearchResult) -> SearchResult:
    """The result with the callers of what it has found, and with a step that tells how many."""
    started = time.perf_counter()
    callers = callers_of(reader, result)
    if not callers:
        return result
    took_ms = (time.perf_counter() - started) * 1000
    told = f"{len(callers)} more {'definition calls' if len(callers) == 1 else 'definitions call'} what is asked about"
    step = SearchStep("Callers", told, took_ms)
    return replace(result, callers=callers, steps=(*result.steps, step), took_ms=result.took_ms + took_ms)


def callers_of(reader: SnapshotReader, result: SearchResult, most: int = MOST_CALLERS) -> tuple[Passage, ...]:
    """At most `most` definitions that call what the question names. None of them overlaps the result's passages."""
    if not result.symbols or result.kind == "references":
        return ()
    scope = Scope.of(reader.connection, result.filters)
    found: list[Passage] = []
    for definition, calls in _calls(reader, result):
        if scope.holds(definition.file_id) and not any(_overlap(definition, other) for other in (*result.passages, *found)):
            found.append(_passage(reader, definition, calls, len(found) + 1))
            if len(found) == most:
                break
    return tuple(found)


def _calls(reader: SnapshotReader, result: SearchResult) -> Iterator[tuple[Defined, list[int]]]:
    """Callers, and the lines of their calls."""
    graph = CodeGraph(reader.connection)
    best = result.passages[:_BEST_PASSAGES]
    asked = dict.fromkeys(name_in(symbol).text for symbol in result.symbols)
    defined = (each for name in asked for each in graph.definitions(name_in(name)))
    shown = dict.fromkeys(each.qualified_name for each in defined if any(_holds(passage, each) for passage in best))
    for written in shown:
        name = name_in(written)
        for definition, uses in graph.callers(name):
            lines = [use.line for use in uses if not use.ambiguous and not use.test]
            if lines and definition.name != name.text:
                yield definition, lines


def _holds(passage: Passage, definition: Defined) -> bool:
    return passage.path == definition.path and passage.start_line <= definition.line <= passage.end_line


def _overlap(definition: Defined, passage: Passage) -> bool:
    return (
        definition.path == passage.path
        and definition.start_line <= passage.end_line
        and passage.start_line <= definition.end_line
    )


def _passage(reader: SnapshotReader, definition: Defined, calls: Sequence[int], rank: int) -> Passage:
    file = reader.file(definition.path)
    first, last = definition.start_line, definition.end_line
    if last - first >= _LONGEST:
        first = max(first, min(calls[0] - _LONGEST // 2, last - _LONGEST + 1))
        last = first + _LONGEST - 1
    return Passage(
        chunk_id=0,
        path=file.path,
        blob=file.blob,
        start_line=first,
        end_line=last,
        symbol=definition.qualified_name,
        kind=definition.kind,
        language=file.language,
        text="\n".join(file.text.split("\n")[first - 1 : last]),
        score=0.0,
        origins=(Origin("caller", rank, 1.0),),
        marked=tuple(line for line in calls if first <= line <= last),
    )
