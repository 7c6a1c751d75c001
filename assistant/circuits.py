"""Circuit breakers, one a model server: one that fails again and again is left alone for a while.

So readers wait once for a server that hangs, not with every question, and their questions go to the fallback at once. Purgatory
counts and keeps the states, in this process's memory: another answerer finds out for itself.
"""

from __future__ import annotations

import asyncio
import functools
import math
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import ExcludeType, OpenedState

from assistant.chat import Endpoint
from assistant.errors import CircuitOpen, ModelTimeout, ModelUnreachable, StreamBroken

FAILURES = 4
OPEN_S = 15
# That nothing came in time says nothing of the server while this process stood still: its answer may have been there.
STOOD_STILL_S = 0.5
LOOK_EVERY_S = 0.25


class Standstill:
    """The longest that the event loop stood still while this is watched."""

    def __init__(self) -> None:
        self._longest_s = 0.0
        self._due = 0.0

    @property
    def longest_s(self) -> float:
        return max(self._longest_s, time.monotonic() - self._due)

    @contextmanager
    def watched(self) -> Iterator[Standstill]:
        loop = asyncio.get_running_loop()
        timer: asyncio.Handle

        def look() -> None:
            nonlocal timer
            self._longest_s = self.longest_s
            self._due = time.monotonic() + LOOK_EVERY_S
            timer = loop.call_later(LOOK_EVERY_S, look)

        self._due = time.monotonic()
        timer = loop.call_soon(look)
        try:
            yield self
        finally:
            timer.cancel()


class Circuits:
    """failures: so many in a row open a circuit; open_s: seconds until the server is tried again."""

    def __init__(self, failures: int = FAILURES, open_s: int = OPEN_S) -> None:
        self._open_s = open_s
        excluded: ExcludeType = [(BaseException, lambda error: not _is_fault(error))]
        self._factory = AsyncCircuitBreakerFactory(failures, open_s, excluded)

    @asynccontextmanager
    async def guard(self, endpoint: Endpoint) -> AsyncIterator[None]:
        """Counts what the body raises. Raises CircuitOpen instead of entering it while the circuit is open.

        Not for the embedded server, which is started anew beside us when it fails.
        """
        if endpoint.embedded:
            yield
            return
        breaker = await self._factory.get_breaker(f"{endpoint.url} {endpoint.name}")
        try:
            async with breaker:
                with self._excusing_own_delays():
                    yield
        except OpenedState as opened:
            again_s = max(1, math.ceil(opened.opened_at + self._open_s - time.time()))
            raise CircuitOpen(
                f"The model server at {endpoint.url} has failed several times in a row; it is asked again in {again_s} s."
            ) from None

    @contextmanager
    def _excusing_own_delays(self) -> Iterator[None]:
        with Standstill().watched() as standstill:
            try:
                yield
            except (ModelUnreachable, ModelTimeout) as error:
                if standstill.longest_s >= STOOD_STILL_S:
                    error.own_delay = True
                raise


def _is_fault(error: BaseException) -> bool:
    """Whether the server is to blame: not for a key or name that is wrong, for a reader who stops, nor for our own delay."""
    return isinstance(error, ModelUnreachable | ModelTimeout | StreamBroken) and not error.own_delay


@functools.cache
def shared_circuits() -> Circuits:
    """One set a process."""
    return Circuits()
