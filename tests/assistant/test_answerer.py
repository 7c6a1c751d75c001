import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from django.db import DataError, OperationalError, connection
from django.utils import timezone

from assistant import answerer, conversations, events, leases
from assistant.answer_log import AnswerJob, AnswerLog
from assistant.answerer import Answerer
from assistant.errors import LeaseLost
from assistant.events import FINAL_KINDS, so_far
from assistant.models import Answer
from tests.assistant.conftest import in_database
from tests.assistant.page import Page
from tests.fakes.scripted_answers import counted, scripted_answer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.event_log]


@asynccontextmanager
async def working(worker=None) -> AsyncIterator[Answerer]:
    worker = worker or Answerer(scripted_answer)
    running = asyncio.create_task(worker.run())
    yield worker
    worker.stop()
    await asyncio.wait_for(running, 20)


async def until(condition: Callable[[], Awaitable[bool]], timeout_s: float = 20.0) -> None:
    """Polls, since what is waited for happens in the database, mostly through another thread or process."""
    async with asyncio.timeout(timeout_s):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.01)


async def log_of(answer: Answer) -> list[events.Event]:
    log = await in_database(events.after, {answer.pk: 0})
    assert [event.seq for event in log] == list(range(1, len(log) + 1))
    return log


async def until_ended(answer: Answer) -> list[events.Event]:
    async def ended() -> bool:
        return (await log_of(answer))[-1].kind in FINAL_KINDS

    await until(ended)
    return await log_of(answer)


def expire(answer: Answer) -> None:
    """As if its worker had been silent for longer than the lease."""
    Answer.objects.filter(pk=answer.pk).update(leased_until=timezone.now() - timedelta(seconds=1))


async def until_kind(answer: Answer, kind: str) -> None:
    async def there() -> bool:
        return kind in [event.kind for event in await log_of(answer)]

    await until(there)


async def until_text(answer: Answer, text: str) -> None:
    async def there() -> bool:
        return text in so_far(await log_of(answer)).text

    await until(there)


@pytest.fixture(autouse=True)
def everybody_signs_in(settings) -> None:
    settings.SIGN_IN = "required"


async def test_a_question_is_answered_and_its_end_written_with_the_last_event(ask_question):
    answer = await in_database(ask_question, "Hello?")
    async with working():
        log = await until_ended(answer)
        await in_database(answer.refresh_from_db)
    assert [event.kind for event in log] == ["status", "route", "delta", "completed"]
    assert (answer.state, answer.text, answer.model) == ("completed", "Hello?", "script")


async def test_words_that_come_quickly_share_events(ask_question):
    answer = await in_database(ask_question, "count 100")
    async with working():
        log = await until_ended(answer)
    assert so_far(log).text == counted(100)
    assert sum(event.kind == "delta" for event in log) < 90


async def test_what_follows_a_text_is_read_right_before_the_next_write(ask_question):
    """So each is a write of its own, and doesn't lie about until the one before is written; the first may have waited."""

    async def reading(job: AnswerJob, log: AnswerLog) -> None:
        for text in "abcde":
            await log.delta(text)
            await log.rest()
        await log.append("completed", {"model": "script", "finish_reason": "stop"})

    answer = await in_database(ask_question)
    async with working(Answerer(reading)):
        log = await until_ended(answer)
    assert [event.payload["text"] for event in log if event.kind == "delta"] in ([*"abcde"], ["ab", *"cde"])


async def test_a_crowd_takes_turns_and_everybody_gets_one(ask_question, monkeypatch):
    monkeypatch.setattr(answerer, "WRITTEN_TOGETHER", 3)
    sizes = []
    real = leases.write

    def counted_write(work):
        work = list(work)
        sizes.append(len(work))
        return real(work)

    monkeypatch.setattr(leases, "write", counted_write)
    asked = await in_database(lambda: [ask_question(f"count {10 + number}") for number in range(8)])
    async with working():
        for number, answer in enumerate(asked):
            assert so_far(await until_ended(answer)).text == counted(10 + number)
    assert max(sizes) <= 3


async def test_hundreds_of_questions_go_side_by_side(ask_question):
    answers = [await in_database(ask_question, "count 30") for _ in range(40)]
    async with working():
        for answer in answers:
            assert so_far(await until_ended(answer)).text == counted(30)


async def test_two_workers_answer_each_question_once(ask_question):
    answers = [await in_database(ask_question, f"Question {i}?") for i in range(12)]
    async with working(), working():
        logs = [await until_ended(answer) for answer in answers]
    assert all([event.kind for event in log] == ["status", "route", "delta", "completed"] for log in logs)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        ("ModelTimeout", "timeout", "It went wrong."),
        ("ModelUnreachable", "unreachable", "It went wrong."),
        ("ContextOverflow", "overflow", "It went wrong."),
        ("BadRequest", "internal", "It went wrong."),
        ("AnythingElse", "internal", "Sextant failed on its own side: try again; the answerer's log tells more."),
    ],
)
async def test_an_error_becomes_one_sentence_and_the_text_so_far_stays(ask_question, error, code, message):
    answer = await in_database(ask_question, f"raise {error}")
    async with working():
        log = await until_ended(answer)
        await in_database(answer.refresh_from_db)
    assert (log[-1].kind, log[-1].payload) == ("failed", {"code": code, "message": message})
    assert (answer.state, answer.text) == ("failed", "partial")


async def test_an_answer_that_ends_without_a_final_event_has_failed(ask_question):
    answer = await in_database(ask_question, "forget it")
    async with working():
        log = await until_ended(answer)
    assert log[-1].payload["code"] == "internal"


async def test_stop_is_heard_while_no_token_comes(ask_question, user):
    freed = asyncio.Event()

    async def waits_for_the_model(job: AnswerJob, log: AnswerLog) -> None:
        try:
            await scripted_answer(job, log)
        finally:
            freed.set()

    answer = await in_database(ask_question, "wait")
    async with working(Answerer(waits_for_the_model)):
        await until_text(answer, "waiting")
        await in_database(conversations.stop, user, answer.pk)
        log = await until_ended(answer)
        await asyncio.wait_for(freed.wait(), 30)
    assert log[-1].kind == "cancelled" and so_far(log).text == "waiting"


async def test_stop_is_heard_by_an_answer_that_waits_while_another_one_flows(ask_question, user, settings):
    settings.ANSWER_LEASE_S = 600  # so that no renewal of a lease brings the news
    flowing, waiting = await in_database(lambda: (ask_question("count 5000"), ask_question("wait")))
    async with working():
        await until_text(flowing, "1 ")
        await until_text(waiting, "waiting")
        await in_database(conversations.stop, user, waiting.pk)
        assert (await until_ended(waiting))[-1].kind == "cancelled"
        assert (await log_of(flowing))[-1].kind not in FINAL_KINDS


async def test_stop_while_words_flow_keeps_what_was_written(ask_question, user):
    answer = await in_database(ask_question, "count 5000")
    async with working():
        await until_text(answer, "7 ")
        await in_database(conversations.stop, user, answer.pk)
        log = await until_ended(answer)
        await in_database(answer.refresh_from_db)
    assert log[-1].kind == "cancelled" and answer.state == "cancelled"
    assert answer.text == so_far(log).text and counted(5000).startswith(answer.text)


async def test_stop_ends_an_answer_even_when_its_task_does_not_end(ask_question, user):
    let_go = asyncio.Event()

    async def stubborn(job: AnswerJob, log: AnswerLog) -> None:
        try:
            await scripted_answer(job, log)
        finally:
            await let_go.wait()

    answer = await in_database(ask_question, "wait")
    async with working(Answerer(stubborn)):
        await until_text(answer, "waiting")
        await in_database(conversations.stop, user, answer.pk)
        assert (await until_ended(answer))[-1].kind == "cancelled"
        let_go.set()


class Stallable(Answerer):
    """A worker whose writer can be held up, as a machine that swaps or a lost network would."""

    def __init__(self, answer_question=scripted_answer) -> None:
        super().__init__(answer_question)
        self.flowing = asyncio.Event()
        self.flowing.set()

    async def _write(self) -> None:
        await self.flowing.wait()
        await super()._write()


async def test_a_worker_whose_lease_runs_out_while_it_writes_hears_so_and_spoils_nothing(ask_question):
    told: list[BaseException] = []

    async def notes_its_end(job: AnswerJob, log: AnswerLog) -> None:
        try:
            await scripted_answer(job, log)
        except asyncio.CancelledError:
            try:
                await log.delta("a word too late")
            except LeaseLost as error:
                told.append(error)
            raise

    answer = await in_database(ask_question, "count 200")
    async with working(Stallable(notes_its_end)) as slow:
        await until_text(answer, "5 ")
        slow.flowing.clear()
        await in_database(expire, answer)
        async with working():
            await until_kind(answer, "reset")
            slow.flowing.set()
            log = await until_ended(answer)
    assert so_far(log).text == counted(200) and so_far(log).resets == 1 and len(told) == 1


async def test_a_write_whose_reply_is_lost_is_not_written_twice(ask_question, monkeypatch):
    answer = await in_database(ask_question, "count 60")
    real_write, failures = leases.write, iter([True, False, True] * 5)

    def write_and_lose_the_reply(work):
        written = real_write(work)
        if next(failures, False):
            raise OperationalError("the connection broke after the commit")
        return written

    monkeypatch.setattr(leases, "write", write_and_lose_the_reply)
    monkeypatch.setattr("assistant.answerer.DATABASE_PAUSE_S", 0.1)
    async with working():
        log = await until_ended(answer)
    assert so_far(log).text == counted(60) and so_far(log).resets == 0


async def test_a_database_that_does_not_answer_for_a_while_costs_no_word(ask_question, monkeypatch):
    answer = await in_database(ask_question, "count 60")
    real_write, failures = leases.write, iter([True] * 4)

    def unreachable_at_first(work):
        if next(failures, False):
            raise OperationalError("database is locked")
        return real_write(work)

    monkeypatch.setattr(leases, "write", unreachable_at_first)
    monkeypatch.setattr("assistant.answerer.DATABASE_PAUSE_S", 0.1)
    async with working():
        assert so_far(await until_ended(answer)).text == counted(60)


async def test_an_answer_that_the_database_refuses_does_not_hold_up_the_others(ask_question, monkeypatch, settings):
    settings.ANSWER_ATTEMPTS = 1
    settings.ANSWER_LEASE_S = 0.5
    bad, good = [await in_database(ask_question, question) for question in ("poison", "Hello?")]
    real_write = events.write

    def refuse_poison(batch):
        batch = list(batch)
        if any("poison" in str(event.payload.get("text")) for event in batch):
            raise DataError("invalid input")
        real_write(batch)

    monkeypatch.setattr(events, "write", refuse_poison)
    async with working():
        assert so_far(await until_ended(good)).text == "Hello?"
        assert (await until_ended(bad))[-1].payload["code"] == "interrupted"


async def test_a_worker_that_is_told_to_end_hands_its_answers_over_at_once(ask_question):
    answer = await in_database(ask_question, "count 100")
    finished = await in_database(ask_question, "Hello?")
    async with working():
        await until_text(answer, "5 ")
        await until_ended(finished)
    await in_database(answer.refresh_from_db)
    assert answer.state == "running" and answer.lease_token is None and answer.attempts == 0
    async with working():
        log = await until_ended(answer)
    assert [event.kind for event in log].count("reset") == 1 and so_far(log).text == counted(100)


def start_worker_process() -> subprocess.Popen[bytes]:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "assistant.settings", "SEXTANT_ANSWER_LEASE_S": "1.5"}
    environment["SEXTANT_DATABASE_URL"] = database_url()
    return subprocess.Popen([sys.executable, "-m", "tests.fakes.scripted_answers"], env=environment)


def database_url() -> str:
    """The database of the tests, as another process is told of it."""
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    return f"postgresql://{database['USER']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"


@pytest.mark.integration
async def test_a_worker_that_is_killed_in_mid_answer_loses_and_doubles_nothing(user, conversation):
    """kill -9, with a reader on the line that sees all of it, and one that comes later."""
    worker = start_worker_process()
    try:
        async with Page(user) as page:
            answer = await page.ask("count 150", conversation=str(conversation.pk))
            await page.until_text(answer, "20 ")
            worker.send_signal(signal.SIGKILL)
            worker.wait()
            worker = start_worker_process()
            await page.until(lambda message: message.get("kind") == "reset", timeout_s=60)
            await page.until_end(answer)
    finally:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=20) == 0
    log = await log_of(await in_database(Answer.objects.get, pk=answer))
    assert page.seqs[answer] == [event.seq for event in log]
    assert page.answers[answer].text == so_far(log).text == counted(150) and so_far(log).resets == 1


@pytest.mark.integration
async def test_a_worker_process_that_is_terminated_leaves_its_answer_to_the_next_at_once(ask_question):
    answer = await in_database(ask_question, "count 400")
    first = start_worker_process()
    await until_text(answer, "20 ")
    first.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(first.wait, 10) == 0
    await in_database(answer.refresh_from_db)
    assert answer.lease_token is None and answer.state == "running"
