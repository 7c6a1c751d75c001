"""Telling other processes that a log has grown: quick, and never relied upon.

The channel layer delivers at most once, and may be down. So a notice carries what was written (data and seq), whoever
follows checks that nothing is missing between two of them, and a slow poll of the database covers what never came. Nothing
here raises because of the layer; a layer that fails is logged once in a while.

Without Redis the layer reaches only its own process: then there is nothing to tell others, and followers poll faster.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from channels.layers import get_channel_layer
from django.conf import settings

from assistant.events import Event

logger = logging.getLogger(__name__)

# With asyncio.timeout, since wait_for loses a cancellation that comes together with a result before Python 3.12.
LAYER_TIMEOUT_S = 2.0
RETRY_EVERY_S = 5.0
BACKLOG = 1000
"""Notices that wait for a slow reader or a slow layer. Beyond that they are dropped: the database has them."""


def reaches_others() -> bool:
    """Whether the layer connects processes."""
    return bool(settings.REDIS_URL)


def group(conversation: UUID) -> str:
    return f"conversation-{conversation.hex}"


class _Complaint:
    """Says that the layer fails, at most once in ten seconds."""

    def __init__(self) -> None:
        self._said_at = float("-inf")

    def __call__(self, what: str, error: BaseException) -> None:
        if time.monotonic() - self._said_at > 10:
            self._said_at = time.monotonic()
            logger.warning("%s failed (%s: %s); readers poll the database instead", what, type(error).__name__, error)


_complain = _Complaint()


async def tell(conversation: UUID, events: Sequence[Event] = ()) -> None:
    """Tell whoever follows `conversation` that `events` were written, or just that something is new."""
    notice = {"type": "log.grown", "events": [event.as_json() for event in events]}
    try:
        async with asyncio.timeout(LAYER_TIMEOUT_S):
            await get_channel_layer().group_send(group(conversation), notice)
    except Exception as error:
        _complain("telling of new events", error)


class Announcer:
    """Tells in the background and in order, so that a slow layer doesn't hold up the writer."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[tuple[UUID, Sequence[Event]]] = asyncio.Queue(BACKLOG)

    def announce(self, conversation: UUID, events: Sequence[Event]) -> None:
        if events and reaches_others() and not self._waiting.full():
            self._waiting.put_nowait((conversation, events))

    async def run(self) -> None:
        while True:
            await tell(*await self._waiting.get())
            self._waiting.task_done()

    async def drain(self) -> None:
        """Wait until everything has been told, but not for long."""
        try:
            async with asyncio.timeout(LAYER_TIMEOUT_S):
                await self._waiting.join()
        except TimeoutError as error:
            _complain("telling the last events", error)


class Subscription:
    """The notices of one conversation, for one reader.

    `live` is whether notices of other processes can be expected to come. `grown` is set whenever there is something to
    take, and is the reader's to clear.
    """

    def __init__(self, conversation: UUID, grown: asyncio.Event) -> None:
        self._conversation = conversation
        self._grown = grown
        self._notices: deque[dict[str, Any]] = deque(maxlen=BACKLOG)
        self._task = asyncio.create_task(self._listen())
        self.live = False
        self.joined = asyncio.Event()

    def take(self) -> list[dict[str, Any]]:
        """The `event` messages that have come, oldest first; there may be gaps between them."""
        taken = []
        while self._notices:
            taken += self._notices.popleft()["events"]
        return taken

    async def _listen(self) -> None:
        """Receive for as long as the layer lets us, and try again when it doesn't."""
        while True:
            try:
                layer = get_channel_layer()
                async with asyncio.timeout(LAYER_TIMEOUT_S):
                    channel = await layer.new_channel()
                    await layer.group_add(group(self._conversation), channel)
                await self._receive(layer, channel)
            except Exception as error:
                _complain("listening for new events", error)
            self.live = False
            self.joined.set()
            await asyncio.sleep(RETRY_EVERY_S)

    async def _receive(self, layer: Any, channel: str) -> None:
        self.live = reaches_others()
        self.joined.set()
        try:
            while True:
                self._notices.append(await layer.receive(channel))
                self._grown.set()
        finally:
            await self._leave(layer, channel)

    async def _leave(self, layer: Any, channel: str) -> None:
        try:
            async with asyncio.timeout(LAYER_TIMEOUT_S):
                await layer.group_discard(group(self._conversation), channel)
        except Exception as error:
            _complain("leaving a conversation", error)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task], timeout=LAYER_TIMEOUT_S)
