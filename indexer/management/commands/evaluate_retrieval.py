"""manage.py evaluate_retrieval DATASET --sources DIR: how good retrieval is on annotated questions.

DATASET holds repos.json and annotations/NAME.json (`indexer.evaluation` tells their shape); the sources need one folder for
each repository. Each is indexed once, into the folder that --index names, and its questions are searched as anybody's would be.
With --baseline the difference is given question by question with its 95 % interval: bm25 (chunks by BM25), bm25-files (files by
the sum of their three best chunks), dense (nearest vectors alone) or a file of rankings, as often as wanted. --report draws the
figures, what each signal is worth and the worst questions, as one HTML file that needs nothing else.

These are the shipped weights: if they were trained on the same questions, the figures are in-sample, and
benchmarks/train_reranker.py has the cross-validated ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from indexer.benchmark import write_rankings
from indexer.comparison import Comparison, Options, add_arguments, compare, told
from indexer.errors import IndexerError
from indexer.evaluation import BenchmarkRepository, read_dataset
from indexer.management.command_line import BAD_USAGE
from indexer.management.retrieval_report import write_report


class Command(BaseCommand):
    help = "Measure retrieval on a dataset of annotated questions."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("dataset", type=Path, help="the folder with repos.json and annotations/")
        parser.add_argument("--index", type=Path, help="where snapshots are kept (default: benchmark/ in the data folder)")
        parser.add_argument("--output", type=Path, metavar="FILE", help="write our rankings, one line of JSON a question")
        add_arguments(parser)

    def handle(self, *, dataset: Path, output: Path | None, report: Path | None, **options: Any) -> None:
        if "dense" in options["baseline"] and not options["vectors"]:
            raise CommandError("--baseline dense needs --vectors.", returncode=BAD_USAGE)
        try:
            repositories = read_dataset(dataset)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CommandError(f"{dataset} can't be read as a dataset: {error}") from error
        comparison = self._compare(repositories, explained=report is not None, **options)
        for line in told(comparison):
            self.stdout.write(line)
        try:
            if output:
                write_rankings(output, comparison.ours.answered)
            if report:
                write_report(report, comparison, dataset.resolve().name)
        except OSError as error:
            raise CommandError(f"{error.filename or report} can't be written: {error.strerror}.") from error

    def _compare(self, repositories: list[BenchmarkRepository], *, explained: bool, **options: Any) -> Comparison:
        try:
            return compare(
                repositories,
                Options(
                    sources=options["sources"],
                    index=options["index"] or settings.DATA_DIR / "benchmark",
                    scope=options["scope"],
                    vectors=options["vectors"],
                    baselines=options["baseline"],
                    explained=explained,
                    embedder=settings.EMBEDDER,
                    device=settings.FAISS_DEVICE,
                    parse_processes=settings.PARSE_PROCESSES,
                    tell=self.stderr.write,
                ),
            )
        except IndexerError as error:
            raise CommandError(str(error)) from error
