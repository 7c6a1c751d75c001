"""The context gauge: what took how much of the window, what became of each passage, and the way to it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.script import asked, citation, completed, delta, passage, passages, prompt, route
from tests.browser.scripted_site import ScriptedSite

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]

TEXT = "Guards run in `run_guards` [1], and `stop` ends them [2]."
FOUND = [
    passage(1, tokens=300),
    passage(2, "src/harbor/stop.py", "stop", tokens=200),
    passage(3, "src/harbor/exchange.py", "Exchange", tokens=100),
    passage(None, "docs/guards.md", "Guards > Order", tokens=450, why="budget"),
    passage(None, "src/harbor/copy.py", "run_guards", tokens=300, why="duplicate"),
]


def evidence(**turns: int) -> tuple[str, dict[str, Any]]:
    kind, payload = passages(*FOUND)
    budget = {**payload["budget"], "evidence": 600, "conversation": 250, "turns": turns}
    return kind, {**payload, "budget": budget}


def begun(site: ScriptedSite, page: Page) -> str:
    answer = asked(page, site)
    site.tell(answer, route(), evidence(whole=1, shortened=2, dropped=3), prompt(), delta(TEXT))
    expect(page.locator(".prose")).to_contain_text("Guards run")
    return answer


def parts(page: Page) -> dict[str, str]:
    """Read at one go: the table is drawn anew with each event."""
    expect(page.locator("#context-body tr").first).to_be_visible()
    rows = page.locator("#context-body tr").evaluate_all(
        "rows => rows.map((row) => [...row.children].map((cell) => cell.textContent))"
    )
    return {row[0]: row[1] for row in rows}


def group(page: Page, name: str) -> Locator:
    return page.locator("#context-body section").filter(has=page.get_by_role("heading", name=re.compile(f"^{name}")))


def gauge(page: Page) -> Locator:
    return page.get_by_role("button", name="Context:")


def test_the_gauge_parts_the_window_and_the_passages_by_what_became_of_them_as_citations_come(site, page) -> None:
    answer = begun(site, page)
    expect(gauge(page)).to_have_attribute("aria-label", "Context: 2,194 of 4,096 tokens in use")
    gauge(page).click()
    assert parts(page) == {
        "Instructions": "320",
        "Conversation 1 turn whole, 2 shortened, 3 left out": "250",
        "Evidence": "600",
        "Answer, reserved": "1,024",
        "Free": "1,902",
    }
    expect(group(page, "Cited")).to_have_count(0)
    expect(group(page, "Shown, not cited").locator("li")).to_have_count(3)
    site.tell(answer, citation(TEXT, 1, "verified"), citation(TEXT, 2, "unverified"), completed(1, 2), first=5)
    expect(group(page, "Shown, not cited").locator("li")).to_have_count(1)
    expect(group(page, "Cited").get_by_role("heading")).to_have_text("Cited2 passages, 500 tokens")
    told = parts(page)
    assert told["Evidence, cited and verified"] == "300"
    assert told["Evidence, cited but not verified"] == "200"
    assert told["Evidence, not cited"] == "100"
    assert told["Answer, reserved 40 used"] == "1,024"
    left = group(page, "Found, not shown").locator("li")
    expect(left).to_contain_text(["no room", "a copy of another"])
    expect(left).to_contain_text(["450", "300"])
    expect(left.first.get_by_role("link")).to_have_attribute(
        "href", "/source/harbor/00000000-0000-4000-8000-000000000001/docs/guards.md#L171-L175"
    )
    expect(page.locator("#context-body").get_by_role("link", name="What the model saw")).to_have_attribute(
        "href", f"/answers/{answer}/prompt/"
    )
    page.keyboard.press("Escape")
    expect(page.locator(".acts").get_by_role("link", name="What the model saw")).to_have_attribute(
        "href", f"/answers/{answer}/prompt/"
    )


@pytest.mark.parametrize("width", [1280, 390])
def test_with_the_keyboard_alone_a_row_leads_to_its_passage(site, new_page, width) -> None:
    page = site.opened(new_page(width=width))
    answer = begun(site, page)
    gauge(page).focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    row = group(page, "Shown, not cited").get_by_role("button").first
    while not row.evaluate("row => row === document.activeElement"):
        page.keyboard.press("Tab")
    site.tell(answer, citation(TEXT, 1, "verified"), first=5)
    row = group(page, "Cited").get_by_role("button").first
    expect(row).to_be_focused()  # though it was drawn again, in another group
    page.keyboard.press("Enter")
    expect(page.locator("#context-window")).to_be_hidden()
    expect(page.locator(".card[data-src='1'] summary").first).to_be_focused()
    expect(page.locator(".card[data-src='1'] details").first).to_have_attribute("open", "")


def test_the_panel_fits_a_narrow_window_and_scrolls_inside(site, new_page) -> None:
    page = site.opened(new_page(width=390, height=640))
    answer = asked(page, site)
    many = [passage(number, f"src/harbor/a_rather_long_name_of_a_file_{number}.py") for number in range(1, 40)]
    site.tell(answer, route(), passages(*many), delta("Guards."))
    gauge(page).click()
    box = page.locator("#context-window").bounding_box()
    assert box and box["x"] >= 0 and box["x"] + box["width"] <= 390 and box["y"] + box["height"] <= 640
    body = page.locator("#context-body")
    assert body.evaluate("body => body.scrollHeight > body.clientHeight && body.scrollWidth <= body.clientWidth")


def test_where_no_model_is_asked_there_is_no_gauge_and_no_prompt(site, page) -> None:
    answer = asked(page, site)
    kind, payload = passages(passage(1, tokens=0))
    site.tell(answer, route("search"), (kind, {**payload, "budget": None}), completed())
    expect(page.locator(".done")).to_be_visible()
    expect(gauge(page)).to_be_hidden()
    expect(page.get_by_role("link", name="What the model saw")).to_have_count(0)
