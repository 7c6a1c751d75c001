"""What a question asks for, before anything is looked up.

A query has content words (what is left without function words), the names it mentions (`Session.request`, `HttpClient`,
`read_timeout()`), and the paths it mentions (`src/app.py:12`). A single name, or names alone, is a symbol query.

A follow-up ("and where is it closed?") says little by itself. It is one when it has at most two content words and mentions no
name or path, or when it points back ("it", "that", "there") with at most five; then the terms and names of the question
before it join at a lower weight, and through that question, if it was a follow-up too, those of the one before at a lower one
still.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from indexer.tokens import identifier_terms, is_stop_word, word_set, word_stems

# A pasted stack trace can be of any length: the first ones say what it is about.
MOST_WORDS = 400
BORROWED_WEIGHT = 0.4
# A name in a sentence is surer when it is written as code.
_SURE, _LIKELY, _PERHAPS = 1.0, 0.5, 0.35

_WORD = re.compile(r"\w+")
_QUALIFIER = re.compile(r"\.|::|#|->|\\")
_NAME = re.compile(r"[^\W\d]\w*(?:(?:\.|::|#|->|\\)[^\W\d]\w*)*(?:[!?](?=\s|$)|\(\))?")
_PATH = re.compile(
    r"(?<![\w/.:-])((?:[\w@+.-]+/)+[\w@+.-]*\w|[\w@+-][\w@+.-]*\.[A-Za-z]\w{0,9})(?::(\d{1,7}))?(?:[:-]\d{1,7})?(?![\w/])"
)
_QUOTED = re.compile(r"`([^`\n]{1,200})`")
_CAMEL = re.compile(r"[a-z0-9][A-Z]|[A-Z]{2,}[a-z]")
_POINTS_BACK = word_set("it its this that these those they them their there same above previous former latter one ones")
_MOST_IN_BARE, _MOST_IN_POINTING = 2, 5
# With nothing else in it, a question asks what the repository is.
_ABOUT_THE_WHOLE = word_set(
    "project library package program application app tool code purpose overview architecture structure summary readme main "
    "software"
)


@dataclass(frozen=True, slots=True)
class Name:
    """A symbol that the question mentions: its last part, what qualifies it ("Session" of Session.request, or ""), and how
    surely it is meant as a name (0 to 1)."""

    text: str
    qualifier: str
    weight: float


@dataclass(frozen=True, slots=True)
class PathHint:
    """A path or file name in the question, and the line it names (0 for none)."""

    path: str
    line: int


@dataclass(frozen=True, slots=True)
class Query:
    """terms: the index terms to look up, with their weights (1, or less when borrowed from an earlier question).

    stems: the stemmed parts among them, without the wholes of identifiers. words: the content words as they were written.
    """

    text: str
    words: tuple[str, ...]
    terms: Mapping[str, float]
    stems: Mapping[str, float]
    names: tuple[Name, ...] = ()
    paths: tuple[PathHint, ...] = ()
    is_symbol: bool = False
    is_overview: bool = False
    borrowed_from: str = ""


def analyse(text: str, history: Sequence[str] = ()) -> Query:
    """Read a question; `history` holds the earlier ones of the conversation, newest last."""
    query = _read(text)
    if not history or not _is_follow_up(query):
        return query
    earlier = analyse(history[-1], history[:-1])
    return _borrow(query, earlier) if earlier.terms else query


def _read(text: str) -> Query:
    names = _names(text)
    written = _WORD.findall(text)[:MOST_WORDS]
    words = tuple(dict.fromkeys(word for word in written if _is_content(word)))
    # A function word alone can only be meant as a name.
    looked_up = words or (tuple(written) if len(written) == 1 else ())
    stems = dict.fromkeys((stem for word in looked_up for stem in word_stems(word)), 1.0)
    return Query(
        text=text,
        words=words,
        terms=MappingProxyType(dict.fromkeys((term for word in looked_up for term in identifier_terms(word)), 1.0)),
        stems=MappingProxyType(stems),
        names=names,
        paths=tuple(PathHint(path, int(line or 0)) for path, line in _PATH.findall(text[:20_000])[:8]),
        is_symbol=_is_a_name(text) or (len(words) <= 2 and any(name.weight == _SURE for name in names)),
        is_overview=len(written) > 1 and all(word.lower() in _ABOUT_THE_WHOLE for word in words),
    )


def _is_content(word: str) -> bool:
    """Words that name something: no function words, no single letters, but single characters of other scripts."""
    if not any(letter.isalnum() for letter in word):
        return False
    if len(word) == 1 and word.isascii():
        return word.isdigit()
    return not is_stop_word(word)


def _is_a_name(text: str) -> bool:
    """Whether a question is a single name and nothing else ("why?" is none)."""
    bare = _bare(text)
    return bool(_NAME.fullmatch(bare)) and not (bare.endswith("?") and is_stop_word(bare[:-1]))


def _bare(text: str) -> str:
    return text.strip().strip("`")


def _names(text: str) -> tuple[Name, ...]:
    if _is_a_name(text):
        return (_name(_bare(text), _SURE),)
    found: dict[tuple[str, str], Name] = {}
    quoted = {match.strip() for match in _QUOTED.findall(text)}
    for position, match in enumerate(_NAME.finditer(text[:20_000])):
        written = match.group()
        weight = _SURE if written in quoted else _weight_in_prose(written, position)
        if weight and len(found) < 16:
            name = _name(written, weight)
            found.setdefault((name.text, name.qualifier), name)
    return tuple(found.values())


def _weight_in_prose(written: str, position: int) -> float:
    """How surely a word of a sentence is a name: 0 for a plain word."""
    if written.endswith("()") or "::" in written or "->" in written or "_" in written.strip("_"):
        return _LIKELY
    bare = written.rstrip("!?")
    if _QUALIFIER.search(bare):
        return _LIKELY if not re.search(r"\.(?:com|org|net|io|dev)$", bare) else 0.0
    if _CAMEL.search(bare):
        return _LIKELY
    if bare[:1].isupper() and len(bare) > 2 and position > 0 and not is_stop_word(bare):
        return _PERHAPS
    return 0.0


def _name(written: str, weight: float) -> Name:
    *qualifiers, last = _QUALIFIER.split(written.removesuffix("()"))
    return Name(last, ".".join(qualifiers), weight)


def _is_follow_up(query: Query) -> bool:
    if any(name.weight >= _LIKELY for name in query.names) or query.paths:
        return False
    points_back = any(word.lower() in _POINTS_BACK for word in _WORD.findall(query.text)[:MOST_WORDS])
    return len(query.words) <= (_MOST_IN_POINTING if points_back else _MOST_IN_BARE)


def _borrow(query: Query, earlier: Query) -> Query:
    def joined(own: Mapping[str, float], others: Mapping[str, float]) -> Mapping[str, float]:
        borrowed = {term: weight * BORROWED_WEIGHT for term, weight in others.items() if term not in own}
        return MappingProxyType({**own, **borrowed})

    names = tuple(replace(name, weight=name.weight * BORROWED_WEIGHT) for name in earlier.names)
    return replace(
        query,
        terms=joined(query.terms, earlier.terms),
        stems=joined(query.stems, earlier.stems),
        names=query.names + names,
        is_overview=False,
        borrowed_from=earlier.text,
    )


def is_identifier(word: str) -> bool:
    """Whether a word is written as only code writes names, so that its parts alone don't count as found."""
    return "_" in word.strip("_") or bool(_CAMEL.search(word))
