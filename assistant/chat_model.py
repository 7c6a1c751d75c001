"""The one way to a language model: OpenAI chat completions over HTTP, whoever serves them.

vLLM, the embedded llama.cpp server and whatever a team already runs speak this protocol; they differ in how they count tokens
(assistant/token_counter.py) and in how they refuse (assistant/chat_errors.py). What holds here:

* A stream counts as complete only with a `finish_reason`, no error event, and `[DONE]`: `[DONE]` alone proves nothing (vLLM
  sends it after an engine error), and a killed server ends in a silent EOF. Everything else raises a `ModelError`.
* Closing the generator that `stream()` returns closes the connection, which is what ends generation at the server.
* Tokens are counted by the server's own tokenizer (assistant/token_counter.py).

Not the openai package: it retries by itself, hides the end of a stream and knows neither tokenizer.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any, cast

import httpx
from httpx_aiohttp import AiohttpTransport

from assistant.chat import ChatRequest, Endpoint, Finished, Message, ModelInfo, Reasoning, StreamPart, Text, Timeouts
from assistant.chat_errors import broken, error_text, json_object, json_or_none, loading, refusal, transport_errors
from assistant.errors import ModelError, ModelRejected, ModelTimeout, NotServed, StreamBroken
from assistant.event_stream import MEDIA_TYPE, EventReader, ServerSentEvent
from assistant.token_counter import TokenCounter

logger = logging.getLogger(__name__)


class OpenAIChatModel:
    """`ChatModel` over HTTP; made by `connect`."""

    def __init__(self, client: httpx.AsyncClient, endpoint: Endpoint, info: ModelInfo, timeouts: Timeouts) -> None:
        self.endpoint, self.info = endpoint, info
        self._client, self._timeouts = client, timeouts
        self._counter = TokenCounter(functools.partial(post, client, endpoint), endpoint.url, info.name)

    async def count(self, texts: Sequence[str]) -> list[int]:
        return await self._counter.count(texts)

    async def count_prompt(self, messages: Sequence[Message]) -> int:
        return await self._counter.count_prompt([message.as_json() for message in messages])

    def request(self, messages: Sequence[Message], *, max_tokens: int, stop: Sequence[str] = ()) -> ChatRequest:
        return ChatRequest(self.info.name, tuple(messages), max_tokens, tuple(stop))

    async def stream(self, request: ChatRequest) -> AsyncGenerator[StreamPart, None]:
        reading = _Reading(self.endpoint, self._timeouts)
        async with self._open(request.body, reading) as response:
            chunks = cast(AsyncGenerator[bytes, None], response.aiter_bytes())
            async with aclosing(chunks):
                while not reading.done and (chunk := await self._next(chunks, reading)) is not None:
                    for part in reading.take(chunk):
                        yield part
        yield reading.finished()

    @asynccontextmanager
    async def _open(self, body: bytes, reading: _Reading) -> AsyncIterator[httpx.Response]:
        """The response, which is a stream of events. Leaving the context closes the connection, read to its end or not."""
        timeout = httpx.Timeout(None, connect=self._timeouts.connect_s)
        url = self.endpoint.url + "/v1/chat/completions"
        headers = {**self.endpoint.headers, "Content-Type": "application/json"}
        request = self._client.build_request("POST", url, content=body, headers=headers, timeout=timeout)
        with transport_errors(self.endpoint), reading.deadline() as wait_s:
            async with asyncio.timeout(wait_s):
                response = await self._client.send(request, stream=True)
        try:
            if response.is_error:
                raise await self._refused(response)
            if MEDIA_TYPE not in response.headers.get("content-type", ""):
                raise ModelRejected(
                    f"{self.endpoint.url} answers, but not with a stream; check that it serves chat completions."
                )
            yield response
        finally:
            await response.aclose()

    async def _refused(self, response: httpx.Response) -> ModelError:
        """Loading and refusing look alike on this path; /health knows how far a download is."""
        with transport_errors(self.endpoint):
            await response.aread()
        if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            try:
                await describe(self._client, self.endpoint)
            except ModelError as error:
                return error
        return refusal(self.endpoint, response)

    async def _next(self, chunks: AsyncGenerator[bytes, None], reading: _Reading) -> bytes | None:
        """Whatever has come. None at the end of the connection."""
        with transport_errors(self.endpoint, streaming=True), reading.deadline() as wait_s:
            # Not wait_for: in Python 3.11 it loses a cancellation that comes together with a chunk.
            async with asyncio.timeout(wait_s):
                return await anext(chunks, None)


class _Reading:
    """What a stream has said so far: it decides which deadline holds, and whether the end is a real one."""

    def __init__(self, endpoint: Endpoint, timeouts: Timeouts) -> None:
        self.done = False
        self._endpoint, self._timeouts = endpoint, timeouts
        self._first_due = time.monotonic() + timeouts.first_token_s
        self._events = EventReader()
        self._began = False
        self._finish_reason = ""
        self._usage: dict[str, Any] = {}

    @contextmanager
    def deadline(self) -> Iterator[float]:
        """Seconds until the next event is due; a TimeoutError inside becomes ModelTimeout."""
        wait_s = self._timeouts.gap_s if self._began else max(0.0, self._first_due - time.monotonic())
        try:
            yield wait_s
        except TimeoutError:
            if self._began:
                sentence = f"The model stopped in the middle: nothing came for {self._timeouts.gap_s:g} s; try again."
            else:
                sentence = (
                    f"The model wrote nothing within {self._timeouts.first_token_s:g} s; it may be overloaded, try again."
                )
            raise ModelTimeout(sentence) from None

    def take(self, chunk: bytes) -> Iterator[StreamPart]:
        """The parts that are complete, neighbouring text as one. Raises StreamBroken after them for an error event, or one
        that isn't JSON."""
        texts: list[str] = []
        try:
            for event in self._events.feed(chunk):
                delta = self._delta(event)
                if delta.get("reasoning") or delta.get("reasoning_content"):
                    self._began = True
                    yield Reasoning()
                if delta.get("content"):
                    self._began = True
                    texts.append(delta["content"])
        except ModelError:
            if texts:
                yield Text("".join(texts), len(texts))
            raise
        if texts:
            yield Text("".join(texts), len(texts))

    def _delta(self, event: ServerSentEvent) -> Mapping[str, Any]:
        if event.data == "[DONE]":
            self.done = True
            return {}
        data = json_or_none(event.data)
        if event.event == "error" or not isinstance(data, dict) or "error" in data:
            raise broken(self._endpoint, f"an error in the middle of the answer ({error_text(data) or event.data[:200]})")
        self._usage = data.get("usage") or self._usage
        choices = data.get("choices") or [{}]
        self._finish_reason = choices[0].get("finish_reason") or self._finish_reason
        return choices[0].get("delta") or {}

    def finished(self) -> Finished:
        """Raises StreamBroken unless the stream was complete."""
        if not self.done:
            raise broken(self._endpoint, "the connection ended in the middle of the answer")
        if self._finish_reason in ("", "abort", "error"):
            raise broken(self._endpoint, "the answer ended before it was complete")
        return Finished(self._finish_reason, self._usage.get("prompt_tokens"), self._usage.get("completion_tokens"))


# --- before a stream: is it there, what is it -----------------------------------------------------------------------------


@asynccontextmanager
async def http_client(timeouts: Timeouts) -> AsyncIterator[httpx.AsyncClient]:
    """A client for one answer, or for one poller. A prompt goes where the settings say: no redirect or proxy is followed."""
    timeout = httpx.Timeout(timeouts.metadata_s, connect=timeouts.connect_s)
    # Let go of before the server does, which for uvicorn, and so vLLM, is after 5 s.
    limits = httpx.Limits(keepalive_expiry=3.0)
    transport = AiohttpTransport(verify=_tls(), trust_env=False, limits=limits)
    async with httpx.AsyncClient(transport=transport, timeout=timeout, trust_env=False) as client:
        yield client


@functools.cache
def _tls() -> ssl.SSLContext:
    """One for all clients: reading the certificates takes some 20 ms."""
    return httpx.create_ssl_context()


async def post(client: httpx.AsyncClient, endpoint: Endpoint, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON object that it answers. Raises ModelError."""
    with transport_errors(endpoint):
        response = await client.post(endpoint.url + path, json=body, headers=endpoint.headers)
    if response.is_error:
        raise refusal(endpoint, response)
    return json_object(endpoint, response)


async def connect(client: httpx.AsyncClient, endpoint: Endpoint, timeouts: Timeouts) -> OpenAIChatModel:
    """The model behind `endpoint`. Raises ModelError when it is not ready.

    A router may ask a replica that has just died for its models, and yet have another that answers: then what was last heard
    of the model holds, and the answer's own request tells whether it can be had.
    """
    try:
        info = await describe(client, endpoint)
    except StreamBroken:
        known = last_described(endpoint)
        if known is None:
            raise
        info = known
    return OpenAIChatModel(client, endpoint, info, timeouts)


async def describe(client: httpx.AsyncClient, endpoint: Endpoint) -> ModelInfo:
    """Ask /health and /v1/models. Raises ModelLoading with its percent, ModelUnreachable, or ModelRejected."""
    with transport_errors(endpoint):
        health = await client.get(endpoint.url + "/health", headers=endpoint.headers)
        if health.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise loading(health)
        response = await client.get(endpoint.url + "/v1/models", headers=endpoint.headers)
    if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        raise loading(response)
    if response.is_error:
        raise refusal(endpoint, response)
    info = _described[endpoint] = _chosen(endpoint, json_object(endpoint, response))
    return info


_described: dict[Endpoint, ModelInfo] = {}


def last_described(endpoint: Endpoint) -> ModelInfo | None:
    """What this process was told the last time that it asked, without asking."""
    return _described.get(endpoint)


def _chosen(endpoint: Endpoint, answer: Mapping[str, Any]) -> ModelInfo:
    data = answer.get("data")
    served = [model for model in data if isinstance(model, dict) and model.get("id")] if isinstance(data, list) else []
    names = [str(model["id"]) for model in served]
    if not names:
        raise ModelRejected(f"{endpoint.url} serves no model; start it with one.")
    if endpoint.name and endpoint.name not in names:
        raise NotServed(f"{endpoint.url} does not serve {endpoint.name}; it has {', '.join(names[:5])}.")
    model = served[names.index(endpoint.name)] if endpoint.name else served[0]
    return ModelInfo(str(model["id"]), endpoint.context_tokens or _context_of(model), is_demonstration(str(model["id"])))


def _context_of(model: Mapping[str, Any]) -> int | None:
    """vLLM tells `max_model_len`, llama.cpp `meta.n_ctx`, others nothing."""
    meta = model.get("meta")
    told = (model.get("max_model_len"), meta.get("n_ctx") if isinstance(meta, dict) else None)
    return next((tokens for tokens in told if isinstance(tokens, int) and tokens > 0), None)


def is_demonstration(name: str) -> bool:
    """A model too small for real answers says so in its name."""
    return name.endswith("-demonstration")
