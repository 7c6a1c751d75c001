"""What has become of an answer's citations in a later snapshot. Reads the database and that snapshot; no git, no source.

The cited text comes from the answer's own log, so this works even where its snapshot has gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from assistant.models import Answer, AnswerCitation
from assistant.moved import CitedLines, Now, locate
from indexer.lookup import Lookup
from indexer.models import Snapshot
from indexer.snapshot import SnapshotReader


@dataclass(frozen=True, slots=True)
class CitationNow:
    """A citation by where it stands in the answer's text and by its passage, and where its lines are now."""

    start: int
    number: int
    now: Now

    def as_json(self) -> dict[str, Any]:
        return {"start": self.start, "number": self.number, **asdict(self.now)}


def passages_of(answer: Answer) -> Mapping[str, Any] | None:
    """The last `passages` entry of its log: what it stands on."""
    told = answer.events.filter(kind="passages").order_by("-seq").first()
    return told.payload if told else None


def citations_now(answer: Answer, snapshot: Snapshot) -> list[CitationNow]:
    """Those of a finished answer's citations that are not where they were, in the order of its text. Raises SnapshotError."""
    evidence, citations = passages_of(answer), list(answer.citations.all())
    if evidence is None or not citations:
        return []
    passages = {one["number"]: one for one in evidence["passages"] if one.get("number")}
    with SnapshotReader(snapshot.directory) as reader:
        files = _Files(reader)
        blobs = reader.blobs_of({citation.path for citation in citations})
        found = [
            CitationNow(citation.start, citation.number, files.locate(citation, passage))
            for citation in citations
            if (passage := passages.get(citation.number)) and blobs.get(citation.path) != passage["blob"]
        ]
    return [one for one in found if one.now.state != "here"]


def _cited(citation: AnswerCitation, passage: Mapping[str, Any]) -> CitedLines:
    text = passage["text"].removesuffix("\n").split("\n")
    return CitedLines(citation.path, citation.start_line, citation.end_line, passage["start_line"], text)


class _Files:
    """The files of a snapshot in which cited lines are looked for, each read once."""

    def __init__(self, reader: SnapshotReader) -> None:
        self._reader, self._lookup = reader, Lookup(reader)
        self._texts: dict[str, Sequence[str]] = {}
        self._found: dict[tuple[int, int, int], Now] = {}

    def locate(self, citation: AnswerCitation, passage: Mapping[str, Any]) -> Now:
        key = citation.number, citation.start_line, citation.end_line
        if key not in self._found:
            self._found[key] = self._locate(_cited(citation, passage), passage)
        return self._found[key]

    def _locate(self, cited: CitedLines, passage: Mapping[str, Any]) -> Now:
        own = self._read(self._reader.blobs_of([cited.path]))
        now = locate(cited, own)
        if now.state in ("here", "moved"):
            return now
        # Other files are read only for what its own no longer holds.
        name = re.findall(r"\w+", passage["symbol"])[-1:]
        homes = self._lookup.homes(cited.path, passage["blob"], name)
        return locate(cited, {**own, **self._read(homes)})

    def _read(self, paths: Iterable[str]) -> dict[str, Sequence[str]]:
        read = {}
        for path in paths:
            if path not in self._texts:
                self._texts[path] = self._reader.file(path).text.removesuffix("\n").split("\n")
            read[path] = self._texts[path]
        return read
