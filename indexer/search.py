"""One search in one snapshot, from the question to its passages.

    what the question points at    indexer.places      pins, frames, messages, matches, uses
    what the signals bring up      indexer.signals     chunks, files and definitions
    what speaks for each file      indexer.evidence    the candidates, as arrays
    how likely each file is        indexer.reranker    features, weights, chances
    what is shown of the files     indexer.passages    chunks, and their text

Each leaves a step that tells what it found and how long that took.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from indexer.evidence import evidence_of
from indexer.follow_up import cited_files, meant, resolved
from indexer.natural_language import LANGUAGES
from indexer.passages import PassagePicker, PassageReader, place_chunks
from indexer.pins import resolve
from indexer.places import Place, PlaceFinder, Told
from indexer.query import Query, is_identifier
from indexer.reranker import FEATURES, Mixes, asks_for_tests, chances, file_features, is_long, mix_name
from indexer.scope import Scope
from indexer.search_steps import Steps, counted
from indexer.signals import Findings, NearestTo, Signals
from indexer.snapshot import SnapshotReader
from indexer.support import MEASURED_WITH, support, word_signs
from indexer.symbols import called
from indexer.tokens import fold, identifier_terms
from indexer.types import Cited, Filters, Passage, SearchResult, Strength

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A file that the question names by its path stands above what only ranking brings up: a logit, so about fifty to one.
_NAMED_FILE_LIFT = 4.0
# A file that the last answer cited.
_CITED_LIFT = 1.0
_NAME_IN_QUERY = FEATURES.index("name_in_query")


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """The candidate files, the likeliest first: (n,) ids, (n, len(FEATURES)) features, (n,) chances.

    weights: (len(FEATURES),), those of the features, or None where something else ranked.
    """

    ids: NDArray[np.int64]
    features: NDArray[np.float64]
    chances: NDArray[np.float64]
    weights: NDArray[np.float64] | None


class Search:
    """nearest: asks the vectors, or None where there are none or they aren't wanted. mixes: the reranker's weights. scanning:
    entered while a pattern is looked for in many files."""

    def __init__(
        self,
        reader: SnapshotReader,
        query: Query,
        filters: Filters,
        nearest: NearestTo | None,
        mixes: Mixes,
        cited: Sequence[Cited] = (),
        scanning: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._reader = reader
        self._index = reader.lexical
        self._filters = filters
        self._mixes = mixes
        self._scanning = scanning
        self._steps = Steps()
        self._pinned = resolve(reader.connection, query.pins)
        folders = [pinned.folder for pinned in self._pinned if pinned.folder]
        self._scope = Scope.of(reader.connection, filters, folders)
        self._cited = cited_files(reader.connection, cited) if query.borrowed_from else {}
        if it := meant(query, self._cited):
            self._steps.tell("Question", f"about {it.qualified_name}, which the last answer cited")
        self._query = resolved(query, self._cited)
        self._frequencies = self._index.frequencies([*self._query.terms, *self._query.stems])
        self._signals = Signals(reader, self._query, self._scope, nearest, self._frequencies, self._steps)

    def run(self, limit: int, further: float) -> SearchResult:
        """further: what share of a file's chance each further passage of it has. Raises PatternError."""
        started = time.perf_counter()
        self._tell_kind()
        places, subjects = self._places()
        findings = self._signals.ask() if self._query.kind != "regex" else Findings()
        with self._steps.timed("Ranking") as tell:
            ranking = self._rank(findings)
            picker = self._picker(findings, further)
            passages = self._passages(picker, ranking, places, limit)
            if self._query.kind != "regex":
                tell(f"{counted(len(ranking.ids), 'file')} compared")
        matched, missing = self._words()
        return SearchResult(
            passages=passages,
            steps=tuple(self._steps.told),
            vectors=self._signals.uses_vectors,
            chunks=self._reader.manifest.chunks,
            symbols=tuple(dict.fromkeys((*subjects, *(hit.name for hit in findings.definitions)))),
            matched_terms=matched,
            missing_terms=missing,
            support=self._support(findings, ranking),
            took_ms=(time.perf_counter() - started) * 1000,
            kind=self._query.kind,
            filters=self._filters,
            unresolved=tuple(pinned.pin.text for pinned in self._pinned if not pinned.is_resolved),
            strength=self._strength(findings, ranking),
        )

    def ranked(self) -> Ranking:
        return self._rank(self._signals.ask())

    def signs(self) -> tuple[float, ...]:
        """What speaks for an answer being here at all: support.SIGNS where all chunks have vectors, else its WORD_SIGNS."""
        findings = self._signals.ask()
        return self._signs(findings, self._rank(findings))

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
            self._steps.tell("Question", said)
        if restricted := str(self._filters):
            self._steps.tell("Filters", restricted)

    def _places(self) -> tuple[list[Place], tuple[str, ...]]:
        """What the question points at, in order, and the names among it that are defined here."""
        finder = PlaceFinder(self._reader, self._scope, self._query, self._scanning)
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
        self._steps.tell(told.name, told.detail, (time.perf_counter() - started) * 1000)
        return told.places

    # --- ranking ----------------------------------------------------------------------------------------------------

    def _rank(self, findings: Findings) -> Ranking:
        table = self._index.table
        evidence = evidence_of(findings, table.size, filter(self._scope.holds, self._cited), self._signals.near)
        rarity = {stem: self._index.rarity(self._frequencies.get(stem, 0)) for stem in self._query.stems}
        features = file_features(self._query, evidence, table, rarity, self._folders_of(evidence.ids))
        weights = self._weights(dense=len(findings.dense) > 0)
        likely = chances(self._scores(findings, evidence.ids, features, weights))
        # Of equals the first by its path: files are numbered by their paths.
        order = np.argsort(-likely, kind="stable")
        return Ranking(evidence.ids[order], features[order], likely[order], weights)

    def _folders_of(self, ids: NDArray[np.int64]) -> list[str]:
        """The name of the folder that each of these files lies in, "" for the root. ids: ascending."""
        query = "SELECT path FROM files WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"
        paths = self._reader.connection.execute(query, (json.dumps(ids.tolist()),))
        return [path.rpartition("/")[0].rpartition("/")[2] for (path,) in paths]

    def _signs(self, findings: Findings, ranking: Ranking) -> tuple[float, ...]:
        rarity = {stem: self._index.rarity(self._frequencies.get(stem, 0)) for stem in self._query.stems}
        words = word_signs(self._query, rarity, self._frequencies, findings.cards.values(), ranking.features)
        near, manifest = self._signals.near, self._reader.manifest
        measured = manifest.embedder == MEASURED_WITH
        if near is None or near.embedded < manifest.chunks or not len(findings.dense) or not measured:
            return words
        return (*words, float(findings.dense.scores[0]))

    def _support(self, findings: Findings, ranking: Ranking) -> float | None:
        """None where words can't tell: what is pointed at is there, follow-ups borrow, other languages share no words."""
        query = self._query
        told_otherwise = query.kind not in ("plain", "symbol") or query.is_overview or query.language or query.borrowed_from
        if told_otherwise or self._pinned or findings.lines or not query.stems:
            return None
        return support(self._signs(findings, ranking))

    def _weights(self, dense: bool) -> NDArray[np.float64] | None:
        """What each feature counts; None where it is not by features that files are ranked."""
        if self._query.is_overview:
            return None
        return np.array(self._mixes[mix_name(self._query, dense=dense)])

    def _scores(
        self,
        findings: Findings,
        ids: NDArray[np.int64],
        features: NDArray[np.float64],
        weights: NDArray[np.float64] | None,
    ) -> NDArray[np.float64]:
        """(n,) in logits: higher is likelier."""
        if weights is None:
            return np.array([findings.cards.get(file_id, 0.0) for file_id in ids.tolist()])
        scores: NDArray[np.float64] = features @ weights
        scores[np.isin(ids, [*findings.lines])] += _NAMED_FILE_LIFT / max(1, len(findings.lines))
        scores[np.isin(ids, [*self._cited])] += _CITED_LIFT
        return scores

    # --- passages ---------------------------------------------------------------------------------------------------

    def _picker(self, findings: Findings, further: float) -> PassagePicker:
        is_name, long, for_tests = self._query.kind == "symbol", is_long(self._query), asks_for_tests(self._query)
        return PassagePicker(findings, further, is_name=is_name, is_long=long, for_tests=for_tests)

    def _passages(self, picker: PassagePicker, ranking: Ranking, places: Sequence[Place], limit: int) -> tuple[Passage, ...]:
        """What the question points at, then the best chunks of the likeliest files."""
        likeliest = dict(zip(ranking.ids[:limit].tolist(), ranking.chances[:limit].tolist(), strict=True))
        pointed = list(dict.fromkeys(place.file_id for place in places))
        reader = PassageReader(self._reader)
        spans = reader.spans(list(dict.fromkeys((*likeliest, *pointed[:limit]))))
        ranked = [chunk for file_id, chance in likeliest.items() for chunk in picker.pick(file_id, chance, spans[file_id])]
        ranked.sort(key=lambda chunk: -chunk.score)
        first, marked = place_chunks(places, spans, ranked, picker, self._most_placed(limit))
        held = {chunk.chunk_id for chunk in first}
        chosen = [*first, *(chunk for chunk in ranked if chunk.chunk_id not in held)][:limit]
        return tuple(reader.read(chosen, spans, marked))

    def _most_placed(self, limit: int) -> int:
        """Uses leave a quarter of the places to what ranking finds: they say where, and seldom why."""
        return max(1, limit * 3 // 4) if self._query.kind == "references" else limit

    # --- words --------------------------------------------------------------------------------------------------------

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

    def _strength(self, findings: Findings, ranking: Ranking) -> Strength:
        near = self._signals.near
        rarities = (self._index.rarity(self._frequency(word)) for word in self._query.words if self._occurs(word))
        tests = self._index.table.files["test"]
        return Strength(
            embedder=self._reader.manifest.embedder if near else "",
            bm25=float(findings.lexical.scores[0]) if len(findings.lexical) else 0.0,
            coverage=float(findings.shares.max(initial=0.0)),
            rarities=tuple(rarities),
            definition=max((hit.weight for hit in findings.definitions), default=0.0),
            named_files=len(findings.lines),
            chance=float(ranking.chances[:1].sum()),
            name_in_query=float(ranking.features[:3, _NAME_IN_QUERY].max(initial=0.0)),
            called=called(self._reader.connection, self._query.words, lambda file_id: not tests[file_id]),
            nearest=float(findings.dense.scores[0]) if len(findings.dense) else 0.0,
            language=self._query.language,
            follows=bool(self._query.borrowed_from),
        )

    def _frequency(self, word: str) -> int:
        """In how many chunks the commonest term of a word stands."""
        return max((self._frequencies.get(term, 0) for term in identifier_terms(word)), default=0)

    def _occurs(self, word: str) -> bool:
        terms = identifier_terms(word)
        if is_identifier(word):
            return terms[-1] in self._frequencies
        parts = terms[:-1] if len(terms) > 1 else terms
        return terms[-1] in self._frequencies or all(part in self._frequencies for part in parts)
