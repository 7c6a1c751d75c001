"""What a file gives to the lexical index: which terms its chunks and its card hold, and how often.

Made in the parsing processes and sent as compact bytes. A term is known by the first 64 bits of its BLAKE2b hash: two of
ten million terms are the same with a chance of 1 in 370,000, and then a query finds a few chunks too many.

This module needs no numpy, whose import would double the time that a parsing process takes to start.
"""

from __future__ import annotations

import re
import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import chain
from string import ascii_lowercase, digits
from typing import NamedTuple

from indexer.file_traits import stem_of
from indexer.tokens import ASCII_PARTS, IDENTIFIER, LONGEST_TERM, identifier_terms, stemmer, word_stems
from indexer.types import Chunk, ParsedFile

CARD_COLUMNS = ("stem", "folders", "header", "symbols")
_MOST = 0xFFFF
_MOST_WORDS = 200_000
_ASCII_PARTS = re.compile(ASCII_PARTS.pattern.encode()).findall
# What `IDENTIFIER` finds in ASCII, with a blank for everything else.
_WORDS_OF_ASCII = bytes(byte if IDENTIFIER.match(chr(byte)) else ord(" ") for byte in range(128)).ljust(256)
_LETTERS = bytes(byte if chr(byte) in ascii_lowercase else ord(" ") for byte in range(256))
_DIGITS = bytes(byte if chr(byte) in digits else ord(" ") for byte in range(256))


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


def term_hash(term: str) -> int:
    """The 64 bits that stand for a term."""
    return int.from_bytes(term_digest(term), "little")


def term_digest(term: str) -> bytes:
    """The bytes of its hash, as little-endian arrays hold it."""
    return _digest(term.encode("utf-8", "surrogatepass"))


_nothing_hashed = blake2b(digest_size=8)


def _digest(term: bytes) -> bytes:
    state = _nothing_hashed.copy()  # a third faster than a new one
    state.update(term)
    return state.digest()


class _Stems(dict[bytes, bytes]):
    """By ASCII part of an identifier in lower case: the digest of its stem, b"" for one that is too long to be a term."""

    def __missing__(self, part: bytes) -> bytes:
        found = self[part] = _digest(stemmer().stemWord(part)) if len(part) <= LONGEST_TERM else b""
        return found


class _Words(dict[str | bytes, Sequence[bytes]]):
    """By word, the digests of its `identifier_terms`; bytes are those of an ASCII one. Looked up in C, so it is faster than a
    cached function; emptied when it is full."""

    def __init__(self) -> None:
        self._stems = _Stems()

    def __missing__(self, word: str | bytes) -> Sequence[bytes]:
        if len(self) >= _MOST_WORDS:
            self.clear()
            self._stems.clear()
        found = self[word] = self._of_ascii(word) if isinstance(word, bytes) else self._of_any(word)
        return found

    def _of_any(self, word: str) -> Sequence[bytes]:
        return self[word.encode()] if word.isascii() else tuple(map(term_digest, identifier_terms.__wrapped__(word)))

    def _of_ascii(self, word: bytes) -> Sequence[bytes]:
        """The same in half the time: a third of what counting costs in a small repository, where most words are new. In no
        order, and the hashes that fill files of locked versions, of dozens of parts each, at a third of the cost."""
        if (word.isalpha() and (word.islower() or word.istitle() or word.isupper())) or word.isdigit():  # most words
            stem = self._stems[word.lower()]
            return (stem,) if stem else ()
        if word.islower():
            parts = word.translate(_LETTERS).split() + word.translate(_DIGITS).split()
        else:
            parts = b" ".join(_ASCII_PARTS(word)).lower().split()
        found = [*map(self._stems.__getitem__, parts)]
        if len(word) > LONGEST_TERM:
            found = [*filter(None, found)]
        if len(found) > 1 and len(whole := word.lower().replace(b"_", b"")) <= LONGEST_TERM:
            found.append(_digest(whole))
        return found


_digests_of = _Words().__getitem__


def meet_words(text: str) -> None:
    """Have the terms of these words ready. A process that reads a small repository spends a twentieth of its time on words that
    it meets for the first time, a quarter of which are in any code."""
    for word in set(text.encode().translate(_WORDS_OF_ASCII).split()):
        _digests_of(word)


def count_terms(path: str, parsed: ParsedFile) -> FileTerms:
    """The terms of each chunk, in its text and its place (symbol path, file name and path), and those of the file's card."""
    own = [*_digests(stem_of(path))]
    names = "\n".join([definition.name for definition in parsed.definitions])
    return FileTerms(
        _count_chunks([*own, *_digests(path)], parsed.chunks),
        _card([own, _folder_digests(path.rpartition("/")[0]), _digests(parsed.header), _digests(names)]),
    )


@lru_cache(maxsize=10_000)
def _folder_digests(folder: str) -> tuple[bytes, ...]:
    return tuple(map(term_digest, word_stems(folder)))


def _digests(text: str, *more: Iterable[bytes]) -> Iterator[bytes]:
    """The digests of all terms of a text, with repetitions, and before them `more`."""
    # ASCII, which nearly all code is, is split four times as fast as by the expression.
    words = text.encode().translate(_WORDS_OF_ASCII).split() if text.isascii() else IDENTIFIER.findall(text)
    return chain.from_iterable(chain(more, map(_digests_of, words)))


def _count_chunks(where: Iterable[bytes], chunks: Sequence[Chunk]) -> TermCounts:
    """where: what each chunk holds besides its text and symbol."""
    terms: list[bytes] = []
    counts: list[int] = []
    distinct: list[int] = []
    lengths: list[int] = []
    for chunk in chunks:
        found = Counter(_digests(f"{chunk.text}\n{chunk.symbol}", where))
        terms += found
        counts += found.values()
        distinct.append(len(found))
        lengths.append(found.total())
    if max(lengths, default=0) > _MOST:
        counts = [min(count, _MOST) for count in counts]
    return TermCounts(b"".join(terms), *map(_bytes, (array("H", counts), array("I", distinct), array("I", lengths))))


def _card(columns: Iterable[Iterable[bytes]]) -> TermCounts:
    packed: dict[bytes, int] = {}  # the four counts of a term as one number of 64 bits, the first column's the lowest
    length = 0
    for column, shift in zip(map(Counter, columns), range(0, 64, 16), strict=True):
        length += column.total()
        for term, count in column.items():
            packed[term] = packed.get(term, 0) + (min(count, _MOST) << shift)
    counts = array("Q", packed.values())
    return TermCounts(b"".join(packed), *map(_bytes, (counts, array("I", [len(packed)]), array("I", [length]))))


def _bytes(values: array[int]) -> bytes:
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()
