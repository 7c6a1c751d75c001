"""The page of one answer, the page of an answer beside the one that it repeats, and marks of citations that have moved."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.script import Event, asked, citation, completed, delta, passage, passages, route
from tests.browser.scripted_site import ScriptedSite

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]

OLD, NEW = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
TEXT = "Guards are asked in turn by `run_guards` [1], and gates are opened by `open_gates` [2]."
SNAPSHOT = {
    "id": "00000000-0000-4000-8000-000000000001",
    **{"commit": "a1b2c3d" + "0" * 33, "ref": "main", "dirty": False, "indexed_at": "2026-11-19T08:00:00+00:00", "kept": True},
}
GATES = {"path": "src/harbor/gates.py", "start_line": 5, "end_line": 9}
SAMPLING = {"temperature": 0.2, "max_tokens": 1024, "stop": ["</s>"]}
LOG: tuple[Event, ...] = (
    route(),
    passages(passage(1), passage(2, path="src/harbor/gates.py", symbol="open_gates", start_line=5, end_line=9), passage(None)),
    ("prompt", {"sha256": "e" * 64, "model": "coder-1.5b", "sampling": SAMPLING, "tokens": 1190, "messages": 4}),
    delta(TEXT),
    citation(TEXT, 1, "verified"),
    citation(TEXT, 2, "unverified", **GATES),
    completed(1, 2, claims=(1, 2)),
)


def log_of(answer: str, *log: Event, first: int = 1) -> list[dict[str, Any]]:
    numbered = enumerate(log, start=first)
    return [
        {"type": "event", "answer": answer, "seq": seq, "kind": kind, "payload": payload} for seq, (kind, payload) in numbered
    ]


def told(answer: str, *log: Event, **more: Any) -> dict[str, Any]:
    """An answer as the server puts it into the page."""
    described = {"id": answer, "number": 3, "question": "How do guards run?", "requested_route": "auto", "filters": {}}
    dated = {
        "retry_of": None,
        "reasked_of": None,
        "reasks": [],
        "created_at": "2026-11-20T09:12:00+00:00",
        "state": "completed",
    }
    return {
        "answer": {**described, **dated, **more},
        "events": log_of(answer, *log),
        "log_url": f"/answers/{answer}/log.json",
        "conversation": "",
        "snapshot": SNAPSHOT,
    }


def shows(site: ScriptedSite, *answers: Mapping[str, Any]) -> None:
    urls = {"changes_url": f"/answers/{NEW}/changes.json", "changed_url": "/changed.json", "moved_url": "/moved.json"}
    page_data = {"answers": list(answers), "repository": "harbor", **urls}
    site.context = {
        "template": "answer.html",
        "question": "How do guards run?",
        "repository": "harbor",
        "compares": len(answers) > 1,
        "page_data": page_data,
    }


def now(
    start: int, number: int, state: str, path: str = "src/harbor/application.py", lines: tuple[int, int] = (180, 184)
) -> Any:
    return {"start": start, "number": number, "state": state, "path": path, "start_line": lines[0], "end_line": lines[1]}


MOVED = {
    "snapshot": "00000000-0000-4000-8000-000000000002",
    "commit": "9e8d7c6" + "0" * 33,
    "citations": [now(TEXT.index("[1]"), 1, "moved"), now(TEXT.index("[2]"), 2, "gone", "src/harbor/gates.py", (5, 9))],
}


def test_the_page_of_an_answer_has_its_context_gauge_and_leads_to_what_the_model_saw(
    site: ScriptedSite, new_page: Callable[..., Page]
) -> None:
    site.refuses_sockets = True
    shows(site, told(OLD, *LOG))
    page = new_page(width=390)
    page.goto(f"{site.url}answers/{OLD}/")
    page.get_by_role("button", name="Context: 2,214 of 4,096 tokens").click()
    page.locator("#context-body").get_by_role("button", name="1 verified: ").click()
    expect(page.locator(".card[data-src='1'] summary").first).to_be_focused()
    page.keyboard.press("Escape")
    links = page.get_by_role("link", name="What the model saw").all()
    assert {link.get_attribute("href") for link in links} == {f"/answers/{OLD}/prompt/"}


def test_an_answer_has_a_page_with_its_evidence_and_what_it_is_pinned_to(
    site: ScriptedSite, new_page: Callable[..., Page]
) -> None:
    site.refuses_sockets = True
    shows(site, told(OLD, *LOG))
    page = new_page()
    page.goto(f"{site.url}answers/{OLD}/")
    expect(page.get_by_role("heading", name="How do guards run?")).to_be_visible()
    expect(page.locator(".prose button.cite")).to_have_count(2)
    page.locator(".prose button.cite").first.click()
    expect(page.locator(".card[data-src='1'] .code")).to_contain_text("for guard in self.guards")
    expect(page.locator(".card[data-src='1'] a.open")).to_have_attribute(
        "href", re.compile(f"/source/harbor/{SNAPSHOT['id']}/")
    )
    pins = page.locator(".pins")
    sampling, prompt = 'temperature 0.2, max_tokens 1024, stop "</s>"', "e" * 64
    for fact in (sampling, prompt, "20 November 2026", SNAPSHOT["commit"], SNAPSHOT["id"], "coder-1.5b", "1 of 2 verified"):
        expect(pins).to_contain_text(str(fact))
    expect(page.get_by_role("button", name="Answer again")).to_have_count(0)
    expect(page.get_by_role("button", name="Use general knowledge")).to_have_count(0)
    page.get_by_role("button", name="Copy a link to this answer").click()
    assert page.evaluate("navigator.clipboard.readText()") == f"{site.url}answers/{OLD}/"
    expect(page.locator(".toast")).to_have_text("Link copied. Whoever may see harbor can read this answer.")


def test_who_copies_a_link_is_told_that_the_prompt_holds_earlier_turns(
    site: ScriptedSite, new_page: Callable[..., Page]
) -> None:
    kind, entry = passages(passage(1))
    entry["budget"]["conversation"] = 40
    shows(site, told(OLD, (kind, entry), delta("It runs them."), completed()))
    page = new_page()
    page.goto(f"{site.url}answers/{OLD}/")
    page.get_by_role("button", name="Copy a link to this answer").click()
    expect(page.locator(".toast")).to_contain_text("can read this answer, and the earlier turns in its prompt.")


def test_where_the_snapshot_has_gone_the_page_says_so_and_shows_the_passages(
    site: ScriptedSite, new_page: Callable[..., Page]
) -> None:
    shows(site, {**told(OLD, *LOG), "snapshot": None})
    page = new_page()
    page.goto(f"{site.url}answers/{OLD}/")
    expect(page.locator(".pins")).to_contain_text("Its files have been removed")
    expect(page.locator(".card[data-src='1'] .code")).to_contain_text("for guard in self.guards")


def test_citations_that_are_no_longer_where_they_were_are_marked_and_lead_to_where_they_are(
    site: ScriptedSite, new_page: Callable[..., Page]
) -> None:
    site.json["/moved.json"] = {"answers": {OLD: MOVED}}
    shows(site, told(OLD, *LOG))
    page = new_page()
    page.goto(f"{site.url}answers/{OLD}/")
    first, second = page.locator(".prose button.cite").all()
    expect(first).to_have_attribute("data-now", "moved")
    expect(first).to_have_accessible_name(re.compile("verified, moved to src/harbor/application.py:180–184 since"))
    expect(second).to_have_accessible_name(re.compile("gone since"))
    expect(page.locator(".since")).to_contain_text("At 9e8d7c6, 1 citation has moved, 1 is gone.")
    first.click()
    link = page.locator(".card[data-src='1'] .now a")
    expect(link).to_have_attribute("href", f"/source/harbor/{MOVED['snapshot']}/src/harbor/application.py#L180-L184")
    expect(page.locator(".card[data-src='2'] .now")).to_contain_text("no longer there")
    page.locator(".since").get_by_role("button", name="Re-ask at HEAD").click()
    page.wait_for_url(re.compile(r"/answers/[\w-]+/changes/"))
    [(where, fields)] = site.posted
    assert where == f"/answers/{OLD}/again/"
    assert page.url == f"{site.url}answers/{fields['answer'][0]}/changes/"


def test_in_a_conversation_what_is_asked_again_stands_beside_its_answer_and_not_in_its_place(
    site: ScriptedSite, new_page: Callable[..., Page]
) -> None:
    page = new_page()
    page.goto(site.url)
    answer = asked(page, site)
    site.json["/moved.json"] = {"answers": {answer: MOVED}}
    site.tell(answer, *LOG)
    expect(page.locator(".prose button.cite").first).to_have_attribute("data-now", "moved")
    beside = {"id": NEW, "number": 1, "question": "How do guards run?", "requested_route": "auto", "reasked_of": answer}
    conversation = "00000000-0000-4000-8000-0000000000c0"
    site.say({"type": "answer", "conversation": conversation, "answer": {**beside, "state": "queued", "retry_of": None}})
    site.tell(NEW, route(), passages(passage(1)), delta("Otherwise."), completed())
    expect(page.locator(".beside a")).to_have_attribute("href", f"/answers/{NEW}/changes/")
    expect(page.locator(".turn")).to_have_count(1)
    expect(page.locator(".prose")).to_contain_text("Guards are asked in turn")


def compared(site: ScriptedSite) -> dict[str, Any]:
    """The page of two answers, the later of which is still written; returns what will have changed."""
    later = told(NEW, LOG[0], state="running", reasked_of=OLD)
    later["snapshot"] = {**SNAPSHOT, "id": MOVED["snapshot"], "commit": MOVED["commit"]}
    shows(site, told(OLD, *LOG, reasks=[NEW]), later)
    site.json[f"/answers/{NEW}/log.json"] = {"events": []}
    site.json[f"/answers/{NEW}/changes.json"] = {"passages": None, "citations": []}
    was = {"number": 1, "path": "src/harbor/application.py", "start_line": 171, "end_line": 175, "symbol": "run_guards"}
    gates = {**was, "number": 2, **GATES, "symbol": "open_gates"}
    return {
        "passages": [
            {"kind": "moved", "before": was, "after": {**was, "start_line": 180, "end_line": 184}},
            {"kind": "gone", "before": gates, "after": None},
            {"kind": "new", "before": None, "after": {**gates, "path": "src/harbor/locks.py", "symbol": "open_locks"}},
        ],
        "citations": MOVED["citations"],
    }


@pytest.mark.parametrize("width", [1280, 390])
def test_an_answer_that_is_asked_again_is_written_beside_the_old_one_and_then_compared(
    site: ScriptedSite, new_page: Callable[..., Page], width: int
) -> None:
    changes = compared(site)
    page = new_page(width=width)
    page.goto(f"{site.url}answers/{NEW}/changes/")
    expect(page.locator(".prose").first).to_contain_text("Guards are asked in turn")
    expect(page.locator("#changes")).to_be_hidden()
    text = "Guards are asked by `first_guard` [1]."
    site.json[f"/answers/{NEW}/changes.json"] = changes
    rest = (
        passages(passage(1, start_line=180, end_line=184)),
        delta(text),
        citation(text, 1, "verified"),
        completed(1, 1, (1, 1)),
    )
    site.json[f"/answers/{NEW}/log.json"] = {"events": log_of(NEW, *rest, first=2)}
    expect(page.locator(".prose").last).to_contain_text("first_guard")
    told = page.locator("#changes")
    expect(told).to_contain_text("Passages: 1 moved, 1 new, 1 not found again.")
    expect(told).to_contain_text("1 citation has moved, 1 is gone.")
    expect(told.get_by_role("row", name=re.compile("Moved run_guards"))).to_contain_text("application.py:180–184")
    left, right = (each.bounding_box() for each in page.locator(".one").all())
    assert left and right
    if width == 1280:
        assert left["y"] == right["y"] and left["x"] < right["x"]
    else:
        assert left["y"] < right["y"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator(".prose button.cite").last.click()
    expect(page.locator("#sources")).to_be_visible()
    expect(page.locator("#sources-title")).to_contain_text("for answer 2")
