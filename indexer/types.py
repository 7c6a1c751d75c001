"""The values that pass between the indexer's modules, all frozen.

A source is walked into `SourceFile`s, each is parsed into a `ParsedFile` of `Chunk`s, `Definition`s and `Reference`s, and
a search returns `Passage`s: chunks with the reason why they were retrieved. Lines are counted from 1 and ranges include
both ends. Paths are relative to the repository's root, with forward slashes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Signal = Literal["lexical", "dense", "symbol", "pin", "cited", "trace", "message", "regex", "references", "caller"]
Stage = Literal["reading", "parsing", "publishing", "embedding", "done"]


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file as the source gives it, before anything has looked inside.

    blob: the git object id (40 hex digits) of `read()`'s bytes, whether or not git has that object.
    """

    path: str
    size: int
    blob: str
    read: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that was left out, and why: one of the keys of the report, such as "binary" or "too large"."""

    path: str
    reason: str


class Chunk(NamedTuple):
    """A stretch of one file that is indexed as a unit.

    symbol: the symbol path ("Session.request"), or the heading path of prose ("Install > Linux"), or "".
    kind: "function", "method", "class", "interface", "module", "type", "section", "cell", "lines", …
    """

    start_line: int
    end_line: int
    symbol: str
    kind: str
    text: str


class Definition(NamedTuple):
    """name: "request"; qualified_name: "Session.request"; line: where the name stands; signature: the first line, stripped."""

    name: str
    qualified_name: str
    kind: str
    line: int
    start_line: int
    end_line: int
    signature: str


class Reference(NamedTuple):
    """A use of a name: kind is "call", "type", "import", "inherit" or "name"."""

    name: str
    line: int
    kind: str


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """What was found in one file. `text` is its whole text with line ends as "\\n"; `header` its docstring or head comment.

    note: "" or why the file was cut by lines instead of along definitions ("parser took longer than 5 s").
    redacted: (kind of secret, how many) for what was taken out of the text; allowed: for what somebody says is no secret.
    """

    language: str
    text: str
    chunks: tuple[Chunk, ...]
    definitions: tuple[Definition, ...] = ()
    references: tuple[Reference, ...] = ()
    header: str = ""
    note: str = ""
    redacted: tuple[tuple[str, int], ...] = ()
    allowed: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Filters:
    """What a search keeps to. folder: a folder or file, or "" for all. languages: names, or none for all. tests: whether tests,
    fixtures and benchmarks count. pins: paths and symbols that are pinned beside those that the question itself names, without
    their "@"."""

    folder: str = ""
    languages: tuple[str, ...] = ()
    tests: bool = True
    pins: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Only what restricts something."""
        told = {"folder": self.folder, "languages": list(self.languages), "tests": self.tests, "pins": list(self.pins)}
        return {name: value for name, value in told.items() if value != (name == "tests") and value not in ("", [])}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Filters:
        """What `as_json` gave."""
        languages, pins = tuple(told.get("languages", ())), tuple(told.get("pins", ()))
        return cls(str(told.get("folder", "")), languages, bool(told.get("tests", True)), pins)

    def __str__(self) -> str:
        parts = [self.folder, ", ".join(self.languages), "" if self.tests else "no tests"]
        return "; ".join(part for part in parts if part)


NO_FILTERS = Filters()


@dataclass(frozen=True, slots=True)
class Cited:
    """Lines that an earlier answer of the conversation has cited."""

    path: str
    start_line: int
    end_line: int


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one signal ranked a passage: rank from 1, and that signal's own score."""

    signal: Signal
    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class Span:
    """Lines of a file, with their text."""

    start_line: int
    end_line: int
    text: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk that a search returned, best first. `score` orders the passages of one search and means nothing beyond it.

    marked: the lines in it that the question points at: a frame's, a match's, a call's. wider: what it may be widened to where
    there is room, the smaller first: its whole definition, its file when that is small. test: whether it is part of a test.
    """

    chunk_id: int
    path: str
    blob: str
    start_line: int
    end_line: int
    symbol: str
    kind: str
    language: str
    text: str
    score: float
    origins: tuple[Origin, ...]
    marked: tuple[int, ...] = ()
    wider: tuple[Span, ...] = ()
    test: bool = False


@dataclass(frozen=True, slots=True)
class SearchStep:
    """One line of "how this was found": name ("Lexical"), detail ("41 chunks for guard, endpoint"), took_ms."""

    name: str
    detail: str
    took_ms: float


@dataclass(frozen=True, slots=True)
class Strength:
    """How strongly a search's findings hold: what tells whether a repository is what a question is about at all.

    embedder: which made the question's vector, or "" without vectors. bm25: of the best chunk. coverage: the share of the
    question's terms, by rarity, that the fullest chunk holds. rarities: of the question's own words that occur, as logarithms.
    definition: how surely the question names something that is defined here, 0 to 1. named_files: how many files it names by
    their paths. chance: the best file's; name_in_query: how much of the name of one of the three best files the question says.
    called: how much of the question names what something here is called, 0 to 1. nearest: the cosine of the nearest chunk, 0
    without vectors. language: the natural language's code, or "" for English. follows: whether the question was read as a
    follow-up.
    """

    embedder: str = ""
    bm25: float = 0.0
    coverage: float = 0.0
    rarities: tuple[float, ...] = ()
    definition: float = 0.0
    named_files: int = 0
    chance: float = 0.0
    name_in_query: float = 0.0
    called: float = 0.0
    nearest: float = 0.0
    language: str = ""
    follows: bool = False


@dataclass(frozen=True, slots=True)
class SearchResult:
    """passages best first; `matched_terms`/`missing_terms`: the query's content words that the index does or doesn't hold.

    vectors: whether the dense signal took part (False until the snapshot has some vectors); embedded: how many of the
    snapshot's `chunks` had a vector when this search ended, 0 where `vectors` is False.
    symbols: the names in the query that are defined in this repository. kind: what the question was read as (query.Kind).
    filters: what the search kept to. unresolved: pins that nothing here is called by. callers: where they were asked for,
    definitions that call what the question names; they are none of `passages`. support: how much speaks for an answer being
    here at all, in logits above the common border (indexer.support), or None where words can't tell.
    """

    passages: tuple[Passage, ...]
    steps: tuple[SearchStep, ...]
    vectors: bool
    symbols: tuple[str, ...] = ()
    matched_terms: tuple[str, ...] = ()
    missing_terms: tuple[str, ...] = ()
    took_ms: float = 0.0
    kind: str = "plain"
    filters: Filters = NO_FILTERS
    unresolved: tuple[str, ...] = ()
    embedded: int = 0
    chunks: int = 0
    strength: Strength = field(default_factory=Strength)
    callers: tuple[Passage, ...] = ()
    support: float | None = None


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as a snapshot keeps it."""

    path: str
    blob: str
    language: str
    lines: int
    text: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """manifest.json of a snapshot directory. `skipped` maps a reason to a number of files.

    redaction: the version of the rules by which secrets were taken out, 0 for none; baseline: which list of known false
    positives was used (secrets_baseline.digest). redacted: how many secrets of each kind; redacted_files: where they were, the
    first of them. allowed: how many were left in as known false positives.
    """

    schema: int
    chunker: int
    repository: str
    ref: str
    commit: str
    dirty: bool
    created_at: str
    files: int
    chunks: int
    definitions: int
    embedder: str
    dimension: int
    skipped: Mapping[str, int] = field(default_factory=dict)
    skipped_examples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    redaction: int = 0
    redacted: Mapping[str, int] = field(default_factory=dict)
    redacted_files: tuple[str, ...] = ()
    baseline: str = ""
    allowed: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a build is: `done` of `total` units of `stage` (files while reading and parsing, chunks while embedding)."""

    stage: Stage
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What `index_repo --json` prints."""

    repository: str
    snapshot: str
    commit: str
    files: int
    chunks: int
    embedded: int
    reused: int
    skipped: Mapping[str, int]
    searchable_after_s: float
    seconds: float
