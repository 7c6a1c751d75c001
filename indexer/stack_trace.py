"""A pasted stack trace: its frames, the exception, the message, and what else somebody wrote around it.

Read line by line, by the forms in which Python, JavaScript and TypeScript, Java and Kotlin, Go, Rust, Ruby, PHP, C#, gdb and
AddressSanitizer print frames. A path is kept as it was printed, without a scheme or host: which file of a repository it means
is for the search to find out (`suffixes`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

# A trace that is longer repeats itself. Lines are cut, so that no pattern meets a minified file's line.
_MOST_LINES = 2000
_LONGEST_LINE = 1000
_LONGEST_MESSAGE = 500


@dataclass(frozen=True, slots=True)
class Frame:
    """One call. path: as printed, with forward slashes; line from 1; function: "" where the trace doesn't tell it."""

    path: str
    line: int
    function: str = ""


@dataclass(frozen=True, slots=True)
class Trace:
    """frames: innermost first. exception: its type as printed, or "". message: what the exception says, or "".

    prose: the lines that belong to neither, which are what somebody asks about the trace.
    """

    frames: tuple[Frame, ...]
    exception: str = ""
    message: str = ""
    prose: str = ""


_PYTHON = re.compile(r'^\s*(?:\|\s*)*File "(?P<path>[^"]+)", line (?P<line>\d{1,7})(?:, in (?P<function>.+))?$')
_AT_FORMS = (
    # C#: at Shop.Cart.Total(Item item) in /src/Cart.cs:line 12
    re.compile(r"^\s*at (?P<function>[^()\s][^()]{0,300})\([^()]{0,500}\) in (?P<path>.+):line (?P<line>\d{1,7})$"),
    # JavaScript: at Cart.total (/src/cart.js:12:5)
    re.compile(r"^\s*at (?:async )?(?P<function>[^()\s][^()]{0,300}?) \((?P<path>[^()]+?):(?P<line>\d{1,7})(?::\d{1,7})?\)$"),
    # Java: at app//com.shop.Cart.total(Cart.java:12)
    re.compile(
        r"^\s*at (?:[\w.@-]+/){0,2}(?P<function>[\w$.<>-]{1,300})\((?P<path>[\w$-]+\.(?:java|kt|kts|scala|groovy|clj)):"
        r"(?P<line>\d{1,7})\)"
    ),
    # Rust's second line, and JavaScript without a function: at /src/cart.js:12:5
    re.compile(r"^\s*at (?:async )?(?P<path>[^()\s]+?):(?P<line>\d{1,7})(?::\d{1,7})?$"),
)
_OTHER_FORMS = (
    # Firefox and Safari: total@http://localhost/cart.js:12:5
    re.compile(r"^\s*(?P<function>[\w$./<]{0,200})@(?P<path>(?:\w+://|/)[^\s()]+?):(?P<line>\d{1,7}):\d{1,7}$"),
    # Go's second line of a frame
    re.compile(r"^\t(?P<path>[^\t\n]+\.(?:go|s)):(?P<line>\d{1,7})(?: \+0x[0-9a-f]+)?$"),
    # Ruby: from /src/cart.rb:12:in `total'
    re.compile(
        r"^\s*(?:\d{1,4}: )?(?:from )?(?P<path>[^\s:'\"]+):(?P<line>\d{1,7}):in [`'](?P<function>[^'`]{1,200})'(?::.*)?$"
    ),
    # PHP: #0 /src/Cart.php(12): Shop\Cart->total()
    re.compile(r"^\s*#\d{1,4} (?P<path>[^\s():]+\.\w{1,6})\((?P<line>\d{1,7})\)(?:: (?P<function>[^()]{1,200})\(.*)?"),
    # gdb: #1  0x0000 in total (cart=0x0) at src/cart.c:12
    re.compile(
        r"^\s*#\d{1,4}\s+(?:0x[0-9a-f]+ in )?(?P<function>[^()\s][^()]{0,300}?) \(.{0,600}\) at (?P<path>[^\s:]+):"
        r"(?P<line>\d{1,7})$"
    ),
    # AddressSanitizer: #1 0x4f2 in total /src/cart.c:12:3
    re.compile(
        r"^\s*#\d{1,4}\s+0x[0-9a-f]+ in (?P<function>\S.{0,300}?) (?P<path>[^\s:()]+\.\w{1,6}):(?P<line>\d{1,7})(?::\d{1,7})?"
    ),
)
# Go, Rust: the line before names the function.
_GO_FUNCTION = re.compile(r"^(?:created by )?(?P<function>[\w./*()·-]{1,300}?)(?:\([^()]{0,300}\)| in goroutine \d+)$")
_RUST_FUNCTION = re.compile(r"^\s*\d{1,4}:\s+(?:0x[0-9a-f]+ - )?(?P<function>[^\s].{0,300})$")
_PANICKED = re.compile(r"panicked at (?:'(?P<message>.*)', )?(?P<path>[^\s:',]+):(?P<line>\d{1,7})(?::\d{1,7})?:?(?P<rest>.*)$")
_PHP_THROWN = re.compile(r"(?:in|thrown in) (?P<path>/?[^\s:()]+\.php)(?::| on line )(?P<line>\d{1,7})")

_TYPE = (
    r"(?:[A-Za-z_$][\w$]*(?:\.|::|\\|/))*"
    r"[A-Za-z_$][\w$]*(?:Error|Exception|Exit|Fault|Failure|Warning|Interrupt|Iteration|Timeout|Panic|Errno)\b"
)
_EXCEPTION = re.compile(rf"(?:^|[\s(])(?P<type>{_TYPE})(?:\s?\[\w+\])?(?::\s*(?P<message>.*))?$")
_RUBY_EXCEPTION = re.compile(r":in [`'][^'`]+': (?P<message>.*) \((?P<type>[A-Z][\w:]*)\)$")
_PANIC = re.compile(r"^(?:==\d+==)?(?:panic|fatal error|FATAL|Segmentation fault|ERROR)\b:?\s*(?P<message>.*)$")
_LAST_LINE = re.compile(r"^(?P<type>[A-Za-z_][\w.]*)(?:: (?P<message>.*))?$")
_HEADLINE = re.compile(
    r"^\s*(?:\|\s*)?(?:Traceback \(most recent call last\)|Exception Group Traceback|goroutine \d+ \[|stack backtrace:"
    r"|Exception in thread|\s+at |note: (?:run with|Some details)|During handling of the above|The above exception was"
    r"|Stack trace:|\{main\}|#\d+ \{main\}|=+\s*$|\.\.\. \d+ (?:more|common frames)|exit status \d|-+ End of|={2,}\d+={2,})",
    re.IGNORECASE,
)
_MARKS = re.compile(r"^[\s~^|]+$")


def read_trace(text: str) -> Trace | None:
    """The trace in a text, or None where no line of it is a frame."""
    lines = [line[:_LONGEST_LINE].rstrip() for line in text.splitlines()[:_MOST_LINES]]
    frames: list[Frame] = []
    rest: list[str] = []
    python = False
    for number, line in enumerate(lines):
        if (frame := _frame(line, lines[number - 1] if number else "")) is not None:
            frames.append(frame)
            python = python or bool(_PYTHON.match(line))
            if rest and _names_next(rest[-1], line):
                rest.pop()
            if _says_more(line):
                rest.append(line)
        elif not (python and _is_source(line, lines, number)):
            rest.append(line)
    if not frames:
        return None
    if python:
        frames.reverse()
    exception, message = _exception(rest, python)
    prose = [line for line in rest if not _told(line, exception, message)]
    return Trace(_distinct(frames), exception, message, "\n".join(prose).strip())


def _distinct(frames: Sequence[Frame]) -> tuple[Frame, ...]:
    """Each place once, by the frame that names its function."""
    places: dict[tuple[str, int], Frame] = {}
    for frame in frames:
        place = frame.path.lstrip("./"), frame.line
        if not (known := places.get(place)) or not known.function:
            places[place] = frame
    return tuple(places.values())


def read_exception(text: str) -> tuple[str, str]:
    """The type and message of an error that is quoted without a trace; two empty texts where there is none."""
    return _exception([line[:_LONGEST_LINE].strip() for line in text.splitlines()[:_MOST_LINES]], python=False)


def suffixes(path: str) -> Iterator[str]:
    """The printed path and its ends, longest first: what a file of a repository may be called."""
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    for first in range(len(parts)):
        yield "/".join(parts[first:])


def _frame(line: str, before: str) -> Frame | None:
    for form in (_PYTHON, *_AT_FORMS, *_OTHER_FORMS):
        if found := form.match(line):
            return _named(_made(found), form, before)
    for form in (_PANICKED, _PHP_THROWN):
        if found := form.search(line):
            return _made(found)
    return None


def _made(found: re.Match[str]) -> Frame:
    groups = found.groupdict()
    function = (groups.get("function") or "").strip()
    path = _plain_path(found["path"])
    if "." in function and "/" not in path and path.endswith((".java", ".kt", ".kts", ".scala", ".groovy")):
        # Java prints the file's name only; its folders are those of the package.
        package = takewhile(lambda part: part[:1].islower(), function.split(".")[:-1])
        path = "/".join([*package, path])
    return Frame(path, int(found["line"]), function)


def _named(frame: Frame, form: re.Pattern[str], before: str) -> Frame:
    if frame.function or form is _PYTHON:
        return frame
    found = (_GO_FUNCTION if frame.path.endswith((".go", ".s")) else _RUST_FUNCTION).match(before)
    return replace(frame, function=found["function"]) if found else frame


def _names_next(before: str, line: str) -> bool:
    """Whether the line before a frame is its first half, which Go and Rust print so."""
    if re.match(r"^\t\S+\.(?:go|s):\d", line):
        return bool(_GO_FUNCTION.match(before))
    return bool(re.match(r"^\s+at \S+$", line)) and bool(_RUST_FUNCTION.match(before))


def _says_more(line: str) -> bool:
    """Whether a frame's line tells the message too."""
    return bool(_PANICKED.search(line) or _PHP_THROWN.search(line) or _RUBY_EXCEPTION.search(line))


def _is_source(line: str, lines: Sequence[str], number: int) -> bool:
    """Whether a line is the code that Python prints below a frame, or the marks below that."""
    if _MARKS.match(line) and line.strip():
        return True
    return number > 0 and bool(_PYTHON.match(lines[number - 1])) and line[:1].isspace()


def _plain_path(path: str) -> str:
    path = path.strip().replace("\\", "/")
    path = re.sub(r"^(?:async )?(?:file|webpack|webpack-internal|app|node|https?)://+(?:\(\w+\)/)?", "/", path)
    return re.sub(r"[?#].*$", "", path)


def _exception(lines: Sequence[str], python: bool) -> tuple[str, str]:
    """Of several (causes, handlers) the last, which in Python is what ended the program and in Java its first cause."""
    found: tuple[str, str] = ("", "")
    for number, line in enumerate(lines):
        if match := _RUBY_EXCEPTION.search(line):
            return match["type"], match["message"][:_LONGEST_MESSAGE]
        if match := _PANICKED.search(line):
            message = match["message"] or match["rest"].strip() or (lines[number + 1] if number + 1 < len(lines) else "")
            return "", message.strip()[:_LONGEST_MESSAGE]
        if match := _EXCEPTION.search(line):
            found = match["type"], _without_place(match["message"] or "")
        elif (match := _PANIC.match(line)) and match["message"]:
            found = found if found[0] else ("", match["message"][:_LONGEST_MESSAGE])
    if python and not found[0] and (last := next((line for line in reversed(lines) if line.strip()), "")):
        match = _LAST_LINE.match(last)
        found = (match["type"], (match["message"] or "")[:_LONGEST_MESSAGE]) if match else found
    return found


def _without_place(message: str) -> str:
    return _PHP_THROWN.sub("", message).strip()[:_LONGEST_MESSAGE]


def _told(line: str, exception: str, message: str) -> bool:
    """Whether a line says nothing beyond the trace itself."""
    if not line.strip() or _HEADLINE.match(line) or _says_more(line):
        return True
    return bool((exception and exception in line) or (message and message in line))
