import errno
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from indexer import vector_index
from indexer.errors import VectorIndexError
from indexer.vector_index import GpuVectorIndex, faiss_problem, open_index, write_index

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
    index = GpuVectorIndex(slow, np.arange(50) + 1000)
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
    index = GpuVectorIndex(slow, np.arange(5))
    with pytest.raises(VectorIndexError, match="out of memory"):
        index.search(made[:1], 1)
    slow.failure = None
    assert index.search(made[3:4], 9).ids[0].tolist()[0] == 3
    assert index.search(made[3:4], 9).ids[0].tolist()[-1] == -1
    index.close()
