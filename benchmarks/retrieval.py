"""How good and how fast retrieval is, beside simpler ways to search the same chunks.

    python -m benchmarks.retrieval --dataset DIR --sources DIR [--index DIR] [--scope whole|root] [--vectors]
                                   [--baseline NAME|RANKINGS …] [--report FILE.html]

Prints the machine and the inputs with the figures. All ways to search run in one go over the same snapshots: those of
indexer/baselines.py (BM25 by chunk and by file, and with --vectors the vectors alone), and `Retriever.search` with the shipped
weights. Paired differences are taken question by question. Rankings of other searchers can be given too. This is the comparison
of `manage.py evaluate_retrieval` without Sextant's settings, and with all built-in baselines.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
from pathlib import Path

from benchmarks.machine import machine
from indexer.baselines import BUILT_IN
from indexer.comparison import Comparison, Options, add_arguments, compare, told
from indexer.evaluation import read_dataset
from indexer.management.retrieval_report import write_report


def main() -> None:
    options = _options()
    built_in = [name for name in BUILT_IN if name != "dense" or options.vectors]
    comparison = compare(
        read_dataset(options.dataset),
        Options(
            sources=options.sources,
            index=options.index,
            scope=options.scope,
            vectors=options.vectors,
            baselines=[*built_in, *(each for each in options.baseline if each not in BUILT_IN)],
            explained=options.report is not None,
            tell=lambda said: print(said, file=sys.stderr),
        ),
    )
    print(f"machine  {machine()}, SQLite {sqlite3.sqlite_version}")
    print_inputs(comparison)
    for line in told(comparison):
        print(line)
    if options.report:
        write_report(options.report, comparison, options.dataset.resolve().name, machine())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True, help="repos.json and annotations/")
    parser.add_argument("--index", type=Path, default=Path("var/benchmark"), help="where snapshots are kept")
    add_arguments(parser)
    return parser.parse_args()


def print_inputs(comparison: Comparison) -> None:
    files, chunks = (sum(getattr(each, what) for each in comparison.manifests) for what in ("files", "chunks"))
    print(
        f"inputs   {len(comparison.ours.answered)} questions of {len(comparison.manifests)} repositories ({comparison.scope}):"
        f" {files:,} files, {chunks:,} chunks, indexed or found unchanged in {comparison.indexing_s:.0f} s\n"
    )


if __name__ == "__main__":
    main()
