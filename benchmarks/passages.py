"""Which lines of a file are shown: whether a search finds the lines that answer, and how many of them reach a small model.

    python -m benchmarks.passages --dataset DIR --sources DIR --clones DIR [--index DIR] [--vectors] NAME …

Questions are commit messages: a short one is the subject, three to nine content words; a long one the whole message, ten to
120. What answers are the lines of today's files that git blames on that commit, 2 to 120 of them in a file of at least four
chunks. The newest MOST_QUESTIONS of each kind of a repository are asked. A message is no question, and lines that a commit
wrote aren't all that matters of it, so the figures compare ways to choose and promise nothing about a reader's questions.

In the right file: the share of questions whose first passage holds such a line, when the search keeps to the file, beside the
chunk that BM25 ranks first and a chunk drawn at random; a file's tests and its imports don't count where the commit wrote
other lines of it. As evidence: the share of questions of which EVIDENCE_TOKENS of what
the whole search finds hold any line, the share of all lines that they hold, and how many passages that is, when a passage may
take a whole budget, a half of it and so on. A token is taken for CHARACTERS_A_TOKEN characters.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "assistant.settings")
django.setup()

from assistant.evidence import EvidencePicker  # noqa: E402
from assistant.packing import EMBEDDED_EVIDENCE_TOKENS, FEWEST_PASSAGES  # noqa: E402
from assistant.prompts import rendered_passage  # noqa: E402
from assistant.reading_order import in_reading_order  # noqa: E402
from benchmarks.commits import (  # noqa: E402
    MOST_CONTENT_WORDS,
    answers,
    commits,
    is_chore,
    languages_of,
    plain_message,
    without_component,
)
from benchmarks.machine import machine  # noqa: E402
from indexer.benchmark import index_source  # noqa: E402
from indexer.evaluation import read_dataset  # noqa: E402
from indexer.file_traits import is_test_scope  # noqa: E402
from indexer.passages import PassageReader  # noqa: E402
from indexer.query import analyse  # noqa: E402
from indexer.reranker import MOST_WORDS_OF_SHORT  # noqa: E402
from indexer.retriever import Retriever  # noqa: E402
from indexer.snapshot import SnapshotReader  # noqa: E402
from indexer.types import SearchResult  # noqa: E402

COMMITS_READ = 2500
MOST_QUESTIONS = 60
FEWEST_LINES, MOST_LINES = 2, 120
FEWEST_CHUNKS = 4
FEWEST_WORDS = 3
SEARCHED = 12
CHARACTERS_A_TOKEN = 3.3
SHARED_BY = (1, 2, 3, 4, 6)


@dataclass(frozen=True, slots=True)
class Question:
    """lines: by path, those that the commit wrote and that are still there."""

    kind: str
    text: str
    lines: Mapping[str, Sequence[int]]


class History:
    """A clone's files at a revision, and which commit wrote each line."""

    def __init__(self, clone: Path, revision: str) -> None:
        self._clone, self._revision = clone, revision
        self._lines = cache(self._blamed)

    def questions(self, snapshot: Path) -> Iterator[Question]:
        """The newest first, at most MOST_QUESTIONS of a kind."""
        languages, chunks = languages_of(snapshot), _chunks_of_files(snapshot)
        left = {"short": MOST_QUESTIONS, "long": MOST_QUESTIONS}
        for commit in commits(self._clone, self._revision, COMMITS_READ):
            message = plain_message(commit)
            category, paths = answers(commit.paths, languages)
            if category != "code" or is_chore(message):
                continue
            found = {path: self._lines(path).get(commit.sha, ()) for path in paths if chunks[path] >= FEWEST_CHUNKS}
            lines = {path: some for path, some in found.items() if FEWEST_LINES <= len(some) <= MOST_LINES}
            if not lines:
                continue
            for kind, text in _texts(message):
                left[kind] -= 1
                if left[kind] >= 0:
                    yield Question(kind, text, lines)
            if max(left.values()) <= 0:
                return

    def _blamed(self, path: str) -> Mapping[str, Sequence[int]]:
        command = ["git", "--git-dir", str(self._clone), "blame", "--incremental", self._revision, "--", path]
        blamed = subprocess.run(command, capture_output=True, check=False)
        if blamed.returncode:
            # A partial clone lacks what is large.
            print(f"{self._clone.name}: {path} is left out: {blamed.stderr.decode(errors='replace').strip()}")
        told = blamed.stdout.decode("utf-8", "replace")
        lines: dict[str, list[int]] = defaultdict(list)
        for sha, first, count in re.findall(r"^([0-9a-f]{40}) \d+ (\d+) (\d+)$", told, re.MULTILINE):
            lines[sha] += range(int(first), int(first) + int(count))
        return lines


def _texts(message: str) -> Iterator[tuple[str, str]]:
    """What is asked of a message: the kind and the text."""
    subject = without_component(message.partition("\n")[0])
    if FEWEST_WORDS <= len(analyse(subject).words) <= MOST_WORDS_OF_SHORT:
        yield "short", subject
    if MOST_WORDS_OF_SHORT < len(analyse(message).words) <= MOST_CONTENT_WORDS:
        yield "long", message


def _chunks_of_files(snapshot: Path) -> Mapping[str, int]:
    with SnapshotReader(snapshot) as reader:
        return {file.path: len(file.chunks) for file in reader.chunks_of_files()}


# --- in the right file ------------------------------------------------------------------------------------------------------


class Tally:
    """Sums of figures, by the kind of question and what they are of."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str], list[float]] = {}

    def add(self, kind: str, name: str, *figures: float) -> None:
        sums = self._sums.setdefault((kind, name), [0.0] * (len(figures) + 1))
        for place, figure in enumerate((1.0, *figures)):
            sums[place] += figure

    def print(self, head: str) -> None:
        print(f"\n{head}")
        for (kind, name), (count, *sums) in sorted(self._sums.items()):
            print(f"{kind:7}{name:26}{int(count):6}" + "".join(f"{each / count:9.3f}" for each in sums))


def in_the_file(tally: Tally, question: Question, retriever: Retriever, snapshot: Path, *, vectors: bool) -> None:
    with SnapshotReader(snapshot) as reader:
        for path, lines in question.lines.items():
            (file_id,) = reader.connection.execute("SELECT id FROM files WHERE path = ?", (path,)).fetchone()
            spans = PassageReader(reader).spans([file_id])[file_id]
            beside = {span.chunk_id for span in spans if span.imports or is_test_scope(span.symbol, span.kind)}
            holding = {span.chunk_id for span in spans if any(span.start_line <= line <= span.end_line for line in lines)}
            holding = holding - beside or holding
            bm25 = reader.lexical.chunks(dict(analyse(question.text).terms), 1, (file_id, file_id))
            found = retriever.search(snapshot, question.text, limit=1, scope=path, vectors=vectors).passages
            tally.add(question.kind, "any chunk", len(holding) / len(spans))
            tally.add(question.kind, "BM25's first", float(bool(len(bm25)) and int(bm25.chunks[0]) in holding))
            tally.add(question.kind, "Sextant's first", float(bool(found) and found[0].chunk_id in holding))


# --- as evidence ------------------------------------------------------------------------------------------------------------


async def _count(texts: Sequence[str]) -> list[int]:
    return [int(len(text) / CHARACTERS_A_TOKEN) + 1 for text in texts]


def as_evidence(tally: Tally, question: Question, found: SearchResult) -> None:
    about = " ".join(found.matched_terms) or question.text
    passages = in_reading_order(found.passages, question.text, about)
    render = partial(rendered_passage, numbered=False)
    for shared_by in SHARED_BY:
        most = EMBEDDED_EVIDENCE_TOKENS // shared_by
        picker = EvidencePicker(_count, render, about, most=most, widens=False)
        blocks = asyncio.run(picker.pick(passages, (), EMBEDDED_EVIDENCE_TOKENS)).blocks
        wanted = [(path, line) for path, lines in question.lines.items() for line in lines]
        shown = sum(any(block.holds(path, line, line) for block in blocks) for path, line in wanted)
        name = f"at most 1/{shared_by} a passage" + (", shipped" if shared_by == FEWEST_PASSAGES else "")
        tally.add(question.kind, name, float(shown > 0), shown / len(wanted), float(len(blocks)))


# --- the program ------------------------------------------------------------------------------------------------------------


def main() -> None:
    options = _options()
    print(f"{machine()}; {'words and vectors' if options.vectors else 'words'}")
    files, evidence, retriever = Tally(), Tally(), Retriever()
    wanted = [one for one in read_dataset(options.dataset) if not options.names or one.name in options.names]
    for repository in wanted:
        snapshot = index_source(repository, options.sources, options.index, vectors=options.vectors)
        for question in History(options.clones / repository.name, repository.revision).questions(snapshot):
            in_the_file(files, question, retriever, snapshot, vectors=options.vectors)
            found = retriever.search(snapshot, question.text, limit=SEARCHED, vectors=options.vectors)
            as_evidence(evidence, question, found)
    print(f"{len(wanted)} repositories: {', '.join(one.name for one in wanted)}")
    files.print("in the right file, which holds a line of the commit:          files    share")
    evidence.print(f"{EMBEDDED_EVIDENCE_TOKENS} tokens of evidence:       questions      any    lines  passages")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="repositories to take (default: all)")
    parser.add_argument("--dataset", type=Path, required=True, help="the annotated set, for names and revisions")
    parser.add_argument("--sources", type=Path, required=True, help="one folder for each repository")
    parser.add_argument("--clones", type=Path, required=True, help="one git repository, with its history, for each")
    parser.add_argument("--index", type=Path, default=Path("var/benchmark"), help="where snapshots are kept")
    parser.add_argument("--vectors", action="store_true", help="search by vectors, too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
