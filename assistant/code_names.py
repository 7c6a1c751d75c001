"""What a stretch of prose names of the code, and where a passage holds it."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from indexer.tokens import stem


@dataclass(frozen=True)
class Evidence:
    """One passage as the model saw it: `text` is what stands on `start_line` to `end_line` of `path`.

    What every sentence of an answer asks of it is worked out once, when it is first asked.
    """

    number: int
    path: str
    start_line: int
    end_line: int
    symbol: str
    text: str

    @functools.cached_property
    def line_of_word(self) -> dict[str, int]:
        """Each run of letters, digits and underscores → the line that has it first."""
        first: dict[str, int] = {}
        for number, line in enumerate(self.text.split("\n"), self.start_line):
            for word in WORD.findall(line):
                first.setdefault(word, number)
        return first

    @functools.cached_property
    def symbol_names(self) -> tuple[str, ...]:
        return tuple(IDENTIFIER.findall(self.symbol))

    @functools.cached_property
    def stems(self) -> tuple[str, ...]:
        """Those of its words, in their order."""
        return tuple(stems_of(self.text))

    @functools.cached_property
    def known_stems(self) -> frozenset[str]:
        return frozenset(self.stems)

    @functools.cached_property
    def stemmed(self) -> str:
        """Its stems and nothing else, one space before and after each."""
        return f" {' '.join(self.stems)} "

    @functools.cached_property
    def beginnings(self) -> frozenset[str]:
        """The first five letters of each of its longer words."""
        return frozenset(beginnings_of(f"{self.symbol} {self.text}"))


@dataclass(frozen=True, slots=True)
class Found:
    name: str
    line: int


CODE_SPAN = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)")
_QUOTE = re.compile(r"[\"“]([^\"“”`]{3,80})[\"”]")
_PATH = re.compile(r"(?<![\w./-])[\w.-]+(?:/[\w.-]+)+(?<![.-])|(?<![\w./-])[\w-]+\.(?:[a-z]{1,4}|toml|json|yaml|html)(?![\w(])")
IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
WORD = re.compile(r"\w+")
_LONGER_WORD = re.compile(r"[a-z]{4,}")
_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_COMMON_WORDS = frozenset(
    WORD.findall(
        "the and for that this with from not are was were has have its into than then when which while will would can "
        "could may must should only also but other another each them they there their what one two first again more most "
        "some any all out own same such unless until before after being been does did done gives given give get gets use "
        "used uses using"
    )
)
_DOTTED = re.compile(r"(?<![\w.])[A-Za-z_]\w*(?:(?:\.|::|->)[A-Za-z_]\w*)+(?:\(\))?|(?<![\w.])[A-Za-z_]\w*\(\)")
# Words in prose that only code has: an underscore inside, a capital after a small letter, or digits after letters (sha1).
_BARE = re.compile(r"(?<![\w.])(?:[A-Za-z]\w*_\w+|[A-Za-z]{2,}\d\w*|_\w+|[A-Za-z]*[a-z][A-Z]\w*|[A-Z][A-Z]+[a-z]\w+)(?!\w)")
# What occurs in nearly every passage proves nothing by itself.
TRIVIAL = frozenset(
    {"None", "True", "False", "null", "nil", "true", "false", "undefined", "self", "this", "return", "if", "def"}
)
_NOT_NAMES = frozenset({"e.g", "i.e", "JavaScript", "TypeScript", "GitHub", "PostgreSQL", "GraphQL", "OAuth", "YouTube"})


@functools.lru_cache(maxsize=2000)
def names_in(prose: str) -> tuple[str, ...]:
    """The code that a stretch of prose names, in the order of its kinds: code spans, quotes, paths, identifiers.

    A span is one name; "`a.b()`" is what stands between the backticks.
    """
    names: list[str] = []

    def take(pattern: re.Pattern[str], group: int, rest: str) -> str:
        names.extend(match[group].strip() for match in pattern.finditer(rest))
        return pattern.sub(" ", rest)

    rest = take(CODE_SPAN, 2, prose)
    for quote in _QUOTE.finditer(rest):
        if re.search(r"[^A-Za-z]", quote[1]):
            names.append(quote[1].strip())
    rest = _QUOTE.sub(" ", rest)
    for pattern in (_PATH, _DOTTED, _BARE):
        rest = take(pattern, 0, rest)
    return tuple(dict.fromkeys(name for name in names if name not in _NOT_NAMES and re.search(r"\w", name)))


def find(name: str, evidence: Evidence) -> int | None:
    """The line where `name` occurs in the passage, or None. All of its identifiers have to, if it doesn't as it stands.

    `Session.get` is found where "Session.get" is, or where `get` is written and `Session` is, be that in the symbol.
    """
    if (line := _line_of(name, evidence)) is not None:
        return line
    if is_place_of(evidence, name):
        return evidence.start_line
    line = None
    for part in _parts_of(name):
        if (line := _line_of(part, evidence) or _in_symbol(part, evidence)) is None:
            return None
    return line


def is_place_of(evidence: Evidence, name: str) -> bool:
    """Whether `name` is the passage's file: its path, as much of the end of it as is written, or its name."""
    return ("/" in name and f"/{evidence.path}".endswith("/" + name.lstrip("./"))) or name == evidence.path.rpartition("/")[2]


def _line_of(name: str, evidence: Evidence) -> int | None:
    """A word is looked up; anything else is searched for only where all of its words are."""
    words = _words_of(name)
    if words == (name,):
        return evidence.line_of_word.get(name)
    if not all(word in evidence.line_of_word for word in words):
        return None
    found = _pattern_of(name).search(evidence.text)
    return evidence.start_line + evidence.text.count("\n", 0, found.start()) if found else None


@functools.lru_cache(maxsize=5000)
def _words_of(name: str) -> tuple[str, ...]:
    return tuple(WORD.findall(name))


@functools.lru_cache(maxsize=2000)
def _pattern_of(name: str) -> re.Pattern[str]:
    """`name` as it stands, with any white space where it has some, and no part of a longer word."""
    left = r"(?<!\w)" if name[:1].isalnum() or name[:1] == "_" else ""
    right = r"(?!\w)" if name[-1:].isalnum() or name[-1:] == "_" else ""
    return re.compile(left + r"\s+".join(re.escape(word) for word in name.split()) + right)


def _in_symbol(name: str, evidence: Evidence) -> int | None:
    return evidence.start_line if name in evidence.symbol_names else None


@functools.lru_cache(maxsize=5000)
def _parts_of(name: str) -> tuple[str, ...]:
    """The identifiers that stand for a name which isn't found as it stands."""
    return tuple(IDENTIFIER.findall(_without_literals(name))) if "/" not in name else ()


def stems_of(text: str) -> list[str]:
    """The stems of its words: who tells what code does writes "closes" where a comment has "close"."""
    return [_stem(word.lower()) for word in WORD.findall(text)]


_stem = functools.lru_cache(maxsize=20_000)(stem)


def beginnings_of(text: str) -> set[str]:
    return {word[:5] for word in _LONGER_WORD.findall(text.lower())}


def word_beginnings(text: str) -> frozenset[str]:
    """The first six letters of each word, names cut at capitals and underscores, without the words that any text has."""
    words = map(str.lower, _PART.findall(text))
    return frozenset(word[:6] for word in words if len(word) >= 3 and word not in _COMMON_WORDS)


def _without_literals(code: str) -> str:
    """`get("user", None)` names get and None; what its strings hold is checked only when the whole of it occurs."""
    return re.sub(r"\"[^\"]*\"|'[^']*'", " ", code)
