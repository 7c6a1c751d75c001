"""What a comment says to a reader: without its marks, its licence and what speaks to tools."""

from __future__ import annotations

import re
from functools import lru_cache

HEADER_CHARACTERS = 1500
MIN_HEADER = 3

_LICENCE = re.compile(
    r"copyright|licen[sc]ed? (?:under|to)|spdx-license|all rights reserved|permission is hereby|apache license|mit license",
    re.IGNORECASE,
)
_SHEBANG = re.compile(r"^#!.*")
_COMMENT_MARKS = re.compile(
    r"""^[ \t]*  # where a line begins
        (?:/\*+!?|\*+/|//[/!]?|\*|\#+!?|--+\[*(?:[ ]?[|^*](?=[ ]))?|\{-[ ]?\|?|;+|%+|\"\"\"|\'\'\')?[ \t]?
    |[ \t]*(?:\*/|-\}|(?<=[ \t])\]\]|\"\"\"|\'\'\')[ \t]*$  # where it ends""",
    re.MULTILINE | re.VERBOSE,
)
# Lines that speak to tools, not to readers.
_DIRECTIVE = re.compile(
    r"""^[ \t]*(?:
        -\*-.*-\*- | vim?:.* | (?:frozen_string_literal|encoding|coding|warn_indent|typed):.*
      | (?:eslint|jshint|jslint|tslint|prettier|stylelint|biome|istanbul|c8|clang-format|shellcheck|pylint|flake8|ruff|mypy
          |pyright|rubocop|phpcs|swiftlint|scalastyle|ktlint|hlint|credo)\b[-:\ ].*
      | noqa\b.* | pragma:.* | type:\ ignore.* | @(?:ts-\w+|flow|jsx\w*|format|prettier|private|internal|generated)
    )[ \t]*$""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_FILE_NAME = re.compile(r"[\w+./-]+\.\w{1,5}")


@lru_cache(maxsize=1000)  # of the licence above most files of a repository
def plain_comment(comment: str) -> str:
    """A comment without its marks, `#!` line and words to tools; "" for one that begins with a licence or says nothing."""
    text = _DIRECTIVE.sub("", _COMMENT_MARKS.sub("", _SHEBANG.sub("", comment))).strip()
    first, *others = re.split(r"\n[ \t]*\n", text)
    if _LICENCE.search(first):
        return ""
    others = [other for other in others if not _LICENCE.search(other)]
    text = "\n\n".join(others if _FILE_NAME.fullmatch(first) else [first, *others]).strip()[:HEADER_CHARACTERS]
    return text if len(text) >= MIN_HEADER else ""
