"""Whether a repository holds anything that a question is about: the calibrated evidence of one search.

Ranking compares files with each other, so some file always comes first, also for a question about something that isn't
there. How much speaks for there being an answer at all is told by seven signs of a search, none of which is relative to the
other files:

    coverage    the share of the question, by rarity, that the fullest chunk holds
    card        BM25 of the best file card, as a share of what a card could have that says every word once
    rarest      in how many chunks the question's rarest word occurs (logarithm)
    name, path  how much of the likeliest file's name is asked for, and how much of the question its path says
    definition  how surely that file defines a name in the question
    nearest     the cosine of the nearest chunk, where all chunks have vectors of MiniLM

A logistic model adds them up (`support_weights.json`, from benchmarks/abstention.py; docs/citations.md has its curve). The
more a repository holds, the more of any question occurs in it by chance: so `baseline` asks it questions about other
projects, and what these reach moves the border for this repository.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from indexer.query import Query
from indexer.reranker import FEATURES

if TYPE_CHECKING:
    from numpy.typing import NDArray

WEIGHTS = Path(__file__).with_name("support_weights.json")
QUESTIONS = Path(__file__).with_name("foreign_questions.txt")

WORD_SIGNS = ("coverage", "card", "rarest", "name", "path", "definition")
SIGNS = (*WORD_SIGNS, "nearest")
# Cosines mean something else with every embedding model.
MEASURED_WITH = "minilm"
# BM25 gives a term that occurs once in a text of usual length its rarity, and at most k1 + 1 times that.
_HIGHEST_SHARE = 2.2
# The share of foreign questions that a repository's border stands above, before it is mixed with the common border.
QUANTILE = 0.8


@dataclass(frozen=True, slots=True)
class Weights:
    """Of the signs, in their order, and the bias; border: below it (in logits) a question counts as unanswered; share: how much
    of a repository's own baseline its border is moved by."""

    signs: tuple[float, ...]
    bias: float
    border: float
    share: float


@cache
def shipped_weights(vectors: bool) -> Weights:
    told = json.loads(WEIGHTS.read_text(encoding="utf-8"))["vectors" if vectors else "words"]
    return Weights(
        tuple(told["signs"][sign] for sign in (SIGNS if vectors else WORD_SIGNS)), told["bias"], told["border"], told["share"]
    )


@cache
def foreign_questions() -> tuple[str, ...]:
    """What is asked about other projects."""
    return tuple(QUESTIONS.read_text(encoding="utf-8").splitlines())


def word_signs(
    query: Query,
    rarity: Mapping[str, float],
    frequencies: Mapping[str, int],
    cards: Iterable[float],
    features: NDArray[np.float64],
) -> tuple[float, ...]:
    """The WORD_SIGNS of a search. rarity, frequencies: of the query's stems; cards: BM25 of file cards; features: of the
    candidates, the likeliest first, (n, len(FEATURES))."""
    if not len(features) or not query.stems:
        return (0.0,) * len(WORD_SIGNS)
    possible = _HIGHEST_SHARE * sum(rarity[stem] for stem in query.stems)
    first = dict(zip(FEATURES, features[0].tolist(), strict=True))
    return (
        float(features[:, FEATURES.index("coverage")].max()),
        max(cards, default=0.0) / possible,
        float(np.log1p(min(frequencies.get(stem, 0) for stem in query.stems))),
        first["name_in_query"],
        first["query_in_path"],
        first["definition"],
    )


def support(signs: Sequence[float]) -> float:
    """In logits, above the common border: negative where hardly anything speaks for an answer. signs: WORD_SIGNS, or
    SIGNS where there are vectors."""
    weights = shipped_weights(vectors=len(signs) == len(SIGNS))
    return sum(w * sign for w, sign in zip(weights.signs, signs, strict=True)) + weights.bias - weights.border


def baseline(supports: Sequence[float], vectors: bool) -> float:
    """How far a repository's own border lies above the common one, from what foreign questions reach there."""
    return shipped_weights(vectors).share * float(np.quantile(supports, QUANTILE)) if len(supports) else 0.0
