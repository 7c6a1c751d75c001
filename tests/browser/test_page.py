"""What the page does with what it is told, over a server that the test plays."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.script import accept, asked, citation, completed, delta, passage, passages, place, route
from tests.browser.scripted_site import STATUS, ScriptedSite

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]


def box(page: Page) -> Locator:
    return page.get_by_label("Your question about harbor")


# --- asking ---------------------------------------------------------------------------------------------------------------


def test_enter_asks_shift_enter_breaks_the_line_and_slash_goes_to_the_box(site: ScriptedSite, page: Page) -> None:
    page.locator("h1").first.click()
    page.keyboard.press("/")
    expect(box(page)).to_be_focused()
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two/three?")
    page.keyboard.press("Enter")
    assert site.heard("ask")["question"] == "one\ntwo/three?"
    expect(box(page)).to_have_value("")


def test_escape_without_an_answer_that_runs_leaves_the_draft_and_a_reload_keeps_it(site: ScriptedSite, page: Page) -> None:
    box(page).fill("half a quest")
    page.keyboard.press("Escape")
    page.reload()
    expect(box(page)).to_have_value("half a quest")
    assert site.silent()


def test_escape_closes_what_is_open_before_it_stops_an_answer(site: ScriptedSite, page: Page) -> None:
    answer = asked(page, site)
    site.tell(answer, route(), passages(passage(1)), delta("Guards"))
    expect(page.locator(".prose")).to_contain_text("Guards")
    page.locator("h1").first.click()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_hidden()
    assert site.silent()
    page.keyboard.press("Escape")
    assert site.heard("stop")["answer"] == answer


def test_a_question_that_is_asked_while_the_connection_is_lost_is_sent_once_it_is_back(site: ScriptedSite, page: Page) -> None:
    site.drop()
    expect(page.locator("#connection[data-conn='lost']")).to_be_visible()
    box(page).fill("Still there?")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Still there?")).to_be_visible()
    assert site.heard("ask")["question"] == "Still there?"


def test_after_a_lost_connection_the_page_asks_for_what_came_after_the_last_that_it_saw(site: ScriptedSite, page: Page) -> None:
    answer = asked(page, site)
    site.tell(answer, route(), passages(passage(1)), delta("Guards run"))
    expect(page.locator(".prose")).to_contain_text("Guards run")
    site.drop()
    assert site.heard("open")["seen"] == {answer: 3}
    site.tell(answer, delta(" first."), completed(), first=4)
    expect(page.locator(".prose")).to_have_text("Guards run first.")


def test_what_the_server_refuses_is_given_back_to_the_box(site: ScriptedSite, page: Page) -> None:
    box(page).fill("Too much?")
    page.keyboard.press("Enter")
    message = site.heard("ask")
    box(page).fill("and more")
    site.say({"type": "error", "message": "The database doesn't answer.", "answer": message["answer"]})
    expect(box(page)).to_have_value("Too much?\n\nand more")
    expect(page.get_by_text("The database doesn't answer.")).to_be_visible()
    expect(page.locator(".turn")).to_have_count(0)


# --- what a question is about -------------------------------------------------------------------------------------------


def test_an_at_sign_offers_paths_and_symbols_and_the_keyboard_takes_one(site: ScriptedSite, page: Page) -> None:
    box(page).press_sequentially("why @app")
    options = page.get_by_role("listbox", name="Folders, files and symbols").get_by_role("option")
    expect(options).to_have_count(2)
    expect(options.first).to_have_attribute("aria-selected", "true")
    field = page.locator("#ask")
    expect(field).to_have_attribute("role", "combobox")
    expect(field).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowDown")
    expect(field).to_have_attribute("aria-activedescendant", options.nth(1).get_attribute("id") or "none")
    page.keyboard.press("Enter")
    expect(field).to_have_value("why @Application.run_guards ")
    expect(options).to_have_count(0)
    assert site.silent()
    page.keyboard.press("Enter")
    assert site.heard("ask")["question"] == "why @Application.run_guards"


def test_escape_closes_the_offer_and_leaves_the_draft(site: ScriptedSite, page: Page) -> None:
    box(page).press_sequentially("see @app")
    offered = page.locator("#mentions").get_by_role("option")
    expect(offered).to_have_count(2)
    page.keyboard.press("Escape")
    expect(offered).to_have_count(0)
    expect(page.locator("#ask")).to_have_value("see @app")
    expect(page.locator("#ask")).not_to_have_attribute("role", "combobox")


def test_an_address_offers_nothing(site: ScriptedSite, page: Page) -> None:
    box(page).press_sequentially("me@app")
    expect(page.locator("#mentions")).to_be_hidden()


def chips(page: Page) -> Locator:
    return page.get_by_role("list", name="Kept for the next question").get_by_role("button")


def test_filters_go_with_the_question_and_the_turn_says_so(site: ScriptedSite, page: Page) -> None:
    page.get_by_role("button", name="Everywhere").click()
    page.get_by_label("Folder or file").fill("src/harbor")
    page.get_by_label("python").check()
    page.get_by_label("markdown").check()
    page.get_by_label("Leave tests out").check()
    page.keyboard.press("Escape")
    expect(chips(page)).to_have_text(["in src/harbor", "python", "markdown", "no tests"])
    box(page).fill("How do guards run?")
    page.keyboard.press("Enter")
    wanted = {"folder": "src/harbor", "languages": ["python", "markdown"], "tests": False}
    assert site.heard("ask")["filters"] == wanted
    expect(page.locator(".kept")).to_have_text("Looked only in: src/harbor, python, markdown, no tests")
    page.reload()
    expect(chips(page)).to_have_count(4)
    page.get_by_role("button", name="Filters: 4").click()
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_role("button", name="Everywhere")).to_be_visible()
    expect(chips(page)).to_have_count(0)


def test_pins_of_a_question_are_kept_for_the_next_until_they_are_taken_away(site: ScriptedSite, page: Page) -> None:
    answer = asked(page, site, "Why @src/app.py and @Session.get?")
    site.tell(answer, route(), passages(passage(1)), delta("So."), completed())
    expect(chips(page)).to_have_text(["@src/app.py", "@Session.get"])
    box(page).fill("And then?")
    page.keyboard.press("Enter")
    message = site.heard("ask")
    assert message["filters"] == {"pins": ["src/app.py", "Session.get"]}
    assert message["question"] == "And then?"
    expect(page.locator(".kept").last).to_have_text("Pinned: src/app.py, Session.get")
    page.get_by_role("button", name="Unpin src/app.py").click()
    expect(chips(page)).to_have_text(["@Session.get"])
    expect(chips(page).first).to_be_focused()
    page.keyboard.press("Delete")
    expect(chips(page)).to_have_count(0)
    expect(box(page)).to_be_focused()


def test_the_keyboard_goes_from_the_empty_box_to_the_chips_and_back(site: ScriptedSite, page: Page) -> None:
    page.get_by_role("button", name="Everywhere").click()
    page.get_by_label("python").check()
    page.get_by_label("Leave tests out").check()
    page.keyboard.press("Escape")
    box(page).fill("x")
    page.keyboard.press("Backspace")
    expect(chips(page)).to_have_count(2)
    page.keyboard.press("Backspace")
    expect(chips(page).last).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Backspace")
    expect(chips(page)).to_have_text(["no tests"])
    page.keyboard.press("ArrowRight")
    expect(box(page)).to_be_focused()


def test_an_opened_conversation_keeps_what_its_last_question_had(site: ScriptedSite, new_page: Callable[..., Page]) -> None:
    page = new_page()
    conversation = "00000000-0000-4000-8000-0000000000c0"
    page.goto(f"{site.url}conversations/{conversation}/")
    site.heard("open")
    answer = {"id": "00000000-0000-4000-8000-00000000000a", "number": 1, "question": "Why?", "requested_route": "auto"}
    more = {"retry_of": None, "state": "completed", "created_at": "2026-11-20T09:12:00Z"}
    kept = {"languages": ["python"], "pins": ["src/app.py"]}
    told = {"id": conversation, "title": "Why?", "repository": "harbor"}
    site.say({"type": "opened", "conversation": told, "answers": [{**answer, **more, "filters": kept}]})
    expect(chips(page)).to_have_text(["python", "@src/app.py"])


def test_on_a_phone_long_suggestions_and_chips_stay_inside(site: ScriptedSite, new_page: Callable[..., Page]) -> None:
    page = site.opened(new_page(width=390, height=844))
    asked(page, site, f"Why @src/{'deep/' * 12}application.py?")
    box(page).press_sequentially("and @")
    expect(page.get_by_role("option").first).to_be_visible()
    expect(page.locator("#announcer")).to_have_text("3 suggestions. Arrows choose, Enter takes.")
    assert sticking_out(page) == []


# --- an answer ------------------------------------------------------------------------------------------------------------


def test_a_screen_reader_hears_the_boundaries_of_an_answer_and_no_token(site: ScriptedSite, page: Page) -> None:
    page.evaluate("""() => {
        window.heard = [];
        const place = document.getElementById("announcer");
        new MutationObserver(() => window.heard.push(place.textContent)).observe(place, {childList: true});
    }""")
    answer = asked(page, site)
    text = "Guards run first [1]."
    site.tell(answer, route(), passages(passage(1), passage(2)), *[delta(piece) for piece in re.findall(r"\S+\s*", text)])
    site.tell(answer, citation(text, 1, "verified"), completed(1, 1), first=7)
    expect(page.locator(".turn .done")).to_be_visible()
    assert page.evaluate("window.heard") == [
        "Asked.",
        "2 passages found.",
        "Answering.",
        "Done. 1 citation, all verified · coder-1.5b · 4.2 s.",
    ]
    assert page.locator("#announcer").get_attribute("aria-live") == "polite"


def test_a_check_that_ends_moves_nothing(site: ScriptedSite, page: Page) -> None:
    answer = asked(page, site)
    text = "Guards run in `run_guards` [1], before the endpoint."
    site.tell(answer, route(), passages(passage(1)), delta(text), citation(text, 1, "pending"))
    chip = page.locator(".prose button.cite")
    expect(chip).to_have_accessible_name("application.py lines 171 to 175, being checked")
    before = chip.bounding_box()
    site.tell(answer, citation(text, 1, "verified", found=[{"name": "run_guards", "line": 171}]), completed(1, 1), first=5)
    expect(chip).to_have_accessible_name("application.py lines 171 to 175, verified")
    assert chip.bounding_box() == before


def test_a_verified_an_unverified_and_a_matched_citation_each_say_what_was_checked(site: ScriptedSite, page: Page) -> None:
    answer = asked(page, site)
    text = "First `run_guards` [1], then `refuse` [2]. Last `guard`."
    found = {"found": [{"name": "run_guards", "line": 171}]}
    site.tell(
        answer,
        route(),
        passages(passage(1), passage(2, symbol="Recovery.reraises"), passage(3, symbol="each")),
        delta(text),
        citation(text, 1, "verified", **found),
        citation(text, 2, "unverified", missing=["refuse"]),
        citation(text, 3, "verified", origin="matched", found=[{"name": "guard", "line": 172}]),
        completed(2, 3),
    )
    expect(page.locator(".prose button.cite")).to_have_count(3)
    expect(page.locator(".prose")).to_have_text(re.compile("First run_guards\\s1, then refuse\\s2\\. Last guard\\.\\s3"))
    expect(page.locator(".done")).to_contain_text("2 of 3 citations verified")
    for number, sentence in (
        (1, "Verified. Named in the answer and found: run_guards 171."),
        (2, "Not verified. The sentence names refuse, which isn’t in these lines."),
        (3, "found: guard 172. The model gave no number; the server matched the sentence to these lines."),
    ):
        page.locator(f".prose button.cite[data-src='{number}']").click()
        expect(page.locator(f".card[data-src='{number}'] .check")).to_contain_text(sentence.replace(" 17", "\u00a017"))
    expect(page.locator(".card[data-src='1'] .hit")).to_have_attribute("data-n", "171")


def test_a_similar_passage_is_shown_as_such_and_never_counts_as_checked(site: ScriptedSite, page: Page) -> None:
    answer = asked(page, site)
    text = "First `run_guards` [1]. Each one is asked before anything else is done."
    reason = "This passage is the one that is similar to the sentence, which proves nothing."
    site.tell(
        answer,
        route(),
        passages(passage(1), passage(2, symbol="each")),
        delta(text),
        citation(text, 1, "verified", found=[{"name": "run_guards", "line": 171}]),
        citation(text, 2, "similar", origin="matched", reason=reason),
        completed(1, 1),
    )
    chip = page.locator(".prose button.cite[data-src='2']")
    expect(chip).to_have_accessible_name(re.compile("similar, not verified"))
    expect(chip.locator("use")).to_have_attribute("href", "#i-near")
    chip.click()
    expect(page.locator(".card[data-src='2'] .check")).to_have_text(f"Similar. {reason}")


def test_paths_and_names_without_a_number_lead_to_the_source_or_say_that_they_are_nowhere(
    site: ScriptedSite, page: Page
) -> None:
    answer = asked(page, site)
    text = "It is in `Application.run` of src/harbor/application.py:171 [1].\n\nThe `TokenStore` is not."
    spans = [
        place(text, "`Application.run`", start_line=160, end_line=169),
        place(text, "src/harbor/application.py:171", start_line=171, end_line=171),
        place(text, "`TokenStore`", state="absent", reason="TokenStore occurs in no file of this repository."),
    ]
    site.tell(answer, route(), passages(passage(1)), delta(text), citation(text, 1, "verified"), *spans)
    site.tell(answer, completed(1, 1, claims=(1, 2)), first=8)
    prose = page.locator(".prose")
    expect(prose).to_have_text(re.compile(r"It is in Application\.run of src/harbor/application\.py:171\s1\."))
    # The words are there before they are links.
    expect(prose.locator("a")).to_have_count(2)
    links = [link.get_attribute("href") or "" for link in prose.locator("a").all()]
    assert [link.rpartition("/")[2] for link in links] == ["application.py#L160-L169", "application.py#L171"]
    expect(prose.locator("a code")).to_have_text("Application.run")
    expect(prose.locator("[data-state=absent]")).to_have_text("TokenStore not in this repository")
    expect(page.locator(".done")).to_contain_text("1 of 2 claims verified")


def test_without_evidence_the_page_says_so_and_offers_to_answer_anyway(site: ScriptedSite, page: Page) -> None:
    answer = asked(page, site)
    kind, payload = completed()
    ending = (kind, {**payload, "model": "", "finish_reason": "none", "abstained": True})
    speaks = passage(1, suspicious=True)
    site.tell(answer, route(), passages(speaks), delta("This repository holds no evidence for an answer."), ending)
    expect(page.locator(".done")).to_contain_text("No evidence")
    expect(page.locator(".card .check")).to_contain_text("Speaks to the model.")
    page.get_by_role("button", name="Answer anyway").click()
    message = site.heard("retry")
    assert (message["of"], message["route"]) == (answer, "code")


def test_a_passage_tells_why_it_was_found_and_what_was_dropped_tells_its_cost(site: ScriptedSite, page: Page) -> None:
    answer = asked(page, site)
    site.tell(answer, route(), passages(passage(1), passage(None, path="src/a.py", symbol="far_away", tokens=612)), completed())
    page.get_by_role("button", name="1 more dropped for budget").click()
    dropped = page.locator("#group-dropped")
    expect(dropped).to_be_in_viewport()
    expect(dropped.get_by_role("link")).to_contain_text(re.compile("far_away.*rank 2 · 612 tokens"))
    page.get_by_text("Why this?").click()
    table = page.get_by_role("table", name="Why passage 1 was retrieved: rank and score by retriever")
    expect(table.get_by_role("row").nth(1)).to_have_text("116.821.00–0.031294")


def test_an_answer_that_starts_again_throws_away_what_was_written(site: ScriptedSite, page: Page) -> None:
    answer = asked(page, site)
    site.tell(answer, route(), passages(passage(1)), delta("# Old\n\nwords"))
    expect(page.locator(".prose")).to_contain_text("words")
    site.tell(answer, ("reset", {"attempt": 2, "reason": "taken over"}), first=4)
    expect(page.locator(".prose")).to_be_hidden()
    site.tell(answer, route(), passages(passage(1)), delta("New."), completed(), first=5)
    expect(page.locator(".prose")).to_have_text("New.")


def test_a_failed_answer_keeps_its_text_and_retry_asks_the_same_again(site: ScriptedSite, page: Page) -> None:
    answer = asked(page, site)
    site.tell(
        answer, route(), delta("Half an"), ("failed", {"code": "broken_stream", "message": "The model server went away."})
    )
    expect(page.locator(".trouble")).to_contain_text("The model server went away. What was written so far is kept above.")
    expect(page.locator(".prose")).to_have_text("Half an")
    page.get_by_role("button", name="Retry").click()
    message = site.heard("retry")
    assert message["of"] == answer
    accept(site, message, "How do guards run?", retry_of=answer)
    site.tell(message["answer"], route(), delta("Whole."), completed())
    expect(page.locator(".turn")).to_have_count(1)
    expect(page.locator(".prose")).to_have_text("Whole.")


def test_a_refused_answer_is_taken_off_the_page_and_the_code_can_be_asked_instead(
    site: ScriptedSite, new_page: Callable[..., Page]
) -> None:
    page = site.opened(new_page())
    answer = asked(page, site)
    long = "# Guards\n\nA guard is harmless.\n\n" * 3
    site.tell(answer, route("general"), passages(passage(1)), delta(long), citation(f"{long}[1]", 1, "pending"))
    expect(page.locator(".prose")).to_contain_text("harmless")
    message = (
        "Moderation refused the answer (S1: Violent Crimes), and it was withdrawn; ask in other words, or ask about the code."
    )
    refusal = {"code": "refused", "message": message, "side": "answer", "categories": ["S1"]}
    site.tell(answer, ("failed", refusal), first=5)
    expect(page.locator(".trouble p")).to_have_text(message)
    expect(page.locator(".prose")).to_be_hidden()
    expect(page.locator(".prose")).to_have_text("")
    expect(page.locator(".evidence")).to_be_visible()
    expect(page.locator(".done")).to_have_text("Refused.")
    expect(page.get_by_role("button", name="Copy the answer")).to_have_count(0)
    expect(page.get_by_role("button", name="Retry")).to_be_visible()
    page.get_by_role("button", name="Ask about the code").click()
    again = site.heard("retry")
    assert (again["of"], again["route"]) == (answer, "code")
    accept(site, again, "How do guards run?", retry_of=answer)
    site.tell(again["answer"], route(), passages(passage(1)), delta("They run first."), completed())
    expect(page.locator(".prose")).to_have_text("They run first.")


def test_an_answer_that_was_not_moderated_though_it_should_be_says_so(site: ScriptedSite, page: Page) -> None:
    answer = asked(page, site)
    kind, told = route("general")
    why = "This answer was not moderated, at least in part: the moderation server is still loading; try again in a moment."
    site.tell(answer, (kind, {**told, "not_moderated": why}), delta("A monad."), completed())
    expect(page.locator(".note")).to_contain_text(why)
    expect(page.locator(".prose")).to_have_text("A monad.")


def test_switching_the_route_of_an_unsure_answer_asks_the_code_and_its_note_goes(site: ScriptedSite, page: Page) -> None:
    answer = asked(page, site)
    kind, told = route("general")
    unsure = (kind, {**told, "unsure": True, "chance": 0.31, "reason": "asks about a notion"})
    site.tell(answer, unsure, passages(passage(1)), delta("A guard is a check, as here [1]."))
    expect(page.locator(".note")).to_contain_text("the model saw these passages too, and was told that they may be unrelated.")
    expect(page.locator(".route")).to_contain_text("general: asks about a notion")
    expect(page.locator(".evidence li")).to_have_count(1)
    page.get_by_role("button", name="Use the code").click()
    assert site.heard("stop")["answer"] == answer
    message = site.heard("retry")
    assert (message["of"], message["route"]) == (answer, "code")
    accept(site, message, "How do guards run?", retry_of=answer)
    site.tell(answer, ("cancelled", {}), first=4)
    site.tell(
        message["answer"],
        (kind, {**told, "route": "code", "reason": "you chose it"}),
        passages(passage(1)),
        delta("`run_guards`."),
    )
    site.tell(message["answer"], completed(), first=4)
    expect(page.locator(".prose")).to_have_text("run_guards.")
    expect(page.locator(".note")).to_be_hidden()
    expect(page.locator(".route")).to_contain_text("code: you chose it")
    expect(page.get_by_role("button", name="Use general knowledge")).to_be_visible()


REMOTE = """![a](HERE/image.png) ![b][ref] [![c](HERE/linked.png)](HERE/page) ![d](//HOST/protocol-relative.png)

[ref]: HERE/reference.png

[link](HERE/link "title") <HERE/autolink> HERE/bare www.HOST/bare

<img src="HERE/img.png" srcset="HERE/set.png 2x"><picture><source srcset="HERE/source.png"></picture>
<a href="HERE/a" ping="HERE/ping" rel="opener" target="_blank">a</a>
<link rel="stylesheet" href="HERE/style.css"><link rel="dns-prefetch" href="HERE/"><link rel="preconnect" href="HERE/">
<style>@import url(HERE/import.css); body { background: url(HERE/background.png) }</style>
<p style="background: url(HERE/inline.png)">x</p> <video src="HERE/v.mp4" poster="HERE/poster.png"></video>
<iframe src="HERE/frame"></iframe> <object data="HERE/object"></object> <embed src="HERE/embed">
<script src="HERE/script.js"></script> <meta http-equiv="refresh" content="0;url=HERE/refresh">
<form action="HERE/form"><button>send</button></form> <base href="HERE/"> <body background="HERE/body.png">
<svg><image href="HERE/svg.png" /><use href="HERE/use.svg#x" /></svg> <audio src="HERE/a.mp3" autoplay></audio>

| ![t](HERE/table.png) |
|---|
| [cell](HERE/cell) |

- ![l](HERE/list.png)

```html
<img src="HERE/code.png">
```

`![i](HERE/inline-code.png)` and [1](HERE/number) and the end
"""


def test_nothing_that_a_model_writes_loads_or_leads_anywhere(site: ScriptedSite, page: Page) -> None:
    """At the other end a server listens: whatever a browser did, from a request to a mere connection, would reach it."""
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.settimeout(0)
        host = f"127.0.0.1:{elsewhere.getsockname()[1]}"
        text = REMOTE.replace("HERE", f"http://{host}").replace("HOST", host)
        requests: list[str] = []
        page.context.on("request", lambda request: requests.append(request.url))
        answer = asked(page, site)
        pieces = re.findall(r".{1,7}", text, re.DOTALL)
        site.tell(answer, route(), passages(passage(1)), *map(delta, pieces), completed())
        prose = page.locator(".prose")
        expect(page.locator(".done")).to_be_visible()
        expect(prose).to_contain_text("and the end")
        assert (
            prose.locator("a, img, picture, link, style, video, audio, iframe, object, embed, form, svg image, [style]").count()
            == 0
        )
        # The addresses are there to be read, and a click on one does nothing.
        before = page.url
        for path in ("link", "autolink", "bare", "image.png", "a", "cell"):
            expect(prose).to_contain_text(f"http://{host}/{path}")
        for block in prose.locator("p, li, td, th, pre").all():
            block.click(position={"x": 20, "y": 6})
        assert page.url == before and len(page.context.pages) == 1
        assert [url for url in requests if not url.startswith((site.url, site.url.replace("http", "ws"), "data:"))] == []
        with pytest.raises(BlockingIOError):
            elsewhere.accept()


def test_the_reader_is_told_when_another_model_answers_than_the_routes_own_and_why(site: ScriptedSite, page: Page) -> None:
    answer = asked(page, site)
    kind, told = route()
    site.tell(answer, (kind, {**told, "model": "mixtral", "instead_of": "No model server answers at http://gpu:8000."}))
    expect(page.locator(".note")).to_have_text("mixtral answers instead: No model server answers at http://gpu:8000.")


def test_markdown_that_still_grows_is_shown_as_it_will_be(site: ScriptedSite, page: Page) -> None:
    answer = asked(page, site)
    site.tell(answer, route(), delta("- **Guards run"))
    expect(page.locator(".prose strong")).to_have_text("Guards run")
    site.tell(answer, delta("** in `run_gu"), first=3)
    expect(page.locator(".prose code")).to_have_text("run_gu")
    site.tell(answer, delta("ards`\n\n```python\ndef guard(exchange):\n    return None"), first=4)
    expect(page.locator(".prose pre .hljs-keyword").first).to_have_text("def")
    site.tell(answer, delta("\n```\n"), completed(), first=5)
    page.locator(".prose").get_by_role("button", name="Copy the code").click()
    assert page.evaluate("navigator.clipboard.readText()") == "def guard(exchange):\n    return None"


def test_paths_symbols_titles_and_questions_are_text_and_nothing_else(site: ScriptedSite, page: Page) -> None:
    evil = "<img src=x onerror=document.title='owned'>"
    answer = asked(page, site, evil)
    hostile = passage(1, path=f"src/{evil}.py", symbol=evil, text=f"# {evil}\n</code></pre>{evil}")
    site.tell(answer, route(), passages(hostile), delta("Fine."), completed())
    expect(page.locator(".card .code")).to_contain_text(evil)
    expect(page.locator(".turn h2")).to_have_text(evil)
    assert page.locator("img").count() == 0
    assert page.title() == f"{evil} · Sextant"


# --- around it --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("models", "answerer", "words"),
    [
        (
            {"state": "downloading", "percent": 35},
            True,
            "Downloading the model, 35 %. Until it is here, “Search” finds code without it.",
        ),
        ({"demonstration": True}, True, "This model only demonstrates."),
        (
            {"model": "solar-10.7b-instruct", "licence": "Licence CC-BY-NC-4.0. Not for commercial use."},
            True,
            "solar-10.7b-instruct: Licence CC-BY-NC-4.0. Not for commercial use.",
        ),
        ({"state": "unreachable", "message": "Nobody answers at http://x."}, True, "Nobody answers at http://x."),
        ({}, False, "Nothing answers at the moment"),
    ],
)
def test_a_line_says_what_is_the_matter_with_the_model(
    site: ScriptedSite, new_page: Callable[..., Page], models: dict[str, object], answerer: bool, words: str
) -> None:
    code = {**STATUS["models"]["code"], **models}
    site.status = {**STATUS, "models": {**STATUS["models"], "code": code}, "answerer": answerer}
    page = site.opened(new_page())
    expect(page.locator("#banner")).to_contain_text(words)


def test_an_index_on_its_way_says_how_far_it_is_and_that_asking_works(
    site: ScriptedSite, new_page: Callable[..., Page]
) -> None:
    job = {"state": "running", "stage": "embedding", "done": 758, "total": 3790, "message": ""}
    site.status = {**STATUS, "repository": {**STATUS["repository"], "embedded": 0, "job": job}}
    page = site.opened(new_page())
    expect(page.locator("#fresh")).to_have_text("Indexing · vectors 20 %")
    expect(page.locator("#index-card")).to_contain_text("758 of 3,790 chunks")
    expect(page.locator("#index-card")).to_contain_text("You can ask now.")


def test_dark_follows_the_system_until_the_person_chooses(site: ScriptedSite, new_page: Callable[..., Page]) -> None:
    page = site.opened(new_page(scheme="dark"))
    background = "getComputedStyle(document.querySelector('main')).backgroundColor"
    assert page.evaluate(background) == "rgb(19, 25, 26)"
    page.get_by_role("button", name="Theme: system").click()
    assert page.evaluate(background) == "rgb(251, 252, 251)"
    page.reload()
    assert page.evaluate(background) == "rgb(251, 252, 251)"
    expect(page.get_by_role("button", name="Theme: light")).to_be_visible()


def test_on_a_phone_list_and_sources_are_sheets_and_nothing_sticks_out(
    site: ScriptedSite, new_page: Callable[..., Page]
) -> None:
    page = site.opened(new_page(width=390, height=844))
    answer = asked(page, site)
    long = passage(1, path=f"src/{'deep' * 30}.py", symbol="a_name_of_many_words_" * 6)
    text = f"`{'x' * 120}` and {'y' * 120} [1].\n\n| a | b |\n|---|---|\n| {'z' * 90} | `{'w' * 90}` |"
    site.tell(
        answer, route(), passages(long, passage(None, path=f"{'far' * 40}.py")), delta(text), citation(text, 1, "verified")
    )
    site.tell(answer, completed(1, 1), first=5)
    expect(page.locator(".done")).to_be_visible()
    assert sticking_out(page) == []
    page.get_by_role("button", name="Sources", exact=True).click()
    expect(page.locator("#sources")).to_be_in_viewport()
    assert sticking_out(page) == []
    page.get_by_role("button", name="Hide sources").click()
    expect(page.locator("#sources")).to_be_hidden()
    page.get_by_role("button", name="Conversations").click()
    expect(page.get_by_role("searchbox")).to_be_in_viewport()
    page.keyboard.press("Escape")
    expect(page.get_by_role("searchbox")).to_be_hidden()
    page.locator(".prose button.cite").click()
    expect(page.locator(".card[data-src='1'] .code")).to_be_in_viewport()


# What reaches beyond the screen's right edge without a box around it that scrolls or cuts it off.
STICKING_OUT = """() => [...document.querySelectorAll("body *")]
    .filter((element) => {
        if (!element.checkVisibility() || element.getBoundingClientRect().right <= innerWidth + 1) return false;
        for (let box = element.parentElement; box !== document.body; box = box.parentElement) {
            const { overflowX } = getComputedStyle(box);
            if (overflowX !== "visible" && box.getBoundingClientRect().right <= innerWidth + 1) {
                return ["auto", "scroll"].includes(overflowX) && box.id === "scroll";
            }
        }
        return true;
    })
    .map((element) => element.outerHTML.slice(0, 120))"""


def sticking_out(page: Page) -> list[str]:
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    found: list[str] = page.evaluate(STICKING_OUT)
    return found


def test_every_control_has_a_name_and_the_keyboard_walks_the_citations(site: ScriptedSite, page: Page) -> None:
    answer = asked(page, site)
    text = "First `run_guards` [1], then `each` [2]."
    site.tell(answer, route(), passages(passage(1), passage(2)), delta(text), citation(text, 1, "verified"))
    site.tell(answer, citation(text, 2, "verified"), completed(2, 2), first=5)
    expect(page.locator(".done")).to_be_visible()
    for control in page.locator("button:visible, a:visible, input:visible, select:visible, summary:visible").all():
        expect(control).to_have_accessible_name(re.compile(r"\w"))
    page.locator("h1").first.click()
    page.keyboard.press("]")
    expect(page.locator(".prose button.cite[data-src='1']")).to_be_focused()
    page.keyboard.press("]")
    expect(page.locator(".prose button.cite[data-src='2']")).to_be_focused()
    page.keyboard.press("Control+b")
    expect(page.locator("#sources")).to_be_hidden()


def test_without_a_repository_the_page_says_how_to_index_one(site: ScriptedSite, new_page: Callable[..., Page]) -> None:
    site.context = {"repository": None, "repositories": []}
    page = site.opened(new_page(width=390, height=844))
    expect(page.get_by_text("manage.py index_repo").first).to_be_visible()
    expect(page.locator("#ask")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_sign_in_page_names_its_fields_and_says_when_they_are_wrong(
    site: ScriptedSite, new_page: Callable[..., Page]
) -> None:
    site.context = {"template": "sign_in.html", "form": {"errors": ["wrong"], "username": {"value": "ada"}}, "next": "/"}
    page = new_page()
    page.goto(site.url)
    expect(page.get_by_role("alert")).to_have_text("The name or the password isn’t right.")
    expect(page.get_by_label("Name")).to_have_value("ada")
    expect(page.get_by_label("Password")).to_have_attribute("type", "password")
