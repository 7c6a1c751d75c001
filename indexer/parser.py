"""From bytes to a ParsedFile. What a grammar may do to the process that runs it is contained by `parser_pool`."""

from __future__ import annotations

import codecs
import re
from collections.abc import Set
from dataclasses import replace

from indexer import secrets
from indexer.chunker import chunk_blocks, chunk_lines
from indexer.comments import HEADER_CHARACTERS, plain_comment
from indexer.languages import TEXT, Language, language_of
from indexer.prose import read_notebook, read_prose
from indexer.syntax import read_syntax
from indexer.types import ParsedFile, Skipped

MAX_LINE = 20_000
MINIFIED_CHARACTERS = 5_000
MINIFIED_MEAN = 300
_MINIFIED_NAMES = (".min.js", ".min.css", ".min.mjs", ".js.map", ".css.map", ".bundle.js")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LFS = "version https://git-lfs.github.com/spec/"
_HEAD_COMMENT = re.compile(r"(?:#!.*\n)?(?:[ \t]*(?:#|//|--|;|%).*\n|[ \t]*\n)+|\s*/\*[\s\S]*?\*/|\s*<!--[\s\S]*?-->")


def parse(
    path: str, data: bytes, *, note: str = "", redact: bool = True, known: Set[str] = frozenset()
) -> ParsedFile | Skipped:
    """Read one file. With a `note` it is cut by lines, without its grammar, and the note is kept. redact: take secrets out, but
    for those whose hash is `known` to be none.

    Skipped: "empty" (nothing but blanks), "lfs pointer", "binary" (a NUL), "not text" (neither UTF-8 nor marked UTF-16),
    "minified" (lines that no person wrote).
    """
    text = None if is_binary(data) else decode(data)
    if text is None:
        return Skipped(path, "binary" if b"\0" in data else "not text")
    if not text.strip():
        return Skipped(path, "empty")
    if text.startswith(_LFS):
        return Skipped(path, "lfs pointer")
    if not redact:
        return _parse_text(path, text, note)
    clean = secrets.redact(text, path, known)
    parsed = _parse_text(path, clean.text, note)
    if isinstance(parsed, Skipped) or not (clean.kinds or clean.allowed):
        return parsed
    return replace(parsed, redacted=tuple(clean.kinds.items()), allowed=tuple(clean.allowed.items()))


def _parse_text(path: str, text: str, note: str) -> ParsedFile | Skipped:
    language = language_of(path, text)
    if not note and language.reader == "notebook" and (notebook := read_notebook(language, text)):
        return notebook
    if is_minified(path, language, text):
        return Skipped(path, "minified")
    if language.reader == "code" and not note:
        return _parse_code(language, text)
    if language.reader in ("markdown", "rst") and not note:
        return read_prose(language, text)
    return ParsedFile(language.name, text, chunk_lines(text), header=head_comment(text), note=note)


def _parse_code(language: Language, text: str) -> ParsedFile:
    syntax = read_syntax(language, text.encode())
    return ParsedFile(
        language.name, text, chunk_blocks(text, syntax.blocks), syntax.definitions, syntax.references, syntax.header
    )


def is_minified(path: str, language: Language, text: str) -> bool:
    """Whether a file was made to be loaded, not read: its name says so, or its lines are far longer than anybody's.

    The longest mean line in the development repositories' sources is under 100 characters; prose may put a paragraph on one
    line, so it is held only to the limit for a single line.
    """
    if path.lower().endswith(_MINIFIED_NAMES):
        return True
    if _has_long_line(text):
        return True
    is_prose = language.reader in ("markdown", "rst") or language is TEXT
    return not is_prose and len(text) > MINIFIED_CHARACTERS and len(text) > MINIFIED_MEAN * (text.count("\n") + 1)


def _has_long_line(text: str) -> bool:
    """Whether a line is longer than MAX_LINE, told from a few line ends."""
    start = 0
    while len(text) - start > MAX_LINE:
        end = text.rfind("\n", start, start + MAX_LINE + 1)
        if end < 0:
            return True
        start = end + 1
    return False


def head_comment(text: str) -> str:
    """The comment that a file of any language begins with, without its marks; "" if it begins with none."""
    match = _HEAD_COMMENT.match(text[: 4 * HEADER_CHARACTERS])
    return plain_comment(match[0]) if match else ""


def is_binary(data: bytes) -> bool:
    """Whether a NUL says, at the cost of looking for one, that this is no text."""
    return b"\0" in data and not data.startswith(_UTF_16)


def decode(data: bytes) -> str | None:
    """UTF-8 (with or without its mark) or marked UTF-16, line ends as "\\n"; None when it is not text."""
    encoding = "utf-16" if data.startswith(_UTF_16) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return None
    if "\0" in text:
        return None
    text = text.replace("\r\n", "\n")
    return text if "\n" in text else text.replace("\r", "\n")
