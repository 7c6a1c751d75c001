"""The real page over a server that the test plays: it renders the project's templates, serves its static files under its
content security policy, and says over the WebSocket exactly what the test says.

    with ScriptedSite() as site:
        page.goto(site.url)
        asked = site.heard("ask")              # what the page sent
        site.say({"type": "asked", …})         # to every open page
        site.drop()                            # the connection is lost
"""

from __future__ import annotations

import asyncio
import json
import mimetypes
import queue
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs

import uvicorn
from csp.utils import build_policy
from django.conf import settings
from django.template.loader import render_to_string
from playwright.sync_api import Page, expect

from tests.processes import free_port

STATIC = Path(settings.BASE_DIR) / "static"
PATIENCE_S = 20.0

REPOSITORY = {"name": "harbor", "commit": "a1b2c3d" + "0" * 33, "ref": "main", "dirty": False, "ready": True}
READY = {"state": "ready", "message": "", "percent": None, "model": "coder-1.5b", "context": 4096, "demonstration": False}
STATUS = {
    "models": {"code": READY, "general": READY},
    "answerer": True,
    "repository": {
        "name": "harbor",
        "commit": REPOSITORY["commit"],
        "ref": "main",
        "dirty": False,
        "files": 224,
        "chunks": 3790,
        "embedded": 3790,
        "skipped": {"binary": 9, "too large": 2},
        "indexed_at": "2026-11-20T09:12:00+00:00",
        "source": None,
        "job": None,
    },
}

MENTIONS = [
    {"kind": "folder", "text": "src/harbor/", "detail": ""},
    {"kind": "file", "text": "src/harbor/application.py", "detail": ""},
    {"kind": "symbol", "text": "Application.run_guards", "detail": "method, src/harbor/application.py:171"},
]


class ScriptedSite:
    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.context: dict[str, Any] = {}
        self.status: dict[str, Any] = STATUS
        self.changed: dict[str, str] = {}
        self.json: dict[str, dict[str, Any]] = {"/moved.json": {"answers": {}}}
        self.index_url = "/repositories/index/"
        self.posted: list[tuple[str, dict[str, list[str]]]] = []
        self.refuses_sockets = False
        self._heard: queue.Queue[dict[str, Any]] = queue.Queue()
        self._pages: set[asyncio.Queue[dict[str, Any] | None]] = set()
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._application, port=self.port, log_level="error", lifespan="off", interface="asgi3", ws="websockets-sansio"
            )
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> ScriptedSite:
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.01)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.drop()
        self._server.should_exit = True
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._server.serve())
        self._loop.close()

    # --- what a test says and hears -----------------------------------------------------------------------------------

    def opened(self, page: Page) -> Page:
        """The page, at this site and connected to it."""
        page.goto(self.url)
        expect(page.get_by_role("img", name="Live")).to_be_visible()
        return page

    def heard(self, kind: str) -> dict[str, Any]:
        """The next message of that type that any page sent; others before it are passed over."""
        while True:
            message = self._heard.get(timeout=PATIENCE_S)
            if message["type"] == kind:
                return message

    def silent(self) -> bool:
        return self._heard.empty()

    def say(self, *messages: Mapping[str, Any]) -> None:
        for message in messages:
            self._loop.call_soon_threadsafe(self._to_all, dict(message))

    def tell(self, answer: str, *events: tuple[str, Mapping[str, Any]], first: int = 1) -> None:
        """Events of an answer's log, numbered from `first`."""
        for seq, (kind, payload) in enumerate(events, start=first):
            self.say({"type": "event", "answer": answer, "seq": seq, "kind": kind, "payload": payload})

    def drop(self) -> None:
        self._loop.call_soon_threadsafe(self._to_all, None)

    def _to_all(self, message: dict[str, Any] | None) -> None:
        for page in self._pages:
            page.put_nowait(message)

    # --- the server ----------------------------------------------------------------------------------------------------

    async def _application(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await self._socket(receive, send)
            return
        body, path = b"", scope["path"]
        while scope["method"] == "POST" and (part := await receive()) and (body := body + part["body"]) and part["more_body"]:
            pass
        if scope["method"] == "POST":
            self.posted.append((path, parse_qs(body.decode())))
            await _respond(send, 200, "application/json", b"{}")
        elif path == "/status.json":
            await _respond(send, 200, "application/json", json.dumps(self.status).encode())
        elif path == "/mentions.json":
            await _respond(send, 200, "application/json", json.dumps({"mentions": self._mentioned(scope)}).encode())
        elif path in self.json:
            await _respond(send, 200, "application/json", json.dumps(self.json[path]).encode())
        elif path == "/changed.json":
            asked = parse_qs(scope["query_string"].decode()).get("path", [])
            changed = {name: what for name, what in self.changed.items() if name in asked}
            await _respond(send, 200, "application/json", json.dumps({"seen_at": None, "changed": changed}).encode())
        elif path.startswith("/static/"):
            await _respond_with_file(send, STATIC / path.removeprefix("/static/"))
        else:
            html = await asyncio.to_thread(self._render, path)
            await _respond(send, 200, "text/html; charset=utf-8", html.encode())

    def _mentioned(self, scope: Mapping[str, Any]) -> list[dict[str, str]]:
        typed = parse_qs(scope["query_string"].decode()).get("q", [""])[0].lower()
        return [each for each in MENTIONS if typed in each["text"].lower()]

    def _render(self, path: str) -> str:
        conversation = path.split("/")[2] if path.startswith("/conversations/") else None
        context: dict[str, Any] = {
            "repositories": [REPOSITORY],
            "repository": REPOSITORY,
            "conversation": {"id": conversation, "title": "How a request is handled"} if conversation else None,
            "conversations": [],
            "languages": ["python", "markdown"],
            "samples": [],
            "page_data": {
                "repository": "harbor",
                "conversation": conversation,
                "socket": "/ws/",
                "status_url": "/status.json",
                "mentions_url": "/mentions.json",
                "changed_url": "/changed.json",
                "moved_url": "/moved.json",
                "index_url": self.index_url,
                "signIn": "free",
                "user": "local",
            },
            "csrf_token": "t" * 64,
        }
        template = self.context.get("template", "page.html")
        return render_to_string(template, {**context, **self.context})

    async def _socket(self, receive: Any, send: Any) -> None:
        await receive()
        if self.refuses_sockets:
            await send({"type": "websocket.close", "code": 4400})
            return
        await send({"type": "websocket.accept"})
        mailbox: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._pages.add(mailbox)
        speaker = asyncio.create_task(self._speak(mailbox, send))
        while (message := await receive())["type"] == "websocket.receive":
            self._heard.put(json.loads(message["text"]))
        self._pages.discard(mailbox)
        speaker.cancel()

    async def _speak(self, mailbox: asyncio.Queue[dict[str, Any] | None], send: Any) -> None:
        while (message := await mailbox.get()) is not None:
            await send({"type": "websocket.send", "text": json.dumps(message)})
        await send({"type": "websocket.close", "code": 1012})


async def _respond(send: Any, status: int, kind: str, body: bytes) -> None:
    headers = [(b"content-type", kind.encode()), (b"content-security-policy", build_policy().encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _respond_with_file(send: Any, file: Path) -> None:
    body = await asyncio.to_thread(file.read_bytes)
    await _respond(send, 200, mimetypes.guess_type(file.name)[0] or "application/octet-stream", body)
