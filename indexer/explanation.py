"""What each signal is worth, and why a wrong file stands above the right one.

A file's score is a sum of weighted features (indexer/reranker.py), so what a group of features adds to it is known for each
candidate. Ranked by that part alone a search shows what the signal would have given without the others; ranked without it,
what the others give. The weights stay as they are; benchmarks/train_reranker.py --ablate learns them anew without a feature.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from indexer.benchmark import Found
from indexer.evaluation import Question, Target, judge
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
    Group("names and paths", ("name_in_query", "query_in_path")),
    Group("definitions", ("definition",)),
    Group("vectors", ("dense",)),
    Group("use by other code", ("used", "uses", "referred")),
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

    def measures(self, key: Callable[[RankedFile], float] | None = None) -> dict[str, float]:
        """MEASURES over files when they are ranked by `key`, of which only what is above 0 counts, or as they are."""
        files: Sequence[RankedFile] = self.files
        if key is not None:
            files = sorted((file for file in files if key(file) > 0), key=lambda file: (-key(file), file.path))
        return _judged(self.question, files)

    def alone(self, group: Group) -> dict[str, float]:
        return self.measures(lambda file: file.part(group.features))

    def without(self, group: Group) -> dict[str, float]:
        return _judged(self.question, sorted(self.files, key=lambda file: (file.part(group.features) - file.score, file.path)))


def _judged(question: Question, files: Iterable[RankedFile]) -> dict[str, float]:
    return judge(question, [Found(file.path, *target_lines(question, file.path)) for file in files])


def target_lines(question: Question, path: str) -> tuple[int, int]:
    """Lines of a file that hit the question's target in it: here files are judged, and not the passages in them."""
    targets = (target for target in (*question.relevant, *question.secondary) if target.is_in(path))
    target = next(targets, None)
    return (target.start_line, target.end_line) if target else (0, 0)


def explain(retriever: Retriever, question: Question, snapshot: Path, folder: str = "", *, vectors: bool = False) -> Explained:
    """What was compared for a question. Raises what `Retriever.candidates` raises."""
    candidates = retriever.candidates(snapshot, question.text, scope=folder, vectors=vectors)
    return Explained(
        question,
        tuple(
            RankedFile(
                candidate.evidence.path,
                math.log(candidate.chance) if candidate.chance > 0 else -math.inf,
                tuple(feature * weight for feature, weight in zip(candidate.features, candidate.weights, strict=True))
                if candidate.weights
                else (),
            )
            for candidate in candidates
        ),
    )


@dataclass(frozen=True, slots=True)
class Advantage:
    """What one feature adds to a file's score beyond what it adds to another's, in logits, and that in words."""

    feature: str
    said: str
    logits: float


def advantages(ahead: RankedFile, behind: RankedFile, most: int = 4) -> list[Advantage]:
    """What puts one file ahead of another, the most first."""
    pairs = zip(FEATURES, ahead.parts, behind.parts, strict=True)
    found = [Advantage(feature, ADVANTAGES[feature], ours - theirs) for feature, ours, theirs in pairs if ours - theirs > 0.05]
    return sorted(found, key=lambda advantage: -advantage.logits)[:most]
