"""The model writes: the parts of its stream go into the log, with the citations and places that are found in them."""

from __future__ import annotations

import asyncio
import functools
import logging
import sqlite3
import time
from collections.abc import Sequence

from assistant.chat import Endpoint, Finished, Message, Reasoning, Text
from assistant.circles import Circles
from assistant.citations import Citation, CitationReader
from assistant.claims import denies
from assistant.code_names import Evidence
from assistant.errors import StreamBroken
from assistant.packing import Prompt
from assistant.prompts import UNVERIFIED
from assistant.similarity import EMBEDDER, Similarity
from assistant.story import Story
from assistant.token_counter import estimated_tokens
from assistant.written_places import Written, WrittenPlace, resolve, written_in
from indexer.errors import IndexerError

logger = logging.getLogger(__name__)


class Writing:
    """Takes the parts of a stream into the log, and knows when it goes round in circles."""

    def __init__(self, story: Story, prompt: Prompt, times: int) -> None:
        self._story, self._log = story, story.log
        self._reader = CitationReader(prompt.evidence)
        self._begun = story.log.text
        self._reader.feed(self._begun)
        self._prompt = prompt
        self._similarity = self._compared(prompt)
        self._circles = Circles(times)
        self._pieces = 0
        self._first = self._last = 0.0
        self._finished = Finished("stop")
        self._thinks = False

    def to_send(self, endpoint: Endpoint) -> tuple[list[Message], int]:
        """The messages and the most tokens of the answer. llama.cpp goes on with an assistant's message that comes last."""
        if not (self._begun and endpoint.embedded):
            return [*self._prompt.messages], self._prompt.answer_tokens
        begun = Message("assistant", self._begun)
        return [*self._prompt.messages, begun], max(1, self._prompt.answer_tokens - estimated_tokens(self._begun))

    async def take(self, part: Text | Reasoning) -> bool:
        """False when the model only repeats itself."""
        if isinstance(part, Reasoning):
            if not self._thinks:
                self._thinks = True
                await self._story.status("generating", "The model thinks before it writes.")
            return True
        text = part.text if self._pieces else self._opened(part.text)
        if not text:
            return True
        await self._count(part.pieces)
        await self._log.delta(text)
        await self._tell(self._reader.feed(text))
        return not self._circles.closes(text)

    def _opened(self, text: str) -> str:
        """The first piece of the answer, or of what goes on with a sentence that is begun."""
        text = text.lstrip()
        return f" {text}" if text and self._begun and not self._begun[-1].isspace() else text

    async def _count(self, pieces: int) -> None:
        self._last = time.monotonic()
        if not self._pieces:
            self._first = self._last
            self._story.first_token_ms = self._story.elapsed_ms()
            await self._story.status("generating", "The model writes.")
        self._pieces += pieces

    async def finish(self, finished: Finished) -> None:
        """Raises StreamBroken when there is no text at all."""
        if not self._pieces:
            raise StreamBroken("The model ended without writing an answer; try again, or choose another model.")
        self._finished = finished
        await self._tell(self._reader.finish())
        await self._tell_similar()
        cited = [citation for citation in self._reader.citations if citation.state != "similar"]
        if cited and all(citation.state != "verified" for citation in cited) and not denies(self._log.text):
            await self._log.delta(f"\n\n{UNVERIFIED}")

    async def _tell(self, citations: Sequence[Citation]) -> None:
        for citation in citations:
            await self._log.append("citation", citation.as_json())
        sentences = self._reader.sentences()
        written = [each for sentence, prose, before in sentences for each in written_in(prose, sentence.start, before)]
        if written and self._story.decision.route == "code":
            for place in await asyncio.to_thread(self._places, written):
                await self._log.append("place", place.as_json())

    def _compared(self, prompt: Prompt) -> Similarity | None:
        """What finds similar passages; none where the search had no vectors of the embedder that this was measured with."""
        found, job = self._story.found, self._story.job
        if self._story.decision.route != "code" or found.strength.embedder != EMBEDDER:
            return None
        encode = functools.partial(self._story.retriever.embed, job.snapshot_dir)
        return Similarity(prompt.evidence, encode, prompt.dropped)

    async def _tell_similar(self) -> None:
        """At the end: only then is it known that the model wrote no number, and nobody waits for text."""
        for end, prose in self._reader.unmatched():
            if self._similarity is None:
                return
            passage = await asyncio.to_thread(self._similar, self._similarity, prose)
            if passage is not None:
                await self._log.append("citation", self._reader.similar(end, passage).as_json())

    def _similar(self, similarity: Similarity, prose: str) -> Evidence | None:
        try:
            return similarity.best(prose)
        except IndexerError as error:
            logger.warning("answer %s: sentences are compared with no passage: %s", self._story.job.answer_id, error)
            self._similarity = None
            return None

    def _places(self, written: Sequence[Written]) -> list[WrittenPlace]:
        """What the answer mentions without a number, as far as the snapshot tells."""
        shown = {evidence.path for evidence in self._prompt.evidence}
        try:
            with self._story.retriever.look_up(self._story.job.snapshot_dir) as lookup:
                return [*resolve(written, lookup, shown)]
        except (IndexerError, sqlite3.Error) as error:
            logger.warning("answer %s: what it mentions is not looked up: %s", self._story.job.answer_id, error)
            return []

    def outcome(self) -> tuple[str, dict[str, int], float | None, CitationReader]:
        """finish_reason, usage, tokens a second, citations."""
        finished = self._finished
        written = finished.completion_tokens or self._pieces
        usage = {"prompt_tokens": finished.prompt_tokens or self._prompt.tokens, "completion_tokens": written}
        took_s = self._last - self._first
        speed = round((written - 1) / took_s, 1) if written > 1 and took_s > 0 else None
        return "stop" if finished.finish_reason == "stop" else "length", usage, speed, self._reader
