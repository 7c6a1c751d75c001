"""Names that engineers know from the world, whatever repository they ask beside: a gazetteer.

`known_names/` has a list of each kind, written by hand, a name a line, `#` before a heading:

- `software.txt`: libraries, tools, services and formats whose name means nothing else ("logrus", "spring boot").
- `software_words.txt`: those whose name is a word, too ("express", "click"); they count where the sentence uses one as a name.
  Words that are hardly ever names in benchmarks/routes/questions.jsonl ("write", "path") are left out.
- `languages.txt`: what is a language's own: its library, its run time, its tools ("WaitGroup", "go test -run").
- `notions.txt`: what is the same in every project ("bloom filter", "retry budget").

Nothing depends on a list being complete: a name that is missing is judged by everything else that is known of the question.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

FOLDER = Path(__file__).with_name("known_names")

# A word with the marks that names are joined and begun with: "io-ts", "net/http", "std::thread", "--watch", "@tailrec", "c++".
_TOKEN = re.compile(r"(?:--?|[@:#$])?\w+(?:(?:\.|::|->|[-/+#@])+\w+)*(?:\+\+|#)?")
_JOINT = re.compile(r"(?:\.|::|->|[-/+#@])+(?=\w+$)")
# What stands before a word that is used as a name, and after it.
_BEFORE = re.compile(
    r"\b(?:in|with|using|use|via|from|for|to|on|of|than|like|by|under|into|between|and|or|vs\.?|versus|mit|avec|con)"
    r" (?:plain |just )?$",
    re.IGNORECASE,
)
# More characters than what stands before a name can have.
_NEAR = 24
_AFTER = re.compile(
    r"['’]s\b| (?:apps?|servers?|applications?|projects?|configs?|commands?|routes?|routers?|middlewares?|tests?|components?"
    r"|filters?|plugins?|quer(?:y|ies)|vs|or)\b"
)


@dataclass(frozen=True, slots=True)
class Mention:
    """name: as the list has it. start, end: where it stands in the text, in characters."""

    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Token:
    """spellings: how a name may have it, as it is written first."""

    spellings: tuple[str, ...]
    start: int
    end: int


class Gazetteer:
    """Finds names in a text in one pass. One without capitals is found in any spelling and number, others only as written."""

    def __init__(self, names: Iterable[str]) -> None:
        # By their first word, and then by their second, "" for a name of one word: what follows the first.
        self._rests: dict[str, dict[str, list[tuple[str, ...]]]] = defaultdict(lambda: defaultdict(list))
        for name in names:
            first, *rest = _TOKEN.findall(name) or [""]
            if first:
                self._rests[first][rest[0] if rest else ""].append(tuple(rest))

    def mentions(self, text: str) -> list[Mention]:
        """In their order; the longest where several begin at one word, none within another."""
        tokens = _tokens(text)
        found: list[Mention] = []
        i = 0
        while i < len(tokens):
            name = self._at(tokens, i)
            if name:
                found.append(Mention(" ".join(name), tokens[i].start, tokens[i + len(name) - 1].end))
            i += len(name) or 1
        return found

    def _at(self, tokens: Sequence[_Token], i: int) -> tuple[str, ...]:
        """The name that begins at the token, or ()."""
        for first in tokens[i].spellings:
            if (by_second := self._rests.get(first)) is None:
                continue
            following = [second for second in tokens[i + 1].spellings if second in by_second] if i + 1 < len(tokens) else []
            rests = [rest for second in following for rest in by_second[second] if _go_on(rest, tokens, i + 1)]
            if rests:
                return (first, *max(rests, key=lambda rest: (len(rest), sum(map(len, rest)))))
            if "" in by_second:
                return (first,)
        return ()


def _go_on(rest: Sequence[str], tokens: Sequence[_Token], i: int) -> bool:
    """Whether the tokens from the i-th on are the rest of a name."""
    return i + len(rest) <= len(tokens) and all(word in tokens[i + n].spellings for n, word in enumerate(rest))


@lru_cache(maxsize=64)
def _tokens(text: str) -> tuple[_Token, ...]:
    return tuple(_Token(_spellings(each.group()), each.start(), each.end()) for each in _TOKEN.finditer(text))


def _spellings(written: str) -> tuple[str, ...]:
    """As it is written, in small letters, what a joined name begins with, and the singular."""
    beginnings = [written]
    while joint := _JOINT.search(beginnings[-1]):
        beginnings.append(beginnings[-1][: joint.start()])
    each = [spelling for beginning in beginnings for spelling in (beginning, beginning.lower())]
    return tuple(dict.fromkeys([*each, beginnings[-1].lower().removesuffix("s") or written]))


@cache
def known(kind: str) -> Gazetteer:
    """kind: a list's name, without ".txt"."""
    lines = (FOLDER / f"{kind}.txt").read_text(encoding="utf-8").splitlines()
    return Gazetteer(line for line in lines if line and not line.startswith("# "))


def named_by_word(text: str) -> list[Mention]:
    """Software whose name is a word, where it is used as a name: after "in" or "with", before "app", or in capitals within a
    sentence."""
    return [
        mention
        for mention in known("software_words").mentions(text)
        if _BEFORE.search(just_before(text, mention.start)) or _AFTER.match(text[mention.end :]) or is_capital(text, mention)
    ]


def is_capital(text: str, mention: Mention) -> bool:
    return text[mention.start].isupper() and re.search(r"[\w,] $", just_before(text, mention.start)) is not None


def just_before(text: str, start: int) -> str:
    """The last words before a place, for an expression that ends there: a search from the text's beginning takes long."""
    return text[max(0, start - _NEAR) : start]
