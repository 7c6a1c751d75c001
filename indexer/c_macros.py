"""C and C++ without the macros that their grammars can't place, so that the rest of the file is read as what it is.

A grammar sees a file before the preprocessor does. `LIB_EXPORT int run(void);` has two types for it, a line `LIB_BEGIN_DECLS`
is a declaration without an end, and an `extern "C" {` inside `#ifdef __cplusplus` a brace without its partner: after one of
these, whole headers are taken for one error. They are recognised by the usual spelling in capitals and by where they
stand, and blanked out byte for byte: every line, column and byte offset stays what it was.
"""

from __future__ import annotations

import re

_MACRO = rb"[A-Z][A-Z0-9_]{2,}(?:\([^()\n]*\))?"
_NAME = rb"\w+(?:::\w+|<[^<>;{}()\n]{0,200}>)*"
# Words that a macro may follow; they begin with one of c, e, f, i, s, t, u and v.
_HEADS = rb"static|inline|constexpr|virtual|friend|extern|typedef|if|class|struct|union|enum"
_END_OF_ENUM = re.compile(rb"[;}]")
_NO_SIGN = bytes(byte for byte in range(256) if re.match(rb"[\s\w]", bytes([byte])))
# Each alternative consumes what it recognises, even where its end is missing, so a file is read once from front to back.
_TOKEN = re.compile(
    rb"""
    (?P<linkage>^[ \t]*\#[ \t]*if(?:def[ \t]+|[ \t]+defined[ \t(]*)__cplusplus\b[^\n]*\n
        [ \t]*(?:extern[ \t]*"C"[ \t]*\{?|\}[^\n]*)[ \t]*\n[ \t]*\#[ \t]*endif\b)
    |^[ \t]*\#[ \t]*(?:el)?if\b(?P<condition>(?:\\\n|[^\n])*)
    |(?P<directive>^[ \t]*\#[ \t]*(?:define|undef)\b(?:\\\n|[^\n])*)
    |(?P<skipped>//[^\n]*|/\*(?:[\s\S]*?\*/|[\s\S]*)|"(?:\\[\s\S]|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?|^[ \t]*\#(?:\\\n|[^\n])*)
    |^[ \t]*(?P<before>%(macro)s(?:\s+%(macro)s){0,2})(?=\s+(?:%(name)s[\s*&]+[A-Za-z_~]|~\w|template\b))
    |\b(?:static|inline|constexpr|virtual|friend|extern|typedef)\s+(?P<after>%(macro)s)(?=\s+%(name)s[\s*&]+[A-Za-z_~])
    |\bif\s+(?P<constexpr>[A-Z][A-Z0-9_]{2,})(?=\s*\()
    |^[ \t]*(?P<alone>[A-Z][A-Z0-9]*_[A-Z0-9_]+(?:\([^()\n]*\))?|Q_OBJECT)[ \t]*(?=\n|//|/\*)
    |\b(?:class|struct|union)\s+(?P<tag>%(macro)s)(?=\s+%(name)s\s*(?:final\s*)?(?:\{|:(?!:)))
    |\b(?P<enum>enum)\b
    |(?P<plain>(?:[ \t()\[\],.*&+=<>!|?:;{}-]++|\n(?![ \t]*[#A-Z])|\b(?:[abdghj-rw-zA-Z0-9_]\w*+|(?!(?:%(heads)s)\b)\w++))++)
    |\w+
    |(?P<mark>[^\s\w])
    """
    % {b"macro": _MACRO, b"name": _NAME, b"heads": _HEADS},
    re.MULTILINE | re.VERBOSE,
)

_MISPLACED = frozenset({"linkage", "before", "after", "constexpr", "tag"})


def without_macros(data: bytes) -> bytes:
    """`data` with blanks in place of the macros that stand before, between or in the heads of declarations."""
    text = bytearray(data)
    since = [b";"]  # what is plain, from the last other sign on
    in_enum = False
    for match in _TOKEN.finditer(data):
        kind = match.lastgroup
        if kind == "plain":
            since.append(match[0])
            in_enum = in_enum and not _END_OF_ENUM.search(match[0])
        elif kind == "mark":
            since = [match[0]]
        elif kind == "enum":
            in_enum = True
        elif kind in _MISPLACED or _is_out_of_place(match, since, in_enum):
            assert kind
            _blank(text, *match.span(kind))
        elif kind == "condition" and len(match[kind]) > 1:
            _blank(text, *match.span(kind))
            text[match.start(kind) + 1] = ord("1")  # any condition does: both branches are read
    return bytes(text)


def _blank(text: bytearray, start: int, end: int) -> None:
    text[start:end] = re.sub(rb"[^\n]", b" ", text[start:end])


def _is_out_of_place(match: re.Match[bytes], since: list[bytes], in_enum: bool) -> bool:
    """Whether a directive or a macro alone on its line stands, after what is plain `since`, where the grammar wants something
    else.

    In an enum a name alone is an enumerator, and what makes enumerators is no part of the language; elsewhere a macro that
    begins a declaration or a member stands for all of it.
    """
    if match.lastgroup == "directive":
        return in_enum
    if match.lastgroup != "alone":
        return False
    if in_enum:
        return b"(" in match[0]
    last = next(filter(None, (plain.rstrip(_NO_SIGN) for plain in reversed(since))))
    return last.endswith((b";", b"{", b"}"))
