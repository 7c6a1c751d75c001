"""Parses files in processes that can be killed, with a deadline for each file.

A grammar may hang or crash on odd input, and holds the interpreter lock while it works: so files are parsed in
processes of their own (`parser_process`). A file that outruns its deadline, or that kills its process twice, is cut by lines
instead, with a note that says so; all others are none the wiser. A process that is killed from outside costs one retry.

The deadline is one of CPU time, where the platform tells that of another process: on cores that other programs use too, a
large file may take long by the clock without anything being wrong. By the clock a file may take PATIENCE times as long, which
ends a process that hangs without using any.

Results come in the order of the input. Files travel in batches and results one by one: a result is the sign that the next
file has begun, which is what the deadline counts from. A process gets its next batch only when it has answered for the
last, so neither side can wait for the other's full pipe. Input is read at most LOOK_AHEAD_FILES and LOOK_AHEAD_BYTES
ahead of what was handed out.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import math
import multiprocessing
import os
import select
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Self, TypeVar

from indexer import parser_process
from indexer.errors import IndexerError
from indexer.parser import is_binary, parse
from indexer.parser_process import finished
from indexer.secrets_baseline import Known
from indexer.types import ParsedFile, Skipped

log = logging.getLogger(__name__)

T = TypeVar("T")
Finish = Callable[[str, ParsedFile], T]

MAX_PROCESSES = 8
# No process should still have much before it when the others are done: batches are small, smaller towards the end, and of
# what was read ahead the large files come first.
BATCH_FILES = 16
BATCH_BYTES = 128 * 1024
LEAST_BATCH_BYTES = 8 * 1024
BATCHES_A_PROCESS = 3
LARGE_BYTES = 16 * 1024
FILES_A_PROCESS = 24
LOOK_AHEAD_FILES = 1024
# So many are read, and so many results given, before it is seen to that no process waits for work.
TOGETHER = 32
LOOK_AHEAD_BYTES = 32 * 1024 * 1024
PIPE_BYTES = 1024 * 1024
# How long a process may take to start: an interpreter and its imports, on a machine that is busy with other work.
START_S = 60.0
MAX_STILLBORN = 3
PATIENCE = 10
_NOT_STARTED = "No parsing process can be started; the log says why."


@dataclass(slots=True)
class _Task:
    """One file on its way: `index` is its place in the order, `crashes` how often its process died over it."""

    index: int
    path: str
    data: bytes
    crashes: int = 0


class _Worker:
    """One parsing process, its two pipes, and the tasks that it has not answered for, the one at work first."""

    def __init__(self, redact: bool) -> None:
        self.results, its_results = multiprocessing.Pipe(duplex=False)
        its_batches, self.batches = multiprocessing.Pipe(duplex=False)
        self.tasks: deque[_Task] = deque()
        self.ready = False
        self.heard_at = self.look_at = time.monotonic()
        self._cpu_at = 0.0
        self._sent = select.poll()
        self._sent.register(self.results.fileno(), select.POLLIN)
        _widen(self.results)
        _widen(self.batches)  # or the first batch is waited with until the process has started
        with its_batches, its_results:
            try:
                self.process = parser_process.start(its_batches.fileno(), its_results.fileno(), redact=redact)
            except OSError as error:
                log.warning("the template of the parsing processes can't be started: %s", error)
                raise IndexerError(_NOT_STARTED) from error
        self.pid = 0

    def send(self, tasks: Sequence[_Task], finish: Finish[Any], known: Known) -> None:
        """Give it a batch. Raises OSError when the process is gone; the tasks then still count as unanswered."""
        self.tasks.extend(tasks)
        self.heard()
        self.batches.send((finish, [(task.path, task.data, known.get(task.path, frozenset())) for task in tasks]))

    def has_sent(self) -> bool:
        """Whether it has sent something that was not received yet, or is gone."""
        return bool(self._sent.poll(0))

    def heard(self) -> None:
        """Count time from now on, for the next file."""
        self.heard_at = self.look_at = time.monotonic()
        self._cpu_at = _cpu_seconds(self.pid) or 0.0

    def is_overdue(self, deadline_s: float) -> bool:
        """Whether it is, at `look_at` or later; if it isn't, sets `look_at` to when it may be."""
        now = time.monotonic()
        used = _cpu_seconds(self.pid)
        if used is None or now - self.heard_at >= PATIENCE * deadline_s or used - self._cpu_at >= deadline_s:
            return True
        self.look_at = min(now + deadline_s - (used - self._cpu_at), self.heard_at + PATIENCE * deadline_s)
        return False

    def kill(self) -> int | None:
        """End it and say what it had ended with, if it had; None if that is not known."""
        status = self.process.end()
        self.results.close()
        self.batches.close()
        return status


def _heard_from(workers: Iterable[_Worker], timeout_s: float = 0.0) -> list[_Worker]:
    """Those that have sent something or are gone, as soon as there is one. (multiprocessing.connection.wait takes ten times
    as long for it.)"""
    poll = select.poll()
    by_descriptor = {worker.results.fileno(): worker for worker in workers}
    for descriptor in by_descriptor:
        poll.register(descriptor, select.POLLIN)
    return [by_descriptor[descriptor] for descriptor, _ in poll.poll(math.ceil(1000 * timeout_s))]


def _widen(pipe: Connection) -> None:
    """Room for many results, so that a process goes on while the reader is busy with something else (Linux only)."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with contextlib.suppress(OSError):  # over the user's limit: the pipe keeps the size it has
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def _as_parsed(path: str, parsed: ParsedFile) -> ParsedFile:
    return parsed


class ParserPool:
    """Parses files in `processes` killable processes (0: one for each core this process may use, at most 8).

    redact: take secrets out of the files' texts; `known_false_positives` are none, and may be set before files are given.

    A context manager; leaving it ends the processes. Not thread-safe: one `parse_many` at a time.
    """

    def __init__(self, processes: int = 0, deadline_s: float = 5.0, *, redact: bool = True) -> None:
        self.processes = processes or min(MAX_PROCESSES, _cores())
        self.deadline_s = deadline_s
        self.redact = redact
        self.known_false_positives: Known = {}
        self._workers: list[_Worker] = []
        self._stillborn = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def start(self) -> None:
        """Begin to start one process, so that it is ready when the first files have been read."""
        with contextlib.suppress(IndexerError):  # whoever gives it files is told
            self._idle_worker(1)

    def close(self) -> None:
        """End all processes at once, whatever they are doing."""
        for worker in self._workers:
            worker.kill()
        self._workers.clear()

    def parse_many(self, files: Iterable[tuple[str, bytes]]) -> Iterator[ParsedFile | Skipped]:
        """One result for each (path, data), in the order of the input. Raises IndexerError if no process can be started."""
        yield from self.map(files, _as_parsed)

    def map(self, files: Iterable[tuple[str, bytes]], finish: Finish[T]) -> Iterator[T | Skipped]:
        """As `parse_many`, with what `finish` makes of each file in its process: a function of a module, of (path, parsed)."""
        run = _Run(self, files, finish)
        try:
            yield from run
        finally:
            # Whoever stops half-way leaves processes with work that nobody waits for.
            for worker in [worker for worker in self._workers if worker.tasks]:
                self._discard(worker)

    def _discard(self, worker: _Worker) -> int | None:
        self._workers.remove(worker)
        return worker.kill()

    def _idle_worker(self, wanted: int) -> _Worker | None:
        """A worker without work, started now if there are fewer than `wanted`; None when all are busy."""
        for worker in self._workers:
            if not worker.tasks:
                return worker
        if len(self._workers) >= min(wanted, self.processes):
            return None
        self._workers.append(_Worker(self.redact))
        return self._workers[-1]


class _Run:
    """One pass of `parse_many`: what was read ahead, what is at work, and what is done but not yet due."""

    def __init__(self, pool: ParserPool, files: Iterable[tuple[str, bytes]], finish: Finish[Any]) -> None:
        self.pool = pool
        self.finish = finish
        self.files = enumerate(files)
        self.exhausted = False
        self.waiting: deque[_Task] = deque()
        self.waiting_bytes = 0
        self.done: dict[int, Any] = {}
        self.due = 0
        self.ahead_bytes: dict[int, int] = {}
        self.bytes = 0

    def __iter__(self) -> Iterator[Any]:
        while True:
            more = self._read_ahead()
            self._hand_out()
            for _ in range(TOGETHER):
                if self.due not in self.done:
                    break
                result = self.done.pop(self.due)
                self.bytes -= self.ahead_bytes.pop(self.due)
                self.due += 1
                yield result
            if self.exhausted and not self.ahead_bytes:
                return
            self._collect(wait=not more and self.due not in self.done)

    def _read_ahead(self) -> bool:
        """Read the next few files; returns whether there may be more, and room for them."""
        for _ in range(TOGETHER):
            if self.exhausted or len(self.ahead_bytes) >= LOOK_AHEAD_FILES or self.bytes >= LOOK_AHEAD_BYTES:
                return False
            item = next(self.files, None)
            if item is None:
                self.exhausted = True
                return False
            index, (path, data) = item
            if is_binary(data):  # which no process has to be sent for
                self.done[index] = Skipped(path, "binary")
                self.ahead_bytes[index] = 0
                continue
            self.ahead_bytes[index] = len(data)
            self.bytes += len(data)
            task = _Task(index, path, data)
            if len(data) >= LARGE_BYTES:
                self.waiting.appendleft(task)
            else:
                self.waiting.append(task)
            self.waiting_bytes += len(data)
        return True

    def _hand_out(self) -> None:
        wanted = 1 + len(self.ahead_bytes) // FILES_A_PROCESS  # a handful of files is not worth two processes
        while self.waiting and (worker := self.pool._idle_worker(wanted)):
            try:
                worker.send(self._batch(), self.finish, self.pool.known_false_positives)
            except OSError:
                self._lost(worker)

    def _batch(self) -> list[_Task]:
        """The next tasks, as many as one message may hold; one that has lost a process before travels alone."""
        share = self.waiting_bytes // (BATCHES_A_PROCESS * self.pool.processes)
        most_bytes = max(LEAST_BATCH_BYTES, min(share, BATCH_BYTES))
        batch = [self.waiting.popleft()]
        size = len(batch[0].data)
        while self.waiting and len(batch) < BATCH_FILES and not batch[0].crashes and not self.waiting[0].crashes:
            if size + len(self.waiting[0].data) > most_bytes:
                break
            batch.append(self.waiting.popleft())
            size += len(batch[-1].data)
        self.waiting_bytes -= size
        return batch

    def _collect(self, *, wait: bool) -> None:
        """Take all results that are there, after having waited for one until the nearest deadline; end what is overdue."""
        busy = [worker for worker in self.pool._workers if worker.tasks]
        now = time.monotonic()
        timeout_s = min(map(self._overdue_at, busy), default=now) - now if wait else 0.0
        heard_from = _heard_from(busy, max(0.0, timeout_s))
        for worker in heard_from:
            self._take(worker)
        now = time.monotonic()
        for worker in busy:
            if worker in heard_from or not worker.tasks or now < self._overdue_at(worker) or worker.has_sent():
                continue
            if not worker.ready or worker.is_overdue(self.pool.deadline_s):
                self._end_overdue(worker)

    def _overdue_at(self, worker: _Worker) -> float:
        """When to look at a worker again that is not heard of."""
        if not worker.ready:
            return worker.heard_at + START_S
        return max(worker.look_at, worker.heard_at + self.pool.deadline_s)

    def _take(self, worker: _Worker) -> None:
        """Take every result that a worker has sent."""
        try:
            while worker.tasks and worker.has_sent():
                result = worker.results.recv()
                if worker.ready:
                    self.done[worker.tasks.popleft().index] = result
                else:
                    worker.ready, worker.pid = True, result
                    self.pool._stillborn = 0
            worker.heard()
        except (EOFError, OSError):
            self._lost(worker)

    def _lost(self, worker: _Worker) -> None:
        """A worker is gone: the file at work is tried once more by itself, the others of its batch go on."""
        log.warning("a parsing process ended with %s", self.pool._discard(worker))
        if not worker.ready:
            self._not_started()
        elif worker.tasks:
            task = worker.tasks[0]
            task.crashes += 1
            if task.crashes > 1:
                self._fall_back(worker.tasks.popleft(), "the parser crashed")
        self._take_back(worker)

    def _end_overdue(self, worker: _Worker) -> None:
        self.pool._discard(worker)
        if worker.ready:
            self._fall_back(worker.tasks.popleft(), f"the parser took longer than {self.pool.deadline_s:g} s")
        else:
            self._not_started()
        self._take_back(worker)

    def _take_back(self, worker: _Worker) -> None:
        """The files that a worker hasn't answered for wait again."""
        self.waiting.extendleft(reversed(worker.tasks))
        self.waiting_bytes += sum(len(task.data) for task in worker.tasks)

    def _not_started(self) -> None:
        self.pool._stillborn += 1
        if self.pool._stillborn >= MAX_STILLBORN:
            raise IndexerError(_NOT_STARTED)

    def _fall_back(self, task: _Task, note: str) -> None:
        log.warning("%s is cut by lines: %s", task.path, note)
        known = self.pool.known_false_positives.get(task.path, frozenset())
        parsed = parse(task.path, task.data, note=note, redact=self.pool.redact, known=known)
        self.done[task.index] = finished(self.finish, task.path, parsed)


def _cpu_seconds(pid: int) -> float | None:
    """What a process has used of CPU time so far; None where that can't be told."""
    if sys.platform != "linux" or not pid:
        return None
    try:
        return time.clock_gettime(~pid << 3 | 2)  # clock_getcpuclockid(3), which Python lacks: the kernel's CPUCLOCK_SCHED
    except OSError:
        return None


def _cores() -> int:
    """The cores that this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
