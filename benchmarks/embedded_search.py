"""What short texts in int8 cost the whole search, beside whole chunks in float32 (benchmarks/embedding.py --dataset).

Of each repository's snapshot a copy gets the vectors of its whole chunks, by `SentenceTransformer.encode` in float32 (cached by
text, since this takes processor hours for large repositories); everything else in it stays. The questions are embedded by the
engine of the documents; files keep their cards. Both are searched with the shipped weights, and with a mix that was fitted to
each of them without the repository that is searched, so that neither is judged by weights made for the other.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.train_reranker import example_of, learn
from indexer import minilm
from indexer.baselines import DENSE, by_vectors
from indexer.benchmark import answer, index_source
from indexer.embedded_texts import text_hash
from indexer.embedder import Embedder, MiniLMEmbedder, SentenceEmbedder
from indexer.embedding_cache import EmbeddingCache
from indexer.evaluation import BenchmarkRepository, Outcome, grouped, mean, paired_difference
from indexer.reranker import FEATURES, shipped_mixes
from indexer.retriever import Retriever
from indexer.snapshot import SnapshotReader
from indexer.vector_index import write_index

if TYPE_CHECKING:
    from numpy.typing import NDArray

WHOLE, SHORT = "whole chunks, float32", "short texts, int8 (Sextant's)"
WHOLE_TOKENS = 256
_TOGETHER = 32


class WholeChunkEmbedder:
    """MiniLM in float32 as anybody would call it, whatever the machine computes best."""

    name = "minilm"
    cache_key = f"minilm-{minilm.SHA256[:8]}-{WHOLE_TOKENS}-whole-float32"
    dimension = minilm.DIMENSION
    portion = _TOGETHER

    def __init__(self) -> None:
        self._model = SentenceEmbedder("minilm").load().float()
        self._model.max_seq_length = WHOLE_TOKENS

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors: NDArray[np.float32] = self._model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return vectors

    def encode_query(self, text: str) -> NDArray[np.float32]:
        vector: NDArray[np.float32] = self.encode_documents([text])[0]
        return vector


@dataclass(frozen=True, slots=True)
class Indexed:
    """A repository, and its snapshot by each variant's name."""

    repository: BenchmarkRepository
    snapshots: Mapping[str, Path]


def compare(repositories: Sequence[BenchmarkRepository], sources: Path, index: Path) -> None:
    """Print what both variants give, the shorter texts' difference question by question, and by repository.

    Whole chunks are cached in `<index>/whole-chunks.sqlite3`.
    """
    embedders: dict[str, Embedder] = {WHOLE: WholeChunkEmbedder(), SHORT: MiniLMEmbedder()}
    indexed = []
    for repository in repositories:
        short = index_source(repository, sources, index, vectors=True)
        with EmbeddingCache(index / "whole-chunks.sqlite3", embedders[WHOLE].cache_key) as cache:
            whole = with_whole_chunks(short, index / "whole-chunks", embedders[WHOLE], cache)
        indexed.append(Indexed(repository, {WHOLE: whole, SHORT: short}))
    print(f"\nwhole search: {sum(len(each.repository.questions) for each in indexed)} questions of {len(indexed)} repositories")
    print_difference("dense signal alone", {name: _alone(name, indexed, embedders[name]) for name in embedders})
    print_difference("shipped weights", {name: _searched(name, indexed, embedders[name], {}) for name in embedders})
    own = {name: _searched(name, indexed, embedders[name], _fitted(name, indexed, embedders[name])) for name in embedders}
    print_difference("a mix of its own, leave one repository out", own)


def with_whole_chunks(snapshot: Path, folder: Path, embedder: Embedder, cache: EmbeddingCache) -> Path:
    """A copy of a snapshot below `folder`, with vectors of its whole chunks."""
    copy = folder / snapshot.parent.name / snapshot.name
    if copy.is_dir():
        return copy
    unfinished = copy.with_name(f".{copy.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(snapshot, unfinished)
    with SnapshotReader(unfinished) as reader:
        texts = dict(_chunk_texts(reader))
        _embed(set(texts.values()), embedder, cache)
        ids = sorted(texts)
        vectors = cache.get([text_hash(texts[chunk_id]) for chunk_id in ids])
        write_index(reader.vectors, [(np.array(ids, dtype=np.int64), vectors)], embedder.dimension)
    unfinished.replace(copy)
    return copy


def _chunk_texts(reader: SnapshotReader) -> Iterator[tuple[int, str]]:
    for file in reader.chunks_of_files():
        for (chunk_id, _), chunk in zip(file.chunks, reader.parsed(file.path).chunks, strict=True):
            yield chunk_id, chunk.text


def _embed(texts: set[str], embedder: Embedder, cache: EmbeddingCache) -> None:
    by_hash = {text_hash(text): text for text in texts}
    missing = sorted(cache.missing(by_hash), key=lambda found: len(by_hash[found]))
    for start in range(0, len(missing), embedder.portion):
        some = missing[start : start + embedder.portion]
        cache.put(some, embedder.encode_documents([by_hash[found] for found in some]))


def _alone(name: str, indexed: Sequence[Indexed], embedder: Embedder) -> list[Outcome]:
    return [
        answered.outcome
        for each in indexed
        for answered in by_vectors(each.repository, each.snapshots[name], "whole", embedder)[DENSE]
    ]


def _searched(
    name: str, indexed: Sequence[Indexed], embedder: Embedder, weights: Mapping[str, NDArray[np.float64]]
) -> list[Outcome]:
    """By the shipped mixes, but for `short_dense` of the repositories that `weights` has one for."""
    outcomes: list[Outcome] = []
    for each in indexed:
        own = weights.get(each.repository.name)
        mixes = {**shipped_mixes(), **({"short_dense": own.tolist()} if own is not None else {})}
        retriever = Retriever(embedder, device="cpu", mixes=mixes)
        found = answer(retriever, each.repository, each.snapshots[name], vectors=True)
        retriever.close()
        outcomes += [answered.outcome for answered in found]
    return outcomes


def _fitted(name: str, indexed: Sequence[Indexed], embedder: Embedder) -> Mapping[str, NDArray[np.float64]]:
    """By repository the mix with vectors that was fitted without it."""
    retriever = Retriever(embedder, device="cpu")
    examples = [
        example_of(question, retriever.candidates(each.snapshots[name], question.text))
        for each in indexed
        for question in each.repository.questions
    ]
    retriever.close()
    learned = learn([example for example in examples if example.paths])
    print(f"  {name}: weight of the dense signal {learned.weights[FEATURES.index('dense')]:.2f}")
    return learned.without


def print_difference(title: str, runs: Mapping[str, list[Outcome]]) -> None:
    difference, (low, high) = paired_difference(runs[SHORT], runs[WHOLE])
    print(f"\n{title}: " + ", ".join(f"{name} {mean(outcomes, 'ndcg10'):.4f}" for name, outcomes in runs.items()))
    print(f"  {SHORT} − {WHOLE}: {difference:+.4f} NDCG@10, between {low:+.4f} and {high:+.4f} (95 %, paired bootstrap)")
    groups: dict[str, dict[str, list[Outcome]]] = defaultdict(dict)
    for name, outcomes in runs.items():
        for repository, some in grouped(outcomes, lambda question: question.repository).items():
            groups[repository][name] = some
    for repository, by_name in groups.items():
        whole, short = (mean(by_name[name], "ndcg10") for name in (WHOLE, SHORT))
        print(f"  {repository:20}{whole:8.4f}{short:8.4f}{short - whole:+9.4f}", flush=True)
