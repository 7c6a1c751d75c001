"""Who judges texts for moderation: a Llama Guard, or any classifier that speaks OpenAI's `/v1/moderations`.

Llama Guard 3 is a chat model whose template puts its policy around a conversation: it gets the messages as they are, judges the
last one, and writes "safe", or "unsafe" and on the next line the categories, as in "S1,S10" (Meta's model card). Classifiers
get the last text alone, and answer `{"results": [{"flagged", "categories": {name: bool}}]}`.

Judges raise ModelError as any model server's client does, and have its circuit breaker; what is then done is decided in
assistant/moderation.py.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import httpx

from assistant.chat import Endpoint, Message
from assistant.chat_model import describe, post
from assistant.circuits import Circuits, shared_circuits
from assistant.errors import ModelRejected, ModelTimeout
from assistant.fallback import RETRY_AFTER_S, may_pass
from assistant.prompts import neutralised

# The hazards of Llama Guard 3's model card; S1 to S13 are MLCommons'.
CATEGORIES = {
    "S1": "Violent Crimes",
    "S2": "Non-Violent Crimes",
    "S3": "Sex-Related Crimes",
    "S4": "Child Sexual Exploitation",
    "S5": "Defamation",
    "S6": "Specialized Advice",
    "S7": "Privacy",
    "S8": "Intellectual Property",
    "S9": "Indiscriminate Weapons",
    "S10": "Hate",
    "S11": "Suicide & Self-Harm",
    "S12": "Sexual Content",
    "S13": "Elections",
    "S14": "Code Interpreter Abuse",
}
# "unsafe" and all its categories.
VERDICT_TOKENS = 60
_VERDICT = re.compile(r"\s*(safe|unsafe)\b\s*([^\n]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """categories: what a text was flagged for, as the judge calls it; may be empty for one that is flagged all the same."""

    flagged: bool
    categories: tuple[str, ...] = ()


class Judge(Protocol):
    async def judge(self, conversation: Sequence[Message]) -> Verdict:
        """Of the last message. Raises ModelError."""
        ...


def judge_at(client: httpx.AsyncClient, endpoint: Endpoint, kind: str, timeout_s: float) -> Judge:
    """kind: "guard" or "moderations". timeout_s: for one verdict, the second try included."""
    return _Patient(LlamaGuard(client, endpoint) if kind == "guard" else Classifier(client, endpoint), endpoint, timeout_s)


class LlamaGuard:
    def __init__(self, client: httpx.AsyncClient, endpoint: Endpoint) -> None:
        self._client, self._endpoint = client, endpoint
        self._name = endpoint.name

    async def judge(self, conversation: Sequence[Message]) -> Verdict:
        self._name = self._name or (await describe(self._client, self._endpoint)).name
        messages = [Message(message.role, neutralised(message.content)).as_json() for message in conversation]
        body = {"model": self._name, "messages": messages, "temperature": 0, "max_tokens": VERDICT_TOKENS}
        return self._read(await post(self._client, self._endpoint, "/v1/chat/completions", body))

    def _read(self, said: Mapping[str, Any]) -> Verdict:
        try:
            found = _VERDICT.match(said["choices"][0]["message"]["content"])
        except (LookupError, TypeError):
            found = None
        if found is None:
            raise ModelRejected(
                f"{self._endpoint.url} says neither safe nor unsafe; check that it serves a Llama Guard, "
                "or set SEXTANT_MODERATION_KIND."
            )
        if found[1].lower() == "safe":
            return Verdict(False)
        return Verdict(True, tuple(each.strip() for each in found[2].split(",") if each.strip()))


class Classifier:
    def __init__(self, client: httpx.AsyncClient, endpoint: Endpoint) -> None:
        self._client, self._endpoint = client, endpoint

    async def judge(self, conversation: Sequence[Message]) -> Verdict:
        model = {"model": self._endpoint.name} if self._endpoint.name else {}
        body = {**model, "input": conversation[-1].content}
        said = await post(self._client, self._endpoint, "/v1/moderations", body)
        try:
            results = [(bool(each["flagged"]), each.get("categories") or {}) for each in said["results"]]
            categories = tuple(sorted({name for _, told in results for name, is_so in told.items() if is_so}))
        except (LookupError, TypeError, AttributeError):
            results = []
        if not results:
            raise ModelRejected(f"{self._endpoint.url} gives no results of a moderation; check that it serves /v1/moderations.")
        flagged = any(flagged for flagged, _ in results)
        return Verdict(flagged, categories if flagged else ())


class _Patient:
    """Asks once more where that may help, not for longer than `timeout_s`, and not at all where it has failed too often."""

    def __init__(self, judge: Judge, endpoint: Endpoint, timeout_s: float, circuits: Circuits | None = None) -> None:
        self._judge, self._endpoint, self._timeout_s = judge, endpoint, timeout_s
        self._circuits = circuits or shared_circuits()

    async def judge(self, conversation: Sequence[Message]) -> Verdict:
        async with self._circuits.guard(self._endpoint):
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await self._try_twice(conversation)
            except TimeoutError:
                raise ModelTimeout(f"{self._endpoint.url} gave no verdict within {self._timeout_s:g} s.") from None

    async def _try_twice(self, conversation: Sequence[Message]) -> Verdict:
        try:
            return await self._judge.judge(conversation)
        except Exception as error:
            if not may_pass(error):
                raise
        await asyncio.sleep(RETRY_AFTER_S)
        return await self._judge.judge(conversation)
