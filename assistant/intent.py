"""Is a question about this repository, or a general one? A few rules, the first that holds decides and is told to the reader.

Rules over a classifier: each has a reason that a person can check and argue with, and they cost nothing. They look at the
question and at what a first search found. A question about code that goes the general way loses its evidence, the
other mistake only costs some context: so what is left open goes to the code where the search found something.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from assistant.answer_log import Turn
from indexer.types import SearchResult

Route = Literal["code", "general", "search"]

_CODE = re.compile(r"```|`[^`\n]+`|\w\(\)|\b\w+_\w+\b|\b[a-z]+[A-Z]\w*|(?m:^\s*(?:Traceback|File \"|at \w+\.))")
_PATH = re.compile(r"[\w.-]+/[\w./-]+|\b[\w-]+\.(?:py|js|ts|tsx|go|rs|java|c|h|cpp|cs|rb|php|kt|swift|md|toml|ya?ml|json)\b")
_HERE = re.compile(
    r"\b(?:(?:this|the|our|my) (?:repository|repo|project|code ?base|code|service|app|application|library|package|module"
    r"|server|api|test suite|tests|cli)|here|(?:do|does|did|have|are|can|should) we|our)\b",
    re.IGNORECASE,
)
_FOLLOWS = re.compile(
    r"^(?:and|but|so|why|what about|how about|then)\b|\b(?:it|its|that|this|they|them|those|these|there)\b", re.I
)
_GENERAL = re.compile(
    r"^\W*(?:hi|hello|hey|thanks|thank you|good (?:morning|evening))\b"
    r"|\b(?:what(?:'s| is| are)(?: the)? (?:difference|advantages?|disadvantages?|benefits?|pros and cons)\b"
    r"|in general|explain (?:the )?(?:concept|idea|term)|best practices?|history of|translate"
    r"|write (?:me )?an? (?:poem|e-?mail|haiku|story))",
    re.IGNORECASE,
)
# A pattern asks for the places themselves, which no model needs to put into words.
_TOLD_BY_KIND: dict[str, tuple[Route, str]] = {
    "regex": ("search", "a regular expression"),
    "trace": ("code", "a stack trace"),
}
# Below two words that occur, or less than half of the question's words, a match is as good as chance.
ENOUGH_WORDS = 2
ENOUGH_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Decision:
    """reason: a few words, which the page shows beside the route."""

    route: Route
    reason: str


def choose_route(question: str, requested: str, found: SearchResult, history: Sequence[Turn] = ()) -> Decision:
    """requested: "auto" or the route that was asked for. found: what a search for the question returned."""
    if requested in ("code", "general", "search"):
        return Decision(requested, "you chose it")  # type: ignore[arg-type]
    if found.kind in _TOLD_BY_KIND:
        return Decision(*_TOLD_BY_KIND[found.kind])
    if pinned := [passage.path for passage in found.passages if any(origin.signal == "pin" for origin in passage.origins)]:
        return Decision("code", f"{pinned[0]} is pinned")
    if found.symbols:
        return Decision("code", _symbols(found.symbols))
    if path := _matched_path(question, found):
        return Decision("code", f"{path} is a file here")
    if _HERE.search(question):
        return Decision("code", "asks about this repository")
    if _CODE.search(question):
        return Decision("code", "the question holds code")
    if history and _FOLLOWS.search(question) and len(question) < 200:
        return _as_before(history[-1])
    if _GENERAL.search(question):
        return Decision("general", "asks for general knowledge")
    return _by_words(found)


def _symbols(symbols: Sequence[str]) -> str:
    return f"{symbols[0]} is defined here" if len(symbols) == 1 else f"{len(symbols)} symbols matched"


def _matched_path(question: str, found: SearchResult) -> str:
    paths = {passage.path for passage in found.passages}
    for written in _PATH.finditer(question):
        wanted = written[0].strip("./")
        if any(f"/{path}".endswith(f"/{wanted}") or f"/{wanted}/" in f"/{path}" for path in paths):
            return wanted
    return ""


def _as_before(last: Turn) -> Decision:
    route: Route = "general" if last.route == "general" else "code"
    return Decision(route, "follows up on the question before")


def _by_words(found: SearchResult) -> Decision:
    matched, missing = len(found.matched_terms), len(found.missing_terms)
    if found.passages and matched >= ENOUGH_WORDS and matched >= ENOUGH_SHARE * (matched + missing):
        return Decision("code", f"{matched} of {matched + missing} words occur here")
    if found.passages and matched and not missing:
        return Decision("code", f"“{found.matched_terms[0]}” occurs here")
    return Decision("general", "hardly any of its words occur here")
