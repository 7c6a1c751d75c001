"""The signals of a search, asked one after the other: words (lexical), names (symbols), paths, meaning (dense).

Each brings up chunks, files or definitions, best first, and leaves a step that says how many. `indexer.evidence` makes of them
what speaks for each file, `indexer.passages` which of a file's chunks are shown.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from indexer.dense import IdRange, Near
from indexer.errors import IndexerError
from indexer.file_uses import files_used_in
from indexer.lexical_index import Hits
from indexer.query import PathHint, Query
from indexer.scope import Scope
from indexer.search_steps import Steps, counted, listed
from indexer.snapshot import SnapshotReader
from indexer.symbols import DefinitionHit, definitions_of, imports_of, likeliest_first
from indexer.tokens import word_stems

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

# (text, count, chunk ids to keep to, file ids to keep to) → what is nearest.
NearestTo = Callable[[str, int, IdRange | None, IdRange | None], Near]

_LEXICAL_CHUNKS = 600
_CARDS = 200
_DENSE_CHUNKS = 100
# The chunks whose uses of other files count, each by the square of its score's share of the best.
_USING_CHUNKS = 20
# A card's stem counts four times, its folders twice.
_CARD_WEIGHTS = (4.0, 2.0, 1.0, 1.0)
_STEM_WEIGHTS = (1.0, 0.0, 0.0, 0.0)
# Terms in more chunks than this share have no say in BM25, and vectors are not asked for them.
_TOO_COMMON = 0.5
# The rarest terms of a long text say what it is about.
_MOST_TERMS = 48
_MOST_NAMED_FILES = 20
# What tells what a repository is: its README first, then the files that the others use most.
_OVERVIEW_FILES = 20


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """What the signals found, each best first. shares: (len(lexical),) the share of the query that each chunk holds; cards,
    stems: BM25 by file id; used: how much the best chunks use what a file defines, by file id; lines: the line that the query
    names in a file that it names, or 0, by file id."""

    lexical: Hits = field(default_factory=Hits.none)
    shares: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    cards: Mapping[int, float] = field(default_factory=dict)
    stems: Mapping[int, float] = field(default_factory=dict)
    used: Mapping[int, float] = field(default_factory=dict)
    definitions: Sequence[DefinitionHit] = ()
    dense: Hits = field(default_factory=Hits.none)
    lines: Mapping[int, int] = field(default_factory=dict)


class Signals:
    """nearest: asks the vectors, or None where there are none or they aren't wanted.

    frequencies: in how many chunks each of the query's terms and stems occurs; those that occur nowhere are missing.
    """

    def __init__(
        self,
        reader: SnapshotReader,
        query: Query,
        scope: Scope,
        nearest: NearestTo | None,
        frequencies: Mapping[str, int],
        steps: Steps,
    ) -> None:
        self._reader, self._query, self._scope, self._steps = reader, query, scope, steps
        self._db, self._index = reader.connection, reader.lexical
        self._nearest, self._frequencies = nearest, frequencies
        self._gist = self._gist_of(query)
        # What the vectors said, once they were asked.
        self.near: Near | None = None

    @property
    def uses_vectors(self) -> bool:
        """Whether there are vectors, and asking them hasn't failed."""
        return self._nearest is not None

    def ask(self) -> Findings:
        findings = Findings() if self._scope.is_empty else self._words()
        return replace(findings, definitions=self._definitions(), lines=self._paths(), dense=self._dense())

    # --- words --------------------------------------------------------------------------------------------------------

    def _words(self) -> Findings:
        with self._steps.timed("Lexical") as tell:
            if self._query.is_overview:
                tell("the README and the files that the others use most")
                return Findings(cards=self._overview())
            terms = self._telling_terms()
            if not terms:
                tell("none of the words occurs")
                return Findings()
            files, allowed = self._scope.files, self._scope.allowed
            lexical = self._index.chunks(terms, _LEXICAL_CHUNKS, files, allowed)
            known = {term: weight for term, weight in self._query.terms.items() if term in self._frequencies}
            cards = self._index.cards(known, _CARD_WEIGHTS, _CARDS, files, allowed)
            stems = self._index.cards(known, _STEM_WEIGHTS, _CARDS, files, allowed)
            everywhere = files is None and allowed is None
            best = lexical[:_USING_CHUNKS] if everywhere else self._index.chunks(terms, _USING_CHUNKS)
            tell(f"{counted(len(lexical), 'chunk')} for {listed(terms)}")
            return Findings(lexical, self._shares(terms, lexical), cards, stems, self._used(best))

    def _telling_terms(self) -> dict[str, float]:
        """The query's terms that occur, without those in most chunks unless there are no others."""
        known = {term: weight for term, weight in self._query.terms.items() if term in self._frequencies}
        rarest = sorted(known, key=lambda term: self._frequencies[term])[:_MOST_TERMS]
        telling = [term for term in rarest if self._frequencies[term] < _TOO_COMMON * self._index.size]
        return {term: known[term] for term in telling or rarest}

    def _shares(self, terms: Iterable[str], lexical: Hits) -> NDArray[np.float64]:
        """The share of the query's terms, by rarity, that each chunk holds."""
        worth = {
            term: weight * self._index.rarity(self._frequencies.get(term, 0)) for term, weight in self._query.terms.items()
        }
        return self._index.shares({term: worth[term] for term in terms}, lexical.chunks) / sum(worth.values())

    def _used(self, best: Hits) -> dict[int, float]:
        """By file id, how much these chunks use what the file defines, the most used first. They are the best of the whole
        repository, whatever the scope: a test outside it tells what it tests."""
        used: dict[int, float] = defaultdict(float)
        votes = ((best.scores / best.scores[:1]) ** 2).tolist()
        table = self._index.table
        by_chunk = files_used_in(self._db, best.chunks.tolist(), table.imports, table.files["folder_number"])
        for found, vote in zip(by_chunk.values(), votes, strict=True):
            for file_id, sureness in found.items():
                if self._scope.holds(file_id):
                    used[file_id] += vote * sureness
        return dict(sorted(used.items(), key=lambda item: (-item[1], item[0])))

    def _overview(self) -> dict[int, float]:
        referred = self._index.table.files["referred"]
        query = "SELECT id, lower(path) LIKE 'readme%' FROM files WHERE id BETWEEN ? AND ?"
        rows = [row for row in self._db.execute(query, self._scope.bounds) if self._scope.holds(row[0])]
        rows.sort(key=lambda row: (-row[1], -referred[row[0]], row[0]))
        return {file_id: 1.0 / place for place, (file_id, _) in enumerate(rows[:_OVERVIEW_FILES], 1)}

    # --- names and paths ----------------------------------------------------------------------------------------------

    def _definitions(self) -> list[DefinitionHit]:
        with self._steps.timed("Symbols") as tell:
            hits = definitions_of(self._db, self._query.names, self._scope.holds)
            passed = self._passed_on()
            if hits or passed:
                names = dict.fromkeys(hit.name for hit in (*hits, *passed))
                also = f", passed on by {counted(len(passed), 'file')}" if passed else ""
                tell(f"{counted(len(hits), 'definition')} of {listed(names)}{also}")
        return likeliest_first((*hits, *passed))

    def _passed_on(self) -> list[DefinitionHit]:
        hits = [hit for hit in imports_of(self._db, self._query.names) if self._scope.holds(hit.file_id)]
        if not hits:
            return []
        passing = self._index.table.passed_on.rows(np.array([hit.file_id for hit in hits]))
        return [hits[place] for place in dict.fromkeys(passing.places.tolist())]

    def _paths(self) -> dict[int, int]:
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

    # --- meaning ------------------------------------------------------------------------------------------------------

    def _dense(self) -> Hits:
        if self._nearest is None or self._scope.is_empty or self._query.is_overview or not self._gist.strip():
            return Hits.none()
        with self._steps.timed("Dense") as tell:
            try:
                hits, near = self._nearest_in_scope(self._nearest)
            except IndexerError as error:
                logger.warning("%s: searched without vectors: %s", self._reader.directory.name, error)
                self._nearest = None
                tell(f"left out: {error}")
                return Hits.none()
            self.near = near
            embedded, chunks = near.embedded, self._reader.manifest.chunks
            so_far = f"; {embedded:,} of {counted(chunks, 'chunk')} have a vector so far" if embedded < chunks else ""
            tell(f"{counted(len(hits), 'near chunk')}{so_far}")
        return hits

    def _nearest_in_scope(self, nearest: NearestTo) -> tuple[Hits, Near]:
        """As many as without a scope, where it holds so many (a filter must not lose what it allows), and the last answer of
        the vectors. These keep to the scope's range of ids; what is allowed within it is picked from more and more."""
        chunks, files = self._scope.chunks(self._db), self._scope.files
        wanted = _DENSE_CHUNKS
        while True:
            near = nearest(self._gist, wanted, chunks, files)
            hits = self._dense_hits(near)
            if len(hits) == _DENSE_CHUNKS or max(len(near.chunks), len(near.files)) < wanted or wanted >= self._index.size:
                return hits, near
            wanted = min(wanted * 8, self._index.size)

    def _gist_of(self, query: Query) -> str:
        """What vectors are asked for: the question without words that most chunks hold, such as the project's own name, unless
        it says no others."""
        common = {stem for stem in query.stems if self._frequencies.get(stem, 0) >= _TOO_COMMON * self._index.size}
        if not common or len(common) == len(query.stems):
            return query.gist
        return " ".join(word for word in query.gist.split() if not (stems := word_stems(word)) or not common.issuperset(stems))

    def _dense_hits(self, near: Near) -> Hits:
        """The near chunks in the scope, and for a file that is only known by its card its first chunk."""
        hits = Hits(near.chunks.ids, self._index.file_of(near.chunks.ids), near.chunks.cosines)
        hits = hits.only(self._scope.mask(hits.files))
        files = near.files.ids
        others = self._scope.mask(files) & ~np.isin(files, hits.files)
        firsts = self._index.first_chunks(files)
        others &= firsts > 0
        if others.any():
            chunks = np.concatenate([hits.chunks, firsts[others]])
            scores = np.concatenate([hits.scores, near.files.cosines[others]])
            order = np.lexsort((chunks, -scores))
            hits = Hits(chunks[order], np.concatenate([hits.files, files[others]])[order], scores[order])
        return hits[:_DENSE_CHUNKS]
