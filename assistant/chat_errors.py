"""Every way in which a model server fails, as one sentence that says what to do."""

from __future__ import annotations

import json
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import httpx

from assistant.chat import Endpoint
from assistant.errors import (
    ContextOverflow,
    ModelError,
    ModelLoading,
    ModelRejected,
    ModelTimeout,
    ModelUnreachable,
    StreamBroken,
)

STARTING = "The model server is starting; the answer begins when it is ready."
# vLLM's /health says no word: its engine has died, or a supervisor before it waits for its engines.
UNREADY = "The model server is not ready: it is starting, or its engine has died; the answer begins when it is ready."


def loading(response: httpx.Response) -> ModelLoading:
    said = json_or_none(response.text)
    said = said if isinstance(said, dict) else {}
    percent = said.get("percent")
    message = said.get("message") or (STARTING if response.text.strip() else UNREADY)
    return ModelLoading(str(message), int(percent) if isinstance(percent, int | float) else None)


_OVERFLOW = re.compile(
    r"maximum context length|cannot be greater than max_model_len|exceed_context_size_error|exceeds the available context size"
)


def refusal(endpoint: Endpoint, response: httpx.Response) -> ModelError:
    """What an HTTP status above 399 means; the response's body has been read."""
    status, said = response.status_code, json_or_none(response.text)
    text = error_text(said) or response.text[:200].strip()
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
        return loading(response)
    if status in (502, 504):
        return ModelUnreachable(
            f"The proxy at {endpoint.url} can't reach the model server (HTTP {status}); "
            "check that it runs, or wait if it has just been started."
        )
    if status >= 500:
        return broken(endpoint, f"an internal error ({text or f'HTTP {status}'})")
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


def broken(endpoint: Endpoint, what: str) -> StreamBroken:
    return StreamBroken(
        f"The model server at {endpoint.url} failed: {what}; try again, and look at its log if it happens again."
    )


@contextmanager
def transport_errors(endpoint: Endpoint, streaming: bool = False) -> Iterator[None]:
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
        return broken(endpoint, "the connection broke in the middle of the answer")
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


def error_text(said: Any) -> str:
    """The message in any of the envelopes: {"error": {"message"}}, {"error": "…"}, {"message"}."""
    if not isinstance(said, dict):
        return ""
    error = said.get("error", said)
    return str(error.get("message") or "")[:200] if isinstance(error, dict) else str(error or "")[:200]


def json_or_none(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def json_object(endpoint: Endpoint, response: httpx.Response) -> dict[str, Any]:
    said = json_or_none(response.text)
    if not isinstance(said, dict):
        raise ModelRejected(f"{endpoint.url} does not speak the OpenAI protocol; check the model server's URL.")
    return said
