"""Learn what assistant/route_model.py judges by from benchmarks/routes/questions.jsonl, and measure it.

    python -m benchmarks.train_routes --sources DIR … [--index DIR] [--switches FILE …] [--write]

Each question is searched in its repository's snapshot as it will be when it is asked: with vectors for the support vector
machine, which hears MiniLM's lower layers too, and by words alone for the logistic regression that stands in for it; so sources
are embedded that aren't yet. Both are convex: no seed matters.

The figures are cross-validated by repository, in twelve groups: scale, phrases and weights that judge a repository's questions
have seen none of them; only the two numbers of the machine's calibration are learned from what was decided of all. They stand
beside the shares that simpler ways reach: always the code, and the share of words that occur. Of each lot of questions it is
told, too, how it is judged by what the lots before it teach: how weights do with people who ask in a way that they haven't met.
--switches adds what `manage.py export_route_switches` wrote, as training examples only.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from assistant.intent import IS_CODE, SHOWS_EVIDENCE
from assistant.route_features import phrases
from assistant.route_kernel import MACHINE, Machine, states_of, write_machine
from assistant.route_model import WEIGHTS, Mix, judge
from benchmarks.route_examples import CERTAIN, Example, examples, judged, read_questions
from indexer.evaluation import percentile

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Found by cross-validation; half and double differ by less than the noise.
C = 0.07
MACHINE_C = 4.0
# How much more a question's states weigh in a distance than all its features together, and along how many axes they are kept.
STATES_SCALE = 1.5
AXES = 160
PHRASE_SCALE = 1.5
LEAST_QUESTIONS_OF_A_WORD, LEAST_REPOSITORIES_OF_A_WORD = 20, 12
LEAST_QUESTIONS_OF_A_PHRASE = 9
BINS = 5
# In so many groups the repositories are held out.
GROUPS = 12


# --- learning -----------------------------------------------------------------------------------------------------------------


def fit_mix(learned: Sequence[Example], *, with_phrases: bool = True) -> Mix:
    """Logistic regression with an L2 penalty over standardised features and the phrases of at least nine questions."""
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    names, told, means, spread = _standardised(learned)
    words = telling_words(learned) if with_phrases else frozenset()
    columns, known = told, []
    if words:
        said = CountVectorizer(analyzer=lambda text: phrases(text, words), min_df=LEAST_QUESTIONS_OF_A_PHRASE)
        counted = said.fit_transform([example.question.text for example in learned])
        columns, known = hstack([told, PHRASE_SCALE * counted]).tocsr(), said.get_feature_names_out().tolist()
    model = LogisticRegression(C=C, max_iter=3000).fit(columns, _labels(learned))
    plain, worded = np.split(model.coef_[0], [len(names)])
    return Mix(
        bias=float(model.intercept_[0]),
        features=dict(zip(names, zip((plain / spread).tolist(), means.tolist(), strict=True), strict=True)),
        words=words,
        phrases=dict(zip(known, (PHRASE_SCALE * worded).tolist(), strict=True)),
    )


def fit_machine(learned: Sequence[Example]) -> Machine:
    """A support vector machine over the features and the states' principal components."""
    from sklearn.svm import SVC

    names, told, means, spread = _standardised(learned)
    states = np.array([example.states for example in learned], float)
    centre = states.mean(axis=0)
    states -= centre
    axes = np.linalg.svd(states, full_matrices=False)[2][:AXES] * (STATES_SCALE / np.sqrt(np.mean(np.sum(states**2, axis=1))))
    places = np.hstack([told / np.sqrt(len(names)), states @ axes.T])
    squares = 0.5 * np.sum(places**2, axis=1)
    # (n, n), 3 GB of 20,000 questions: made in place. Of a copy, since OpenBLAS's product of a matrix with itself crashes here.
    kernel = places @ places.copy().T
    kernel -= squares[:, None]
    kernel -= squares
    np.exp(kernel, out=kernel)
    model = SVC(C=MACHINE_C, kernel="precomputed").fit(kernel, _labels(learned))
    mean, scale, centre, axes, support, weights = (
        array.astype(np.float32)
        for array in (means, 1 / (spread * np.sqrt(len(names))), centre, axes, places[model.support_], model.dual_coef_[0])
    )
    return Machine(tuple(names), mean, scale, centre, axes, support, weights, bias=float(model.intercept_[0]))


def calibrated(machine: Machine, logits: NDArray[np.float64], code: NDArray[np.bool_]) -> Machine:
    """With the logistic curve that turns what held-out machines decided into chances."""
    from sklearn.linear_model import LogisticRegression

    curve = LogisticRegression(C=1e6).fit(logits[:, None], code)
    return replace(machine, slope=float(curve.coef_[0, 0]), offset=float(curve.intercept_[0]))


def _standardised(
    learned: Sequence[Example],
) -> tuple[list[str], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The features' names, (n, f) their values at mean 0 and spread 1, and their means and spreads."""
    names = list(learned[0].features)
    told = np.array([[example.features[name] for name in names] for example in learned], float)
    means, spread = told.mean(axis=0), told.std(axis=0)
    spread[spread == 0] = 1.0
    return names, (told - means) / spread, means, spread


def _labels(learned: Sequence[Example]) -> NDArray[np.bool_]:
    return np.array([example.question.code for example in learned])


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


def as_json(mix: Mix) -> str:
    told = {
        "bias": round(mix.bias, 4),
        "features": {feature: [round(weight, 4), round(mean, 4)] for feature, (weight, mean) in mix.features.items()},
        "words": sorted(mix.words),
        "phrases": {phrase: round(weight, 4) for phrase, weight in mix.phrases.items()},
    }
    return json.dumps(told, ensure_ascii=False, indent=0) + "\n"


# --- measuring ----------------------------------------------------------------------------------------------------------------


Judge = Callable[[Example], float]


def by_mix(mix: Mix) -> Judge:
    return lambda example: mix.shares(example.features, example.question.text)[0]


def by_machine(machine: Machine) -> Judge:
    return lambda example: machine.shares(example.features, example.states)[0]


def held_out_logits(
    every: Sequence[Example], learn: Callable[[list[Example]], Judge], known: Sequence[Example]
) -> NDArray[np.float64]:
    """What is decided of each question by weights that learned from what is known of other repositories."""
    logits = np.zeros(len(every))
    repositories = sorted({example.question.repository for example in every})
    for group in range(min(GROUPS, len(repositories))):
        held_out = set(repositories[group::GROUPS])
        decide = learn(judged(one for one in known if one.question.repository not in held_out))
        for place, example in enumerate(every):
            if example.question.repository in held_out:
                logits[place] = decide(example)
    return logits


def chances_of(every: Sequence[Example], logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is certain by its kind isn't judged."""
    certain = np.array([example.found.kind in CERTAIN for example in every])
    return np.where(certain, 1.0, 1.0 / (1.0 + np.exp(-logits)))


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


def report_lots(every: Sequence[Example], chances: NDArray[np.float64]) -> None:
    """Judged by all others, as above, and by the lots before."""
    print(f"\n{'lot':>4}{'questions':>11}{'hard':>6}{'right':>8}{'hard':>8}{'by earlier lots':>17}{'hard':>8}")
    right = (chances >= IS_CODE) == _labels(every)
    for lot in sorted({example.question.lot for example in every}):
        inside = np.array([example.question.lot == lot for example in every])
        asked = [example for example in every if example.question.lot == lot]
        earlier = [example for example in every if example.question.lot < lot]
        hard = np.array([example.question.hard for example in asked])
        shares = [right[inside].mean(), right[inside][hard].mean()]
        if earlier:
            logits = held_out_logits(asked, lambda learned: by_machine(fit_machine(learned)), earlier)
            good = (chances_of(asked, logits) >= IS_CODE) == _labels(asked)
            shares += [good.mean(), good[hard].mean()]
        told = "".join(f"{share:{width}.3f}" for share, width in zip(shares, (8, 8, 17, 8), strict=False))
        print(f"{lot:4}{len(asked):11}{hard.sum():6}{told}", flush=True)


def by_share_of_words(example: Example) -> float:
    """1 where at least two and at least half of the question's words occur, or all of them."""
    matched, missing = len(example.found.matched_terms), len(example.found.missing_terms)
    return float(bool(matched) and (not missing or (matched >= 2 and matched >= missing)))


def report_speed(every: Sequence[Example]) -> None:
    """Of a decision, and of reading the question, which the server does while the search runs."""
    read_ms: list[float] = []
    decided_ms: list[float] = []
    for example in every:
        started = time.process_time()
        states_of(example.question.text)
        read = time.process_time()
        judge(example.question.text, example.found, example.question.repository, example.question.routes)
        read_ms.append((read - started) * 1000)
        decided_ms.append((time.process_time() - read) * 1000)
    for what, took in (("a decision after the search", decided_ms), ("to read the question during it", read_ms)):
        print(f"\n{what}: {percentile(took, 0.5):.2f} ms of processor time p50, {percentile(took, 0.95):.2f} ms p95")


def main() -> None:
    options = _options()
    questions = read_questions()
    asked = [question for path in options.switches for question in read_questions(path)]
    every, also = (examples(each, options.sources, options.index, vectors=True) for each in (questions, asked))
    by_words, also_by_words = (examples(each, options.sources, options.index, vectors=False) for each in (questions, asked))
    hard = sum(example.question.hard for example in every)
    repositories = len({example.question.repository for example in every})
    print(f"{len(every)} questions of {repositories} repositories, {hard} hard; {len(also)} switches")
    print(f"\n{'':34}{'all':>9}{'hard':>9}{'others':>9}{'Brier':>9}")
    report("always the code", every, np.ones(len(every)))
    report("share of words that occur", every, np.array([by_share_of_words(example) for example in every]))
    known, known_by_words = (*every, *also), (*by_words, *also_by_words)
    without = held_out_logits(by_words, lambda learned: by_mix(fit_mix(learned, with_phrases=False)), known_by_words)
    report("words, without phrases", every, chances_of(by_words, without))
    report("words", every, chances_of(by_words, held_out_logits(by_words, lambda each: by_mix(fit_mix(each)), known_by_words)))
    logits = held_out_logits(every, lambda learned: by_machine(fit_machine(learned)), known)
    told = [place for place, example in enumerate(every) if example.found.kind not in CERTAIN]
    machine = calibrated(fit_machine(judged(known)), logits[told], _labels([every[place] for place in told]))
    chances = chances_of(every, machine.slope * logits + machine.offset)
    report("states", every, chances)
    report_details(every, chances)
    if options.write:
        WEIGHTS.write_text(as_json(fit_mix(judged(known_by_words))), encoding="utf-8")
        write_machine(machine, MACHINE)
        print(f"\nwritten to {WEIGHTS} and {MACHINE}")
        report_speed(every)
    report_lots(every, chances)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sources", type=Path, nargs="+", required=True, metavar="DIR", help="where the questions' repositories are, by name"
    )
    parser.add_argument("--index", type=Path, default=Path("var/benchmark"), help="where snapshots are kept")
    parser.add_argument(
        "--switches", type=Path, nargs="*", default=[], metavar="FILE", help="what readers switched, to learn from"
    )
    parser.add_argument("--write", action="store_true", help=f"write {WEIGHTS.name} and {MACHINE.name}")
    return parser.parse_args()


if __name__ == "__main__":
    main()
