"""Write the set of long questions, benchmarks/long_questions/: what commit messages tell in prose, and the files they changed.

    python -m benchmarks.long_questions --dataset DIR --sources DIR --clones DIR [--index DIR] [--output DIR] NAME …

The set has the format of the annotated one (indexer/evaluation.py), so the same programs read it; each question also names its
commit. It comes from the histories and from nothing else: the same clones give the same files. A repository gives at most
MOST_QUESTIONS, of which at most MOST_WITHOUT_CODE about tests or documentation, the newest that pass all of these filters:

- The message is prose: at least one whole sentence below the subject, more than nine content words and at most 120, in plain
  Latin letters, with little code in it and few bullet points (these are mostly lists of squashed commits).
- It is no chore: no release, revert, merge, update of a dependency, formatting, typo or change of notices, and no bot's.
- The commit changed one to four files that count, which are still there at the annotated revision. What counts is code; tests
  and documentation count where the commit changed nothing else of what is indexed. Logs of changes never count.
- The message names no file that counts, by its path or by its name with the ending. Subjects lose the component that they begin
  with ("unix: …", "fix(router): …"), trailers, numbers of issues and links.

Only repositories with a permissive licence are taken (LICENCES); a message is part of its repository.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from benchmarks.commits import MOST_CONTENT_WORDS, Commit, answers, commits, languages_of, without_component
from indexer.benchmark import index_source
from indexer.evaluation import BenchmarkRepository, read_dataset
from indexer.query import analyse
from indexer.reranker import MOST_WORDS_OF_SHORT

FOLDER = Path(__file__).with_name("long_questions")
MOST_QUESTIONS = 40
MOST_WITHOUT_CODE = 5
COMMITS_READ = 6000

# SPDX identifiers, as the licence files of the annotated revisions say.
LICENCES = {
    "alamofire": "MIT",
    "axum": "MIT",
    "bats-core": "MIT",
    "cats": "MIT",
    "chi": "MIT",
    "click": "BSD-3-Clause",
    "commons-lang": "Apache-2.0",
    "dapper": "Apache-2.0",
    "ecto": "Apache-2.0",
    "express": "MIT",
    "fmtlib": "MIT",
    "ktor": "Apache-2.0",
    "laravel-framework": "MIT",
    "lazy.nvim": "Apache-2.0",
    "libuv": "MIT",
    "rack": "MIT",
    "requests": "Apache-2.0",
    "starlette": "BSD-3-Clause",
    "vitest": "MIT",
    "zls": "MIT",
}

_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_TRAILER = re.compile(
    r"^\s*(?:[A-Za-z]+(?:-[A-Za-z]+)+|(?:pr-url|refs?|issue|bug|fix(?:es|ed)?|close[sd]?|resolve[sd]?|see(?: also)?))\b:?\s*"
    r"(?:#\d+|https?://\S+|.*<[^>]*@[^>]*>|@\w+|[\w.-]+/[\w.-]+#\d+).*$|^\s*\(cherry picked.*$|^\s*-{3,}\s*$|^\s*\* \* \*\s*$",
    re.IGNORECASE | re.MULTILINE,
)
_REFERENCE = re.compile(
    r"[(\[]?\b(?:(?:fix(?:es|ed)?|close[sd]?|resolve[sd]?|refs?|see|issue|pr|gh)[\s:-]*)?(?:[\w.-]+/[\w.-]+)?(?<!\w)#\d+[)\]]?"
    r"|[(\[]\s*#\d+\s*[)\]]|<?https?://[^\s>)`]+>?",
    re.IGNORECASE,
)
# What a form for pull requests puts around the text.
_FORM = re.compile(r"<!--[\s\S]*?-->|^#{1,6}[^\S\n][^\n]*?:\w+:|^#{1,6}[^\S\n][^\n]*$", re.MULTILINE)
_BULLET = re.compile(r"^\s*(?:[-*+•]|\d+[.)])\s+")
_INDENTED = re.compile(r"^(?: {4,}|\t)")
_SENTENCE = re.compile(r"(?:\b[A-Za-z][\w'’`-]*[\s,;:]+){7,}[\w'’`()-]+[^\n]*?[.!?](?:\s|$)")
_BOT = re.compile(r"\[bot\]|dependabot|renovate|github-actions", re.IGNORECASE)
_CHORE = re.compile(
    r"\b(?:chore|release[sd]?|revert(?:s|ed|ing)?|bump(?:s|ed|ing)?|merge[sd]?|merging|version \d|v?\d+\.\d+\.\d+|change-?log"
    r"|deps|dependency|dependencies|upgrade|typos?|spelling|grammar|whitespace|format(?:ting|ted)? code|code style"
    r"|lint(?:er|ing|s)?|clippy|rubocop|rustfmt|prettier|black|eslint|pre-commit|copyright|licen[sc]e|readme|contributors?"
    r"|authors|javadocs?|coverage|badges?|pep ?8|end of file|travis|appveyor|github actions?|gitignore|workflow|ci"
    r"|(?:add|update|fix|more|simplify|refactor|move|clean ?up) (?:\S+ ){0,2}tests?)\b",
    re.IGNORECASE,
)
_PERSON = re.compile(r"(?<![\w/])@[\w-]+(?=\s|[,.]\s)|[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_LEFT_OVER = re.compile(r"[^\S\n]*\([^\S\n]*\)|^[^\S\n]*[-*+•]?[^\S\n]*$", re.MULTILINE)
_REVERT = re.compile(r"\breverts? commit\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LongQuestion:
    """text: the message as a question; relevant: the paths of what the commit changed and counts."""

    commit: str
    text: str
    category: str
    relevant: tuple[str, ...]

    def annotation(self) -> dict[str, object]:
        return {
            "query": self.text,
            "category": self.category,
            "relevant": list(self.relevant),
            "secondary": [],
            "commit": self.commit,
        }


def held_out(folder: Path = FOLDER) -> frozenset[str]:
    """The commits of a written set."""
    annotations = (json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("annotations/*.json"))
    return frozenset(annotation["commit"] for some in annotations for annotation in some)


def long_questions(found: Iterable[Commit], languages: Mapping[str, str]) -> Iterator[LongQuestion]:
    """Those of the commits that pass the filters, each text once. languages: of the files still there, by path."""
    seen: set[str] = set()
    for commit in found:
        category, relevant = answers(commit.paths, languages)
        text = question_text(commit)
        if text and relevant and text not in seen and not names_a_file(text, relevant):
            seen.add(text)
            yield LongQuestion(commit.sha, text, category, relevant)


def few_without_code(questions: Iterable[LongQuestion]) -> Iterator[LongQuestion]:
    """The same without most of those that code doesn't answer: people rarely ask what these tell."""
    left = MOST_WITHOUT_CODE
    for question in questions:
        if question.category == "code" or left:
            left -= question.category != "code"
            yield question


def question_text(commit: Commit) -> str:
    """A commit's message without what only those who keep the history write, or "" when it isn't one of those that are kept."""
    message = commit.message.replace("\r\n", "\n")
    for noise in (_FORM, _TRAILER, _REFERENCE, _PERSON, _LEFT_OVER):
        message = noise.sub("", message)
    subject, _, body = message.strip().partition("\n")
    if _BOT.search(commit.author) or _CHORE.search(subject) or _REVERT.search(body):
        return ""
    blocks = [block for block in re.split(r"\n\s*\n", body.strip("\n")) if block.strip()]
    if not blocks or not _is_prose(body):
        return ""
    subject = without_component(subject)
    text = "\n\n".join((subject[:1].upper() + subject[1:], *map(_unwrapped, blocks))).strip()
    words = len(analyse(text).words)
    return text if MOST_WORDS_OF_SHORT < words <= MOST_CONTENT_WORDS and _is_mostly_ascii(text) else ""


def _is_prose(body: str) -> bool:
    """Whether there is a whole sentence outside of code, and more lines of text than of bullet points and code."""
    plain = _FENCED.sub("", body)
    lines = [line for line in plain.split("\n") if line.strip()]
    text = [line for line in lines if not _BULLET.match(line) and not _INDENTED.match(line)]
    all_lines = [line for line in body.split("\n") if line.strip()]
    return len(text) * 2 > len(all_lines) and bool(_SENTENCE.search(" ".join(text)))


def _unwrapped(block: str) -> str:
    """A paragraph on one line, as people type one; code and lists keep their lines."""
    lines = block.strip("\n").split("\n")
    if any(_BULLET.match(line) or _INDENTED.match(line) or "```" in line for line in lines):
        return "\n".join(line.rstrip() for line in lines)
    return re.sub(r"\s+", " ", " ".join(lines)).strip()


def _is_mostly_ascii(text: str) -> bool:
    return sum(char.isascii() for char in text) > 0.95 * len(text)


def names_a_file(text: str, paths: Sequence[str]) -> bool:
    """Whether the text says one of these paths, with or without its ending, or the name of one with its ending."""
    lowered = text.lower()
    return any(_says(lowered, path.lower()) for path in paths)


def _says(text: str, path: str) -> bool:
    place = PurePosixPath(path)
    without_ending = str(place.with_suffix(""))
    return place.name in text or ("/" in without_ending and without_ending in text)


# --- the program ----------------------------------------------------------------------------------------------------


def main() -> None:
    options = _options()
    entries = {entry["name"]: entry for entry in json.loads((options.dataset / "repos.json").read_text(encoding="utf-8"))}
    written = []
    for repository in read_dataset(options.dataset):
        if repository.name in options.names:
            questions = _questions(repository, options)
            entry = {key: entries[repository.name][key] for key in ("name", "slug", "revision", "language", "benchmark_root")}
            written.append({**entry, "license": LICENCES[repository.name], "queries": len(questions)})
            _write(options.output / "annotations" / f"{repository.name}.json", [each.annotation() for each in questions])
            print(f"{repository.name:20}{len(questions):4}")
    _write(options.output / "repos.json", written)
    print(f"{len(written)} repositories, {sum(int(entry['queries']) for entry in written)} questions: {options.output}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", choices=sorted(LICENCES), metavar="NAME", help="repositories to take")
    parser.add_argument("--dataset", type=Path, required=True, help="the annotated set, for names and revisions")
    parser.add_argument("--sources", type=Path, required=True, help="one folder for each repository")
    parser.add_argument("--clones", type=Path, required=True, help="one git repository, with its history, for each")
    parser.add_argument("--index", type=Path, default=Path("var/benchmark"), help="where snapshots are kept")
    parser.add_argument("--output", type=Path, default=FOLDER)
    return parser.parse_args()


def _questions(repository: BenchmarkRepository, options: argparse.Namespace) -> list[LongQuestion]:
    languages = languages_of(index_source(repository, options.sources, options.index))
    history = commits(options.clones / repository.name, repository.revision, COMMITS_READ)
    return list(islice(few_without_code(long_questions(history, languages)), MOST_QUESTIONS))


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
