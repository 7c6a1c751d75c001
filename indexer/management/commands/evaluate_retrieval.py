"""manage.py evaluate_retrieval DATASET --sources DIR: how good retrieval is on annotated questions.

DATASET holds repos.json and annotations/NAME.json (`indexer.evaluation` tells their shape); the sources need one folder for
each repository. Each is indexed once, into the folder that --index names, and its questions are searched as anybody's would be.
With --baseline, a file of rankings, the difference is given question by question with its 95 % interval.

These are the shipped weights: if they were trained on the same questions, the figures are in-sample, and
benchmarks/train_reranker.py has the cross-validated ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from indexer import benchmark
from indexer.benchmark import Answered, ScopeName
from indexer.errors import IndexerError
from indexer.evaluation import (
    BenchmarkRepository,
    Outcome,
    Question,
    grouped,
    interval,
    mean,
    paired_difference,
    percentile,
    read_dataset,
)
from indexer.retriever import Retriever

_COLUMNS = (("ndcg10", "NDCG@10"), ("hit1", "hit@1"), ("hit5", "hit@5"), ("file_ndcg10", "by file"), ("recall10", "recall@10"))
_GROUPS: tuple[tuple[str, Callable[[Question], str]], ...] = (
    ("category", lambda question: question.category),
    ("language", lambda question: question.language),
    ("repository", lambda question: question.repository),
)


class Command(BaseCommand):
    help = "Measure retrieval on a dataset of annotated questions."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("dataset", type=Path, help="the folder with repos.json and annotations/")
        parser.add_argument("--sources", type=Path, required=True, help="the folder with one folder for each repository")
        parser.add_argument("--index", type=Path, help="where snapshots are kept (default: benchmark/ in the data folder)")
        parser.add_argument(
            "--scope", choices=("whole", "root"), default="whole", help="whole repositories, or only their main source folder"
        )
        parser.add_argument("--vectors", action="store_true", help="embed the sources and use the dense signal, which is slow")
        parser.add_argument("--baseline", type=Path, metavar="FILE", help="rankings to compare with")
        parser.add_argument("--output", type=Path, metavar="FILE", help="write our rankings, one line of JSON a question")

    def handle(self, *, dataset: Path, sources: Path, baseline: Path | None, output: Path | None, **options: Any) -> None:
        try:
            repositories = read_dataset(dataset)
            theirs = benchmark.read_rankings(baseline) if baseline else None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CommandError(f"{baseline or dataset} can't be read as what it should be: {error}") from error
        index = options["index"] or settings.DATA_DIR / "benchmark"
        answered = self._ask(repositories, sources, index, options["scope"], options["vectors"])
        self._report([each.outcome for each in answered], theirs)
        if output:
            benchmark.write_rankings(output, answered)

    def _ask(
        self, repositories: Sequence[BenchmarkRepository], sources: Path, index: Path, scope: ScopeName, vectors: bool
    ) -> list[Answered]:
        retriever = Retriever(device=settings.FAISS_DEVICE)
        answered: list[Answered] = []
        try:
            for repository in repositories:
                self.stderr.write(f"{repository.name} …")
                snapshot = benchmark.index_source(
                    repository,
                    sources,
                    index,
                    embedder=settings.EMBEDDER,
                    vectors=vectors,
                    parse_processes=settings.PARSE_PROCESSES,
                )
                answered += benchmark.answer(retriever, repository, snapshot, scope, vectors=vectors)
        except IndexerError as error:
            raise CommandError(str(error)) from error
        finally:
            retriever.close()
        return answered

    def _report(self, outcomes: Sequence[Outcome], theirs: Callable[[Question], Outcome] | None) -> None:
        low, high = interval([outcome.measures["ndcg10"] for outcome in outcomes])
        titles = "".join(f"{title:>11}" for _, title in _COLUMNS)
        self.stdout.write(f"{'':20}{'questions':>10}{titles}")
        self.stdout.write(_row("all", outcomes))
        self.stdout.write(f"NDCG@10 lies between {low:.4f} and {high:.4f} (95 %, bootstrap).")
        for name, key in _GROUPS:
            self.stdout.write(f"\nby {name}")
            for value, some in grouped(outcomes, key).items():
                self.stdout.write(_row(value, some))
        latencies = [outcome.latency_ms for outcome in outcomes]
        self.stdout.write(f"\nlatency p50 {percentile(latencies, 0.5):.1f} ms, p95 {percentile(latencies, 0.95):.1f} ms")
        if theirs:
            self.stdout.write(_compared(outcomes, [theirs(outcome.question) for outcome in outcomes]))


def _row(name: str, outcomes: Sequence[Outcome]) -> str:
    return f"{name:20}{len(outcomes):>10}" + "".join(f"{mean(outcomes, measure):11.4f}" for measure, _ in _COLUMNS)


def _compared(ours: Sequence[Outcome], theirs: Sequence[Outcome]) -> str:
    difference, (low, high) = paired_difference(ours, theirs)
    return (
        f"baseline NDCG@10 {mean(theirs, 'ndcg10'):.4f}; the difference is {difference:+.4f},"
        f" between {low:+.4f} and {high:+.4f} (95 %, paired bootstrap)"
    )
