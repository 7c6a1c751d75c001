"""How good and how fast retrieval is, beside simpler ways to search the same chunks.

    python -m benchmarks.retrieval --dataset DIR --sources DIR [--index DIR] [--scope whole|root] [--vectors]
                                   [--baseline RANKINGS …]

Prints the machine and the inputs with the figures. All ways to search run in one go over the same snapshots: those of
indexer/baselines.py (BM25 by chunk and by file, and with --vectors the vectors alone), and `Retriever.search` with the shipped
weights. Paired differences are taken question by question. Rankings of other searchers can be given too.
"""

from __future__ import annotations

import argparse
import platform
import sqlite3
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from indexer.baselines import by_vectors, by_words
from indexer.benchmark import answer, index_source, read_rankings
from indexer.evaluation import (
    BenchmarkRepository,
    Outcome,
    Question,
    grouped,
    mean,
    paired_difference,
    percentile,
    read_dataset,
)
from indexer.retriever import Retriever
from indexer.snapshot import SnapshotReader


@dataclass(frozen=True, slots=True)
class Indexed:
    repository: BenchmarkRepository
    snapshot: Path
    seconds: float


def main() -> None:
    options = _options()
    indexed = [_index(repository, options) for repository in read_dataset(options.dataset)]
    print_inputs(indexed, options.scope)
    retriever = Retriever()
    runs: dict[str, list[Outcome]] = defaultdict(list)
    for each in indexed:
        baselines = by_words(each.repository, each.snapshot, options.scope)
        if options.vectors:
            baselines |= by_vectors(each.repository, each.snapshot, options.scope)
        for name, answered in baselines.items():
            runs[name] += [one.outcome for one in answered]
    ours = [
        answered.outcome
        for each in indexed
        for answered in answer(retriever, each.repository, each.snapshot, options.scope, vectors=options.vectors)
    ]
    retriever.close()
    for path in options.baseline:
        theirs = read_rankings(path)
        runs[path.stem] = [theirs(outcome.question) for outcome in ours]
    runs["Sextant" + (", with vectors" if options.vectors else "")] = ours
    print_figures(runs)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True, help="repos.json and annotations/")
    parser.add_argument("--sources", type=Path, required=True, help="one folder for each repository of the dataset")
    parser.add_argument("--index", type=Path, default=Path("var/benchmark"), help="where snapshots are kept")
    parser.add_argument("--scope", choices=("whole", "root"), default="whole")
    parser.add_argument("--vectors", action="store_true", help="embed the sources and use the dense signal, which is slow")
    parser.add_argument(
        "--baseline",
        type=Path,
        action="append",
        default=[],
        metavar="RANKINGS",
        help="rankings of another searcher; repeatable",
    )
    return parser.parse_args()


def _index(repository: BenchmarkRepository, options: argparse.Namespace) -> Indexed:
    started = time.monotonic()
    snapshot = index_source(repository, options.sources, options.index, vectors=options.vectors)
    return Indexed(repository, snapshot, time.monotonic() - started)


def print_inputs(indexed: Sequence[Indexed], scope: str) -> None:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    cpus = [line.partition(": ")[2] for line in lines if line.startswith("model name")] or [platform.processor()]
    print(f"machine  {cpus[0]}, {len(cpus)} cores; Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}")
    manifests = [SnapshotReader(each.snapshot).manifest for each in indexed]
    questions = sum(len(each.repository.questions) for each in indexed)
    print(
        f"inputs   {questions} questions of {len(indexed)} repositories ({scope}): {sum(m.files for m in manifests):,} files,"
        f" {sum(m.chunks for m in manifests):,} chunks, indexed or found unchanged in {sum(e.seconds for e in indexed):.0f} s"
    )


def print_figures(runs: dict[str, list[Outcome]]) -> None:
    """A column for each run; below it, how the last differs from each of the others."""
    print(f"\n{'':20}" + "".join(f"{name[:22]:>24}" for name in runs))
    for title, measure in (
        ("NDCG@10", "ndcg10"),
        ("hit@1", "hit1"),
        ("hit@5", "hit5"),
        ("recall@10", "recall10"),
        ("MRR", "mrr10"),
    ):
        print(f"{title:20}" + "".join(f"{mean(outcomes, measure):24.4f}" for outcomes in runs.values()))
    for title, key in (("category", _category), ("language", _language), ("repository", _repository)):
        groups = [grouped(outcomes, key) for outcomes in runs.values()]
        for measure_name, measure in (("NDCG@10", "ndcg10"), ("recall@10", "recall10")):
            print(f"{measure_name} by {title}")
            for name in groups[0]:
                print(f"  {name:18}" + "".join(f"{mean(group[name], measure):24.4f}" for group in groups))
    for title, share in (("p50", 0.5), ("p95", 0.95)):
        times = (percentile([outcome.latency_ms for outcome in outcomes], share) for outcomes in runs.values())
        print(f"{title + ', ms':20}" + "".join(f"{took:24.1f}" for took in times))
    *others, ours = runs
    for other in others:
        for title, measure in (("NDCG@10", "ndcg10"), ("recall@10", "recall10")):
            difference, (low, high) = paired_difference(runs[ours], runs[other], measure)
            print(f"{ours} − {other}: {difference:+.4f} {title}, 95 % between {low:+.4f} and {high:+.4f}")


def _category(question: Question) -> str:
    return question.category


def _language(question: Question) -> str:
    return question.language


def _repository(question: Question) -> str:
    return question.repository


if __name__ == "__main__":
    main()
