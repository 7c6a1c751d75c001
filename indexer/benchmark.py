"""Ask a dataset's questions of real snapshots: index its sources once, then search them as anybody's question would be.

Snapshots are kept as `<index>/<repository>/<snapshot>/`, and a source that has not changed is not indexed again. What changed
in Sextant itself (a tree-sitter query, say) is not noticed: remove the index folder for that.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from indexer.build import BuildRequest, Hooks, build_snapshot
from indexer.errors import BuildCancelled, SourceError
from indexer.evaluation import BenchmarkRepository, Outcome, Question, judge
from indexer.retriever import Retriever
from indexer.types import Origin, Passage, Progress

# Distinct files and passages are both judged by their first ten; a file has at most five passages.
PASSAGES = 30

ScopeName = Literal["whole", "root"]


@dataclass(frozen=True, slots=True)
class Found:
    """A ranked result as a rankings file holds it, and which signals found it, where that is known."""

    path: str
    start_line: int
    end_line: int
    origins: tuple[Origin, ...] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    """One question's ranking, best first, and its measures."""

    outcome: Outcome
    found: tuple[Found, ...]


def index_source(
    repository: BenchmarkRepository,
    sources: Path,
    index: Path,
    *,
    embedder: str = "minilm",
    vectors: bool = False,
    parse_processes: int = 0,
) -> Path:
    """The snapshot of `sources/<name>`, made or brought up to date; it has vectors where they were asked for.

    Raises IndexerError, with the name of the folder when it isn't there.
    """
    folder = sources / repository.name
    if not folder.is_dir():
        raise SourceError(f"{folder} is not there: the sources need one folder for each repository of the dataset.")
    request = request_of(folder, index, embedder=embedder, parse_processes=parse_processes)
    return build(replace(request, previous=latest(request.root)), vectors=vectors)


def request_of(folder: Path, index: Path, *, embedder: str = "minilm", parse_processes: int = 0) -> BuildRequest:
    """How to index a folder, with everything that is kept of it under `index`."""
    return BuildRequest(
        repository=folder.name,
        source=str(folder.resolve()),
        ref="",
        snapshot=str(uuid.uuid4()),
        root=index / folder.name,
        clone_root=index / "clones",
        cache=index / "embeddings.sqlite3",
        embedder=embedder,
        parse_processes=parse_processes,
    )


def build(
    request: BuildRequest,
    *,
    vectors: bool = False,
    published: Callable[[], None] = lambda: None,
    progress: Callable[[Progress], None] = lambda step: None,
) -> Path:
    """The snapshot of a build. Without vectors a build is over as soon as it can be searched, when `published` is called."""
    directories: list[Path] = []

    def note(directory: Path) -> None:
        published()
        directories.append(directory)

    try:
        build_snapshot(request, Hooks(note, progress, cancelled=lambda: bool(directories) and not vectors))
    except BuildCancelled:
        if not directories:
            raise
    return directories[-1]


def latest(root: Path) -> Path | None:
    """The snapshot that was made last."""
    found = [path for path in root.glob("[!.]*") if path.is_dir()]
    return max(found, key=lambda path: path.stat().st_mtime_ns, default=None)


def answer(
    retriever: Retriever, repository: BenchmarkRepository, snapshot: Path, scope: ScopeName = "whole", *, vectors: bool = False
) -> list[Answered]:
    """The repository's questions in their order, each searched once and timed.

    A search comes before the first one that counts, so that no figure holds what opening a snapshot costs.
    """
    folder = repository.root if scope == "root" else ""
    retriever.search(snapshot, repository.questions[0].text, scope=folder, vectors=vectors, files_first=True)
    return [_answer(retriever, question, snapshot, folder, vectors) for question in repository.questions]


def _answer(retriever: Retriever, question: Question, snapshot: Path, scope: str, vectors: bool) -> Answered:
    started = time.perf_counter()
    found = retriever.search(snapshot, question.text, limit=PASSAGES, scope=scope, vectors=vectors, files_first=True)
    latency_ms = (time.perf_counter() - started) * 1000
    return Answered(Outcome(question, judge(question, found.passages), latency_ms), tuple(map(_found, found.passages)))


def _found(passage: Passage) -> Found:
    return Found(passage.path, passage.start_line, passage.end_line, passage.origins)


def write_rankings(path: Path, answered: Iterable[Answered]) -> None:
    """One line of JSON a question: {"repo", "query", "latency_ms", "results": [{"path", "start_line", "end_line"}]}."""
    with path.open("w", encoding="utf-8") as file:
        for each in answered:
            question = each.outcome.question
            record = {
                "repo": question.repository,
                "query": question.text,
                "latency_ms": round(each.outcome.latency_ms, 3),
                "results": [
                    {"path": found.path, "start_line": found.start_line, "end_line": found.end_line} for found in each.found
                ],
            }
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def read_rankings(path: Path) -> Callable[[Question], Answered]:
    """How a rankings file answers a question; one that it doesn't hold was answered with nothing.

    Raises OSError or ValueError when the file isn't one.
    """
    records = {(record["repo"], record["query"]): record for record in _records(path)}

    def answered(question: Question) -> Answered:
        record = records.get((question.repository, question.text), {})
        found = tuple(Found(str(result["path"]), *_lines(result)) for result in record.get("results", ()))
        return Answered(Outcome(question, judge(question, found), float(record.get("latency_ms") or 0.0)), found)

    return answered


def _lines(result: Mapping[str, Any]) -> tuple[int, int]:
    """The lines of a result; a result that names none is its whole file."""
    if result.get("start_line") is None:
        return 1, sys.maxsize
    return int(result["start_line"]), int(result["end_line"])


def _records(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip():
            yield json.loads(line)
