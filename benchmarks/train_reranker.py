"""Learn the weights of indexer/reranker.py from annotated questions.

    python -m benchmarks.train_reranker --dataset DIR --sources DIR [--index DIR] [--clones DIR] [--vectors NAME …]
                                        [--plain-sources DIR] [--long-set DIR] [--without FEATURE …] [--ablate] [--write]

The loss is listwise: the softmax over a question's candidate files should give its chance to the files that answer it (a
secondary file gets half the share of a primary one), plus an L2 penalty on standardised features (0.01, as found best in the
design study; 0.003 to 0.03 differ by less than the noise). It is convex, so the result depends on no seed and no start. No
weight may have the wrong sign.

The honest figure is leave-one-repository-out: the weights that rank a repository's questions have never seen it, and rank them
in real searches. The weights that are written are those of all repositories, whose figure on them is the in-sample one.

Of the four mixes, `short` learns from the dataset's questions, and with --plain-sources also from benchmarks/plain_questions,
of which each counts PLAIN_WEIGHT: at that weight the dataset's figures stay as they are and those of the plain questions gain.
`long` learns from commit messages (benchmarks/commits.py), and needs --clones: a folder with a git repository for each name.
One mix for both kinds of question ranks the short ones worse by 0.005 to 0.03, the more commit messages there are in it.
`short_dense` and `long_dense` learn from the repositories that --vectors names (their chunks are embedded first, which takes
seconds to minutes for a thousand files on two cores). Name as many as there are: from 11 of them a mix was learned that ranked
unseen ones worse than the one without vectors did. A mix that a run has no examples for is left as it is.

With --clones the repositories of benchmarks/long_questions are searched too, each with long mixes that were fitted without its
messages and without its annotated questions (benchmarks/unseen_long_questions.py).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import unseen_long_questions
from benchmarks.commits import training_questions
from benchmarks.long_questions import FOLDER as LONG_QUESTIONS
from benchmarks.long_questions import held_out
from benchmarks.unseen_long_questions import Place
from indexer.benchmark import ScopeName, answer, index_source
from indexer.evaluation import BenchmarkRepository, Outcome, Question, Target, grouped, mean, ndcg, read_dataset
from indexer.reranker import FEATURES, WEIGHTS, Mixes, shipped_mixes
from indexer.retriever import Candidates, Retriever

if TYPE_CHECKING:
    from numpy.typing import NDArray

L2 = 0.01
PLAIN_QUESTIONS = Path(__file__).with_name("plain_questions")
PLAIN_WEIGHT = 0.25
# What may only speak for a file, and what only against it.
_FOR = frozenset(
    ("body", "coverage", "card", "name_in_query", "query_in_path", "folder_in_query", "definition", "dense", "test_asked")
)
_AGAINST = frozenset(("test", "documentation", "example", "prose"))
_SECONDARY_SHARE = 0.5
_MOST_STEPS = 100
_SMALLEST_STEP = 1e-7


@dataclass(frozen=True, slots=True)
class Example:
    """A question's candidates: features (n, len(FEATURES)) float64, gains (n,) summing to 1 or all 0. weight: how many of the
    dataset's questions it counts for."""

    question: Question
    paths: tuple[str, ...]
    features: NDArray[np.float64]
    gains: NDArray[np.float64]
    weight: float = 1.0


def example_of(question: Question, candidates: Candidates) -> Example:
    gains = np.array([_gain(question, path) for path in candidates.paths])
    return Example(question, candidates.paths, candidates.features, gains / gains.sum() if gains.any() else gains)


def _gain(question: Question, path: str) -> float:
    if any(target.is_in(path) for target in question.relevant):
        return 1.0
    return _SECONDARY_SHARE if any(target.is_in(path) for target in question.secondary) else 0.0


class _Problem:
    """The loss of many examples at once, over standardised features (rows, features that vary)."""

    def __init__(self, examples: Sequence[Example], l2: float) -> None:
        features = np.vstack([example.features for example in examples])
        spread = features.std(axis=0)
        self.varies = spread > 0
        self.spread = spread[self.varies]
        self._rows = features[:, self.varies] / self.spread
        self._gains = np.concatenate([example.gains for example in examples])
        lengths = [len(example.gains) for example in examples]
        self._starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        self._example = np.repeat(np.arange(len(examples)), lengths)
        weights = np.array([example.weight for example in examples])
        self._shares = weights / weights.sum()
        self._share = self._shares[self._example]
        self._l2 = l2

    def loss(self, weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """The loss, and each row's chance under these weights."""
        scores = self._rows @ weights
        scores -= np.maximum.reduceat(scores, self._starts)[self._example]
        exponentials = np.exp(scores)
        totals = np.add.reduceat(exponentials, self._starts)[self._example]
        unlikeliness = -(self._share * self._gains * (scores - np.log(totals))).sum()
        return float(unlikeliness + self._l2 * weights @ weights), exponentials / totals

    def newton_step(self, weights: NDArray[np.float64], chances: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        """Where the loss falls to, as a step to subtract, and how steeply it falls that way."""
        slope = self._rows.T @ (self._share * (chances - self._gains)) + 2 * self._l2 * weights
        weighted = self._rows * chances[:, None]
        means = np.add.reduceat(weighted, self._starts, axis=0)
        spread = self._rows.T @ (weighted * self._share[:, None]) - means.T @ (means * self._shares[:, None])
        curvature = spread + 2 * self._l2 * np.eye(len(weights))
        step = np.linalg.solve(curvature, slope)
        return step, float(slope @ step)


def fit(examples: Iterable[Example], l2: float = L2) -> NDArray[np.float64]:
    """The weights of FEATURES (len(FEATURES),) that fit the examples best; examples without an answer teach nothing.

    A feature whose weight would have the wrong sign is left out: in one framework for testing more speaks of tests than what
    answers about them, and other repositories aren't to learn that a test is no answer where tests are asked for.
    """
    answered = [example for example in examples if example.gains.any()]
    wrong: set[str] = set()
    while True:
        weights = _best(without(answered, wrong), l2)
        by_name = zip(FEATURES, weights.tolist(), strict=True)
        found = {name for name, weight in by_name if (weight < 0 and name in _FOR) or (weight > 0 and name in _AGAINST)}
        if not found:
            return weights
        wrong |= found


def _best(examples: Sequence[Example], l2: float) -> NDArray[np.float64]:
    """Newton's method, with steps halved until the loss falls (Armijo's rule)."""
    problem = _Problem(examples, l2)
    weights = np.zeros(len(problem.spread))
    loss, chances = problem.loss(weights)
    for _ in range(_MOST_STEPS):
        step, fall = problem.newton_step(weights, chances)
        while (tried := problem.loss(weights - step))[0] > loss - 1e-4 * fall and np.abs(step).max() > _SMALLEST_STEP:
            step, fall = step / 2, fall / 2
        weights, (loss, chances) = weights - step, tried
        if np.abs(step).max() <= _SMALLEST_STEP:
            break
    found = np.zeros(len(FEATURES))
    found[problem.varies] = weights / problem.spread
    return found


def file_ndcg(example: Example, weights: NDArray[np.float64]) -> float:
    """NDCG@10 of the files as these weights rank them."""
    order = np.argsort(-(example.features @ weights), kind="stable")
    ranked = [example.paths[i] for i in order]
    targets = dict.fromkeys(target.path for target in (*example.question.relevant, *example.question.secondary))
    return ndcg([next((rank for rank, path in enumerate(ranked, 1) if Target(name).is_in(path)), 0) for name in targets])


@dataclass(frozen=True, slots=True)
class Learned:
    """The weights of one mix, and by repository those that were fitted without it."""

    weights: NDArray[np.float64]
    without: Mapping[str, NDArray[np.float64]]


def learn(examples: Sequence[Example]) -> Learned:
    names = dict.fromkeys(example.question.repository for example in examples)
    by_name = {name: fit(example for example in examples if example.question.repository != name) for name in names}
    return Learned(fit(examples), by_name)


def cross_validated(examples: Sequence[Example]) -> list[float]:
    """NDCG@10 over files of each example under weights that were fitted without its repository."""
    weights = learn(examples).without
    return [file_ndcg(example, weights[example.question.repository]) for example in examples]


def without(examples: Iterable[Example], features: Iterable[str]) -> list[Example]:
    """The same examples as if these features had never been measured."""
    left_out = set(features)
    kept = np.array([feature not in left_out for feature in FEATURES], dtype=np.float64)
    return [replace(example, features=example.features * kept) for example in examples]


# --- the program ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Indexed:
    """A repository of the dataset and its snapshot."""

    repository: BenchmarkRepository
    snapshot: Path
    vectors: bool


def main() -> None:
    options = _options()
    indexed = [_indexed(repository, options.sources, options) for repository in read_dataset(options.dataset)]
    learned: dict[str, Learned] = {}
    for ending, some in (("", indexed), ("_dense", [each for each in indexed if each.vectors])):
        if some:
            plain = [each for each in _plain(options) if each.vectors or not ending]
            learned[f"short{ending}"] = _learn_short(f"short{ending}", some, plain, options, learned.get("short"))
        if some and options.clones:
            asked = [_with_long_questions(each, options.clones) for each in some]
            learned[f"long{ending}"] = _learn_long(f"long{ending}", asked, options, learned[f"short{ending}"])
    if "long" in learned:
        _measure_long_set(options.long_set, indexed, learned)
    if options.write:
        _write(learned)


def _measure_long_set(dataset: Path, indexed: Sequence[Indexed], learned: Mapping[str, Learned]) -> None:
    """Search the long questions of each repository with the mixes that have not seen it."""

    def mixes(name: str) -> Mixes:
        unseen = {mix: each.without[name].tolist() for mix, each in learned.items() if name in each.without}
        return {**shipped_mixes(), **unseen}

    places = {each.repository.name: Place(each.snapshot, each.vectors) for each in indexed}
    unseen_long_questions.print_figures(unseen_long_questions.measured(dataset, places, mixes))


def _indexed(repository: BenchmarkRepository, sources: Path, options: argparse.Namespace) -> Indexed:
    vectors = repository.name in options.vectors
    return Indexed(repository, index_source(repository, sources, options.index, vectors=vectors), vectors)


def _plain(options: argparse.Namespace) -> list[Indexed]:
    """The repositories of benchmarks/plain_questions, where their sources are given."""
    if options.plain_sources is None:
        return []
    repositories = read_dataset(PLAIN_QUESTIONS)
    return [_indexed(each, options.plain_sources, options) for each in repositories]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--sources", type=Path, required=True, help="one folder for each repository of the dataset")
    parser.add_argument("--index", type=Path, default=Path("var/benchmark"), help="where snapshots are kept")
    parser.add_argument("--clones", type=Path, help="one git repository for each, to learn the long mixes from")
    parser.add_argument(
        "--vectors", nargs="*", default=[], metavar="NAME", help="learn the dense mixes from these repositories"
    )
    parser.add_argument("--plain-sources", type=Path, help="one folder for each repository of benchmarks/plain_questions")
    parser.add_argument(
        "--long-set", type=Path, default=LONG_QUESTIONS, help="measure with --clones on this set (default: the one here)"
    )
    parser.add_argument("--without", nargs="*", default=[], metavar="FEATURE", choices=FEATURES, help="do without these")
    parser.add_argument("--ablate", action="store_true", help="also print what leaving out each feature costs")
    parser.add_argument("--write", action="store_true", help=f"write {WEIGHTS.name}")
    return parser.parse_args()


def _with_long_questions(each: Indexed, clones: Path) -> Indexed:
    questions = training_questions(each.repository, clones / each.repository.name, each.snapshot, held_out())
    return replace(each, repository=replace(each.repository, questions=questions))


def _learn_short(
    mix: str, indexed: Sequence[Indexed], plain: Sequence[Indexed], options: argparse.Namespace, words: Learned | None
) -> Learned:
    """Fit a mix to the dataset's questions and the plain ones, and print how good it is. words: the mix without vectors, to
    compare a dense one with."""
    examples = without(_examples(mix, indexed), options.without)
    if plain:
        examples += [replace(each, weight=PLAIN_WEIGHT) for each in without(_examples(mix, plain), options.without)]
    learned = learn(examples)
    if words:
        _report("as without vectors", _ask(mix, indexed, words.without))
    _report("leave one out, whole", _ask(mix, indexed, learned.without))
    _report("leave one out, root", _ask(mix, indexed, learned.without, "root"))
    _report("in sample, whole", _ask(mix, indexed, dict.fromkeys(learned.without, learned.weights)))
    if plain and words:
        _report("plain, without vectors", _ask(mix, plain, words.without))
    if plain:
        _report("leave one out, plain", _ask(mix, plain, learned.without))
    _print_weights(examples, learned.weights, options.ablate)
    return learned


def _learn_long(mix: str, indexed: Sequence[Indexed], options: argparse.Namespace, short: Learned) -> Learned:
    """Fit a mix to long questions, and print how much better than the short one it answers them."""
    examples = without(_examples(mix, indexed), options.without)
    learned = learn(examples)
    body = np.eye(len(FEATURES))[FEATURES.index("body")]
    _report("by words alone", _ask(mix, indexed, dict.fromkeys(learned.without, body)))
    _report("with the short mix", _ask(mix, indexed, short.without))
    _report("leave one out", _ask(mix, indexed, learned.without))
    _print_weights(examples, learned.weights, ablate=False)
    return learned


def _examples(mix: str, indexed: Sequence[Indexed]) -> list[Example]:
    retriever = Retriever()
    examples = [
        example_of(question, retriever.candidates(each.snapshot, question.text, vectors=mix.endswith("_dense")))
        for each in indexed
        for question in each.repository.questions
    ]
    retriever.close()
    answered = fmean(example.gains.any() for example in examples)
    print(f"\n{mix}: {len(examples)} questions of {len(indexed)} repositories; {answered:.3f} have a candidate that answers")
    return [example for example in examples if example.paths]


def _ask(
    mix: str, indexed: Sequence[Indexed], weights: Mapping[str, NDArray[np.float64]], scope: ScopeName = "whole"
) -> list[Outcome]:
    """Search each repository's questions with its own weights in this mix."""
    outcomes: list[Outcome] = []
    for each in indexed:
        name = each.repository.name
        if name in weights:
            retriever = Retriever(mixes={**shipped_mixes(), mix: weights[name].tolist()})
            found = answer(retriever, each.repository, each.snapshot, scope, vectors=mix.endswith("_dense"))
            outcomes += [answered.outcome for answered in found]
            retriever.close()
    return outcomes


def _report(name: str, outcomes: Sequence[Outcome]) -> None:
    measures = ("ndcg10", "file_ndcg10", "hit1", "hit5", "recall10")
    print(f"  {name:22}" + "  ".join(f"{measure} {mean(outcomes, measure):.4f}" for measure in measures), flush=True)
    by_category = grouped(outcomes, lambda question: question.category)
    if len(by_category) > 1:
        print(f"  {'':22}" + "  ".join(f"{category} {mean(some, 'ndcg10'):.4f}" for category, some in by_category.items()))


def _print_weights(examples: Sequence[Example], weights: NDArray[np.float64], ablate: bool) -> None:
    spread = np.vstack([example.features for example in examples]).std(axis=0)
    everything = fmean(cross_validated(examples)) if ablate else 0.0
    print(f"  {'feature':16}{'weight':>8}{'x spread':>10}" + (f"{'left out':>10}" if ablate else ""))
    for feature, weight, width in zip(FEATURES, weights, spread, strict=True):
        cost = f"{fmean(cross_validated(without(examples, [feature]))) - everything:+10.4f}" if ablate and width else ""
        print(f"  {feature:16}{weight:8.3f}{weight * width:10.3f}{cost}", flush=True)


def _write(learned: Mapping[str, Learned]) -> None:
    mixes = {**shipped_mixes(), **{mix: each.weights for mix, each in learned.items()}}
    rounded = {
        mix: {feature: round(float(weight), 4) for feature, weight in zip(FEATURES, weights, strict=True) if weight}
        for mix, weights in mixes.items()
    }
    WEIGHTS.write_text(json.dumps({"mixes": rounded}, indent=1) + "\n", encoding="utf-8")
    print(f"\nwritten to {WEIGHTS}")


if __name__ == "__main__":
    main()
