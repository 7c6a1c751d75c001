"""Finding the line that writes a message, whose placeholders have been filled since.

Quoted values, numbers, hexadecimal and paths of a message are values; what remains are the words that stand in the source as a
string literal. Both are compared as sequences of words, so that quotes, `%s`, `{name}` and a string that goes on in the next
line don't matter: a chunk's words are aligned with the message's, and the share of the message in runs of at least two words
is how surely the chunk writes it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

_VALUES = re.compile(
    r"""'[^'\n]{0,200}'|"[^"\n]{0,200}"|`[^`\n]{0,200}`|<[^<>\n]{1,200}>|(?:\w+://|[\w.-]*/)[^\s]*|\b0x[0-9a-fA-F]+\b
    |\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b\d[\d.,:]*\w*\b""",
    re.VERBOSE,
)
_WORD = re.compile(r"[^\W\d_]{2,}|[aI]\b")
_STRING = re.compile(r"[\"'`]")
# A literal is written in neighbouring lines.
_MOST_LINES = 8
_SHORTEST_RUN = 2
_MOST_WORDS = 60


@dataclass(frozen=True, slots=True)
class Written:
    """Where a text writes a message: its first line, counted from 0, and the share of the message's words (0 to 1)."""

    line: int
    share: float


def literal_words(message: str) -> tuple[str, ...]:
    """The words of a message that its source holds, in lower case, in order."""
    return tuple(word.lower() for word in _WORD.findall(_VALUES.sub(" | ", message)))[:_MOST_WORDS]


def written_in(text: str, words: Sequence[str], least: float = 0.0) -> Written | None:
    """Where `text` holds most of `words`, or None where it holds no run of them inside a line with a string.

    least: a share that is worth finding. No share is above that of the words which occur at all, which is soon known.
    """
    lower = text.lower()
    if sum(word in lower for word in words) < least * len(words):
        return None
    found = [(word.lower(), number) for number, line in enumerate(text.split("\n")) for word in _WORD.findall(line)]
    if not words or not found:
        return None
    matcher = SequenceMatcher(None, [word for word, _ in found], words, autojunk=False)
    shortest = min(_SHORTEST_RUN, len(words))
    blocks = [block for block in matcher.get_matching_blocks() if block.size >= shortest]
    if not blocks:
        return None
    longest = max(blocks, key=lambda block: block.size)
    line = found[longest.a][1]
    near = [block for block in blocks if abs(found[block.a][1] - line) <= _MOST_LINES]
    first = min(found[block.a][1] for block in near)
    last = max(found[block.a + block.size - 1][1] for block in near)
    if not _STRING.search("\n".join(text.split("\n")[max(0, first - 1) : last + 2])):
        return None
    return Written(first, sum(block.size for block in near) / len(words))
