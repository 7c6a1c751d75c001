"""How the page tells that an index is behind its source, and which files of an answer have changed since."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.script import asked, citation, completed, delta, passage, passages, route
from tests.browser.scripted_site import STATUS, ScriptedSite

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]

SEEN = {
    **{"commit": "9e8d7c6" + "0" * 33, "ref": "main", "behind": 3, "changed": 4, "added": 1},
    **{"checked_at": "2026-11-20T10:00:00+00:00", "problem": ""},
}


def told(site: ScriptedSite, source: dict[str, Any] | None, **more: Any) -> None:
    site.status = {**STATUS, "repository": {**STATUS["repository"], "source": source, **more}}


def answered(site: ScriptedSite, page: Page) -> None:
    text = "In `run_guards` [1]."
    found = passage(1), passage(2, path="src/harbor/guards.py"), passage(3, path="docs/guards.md"), passage(None)
    answer = asked(page, site)
    site.tell(answer, route(), passages(*found), delta(text), citation(text, 1, "verified"), completed(1, 1))
    expect(page.locator(".done")).to_be_visible()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (SEEN, "3 commits behind main"),
        ({**SEEN, "behind": 1, "ref": ""}, "1 commit behind"),
        ({**SEEN, "behind": 0}, "5 files changed since"),
        ({**SEEN, "behind": None, "changed": 1, "added": 0}, "1 file changed since"),
        ({**SEEN, "behind": 0, "changed": 0, "added": 0}, "20 Nov, 09:12"),
        ({**SEEN, "behind": None, "changed": None, "added": None}, "20 Nov, 09:12"),
        (None, "20 Nov, 09:12"),
    ],
)
def test_the_bar_says_how_far_the_index_is_behind(
    site: ScriptedSite, new_page: Callable[..., Page], source: dict[str, Any] | None, words: str
) -> None:
    told(site, source)
    page = site.opened(new_page())
    expect(page.locator("#fresh .words, #fresh > span:not(:has(.words))")).to_have_text(words)
    expect(page.locator("#repository")).to_have_accessible_name(re.compile(re.escape(words)))


def test_what_is_behind_it_tells_both_commits_their_ages_and_offers_to_index_again(
    site: ScriptedSite, new_page: Callable[..., Page]
) -> None:
    told(site, SEEN)
    page = site.opened(new_page())
    page.locator("#repository").click()
    details = page.locator("#index-details")
    expect(details).to_contain_text(re.compile(r"a1b2c3d on main, 20 Nov, \d\d:12 \(.+ ago\)|\(yesterday\)"))
    expect(details).to_contain_text("9e8d7c6 on main, 3 commits later; 4 files changed, 1 new")
    page.get_by_role("button", name="Index again").click()
    expect(page.locator("#announcer")).to_have_text("Indexing is queued.")
    assert site.posted == [("/repositories/index/", {"repository": ["harbor"]})]
    job = {"state": "queued", "stage": "", "done": 0, "total": 0, "message": ""}
    told(site, SEEN, job=job)
    expect(page.locator("#fresh")).to_contain_text("Indexing")
    expect(page.get_by_role("button", name="Index again")).to_be_hidden()


def test_who_may_not_have_it_indexed_is_told_who_may(site: ScriptedSite, new_page: Callable[..., Page]) -> None:
    told(site, SEEN)
    site.index_url = ""
    page = site.opened(new_page())
    page.locator("#repository").click()
    expect(page.locator("#catch-up")).to_contain_text("Its owner or a member of staff can have it indexed again.")
    expect(page.get_by_role("button", name="Index again")).to_have_count(0)


def test_a_source_that_can_not_be_seen_is_one_sentence_and_the_page_works(
    site: ScriptedSite, new_page: Callable[..., Page]
) -> None:
    problem = "git ls-remote failed: Could not resolve host: git.example.org."
    told(site, {**SEEN, "checked_at": None, "behind": None, "changed": None, "added": None, "problem": problem})
    page = site.opened(new_page())
    page.locator("#repository").click()
    expect(page.locator("#index-details")).to_contain_text(problem)
    answered(site, page)


def test_files_that_have_changed_since_are_marked_in_the_answer_and_in_its_sources(
    site: ScriptedSite, new_page: Callable[..., Page]
) -> None:
    told(site, SEEN)
    site.changed = {"src/harbor/application.py": "changed", "src/harbor/guards.py": "gone"}
    page = site.opened(new_page())
    answered(site, page)
    marks = page.locator(".evidence .changed-since:visible")
    expect(marks).to_have_count(2)
    expect(marks.first).to_have_attribute("title", "This file has changed since this index was made.")
    expect(page.locator(".evidence [data-src='1']")).to_have_accessible_name(
        re.compile("has changed since this index was made")
    )
    expect(page.locator(".evidence [data-src='2']")).to_contain_text("deleted")
    expect(page.locator(".card[data-src='1']")).to_contain_text("This file has changed since this index was made.")
    expect(page.locator(".card[data-src='3'] .changed-since:visible")).to_have_count(0)
    expect(page.locator(".card.drop .changed-since:visible")).to_have_count(1)
    expect(page.locator("#fresh")).to_contain_text("2 files of this answer changed")
    site.changed = {}
    told(site, {**SEEN, "checked_at": "2026-11-20T10:05:00+00:00"})
    expect(page.locator(".changed-since:visible")).to_have_count(0)
    expect(page.locator("#fresh")).not_to_contain_text("of this answer")


def test_on_a_phone_the_bar_says_it_in_two_words(site: ScriptedSite, new_page: Callable[..., Page]) -> None:
    told(site, SEEN)
    page = site.opened(new_page(width=390, height=844))
    expect(page.locator("#fresh .few-words")).to_have_text("3 behind")
    expect(page.locator("#fresh .words")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
