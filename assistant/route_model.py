"""How likely a question is about the repository, and what says why.

Where MiniLM made the search's vectors, a support vector machine over its lower layers' states judges: `assistant.route_kernel`.
Elsewhere logistic regression does, over the features and the phrases that a question is made of; its weights are in
`route_weights.json`. benchmarks/train_routes.py writes both from benchmarks/routes/questions.jsonl; its docstring tells how,
and docs/routes.md how good they are. What states or a phrase say can't be told in words: of these the reader hears only how the
question reads; every other feature has its own reason.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from assistant.route_features import Features, features, phrases
from assistant.route_kernel import chance_of, shipped_machine, states_of
from indexer.types import SearchResult, Strength

WEIGHTS = Path(__file__).with_name("route_weights.json")
# The embedder whose lower layers the machine knows.
EMBEDDER = "minilm"

_WORDED_CODE, _WORDED_GENERAL = "reads like a question about the code", "reads like a general question"
# What a feature that is there means for the code, and for general knowledge; without one it can't be the reason.
REASONS: Mapping[str, tuple[str, str]] = {
    "here": ("points at this repository", ""),
    "untied": ("", "nothing in it points here"),
    "repository": ("names this repository", ""),
    "where": ("asks where something is", ""),
    **dict.fromkeys(("it", "this"), ("asks what it does", "")),
    "meta": ("asks about the project", ""),
    **dict.fromkeys(("task", "plain_task"), ("asks how to do something with it", "")),
    **dict.fromkeys(("mechanism", "passive"), ("asks how something is done", "")),
    **dict.fromkeys(("notion", "works", "loose_notion"), ("", "asks what something is in general")),
    **dict.fromkeys(("generally", "advice"), ("", "asks for general knowledge")),
    **dict.fromkeys(("difference", "loose_difference"), ("", "compares things")),
    **dict.fromkeys(("notions", "asked_notion", "notion_share"), ("", "asks about a notion")),
    **dict.fromkeys(
        (
            "keyword",
            "construct",
            "any_keyword",
            "any_construct",
            "language_names",
            "language_phrases",
            "language_names_unknown",
            "language_names_pasted",
            "language_share",
        ),
        ("", "asks about a language"),
    ),
    "talk": ("", "small talk"),
    **dict.fromkeys(
        (
            "language",
            "in_language",
            "tool",
            "tools",
            "tool_here",
            "named_word",
            "named_capital",
            "with_unknown",
            "with_library",
            "unknown_tool",
            "loose_technology",
            "technology_task",
            "technology_wish",
        ),
        ("", "names another language or tool"),
    ),
    **dict.fromkeys(("system_error", "foreign_error"), ("", "no message of this repository's")),
    **dict.fromkeys(("error", "is_error"), ("an error message", "an error message from elsewhere")),
    **dict.fromkeys(("message", "string_here", "string_share"), ("the message stands in the code", "")),
    **dict.fromkeys(("pasted_elsewhere", "names_unknown", "names_library"), ("", "its code isn't from here")),
    "pasted_here": ("its code stands here", ""),
    "names_held": ("names what stands here", ""),
    **dict.fromkeys(
        ("definition", "definitions", "names_defined", "all_defined", "is_symbol", "called", "own_notion"),
        ("names what is defined here", ""),
    ),
    "path": ("names a file here", ""),
    "keywords": ("a few words to look up", ""),
    **dict.fromkeys(("matched", "coverage", "chance", "name_in_query"), ("its words stand together here", "")),
    **dict.fromkeys(("nearest", "support"), ("what is found here fits it", "what is found here hardly fits it")),
    "missing_share": ("", "its words hardly occur here"),
    **dict.fromkeys(
        ("last_route", "follows", "continues", "returns", "back_to_ours"),
        ("follows up on the question before", "follows up on the question before"),
    ),
    **dict.fromkeys(("leaves", "new_notion"), ("", "leaves the question before")),
}
# The same for one that is 0.
REASONS_WITHOUT: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("here", "repository"), ("", "nothing in it points here")),
    "untied": ("points at this repository", ""),
    **dict.fromkeys(
        ("definition", "definitions", "names_defined", "all_defined", "is_symbol"),
        ("", "names nothing that is defined here"),
    ),
}


@dataclass(frozen=True, slots=True)
class Mix:
    """features: (weight, mean) by name. words: what phrases are made of. phrases: weights."""

    bias: float
    features: Mapping[str, tuple[float, float]]
    words: frozenset[str]
    phrases: Mapping[str, float]

    def shares(self, told: Features, question: str) -> tuple[float, dict[str, float]]:
        """The logit, and what each feature adds to it, measured from the mean question's; "" for how the question is worded."""
        shares = {name: weight * (told[name] - mean) for name, (weight, mean) in self.features.items()}
        shares[""] = sum(self.phrases.get(phrase, 0.0) for phrase in phrases(question, self.words))
        return self.bias + sum(shares.values()), shares


@dataclass(frozen=True, slots=True)
class Judgement:
    """chance: that the question is about the repository, 0 to 1. reason: why it is the likelier side. judge: what judged,
    "states" with MiniLM's lower layers or "words" without."""

    chance: float
    reason: str
    judge: str
    features: Features


@cache
def shipped_mix() -> Mix:
    return read_mix(WEIGHTS)


def read_mix(path: Path) -> Mix:
    told = json.loads(path.read_text(encoding="utf-8"))
    weights = {name: (float(weight), float(mean)) for name, (weight, mean) in told["features"].items()}
    return Mix(float(told["bias"]), weights, frozenset(told["words"]), told["phrases"])


def judge(question: str, found: SearchResult, repository: str, routes: Sequence[str] = ()) -> Judgement:
    """found: what a search for the question returned. repository: its name. routes: how the earlier questions were answered."""
    told = features(question, found, repository, routes)
    states = states_of(question) if found.strength.embedder == EMBEDDER else None
    logit, shares = shipped_mix().shares(told, question) if states is None else shipped_machine().shares(told, states)
    chance = chance_of(logit)
    return Judgement(chance, reason_of(shares, told, code=chance >= 0.5), "words" if states is None else "states", told)


def warm_up() -> None:
    """Read weights, lists of names and layers, so that the first question needn't wait for them (0.4 s)."""
    for embedder in (EMBEDDER, ""):
        judge("What is it?", SearchResult((), (), False, strength=Strength(embedder=embedder)), "warm-up")


def reason_of(shares: Mapping[str, float], told: Features, *, code: bool) -> str:
    """shares: what each feature adds to the logit. told: the features. code: whether the code is the likelier side.

    What the features with one meaning add together decides; the wording only where nothing else speaks.
    """
    side = 0 if code else 1
    worth: dict[str, float] = defaultdict(float)
    for name, share in shares.items():
        reasons = REASONS if told.get(name) else REASONS_WITHOUT
        if reason := reasons.get(name, ("", ""))[side]:
            worth[reason] += share if code else -share
    best = max(worth, key=lambda reason: worth[reason], default="")
    wording = _WORDED_CODE if code else _WORDED_GENERAL
    return best if worth.get(best, 0.0) > 0 and worth[best] >= 0.5 * (shares[""] if code else -shares[""]) else wording
