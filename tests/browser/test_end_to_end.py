"""The whole of it: real web, answerer and indexer processes, Chromium, and a model server that writes what a test tells it.

The answers are numbered words, so a lost or doubled one shows. A test that does something in mid-answer holds the model
there, and lets it go on afterwards. `Deployment` kills with SIGKILL.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.vault import (
    PATIENCE_MS,
    QUESTION,
    ask,
    check_log,
    copied_answer,
    last_log,
    make_repository,
    prose,
    stop,
    wait_for_end,
    wait_for_text,
)
from tests.fakes.openai_server import FakeModelServer
from tests.processes import Deployment, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.integration, pytest.mark.timeout(180)]

NUMBER = 60
WORDS = " ".join(f"word{number}" for number in range(NUMBER))
LAST = f"word{NUMBER - 1}"


@pytest.fixture(scope="module")
def model() -> Iterator[FakeModelServer]:
    with FakeModelServer() as server:
        yield server


@pytest.fixture(scope="module")
def sextant(model: FakeModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("sextant")
    settings = {"SEXTANT_CODE_MODEL_URL": model.url, "SEXTANT_ANSWER_LEASE_S": "2", "SEXTANT_SOURCE_CHECK_S": "1"}
    with Deployment(folder, **settings) as deployment:
        deployment.start("indexer", "answerer", "web")
        deployment.manage("index_repo", str(make_repository(folder / "vault")), "--name", "vault")
        yield deployment


@pytest.fixture(autouse=True)
def words(model: FakeModelServer) -> None:
    model.set(text=WORDS, delay_s=0.005, hold=None, fault="")


@pytest.fixture
def page(sextant: Deployment, new_page: Callable[..., Page]) -> Page:
    opened = new_page()
    opened.goto(f"{sextant.url}/?repository=vault")
    return opened


def words_to(number: int) -> str:
    return " ".join(WORDS.split()[:number])


def ask_and_hold(page: Page, model: FakeModelServer, number: int) -> None:
    """Ask, and wait until the answer has `number` words and the model holds."""
    model.set(hold=number)
    ask(page)
    wait_for_text(page, f"word{number - 1}")


def go_on(page: Page, model: FakeModelServer) -> None:
    model.set(hold=None)
    wait_for_end(page)


def test_an_answer_grows_while_it_is_watched_and_its_final_text_equals_the_log(
    sextant: Deployment, model: FakeModelServer, page: Page
) -> None:
    ask_and_hold(page, model, 5)
    assert prose(page) == words_to(5)
    model.set(hold=40)
    wait_for_text(page, "word39")
    assert prose(page) == words_to(40)
    go_on(page, model)
    assert prose(page) == WORDS
    assert check_log(sextant, WORDS)[-1] == "completed"
    assert copied_answer(page) == last_log(sextant)[0]


def test_the_evidence_is_on_the_page_before_the_first_word(model: FakeModelServer, page: Page) -> None:
    model.set(hold=0)
    ask(page)
    expect(page.locator(".evidence")).to_contain_text("passwords.py", timeout=PATIENCE_MS)
    expect(page.locator("#sources .card[data-src='1'] .code")).to_contain_text("hash_password")
    expect(page.locator(".turn .busy")).to_contain_text("Reading")
    expect(page.locator(".turn .prose")).to_be_hidden()
    go_on(page, model)


def test_a_citation_opens_its_lines_in_the_panel_and_then_in_the_file(model: FakeModelServer, page: Page) -> None:
    model.set(text="The salt comes from `os.urandom` in `hash_password` [1], and from `make_believe` [1].")
    ask(page)
    wait_for_end(page)
    chips = page.locator(".turn .prose button.cite")
    expect(chips).to_have_count(2)
    expect(chips.nth(0)).to_have_accessible_name(re.compile(r"^passwords\.py lines \d+ to \d+, verified$"))
    expect(chips.nth(1)).to_have_accessible_name(re.compile(r"^passwords\.py lines \d+ to \d+, not verified$"))
    chips.nth(0).click()
    card = page.locator("#sources .card[data-src='1']")
    expect(card.locator(".hit").filter(has_text="os.urandom")).to_be_in_viewport()
    expect(card).to_contain_text("make_believe")
    card.get_by_role("link", name=re.compile("^Open ")).click()
    page.wait_for_url(re.compile(r"/source/vault/.*passwords\.py#L\d+"))
    expect(page.locator(".src .in").filter(has_text="os.urandom(16)")).to_be_in_viewport()
    expect(page.get_by_role("link", name="Back to the answer")).to_be_visible()


def test_the_source_view_marks_exactly_the_lines_of_its_address(sextant: Deployment, page: Page) -> None:
    ask(page)
    wait_for_end(page)
    address = page.locator("#sources .card .open").first.get_attribute("href") or ""
    page.goto(f"{sextant.url}{address.split('#')[0]}#L9-L10")
    expect(page.locator(".src .in .n")).to_have_text(["9", "10"])
    page.locator("#L14 .n").click()
    expect(page.locator(".src .in .n")).to_have_text(["14"])
    page.locator("#L15 .n").click(modifiers=["Shift"])
    expect(page.locator(".src .in .n")).to_have_text(["14", "15"])
    expect(page.locator("#outline [aria-current]")).to_contain_text("check_password")


def test_a_reload_in_mid_answer_goes_on_with_the_same_answer(sextant: Deployment, model: FakeModelServer, page: Page) -> None:
    ask_and_hold(page, model, 10)
    started = model.stats()["started"]
    page.reload()
    wait_for_text(page, "word9")
    assert prose(page) == words_to(10)
    go_on(page, model)
    assert prose(page) == WORDS
    assert model.stats()["started"] == started
    check_log(sextant, WORDS)


def test_two_tabs_show_the_same_answer(model: FakeModelServer, page: Page, new_page: Callable[..., Page]) -> None:
    ask_and_hold(page, model, 3)
    second = new_page()
    second.goto(page.url)
    wait_for_text(second, "word2")
    go_on(page, model)
    wait_for_end(second)
    assert prose(page) == prose(second) == WORDS
    ask(second, "And check_password?")
    expect(page.locator(".turn")).to_have_count(2)
    wait_for_end(page)
    wait_for_end(second)
    assert prose(page) == prose(second) == WORDS


def test_stop_keeps_the_text_and_ends_generation_at_the_model_server(
    sextant: Deployment, model: FakeModelServer, page: Page
) -> None:
    ask_and_hold(page, model, 10)
    assert model.stats()["running"] == 1
    stop(page)
    wait_for_end(page)
    wait_until(lambda: model.stats()["running"] == 0, "generation to end at the model server", timeout_s=10)
    assert prose(page) == words_to(10)
    assert check_log(sextant, words_to(10))[-1] == "cancelled"


def test_escape_stops_and_leaves_the_draft(model: FakeModelServer, page: Page) -> None:
    ask_and_hold(page, model, 5)
    draft = page.get_by_label("Your question about vault")
    draft.fill("the next question")
    page.keyboard.press("Escape")
    wait_for_end(page)
    page.keyboard.press("Escape")
    expect(draft).to_have_value("the next question")


def test_when_the_answerer_is_killed_another_starts_the_answer_again(
    sextant: Deployment, model: FakeModelServer, page: Page
) -> None:
    ask_and_hold(page, model, 20)
    sextant.kill("answerer")
    sextant.start("answerer")
    go_on(page, model)
    assert prose(page) == WORDS
    kinds = check_log(sextant, WORDS)
    assert kinds.count("reset") == 1
    assert kinds[-1] == "completed"


def test_when_the_web_process_is_killed_the_answer_goes_on_and_the_page_catches_up(
    sextant: Deployment, model: FakeModelServer, page: Page, new_page: Callable[..., Page]
) -> None:
    ask_and_hold(page, model, 10)
    started = model.stats()["started"]
    sextant.kill("web")
    expect(page.locator("#connection[data-conn='lost']")).to_be_visible()
    model.set(hold=None)
    sextant.start("web")
    wait_for_end(page)
    assert prose(page) == WORDS
    assert model.stats()["started"] == started
    assert "reset" not in check_log(sextant, WORDS)
    # Chromium itself reports the connections that were refused meanwhile; nothing else may have been reported.
    complaints = new_page.complaints  # type: ignore[attr-defined]
    complaints[:] = [text for text in complaints if not re.search(r"ERR_(CONNECTION|EMPTY)|WebSocket connection to", text)]


def test_a_broken_stream_keeps_its_text_and_offers_retry(sextant: Deployment, model: FakeModelServer, page: Page) -> None:
    model.set(fault="error_event", after=12)
    ask(page)
    retry = page.get_by_role("button", name="Retry")
    expect(retry).to_be_visible(timeout=PATIENCE_MS)
    assert prose(page) == words_to(12)
    assert check_log(sextant, words_to(12))[-1] == "failed"
    model.set(fault="")
    retry.click()
    wait_for_text(page, LAST)
    wait_for_end(page)
    assert prose(page) == WORDS
    expect(page.locator(".turn")).to_have_count(1)


def test_while_the_weights_come_the_passages_are_there_and_search_works(model: FakeModelServer, page: Page) -> None:
    model.set(fault="loading", percent=35)
    ask(page)
    expect(page.locator(".evidence")).to_contain_text("passwords.py", timeout=PATIENCE_MS)
    expect(page.locator("#banner")).to_contain_text("Downloading the model, 35 %", timeout=PATIENCE_MS)
    expect(page.locator(".turn .busy")).to_contain_text("35 %")
    stop(page)
    wait_for_end(page)
    page.get_by_label("How to answer").select_option("search")
    ask(page, "where is check_password")
    wait_for_end(page)
    expect(page.locator(".turn").last.locator(".done")).to_contain_text("passage")
    page.get_by_label("How to answer").select_option("code")
    ask(page)
    model.set(fault="")
    wait_for_text(page, LAST)
    wait_for_end(page)
    expect(page.locator("#banner")).to_be_hidden(timeout=PATIENCE_MS)


def test_a_general_answer_says_that_it_rests_on_nothing_in_the_repository(model: FakeModelServer, page: Page) -> None:
    model.set(text="A mutex lets one thread in at a time.")
    page.get_by_label("How to answer").select_option("general")
    ask(page, "What is a mutex?")
    wait_for_end(page)
    expect(page.locator(".turn .note")).to_have_text("General knowledge: no evidence from the repository was used.")
    expect(page.locator(".evidence")).to_have_count(0)


def test_a_conversation_is_listed_renamed_found_and_deleted(sextant: Deployment, page: Page) -> None:
    ask(page, "Where are passwords checked?")
    wait_for_end(page)
    item = page.locator("#conversations li", has_text="Where are passwords checked?").first
    item.hover()
    item.get_by_role("button", name="Rename Where are passwords checked?").click()
    page.get_by_label("New title").fill("Checking")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Checking")
    page.reload()
    page.keyboard.press("Control+k")
    page.keyboard.type("checking")
    shown = page.locator("#conversations li:visible")
    expect(shown).to_have_count(1)
    shown.hover()
    shown.get_by_role("button", name=re.compile("^Delete ")).click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.wait_for_url(f"{sextant.url}/")
    expect(page.locator("#conversations li", has_text="Checking")).to_have_count(0)


def test_the_picker_tells_of_the_index_and_leads_to_a_repository(sextant: Deployment, page: Page) -> None:
    page.get_by_role("button", name=re.compile("^Repository vault, branch main, indexed commit")).click()
    details = page.locator("#index-details")
    expect(details).to_contain_text("2 files")
    expect(details).to_contain_text("complete")
    page.get_by_role("link", name=re.compile("^vault")).click()
    page.wait_for_url(f"{sextant.url}/?repository=vault")


# From a model that repeats what a repository told it to.
HOSTILE = """<script>document.title = "owned"</script>
<img src=x onerror="document.title='owned'"> ![remote](https://example.invalid/pixel.png "t")

[click](javascript:document.title='owned') [away](https://example.invalid/) <https://example.invalid/auto>

<svg><style><img src=x onerror=document.title='owned'></style></svg>

<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>

<a href="data:text/html,<script>alert(1)</script>">x</a>

<iframe srcdoc="<script>parent.document.title='owned'</script>"></iframe>

`<b>code</b>` and [7] and [99999999999999999999] and \ue000\ue001

```html
<script>document.title = "owned"</script>
```

done
"""
FORBIDDEN = "script, img, iframe, svg style, form, math, a, object, embed, [onerror], [style]"


def test_hostile_markdown_stays_inert(sextant: Deployment, model: FakeModelServer, page: Page) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    model.set(text=HOSTILE)
    ask(page)
    wait_for_end(page)
    answer = page.locator(".turn").last.locator(".prose")
    expect(answer).to_contain_text("done")
    assert answer.locator(FORBIDDEN).count() == 0
    assert answer.locator("button.cite").count() == 0
    assert page.title().startswith(QUESTION)
    assert [url for url in requests if not url.startswith((sextant.url, sextant.url.replace("http", "ws"), "data:"))] == []
    assert last_log(sextant)[0] == HOSTILE


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_screen(
    sextant: Deployment, model: FakeModelServer, new_page: Callable[..., Page], width: int
) -> None:
    page = new_page(width=width, height=844, scheme="dark")
    page.goto(f"{sextant.url}/?repository=vault")
    ask_and_hold(page, model, 30)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    go_on(page, model)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_commit_after_the_index_was_made_is_told_and_its_file_is_marked(sextant: Deployment, page: Page) -> None:
    ask(page)
    wait_for_end(page)
    vault = sextant.folder / "vault"
    file = vault / "vault" / "passwords.py"
    before = file.read_text()
    git = ["git", "-C", str(vault), "-c", "user.name=A", "-c", "user.email=a@example.org"]
    file.write_text(f"{before}\n# more\n")
    subprocess.run([*git, "commit", "-qam", "More"], check=True)
    try:
        expect(page.locator("#fresh")).to_contain_text("1 commit behind main", timeout=PATIENCE_MS)
        expect(page.locator(".evidence .changed-since:visible").first).to_contain_text("changed", timeout=PATIENCE_MS)
        page.locator(".card", has_text="passwords.py").first.get_by_role("link", name="Open vault/passwords.py").click()
        expect(page.locator(".as-indexed")).to_contain_text("This file has changed since.")
    finally:
        subprocess.run([*git, "reset", "-q", "--hard", "HEAD~1"], check=True)


def test_an_answer_keeps_its_evidence_at_its_own_address_and_is_asked_again_at_head(
    sextant: Deployment, model: FakeModelServer, page: Page, new_page: Callable[..., Page]
) -> None:
    model.set(text="The salt comes from `os.urandom` in `hash_password` [1].")
    ask(page)
    wait_for_end(page)
    page.locator(".turn").last.get_by_role("button", name="Copy a link to this answer").click()
    address = page.evaluate("navigator.clipboard.readText()")
    vault = sextant.folder / "vault"
    file = vault / "vault" / "passwords.py"
    git = ["git", "-C", str(vault), "-c", "user.name=A", "-c", "user.email=a@example.org"]
    file.write_text(f"# Vault, a keeper of passwords.\n# Licence: MIT\n\n{file.read_text()}")
    subprocess.run([*git, "commit", "-qam", "Tell the licence"], check=True)
    try:
        sextant.manage("index_repo", str(vault), "--name", "vault")
        chip = page.locator(".turn .prose button.cite")
        expect(chip).to_have_attribute("data-now", "moved", timeout=PATIENCE_MS)
        alone = new_page()
        alone.goto(address)
        expect(alone.locator(".prose button.cite")).to_have_attribute("data-now", "moved", timeout=PATIENCE_MS)
        alone.locator(".prose button.cite").click()
        expect(alone.locator(".card[data-src='1'] .code")).to_contain_text("salt = os.urandom(16)")
        alone.locator(".card[data-src='1'] .now a").click()
        expect(alone.locator(".src .in").filter(has_text="salt = os.urandom(16)")).to_be_in_viewport()
        expect(alone.get_by_role("link", name="Back to the answer")).to_be_visible()
        model.set(text="It is drawn in `hash_password` [1].")
        page.locator(".since").get_by_role("button", name="Re-ask at HEAD").click()
        page.wait_for_url(re.compile("/changes/$"))
        expect(page.locator(".prose").first).to_contain_text("The salt comes from")
        expect(page.locator(".prose").last).to_contain_text("It is drawn in", timeout=PATIENCE_MS)
        expect(page.locator("#changes")).to_contain_text("1 citation has moved", timeout=PATIENCE_MS)
        page.goto(address)
        expect(page.locator(".beside a")).to_be_visible()
        expect(page.locator(".prose")).to_contain_text("The salt comes from")
    finally:
        subprocess.run([*git, "reset", "-q", "--hard", "HEAD~1"], check=True)
        sextant.manage("index_repo", str(vault), "--name", "vault")
