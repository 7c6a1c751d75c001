"""What retrieval benchmarks compute: recall of vector indexes, vectors of whole chunks, long questions of unseen places."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import embedded_search, unseen_long_questions, vector_index
from benchmarks.unseen_long_questions import UNSEEN, UNSEEN_VECTORS, Place
from indexer.baselines import BY_CHUNK, BY_FILE, DENSE
from indexer.benchmark import index_source
from indexer.embedder import HashingEmbedder
from indexer.embedding_cache import EmbeddingCache
from indexer.evaluation import read_dataset
from indexer.reranker import shipped_mixes
from indexer.retriever import Retriever
from indexer.snapshot import SnapshotReader
from indexer.vector_index import EXACT, Kind, open_index

from .builds import SMALL, write_files

pytestmark = pytest.mark.integration


def unit_vectors(count: int, dimension: int = 16, seed: int = 1) -> np.ndarray:
    made = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    return vector_index.normalised(made)


def test_the_exact_result_is_every_vector_by_its_similarity():
    vectors, queries = unit_vectors(300), unit_vectors(40, seed=2)
    assert (vector_index.nearest(vectors, queries) == np.argsort(-(queries @ vectors.T), axis=1)[:, :100]).all()


def test_recall_is_the_share_of_the_exact_result_that_was_found():
    exact = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])
    assert vector_index.recall(np.array([[4, 3, 2, 1], [5, 6, 0, -1]]), exact) == 0.75


def test_every_kind_is_measured_and_looking_at_all_cells_finds_nearly_everything():
    vectors, queries = unit_vectors(2500), unit_vectors(20, seed=2)
    few, all_cells = Kind(8, nlist=8, nprobe=1, sample=500), Kind(8, nlist=8, nprobe=8, sample=500)
    measured = list(vector_index.measure(vectors, queries, [("exact", EXACT), ("few", few), ("all", all_cells)]))
    exact, few_found, all_found = (each.recall100 for each in measured)
    assert exact > 0.99
    assert few_found < 0.9 < all_found
    assert [each.folder100 > 0.95 for each in measured] == [True, True, True]
    assert measured[0].bytes_a_vector > measured[1].bytes_a_vector > 16


def test_more_vectors_than_there_are_lie_near_real_ones():
    real, rng = unit_vectors(200), np.random.default_rng(3)
    made = vector_index.enlarged(real, 700, rng)
    assert made.shape == (700, 16)
    assert (made[:200] == real).all()
    assert np.allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
    spread = vector_index.nearest_distance(real, rng)
    assert np.sqrt(2 - 2 * (made[200:] @ real.T).max(axis=1)).max() < 1.5 * spread
    assert (vector_index.enlarged(real, 50, rng) == real[:50]).all()


@pytest.fixture
def small(tmp_path):
    annotations = [{"query": "how is somebody greeted", "category": "code", "relevant": ["greetings.py"]}]
    files = {
        "repos.json": json.dumps([{"name": "small", "language": "python", "benchmark_root": ""}]),
        "annotations/small.json": json.dumps(annotations),
    }
    dataset = write_files(tmp_path / "dataset", files)
    sources = write_files(tmp_path / "sources" / "small", SMALL).parent
    (repository,) = read_dataset(dataset)
    snapshot = index_source(repository, sources, tmp_path / "index", embedder="hashing", vectors=True, parse_processes=1)
    return dataset, repository, snapshot


def test_a_copy_of_a_snapshot_has_the_vectors_of_its_whole_chunks(small, tmp_path):
    _, _, snapshot = small
    embedder = HashingEmbedder()
    with EmbeddingCache(tmp_path / "whole.sqlite3", "whole") as cache:
        copy = embedded_search.with_whole_chunks(snapshot, tmp_path / "whole", embedder, cache)
        assert embedded_search.with_whole_chunks(snapshot, tmp_path / "whole", embedder, cache) == copy
    assert copy != snapshot
    with SnapshotReader(copy) as reader:
        chunks = [chunk.text for path in ("greetings.py",) for chunk in reader.parsed(path).chunks]
        (row,) = reader.connection.execute(
            "SELECT min(chunks.id) FROM chunks JOIN files ON files.id = file_id WHERE path = 'greetings.py'"
        )
        index = open_index(reader.vectors, "cpu")
    found = index.search(embedder.encode_documents(chunks[:1]), 1)
    index.close()
    assert (int(found.ids[0, 0]), round(float(found.scores[0, 0]), 2)) == (row[0], 1.0)
    retriever = Retriever(embedder)
    assert retriever.search(copy, "how is somebody greeted").vectors
    retriever.close()


@pytest.mark.parametrize("vectors", [False, True])
def test_long_questions_are_searched_with_the_mixes_made_without_their_repository(small, vectors):
    dataset, _, snapshot = small
    asked = []

    def mixes(name: str):
        asked.append(name)
        return shipped_mixes()

    runs = unseen_long_questions.measured(dataset, {"small": Place(snapshot, vectors)}, mixes)
    with_vectors = [DENSE, UNSEEN, UNSEEN_VECTORS] if vectors else [UNSEEN]
    assert list(runs) == [BY_CHUNK, BY_FILE, *with_vectors]
    assert asked == ["small"]
    assert [outcomes[0].measures["recall10"] for outcomes in runs.values()] == [1.0] * len(runs)


def test_repositories_that_are_not_indexed_are_not_asked(small):
    dataset, _, _ = small
    assert unseen_long_questions.measured(dataset, {}, lambda name: shipped_mixes()) == {}
