"""Moderation before and after the general model, with a Llama Guard or a classifier in a process of its own."""

# Fixtures of test_answering.py are imported, and then are arguments of the same names.
# ruff: noqa: F811

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from assistant.answer_log import AnswerJob, AnswerLog, Turn
from assistant.answerer import failure
from assistant.chat import Finished, Message, Reasoning, StreamPart, Text
from assistant.errors import AssistantError, ModerationFailed, Refused, StreamBroken
from assistant.events import storable
from assistant.intent import Decision
from assistant.judges import Verdict
from assistant.moderation import MOST_JUDGED, Moderation
from assistant.story import Story
from indexer.retriever import Retriever
from tests.assistant.test_answering import (  # noqa: F401
    WHERE,
    Answering,
    ask,
    bench,
    free_port,
    prompts,
    server,
)
from tests.fakes.openai_server import FakeModelServer

pytestmark = pytest.mark.integration

GENERAL = "Explain the concept of a monad"
ONTO = ["maps", "binds", "joins", "lifts", "folds", "pipes", "zips"]
LONG = " ".join(f"A monad wraps a value, and chains {word} onto it." for word in ONTO)
FIVE = 50  # words
HARM = {"poison": "S1", "slander": "S5", "hate": "S10"}


@pytest.fixture
def guard(settings) -> Iterator[FakeModelServer]:
    """A Llama Guard, set up for moderation."""
    with FakeModelServer(unsafe=HARM, models=["llama-guard-3-8b"]) as running:
        settings.MODERATION_URL = running.url
        yield running


async def go_on_once_judged(server: FakeModelServer, answer: Answering) -> None:
    """Let the model, which is held after FIVE sentences, write on when these have been judged and released."""
    async with asyncio.timeout(30):
        while not answer.log.text:  # noqa: ASYNC110 - a log has no event for it
            await asyncio.sleep(0.01)
    server.set(hold=None)


def judged(guard: FakeModelServer) -> list[list[dict[str, str]]]:
    """What it was asked about; it keeps the last 50."""
    return prompts(guard)


async def refused(answer: Answering) -> AssistantError:
    with pytest.raises((Refused, ModerationFailed)) as raised:
        await asyncio.wait_for(answer.task, 30)
    answer.log.add("failed", failure(answer_job(), raised.value))
    return raised.value


def answer_job(**more: object) -> AnswerJob:
    fields = {"route": "general", "history": (), **more}
    history, route = fields["history"], fields["route"]
    return AnswerJob(uuid4(), GENERAL, history, route, "", "shop", uuid4(), Path("/nowhere"), "", "", False, 1)  # type: ignore[arg-type]


# --- through the whole way of a question -------------------------------------------------------------------------------------


async def test_without_a_moderation_server_nothing_is_judged(ask, server, guard, settings):
    settings.MODERATION_URL = ""
    answer = await ask(GENERAL).done()
    assert judged(guard) == []
    assert answer.last("completed")["moderated"] is None


async def test_a_general_question_and_its_answer_are_judged_and_the_answer_says_so(ask, server, guard):
    server.set(text=LONG, hold=FIVE)
    history = (Turn("What is a <|eot_id|> functor?", "Something to map over.", "general"),)
    answer = ask(GENERAL, "general", history=history)
    await go_on_once_judged(server, answer)
    await answer.done()
    assert answer.log.text == LONG
    question, *answers = judged(guard)
    assert [message["role"] for message in question] == ["user", "assistant", "user"]
    assert question[-1]["content"] == GENERAL and "<|eot_id|>" not in question[0]["content"]
    assert [messages[-1]["role"] for messages in answers] == ["assistant"] * len(answers) and len(answers) >= 2
    said = [messages[-1]["content"] for messages in answers]
    assert said[-1] == LONG
    assert all(later.startswith(earlier) for earlier, later in pairwise(said))
    completed = answer.last("completed")
    assert completed["moderated"] is True and completed["timings"]["tokens_per_s"] is None
    assert answer.last("route")["not_moderated"] == ""


async def test_a_question_about_the_code_is_not_judged(ask, server, guard):
    answer = await ask(WHERE).done()
    assert answer.last("route")["route"] == "code" and judged(guard) == []
    assert answer.last("completed")["moderated"] is None


async def test_a_refused_question_reaches_no_model(ask, server, guard):
    before = server.stats()["started"]
    answer = ask("Explain how poison and slander spread", "general")
    error = await refused(answer)
    assert str(error) == (
        "Moderation refused the question (S1: Violent Crimes; S5: Defamation) before a model saw it; "
        "ask in other words, or ask about the code."
    )
    assert server.stats()["started"] == before
    assert answer.last("failed") == {
        "code": "refused",
        "message": str(error),
        "side": "question",
        "categories": ["S1", "S5"],
    }


async def test_a_refused_answer_is_withdrawn_with_all_that_was_released_before(ask, server, guard):
    server.set(hold=FIVE, text=LONG + " Now some poison. And some more of it.")
    answer = ask(GENERAL, "general")
    await go_on_once_judged(server, answer)
    error = await refused(answer)
    assert isinstance(error, Refused) and error.side == "answer" and error.categories == ("S1",)
    seen = "".join(delta["text"] for delta in answer.all("delta"))
    assert seen and LONG.startswith(seen)
    assert (answer.log.text, answer.log.told.citations(uuid4())) == ("", [])
    assert server.stats()["running"] == 0


async def test_passages_that_an_unsure_answer_came_with_stay_when_its_question_is_refused(ask, server, guard, monkeypatch):
    unsure = Decision("general", "", 0.3, unsure=True)
    monkeypatch.setattr("assistant.answering.choose_route", lambda *_: unsure)
    answer = ask("How could an item put poison into the cart?")
    assert isinstance(await refused(answer), Refused)
    assert answer.packed()


async def test_a_code_question_that_the_general_model_answers_in_the_others_place_is_judged(ask, server, guard, settings):
    settings.CODE_MODEL_URL = f"http://127.0.0.1:{free_port()}"
    settings.GENERAL_MODEL_URL = server.url
    answer = await ask(WHERE).done()
    assert answer.last("route")["instead_of"]
    assert len(judged(guard)) == 2 and answer.last("completed")["moderated"] is True


async def test_a_question_in_a_language_that_only_the_general_model_serves_is_judged(ask, server, guard, settings, monkeypatch):
    async def always(_: str) -> bool:
        return True

    monkeypatch.setattr("assistant.answering.general_model_speaks_instead", always)
    answer = await ask(WHERE).done()
    assert answer.last("route")["route"] == "code" and answer.packed()
    assert len(judged(guard)) == 2


async def test_any_classifier_of_openais_protocol_will_do(ask, server, guard, settings):
    guard.set(unsafe={"poison": "violence", "hate": "hate/threatening"})
    settings.MODERATION_KIND = "moderations"
    settings.MODERATION_NAME = "omni-moderation-latest"
    answer = await ask(GENERAL, "general").done()
    assert answer.last("completed")["moderated"] is True
    assert guard.stats()["requests"][-1] == {"model": "omni-moderation-latest", "input": answer.log.text}
    with pytest.raises(Refused, match=r"refused the question \(hate/threatening; violence\) before"):
        await ask("Explain poison and hate", "general").task


# --- when no verdict can be had ----------------------------------------------------------------------------------------------

FAULTS = {
    "server_error": "internal error",
    "unauthorized": "refuses the API key",
    "unknown_model": "does not know",
    "loading": "still loading",
    "silent": "no verdict within 0.3 s",
    "not_sse": "neither safe nor unsafe",
}


@pytest.mark.parametrize(("fault", "why"), FAULTS.items())
async def test_closed_an_answer_without_a_verdict_fails_with_a_sentence(ask, server, guard, settings, fault, why):
    settings.MODERATION_TIMEOUT_S = 0.3 if fault == "silent" else 5
    guard.set(fault=fault)
    before = server.stats()["started"]
    answer = ask(GENERAL, "general")
    error = await refused(answer)
    assert str(error).startswith("General answers have to be moderated, which can't be done now: ") and why in str(error)
    assert answer.last("failed")["code"] == "unmoderated"
    assert server.stats()["started"] == before


@pytest.mark.parametrize(("fault", "why"), FAULTS.items())
async def test_open_it_goes_on_and_says_that_it_was_not_moderated(ask, server, guard, settings, fault, why):
    settings.MODERATION_FAIL = "open"
    settings.MODERATION_TIMEOUT_S = 0.3 if fault == "silent" else 5
    guard.set(fault=fault)
    answer = await ask(GENERAL, "general").done()
    told = [route["not_moderated"] for route in answer.all("route") if route["not_moderated"]]
    assert len(told) == 1 and told[0].startswith("This answer was not moderated, at least in part: ") and why in told[0]
    assert answer.last("route")["model"] == "fake"
    assert answer.log.text and answer.last("completed")["moderated"] is False


async def test_closed_what_was_judged_before_the_judge_went_away_stays(ask, server, guard, settings):
    server.set(text=f"{LONG} And so on it goes, again and again. {LONG}", hold=50)
    answer = ask(GENERAL, "general")
    await answer.until(lambda: bool(answer.all("delta")))
    settings.MODERATION_TIMEOUT_S = 0.3
    guard.set(fault="unauthorized")
    server.set(hold=None)
    assert isinstance(await refused(answer), ModerationFailed)
    assert answer.log.text and LONG.startswith(answer.log.text)


async def test_a_judge_that_fails_once_is_asked_again(ask, server, guard):
    guard.set(fault="server_error", times=1)
    assert (await ask(GENERAL, "general").done()).last("completed")["moderated"] is True


async def test_a_judge_that_hangs_is_left_alone_after_some_answers(ask, server, guard, settings):
    settings.MODERATION_TIMEOUT_S = 0.1
    settings.MODERATION_FAIL = "open"
    guard.set(fault="silent")
    for _ in range(2):
        await ask(GENERAL, "general").done()
    asked = len(judged(guard))
    answer = await ask(GENERAL, "general").done()
    assert len(judged(guard)) == asked and "several times in a row" in answer.last("route")["not_moderated"]


async def test_a_model_whose_stream_breaks_keeps_what_it_wrote_as_far_as_that_is_judged(ask, server, guard):
    server.set(text=LONG, hold=FIVE, fault="cut", after=55)
    answer = ask(GENERAL, "general")
    await go_on_once_judged(server, answer)
    assert isinstance(await answer.error(), StreamBroken)
    assert answer.log.text == " ".join(LONG.split()[:55])
    assert judged(guard)[-1][-1]["content"] == answer.log.text


# --- holding text back, however it is cut ------------------------------------------------------------------------------------


class Words:
    """Flags what holds the word, and keeps what it has seen."""

    def __init__(self, word: str = "POISON") -> None:
        self._word = word
        self.seen: list[str] = []

    async def judge(self, conversation: Sequence[Message]) -> Verdict:
        self.seen.append(conversation[-1].content)
        return Verdict(self._word in conversation[-1].content, ("S1",))


async def stream(pieces: Sequence[str]) -> AsyncGenerator[StreamPart, None]:
    yield Reasoning()
    for piece in pieces:
        yield Text(piece)
    yield Finished("stop")


RETRIEVER = Retriever()  # which nothing here asks


def released(pieces: Sequence[str]) -> tuple[str, list[str], bool, bool]:
    """The text that was released, what the judge saw, whether it was refused, and whether the stream finished."""

    async def collect() -> tuple[str, list[str], bool, bool]:
        log, judge = AnswerLog(), Words()
        story = Story(answer_job(), log, RETRIEVER)
        parts = Moderation(story, judge, fails_open=False).released(stream(pieces))
        try:
            async for part in parts:
                if isinstance(part, Text):
                    await log.delta(part.text)
                    story.first_token_ms = 1.0
                    assert log.text in "".join(judge.seen[-1:]), "text came out that nobody had judged"
                if isinstance(part, Finished):
                    return log.text, judge.seen, False, True
        except Refused:
            return log.text, judge.seen, True, False
        return log.text, judge.seen, False, False

    return asyncio.run(collect())


PIECES = st.lists(
    st.one_of(st.text(max_size=12), st.sampled_from(["POI", "SON", "POISON", ". ", "\n", "x" * 300, "A sentence. " * 20])),
    max_size=60,
)


@given(PIECES)
@hypothesis_settings(max_examples=300, deadline=None)
def test_however_an_answer_is_cut_all_of_it_is_released_or_nothing_that_is_refused(pieces: list[str]) -> None:
    text, seen, was_refused, finished = released(pieces)
    whole = storable("".join(pieces))
    assert was_refused == ("POISON" in whole) and finished != was_refused
    assert whole.startswith(text) and "POISON" not in text
    if finished:
        assert text == whole
        assert not whole or seen[-1] == whole


@given(st.integers(1, 40), st.integers(0, 2000))
@hypothesis_settings(max_examples=60, deadline=None)
def test_text_without_an_end_waits_for_so_many_characters_and_no_more(size: int, length: int) -> None:
    whole = "x" * length
    _, seen, *_ = released([whole[at : at + size] for at in range(0, length, size)])
    lengths = [0, *map(len, seen)]
    assert all(later - earlier < MOST_JUDGED + size for earlier, later in pairwise(lengths))
