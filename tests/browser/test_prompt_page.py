"""The page of what the model saw, as a browser has it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from assistant import prompt_views
from assistant.chat import ChatRequest, Message
from assistant.models import Answer
from assistant.sent_prompts import Sent
from indexer.models import Snapshot
from tests.browser.scripted_site import ScriptedSite

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]

CODE = "def run_guards(self, exchange):\n    for guard in self.guards:\n        guard(exchange)\n"
PASSAGES = f"Passages:\n[1] src/harbor/application.py:171-175 run_guards\n{CODE}\n</pre><script>alert(1)</script> {'long' * 60}"
ASKED = "Question: How do guards run?\n\n  indented, and its end"


def context() -> dict[str, Any]:
    answer = Answer(question="How do guards run?")
    messages = Message("system", "Answer."), Message("user", PASSAGES), Message("assistant", "Yes [1]."), Message("user", ASKED)
    request = ChatRequest("codellama-7b-instruct", messages, 1024, stop=("<step>",))
    told = {
        "sha256": request.sha256,
        "model": request.model,
        "sampling": request.sampling,
        "tokens": 1190,
        "messages": len(messages),
    }
    every = [Sent(number, told, datetime(2026, 11, 20, tzinfo=UTC), number == 1, request.body) for number in (1, 2)]
    pinned = {"repository": "harbor", "snapshot": Snapshot(commit="a1b2c3d" + "0" * 33)}
    return {"template": "prompt.html", "answer": answer, "every": every, "sent": every[-1], **pinned}


@pytest.fixture
def site() -> Iterator[ScriptedSite]:
    with ScriptedSite() as running:
        told = context()
        running.context = {**prompt_views.told_of(told["sent"]), **told}
        yield running


@pytest.fixture
def page(site: ScriptedSite, new_page: Callable[..., Page]) -> Page:
    page = new_page()
    page.goto(site.url)
    return page


def clipboard(page: Page) -> str:
    return str(page.evaluate("navigator.clipboard.readText()"))


def test_a_message_is_shown_and_copied_exactly_as_it_was_sent(page: Page) -> None:
    shown = [message.text_content() for message in page.locator(".message pre").all()]
    assert shown == ["Answer.", PASSAGES, "Yes [1].", ASKED]
    page.get_by_role("button", name="Copy message 2").click()
    expect(page.get_by_text("Message copied.")).to_be_visible()
    assert clipboard(page) == PASSAGES
    page.get_by_role("button", name="Copy the prompt").click()
    expect(page.get_by_text("Prompt copied.")).to_be_visible()
    assert clipboard(page).startswith("===== system =====\nAnswer.\n\n===== user =====\nPassages:")


def test_where_the_template_is_ours_the_prompt_can_be_read_as_one_text(page: Page) -> None:
    whole = page.get_by_label("The prompt as one text")
    expect(whole).to_be_hidden()
    page.get_by_text("As one text, by that template").click()
    expect(whole).to_have_text(re.compile(r"^<s>\[INST\] <<SYS>>\s+Answer\..*its end \[/INST\]$", re.DOTALL))


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_on_it_is_wider_than_the_window(site: ScriptedSite, new_page: Callable[..., Page], width: int) -> None:
    page = new_page(width=width)
    page.goto(site.url)
    expect(page.get_by_role("heading", name="What the model saw")).to_be_visible()
    assert page.locator("#scroll").evaluate("box => box.scrollWidth <= box.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
