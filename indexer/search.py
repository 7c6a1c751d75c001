"""One search in one snapshot, from the question to its passages.

The signals are asked one after the other (lexical, symbol, dense, paths), the files that they bring up are ranked, and the best
files give their passages. Each signal leaves a step that tells what it found and how long that took.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice

from indexer.errors import IndexerError
from indexer.fusion import ChunkSpan, Findings, PassagePicker, RankedChunk, candidate_files
from indexer.lexical_index import ChunkHit, LexicalIndex
from indexer.query import PathHint, Query, is_identifier
from indexer.reranker import FileEvidence, Mixes, chances, file_features, mix_name, score
from indexer.snapshot import SnapshotReader
from indexer.symbols import DefinitionHit, definitions_of
from indexer.tokens import fold, identifier_terms
from indexer.types import Passage, SearchResult, SearchStep

logger = logging.getLogger(__name__)

# (text, count) → (chunk id, cosine) of the nearest chunks, nearest first.
Nearest = Callable[[str, int], list[tuple[int, float]]]

_LEXICAL_CHUNKS = 600
_CARDS = 200
_DENSE_CHUNKS = 100
# A card's stem counts four times, its folders twice.
_CARD_WEIGHTS = (4.0, 2.0, 1.0, 1.0)
_STEM_WEIGHTS = (1.0, 0.0, 0.0, 0.0)
# Terms in more chunks than this share have no say in FTS5's BM25 and would only make it look at every chunk.
_TOO_COMMON = 0.5
# The rarest terms of a long text say what it is about.
_MOST_TERMS = 48

# A file that the question names by its path stands above what only ranking brings up: a logit, so about fifty to one.
_NAMED_FILE_LIFT = 4.0
_MOST_NAMED_FILES = 20
# What tells what a repository is: its README first, then the files that the others use most.
_OVERVIEW_FILES = 20


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file in one search: what was found out about it, its features (reranker.FEATURES), and its chance."""

    evidence: FileEvidence
    features: tuple[float, ...]
    chance: float


class Search:
    """nearest: asks the vectors, or None where there are none or they aren't wanted. mixes: the reranker's weights."""

    def __init__(self, reader: SnapshotReader, query: Query, scope: str, nearest: Nearest | None, mixes: Mixes) -> None:
        self._reader = reader
        self._db = reader.connection
        self._index = LexicalIndex(self._db)
        self._query = query
        self._scope = Scope.of(self._db, scope)
        self._nearest = nearest
        self._mixes = mixes
        self._frequencies = self._index.frequencies([*query.terms, *query.stems])
        self._steps: list[SearchStep] = []

    def run(self, limit: int) -> SearchResult:
        started = time.perf_counter()
        findings = self._find()
        with self._step("Ranking") as tell:
            candidates = self._rank(findings)
            passages = self._passages(findings, candidates, limit)
            tell(f"{_count(len(candidates), 'file')} compared")
        matched, missing = self._words()
        return SearchResult(
            passages=passages,
            steps=tuple(self._steps),
            vectors=self._nearest is not None,
            symbols=tuple(dict.fromkeys(hit.name for hit in findings.definitions)),
            matched_terms=matched,
            missing_terms=missing,
            took_ms=(time.perf_counter() - started) * 1000,
        )

    def ranked(self) -> list[Candidate]:
        """The candidate files, best first."""
        return self._rank(self._find())

    def _find(self) -> Findings:
        findings = Findings() if self._scope.is_empty else self._find_words()
        findings = replace(findings, definitions=self._find_definitions(), lines=self._find_paths())
        return replace(findings, dense=self._find_dense())

    @contextmanager
    def _step(self, name: str) -> Iterator[Callable[[str], None]]:
        """Time one step; what is called with its detail, if it is called, makes it worth telling."""
        started = time.perf_counter()
        details: list[str] = []
        yield details.append
        took_ms = (time.perf_counter() - started) * 1000
        self._steps.extend(SearchStep(name, detail, took_ms) for detail in details)

    # --- the signals ------------------------------------------------------------------------------------------------

    def _find_words(self) -> Findings:
        with self._step("Lexical") as tell:
            if self._query.is_overview:
                cards = self._overview()
                tell("the README and the files that the others use most")
                return Findings(cards=cards)
            terms = self._telling_terms()
            if not terms:
                tell("none of the words occurs")
                return Findings()
            files = self._scope.files
            lexical = self._index.chunks(terms, _LEXICAL_CHUNKS, files)
            known = {term: weight for term, weight in self._query.terms.items() if term in self._frequencies}
            cards = self._index.cards(known, _CARD_WEIGHTS, _CARDS, files)
            stems = self._index.cards(known, _STEM_WEIGHTS, _CARDS, files)
            coverage = self._coverage(terms, lexical)
            tell(f"{_count(len(lexical), 'chunk')} for {_listed(terms)}")
        return Findings(lexical, cards, stems, coverage)

    def _coverage(self, terms: Iterable[str], lexical: Sequence[ChunkHit]) -> dict[int, float]:
        """By file id, the share of the query's terms, by rarity, that its fullest chunk holds."""
        worth = {
            term: weight * self._index.rarity(self._frequencies.get(term, 0)) for term, weight in self._query.terms.items()
        }
        total = sum(worth.values())
        held = self._index.coverage(terms, [hit.chunk_id for hit in lexical])
        shares: dict[int, float] = defaultdict(float)
        for hit in lexical:
            share = sum(worth[term] for term in held.get(hit.chunk_id, ())) / total
            shares[hit.file_id] = max(shares[hit.file_id], share)
        return shares

    def _telling_terms(self) -> dict[str, float]:
        """The query's terms that occur, without those in most chunks unless there are no others."""
        known = {term: weight for term, weight in self._query.terms.items() if term in self._frequencies}
        rarest = sorted(known, key=lambda term: self._frequencies[term])[:_MOST_TERMS]
        telling = [term for term in rarest if self._frequencies[term] < _TOO_COMMON * self._index.size]
        return {term: known[term] for term in telling or rarest}

    def _overview(self) -> dict[int, float]:
        query = (
            "SELECT id, lower(path) LIKE 'readme%' AS readme, referred FROM files JOIN file_signals ON file_id = id"
            " WHERE id BETWEEN ? AND ? ORDER BY readme DESC, referred DESC, id LIMIT ?"
        )
        rows = self._db.execute(query, (*self._scope.bounds, _OVERVIEW_FILES)).fetchall()
        return {file_id: 1.0 / place for place, (file_id, _, _) in enumerate(rows, 1)}

    def _find_definitions(self) -> list[DefinitionHit]:
        with self._step("Symbols") as tell:
            hits = [hit for hit in definitions_of(self._db, self._query.names) if self._scope.holds(hit.file_id)]
            if hits:
                names = dict.fromkeys(hit.name for hit in hits)
                tell(f"{_count(len(hits), 'definition')} of {_listed(names)}")
        return hits

    def _find_paths(self) -> dict[int, int]:
        named = {}
        for hint in self._query.paths:
            named.update(dict.fromkeys(self._files_named(hint), hint.line))
        return named

    def _files_named(self, hint: PathHint) -> list[int]:
        path = hint.path.lstrip("./")
        query = "SELECT id FROM files WHERE (path = ? OR substr(path, ?) = ?) AND id BETWEEN ? AND ? LIMIT ?"
        values = (path, -len(path) - 1, f"/{path}", *self._scope.bounds, _MOST_NAMED_FILES + 1)
        found = [file_id for (file_id,) in self._db.execute(query, values)]
        return found if len(found) <= _MOST_NAMED_FILES else []

    def _find_dense(self) -> list[ChunkHit]:
        if self._nearest is None or self._scope.is_empty or self._query.is_overview or not self._query.text.strip():
            return []
        text = f"{self._query.borrowed_from}\n{self._query.text}" if self._query.borrowed_from else self._query.text
        with self._step("Dense") as tell:
            try:
                nearest = self._nearest(text, _DENSE_CHUNKS)
            except IndexerError as error:
                logger.warning("%s: searched without vectors: %s", self._reader.directory.name, error)
                self._nearest = None
                tell(f"left out: {error}")
                return []
            hits = self._in_scope(nearest)
            tell(f"{_count(len(hits), 'near chunk')}")
        return hits

    def _in_scope(self, nearest: Sequence[tuple[int, float]]) -> list[ChunkHit]:
        query = f"SELECT id, file_id FROM chunks WHERE id IN ({_slots(nearest)})"  # noqa: S608
        file_of = dict(self._db.execute(query, [chunk_id for chunk_id, _ in nearest]))
        hits = (ChunkHit(chunk_id, file_of[chunk_id], score) for chunk_id, score in nearest if chunk_id in file_of)
        return [hit for hit in hits if self._scope.holds(hit.file_id)]

    # --- ranking ----------------------------------------------------------------------------------------------------

    def _rank(self, findings: Findings) -> list[Candidate]:
        files = self._evidence(findings)
        if not files:
            return []
        features = file_features(self._query, files, self._rarity(files))
        if self._query.is_overview:
            scores = [findings.cards.get(file.file_id, 0.0) for file in files]
        else:
            weights = self._mixes[mix_name(self._query, dense=bool(findings.dense))]
            lift = _NAMED_FILE_LIFT / max(1, len(findings.lines))
            scores = [
                score(row, weights) + (lift if file.file_id in findings.lines else 0.0)
                for file, row in zip(files, features, strict=True)
            ]
        ranked = [Candidate(*each) for each in zip(files, features, chances(scores), strict=True)]
        return sorted(ranked, key=lambda candidate: (-candidate.chance, candidate.evidence.path))

    def _evidence(self, findings: Findings) -> list[FileEvidence]:
        ids = candidate_files(findings)
        query = (
            "SELECT id, path, language, lines, referred, main, folder FROM files JOIN file_signals ON file_id = id"  # noqa: S608
            f" WHERE id IN ({_slots(ids)})"
        )
        by_body = findings.chunk_scores()
        # Both are best first, so in reverse the best comes last and stays.
        dense = {near.file_id: near.score for near in reversed(findings.dense)}
        defined = {hit.file_id: hit.weight for hit in reversed(findings.definitions)}
        return [
            FileEvidence(
                file_id,
                path,
                language,
                lines,
                referred,
                main,
                folder,
                chunk_scores=by_body.get(file_id, ()),
                coverage=findings.coverage.get(file_id, 0.0),
                card=findings.cards.get(file_id, 0.0),
                definition=defined.get(file_id, 0.0),
                dense=dense.get(file_id),
            )
            for file_id, path, language, lines, referred, main, folder in self._db.execute(query, ids)
        ]

    def _rarity(self, files: Iterable[FileEvidence]) -> dict[str, float]:
        """Of the query's stems and of the stems in the files' names."""
        stems = set(self._query.stems).union(*(file.traits.name for file in files))
        frequencies = self._frequencies | self._index.frequencies(stems - self._query.stems.keys())
        return {stem: self._index.rarity(frequencies.get(stem, 0)) for stem in stems}

    # --- passages ---------------------------------------------------------------------------------------------------

    def _passages(self, findings: Findings, candidates: Sequence[Candidate], limit: int) -> tuple[Passage, ...]:
        likeliest = candidates[:limit]
        spans = self._spans([candidate.evidence.file_id for candidate in likeliest])
        picker = PassagePicker(findings)
        ranked = [
            chunk
            for candidate in likeliest
            for chunk in picker.pick(candidate.evidence.file_id, candidate.chance, spans[candidate.evidence.file_id])
        ]
        ranked.sort(key=lambda chunk: -chunk.score)
        return tuple(self._read(ranked[:limit], {each.evidence.file_id: each.evidence.path for each in likeliest}))

    def _spans(self, file_ids: Sequence[int]) -> Mapping[int, list[ChunkSpan]]:
        spans: dict[int, list[ChunkSpan]] = defaultdict(list)
        query = (
            f"SELECT file_id, id, start_line, end_line FROM chunks WHERE file_id IN ({_slots(file_ids)})"  # noqa: S608
            " ORDER BY file_id, start_line, id"
        )
        for file_id, *span in self._db.execute(query, file_ids):
            spans[file_id].append(ChunkSpan(*span))
        return spans

    def _read(self, ranked: Sequence[RankedChunk], paths: Mapping[int, str]) -> Iterator[Passage]:
        files = {file_id: self._reader.file(paths[file_id]) for file_id in dict.fromkeys(chunk.file_id for chunk in ranked)}
        lines = {file_id: file.text.split("\n") for file_id, file in files.items()}
        query = "SELECT start_line, end_line, symbol, kind FROM chunks WHERE id = ?"
        for chunk in ranked:
            start, end, symbol, kind = self._db.execute(query, (chunk.chunk_id,)).fetchone()
            file = files[chunk.file_id]
            yield Passage(
                chunk_id=chunk.chunk_id,
                path=file.path,
                blob=file.blob,
                start_line=start,
                end_line=end,
                symbol=symbol,
                kind=kind,
                language=file.language,
                text="\n".join(lines[chunk.file_id][start - 1 : end]),
                score=chunk.score,
                origins=chunk.origins,
            )

    def _words(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The query's own content words that the index holds, and those that it doesn't."""
        spellings: dict[str, str] = {}
        for word in self._query.words:
            spellings.setdefault(fold(word), word)
        matched = tuple(word for word in spellings.values() if self._occurs(word))
        return matched, tuple(word for word in spellings.values() if word not in matched)

    def _occurs(self, word: str) -> bool:
        terms = identifier_terms(word)
        if is_identifier(word):
            return terms[-1] in self._frequencies
        parts = terms[:-1] if len(terms) > 1 else terms
        return terms[-1] in self._frequencies or all(part in self._frequencies for part in parts)


@dataclass(frozen=True, slots=True)
class Scope:
    """The files that a search keeps to: all of them, or those under one folder, whose ids follow each other because a snapshot
    numbers its files by path."""

    files: tuple[int, int] | None
    is_empty: bool = False

    @classmethod
    def of(cls, db: sqlite3.Connection, folder: str) -> Scope:
        place = "/".join(part for part in folder.replace("\\", "/").split("/") if part not in ("", "."))
        if not place:
            return cls(None)
        query = "SELECT min(id), max(id) FROM files WHERE path = ? OR (path > ? AND path < ?)"
        # "0" is the character after "/".
        first, last = db.execute(query, (place, f"{place}/", f"{place}0")).fetchone()
        return cls((0, -1), True) if first is None else cls((first, last))

    @property
    def bounds(self) -> tuple[int, int]:
        return self.files or (0, 2**63 - 1)

    def holds(self, file_id: int) -> bool:
        first, last = self.bounds
        return first <= file_id <= last


def _slots(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _listed(names: Iterable[str], most: int = 5) -> str:
    return ", ".join(islice(names, most))
