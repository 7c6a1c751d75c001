"""Bringing the signals together: which files are worth ranking, and which passages stand for the files that were ranked.

The signals find chunks (lexical, dense), files (cards, paths) and definitions. Files are what is ranked; a file is then shown
by its best chunk: the one that defines what the query names, else the one that the signals rank highest, else its first.
Further chunks of a file follow at a falling share of its chance, so that many files come before many passages of one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from indexer.lexical_index import ChunkHit
from indexer.places import Place
from indexer.symbols import DefinitionHit
from indexer.types import Origin, Signal

# Files taken from each signal: 100 by their chunks hold 99 % of the answers of the development set.
FILES_BY_BODY = 100
FILES_BY_CARD = 60
FILES_BY_STEM = 40
FILES_BY_DEFINITION = 60
FILES_BY_DENSE = 40
FILES_BY_USE = 20

# A chunk in its file: 1 for the best lexical one; what a definition, the nearest vector and a named line add to that.
_DEFINITION_SHARE = 1.5
_DENSE_SHARE = 0.3
_LINE_SHARE = 3.0

# The nth further passage of a file has the file's chance times this to the power of n: in a list that a person reads, other
# files are worth more than more of the same one, and an answer needs more than one passage of a file that surely holds it.
FURTHER_PASSAGE_SHARE = 0.1
FURTHER_PASSAGE_SHARE_LISTED = 0.001
_PASSAGES_OF_A_FILE = 5
# A file that is pinned as a whole.
CHUNKS_OF_A_PIN = 3


@dataclass(frozen=True, slots=True)
class Findings:
    """What the signals found, each best first. cards, stems: BM25 by file id; coverage: the share of the query that is in a
    file's fullest chunk, by file id; used: how much the best chunks use what a file defines, by file id; lines: the line that
    the query names in a file that it names, or 0, by file id."""

    lexical: Sequence[ChunkHit] = ()
    cards: Mapping[int, float] = field(default_factory=dict)
    stems: Mapping[int, float] = field(default_factory=dict)
    coverage: Mapping[int, float] = field(default_factory=dict)
    used: Mapping[int, float] = field(default_factory=dict)
    definitions: Sequence[DefinitionHit] = ()
    dense: Sequence[ChunkHit] = ()
    lines: Mapping[int, int] = field(default_factory=dict)

    def chunk_scores(self) -> dict[int, tuple[float, ...]]:
        """The BM25 scores of each file's chunks, best first."""
        scores: dict[int, list[float]] = defaultdict(list)
        for hit in self.lexical:
            scores[hit.file_id].append(hit.score)
        return {file_id: tuple(found) for file_id, found in scores.items()}


def candidate_files(findings: Findings) -> list[int]:
    """The ids of the files worth ranking, in the order in which the signals bring them up."""
    by_body = findings.chunk_scores()
    best = sorted(by_body, key=lambda file_id: -sum(by_body[file_id][:3]))
    found = dict.fromkeys(findings.lines)
    found |= dict.fromkeys(islice(dict.fromkeys(hit.file_id for hit in findings.definitions), FILES_BY_DEFINITION))
    found |= dict.fromkeys(best[:FILES_BY_BODY])
    found |= dict.fromkeys(islice(findings.cards, FILES_BY_CARD))
    found |= dict.fromkeys(islice(findings.stems, FILES_BY_STEM))
    found |= dict.fromkeys(islice(dict.fromkeys(hit.file_id for hit in findings.dense), FILES_BY_DENSE))
    found |= dict.fromkeys(islice(findings.used, FILES_BY_USE))
    return list(found)


@dataclass(frozen=True, slots=True)
class ChunkSpan:
    """Where a chunk of a candidate file lies."""

    chunk_id: int
    start_line: int
    end_line: int


@dataclass(frozen=True, slots=True)
class RankedChunk:
    """A chunk in its place among the passages, and the signals that found it."""

    chunk_id: int
    file_id: int
    score: float
    origins: tuple[Origin, ...]


class PassagePicker:
    """Picks the chunks that stand for a file. further: what share of its chance each further passage of it has."""

    def __init__(self, findings: Findings, further: float = FURTHER_PASSAGE_SHARE) -> None:
        self._findings = findings
        self._further = further
        self._lexical = _ranks("lexical", findings.lexical)
        self._dense = _ranks("dense", findings.dense)
        self._cards = {
            file_id: Origin("lexical", rank, score) for rank, (file_id, score) in enumerate(findings.cards.items(), 1)
        }
        self._definitions: dict[int, list[tuple[int, DefinitionHit]]] = defaultdict(list)
        for rank, hit in enumerate(findings.definitions, 1):
            self._definitions[hit.file_id].append((rank, hit))

    def pick(self, file_id: int, chance: float, spans: Sequence[ChunkSpan]) -> Iterator[RankedChunk]:
        """The file's best chunks, scored from `chance` downwards; its first chunk where no signal chose one.

        spans: the file's chunks in the order of their lines.
        """
        defining = self._defining_chunks(file_id, spans)
        worth = {span.chunk_id: self._worth(span, file_id, defining) for span in spans}
        best = max(worth.values(), default=0.0)
        chosen = [span for span in spans if worth[span.chunk_id] > 0] or list(spans[:1])
        chosen.sort(key=lambda span: -worth[span.chunk_id])
        for place, span in enumerate(chosen[:_PASSAGES_OF_A_FILE]):
            share = self._further**place * (worth[span.chunk_id] / best if best else 1.0)
            yield RankedChunk(span.chunk_id, file_id, chance * share, self._origins(span.chunk_id, file_id, defining))

    def _defining_chunks(self, file_id: int, spans: Sequence[ChunkSpan]) -> dict[int, Origin]:
        """The likeliest definition in each chunk, as the origin "symbol"."""
        found: dict[int, Origin] = {}
        for rank, hit in self._definitions.get(file_id, ()):
            holding = [span for span in spans if span.start_line <= hit.line <= span.end_line]
            if holding:
                narrowest = min(holding, key=lambda span: span.end_line - span.start_line)
                found.setdefault(narrowest.chunk_id, Origin("symbol", rank, hit.weight))
        return found

    def _worth(self, span: ChunkSpan, file_id: int, defining: Mapping[int, Origin]) -> float:
        worth = _relative(self._lexical, span.chunk_id, file_id) + _DENSE_SHARE * _relative(self._dense, span.chunk_id, file_id)
        if span.chunk_id in defining:
            worth += _DEFINITION_SHARE * defining[span.chunk_id].score
        line = self._findings.lines.get(file_id, 0)
        return worth + (_LINE_SHARE if span.start_line <= line <= span.end_line else 0.0)

    def _origins(self, chunk_id: int, file_id: int, defining: Mapping[int, Origin]) -> tuple[Origin, ...]:
        signals = (self._lexical, self._dense)
        found = [Origin(ranks.signal, *ranks.of[chunk_id]) for ranks in signals if chunk_id in ranks.of]
        origins = [*found, defining.get(chunk_id)]
        if not any(origins):
            origins.append(self._cards.get(file_id))
        return tuple(origin for origin in origins if origin)


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


@dataclass(frozen=True, slots=True)
class _Ranks:
    """A signal's chunks: the rank and score of each, and the best score in each file."""

    signal: Signal
    of: Mapping[int, tuple[int, float]]
    best_of_file: Mapping[int, float]


def _ranks(signal: Signal, hits: Sequence[ChunkHit]) -> _Ranks:
    best: dict[int, float] = {}
    for hit in hits:
        best.setdefault(hit.file_id, hit.score)
    return _Ranks(signal, {hit.chunk_id: (rank, hit.score) for rank, hit in enumerate(hits, 1)}, best)


def _relative(ranks: _Ranks, chunk_id: int, file_id: int) -> float:
    """A chunk's score as a share of the best in its file; 0 where the signal didn't find it."""
    found = ranks.of.get(chunk_id)
    if found is None or ranks.best_of_file[file_id] <= 0:
        return 0.0
    return max(0.0, found[1] / ranks.best_of_file[file_id])
