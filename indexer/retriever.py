"""Retriever.search(): the assistant's way into a snapshot.

    question ─ analyse ─┬─ lexical   chunks and file cards by BM25     ┐
                        ├─ symbol    definitions of the names in it     ├─ candidate files ─ features ─ chances ─ passages
                        ├─ dense     nearest vectors, where there are   ┘
                        └─ paths     files that it names

`indexer.search` tells that story. Here is what searches share: the open snapshots, their vector indexes, and the embedders.
Everything else that a search needs it looks up in the snapshot's SQLite file, so opening one costs nothing. The embedder and
FAISS are imported by the first search that uses vectors; a snapshot that has only some of them yet is searched with these.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.callers import with_callers
from indexer.dense import IdRange, Near, SnapshotVectors
from indexer.embedded_texts import shortened
from indexer.lookup import Lookup
from indexer.passages import FURTHER_PASSAGE_SHARE, FURTHER_PASSAGE_SHARE_LISTED
from indexer.query import analyse, with_pins
from indexer.reranker import Mixes, shipped_mixes
from indexer.search import Search
from indexer.snapshot import SnapshotReader
from indexer.snapshot_locks import in_use
from indexer.support import baseline, foreign_questions, support
from indexer.turns import Turns
from indexer.types import Cited, Filters, SearchResult

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from indexer.embedder import Embedder

# Each holds a few file descriptors, and the vectors once they were used.
_OPEN_SNAPSHOTS = 8


@dataclass(slots=True)
class _OpenSnapshot:
    """A snapshot that searches share. It is closed when it has fallen out of the retriever's memory and nobody uses it."""

    reader: SnapshotReader
    vectors: SnapshotVectors
    users: int = 0
    dropped: bool = False
    # By whether they are asked with vectors.
    support_baselines: dict[bool, float] = field(default_factory=dict)

    def close(self) -> None:
        self.vectors.close()
        self.reader.close()


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Files that were ranked, the likeliest first: (n, len(FEATURES)) features, (n,) chances.

    weights: (len(FEATURES),), those of the features, or None where something else ranked.
    """

    paths: tuple[str, ...]
    features: NDArray[np.float64]
    chances: NDArray[np.float64]
    weights: NDArray[np.float64] | None


class Retriever:
    """Searches snapshots; threads may share it, and take turns (`indexer.turns`).

    embedder: makes the query's vector when a snapshot was embedded with it; other snapshots get the embedder that their
    manifest names. device: where FAISS searches, "auto", "cpu" or "gpu". mixes: the reranker's weights, if not the shipped.
    """

    def __init__(self, embedder: Embedder | None = None, *, device: str = "auto", mixes: Mixes | None = None) -> None:
        self._embedders: dict[str, Embedder] = {embedder.name: embedder} if embedder else {}
        self._device = device
        self._mixes = mixes or shipped_mixes()
        self._snapshots: OrderedDict[Path, _OpenSnapshot] = OrderedDict()
        self._lock = threading.Lock()
        self._turns = Turns()
        self._scans = Turns()

    def problem(self) -> str | None:
        """Why vectors can't be searched on this machine, in one sentence, or None. A worker asks when it starts."""
        from indexer.vector_index import faiss_problem

        return faiss_problem(self._device)

    def warm_up(self, embedder: str) -> None:
        """Load an embedder, which takes seconds, before the first question waits for it. Raises EmbedderError."""
        self._embedder(embedder).encode_query("warm up")

    def search(
        self,
        snapshot_dir: Path,
        query: str,
        *,
        limit: int = 10,
        scope: str = "",
        languages: Sequence[str] = (),
        tests: bool = True,
        history: Sequence[str] = (),
        cited: Sequence[Cited] = (),
        vectors: bool = True,
        files_first: bool = False,
        callers: bool = False,
        pins: Sequence[str] = (),
    ) -> SearchResult:
        """The passages of a snapshot that answer `query`, best first; none is a valid answer.

        scope: a folder or file to keep to, relative to the root. languages: names of languages to keep to. tests: whether tests
        count. history: the earlier questions of the conversation, newest last. cited: what the last answer cited, in the order
        of its text. vectors: whether to use the dense signal where the snapshot has it. files_first: list other files before
        further passages of one, as a person reads them. callers: also find who calls what the question names. pins: paths and
        symbols to have among the passages, beside those that the query names by an "@". Raises SnapshotError, FilterError for a
        language of no file here, and PatternError where the query is a regular expression that can't be used.
        """
        further = FURTHER_PASSAGE_SHARE_LISTED if files_first else FURTHER_PASSAGE_SHARE
        with self._open(snapshot_dir) as snapshot, self._turns.turn():
            nearest = partial(self._nearest, snapshot) if vectors and snapshot.vectors.are_there else None
            filters = Filters(scope, tuple(languages), tests)
            search = Search(
                snapshot.reader, with_pins(analyse(query, history), pins), filters, nearest, self._mixes, cited, self._scanning
            )
            result = search.run(limit, further)
            if callers:
                result = with_callers(snapshot.reader, result)
            return replace(result, embedded=snapshot.vectors.embedded) if result.vectors else result

    def candidates(self, snapshot_dir: Path, query: str, *, scope: str = "", vectors: bool = True) -> Candidates:
        """The files that were ranked for a query, best first, with their features: what training and explanations need."""
        with self._open(snapshot_dir) as snapshot, self._turns.turn():
            nearest = partial(self._nearest, snapshot) if vectors and snapshot.vectors.are_there else None
            ranking = Search(snapshot.reader, analyse(query), Filters(scope), nearest, self._mixes).ranked()
            paths = dict(snapshot.reader.connection.execute("SELECT id, path FROM files"))
            names = tuple(paths[file_id] for file_id in ranking.ids.tolist())
            return Candidates(names, ranking.features, ranking.chances, ranking.weights)

    def support_baseline(self, snapshot_dir: Path, *, vectors: bool, most_s: float = 2.0) -> float:
        """How far the border for `SearchResult.support` lies above the common one in this snapshot. vectors: of a search in
        which all chunks had vectors.

        The first time this asks it foreign questions, for at most `most_s` seconds, which then counts for as long as the
        snapshot is remembered here. Raises SnapshotError.
        """
        with self._open(snapshot_dir) as snapshot:
            if vectors not in snapshot.support_baselines:
                supports = [*self._foreign_supports(snapshot, vectors, time.monotonic() + most_s)]
                snapshot.support_baselines[vectors] = baseline(supports, vectors)
            return snapshot.support_baselines[vectors]

    def _foreign_supports(self, snapshot: _OpenSnapshot, vectors: bool, until: float) -> Iterator[float]:
        for question in foreign_questions():
            yield support(self._signs(snapshot, question, vectors))
            if time.monotonic() > until:
                return

    def signs(self, snapshot_dir: Path, query: str, *, vectors: bool = True) -> tuple[float, ...]:
        """What speaks for an answer being here at all (indexer.support): what a benchmark needs."""
        with self._open(snapshot_dir) as snapshot:
            return self._signs(snapshot, query, vectors and snapshot.vectors.are_there)

    def _signs(self, snapshot: _OpenSnapshot, query: str, vectors: bool) -> tuple[float, ...]:
        nearest = partial(self._nearest, snapshot) if vectors else None
        with self._turns.turn():
            return Search(snapshot.reader, analyse(query), Filters(), nearest, self._mixes).signs()

    def embed(self, snapshot_dir: Path, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of the texts' beginnings, made as those of the snapshot's chunks: (len(texts), dimension) float32,
        L2-normalised. Raises SnapshotError or EmbedderError."""
        with self._open(snapshot_dir) as snapshot:
            name = snapshot.reader.manifest.embedder
        return self._embedder(name).encode_documents([shortened(text) for text in texts])

    @contextmanager
    def look_up(self, snapshot_dir: Path) -> Iterator[Lookup]:
        """Whether paths and names are in a snapshot, for the thread that asks. Raises SnapshotError."""
        with self._open(snapshot_dir) as snapshot:
            yield Lookup(snapshot.reader)

    def close(self) -> None:
        """Close the snapshots that no search uses; the others close when their last search ends."""
        with self._lock:
            while self._snapshots:
                self._drop_oldest()

    @contextmanager
    def _open(self, directory: Path) -> Iterator[_OpenSnapshot]:
        with self._lock:
            snapshot = self._snapshots.get(directory)
            if snapshot is None:
                snapshot = self._snapshots[directory] = self._opened(directory)
            self._snapshots.move_to_end(directory)
            snapshot.users += 1
            while len(self._snapshots) > _OPEN_SNAPSHOTS:
                self._drop_oldest()
        try:
            with in_use(directory):
                yield snapshot
        finally:
            with self._lock:
                snapshot.users -= 1
                if snapshot.dropped and not snapshot.users:
                    snapshot.close()

    def _drop_oldest(self) -> None:
        _, snapshot = self._snapshots.popitem(last=False)
        snapshot.dropped = True
        if not snapshot.users:
            snapshot.close()

    def _opened(self, directory: Path) -> _OpenSnapshot:
        reader = SnapshotReader(directory)
        return _OpenSnapshot(reader, SnapshotVectors(reader, self._device))

    def _nearest(self, snapshot: _OpenSnapshot, text: str, count: int, chunks: IdRange | None, files: IdRange | None) -> Near:
        """What is nearest to a text. Raises EmbedderError or VectorIndexError."""
        with self._turns.aside():
            vector = self._embedder(snapshot.reader.manifest.embedder).encode_query(text)
            return snapshot.vectors.search(vector, count, chunks, files)

    @contextmanager
    def _scanning(self) -> Iterator[None]:
        """Look through many files while others search: one such scan at a time."""
        with self._turns.aside(), self._scans.turn():
            yield

    def _embedder(self, name: str) -> Embedder:
        with self._lock:
            if name not in self._embedders:
                from indexer.embedder import make_embedder

                self._embedders[name] = make_embedder(name)
            return self._embedders[name]
