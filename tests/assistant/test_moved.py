"""Where cited lines are in another text: properties over edits of known effect, and the cases that a reader meets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.moved import CitedLines, Now, locate

GUARDS = """class Harbor:
    def run_guards(self, exchange):
        for guard in self.guards:
            value = guard(exchange)
            if value is not None:
                return value
        return None

    def close(self):
        self.gates.close()
        return None"""
LINES = GUARDS.split("\n")


def cited(start: int = 2, end: int = 6, path: str = "harbor.py") -> CitedLines:
    return CitedLines(path, start, end, 1, LINES)


# Every line is another and says enough to be known again.
distinct = st.lists(st.integers(0, 10_000), min_size=1, max_size=30, unique=True).map(
    lambda numbers: [f"    statement_number({number:05})" for number in numbers]
)
other_lines = st.lists(st.sampled_from(["", "    pass", "# note", "other = call()"]), max_size=12)


@st.composite
def citations(draw: st.DrawFn) -> CitedLines:
    passage = draw(distinct)
    first = draw(st.integers(1, 50))
    start = draw(st.integers(0, len(passage) - 1))
    end = draw(st.integers(start, len(passage) - 1))
    return CitedLines("a.py", first + start, first + end, first, passage)


@given(citations(), other_lines, other_lines)
def test_lines_that_are_still_whole_are_found_where_they_are(one: CitedLines, above: list[str], below: list[str]) -> None:
    now = locate(one, {"a.py": [*above, *one.passage, *below]})
    moved = len(above) + 1 - one.first
    assert now == Now("here" if not moved else "moved", "a.py", one.start_line + moved, one.end_line + moved)


@given(citations(), other_lines)
def test_lines_that_stand_in_another_file_alone_have_moved_there(one: CitedLines, above: list[str]) -> None:
    now = locate(one, {"b.py": [*above, *one.passage], "c.py": above})
    moved = len(above) + 1 - one.first
    assert now == Now("moved", "b.py", one.start_line + moved, one.end_line + moved)


@given(citations(), other_lines, st.data())
def test_an_edit_inside_the_lines_is_a_change_between_its_neighbours(
    one: CitedLines, above: list[str], data: st.DataObject
) -> None:
    at = data.draw(st.integers(one.start_line, one.end_line)) - one.first
    now_lines = [*above, *one.passage]
    now_lines[len(above) + at] = "    edited_line()"
    now = locate(one, {"a.py": now_lines})
    if len(one.passage) == 1:
        assert now.state == "gone"  # nothing is left to know it by
        return
    assert now.state == "changed"
    moved = len(above) + 1 - one.first
    assert one.start_line + moved <= now.start_line <= now.end_line <= one.end_line + moved


@given(citations(), st.lists(other_lines, max_size=3))
def test_what_is_told_is_always_inside_the_text_that_it_names(one: CitedLines, texts: list[list[str]]) -> None:
    files = {f"{name}.py": text for name, text in zip("abc", texts, strict=False)}
    now = locate(one, files)
    assert now.state in ("changed", "moved", "here", "gone")
    if now.state in ("changed", "moved"):
        assert 1 <= now.start_line <= now.end_line <= len(files[now.path])
    elif now.state == "gone":
        assert (now.path, now.start_line, now.end_line) == (one.path, one.start_line, one.end_line)


def test_of_two_places_in_the_file_the_nearest_is_taken() -> None:
    text = [*LINES, *[""] * 40, *LINES]
    assert locate(cited(), {"harbor.py": ["", *text]}) == Now("moved", "harbor.py", 3, 7)


def test_lines_that_were_only_indented_are_where_they_were() -> None:
    assert locate(cited(), {"harbor.py": ["    " + line for line in LINES]}).state == "here"
    assert locate(cited(), {"harbor.py": ["", *["\t" + line for line in LINES]]}) == Now("moved", "harbor.py", 3, 7)


def test_lines_that_two_other_files_hold_have_moved_to_neither() -> None:
    assert locate(cited(), {"a.py": LINES, "b.py": LINES}).state == "gone"


@pytest.mark.parametrize("end", [7, 11])
def test_little_text_is_not_believed_to_have_moved_where_it_is_often_written(end: int) -> None:
    one = cited(end, end)
    elsewhere = ["def f():", "    return None", "def g():", "        return None", "        return None"]
    assert locate(one, {"harbor.py": elsewhere}).state == "gone"
    assert locate(one, {"other.py": ["        return None"]}).state == "gone"


def test_cited_lines_that_were_taken_out_are_gone_from_between_their_neighbours() -> None:
    left = [*LINES[:1], *LINES[6:]]
    assert locate(cited(2, 6), {"harbor.py": left}) == Now("gone", "harbor.py", 2, 6)


def test_lines_written_anew_are_placed_by_what_stands_around_them() -> None:
    text = ["import harbor", *LINES[:2], "        return self.first_of(exchange)", *LINES[6:]]
    assert locate(cited(3, 6), {"harbor.py": text}) == Now("changed", "harbor.py", 4, 4)


def test_a_file_that_was_renamed_and_edited_is_recognised_by_most_of_its_lines() -> None:
    text = [*LINES[:3], "            value = guard.ask(exchange)", *LINES[4:]]
    assert locate(cited(), {"quay.py": text}) == Now("changed", "quay.py", 2, 6)
    assert locate(cited(), {"quay.py": [LINES[0], "unlike", "anything"]}).state == "gone"
