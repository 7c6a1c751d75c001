"""Turns for threads that would only hold each other up.

A search is thousands of short calls of Python, SQLite and numpy. SQLite and numpy let go of Python's lock in each of their
calls and have to get it back, so threads that search at the same time hand it to and fro, thousands of times a search, each
time at the price of waking a thread: eight were slower than one after the other. What runs long without Python's lock (an
embedding, a scan by RE2) is done aside: others have their turn meanwhile.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """At most `most` threads have their turn at a time, first come first served; who was aside comes before who hasn't begun.

    A semaphore wouldn't do: it doesn't keep the order, and its busiest threads starve the others.
    """

    def __init__(self, most: int = 1) -> None:
        self._free = most
        self._lock = threading.Lock()
        # Each is locked until its thread's turn has come.
        self._waiting: deque[threading.Lock] = deque()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn, and have it."""
        self._take(first=False)
        try:
            yield
        finally:
            self._pass_on()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Let others have their turn; for a thread that has one."""
        self._pass_on()
        try:
            yield
        finally:
            self._take(first=True)

    def _take(self, *, first: bool) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            mine = threading.Lock()
            mine.acquire()
            if first:
                self._waiting.appendleft(mine)
            else:
                self._waiting.append(mine)
        mine.acquire()

    def _pass_on(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1
