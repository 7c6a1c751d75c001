"""How good and how fast retrieval is, beside plain BM25 over the same chunks.

    python -m benchmarks.retrieval --dataset DIR --sources DIR [--index DIR] [--scope whole|root] [--vectors]
                                   [--baseline RANKINGS]

Prints the machine and the inputs with the figures. Both ways to search run in one go over the same snapshots: plain BM25 ranks
chunks by their words alone (FTS5, k1 1.2, b 0.75), Sextant's ranking is `Retriever.search` with the shipped weights. The paired
difference is taken question by question. Rankings of another searcher can be given as a third.
"""

from __future__ import annotations

import argparse
import platform
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from indexer.benchmark import PASSAGES, Found, ScopeName, answer, index_source, read_rankings
from indexer.evaluation import (
    BenchmarkRepository,
    Outcome,
    Question,
    grouped,
    judge,
    mean,
    paired_difference,
    percentile,
    read_dataset,
)
from indexer.lexical_index import LexicalIndex
from indexer.query import analyse
from indexer.retriever import Retriever
from indexer.scope import Scope
from indexer.snapshot import SnapshotReader
from indexer.types import Filters


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
    bm25 = [outcome for each in indexed for outcome in plain_bm25(each, options.scope)]
    ours = [
        answered.outcome
        for each in indexed
        for answered in answer(retriever, each.repository, each.snapshot, options.scope, vectors=options.vectors)
    ]
    retriever.close()
    runs = {"plain BM25": bm25}
    if options.baseline:
        theirs = read_rankings(options.baseline)
        runs[options.baseline.stem] = [theirs(outcome.question) for outcome in ours]
    runs["Sextant" + (", with vectors" if options.vectors else "")] = ours
    print_figures(runs)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True, help="repos.json and annotations/")
    parser.add_argument("--sources", type=Path, required=True, help="one folder for each repository of the dataset")
    parser.add_argument("--index", type=Path, default=Path("var/benchmark"), help="where snapshots are kept")
    parser.add_argument("--scope", choices=("whole", "root"), default="whole")
    parser.add_argument("--vectors", action="store_true", help="embed the sources and use the dense signal, which is slow")
    parser.add_argument("--baseline", type=Path, metavar="RANKINGS", help="rankings of another searcher")
    return parser.parse_args()


def _index(repository: BenchmarkRepository, options: argparse.Namespace) -> Indexed:
    started = time.monotonic()
    snapshot = index_source(repository, options.sources, options.index, vectors=options.vectors)
    return Indexed(repository, snapshot, time.monotonic() - started)


def plain_bm25(indexed: Indexed, scope: ScopeName) -> list[Outcome]:
    """Each question's chunks by BM25 over all its terms."""
    with SnapshotReader(indexed.snapshot) as reader:
        index = LexicalIndex(reader.connection)
        files = Scope.of(reader.connection, Filters(indexed.repository.root if scope == "root" else "")).files
        return [_by_words(question, index, reader.connection, files) for question in indexed.repository.questions]


def _by_words(question: Question, index: LexicalIndex, db: sqlite3.Connection, files: tuple[int, int] | None) -> Outcome:
    started = time.perf_counter()
    hits = index.chunks(analyse(question.text).terms, PASSAGES, files)
    place = "SELECT path, start_line, end_line FROM chunks JOIN files ON files.id = file_id WHERE chunks.id = ?"
    found = [Found(*db.execute(place, (hit.chunk_id,)).fetchone()) for hit in hits]
    return Outcome(question, judge(question, found), (time.perf_counter() - started) * 1000)


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
    for title, measure in (("NDCG@10", "ndcg10"), ("hit@1", "hit1"), ("hit@5", "hit5"), ("recall@10", "recall10")):
        print(f"{title:20}" + "".join(f"{mean(outcomes, measure):24.4f}" for outcomes in runs.values()))
    for title, key in (("category", _category), ("language", _language), ("repository", _repository)):
        print(f"NDCG@10 by {title}")
        groups = [grouped(outcomes, key) for outcomes in runs.values()]
        for name in groups[0]:
            print(f"  {name:18}" + "".join(f"{mean(group[name], 'ndcg10'):24.4f}" for group in groups))
    for title, share in (("p50", 0.5), ("p95", 0.95)):
        times = (percentile([outcome.latency_ms for outcome in outcomes], share) for outcomes in runs.values())
        print(f"{title + ', ms':20}" + "".join(f"{took:24.1f}" for took in times))
    *others, ours = runs
    for other in others:
        difference, (low, high) = paired_difference(runs[ours], runs[other])
        print(f"{ours} − {other}: {difference:+.4f} NDCG@10, 95 % between {low:+.4f} and {high:+.4f}")


def _category(question: Question) -> str:
    return question.category


def _language(question: Question) -> str:
    return question.language


def _repository(question: Question) -> str:
    return question.repository


if __name__ == "__main__":
    main()
