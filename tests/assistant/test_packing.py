"""Whatever the tokenizer, a prompt fits, nothing disappears silently, and lines keep their numbers."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.answer_log import Turn
from assistant.catalogue import FAMILIES, OTHER, Family, family_of
from assistant.chat_model import Message
from assistant.errors import ContextOverflow
from assistant.packing import Limits, Packer, Prompt, Question, best_lines, in_reading_order, limits_for, unpacked
from assistant.prompts import rendered_passage
from indexer.types import Passage, Span

# --- tokenizers: a text's number of tokens ---------------------------------------------------------------------------------


def bytes_by_four(text: str) -> int:
    return math.ceil(len(text.encode()) / 4)


def words_and_signs(text: str) -> int:
    return len(re.findall(r"\w+|[^\w\s]|\n", text))


def runs(text: str) -> int:
    """Merges over the place where two pieces meet: "a" and "a" are one token each, and one together."""
    return len(re.findall(r"(.)\1*", text, re.DOTALL))


def jealous(text: str) -> int:
    """The whole costs more than its parts: every piece longer than ten characters adds tokens at its seams."""
    return words_and_signs(text) + text.count("\n\n") * 5 + len(text) // 300


TOKENIZERS: list[Callable[[str], int]] = [bytes_by_four, words_and_signs, runs, jealous]


def prompt_tokens(tokenizer: Callable[[str], int], messages: Sequence[Message]) -> int:
    return tokenizer("".join(f"<|{message.role}|>\n{message.content}</s>\n" for message in messages) + "<|assistant|>\n")


def packer(limits: Limits, tokenizer: Callable[[str], int] = words_and_signs, family: Family = OTHER) -> Packer:
    async def count(texts: Sequence[str]) -> list[int]:
        return [tokenizer(text) for text in texts]

    async def count_prompt(messages: Sequence[Message]) -> int:
        return prompt_tokens(tokenizer, messages)

    return Packer(count, count_prompt, family, limits)


def pack(
    limits: Limits, question: Question, tokenizer: Callable[[str], int] = words_and_signs, family: Family = OTHER
) -> Prompt:
    return asyncio.run(packer(limits, tokenizer, family).pack(question))


def passage(text: str, path: str = "src/a.py", start_line: int = 1, symbol: str = "") -> Passage:
    end_line = start_line + text.count("\n")
    return Passage(1, path, "0" * 40, start_line, end_line, symbol, "function", "python", text, 1.0, ())


def widenable(narrow: Passage, after: Sequence[str]) -> Passage:
    """The passage in a definition that goes on with these lines."""
    if not after:
        return narrow
    wide = Span(narrow.start_line, narrow.end_line + len(after), "\n".join([narrow.text, *after]))
    return replace(narrow, wider=(wide,))


def lines_of(count: int, word: str = "value") -> str:
    return "\n".join(f"    {word}_{number} = compute({number})" for number in range(count))


# --- properties ------------------------------------------------------------------------------------------------------------

LINES = st.lists(
    st.sampled_from(["def sign(key):", "    x = 1", "", "# 字 signs the cookie", "aaaa", "}", "long " * 30]), max_size=60
)
PASSAGES = st.lists(
    st.builds(
        lambda lines, after, path, start: widenable(passage("\n".join(lines) or "x", path, start), after),
        LINES,
        LINES,
        st.sampled_from(["src/a.py", "tests/test_a.py", "CHANGES.md", "docs/a b.md"]),
        st.integers(1, 5000),
    ),
    max_size=12,
).map(tuple)
TURNS = st.lists(
    st.builds(
        Turn,
        st.sampled_from(["Where?", "How is it signed? " * 20]),
        st.sampled_from(["In it [1].", "So. " * 200, " "]),
        st.just("code"),
    ),
    max_size=6,
).map(tuple)
LIMITS = st.builds(
    lambda context, answer, evidence: Limits(context, min(answer, context // 2), evidence),
    st.integers(300, 6000),
    st.integers(10, 2000),
    st.integers(0, 5000),
)


@given(LIMITS, PASSAGES, TURNS, st.sampled_from(TOKENIZERS), st.sampled_from([*FAMILIES, OTHER]), st.booleans())
def test_a_prompt_always_fits(
    limits: Limits,
    passages: tuple[Passage, ...],
    turns: tuple[Turn, ...],
    tokenizer: Callable[[str], int],
    family: Family,
    code: bool,
) -> None:
    question = Question("How is the cookie signed?", turns, passages if code else None)
    try:
        prompt = pack(limits, question, tokenizer, family)
    except ContextOverflow as overflow:
        assert overflow.prompt_tokens is not None and overflow.prompt_tokens > limits.prompt
        return
    assert prompt.tokens == prompt_tokens(tokenizer, prompt.messages) <= limits.context - limits.answer
    assert prompt.answer_tokens == limits.answer
    assert "How is the cookie signed?" in prompt.messages[-1].content


@given(LIMITS, PASSAGES, st.sampled_from(TOKENIZERS))
def test_every_passage_is_either_packed_with_its_lines_or_dropped_with_its_cost(
    limits: Limits, passages: tuple[Passage, ...], tokenizer: Callable[[str], int]
) -> None:
    try:
        prompt = pack(limits, Question("How is the cookie signed?", passages=passages), tokenizer)
    except ContextOverflow:
        return
    assert sorted(id(one.passage) for one in prompt.chosen) == sorted(id(passage) for passage in passages)
    assert [evidence.number for evidence in prompt.evidence] == list(range(1, len(prompt.evidence) + 1))
    for one in prompt.chosen:
        assert one.tokens > 0
        if one.evidence is not None:
            first = one.evidence.start_line - one.passage.start_line
            last = one.evidence.end_line - one.passage.start_line
            assert 0 <= first <= last
            known = one.passage.wider[-1].text if one.passage.wider else one.passage.text
            assert one.evidence.text == "\n".join(known.split("\n")[first : last + 1])
            shown = rendered_passage(one.evidence, numbered=limits.numbered)
            assert shown in prompt.messages[-1].content
            assert one.tokens == tokenizer(shown + "\n\n") <= limits.evidence
    assert sum(one.tokens for one in prompt.chosen if one.evidence) <= limits.evidence


@given(LIMITS, TURNS, st.sampled_from(TOKENIZERS))
def test_earlier_turns_are_dropped_oldest_first(
    limits: Limits, turns: tuple[Turn, ...], tokenizer: Callable[[str], int]
) -> None:
    numbered = tuple(Turn(f"Question {number}: {turn.question}", turn.answer_text, "code") for number, turn in enumerate(turns))
    try:
        prompt = pack(limits, Question("And now?", numbered), tokenizer)
    except ContextOverflow:
        return
    told = [int(number) for message in prompt.messages for number in re.findall(r"^Question (\d+):", message.content)]
    assert told == list(range(len(turns)))[len(turns) - len(told) :]


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


# --- the budget ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("context", "family", "embedded", "limits"),
    [
        (4096, "", True, Limits(4096, 1024, 900)),
        (4096, "", False, Limits(4096, 1024, 1536)),
        (16384, "codellama/CodeLlama-34b-Instruct-hf", False, Limits(16384, 2048, 7168)),
        (None, "codellama/CodeLlama-34b-Instruct-hf", False, Limits(16384, 2048, 7168)),
        (32768, "HuggingFaceH4/zephyr-7b-beta", False, Limits(8192, 2048, 3072)),
        (None, "", False, Limits(4096, 1024, 1536)),
        (131072, "", False, Limits(131072, 2048, 64512)),
    ],
)
def test_the_budget_follows_the_window_that_the_server_told_and_the_family_makes_good_use_of(
    context: int | None, family: str, embedded: bool, limits: Limits
) -> None:
    assert limits_for(context, family_of(family), embedded=embedded) == limits


def test_the_settings_go_before_what_is_automatic_as_far_as_the_window_allows() -> None:
    assert limits_for(4096, OTHER, embedded=True, evidence_tokens=2000, answer_tokens=500) == Limits(4096, 500, 2000)
    assert limits_for(4096, OTHER, embedded=False, evidence_tokens=90_000, answer_tokens=90_000) == Limits(4096, 2048, 2048)


def test_a_shrunken_budget_keeps_the_answer_and_makes_the_rest_smaller() -> None:
    assert Limits(4096, 1024, 1500).shrunk(0.5) == Limits(2048, 1024, 750)
    assert Limits(1000, 900, 100).shrunk(0.1).prompt == 1


def test_the_budget_that_the_page_shows_adds_up_from_what_was_packed() -> None:
    turns = (Turn("Where is it?", "In the session.", "code"),)
    prompt = pack(
        Limits(4096, 1024, 900), Question("How is value computed?", turns, (passage(lines_of(5)), passage(lines_of(6))))
    )
    told = prompt.budget_json()
    assert told["evidence"] == sum(one.tokens for one in prompt.chosen)
    assert told["conversation"] == sum(words_and_signs(text) for text in ("Where is it?", "In the session."))
    assert (told["context"], told["answer"], told["evidence_limit"]) == (4096, 1024, 900)
    assert told["instructions"] + told["evidence"] + told["conversation"] <= prompt.tokens + 20


# --- what goes in ----------------------------------------------------------------------------------------------------------


def test_a_question_that_does_not_fit_even_alone_is_one_sentence_with_the_figures() -> None:
    with pytest.raises(
        ContextOverflow, match=r"^The question takes \d{3} tokens and the model has room for 100; ask it shorter\.$"
    ):
        pack(Limits(200, 100, 100), Question("How?", passages=(passage("x"),)))


def test_the_best_passage_is_number_one_and_stands_last_next_to_the_question() -> None:
    prompt = pack(
        Limits(4096, 1024, 900),
        Question("How is value computed?", passages=(passage(lines_of(3), "a.py"), passage(lines_of(3), "b.py"))),
    )
    assert [(one.passage.path, one.evidence.number) for one in prompt.chosen if one.evidence] == [("a.py", 1), ("b.py", 2)]
    last = prompt.messages[-1].content
    assert last.index("[2] b.py") < last.index("[1] a.py") < last.index("Question: How")


def test_a_small_budget_is_shared_by_several_passages() -> None:
    many = tuple(passage(lines_of(60), f"{name}.py") for name in "abcdef")
    prompt = pack(Limits(4096, 1024, 900), Question("How is value computed?", passages=many))
    assert len(prompt.evidence) >= 4
    assert [one.evidence is None for one in prompt.chosen] == sorted(one.evidence is None for one in prompt.chosen)


def test_a_large_budget_takes_passages_whole() -> None:
    many = tuple(passage(lines_of(60), f"{name}.py") for name in "abc")
    prompt = pack(Limits(16384, 2048, 7000), Question("How is value computed?", passages=many))
    assert [evidence.text for evidence in prompt.evidence] == [one.text for one in many]


def test_a_passage_is_cut_around_what_the_question_names_and_its_line_numbers_say_so() -> None:
    text = "\n".join([lines_of(40), "    # Signed once.", "    cookie = sign(cookie)", "    return cookie", lines_of(40)])
    prompt = pack(Limits(4096, 1024, 800), Question("How is the cookie signed?", passages=(passage(text, start_line=101),)))
    (evidence,) = prompt.evidence
    assert evidence.start_line <= 141 and evidence.end_line >= 142
    assert evidence.end_line - evidence.start_line < 30
    told = prompt.messages[-1].content
    assert f"[1] src/a.py:{evidence.start_line}-{evidence.end_line}\n" in told
    assert re.search(r"^     value_39 = compute\(39\)\n     # Signed once\.\n     cookie = sign", told, re.MULTILINE)


def test_what_is_left_of_the_budget_widens_a_passage_to_its_whole_definition() -> None:
    narrow = widenable(passage("def sign(key):", start_line=10), ["    return key"])
    (shown,) = pack(Limits(8000, 500, 3000), Question("sign", (), (narrow,))).evidence
    assert (shown.start_line, shown.end_line, shown.text) == (10, 11, "def sign(key):\n    return key")


def test_a_passage_is_not_widened_over_another_nor_beyond_the_budget_nor_for_a_small_model() -> None:
    narrow = widenable(passage("def sign(key):", start_line=10), ["    return key"])
    other = passage("    return key", start_line=11)
    shown = pack(Limits(8000, 500, 3000), Question("sign", (), (narrow, other))).evidence
    assert sorted((one.start_line, one.end_line) for one in shown) == [(10, 10), (11, 11)]
    long = widenable(passage("def sign(key):", start_line=10), [lines_of(1000)])
    for limits, wide in ((Limits(8000, 500, 3000), long), (Limits(4000, 500, 1500), narrow)):
        (one,) = pack(limits, Question("sign", (), (wide,))).evidence
        assert one.end_line == 10


def test_a_passage_that_fits_in_no_useful_part_is_dropped_and_a_smaller_one_after_it_is_not() -> None:
    huge, small = passage("x = (" + "1, " * 3000 + ")", "huge.py"), passage("y = 2", "small.py")
    prompt = pack(Limits(4096, 1024, 900), Question("What is x or y?", passages=(huge, small)))
    assert {one.passage.path: one.evidence is not None for one in prompt.chosen} == {"huge.py": False, "small.py": True}
    dropped = next(one for one in prompt.chosen if one.evidence is None)
    assert dropped.tokens > 3000
    assert dropped.as_json() | {"origins": []} == {
        "number": None,
        "path": "huge.py",
        "start_line": 1,
        "end_line": 1,
        "symbol": "",
        "kind": "function",
        "language": "python",
        "blob": "0" * 40,
        "score": 1.0,
        "origins": [],
        "tokens": dropped.tokens,
        "state": "dropped",
        "text": "",
    }


@pytest.mark.parametrize("text", ["aaaa", "aaaaa", "aaaaaa", "aaaaaaa"])
def test_a_passage_is_counted_under_the_number_that_it_gets(text: str) -> None:
    # The first is dropped, so the tenth is number 9, which for one of the texts is a token less by this tokenizer.
    passages = (passage(f"sign({'long ' * 400})"), *(passage(text, "src/abc.py") for _ in range(9)))
    prompt = pack(Limits(6000, 100, 300), Question("How?", passages=passages), bytes_by_four)
    assert [one.evidence is None for one in prompt.chosen] == [True] + [False] * 9
    for one in prompt.chosen[1:]:
        assert one.evidence is not None
        assert one.tokens == bytes_by_four(rendered_passage(one.evidence, numbered=False) + "\n\n")


def test_an_old_answer_is_cut_after_a_sentence() -> None:
    turns = (Turn("Where is it?", "It is here [1]. " + "And it is there too. " * 100, "code"),)
    prompt = pack(Limits(1200, 200, 100), Question("And then?", turns, ()))
    old = prompt.messages[-2].content
    assert old.startswith("It is here. And it is there too.") and old.endswith("too.")
    assert words_and_signs(old) < 1200 * 0.2


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
    ordered = [one.path for one in in_reading_order(found, Question(question, passages=tuple(found)))]
    wanted = sorted(ordered, key=lambda path: path == "src/imports.py")
    assert [path for path in wanted if path != "src/imports.py"] == [path for path in order if path != "src/imports.py"]
    assert ordered.index("src/imports.py") > ordered.index("docs/c.md")


@pytest.mark.parametrize(
    ("path", "is_test"),
    [
        ("tests/a.py", True),
        ("src/pkg/test_a.py", True),
        ("web/src/a.test.ts", True),
        ("web/src/a.spec.js", True),
        ("pkg/a_test.go", True),
        ("src/main/java/SessionTest.java", True),
        ("spec/models/a_spec.rb", True),
        ("src/latest.py", False),
        ("src/contest/a.py", False),
        ("docs/testing.rst", False),
        ("src/attest.py", False),
    ],
)
def test_a_test_is_told_by_its_path(path: str, is_test: bool) -> None:
    found = [passage("cookie signed", path), passage("cookie signed", "src/b.py")]
    ordered = in_reading_order(found, Question("How is the cookie signed?", passages=tuple(found)))
    assert (ordered[0].path != path) == is_test


def test_without_a_model_all_passages_are_shown_whole() -> None:
    chosen = unpacked([passage(lines_of(200)), passage("x")])
    assert [one.evidence.number for one in chosen if one.evidence] == [1, 2]
    assert chosen[0].as_json()["text"] == lines_of(200)
