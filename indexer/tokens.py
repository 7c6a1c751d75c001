"""From text to the terms that the lexical index holds and that a query is looked up by.

An identifier counts as a whole and by its parts: `getUserName`, `get_user_name` and `GetUserName` all give the whole
`getusername` and the stemmed parts `get user name`. Every term is letters and digits only, in lower case.

Stems are Snowball's English ones (PyStemmer). The stemmer is imported where it is used: the web process reads snapshots
without ever making a term.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

# Longer runs are hashes, base64 and minified names: they never answer a query and would swell the vocabulary.
LONGEST_TERM = 64

IDENTIFIER = re.compile(r"\w+")
ASCII_PARTS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_WORD_PARTS = re.compile(r"[^\W_]+")
# Scripts written without spaces: their runs are cut into overlapping pairs of characters.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def word_set(text: str) -> frozenset[str]:
    """The words of a text that lists some."""
    return frozenset(text.split())


# What a question says without naming anything: function words, and the verbs that ask.
STOP_WORDS = word_set("""
a about after all also am an and any are aren as at be because been before being between both but by can cannot could couldn
did didn do does doesn doing don done during each etc every exactly actually few for from further get gets getting give given
gives go goes had has have having he hello her here hi his how however i if in into is isn it its itself just kindly let like
made make makes making many may me might more most much must my need needed needs no nor not of off on once one only or other
our out over own please same shall she should show so some somehow something such tell than thank thanks that the their them
then there these they thing things this those through to too under until up us use used uses using ve very via want wants was
way ways we were what when where whether which while who whole whom whose why will with within without work works would you
your explain describe implement implemented implements implementation defined located happen happens codebase repo repository
""")

_local = threading.local()


def stemmer() -> Any:
    """This thread's Snowball stemmer: one serves one thread. Its `stemWord` takes a word in lower case, as str or UTF-8."""
    found: Any = getattr(_local, "stemmer", None)
    if found is None:
        import Stemmer

        found = _local.stemmer = Stemmer.Stemmer("english", 0)
    return found


@lru_cache(maxsize=100_000)
def stem(word: str) -> str:
    """The Snowball stem of a word in lower case: "connections" gives "connect"."""
    stemmed: str = stemmer().stemWord(word)
    return stemmed


def split_identifier(identifier: str) -> tuple[str, ...]:
    """The parts of an identifier in lower case, not stemmed: "HTTPServer2_start" gives http, server, 2, start."""
    if identifier.isascii():
        return tuple(map(str.lower, ASCII_PARTS.findall(identifier)))
    return tuple(piece for part in _WORD_PARTS.findall(identifier.lower()) for piece in _pairs(part))


def _pairs(word: str) -> list[str]:
    if len(word) > 2 and _UNSPACED.search(word):
        return [word[i : i + 2] for i in range(len(word) - 1)]
    return [word]


def fold(identifier: str) -> str:
    """One spelling for all the ways to write a name: letters and digits only, in lower case."""
    return "".join(_WORD_PARTS.findall(identifier.lower()))


@lru_cache(maxsize=200_000)
def identifier_terms(identifier: str) -> tuple[str, ...]:
    """The terms of one identifier or word: stemmed parts, and the whole when there is more than one part."""
    split = split_identifier(identifier)
    parts = tuple([stem(part) for part in split if len(part) <= LONGEST_TERM])
    if len(parts) < 2:
        return parts
    whole = "".join(split) if identifier.isascii() else fold(identifier)
    return (*parts, whole) if len(whole) <= LONGEST_TERM else parts


def terms(text: str) -> Iterator[str]:
    """All terms of a text in reading order, with repetitions."""
    for identifier in IDENTIFIER.findall(text):
        yield from identifier_terms(identifier)


def word_stems(text: str) -> list[str]:
    """The stemmed parts alone, in reading order: what a path, a heading or a question says, without wholes."""
    return [stem(part) for identifier in IDENTIFIER.findall(text) for part in split_identifier(identifier)]


def is_stop_word(word: str) -> bool:
    return word.lower() in STOP_WORDS
