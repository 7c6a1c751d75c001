from concurrent.futures import ThreadPoolExecutor, wait
from threading import Barrier
from uuid import uuid4

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.db.models.signals import pre_delete
from hypothesis import given
from hypothesis import strategies as st

from assistant import conversations, events, leases
from assistant.conversations import ask, delete, rename, retry, stop, title_of
from assistant.errors import BadRequest
from assistant.messages import Ask, Retry
from assistant.models import Answer, AnswerEvent, Conversation
from indexer.models import Repository

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.event_log]


def refusal(work, *arguments) -> str:
    with pytest.raises(BadRequest) as refused:
        work(*arguments)
    return str(refused.value)


def kinds(answer_id) -> list[str]:
    return [event.kind for event in events.after({answer_id: 0})]


def at_once(*works):
    """The results (or errors) of `works`, which begin at the same moment in threads with connections of their own."""
    barrier = Barrier(len(works))

    def begin(work):
        barrier.wait()
        try:
            return work()
        except BadRequest as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(works)) as threads:
        return [future.result() for future in [threads.submit(begin, work) for work in works]]


# --- ask ---


def test_a_question_begins_a_conversation_and_waits_in_the_queue(user, repository):
    message = Ask(uuid4(), "Where are the guards run?\nAnd when?", repository="harbor", route="code", model="coder")
    asked = ask(user, message)
    answer = Answer.objects.select_related("conversation").get(pk=message.answer)
    assert (asked.answer, asked.conversation, asked.title) == (answer.pk, answer.conversation_id, "Where are the guards run?")
    assert (answer.state, answer.number, answer.requested_route, answer.requested_model) == ("queued", 1, "code", "coder")
    assert answer.question == message.question
    assert (answer.conversation.owner, answer.conversation.repository) == (user, repository)
    assert [event.payload["stage"] for event in events.after({answer.pk: 0})] == ["queued"]


def test_questions_are_numbered_within_their_conversation(user, conversation, ask_question):
    assert [ask_question(f"Question {i}?").number for i in range(3)] == [1, 2, 3]
    other = ask(user, Ask(uuid4(), "Elsewhere?", repository="harbor"))
    assert Answer.objects.get(pk=other.answer).number == 1


def test_asking_moves_the_conversation_to_the_top_of_the_list(user, repository, conversation, ask_question):
    Conversation.objects.create(owner=user, repository=repository, title="Later")
    assert Conversation.objects.visible_to(user).first() != conversation
    ask_question()
    assert Conversation.objects.visible_to(user).first() == conversation


def test_asking_twice_asks_once(user, repository):
    message = Ask(uuid4(), "Why?", repository="harbor")
    assert ask(user, message) == ask(user, message)
    assert Answer.objects.count() == Conversation.objects.count() == AnswerEvent.objects.count() == 1


def test_asking_twice_at_the_same_moment_asks_once(user, repository):
    for _ in range(5):
        message = Ask(uuid4(), "Why?", repository="harbor")
        first, second = at_once(lambda: ask(user, message), lambda: ask(user, message))  # noqa: B023
        assert first == second
        assert kinds(message.answer) == ["status"]
    assert Answer.objects.count() == Conversation.objects.count() == 5


def test_of_one_message_over_two_connections_the_later_finds_what_the_earlier_wrote(user, repository, monkeypatch):
    """The race itself: both have seen that the question isn't asked yet."""
    message = Ask(uuid4(), "Why?", repository="harbor")
    both_have_looked = Barrier(2)
    look = conversations._already_asked

    def look_together(*arguments):
        found = look(*arguments)
        if found is None:
            both_have_looked.wait(10)
        return found

    monkeypatch.setattr(conversations, "_already_asked", look_together)
    first, second = at_once(lambda: ask(user, message), lambda: ask(user, message))
    assert first == second and first.answer == message.answer
    assert Answer.objects.count() == Conversation.objects.count() == 1


def test_two_questions_at_the_same_moment_get_two_numbers(user, conversation):
    messages = [Ask(uuid4(), f"Question {i}?", conversation.pk) for i in range(4)]
    at_once(*[lambda message=message: ask(user, message) for message in messages])
    assert sorted(conversation.answers.values_list("number", flat=True)) == [1, 2, 3, 4]


def test_a_repository_without_an_index_can_not_be_asked_about(user, repository, conversation):
    repository.live_snapshot.delete()
    sentence = "harbor is not indexed yet: ask as soon as its files have been read."
    assert refusal(ask, user, Ask(uuid4(), "Why?", repository="harbor")) == sentence
    assert refusal(ask, user, Ask(uuid4(), "Why?", conversation.pk)) == sentence
    assert not Answer.objects.exists() and Conversation.objects.count() == 1


def test_a_conversation_stays_with_its_repository(user, conversation):
    Repository.objects.create(name="garden", source="/srv/garden")
    assert ask(user, Ask(uuid4(), "Why?", conversation.pk, repository="harbor")).conversation == conversation.pk
    sentence = refusal(ask, user, Ask(uuid4(), "Why?", conversation.pk, repository="garden"))
    assert sentence == "This conversation is about harbor: begin a new one for garden."


def test_a_new_conversation_needs_a_repository(user):
    assert refusal(ask, user, Ask(uuid4(), "Why?")) == "Say which repository the question is about."


# --- retry ---


def test_a_retry_asks_the_same_again_beside_the_old_answer(user, ask_question):
    old = ask_question("Why?", route="code", model="coder")
    events.append(old, [("delta", {"text": "Half"}), ("failed", {"code": "timeout", "message": "Too slow."})])
    asked = retry(user, Retry(uuid4(), old.pk))
    again = Answer.objects.get(pk=asked.answer)
    assert (again.number, again.question, again.retry_of) == (old.number, "Why?", old)
    assert (again.requested_route, again.requested_model, again.state) == ("code", "coder", "queued")
    old.refresh_from_db()
    assert (old.state, old.text) == ("failed", "Half")


def test_a_retry_may_take_another_route_and_another_model(user, ask_question):
    asked = retry(user, Retry(uuid4(), ask_question("Why?", route="code", model="coder").pk, route="general", model=""))
    again = Answer.objects.get(pk=asked.answer)
    assert (again.requested_route, again.requested_model) == ("general", "")


def test_retrying_twice_at_the_same_moment_retries_once(user, ask_question):
    message = Retry(uuid4(), ask_question().pk)
    first, second = at_once(lambda: retry(user, message), lambda: retry(user, message))
    assert first == second == retry(user, message)
    assert Answer.objects.count() == 2


# --- stop ---


def test_an_answer_that_waits_is_stopped_at_once(user, conversation, ask_question):
    answer = ask_question()
    assert stop(user, answer.pk) == conversation.pk
    answer.refresh_from_db()
    assert answer.state == "cancelled" and kinds(answer.pk) == ["status", "cancelled"]


def test_an_answer_that_runs_is_left_to_its_worker_to_end(user, ask_question):
    answer = ask_question()
    leases.claim(1)
    stop(user, answer.pk)
    answer.refresh_from_db()
    assert (answer.state, answer.cancel_requested) == ("running", True) and kinds(answer.pk) == ["status"]


def test_an_answer_that_has_ended_stays_as_it_is(user, ask_question):
    answer = ask_question()
    events.append(answer, [("delta", {"text": "Because."}), ("completed", {"model": "m"})])
    stop(user, answer.pk)
    answer.refresh_from_db()
    assert (answer.state, answer.cancel_requested) == ("completed", False)
    assert kinds(answer.pk) == ["status", "delta", "completed"]


# --- rename ---


def test_a_conversation_takes_a_new_title_without_moving_to_the_top(user, repository, conversation):
    newer = Conversation.objects.create(owner=user, repository=repository, title="Newer")
    assert rename(user, conversation.pk, "  How\n guards \x00 run ") == "How guards \ufffd run"
    conversation.refresh_from_db()
    assert conversation.title == "How guards \ufffd run"
    assert list(Conversation.objects.visible_to(user)) == [newer, conversation]


def test_a_title_is_cut_where_the_database_ends_and_may_not_be_empty(user, conversation):
    assert rename(user, conversation.pk, "x" * 300) == "x" * 200
    assert refusal(rename, user, conversation.pk, " \n ") == "A conversation needs a title."


# --- delete ---


def test_a_deleted_conversation_takes_its_answers_with_it(user, conversation, ask_question):
    answer = ask_question()
    events.append(answer, [("completed", {"model": "m"})])
    retry(user, Retry(uuid4(), answer.pk))
    delete(user, conversation.pk)
    assert not (Conversation.objects.exists() or Answer.objects.exists() or AnswerEvent.objects.exists())


def test_a_worker_that_writes_while_its_conversation_is_deleted_waits_and_hears_that_it_is_lost(
    user, conversation, ask_question
):
    """The race itself: the worker comes when it is settled which events are deleted."""
    ask_question()
    (claim,) = leases.claim(1)
    work = [leases.Work(claim.token, claim.seq, [("delta", {"text": "a word"})])]
    with ThreadPoolExecutor(1) as worker:
        writing = []

        def write_now(**_) -> None:
            writing.append(worker.submit(lambda: at_once(lambda: leases.write(work))[0]))
            # Done here only where nothing holds it up, which is what must not be.
            wait(writing, timeout=0.5)

        pre_delete.connect(write_now, sender=AnswerEvent)
        try:
            delete(user, conversation.pk)
        finally:
            pre_delete.disconnect(write_now, sender=AnswerEvent)
        assert writing[0].result().lost == {claim.token}
    assert not (Conversation.objects.exists() or Answer.objects.exists() or AnswerEvent.objects.exists())


def test_deleting_while_a_question_is_asked_leaves_no_half_of_either(user, repository):
    for _ in range(5):
        conversation = Conversation.objects.create(owner=user, repository=repository, title="Guards")
        first = ask(user, Ask(uuid4(), "First?", conversation.pk))
        at_once(
            lambda: delete(user, conversation.pk),  # noqa: B023
            lambda: ask(user, Ask(uuid4(), "Second?", conversation.pk)),  # noqa: B023
            lambda: retry(user, Retry(uuid4(), first.answer)),  # noqa: B023
        )
    assert not (Conversation.objects.exists() or Answer.objects.exists() or AnswerEvent.objects.exists())


# --- strangers ---


def test_a_stranger_hears_the_same_as_of_what_does_not_exist(user, stranger, conversation, ask_question):
    answer = ask_question()
    attempts = [
        (ask, lambda it: Ask(uuid4(), "Why?", it), conversation.pk),
        (retry, lambda it: Retry(uuid4(), it), answer.pk),
        (stop, lambda it: it, answer.pk),
        (delete, lambda it: it, conversation.pk),
    ]
    for work, message, hidden in attempts:
        assert refusal(work, stranger, message(hidden)) == refusal(work, stranger, message(uuid4()))
    assert refusal(rename, stranger, conversation.pk, "Mine") == refusal(rename, stranger, uuid4(), "Mine")
    hidden, missing = Ask(uuid4(), "Why?", repository="harbor"), Ask(uuid4(), "Why?", repository="nowhere")
    assert refusal(ask, stranger, hidden) == refusal(ask, stranger, missing).replace("nowhere", "harbor")
    conversation.refresh_from_db()
    assert conversation.title == "Guards" and kinds(answer.pk) == ["status"] and Answer.objects.count() == 1


def test_a_conversation_is_hidden_from_superusers_too_and_from_an_owner_who_may_no_longer_read_the_code(
    user, stranger, repository, conversation, ask_question
):
    answer = ask_question()
    stranger.is_superuser = True
    assert refusal(stop, stranger, answer.pk) == "There is no such answer."
    repository.owner = None
    repository.save()
    assert refusal(stop, user, answer.pk) == "There is no such answer."
    assert refusal(ask, user, Ask(uuid4(), "Why?", conversation.pk)) == "There is no such conversation."


def test_an_id_that_somebody_else_has_used_is_refused_and_tells_nothing(user, stranger, ask_question):
    Repository.objects.create(name="garden", source="/srv/garden", live_snapshot=Repository.objects.get().live_snapshot)
    sentence = refusal(ask, stranger, Ask(ask_question().pk, "Why?", repository="garden"))
    assert sentence == "This answer's id is taken: choose another."


# --- titles ---


@given(st.text(max_size=200).filter(str.strip))
def test_every_question_gives_a_title_of_one_line(question):
    title = title_of(question)
    assert 0 < len(title) <= 80 and title == title.strip() and len(title.splitlines()) == 1


def test_a_long_question_is_cut_at_a_word():
    assert title_of("four " * 30) == "four " * 14 + "four…"
    assert title_of("x" * 100) == "x" * 79 + "…"


# --- who may read an answer by its own address ---


def test_an_answer_is_visible_to_whoever_may_see_its_repository_while_the_conversation_stays_its_owners(
    user, stranger, repository, ask_question
):
    answer = ask_question()
    assert [*Answer.objects.visible_to(user)] == [answer]
    for other in (stranger, AnonymousUser()):
        assert not Answer.objects.visible_to(other).exists()
    Repository.objects.update(visibility="public")
    assert [*Answer.objects.visible_to(stranger)] == [answer]
    assert not Conversation.objects.visible_to(stranger).exists()
    assert not Answer.objects.visible_to(AnonymousUser()).exists()
