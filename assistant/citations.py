"""From the text of an answer, while it streams, to citations that the server has checked.

`CitationReader.feed` takes the text in any pieces and gives the same events for the same text. What counts as a citation,
`assistant/sentences.py` says; what is verified, `assistant/claims.py`. Numbers that were never given are left out. A citation
covers the words before it, back to the citation before or the sentence's beginning; where nothing stands before it, the
words after it. Words whose citation is wrong are matched like words without one, to one of the other passages, right after it.

What no name and no quote ties to a passage can still be similar to one (`assistant/similarity.py`). That takes longer than
text may wait, so the reader only says at the end which sentences are left, and is told what was found: it counts for no claim.

A first event says "pending", as soon as the bracket closes; the second one when the sentence has ended.

The answer's share of verified claims counts stretches of prose, not numbers: each place with citations, and each sentence
without one that names code, is a claim, and it is verified when one passage at least holds what it says. What an answer
denies, its headings and the words before a list claim nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from assistant.claims import State, best_match, check, claims_something, found_in, listed, names_code, quoted_in
from assistant.code_names import Evidence, Found
from assistant.sentences import MARK, Mark, Scanner, Sentence

SIMILAR = "The answer gives no number here. This passage is the one that is similar to the sentence, which proves nothing."


@dataclass(frozen=True, slots=True)
class Citation:
    """A `citation` event of docs/protocol.md."""

    start: int
    end: int
    evidence: Evidence
    state: State
    origin: Literal["model", "matched"]
    found: tuple[Found, ...] = ()
    missing: tuple[str, ...] = ()
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "start": self.start,
            "end": self.end,
            "number": self.evidence.number,
            "state": self.state,
            "origin": self.origin,
            "path": self.evidence.path,
            "start_line": self.evidence.start_line,
            "end_line": self.evidence.end_line,
            "found": [{"name": found.name, "line": found.line} for found in self.found],
            "missing": list(self.missing),
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Claims:
    """How many stretches of an answer claim something about the code, and how many of these a passage holds."""

    verified: int
    total: int

    def __str__(self) -> str:
        return f"{self.verified} of {self.total} {'claim' if self.total == 1 else 'claims'} verified"


class CitationReader:
    """The citations of one answer. `feed` and `finish` return the events that have become certain since the last call."""

    def __init__(self, evidence: Sequence[Evidence]) -> None:
        self._evidence = {passage.number: passage for passage in evidence}
        self._scanner = Scanner()
        self._latest: dict[tuple[int, int], Citation] = {}
        self._claims: list[bool] = []
        self._sentences: list[Sentence] = []
        self._unmatched: list[tuple[int, str]] = []

    @property
    def claims(self) -> Claims:
        """Of the sentences that have ended."""
        return Claims(sum(self._claims), len(self._claims))

    def sentences(self) -> list[tuple[Sentence, str, str]]:
        """The sentences that have ended since the last call: each, its text, and all of the answer before it."""
        ended, self._sentences = self._sentences, []
        return [(each, self._scanner.slice(each.start, each.end), self._scanner.slice(0, each.start)) for each in ended]

    def unmatched(self) -> list[tuple[int, str]]:
        """(end, text) of the sentences that claim something and were matched to nothing. None in an answer that has numbers:
        who writes them leaves one out for a reason."""
        return [] if any(citation.origin == "model" for citation in self._latest.values()) else self._unmatched

    def similar(self, at: int, evidence: Evidence) -> Citation:
        """The citation of a passage that is similar to the unmatched sentence that ends at `at`."""
        citation = Citation(at, at, evidence, "similar", "matched", reason=SIMILAR)
        self._latest[at, evidence.number] = citation
        return citation

    @property
    def citations(self) -> tuple[Citation, ...]:
        """The last word on every citation so far, in the order of the text."""
        return tuple(self._latest[key] for key in sorted(self._latest))

    def feed(self, text: str) -> list[Citation]:
        return self._take(self._scanner.feed(text))

    def finish(self) -> list[Citation]:
        return self._take(self._scanner.finish())

    def _take(self, seen: Iterator[Mark | Sentence]) -> list[Citation]:
        citations = [citation for item in seen for citation in self._read(item)]
        for citation in citations:
            self._latest[citation.start, citation.evidence.number] = citation
        return citations

    def _read(self, item: Mark | Sentence) -> Iterator[Citation]:
        if isinstance(item, Sentence):
            self._sentences.append(item)
        if isinstance(item, Mark):
            for evidence in self._given(item):
                yield Citation(item.start, item.end, evidence, "pending", "model")
        elif any(self._given(mark) for mark in item.marks):
            yield from self._check(item)
        else:
            prose = self._scanner.slice(item.start, item.end)
            matched = [*self._match(prose, item.end, [*self._evidence.values()], "The answer gives no number here")]
            if matched or (claims_something(prose) and (item.marks or names_code(prose))):
                self._claims.append(bool(matched))
            if not matched and not item.marks and claims_something(prose):
                self._unmatched.append((item.end, prose))
            yield from matched

    def _given(self, mark: Mark) -> list[Evidence]:
        return [self._evidence[number] for number in mark.numbers if number in self._evidence]

    def _check(self, sentence: Sentence) -> Iterator[Citation]:
        for group, prose in self._clauses(sentence):
            citations = [*self._check_group(group, prose)]
            if citations and claims_something(prose):
                self._claims.append(any(citation.state == "verified" for citation in citations))
            yield from citations

    def _check_group(self, group: Sequence[Mark], prose: str) -> Iterator[Citation]:
        cited = [evidence for mark in group for evidence in self._given(mark)]
        checked = check(prose, cited, self._evidence)
        for mark in group:
            for evidence in self._given(mark):
                state, found, missing, reason = checked[evidence.number]
                yield Citation(mark.start, mark.end, evidence, state, "model", found, missing, reason)
        if cited and all(state != "verified" for state, *_ in checked.values()):
            others = [evidence for evidence in self._evidence.values() if evidence.number not in checked]
            yield from self._match(prose, group[-1].end, others, "The answer cites another passage here")

    def _clauses(self, sentence: Sentence) -> Iterator[tuple[list[Mark], str]]:
        """The sentence's marks in groups of neighbours, each with the words that it covers."""
        groups: list[list[Mark]] = []
        for mark in sentence.marks:
            if groups and not self._prose(groups[-1][-1].end, mark.start):
                groups[-1].append(mark)
            else:
                groups.append([mark])
        ends = [group[0].start for group in groups[1:]]
        covers_following = not self._prose(sentence.start, groups[0][0].start)
        begin = sentence.start
        for number, group in enumerate(groups):
            last = number == len(groups) - 1
            if covers_following:
                begin, end = group[-1].end, sentence.end if last else ends[number]
            else:
                end = sentence.end if last else group[0].start
            yield group, self._scanner.slice(begin, max(begin, end))
            begin = group[-1].end

    def _prose(self, start: int, end: int) -> str:
        """The text between, but for marks, bullets and punctuation."""
        return MARK.sub("", self._scanner.slice(start, end)).strip(" \t,;.:-–*+>_()#")

    def _match(self, prose: str, at: int, passages: Sequence[Evidence], why: str) -> Iterator[Citation]:
        """The server's own citation of `prose`, which ends at `at`, if there is one to make."""
        if (evidence := best_match(prose, passages)) is None:
            return
        found = found_in(prose, evidence)
        reason = f"{why}, but this passage holds what it names: {listed([each.name for each in found])}."
        if not found and (quote := quoted_in(prose, evidence)) is not None:
            found, reason = (quote,), f"{why}, but its words stand in these lines: “{quote.name[:120]}”."
        yield Citation(at, at, evidence, "verified", "matched", found, (), reason)
