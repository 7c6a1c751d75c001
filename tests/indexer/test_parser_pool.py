"""Parsing processes that hang, die or can't start. What is slow here is slow by nature: brackets that never close."""

import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from multiprocessing import connection
from pathlib import Path

import pytest

from indexer import languages, parser_pool, parser_process
from indexer.errors import IndexerError
from indexer.parser_pool import BATCH_FILES, LARGE_BYTES, LOOK_AHEAD_FILES, TOGETHER, ParserPool
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
                pid = worker.pid
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


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the deadline is one by the clock")
def test_a_process_that_gets_no_cpu_time_is_waited_for():
    with ParserPool(1, deadline_s=0.3) as pool:
        list(pool.parse_many([GOOD]))
        (worker,) = pool._workers
        os.kill(worker.pid, signal.SIGSTOP)
        threading.Timer(1.0, os.kill, (worker.pid, signal.SIGCONT)).start()
        assert is_good(next(pool.parse_many([GOOD])))
        assert pool._workers == [worker]


def test_a_process_that_hangs_without_using_cpu_time_is_ended_too(monkeypatch):
    monkeypatch.setattr(parser_pool, "PATIENCE", 2)
    with ParserPool(1, deadline_s=0.3) as pool:
        list(pool.parse_many([GOOD]))
        (worker,) = pool._workers
        os.kill(worker.pid, signal.SIGSTOP)
        (cut,) = pool.parse_many([GOOD])
    assert cut.note == "the parser took longer than 0.3 s"


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
    os.kill(worker.pid, signal.SIGKILL)
    assert connection.wait([worker.results], 10)  # it is gone
    assert [is_good(result) for result in pool.parse_many([GOOD, GOOD])] == [True, True]


def test_leaving_ends_all_processes_whatever_they_do():
    with ParserPool(1, deadline_s=60.0) as pool:
        list(pool.parse_many([GOOD]))
        results = pool.parse_many([GOOD, SLOW])
        assert is_good(next(results))
        (process,) = [worker.pid for worker in pool._workers]
        started = time.monotonic()
    assert time.monotonic() - started < 60  # nobody waited for its deadline
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def _mark(begun: Path, path: str, parsed: ParsedFile) -> ParsedFile:
    begun.touch()
    return parsed


def test_files_are_parsed_while_the_next_ones_are_still_being_read(pool, tmp_path):
    begun = tmp_path / "begun"
    parsed_meanwhile = False

    def files() -> Iterator[tuple[str, bytes]]:
        nonlocal parsed_meanwhile
        yield from ((f"{n}.txt", b"some text\n") for n in range(TOGETHER + 1))
        for _ in range(3000):
            if parsed_meanwhile := begun.exists():
                break
            time.sleep(0.01)
        yield GOOD

    assert is_good(list(pool.map(files(), partial(_mark, begun)))[-1])
    assert parsed_meanwhile


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


_finished: list[str] = []


def _place_in_its_process(path: str, parsed: ParsedFile) -> int:
    """How many files its process had parsed before it."""
    _finished.append(path)
    return len(_finished) - 1


def test_a_large_file_is_parsed_before_the_small_ones_so_that_no_process_waits_for_it_in_the_end():
    small = [(f"{n}.txt", b"small\n") for n in range(20)]
    with ParserPool(1) as pool:
        places = list(pool.map([*small, ("large.txt", b"large\n" * LARGE_BYTES)], _place_in_its_process))
    assert places == [*range(1, 21), 0]


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


@pytest.fixture
def no_template():
    parser_process.end_template()
    yield
    parser_process.end_template()


@pytest.mark.usefixtures("no_template")
def test_processes_that_do_not_start_are_one_sentence(monkeypatch):
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with ParserPool(1) as pool, pytest.raises(IndexerError, match="No parsing process can be started; the log says why"):
        list(pool.parse_many([GOOD]))


@pytest.mark.usefixtures("no_template")
def test_processes_that_start_too_slowly_are_one_sentence(monkeypatch):
    monkeypatch.setattr(parser_pool, "START_S", 0.0)
    monkeypatch.setattr(parser_pool, "MAX_STILLBORN", 1)  # the second one is forked at once, from a template that is ready
    with ParserPool(1) as pool, pytest.raises(IndexerError, match="No parsing process can be started; the log says why"):
        list(pool.parse_many([GOOD]))


def test_a_template_that_was_killed_is_replaced():
    with ParserPool(1) as pool:
        list(pool.parse_many([GOOD]))
    first = parser_process._shared.get().process
    first.kill()
    with ParserPool(1) as pool:
        assert is_good(next(pool.parse_many([GOOD])))
    assert parser_process._shared.get().process.pid != first.pid


def test_a_template_that_is_killed_while_a_file_is_parsed_costs_no_file():
    with ParserPool(1, deadline_s=2.0) as pool:
        results = pool.parse_many([GOOD, SLOW, GOOD])
        assert is_good(next(results))
        parser_process._shared.get().process.kill()
        slow, last = results
    assert slow.note == "the parser took longer than 2 s"
    assert is_good(last)


def test_two_pools_at_once_share_a_template_and_end_only_their_own_processes():
    with ParserPool(1) as one, ParserPool(1) as other:
        first = one.parse_many([GOOD, GOOD])
        assert is_good(next(first))
        assert [is_good(result) for result in other.parse_many([GOOD])] == [True]
        other.close()
        assert [is_good(result) for result in first] == [True]


@pytest.mark.usefixtures("no_template")
def test_a_query_that_was_prepared_is_not_compiled_by_a_process():
    with ParserPool(1) as pool:
        parser_process.prepare(["python"])
        assert list(pool.map([GOOD, ("good.go", b"package good\n")], queries_compiled)) == [1, 2]


@pytest.mark.usefixtures("no_template")
def test_the_queries_of_the_languages_in_a_folder_are_prepared_before_its_files_are_read(tmp_path):
    for name in ("a.py", "src/b.go", "node_modules/c.rb", ".tox/d.rs"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    with ParserPool(1) as pool:
        parser_process.prepare(folder=str(tmp_path))
        files = [GOOD, ("good.go", b"package good\n"), ("good.rb", b"1\n")]
        assert list(pool.map(files, queries_compiled)) == [2, 2, 3]


def queries_compiled(path: str, parsed: ParsedFile) -> int:
    """In a parsing process: how many queries it or its template has compiled."""
    return languages.query.cache_info().misses
