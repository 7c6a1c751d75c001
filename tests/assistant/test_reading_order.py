"""Which passages come first, and which lines of one are worth their tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.reading_order import best_lines, in_reading_order
from indexer.types import Passage


def passage(text: str, path: str) -> Passage:
    test = path.startswith("tests/")
    return Passage(1, path, "0" * 40, 1, 1 + text.count("\n"), "", "function", "python", text, 1.0, (), test=test)


@given(
    st.lists(st.tuples(st.integers(1, 30), st.floats(0, 3)), min_size=1, max_size=40),
    st.integers(0, 300),
)
def test_the_best_stretch_costs_no_more_than_it_may_and_no_other_is_better(lines: list[tuple[int, float]], budget: int) -> None:
    costs, scores = [cost for cost, _ in lines], [score for _, score in lines]
    first, last = best_lines([""] * len(lines), costs, scores, budget)
    assert sum(costs[first:last]) <= budget

    def weight(a: int, b: int) -> float:
        return sum(scores[a:b]) + 1e-3 * (b - a) + (1.0 if a == 0 < b else 0.0)

    affordable = [(a, b) for a in range(len(lines)) for b in range(a + 1, len(lines) + 1) if sum(costs[a:b]) <= budget]
    assert weight(first, last) >= max((weight(a, b) for a, b in affordable), default=0.0) - 1e-6


@pytest.mark.parametrize(
    ("question", "order"),
    [
        ("How is the cookie signed?", ["src/b.py", "docs/c.md", "src/imports.py", "tests/test_a.py", "CHANGES.md"]),
        ("How is the signed cookie tested?", ["tests/test_a.py", "src/b.py", "docs/c.md", "src/imports.py", "CHANGES.md"]),
        (
            "Since which version is the cookie signed?",
            ["CHANGES.md", "src/b.py", "docs/c.md", "src/imports.py", "tests/test_a.py"],
        ),
    ],
)
def test_tests_changelogs_and_mere_imports_come_last_unless_they_are_asked_for(question: str, order: list[str]) -> None:
    text = "# the cookie is signed here, since this version, and tested"
    found = [
        passage("from cookie import signed, version, tested\nimport cookie", "src/imports.py"),
        *(passage(text, path) for path in ("tests/test_a.py", "CHANGES.md", "src/b.py", "docs/c.md")),
    ]
    ordered = [one.path for one in in_reading_order(found, question, question)]
    wanted = sorted(ordered, key=lambda path: path == "src/imports.py")
    assert [path for path in wanted if path != "src/imports.py"] == [path for path in order if path != "src/imports.py"]
    assert ordered.index("src/imports.py") > ordered.index("docs/c.md")
