"""Which way a question goes: to the code with its evidence, to general knowledge, or to the search alone.

What is certain by its kind goes before everything: what the reader chose, a pin, a regular expression, a stack trace. The rest
is judged (`assistant.route_model`), and the reader is told why.

Costs decide what is done with a chance p that the question is about the repository. A question about the code that is answered
without evidence costs 5, one that the general model answers with evidence 1; a general question that is read with evidence by
the general model costs 0.5, and by the code model 1.5. So evidence is worth showing from 5p = p + 0.5(1 - p), p = 1/9, and the
code model is worth asking from p + 0.5(1 - p) = 1.5(1 - p), p = 1/2: the likelier route is taken, and a general answer that is
not sure of it sees the passages too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from assistant.route_model import judge
from indexer.types import SearchResult

if TYPE_CHECKING:
    from assistant.answer_log import Turn

Route = Literal["code", "general", "search"]

OTHER_LANGUAGE = "about the code, in a language that only the general model serves"

SHOWS_EVIDENCE = 1 / 9
IS_CODE = 1 / 2

# A pattern asks for the places themselves, which no model needs to put into words.
_TOLD_BY_KIND: dict[str, tuple[Route, str]] = {
    "regex": ("search", "a regular expression"),
    "trace": ("code", "a stack trace"),
}


@dataclass(frozen=True, slots=True)
class Decision:
    """reason: a few words, which the page shows beside the route. chance: that the question is about the repository, None where
    nothing had to be judged. unsure: a general question that may be about the code, so that its model sees the evidence too.
    features: what was judged. asks: whose model answers, if not the route's own."""

    route: Route
    reason: str
    chance: float | None = None
    unsure: bool = False
    features: Mapping[str, float] | None = None
    asks: Literal["", "general"] = ""

    @property
    def shows_evidence(self) -> bool:
        return self.route == "code" or self.unsure

    @property
    def asked_route(self) -> str:
        """The route whose model answers."""
        return self.asks or self.route


def choose_route(question: str, requested: str, found: SearchResult, repository: str, history: Sequence[Turn] = ()) -> Decision:
    """requested: "auto" or the route that was asked for. found: what a search for the question returned."""
    if requested in ("code", "general", "search"):
        return Decision(requested, "you chose it")  # type: ignore[arg-type]
    if pinned := [passage.path for passage in found.passages if any(origin.signal == "pin" for origin in passage.origins)]:
        return Decision("code", f"{pinned[0]} is pinned")
    if found.kind in _TOLD_BY_KIND:
        return Decision(*_TOLD_BY_KIND[found.kind])
    judgement = judge(question, found, repository, [turn.route for turn in history])
    route: Route = "code" if judgement.chance >= IS_CODE else "general"
    unsure = route == "general" and judgement.chance >= SHOWS_EVIDENCE and bool(found.passages)
    return Decision(route, _told(judgement.reason, found), judgement.chance, unsure, judgement.features)


def _told(reason: str, found: SearchResult) -> str:
    """With the name, where it is one."""
    if reason == "names what is defined here" and found.symbols:
        return f"{found.symbols[0]} is defined here" if len(found.symbols) == 1 else f"{len(found.symbols)} symbols matched"
    return reason
