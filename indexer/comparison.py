"""One way to search beside others: every question of a dataset asked of each, in one run over the same snapshots.

`manage.py evaluate_retrieval` and benchmarks/retrieval.py both measure with `compare`, and print what `told` gives.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from indexer.baselines import BUILT_IN, DENSE, by_vectors, by_words
from indexer.benchmark import Answered, ScopeName, answer, index_source, read_rankings
from indexer.errors import RankingsError
from indexer.evaluation import (
    BenchmarkRepository,
    Outcome,
    Question,
    grouped,
    interval,
    mean,
    paired_difference,
    percentile,
)
from indexer.explanation import Explained, explain
from indexer.retriever import Retriever
from indexer.snapshot import SnapshotReader
from indexer.types import Manifest

COLUMNS = (
    ("ndcg10", "NDCG@10"),
    ("hit1", "hit@1"),
    ("hit5", "hit@5"),
    ("hit10", "hit@10"),
    ("mrr10", "MRR"),
    ("recall10", "recall@10"),
    ("file_ndcg10", "by file"),
)
COMPARED = (("ndcg10", "NDCG@10"), ("hit1", "hit@1"), ("mrr10", "MRR"), ("recall10", "recall@10"))
GROUPINGS: tuple[tuple[str, Callable[[Question], str]], ...] = (
    ("category", lambda question: question.category),
    ("language", lambda question: question.language),
    ("repository", lambda question: question.repository),
)


@dataclass(frozen=True, slots=True)
class Run:
    """One way to search, and how it answered each question, in the dataset's order."""

    name: str
    answered: Sequence[Answered]

    @property
    def outcomes(self) -> list[Outcome]:
        return [each.outcome for each in self.answered]

    def latency_ms(self, share: float) -> float:
        return percentile((each.outcome.latency_ms for each in self.answered), share)


@dataclass(frozen=True, slots=True)
class Comparison:
    """ours: Retriever.search; manifests: of the snapshots; indexing_s: what making or finding them took; explained: what was
    compared for each question, where that was asked for."""

    scope: ScopeName
    vectors: bool
    ours: Run
    baselines: Sequence[Run]
    manifests: Sequence[Manifest]
    indexing_s: float
    explained: Sequence[Explained] = ()


@dataclass(frozen=True, slots=True)
class Options:
    """sources: a folder with one folder for each repository. index: where snapshots are kept. baselines: keys of BUILT_IN, and
    files of rankings."""

    sources: Path
    index: Path
    scope: ScopeName = "whole"
    vectors: bool = False
    baselines: Sequence[str | Path] = ()
    explained: bool = False
    embedder: str = "minilm"
    device: str = "auto"
    parse_processes: int = 0
    tell: Callable[[str], None] = field(default=lambda said: None)


def add_arguments(parser: ArgumentParser) -> None:
    """Where the sources are, what is compared, and whether it is drawn."""
    parser.add_argument("--sources", type=Path, required=True, help="the folder with one folder for each repository")
    parser.add_argument(
        "--scope", choices=("whole", "root"), default="whole", help="whole repositories, or only their main source folder"
    )
    parser.add_argument("--vectors", action="store_true", help="embed the sources and use the dense signal, which is slow")
    parser.add_argument(
        "--baseline",
        type=baseline,
        action="append",
        default=[],
        metavar="NAME|FILE",
        help=f"what to compare with, repeatable: {', '.join(BUILT_IN)}, or a file of rankings",
    )
    parser.add_argument("--report", type=Path, metavar="FILE.html", help="draw everything as one HTML file")


def baseline(text: str) -> str | Path:
    """A baseline as a command line names it."""
    return text if text in BUILT_IN else Path(text)


def compare(repositories: Sequence[BenchmarkRepository], options: Options) -> Comparison:
    """Index what has to be, and ask everything.

    Raises IndexerError, a RankingsError among them where a baseline is no file of rankings.
    """
    read = {path.stem: _rankings(path) for path in options.baselines if isinstance(path, Path)}
    built_in = [BUILT_IN[name] for name in options.baselines if isinstance(name, str)]
    retriever = Retriever(device=options.device)
    started = time.monotonic()
    snapshots = [_index(repository, options) for repository in repositories]
    indexing_s = time.monotonic() - started
    ours: list[Answered] = []
    theirs: dict[str, list[Answered]] = defaultdict(list)
    explained: list[Explained] = []
    try:
        for repository, snapshot in zip(repositories, snapshots, strict=True):
            for name, answered in _simple(repository, snapshot, options, built_in):
                theirs[name] += answered
            ours += answer(retriever, repository, snapshot, options.scope, vectors=options.vectors)
            if options.explained:
                explained += _explained(retriever, repository, snapshot, options)
    finally:
        retriever.close()
    for name, rankings in read.items():
        theirs[name] = [rankings(each.outcome.question) for each in ours]
    name = "Sextant with vectors" if options.vectors else "Sextant"
    order = [*built_in, *read]
    return Comparison(
        options.scope,
        options.vectors,
        Run(name, ours),
        [Run(each, theirs[each]) for each in order],
        [_manifest(snapshot) for snapshot in snapshots],
        indexing_s,
        explained,
    )


def _rankings(path: Path) -> Callable[[Question], Answered]:
    try:
        return read_rankings(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RankingsError(f"{path} can't be read as rankings: {error}") from error


def _index(repository: BenchmarkRepository, options: Options) -> Path:
    options.tell(f"{repository.name} …")
    return index_source(
        repository,
        options.sources,
        options.index,
        embedder=options.embedder,
        vectors=options.vectors,
        parse_processes=options.parse_processes,
    )


def _manifest(snapshot: Path) -> Manifest:
    with SnapshotReader(snapshot) as reader:
        return reader.manifest


def _simple(
    repository: BenchmarkRepository, snapshot: Path, options: Options, names: Sequence[str]
) -> Iterator[tuple[str, list[Answered]]]:
    """The built-in baselines of these names."""
    found = by_words(repository, snapshot, options.scope) if set(names) - {DENSE} else {}
    if DENSE in names:
        found |= by_vectors(repository, snapshot, options.scope)
    yield from ((name, found[name]) for name in names)


def _explained(retriever: Retriever, repository: BenchmarkRepository, snapshot: Path, options: Options) -> list[Explained]:
    folder = repository.root if options.scope == "root" else ""
    return [explain(retriever, question, snapshot, folder, vectors=options.vectors) for question in repository.questions]


# --- as text ----------------------------------------------------------------------------------------------------------


def told(comparison: Comparison) -> Iterator[str]:
    """The lines of the figures: all runs, our run by group, and how far it is ahead of each other."""
    runs = [comparison.ours, *comparison.baselines]
    outcomes = comparison.ours.outcomes
    yield _head("all")
    yield from (_row(run.name, run.outcomes) for run in runs)
    low, high = interval([outcome.measures["ndcg10"] for outcome in outcomes])
    yield f"NDCG@10 of {comparison.ours.name} lies between {low:.4f} and {high:.4f} (95 %, bootstrap)."
    for title, key in GROUPINGS:
        others = [grouped(run.outcomes, key) for run in comparison.baselines]
        yield "\n" + _head(f"by {title}") + "".join(f"{run.name[:20]:>22}" for run in comparison.baselines)
        for value, some in grouped(outcomes, key).items():
            yield _row(value, some) + "".join(f"{mean(other[value], 'ndcg10'):22.4f}" for other in others)
    yield ""
    for run in runs:
        yield f"{run.name}: latency p50 {run.latency_ms(0.5):.1f} ms, p95 {run.latency_ms(0.95):.1f} ms"
    for run in comparison.baselines:
        for measure, title in COMPARED:
            difference, (low, high) = paired_difference(outcomes, run.outcomes, measure)
            yield (
                f"{comparison.ours.name} − {run.name}: {difference:+.4f} {title},"
                f" between {low:+.4f} and {high:+.4f} (95 %, paired bootstrap)"
            )


def _head(title: str) -> str:
    return f"{title:26}{'questions':>10}" + "".join(f"{title:>11}" for _, title in COLUMNS)


def _row(name: str, outcomes: Sequence[Outcome]) -> str:
    return f"{name:26}{len(outcomes):>10}" + "".join(f"{mean(outcomes, measure):11.4f}" for measure, _ in COLUMNS)
