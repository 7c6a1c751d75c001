"""Which chunks stand for the files that were ranked, in which order, and their text.

A file is shown by its best chunk: the one that defines what the query names, else the one that the signals rank highest, else
its first. Further chunks of a file follow at a falling share of its chance, so that many files come before many passages of
one. Lines that the question points at come before all of them.
"""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np

from indexer.file_traits import is_test_scope, traits_of
from indexer.lexical_index import Hits
from indexer.places import Place
from indexer.signals import Findings
from indexer.snapshot import SnapshotReader
from indexer.symbols import DefinitionHit
from indexer.types import Origin, Passage, Signal, Span

# A chunk in its file: 1 for the best lexical one and 1 for the one that holds most of the query; what the nearest vector, a
# definition and a named line add to that (benchmarks.passages). A definition counts more where the query is a name and nothing
# else, or is short and says its whole name.
_DENSE_SHARE = 0.3
_DEFINITION_SHARE, _SYMBOL_SHARE = 0.5, 3.0
_LINE_SHARE = 6.0
# A test that stands in the file of what it tests says the words of a question as well as the code, and answers less often.
_TEST_SHARE = 0.7
# A file's imports say whose words it uses, and not what it does.
_IMPORTS_SHARE = 0.7

# The nth further passage of a file has the file's chance times this to the power of n: in a list that a person reads, other
# files are worth more than more of the same one, and an answer needs more than one passage of a file that surely holds it.
FURTHER_PASSAGE_SHARE = 0.25
FURTHER_PASSAGE_SHARE_LISTED = 0.001
_PASSAGES_OF_A_FILE = 5
# A file that is pinned as a whole.
CHUNKS_OF_A_PIN = 3
# Lines: what a passage is widened to where a model has room.
_LONGEST_WIDENED = 400


class ChunkSpan(NamedTuple):
    """Where a chunk lies in its file, and what it is. imports: it is a file's first, and most of its lines import."""

    chunk_id: int
    start_line: int
    end_line: int
    symbol: str
    kind: str
    imports: bool


@dataclass(frozen=True, slots=True)
class RankedChunk:
    """A chunk in its place among the passages, and the signals that found it."""

    chunk_id: int
    file_id: int
    score: float
    origins: tuple[Origin, ...]


class _Defining(NamedTuple):
    """A chunk's definition of something that the query names, and what it adds to the chunk's worth."""

    origin: Origin
    worth: float


class PassagePicker:
    """Picks the chunks that stand for a file.

    is_name: the query is a name and nothing else; is_long: it tells a story, in which a name is one word of many; for_tests: it
    speaks of tests. further: what share of its chance each further passage of a file has.
    """

    def __init__(
        self,
        findings: Findings,
        further: float = FURTHER_PASSAGE_SHARE,
        *,
        is_name: bool = False,
        is_long: bool = False,
        for_tests: bool = False,
    ) -> None:
        self._findings = findings
        self._further = further
        self._is_name, self._is_long, self._for_tests = is_name, is_long, for_tests
        self._lexical = _Ranks("lexical", findings.lexical)
        self._shares = _Ranks("lexical", _by_share(findings))
        # Cosines of near chunks differ little; what they are above the farthest tells them apart.
        self._dense = _Ranks("dense", findings.dense, least=float(findings.dense.scores.min(initial=1.0)))
        self._cards = dict(zip(findings.cards, enumerate(findings.cards.values(), 1), strict=True))
        self._definitions: dict[int, list[tuple[int, DefinitionHit]]] = defaultdict(list)
        for rank, hit in enumerate(findings.definitions, 1):
            self._definitions[hit.file_id].append((rank, hit))

    def pick(self, file_id: int, chance: float, spans: Sequence[ChunkSpan]) -> Iterator[RankedChunk]:
        """The file's best chunks, scored from `chance` downwards; its first chunk where no signal chose one.

        spans: the file's chunks in the order of their lines.
        """
        defining = self._defining_chunks(file_id, spans)
        worth = {span.chunk_id: found for span in spans if (found := self._worth(span, file_id, defining)) > 0}
        if not worth and spans:
            worth = {spans[0].chunk_id: 1.0}
        best = max(worth.values(), default=0.0)
        for place, chunk_id in enumerate(sorted(worth, key=lambda chunk_id: -worth[chunk_id])[:_PASSAGES_OF_A_FILE]):
            share = self._further**place * (worth[chunk_id] / best)
            yield RankedChunk(chunk_id, file_id, chance * share, self._origins(chunk_id, file_id, defining))

    def _defining_chunks(self, file_id: int, spans: Sequence[ChunkSpan]) -> dict[int, _Defining]:
        """The likeliest definition in each chunk."""
        found: dict[int, _Defining] = {}
        for rank, hit in self._definitions.get(file_id, ()):
            holding = [span for span in spans if span.start_line <= hit.line <= span.end_line]
            if holding:
                narrowest = min(holding, key=lambda span: span.end_line - span.start_line)
                share = _SYMBOL_SHARE if self._is_name or (hit.whole and not self._is_long) else _DEFINITION_SHARE
                found.setdefault(narrowest.chunk_id, _Defining(Origin("symbol", rank, hit.weight), share * hit.weight))
        return found

    def _worth(self, span: ChunkSpan, file_id: int, defining: Mapping[int, _Defining]) -> float:
        chunk = span.chunk_id, file_id
        worth = self._lexical.relative(*chunk) + self._shares.relative(*chunk) + _DENSE_SHARE * self._dense.relative(*chunk)
        if span.chunk_id in defining:
            worth += defining[span.chunk_id].worth
        if not self._for_tests and is_test_scope(span.symbol, span.kind):
            worth *= _TEST_SHARE
        if span.imports:
            worth *= _IMPORTS_SHARE
        line = self._findings.lines.get(file_id, 0)
        return worth + (_LINE_SHARE if span.start_line <= line <= span.end_line else 0.0)

    def _origins(self, chunk_id: int, file_id: int, defining: Mapping[int, _Defining]) -> tuple[Origin, ...]:
        signals = (self._lexical, self._dense)
        origins = [Origin(ranks.signal, *ranks.of[chunk_id]) for ranks in signals if chunk_id in ranks.of]
        if chunk_id in defining:
            origins.append(defining[chunk_id].origin)
        if not origins and file_id in self._cards:
            origins.append(Origin("lexical", *self._cards[file_id]))
        return tuple(origins)


def place_chunks(
    places: Sequence[Place],
    spans: Mapping[int, Sequence[ChunkSpan]],
    ranked: Sequence[RankedChunk],
    picker: PassagePicker,
    most: int,
) -> tuple[list[RankedChunk], dict[int, list[int]]]:
    """The chunks that hold the lines that a question points at, in the order of the places, and the lines marked in each.

    A place without a line is a file: its best chunks stand for it. Scores lie above every chance, which is at most 1.
    """
    others = {chunk.chunk_id: chunk.origins for chunk in ranked}
    found: dict[int, tuple[int, list[Origin]]] = {}
    marked: dict[int, list[int]] = defaultdict(list)
    ranks: Counter[Signal] = Counter()
    for place in places:
        of_file = spans.get(place.file_id, ())
        holding = [span for span in of_file if span.start_line <= place.line <= span.end_line]
        if holding:
            chunk_ids = [min(holding, key=lambda span: span.end_line - span.start_line).chunk_id]
        else:
            chunk_ids = [chunk.chunk_id for chunk in islice(picker.pick(place.file_id, 1.0, of_file), CHUNKS_OF_A_PIN)]
        for chunk_id in chunk_ids:
            if chunk_id not in found and len(found) == most:
                continue
            _, origins = found.setdefault(chunk_id, (place.file_id, []))
            if all(origin.signal != place.signal for origin in origins):
                ranks[place.signal] += 1
                origins.append(Origin(place.signal, ranks[place.signal], place.weight))
            if holding and place.line not in marked[chunk_id]:
                marked[chunk_id].append(place.line)
    first = [
        RankedChunk(chunk_id, file_id, 2.0 - number / (2 * len(found)), (*origins, *others.get(chunk_id, ())))
        for number, (chunk_id, (file_id, origins)) in enumerate(found.items())
    ]
    return first, marked


class _Ranks:
    """A signal's chunks: the rank and score of each, and the best score in each file. least: the score that tells nothing."""

    def __init__(self, signal: Signal, hits: Hits, least: float = 0.0) -> None:
        self.signal = signal
        self.of = hits.ranks()
        self._best = hits.best_of_files()
        self._least = least

    def relative(self, chunk_id: int, file_id: int) -> float:
        """A chunk's score above `least` as a share of the best in its file; 0 where the signal didn't find it."""
        found = self.of.get(chunk_id)
        if found is None or self._best[file_id] <= self._least:
            return 0.0
        return max(0.0, (found[1] - self._least) / (self._best[file_id] - self._least))


def _by_share(findings: Findings) -> Hits:
    """The lexical hits, first those that hold most of the query."""
    order = np.argsort(-findings.shares, kind="stable")
    return Hits(findings.lexical.chunks[order], findings.lexical.files[order], findings.shares[order])


class _File:
    """A file of whose text (UTF-8) only the lines that are asked for are decoded."""

    def __init__(self, file_id: int, path: str, blob: str, language: str, content: bytes) -> None:
        self.file_id, self.path, self.blob, self.language = file_id, path, blob, language
        self._text = content
        ends = np.flatnonzero(np.frombuffer(content, dtype=np.uint8) == ord("\n"))
        self._ends = ends if content.endswith(b"\n") else np.append(ends, len(content))

    @property
    def lines(self) -> int:
        return len(self._ends)

    def between(self, first: int, last: int) -> str:
        """The lines from `first` (counted from 1) to `last`, both included, as far as there are any."""
        start = self._ends[first - 2] + 1 if first > 1 else 0
        return self._text[start : self._ends[min(last, self.lines) - 1]].decode()


class PassageReader:
    """Reads chunks of a snapshot as passages, each file once."""

    def __init__(self, reader: SnapshotReader) -> None:
        self._db = reader.connection

    def spans(self, file_ids: Sequence[int]) -> Mapping[int, list[ChunkSpan]]:
        """The chunks of these files, by file and in the order of their lines."""
        spans: dict[int, list[ChunkSpan]] = defaultdict(list)
        importing = (
            "SELECT count(DISTINCT line) FROM refs"
            " WHERE refs.file_id = chunks.file_id AND line BETWEEN start_line AND end_line AND refs.kind = 'import'"
        )
        query = (
            f"SELECT file_id, id, start_line, end_line, symbol, kind, start_line = 1 AND 2 * ({importing}) > end_line"  # noqa: S608
            f" FROM chunks WHERE file_id IN ({','.join('?' * len(file_ids))}) ORDER BY file_id, start_line, id"
        )
        for file_id, *span in self._db.execute(query, file_ids).fetchall():
            spans[file_id].append(ChunkSpan._make(span))
        return spans

    def read(
        self,
        chunks: Sequence[RankedChunk],
        spans: Mapping[int, Sequence[ChunkSpan]],
        marked: Mapping[int, Sequence[int]],
    ) -> Iterator[Passage]:
        """The chunks as passages. spans: of their files; marked: lines by chunk."""
        files = self._files({chunk.file_id for chunk in chunks})
        for chunk in chunks:
            file = files[chunk.file_id]
            span = next(span for span in spans[chunk.file_id] if span.chunk_id == chunk.chunk_id)
            yield Passage(
                chunk_id=chunk.chunk_id,
                path=file.path,
                blob=file.blob,
                start_line=span.start_line,
                end_line=span.end_line,
                symbol=span.symbol,
                kind=span.kind,
                language=file.language,
                text=file.between(span.start_line, span.end_line),
                score=chunk.score,
                origins=chunk.origins,
                marked=tuple(marked.get(chunk.chunk_id, ())),
                wider=tuple(self._wider(file, span)),
                test=traits_of(file.path, file.language).test or is_test_scope(span.symbol, span.kind),
            )

    def _files(self, ids: Collection[int]) -> dict[int, _File]:
        query = f"SELECT id, path, blob, language, content FROM files WHERE id IN ({','.join('?' * len(ids))})"  # noqa: S608
        return {
            file_id: _File(file_id, path, blob, language, zlib.decompress(content))
            for file_id, path, blob, language, content in self._db.execute(query, list(ids))
        }

    def _wider(self, file: _File, span: ChunkSpan) -> Iterator[Span]:
        """The definition that begins or goes on beyond a chunk, and the file, as far as they aren't long."""
        query = (
            "SELECT start_line, end_line FROM definitions WHERE file_id = ? AND start_line <= ? AND end_line >= ?"
            " AND end_line - start_line < ? ORDER BY end_line - start_line"
        )
        values = (file.file_id, span.start_line, span.end_line, _LONGEST_WIDENED)
        for first, last in dict.fromkeys([*self._db.execute(query, values), (1, file.lines)]):
            if last - first > span.end_line - span.start_line and last - first < _LONGEST_WIDENED:
                yield Span(first, last, file.between(first, last))
