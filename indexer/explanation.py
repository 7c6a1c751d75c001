"""What each signal is worth, and why a wrong file stands above the right one.

A file's score is a sum of weighted features (indexer/reranker.py), so what a group of features adds to it is known for each
candidate. Ranked by that part alone a search shows what the signal would have given without the others; ranked without it,
what the others give. The weights stay as they are; benchmarks/train_reranker.py --ablate learns them anew without a feature.
"""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from indexer.benchmark import Answered, Found
from indexer.evaluation import MEASURES, Outcome, Question, Target, judge, mean, paired_difference
from indexer.reranker import FEATURES
from indexer.retriever import Retriever


@dataclass(frozen=True, slots=True)
class Group:
    """Features that one signal gives."""

    name: str
    features: tuple[str, ...]


GROUPS = (
    Group("words in the text", ("body", "coverage")),
    Group("words on the file card", ("card",)),
    Group("names and paths", ("name_in_query", "query_in_path", "folder_in_query")),
    Group("definitions", ("definition",)),
    Group("vectors", ("dense",)),
    Group("use by other code", ("used", "uses", "passed_on", "referred")),
    Group("main folders", ("main", "folder")),
    Group("kind of file", ("test", "test_asked", "documentation", "example", "prose")),
    Group("size", ("lines",)),
)

# What is said of a file that a feature puts ahead.
ADVANTAGES = {
    "body": "more of the question's words in its best chunks",
    "coverage": "more different words of the question in one chunk",
    "card": "more words of the question on its card",
    "name_in_query": "the question says more of its name",
    "query_in_path": "its path says more of the question",
    "folder_in_query": "the question says more of its folder's name",
    "definition": "defines a name that the question mentions",
    "dense": "nearer in meaning",
    "test": "isn't a test",
    "test_asked": "is a test, which the question asks for",
    "documentation": "isn't documentation",
    "example": "isn't an example",
    "prose": "isn't prose",
    "main": "in the folder of the main source",
    "folder": "in a folder that other code uses more",
    "referred": "other code refers to it more",
    "used": "the chunks with the question's words use it more",
    "uses": "uses more of the files with the question's words",
    "passed_on": "passes on what a file with the question's words defines",
    "lines": "longer",
}


@dataclass(frozen=True, slots=True)
class RankedFile:
    """A candidate: its score in logits up to a constant of the search, and what each of FEATURES adds to it (none of them where
    something else ranked)."""

    path: str
    score: float
    parts: tuple[float, ...]

    def part(self, features: Iterable[str]) -> float:
        return sum(self.parts[FEATURES.index(feature)] for feature in features) if self.parts else 0.0


@dataclass(frozen=True, slots=True)
class Explained:
    """One question's candidate files, best first."""

    question: Question
    files: tuple[RankedFile, ...]

    def place_of(self, target: Target) -> int:
        """From 1; 0 for a file that wasn't compared."""
        return next((place for place, file in enumerate(self.files, 1) if target.is_in(file.path)), 0)

    def measures(self) -> dict[str, float]:
        """MEASURES of the files as they are ranked, each found as a whole."""
        return self._judged(self.files)

    def alone(self, group: Group) -> dict[str, float]:
        """The same for the files for which the group speaks, ranked by that alone."""
        parts = {file.path: file.part(group.features) for file in self.files}
        return self._judged(sorted((f for f in self.files if parts[f.path] > 0), key=lambda f: (-parts[f.path], f.path)))

    def without(self, group: Group) -> dict[str, float]:
        """The same for all files, ranked by everything but the group."""
        return self._judged(sorted(self.files, key=lambda f: (f.part(group.features) - f.score, f.path)))

    def _judged(self, files: Iterable[RankedFile]) -> dict[str, float]:
        return judge(self.question, [Found(file.path, 1, sys.maxsize) for file in files])


def explain(retriever: Retriever, question: Question, snapshot: Path, folder: str = "", *, vectors: bool = False) -> Explained:
    """What was compared for a question. Raises what `Retriever.candidates` raises."""
    candidates = retriever.candidates(snapshot, question.text, scope=folder, vectors=vectors)
    scores = [math.log(chance) if chance > 0 else -math.inf for chance in candidates.chances.tolist()]
    if candidates.weights is None:
        parts: list[tuple[float, ...]] = [()] * len(scores)
    else:
        parts = list(map(tuple, (candidates.features * candidates.weights).tolist()))
    return Explained(question, tuple(map(RankedFile, candidates.paths, scores, parts)))


# Less than this many logits are not worth telling.
_LEAST_TOLD = 0.05


@dataclass(frozen=True, slots=True)
class Advantage:
    """What one feature adds to a file's score beyond what it adds to another's, in logits, and that in words."""

    feature: str
    said: str
    logits: float


def advantages(ahead: RankedFile, behind: RankedFile) -> list[Advantage]:
    """What puts one file ahead of another, the most first; nothing where something else than features ranked."""
    if not (ahead.parts and behind.parts):
        return []
    pairs = zip(FEATURES, ahead.parts, behind.parts, strict=True)
    found = [Advantage(feature, ADVANTAGES[feature], ours - theirs) for feature, ours, theirs in pairs]
    return sorted((each for each in found if each.logits > _LEAST_TOLD), key=lambda advantage: -advantage.logits)


# --- over all questions -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GroupGain:
    """alone: means of MEASURES; change: of NDCG@10 over files without the group, and its 95 % interval; the same of hit@1."""

    group: Group
    alone: Mapping[str, float]
    change: float
    interval: tuple[float, float]
    hit1_change: float


def gains_by_group(explained: Sequence[Explained]) -> list[GroupGain]:
    """Of the groups that have a say in any of the questions."""
    everything = _outcomes(explained, Explained.measures)
    gains = []
    for group in GROUPS:
        if not any(file.part(group.features) for each in explained for file in each.files):
            continue
        alone, without = (_outcomes(explained, partial(how, group=group)) for how in (Explained.alone, Explained.without))
        change, between = paired_difference(without, everything, "file_ndcg10")
        hit1_change, _ = paired_difference(without, everything, "hit1")
        gains.append(GroupGain(group, {measure: mean(alone, measure) for measure in MEASURES}, change, between, hit1_change))
    return gains


def _outcomes(explained: Sequence[Explained], how: Callable[[Explained], dict[str, float]]) -> list[Outcome]:
    return [Outcome(each.question, how(each), 0.0) for each in explained]


@dataclass(frozen=True, slots=True)
class OriginGain:
    """In how many questions a signal had found the passage that is the first right one, by the place at which it is shown; and
    in how many of them the signal itself had it first."""

    signal: str
    first: int
    second_to_fifth: int
    later: int
    own_first: int

    @property
    def total(self) -> int:
        return self.first + self.second_to_fifth + self.later


NO_SIGNAL = "only its file"


def gains_by_origin(answered: Iterable[Answered]) -> list[OriginGain]:
    """The signals behind the right passages; NO_SIGNAL for one that stands for its file without a signal of its own."""
    places: dict[str, list[tuple[int, bool]]] = defaultdict(list)
    for each in answered:
        place, found = first_right(each)
        if found:
            for origin in found.origins:
                places[origin.signal].append((place, origin.rank == 1))
            if not found.origins:
                places[NO_SIGNAL].append((place, False))
    gains = [
        OriginGain(
            signal,
            sum(place == 1 for place, _ in some),
            sum(1 < place <= 5 for place, _ in some),
            sum(place > 5 for place, _ in some),
            sum(own for _, own in some),
        )
        for signal, some in places.items()
    ]
    return sorted(gains, key=lambda gain: (gain.signal == NO_SIGNAL, -gain.total, gain.signal))


def first_right(answered: Answered) -> tuple[int, Found | None]:
    """The first passage that hits a primary target, and its place, from 1; 0 and None for none."""
    targets = answered.outcome.question.relevant
    hits = ((place, each) for place, each in enumerate(answered.found, 1) if any(t.is_hit_by(each) for t in targets))
    return next(hits, (0, None))
