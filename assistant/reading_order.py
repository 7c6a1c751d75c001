"""Which passages, and which of their lines, tell a reader most of a question."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from indexer.types import Passage

_CHANGELOG = re.compile(r"(?:^|/)(?:change(?:s|log)|history|news|release[-_ ]?notes)(?:\.\w+)?$", re.IGNORECASE)
_ASKS_FOR_TESTS = re.compile(r"\btest(?:s|ed|ing)?\b", re.IGNORECASE)
_ASKS_FOR_CHANGES = re.compile(r"\b(?:change(?:s|d|log)?|versions?|release[sd]?|since|histor\w+|deprecat\w+|added)\b", re.I)


def in_reading_order(passages: Sequence[Passage], question: str, about: str) -> list[Passage]:
    """Best first, but what tells a reader less comes last: tests and changelogs, unless they are asked for, and what names
    hardly anything of the question (a file's imports, say). about: the words that count."""
    enough = min(2, len(_words(about)))

    def tells_less(passage: Passage) -> bool:
        if passage.test:
            return not _ASKS_FOR_TESTS.search(question)
        if _CHANGELOG.search(passage.path):
            return not _ASKS_FOR_CHANGES.search(question)
        return not _names(passage.text.split("\n"), about, enough)

    return sorted(passages, key=tells_less)


# `getUserName` is three words.
_WORD = re.compile(r"[A-Z]+[a-z]*|[a-z]+")
_IMPORT = re.compile(r"\s*(?:import\b|from\s+\S+\s+import\b|#\s*include\b|using\s+[\w.:]+;|use\s+[\w:\\]+|require\b|package\b)")


def line_scores(lines: Sequence[str], question: str) -> list[float]:
    """How much each line tells of the question: each word that it names counts, more where it is rare in the passage."""
    named = [*named_in(lines, question)]
    spread = Counter(word for words in named for word in words)
    return [sum(1 / spread[word] for word in words) for words in named]


def named_in(lines: Sequence[str], question: str) -> Iterator[set[str]]:
    """The words of the question that each line names. An import names much and tells nothing."""
    wanted = _words(question)
    for line in lines:
        lowered = line.lower()
        named = any(word in lowered for word in wanted) and not _IMPORT.match(line)  # told faster than all its words
        yield _words(line) & wanted if named else set()


def _names(lines: Sequence[str], question: str, enough: int) -> bool:
    """Whether the lines name so many words of the question; looks no further than it has to."""
    named: set[str] = set()
    for words in named_in(lines, question):
        named |= words
        if len(named) >= enough:
            return True
    return not enough


def _words(text: str) -> set[str]:
    """The beginnings of its words of three letters and more: "signed" and "signature" are alike."""
    return {word.lower()[:5] for word in _WORD.findall(text) if len(word) > 2}


def best_lines(lines: Sequence[str], costs: Sequence[int], scores: Sequence[float], budget: int) -> tuple[int, int]:
    """[first, last) of the stretch of lines with the highest score that costs at most `budget`; the first of equals.

    A definition's first line says what it is, so that it counts as if the question had named it.
    """
    weights = [score + 1e-3 for score in scores]
    weights[0] += 1.0
    best, best_weight = (0, 0), 0.0
    first, spent, weight = 0, 0, 0.0
    for last, (cost, gain) in enumerate(zip(costs, weights, strict=True), start=1):
        spent, weight = spent + cost, weight + gain
        while spent > budget and first < last:
            spent, weight, first = spent - costs[first], weight - weights[first], first + 1
        if weight > best_weight + 1e-9:
            best, best_weight = (first, last), weight
    return best
