"""Long questions, taken from history: what a commit's message tells at length, and the code files that the commit changed.

The annotated questions have at most nine content words, and people who are stuck write paragraphs. A commit message
describes a problem or a wish in a developer's words, and the commit says where the answer lay. It is a stand-in for questions:
messages are written by those who know the code, and a change is not always where one would look first.

The `long` mixes learn from these. The commits of benchmarks/long_questions are never among them: that set is for measuring.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path

from indexer.evaluation import BenchmarkRepository, Question, Target
from indexer.file_traits import traits_of
from indexer.query import analyse
from indexer.reranker import MOST_WORDS_OF_SHORT
from indexer.snapshot import SnapshotReader

COMMITS_READ = 2500
MOST_CHANGED_FILES = 3
MOST_QUESTIONS = 60
MOST_CONTENT_WORDS = 120

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


@dataclass(frozen=True, slots=True)
class Commit:
    """message: as it was written; paths: what the commit changed, relative to the root."""

    sha: str
    author: str
    message: str
    paths: tuple[str, ...]


def training_questions(
    repository: BenchmarkRepository, clone: Path, snapshot: Path, held_out: Set[str]
) -> tuple[Question, ...]:
    """The newest commits of `clone` up to the snapshot's that tell at length what one to three of its code files needed.

    held_out: hashes of the commits that are kept for measuring.
    """
    languages = languages_of(snapshot)
    found: list[Question] = []
    for commit in commits(clone, repository.revision, COMMITS_READ):
        if commit.sha in held_out:
            continue
        message = _NO_PROSE.sub("", commit.message).strip()
        code = [path for path in commit.paths if path in languages and is_code(path, languages[path])]
        if 0 < len(code) <= MOST_CHANGED_FILES and _is_long(message):
            targets = tuple(map(Target, code))
            found.append(Question(repository.name, repository.language, "commit", message, targets))
            if len(found) == MOST_QUESTIONS:
                break
    return tuple(found)


def commits(clone: Path, revision: str, most: int) -> Iterator[Commit]:
    """The newest commits up to `revision`, merges left out. Raises CalledProcessError when `clone` doesn't have it."""
    command = ["git", "--git-dir", str(clone), "log", "--no-merges", "--no-renames", f"-{most}", "--name-only", "-z"]
    log = subprocess.run([*command, "--format=%x1e%H%x1f%an%x1f%B%x1f", revision], capture_output=True, check=True).stdout
    for entry in log.decode("utf-8", "replace").split("\x1e")[1:]:
        sha, author, message, paths = entry.split("\x1f", 3)
        yield Commit(sha, author, message, tuple(path for path in paths.strip("\0\n").split("\0") if path))


def languages_of(snapshot: Path) -> dict[str, str]:
    """The language of each file of a snapshot."""
    with SnapshotReader(snapshot) as reader:
        return dict(reader.connection.execute("SELECT path, language FROM files"))


def is_code(path: str, language: str) -> bool:
    """Whether a file is neither a test nor documentation, an example or prose."""
    traits = traits_of(path, language)
    return not (traits.prose or traits.test or traits.documentation or traits.example)


def _is_long(message: str) -> bool:
    return not _CHORE.match(message) and MOST_WORDS_OF_SHORT < len(analyse(message).words) <= MOST_CONTENT_WORDS
