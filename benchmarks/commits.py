"""Long questions, taken from history: what a commit's message tells at length, and the code files that the commit changed.

The annotated questions have at most nine content words, and people who are stuck write paragraphs. A commit message
describes a problem or a wish in a developer's words, and the commit says where the answer lay. It is a stand-in for questions:
messages are written by those who know the code, and a change is not always where one would look first.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from indexer.evaluation import BenchmarkRepository, Question, Target
from indexer.file_traits import traits_of
from indexer.query import analyse
from indexer.reranker import MOST_WORDS_OF_SHORT
from indexer.snapshot import SnapshotReader

COMMITS_READ = 1500
MOST_CHANGED_FILES = 3
MOST_QUESTIONS = 60
_MOST_CONTENT_WORDS = 120

# Trailers, and lines that only a tool reads: they would name people and numbers, never code.
_NO_PROSE = re.compile(
    r"^(?:[\w-]+-by|refs?|fixes|fixed|closes|closed|resolves|see|pr-url|reviewed.*|change-id|backport.*)\b[:\s].*$"
    r"|\(?#\d+\)?|https?://\S+|^\(cherry picked.*$",
    re.IGNORECASE | re.MULTILINE,
)

# Messages that tell of no place in the code.
_CHORE = re.compile(
    r"(?:chore|release|revert|bump|merge|version|build\(deps|update (?:dependency|version|changelog))\b", re.IGNORECASE
)


def long_questions(repository: BenchmarkRepository, clone: Path, snapshot: Path) -> tuple[Question, ...]:
    """The newest commits of `clone` up to the snapshot's that tell at length what one to three of its code files needed."""
    with SnapshotReader(snapshot) as reader:
        languages = dict(reader.connection.execute("SELECT path, language FROM files"))
    found: list[Question] = []
    for message, paths in _commits(clone, repository.revision):
        code = [path for path in paths if path in languages and _is_code(path, languages[path])]
        if 0 < len(code) <= MOST_CHANGED_FILES and _is_long(message):
            targets = tuple(map(Target, code))
            found.append(Question(repository.name, repository.language, "commit", message, targets))
            if len(found) == MOST_QUESTIONS:
                break
    return tuple(found)


def _commits(clone: Path, revision: str) -> Iterator[tuple[str, Sequence[str]]]:
    """(message, changed paths) of the newest commits up to `revision`, merges left out."""
    command = ["git", "--git-dir", str(clone), "log", "--no-merges", "--no-renames", f"-{COMMITS_READ}", "--name-only"]
    log = subprocess.run([*command, "--format=%x1e%B%x1f", revision], capture_output=True, check=True).stdout
    for entry in log.decode("utf-8", "replace").split("\x1e")[1:]:
        message, _, paths = entry.partition("\x1f")
        yield _NO_PROSE.sub("", message).strip(), paths.split()


def _is_long(message: str) -> bool:
    return not _CHORE.match(message) and MOST_WORDS_OF_SHORT < len(analyse(message).words) <= _MOST_CONTENT_WORDS


def _is_code(path: str, language: str) -> bool:
    traits = traits_of(path, language)
    return not (traits.prose or traits.test or traits.documentation or traits.example)
