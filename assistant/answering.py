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
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace

from django.conf import settings

from assistant.abstention import lacks_evidence, no_evidence
from assistant.answer_log import AnswerJob, AnswerLog
from assistant.catalogue import family_of
from assistant.chat import Endpoint, Finished, Message, ModelInfo
from assistant.chat_model import OpenAIChatModel, http_client, last_described
from assistant.endpoints import endpoints_for, is_general_model, timeouts
from assistant.errors import ContextOverflow, ModelError, ModelLoading
from assistant.fallback import EMBEDDED_START_S, Caller
from assistant.intent import OTHER_LANGUAGE, Decision, choose_route
from assistant.languages import general_model_speaks_instead
from assistant.moderation import Moderation, moderation_of
from assistant.packing import Limits, Packer, limits_for, unpacked
from assistant.prompts import NOTHING_FOUND
from assistant.route_kernel import states_of
from assistant.route_model import EMBEDDER
from assistant.story import Story
from assistant.token_counter import estimated_prompt_tokens, estimated_tokens
from assistant.writing import Writing
from indexer.retriever import Retriever
from indexer.types import SearchResult

logger = logging.getLogger(__name__)

# More than a small budget holds, so that the reader also sees what was nearly shown to the model; enough for a large one.
FEWEST_SEARCHED, MOST_SEARCHED = 12, 300
TOKENS_A_PASSAGE = 200
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
    story.found, _ = await asyncio.gather(_search(job, story.retriever), _read_ahead(job))
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


async def _read_ahead(job: AnswerJob) -> None:
    """What deciding its route needs of a question alone is made while the search runs."""
    if job.requested_route == "auto" and settings.EMBEDDER == EMBEDDER:
        await asyncio.to_thread(states_of, job.question)


async def _decide(job: AnswerJob, found: SearchResult) -> Decision:
    decision = await asyncio.to_thread(choose_route, job.question, job.requested_route, found, job.repository, job.history)
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
        applies = story.decision.asked_route == "general" or is_general_model(model.endpoint)
        await _write_or_pack_smaller(story, model, moderation if applies else None)

    async with http_client(timeouts()) as client, moderation_of(story) as moderation:
        waiting = _Waiting(story, endpoints[0])
        caller = Caller(client, endpoints, waiting, lambda: story.has_begun, embedded_start_s=embedded_start_s)
        try:
            await caller.call(write)
        except ModelError:
            if not story.has_passages:
                await _show_passages_early(story, endpoints[0])
            raise


async def _write_or_pack_smaller(story: Story, model: OpenAIChatModel, moderation: Moderation | None) -> None:
    limits = _limits(model.info, model.endpoint)
    try:
        await _write(story, model, limits, moderation)
    except ContextOverflow as overflow:
        if story.has_begun:
            raise
        logger.info("answer %s: the prompt is too long after all, packing it smaller", story.job.answer_id)
        await _write(story, model, limits.shrunk(_shrink(limits, overflow)), moderation)


async def _write(story: Story, model: OpenAIChatModel, limits: Limits, moderation: Moderation | None) -> None:
    """Pack, show what was packed, and let the model write. moderation: where this model's answer needs it."""
    family = family_of(model.info.name)
    prompt = await Packer(model.count, model.count_prompt, family, limits).pack(story.question_for(limits))
    if story.decision.shows_evidence:
        await story.passages(prompt.chosen, prompt)
    if moderation:
        await moderation.check_question()
    if story.decision.route == "code":
        await story.admit_missing_words(goes_on=model.endpoint.embedded)
    told = f"The model reads {prompt.tokens:,} tokens. {prompt.conversation.told()}"
    await story.status("reading", told.strip())
    writing = Writing(story, prompt, EMBEDDED_REPEATS if model.endpoint.embedded else REPEATS)
    messages, max_tokens = writing.to_send(model.endpoint)
    request = model.request(messages, max_tokens=max_tokens, stop=family.stop)
    await story.prompt(request, prompt)
    stream = model.stream(request)
    async with aclosing(moderation.released(stream) if moderation else stream) as parts:
        async for part in parts:
            if isinstance(part, Finished):
                await writing.finish(part)
            elif not await writing.take(part):
                await writing.finish(Finished("length", prompt.tokens))
                break
            else:
                await story.log.rest()
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
