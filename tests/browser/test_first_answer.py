"""The way of a newcomer, with the embedded model server and the small model's real weights: index, ask, read, stop."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_end_to_end import ask, last_log, make_repository, prose, wait_for_end
from tests.processes import Deployment

pytestmark = [pytest.mark.browser, pytest.mark.integration, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def sextant(demonstration_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("sextant")
    settings = {"SEXTANT_EMBEDDED_MODEL": "demonstration", "SEXTANT_EMBEDDER": "minilm"}
    with Deployment(folder, **settings) as deployment:
        deployment.start("web", "answerer", "indexer", "model")
        deployment.manage("index_repo", str(make_repository(folder / "vault")), "--name", "vault")
        yield deployment


def test_a_question_is_answered_by_the_embedded_model_over_evidence_from_the_index(
    sextant: Deployment, new_page: Callable[..., Page]
) -> None:
    page = new_page()
    page.goto(f"{sextant.url}/?repository=vault")
    page.evaluate(
        """() => {
            window.lengths = new Set();
            new MutationObserver(() => window.lengths.add(document.querySelector(".turn .prose")?.textContent.length ?? 0))
                .observe(document.getElementById("turns"), {subtree: true, childList: true, characterData: true});
        }"""
    )
    ask(page, "How does hash_password make its salt?")
    expect(page.locator(".evidence")).to_contain_text("passwords.py", timeout=60_000)
    wait_for_end(page)
    assert prose(page)
    assert page.evaluate("window.lengths.size") > 3
    _, log = last_log(sextant)
    assert log[-1][1] == "completed"
    page.locator(".evidence button[data-src='1']").click()
    expect(page.locator("#sources .card[data-src='1'] .code")).to_be_visible()
    expect(page.locator("#banner")).to_contain_text("demonstrates")


def test_stop_ends_a_long_answer_of_the_embedded_model(sextant: Deployment, new_page: Callable[..., Page]) -> None:
    page = new_page()
    page.goto(f"{sextant.url}/?repository=vault")
    page.get_by_label("How to answer").select_option("general")
    ask(page, "Tell me a very long story about a sailor, an island and a storm.")
    expect(page.locator(".turn").last.locator(".prose")).to_contain_text(re.compile(r"\w+ \w+ \w+"), timeout=60_000)
    page.get_by_role("button", name=re.compile("^Stop")).click()
    wait_for_end(page)
    stored, log = last_log(sextant)
    assert log[-1][1] == "cancelled"
    assert stored
