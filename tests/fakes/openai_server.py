"""A paced OpenAI-compatible model server that runs in its own process and fails on request.

It speaks what Sextant's client uses: `/v1/chat/completions` (streamed or not), `/v1/models`, `/health`, `/tokenize` and, in
llama.cpp's dialect, `/apply-template` and `/props`. With `unsafe` it is a Llama Guard, and a classifier at `/v1/moderations`.
How it answers is a `Scenario`, given at the start, changed at any time through `POST /control`, or chosen for one request by
the model's name: model "fake-eof" behaves as a scenario with `fault="eof"`. `GET /control` tells how many generations run at
this moment, which is how a test proves that Stop reaches the model server. `GET /control/sent` tells when each piece of each
generation was sent, by the SHA-256 of the request's body.

    with FakeModelServer(text="It is `login` [1].", delay_s=0.05) as server:
        ... SEXTANT_CODE_MODEL_URL = server.url ...
        server.set(fault="error_event", after=3)
        assert server.stats()["running"] == 0

Run by hand: `python tests/fakes/openai_server.py --port 8011 --scenario '{"delay_s": 0.2}'`.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import hashlib
import json
import re
import signal
import socket
import subprocess
import sys
import time
import zlib
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

DEFAULT_TEXT = (
    "The first passage holds the answer [1]. It is written slowly, a few words at a time, so that a reader can watch it grow, "
    "stop it, reload the page in the middle of it, or end the process that writes it. "
) * 4

FAULTS = {
    "": "none",
    "overflow": "400, vLLM's nested envelope",
    "overflow_flat": "400, the flat envelope of vLLM up to 0.8.5",
    "overflow_llamacpp": "400, exceed_context_size_error with n_prompt_tokens and n_ctx",
    "unauthorized": "401 with vLLM's string error",
    "unknown_model": "404",
    "loading": "503 on everything but /control, with `percent`",
    "unready": "503 without a word from /health, as vLLM says it whose engine has died or isn't there yet",
    "server_error": "500",
    "error_event": "an error event after `after` pieces, then [DONE], as vLLM does when its engine dies",
    "eof": "a clean end of the stream after `after` pieces, without finish_reason",
    "done_only": "[DONE] after `after` pieces, without finish_reason",
    "cut": "the connection breaks after `after` pieces",
    "stall_first": "no token ever comes",
    "stall_gap": "no further token comes after `after` pieces",
    "length": "finish_reason length after `after` pieces",
    "reasoning": "`reasoning` deltas come before the answer",
    "reasoning_content": "the same in the older field",
    "not_sse": "200 with a JSON body instead of a stream",
    "silent": "accepts the request and never sends a response header",
}


@dataclasses.dataclass
class Scenario:
    """How requests are answered. times: how many generations the fault hits before it goes away (0: all).

    hold: the pieces after which generations wait until `hold` is changed (None: they don't wait): a test
    that does something in mid-answer needs no luck.

    unsafe: for a server that moderates, the words that it flags and the category of each (None: it is no such server).

    tokenizer: "words", "characters" or "bytes3" (one token per three bytes); context: tokens; a longer
    prompt overflows by itself.
    """

    text: str = DEFAULT_TEXT
    fault: str = ""
    after: int = 3
    times: int = 0
    delay_s: float = 0.01
    first_delay_s: float = 0.0
    hold: int | None = None
    percent: int | None = 35
    models: list[str] = dataclasses.field(default_factory=lambda: ["fake"])
    context: int = 8192
    dialect: str = "vllm"
    tokenizer: str = "words"
    api_key: str = ""
    demonstration: bool = False
    unsafe: dict[str, str] | None = None

    def __post_init__(self) -> None:
        if self.fault not in FAULTS:
            raise ValueError(f"no fault {self.fault!r}; there are {', '.join(FAULTS)}")


def tokenize(text: str, tokenizer: str) -> list[int]:
    """Token ids: the same for the same token, but of "bytes3", where only their number counts."""
    if tokenizer == "characters":
        return [ord(character) for character in text]
    if tokenizer == "bytes3":
        return list(range((len(text.encode()) + 2) // 3))
    return [zlib.crc32(word.encode()) for word in re.findall(r"\w+|[^\w\s]", text)]


def template(messages: list[dict[str, str]]) -> str:
    return "".join(f"<|{message['role']}|> {message['content']} </s> " for message in messages) + "<|assistant|> "


Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


class Cut(Exception):
    """Raised inside a response to make uvicorn drop the connection."""


class FakeApplication:
    """The ASGI application. `running` counts generations that have begun and not ended."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.running = self.started = self.finished = self.aborted = self.hit = 0
        self.requests: deque[dict[str, Any]] = deque(maxlen=50)
        self.sent: dict[str, list[float]] = {}
        self.changed = asyncio.Event()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = await _read(receive)
        self.headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        path = scope["path"]
        if path == "/control":
            await self.control(scope["method"], body, send)
        elif path == "/control/sent":
            await _json(send, 200, self.sent)
        elif self.scenario.fault == "loading":
            await self.loading(path, send)
        elif path == "/v1/chat/completions":
            sent = self.sent.setdefault(hashlib.sha256(body).hexdigest(), [])
            await self.chat(json.loads(body), sent, receive, send)
        elif path == "/v1/moderations" and self.scenario.unsafe is not None:
            await self.moderate(json.loads(body), send)
        else:
            await self.metadata(path, json.loads(body or b"{}"), send)

    async def control(self, method: str, body: bytes, send: Send) -> None:
        if method == "POST":
            self.scenario = dataclasses.replace(self.scenario, **json.loads(body))
            self.hit = 0
            self.changed.set()
            self.changed = asyncio.Event()
        counts = {name: getattr(self, name) for name in ("running", "started", "finished", "aborted")}
        await _json(send, 200, {**counts, "requests": list(self.requests), "scenario": dataclasses.asdict(self.scenario)})

    async def loading(self, path: str, send: Send) -> None:
        message = "The model's weights are still downloading."
        if path == "/health":
            model = self.scenario.models[0]
            state = {"status": "downloading", "percent": self.scenario.percent, "model": model}
            await _json(send, 503, {**state, "demonstration": self.scenario.demonstration, "message": message})
        else:
            await _json(send, 503, {"error": {"message": message, "type": "unavailable_error", "code": 503}})

    async def metadata(self, path: str, body: dict[str, Any], send: Send) -> None:
        scenario = self.scenario
        if path == "/health" and scenario.fault == "unready":
            await send({"type": "http.response.start", "status": 503, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        elif path == "/health":
            await _json(send, 200, {"status": "ok"})
        elif path == "/v1/models":
            await _json(send, 200, {"object": "list", "data": [self._model(name) for name in scenario.models]})
        elif path == "/tokenize" and scenario.dialect != "bare":
            text = template(body["messages"]) if "messages" in body else body.get("prompt", body.get("content", ""))
            ids = tokenize(text, scenario.tokenizer)
            vllm = {"count": len(ids), "max_model_len": scenario.context, "tokens": ids}
            await _json(send, 200, vllm if scenario.dialect == "vllm" else {"tokens": ids})
        elif path == "/apply-template" and scenario.dialect == "llamacpp":
            await _json(send, 200, {"prompt": template(body["messages"])})
        elif path == "/props" and scenario.dialect == "llamacpp":
            await _json(send, 200, {"default_generation_settings": {"n_ctx": scenario.context}, "total_slots": 1})
        else:
            await _json(send, 404, {"error": {"message": f"no {path} here", "type": "not_found_error", "code": 404}})

    def _model(self, name: str) -> dict[str, Any]:
        described: dict[str, Any] = {"id": name, "object": "model", "owned_by": "fake"}
        if self.scenario.dialect == "vllm":
            described["max_model_len"] = self.scenario.context
        return described

    async def chat(self, body: dict[str, Any], sent: list[float], receive: Receive, send: Send) -> None:
        self.requests.append(body)
        scenario = self._scenario_for(body.get("model", ""))
        refusal = self._refusal(scenario, body)
        if refusal is not None:
            await _json(send, *refusal)
            return
        if not body.get("stream"):
            await self.complete(scenario, body, send)
            return
        self.running += 1
        self.started += 1
        disconnected = asyncio.create_task(_until_disconnect(receive))
        generating = asyncio.create_task(self._generate(scenario, body, sent, send))
        try:
            await asyncio.wait({disconnected, generating}, return_when=asyncio.FIRST_COMPLETED)
            if generating.done():
                self.finished += 1
                generating.result()
            else:
                self.aborted += 1
        finally:
            self.running -= 1
            generating.cancel()
            disconnected.cancel()
            await asyncio.gather(generating, disconnected, return_exceptions=True)

    async def complete(self, scenario: Scenario, body: dict[str, Any], send: Send) -> None:
        """The whole answer as one object; a Llama Guard's verdict on the last message."""
        if scenario.fault == "silent":
            await asyncio.Event().wait()
        await asyncio.sleep(scenario.first_delay_s)
        text = scenario.text
        if scenario.unsafe is not None:
            found = _flagged(scenario.unsafe, body["messages"][-1]["content"])
            text = f"\n\nunsafe\n{','.join(found)}" if found else "\n\nsafe"
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        await _json(send, 200, {"object": "chat.completion", "model": body["model"], "choices": [choice]})

    async def moderate(self, body: dict[str, Any], send: Send) -> None:
        self.requests.append(body)
        assert self.scenario.unsafe is not None
        found = _flagged(self.scenario.unsafe, body["input"])
        categories = {category: category in found for category in self.scenario.unsafe.values()}
        await _json(send, 200, {"id": "modr-1", "results": [{"flagged": bool(found), "categories": categories}]})

    def _scenario_for(self, model: str) -> Scenario:
        scenario = self.scenario
        fault = model.removeprefix("fake-")
        if model.startswith("fake-") and fault in FAULTS:
            return dataclasses.replace(scenario, fault=fault)
        if scenario.fault and scenario.times:
            self.hit += 1
            if self.hit > scenario.times:
                return dataclasses.replace(scenario, fault="")
        return scenario

    def _refusal(self, scenario: Scenario, body: dict[str, Any]) -> tuple[int, Any] | None:
        context, fault = scenario.context, scenario.fault
        if fault == "unauthorized" or (scenario.api_key and self.headers.get("authorization") != f"Bearer {scenario.api_key}"):
            return 401, {"error": "Unauthorized"}
        count = len(tokenize(template(body["messages"]), scenario.tokenizer))
        if count + 1 > context and not fault:
            fault = "overflow" if scenario.dialect == "vllm" else "overflow_llamacpp"
        message = (
            f"This model's maximum context length is {context} tokens. However, your prompt contains "
            f"at least {max(count, context + 1)} input tokens, please reduce its length."
        )
        answers: dict[str, tuple[int, Any]] = {
            "unknown_model": (404, {"error": {"message": f"The model `{body['model']}` does not exist.", "code": 404}}),
            "server_error": (500, {"error": {"message": "the engine is dead", "code": 500}}),
            "overflow": (
                400,
                {"error": {"message": message, "type": "BadRequestError", "param": "input_tokens", "code": 400}},
            ),
            "overflow_flat": (400, {"object": "error", "message": message, "type": "BadRequestError", "code": 400}),
            "overflow_llamacpp": (
                400,
                {
                    "error": {
                        "code": 400,
                        "message": f"request ({count} tokens) exceeds the available context size ({context} tokens)",
                        "type": "exceed_context_size_error",
                        "n_prompt_tokens": count,
                        "n_ctx": context,
                    }
                },
            ),
            "not_sse": (200, {"object": "chat.completion", "choices": []}),
        }
        return answers.get(fault)

    async def _generate(self, scenario: Scenario, body: dict[str, Any], sent: list[float], send: Send) -> None:
        if scenario.fault == "silent":
            await asyncio.Event().wait()
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        stream = _Stream(send, body.get("model", ""))
        await stream.delta({"role": "assistant", "content": ""})
        await asyncio.sleep(scenario.first_delay_s)
        if scenario.fault == "stall_first":
            await asyncio.Event().wait()
        if scenario.fault in ("reasoning", "reasoning_content"):
            await stream.delta({scenario.fault: "Let me think about [9] first."})
        pieces = re.findall(r"\s*\S+|\s+$", scenario.text)
        limit = body.get("max_tokens") or len(pieces)
        for number, piece in enumerate(pieces[:limit]):
            if number == scenario.after and await self._interrupt(scenario.fault, stream):
                return
            await self._wait_while_held(number)
            sent.append(time.monotonic())
            await stream.delta({"content": piece})
            await asyncio.sleep(scenario.delay_s)
        await stream.finish("length" if limit < len(pieces) else "stop")
        if (body.get("stream_options") or {}).get("include_usage"):
            prompt = len(tokenize(template(body["messages"]), scenario.tokenizer))
            await stream.usage(prompt, min(limit, len(pieces)))
        await stream.done()

    async def _wait_while_held(self, written: int) -> None:
        while self.scenario.hold is not None and written >= self.scenario.hold:
            await self.changed.wait()

    async def _interrupt(self, fault: str, stream: _Stream) -> bool:
        """What happens after `after` pieces; True when the response has ended."""
        if fault == "error_event":
            await stream.event({"error": {"message": "EngineCore encountered an issue", "code": 500}})
            await stream.done()
        elif fault == "eof":
            await stream.close()
        elif fault == "done_only":
            await stream.done()
        elif fault == "cut":
            raise Cut
        elif fault == "length":
            await stream.finish("length")
            await stream.done()
        elif fault == "stall_gap":
            await asyncio.Event().wait()
        else:
            return False
        return True


def _flagged(unsafe: dict[str, str], text: str) -> list[str]:
    return sorted({category for word, category in unsafe.items() if word in text})


class _Stream:
    """One server-sent event stream in the shape of `chat.completion.chunk`."""

    def __init__(self, send: Send, model: str) -> None:
        self._send, self._model = send, model

    async def event(self, data: Any) -> None:
        body = f"data: {data if isinstance(data, str) else json.dumps(data)}\n\n".encode()
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def delta(self, delta: dict[str, str]) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        await self.event({"object": "chat.completion.chunk", "model": self._model, "choices": [choice]})

    async def finish(self, reason: str) -> None:
        choice = {"index": 0, "delta": {}, "finish_reason": reason}
        await self.event({"object": "chat.completion.chunk", "model": self._model, "choices": [choice]})

    async def usage(self, prompt: int, completion: int) -> None:
        usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        await self.event({"object": "chat.completion.chunk", "model": self._model, "choices": [], "usage": usage})

    async def done(self) -> None:
        await self.event("[DONE]")
        await self.close()

    async def close(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


async def _read(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return body
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _json(send: Send, status: int, body: Any) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


class FakeModelServer:
    """The fake in a process of its own, on a free port (or on `port`). `url` ends without /v1."""

    def __init__(self, port: int = 0, **scenario: Any) -> None:
        command = [sys.executable, str(Path(__file__).resolve()), "--port", str(port), "--scenario", json.dumps(scenario)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("http://"):
            self.stop()
            raise RuntimeError("the fake model server did not start")
        self.url = line.strip()
        self.port = int(self.url.rsplit(":", 1)[1])

    def __enter__(self) -> FakeModelServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def set(self, **changes: Any) -> None:
        """Change the scenario for every request from now on."""
        httpx.post(f"{self.url}/control", json=changes).raise_for_status()

    def stats(self) -> dict[str, Any]:
        """{"running", "started", "finished", "aborted", "requests": [chat bodies], "scenario"}."""
        stats: dict[str, Any] = httpx.get(f"{self.url}/control").raise_for_status().json()
        return stats

    def sent(self) -> dict[str, list[float]]:
        """When (time.monotonic) each piece of each generation was sent, by the SHA-256 of the request's body."""
        sent: dict[str, list[float]] = httpx.get(f"{self.url}/control/sent").raise_for_status().json()
        return sent

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the process; with SIGKILL its streams end as those of a killed model server do. Twice is once."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.process.wait(timeout=10)
        if self.process.stdout is not None:
            self.process.stdout.close()


def main() -> None:
    import uvicorn

    parser = argparse.ArgumentParser(description="A paced, scriptable OpenAI-compatible model server.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--scenario", default="{}", help="fields of Scenario, as JSON")
    arguments = parser.parse_args()
    application = FakeApplication(Scenario(**json.loads(arguments.scenario)))
    listener = socket.create_server(("127.0.0.1", arguments.port))
    sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    config = uvicorn.Config(
        application, lifespan="off", log_level="critical", timeout_graceful_shutdown=1, http="h11", interface="asgi3"
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
