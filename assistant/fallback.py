"""An answer from the first of a route's endpoints that can give one.

Before the first token a failure costs the reader nothing but time: what may pass is tried once more, and then the next endpoint
is asked. After the first token nothing is tried again: what was written is kept, and the reader decides.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

import httpx

from assistant.chat import Endpoint
from assistant.chat_model import OpenAIChatModel, connect
from assistant.circuits import Circuits, shared_circuits
from assistant.endpoints import POLL_S, timeouts_of
from assistant.errors import CircuitOpen, ContextOverflow, ModelError, ModelLoading, ModelUnreachable, NotServed, StreamBroken

logger = logging.getLogger(__name__)

# How long the embedded server may refuse connections before that is a failure: it is started beside us, or again.
EMBEDDED_START_S = 10.0
# A replica that has just died is replaced behind its URL, or a process begins to listen.
RETRY_AFTER_S = 0.25

Waiting = Callable[[ModelError], Awaitable[None]]
Write = Callable[[OpenAIChatModel, ModelError | None], Awaitable[None]]


class Caller:
    """Asks `endpoints`, best first.

    waiting: told each second why no model is ready. has_begun: whether a token has come. embedded_start_s: how long the
    embedded server may refuse connections.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        endpoints: Sequence[Endpoint],
        waiting: Waiting,
        has_begun: Callable[[], bool],
        *,
        embedded_start_s: float = EMBEDDED_START_S,
        circuits: Circuits | None = None,
    ) -> None:
        self._client, self._endpoints = client, endpoints
        self._waiting, self._has_begun = waiting, has_begun
        self._patience = time.monotonic() + embedded_start_s
        self._circuits = circuits or shared_circuits()

    async def call(self, write: Write) -> None:
        """Let `write` answer; it is told why an endpoint before its own could not, if there was one.

        A model that is downloading or loading is waited for without an end, unless another is ready: the reader sees the
        percentage, and can stop. Raises the ModelError of the endpoint that should have answered.
        """
        known: dict[Endpoint, ModelError] = {}
        while True:
            failures: list[ModelError] = []
            for endpoint in self._endpoints:
                error = await self._ask(endpoint, write, _most_telling(failures))
                if error is None:
                    return
                logger.info("%s can't answer: %s", endpoint.url, error)
                # What it failed of says more than that it isn't asked again.
                known[endpoint] = known.get(endpoint, error) if isinstance(error, CircuitOpen) else error
                failures.append(known[endpoint])
            waited_for = next((error for error in failures if self._may_come(error)), None)
            if waited_for is None:
                failure = _most_telling(failures)
                assert failure is not None
                raise failure
            await self._waiting(waited_for)
            await asyncio.sleep(POLL_S)

    async def _ask(self, endpoint: Endpoint, write: Write, instead_of: ModelError | None) -> ModelError | None:
        """None when it has answered, else why it couldn't. Raises what comes after the first token, and overflows."""
        error = await self._try(endpoint, write, instead_of)
        if error is None or endpoint.embedded or not may_pass(error):
            return error
        await asyncio.sleep(RETRY_AFTER_S)
        return await self._try(endpoint, write, instead_of)

    async def _try(self, endpoint: Endpoint, write: Write, instead_of: ModelError | None) -> ModelError | None:
        model: OpenAIChatModel | None = None
        try:
            async with self._circuits.guard(endpoint):
                model = await connect(self._client, endpoint, timeouts_of(endpoint))
                await write(model, instead_of)
        except ContextOverflow:
            raise
        except ModelLoading as error:
            # Only /health knows what is worth waiting for: a server that is ready and says 503 has too much to do.
            return error if model is None else ModelUnreachable(str(error))
        except ModelError as error:
            if self._has_begun():
                raise
            if endpoint.embedded and model is None and isinstance(error, ModelUnreachable):
                return _EmbeddedStarts(str(error))
            return error
        return None

    def _may_come(self, error: ModelError) -> bool:
        return isinstance(error, ModelLoading) or (isinstance(error, _EmbeddedStarts) and time.monotonic() < self._patience)


class _EmbeddedStarts(ModelUnreachable):
    """The embedded server doesn't listen, maybe not yet."""


def may_pass(error: BaseException) -> bool:
    """Whether asking the same server once more may help."""
    return isinstance(error, StreamBroken | ModelUnreachable) and not isinstance(error, CircuitOpen)


def _most_telling(failures: Sequence[ModelError]) -> ModelError | None:
    """The first, but that a server doesn't have a model says less than what went wrong where it is."""
    return next((error for error in failures if not isinstance(error, NotServed)), failures[0] if failures else None)
