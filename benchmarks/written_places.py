"""How well paths and names that an answer writes are linked, or said to be nowhere, on labelled sentences.

    python -m benchmarks.written_places --sources SOURCES [--index DIR]

SOURCES holds one folder for each repository, at the commits of the development set. `written_places/examples.jsonl` holds the
sentences: `written` is the stretch that counts, `expected` is "here" (with `path`, and its line where one is meant), "absent"
or "nothing". A wrong "absent" is the mistake that matters: it denies something that may be there.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from assistant.written_places import WrittenPlace, resolve, written_in
from benchmarks.snapshots import Snapshots, add_arguments
from indexer.retriever import Retriever

EXAMPLES = Path(__file__).parent / "written_places" / "examples.jsonl"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    options = parser.parse_args()
    snapshots = Snapshots(options.sources, options.index)
    counts: Counter[tuple[str, str]] = Counter()
    for example, told in results(snapshots):
        counts[example["expected"], told] += 1
        if told != example["expected"]:
            print(f"{example['repository']}: {example['written']}: {told} instead of {example['expected']}")
    print(f"{counts.total()} examples")
    for state in ("here", "absent"):
        right, said = counts[state, state], sum(n for (_, told), n in counts.items() if told == state)
        meant = sum(n for (expected, _), n in counts.items() if expected == state)
        print(
            f"{state}: said {said}, right {right}, of {meant}: precision {right / max(said, 1):.3f}, recall {right / meant:.3f}"
        )


def results(snapshots: Snapshots) -> Iterator[tuple[dict[str, str], str]]:
    """Every example, and what is told of it: "here", "absent", "nothing", or "wrong place"."""
    retriever = Retriever()
    for line in EXAMPLES.read_text(encoding="utf-8").splitlines():
        example: dict[str, str] = json.loads(line)
        with retriever.look_up(snapshots[example["repository"]]) as lookup:
            places = list(resolve(written_in(example["text"]), lookup, ()))
        start = example["text"].index(example["written"])
        yield example, _told(example, [p for p in places if p.start < start + len(example["written"]) and p.end > start])
    retriever.close()


def _told(example: dict[str, str], places: list[WrittenPlace]) -> str:
    if not places:
        return "nothing"
    (place,) = places
    if place.state == "here" and example["expected"] == "here":
        path, _, line = example["path"].partition(":")
        return "here" if place.path == path and (not line or place.start_line == int(line)) else "wrong place"
    return place.state


if __name__ == "__main__":
    main()
