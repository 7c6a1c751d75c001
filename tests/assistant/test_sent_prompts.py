"""What models were sent: recorded by whoever holds the answer, once for each body, and for as long as there is the answer."""

from __future__ import annotations

import hashlib

import pytest

from assistant import conversations, leases
from assistant.answer_log import AnswerLog
from assistant.chat import ChatRequest, Message
from assistant.leases import Work
from assistant.models import SentPrompt
from assistant.sent_prompts import sent_for
from tests.assistant.test_leases import expire

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.event_log]


def request(question: str = "Wer hütet die Häfen? \x00") -> ChatRequest:
    return ChatRequest("coder", (Message("system", "Be brief."), Message("user", question)), 64, stop=("<step>",))


def entry(sent: ChatRequest) -> tuple[str, dict]:
    return "prompt", {"sha256": sent.sha256, "model": sent.model, "sampling": sent.sampling, "tokens": 9, "messages": 2}


def work(claim: leases.Claim, *sent: ChatRequest) -> Work:
    return Work(claim.token, claim.seq, [entry(one) for one in sent], bodies={one.sha256: one.body for one in sent})


def claimed() -> leases.Claim:
    (claim,) = leases.claim(1)
    return claim


def test_a_request_is_kept_byte_for_byte_under_the_hash_that_the_log_tells(ask_question):
    answer = ask_question()
    leases.write([work(claimed(), request())])
    (sent,) = sent_for(answer)
    assert sent.body == request().body and sent.is_whole and not sent.void
    assert sent.told["sha256"] == hashlib.sha256(sent.body).hexdigest()
    assert sent.told["sampling"] == {"temperature": 0.2, "max_tokens": 64, "stop": ["<step>"]}
    assert [message["content"] for message in sent.messages] == ["Be brief.", "Wer hütet die Häfen? \x00"]


def test_the_last_request_is_the_one_that_was_answered_and_a_body_that_was_sent_twice_is_kept_once(ask_question):
    answer = ask_question()
    leases.write([work(claimed(), request("Long?"), request(), request())])
    sent = sent_for(answer)
    assert [(one.number, one.void) for one in sent] == [(1, True), (2, True), (3, False)]
    assert sent[1].body == sent[2].body != sent[0].body
    assert SentPrompt.objects.count() == 2


def test_a_write_that_is_repeated_since_its_reply_was_lost_adds_nothing(ask_question):
    answer = ask_question()
    claim = claimed()
    leases.write([work(claim, request())])
    leases.write([work(claim, request())])
    assert len(sent_for(answer)) == SentPrompt.objects.count() == 1


def test_a_worker_that_lost_its_lease_keeps_no_prompt_and_what_it_sent_before_is_void(ask_question):
    answer = ask_question()
    slow = claimed()
    leases.write([work(slow, request("First?"))])
    expire(answer)
    quick = claimed()
    leases.write([work(slow, request("Too late?"))])
    assert [one.void for one in sent_for(answer)] == [True]
    leases.write([work(quick, request("Second?"))])
    assert [(one.messages[-1]["content"], one.void) for one in sent_for(answer)] == [("First?", True), ("Second?", False)]
    assert SentPrompt.objects.count() == 2


def test_prompts_go_with_their_conversation(ask_question, user):
    answer = ask_question()
    leases.write([work(claimed(), request())])
    conversations.delete(user, answer.conversation_id)
    assert not SentPrompt.objects.exists()


def test_an_answer_whose_body_was_not_kept_tells_its_hash_alone(ask_question):
    answer = ask_question()
    leases.write([work(claimed(), request())])
    SentPrompt.objects.all().delete()
    (sent,) = sent_for(answer)
    assert (sent.body, sent.messages, sent.is_whole) == (None, [], False)


async def test_a_log_gives_each_body_once_beside_its_entry():
    log = AnswerLog()
    kind, told = entry(request())
    await log.prompt(told, request().body)
    assert log.take() == [(kind, told)]
    assert log.take_bodies() == {request().sha256: request().body}
    assert log.take_bodies() == {}
