import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from assistant import conversations, events, fence, leases
from assistant.events import AnswerSoFar
from assistant.leases import Work
from assistant.messages import Ask, Retry
from assistant.models import Answer, AnswerCitation
from indexer.types import Cited, Filters

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.event_log]

PARTIAL = [("route", {"route": "code", "reason": "", "model": "m"}), ("delta", {"text": "Half an ans"})]


def expire(answer: Answer) -> None:
    """As if the worker that holds it had been silent for longer than its lease."""
    Answer.objects.filter(pk=answer.pk).update(leased_until=timezone.now() - timedelta(seconds=1))


def kinds(answer: Answer) -> list[str]:
    log = events.after({answer.pk: 0})
    assert [event.seq for event in log] == list(range(1, len(log) + 1))
    return [event.kind for event in log]


def the(claims: list[leases.Claim]) -> leases.Claim:
    (claim,) = claims
    return claim


def test_a_claimed_answer_is_tied_to_the_live_snapshot(ask_question, repository):
    answer = ask_question()
    job = the(leases.claim(5)).job
    assert (job.answer_id, job.repository, job.attempt, job.history) == (answer.pk, "harbor", 1, ())
    assert job.snapshot_dir == repository.live_snapshot.directory and job.commit == "a1b2c3d4" * 5
    answer.refresh_from_db()
    assert answer.state == "running" and answer.snapshot == repository.live_snapshot


def test_questions_are_claimed_in_the_order_in_which_they_were_asked(ask_question):
    first, second, third = (ask_question(f"Question {i}?") for i in range(3))
    assert [claim.job.answer_id for claim in leases.claim(2)] == [first.pk, second.pk]
    assert [claim.job.answer_id for claim in leases.claim(2)] == [third.pk]


def test_of_two_workers_that_see_the_same_answers_each_is_claimed_by_one(ask_question):
    asked = {ask_question(f"Question {i}?").pk for i in range(8)}
    barrier = Barrier(3)

    def work() -> list:
        barrier.wait()
        try:
            return [claim.job.answer_id for claim in leases.claim(10)]
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as workers:
        got = [answer for future in [workers.submit(work) for _ in range(3)] for answer in future.result()]
    assert sorted(got) == sorted(asked)


def test_an_answer_whose_worker_is_alive_is_not_claimed_again(ask_question):
    ask_question()
    leases.claim(1)
    assert leases.claim(1) == []


def test_an_answer_whose_worker_was_lost_begins_again_with_a_reset(ask_question):
    answer = ask_question()
    claim = the(leases.claim(1))
    leases.write([Work(claim.token, claim.seq, PARTIAL)])
    expire(answer)
    again = the(leases.claim(1))
    assert kinds(answer) == ["status", "route", "delta", "reset"]
    assert again.job.attempt == 2 and again.seq == 4 and [event.kind for event in again.events] == ["reset"]
    assert again.events[0].payload["attempt"] == 2


def test_a_worker_that_lost_its_lease_writes_nothing_more(ask_question):
    answer = ask_question()
    slow = the(leases.claim(1))
    expire(answer)
    quick = the(leases.claim(1))
    written = leases.write([Work(slow.token, slow.seq, PARTIAL)])
    assert written.lost == {slow.token} and not written.events
    leases.write([Work(quick.token, quick.seq, PARTIAL)])
    assert kinds(answer) == ["status", "reset", "route", "delta"]


def test_a_worker_whose_lease_ran_out_goes_on_if_nobody_took_the_answer(ask_question):
    answer = ask_question()
    claim = the(leases.claim(1))
    expire(answer)
    assert not leases.write([Work(claim.token, claim.seq, PARTIAL)]).lost
    assert leases.claim(1) == []


def test_a_question_that_loses_its_workers_fails_after_the_last_try_and_keeps_its_text(ask_question, settings):
    settings.ANSWER_ATTEMPTS = 2
    answer = ask_question()
    for _ in range(2):
        claim = the(leases.claim(1))
        leases.write([Work(claim.token, claim.seq, PARTIAL)])
        expire(answer)
    end = the(leases.claim(1))
    assert end.job is None and end.events[0].payload["code"] == "interrupted"
    assert kinds(answer) == ["status", "route", "delta", "reset", "route", "delta", "failed"]
    answer.refresh_from_db()
    assert (answer.state, answer.text) == ("failed", "Half an ans")


def test_a_worker_that_leaves_in_good_order_uses_up_no_try(ask_question, settings):
    settings.ANSWER_ATTEMPTS = 1
    ask_question()
    for attempt in range(1, 4):
        claim = the(leases.claim(1))
        assert claim.job.attempt == 1
        assert [event.payload["attempt"] for event in claim.events] == ([attempt] if attempt > 1 else [])
        assert leases.release([claim.token]) == 1


def test_a_write_that_was_committed_though_it_seemed_to_fail_is_not_repeated(ask_question):
    answer = ask_question()
    claim = the(leases.claim(1))
    leases.write([Work(claim.token, claim.seq, PARTIAL)])  # its reply never came
    leases.write([Work(claim.token, claim.seq, [*PARTIAL, ("delta", {"text": "wer."})])])
    assert kinds(answer) == ["status", "route", "delta", "delta"]


def test_all_answers_of_a_worker_are_written_in_one_transaction(ask_question, django_assert_max_num_queries):
    answers = [ask_question(f"Question {i}?") for i in range(10)]
    claims = leases.claim(10)
    with django_assert_max_num_queries(8):
        leases.write([Work(claim.token, claim.seq, PARTIAL) for claim in claims])
    assert all(kinds(answer) == ["status", "route", "delta"] for answer in answers)


def test_the_end_of_an_answer_is_written_with_its_text_and_gives_up_the_lease(ask_question):
    answer = ask_question()
    claim = the(leases.claim(1))
    told = AnswerSoFar()
    story = [*PARTIAL, ("completed", {"model": "coder"})]
    for entry in story:
        told.apply(*entry)
    leases.write([Work(claim.token, claim.seq, story, told)])
    answer.refresh_from_db()
    assert (answer.state, answer.text, answer.lease_token) == ("completed", "Half an ans", None)
    expire(answer)
    assert leases.claim(1) == []


def test_a_stop_is_seen_by_the_worker_that_holds_the_answer(ask_question, user):
    answer = ask_question()
    claim = the(leases.claim(1))
    assert leases.look([claim.token]).cancel_requested == frozenset()
    conversations.stop(user, answer.pk)
    assert leases.look([claim.token]).cancel_requested == {claim.token}
    assert leases.write([Work(claim.token, claim.seq, PARTIAL)]).cancel_requested == {claim.token}
    assert kinds(answer) == ["status", "route", "delta"]


def test_an_answer_that_waits_is_stopped_without_any_worker(ask_question, user):
    answer = ask_question()
    conversations.stop(user, answer.pk)
    assert kinds(answer) == ["status", "cancelled"] and leases.claim(1) == []


def test_an_answer_whose_worker_was_lost_is_stopped_without_any_worker(ask_question, user):
    answer = ask_question()
    claim = the(leases.claim(1))
    leases.write([Work(claim.token, claim.seq, PARTIAL)])
    expire(answer)
    conversations.stop(user, answer.pk)
    answer.refresh_from_db()
    assert kinds(answer) == ["status", "route", "delta", "cancelled"] and answer.text == "Half an ans"
    assert leases.look([claim.token]).lost == {claim.token}


def test_stop_and_claim_at_once_end_in_one_of_the_two_ways(ask_question, user):
    for _ in range(5):
        answer, barrier = ask_question(), Barrier(2)

        def at_once(work, *arguments):
            barrier.wait()  # noqa: B023
            try:
                return work(*arguments)
            finally:
                connection.close()

        with ThreadPoolExecutor(2) as threads:
            stopping = threads.submit(at_once, conversations.stop, user, answer.pk)
            claims = threads.submit(at_once, leases.claim, 1).result()
            stopping.result()
        if claims and claims[0].job:
            assert leases.look([claims[0].token]).cancel_requested
            leases.release([claims[0].token])
            leases.claim(1)
        assert kinds(answer)[-1] == "cancelled" and kinds(answer).count("cancelled") == 1


def test_a_stop_after_the_end_changes_nothing(ask_question, user):
    answer = ask_question()
    events.append(answer, [("completed", {"model": "m"})])
    conversations.stop(user, answer.pk)
    answer.refresh_from_db()
    assert answer.state == "completed" and not answer.cancel_requested


def test_an_answer_that_was_deleted_is_lost_to_its_worker(ask_question, user, conversation):
    ask_question()
    claim = the(leases.claim(1))
    conversations.delete(user, conversation.pk)
    assert leases.write([Work(claim.token, claim.seq, PARTIAL)]).lost == {claim.token}


def test_a_question_about_a_repository_that_lost_its_index_fails_with_a_sentence(ask_question, repository):
    answer = ask_question()
    repository.live_snapshot.delete()
    end = the(leases.claim(1))
    assert end.job is None and "no index" in end.events[0].payload["message"]
    assert kinds(answer) == ["status", "failed"]


def test_a_job_knows_the_turns_before_it_and_of_each_the_last_try(ask_question, user):
    first = ask_question("First?")
    events.append(first, [("delta", {"text": "wrong"}), ("failed", {"code": "timeout", "message": "too slow"})])
    second = Answer.objects.get(pk=conversations.retry(user, Retry(uuid4(), first.pk)).answer)
    events.append(second, [("delta", {"text": "right"}), ("completed", {"model": "m"})])
    for start, path in ((9, "b.py"), (2, "a.py")):
        AnswerCitation.objects.create(answer=second, start=start, number=1, path=path, start_line=3, end_line=5, verified=True)
    silent = ask_question("Silent?")
    events.append(silent, [("cancelled", {})])
    ask_question("Last?")
    job = the(leases.claim(1)).job
    assert [(turn.question, turn.answer_text) for turn in job.history] == [("First?", "right")]
    assert job.history[0].cited == (Cited("a.py", 3, 5), Cited("b.py", 3, 5))


def test_a_job_keeps_to_the_filters_of_its_question_and_a_retry_to_those_of_the_first_try(ask_question, user):
    first = ask_question("First?")
    Answer.objects.filter(pk=first.pk).update(filters={"folder": "src", "tests": False})
    assert the(leases.claim(1)).job.filters == Filters("src", (), False)
    again = Answer.objects.get(pk=conversations.retry(user, Retry(uuid4(), first.pk)).answer)
    assert again.search_filters == Filters("src", (), False)


def test_every_job_of_a_conversation_has_its_fence_and_those_of_another_have_another(ask_question, user, repository):
    first = ask_question()
    conversations.retry(user, Retry(uuid4(), first.pk))
    ask_question("And then?")
    conversations.ask(user, Ask(uuid4(), "Elsewhere?", None, repository=repository.name))
    marks = [claim.job.fence_mark for claim in leases.claim(5)]
    assert marks[0] == marks[1] == marks[2] == first.conversation.fence_mark != marks[3]
    assert all(re.fullmatch(fence.MARK, mark) for mark in marks)
