"""What a file gives to the lexical index: which terms its chunks and its card hold, and how often.

Made in the parsing processes and sent as compact bytes. A term is known by the first 64 bits of its BLAKE2b hash: two of
ten million terms are the same with a chance of 1 in 370,000, and then a query finds a few chunks too many.

This module needs no numpy, whose import would double the time that a parsing process takes to start.
"""

from __future__ import annotations

import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from itertools import chain, repeat
from pathlib import PurePosixPath

from indexer.file_traits import stem_of
from indexer.tokens import IDENTIFIER, identifier_terms, word_stems
from indexer.types import ParsedFile

CARD_COLUMNS = ("stem", "folders", "header", "symbols")
_MOST = 0xFFFF


@dataclass(frozen=True, slots=True)
class TermCounts:
    """The terms of some documents (chunks, or one card), document by document.

    terms: uint64, the documents' distinct terms; counts: uint16, how often each occurs, for a card four a term, in the order of
    CARD_COLUMNS; distinct: uint32, how many terms each document has; lengths: uint32, how many words each has, repetitions
    included. All as the bytes of little-endian arrays.
    """

    terms: bytes
    counts: bytes
    distinct: bytes
    lengths: bytes


@dataclass(frozen=True, slots=True)
class FileTerms:
    chunks: TermCounts
    card: TermCounts


@lru_cache(maxsize=100_000)
def term_hash(term: str) -> int:
    """The 64 bits that stand for a term."""
    return int.from_bytes(blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


@lru_cache(maxsize=100_000)
def _identifier_hashes(identifier: str) -> tuple[int, ...]:
    return tuple(map(term_hash, identifier_terms(identifier)))


def count_terms(path: str, parsed: ParsedFile) -> FileTerms:
    """The terms of each chunk, in its text and its place (symbol path, file name and path), and those of the file's card."""
    stem = list(_hashes(stem_of(path)))
    where = [*stem, *_hashes(path)]
    chunks = _Documents()
    for chunk in parsed.chunks:
        chunks.add(Counter(chain(where, _hashes(chunk.text), _hashes(chunk.symbol))))
    folders = map(term_hash, word_stems(str(PurePosixPath(path).parent)))
    names = "\n".join(definition.name for definition in parsed.definitions)
    return FileTerms(chunks.counted(), _card([stem, folders, _hashes(parsed.header), _hashes(names)]))


def _hashes(text: str) -> Iterator[int]:
    """The hashes of all terms of a text, with repetitions."""
    return chain.from_iterable(map(_identifier_hashes, IDENTIFIER.findall(text)))


class _Documents:
    def __init__(self) -> None:
        self.terms, self.counts, self.distinct, self.lengths = array("Q"), array("H"), array("I"), array("I")

    def add(self, counts: Mapping[int, int]) -> None:
        self.terms.extend(counts)
        most = max(counts.values(), default=0)
        self.counts.extend(counts.values() if most <= _MOST else (min(count, _MOST) for count in counts.values()))
        self.distinct.append(len(counts))
        self.lengths.append(sum(counts.values()))

    def counted(self) -> TermCounts:
        return TermCounts(*map(_bytes, (self.terms, self.counts, self.distinct, self.lengths)))


def _card(columns: Iterable[Iterable[int]]) -> TermCounts:
    counted = [Counter(column) for column in columns]
    terms = dict.fromkeys(chain.from_iterable(counted))
    # Counts of the first term in all columns, then of the second: by `dict.get`, four times as fast as a Counter's own [].
    by_term = chain.from_iterable(zip(*(map(column.get, terms, repeat(0)) for column in counted), strict=True))
    most = max((max(column.values(), default=0) for column in counted), default=0)
    counts = array("H", by_term if most <= _MOST else (min(count, _MOST) for count in by_term))
    length = sum(column.total() for column in counted)
    return TermCounts(*map(_bytes, (array("Q", terms), counts, array("I", [len(terms)]), array("I", [length]))))


def _bytes(values: array[int]) -> bytes:
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()
