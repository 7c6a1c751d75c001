"""The embedded model server: one port that answers from its first second, and speaks OpenAI's protocol once it can.

While the weights come, a small HTTP server on the port tells how far they are; then it gives the port to llama.cpp's
own server (xllamacpp), which binds it within milliseconds, says 503 "Loading model" while it loads, and answers from
then on. So whoever speaks to this address speaks to it as to any other model server, and sees a 503 that explains
itself instead of a refused connection. Nothing of llama.cpp is shared with another process of ours: a crash in it, or its
two gigabytes, stay here.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import Any

import httpx

from assistant.catalogue import family_of
from assistant.errors import ModelError, WeightsError
from assistant.prompts import CODE_BEGINNING, normalised
from assistant.weights import DEMONSTRATION, Choice, FetchProgress, Weights, WeightsSource, discard_if_damaged, fetch

log = logging.getLogger(__name__)

# One reader's answer and another's beside it. More would share too few cores.
PARALLEL_ANSWERS = 2
# llama.cpp keeps the state of earlier prompts for follow-up questions. Its default is 8 GiB of memory; a state of this
# model takes 28 KiB a token, so this is four full contexts.
PROMPT_CACHE_MIB = 512
RETRY_S = 60.0
READ_AHEAD_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """What GET /health says until the model is there. status: "downloading", "loading" or "failed"."""

    status: str
    percent: int | None
    model: str
    demonstration: bool
    message: str


class PlaceholderServer(ThreadingHTTPServer):
    """Answers every request with 503 and how far the model is."""

    daemon_threads = True

    def __init__(self, host: str, port: int, model: Weights) -> None:
        self.waiting = Waiting("loading", None, model.alias, model.demonstration, "The model server is starting.")
        super().__init__((host, port), _PlaceholderHandler)

    def tell(self, status: str, percent: int | None, model: Weights, message: str) -> None:
        if message != self.waiting.message and status != self.waiting.status:
            log.info("%s", message)
        self.waiting = Waiting(status, percent, model.alias, model.demonstration, message)


class _PlaceholderHandler(BaseHTTPRequestHandler):
    server: PlaceholderServer

    def do_GET(self) -> None:
        waiting = self.server.waiting
        if self.path.split("?")[0] == "/health":
            return self._send(asdict(waiting))
        return self._send({"error": {"message": waiting.message, "type": "unavailable_error", "code": 503}})

    def do_POST(self) -> None:
        self.do_GET()

    def _send(self, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(503)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)


@contextmanager
def placeholder(host: str, port: int, model: Weights) -> Iterator[PlaceholderServer]:
    """A placeholder that answers on host:port until the block ends. Raises ModelError when the port is taken."""
    try:
        server = PlaceholderServer(host, port, model)
    except OSError as error:
        raise ModelError(
            f"The model server can't listen on {host}:{port} ({error.strerror}): set SEXTANT_EMBEDDED_PORT."
        ) from error
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Gets the weights for a choice, or the demonstration model's where the chosen ones can't be had."""

    cache_dir: Path
    sources: tuple[WeightsSource, ...]
    given: Path | None = None

    def obtain(self, choice: Choice, server: PlaceholderServer) -> tuple[Weights, Path]:
        """The model to run and its file. Raises WeightsError when not even the demonstration model can be had."""
        try:
            return choice.weights, self._fetch(choice.weights, choice.reason, server)
        except WeightsError as error:
            if choice.weights.demonstration:
                raise
            log.warning("%s The demonstration model answers instead.", error)
            return DEMONSTRATION, self._fetch(DEMONSTRATION, str(error), server)

    def _fetch(self, weights: Weights, reason: str, server: PlaceholderServer) -> Path:
        def report(progress: FetchProgress) -> None:
            message = f"Downloading {weights.title} from {progress.source}: {progress.percent} %. {reason}".strip()
            server.tell("downloading", progress.percent, weights, message)

        return fetch(weights, self.cache_dir, sources=self.sources, given=self.given, report=report)


def wait_for_weights(host: str, port: int, choice: Choice, fetcher: Fetcher) -> tuple[Weights, Path]:
    """Answer on host:port until the weights are there, and try again once a minute while they can't be had."""
    with placeholder(host, port, choice.weights) as server:
        while True:
            try:
                weights, path = fetcher.obtain(choice, server)
                server.tell("loading", None, weights, f"Loading {weights.title}.")
                return weights, path
            except WeightsError as error:
                log.error("%s Trying again in a minute.", error)
                server.tell("failed", None, choice.weights, str(error))
                time.sleep(RETRY_S)


def serve(weights: Weights, path: Path, host: str, port: int, *, context_tokens: int, cache_dir: Path) -> Any:
    """Start llama.cpp's server on host:port and return it once the model is loaded; it answers as long as it is referenced.

    Raises ModelError when the port is taken or the file can't be loaded.
    """
    # Read when the library is loaded: with two OpenMP threads on a busy machine, spinning makes decoding collapse.
    os.environ.update(OMP_WAIT_POLICY="PASSIVE", GOMP_SPINCOUNT="0")
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.model_alias = {weights.alias}
    parameters.hostnames = [host]
    parameters.port = port
    parameters.n_ctx = context_tokens * PARALLEL_ANSWERS
    parameters.n_parallel = PARALLEL_ANSWERS
    parameters.cpuparams.n_threads = os.cpu_count() or 1
    parameters.cache_ram_mib = PROMPT_CACHE_MIB
    parameters.verbosity = 1
    # Only our answerer speaks to it: no page of its own, no other website's scripts, no view of other readers' prompts.
    parameters.ui = False
    parameters.cors_origins = "https://nowhere.invalid"
    parameters.endpoint_slots = False
    try:
        return xllamacpp.Server(parameters)
    except RuntimeError as error:
        if path.is_relative_to(cache_dir) and discard_if_damaged(weights, cache_dir):
            raise ModelError(
                f"The file of {weights.title} was damaged and has been removed: it will be fetched again."
            ) from error
        raise ModelError(f"{weights.title} can't be loaded, or {host}:{port} is taken: see the lines above.") from error


def read_ahead(address: str, alias: str) -> None:
    """Have the server read what every prompt about the code begins with, so that the first question needn't wait for that:
    llama.cpp keeps the state of a prompt, and goes on from where the next one differs."""
    messages = [asdict(message) for message in normalised(CODE_BEGINNING, family_of(alias))]
    question = {"model": alias, "messages": messages, "max_tokens": 1}
    try:
        httpx.post(f"{address}/v1/chat/completions", json=question, timeout=READ_AHEAD_TIMEOUT_S).raise_for_status()
    except httpx.HTTPError as error:
        log.warning("The beginning of the prompts could not be read ahead: %s", error)
    else:
        log.info("%s has read the beginning of the prompts.", alias)


def run(host: str, port: int, choice: Choice, fetcher: Fetcher, *, context_tokens: int) -> None:
    """The whole life of the model server, until SIGTERM or SIGINT."""
    _on_stop(_exit)
    weights, path = wait_for_weights(host, port, choice, fetcher)
    log.info("Loading %s.", weights.title)
    # From here on there is nothing to save or to clean up, and a thread of llama.cpp that computes can't be interrupted.
    _on_stop(_exit_at_once)
    server = serve(weights, path, host, port, context_tokens=context_tokens, cache_dir=fetcher.cache_dir)
    log.info("%s answers at %s with %s tokens of context.", weights.alias, server.listening_address, context_tokens)
    read_ahead(server.listening_address, weights.alias)
    while True:
        signal.pause()


def _on_stop(handler: Callable[[int, FrameType | None], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)


def _exit(number: int, frame: FrameType | None) -> None:
    """Leaves through every `finally`, so that a download in a child process ends too."""
    sys.exit(0)


def _exit_at_once(number: int, frame: FrameType | None) -> None:
    os._exit(0)
