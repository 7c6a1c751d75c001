"""What changed between the passages of two answers, as properties of any two lists, and in the cases that a reader meets."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from assistant.code_names import Evidence
from assistant.comparison import Change, compare

TEXTS = [
    "def f():\n    return one()",
    "def g():\n    return two()\n\nx = 3",
    "alpha\nbeta\ngamma",
    "alpha\nbeta\ndelta",
    "",
    "}\n",
]


def lines(number: int, text: str, path: str = "a.py", start: int = 1, symbol: str = "") -> Evidence:
    return Evidence(number, path, start, start + text.removesuffix("\n").count("\n"), symbol, text)


@st.composite
def passages(draw: st.DrawFn) -> list[Evidence]:
    made = st.tuples(st.sampled_from(TEXTS), st.sampled_from(["a.py", "b.py"]), st.integers(1, 30), st.sampled_from(["", "f"]))
    return [lines(number, *one) for number, one in enumerate(draw(st.lists(made, max_size=6)), start=1)]


def kinds(before: Sequence[Evidence], after: Sequence[Evidence]) -> list[str]:
    return [change.kind for change in compare(before, after)]


@given(passages(), passages())
def test_every_passage_is_told_the_earlier_once_and_the_later_at_least_once(
    before: list[Evidence], after: list[Evidence]
) -> None:
    told = compare(before, after)
    assert [change.before for change in told if change.before] == before
    assert {change.after.number for change in told if change.after} == {one.number for one in after}
    for change in told:
        assert (change.before is None) == (change.kind == "new")
        assert (change.after is None) == (change.kind == "gone")


@given(passages(), passages())
def test_what_is_told_to_be_the_same_or_moved_has_the_same_text_or_is_part_of_it(
    before: list[Evidence], after: list[Evidence]
) -> None:
    for change in compare(before, after):
        if change.kind in ("same", "moved"):
            assert change.before and change.after
            texts = [one.text.removesuffix("\n") for one in (change.before, change.after)]
            assert min(texts, key=len) in max(texts, key=len)
        if change.kind == "same":
            assert change.before and change.after and change.before.path == change.after.path
        if change.kind == "changed":
            assert change.before and change.after and change.before.text != change.after.text


@given(passages(), st.integers(1, 9))
def test_the_same_lines_further_down_have_all_moved(before: list[Evidence], by: int) -> None:
    written = [one for number, one in enumerate(before) if one.text and one.text not in [x.text for x in before[:number]]]
    alone = [lines(k, f"line {k}\n{one.text}", one.path, one.start_line) for k, one in enumerate(written, start=1)]
    assert kinds(alone, alone) == ["same"] * len(alone)
    later = [lines(one.number, one.text, one.path, one.start_line + by) for one in alone]
    assert kinds(alone, later) == ["moved"] * len(alone)


def test_a_passage_that_only_shows_more_lines_is_the_same() -> None:
    short, long = lines(1, "beta\ngamma", start=11), lines(1, "alpha\nbeta\ngamma\ndelta", start=10)
    assert compare([short], [long]) == [Change("same", short, long)]
    assert compare([long], [short]) == [Change("same", long, short)]


def test_two_passages_can_become_one() -> None:
    before = [lines(1, "alpha\nbeta", start=1), lines(2, "gamma\ndelta", start=3)]
    assert kinds(before, [lines(1, "alpha\nbeta\ngamma\ndelta", start=1)]) == ["same", "same"]


def test_another_file_with_the_same_text_is_where_it_has_moved_unless_it_is_still_there_too() -> None:
    one, there, copy = lines(1, TEXTS[0]), lines(2, TEXTS[0], start=5), lines(1, TEXTS[0], "b.py")
    assert compare([one], [copy]) == [Change("moved", one, copy)]
    assert compare([one], [copy, there]) == [Change("moved", one, there), Change("new", None, copy)]


def test_a_function_written_anew_under_its_name_has_changed() -> None:
    before, after = (
        lines(1, "def f():\n    return 1", symbol="f"),
        lines(3, "def f(x):\n    y = x\n    return y", symbol="f", start=9),
    )
    assert compare([before], [after]) == [Change("changed", before, after)]
    assert kinds([before], [lines(3, "nothing\nalike", "b.py", symbol="f")]) == ["gone", "new"]
