"""How good retrieval is: annotated questions, the measures over them, and the difference between two ways to search.

A dataset is a folder with `repos.json`, a list of {"name", "language", "benchmark_root", …}, and `annotations/NAME.json`, lists
of {"query", "category", "relevant", "secondary"}; a target is a path, or {"path", "start_line", "end_line"}. This is the
format of semble's benchmark, and NDCG@10 is its formula, so that published figures compare: relevance is binary, a target
counts at the rank of the first passage that hits it, and the ideal ranking has all targets first.
"""

from __future__ import annotations

import json
import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

K = 10
MEASURES = ("ndcg10", "file_ndcg10", "mrr10", "hit1", "hit5", "hit10", "recall5", "recall10")


class Located(Protocol):
    """What a search returns, as far as it is judged. Lines are counted from 1, ends included."""

    @property
    def path(self) -> str: ...
    @property
    def start_line(self) -> int: ...
    @property
    def end_line(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Target:
    """What a question should find: a file, or lines of it (0 and 0 for all)."""

    path: str
    start_line: int = 0
    end_line: int = 0

    def is_in(self, path: str) -> bool:
        """Whether `path` is the target's: the annotations leave leading folders out here and there."""
        return path == self.path or path.endswith(f"/{self.path}") or self.path.endswith(f"/{path}")

    def is_hit_by(self, found: Located) -> bool:
        if not self.is_in(found.path):
            return False
        return not self.start_line or (found.start_line <= self.end_line and found.end_line >= self.start_line)


@dataclass(frozen=True, slots=True)
class Question:
    """One annotated query. `relevant` answer it, `secondary` help to."""

    repository: str
    language: str
    category: str
    text: str
    relevant: tuple[Target, ...]
    secondary: tuple[Target, ...] = ()


@dataclass(frozen=True, slots=True)
class BenchmarkRepository:
    """root: the folder that holds its main source, or "" for all of it; revision: the commit that was annotated."""

    name: str
    language: str
    root: str
    questions: tuple[Question, ...]
    revision: str = "HEAD"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one question went; measures holds a value for each of MEASURES."""

    question: Question
    measures: Mapping[str, float]
    latency_ms: float


def read_dataset(folder: Path) -> list[BenchmarkRepository]:
    """All repositories of a dataset. Raises OSError or ValueError when it isn't one."""
    return [_repository(folder, entry) for entry in json.loads((folder / "repos.json").read_text(encoding="utf-8"))]


def _repository(folder: Path, entry: Mapping[str, Any]) -> BenchmarkRepository:
    name, language = str(entry["name"]), str(entry["language"])
    annotations = json.loads((folder / "annotations" / f"{name}.json").read_text(encoding="utf-8"))
    questions = tuple(
        Question(
            repository=name,
            language=language,
            category=str(annotation["category"]),
            text=str(annotation["query"]),
            relevant=tuple(map(_target, annotation["relevant"])),
            secondary=tuple(map(_target, annotation.get("secondary", ()))),
        )
        for annotation in annotations
    )
    root, revision = str(entry.get("benchmark_root") or ""), str(entry.get("revision") or "HEAD")
    return BenchmarkRepository(name, language, root, questions, revision)


def _target(entry: str | Mapping[str, Any]) -> Target:
    if isinstance(entry, str):
        return Target(entry)
    start, end = entry.get("start_line"), entry.get("end_line")
    return Target(str(entry["path"]), int(start), int(end)) if start and end else Target(str(entry["path"]))


def judge(question: Question, found: Sequence[Located]) -> dict[str, float]:
    """MEASURES of a ranking, best first."""
    targets = question.relevant + question.secondary
    files = list(dict.fromkeys(each.path for each in found))[:K]
    file_ranks = [_file_rank(path, files) for path in dict.fromkeys(target.path for target in targets)]
    primary_ranks = [_file_rank(path, files) for path in dict.fromkeys(target.path for target in question.relevant)]
    first = min((rank for rank in primary_ranks if rank), default=0)
    return {
        "ndcg10": ndcg([_first_rank(target, found[:K]) for target in targets]),
        "file_ndcg10": ndcg(file_ranks),
        "mrr10": 1 / first if first else 0.0,
        **{f"hit{k}": float(0 < first <= k) for k in (1, 5, 10)},
        **{f"recall{k}": sum(0 < rank <= k for rank in file_ranks) / len(file_ranks) for k in (5, 10)},
    }


def ndcg(ranks: Sequence[int]) -> float:
    """NDCG@10 of targets found at these ranks (from 1; 0 for not found). Targets at one rank count once."""
    gain = sum(1 / math.log2(rank + 1) for rank in set(ranks) if 0 < rank <= K)
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(K, len(ranks)) + 1))
    return gain / ideal if ideal else 0.0


def _first_rank(target: Target, found: Sequence[Located]) -> int:
    return next((rank for rank, each in enumerate(found, 1) if target.is_hit_by(each)), 0)


def _file_rank(path: str, files: Sequence[str]) -> int:
    target = Target(path)
    return next((rank for rank, found in enumerate(files, 1) if target.is_in(found)), 0)


def mean(outcomes: Sequence[Outcome], measure: str) -> float:
    return fmean(outcome.measures[measure] for outcome in outcomes)


def grouped(outcomes: Iterable[Outcome], key: Callable[[Question], str]) -> dict[str, list[Outcome]]:
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        groups[key(outcome.question)].append(outcome)
    return dict(sorted(groups.items()))


def percentile(values: Iterable[float], share: float) -> float:
    """The value below which `share` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def interval(values: Sequence[float], draws: int = 1000) -> tuple[float, float]:
    """The bootstrap's 95 % interval of the mean; the same values give the same interval."""
    rng = random.Random(0)  # noqa: S311
    means = sorted(fmean(rng.choices(values, k=len(values))) for _ in range(draws))
    return means[int(draws * 0.025)], means[int(draws * 0.975)]


def paired_difference(
    outcomes: Sequence[Outcome], baseline: Sequence[Outcome], measure: str = "ndcg10"
) -> tuple[float, tuple[float, float]]:
    """Mean and 95 % interval of the difference in a measure, question by question."""
    pairs = zip(outcomes, baseline, strict=True)
    differences = [ours.measures[measure] - theirs.measures[measure] for ours, theirs in pairs]
    return fmean(differences), interval(differences)
