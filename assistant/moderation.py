"""Moderation before the general model and after it; off unless SEXTANT_MODERATION_URL is set.

Before: the question is judged, in its conversation, before the model is sent anything. After: the answer is judged as it grows.
Its text is held back until it has been judged, some sentences at a time, and the judge sees the whole answer up to there: what
is harmless in two halves may not be so as one, and a server that caches prefixes reads only what is new. So a reader never
sees text that nobody has judged, and where the end of an answer makes all of it worth refusing, all of it is withdrawn.

Why not judge the answer once, at its end: a reader would wait for all of it, or see what is then refused. Why not each token:
a verdict takes as long as some tokens, and half a sentence says little. While a verdict is waited for the model goes on
writing, and what it wrote is read at once afterwards: a reader waits for the ends of sentences, and loses no pace.

When no verdict can be had, SEXTANT_MODERATION_FAIL decides: the answer ends with a sentence (closed), or goes on and says that
it was not moderated (open). Code questions that the code model answers are not moderated.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Literal

from django.conf import settings

from assistant.chat import Finished, Message, StreamPart, Text, Timeouts
from assistant.chat_model import http_client
from assistant.endpoints import moderation_endpoint
from assistant.errors import ModelError, ModelLoading, ModerationFailed, Refused
from assistant.events import storable
from assistant.judges import CATEGORIES, Judge, judge_at
from assistant.story import Story

logger = logging.getLogger(__name__)

Side = Literal["question", "answer"]

# Characters of text that wait for a verdict: at the end of a sentence, and without one.
FEWEST_JUDGED, MOST_JUDGED = 200, 800
_ENDS = re.compile(r"[.!?:。！？][\"'”’)\]`*_]*\s*\Z|\n[ \t]*\Z")
# Of the conversation before the question: a follow-up means little alone.
TURNS, TURN_CHARACTERS = 3, 2000

CHECKED = "The model writes; its answer is checked before it is shown."
REFUSED = {
    "question": "Moderation refused the question{why} before a model saw it; ask in other words, or ask about the code.",
    "answer": "Moderation refused the answer{why}, and it was withdrawn; ask in other words, or ask about the code.",
}
REQUIRED = "General answers have to be moderated, which can't be done now: {why}"
NOT_MODERATED = "This answer was not moderated, at least in part: {why}"
LOADING = "the moderation server is still loading; try again in a moment."


@asynccontextmanager
async def moderation_of(story: Story) -> AsyncIterator[Moderation | None]:
    """None where none is set up."""
    if not settings.MODERATION_URL:
        yield None
        return
    timeout_s = settings.MODERATION_TIMEOUT_S
    async with http_client(Timeouts(connect_s=settings.CONNECT_TIMEOUT_S, metadata_s=timeout_s)) as client:
        judge = judge_at(client, moderation_endpoint(), settings.MODERATION_KIND, timeout_s)
        yield Moderation(story, judge, fails_open=settings.MODERATION_FAIL == "open")


class Moderation:
    """Of one answer. Its methods raise Refused and ModerationFailed."""

    def __init__(self, story: Story, judge: Judge, *, fails_open: bool) -> None:
        self._story, self._judge, self._fails_open = story, judge, fails_open
        self._has_judged_question = False

    async def check_question(self) -> None:
        """Once, whichever model is then asked, and how often."""
        if not self._has_judged_question:
            await self._check("question", self._conversation())
            self._has_judged_question = True

    async def released(self, parts: AsyncGenerator[StreamPart, None]) -> AsyncGenerator[StreamPart, None]:
        """`parts`, their text only after it has been judged. Closing this closes `parts`."""
        waiting: list[Text] = []
        characters = 0
        async with aclosing(parts):
            try:
                async for part in parts:
                    if isinstance(part, Text):
                        if not (waiting or self._story.has_begun):
                            await self._story.status("generating", CHECKED)
                        waiting.append(part)
                        characters += len(part.text)
                        if not _is_due(characters, part.text):
                            continue
                    if waiting and not isinstance(part, Text | Finished):
                        yield part
                        continue
                    for text in await self._judged(waiting):
                        yield text
                    waiting, characters = [], 0
                    if not isinstance(part, Text):
                        yield part
            except ModelError:
                # What was written before the stream broke is kept, where there is something to keep.
                if self._story.has_begun:
                    for text in await self._judged(waiting):
                        yield text
                raise

    async def _judged(self, waiting: list[Text]) -> list[Text]:
        if waiting:
            so_far = storable(self._story.log.text + "".join(part.text for part in waiting))
            await self._check("answer", [*self._conversation(), Message("assistant", so_far)])
        return waiting

    async def _check(self, side: Side, conversation: Sequence[Message]) -> None:
        try:
            verdict = await self._judge.judge(conversation)
        except ModelError as error:
            why = LOADING if isinstance(error, ModelLoading) else str(error)
            logger.warning("answer %s: the %s is not moderated: %s", self._story.job.answer_id, side, why)
            if not self._fails_open:
                raise ModerationFailed(REQUIRED.format(why=why)) from None
            await self._story.not_moderated(NOT_MODERATED.format(why=why))
            return
        self._story.moderated = self._story.moderated is not False
        if verdict.flagged:
            logger.info("answer %s: the %s is refused: %s", self._story.job.answer_id, side, ", ".join(verdict.categories))
            raise Refused(REFUSED[side].format(why=_named(verdict.categories)), side, verdict.categories)

    def _conversation(self) -> list[Message]:
        """From user to user."""
        job = self._story.job
        messages = []
        for turn in job.history[-TURNS:]:
            messages.append(Message("user", turn.question[:TURN_CHARACTERS]))
            messages.append(Message("assistant", turn.answer_text[:TURN_CHARACTERS]))
        return [*messages, Message("user", storable(job.question))]


def _is_due(characters: int, last: str) -> bool:
    return characters >= MOST_JUDGED or (characters >= FEWEST_JUDGED and _ENDS.search(last) is not None)


def _named(categories: Sequence[str]) -> str:
    """ " (S1: Violent Crimes; S10: Hate)", or ""."""
    named = [f"{each}: {CATEGORIES[each]}" if each in CATEGORIES else each for each in categories]
    return f" ({'; '.join(named)})" if named else ""
