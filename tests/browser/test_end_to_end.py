"""The whole of it: real web, answerer and indexer processes, Chromium, and a model server that writes slowly and predictably.

The answers are numbered words, so a lost or doubled one shows. `Deployment` kills with SIGKILL.
"""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.fakes.openai_server import FakeModelServer
from tests.processes import Deployment, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.integration, pytest.mark.timeout(180)]

WORDS = " ".join(f"word{number}" for number in range(120))
SOURCE = '''"""Passwords are kept as salted hashes."""

import hashlib
import os


def hash_password(password: str) -> bytes:
    """A salt and the scrypt hash of `password`."""
    salt = os.urandom(16)
    return salt + hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)


def check_password(password: str, stored: bytes) -> bool:
    salt, expected = stored[:16], stored[16:]
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1) == expected
'''


def make_repository(folder: Path) -> Path:
    (folder / "vault").mkdir(parents=True)
    (folder / "vault" / "passwords.py").write_text(SOURCE)
    (folder / "README.md").write_text("# Vault\n\nKeeps passwords.\n\n## Hashing\n\nSee `hash_password`.\n")
    git = ["git", "-C", str(folder), "-c", "user.name=A", "-c", "user.email=a@example.org"]
    for command in (["init", "-qb", "main"], ["add", "."], ["commit", "-qm", "Keep passwords"]):
        subprocess.run([*git, *command], check=True)
    return folder


@pytest.fixture(scope="module")
def model() -> Iterator[FakeModelServer]:
    with FakeModelServer(text=WORDS, delay_s=0.05) as server:
        yield server


@pytest.fixture(scope="module")
def sextant(model: FakeModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("sextant")
    repository = make_repository(folder / "vault")
    settings = {"SEXTANT_CODE_MODEL_URL": model.url, "SEXTANT_ANSWER_LEASE_S": "2"}
    with Deployment(folder, **settings) as deployment:
        deployment.start("web", "answerer", "indexer")
        printed = deployment.manage("index_repo", str(repository), "--name", "vault", "--json").stdout
        assert json.loads(printed.splitlines()[-1])["files"] == 2
        yield deployment


@pytest.fixture(autouse=True)
def words_again(model: FakeModelServer) -> None:
    model.set(text=WORDS, delay_s=0.05, first_delay_s=0.0, fault="")


def ask(page: Page, question: str) -> None:
    page.get_by_label("Your question about vault").fill(question)
    page.get_by_role("button", name=re.compile("^Ask")).click()


def prose(page: Page) -> str:
    """What the last answer on the page reads as."""
    return " ".join(page.locator(".turn").last.locator(".prose").inner_text().split())


def wait_for_words(page: Page, number: int) -> None:
    expect(page.locator(".turn").last.locator(".prose")).to_contain_text(f"word{number}", timeout=30_000)


def wait_for_end(page: Page) -> None:
    expect(page.get_by_role("button", name=re.compile("^Ask"))).to_be_visible(timeout=60_000)
    expect(page.locator(".turn").last.locator(".done")).to_be_visible(timeout=60_000)


def last_log(sextant: Deployment) -> tuple[str, list[tuple[int, str, dict[str, object]]]]:
    """The text and the log of the answer that was asked last."""
    with sqlite3.connect(f"file:{sextant.folder}/data/sextant.sqlite3?mode=ro", uri=True) as database:
        answer, text = database.execute("SELECT id, text FROM assistant_answer ORDER BY created_at DESC LIMIT 1").fetchone()
        rows = database.execute(
            "SELECT seq, kind, payload FROM assistant_answerevent WHERE answer_id = ? ORDER BY seq", [answer]
        )
        return text, [(seq, kind, json.loads(payload)) for seq, kind, payload in rows]


def check_log(sextant: Deployment, text: str) -> list[str]:
    """The log has every seq once, its deltas since the last reset make `text`, and it ends once. Returns its kinds."""
    stored, log = last_log(sextant)
    kinds = [kind for _, kind, _ in log]
    assert [seq for seq, _, _ in log] == list(range(1, len(log) + 1))
    since = max((index for index, kind in enumerate(kinds) if kind == "reset"), default=0)
    assert "".join(str(payload["text"]) for _, kind, payload in log[since:] if kind == "delta") == stored
    assert " ".join(stored.split()) == text
    assert sum(kind in ("completed", "failed", "cancelled") for kind in kinds) == 1
    return kinds


def test_an_answer_grows_while_it_is_watched_and_its_final_text_equals_the_log(
    sextant: Deployment, new_page: Callable[..., Page]
) -> None:
    page = new_page()
    page.goto(f"{sextant.url}/?repository=vault")
    ask(page, "How does hash_password make its salt?")
    lengths = []
    for number in (5, 40, 80, 119):
        wait_for_words(page, number)
        lengths.append(len(prose(page)))
    assert lengths == sorted(set(lengths))
    wait_for_end(page)
    assert prose(page) == WORDS
    assert check_log(sextant, WORDS)[-1] == "completed"


def test_the_evidence_is_on_the_page_before_the_first_word(
    sextant: Deployment, model: FakeModelServer, new_page: Callable[..., Page]
) -> None:
    model.set(first_delay_s=3.0)
    page = new_page()
    page.goto(f"{sextant.url}/?repository=vault")
    ask(page, "How does hash_password make its salt?")
    expect(page.locator(".evidence")).to_contain_text("passwords.py", timeout=20_000)
    assert "word0" not in page.locator(".turn").last.inner_text()
    wait_for_words(page, 1)


def test_a_citation_opens_its_lines_in_the_panel_and_then_in_the_file(
    sextant: Deployment, model: FakeModelServer, new_page: Callable[..., Page]
) -> None:
    page = new_page()
    page.goto(f"{sextant.url}/?repository=vault")
    model.set(text="The salt comes from `os.urandom` in `hash_password` [1], and from `make_believe` [1].", delay_s=0.01)
    ask(page, "How does hash_password make its salt?")
    wait_for_end(page)
    chips = page.locator(".turn .prose button.cite")
    expect(chips).to_have_count(2)
    expect(chips.nth(0)).to_have_attribute("data-state", "verified")
    expect(chips.nth(1)).to_have_attribute("data-state", "unverified")
    chips.nth(0).click()
    card = page.locator("#sources .card[data-src='1']")
    expect(card.locator(".hit").filter(has_text="os.urandom")).to_be_visible()
    expect(card).to_contain_text("make_believe")
    card.get_by_role("link", name=re.compile("^Open ")).click()
    page.wait_for_url(re.compile(r"/source/vault/.*passwords\.py#L\d+"))
    expect(page.locator("body")).to_contain_text("os.urandom(16)")


def test_a_reload_in_mid_answer_goes_on_with_the_same_answer(
    sextant: Deployment, model: FakeModelServer, new_page: Callable[..., Page]
) -> None:
    page = new_page()
    page.goto(f"{sextant.url}/?repository=vault")
    ask(page, "How does hash_password make its salt?")
    wait_for_words(page, 10)
    started = model.stats()["started"]
    page.reload()
    wait_for_end(page)
    assert prose(page) == WORDS
    assert model.stats()["started"] == started
    check_log(sextant, WORDS)


def test_two_tabs_show_the_same_answer(sextant: Deployment, new_page: Callable[..., Page]) -> None:
    first = new_page()
    first.goto(f"{sextant.url}/?repository=vault")
    ask(first, "How does hash_password make its salt?")
    wait_for_words(first, 3)
    second = new_page()
    second.goto(first.url)
    wait_for_words(second, 20)
    wait_for_end(first)
    wait_for_end(second)
    assert prose(first) == prose(second) == WORDS
    ask(second, "And check_password?")
    expect(first.locator(".turn")).to_have_count(2, timeout=20_000)
    wait_for_end(first)
    wait_for_end(second)
    assert prose(first) == prose(second) == WORDS


def test_stop_keeps_the_text_and_ends_generation_at_the_model_server(
    sextant: Deployment, model: FakeModelServer, new_page: Callable[..., Page]
) -> None:
    page = new_page()
    page.goto(f"{sextant.url}/?repository=vault")
    ask(page, "How does hash_password make its salt?")
    wait_for_words(page, 10)
    page.get_by_role("button", name=re.compile("^Stop")).click()
    wait_for_end(page)
    wait_until(lambda: model.stats()["running"] == 0, "generation to end at the model server", timeout_s=10)
    text = prose(page)
    assert WORDS.startswith(text)
    assert "word10" in text
    assert "word119" not in text
    assert check_log(sextant, text)[-1] == "cancelled"


def test_escape_stops_and_leaves_the_draft(sextant: Deployment, new_page: Callable[..., Page]) -> None:
    page = new_page()
    page.goto(f"{sextant.url}/?repository=vault")
    ask(page, "How does hash_password make its salt?")
    wait_for_words(page, 5)
    page.get_by_label("Your question about vault").fill("the next question")
    page.keyboard.press("Escape")
    wait_for_end(page)
    assert page.get_by_label("Your question about vault").input_value() == "the next question"


def test_when_the_answerer_is_killed_another_starts_the_answer_again(
    sextant: Deployment, new_page: Callable[..., Page]
) -> None:
    page = new_page()
    page.goto(f"{sextant.url}/?repository=vault")
    ask(page, "How does hash_password make its salt?")
    wait_for_words(page, 20)
    sextant.kill("answerer")
    sextant.start("answerer")
    wait_for_end(page)
    assert prose(page) == WORDS
    kinds = check_log(sextant, WORDS)
    assert kinds.count("reset") == 1
    assert kinds[-1] == "completed"


def test_when_the_web_process_is_killed_the_answer_goes_on_and_the_page_catches_up(
    sextant: Deployment, model: FakeModelServer, new_page: Callable[..., Page]
) -> None:
    page = new_page()
    page.goto(f"{sextant.url}/?repository=vault")
    ask(page, "How does hash_password make its salt?")
    wait_for_words(page, 10)
    started = model.stats()["started"]
    sextant.kill("web")
    sextant.start("web")
    wait_for_end(page)
    assert prose(page) == WORDS
    assert model.stats()["started"] == started
    assert "reset" not in check_log(sextant, WORDS)
    # Chromium itself reports the connections that were refused meanwhile; nothing else may have been reported.
    complaints = new_page.complaints  # type: ignore[attr-defined]
    complaints[:] = [text for text in complaints if "ERR_CONNECTION_REFUSED" not in text and "WebSocket connection" not in text]


def test_a_broken_stream_keeps_its_text_and_offers_retry(
    sextant: Deployment, model: FakeModelServer, new_page: Callable[..., Page]
) -> None:
    model.set(fault="error_event", after=12)
    page = new_page()
    page.goto(f"{sextant.url}/?repository=vault")
    ask(page, "How does hash_password make its salt?")
    retry = page.get_by_role("button", name="Retry")
    expect(retry).to_be_visible(timeout=30_000)
    assert prose(page) == " ".join(WORDS.split()[:12])
    assert check_log(sextant, prose(page))[-1] == "failed"
    model.set(fault="")
    retry.click()
    wait_for_words(page, 119)
    wait_for_end(page)
    assert prose(page) == WORDS


HOSTILE = """<script>document.title = "owned"</script>
<img src=x onerror="document.title='owned'"> ![remote](https://example.invalid/pixel.png "t")

[click](javascript:document.title='owned') [away](https://example.invalid/) <https://example.invalid/auto>

<svg><style><img src=x onerror=document.title='owned'></style></svg><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>

<a href="data:text/html,<script>alert(1)</script>">x</a> <iframe srcdoc="<script>parent.document.title='owned'</script>"></iframe>

`<b>code</b>` and [7] and [99999999999999999999] and \ue000\ue001

```html
<script>document.title = "owned"</script>
```

done
"""


def test_hostile_markdown_stays_inert(sextant: Deployment, model: FakeModelServer, new_page: Callable[..., Page]) -> None:
    page = new_page()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(f"{sextant.url}/?repository=vault")
    model.set(text=HOSTILE, delay_s=0.0)
    ask(page, "How does hash_password make its salt?")
    wait_for_end(page)
    answer = page.locator(".turn").last.locator(".prose")
    expect(answer).to_contain_text("done")
    assert answer.locator("script, img, iframe, svg style, form, math, a, object, embed, [onerror], [style]").count() == 0
    assert answer.locator("button.cite").count() == 0
    assert "owned" not in page.title()
    assert [url for url in requests if not url.startswith((sextant.url, sextant.url.replace("http", "ws"), "data:"))] == []
    assert last_log(sextant)[0] == HOSTILE


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_screen(sextant: Deployment, new_page: Callable[..., Page], width: int) -> None:
    page = new_page(width=width, height=844)
    page.goto(f"{sextant.url}/?repository=vault")
    ask(page, "How does hash_password make its salt?")
    wait_for_words(page, 30)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wait_for_end(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
