"""Parsing processes that hang, die or can't start. What is slow here is slow by nature: brackets that never close."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from indexer import parser
from indexer.errors import IndexerError
from indexer.parser import BATCH_FILES, LOOK_AHEAD_FILES, ParserPool
from indexer.types import ParsedFile, Skipped

pytestmark = pytest.mark.integration

GOOD = ("good.py", b"def good():\n    pass\n")
# Go's grammar looks for a way out of this for minutes.
SLOW = ("slow.go", b"package a\nvar x = " + b"(((((((((((((((((((\n" * 10_000)


@pytest.fixture
def pool():
    with ParserPool(1, deadline_s=2.0) as pool:
        list(pool.parse_many([GOOD]))  # its process has started
        yield pool


def is_good(result: ParsedFile | Skipped) -> bool:
    return isinstance(result, ParsedFile) and [definition.name for definition in result.definitions] == ["good"]


def kill_while(pool: ParserPool, times: int) -> threading.Thread:
    """A thread that kills the pool's process with SIGKILL, so many times, each while it is at work on a file."""

    def kill() -> None:
        killed: set[int] = set()
        while len(killed) < times:
            for worker in list(pool._workers):
                pid = worker.process.pid
                if pid and worker.ready and worker.tasks and pid not in killed:
                    time.sleep(0.05)
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)
            time.sleep(0.01)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    return thread


def test_results_come_in_the_order_of_the_files_from_all_processes():
    files = [(f"f{n}.py", f"def f{n}(): pass\n".encode() + b"\n" * (n % 7) * 1000) for n in range(150)]
    files[70] = ("empty.py", b"")
    with ParserPool(2) as pool:
        results = list(pool.parse_many(files))
        assert 1 <= len(pool._workers) <= 2
    assert results[70] == Skipped("empty.py", "empty")
    names = [result.definitions[0].name for result in results if isinstance(result, ParsedFile)]
    assert names == [f"f{n}" for n in range(150) if n != 70]


def test_a_file_that_takes_too_long_is_cut_by_lines_and_the_others_are_none_the_wiser(pool):
    first, slow, last = pool.parse_many([GOOD, SLOW, GOOD])
    assert (is_good(first), is_good(last)) == (True, True)
    assert slow.note == "the parser took longer than 2 s"
    assert slow.text.encode() == SLOW[1]
    assert {chunk.kind for chunk in slow.chunks} == {"lines"}


def test_a_process_that_is_killed_from_outside_costs_no_file():
    with ParserPool(1, deadline_s=2.0) as pool:
        list(pool.parse_many([GOOD]))
        killer = kill_while(pool, 1)
        slow, last = pool.parse_many([SLOW, GOOD])
        killer.join(10)
    assert slow.note == "the parser took longer than 2 s"  # it was tried again
    assert is_good(last)


def test_a_file_whose_process_dies_twice_is_cut_by_lines():
    with ParserPool(1, deadline_s=30.0) as pool:
        list(pool.parse_many([GOOD]))
        killer = kill_while(pool, 2)
        before, slow, after = pool.parse_many([GOOD, SLOW, GOOD])
        killer.join(10)
    assert slow.note == "the parser crashed"
    assert (is_good(before), is_good(after)) == (True, True)


def test_a_process_that_died_while_it_had_nothing_to_do_is_replaced(pool):
    (worker,) = pool._workers
    os.kill(worker.process.pid, signal.SIGKILL)
    worker.process.wait()
    assert [is_good(result) for result in pool.parse_many([GOOD, GOOD])] == [True, True]


def test_leaving_ends_all_processes_whatever_they_do():
    with ParserPool(1, deadline_s=60.0) as pool:
        list(pool.parse_many([GOOD]))
        results = pool.parse_many([GOOD, SLOW])
        assert is_good(next(results))
        processes = [worker.process for worker in pool._workers]
        started = time.monotonic()
    assert time.monotonic() - started < 5
    assert None not in [process.poll() for process in processes]


def test_whoever_stops_half_way_can_parse_again(pool):
    results = pool.parse_many([GOOD, SLOW, GOOD])
    assert is_good(next(results))
    results.close()
    assert [is_good(result) for result in pool.parse_many([GOOD])] == [True]


def test_a_large_file_passes_the_pipe_in_both_directions():
    text = "".join(f"def f{n}(): pass\n" for n in range(20_000))
    with ParserPool(1, deadline_s=60.0) as pool:
        big, last = pool.parse_many([("big.py", text.encode()), GOOD])
    assert (len(big.definitions), is_good(last)) == (20_000, True)


def test_the_input_is_not_read_further_ahead_than_it_has_to_be(pool):
    read = 0

    def files() -> Iterator[tuple[str, bytes]]:
        nonlocal read
        for _ in range(LOOK_AHEAD_FILES * 2):
            read += 1
            yield GOOD

    results = pool.parse_many(files())
    next(results)
    assert BATCH_FILES <= read <= LOOK_AHEAD_FILES + BATCH_FILES
    results.close()


def test_an_error_of_the_input_reaches_the_caller_and_the_pool_survives(pool):
    def files() -> Iterator[tuple[str, bytes]]:
        yield GOOD
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(pool.parse_many(files()))
    assert [is_good(result) for result in pool.parse_many([GOOD])] == [True]


def test_nothing_to_parse_starts_no_process():
    with ParserPool(2) as pool:
        assert list(pool.parse_many([])) == []
        assert pool._workers == []


def test_processes_that_do_not_start_are_one_sentence(monkeypatch):
    monkeypatch.setattr(parser, "START_S", 0.0)
    with ParserPool(1) as pool, pytest.raises(IndexerError, match="No parsing process can be started; the log says why"):
        list(pool.parse_many([GOOD]))
