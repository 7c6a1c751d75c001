"""The labelled questions that the route learns from and is examined with, and what a search for each shows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from assistant.route_features import features
from assistant.route_kernel import read_by
from assistant.route_model import EMBEDDER
from indexer.benchmark import index_source
from indexer.evaluation import BenchmarkRepository
from indexer.minilm import LowerLayers
from indexer.retriever import Retriever
from indexer.types import SearchResult

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

QUESTIONS = Path(__file__).with_name("routes") / "questions.jsonl"
EXAMINATION = QUESTIONS.with_name("examination.jsonl")
PASSAGES = 12
CERTAIN = ("trace", "regex")


@dataclass(frozen=True, slots=True)
class Question:
    """A line of questions.jsonl. routes: of the earlier questions, oldest first. lot: which came together, counted."""

    repository: str
    text: str
    code: bool
    kind: str
    hard: bool
    history: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    lot: int = 0


@dataclass(frozen=True, slots=True)
class Example:
    """A question, what its search found, its features, and what MiniLM's lower layers make of it, (768,)."""

    question: Question
    found: SearchResult
    features: Mapping[str, float]
    states: NDArray[np.float32]


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
        told.get("lot", 0),
    )


def examples(questions: Sequence[Question], sources: Sequence[Path], index: Path, *, vectors: bool) -> list[Example]:
    """Search each question in its repository, whose source is in one of the folders and is indexed if it wasn't."""
    retriever, layers = Retriever(), LowerLayers()
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
        told = features(question.text, result, question.repository, question.routes)
        found.append(Example(question, result, told, read_by(layers, question.text)))
    retriever.close()
    return found


def judged(every: Iterable[Example]) -> list[Example]:
    """Without those that are certain by their kind."""
    return [example for example in every if example.found.kind not in CERTAIN]
