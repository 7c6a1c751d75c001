"""Circuit breakers, one a model server: one that fails again and again is left alone for a while.

So readers wait once for a server that hangs, not with every question, and their questions go to the fallback at once. Purgatory
counts and keeps the states, in this process's memory: another answerer finds out for itself.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import ExcludeType, OpenedState

from assistant.chat_model import Endpoint
from assistant.errors import CircuitOpen, ModelTimeout, ModelUnreachable, StreamBroken

FAILURES = 4
OPEN_S = 15


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
                yield
        except OpenedState as opened:
            again_s = max(1, math.ceil(opened.opened_at + self._open_s - time.time()))
            raise CircuitOpen(
                f"The model server at {endpoint.url} has failed several times in a row; it is asked again in {again_s} s."
            ) from None


def _is_fault(error: BaseException) -> bool:
    """Whether the server is to blame: not for a key or name that is wrong, nor for a reader who stops."""
    return isinstance(error, ModelUnreachable | ModelTimeout | StreamBroken)


@functools.cache
def shared_circuits() -> Circuits:
    """One set a process."""
    return Circuits()
