"""An inverted index of bounded memory: which documents hold a term, and how often, and their BM25.

A term is a 64-bit number. The dictionary is a sorted array of them; `starts` says where each one's postings begin; a posting
is a document's number and a count (four counts for a file card), in the order of the documents:

    terms   uint64 (t)          starts   uint64 (t + 1)          postings   (p) of {id uint32, count uint16 or uint16 × 4}
    lengths uint32 (last document + 1), in words; documents are numbered from 1

Building collects a segment of about SEGMENT_POSTINGS in memory, sorts it, and puts it in a file when there are more. In the
end the segments are merged, a range of terms at a time: a hash says nothing, so equal ranges hold about equally many. What was
copied from an older index is one more segment, with its documents renumbered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer.array_file import ArrayFileWriter, open_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexer.term_counts import TermCounts

SEGMENT_POSTINGS = 4_000_000
# A range of terms is read from all segments at once, and sorted: about 40 bytes a posting.
RANGE_POSTINGS = 4_000_000

TERM = np.dtype("<u8")
LENGTH = np.dtype("<u4")
# FTS5's constants, with which the reranker's weights were learned.
_K1, _B = 1.2, 0.75
_LEAST_IDF = 1e-6


def posting_dtype(columns: int) -> np.dtype[Any]:
    return np.dtype([("id", "<u4"), ("count", "<u2") if columns == 1 else ("count", "<u2", (columns,))])


@dataclass(frozen=True, slots=True)
class Segment:
    """Sorted postings. renumbered: the new number of each document, 0 for one that is left out; None where they stay."""

    terms: NDArray[np.uint64]
    starts: NDArray[np.uint64]
    postings: NDArray[Any]
    renumbered: NDArray[np.uint32] | None = None

    def between(self, first: int, end: int | None) -> tuple[NDArray[np.uint64], NDArray[Any]]:
        """(term of each posting, postings) of the terms from `first` up to and without `end` (None: to the last)."""
        low = np.searchsorted(self.terms, np.uint64(first))
        high = len(self.terms) if end is None else np.searchsorted(self.terms, np.uint64(end))
        starts = self.starts[low : high + 1].astype(np.int64)
        terms = np.repeat(self.terms[low:high], np.diff(starts))
        postings = self.postings[starts[0] : starts[-1]]
        if self.renumbered is None:
            return terms, postings
        numbers = self.renumbered[postings["id"]]
        kept = numbers > 0
        postings = postings[kept]
        postings["id"] = numbers[kept]
        return terms[kept], postings

    def size(self) -> int:
        return len(self.postings)


@dataclass(slots=True)
class _Portion:
    """Documents that were added and not yet sorted: arrays as TermCounts holds them, with the first document's number."""

    first: int
    counts: TermCounts


@dataclass(slots=True)
class PostingsBuilder:
    """Collects documents in the order of their numbers. folder: where segments that don't fit in memory are put; name: begins
    their names, and those of the arrays that are written."""

    folder: Path
    name: str
    columns: int = 1
    last: int = 0
    _portions: list[_Portion] = field(default_factory=list)
    _waiting: int = 0
    _spilled: list[Path] = field(default_factory=list)
    _copies: list[tuple[int, int, int]] = field(default_factory=list)

    def add(self, first: int, counts: TermCounts) -> None:
        """Documents `first`, `first` + 1, …"""
        self._portions.append(_Portion(first, counts))
        self.last = max(self.last, first + len(counts.lengths) // LENGTH.itemsize - 1)
        self._waiting += len(counts.terms) // TERM.itemsize
        if self._waiting >= SEGMENT_POSTINGS:
            self._spill()

    def copy(self, first: int, count: int, previous: int) -> None:
        """`count` documents from number `previous` of an older index on, which become `first`, `first` + 1, …"""
        self._copies.append((first, count, previous))
        self.last = max(self.last, first + count - 1)

    def _spill(self) -> None:
        path = self.folder / f"{self.name}-{len(self._spilled)}.segment"
        segment = self._sorted()
        with ArrayFileWriter(path) as file:
            for name, array in (("terms", segment.terms), ("starts", segment.starts), ("postings", segment.postings)):
                file.add(name, [array], array.dtype)
            numbers, lengths = self._lengths()
            file.add("numbers", [numbers], LENGTH)
            file.add("lengths", [lengths], LENGTH)
        self._spilled.append(path)
        self._portions.clear()
        self._waiting = 0

    def _sorted(self) -> Segment:
        """What waits, as a segment."""
        terms = _joined([portion.counts.terms for portion in self._portions], TERM)
        distinct = _joined([portion.counts.distinct for portion in self._portions], LENGTH)
        numbers, _ = self._lengths()
        postings = np.empty(len(terms), posting_dtype(self.columns))
        postings["id"] = np.repeat(numbers, distinct)
        counts = _joined([portion.counts.counts for portion in self._portions], np.dtype("<u2"))
        postings["count"] = counts if self.columns == 1 else counts.reshape(-1, self.columns)
        order = np.argsort(terms, kind="stable")
        return _segment(terms.take(order), postings.take(order))  # several times as fast as postings[order]

    def _lengths(self) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """(number, length) of the documents that wait."""
        numbers = [
            np.arange(portion.first, portion.first + len(portion.counts.lengths) // LENGTH.itemsize, dtype=LENGTH)
            for portion in self._portions
        ]
        lengths = _joined([portion.counts.lengths for portion in self._portions], LENGTH)
        return (np.concatenate(numbers) if numbers else np.zeros(0, LENGTH)), lengths

    def write(self, file: ArrayFileWriter, previous: Postings | None) -> None:
        """Merge everything into `file`. previous: the older index that `copy` meant."""
        lengths = np.zeros(self.last + 1, LENGTH)
        numbers, own = self._lengths()
        lengths[numbers] = own
        for path in self._spilled:
            spilled = open_arrays(path)
            lengths[spilled["numbers"]] = spilled["lengths"]
        renumbered = self._renumbered(previous, lengths)
        in_memory = self._sorted() if self._portions else None

        def segments() -> Iterator[Segment]:
            """Opened anew for each range, so that what was read of a mapped file doesn't stay in memory."""
            for path in self._spilled:
                arrays = open_arrays(path)
                yield Segment(arrays["terms"], arrays["starts"], arrays["postings"])
            if in_memory is not None:
                yield in_memory
            if previous is not None and renumbered is not None:
                yield Segment(previous.terms, previous.starts, previous.postings, renumbered)

        total = sum(segment.size() for segment in segments())
        ranges = max(1, -(-total // RANGE_POSTINGS))
        bounds = [(1 << 64) * number // ranges for number in range(ranges)]
        terms: list[NDArray[np.uint64]] = []
        frequencies: list[NDArray[np.uint64]] = []

        def merged() -> Iterator[NDArray[Any]]:
            for first, end in zip(bounds, [*bounds[1:], None], strict=True):
                segment = _merged([segment.between(first, end) for segment in segments()], self.columns)
                terms.append(segment.terms)
                frequencies.append(segment.starts[1:] - segment.starts[:-1])
                yield segment.postings

        file.add(f"{self.name}_postings", merged(), posting_dtype(self.columns))
        file.add(f"{self.name}_terms", terms, TERM)
        starts = np.concatenate([np.zeros(1, TERM), np.cumsum(np.concatenate(frequencies))])
        file.add(f"{self.name}_starts", [starts], TERM)
        file.add(f"{self.name}_lengths", [lengths], LENGTH)

    def clear(self) -> None:
        """Remove the segments that were put in files."""
        for path in self._spilled:
            path.unlink()

    def _renumbered(self, previous: Postings | None, lengths: NDArray[np.uint32]) -> NDArray[np.uint32] | None:
        """The new number of each of the older index's documents, whose lengths are filled in; None when none was copied."""
        if previous is None or not self._copies:
            return None
        renumbered = np.zeros(len(previous.lengths), LENGTH)
        for first, count, old in self._copies:
            renumbered[old : old + count] = np.arange(first, first + count)
            lengths[first : first + count] = previous.lengths[old : old + count]
        return renumbered


def _joined(parts: Sequence[bytes], dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.frombuffer(b"".join(parts), dtype=dtype)


def _segment(terms: NDArray[np.uint64], postings: NDArray[Any]) -> Segment:
    """A segment of postings in order; terms: (p), the term of each."""
    begins = np.flatnonzero(np.concatenate([[True], terms[1:] != terms[:-1]])) if len(terms) else np.zeros(0, np.int64)
    return Segment(terms[begins], np.append(begins, len(terms)).astype(np.uint64), postings)


def _merged(parts: Sequence[tuple[NDArray[np.uint64], NDArray[Any]]], columns: int) -> Segment:
    """The parts as one: by term, and by document."""
    parts = [part for part in parts if len(part[0])]
    if not parts:
        return _segment(np.zeros(0, TERM), np.zeros(0, posting_dtype(columns)))
    if len(parts) == 1:
        return _segment(*parts[0])
    terms = np.concatenate([terms for terms, _ in parts])
    postings = np.concatenate([postings for _, postings in parts])
    by_document = np.argsort(postings["id"], kind="stable")
    order = by_document[np.argsort(terms[by_document], kind="stable")]
    return _segment(terms.take(order), postings.take(order))


class Postings:
    """An index that was written, for searching. Threads may share it."""

    def __init__(self, arrays: dict[str, NDArray[Any]], name: str) -> None:
        self.terms: NDArray[np.uint64] = arrays[f"{name}_terms"]
        self.starts: NDArray[np.uint64] = arrays[f"{name}_starts"]
        self.postings = arrays[f"{name}_postings"]
        self.lengths: NDArray[np.uint32] = arrays[f"{name}_lengths"]
        self.size = len(self.lengths) - 1
        mean = self.lengths.sum(dtype=np.float64) / self.size if self.size else 0.0
        self._norms = _K1 * (1 - _B + _B * self.lengths / (mean or 1.0))

    def find(self, terms: Sequence[int]) -> list[NDArray[Any]]:
        """The postings of each term, none for one that doesn't occur."""
        starts, ends = self._bounds(np.array(terms, dtype=TERM))
        return [self.postings[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]

    def frequencies(self, terms: NDArray[np.uint64]) -> NDArray[np.int64]:
        """In how many documents each term occurs."""
        starts, ends = self._bounds(terms)
        return ends.astype(np.int64) - starts.astype(np.int64)

    def _bounds(self, terms: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Where each term's postings begin and end."""
        places = np.searchsorted(self.terms, terms)
        places[places == len(self.terms)] = 0
        found = self.terms[places] == terms if len(self.terms) else np.zeros(len(terms), bool)
        return self.starts[places], self.starts[places + found]

    def scores(self, terms: Mapping[int, float], columns: Sequence[float] | None = None) -> NDArray[np.float64]:
        """BM25 by document number (size + 1), each term's share times its weight.

        As in FTS5's bm25(): columns, the weight of each count, multiplies how often the term occurs; a document where it occurs
        only in columns of weight 0 doesn't hold it, whereas a document's length is that of all its columns.
        """
        found = self.find(list(terms))
        if not found:
            return np.zeros(self.size + 1)
        postings = np.concatenate(found)
        ids, counts = postings["id"], postings["count"]
        frequencies = np.array([len(each) for each in found])
        if columns is not None:
            counts = counts @ np.array(columns, dtype=np.float64)
            held = counts > 0
            of_term = np.repeat(np.arange(len(found)), frequencies)[held]
            ids, counts, frequencies = ids[held], counts[held], np.bincount(of_term, minlength=len(found))
        idf = np.maximum(np.log((self.size - frequencies + 0.5) / (frequencies + 0.5)), _LEAST_IDF)
        share = counts * np.repeat(np.array(list(terms.values())) * idf * (_K1 + 1), frequencies)
        share /= counts + self._norms[ids]
        scores: NDArray[np.float64] = np.bincount(ids, share, minlength=self.size + 1).astype(np.float64, copy=False)
        return scores


def best(scores: NDArray[np.float64], limit: int) -> NDArray[np.intp]:
    """The places of the `limit` highest scores above 0, highest first, the first of equal ones first."""
    found = np.flatnonzero(scores)
    if len(found) > limit:
        least = np.partition(scores[found], len(found) - limit)[len(found) - limit]
        found = found[scores[found] >= least]
    chosen: NDArray[np.intp] = found[np.argsort(-scores[found], kind="stable")][:limit]
    return chosen
