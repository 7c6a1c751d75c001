"""How likely a question is about the repository: logistic regression over what it shows, and what says why.

The weights are in `route_weights.json`, which benchmarks/train_routes.py writes from benchmarks/routes/questions.jsonl; its
docstring tells how, and docs/routes.md how good they are. There are two mixes: `vectors` adds the question's vector, where
MiniLM made one for the search, and `words` does without. What a vector or a phrase says can't be told in words: of these the
reader hears only how the question reads; every other feature has its own reason.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.route_features import Features, features, phrases
from indexer.types import SearchResult

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WEIGHTS = Path(__file__).with_name("route_weights.json")
# The embedder whose vectors the weights know.
EMBEDDER = "minilm"

_WORDED_CODE, _WORDED_GENERAL = "reads like a question about the code", "reads like a general question"
# What a feature means for the code, and for general knowledge; without one it can't be the reason.
REASONS: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("here", "ours", "untied"), ("points at this repository", "nothing in it points here")),
    "repository": ("names this repository", "nothing in it points here"),
    "where": ("asks where something is", ""),
    **dict.fromkeys(("it", "this"), ("asks what it does", "")),
    "meta": ("asks about the project", ""),
    **dict.fromkeys(("task", "plain_task"), ("asks how to do something with it", "")),
    **dict.fromkeys(("mechanism", "passive", "definite"), ("asks how something is done", "")),
    **dict.fromkeys(
        ("notion", "works", "indefinite", "introduced", "loose_notion", "why"), ("", "asks what something is in general")
    ),
    **dict.fromkeys(("generally", "advice", "who"), ("", "asks for general knowledge")),
    **dict.fromkeys(("difference", "loose_difference"), ("", "compares things")),
    "constructs": ("", "asks about a language"),
    "talk": ("", "small talk"),
    **dict.fromkeys(
        (
            "language",
            "in_language",
            "tool",
            "with_unknown",
            "unknown_tool",
            "loose_technology",
            "technology_task",
            "technology_wish",
        ),
        ("", "names another language or tool"),
    ),
    **dict.fromkeys(("system_error", "foreign_error"), ("", "no message of this repository's")),
    **dict.fromkeys(("error", "is_error"), ("an error message", "an error message from elsewhere")),
    "message": ("the message stands in the code", ""),
    **dict.fromkeys(("pasted", "names_unknown", "names_library"), ("", "its code isn't from here")),
    **dict.fromkeys(
        ("definition", "definitions", "names_defined", "all_defined", "is_symbol"),
        ("names what is defined here", "names nothing that is defined here"),
    ),
    "path": ("names a file here", ""),
    "keywords": ("a few words to look up", ""),
    **dict.fromkeys(("matched", "coverage", "bm25", "chance", "name_in_query"), ("its words stand together here", "")),
    **dict.fromkeys(("missing", "missing_share"), ("all its words occur here", "its words hardly occur here")),
    **dict.fromkeys(
        ("last_route", "follows", "continues", "points_back", "returns"),
        ("follows up on the question before", "follows up on the question before"),
    ),
    **dict.fromkeys(("leaves", "new_notion"), ("", "leaves the question before")),
}


@dataclass(frozen=True, slots=True)
class Mix:
    """features: (weight, mean) by name. words: what phrases are made of. phrases: weights. vector: (dimension,) or None."""

    bias: float
    features: Mapping[str, tuple[float, float]]
    words: frozenset[str]
    phrases: Mapping[str, float]
    vector: NDArray[np.float64] | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """chance: that the question is about the repository, 0 to 1. reason: why it is the likelier side. mix: what judged."""

    chance: float
    reason: str
    mix: str
    features: Features


@cache
def shipped_mixes() -> Mapping[str, Mix]:
    return read_mixes(WEIGHTS)


def read_mixes(path: Path) -> dict[str, Mix]:
    import numpy as np

    def mix(told: dict[str, object]) -> Mix:
        given = dict(told)
        weights = {name: (float(weight), float(mean)) for name, (weight, mean) in given["features"].items()}  # type: ignore[attr-defined]
        vector = np.array(given["vector"]) if given["vector"] else None
        return Mix(float(given["bias"]), weights, frozenset(given["words"]), dict(given["phrases"]), vector)  # type: ignore[arg-type,call-overload]

    return {name: mix(told) for name, told in json.loads(path.read_text(encoding="utf-8")).items()}


def judge(
    question: str,
    found: SearchResult,
    repository: str,
    routes: Sequence[str] = (),
    mixes: Mapping[str, Mix] | None = None,
) -> Judgement:
    """found: what a search for the question returned. repository: its name. routes: how the earlier questions were answered."""
    strength = found.strength
    mixes = mixes or shipped_mixes()
    name = "vectors" if strength.vector is not None and strength.embedder == EMBEDDER else "words"
    told = features(question, found, repository, routes)
    shares = _shares(mixes[name], told, phrases(question, mixes[name].words), strength.vector)
    chance = 1.0 / (1.0 + math.exp(-(mixes[name].bias + sum(shares.values()))))
    return Judgement(chance, _reason(shares, code=chance >= 0.5), name, told)


def _shares(mix: Mix, told: Features, said: set[str], vector: NDArray[np.float32] | None) -> dict[str, float]:
    """What each feature adds to the logit, measured from the mean question's; "" for how the question is worded."""
    shares = {name: weight * (told[name] - mean) for name, (weight, mean) in mix.features.items()}
    worded = sum(mix.phrases.get(phrase, 0.0) for phrase in said)
    if mix.vector is not None and vector is not None:
        worded += float(mix.vector @ vector)
    return {**shares, "": worded}


def _reason(shares: Mapping[str, float], *, code: bool) -> str:
    """What the features with one meaning add together decides; the wording only where nothing else speaks."""
    side = 0 if code else 1
    worth: dict[str, float] = defaultdict(float)
    for name, share in shares.items():
        if reason := REASONS.get(name, ("", ""))[side]:
            worth[reason] += share if code else -share
    best = max(worth, key=lambda reason: worth[reason], default="")
    wording = _WORDED_CODE if code else _WORDED_GENERAL
    return best if worth.get(best, 0.0) > 0 and worth[best] >= 0.5 * (shares[""] if code else -shares[""]) else wording
