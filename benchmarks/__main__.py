"""python -m benchmarks [--dataset DIR --sources DIR]: every benchmark that a person can run without choosing.

Embedding is measured on this project's own indexer; retrieval needs a dataset and its sources, and is left out without them.
What else the options of a single benchmark allow is told by `python -m benchmarks.embedding --help` and
`python -m benchmarks.retrieval --help`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

OWN_SOURCE = Path(__file__).resolve().parent.parent / "indexer"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, help="annotated questions: repos.json and annotations/")
    parser.add_argument("--sources", type=Path, help="one folder for each repository of the dataset")
    options = parser.parse_args()
    if (options.dataset is None) != (options.sources is None):
        parser.error("--dataset and --sources go together")
    status = run("embedding", str(OWN_SOURCE))
    if options.dataset is None:
        print("\nretrieval: not measured; give --dataset and --sources (make bench DATASET=FOLDER SOURCES=FOLDER)")
        return status
    return run("retrieval", "--dataset", str(options.dataset), "--sources", str(options.sources)) or status


def run(name: str, *arguments: str) -> int:
    """A benchmark in a process of its own, so that none sees what another has loaded or cached; its exit status."""
    print(f"\n== {name} ==", flush=True)
    return subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
