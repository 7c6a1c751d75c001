"""One search in one snapshot, from the question to its passages.

What the question points at comes first: pins, frames, messages, matches, uses (`indexer.places`). Then the signals are asked
one after the other (lexical, symbol, dense, paths), the files that they bring up are ranked, and the best files give their
passages. Each leaves a step that tells what it found and how long that took.
"""

from __future__ import annotations

import json
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice

from indexer.dense import IdRange, Near
from indexer.errors import IndexerError
from indexer.follow_up import cited_files, meant, resolved
from indexer.fusion import ChunkSpan, Findings, PassagePicker, RankedChunk, candidate_files, place_chunks
from indexer.lexical_index import ChunkHit
from indexer.natural_language import LANGUAGES
from indexer.pins import resolve
from indexer.places import Place, PlaceFinder, Told
from indexer.query import PathHint, Query, is_identifier
from indexer.reranker import FileEvidence, Mixes, chances, file_features, mix_name, score, with_more_say
from indexer.scope import Scope
from indexer.snapshot import SnapshotReader
from indexer.symbols import DefinitionHit, definitions_of, files_used_in, uses_among
from indexer.tokens import fold, identifier_terms
from indexer.types import Cited, Filters, Passage, SearchResult, SearchStep, Span

logger = logging.getLogger(__name__)

# (text, count, chunk ids to keep to, file ids to keep to) → what is nearest.
Nearest = Callable[[str, int, IdRange | None, IdRange | None], Near]

_LEXICAL_CHUNKS = 600
_CARDS = 200
_DENSE_CHUNKS = 100
# The chunks whose uses of other files count, each by the square of its score's share of the best.
_USING_CHUNKS = 20
# A card's stem counts four times, its folders twice.
_CARD_WEIGHTS = (4.0, 2.0, 1.0, 1.0)
_STEM_WEIGHTS = (1.0, 0.0, 0.0, 0.0)
# Terms in more chunks than this share have no say in BM25.
_TOO_COMMON = 0.5
# The rarest terms of a long text say what it is about.
_MOST_TERMS = 48

# A file that the question names by its path stands above what only ranking brings up: a logit, so about fifty to one.
_NAMED_FILE_LIFT = 4.0
_MOST_NAMED_FILES = 20
# A file that the last answer cited.
_CITED_LIFT = 1.0
# In another language than English words can't vote, and what is near in meaning has more of a say.
_DENSE_SHARE_OF_OTHER_LANGUAGES = 2.0
# Lines: what a passage is widened to where a model has room.
_LONGEST_WIDENED = 400
# What tells what a repository is: its README first, then the files that the others use most.
_OVERVIEW_FILES = 20


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file in one search: what was found out about it, its features (reranker.FEATURES), its chance, and the weights of the
    features, none where something else ranked."""

    evidence: FileEvidence
    features: tuple[float, ...]
    chance: float
    weights: Sequence[float]


class Search:
    """nearest: asks the vectors, or None where there are none or they aren't wanted. mixes: the reranker's weights."""

    def __init__(
        self,
        reader: SnapshotReader,
        query: Query,
        filters: Filters,
        nearest: Nearest | None,
        mixes: Mixes,
        cited: Sequence[Cited] = (),
    ) -> None:
        self._reader = reader
        self._db = reader.connection
        self._index = reader.lexical
        self._filters = filters
        self._pinned = resolve(self._db, query.pins)
        folders = [pinned.folder for pinned in self._pinned if pinned.folder]
        self._scope = Scope.of(self._db, filters, folders)
        self._nearest = nearest
        self._mixes = mixes
        self._steps: list[SearchStep] = []
        self._cited = cited_files(self._db, cited) if query.borrowed_from else {}
        if it := meant(query, self._cited):
            self._steps.append(SearchStep("Question", f"about {it.qualified_name}, which the last answer cited", 0.0))
        self._query = resolved(query, self._cited)
        self._frequencies = self._index.frequencies([*self._query.terms, *self._query.stems])

    def run(self, limit: int, further: float) -> SearchResult:
        """further: what share of a file's chance each further passage of it has. Raises PatternError."""
        started = time.perf_counter()
        self._tell_kind()
        places, subjects = self._places()
        findings = self._find() if self._query.kind != "regex" else Findings()
        with self._step("Ranking") as tell:
            candidates = self._rank(findings)
            passages = self._passages(PassagePicker(findings, further), candidates, places, limit)
            if self._query.kind != "regex":
                tell(f"{_count(len(candidates), 'file')} compared")
        matched, missing = self._words()
        return SearchResult(
            passages=passages,
            steps=tuple(self._steps),
            vectors=self._nearest is not None,
            chunks=self._reader.manifest.chunks,
            symbols=tuple(dict.fromkeys((*subjects, *(hit.name for hit in findings.definitions)))),
            matched_terms=matched,
            missing_terms=missing,
            took_ms=(time.perf_counter() - started) * 1000,
            kind=self._query.kind,
            filters=self._filters,
            unresolved=tuple(pinned.pin.text for pinned in self._pinned if not pinned.is_resolved),
        )

    def ranked(self) -> list[Candidate]:
        """The candidate files, best first."""
        return self._rank(self._find())

    def _find(self) -> Findings:
        findings = Findings() if self._scope.is_empty else self._find_words()
        findings = replace(findings, definitions=self._find_definitions(), lines=self._find_paths())
        return replace(findings, dense=self._find_dense())

    # --- what the question is and points at ---------------------------------------------------------------------------

    def _tell_kind(self) -> None:
        said = {
            "error": "read as an error message",
            "path": "read as a path",
            "overview": "read as a question about the whole",
        }.get(self._query.kind)
        if self._query.language:
            said = f"asked in {LANGUAGES[self._query.language]}: by names, and by meaning where there are vectors"
        if said:
            self._steps.append(SearchStep("Question", said, 0.0))
        if restricted := str(self._filters):
            self._steps.append(SearchStep("Filters", restricted, 0.0))

    def _places(self) -> tuple[list[Place], tuple[str, ...]]:
        """What the question points at, in order, and the names among it that are defined here."""
        finder = PlaceFinder(self._reader, self._index, self._scope, self._query)
        found: list[Place] = []
        for look in (lambda: finder.pins(self._pinned), finder.frames, finder.message, finder.matches):
            found += self._look(look)
        subjects: tuple[str, ...] = ()

        def references() -> Told | None:
            nonlocal subjects
            told, subjects = finder.references()
            return told

        found += self._look(references)
        if self._query.points_at == "file" and self._cited:
            found.append(Place([*self._cited][-1], 0, "cited"))
        return found, subjects

    def _look(self, look: Callable[[], Told | None]) -> tuple[Place, ...]:
        started = time.perf_counter()
        if (told := look()) is None:
            return ()
        self._steps.append(SearchStep(told.name, told.detail, (time.perf_counter() - started) * 1000))
        return told.places

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
            allowed = self._scope.allowed
            lexical = self._index.chunks(terms, _LEXICAL_CHUNKS, files, allowed)
            known = {term: weight for term, weight in self._query.terms.items() if term in self._frequencies}
            cards = self._index.cards(known, _CARD_WEIGHTS, _CARDS, files, allowed)
            stems = self._index.cards(known, _STEM_WEIGHTS, _CARDS, files, allowed)
            coverage = self._coverage(terms, lexical)
            used = self._used(
                self._index.chunks(terms, _USING_CHUNKS) if files or allowed is not None else lexical[:_USING_CHUNKS]
            )
            tell(f"{_count(len(lexical), 'chunk')} for {_listed(terms)}")
        return Findings(lexical, cards, stems, coverage, used)

    def _coverage(self, terms: Iterable[str], lexical: Sequence[ChunkHit]) -> dict[int, float]:
        """By file id, the share of the query's terms, by rarity, that its fullest chunk holds."""
        worth = {
            term: weight * self._index.rarity(self._frequencies.get(term, 0)) for term, weight in self._query.terms.items()
        }
        total = sum(worth.values())
        held = self._index.shares({term: worth[term] for term in terms}, [hit.chunk_id for hit in lexical])
        shares: dict[int, float] = defaultdict(float)
        for hit, share in zip(lexical, (held / total).tolist(), strict=True):
            shares[hit.file_id] = max(shares[hit.file_id], share)
        return shares

    def _used(self, best: Sequence[ChunkHit]) -> dict[int, float]:
        """By file id, how much these chunks use what the file defines, the most used first. They are the best of the whole
        repository, whatever the scope: a test outside it tells what it tests."""
        used: dict[int, float] = defaultdict(float)
        by_chunk = files_used_in(self._db, [hit.chunk_id for hit in best])
        for hit in best:
            for file_id, sureness in by_chunk[hit.chunk_id].items():
                if self._scope.holds(file_id):
                    used[file_id] += (hit.score / best[0].score) ** 2 * sureness
        return dict(sorted(used.items(), key=lambda item: (-item[1], item[0])))

    def _telling_terms(self) -> dict[str, float]:
        """The query's terms that occur, without those in most chunks unless there are no others."""
        known = {term: weight for term, weight in self._query.terms.items() if term in self._frequencies}
        rarest = sorted(known, key=lambda term: self._frequencies[term])[:_MOST_TERMS]
        telling = [term for term in rarest if self._frequencies[term] < _TOO_COMMON * self._index.size]
        return {term: known[term] for term in telling or rarest}

    def _overview(self) -> dict[int, float]:
        query = (
            "SELECT id, lower(path) LIKE 'readme%' AS readme, referred FROM files JOIN file_signals ON file_id = id"
            " WHERE id BETWEEN ? AND ? ORDER BY readme DESC, referred DESC, id"
        )
        rows = (row for row in self._db.execute(query, self._scope.bounds) if self._scope.holds(row[0]))
        return {file_id: 1.0 / place for place, (file_id, _, _) in enumerate(islice(rows, _OVERVIEW_FILES), 1)}

    def _find_definitions(self) -> list[DefinitionHit]:
        with self._step("Symbols") as tell:
            hits = definitions_of(self._db, self._query.names, self._scope.holds)
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
        query = "SELECT id FROM files WHERE (path = ? OR substr(path, ?) = ?) AND id BETWEEN ? AND ?"
        rows = self._db.execute(query, (path, -len(path) - 1, f"/{path}", *self._scope.bounds))
        found = list(islice((file_id for (file_id,) in rows if self._scope.holds(file_id)), _MOST_NAMED_FILES + 1))
        return found if len(found) <= _MOST_NAMED_FILES else []

    def _find_dense(self) -> list[ChunkHit]:
        if self._nearest is None or self._scope.is_empty or self._query.is_overview or not self._query.gist.strip():
            return []
        with self._step("Dense") as tell:
            try:
                hits, embedded = self._nearest_in_scope(self._nearest)
            except IndexerError as error:
                logger.warning("%s: searched without vectors: %s", self._reader.directory.name, error)
                self._nearest = None
                tell(f"left out: {error}")
                return []
            chunks = self._reader.manifest.chunks
            so_far = f"; {embedded:,} of {_count(chunks, 'chunk')} have a vector so far" if embedded < chunks else ""
            tell(f"{_count(len(hits), 'near chunk')}{so_far}")
        return hits

    def _nearest_in_scope(self, nearest: Nearest) -> tuple[list[ChunkHit], int]:
        """As many as without a scope, where it holds so many (a filter must not lose what it allows), and how many chunks have
        a vector. The vectors keep to the scope's range of ids; what is allowed within it is picked from more and more."""
        chunks, files = self._scope.chunks(self._db), self._scope.files
        wanted = _DENSE_CHUNKS
        while True:
            near = nearest(self._query.gist, wanted, chunks, files)
            hits = self._dense_hits(near)
            if len(hits) == _DENSE_CHUNKS or max(len(near.chunks), len(near.files)) < wanted or wanted >= self._index.size:
                return hits, near.embedded
            wanted = min(wanted * 8, self._index.size)

    def _dense_hits(self, near: Near) -> list[ChunkHit]:
        """The near chunks in the scope, and for a file that is only known by its card its first chunk."""
        query = "SELECT id, file_id FROM chunks WHERE id IN (SELECT value FROM json_each(?))"
        file_of = dict(self._db.execute(query, (json.dumps([chunk_id for chunk_id, _ in near.chunks]),)))
        found = (ChunkHit(chunk_id, file_of[chunk_id], score) for chunk_id, score in near.chunks if chunk_id in file_of)
        hits = [hit for hit in found if self._scope.holds(hit.file_id)]
        known = {hit.file_id for hit in hits}
        cards = {file_id: score for file_id, score in near.files if file_id not in known and self._scope.holds(file_id)}
        if cards:
            query = "SELECT file_id, min(id) FROM chunks WHERE file_id IN (SELECT value FROM json_each(?)) GROUP BY file_id"
            firsts = self._db.execute(query, (json.dumps(list(cards)),))
            hits += [ChunkHit(chunk_id, file_id, cards[file_id]) for file_id, chunk_id in firsts]
            hits.sort(key=lambda hit: (-hit.score, hit.chunk_id))
        return hits[:_DENSE_CHUNKS]

    # --- ranking ----------------------------------------------------------------------------------------------------

    def _rank(self, findings: Findings) -> list[Candidate]:
        files = self._evidence(findings)
        if not files:
            return []
        features = file_features(self._query, files, self._rarity(files))
        weights: Sequence[float] = ()
        if self._query.is_overview:
            scores = [findings.cards.get(file.file_id, 0.0) for file in files]
        else:
            weights = self._mixes[mix_name(self._query, dense=bool(findings.dense))]
            if self._query.language and findings.dense:
                weights = with_more_say(weights, "dense", _DENSE_SHARE_OF_OTHER_LANGUAGES)
            lift = _NAMED_FILE_LIFT / max(1, len(findings.lines))
            scores = [
                score(row, weights)
                + (lift if file.file_id in findings.lines else 0.0)
                + (_CITED_LIFT if file.file_id in self._cited else 0.0)
                for file, row in zip(files, features, strict=True)
            ]
        ranked = [Candidate(*each, weights) for each in zip(files, features, chances(scores), strict=True)]
        return sorted(ranked, key=lambda candidate: (-candidate.chance, candidate.evidence.path))

    def _evidence(self, findings: Findings) -> list[FileEvidence]:
        ids = list(dict.fromkeys((*candidate_files(findings), *filter(self._scope.holds, self._cited))))
        query = (
            "SELECT id, path, language, lines, referred, main, folder FROM files JOIN file_signals ON file_id = id"  # noqa: S608
            f" WHERE id IN ({_slots(ids)})"
        )
        by_body = findings.chunk_scores()
        # Both are best first, so in reverse the best comes last and stays.
        dense = {near.file_id: near.score for near in reversed(findings.dense)}
        defined = {hit.file_id: hit.weight for hit in reversed(findings.definitions)}
        uses = uses_among(self._db, ids)
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
                used=findings.used.get(file_id, 0.0),
                uses=frozenset(uses.get(file_id, ())),
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

    def _passages(
        self, picker: PassagePicker, candidates: Sequence[Candidate], places: Sequence[Place], limit: int
    ) -> tuple[Passage, ...]:
        """What the question points at, then the best chunks of the likeliest files."""
        likeliest = candidates[:limit]
        pointed = list(dict.fromkeys(place.file_id for place in places))
        ids = list(dict.fromkeys([candidate.evidence.file_id for candidate in likeliest] + pointed[:limit]))
        spans = self._spans(ids)
        ranked = [
            chunk
            for candidate in likeliest
            for chunk in picker.pick(candidate.evidence.file_id, candidate.chance, spans[candidate.evidence.file_id])
        ]
        ranked.sort(key=lambda chunk: -chunk.score)
        first, marked = place_chunks(places, spans, ranked, picker, self._most_placed(limit))
        held = {chunk.chunk_id for chunk in first}
        chosen = [*first, *(chunk for chunk in ranked if chunk.chunk_id not in held)][:limit]
        return tuple(self._read(chosen, self._paths(ids), marked))

    def _most_placed(self, limit: int) -> int:
        """Uses leave a quarter of the places to what ranking finds: they say where, and seldom why."""
        return max(1, limit * 3 // 4) if self._query.kind == "references" else limit

    def _paths(self, file_ids: Sequence[int]) -> dict[int, str]:
        query = f"SELECT id, path FROM files WHERE id IN ({_slots(file_ids)})"  # noqa: S608
        return dict(self._db.execute(query, file_ids))

    def _spans(self, file_ids: Sequence[int]) -> Mapping[int, list[ChunkSpan]]:
        spans: dict[int, list[ChunkSpan]] = defaultdict(list)
        query = (
            f"SELECT file_id, id, start_line, end_line FROM chunks WHERE file_id IN ({_slots(file_ids)})"  # noqa: S608
            " ORDER BY file_id, start_line, id"
        )
        for file_id, *span in self._db.execute(query, file_ids):
            spans[file_id].append(ChunkSpan(*span))
        return spans

    def _read(
        self, ranked: Sequence[RankedChunk], paths: Mapping[int, str], marked: Mapping[int, Sequence[int]]
    ) -> Iterator[Passage]:
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
                marked=tuple(marked.get(chunk.chunk_id, ())),
                wider=tuple(self._wider(chunk.file_id, start, end, lines[chunk.file_id])),
            )

    def _wider(self, file_id: int, start: int, end: int, lines: Sequence[str]) -> Iterator[Span]:
        """The definition that begins or goes on beyond a chunk, and the file, as far as they aren't long."""
        query = (
            "SELECT start_line, end_line FROM definitions WHERE file_id = ? AND start_line <= ? AND end_line >= ?"
            " AND end_line - start_line < ? ORDER BY end_line - start_line"
        )
        last = len(lines) - (not lines[-1])
        spans = [*self._db.execute(query, (file_id, start, end, _LONGEST_WIDENED)), (1, last)]
        for first, final in dict.fromkeys(spans):
            if final - first > end - start and final - first < _LONGEST_WIDENED:
                yield Span(first, final, "\n".join(lines[first - 1 : final]))

    def _words(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The query's own content words that the index holds, and those that it doesn't.

        A trace and a message hold values that are no words of the code, and other languages other words: there only names are
        missing.
        """
        spellings: dict[str, str] = {}
        for word in self._query.words:
            spellings.setdefault(fold(word), word)
        matched = tuple(word for word in spellings.values() if self._occurs(word))
        missing = tuple(word for word in spellings.values() if word not in matched)
        if self._query.kind in ("trace", "error") or self._query.language:
            missing = tuple(word for word in missing if is_identifier(word))
        return matched, missing

    def _occurs(self, word: str) -> bool:
        terms = identifier_terms(word)
        if is_identifier(word):
            return terms[-1] in self._frequencies
        parts = terms[:-1] if len(terms) > 1 else terms
        return terms[-1] in self._frequencies or all(part in self._frequencies for part in parts)


def _slots(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _listed(names: Iterable[str], most: int = 5) -> str:
    return ", ".join(islice(names, most))
