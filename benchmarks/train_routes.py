"""Learn the weights of assistant/route_model.py from benchmarks/routes/questions.jsonl, and measure them.

    python -m benchmarks.train_routes --sources DIR … [--index DIR] [--switches FILE …] [--write]

Each question is searched in its repository's snapshot as it will be when it is asked: by words alone for the mix without
vectors, and with them for the other, which adds the question's own vector; so sources are embedded that aren't yet. Logistic
regression with an L2 penalty over standardised features, the vector and the phrases that occur in at least five questions (of
words that occur in at least ten, of seven repositories). Convex: no seed matters.

The figures are leave-one-repository-out: scale, phrases and weights that judge a repository's questions have seen none of them.
They stand beside the shares that simpler ways reach: always the code, the share of words that occur, and the vector alone.
--switches adds what `manage.py export_route_switches` wrote, as training examples only.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from assistant.intent import IS_CODE, SHOWS_EVIDENCE
from assistant.route_features import features, phrases
from assistant.route_model import EMBEDDER, WEIGHTS, Mix, judge, read_mixes
from indexer.benchmark import index_source
from indexer.evaluation import BenchmarkRepository, percentile
from indexer.retriever import Retriever
from indexer.types import SearchResult

if TYPE_CHECKING:
    from numpy.typing import NDArray

QUESTIONS = Path(__file__).with_name("routes") / "questions.jsonl"
# Found by cross-validation; half and double differ by less than the noise.
C = 0.07
VECTOR_SCALE = 5.0
PHRASE_SCALE = 1.5
LEAST_QUESTIONS_OF_A_WORD, LEAST_REPOSITORIES_OF_A_WORD = 10, 7
LEAST_QUESTIONS_OF_A_PHRASE = 5
PASSAGES = 12
BINS = 5
CERTAIN = ("trace", "regex")


@dataclass(frozen=True, slots=True)
class Question:
    """A line of questions.jsonl. routes: of the earlier questions, oldest first."""

    repository: str
    text: str
    code: bool
    kind: str
    hard: bool
    history: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """A question, what its search found (with its vector), and its features."""

    question: Question
    found: SearchResult
    features: Mapping[str, float]

    @property
    def vector(self) -> NDArray[np.float32] | None:
        return self.found.strength.vector


def read_questions(path: Path = QUESTIONS) -> list[Question]:
    """Raises ValueError when a line isn't a question with its route."""
    return [_question(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _question(told: Mapping[str, Any]) -> Question:
    if told["route"] not in ("code", "general"):
        raise ValueError(f"{told['route']!r} is no route to learn: {told['question']}")
    history = told.get("history", ())
    return Question(
        told["repository"],
        told["question"],
        told["route"] == "code",
        told.get("kind", "switch"),
        told.get("hard", False),
        tuple(turn["question"] for turn in history),
        tuple(turn["route"] for turn in history),
    )


def examples(questions: Sequence[Question], sources: Sequence[Path], index: Path, *, vectors: bool) -> list[Example]:
    """Search each question in its repository, whose source is in one of the folders and is indexed if it wasn't."""
    retriever = Retriever()
    found = []
    snapshots: dict[str, Path] = {}
    for question in questions:
        if question.repository not in snapshots:
            named = cast(BenchmarkRepository, SimpleNamespace(name=question.repository))
            folder = next((folder for folder in sources if (folder / named.name).is_dir()), sources[0])
            snapshots[question.repository] = index_source(named, folder, index, embedder=EMBEDDER, vectors=vectors)
        result = retriever.search(
            snapshots[question.repository], question.text, limit=PASSAGES, history=question.history, vectors=vectors
        )
        found.append(Example(question, result, features(question.text, result, question.repository, question.routes)))
    retriever.close()
    return found


# --- learning -----------------------------------------------------------------------------------------------------------------


def fit(learned: Sequence[Example], *, vectors: bool, without: Callable[[str], bool] = lambda name: False) -> Mix:
    """The weights of one mix. without: which features to leave out, for comparisons."""
    from sklearn.linear_model import LogisticRegression

    names = [name for name in learned[0].features if not without(name)]
    told = np.array([[example.features[name] for name in names] for example in learned]).reshape(len(learned), len(names))
    means, spread = told.mean(axis=0), told.std(axis=0)
    spread[spread == 0] = 1.0
    words = frozenset() if without("phrases") else telling_words(learned)
    said = [phrases(example.question.text, words) if words else set() for example in learned]
    counted = Counter(phrase for each in said for phrase in each)
    known = sorted(phrase for phrase, count in counted.items() if count >= LEAST_QUESTIONS_OF_A_PHRASE)
    columns = [(told - means) / spread, PHRASE_SCALE * np.array([[phrase in each for phrase in known] for each in said], float)]
    if vectors:
        columns.append(VECTOR_SCALE * np.array([_vector(example) for example in learned]))
    model = LogisticRegression(C=C, max_iter=3000).fit(np.hstack(columns), [example.question.code for example in learned])
    weights = model.coef_[0]
    plain, worded, rest = np.split(weights, [len(names), len(names) + len(known)])
    return Mix(
        bias=float(model.intercept_[0]),
        features=dict(zip(names, zip((plain / spread).tolist(), means.tolist(), strict=True), strict=True)),
        words=words,
        phrases=dict(zip(known, (PHRASE_SCALE * worded).tolist(), strict=True)),
        vector=VECTOR_SCALE * rest if vectors else None,
    )


def _vector(example: Example) -> NDArray[np.float32]:
    return np.zeros(384, np.float32) if example.vector is None else example.vector


def telling_words(learned: Iterable[Example]) -> frozenset[str]:
    """The words that many questions of many repositories hold: those that ask, and not what is asked about."""
    questions: Counter[str] = Counter()
    repositories: dict[str, set[str]] = defaultdict(set)
    for example in learned:
        for word in set(re.findall(r"\w+|[?`]", example.question.text.lower())):
            questions[word] += 1
            repositories[word].add(example.question.repository)
    return frozenset(
        word
        for word, count in questions.items()
        if count >= LEAST_QUESTIONS_OF_A_WORD and len(repositories[word]) >= LEAST_REPOSITORIES_OF_A_WORD
    )


def as_json(mixes: Mapping[str, Mix]) -> str:
    told = {
        name: {
            "bias": round(mix.bias, 4),
            "features": {feature: [round(weight, 4), round(mean, 4)] for feature, (weight, mean) in mix.features.items()},
            "words": sorted(mix.words),
            "phrases": {phrase: round(weight, 4) for phrase, weight in mix.phrases.items()},
            "vector": [] if mix.vector is None else [round(weight, 4) for weight in mix.vector.tolist()],
        }
        for name, mix in mixes.items()
    }
    return json.dumps(told, ensure_ascii=False, indent=0) + "\n"


# --- measuring ----------------------------------------------------------------------------------------------------------------


def chance(example: Example, mix: Mix, *, vectors: bool) -> float:
    """As answering judges it; what is certain by its kind isn't judged."""
    if example.found.kind in CERTAIN:
        return 1.0
    strength = replace(example.found.strength, vector=example.vector if vectors else None)
    found = replace(example.found, strength=strength)
    question = example.question
    return judge(question.text, found, question.repository, question.routes, {"vectors": mix, "words": mix}).chance


def held_out_chances(
    every: Sequence[Example],
    *,
    vectors: bool,
    also: Sequence[Example] = (),
    without: Callable[[str], bool] = lambda name: False,
) -> NDArray[np.float64]:
    """Each question's chance by weights that saw no question of its repository. also: further training examples."""
    chances = np.zeros(len(every))
    for repository in {example.question.repository for example in every}:
        learned = judged(one for one in (*every, *also) if one.question.repository != repository)
        mix = fit(learned, vectors=vectors, without=without)
        for place, example in enumerate(every):
            if example.question.repository == repository:
                chances[place] = chance(example, mix, vectors=vectors)
    return chances


def report(name: str, every: Sequence[Example], chances: NDArray[np.float64]) -> None:
    code = np.array([example.question.code for example in every])
    hard = np.array([example.question.hard for example in every])
    right = (chances >= IS_CODE) == code
    brier = float(np.mean((chances - code) ** 2))
    print(f"{name:34}{right.mean():9.3f}{right[hard].mean():9.3f}{right[~hard].mean():9.3f}{brier:9.4f}")


def report_details(every: Sequence[Example], chances: NDArray[np.float64]) -> None:
    code = np.array([example.question.code for example in every])
    right = (chances >= IS_CODE) == code
    band = (chances >= SHOWS_EVIDENCE) & (chances < IS_CODE)
    blind = code & (chances < SHOWS_EVIDENCE)
    print(f"\n{band.mean():.1%} are answered generally with evidence; {code[band].mean():.0%} of these are about the code.")
    print(f"Of the questions about the code {blind.sum() / code.sum():.1%} are answered without evidence;")
    print(f"of the general ones {((chances >= IS_CODE) & ~code).sum() / (~code).sum():.1%} go to the code model.")
    print(f"\n{'chance':>12}{'questions':>11}{'mean':>8}{'code':>8}")
    for low in np.arange(BINS) / BINS:
        inside = (chances >= low) & ((chances < low + 1 / BINS) | (low + 1 / BINS >= 1))
        if inside.any():
            print(f"{low:5.1f} to {low + 1 / BINS:.1f}{inside.sum():11}{chances[inside].mean():8.2f}{code[inside].mean():8.2f}")
    for title in ("kind", "repository"):
        groups: dict[str, list[bool]] = defaultdict(list)
        for example, good in zip(every, right, strict=True):
            groups[getattr(example.question, title)].append(bool(good))
        print(f"\nby {title}: " + ", ".join(f"{name} {sum(good)}/{len(good)}" for name, good in sorted(groups.items())))


def judged(every: Iterable[Example]) -> list[Example]:
    """Without those that are certain by their kind."""
    return [example for example in every if example.found.kind not in CERTAIN]


def by_share_of_words(example: Example) -> float:
    """1 where at least two and at least half of the question's words occur, or all of them."""
    matched, missing = len(example.found.matched_terms), len(example.found.missing_terms)
    return float(bool(matched) and (not missing or (matched >= 2 and matched >= missing)))


def report_speed(every: Sequence[Example], mixes: Mapping[str, Mix]) -> None:
    took: list[float] = []
    for example in every:
        started = time.perf_counter()
        judge(example.question.text, example.found, example.question.repository, example.question.routes, mixes)
        took.append((time.perf_counter() - started) * 1000)
    print(f"\na decision takes {percentile(took, 0.5):.2f} ms p50, {percentile(took, 0.95):.2f} ms p95")


def main() -> None:
    options = _options()
    questions = read_questions()
    asked = [question for path in options.switches for question in read_questions(path)]
    every = examples(questions, options.sources, options.index, vectors=True)
    by_words = examples(questions, options.sources, options.index, vectors=False)
    also = examples(asked, options.sources, options.index, vectors=True)
    also_by_words = examples(asked, options.sources, options.index, vectors=False)
    hard = sum(example.question.hard for example in every)
    repositories = len({example.question.repository for example in every})
    print(f"{len(every)} questions of {repositories} repositories, {hard} hard; {len(also)} switches")
    print(f"\n{'':34}{'all':>9}{'hard':>9}{'others':>9}{'Brier':>9}")
    report("always the code", every, np.ones(len(every)))
    report("share of words that occur", every, np.array([by_share_of_words(example) for example in every]))
    only_vector = held_out_chances(every, vectors=True, without=lambda name: True)
    report("vector alone", every, only_vector)
    report(
        "words, without phrases", every, held_out_chances(by_words, vectors=False, also=also_by_words, without="phrases".__eq__)
    )
    report("words", every, held_out_chances(by_words, vectors=False, also=also_by_words))
    chances = held_out_chances(every, vectors=True, also=also)
    report("vectors", every, chances)
    report_details(every, chances)
    mixes = {
        "vectors": fit(judged((*every, *also)), vectors=True),
        "words": fit(judged((*by_words, *also_by_words)), vectors=False),
    }
    report_speed(every, mixes)
    if options.write:
        WEIGHTS.write_text(as_json(mixes), encoding="utf-8")
        read_mixes(WEIGHTS)
        print(f"written to {WEIGHTS}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sources", type=Path, nargs="+", required=True, metavar="DIR", help="where the questions' repositories are, by name"
    )
    parser.add_argument("--index", type=Path, default=Path("var/benchmark"), help="where snapshots are kept")
    parser.add_argument(
        "--switches", type=Path, nargs="*", default=[], metavar="FILE", help="what readers switched, to learn from"
    )
    parser.add_argument("--write", action="store_true", help=f"write {WEIGHTS.name}")
    return parser.parse_args()


if __name__ == "__main__":
    main()
