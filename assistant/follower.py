"""What one page sees of one conversation: everything after what it has seen, then what comes, without gaps or doubles.

A follower joins the notices first and reads the database then, so nothing can fall between. Afterwards it takes live
events as they come; one that doesn't continue where the page is, and any silence longer than `interval_s`, sends it back to
the database. So it doesn't matter which notices come, or in what order.

Every read goes through `visible_to`: who loses the right to a conversation sees nothing more of it after the next poll.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from django.db import Error as DatabaseError

from assistant import events
from assistant.events import Event, as_sent
from assistant.models import Answer, Conversation
from assistant.notices import Subscription

logger = logging.getLogger(__name__)

POLL_RUNNING_S = 0.1
"""Without notices, while an answer runs: a tenth of a second reads as a steady stream."""
POLL_IDLE_S = 1.0
"""Covers lost notices, and questions asked in another tab."""
POLL_LIVE_S = 5.0
"""While notices come one after the other: for who has lost the right to read on."""
POLL_BROKEN_S = 2.0
"""While the database doesn't answer."""
PAGE = 500
"""Events read at a time: a reader that is far behind costs no more memory than this."""


@dataclass(frozen=True, slots=True)
class Look:
    """A conversation as the database has it now, and the first events that the reader hasn't seen."""

    conversation: Conversation
    answers: tuple[Answer, ...]
    events: tuple[Event, ...]


def look(user: Any, conversation_id: UUID, seen: Mapping[UUID, int]) -> Look | None:
    """What `user` may see of a conversation; None when there is none such for them. At most `PAGE` events."""
    conversation = Conversation.objects.visible_to(user).select_related("repository").filter(pk=conversation_id).first()
    if conversation is None:
        return None
    answers = tuple(conversation.answers.order_by("created_at", "pk").defer("text"))
    unseen = {a.pk: seen.get(a.pk, 0) for a in answers if a.last_seq > seen.get(a.pk, 0)}
    return Look(conversation, answers, tuple(events.after(unseen, PAGE)))


def answer_json(answer: Answer) -> dict[str, Any]:
    return {
        "id": str(answer.pk),
        "number": answer.number,
        "question": answer.question,
        "requested_route": answer.requested_route,
        "filters": answer.filters,
        "retry_of": str(answer.retry_of_id) if answer.retry_of_id else None,
        "reasked_of": str(answer.reasked_of_id) if answer.reasked_of_id else None,
        "state": answer.state,
        "created_at": answer.created_at.isoformat(),
    }


class ConversationGone(Exception):
    """It was deleted, or its reader has lost the right to it."""


class Position:
    """How far one reader is in the logs of a conversation: the rule that nothing is skipped and nothing comes twice."""

    def __init__(self, seen: Mapping[UUID, int]) -> None:
        self.seen = dict(seen)

    def reached_by(self, written: Iterable[tuple[UUID, int]], known: Collection[UUID]) -> bool:
        """Whether these events (answer, seq), in this order, lead on from here without a gap, and are of known answers."""
        reached = dict(self.seen)
        for answer, seq in written:
            if answer not in known or seq > reached.get(answer, 0) + 1:
                return False
            reached[answer] = max(reached.get(answer, 0), seq)
        return True

    def advance(self, answer: UUID, seq: int) -> bool:
        """Move on to `seq`. False when the reader has that event already, and must not get it again."""
        if seq <= self.seen.get(answer, 0):
            return False
        self.seen[answer] = seq
        return True


class Follower:
    """Use: `await start()`, then `async for message in news()` whenever `woken` is set or `interval_s` has passed.

    Messages are JSON, as they are sent.
    """

    def __init__(self, user: Any, conversation: UUID, seen: Mapping[UUID, int], woken: asyncio.Event) -> None:
        self.conversation = conversation
        self._user = user
        self._position = Position(seen)
        self._known: set[UUID] = set()
        self._running = True
        self._looked_at = float("-inf")
        self._broken = False
        self._notices = Subscription(conversation, woken)

    async def start(self) -> None:
        """Join the notices. Only after this may the database be read."""
        await self._notices.joined.wait()

    async def close(self) -> None:
        await self._notices.close()

    @property
    def interval_s(self) -> float:
        """How long to wait for a notice before the database is asked."""
        if self._broken:
            return POLL_BROKEN_S
        return POLL_RUNNING_S if self._running and not self._notices.live else POLL_IDLE_S

    async def opened(self) -> AsyncIterator[str]:
        """`opened`, and every event after what was seen. Yields nothing when there is no such conversation."""
        found = await self._look()
        if found is None:
            return
        self._known = {answer.pk for answer in found.answers}
        conversation = found.conversation
        yield as_sent(
            {
                "type": "opened",
                "conversation": {
                    "id": str(conversation.pk),
                    "title": conversation.title,
                    "repository": conversation.repository.name,
                },
                "answers": [answer_json(answer) for answer in found.answers],
            }
        )
        async for message in self._from_database(found):
            yield message

    async def news(self) -> AsyncIterator[str]:
        """What has come since the last time. Raises ConversationGone."""
        notices = self._notices.take()
        written = ((notice.answer, notice.seq) for notice in notices)
        if notices and self._position.reached_by(written, self._known) and not self._is_due:
            for answer, seq, message in notices:
                if self._position.advance(answer, seq):
                    yield message
            return
        try:
            found = await self._look()
            if found is None:
                raise ConversationGone
            async for message in self._from_database(found):
                yield message
        except DatabaseError as error:
            if not self._broken:
                logger.warning("conversation %s: the database doesn't answer: %s", self.conversation, error)
            self._broken = True

    @property
    def _is_due(self) -> bool:
        """Whether it is time to ask the database even though notices come."""
        return time.monotonic() - self._looked_at > (POLL_LIVE_S if self._notices.live else POLL_IDLE_S)

    async def _look(self) -> Look | None:
        found: Look | None = await database_sync_to_async(look, thread_sensitive=False)(
            self._user, self.conversation, self._position.seen
        )
        self._looked_at, self._broken = time.monotonic(), False
        return found

    async def _from_database(self, found: Look | None) -> AsyncIterator[str]:
        """What `found` brings, and then all that follows it: each answer before the first of its events."""
        while found is not None:
            self._running = any(answer.state not in Answer.FINAL_STATES for answer in found.answers)
            for answer in found.answers:
                if answer.pk not in self._known:
                    self._known.add(answer.pk)
                    yield as_sent({"type": "answer", "conversation": str(self.conversation), "answer": answer_json(answer)})
            for event in found.events:
                self._position.advance(event.answer, event.seq)
                yield event.message()
            found = await self._look() if len(found.events) == PAGE else None
