import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.chunker import split_lines
from indexer.comments import HEADER_CHARACTERS
from indexer.languages import LANGUAGES
from indexer.parser import MAX_LINE, decode, head_comment, is_minified, parse
from indexer.types import ParsedFile, Skipped

from .samples import SAMPLES
from .test_chunker import assert_covers

PATHS = [*(sample.path for sample in SAMPLES.values()), "a.md", "a.rst", "a.ipynb", "a.txt", "a.yaml", "a.h", "Makefile"]
LINES = [line for sample in SAMPLES.values() for line in sample.source.split("\n")]
# Pieces of programs in the wrong order and language, and characters that mean something to some grammar.
broken_code = st.lists(
    st.sampled_from(LINES) | st.text(alphabet="(){}[]<>\"'`#/*\\\n\t :;=+-.,@$%abAB01é名", max_size=30), max_size=25
).map("\n".join)


def assert_sound(result: ParsedFile) -> None:
    count = len(split_lines(result.text))
    assert_covers(result.text, result.chunks)
    for definition in result.definitions:
        assert definition.name
        assert definition.qualified_name.endswith(definition.name)
        assert not definition.qualified_name.startswith(".")
        assert 1 <= definition.start_line <= definition.line <= definition.end_line <= count
    for reference in result.references:
        assert reference.name
        assert 1 <= reference.line <= count
    for chunk in result.chunks:
        assert chunk.kind
        assert chunk.symbol == chunk.symbol.strip()
    for text in (result.text, result.header, *(definition.signature for definition in result.definitions)):
        text.encode()


@given(st.sampled_from(PATHS), broken_code | st.text(alphabet=st.characters(exclude_categories=()), max_size=200))
def test_any_text_is_read_in_any_language(path, text):
    result = parse(path, text.encode("utf-8", "replace"))
    if isinstance(result, Skipped):
        assert (result.path, result.reason in ("empty", "binary", "minified", "lfs pointer")) == (path, True)
    else:
        assert result.note == ""
        assert_sound(result)


@given(st.sampled_from(PATHS), st.binary(max_size=200))
def test_any_bytes_are_read_or_left_out_with_a_reason(path, data):
    result = parse(path, data)
    if isinstance(result, Skipped):
        assert result.reason
    else:
        assert_sound(result)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_cut_of_a_file_is_read(name):
    sample = SAMPLES[name]
    for end in range(1, len(sample.source), 23):
        result = parse(sample.path, sample.source[:end].encode())
        if isinstance(result, ParsedFile):
            assert_sound(result)


@given(st.text(alphabet=st.characters(exclude_characters="\0\r\ufeff", exclude_categories=("Cs",))))
def test_text_is_the_same_in_every_encoding_that_is_understood(text):
    for data in (text.encode(), codecs.BOM_UTF8 + text.encode(), *map(text_in_utf16(text), ("le", "be"))):
        assert decode(data) == text


def text_in_utf16(text: str):
    return lambda order: {"le": codecs.BOM_UTF16_LE, "be": codecs.BOM_UTF16_BE}[order] + text.encode(f"utf-16-{order}")


@given(st.lists(st.text(alphabet="ab", max_size=5)))
def test_all_kinds_of_line_ends_become_one(lines):
    text = "\n".join(lines)
    assert decode(text.replace("\n", "\r\n").encode()) == text
    assert decode(text.replace("\n", "\r").encode()) == text


def test_a_carriage_return_inside_of_a_line_stays():
    assert decode(b"a\rb\nc\r\n") == "a\rb\nc\n"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b" \n\t\n", "empty"),
        (codecs.BOM_UTF8, "empty"),
        (b"abc\0def", "binary"),
        (b"\x7fELF\x02\x01\x01\0\xff", "binary"),
        ("text without a mark".encode("utf-16-le"), "binary"),
        (b"\xff\xfe\x00", "binary"),
        (codecs.BOM_UTF16_LE + "a\0b".encode("utf-16-le"), "binary"),
        (b"caf\xe9\n", "not text"),
        (b"\xed\xa0\x80", "not text"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "lfs pointer"),
        (b"x = 1;" * 1_000_000, "minified"),
        (b"x = 1\n" + b"y" * (MAX_LINE + 1), "minified"),
    ],
)
@pytest.mark.parametrize("path", ["a.py", "a", "b.ipynb", "c.md"])
def test_what_is_no_text_that_somebody_wrote_is_left_out_with_a_reason(path, data, reason):
    assert parse(path, data) == Skipped(path, reason)


@pytest.mark.parametrize("path", ["jquery.min.js", "a.min.css", "app.js.map", "A.MIN.JS"])
def test_a_name_can_say_that_a_file_is_minified(path):
    assert parse(path, b"x = 1\n") == Skipped(path, "minified")


def test_lines_far_longer_than_anybody_writes_are_minified_unless_they_are_prose():
    text = ("word " * 100 + "\n") * 20
    assert parse("a.js", text.encode()) == Skipped("a.js", "minified")
    assert isinstance(parse("a.md", text.encode()), ParsedFile)
    assert isinstance(parse("a", text.encode()), ParsedFile)


@given(st.lists(st.integers(MAX_LINE - 2, MAX_LINE + 2) | st.integers(0, 3), min_size=1, max_size=6), st.booleans())
def test_one_line_beyond_the_longest_is_enough_wherever_it_stands(lengths, ended):
    text = "\n".join("x" * length for length in lengths) + "\n" * ended
    assert is_minified("a.md", LANGUAGES["markdown"], text) == (max(lengths) > MAX_LINE)


def test_a_notebook_whose_outputs_are_one_long_line_is_still_read():
    outputs = "x" * (MAX_LINE + 1)
    text = f'{{"cells": [{{"cell_type": "code", "source": "a = 1", "outputs": ["{outputs}"]}}]}}'
    result = parse("a.ipynb", text.encode())
    assert isinstance(result, ParsedFile)
    assert outputs not in result.text


def test_an_ordinary_text_is_cut_by_lines():
    text = "".join(f"key{n}: value\n" for n in range(200))
    result = parse("a.yaml", text.encode())
    assert [(chunk.start_line, chunk.end_line, chunk.kind) for chunk in result.chunks] == [
        (1, 50, "lines"), (51, 100, "lines"), (101, 150, "lines"), (151, 200, "lines")
    ]  # fmt: skip
    assert (result.language, result.definitions, result.note) == ("yaml", (), "")


@pytest.mark.parametrize("path", PATHS)
def test_with_a_note_a_file_is_cut_by_lines_and_keeps_the_note(path):
    text = "# A remark about it.\ndef f(): pass\n"
    result = parse(path, text.encode(), note="the parser crashed")
    assert (result.text, result.note, result.definitions) == (text, "the parser crashed", ())
    assert {chunk.kind for chunk in result.chunks} == {"lines"}


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("# Says what\n# it is.\nkey: 1\n", "Says what\nit is."),
        ("#!/bin/make\n\n-- In SQL.\nSELECT", "In SQL."),
        ("/* In CSS.\n * Twice. */\na {}", "In CSS.\nTwice."),
        ("<!-- In HTML. -->\n<p>", "<!-- In HTML. -->"),
        ("; In INI.\n[a]", "In INI."),
        ("key: 1\n# Later.\n", ""),
        ("# Copyright 2020 Somebody\nkey: 1\n", ""),
        ("#\n#\n", ""),
    ],
)
def test_the_comment_that_a_text_begins_with_is_its_header(text, header):
    assert head_comment(text) == header


@pytest.mark.parametrize(("mark", "word"), [("# a\n", "a"), (" \n", ""), ("#\n", ""), ("/*", ""), ("<!--", "")])
def test_of_a_file_that_is_one_long_comment_no_more_is_read_than_a_header(mark, word):
    header = head_comment(mark * 100_000)
    assert len(header) <= HEADER_CHARACTERS
    assert set(header.split()) == {word} - {""}


def test_control_characters_and_odd_spaces_end_no_line():
    text = "a = 1  # \x0c \x0b \x85 \u2028 \u2029 \x1c\ndef f():\n    pass\n"
    file = parse("a.py", text.encode())
    assert [(definition.name, definition.line) for definition in file.definitions] == [("a", 1), ("f", 2)]
    assert file.chunks[0].text + "\n" == text
