"""One answer on its way, and the entries of its log, in the shapes of docs/protocol.md."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django.conf import settings

from assistant.answer_log import AnswerJob, AnswerLog
from assistant.catalogue import family_of
from assistant.chat import ChatRequest
from assistant.citations import CitationReader, Claims
from assistant.intent import Decision
from assistant.packing import Chosen, Limits, Prompt, Question
from assistant.prompts import CLOSEST, absent
from indexer.retriever import Retriever
from indexer.types import SearchResult

MISSING_WORDS = 5
# A name that nobody writes but for the code: `stream_with_context`, `getUser`, `Session.get`.
CODE_NAME = re.compile(r"\w[_.]\w|[a-z][A-Z]")


class Story:
    """What an answer stands on, and what it has said so far."""

    found: SearchResult
    decision: Decision

    def __init__(self, job: AnswerJob, log: AnswerLog, retriever: Retriever) -> None:
        self.job, self.log, self.retriever = job, log, retriever
        self.first_token_ms: float | None = None
        self.has_passages = False
        # Whether what was written has been moderated; None where it needn't be.
        self.moderated: bool | None = None
        self._not_moderated = ""
        self._model_told: tuple[str, bool, str] = ("", False, "")
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
        return Question(
            job.question,
            job.history,
            found.passages if self.decision.shows_evidence else None,
            found.matched_terms,
            self._missing(),
            job.fence_mark,
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
        self._model_told = model, demonstration, instead_of
        route: dict[str, Any] = {"route": decision.route, "reason": decision.reason, "unsure": decision.unsure}
        if decision.chance is not None:
            route["chance"] = round(decision.chance, 3)
        if settings.LOG_ROUTES and decision.features is not None:
            route["features"] = {name: round(value, 4) for name, value in decision.features.items()}
        licence = family_of(model).licence.warning
        model_told = {"model": model, "demonstration": demonstration, "instead_of": instead_of, "licence": licence}
        await self.log.append("route", {**route, **model_told, "not_moderated": self._not_moderated})

    async def not_moderated(self, why: str) -> None:
        """Tell, once, that what comes was not moderated though it should be. why: one sentence."""
        if self.moderated is not False:
            self.moderated, self._not_moderated = False, why
            await self.route(*self._model_told)

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

    async def prompt(self, request: ChatRequest, packed: Prompt) -> None:
        """Before the request is sent: what a model wrote is in no log without what it was sent."""
        entry = {
            "sha256": request.sha256,
            "model": request.model,
            "sampling": request.sampling,
            "tokens": packed.tokens,
            "messages": len(request.messages),
        }
        await self.log.prompt(entry, request.body)

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
            # Text that was held back doesn't show the model's pace.
            "tokens_per_s": tokens_per_s if self.moderated is None else None,
        }
        # What is only similar was not checked, and the model didn't cite it.
        citations = [one for one in read.citations if one.state != "similar"] if read else []
        claims = read.claims if read else Claims(0, 0)
        counts = {
            "verified": sum(one.state == "verified" for one in citations),
            "citations": len(citations),
            "claims": {"verified": claims.verified, "total": claims.total},
            "abstained": abstained,
            "moderated": self.moderated,
        }
        used = usage or {"prompt_tokens": 0, "completion_tokens": 0}
        entry = {"model": model, "finish_reason": finish_reason, "usage": used, "timings": timings, **counts}
        await self.log.append("completed", entry)
