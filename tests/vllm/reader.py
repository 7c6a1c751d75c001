"""A reader without a browser: the WebSocket of the running web process, and what it is sent."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

from websockets.sync.client import connect
from websockets.typing import Origin

from assistant.events import FINAL_KINDS

PATIENCE_S = 300.0


class Reader:
    """`with Reader(url) as reader:`. entries: of each answer, its log as (kind, payload)."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.entries: dict[str, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
        self.conversation = ""

    def __enter__(self) -> Reader:
        with ExitStack() as stack:
            address = self._url.replace("http", "ws", 1) + "/ws/"
            self._socket = stack.enter_context(connect(address, origin=Origin(self._url)))
            self._open = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def send(self, kind: str, **fields: Any) -> None:
        self._socket.send(json.dumps({"type": kind, **fields}))

    def ask(self, question: str, repository: str, route: str = "auto") -> str:
        answer = str(uuid4())
        self.send("ask", answer=answer, conversation=None, repository=repository, question=question, route=route)
        return answer

    def retry(self, of: str) -> str:
        answer = str(uuid4())
        self.send("retry", answer=answer, of=of)
        return answer

    def read_until(self, wanted: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not wanted():
            message = json.loads(self._socket.recv(timeout=max(0.0, deadline - time.monotonic())))
            assert message["type"] != "error", message
            if message["type"] == "asked":
                self.conversation = message["conversation"]
            if message["type"] == "event":
                self.entries[message["answer"]].append((message["kind"], message["payload"]))

    def until_text(self, answer: str, deltas: int = 3) -> None:
        """Until the model writes. What is said before it does is one delta at most."""
        self.read_until(lambda: len(self.all(answer, "delta")) >= deltas)

    def until_end(self, answer: str) -> tuple[str, dict[str, Any]]:
        self.read_until(lambda: bool(self.entries[answer]) and self.entries[answer][-1][0] in FINAL_KINDS)
        return self.entries[answer][-1]

    def all(self, answer: str, kind: str) -> list[dict[str, Any]]:
        return [payload for each, payload in self.entries[answer] if each == kind]

    def last(self, answer: str, kind: str) -> dict[str, Any]:
        return self.all(answer, kind)[-1]

    def text(self, answer: str) -> str:
        return "".join(payload["text"] for payload in self.all(answer, "delta"))
