"""What a search tells about how it found what it found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

from indexer.types import SearchStep


class Steps:
    def __init__(self) -> None:
        self.told: list[SearchStep] = []

    def tell(self, name: str, detail: str, took_ms: float = 0.0) -> None:
        self.told.append(SearchStep(name, detail, took_ms))

    @contextmanager
    def timed(self, name: str) -> Iterator[Callable[[str], None]]:
        """Time one step; what is called with its detail, if it is called, makes it worth telling."""
        started = time.perf_counter()
        details: list[str] = []
        yield details.append
        took_ms = (time.perf_counter() - started) * 1000
        for detail in details:
            self.tell(name, detail, took_ms)


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(names: Iterable[str], most: int = 5) -> str:
    return ", ".join(islice(names, most))
