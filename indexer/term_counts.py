"""What a file gives to the lexical index: which terms its chunks and its card hold, and how often.

Made in the parsing processes and sent as compact bytes. A term is known by the first 64 bits of its BLAKE2b hash: two of
ten million terms are the same with a chance of 1 in 370,000, and then a query finds a few chunks too many.

This module needs no numpy, whose import would double the time that a parsing process takes to start.
"""

from __future__ import annotations

import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b
from itertools import chain
from typing import NamedTuple

from indexer.file_traits import stem_of
from indexer.tokens import IDENTIFIER, identifier_terms, word_stems
from indexer.types import ParsedFile

CARD_COLUMNS = ("stem", "folders", "header", "symbols")
_MOST = 0xFFFF
_MOST_WORDS = 200_000
# What `IDENTIFIER` finds in ASCII, with a blank for everything else.
_WORDS_OF_ASCII = bytes(byte if IDENTIFIER.match(chr(byte)) else ord(" ") for byte in range(128)).ljust(256)


class TermCounts(NamedTuple):
    """The terms of some documents (chunks, or one card), document by document.

    terms: uint64, the documents' distinct terms; counts: uint16, how often each occurs, for a card four a term, in the order of
    CARD_COLUMNS; distinct: uint32, how many terms each document has; lengths: uint32, how many words each has, repetitions
    included. All as the bytes of little-endian arrays.
    """

    terms: bytes
    counts: bytes
    distinct: bytes
    lengths: bytes


class FileTerms(NamedTuple):
    chunks: TermCounts
    card: TermCounts


@lru_cache(maxsize=100_000)
def term_hash(term: str) -> int:
    """The 64 bits that stand for a term."""
    return int.from_bytes(blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


class _Hashes(dict[str | bytes, tuple[int, ...]]):
    """The hashes of the terms of each word that was met; bytes are those of an ASCII one. Looked up in C, so it is faster than
    a cached function; emptied when it is full."""

    def __missing__(self, word: str | bytes) -> tuple[int, ...]:
        if len(self) >= _MOST_WORDS:
            self.clear()
        found = self[word] = tuple(
            map(term_hash, identifier_terms.__wrapped__(word if isinstance(word, str) else word.decode()))
        )
        return found


_hashes_of = _Hashes().__getitem__


def count_terms(path: str, parsed: ParsedFile) -> FileTerms:
    """The terms of each chunk, in its text and its place (symbol path, file name and path), and those of the file's card."""
    stem = [*_hashes(stem_of(path))]
    where = [*stem, *_hashes(path)]
    chunks = _Documents()
    for chunk in parsed.chunks:
        chunks.add(Counter(chain(where, _hashes(chunk.text), _hashes(chunk.symbol))))
    names = "\n".join([definition.name for definition in parsed.definitions])
    return FileTerms(
        chunks.counted(), _card([stem, _folder_hashes(path.rpartition("/")[0]), _hashes(parsed.header), _hashes(names)])
    )


@lru_cache(maxsize=10_000)
def _folder_hashes(folder: str) -> tuple[int, ...]:
    return tuple(map(term_hash, word_stems(folder)))


def _hashes(text: str) -> Iterator[int]:
    """The hashes of all terms of a text, with repetitions."""
    # ASCII, which nearly all code is, is split four times as fast as by the expression.
    words = text.encode().translate(_WORDS_OF_ASCII).split() if text.isascii() else IDENTIFIER.findall(text)
    return chain.from_iterable(map(_hashes_of, words))


class _Documents:
    def __init__(self) -> None:
        self.terms, self.counts, self.distinct, self.lengths = array("Q"), array("H"), array("I"), array("I")

    def add(self, counts: Counter[int]) -> None:
        length = counts.total()
        self.terms.extend(counts)
        self.counts.extend(counts.values() if length <= _MOST else (min(count, _MOST) for count in counts.values()))
        self.distinct.append(len(counts))
        self.lengths.append(length)

    def counted(self) -> TermCounts:
        return TermCounts(*map(_bytes, (self.terms, self.counts, self.distinct, self.lengths)))


def _card(columns: Iterable[Iterable[int]]) -> TermCounts:
    packed: dict[int, int] = {}  # the four counts of a term as one number of 64 bits, the first column's the lowest
    length = 0
    for column, shift in zip(map(Counter, columns), range(0, 64, 16), strict=True):
        length += column.total()
        for term, count in column.items():
            packed[term] = packed.get(term, 0) + (min(count, _MOST) << shift)
    terms, counts = array("Q", packed), array("Q", packed.values())
    return TermCounts(*map(_bytes, (terms, counts, array("I", [len(packed)]), array("I", [length]))))


def _bytes(values: array[int]) -> bytes:
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()
