"""manage.py search NAME QUERY: the passages of a repository that answer a question, best first, and how they were found.

With --json one line of JSON is printed, and with --queries one for each line of the file, in the same shape.
"""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentTypeError
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from indexer.code_graph import CodeGraph
from indexer.errors import IndexerError
from indexer.freshness import freshness
from indexer.management.command_line import BAD_USAGE, language_name, live_snapshot, told_in_a_sentence
from indexer.models import Snapshot
from indexer.query import Name, name_in
from indexer.retriever import Retriever
from indexer.snapshot import SnapshotReader
from indexer.types import Passage, SearchResult

_LINES_SHOWN = 12


class Command(BaseCommand):
    help = "Search an indexed repository, and print the passages that answer, best first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the repository, as it was named when it was indexed")
        parser.add_argument("query", nargs="?", help="a question, words or a name")
        parser.add_argument("--queries", metavar="FILE", help='lines of JSON, {"query": …}, to answer one after the other')
        parser.add_argument("--limit", type=_positive, default=10, help="how many passages (default: 10)")
        parser.add_argument("--scope", default="", metavar="PATH", help="keep to this folder or file of the repository")
        parser.add_argument(
            "--language", action="append", default=[], type=language_name, help="keep to this language; repeatable"
        )
        parser.add_argument("--no-tests", action="store_false", dest="tests", help="leave tests, fixtures and benchmarks out")
        parser.add_argument("--definitions", metavar="NAME", help="list the definitions of a name instead of searching")
        parser.add_argument("--references", metavar="NAME", help="list where a name is used, and in which definition")
        parser.add_argument("--callers", metavar="NAME", help="list the definitions that call a name")
        parser.add_argument("--no-vectors", action="store_false", dest="vectors", help="by words and symbols only")
        parser.add_argument("--json", action="store_true", dest="as_json", help="print one line of JSON")

    def handle(self, *, name: str, query: str | None, queries: str | None, as_json: bool, **options: Any) -> None:
        listed = [kind for kind in LISTS if options[kind] is not None]
        if (query is not None) + (queries is not None) + len(listed) != 1:
            ways = "a query, --queries FILE, --definitions, --references or --callers NAME"
            raise CommandError(f"Give one of: {ways}.", returncode=BAD_USAGE)
        if listed:
            self._list(name, listed[0], options[listed[0]], as_json)
            return
        if query is not None and not query.strip():
            raise CommandError("The query is empty: ask for something.", returncode=BAD_USAGE)
        texts = [query] if query is not None else list(_read_queries(str(queries)))
        snapshot = live_snapshot(name)
        retriever = Retriever(device=settings.FAISS_DEVICE)
        try:
            for text in texts:
                started = time.perf_counter()
                result = retriever.search(snapshot.directory, text, **_wishes(options))
                latency_ms = (time.perf_counter() - started) * 1000
                as_line = as_json or queries is not None
                if as_line:
                    self.stdout.write(_json_line(name, text, latency_ms, result))
                else:
                    self.stdout.write("\n".join([_for_people(result), *_how_fresh(snapshot, result)]))
                if options["vectors"] and result.embedded < result.chunks:
                    self.stderr.write(_coverage(result))
        except IndexerError as error:
            raise CommandError(str(error)) from error
        finally:
            retriever.close()

    def _list(self, name: str, kind: str, symbol: str, as_json: bool) -> None:
        """Print who defines, uses or calls a name, a line each."""
        with told_in_a_sentence(), SnapshotReader(live_snapshot(name).directory) as reader:
            entries = LISTS[kind](CodeGraph(reader.connection), name_in(symbol))
        for entry in entries:
            self.stdout.write(json.dumps({"repo": name, **entry}, ensure_ascii=False) if as_json else _line_of(entry))
        if not entries and not as_json:
            self.stdout.write(f"Nothing here {_SAID[kind]} {symbol}.")


_SAID = {"definitions": "defines", "references": "uses", "callers": "calls"}


def _definitions(graph: CodeGraph, name: Name) -> list[dict[str, Any]]:
    return [
        {"path": each.path, "line": each.line, "symbol": each.qualified_name, "kind": each.kind, "signature": each.signature}
        for each in graph.definitions(name)
    ]


def _references(graph: CodeGraph, name: Name) -> list[dict[str, Any]]:
    return [
        {
            "path": use.path,
            "line": use.line,
            "kind": use.kind,
            "symbol": use.inside.qualified_name if use.inside else "",
            "ambiguous": use.ambiguous,
        }
        for use in graph.uses(name)
    ]


def _callers(graph: CodeGraph, name: Name) -> list[dict[str, Any]]:
    return [
        {
            "path": caller.path,
            "line": caller.line,
            "symbol": caller.qualified_name,
            "kind": caller.kind,
            "calls": [use.line for use in calls],
            "ambiguous": all(use.ambiguous for use in calls),
        }
        for caller, calls in graph.callers(name)
    ]


LISTS = {"definitions": _definitions, "references": _references, "callers": _callers}


def _line_of(entry: Mapping[str, Any]) -> str:
    told = f"{entry['path']}:{entry['line']}  {entry['symbol']}  {entry['kind']}"
    if "calls" in entry:
        told += f", line{'s' if len(entry['calls']) > 1 else ''} {', '.join(map(str, entry['calls']))}"
    return f"{told}  (may mean another definition of this name)" if entry.get("ambiguous") else told


def _wishes(options: Mapping[str, Any]) -> dict[str, Any]:
    wishes = {wish: options[wish] for wish in ("limit", "scope", "tests", "vectors")}
    return {"languages": options["language"], "files_first": True, **wishes}


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 1000:
        raise ArgumentTypeError("use a number from 1 to 1000")
    return int(text)


def _read_queries(name: str) -> Iterator[str]:
    """The queries of a file with one JSON object a line; "-" is standard input."""
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{name} can't be read: {error}") from error
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield _query_in(line, f"{name}, line {number}")


def _query_in(line: str, place: str) -> str:
    try:
        query = json.loads(line)["query"]
    except (ValueError, KeyError, TypeError) as error:
        raise CommandError(f'{place} isn\'t an object like {{"query": "where are cookies signed"}}.') from error
    if not isinstance(query, str):
        raise CommandError(f"{place}: the query has to be text.")
    return query


def _coverage(result: SearchResult) -> str:
    share = 100 * result.embedded // result.chunks
    return f"Vectors so far: {result.embedded:,} of {result.chunks:,} chunks ({share} %)."


def _json_line(name: str, query: str, latency_ms: float, result: SearchResult) -> str:
    found = {
        "repo": name,
        "query": query,
        "latency_ms": round(latency_ms, 3),
        "results": [_as_json(passage) for passage in result.passages],
    }
    return json.dumps(found, ensure_ascii=False)


def _as_json(passage: Passage) -> dict[str, Any]:
    return {
        "path": passage.path,
        "start_line": passage.start_line,
        "end_line": passage.end_line,
        "symbol": passage.symbol,
        "score": passage.score,
        "origins": [
            {"signal": origin.signal, "rank": origin.rank, "score": round(origin.score, 4)} for origin in passage.origins
        ],
    }


def _how_fresh(snapshot: Snapshot, result: SearchResult) -> list[str]:
    """At which commit the index is, how far behind its source, and which of the results have changed since."""
    repository = snapshot.repository
    found = freshness(
        repository.source,
        repository.ref,
        snapshot.commit,
        {passage.path: passage.blob for passage in result.passages},
        clone_root=settings.CLONE_ROOT,
        max_bytes=settings.MAX_FILE_BYTES,
    )
    at = f"{snapshot.commit[:12]}{f' on {snapshot.ref}' if snapshot.ref else ''}" if snapshot.commit else ""
    behind = "" if found.behind is None else ", up to date" if not found.behind else f", {found.behind} behind its source"
    lines = [f"The index is at {at}{behind}." if at else "The index is of the folder as it was."]
    if found.changed:
        lines.append(f"Changed since it was indexed: {', '.join(found.changed)}.")
    return lines


def _for_people(result: SearchResult) -> str:
    blocks = [_block(place, passage) for place, passage in enumerate(result.passages, 1)] or ["Nothing was found."]
    return "\n\n".join([*blocks, _how(result)])


def _block(place: int, passage: Passage) -> str:
    lines = passage.text.split("\n")
    first = _first_shown(passage, len(lines))
    numbered = enumerate(lines[first : first + _LINES_SHOWN], passage.start_line + first)
    shown = [f"  {'>' if number in passage.marked else ' '} {line}".rstrip() for number, line in numbered]
    if len(lines) > _LINES_SHOWN:
        shown.append(f"    … {len(lines) - _LINES_SHOWN} more lines")
    origins = ", ".join(f"{origin.signal} #{origin.rank} ({origin.score:.2f})" for origin in passage.origins) or "by its file"
    where = f"{place}. {passage.path}:{passage.start_line}-{passage.end_line}"
    return "\n".join([f"{where}  {passage.symbol}".rstrip(), f"   score {passage.score:.3f}; {origins}", *shown])


def _first_shown(passage: Passage, lines: int) -> int:
    """The lines shown hold the first one that is marked."""
    if not passage.marked:
        return 0
    return max(0, min(passage.marked[0] - passage.start_line - _LINES_SHOWN // 2, lines - _LINES_SHOWN))


def _how(result: SearchResult) -> str:
    steps = [f"{step.name}: {step.detail} ({step.took_ms:.0f} ms)" for step in result.steps]
    lines = [f"{'; '.join(steps)}. {result.took_ms:.0f} ms in all."]
    lines += _missing(result.missing_terms)
    return "\n".join(lines)


def _missing(words: Sequence[str]) -> list[str]:
    return [f"Not in this repository: {', '.join(words)}."] if words else []
