"""Simple ways to search the same chunks, for comparison: by words alone, and by vectors alone."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from indexer.benchmark import PASSAGES, Answered, Found, ScopeName
from indexer.embedder import Embedder, make_embedder
from indexer.evaluation import BenchmarkRepository, Outcome, Question, judge
from indexer.lexical_index import ChunkHit
from indexer.query import analyse
from indexer.scope import Scope
from indexer.snapshot import SnapshotReader
from indexer.types import Filters

BY_CHUNK, BY_FILE, DENSE = "plain BM25", "BM25, sum of three", "dense alone"

# What they are called by on a command line.
BUILT_IN = {"bm25": BY_CHUNK, "bm25-files": BY_FILE, "dense": DENSE}

# Enough for thirty files where one has many chunks.
_CHUNKS = 300

# (question, files in scope) → chunks, best first.
_Rank = Callable[[str, tuple[int, int] | None], Sequence[ChunkHit]]


def by_words(repository: BenchmarkRepository, snapshot: Path, scope: ScopeName) -> dict[str, list[Answered]]:
    """Each question by BM25 (k1 1.2, b 0.75): BY_CHUNK ranks chunks, BY_FILE files by the sum of their three best chunks."""
    with SnapshotReader(snapshot) as reader:
        index = reader.lexical

        def chunks(text: str, files: tuple[int, int] | None) -> Sequence[ChunkHit]:
            return index.chunks(analyse(text).terms, PASSAGES, files)

        def files_by_chunks(text: str, files: tuple[int, int] | None) -> Sequence[ChunkHit]:
            return _best_of_each_file(index.chunks(analyse(text).terms, _CHUNKS, files))

        return {
            name: _answers(repository, reader, scope, rank) for name, rank in ((BY_CHUNK, chunks), (BY_FILE, files_by_chunks))
        }


def by_vectors(
    repository: BenchmarkRepository, snapshot: Path, scope: ScopeName, embedder: Embedder | None = None
) -> dict[str, list[Answered]]:
    """Each question by the cosine of its chunks' vectors. embedder: of the questions, if not the one that the snapshot names.

    Raises EmbedderError or VectorIndexError.
    """
    from indexer.vector_index import open_index

    with SnapshotReader(snapshot) as reader:
        asked = embedder or make_embedder(reader.manifest.embedder)
        index = open_index(reader.vectors, "cpu")
        file_of = dict(reader.connection.execute("SELECT id, file_id FROM chunks"))

        def nearest(text: str, files: tuple[int, int] | None) -> Sequence[ChunkHit]:
            low, high = files or (0, max(file_of.values(), default=0))
            found = index.search(asked.encode_query(text).reshape(1, -1), PASSAGES if files is None else len(file_of))
            pairs = zip(found.ids[0].tolist(), found.scores[0].tolist(), strict=True)
            hits = [ChunkHit(chunk, file_of[chunk], score) for chunk, score in pairs if chunk >= 0]
            return [hit for hit in hits if low <= hit.file_id <= high][:PASSAGES]

        try:
            return {DENSE: _answers(repository, reader, scope, nearest)}
        finally:
            index.close()


def _best_of_each_file(hits: Sequence[ChunkHit]) -> list[ChunkHit]:
    """The best chunk of each file, files by the sum of their three best."""
    by_file: dict[int, list[ChunkHit]] = defaultdict(list)
    for hit in hits:
        by_file[hit.file_id].append(hit)
    return [each[0] for each in sorted(by_file.values(), key=lambda some: -sum(hit.score for hit in some[:3]))][:PASSAGES]


def _answers(repository: BenchmarkRepository, reader: SnapshotReader, scope: ScopeName, rank: _Rank) -> list[Answered]:
    files = Scope.of(reader.connection, Filters(repository.root if scope == "root" else "")).files
    return [_answer(question, reader, files, rank) for question in repository.questions]


def _answer(question: Question, reader: SnapshotReader, files: tuple[int, int] | None, rank: _Rank) -> Answered:
    started = time.perf_counter()
    place = "SELECT path, start_line, end_line FROM chunks JOIN files ON files.id = file_id WHERE chunks.id = ?"
    hits = rank(question.text, files)
    found = tuple(Found(*reader.connection.execute(place, (hit.chunk_id,)).fetchone()) for hit in hits)
    return Answered(Outcome(question, judge(question, found), (time.perf_counter() - started) * 1000), found)
