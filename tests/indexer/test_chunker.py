import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.chunker import (
    LINES_A_CHUNK,
    LINES_CHARACTERS,
    MAX_CHARACTERS,
    TARGET_CHARACTERS,
    chunk_blocks,
    chunk_lines,
    split_lines,
)
from indexer.syntax import Block
from indexer.types import Chunk

# What a rest that is not worth a chunk may add to the piece before it.
SLACK = 1.2

# Lines of lengths that make a difference: some of these are a chunk by themselves, or more than one.
line = st.sampled_from(["", "   ", "}", "x = 1", "    " + "y" * 60, "        " + "z" * 200, "w" * 700, "v" * 1499, "u" * 4000])
texts = (st.lists(line, max_size=30) | st.lists(line, min_size=20, max_size=60)).map("\n".join) | st.text(max_size=300)


@st.composite
def nested_blocks(draw: st.DrawFn, first: int, last: int, depth: int = 0) -> list[Block]:
    """Blocks as a syntax tree gives them: in order, each inside its elder or after it, neighbours perhaps on one line."""
    blocks: list[Block] = []
    line = first
    while line <= last and len(blocks) < 8 and draw(st.booleans()):
        start = draw(st.integers(line, last))
        end = draw(st.integers(start, last))
        name = draw(st.sampled_from(["a", "b", "c.d"]))
        blocks.append(Block(start, end, name, draw(st.sampled_from(["function", "class"])), draw(st.booleans())))
        if depth < 4:
            blocks += draw(nested_blocks(start, end, depth + 1))
        line = draw(st.integers(end, end + 1))
    return blocks


@st.composite
def texts_with_blocks(draw: st.DrawFn) -> tuple[str, list[Block]]:
    text = draw(texts)
    count = len(split_lines(text))
    return text, draw(nested_blocks(1, count)) if count else []


def assert_covers(text: str, chunks: tuple[Chunk, ...]) -> None:
    all_lines = split_lines(text)
    following = 1
    for chunk in chunks:
        assert chunk.start_line == following
        assert chunk.end_line >= chunk.start_line
        assert chunk.text == "\n".join(all_lines[chunk.start_line - 1 : chunk.end_line])
        following = chunk.end_line + 1
    assert following == len(all_lines) + 1


def most(text: str, limit: int) -> int:
    """The most characters that a chunk may have: a line is never cut."""
    return int(limit * SLACK) + max(map(len, split_lines(text)), default=0)


@given(texts_with_blocks())
def test_chunks_hold_every_line_once_and_in_order_whatever_the_blocks_are(text_and_blocks):
    text, blocks = text_and_blocks
    chunks = chunk_blocks(text, blocks)
    assert_covers(text, chunks)
    for chunk in chunks:
        assert len(chunk.text.rstrip()) <= most(text, MAX_CHARACTERS)
        assert chunk.symbol in {"", *(block.symbol for block in blocks)}


@given(texts_with_blocks())
def test_a_chunk_is_called_after_a_block_that_it_touches(text_and_blocks):
    text, blocks = text_and_blocks
    for chunk in chunk_blocks(text, blocks):
        touching = {b.symbol for b in blocks if b.start_line <= chunk.end_line and b.end_line >= chunk.start_line}
        assert chunk.symbol in touching | {""}


@given(texts)
def test_lines_of_unknown_text_are_covered_too_and_chunks_stay_small(text):
    chunks = chunk_lines(text)
    assert_covers(text, chunks)
    for chunk in chunks:
        assert chunk.end_line - chunk.start_line < LINES_A_CHUNK * SLACK
        assert len(chunk.text) <= most(text, LINES_CHARACTERS)


def function(name: str, count: int) -> str:
    """A function of so many lines, of about 40 characters each."""
    return f"def {name}():\n" + "    value = compute_something(value, 1)\n" * (count - 2) + "    return value\n"


def named(chunks: tuple[Chunk, ...]) -> list[tuple[int, int, str, str]]:
    return [(chunk.start_line, chunk.end_line, chunk.kind, chunk.symbol) for chunk in chunks]


def test_a_definition_that_fits_is_never_cut_and_names_its_chunk():
    text = function("one", 30) + "\n" + function("two", 30)
    blocks = [Block(1, 30, "one", "function"), Block(32, 61, "two", "function")]
    assert named(chunk_blocks(text, blocks)) == [(1, 31, "function", "one"), (32, 61, "function", "two")]


def test_small_neighbours_share_a_chunk_that_is_called_after_the_enclosing_class():
    text = "class A:\n" + "".join("    " + line + "\n" for n in range(20) for line in function(f"f{n}", 6).splitlines())
    blocks = [Block(1, 121, "A", "class"), *(Block(2 + 6 * n, 7 + 6 * n, f"A.f{n}", "method") for n in range(20))]
    chunks = chunk_blocks(text, blocks)
    assert all(chunk.symbol == "A" for chunk in chunks)
    assert all(TARGET_CHARACTERS <= len(chunk.text) <= MAX_CHARACTERS for chunk in chunks[:-1])
    starts = {2 + 6 * n for n in range(20)} | {1}
    assert {chunk.start_line for chunk in chunks} <= starts


def test_a_chunk_at_the_top_of_a_file_is_called_after_its_largest_definition():
    text = function("small", 5) + function("large", 12) + "LIMIT = 1\n"
    blocks = [
        Block(1, 5, "small", "function"),
        Block(6, 17, "large", "function"),
        Block(18, 18, "LIMIT", "variable", weak=True),
    ]
    assert named(chunk_blocks(text, blocks)) == [(1, 18, "function", "large")]


def test_a_variable_names_a_chunk_only_if_nothing_else_does():
    variable = Block(1, 1, "LIMIT", "variable", weak=True)
    assert named(chunk_blocks("LIMIT = 1\n", [variable])) == [(1, 1, "variable", "LIMIT")]
    other = Block(2, 3, "one", "function")
    assert named(chunk_blocks("LIMIT = 1\n" + function("one", 2), [variable, other])) == [(1, 3, "function", "one")]


def test_a_definition_that_is_too_big_is_cut_where_a_line_is_indented_least_after_a_blank_one():
    body = "        deep()\n" * 50 + "\n" + "    shallow()\n" + "        deep()\n" * 70
    chunks = chunk_blocks("def big():\n" + body, [Block(1, 123, "big", "function")])
    assert named(chunks) == [(1, 52, "function", "big"), (53, 123, "function", "big")]


def test_blank_lines_belong_to_the_chunk_before_them():
    text = function("one", 30) + "\n" * 200 + function("two", 30)
    blocks = [Block(1, 30, "one", "function"), Block(231, 260, "two", "function")]
    assert named(chunk_blocks(text, blocks)) == [(1, 230, "function", "one"), (231, 260, "function", "two")]


def test_no_lone_bracket_becomes_a_chunk():
    text = function("one", 60) + "}\n"
    blocks = [Block(1, 61, "one", "function")]
    chunks = chunk_blocks(text, blocks)
    assert len(chunks) == 2
    assert len(chunks[-1].text) > 500


def test_a_long_line_is_never_cut():
    text = "short\n" + "x" * 10_000 + "\nshort\n"
    chunks = chunk_lines(text)
    assert_covers(text, chunks)
    assert any("x" * 10_000 in chunk.text for chunk in chunks)


def test_what_lies_outside_of_any_block_has_the_kind_that_was_asked_for():
    assert named(chunk_blocks("a\nb\n", [], kind="section", symbol="Top")) == [(1, 2, "section", "Top")]
    assert chunk_blocks("", []) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("a", ["a"]),
        ("a\n", ["a"]),
        ("a\n\n", ["a", ""]),
        ("\n", [""]),
        ("a\x0bb\x0cc\x85\u2028d", ["a\x0bb\x0cc\x85\u2028d"]),
    ],
)
def test_only_a_line_feed_ends_a_line(text, expected):
    assert split_lines(text) == expected
