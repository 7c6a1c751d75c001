"""A stored file as highlighted lines for the source view.

Pygments reads the file into tokens; each token becomes one of four quiet classes (keyword, string, comment, definition) or
plain text, because the design has no more hues. A token that spans lines is cut at each, so that every line is whole HTML by
itself and can carry an anchor. Everything is escaped here; the template adds nothing but the line's number.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name, get_lexer_for_filename
from pygments.lexers.special import TextLexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String, _TokenType
from pygments.util import ClassNotFound

from indexer.types import StoredFile

HIGHLIGHT_LIMIT = 300_000
"""Characters. Pygments reads about 250,000 a second; a larger file is shown plain rather than late."""

# The first that a token's type belongs to.
_CLASSES: tuple[tuple[_TokenType, str], ...] = (
    (Comment.Preproc, "k"),
    (Comment, "c"),
    (String.Doc, "c"),
    (String, "s"),
    (Number, "k"),
    (Keyword, "k"),
    (Operator.Word, "k"),
    (Name.Function, "d"),
    (Name.Class, "d"),
    (Name.Tag, "k"),
)


def render_lines(file: StoredFile) -> list[SafeString]:
    """One HTML string a line, without line ends; at least one. Only `span` elements with a class, the rest escaped."""
    lines: list[list[str]] = [[] for _ in file.text.removesuffix("\n").split("\n")]
    number = 0
    for text, css in _tokens(file):
        for k, part in enumerate(text.split("\n")):
            number += k > 0
            if part and number < len(lines):
                lines[number].append(_span(part, css))
    return [mark_safe("".join(parts)) for parts in lines]  # noqa: S308 (every part went through escape)


def _span(text: str, css: str) -> str:
    return f'<span class="{css}">{escape(text)}</span>' if css else str(escape(text))


def _tokens(file: StoredFile) -> Iterator[tuple[str, str]]:
    """(text, class) whose texts, joined, are the file's text."""
    if len(file.text) > HIGHLIGHT_LIMIT:
        yield file.text, ""
        return
    text, css = "", ""
    for token_type, value in _lexer(file).get_tokens(file.text):
        found = _css_class(token_type)
        if found != css and text:
            yield text, css
            text = ""
        text, css = text + value, found
    yield text, css


@cache
def _css_class(token_type: _TokenType) -> str:
    ancestors = token_type.split()
    return next((css for parent, css in _CLASSES if parent in ancestors), "")


def _lexer(file: StoredFile) -> Lexer:
    """By the file's name, or else by its language; plain text when Pygments knows neither."""
    try:
        return get_lexer_for_filename(file.path, stripnl=False, ensurenl=False)
    except ClassNotFound:
        pass
    try:
        return get_lexer_by_name(file.language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return TextLexer(stripnl=False, ensurenl=False)
