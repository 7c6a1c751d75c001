import sqlite3
import threading
from pathlib import Path

import numpy as np
import pytest

from indexer.embedded_texts import text_hash
from indexer.embedding_cache import EmbeddingCache

HASHES = [text_hash(str(number)) for number in range(5000)]


def vectors(count: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((count, 8)).astype(np.float32)


def test_vectors_come_back_in_the_order_they_are_asked_for(tmp_path):
    made = vectors(5000)
    with EmbeddingCache(tmp_path / "cache" / "e.sqlite3", "m") as cache:
        cache.put(HASHES, made)
        assert np.allclose(cache.get([HASHES[4999], HASHES[3], HASHES[3]]), made[[4999, 3, 3]], atol=2e-3)
        assert np.allclose(cache.get(HASHES), made, atol=2e-3)


def test_what_has_no_vector_is_missing(tmp_path):
    with EmbeddingCache(tmp_path / "e.sqlite3", "m") as cache:
        cache.put(HASHES[:4500], vectors(4500))
        assert cache.missing(HASHES) == set(HASHES[4500:])
        with pytest.raises(KeyError):
            cache.get(HASHES[4400:4600])


def test_models_do_not_share_vectors(tmp_path):
    with EmbeddingCache(tmp_path / "e.sqlite3", "one") as one, EmbeddingCache(tmp_path / "e.sqlite3", "two") as two:
        one.put(HASHES[:1], vectors(1))
        assert two.missing(HASHES[:1]) == {HASHES[0]}


def test_the_cache_outlives_the_process_that_filled_it(tmp_path):
    with EmbeddingCache(tmp_path / "e.sqlite3", "m") as cache:
        cache.put(HASHES[:2], vectors(2))
    with EmbeddingCache(tmp_path / "e.sqlite3", "m") as cache:
        assert cache.missing(HASHES[:3]) == {HASHES[2]}


def test_a_damaged_cache_is_put_aside_and_a_new_one_begun(tmp_path, caplog):
    path = tmp_path / "e.sqlite3"
    path.write_bytes(b"this is no database, whatever its name says" * 100)
    with EmbeddingCache(path, "m") as cache:
        assert cache.missing(HASHES[:1]) == {HASHES[0]}
    assert path.with_name("e.sqlite3.damaged").read_bytes().startswith(b"this is no database")
    assert "put aside" in caplog.text


def test_builds_that_fill_the_cache_at_once_wait_for_each_other(tmp_path):
    failures: list[sqlite3.Error] = []

    def fill(some: list[str]) -> None:
        try:
            with EmbeddingCache(tmp_path / "e.sqlite3", "m") as cache:
                for start in range(0, len(some), 50):
                    cache.put(some[start : start + 50], vectors(50))
        except sqlite3.Error as error:
            failures.append(error)

    threads = [threading.Thread(target=fill, args=(HASHES[start : start + 2000],)) for start in (0, 1000, 2000, 3000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with EmbeddingCache(tmp_path / "e.sqlite3", "m") as cache:
        assert cache.missing(HASHES) == set()


def test_builds_that_begin_the_cache_at_once_all_get_it(tmp_path):
    failures: list[sqlite3.Error] = []
    together = threading.Barrier(4)

    def begin(path: Path) -> None:
        together.wait()
        try:
            EmbeddingCache(path, "m").close()
        except sqlite3.Error as error:
            failures.append(error)

    for attempt in range(100):  # without a lock, one in ten fails
        threads = [threading.Thread(target=begin, args=(tmp_path / str(attempt) / "e.sqlite3",)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []


def test_builds_that_find_the_cache_damaged_at_once_begin_one_new_one(tmp_path):
    path = tmp_path / "e.sqlite3"
    path.write_bytes(b"this is no database at all" * 100)
    together = threading.Barrier(4)

    def fill(some: list[str]) -> None:
        together.wait()
        with EmbeddingCache(path, "m") as cache:
            cache.put(some, vectors(len(some)))

    threads = [threading.Thread(target=fill, args=(HASHES[start : start + 50],)) for start in (0, 50, 100, 150)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with EmbeddingCache(path, "m") as cache:
        assert cache.missing(HASHES[:200]) == set()
    assert path.with_name("e.sqlite3.damaged").read_bytes().startswith(b"this is no database")
