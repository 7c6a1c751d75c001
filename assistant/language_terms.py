"""Words that programming languages themselves have: keywords ("defer", "satisfies"), and what their constructs are called
("arrow function", "list comprehension").

A question in such words is more likely about the language than about the code that is written in it. `language_terms.json`
holds them by language, as tree-sitter's grammars tell; benchmarks/language_terms.py writes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TERMS = Path(__file__).with_name("language_terms.json")
_LONGEST_NAME = 3


@dataclass(frozen=True, slots=True)
class Terms:
    """constructs: names of one to three words, in the singular."""

    keywords: frozenset[str] = frozenset()
    constructs: frozenset[str] = frozenset()


@cache
def language_terms() -> dict[str, Terms]:
    told = json.loads(TERMS.read_text(encoding="utf-8"))
    return {name: Terms(frozenset(each["keywords"]), frozenset(each["constructs"])) for name, each in told.items()}


@cache
def all_terms() -> Terms:
    """Of every language."""
    each = language_terms().values()
    return Terms(
        frozenset().union(*(terms.keywords for terms in each)), frozenset().union(*(terms.constructs for terms in each))
    )


def named_in(text: str) -> Terms:
    """What a text says that may be a keyword or, in any number, a construct."""
    words = re.findall("[a-z_]+", text.lower())
    singular = [word[:-1] if word.endswith("s") and len(word) > 4 else word for word in words]
    return Terms(frozenset(words), frozenset({*words, *_runs(singular)}))


def _runs(words: list[str]) -> Iterator[str]:
    for length in range(1, _LONGEST_NAME + 1):
        for start in range(len(words) - length + 1):
            yield " ".join(words[start : start + length])
