import errno
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from indexer import vector_index
from indexer.errors import VectorIndexError
from indexer.vector_index import CpuVectorIndex, GpuVectorIndex, Kind, faiss_problem, kind_for, open_index, write_index

pytestmark = pytest.mark.integration


def unit_vectors(count: int, dimension: int = 16) -> np.ndarray:
    made = np.random.default_rng(1).standard_normal((count, dimension)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def test_an_index_finds_each_vector_under_its_own_id(tmp_path):
    made = unit_vectors(300)
    ids = np.arange(300) * 7 + 5
    assert write_index(tmp_path / "v.faiss", [(ids[:200], made[:200]), (ids[200:], made[200:])], 16) == 300
    index = open_index(tmp_path / "v.faiss")
    found = index.search(made, 3)
    assert index.size == 300
    assert (found.ids[:, 0] == ids).all()
    assert np.allclose(found.scores[:, 0], 1, atol=1e-2)
    assert (np.diff(found.scores, axis=1) <= 0).all()


def test_a_search_for_more_than_there_is_fills_up_with_minus_one(tmp_path):
    made = unit_vectors(2)
    write_index(tmp_path / "v.faiss", [(np.array([4, 9]), made)], 16)
    assert sorted(open_index(tmp_path / "v.faiss").search(made[:1], 4).ids[0]) == [-1, -1, 4, 9]


def test_an_index_that_can_not_be_written_whole_does_not_appear(tmp_path, monkeypatch):
    def full(path: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(vector_index, "sync", full)
    with pytest.raises(OSError, match="No space"):
        write_index(tmp_path / "v.faiss", [(np.arange(2), unit_vectors(2))], 16)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_index_is_told_in_one_sentence(tmp_path):
    (tmp_path / "v.faiss").write_bytes(b"not an index")
    with pytest.raises(VectorIndexError, match="index the repository again"):
        open_index(tmp_path / "v.faiss")


def test_one_faiss_build_is_right_and_none_or_two_are_named(monkeypatch):
    assert faiss_problem("auto") is None
    monkeypatch.setattr(vector_index, "FAISS_BUILDS", ("numpy", "django"))
    assert "overwrite each other" in str(faiss_problem("cpu"))
    monkeypatch.setattr(vector_index, "FAISS_BUILDS", ("no-such-build",))
    assert "isn't installed" in str(faiss_problem("cpu"))


def test_asking_for_a_gpu_without_one_is_a_problem_and_auto_is_not(tmp_path, monkeypatch):
    write_index(tmp_path / "v.faiss", [(np.arange(2), unit_vectors(2))], 16)
    monkeypatch.setattr(vector_index, "_gpus", lambda: 0)
    assert "faiss-cpu is installed" in str(faiss_problem("gpu"))
    with pytest.raises(VectorIndexError, match="SEXTANT_FAISS_DEVICE is gpu"):
        open_index(tmp_path / "v.faiss", "gpu")
    monkeypatch.setattr(vector_index, "FAISS_BUILDS", ("faiss-cpu", "no-such-build"))
    monkeypatch.setattr(vector_index, "_is_installed", lambda build: build == "no-such-build")
    assert "sees no GPU" in str(faiss_problem("gpu"))
    assert open_index(tmp_path / "v.faiss", "auto").size == 2


@pytest.mark.parametrize("kind", [Kind(16), Kind(8, sample=500), Kind(8, nlist=8, nprobe=1, sample=500)])
def test_every_kind_of_index_finds_what_is_near_and_keeps_to_a_range_of_ids(tmp_path, kind):
    made = unit_vectors(500)
    ids = np.arange(500) + 100
    write_index(tmp_path / "v.faiss", [(ids, made)], 16, kind, sample=lambda most: made[:most])
    index = open_index(tmp_path / "v.faiss", "cpu")
    assert (index.search(made[:50], 1).ids[:, 0] == ids[:50]).mean() > 0.95
    within = index.search(made[:1], 10, (400, 404)).ids[0]
    assert sorted(within) == [-1] * 5 + [400, 401, 402, 403, 404]
    exact = 300 + np.argsort(-(made[200:] @ made[7]))[:5]
    assert len(set(index.search(made[7:8], 5, (300, 599)).ids[0]) & set(exact)) >= 4


def test_a_search_for_everything_finds_what_lies_in_cells_that_a_search_for_a_few_leaves_out(tmp_path):
    made = unit_vectors(500)
    kind = Kind(8, nlist=8, nprobe=1, sample=500)
    write_index(tmp_path / "v.faiss", [(np.arange(500), made)], 16, kind, sample=lambda most: made[:most])
    index = open_index(tmp_path / "v.faiss", "cpu")
    found = [set(index.search(made[:1], k).ids[0].tolist()) - {-1} for k in (1, 30, 500)]
    assert len(found[2]) == 500
    exact = set(np.argsort(-(made @ made[0]))[:30].tolist())
    assert len(found[1] & exact) > 20


def test_larger_indexes_are_compressed_further_and_trained_within_bounds():
    assert kind_for(50_000) == Kind(16)
    assert kind_for(50_001) == Kind(8, sample=20_000)
    assert kind_for(200_001) == Kind(8, nlist=2048, nprobe=512, sample=81_920)
    assert kind_for(1_000_000) == Kind(8, nlist=4096, nprobe=1024, sample=163_840)
    largest = kind_for(10**8)
    assert largest.nlist == 8192
    assert largest.sample * 384 * 4 < 320_000_000


@pytest.mark.parametrize("kind", [Kind(16), Kind(8, sample=500), Kind(8, nlist=8, nprobe=1, sample=500)])
def test_what_goes_to_a_gpu_is_every_vector_in_the_order_of_its_ids(tmp_path, monkeypatch, kind):
    import faiss

    made = unit_vectors(500)
    write_index(tmp_path / "v.faiss", [(np.arange(500) * 3, made)], 16, kind, sample=lambda most: made[:most])
    cloned = []

    def clone(resources: object, device: int, flat: object, options: Any) -> object:
        cloned.append((device, options.useFloat16))
        return flat

    monkeypatch.setattr(vector_index, "_gpus", lambda: 1)
    monkeypatch.setattr(vector_index, "_RECONSTRUCTED_TOGETHER", 64)
    monkeypatch.setattr(faiss, "index_cpu_to_gpu", clone, raising=False)
    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    monkeypatch.setattr(faiss, "GpuMultipleClonerOptions", SimpleNamespace, raising=False)
    index = open_index(tmp_path / "v.faiss")
    assert cloned == [(0, True)]
    assert (index.search(made, 1).ids[:, 0] == np.arange(500) * 3).mean() > 0.95
    assert set(index.search(made[:1], 2, (30, 35)).ids[0]) == {30, 33}
    index.close()


class SlowIndex:
    """A FAISS index on the CPU that stands where a GPU's would: notes who searches and how much, and waits when told to."""

    def __init__(self, vectors: np.ndarray) -> None:
        import faiss

        self._index = faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(vectors)
        self.threads: set[int] = set()
        self.batches: list[int] = []
        self.started = threading.Event()
        self.go_on = threading.Event()
        self.failure: Exception | None = None

    def search(self, queries: np.ndarray, k: int) -> Any:
        self.threads.add(threading.get_ident())
        self.batches.append(len(queries))
        self.started.set()
        self.go_on.wait(10)
        if self.failure:
            raise self.failure
        return self._index.search(queries, k)


def test_queries_that_wait_for_the_gpu_are_searched_in_one_batch_by_one_thread():
    made = unit_vectors(50)
    slow = SlowIndex(made)
    index = GpuVectorIndex(slow, np.arange(50) + 1000, CpuVectorIndex(slow._index))
    with ThreadPoolExecutor(9) as people:
        first = people.submit(index.search, made[:1], 5)
        assert slow.started.wait(10)
        others = [people.submit(index.search, made[n : n + 1], 1 + n) for n in range(1, 9)]
        while index._waiting.qsize() < 8:
            pass
        slow.go_on.set()
        answers = [first.result(10), *(other.result(10) for other in others)]
    assert slow.batches == [1, 8]
    assert len(slow.threads) == 1
    assert [answer.ids[0, 0] for answer in answers] == list(range(1000, 1009))
    assert [answer.ids.shape[1] for answer in answers] == [5, 2, 3, 4, 5, 6, 7, 8, 9]
    index.close()


def test_a_gpu_failure_reaches_those_who_wait_and_the_next_search_works():
    made = unit_vectors(5)
    slow = SlowIndex(made)
    slow.go_on.set()
    slow.failure = RuntimeError("CUDA error 2 out of memory")
    index = GpuVectorIndex(slow, np.arange(5), CpuVectorIndex(slow._index))
    with pytest.raises(VectorIndexError, match="out of memory"):
        index.search(made[:1], 1)
    slow.failure = None
    assert index.search(made[3:4], 9).ids[0].tolist()[0] == 3
    assert index.search(made[3:4], 9).ids[0].tolist()[-1] == -1
    index.close()
