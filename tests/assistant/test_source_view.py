"""A file as highlighted lines: whole, escaped, one a line."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.source_view import HIGHLIGHT_LIMIT, render_lines
from indexer.types import StoredFile

SPAN = re.compile(r'<span class="[ksdc]">|</span>')
NAMES = st.sampled_from(["a.py", "b.js", "c.html", "d.md", "Makefile", "e.unknown", "f.rs", "g.php", "h.json"])


def stored(path: str, text: str, language: str = "text") -> StoredFile:
    return StoredFile(path, "0" * 40, language, text.count("\n") + 1, text)


def plain(line: str) -> str:
    """A line without the spans that we add; anything else that looks like markup would stay."""
    return SPAN.sub("", line)


@given(NAMES, st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=300))
def test_the_lines_are_the_text_and_hold_no_markup_but_ours(path: str, text: str) -> None:
    lines = render_lines(stored(path, text))
    assert [html.unescape(plain(line)) for line in lines] == text.removesuffix("\n").split("\n")
    for line in lines:
        assert "<" not in plain(line) and ">" not in plain(line)
        assert line.count("<span") == line.count("</span>")


def test_a_token_that_spans_lines_is_whole_on_each_of_them() -> None:
    assert render_lines(stored("a.py", 'x = """one\ntwo"""\n'))[1] == '<span class="s">two&quot;&quot;&quot;</span>'


@pytest.mark.parametrize(
    ("path", "language", "text", "expected"),
    [
        ("a.py", "python", "def f():", '<span class="k">def</span> <span class="d">f</span>():'),
        ("script", "python", "return", '<span class="k">return</span>'),
        ("a.py", "python", "# note", '<span class="c"># note</span>'),
        ("notes", "no-such-language", "def f():", "def f():"),
    ],
)
def test_colours_come_from_the_name_or_else_the_language(path: str, language: str, text: str, expected: str) -> None:
    assert render_lines(stored(path, text, language)) == [expected]


def test_a_very_large_file_is_shown_plain() -> None:
    lines = render_lines(stored("a.py", "def f(): return '<b>'\n" * (HIGHLIGHT_LIMIT // 20)))
    assert set(lines) == {"def f(): return &#x27;&lt;b&gt;&#x27;"}
