"""Learn the weights of indexer/reranker.py from annotated questions.

The loss is listwise: the softmax over a question's candidate files should give its chance to the files that answer it (a
secondary file gets half the share of a primary one), plus an L2 penalty on standardised features (0.01, as found best in the
design study; 0.003 to 0.03 differ by less than the noise). It is convex, so the result doesn't depend on a seed or a start.

The honest figure is leave-one-repository-out: the weights that rank a repository's questions have never seen it. The
weights that are written are those of all repositories, whose figure on them is the in-sample one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize

from indexer.evaluation import Question, Target, ndcg
from indexer.reranker import FEATURES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexer.search import Candidate

L2 = 0.01
_SECONDARY_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Example:
    """A question's candidates: features (n, len(FEATURES)) float64, gains (n,) summing to 1 or all 0."""

    question: Question
    paths: tuple[str, ...]
    features: NDArray[np.float64]
    gains: NDArray[np.float64]


def example_of(question: Question, candidates: Sequence[Candidate]) -> Example:
    paths = tuple(candidate.evidence.path for candidate in candidates)
    gains = np.array([_gain(question, path) for path in paths])
    features = np.array([candidate.features for candidate in candidates]).reshape(len(paths), len(FEATURES))
    return Example(question, paths, features, gains / gains.sum() if gains.any() else gains)


def _gain(question: Question, path: str) -> float:
    if any(target.is_in(path) for target in question.relevant):
        return 1.0
    return _SECONDARY_SHARE if any(target.is_in(path) for target in question.secondary) else 0.0


def fit(examples: Iterable[Example], l2: float = L2) -> NDArray[np.float64]:
    """The weights of FEATURES (len(FEATURES),) that fit the examples best; examples without an answer teach nothing."""
    usable = [example for example in examples if example.gains.any()]
    features = np.vstack([example.features for example in usable])
    gains = np.concatenate([example.gains for example in usable])
    lengths = [len(example.gains) for example in usable]
    spread = features.std(axis=0)
    standardised = features / np.where(spread > 0, spread, np.inf)
    segment = np.repeat(np.arange(len(usable)), lengths)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scores = standardised @ weights
        scores -= np.maximum.reduceat(scores, starts)[segment]
        exponentials = np.exp(scores)
        totals = np.add.reduceat(exponentials, starts)[segment]
        value = -(gains * (scores - np.log(totals))).sum() / len(usable) + l2 * weights @ weights
        slope = standardised.T @ (exponentials / totals - gains) / len(usable) + 2 * l2 * weights
        return float(value), slope

    solution = minimize(loss, np.zeros(len(FEATURES)), jac=True, method="L-BFGS-B").x
    return np.where(spread > 0, solution / np.where(spread > 0, spread, 1.0), 0.0)


def file_ndcg(example: Example, weights: NDArray[np.float64]) -> float:
    """NDCG@10 of the files as these weights rank them."""
    order = np.argsort(-(example.features @ weights), kind="stable")
    ranked = [example.paths[i] for i in order]
    targets = dict.fromkeys(target.path for target in (*example.question.relevant, *example.question.secondary))
    return ndcg([next((rank for rank, path in enumerate(ranked, 1) if Target(name).is_in(path)), 0) for name in targets])


def cross_validated(examples: Sequence[Example], train: Callable[[list[Example]], NDArray[np.float64]] = fit) -> list[float]:
    """NDCG@10 over files of each example under weights that were fitted without its repository."""
    weights = {
        left_out: train([example for example in examples if example.question.repository != left_out])
        for left_out in {example.question.repository for example in examples}
    }
    return [file_ndcg(example, weights[example.question.repository]) for example in examples]


def without(examples: Iterable[Example], features: Iterable[str]) -> list[Example]:
    """The same examples as if these features had never been measured."""
    kept = np.array([feature not in set(features) for feature in FEATURES], dtype=np.float64)
    return [replace(example, features=example.features * kept) for example in examples]
