"""What a file's path tells about it, whatever is asked: its name in stems, and whether it is a test, documentation, an
example (or a script, or another project's), prose or data.

The words that mark a kind are conventions of many languages, not of single projects. They count only as a whole part of a
folder's or file's name: `contest/` holds no tests and `latest.py` is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from indexer.tokens import split_identifier, word_set, word_stems

_TEST_FOLDERS = word_set("test tests spec specs fixture fixtures testdata e2e benchmark benchmarks bench benches")
_TEST_ENDINGS = word_set("test tests spec specs suite")
_DOCUMENTATION = word_set("doc docs documentation website site guide guides changelog changes changelogs news")
_EXAMPLES = word_set(
    "example examples sample samples demo demos tutorial tutorials playground playgrounds script scripts tool tools misc "
    "contrib ci cmake "
    # Copies of other projects.
    "vendor vendored thirdparty 3rdparty bundled external"
)
# Files that stand for the folder that they are in.
_ENTRY_STEMS = word_set("__init__ index mod main lib package package-info init")

# What holds no code that runs. "lines" and "" are text of no known language.
_PROSE = word_set(
    "markdown rst text lines html css scss less yaml json xml toml ini cmake make batch diff latex csv notebook "
    "go-module nix sql docker properties svg"
) | {""}


@dataclass(frozen=True, slots=True)
class FileTraits:
    """name: stems of the words that the file goes by, which are those of its name up to the first dot, or its folder's where
    that says nothing (`session/__init__.py` is the session). place: stems of the words in its whole path."""

    name: frozenset[str]
    place: frozenset[str]
    test: bool
    documentation: bool
    example: bool
    prose: bool


class _Folder(NamedTuple):
    """stems: of all words in its path; words: of each of its folders, the last word and all in one."""

    stems: frozenset[str]
    words: frozenset[str]


@lru_cache(maxsize=20_000)
def traits_of(path: str, language: str) -> FileTraits:
    parent, _, name = path.rpartition("/")
    folder = _folder(parent)
    stem = stem_of(path)
    own = frozenset(word_stems(stem))
    words = folder.words | {stem.lower()}
    goes_by = parent.rpartition("/")[2] if stem in _ENTRY_STEMS and parent else ""
    return FileTraits(
        name=frozenset(word_stems(goes_by)) if goes_by else own,
        place=folder.stems | own,
        test=not folder.words.isdisjoint(_TEST_FOLDERS) or _is_test(name),
        documentation=not words.isdisjoint(_DOCUMENTATION),
        example=not words.isdisjoint(_EXAMPLES),
        prose=language in _PROSE,
    )


@lru_cache(maxsize=10_000)
def _folder(path: str) -> _Folder:
    names = path.split("/") if path else []
    parts = [split_identifier(name) or (name,) for name in names]
    return _Folder(frozenset(word_stems(path)), frozenset(word for part in parts for word in (part[-1], "".join(part))))


def stem_of(path: str) -> str:
    """ "foo" for src/foo.test.ts; the whole name of a file that begins with a dot."""
    name = path.rstrip("/").rpartition("/")[2]
    return name.split(".")[0] or name


def keys_of_import(name: str) -> set[str]:
    """What a file may go by that imports of this name mean: "b" for "a.b" and for "../a/b.js"."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return {name, last.rpartition(".")[2] or name, stem_of(name)}


def is_test_scope(symbol: str, kind: str) -> bool:
    """Whether a chunk of a source file is a test that stands beside what it tests: Rust's `mod tests`, Zig's `test`."""
    return kind == "test" or not _TEST_FOLDERS.isdisjoint(symbol.split("."))


def _is_test(name: str) -> bool:
    words = [word for part in name.split(".")[:-1] for word in split_identifier(part)[-1:]]
    return name.startswith("test_") or any(word in _TEST_ENDINGS for word in words)
