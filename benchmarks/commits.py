"""Long questions, taken from history: what a commit's message tells at length, and the files that the commit changed.

The annotated questions have at most nine content words, and people who are stuck write paragraphs. A commit message
describes a problem or a wish in a developer's words, and the commit says where the answer lay. It is a stand-in for questions:
messages are written by those who know the code, and a change is not always where one would look first.

The `long` mixes learn from these. The commits of benchmarks/long_questions are never among them: that set is for measuring.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from indexer.evaluation import BenchmarkRepository, Question, Target
from indexer.file_traits import traits_of
from indexer.languages import language_of
from indexer.query import analyse
from indexer.reranker import MOST_WORDS_OF_SHORT
from indexer.snapshot import SnapshotReader

COMMITS_READ = 2500
MOST_TARGETS = 4
MOST_QUESTIONS = 80
MOST_CONTENT_WORDS = 120

# Trailers, and lines that only a tool reads: they would name people and numbers, never code.
_NO_PROSE = re.compile(
    r"^(?:[\w-]+-by|refs?|fixes|fixed|closes|closed|resolves|see|pr-url|reviewed.*|change-id|backport.*)\b[:\s].*$"
    r"|\(?#\d+\)?|https?://\S+|^\(cherry picked.*$",
    re.IGNORECASE | re.MULTILINE,
)

# What counts as documentation where a commit changed nothing else.
_PROSE = frozenset(("markdown", "rst", "text"))
_LOG_OF_CHANGES = re.compile(
    r"^(?:change(?:s|log)|history|news|releases?|authors|contributors|upgrading|migration)\b", re.IGNORECASE
)

_COMPONENT = re.compile(r"^(?:\[[^\]]{1,40}\]\s*|[\w.,/*+{}-]+(?:\([^)]*\))?!?(?:[,\s]+[\w./*-]+){0,2}:\s+)+")
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
    """The newest commits of `clone` up to the snapshot's that tell at length what a few of its files needed.

    held_out: hashes of the commits that are kept for measuring.
    """
    languages = languages_of(snapshot)
    found: list[Question] = []
    for commit in commits(clone, repository.revision, COMMITS_READ):
        if commit.sha in held_out:
            continue
        message = plain_message(commit)
        category, relevant = answers(commit.paths, languages)
        if relevant and _is_long(message):
            found.append(Question(repository.name, repository.language, category, message, tuple(map(Target, relevant))))
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


def answers(paths: Sequence[str], languages: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """What kind of file answers, and which ones; none when they are too many, of several kinds, or not all there any more."""
    kinds = {path: _kind(path, languages.get(path) or language_of(path, "").name) for path in paths}
    category = next((kind for kind in ("code", "test", "documentation") if kind in kinds.values()), "")
    counted = sorted(path for path, kind in kinds.items() if kind == category)
    alone = category == "code" or set(kinds.values()) <= {category, "log of changes"}
    there = 0 < len(counted) <= MOST_TARGETS and languages.keys() >= set(counted)
    return category, tuple(counted) if alone and there else ()


def _kind(path: str, language: str) -> str:
    traits = traits_of(path, language)
    if _LOG_OF_CHANGES.match(PurePosixPath(path).name):
        return "log of changes"
    if not (traits.prose or traits.test or traits.documentation or traits.example):
        return "code"
    if traits.test:
        return "test"
    return "documentation" if language in _PROSE else "other"


def plain_message(commit: Commit) -> str:
    """A commit's message without trailers and what only a tool reads."""
    return _NO_PROSE.sub("", commit.message).strip()


def without_component(subject: str) -> str:
    """A subject without the component that it begins with: "unix: …", "fix(router): …"."""
    return _COMPONENT.sub("", subject.strip())


def is_chore(message: str) -> bool:
    """Whether a message tells of no place in the code."""
    return _CHORE.match(message) is not None


def _is_long(message: str) -> bool:
    return not is_chore(message) and MOST_WORDS_OF_SHORT < len(analyse(message).words) <= MOST_CONTENT_WORDS
