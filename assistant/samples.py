"""Sample questions for an empty page, made from the repository's own definitions.

Central definitions make good questions: named often elsewhere in the code, defined once, documented, and not part of the
tests. Read from the snapshot, so the page has them as soon as the files have been read, with no model involved.
"""

from __future__ import annotations

import logging
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from indexer.errors import IndexerError
from indexer.snapshot import SnapshotReader

logger = logging.getLogger(__name__)

HOW_MANY = 5
CANDIDATES = 200

_CENTRAL = """
    SELECT d.name, d.qualified_name, d.kind, d.line, f.path, count(DISTINCT r.file_id) AS files, count(*) AS uses
    FROM definitions d
    JOIN files f ON f.id = d.file_id
    JOIN refs r ON r.name = d.name AND r.file_id <> d.file_id AND r.kind <> 'name'
    WHERE length(d.name) BETWEEN 5 AND 40
      AND (SELECT count(*) FROM definitions other WHERE other.name = d.name) = 1
    GROUP BY d.id
    ORDER BY files DESC, uses DESC, f.path, d.line
    LIMIT ?
"""

_ASIDE = re.compile(
    r"(^|/)(tests?|testing|spec|specs|examples?|docs?|benchmarks?|vendor|fixtures|migrations)(/|$)|(^|/)(test_|conftest)"
)
_PRIVATE = re.compile(r"(^|[.:#])_")
_DISTINCTIVE = re.compile(r"[^_]_|[a-z][A-Z]")
_TYPES = frozenset({"class", "interface", "struct", "trait", "type", "enum", "protocol", "module"})
_TYPE_QUESTIONS = ("What is {name} responsible for?", "How does {name} work, and what uses it?")
_FUNCTION_QUESTIONS = (
    "How does {name} work, step by step?",
    "Where is {name} called from, and why?",
    "What can go wrong in {name}?",
)


@dataclass(frozen=True, slots=True)
class Sample:
    """A question, and the definition that it is about."""

    question: str
    symbol: str
    path: str
    line: int


def samples(snapshot_dir: Path) -> tuple[Sample, ...]:
    """Four to six questions where the repository has that many definitions to ask about; none when it can't be read."""
    try:
        return _samples(snapshot_dir)
    except (IndexerError, sqlite3.Error) as error:
        logger.warning("%s: no sample questions: %s", snapshot_dir.name, error)
        return ()


@lru_cache(maxsize=64)
def _samples(snapshot_dir: Path) -> tuple[Sample, ...]:
    """Cached for good: a snapshot's definitions never change."""
    with SnapshotReader(snapshot_dir) as reader:
        rows = reader.connection.execute(_CENTRAL, (CANDIDATES,)).fetchall()
    return tuple(_spread(rows))


def _spread(rows: list[tuple[str, str, str, int, str, int, int]]) -> Iterator[Sample]:
    """At most one question a file, alternating between types and functions as far as both are there."""
    central = [row for row in rows if not _ASIDE.search(row[4]) and not _PRIVATE.search(row[1])]
    types = iter([row for row in central if row[2] in _TYPES])
    # "range" and "items" are named everywhere and mean something else each time: names of two words come first.
    named = sorted(central, key=lambda row: not _DISTINCTIVE.search(row[0]))
    functions = iter([row for row in named if row[2] not in _TYPES])
    used: set[str] = set()
    turns = (types, functions) * HOW_MANY
    for made, source in enumerate(turns):
        row = next((row for row in source if row[4] not in used), None)
        if row is None or len(used) == HOW_MANY:
            continue
        name, qualified_name, kind, line, path = row[:5]
        used.add(path)
        questions = _TYPE_QUESTIONS if kind in _TYPES else _FUNCTION_QUESTIONS
        yield Sample(questions[made // 2 % len(questions)].format(name=name), qualified_name, path, line)
