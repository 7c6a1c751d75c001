"""The way of a newcomer, with nothing scripted: the real processes, MiniLM, and the embedded server with the small model."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.vault import (
    PATIENCE_MS,
    ask,
    check_log,
    copied_answer,
    last_log,
    make_repository,
    stop,
    wait_for_end,
    wait_for_text,
)
from tests.processes import Deployment

pytestmark = [pytest.mark.browser, pytest.mark.integration, pytest.mark.timeout(300)]

# The small model writes nonsense, so little of it is enough.
SHORT = {"SEXTANT_ANSWER_TOKENS": "300", "SEXTANT_EVIDENCE_TOKENS": "600"}
SOME_WORDS = re.compile(r"\w+\W+\w+\W+\w+")
WATCH_LENGTHS = """() => {
    window.lengths = new Set();
    new MutationObserver(() => window.lengths.add(document.querySelector(".turn .prose")?.textContent.length ?? 0))
        .observe(document.getElementById("turns"), {subtree: true, childList: true, characterData: true});
}"""


@pytest.fixture(scope="module")
def sextant(demonstration_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("sextant")
    settings = {"SEXTANT_EMBEDDED_MODEL": "demonstration", "SEXTANT_EMBEDDER": "minilm", **SHORT}
    with Deployment(folder, **settings) as deployment:
        deployment.manage("queue_index", str(make_repository(folder / "vault")), "--name", "vault")
        deployment.start("indexer", "model", "answerer", "web")
        yield deployment


@contextmanager
def model_frozen(sextant: Deployment) -> Iterator[None]:
    """The model server stands still, so that what is done meanwhile is done in mid-answer."""
    group = sextant.processes["model"].pid
    os.killpg(group, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(group, signal.SIGCONT)


def test_a_newcomer_indexes_asks_watches_the_answer_grow_and_opens_the_evidence(
    sextant: Deployment, new_page: Callable[..., Page]
) -> None:
    page = new_page()
    page.goto(f"{sextant.url}/?repository=vault")
    expect(page.locator("#index-card [data-st='done']")).to_have_count(3, timeout=2 * PATIENCE_MS)
    expect(page.locator("#banner")).to_contain_text("only demonstrates", timeout=PATIENCE_MS)
    page.evaluate(WATCH_LENGTHS)
    ask(page)
    expect(page.locator(".evidence")).to_contain_text("passwords.py", timeout=PATIENCE_MS)
    wait_for_text(page, SOME_WORDS)
    wait_for_end(page)
    assert page.evaluate("window.lengths.size") > 3
    kinds = check_log(sextant, " ".join(last_log(sextant)[0].split()))
    assert kinds[-1] == "completed"
    assert kinds.count("delta") > 3
    assert copied_answer(page) == last_log(sextant)[0]
    page.locator(".evidence button[data-src='1']").click()
    expect(page.locator("#sources .card[data-src='1'] .code")).to_be_visible()


def test_an_answer_of_the_embedded_model_is_reloaded_halfway_stopped_and_reloaded_again(
    sextant: Deployment, new_page: Callable[..., Page]
) -> None:
    page = new_page()
    page.goto(f"{sextant.url}/?repository=vault")
    page.get_by_label("How to answer").select_option("general")
    ask(page, "Tell me a very long story about a sailor, an island and a storm.")
    wait_for_text(page, SOME_WORDS)
    with model_frozen(sextant):
        page.reload()
        wait_for_text(page, SOME_WORDS)
        stop(page)
        wait_for_end(page)
    text, log = last_log(sextant)
    assert log[-1][1] == "cancelled"
    assert copied_answer(page) == text
    page.reload()
    expect(page.locator(".turn .done")).to_have_text("Stopped.")
    assert copied_answer(page) == text
