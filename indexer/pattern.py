"""A regular expression, searched for in a snapshot's files.

RE2 (google-re2) matches in time linear in the text whatever the pattern is, and has no look-around or back-references for
that. `^` and `$` are the ends of lines. A search looks at all files unless its time is over.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from indexer.errors import PatternError

TIME_LIMIT_S = 3.0
# What a reader can look through; a file with more matches is better searched by a narrower pattern.
MOST_MATCHES = 2000
_MOST_IN_FILE = 200
_LONGEST_PATTERN = 1000
_MEMORY = 16 << 20

_WRITTEN = re.compile(r"/(?P<pattern>.+)/(?P<flags>[a-zA-Z]*)", re.DOTALL)
_META = re.compile(r"[\\^$*+?()\[\]{}|]")
_INNER_SLASH = re.compile(r"(?<!\\)/")


@dataclass(frozen=True, slots=True)
class Pattern:
    """What stands between the slashes, and after them: i (any case), s (`.` matches line ends); m, g and u change nothing."""

    text: str
    flags: str = ""


def read_pattern(text: str) -> Pattern | None:
    """The pattern that a whole question is, or None. `/src/app/` is a folder: a slash inside needs what no path has."""
    found = _WRITTEN.fullmatch(text.strip())
    if found is None or "\n" in found["pattern"]:
        return None
    if _INNER_SLASH.search(found["pattern"]) and not _META.search(found["pattern"]):
        return None
    return Pattern(found["pattern"].replace(r"\/", "/"), found["flags"])


@dataclass(slots=True)
class PatternMatches:
    """Lines that match, by file id. files: how many files were looked at; in_time: whether that were all."""

    lines: dict[int, list[int]] = field(default_factory=dict)
    files: int = 0
    in_time: bool = True

    @property
    def total(self) -> int:
        return sum(map(len, self.lines.values()))


def matches(pattern: Pattern, files: Iterable[tuple[int, bytes]], limit_s: float = TIME_LIMIT_S) -> PatternMatches:
    """Search files, given as (id, UTF-8 text with line ends "\\n"). Raises PatternError."""
    compiled = _compiled(pattern)
    until = time.monotonic() + limit_s
    found = PatternMatches()
    for file_id, text in files:
        if time.monotonic() > until or found.total >= MOST_MATCHES:
            found.in_time = False
            break
        found.files += 1
        if lines := list(_lines(compiled, text)):
            found.lines[file_id] = lines
    return found


def _lines(compiled: Any, text: bytes) -> Iterator[int]:
    """The lines, from 1, that matches begin in, each once."""
    line, counted, last = 1, 0, 0
    for number, match in enumerate(compiled.finditer(text)):
        if number >= _MOST_IN_FILE:
            return
        line, counted = line + text.count(b"\n", counted, match.start()), match.start()
        if line != last:
            last = line
            yield line


def _compiled(pattern: Pattern) -> Any:
    import re2

    if unknown := set(pattern.flags) - set("imsgu"):
        raise PatternError(f"The pattern has an unknown flag “{min(unknown)}”: use i (any case) or s (`.` matches line ends).")
    if len(pattern.text) > _LONGEST_PATTERN:
        raise PatternError(f"The pattern is longer than {_LONGEST_PATTERN} characters: search for less.")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    options.case_sensitive = "i" not in pattern.flags
    options.dot_nl = "s" in pattern.flags
    try:
        return re2.compile(f"(?m:{pattern.text})".encode(errors="replace"), options)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else str(error)
        if "perl operator" in reason or "escape sequence" in reason:
            reason += "; look-around and back-references aren't supported"
        raise PatternError(f"The pattern /{pattern.text[:80]}/ can't be used ({reason}): correct it and ask again.") from error
