"""The one way to a language model: OpenAI chat completions over HTTP, whoever serves them.

vLLM, the embedded llama.cpp server and whatever a team already runs speak this protocol; they differ in how they count tokens
and in how they refuse, and this module is the only one that knows. What holds here:

* A stream counts as complete only with a `finish_reason`, no error event, and `[DONE]`: `[DONE]` alone proves nothing (vLLM
  sends it after an engine error), and a killed server ends in a silent EOF. Everything else raises a `ModelError`.
* Closing the generator that `stream()` returns closes the connection, which is what ends generation at the server.
* Tokens are counted by the server's own tokenizer (assistant/token_counter.py).

Not the openai package: it retries by itself, hides the end of a stream and knows neither tokenizer.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
import logging
import re
import socket
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, cast

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from assistant.errors import (
    ContextOverflow,
    ModelError,
    ModelLoading,
    ModelRejected,
    ModelTimeout,
    ModelUnreachable,
    NotServed,
    StreamBroken,
)
from assistant.event_stream import MEDIA_TYPE, EventReader, ServerSentEvent
from assistant.token_counter import TokenCounter

logger = logging.getLogger(__name__)

# Answers about code should not be inventive; 0 makes small models repeat themselves.
TEMPERATURE = 0.2

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    content: str

    def as_json(self) -> dict[str, str]:
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is served. url: without `/v1`; name: "" for the first that it serves; context_tokens: 0 to ask it.

    embedded: it is this installation's own server, which is being started or restarted when it can't be reached.
    """

    url: str
    name: str = ""
    api_key: str = field(default="", repr=False)
    context_tokens: int = 0
    embedded: bool = False

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a server says of the model that it would use. context_tokens: None when nobody knows."""

    name: str
    context_tokens: int | None
    demonstration: bool = False


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. first_token covers the queue at the server and the reading of the prompt."""

    connect_s: float = 5.0
    first_token_s: float = 300.0
    gap_s: float = 60.0
    metadata_s: float = 10.0


@dataclass(frozen=True)
class ChatRequest:
    """One request for an answer. It is sent as `body`, byte for byte, so what is recorded of it is what the server got.

    Keys are in a header, never in here.
    """

    model: str
    messages: tuple[Message, ...]
    max_tokens: int
    stop: tuple[str, ...] = ()
    temperature: float = TEMPERATURE

    @property
    def sampling(self) -> dict[str, Any]:
        """The parameters that the answer depends on; those that aren't given are the server's own."""
        return {
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            **({"stop": list(self.stop)} if self.stop else {}),
        }

    @functools.cached_property
    def body(self) -> bytes:
        """JSON in one canonical form: keys sorted, no spaces, UTF-8."""
        told = {
            "model": self.model,
            "messages": [message.as_json() for message in self.messages],
            **self.sampling,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        return json.dumps(told, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()

    @functools.cached_property
    def sha256(self) -> str:
        """Of `body`, in hexadecimal."""
        return hashlib.sha256(self.body).hexdigest()


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the answer. pieces: in how many the server sent it, mostly a token each."""

    text: str
    pieces: int = 1


@dataclass(frozen=True, slots=True)
class Reasoning:
    """The model thinks aloud; none of it belongs to the answer, but it shows that something happens."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The stream was complete. Token counts are None where the server doesn't tell them."""

    finish_reason: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


StreamPart = Text | Reasoning | Finished


class ChatModel(Protocol):
    """A model that is ready. Methods raise ModelError."""

    info: ModelInfo

    async def count(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text is, without the template's own."""
        ...

    async def count_prompt(self, messages: Sequence[Message]) -> int:
        """How many tokens these messages are, template included."""
        ...

    def request(self, messages: Sequence[Message], *, max_tokens: int, stop: Sequence[str] = ()) -> ChatRequest:
        """What `stream` sends for these messages."""
        ...

    def stream(self, request: ChatRequest) -> AsyncGenerator[StreamPart, None]:
        """Text and Reasoning in order, then one Finished. Close it to stop generation."""
        ...


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
        with _transport_errors(self.endpoint), reading.deadline() as wait_s:
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
        with _transport_errors(self.endpoint):
            await response.aread()
        if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            try:
                await describe(self._client, self.endpoint)
            except ModelError as error:
                return error
        return refusal(self.endpoint, response)

    async def _next(self, chunks: AsyncGenerator[bytes, None], reading: _Reading) -> bytes | None:
        """Whatever has come. None at the end of the connection."""
        with _transport_errors(self.endpoint, streaming=True), reading.deadline() as wait_s:
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
        data = _json_or_none(event.data)
        if event.event == "error" or not isinstance(data, dict) or "error" in data:
            raise _broken(self._endpoint, f"an error in the middle of the answer ({_error_text(data) or event.data[:200]})")
        self._usage = data.get("usage") or self._usage
        choices = data.get("choices") or [{}]
        self._finish_reason = choices[0].get("finish_reason") or self._finish_reason
        return choices[0].get("delta") or {}

    def finished(self) -> Finished:
        """Raises StreamBroken unless the stream was complete."""
        if not self.done:
            raise _broken(self._endpoint, "the connection ended in the middle of the answer")
        if self._finish_reason in ("", "abort", "error"):
            raise _broken(self._endpoint, "the answer ended before it was complete")
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
    with _transport_errors(endpoint):
        response = await client.post(endpoint.url + path, json=body, headers=endpoint.headers)
    if response.is_error:
        raise refusal(endpoint, response)
    return _json_object(endpoint, response)


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
    with _transport_errors(endpoint):
        health = await client.get(endpoint.url + "/health", headers=endpoint.headers)
        if health.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise _loading(health)
        response = await client.get(endpoint.url + "/v1/models", headers=endpoint.headers)
    if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        raise _loading(response)
    if response.is_error:
        raise refusal(endpoint, response)
    info = _described[endpoint] = _chosen(endpoint, _json_object(endpoint, response))
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


STARTING = "The model server is starting; the answer begins when it is ready."
# vLLM's /health says no word: its engine has died, or a supervisor before it waits for its engines.
UNREADY = "The model server is not ready: it is starting, or its engine has died; the answer begins when it is ready."


def _loading(response: httpx.Response) -> ModelLoading:
    said = _json_or_none(response.text)
    said = said if isinstance(said, dict) else {}
    percent = said.get("percent")
    message = said.get("message") or (STARTING if response.text.strip() else UNREADY)
    return ModelLoading(str(message), int(percent) if isinstance(percent, int | float) else None)


# --- every way to fail, as one sentence ------------------------------------------------------------------------------------

_OVERFLOW = re.compile(
    r"maximum context length|cannot be greater than max_model_len|exceed_context_size_error|exceeds the available context size"
)


def refusal(endpoint: Endpoint, response: httpx.Response) -> ModelError:
    """What an HTTP status above 399 means; the response's body has been read."""
    status, said = response.status_code, _json_or_none(response.text)
    text = _error_text(said) or response.text[:200].strip()
    if status == 400 and _OVERFLOW.search(response.text):
        return _overflow(said, text)
    if status in (401, 403):
        return ModelRejected(f"{endpoint.url} refuses the API key (HTTP {status}); check the key in the settings.")
    if status == 404:
        what = f"the model {endpoint.name}" if endpoint.name else "this path"
        return ModelRejected(f"{endpoint.url} does not know {what} ({text or 'HTTP 404'}); check the model's URL and name.")
    if status == 429:
        return ModelRejected(f"{endpoint.url} has too many requests at the moment; try again in a minute.")
    if status == 503:
        return _loading(response)
    if status in (502, 504):
        return ModelUnreachable(
            f"The proxy at {endpoint.url} can't reach the model server (HTTP {status}); "
            "check that it runs, or wait if it has just been started."
        )
    if status >= 500:
        return _broken(endpoint, f"an internal error ({text or f'HTTP {status}'})")
    return ModelRejected(f"{endpoint.url} refused the request (HTTP {status}: {text}); check that it serves chat completions.")


def _overflow(said: Any, text: str) -> ContextOverflow:
    error = said.get("error", said) if isinstance(said, dict) else {}
    told = error if isinstance(error, dict) else {}
    context, prompt = told.get("n_ctx"), told.get("n_prompt_tokens")
    if context is None and (found := re.search(r"maximum context length (?:is|of) (\d+)|max_model_len=(\d+)", text)):
        context = int(found[1] or found[2])
    if prompt is None and (found := re.search(r"(?:at least|contains|requested) (\d+) ", text)):
        prompt = int(found[1])
    return ContextOverflow("The question and its context are longer than the model can read; ask it shorter.", prompt, context)


def _broken(endpoint: Endpoint, what: str) -> StreamBroken:
    return StreamBroken(
        f"The model server at {endpoint.url} failed: {what}; try again, and look at its log if it happens again."
    )


@contextmanager
def _transport_errors(endpoint: Endpoint, streaming: bool = False) -> Iterator[None]:
    """httpx's errors as ours. streaming: the answer had begun, so whoever was reached is not unreachable but broken."""
    try:
        yield
    except httpx.ConnectTimeout as error:
        # httpx-aiohttp says this of every connection that fails; aiohttp knows better.
        if isinstance(error.__cause__, aiohttp.ClientConnectorError):
            raise ModelUnreachable(_cannot_connect(endpoint, error)) from None
        if not isinstance(error.__cause__, TimeoutError):
            raise _connection_broke(endpoint, streaming) from error
        raise ModelUnreachable(f"Nothing answers at {endpoint.url}; check its address and the network between.") from None
    except httpx.TimeoutException:
        raise ModelTimeout(f"The model server at {endpoint.url} does not answer; it may be overloaded, try again.") from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        raise ModelRejected(
            f"{endpoint.url!r} is no URL of a model server; it has to begin with http:// or https://."
        ) from None
    except httpx.RequestError as error:
        raise _connection_broke(endpoint, streaming) from error


def _connection_broke(endpoint: Endpoint, streaming: bool) -> ModelError:
    if streaming:
        return _broken(endpoint, "the connection broke in the middle of the answer")
    return ModelUnreachable(f"The model server at {endpoint.url} closed the connection; check that it runs.")


def _cannot_connect(endpoint: Endpoint, error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            return f"The host of {endpoint.url} is unknown; check the model server's address."
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, aiohttp.ClientError):
            return (
                f"The certificate of {endpoint.url} is not accepted ({cause.reason}); check the address, or add the authority."
            )
        cause = cause.__cause__ or cause.__context__
    if endpoint.embedded:
        return f"The embedded model server at {endpoint.url} is not running; start it with `make run`."
    # vLLM binds its port before it loads and listens only afterwards: loading and not running look the same.
    return (
        f"No model server answers at {endpoint.url}; start it, wait if it has just been started (vLLM listens only once its "
        "weights are loaded), or change its address in the settings."
    )


def _error_text(said: Any) -> str:
    """The message in any of the envelopes: {"error": {"message"}}, {"error": "…"}, {"message"}."""
    if not isinstance(said, dict):
        return ""
    error = said.get("error", said)
    return str(error.get("message") or "")[:200] if isinstance(error, dict) else str(error or "")[:200]


def _json_or_none(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _json_object(endpoint: Endpoint, response: httpx.Response) -> dict[str, Any]:
    said = _json_or_none(response.text)
    if not isinstance(said, dict):
        raise ModelRejected(f"{endpoint.url} does not speak the OpenAI protocol; check the model server's URL.")
    return said
