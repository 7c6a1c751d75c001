from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.circles import Circles

SENTENCE = "The templates are looked up in the folder of the blueprint [1]."


def closed_after(text: str, times: int = 2, size: int = 5) -> str:
    """The text up to the piece with which it has gone round in a circle; "" when it never does."""
    circles = Circles(times)
    for end in range(size, len(text) + size, size):
        if circles.closes(text[end - size : end]):
            return text[:end]
    return ""


def test_a_sentence_that_comes_again_closes_the_circle_whatever_it_cites() -> None:
    other = SENTENCE.replace("[1]", "[2]")
    assert closed_after(f"{SENTENCE} It is short. {other} And so on.", times=2)
    assert not closed_after(f"{SENTENCE} It is short. {other} And so on.", times=3)
    assert closed_after(f"{SENTENCE} {other} It is short. {SENTENCE} And so on.", times=3)


def test_short_sentences_may_come_again() -> None:
    assert not closed_after("It is so. Then it calls this. It is so. Then it calls that. It is so. Fine.")


def test_lines_of_code_may_come_again() -> None:
    line = "    raise PermissionDenied(request.user)\n"
    code = f"```python\nif a:\n{line}elif b:\n{line}elif c is not None:\n{line}else:\n{line}```\nThat is all of it.\n"
    assert not closed_after(code)


@pytest.mark.parametrize(
    "stretch", ["_SESSION.permanent is used to set it.", "and then the next one, ", "x = f(x)\n    y = g(y)\n"]
)
def test_a_text_that_ends_with_the_same_stretch_three_times_over_is_a_circle_even_in_code(stretch: str) -> None:
    assert not closed_after("```\n" + stretch * 2)
    assert closed_after("```\n" + stretch * 4)


def test_rules_of_a_table_and_rows_of_numbers_are_none() -> None:
    assert not closed_after("| name | value |\n|------|-------|\n" + "-" * 300 + "\n" + "0, " * 60)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=30))
def test_however_the_text_is_cut_the_circle_closes_with_the_same_sentence(sizes: list[int]) -> None:
    before = f"First something else is told. {SENTENCE} {SENTENCE}"
    text = before + "".join(f" Sentence number {number} follows." for number in range(10))
    circles, at = Circles(2), 0
    for size in cycle(sizes):
        at += size
        if circles.closes(text[at - size : at]):
            break
    assert len(before) <= at <= len(before) + 61


@given(st.lists(st.sampled_from(["and then it goes on ", "x = 1\n", "ab", "0, ", "."]), max_size=60).map("".join))
def test_a_stretch_is_found_at_every_size_that_comes_three_times(text: str) -> None:
    circles = Circles(times=1_000)
    letters = Circles.LETTERS_IN_STRETCH
    expected = any(
        text.endswith(text[-size:] * 3) and sum(map(str.isalpha, text[-size:])) >= letters
        for size in Circles.STRETCH
        if len(text) >= 3 * size
    )
    assert circles.closes(text) == expected
