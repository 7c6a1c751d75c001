"""Lines that a question points at: what it pins, the frames of its trace, the line that writes its message, the matches of its
pattern, the uses of the name that it asks about.

They come before what ranking brings up, in the order in which they are given here, and each says in a sentence how it was
found. A pin holds whatever the filters say, since somebody named it; everything else keeps to the scope.
"""

from __future__ import annotations

import logging
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from indexer import pattern
from indexer.code_graph import CodeGraph, Use
from indexer.error_message import literal_words, written_in
from indexer.file_traits import traits_of
from indexer.pins import Pinned
from indexer.query import Name, Query
from indexer.scope import Scope
from indexer.snapshot import SnapshotReader
from indexer.stack_trace import Frame, suffixes
from indexer.tokens import identifier_terms
from indexer.types import Signal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

# A file's end that so many files share names none of them.
_MOST_FILES_OF_A_FRAME = 3
_MOST_FRAMES = 12
# Without a folder these say nothing about which file is meant: a library has one too.
_NAMES_OF_ANY_FOLDER = frozenset(
    ("__init__.py", "__main__.py", "index.js", "index.ts", "index.mjs", "mod.rs", "lib.rs", "main.rs")
)
# Chunks whose text is compared with a message, and places that are taken for the ones that write it.
_CHUNKS_COMPARED = 150
_MOST_WRITERS = 3
# How much of a message has to be there: an error names it, any other text has only been guessed to be one.
_ENOUGH_OF_AN_ERROR = 0.6
_ENOUGH_OF_A_TEXT = 0.99
_FEWEST_WORDS_OF_A_TEXT = 4
_ROUNDING = 1e-4
_LISTED = 3


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file that the question points at; line 0 is the whole file. weight: from 0 to 1."""

    file_id: int
    line: int
    signal: Signal
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Told:
    """What one way to find places found: a step's name and its sentence."""

    name: str
    places: tuple[Place, ...]
    detail: str


class PlaceFinder:
    """scanning: entered while a pattern is looked for in many files."""

    def __init__(
        self, reader: SnapshotReader, scope: Scope, query: Query, scanning: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._reader, self._scope, self._query, self._scanning = reader, scope, query, scanning
        self._db, self._index = reader.connection, reader.lexical

    def pins(self, pinned: Sequence[Pinned]) -> Told | None:
        if not pinned:
            return None
        places = tuple(Place(file_id, line, "pin") for each in pinned for file_id, line in each.places)
        found = [each.pin.text for each in pinned if each.is_resolved]
        missing = [f"nothing here is called {each.pin.text}" for each in pinned if not each.is_resolved]
        return Told("Pins", places, "; ".join([*([", ".join(found)] if found else []), *missing]))

    def frames(self) -> Told | None:
        """The innermost frame in the repository first; frames elsewhere are left out."""
        if self._query.trace is None:
            return None
        frames = self._query.trace.frames
        here = [(frame, files) for frame in frames[:200] if (files := self._files_of(frame))]
        places = [Place(file_id, line, "trace") for _, files in here[:_MOST_FRAMES] for file_id, line in files]
        detail = f"read as a stack trace: {_count(len(here), 'frame')} in this repository"
        if outside := len(frames[:200]) - len(here):
            detail += f", {outside} outside"
        return Told("Question", tuple(dict.fromkeys(places)), detail)

    def _files_of(self, frame: Frame) -> list[tuple[int, int]]:
        """The files that a printed path may mean, which share its longest end, and the line there: 0 where a file has become
        shorter since."""
        for suffix in suffixes(frame.path):
            if suffix in _NAMES_OF_ANY_FOLDER and "/" in frame.path.strip("/"):
                return []
            query = "SELECT id, lines FROM files WHERE path = ? OR substr(path, ?) = ? ORDER BY path LIMIT ?"
            values = (suffix, -len(suffix) - 1, f"/{suffix}", _MOST_FILES_OF_A_FRAME + 1)
            rows = self._db.execute(query, values).fetchall()
            if len(rows) > _MOST_FILES_OF_A_FRAME:
                return []
            if rows:
                return [(file, frame.line if frame.line <= lines else 0) for file, lines in rows if self._scope.holds(file)]
        return []

    def message(self) -> Told | None:
        """The lines that write the message, placeholders being anything."""
        words = literal_words(self._query.message) if self._query.message else ()
        is_error = self._query.kind in ("error", "trace")
        if not words or (not is_error and len(words) < _FEWEST_WORDS_OF_A_TEXT):
            return None
        terms = dict.fromkeys((term for word in words for term in identifier_terms(word)), 1.0)
        enough = _ENOUGH_OF_AN_ERROR if is_error else _ENOUGH_OF_A_TEXT
        writers: list[tuple[float, bool, str, Place]] = []
        hits = self._index.chunks(terms, _CHUNKS_COMPARED, self._scope.files, self._scope.allowed)
        for chunk_id, text in self._texts(self._holding(enough, words, hits.chunks)):
            written = written_in(text, words, enough)
            if written is None or written.share < enough:
                continue
            file_id, path, language, start = self._db.execute(
                "SELECT f.id, f.path, f.language, c.start_line FROM chunks c JOIN files f ON f.id = c.file_id WHERE c.id = ?",
                (chunk_id,),
            ).fetchone()
            traits = traits_of(path, language)
            if traits.prose and not is_error:
                continue
            place = Place(file_id, start + written.line, "message", written.share)
            writers.append((-written.share, traits.test or traits.prose, path, place))
        writers.sort(key=lambda writer: (writer[1], *writer[:1], writer[2], writer[3].line))
        best = [writer for writer in writers if writer[1] == writers[0][1]][:_MOST_WRITERS]
        if not best:
            return Told("Message", (), "no line here writes it") if self._query.kind == "error" else None
        where = ", ".join(f"{path}:{place.line}" for _, _, path, place in best)
        return Told("Message", tuple(place for *_, place in best), f"written at {where}")

    def _holding(self, enough: float, words: Sequence[str], chunk_ids: NDArray[np.int64]) -> list[int]:
        """The chunks that hold this share of the words somewhere: no other can write it."""
        worth: dict[str, float] = defaultdict(float)
        for word in words:
            terms = identifier_terms(word)
            for term in terms:
                worth[term] += 1 / len(terms) / len(words)
        holding: list[int] = chunk_ids[self._index.shares(worth, chunk_ids) > enough - _ROUNDING].tolist()
        return holding

    def _texts(self, chunk_ids: Sequence[int]) -> Iterator[tuple[int, str]]:
        """The text of each chunk, each file being read once."""
        query = (
            "SELECT c.file_id, f.path, c.start_line, c.end_line, c.id FROM chunks c JOIN files f ON f.id = c.file_id"  # noqa: S608
            f" WHERE c.id IN ({','.join('?' * len(chunk_ids))}) ORDER BY c.file_id, c.id"
        )
        rows = self._db.execute(query, chunk_ids).fetchall()
        for (_, path), chunks in groupby(rows, key=lambda row: row[:2]):
            lines = self._reader.file(path).text.split("\n")
            for *_, start, end, chunk_id in chunks:
                yield chunk_id, "\n".join(lines[start - 1 : end])

    def matches(self) -> Told | None:
        """Lines that match the pattern: code before tests, and what others use before the rest. Raises PatternError."""
        if self._query.pattern is None:
            return None
        with self._scanning():
            found = pattern.matches(self._query.pattern, self._contents())
        files = self._index.table.files
        # Files are numbered by their paths.
        order = {file_id: (*files[["test", "prose"]][file_id], -files["referred"][file_id], file_id) for file_id in found.lines}
        ranked = sorted(found.lines, key=lambda file_id: order[file_id])
        places = tuple(Place(file_id, line, "regex") for file_id in ranked for line in found.lines[file_id])
        detail = f"read as a regular expression: {_count(len(places), 'line')} in {_count(len(ranked), 'file')}"
        if not found.in_time:
            total = self._scope.count(self._index.table.size)
            detail += f"; stopped after {found.files:,} of {_count(total, 'file')}, narrow the pattern or the folder"
        return Told("Question", places, detail)

    def _contents(self) -> Iterator[tuple[int, bytes]]:
        for file_id, content in self._reader.compressed(*self._scope.bounds):
            if self._scope.holds(file_id):
                yield file_id, zlib.decompress(content)

    def references(self) -> tuple[Told | None, tuple[str, ...]]:
        """Where what the question asks about is used, after its definition; and the name, if it is defined here."""
        subject = self._query.subject
        if subject is None or not subject.text:
            return None, ()
        graph = CodeGraph(self._db)
        definitions = [each for each in graph.definitions(subject) if self._scope.holds(each.file_id)]
        uses = [use for use in graph.uses(subject) if self._scope.holds(use.file_id)]
        if not definitions and not uses:
            return None, ()
        calls = [use for use in uses if use.kind != "import"] or uses
        places = [Place(each.file_id, each.line, "references") for each in definitions[:_LISTED]]
        places += [Place(use.file_id, use.line, "references", 0.5 if use.ambiguous else 1.0) for use in calls]
        return Told("References", tuple(places), _told_uses(subject, len(definitions), calls)), (
            (subject.text,) if definitions else ()
        )


def _told_uses(subject: Name, definitions: int, uses: Sequence[Use]) -> str:
    detail = f"{subject.text} is used in {_count(len(uses), 'line')} of {_count(len({use.path for use in uses}), 'file')}"
    if tests := sum(use.test for use in uses):
        detail += f", {tests:,} of them in tests"
    if definitions > 1 and (doubtful := sum(use.ambiguous for use in uses)):
        detail += f"; {definitions} definitions have this name, and {_count(doubtful, 'use')} may mean another one"
    return detail


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
