import json
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.errors import BadRequest
from assistant.messages import QUESTION_LIMIT, Ask, Open, Retry, Stop, answer_id, parse
from indexer.types import Filters

ANSWER, OTHER = UUID(int=1), UUID(int=2)
NO_NUMBER = "'seen' must give a number for each answer."


def ask(**fields: object) -> dict[str, object]:
    return {"type": "ask", "answer": str(ANSWER), "question": "Why?"} | fields


def opening(seen: object) -> dict[str, object]:
    return {"type": "open", "conversation": str(OTHER), "seen": seen}


def refusal(sent: object) -> str:
    with pytest.raises(BadRequest) as refused:
        parse(sent)
    return str(refused.value)


def test_a_question_for_a_new_conversation():
    sent = ask(conversation=None, repository="harbor", route="code", model="coder")
    assert parse(sent) == Ask(ANSWER, "Why?", None, "harbor", "code", "coder")


def test_a_question_needs_no_more_than_its_id_and_its_text():
    assert parse(ask()) == Ask(ANSWER, "Why?", conversation=None, repository="", route="auto", model="")


def test_the_other_messages():
    assert parse({"type": "retry", "answer": str(ANSWER), "of": str(OTHER)}) == Retry(ANSWER, OTHER, route=None, model=None)
    assert parse({"type": "open", "conversation": str(OTHER), "seen": {str(ANSWER): 7}}) == Open(OTHER, {ANSWER: 7})
    assert parse({"type": "open", "conversation": str(OTHER)}) == Open(OTHER, {})
    assert parse({"type": "stop", "answer": str(ANSWER)}) == Stop(ANSWER)


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        ([], "A message must be a JSON object."),
        ({}, "There is no message of type None."),
        ({"type": ["ask"]}, "There is no message of type ['ask']."),
        ({"type": "shout"}, "There is no message of type 'shout'."),
        (ask(questoin="?"), "A message of type 'ask' has no field 'questoin'."),
        ({"type": "stop", "answer": str(ANSWER), "seen": {}}, "A message of type 'stop' has no field 'seen'."),
        ({"type": "ask", "answer": str(ANSWER)}, "A message of type 'ask' needs the field 'question'."),
        ({"type": "retry", "answer": str(ANSWER)}, "A message of type 'retry' needs the field 'of'."),
        ({"type": "open"}, "A message of type 'open' needs the field 'conversation'."),
        (ask(answer="7"), "'answer' must be a UUID."),
        (ask(answer=7), "'answer' must be a UUID."),
        (ask(conversation=["x"]), "'conversation' must be a UUID."),
        (ask(question=5), "'question' must be text."),
        (ask(question=" \n "), "The question is empty."),
        (ask(question="x" * (QUESTION_LIMIT + 1)), "The question is longer than 20,000 characters."),
        (ask(route="sql"), "'route' must be one of auto, code, general, search."),
        (ask(route=["code"]), "'route' must be one of auto, code, general, search."),
        (ask(repository="x" * 101), "'repository' is longer than 100 characters."),
        (opening([]), "'seen' must be an object."),
        (opening({"x": 1}), "'seen' must be a UUID."),
        (
            {"type": "open", "conversation": str(OTHER), "seen": {str(ANSWER): True}},
            "'seen' must give a number for each answer.",
        ),
        (opening({str(ANSWER): -1}), NO_NUMBER),
        (
            {"type": "open", "conversation": str(OTHER), "seen": {str(ANSWER): 1.5}},
            "'seen' must give a number for each answer.",
        ),
    ],
)
def test_what_can_not_be_used_is_refused_with_one_sentence(sent, sentence):
    assert refusal(sent) == sentence


def test_a_question_of_the_longest_length_is_taken_and_spaces_around_it_do_not_count():
    assert len(parse(ask(question=f"  {'x' * QUESTION_LIMIT}\n")).question) == QUESTION_LIMIT


def test_characters_that_no_database_keeps_are_replaced():
    assert parse(ask(question="a\x00b\ud800c")).question == "a\ufffdb\ufffdc"


def test_a_refusal_does_not_repeat_a_long_message():
    assert len(refusal({"type": "x" * 100_000})) < 200
    assert len(refusal(ask(**{"x" * 100_000: 1}))) < 200


def test_the_answer_that_a_refusal_is_about_is_told_as_it_was_sent():
    assert answer_id(ask(question="")) == str(ANSWER)
    assert answer_id({"answer": "not a UUID"}) == "not a UUID"
    for sent in ([], None, {"answer": 7}, {"answer": "x" * 37}, {"type": "open"}):
        assert answer_id(sent) is None


# --- anything at all ---

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.uuids().map(str)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
NAMES = st.sampled_from(["answer", "conversation", "repository", "question", "route", "model", "of", "seen", "type"]) | st.text(
    max_size=8
)
KINDS = st.sampled_from(["ask", "retry", "open", "stop"])
VALUES = JSON | st.dictionaries(st.uuids().map(str), st.integers(), max_size=3) | st.sampled_from(["auto", "code"])
NEARLY = st.builds(lambda kind, fields: {**fields, "type": kind}, KINDS, st.dictionaries(NAMES, VALUES, max_size=6))


@given(JSON | NEARLY)
def test_any_json_is_a_message_or_is_refused(sent):
    decoded = json.loads(json.dumps(sent))
    try:
        message = parse(decoded)
    except BadRequest as error:
        assert str(error).endswith(".") and "\n" not in str(error)
    else:
        assert isinstance(message, Ask | Retry | Open | Stop)
    assert answer_id(decoded) is None or isinstance(decoded["answer"], str)


@given(
    question=st.text(min_size=1, max_size=50).filter(str.strip),
    conversation=st.none() | st.uuids(),
    route=st.sampled_from(["auto", "code", "general", "search"]),
)
def test_whatever_a_page_may_ask_is_understood(question, conversation, route):
    answer = uuid4()
    sent = {"type": "ask", "answer": str(answer), "question": question, "route": route}
    message = parse(json.loads(json.dumps({**sent, "conversation": conversation and str(conversation)})))
    assert (message.answer, message.conversation, message.route) == (answer, conversation, route)
    assert len(message.question) == len(question.strip())
    message.question.encode()  # so that any database keeps it


@pytest.mark.parametrize(
    "filters",
    [
        "src",
        {"paths": []},
        {"languages": "python"},
        {"languages": [1]},
        {"tests": 1},
        {"folder": 3},
        {"folder": "x" * 501},
        {"pins": "a"},
        {"pins": ["a b"]},
        {"pins": [""]},
        {"pins": ["a"] * 9},
    ],
)
def test_filters_that_can_not_be_meant_are_refused(filters):
    with pytest.raises(BadRequest):
        parse({"type": "ask", "answer": str(uuid4()), "question": "why", "repository": "r", "filters": filters})


def test_filters_are_read_and_none_restrict_nothing():
    message = {"type": "ask", "answer": str(uuid4()), "question": "why", "repository": "r"}
    assert parse({**message, "filters": {"folder": "src", "tests": False}}).filters == Filters("src", (), False)
    assert parse({**message, "filters": {"pins": ["a.py", "B.c"]}}).filters == Filters(pins=("a.py", "B.c"))
    assert parse(message).filters == parse({**message, "filters": None}).filters == Filters()
