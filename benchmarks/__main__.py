"""python -m benchmarks [--dataset DIR --sources DIR] [--semble PYTHON] [--large FOLDER]: every benchmark, without choosing.

Embedding, packing, indexing and search speed are measured on this project's own indexer, the latter two where there are
sources on those; streams run over PostgreSQL and Redis where the latter is installed; retrieval needs a dataset and its
sources, and scale a large folder: they are left out without them. What else the options of a single benchmark allow is told by
`python -m benchmarks.NAME --help`.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

OWN_SOURCE = Path(__file__).resolve().parent.parent / "indexer"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, help="annotated questions: repos.json and annotations/")
    parser.add_argument("--sources", type=Path, help="one folder for each repository of the dataset")
    parser.add_argument("--semble", metavar="PYTHON", help="a Python that has semble, to index beside it")
    parser.add_argument("--large", type=Path, metavar="FOLDER", help="a folder of tens of thousands of files")
    options = parser.parse_args()
    if (options.dataset is None) != (options.sources is None):
        parser.error("--dataset and --sources go together")
    folders = sorted(folder for folder in options.sources.iterdir() if folder.is_dir()) if options.sources else [OWN_SOURCE]
    names = list(map(str, folders))
    dataset = ["--dataset", str(options.dataset)] if options.dataset else []
    failed = run("embedding", str(OWN_SOURCE))
    failed |= run("indexing", *names, *(["--semble", options.semble] if options.semble else []))
    failed |= run("search_speed", *names, *dataset)
    failed |= run("packing", str(OWN_SOURCE))
    failed |= run("relay", "--questions", "5", "--together", "50")
    over = [] if shutil.which("redis-server") else ["--sqlite"]
    failed |= run("streams", "--answers", "50", "--tokens", "600", "--ramp", "10", *over)
    if options.large:
        failed |= run("scale", str(options.large))
    else:
        print("\nscale: not measured; give --large (make bench LARGE=FOLDER)")
    if not dataset:
        print("\nretrieval: not measured; give --dataset and --sources (make bench DATASET=FOLDER SOURCES=FOLDER)")
        return failed
    return failed | run("retrieval", *dataset, "--sources", str(options.sources))


def run(name: str, *arguments: str) -> int:
    """A benchmark in a process of its own, so that none sees what another has loaded or cached; its exit status."""
    print(f"\n== {name} ==", flush=True)
    return subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
