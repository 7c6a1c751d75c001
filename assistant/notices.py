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
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer
from django.conf import settings

from assistant.events import Event

logger = logging.getLogger(__name__)

# With asyncio.timeout, since wait_for loses a cancellation that comes together with a result before Python 3.12.
LAYER_TIMEOUT_S = 2.0
RETRY_EVERY_S = 5.0
GROUP = "answers"
"""One for all conversations: a worker tells everything that a moment brought with one message, where hundreds of messages,
one a conversation, would each wait for the one before; and a web process hands on what its own readers follow."""
BACKLOG = 1000
"""Notices that wait for a slow reader or a slow layer. Beyond that they are dropped: the database has them."""


def reaches_others() -> bool:
    """Whether the layer connects processes."""
    return bool(settings.REDIS_URL)


class _Complaint:
    """Says that the layer fails, at most once in ten seconds."""

    def __init__(self) -> None:
        self._said_at = float("-inf")

    def __call__(self, what: str, error: BaseException) -> None:
        if time.monotonic() - self._said_at > 10:
            self._said_at = time.monotonic()
            logger.warning("%s failed (%s: %s); readers poll the database instead", what, type(error).__name__, error)


_complain = _Complaint()


async def tell(grown: Mapping[UUID, Sequence[Event]]) -> None:
    """Tell whoever follows these conversations what was written in each, or, without events, just that something is new."""
    told = {
        conversation.hex: [(event.answer.hex, event.seq, event.message()) for event in events]
        for conversation, events in grown.items()
    }
    try:
        async with asyncio.timeout(LAYER_TIMEOUT_S):
            await get_channel_layer().group_send(GROUP, {"type": "log.grown", "conversations": told})
    except Exception as error:
        _complain("telling of new events", error)


class Notice(NamedTuple):
    """That an event was written. message: what pages are sent of it."""

    answer: UUID
    seq: int
    message: str


class Announcer:
    """Tells in the background and in order, so that a slow layer doesn't hold up the writer. What waits is told together."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[tuple[UUID, Sequence[Event]]] = asyncio.Queue(BACKLOG)

    def announce(self, conversation: UUID, events: Sequence[Event]) -> None:
        if events and reaches_others() and not self._waiting.full():
            self._waiting.put_nowait((conversation, events))

    async def run(self) -> None:
        while True:
            taken = [await self._waiting.get()]
            while not self._waiting.empty():
                taken.append(self._waiting.get_nowait())
            grown: dict[UUID, list[Event]] = defaultdict(list)
            for conversation, events in taken:
                grown[conversation] += events
            await tell(grown)
            for _ in taken:
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

    `grown` is set whenever there is something to take, and is the reader's to clear.
    """

    def __init__(self, conversation: UUID, grown: asyncio.Event) -> None:
        self.conversation = conversation
        self._grown = grown
        self._notices: deque[list[Notice]] = deque(maxlen=BACKLOG)
        self._listener = _Listener.of_this_loop()
        self._listener.add(self)

    @property
    def joined(self) -> asyncio.Event:
        """Set once notices come, or can't be expected to."""
        return self._listener.joined

    @property
    def live(self) -> bool:
        """Whether the notices of other processes can be expected to come."""
        return self._listener.live

    def put(self, notices: list[Notice]) -> None:
        self._notices.append(notices)
        self._grown.set()

    def take(self) -> list[Notice]:
        """What has come, oldest first; there may be gaps."""
        taken: list[Notice] = []
        while self._notices:
            taken += self._notices.popleft()
        return taken

    async def close(self) -> None:
        await self._listener.remove(self)


class _Listener:
    """Receives for all the readers of this process, while there are any, and hands each what is its own."""

    _of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Listener] = WeakKeyDictionary()

    def __init__(self) -> None:
        self.live = False
        self.joined = asyncio.Event()
        self._subscriptions: dict[str, set[Subscription]] = defaultdict(set)
        self._task = asyncio.create_task(self._listen())

    @classmethod
    def of_this_loop(cls) -> _Listener:
        loop = asyncio.get_running_loop()
        if loop not in cls._of_loops:
            cls._of_loops[loop] = cls()
        return cls._of_loops[loop]

    def add(self, subscription: Subscription) -> None:
        self._subscriptions[subscription.conversation.hex].add(subscription)

    async def remove(self, subscription: Subscription) -> None:
        """The last one to leave ends the listening."""
        followed = self._subscriptions[subscription.conversation.hex]
        followed.discard(subscription)
        if not followed:
            del self._subscriptions[subscription.conversation.hex]
        loop = asyncio.get_running_loop()
        if not self._subscriptions and self._of_loops.get(loop) is self:
            del self._of_loops[loop]
            self._task.cancel()
            await asyncio.wait([self._task], timeout=LAYER_TIMEOUT_S)

    async def _listen(self) -> None:
        """Receive for as long as the layer lets us, and try again when it doesn't."""
        while True:
            try:
                layer = get_channel_layer()
                async with asyncio.timeout(LAYER_TIMEOUT_S):
                    channel = await layer.new_channel()
                    await layer.group_add(GROUP, channel)
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
                self._hand_on((await layer.receive(channel))["conversations"])
        finally:
            await self._leave(layer, channel)

    def _hand_on(self, conversations: Mapping[str, Sequence[tuple[str, int, str]]]) -> None:
        for conversation, told in conversations.items():
            if followed := self._subscriptions.get(conversation):
                notices = [Notice(UUID(answer), seq, message) for answer, seq, message in told]
                for subscription in followed:
                    subscription.put(notices)

    async def _leave(self, layer: Any, channel: str) -> None:
        try:
            async with asyncio.timeout(LAYER_TIMEOUT_S):
                await layer.group_discard(GROUP, channel)
        except Exception as error:
            _complain("no longer listening", error)
