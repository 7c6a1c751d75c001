import asyncio
import json
from collections.abc import Callable
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import pytest
from channels.layers import get_channel_layer
from django.db import OperationalError
from hypothesis import given
from hypothesis import strategies as st

from assistant import conversations, events, follower, notices
from assistant.follower import ConversationGone, Follower, Position
from assistant.messages import Ask
from assistant.models import Answer
from tests.assistant.conftest import in_database

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.event_log]


@asynccontextmanager
async def following(user, conversation, seen=()):
    woken = asyncio.Event()
    reader = Follower(user, conversation.pk, dict(seen), woken)
    await reader.start()
    reader.woken = woken
    yield reader
    await reader.close()


async def opened(reader: Follower) -> list[dict]:
    return [json.loads(message) async for message in reader.opened()]


async def news(reader: Follower) -> list[dict]:
    return [json.loads(message) async for message in reader.news()]


async def told(reader: Follower) -> list[dict]:
    """What a notice brings, once it has come."""
    async with asyncio.timeout(5):
        await reader.woken.wait()
    reader.woken.clear()
    return await news(reader)


def words(answer: Answer, *texts: str) -> list[events.Event]:
    return events.append(Answer.objects.get(pk=answer.pk), [("delta", {"text": text}) for text in texts])


def short(messages: list[dict]) -> list[tuple]:
    return [(m["answer"], m["seq"]) if m["type"] == "event" else (m["type"],) for m in messages]


@pytest.fixture
def reads(monkeypatch) -> list[dict[UUID, int]]:
    """From where the database was asked, each time that it was."""
    asked: list[dict[UUID, int]] = []
    real = follower.look

    def counted(user, conversation, seen):
        asked.append(dict(seen))
        return real(user, conversation, seen)

    monkeypatch.setattr(follower, "look", counted)
    return asked


async def test_a_conversation_is_opened_with_its_answers_and_what_their_logs_say(user, conversation, ask_question):
    first, second = await in_database(lambda: (ask_question("First?"), ask_question("Second?")))
    await in_database(words, second, "Be", "cause")
    async with following(user, conversation) as reader:
        head, *rest = await opened(reader)
    assert head["conversation"] == {"id": str(conversation.pk), "title": "Guards", "repository": "harbor"}
    assert [(a["id"], a["number"], a["question"]) for a in head["answers"]] == [
        (str(first.pk), 1, "First?"),
        (str(second.pk), 2, "Second?"),
    ]
    assert sorted(short(rest)) == sorted([(str(first.pk), 1), *((str(second.pk), seq) for seq in (1, 2, 3))])


async def test_what_was_seen_does_not_come_again(user, conversation, ask_question):
    answer = await in_database(ask_question)
    await in_database(words, answer, "a", "b", "c")
    async with following(user, conversation, {answer.pk: 3}) as reader:
        assert short(await opened(reader)) == [("opened",), (str(answer.pk), 4)]
        assert await news(reader) == []


async def test_notices_that_lead_on_are_passed_on_without_asking_the_database(user, conversation, ask_question, reads):
    answer = await in_database(ask_question)
    async with following(user, conversation) as reader:
        await opened(reader)
        await notices.tell({conversation.pk: await in_database(words, answer, "a", "b")})
        assert short(await told(reader)) == [(str(answer.pk), 2), (str(answer.pk), 3)]
    assert len(reads) == 1


async def test_a_notice_after_a_gap_sends_the_reader_to_the_database(user, conversation, ask_question, reads):
    answer = await in_database(ask_question)
    async with following(user, conversation) as reader:
        await opened(reader)
        await in_database(words, answer, "lost")
        await notices.tell({conversation.pk: await in_database(words, answer, "heard")})
        assert short(await told(reader)) == [(str(answer.pk), 2), (str(answer.pk), 3)]
    assert reads[1:] == [{answer.pk: 1}]


async def test_a_notice_that_was_lost_is_made_up_for_at_the_next_look(user, conversation, ask_question):
    answer = await in_database(ask_question)
    async with following(user, conversation) as reader:
        await opened(reader)
        await in_database(words, answer, "unheard of")
        assert reader.interval_s <= 1.0
        assert short(await news(reader)) == [(str(answer.pk), 2)]


async def test_a_notice_that_comes_late_or_twice_is_not_passed_on_again(user, conversation, ask_question):
    answer = await in_database(ask_question)
    async with following(user, conversation) as reader:
        await opened(reader)
        written = await in_database(words, answer, "once")
        assert short(await news(reader)) == [(str(answer.pk), 2)]
        for _ in range(2):
            await notices.tell({conversation.pk: written})
            assert await told(reader) == []


async def test_a_notice_of_an_answer_that_the_page_does_not_know_yet_brings_the_answer_first(user, conversation, ask_question):
    async with following(user, conversation) as reader:
        await opened(reader)
        answer = await in_database(ask_question, "From another tab?")
        await notices.tell({conversation.pk: await in_database(words, answer, "a")})
        messages = await told(reader)
    assert short(messages) == [("answer",), (str(answer.pk), 1), (str(answer.pk), 2)]
    assert messages[0]["answer"]["question"] == "From another tab?"


async def test_a_reader_that_is_far_behind_is_served_in_pages(user, conversation, ask_question, monkeypatch, reads):
    monkeypatch.setattr(follower, "PAGE", 3)
    answer = await in_database(ask_question)
    await in_database(words, answer, *"abcdefg")
    async with following(user, conversation) as reader:
        assert short(await opened(reader))[1:] == [(str(answer.pk), seq) for seq in range(1, 9)]
    assert [seen.get(answer.pk, 0) for seen in reads] == [0, 3, 6]


async def test_an_answer_that_is_asked_for_while_the_pages_are_read_comes_before_its_events(
    user, conversation, ask_question, monkeypatch
):
    monkeypatch.setattr(follower, "PAGE", 3)
    await in_database(words, await in_database(ask_question), *"abcdefg")
    async with following(user, conversation) as reader:
        messages = []
        async for message in reader.opened():
            messages.append(json.loads(message))
            if len(messages) == 3:
                late = await in_database(ask_question, "From another tab?")
    of_late = [m["type"] for m in messages if m["type"] == "answer" or m.get("answer") == str(late.pk)]
    assert of_late == ["answer", "event"]


async def test_a_conversation_that_is_deleted_or_taken_away_is_gone_at_the_next_look(user, stranger, conversation, repository):
    async with following(user, conversation) as reader, following(stranger, conversation) as spy:
        assert await opened(spy) == []
        await opened(reader)
        repository.owner = stranger
        await in_database(repository.save)
        with pytest.raises(ConversationGone):
            await news(reader)
        repository.owner = user
        await in_database(repository.save)
        assert await news(reader) == []
        await in_database(conversations.delete, user, conversation.pk)
        with pytest.raises(ConversationGone):
            await news(reader)


async def test_a_database_that_does_not_answer_is_asked_again_later_and_costs_nothing(
    user, conversation, ask_question, monkeypatch
):
    answer = await in_database(ask_question)
    real = follower.look

    def refused(*_):
        raise OperationalError("connection refused")

    async with following(user, conversation) as reader:
        await opened(reader)
        await in_database(words, answer, "a")
        monkeypatch.setattr(follower, "look", refused)
        assert await news(reader) == [] and reader.interval_s == follower.POLL_BROKEN_S
        monkeypatch.setattr(follower, "look", real)
        assert short(await news(reader)) == [(str(answer.pk), 2)]
        assert reader.interval_s < follower.POLL_BROKEN_S


async def test_without_notices_the_database_is_asked_often_only_while_an_answer_runs(
    user, conversation, ask_question, settings
):
    settings.REDIS_URL = ""
    answer = await in_database(ask_question)
    async with following(user, conversation) as reader:
        await opened(reader)
        assert reader.interval_s == follower.POLL_RUNNING_S
        await in_database(lambda: events.append(Answer.objects.get(pk=answer.pk), [("cancelled", {})]))
        await news(reader)
        assert reader.interval_s == follower.POLL_IDLE_S


async def test_a_reader_that_leaves_leaves_nothing_in_the_layer(user, conversation):
    async with following(user, conversation) as reader:
        await opened(reader)
        layer = get_channel_layer()
        assert layer.groups and layer.channels
    assert not layer.groups and not layer.channels


async def test_the_readers_of_a_process_share_one_channel_and_each_hears_of_its_own_conversation_only(
    user, repository, ask_question
):
    def begun(number: int) -> Answer:
        asked = conversations.ask(user, Ask(uuid4(), f"Why {number}?", None, repository.name))
        return Answer.objects.select_related("conversation").get(pk=asked.answer)

    first, second = await in_database(lambda: (begun(1), begun(2)))
    async with following(user, first.conversation) as one, following(user, second.conversation) as other:
        for reader in (one, other):
            await opened(reader)
        assert len(get_channel_layer().channels) == 1
        written = await in_database(words, second, "a")
        await notices.tell({first.conversation_id: (), second.conversation_id: written})
        assert short(await told(other)) == [(str(second.pk), 2)]
        assert await told(one) == []
        async with following(user, first.conversation) as late:
            await opened(late)
        assert get_channel_layer().channels  # one that leaves doesn't end the others' listening


async def test_what_waits_to_be_told_is_told_together(user, conversation, ask_question, monkeypatch, settings):
    settings.REDIS_URL = "redis://somewhere"  # so that announcing is worth while; the layer is the process's own
    answer = await in_database(ask_question)
    sent = []
    real = notices.tell

    async def counted(grown):
        sent.append(grown)
        await real(grown)

    monkeypatch.setattr(notices, "tell", counted)
    announcer = notices.Announcer()
    async with following(user, conversation) as reader:
        await opened(reader)
        for text in ("a", "b"):
            announcer.announce(conversation.pk, await in_database(words, answer, text))
        telling = asyncio.create_task(announcer.run())
        assert short(await told(reader)) == [(str(answer.pk), 2), (str(answer.pk), 3)]
        await announcer.drain()
        telling.cancel()
    assert len(sent) == 1


class BrokenLayer:
    """A layer whose server hangs, or refuses."""

    def __init__(self, answer: Callable) -> None:
        self.group_send = self.group_add = self.new_channel = self.group_discard = answer


async def hangs(*_) -> None:
    await asyncio.Event().wait()


async def refuses(*_) -> None:
    raise ConnectionError("refused")


@pytest.mark.parametrize("answer", [hangs, refuses])
async def test_a_layer_that_is_down_holds_nobody_up_for_long_and_loses_nothing(
    user, conversation, ask_question, monkeypatch, answer
):
    monkeypatch.setattr(notices, "LAYER_TIMEOUT_S", 0.05)
    monkeypatch.setattr(notices, "get_channel_layer", lambda: BrokenLayer(answer))
    async with asyncio.timeout(5), following(user, conversation) as reader:
        await opened(reader)
        asked = await in_database(ask_question)
        await notices.tell({conversation.pk: ()})
        assert short(await news(reader)) == [("answer",), (str(asked.pk), 1)]
        assert reader.interval_s == follower.POLL_RUNNING_S


# --- any notices at all ---

LOGS = [UUID(int=1), UUID(int=2)]


@st.composite
def happenings(draw):
    """How long each log is, and what one reader goes through: batches of notices (lost, doubled, in any order) and looks."""
    lengths = {answer: draw(st.integers(0, 8)) for answer in LOGS}
    log = [(answer, seq) for answer, length in lengths.items() for seq in range(1, length + 1)]
    notice = st.lists(st.sampled_from(log), max_size=6) if log else st.just([])
    shuffled = st.permutations(log)
    return lengths, draw(st.lists(notice | shuffled | st.just("look"), max_size=12))


@given(happenings(), st.sets(st.sampled_from(LOGS)))
def test_whatever_notices_come_nothing_is_skipped_and_nothing_comes_twice(happened, known):
    lengths, steps = happened
    position, known, got = Position({}), set(known), []

    def take(batch):
        got.extend(event for event in batch if position.advance(*event))

    def look():
        known.update(LOGS)
        take([(a, seq) for a in LOGS for seq in range(position.seen.get(a, 0) + 1, lengths[a] + 1)])

    for step in steps:
        if step == "look":
            look()
        elif position.reached_by(step, known):
            assert all(a in known for a, _ in step)
            take(step)
        for answer in LOGS:  # at every moment: what the reader has is a beginning of each log
            seqs = [seq for a, seq in got if a == answer]
            assert seqs == list(range(1, len(seqs) + 1)) and position.seen.get(answer, 0) == len(seqs)
    look()
    assert sorted(got) == [(a, seq) for a in LOGS for seq in range(1, lengths[a] + 1)]


@given(st.integers(0, 5), st.lists(st.integers(1, 9), max_size=6))
def test_notices_lead_on_exactly_when_no_number_is_missing(seen, seqs):
    answer = uuid4()
    written = [(answer, seq) for seq in seqs]
    reached, complete = seen, True
    for seq in seqs:
        complete = complete and seq <= reached + 1
        reached = max(reached, seq)
    assert Position({answer: seen}).reached_by(written, {answer}) == complete
    assert not written or not Position({answer: seen}).reached_by(written, set())


async def test_a_question_asked_over_the_door_of_conversations_reaches_who_follows(user, conversation):
    async with following(user, conversation) as reader:
        await opened(reader)
        asked = await in_database(conversations.ask, user, Ask(uuid4(), "Why?", conversation.pk))
        await notices.tell({conversation.pk: ()})
        assert short(await told(reader)) == [("answer",), (str(asked.answer), 1)]
