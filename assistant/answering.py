"""From a question to an answer with checked citations: the whole story, told through the answer's log.

Evidence first: retrieval takes milliseconds and a model takes seconds, so the route and the passages are in the log before a
token comes, even while the weights are still downloading, and also when no model server can be reached at all. What a server
does wrong is raised as a `ModelError` and ends the log elsewhere (assistant/answerer.py). Stopping arrives as a cancelled
task, or as a raised AnswerCancelled; on the way out the connection to the model is closed, which ends generation there.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import re
import sqlite3
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from django.conf import settings

from assistant.abstention import lacks_evidence, no_evidence
from assistant.answer_log import AnswerJob, AnswerLog
from assistant.catalogue import family_of
from assistant.chat_model import (
    Endpoint,
    Finished,
    Message,
    ModelInfo,
    OpenAIChatModel,
    Reasoning,
    Text,
    http_client,
    last_described,
)
from assistant.circles import Circles
from assistant.citations import Citation, CitationReader, Claims
from assistant.claims import denies
from assistant.endpoints import endpoints_for, timeouts
from assistant.errors import ContextOverflow, ModelError, ModelLoading, StreamBroken
from assistant.fallback import EMBEDDED_START_S, Caller
from assistant.intent import OTHER_LANGUAGE, Decision, choose_route
from assistant.languages import general_model_speaks_instead
from assistant.packing import Chosen, Limits, Packer, Prompt, Question, limits_for, unpacked
from assistant.prompts import CLOSEST, NOTHING_FOUND, UNVERIFIED, absent, fence_mark
from assistant.token_counter import estimated_prompt_tokens, estimated_tokens
from assistant.written_places import Written, WrittenPlace, resolve, written_in
from indexer.errors import IndexerError
from indexer.retriever import Retriever
from indexer.types import SearchResult

logger = logging.getLogger(__name__)

# More than a small budget holds, so that the reader also sees what was nearly shown to the model; enough for a large one.
FEWEST_SEARCHED, MOST_SEARCHED = 12, 300
TOKENS_A_PASSAGE = 200
MISSING_WORDS = 5
# A name that nobody writes but for the code: `stream_with_context`, `getUser`, `Session.get`.
CODE_NAME = re.compile(r"\w[_.]\w|[a-z][A-Z]")
# We have counted, and still the server says "too long": its template or its limit is not what it told.
SHRINK_AFTER_OVERFLOW = 0.7
# How often a sentence may come before the answer goes round in circles. A large model may mean it the second time.
REPEATS, EMBEDDED_REPEATS = 3, 2


async def answer_question(
    job: AnswerJob, log: AnswerLog, retriever: Retriever | None = None, *, embedded_start_s: float = EMBEDDED_START_S
) -> None:
    """Answer `job` into `log`, up to its `completed` entry. Raises ModelError, IndexerError, or what stops the answer.

    embedded_start_s: how long the embedded server may refuse connections before that is a failure.
    """
    story = Story(job, log, retriever or shared_retriever())
    await story.status("retrieving", "Searching the repository.")
    story.found = await _search(job, story.retriever)
    story.decision = await _decide(job, story.found)
    if story.decision.route == "search":
        await story.route()
        await story.passages(unpacked(story.found.passages))
        await story.completed("", "none")
    elif story.decision.route == "code" and not story.found.passages:
        await story.route()
        await story.passages([])
        await log.delta(NOTHING_FOUND)
        await story.completed("", "none")
    elif story.decision.route == "code" and await _lacks_evidence(story):
        await story.route()
        await story.passages(unpacked(story.found.passages))
        await log.delta(no_evidence(job, story.found))
        await story.completed("", "none", abstained=True)
    else:
        await _ask_model(story, embedded_start_s)


async def _lacks_evidence(story: Story) -> bool:
    return settings.ABSTAIN and await asyncio.to_thread(lacks_evidence, story.job, story.found, story.retriever)


async def _decide(job: AnswerJob, found: SearchResult) -> Decision:
    decision = choose_route(job.question, job.requested_route, found, job.repository, job.history)
    if decision.route == "code" and found.passages and await general_model_speaks_instead(found.strength.language):
        return replace(decision, reason=OTHER_LANGUAGE, asks="general")
    return decision


@functools.cache
def shared_retriever() -> Retriever:
    """One a process: it keeps snapshots and the embedding model open."""
    return Retriever(device=settings.FAISS_DEVICE)


async def _search(job: AnswerJob, retriever: Retriever) -> SearchResult:
    """In a thread: the indexer is synchronous."""
    limit = min(max(FEWEST_SEARCHED, _evidence_expected(job) // TOKENS_A_PASSAGE), MOST_SEARCHED)
    history = [turn.question for turn in job.history]
    search = functools.partial(
        retriever.search,
        job.snapshot_dir,
        job.question,
        limit=limit,
        scope=job.filters.folder,
        languages=job.filters.languages,
        tests=job.filters.tests,
        pins=job.filters.pins,
        history=history,
        cited=job.history[-1].cited if job.history else (),
        callers=job.requested_route != "search",
    )
    return await asyncio.to_thread(search)


def _evidence_expected(job: AnswerJob) -> int:
    """Tokens of evidence that the model will probably get, by what was last heard of it; 0 where none is asked."""
    if job.requested_route in ("search", "general"):
        return 0
    try:
        endpoint = endpoints_for("code", job.requested_model)[0]
    except ModelError:
        return 0
    return _limits(last_described(endpoint) or ModelInfo(endpoint.name, None), endpoint).evidence


async def _ask_model(story: Story, embedded_start_s: float) -> None:
    endpoints = endpoints_for(story.decision.asked_route, story.job.requested_model)
    await story.route(endpoints[0].name)
    told = endpoints[0].name

    async def write(model: OpenAIChatModel, instead_of: ModelError | None) -> None:
        nonlocal told
        if model.info.name != told or instead_of:
            told = model.info.name
            await story.route(told, model.info.demonstration, str(instead_of or ""))
        await _write_or_pack_smaller(story, model)

    async with http_client(timeouts()) as client:
        waiting = _Waiting(story, endpoints[0])
        caller = Caller(client, endpoints, waiting, lambda: story.has_begun, embedded_start_s=embedded_start_s)
        try:
            await caller.call(write)
        except ModelError:
            if not story.has_passages:
                await _show_passages_early(story, endpoints[0])
            raise


async def _write_or_pack_smaller(story: Story, model: OpenAIChatModel) -> None:
    limits = _limits(model.info, model.endpoint)
    try:
        await _write(story, model, limits)
    except ContextOverflow as overflow:
        if story.has_begun:
            raise
        logger.info("answer %s: the prompt is too long after all, packing it smaller", story.job.answer_id)
        await _write(story, model, limits.shrunk(_shrink(limits, overflow)))


async def _write(story: Story, model: OpenAIChatModel, limits: Limits) -> None:
    """Pack, show what was packed, and let the model write."""
    family = family_of(model.info.name)
    prompt = await Packer(model.count, model.count_prompt, family, limits).pack(story.question_for(limits))
    if story.decision.shows_evidence:
        await story.passages(prompt.chosen, prompt)
    if story.decision.route == "code":
        await story.admit_missing_words(goes_on=model.endpoint.embedded)
    told = f"The model reads {prompt.tokens:,} tokens. {prompt.conversation.told()}"
    await story.status("reading", told.strip())
    writing = _Writing(story, prompt, EMBEDDED_REPEATS if model.endpoint.embedded else REPEATS)
    messages, max_tokens = writing.to_send(model.endpoint)
    async with aclosing(model.stream(messages, max_tokens=max_tokens, stop=family.stop)) as parts:
        async for part in parts:
            if isinstance(part, Finished):
                await writing.finish(part)
            elif not await writing.take(part):
                await writing.finish(Finished("length", prompt.tokens))
                break
    await story.completed(model.info.name, *writing.outcome())


def _limits(info: ModelInfo, endpoint: Endpoint) -> Limits:
    return limits_for(
        info.context_tokens,
        family_of(info.name),
        embedded=endpoint.embedded,
        evidence_tokens=settings.EVIDENCE_TOKENS,
        answer_tokens=settings.ANSWER_TOKENS,
    )


def _shrink(limits: Limits, overflow: ContextOverflow) -> float:
    """As much smaller as the server said, and a little more.

    vLLM stops counting where its window ends: that a prompt has "at least" so many tokens may be far too few. So the window
    that we had thought of counts as well.
    """
    if not overflow.context_tokens:
        return SHRINK_AFTER_OVERFLOW
    longest = max(limits.context, overflow.prompt_tokens or 0)
    return min(SHRINK_AFTER_OVERFLOW, 0.9 * overflow.context_tokens / longest)


# --- before the model is ready ---------------------------------------------------------------------------------------------


class _Waiting:
    """Called each second while the model isn't ready: shows the passages at once, and then how far it is."""

    def __init__(self, story: Story, endpoint: Endpoint) -> None:
        self._story, self._endpoint = story, endpoint
        self._told: tuple[str, int | None] | None = None

    async def __call__(self, error: ModelError) -> None:
        if self._told is None:
            await _show_passages_early(self._story, self._endpoint)
        percent = error.percent if isinstance(error, ModelLoading) else None
        if self._told != (str(error), percent):
            self._told = str(error), percent
            await self._story.status("waiting", str(error), percent)
        await self._story.log.check()


async def _show_passages_early(story: Story, endpoint: Endpoint) -> None:
    """What the model will probably be shown, by an estimate of the tokens, as its own tokenizer can't be asked yet."""
    if not story.decision.shows_evidence:
        return
    context = endpoint.context_tokens or (settings.EMBEDDED_CONTEXT if endpoint.embedded else None)
    limits = _limits(ModelInfo(endpoint.name, context), endpoint)

    async def count(texts: Sequence[str]) -> list[int]:
        return [estimated_tokens(text) for text in texts]

    async def count_prompt(messages: Sequence[Message]) -> int:
        return estimated_prompt_tokens(message.content for message in messages)

    try:
        prompt = await Packer(count, count_prompt, family_of(endpoint.name), limits).pack(story.question_for(limits))
    except ContextOverflow:
        await story.passages(unpacked(story.found.passages))
    else:
        await story.passages(prompt.chosen, prompt)


# --- while it writes --------------------------------------------------------------------------------------------------------


class _Writing:
    """Takes the parts of a stream into the log, and knows when it goes round in circles."""

    def __init__(self, story: Story, prompt: Prompt, times: int) -> None:
        self._story, self._log = story, story.log
        self._reader = CitationReader(prompt.evidence)
        self._begun = story.log.text
        self._reader.feed(self._begun)
        self._prompt = prompt
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
        await self._count()
        await self._log.delta(text)
        await self._tell(self._reader.feed(text))
        return not self._circles.closes(text)

    def _opened(self, text: str) -> str:
        """The first piece of the answer, or of what goes on with a sentence that is begun."""
        text = text.lstrip()
        return f" {text}" if text and self._begun and not self._begun[-1].isspace() else text

    async def _count(self) -> None:
        self._last = time.monotonic()
        self._pieces += 1
        if self._pieces == 1:
            self._first = self._last
            self._story.first_token_ms = self._story.elapsed_ms()
            await self._story.status("generating", "The model writes.")

    async def finish(self, finished: Finished) -> None:
        """Raises StreamBroken when there is no text at all."""
        if not self._pieces:
            raise StreamBroken("The model ended without writing an answer; try again, or choose another model.")
        self._finished = finished
        await self._tell(self._reader.finish())
        cited = self._reader.citations
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


# --- the log ------------------------------------------------------------------------------------------------------------------


class Story:
    """One answer on its way, and the entries of its log, in the shapes of docs/protocol.md."""

    found: SearchResult
    decision: Decision

    def __init__(self, job: AnswerJob, log: AnswerLog, retriever: Retriever) -> None:
        self.job, self.log, self.retriever = job, log, retriever
        self.first_token_ms: float | None = None
        self.has_passages = False
        self._began = time.monotonic()

    def elapsed_ms(self) -> float:
        return round((time.monotonic() - self._began) * 1000, 1)

    @property
    def has_begun(self) -> bool:
        """Whether the model has written."""
        return self.first_token_ms is not None

    @functools.cached_property
    def question(self) -> Question:
        job, found = self.job, self.found
        begin = job.history[0].question if job.history else job.question
        return Question(
            job.question,
            job.history,
            found.passages if self.decision.shows_evidence else None,
            found.matched_terms,
            self._missing(),
            fence_mark(settings.SECRET_KEY, begin),
            job.shown,
            self.decision.unsure,
        )

    def question_for(self, limits: Limits) -> Question:
        """Where there is room, who calls what is asked about comes after everything else that was found."""
        passages = self.question.passages
        if not passages or not limits.numbered:
            return self.question
        return replace(self.question, passages=(*passages, *self.found.callers))

    def _missing(self) -> tuple[str, ...]:
        """Words of the question that occur nowhere. They don't matter where it asks for something that is defined here."""
        if any(CODE_NAME.search(symbol) for symbol in self.found.symbols):
            return ()
        return self.found.missing_terms[:MISSING_WORDS]

    async def status(self, stage: str, message: str, percent: int | None = None) -> None:
        await self.log.append("status", {"stage": stage, "message": message, "percent": percent})

    async def route(self, model: str = "", demonstration: bool = False, instead_of: str = "") -> None:
        """instead_of: why this model answers in another's place, in one sentence."""
        decision = self.decision
        route: dict[str, Any] = {"route": decision.route, "reason": decision.reason, "unsure": decision.unsure}
        if decision.chance is not None:
            route["chance"] = round(decision.chance, 3)
        if settings.LOG_ROUTES and decision.features is not None:
            route["features"] = {name: round(value, 4) for name, value in decision.features.items()}
        licence = family_of(model).licence.warning
        model_told = {"model": model, "demonstration": demonstration, "instead_of": instead_of, "licence": licence}
        await self.log.append("route", {**route, **model_told})

    async def passages(self, chosen: Sequence[Chosen], prompt: Prompt | None = None) -> None:
        """A later entry replaces an earlier one: a prompt may have to be packed again."""
        found, job = self.found, self.job
        steps = [{"name": step.name, "detail": step.detail, "took_ms": round(step.took_ms, 1)} for step in found.steps]
        entry: dict[str, Any] = {
            "repository": job.repository,
            "snapshot": str(job.snapshot_id),
            "commit": job.commit,
            "ref": job.ref,
            "dirty": job.dirty,
            "vectors": found.vectors,
            "embedded": found.embedded,
            "chunks": found.chunks,
            "took_ms": round(found.took_ms, 1),
            "filters": found.filters.as_json(),
            "steps": steps,
            "passages": [one.as_json() for one in chosen],
            "budget": prompt.budget_json() if prompt else None,
        }
        self.has_passages = True
        await self.log.append("passages", entry)

    async def admit_missing_words(self, *, goes_on: bool) -> None:
        """Say first what the repository holds no answer to: small models don't admit it, whatever they are told.

        goes_on: the model will be made to end this sentence.
        """
        if self.question.missing and not self.log.text:
            await self.log.delta(absent(self.question.missing) + (CLOSEST if goes_on else "\n\n"))

    async def completed(
        self,
        model: str,
        finish_reason: str,
        usage: dict[str, int] | None = None,
        tokens_per_s: float | None = None,
        read: CitationReader | None = None,
        abstained: bool = False,
    ) -> None:
        timings = {
            "retrieval_ms": round(self.found.took_ms, 1),
            "first_token_ms": self.first_token_ms,
            "total_ms": self.elapsed_ms(),
            "tokens_per_s": tokens_per_s,
        }
        citations = read.citations if read else ()
        claims = read.claims if read else Claims(0, 0)
        counts = {
            "verified": sum(one.state == "verified" for one in citations),
            "citations": len(citations),
            "claims": {"verified": claims.verified, "total": claims.total},
            "abstained": abstained,
        }
        used = usage or {"prompt_tokens": 0, "completion_tokens": 0}
        entry = {"model": model, "finish_reason": finish_reason, "usage": used, "timings": timings, **counts}
        await self.log.append("completed", entry)
