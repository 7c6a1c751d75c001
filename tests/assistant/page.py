"""A page without a browser: a WebSocket to the real application, and the answers as the page would show them."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from asgiref.testing import ApplicationCommunicator
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from assistant.events import FINAL_KINDS, AnswerSoFar
from tests.assistant.conftest import in_database

HOST = "localhost:8000"


async def session_cookie(user: User) -> str:
    """Signs `user` in, and returns the Cookie header of their browser."""

    def sign_in() -> str:
        client = Client()
        client.force_login(user)
        return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"

    return str(await in_database(sign_in))


def headers(cookie: str = "", host: str = HOST, origin: str | None = f"http://{HOST}") -> list[tuple[bytes, bytes]]:
    named = {"host": host, "origin": origin, "cookie": cookie}
    return [(name.encode(), value.encode()) for name, value in named.items() if value]


class Socket:
    """One WebSocket to the real application, without a server between."""

    def __init__(self, headers: list[tuple[bytes, bytes]]) -> None:
        from assistant.asgi import application

        self.scope = {"type": "websocket", "path": "/ws/", "query_string": b"", "headers": headers, "subprotocols": []}
        self.application = ApplicationCommunicator(application, self.scope)

    async def connect(self) -> bool:
        """Whether the server accepts."""
        await self.application.send_input({"type": "websocket.connect"})
        return bool((await self.application.receive_output(timeout=5))["type"] == "websocket.accept")

    async def send(self, text: str) -> None:
        await self.application.send_input({"type": "websocket.receive", "text": text})

    async def receive(self, timeout_s: float = 10.0) -> dict[str, Any]:
        sent = await self.application.receive_output(timeout=timeout_s)
        assert sent["type"] == "websocket.send", sent
        return dict(json.loads(sent["text"]))

    async def receive_close(self) -> int:
        """The code that the server closes with."""
        sent = await self.application.receive_output(timeout=10)
        assert sent["type"] == "websocket.close", sent
        return int(sent["code"])

    async def close(self) -> None:
        await self.application.send_input({"type": "websocket.disconnect", "code": 1001})
        await self.application.wait(timeout=5)


class Page:
    """`async with Page(user) as page:` in sign-in mode "required"; keeps everything that it was sent."""

    def __init__(self, user: User) -> None:
        self._user = user
        self.messages: list[dict[str, Any]] = []
        self.seqs: dict[str, list[int]] = defaultdict(list)
        self.answers: dict[str, AnswerSoFar] = defaultdict(AnswerSoFar)

    async def __aenter__(self) -> Page:
        self.socket = Socket(headers(await session_cookie(self._user)))
        assert await self.socket.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.socket.close()

    async def send(self, type: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": type, **fields}))

    async def ask(self, question: str, **fields: Any) -> str:
        answer = str(uuid4())
        await self.send("ask", answer=answer, question=question, **fields)
        return answer

    async def receive(self, timeout_s: float = 10.0) -> dict[str, Any]:
        message = await self.socket.receive(timeout_s)
        self.messages.append(message)
        if message["type"] == "event":
            self.seqs[message["answer"]].append(message["seq"])
            self.answers[message["answer"]].apply(message["kind"], message["payload"])
        return message

    async def until(self, wanted: Callable[[dict[str, Any]], bool], timeout_s: float = 20.0) -> dict[str, Any]:
        async with asyncio.timeout(timeout_s):
            while not wanted(message := await self.receive(timeout_s)):
                pass
        return message

    async def until_type(self, type: str) -> dict[str, Any]:
        return await self.until(lambda message: message["type"] == type)

    async def until_end(self, answer: str) -> dict[str, Any]:
        return await self.until(lambda m: m["type"] == "event" and m["answer"] == answer and m["kind"] in FINAL_KINDS)

    async def until_text(self, answer: str, text: str) -> None:
        await self.until(lambda message: text in self.answers[answer].text)

    def seen(self) -> dict[str, int]:
        return {answer: seqs[-1] for answer, seqs in self.seqs.items()}
