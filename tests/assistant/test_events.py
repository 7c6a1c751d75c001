from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assistant import events
from assistant.answer_log import AnswerLog
from assistant.errors import AnswerCancelled
from assistant.events import AnswerSoFar, so_far, storable
from assistant.follower import Position
from assistant.models import Answer

pytestmark = [pytest.mark.django_db, pytest.mark.event_log]

# Each example asks a question of its own, so it doesn't matter that they share the rows around it.
RARE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PASSAGES = {"commit": "c0ffee", "passages": [{"number": 1, "blob": "b10b", "state": "packed"}, {"number": None, "blob": "x"}]}


def citation(start: int, number: int = 1, state: str = "verified") -> dict:
    return {"start": start, "number": number, "state": state, "path": "a.py", "start_line": 3, "end_line": 9, "reason": "r"}


def written(answer: Answer) -> list[events.Event]:
    return events.after({answer.pk: 0})


def test_the_events_of_an_answer_are_numbered_from_1_without_gaps(ask_question):
    answer = ask_question()
    events.append(answer, [("delta", {"text": "a"}), ("delta", {"text": "b"})])
    events.append(answer, [("delta", {"text": "c"})])
    assert [(event.seq, event.kind) for event in written(answer)] == [(1, "status"), (2, "delta"), (3, "delta"), (4, "delta")]


def test_two_events_can_not_have_one_number(ask_question):
    answer = ask_question()
    with pytest.raises(IntegrityError), transaction.atomic():
        events.write(events.number(answer.pk, 0, [("delta", {"text": "again"})]))


def test_a_refusal_withdraws_the_text_its_citations_and_places_also_from_the_log(ask_question):
    answer = ask_question()
    place = {"start": 0, "end": 8, "state": "absent", "path": "", "start_line": 0, "end_line": 0, "reason": "r"}
    refused = {"code": "refused", "message": "Moderation refused it.", "side": "answer", "categories": ["S1"]}
    events.append(answer, [("delta", {"text": "poison.c "}), ("place", place), ("reset", {"attempt": 2, "reason": "lost"})])
    events.append(answer, [("delta", {"text": "See [1]"}), ("citation", citation(4)), ("failed", refused)])
    answer.refresh_from_db()
    assert (answer.state, answer.text, answer.citations.count()) == ("failed", "", 0)
    empty = ("delta", {"text": ""})
    log = [(event.kind, event.payload) for event in written(answer)]
    assert log[1:] == [empty, empty, ("reset", {"attempt": 2, "reason": "lost"}), empty, empty, ("failed", refused)]
    assert [event.seq for event in written(answer)] == [1, 2, 3, 4, 5, 6, 7]


def test_a_final_event_writes_what_the_log_amounts_to(ask_question):
    answer = ask_question()
    story = [
        ("route", {"route": "code", "reason": "", "model": "coder"}),
        ("passages", PASSAGES),
        ("delta", {"text": "See [1]"}),
        ("citation", citation(4, state="pending")),
        ("citation", citation(4)),
        ("completed", {"model": "coder-1.5b", "finish_reason": "stop"}),
    ]
    events.append(answer, story)
    answer.refresh_from_db()
    assert (answer.state, answer.text, answer.route, answer.model) == ("completed", "See [1]", "code", "coder-1.5b")
    assert answer.finished_at and answer.lease_token is None
    (cited,) = answer.citations.all()
    assert (cited.start, cited.path, cited.commit, cited.blob, cited.verified) == (4, "a.py", "c0ffee", "b10b", True)


def test_a_reset_makes_all_before_it_void():
    told = AnswerSoFar()
    for kind, payload in [("delta", {"text": "old"}), ("citation", citation(0)), ("reset", {}), ("delta", {"text": "new"})]:
        told.apply(kind, payload)
    assert told.text == "new" and told.citations(uuid4()) == []


def test_characters_that_no_database_keeps_are_replaced_one_for_one(ask_question):
    answer = ask_question()
    text = "a\x00b\ud83dc😀"
    events.append(answer, [("delta", {"text": text})])
    stored = written(answer)[-1].payload["text"]
    assert stored == "a\ufffdb\ufffdc😀" and len(stored) == len(text)


@RARE
@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_whatever_a_model_writes_can_be_stored(ask_question, value):
    answer = ask_question()
    events.append(answer, [("status", {"found": value})])
    assert written(answer)[-1].payload == {"found": storable(value)}


async def test_a_log_joins_neighbouring_deltas_and_keeps_the_order():
    log = AnswerLog()
    await log.delta("Wo")
    await log.delta("rld")
    await log.append("citation", citation(0))
    await log.delta("!")
    assert [(kind, payload.get("text")) for kind, payload in log.take()] == [
        ("delta", "World"),
        ("citation", None),
        ("delta", "!"),
    ]
    assert log.text == "World!" and log.take() == []


async def test_a_stopped_log_raises_from_every_method():
    log = AnswerLog()
    log.stop(AnswerCancelled("stop"))
    for attempt in (log.check(), log.delta("x"), log.append("status", {})):
        with pytest.raises(AnswerCancelled):
            await attempt


async def test_nothing_follows_the_end_of_a_log():
    log = AnswerLog()
    await log.append("completed", {})
    with pytest.raises(ValueError, match="has ended"):
        await log.delta("more")


async def test_what_is_not_json_is_refused_where_it_is_appended():
    log = AnswerLog()
    for payload in ({"score": float("nan")}, {"path": object()}):
        with pytest.raises((ValueError, TypeError)):
            await log.append("status", payload)
    assert log.take() == []


# --- any reader of any log ---

ENTRIES = st.one_of(
    st.tuples(st.just("delta"), st.fixed_dictionaries({"text": st.text(max_size=8)})),
    st.builds(lambda start, number: ("citation", citation(start, number)), st.integers(0, 5), st.integers(1, 3)),
    st.just(("reset", {"attempt": 2, "reason": ""})),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.lists(ENTRIES, min_size=1, max_size=4)),
        st.tuples(st.just("read"), st.integers(1, 5)),
        st.tuples(st.just("reconnect"), st.integers(0, 3)),
        st.tuples(st.just("notice"), st.lists(st.integers(0, 20), max_size=6)),
    ),
    max_size=25,
)


class Reader:
    """A page: keeps what it has been sent, follows by Position's rule, and forgets its last few events when it reconnects."""

    def __init__(self, answer: UUID) -> None:
        self.answer = answer
        self.got: list[events.Event] = []
        self.position = Position({})

    def take(self, came: list[events.Event]) -> None:
        self.got += [event for event in came if self.position.advance(event.answer, event.seq)]

    def read(self, limit: int) -> None:
        self.take(events.after({self.answer: self.position.seen.get(self.answer, 0)}, limit))

    def hear(self, notices: list[events.Event]) -> None:
        if self.position.reached_by([(event.answer, event.seq) for event in notices], {self.answer}):
            self.take(notices)

    def reconnect(self, forgotten: int) -> None:
        self.got = self.got[: max(0, len(self.got) - forgotten)]
        self.position = Position({self.answer: len(self.got)})


@RARE
@given(steps=STEPS)
def test_every_reader_ends_with_what_the_log_says_however_it_was_reached(ask_question, steps):
    answer = ask_question()
    reader = Reader(answer.pk)
    for what, how in steps:
        if what == "write":
            events.append(answer, how)
        elif what == "read":
            reader.read(how)
        elif what == "reconnect":
            reader.reconnect(how)
        else:  # notices: some lost, some doubled, in any order
            log = written(answer)
            reader.hear([log[i] for i in how if i < len(log)])
    events.append(answer, [("completed", {"model": "m"})])
    reader.read(1000)
    answer.refresh_from_db()
    assert [event.seq for event in reader.got] == list(range(1, answer.last_seq + 1))
    assert so_far(reader.got).text == answer.text
    assert [c.start for c in so_far(reader.got).citations(answer.pk)] == [c.start for c in answer.citations.all()]
