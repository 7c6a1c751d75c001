"""The WebSocket of a page: it reads what the page sends, and relays what the log says. It never generates.

Each connection has one task that does everything in order (obey what was sent, then send what is new), and Channels'
own handlers only put into its inbox. So a page that reads slowly, or a database that is busy, holds up this page and
nobody else, and a disconnect is heard at once. What waits is bounded: the inbox here, the notices in assistant/notices.py.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar
from uuid import UUID

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import Error as DatabaseError

from assistant import conversations, messages
from assistant.errors import BadRequest
from assistant.events import as_sent
from assistant.follower import ConversationGone, Follower
from assistant.messages import Ask, Message, Open, Retry, Stop
from assistant.notices import tell

logger = logging.getLogger(__name__)

T = TypeVar("T")
INBOX = 64
"""Messages of one page that wait. A page sends one for each press of a key or button."""

NOT_SIGNED_IN, NOT_JSON, TOO_MUCH, FAILED = 4401, 4400, 1008, 1011
NO_CONVERSATION = "There is no such conversation."
DATABASE_BUSY = "The database doesn't answer at the moment: try again."


class PageGone(Exception):
    """The page closed its end while it was being written to; its `disconnect` is on the way."""


class ConversationConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    # Followers use the layer themselves: one that is down must not keep a page from connecting.
    channel_layer_alias = None

    def __init__(self) -> None:
        super().__init__()
        self._inbox: deque[Any] = deque()
        self._woken = asyncio.Event()
        self._follower: Follower | None = None
        self._session: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        await self.accept()
        self._user = self.scope["user"]
        if not self._user.is_authenticated:
            await self.close(code=NOT_SIGNED_IN)
            return
        self._session = asyncio.create_task(self._serve())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self._session is None:
            return
        try:
            sent = json.loads(text_data or "")
        except (ValueError, RecursionError):
            await self._close(NOT_JSON)
            return
        if len(self._inbox) == INBOX:
            await self._close(TOO_MUCH)
            return
        self._inbox.append(sent)
        self._woken.set()

    async def disconnect(self, code: int) -> None:
        await self._end_session()

    async def _close(self, code: int) -> None:
        """Close from our side: nothing is sent after that, and what still comes isn't heard."""
        await self._end_session()
        await self.close(code=code)

    async def _end_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.cancel()
            await asyncio.wait([session])

    async def _serve(self) -> None:
        try:
            while True:
                await self._wait()
                while self._inbox:
                    await self._obey(self._inbox.popleft())
                await self._relay()
        except PageGone:
            logger.debug("a page closed its connection in mid-answer")
        except Exception:
            logger.exception("a page's connection failed")
            self._session = None
            with suppress(OSError):
                await self.close(code=FAILED)
        finally:
            await self._leave()

    async def _wait(self) -> None:
        """Until something was sent, a notice has come, or it is time to ask the database."""
        timeout_s = self._follower.interval_s if self._follower else None
        # Not wait_for, which before Python 3.12 loses a cancellation that comes together with what it waits for.
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()
        self._woken.clear()

    async def _relay(self) -> None:
        if self._follower is None:
            return
        try:
            async for message in self._follower.news():
                await self._send_text(message)
        except ConversationGone:
            await self._leave()
            await self._refuse(NO_CONVERSATION, None)

    async def _obey(self, sent: Any) -> None:
        try:
            await self._do(messages.parse(sent))
        except BadRequest as error:
            await self._refuse(str(error), messages.answer_id(sent))
        except DatabaseError:
            logger.warning("a message was refused, since the database doesn't answer", exc_info=True)
            await self._refuse(DATABASE_BUSY, messages.answer_id(sent))

    async def _do(self, message: Message) -> None:
        match message:
            case Ask():
                await self._asked(await self._in_database(conversations.ask, message))
            case Retry():
                await self._asked(await self._in_database(conversations.retry, message))
            case Stop():
                await tell({await self._in_database(conversations.stop, message.answer): ()})
            case Open():
                await self._open(message)

    async def _in_database(self, work: Callable[[Any, Any], T], subject: Any) -> T:
        result: T = await database_sync_to_async(work, thread_sensitive=False)(self._user, subject)
        return result

    async def _asked(self, asked: conversations.Asked) -> None:
        await self._send(
            {"type": "asked", "answer": str(asked.answer), "conversation": str(asked.conversation), "title": asked.title}
        )
        if self._follower is None or self._follower.conversation != asked.conversation:
            await self._follow(asked.conversation, {})
        await tell({asked.conversation: ()})

    async def _open(self, message: Open) -> None:
        follower = await self._follow(message.conversation, dict(message.seen))
        found = False
        try:
            async for opened in follower.opened():
                found = True
                await self._send_text(opened)
            if not found:
                raise BadRequest(NO_CONVERSATION)
        except (BadRequest, DatabaseError):
            await self._leave()
            raise

    async def _follow(self, conversation: UUID, seen: dict[UUID, int]) -> Follower:
        await self._leave()
        self._follower = Follower(self._user, conversation, seen, self._woken)
        await self._follower.start()
        return self._follower

    async def _leave(self) -> None:
        follower, self._follower = self._follower, None
        if follower is not None:
            await follower.close()

    async def _refuse(self, message: str, answer: str | None) -> None:
        await self._send({"type": "error", "message": message, "answer": answer})

    async def _send(self, message: dict[str, Any]) -> None:
        await self._send_text(as_sent(message))

    async def _send_text(self, message: str) -> None:
        try:
            await self.send(text_data=message)
        except OSError as error:
            raise PageGone from error
