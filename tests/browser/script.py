"""An answer's log as a server would send it, for the page of a `ScriptedSite`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from playwright.sync_api import Page

from tests.browser.scripted_site import ScriptedSite

Event = tuple[str, Mapping[str, Any]]

CODE = """def run_guards(self, exchange):
    for guard in self.guards:
        value = guard(exchange)
        if value is not None:
            return value"""


def passage(
    number: int | None, path: str = "src/harbor/application.py", symbol: str = "run_guards", **more: Any
) -> dict[str, Any]:
    """As docs/protocol.md has it; number None: one that was dropped."""
    return {
        "number": number,
        "path": path,
        "start_line": 171,
        "end_line": 175,
        "symbol": symbol,
        "kind": "function",
        "language": "python",
        "blob": "b" * 40,
        "score": 0.0312,
        "origins": [{"signal": "lexical", "rank": 1, "score": 16.8}, {"signal": "symbol", "rank": 2, "score": 1.0}],
        "tokens": 294,
        "state": "packed" if number else "dropped",
        "text": CODE if number else "",
        **more,
    }


def passages(*found: dict[str, Any]) -> Event:
    budget = {"context": 4096, "instructions": 320, "conversation": 0, "evidence": 870, "evidence_limit": 900, "answer": 1024}
    place = {"repository": "harbor", "snapshot": "00000000-0000-4000-8000-000000000001", "commit": "a1b2c3d" + "0" * 33}
    steps = [{"name": "Lexical", "detail": "12 chunks", "took_ms": 3.0}]
    more = {"ref": "main", "dirty": False, "vectors": True, "took_ms": 84.1, "steps": steps, "budget": budget}
    return "passages", {**place, **more, "passages": list(found)}


def route(name: str = "code") -> Event:
    return "route", {"route": name, "reason": "2 symbols matched", "model": "coder-1.5b", "demonstration": False, "licence": ""}


def prompt(**more: Any) -> Event:
    sampling = {"temperature": 0.2, "max_tokens": 1024}
    return "prompt", {"sha256": "c" * 64, "model": "coder-1.5b", "sampling": sampling, "tokens": 1190, "messages": 8, **more}


def delta(text: str) -> Event:
    return "delta", {"text": text}


def citation(text: str, number: int, state: str, **more: Any) -> Event:
    """Of the `[number]` in `text`; with origin "matched", at its end."""
    sign = f"[{number}]"
    start = len(text) if more.get("origin") == "matched" else text.index(sign)
    end = start if more.get("origin") == "matched" else start + len(sign)
    place = {"path": "src/harbor/application.py", "start_line": 171, "end_line": 175}
    found = {"found": [], "missing": [], "reason": "", "origin": "model"}
    return "citation", {"start": start, "end": end, "number": number, "state": state, **place, **found, **more}


def place(text: str, written: str, **more: Any) -> Event:
    """Of the first `written` in `text`; a state of "absent" has no path."""
    here = {"state": "here", "path": "src/harbor/application.py", "start_line": 0, "end_line": 0, "reason": ""}
    nowhere = {"path": ""} if more.get("state") == "absent" else {}
    start = text.index(written)
    return "place", {"start": start, "end": start + len(written), **here, **nowhere, **more}


def completed(verified: int = 0, citations: int = 0, claims: tuple[int, int] | None = None) -> Event:
    timings = {"retrieval_ms": 84.1, "first_token_ms": 900.0, "total_ms": 4200.0, "tokens_per_s": 31.0}
    usage = {"prompt_tokens": 1190, "completion_tokens": 40}
    counted = {"claims": {"verified": claims[0], "total": claims[1]}} if claims else {}
    counts = {"verified": verified, "citations": citations, **counted}
    return "completed", {"model": "coder-1.5b", "finish_reason": "stop", "usage": usage, "timings": timings, **counts}


def asked(page: Page, site: ScriptedSite, question: str = "How do guards run?") -> str:
    """Ask on the page, let the server take it, and return the answer's id."""
    page.get_by_label("Your question about harbor").fill(question)
    page.keyboard.press("Enter")
    message = site.heard("ask")
    accept(site, message, question)
    return str(message["answer"])


def accept(site: ScriptedSite, message: Mapping[str, Any], question: str, retry_of: str | None = None) -> None:
    conversation = "00000000-0000-4000-8000-0000000000c0"
    answer = {
        "id": message["answer"],
        "number": 1,
        "question": question,
        "requested_route": message["route"],
        "retry_of": retry_of,
    }
    site.say(
        {"type": "asked", "answer": message["answer"], "conversation": conversation, "title": question},
        {
            "type": "answer",
            "conversation": conversation,
            "answer": {**answer, "state": "queued", "created_at": "2026-11-20T09:12:00Z"},
        },
    )
