"""What the model saw: who may see it, and that it is exactly what was sent."""

from __future__ import annotations

import hashlib
import html
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client

from assistant import events, leases
from assistant.catalogue import family_of
from assistant.chat import ChatRequest, Message
from assistant.models import Answer, SentPrompt
from assistant.rendered_prompt import rendered
from indexer.models import Repository
from tests.assistant.test_permalinks import accounts  # noqa: F401
from tests.assistant.test_sent_prompts import work

pytestmark = pytest.mark.django_db

HOSTILE = '</pre><script>alert(1)</script> & "quoted" {{ settings }}\n\n  indented'
FORMS = ("prompt/", "prompt.json", "prompt.txt")


def page_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def request(question: str, model: str = "codellama-7b-instruct") -> ChatRequest:
    return ChatRequest(model, (Message("system", "Be brief."), Message("user", question)), 64)


def send(answer: Answer, *sent: ChatRequest) -> None:
    [claim] = leases.claim(1)
    leases.write([work(claim, *sent)])
    answer.refresh_from_db()


@pytest.fixture
def sent(ask_question) -> Answer:
    answer = ask_question()
    send(answer, request("Too long."), request(HOSTILE))
    return answer


def test_a_prompt_is_there_for_whoever_may_see_the_repository_and_for_nobody_else(sent, user, stranger):
    addresses = [f"/answers/{sent.pk}/{form}" for form in FORMS]
    assert {page_of(user).get(each).status_code for each in addresses} == {200}
    assert {page_of(stranger).get(each).status_code for each in addresses} == {404}
    assert {Client().get(each).status_code for each in addresses} == {302}
    assert {page_of(user).get(f"/answers/{uuid4()}/{form}").status_code for form in FORMS} == {404}
    assert {page_of(user).post(each).status_code for each in addresses} == {405}
    Repository.objects.update(visibility="public")
    assert {page_of(stranger).get(each).status_code for each in addresses} == {200}


def test_the_json_is_what_was_sent_byte_for_byte_and_has_the_hash_that_is_shown(sent, user):
    got = page_of(user).get(f"/answers/{sent.pk}/prompt.json")
    assert got.content == request(HOSTILE).body
    assert hashlib.sha256(got.content).hexdigest() in page_of(user).get(f"/answers/{sent.pk}/prompt/").text
    assert (got["Cache-Control"], got["X-Content-Type-Options"]) == ("no-store", "nosniff")


def test_the_page_shows_each_message_as_text_whatever_is_in_it(sent, user):
    page = page_of(user).get(f"/answers/{sent.pk}/prompt/")
    shown = page.text.split('<pre class="code"')[2].split(">\n", 1)[1].split("</pre>")[0]
    assert html.unescape(shown) == HOSTILE
    assert "<script>alert" not in page.text
    assert "script-src 'self'" in page["Content-Security-Policy"]
    assert sum(int(message.tokens) for message in page.context["messages"]) == 9


def test_the_text_has_each_message_under_its_role(sent, user):
    got = page_of(user).get(f"/answers/{sent.pk}/prompt.txt")
    assert got.content.decode() == f"===== system =====\nBe brief.\n\n===== user =====\n{HOSTILE}\n"
    assert got["Content-Type"] == "text/plain; charset=utf-8"


def test_earlier_requests_of_the_same_answer_can_be_chosen(sent, user):
    first = page_of(user).get(f"/answers/{sent.pk}/prompt.json", {"sent": "1"})
    assert first.content == request("Too long.").body
    assert page_of(user).get(f"/answers/{sent.pk}/prompt/", {"sent": "1"}).context["sent"].void
    assert {page_of(user).get(f"/answers/{sent.pk}/prompt/", {"sent": n}).status_code for n in ("0", "3", "x", "01")} == {404}


def test_the_template_is_named_and_where_it_is_ours_the_prompt_is_shown_as_one_text(sent, user, ask_question):
    page = page_of(user).get(f"/answers/{sent.pk}/prompt/")
    assert "llama-2.jinja" in page.text
    assert page.context["rendered"].startswith("<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>")
    assert html.escape(page.context["rendered"].split("\n")[0]) in page.text
    other = ask_question()
    send(other, request("Why?", "qwen2.5-coder-1.5b-instruct"))
    page = page_of(user).get(f"/answers/{other.pk}/prompt/")
    assert page.context["rendered"] is None and "its server applies" in page.text


def test_messages_that_a_template_refuses_are_not_shown_as_one_text():
    two = [{"role": "user", "content": "One?"}, {"role": "user", "content": "Two?"}]
    assert rendered(family_of("codellama-7b-instruct"), two) is None


def test_without_a_prompt_the_page_says_why_and_the_plain_forms_are_not_there(ask_question, user):
    answer = ask_question()

    def page() -> str:
        return page_of(user).get(f"/answers/{answer.pk}/prompt/").text

    assert "Nothing has been sent to a model yet" in page()
    assert {page_of(user).get(f"/answers/{answer.pk}/{form}").status_code for form in FORMS[1:]} == {404}
    search = {"route": "search", "reason": "", "model": ""}
    events.append(answer, [("route", search), ("completed", {"model": ""})])
    assert "This was a search" in page()
    Answer.objects.update(route="code")
    assert "before prompts were kept" in page()


def test_a_prompt_that_is_not_what_the_log_tells_is_said_to_be_so(sent, user):
    import zlib

    row = SentPrompt.objects.get(sha256=request(HOSTILE).sha256)
    row.body = zlib.compress(request("Another.").body)
    row.save()
    assert "is not the hash of what is kept" in page_of(user).get(f"/answers/{sent.pk}/prompt/").text
    row.delete()
    page = page_of(user).get(f"/answers/{sent.pk}/prompt/")
    assert "isn’t kept with this answer" in page.text and request(HOSTILE).sha256 in page.text
