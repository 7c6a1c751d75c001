"""Earlier turns are whole while they fit, then told by their most telling sentences, and dropped last of all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from assistant.answer_log import Turn
from assistant.recall import TURN_TOKENS, Conversation, extract, recall

LONG = "It is here. " + "This says nothing new. " * 30 + "Then `Cart.add_item` calls `sign_cookie`. " + "So it goes on. " * 30


def told(history: Sequence[Turn], budget: int) -> Conversation:
    async def count(texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    return asyncio.run(recall(count, history, budget))


def turns(*answers: str) -> list[Turn]:
    return [Turn(f"Question {number}?", answer, "code") for number, answer in enumerate(answers)]


def test_turns_that_fit_are_whole_and_nothing_is_said_of_them() -> None:
    conversation = told(turns("One [1].", "Two."), 100)
    assert [message.content for message in conversation.messages] == ["Question 0?", "One.", "Question 1?", "Two."]
    assert (conversation.as_json(), conversation.told()) == ({"whole": 2, "shortened": 0, "dropped": 0}, "")


def test_older_turns_are_shortened_first_and_the_reader_is_told() -> None:
    conversation = told(turns(LONG, LONG, "Short."), 350)
    assert conversation.as_json() == {"whole": 2, "shortened": 1, "dropped": 0}
    assert conversation.messages[1].content.startswith("It is here.")
    assert conversation.told() == "Of 3 earlier turns 1 shortened."


def test_turns_for_which_there_is_no_room_even_shortened_are_left_out_oldest_first() -> None:
    conversation = told(turns(*[LONG] * 9), 200)
    assert conversation.dropped > 0 and conversation.dropped + conversation.shortened + conversation.whole == 9
    assert "left out" in conversation.told()
    assert conversation.messages[-2].content == "Question 8?"


def test_a_shortened_turn_keeps_its_first_sentence_and_what_names_code() -> None:
    pieces = ["It is here.", " Nothing.", " Then `a.b` calls `c`.", " So.", " And `d_e`."]
    assert extract(pieces) == "It is here. … Then `a.b` calls `c`. … And `d_e`."
    assert extract([]) == ""


def test_an_older_turn_is_shortened_to_the_same_whatever_follows() -> None:
    contents = [told(turns(LONG, *[LONG] * more), 300).messages[1].content for more in (2, 3)]
    assert contents == ["It is here. This says nothing new. … Then `Cart.add_item` calls `sign_cookie`."] * 2


@given(st.lists(st.sampled_from(["One.", LONG, "So. " * 50, " [1] ", "`x` " * 40]), max_size=8), st.integers(0, 700))
def test_it_never_takes_more_than_it_may_and_accounts_for_every_turn(answers: list[str], budget: int) -> None:
    conversation = told(turns(*answers), budget)
    assert conversation.tokens <= budget
    assert conversation.tokens == sum(len(message.content.split()) for message in conversation.messages) + TURN_TOKENS * (
        len(conversation.messages) // 2
    )
    assert sum(conversation.as_json().values()) == sum(answer.replace("[1]", "").strip() != "" for answer in answers)
    assert [message.role for message in conversation.messages] == ["user", "assistant"] * (len(conversation.messages) // 2)
