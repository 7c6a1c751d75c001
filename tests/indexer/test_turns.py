"""Turns: how many threads run at a time, in which order, and that none is lost; and that searches take them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from indexer import pattern
from indexer.reranker import shipped_mixes
from indexer.retriever import Retriever
from indexer.turns import Turns

from .builds import Bench

THREADS = 8


class Watched:
    """Counts the threads that are in a block."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.now -= 1


def started(target: object, turns: Turns, waiting: int) -> threading.Thread:
    """A thread that waits for its turn, behind `waiting` - 1 others."""
    thread = threading.Thread(target=target)  # type: ignore[arg-type]
    thread.start()
    while len(turns._waiting) < waiting:
        pass
    return thread


@pytest.mark.parametrize("most", [1, 2])
def test_no_more_threads_than_that_have_their_turn_at_a_time(most):
    turns, watched = Turns(most), Watched()

    def work(_: int) -> None:
        with turns.turn():
            for _ in range(20):
                with watched:
                    threading.Event().wait(0.0001)
                with turns.aside():
                    threading.Event().wait(0.0001)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))
    assert watched.most == most


def test_who_came_first_is_served_first():
    turns, order = Turns(), []

    def work(number: int) -> None:
        with turns.turn():
            order.append(number)

    with turns.turn():
        threads = [started(lambda n=n: work(n), turns, n + 1) for n in range(THREADS)]
    for thread in threads:
        thread.join()
    assert order == list(range(THREADS))


def test_who_was_aside_comes_before_who_has_not_begun():
    turns, order, back = Turns(), [], threading.Event()

    def begun() -> None:
        with turns.turn():
            with turns.aside():
                back.wait()
            order.append("begun")

    thread = threading.Thread(target=begun)
    thread.start()
    while not turns._free:
        pass
    with turns.turn():
        late = started(lambda: _append(turns, order, "late"), turns, 1)
        back.set()
        while len(turns._waiting) < 2:
            pass
    thread.join()
    late.join()
    assert order == ["begun", "late"]


def _append(turns: Turns, order: list[str], name: str) -> None:
    with turns.turn():
        order.append(name)


def test_others_have_their_turn_while_one_is_aside():
    turns, came = Turns(), threading.Event()

    def other() -> None:
        with turns.turn():
            came.set()

    with turns.turn():
        thread = threading.Thread(target=other)
        thread.start()
        assert not came.wait(0.01)
        with turns.aside():
            assert came.wait(10)
    thread.join()


def test_an_error_ends_a_turn():
    turns = Turns()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), turns.turn(), turns.aside():
            raise ZeroDivisionError
    with turns.turn():
        pass


class WatchedMixes(dict[str, Sequence[float]]):
    """The shipped mixes, which take their time and note how many searches look at them at once."""

    def __init__(self) -> None:
        super().__init__(shipped_mixes())
        self.watched = Watched()

    def __getitem__(self, name: str) -> Sequence[float]:
        with self.watched:
            threading.Event().wait(0.001)
            return super().__getitem__(name)


def test_searches_of_one_retriever_are_ranked_one_after_the_other(tmp_path):
    snapshot, mixes = Bench(tmp_path).build_without_vectors(), WatchedMixes()
    retriever = Retriever(mixes=mixes)
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(lambda _: retriever.search(snapshot, "withdraw money"), range(3 * THREADS)))
    retriever.close()
    assert mixes.watched.most == 1
    assert len({result.passages for result in found}) == 1


def test_others_search_while_a_pattern_is_looked_for_and_one_pattern_is_looked_for_at_a_time(tmp_path, monkeypatch):
    snapshot, retriever = Bench(tmp_path).build_without_vectors(), Retriever()
    watched, scanning, others_searched = Watched(), threading.Event(), threading.Event()
    real = pattern.matches

    def matches(*values: object) -> object:
        with watched:
            scanning.set()
            assert others_searched.wait(30)
            return real(*values)  # type: ignore[arg-type]

    monkeypatch.setattr(pattern, "matches", matches)
    with ThreadPoolExecutor(THREADS) as pool:
        scans = [pool.submit(retriever.search, snapshot, "/with.raw/") for _ in range(3)]
        assert scanning.wait(30)
        found = [pool.submit(retriever.search, snapshot, "withdraw money") for _ in range(3)]
        assert all(each.result(30).passages for each in found)
        others_searched.set()
        assert all(each.result(30).passages for each in scans)
    retriever.close()
    assert watched.most == 1
