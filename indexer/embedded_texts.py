"""The short texts that are embedded: what stands for a chunk, and for a file; and the hash that a vector is cached by.

It is a card about the chunk: its file's name, its symbol path and its first lines, which hold the signature and the docstring.
On two cores this is several times faster than whole chunks, and benchmarks/embedding.py measures what it buys. The folder is
left out on purpose: vectors are cached by the hash of the text, so renaming a folder embeds nothing anew.

A snapshot holds the hashes, and a build copies them: whoever changes these texts raises CHUNKER_VERSION. Parsing processes make
them, so this module needs no numpy.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left
from collections.abc import Sequence

from ahocorasick_rs import AhoCorasick

from indexer.types import Chunk, Definition, ParsedFile

EMBEDDED_TEXT_CHARACTERS = 280
_NAMES_CHARACTERS = 80
_HEADER_CHARACTERS = 100
_BODY_LINES = 12
_LINES_ABOVE = 6
_RULE_CHARACTERS = 70
_LONG_RULE = re.compile(r"([^\w\s])\1{2,}")
# What such a rule in ASCII holds, which is found in a tenth of the time.
_RULES_IN_ASCII = AhoCorasick([3 * chr(sign) for sign in range(128) if _LONG_RULE.match(3 * chr(sign))])


def embedded_texts(path: str, parsed: ParsedFile) -> list[str]:
    """For each chunk the short text that stands for it: file name, symbol path, the other names that it defines, and its lines
    from the first definition on, or from its beginning where it defines nothing."""
    lines = parsed.text.split("\n")
    file_name = path.rpartition("/")[2]
    texts = []
    by_line = sorted((definition.line, place) for place, definition in enumerate(parsed.definitions))
    for chunk in parsed.chunks:
        first, end = bisect_left(by_line, (chunk.start_line,)), bisect_left(by_line, (chunk.end_line + 1,))
        inside = [parsed.definitions[place] for place in sorted(place for _, place in by_line[first:end])]
        names = dict.fromkeys(definition.name for definition in inside if not chunk.symbol.endswith(definition.name))
        head = f"{file_name} {chunk.symbol} {' '.join(names)[:_NAMES_CHARACTERS]}".rstrip()
        start = _body_start(lines, chunk, inside)
        body = "\n".join(lines[start - 1 : min(chunk.end_line, start + _BODY_LINES)])
        texts.append(shortened(f"{head}: {body}"))
    return texts


def shortened(text: str) -> str:
    """The text on one line, each rule in it as one character, up to EMBEDDED_TEXT_CHARACTERS."""
    text = " ".join(text.split())
    # Mostly the beginning is enough; two characters more, since it may end within a rule.
    enough = EMBEDDED_TEXT_CHARACTERS + _RULE_CHARACTERS
    short = _without_rules(text[:enough])
    if len(short) < EMBEDDED_TEXT_CHARACTERS + 2 and len(text) > enough:
        short = _without_rules(text)
    return short[:EMBEDDED_TEXT_CHARACTERS]


def _without_rules(text: str) -> str:
    if not text.isascii():
        return _LONG_RULE.sub(r"\1", text)
    parts: list[str] = []
    end = 0
    for _, start, _ in _RULES_IN_ASCII.find_matches_as_indexes(text):
        if start >= end:  # and not in the rule before
            parts.append(text[end : start + 1])
            end = len(text) - len(text[start:].lstrip(text[start]))
    return "".join([*parts, text[end:]]) if parts else text


def card_text(path: str, parsed: ParsedFile) -> str:
    """The short text that stands for a whole file: its name, what its head comment says, and the
    names that it defines. Without the folder, as in `embedded_texts`."""
    names = dict.fromkeys(definition.name for definition in parsed.definitions)
    header = " ".join(_without_rules(parsed.header).split())[:_HEADER_CHARACTERS]
    return f"{path.rpartition('/')[2]} {header} {' '.join(names)}"[:EMBEDDED_TEXT_CHARACTERS].rstrip()


def _body_start(lines: Sequence[str], chunk: Chunk, inside: Sequence[Definition]) -> int:
    """The line of the definition that names the chunk, or else of its first one, or of what stands right above it (decorators,
    a comment); licences and imports are further up."""
    if not inside:
        return chunk.start_line
    own = next((definition for definition in inside if definition.qualified_name == chunk.symbol), inside[0])
    start = max(chunk.start_line, own.start_line)
    highest = max(chunk.start_line, start - _LINES_ABOVE)
    while start > highest and lines[start - 2].strip():
        start -= 1
    return start


def text_hash(text: str) -> str:
    """The sha256 of an embedded text, in hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
