import asyncio
import json
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from django.db import OperationalError

from assistant import consumers, conversations, events
from assistant.consumers import DATABASE_BUSY, INBOX, NO_CONVERSATION, ConversationConsumer
from assistant.models import Answer, Conversation
from tests.assistant.conftest import in_database
from tests.assistant.page import Page, Socket, headers, session_cookie
from tests.assistant.test_answerer import working
from tests.fakes.scripted_answers import counted

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.event_log]


@pytest.fixture(autouse=True)
def everybody_signs_in(settings) -> None:
    settings.SIGN_IN = "required"


@pytest.fixture
async def page(user, repository):
    async with Page(user) as page:
        yield page


def types(messages) -> list[str]:
    return [message.get("kind", message["type"]) for message in messages]


async def refusal(page: Page) -> tuple[str, str | None]:
    message = await page.receive()
    assert message["type"] == "error", message
    return message["message"], message["answer"]


# --- asking and reading ---


async def test_a_question_is_asked_shown_and_answered_in_that_order(page, conversation):
    async with working():
        answer = await page.ask("Where are the guards run?", repository="harbor", conversation=None)
        await page.until_end(answer)
    assert types(page.messages) == ["asked", "answer", "status", "route", "delta", "completed"]
    asked, shown = page.messages[:2]
    stored = await in_database(Answer.objects.select_related("conversation").get, pk=answer)
    assert asked["conversation"] == shown["conversation"] == str(stored.conversation_id) != str(conversation.pk)
    assert (asked["title"], shown["answer"]["number"], shown["answer"]["id"]) == ("Where are the guards run?", 1, answer)
    assert page.seqs[answer] == [1, 2, 3, 4] and page.answers[answer].text == stored.text


async def test_a_question_that_is_sent_twice_is_shown_once(page, conversation):
    answer = await page.ask("Why?", conversation=str(conversation.pk))
    await page.until(lambda message: message["type"] == "event")
    await page.send("ask", answer=answer, question="Why?", conversation=str(conversation.pk))
    assert (await page.receive())["type"] == "asked"
    await page.send("stop", answer=answer)
    await page.until_end(answer)
    assert types(page.messages) == ["asked", "answer", "status", "asked", "cancelled"]


async def test_a_page_that_opens_with_what_it_has_seen_gets_the_rest(page, conversation, ask_question):
    answer = await in_database(ask_question)
    await in_database(events.append, answer, [("delta", {"text": "Be"}), ("delta", {"text": "cause"})])
    await page.send("open", conversation=str(conversation.pk), seen={str(answer.pk): 2})
    assert (await page.receive())["answers"][0]["id"] == str(answer.pk)
    assert (await page.receive())["seq"] == 3


async def test_a_page_that_comes_back_in_mid_answer_loses_and_doubles_nothing(user, page, conversation):
    async with working():
        answer = await page.ask("count 60", conversation=str(conversation.pk))
        await page.until_text(answer, "5 ")
        async with Page(user) as again:
            await again.send("open", conversation=str(conversation.pk), seen=page.seen())
            await again.until_end(answer)
    seqs = page.seqs[answer] + again.seqs[answer]
    assert seqs == list(range(1, len(seqs) + 1))


async def test_two_pages_see_the_same(user, page, conversation):
    async with working(), Page(user) as other:
        await other.send("open", conversation=str(conversation.pk))
        assert (await other.receive())["answers"] == []
        answer = await page.ask("count 30", conversation=str(conversation.pk))
        await asyncio.gather(page.until_end(answer), other.until_end(answer))
    assert page.seqs == other.seqs and page.answers[answer].text == other.answers[answer].text == counted(30)
    # Beside `asked` and `opened`, and but for the state that the answer was in when each was told of it.
    for told in (page.messages[1], other.messages[1]):
        assert told["answer"].pop("state") in ("queued", "running", "completed")
    assert page.messages[1:] == other.messages[1:]


async def test_opening_another_conversation_leaves_the_first(user, page, conversation, repository, ask_question):
    other = await in_database(Conversation.objects.create, owner=user, repository=repository, title="Other")
    answer = await in_database(ask_question)
    await page.send("open", conversation=str(conversation.pk))
    await page.until(lambda message: message["type"] == "event")
    await page.send("open", conversation=str(other.pk))
    assert (await page.receive())["conversation"]["title"] == "Other"
    await in_database(conversations.stop, user, answer.pk)
    await page.ask("Here?", conversation=str(other.pk))
    assert types([await page.receive() for _ in range(3)]) == ["asked", "answer", "status"]


async def test_a_retry_shows_the_new_answer_beside_the_old_one(page, conversation):
    first = await page.ask("Why?", conversation=str(conversation.pk))
    await page.send("stop", answer=first)
    await page.until_end(first)
    again = str(uuid4())
    await page.send("retry", answer=again, of=first, route="general")
    assert (await page.receive())["answer"] == again
    shown = (await page.receive())["answer"]
    assert (shown["id"], shown["retry_of"], shown["number"], shown["requested_route"]) == (again, first, 1, "general")


async def test_stop_ends_an_answer_that_runs(page, conversation):
    async with working():
        answer = await page.ask("wait", conversation=str(conversation.pk))
        await page.until_text(answer, "waiting")
        await page.send("stop", answer=answer)
        assert (await page.until_end(answer))["kind"] == "cancelled"
    assert page.answers[answer].text == "waiting"


# --- refusals ---


async def test_a_stranger_learns_nothing(stranger, conversation, ask_question):
    answer = await in_database(ask_question)
    async with Page(stranger) as spy:
        for hidden, missing in ((conversation.pk, uuid4()),):
            for id in (hidden, missing):
                await spy.send("open", conversation=str(id))
                assert await refusal(spy) == (NO_CONVERSATION, None)
                asked = await spy.ask("Why?", conversation=str(id))
                assert await refusal(spy) == (NO_CONVERSATION, asked)
        for id in (str(answer.pk), str(uuid4())):
            await spy.send("stop", answer=id)
            assert await refusal(spy) == ("There is no such answer.", id)
            again = str(uuid4())
            await spy.send("retry", answer=again, of=id)
            assert await refusal(spy) == ("There is no such answer.", again)
    await in_database(answer.refresh_from_db)
    assert answer.state == "queued" and not answer.cancel_requested


@pytest.mark.parametrize("sent", ["[", "", "ask", "[" * 100_000], ids=["half", "nothing", "a word", "deep"])
async def test_what_is_not_json_closes_the_connection(page, sent):
    await page.socket.send(sent)
    assert await page.socket.receive_close() == 4400


async def test_bytes_close_the_connection(page):
    await page.socket.application.send_input({"type": "websocket.receive", "bytes": b"{}"})
    assert await page.socket.receive_close() == 4400


async def test_who_is_not_signed_in_is_told_so(db):
    for cookie in ("", "sessionid=made-up"):
        socket = Socket(headers(cookie))
        assert await socket.connect()
        assert await socket.receive_close() == 4401
        await socket.send('{"type": "stop"}')
        await socket.close()


async def test_unknown_types_and_fields_are_refused_and_the_connection_stays(page, conversation):
    await page.send("shout")
    assert await refusal(page) == ("There is no message of type 'shout'.", None)
    answer = await page.ask("Why?", conversation=str(conversation.pk), mood="curious")
    assert await refusal(page) == ("A message of type 'ask' has no field 'mood'.", answer)
    await page.socket.send("7")
    assert await refusal(page) == ("A message must be a JSON object.", None)
    await page.send("open", conversation=str(conversation.pk))
    assert (await page.receive())["type"] == "opened"


async def test_a_repository_without_an_index_is_said_to_have_none(page, repository):
    await in_database(repository.live_snapshot.delete)
    answer = await page.ask("Why?", repository="harbor")
    message, about = await refusal(page)
    assert "not indexed yet" in message and about == answer


async def test_a_database_error_refuses_what_was_sent_and_keeps_the_connection(page, conversation, monkeypatch):
    real = conversations.ask

    def refuse(*_):
        raise OperationalError("connection refused")

    monkeypatch.setattr(conversations, "ask", refuse)
    answer = await page.ask("Why?", conversation=str(conversation.pk))
    assert await refusal(page) == (DATABASE_BUSY, answer)
    monkeypatch.setattr(conversations, "ask", real)
    await page.send("ask", answer=answer, question="Why?", conversation=str(conversation.pk))
    assert types([await page.receive() for _ in range(3)]) == ["asked", "answer", "status"]


async def test_a_database_error_while_a_conversation_is_opened_is_told_and_it_can_be_opened_again(
    page, conversation, monkeypatch
):
    real = consumers.Follower.opened

    async def refuse(follower):
        raise OperationalError("connection refused")
        yield

    monkeypatch.setattr(consumers.Follower, "opened", refuse)
    await page.send("open", conversation=str(conversation.pk))
    assert await refusal(page) == (DATABASE_BUSY, None)
    monkeypatch.setattr(consumers.Follower, "opened", real)
    await page.send("open", conversation=str(conversation.pk))
    assert (await page.receive())["type"] == "opened"


async def test_a_conversation_that_is_deleted_elsewhere_is_said_to_be_gone(user, page, conversation):
    await page.send("open", conversation=str(conversation.pk))
    await page.until_type("opened")
    await in_database(conversations.delete, user, conversation.pk)
    assert await refusal(page) == (NO_CONVERSATION, None)
    answer = await page.ask("And now?", repository="harbor")
    assert (await page.receive())["answer"] == answer


async def test_an_error_that_nobody_foresaw_closes_the_connection_once(page, conversation, monkeypatch, caplog):
    monkeypatch.setattr(conversations, "ask", lambda *_: 1 / 0)
    await page.ask("Why?", conversation=str(conversation.pk))
    assert await page.socket.receive_close() == 1011
    assert "ZeroDivisionError" in caplog.text
    await page.socket.send("not JSON")
    assert await page.socket.application.receive_nothing()


# --- pages that are slow, and pages that leave ---


class Line:
    """A WebSocket whose far end the test holds: what is sent waits while it isn't `flowing`, and fails once it is `cut`."""

    def __init__(self) -> None:
        self.sent: list[dict] = []
        self.flowing, self.stuck, self.arrived = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.flowing.set()
        self.cut = False
        self.incoming: asyncio.Queue[dict] = asyncio.Queue()

    async def deliver(self, message: dict) -> None:
        if not self.flowing.is_set():
            self.stuck.set()
            await self.flowing.wait()
        if self.cut:
            raise OSError("the other end is gone")
        closed = [old for old in self.sent if old["type"] == "websocket.close"]
        assert not closed, f"sent after the end: {message}"
        self.sent.append(message)
        self.arrived.set()

    async def send(self, type: str, **fields: object) -> None:
        await self.incoming.put({"type": "websocket.receive", "text": json.dumps({"type": type, **fields})})

    async def until(self, condition) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self.arrived.clear()
                await self.arrived.wait()

    async def hang_up(self) -> None:
        await self.incoming.put({"type": "websocket.disconnect", "code": 1001})
        await asyncio.wait_for(self.serving, 30)


@asynccontextmanager
async def connected(user):
    from assistant.asgi import application

    line = Line()
    scope = Socket(headers(await session_cookie(user))).scope
    line.serving = asyncio.create_task(application(scope, line.incoming.get, line.deliver))
    await line.incoming.put({"type": "websocket.connect"})
    await line.until(lambda: line.sent)
    yield line
    if not line.serving.done():
        await line.hang_up()


async def test_a_page_that_reads_slowly_holds_up_nobody_else(user, page, conversation):
    async with working(), connected(user) as slow:
        await slow.send("open", conversation=str(conversation.pk))
        await slow.until(lambda: len(slow.sent) == 2)
        slow.flowing.clear()
        answer = await page.ask("count 30", conversation=str(conversation.pk))
        await slow.stuck.wait()
        await page.until_end(answer)
        assert len(slow.sent) == 2
        slow.flowing.set()
        await slow.until(lambda: "completed" in slow.sent[-1]["text"])
    got = [json.loads(message["text"]) for message in slow.sent[1:]]
    assert [m["seq"] for m in got if m["type"] == "event"] == page.seqs[answer]


async def test_a_page_that_hangs_up_while_it_is_stuck_is_let_go_at_once(user, conversation):
    async with connected(user) as slow:
        slow.flowing.clear()
        await slow.send("open", conversation=str(conversation.pk))
        await slow.stuck.wait()
        await slow.hang_up()
        assert slow.serving.done()


async def test_a_page_that_sends_more_than_can_wait_is_closed(user, conversation):
    async with connected(user) as slow:
        slow.flowing.clear()
        await slow.send("open", conversation=str(conversation.pk))
        await slow.stuck.wait()
        for _ in range(INBOX + 5):
            await slow.send("stop", answer=str(uuid4()))
        slow.stuck.clear()
        await slow.stuck.wait()  # with the close
        slow.flowing.set()
        await slow.until(lambda: slow.sent[-1]["type"] == "websocket.close")
        assert slow.sent[-1]["code"] == 1008


async def test_a_page_that_leaves_in_mid_answer_is_no_error(user, conversation, caplog):
    async with working(), connected(user) as line:
        await line.send("ask", answer=str(uuid4()), question="count 400", conversation=str(conversation.pk))
        await line.until(lambda: '"delta"' in line.sent[-1].get("text", ""))
        line.cut = True
        line.flowing.clear()
        await line.stuck.wait()  # a word is on its way
        line.flowing.set()
        await line.hang_up()
    assert [record for record in caplog.records if record.name.startswith("assistant.consumers")] == []


async def test_nothing_is_sent_after_the_connection_was_closed(user, conversation):
    async with working(), connected(user) as line:
        await line.send("ask", answer=str(uuid4()), question="count 50", conversation=str(conversation.pk))
        await line.until(lambda: '"delta"' in line.sent[-1].get("text", ""))
        for _ in range(2):
            await line.incoming.put({"type": "websocket.receive", "text": "not JSON"})
        await line.until(lambda: line.sent[-1]["type"] == "websocket.close")
        answer = await in_database(Answer.objects.get)
        async with asyncio.timeout(10):
            while answer.state != "completed":
                await in_database(answer.refresh_from_db)
        assert not line.serving.done()
        assert line.sent[-1] == {"type": "websocket.close", "code": 4400}


async def test_a_disconnect_is_heard_at_whatever_moment_it_comes(user, conversation, monkeypatch):
    """Even in the very step in which the session wakes up for a message: for every number of steps between the two."""
    opening = json.dumps({"type": "open", "conversation": str(conversation.pk)})
    looking = asyncio.Event()

    async def no_news(follower):
        looking.set()
        return
        yield

    async def drop(message) -> None:
        return

    monkeypatch.setattr(consumers.Follower, "news", no_news)
    for steps in range(12):
        looking.clear()
        consumer = ConversationConsumer()
        consumer.scope, consumer.base_send = {"user": user}, drop
        await consumer.connect()
        await consumer.receive(opening)
        await looking.wait()  # and from then on it waits for a message, or for the time to look again
        await asyncio.sleep(0)
        await consumer.receive("{}")
        for _ in range(steps):
            await asyncio.sleep(0)
        async with asyncio.timeout(30) as patience:
            await consumer.disconnect(1001)
        assert not patience.expired()
