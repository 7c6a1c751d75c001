"""An answer's text, character by character, into sentences and the `[n]` in them, wherever its pieces were cut.

* `[1]`, `[1, 2]`, `[1][2]` and `[1-3]` are citations when every bracket holds numbers only. Inside code, as part of an index
  (`argv[1]`), as a Markdown link (`[1](…)`) or escaped (`\\[1]`) they are not.
* Sentences and code spans don't cross a line's end. A code span that is still open there was none, so a citation
  after a stray backtick counts, only later. A fenced block is code to its closing fence.
* `[1]` right after a full stop belongs to the sentence that it ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MARK = re.compile(r"\[\s*\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*\s*\]")
MARK_CHARACTERS = frozenset("0123456789,;–- ")
LONGEST_MARK = 40
LONGEST_RANGE = 20
STOPS = frozenset(".!?…")
WIDE_STOPS = frozenset("。！？")
CLOSERS = frozenset("\"'”’)*_»")
FENCE_PREFIX = re.compile(r"\s*(?:(?:[-*+>]|\d{1,3}[.)])\s+)*")
ABBREVIATION = re.compile(r"(?:^|[\s(])(?:e\.g|i\.e|etc|vs|cf|approx|\d{1,3})$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Mark:
    """`[n]` in the text, from start to end; numbers: those in it, as written, each once."""

    start: int
    end: int
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A stretch of prose and the marks that belong to it; the last of them may stand after its end."""

    start: int
    end: int
    marks: tuple[Mark, ...]


REST_OF_WORD = re.compile(r"[A-Za-z0-9]+")


class Scanner:
    """Reads an answer character by character; yields a Mark where one closes and a Sentence where one ends.

    At most one line is looked at again, and only its unfinished bracket.
    """

    def __init__(self) -> None:
        self._text: list[str] = []
        self._fence = ""
        self._new_line()

    def _new_line(self) -> None:
        self._sentence = len(self._text)
        self._line = len(self._text)
        self._marks: list[Mark] = []
        self._bracket: int | None = None
        self._closed: Mark | None = None
        self._ended: int | None = None
        self._run = 0
        self._span = 0
        self._held: list[Mark] = []
        self._opens_fence = ""

    def feed(self, text: str) -> Iterator[Mark | Sentence]:
        at = 0
        while at < len(text):
            character = text[at]
            yield from self._newline() if character == "\n" else self._character(character)
            self._text.append(character)
            at += 1
            if character == "\n":
                self._new_line()
            elif self._is_inside_word(character) and (rest := REST_OF_WORD.match(text, at)):
                self._text += rest[0]
                at = rest.end()

    def _is_inside_word(self, character: str) -> bool:
        """Whether a letter or digit that comes next changes nothing: only what ends a word, or comes after it, can."""
        return (
            character.isascii()
            and character.isalnum()
            and self._bracket is None
            and self._closed is None
            and self._ended is None
            and not self._opens_fence
        )

    def finish(self) -> Iterator[Mark | Sentence]:
        """The text has ended, which ends its last line."""
        yield from self._newline()
        self._new_line()

    def slice(self, start: int, end: int) -> str:
        return "".join(self._text[start:end])

    # --- one line ---

    def _newline(self) -> Iterator[Mark | Sentence]:
        line = self.slice(self._line, len(self._text))
        if self._fence or self._opens_fence:
            self._toggle_fence(line)
            return
        self._end_run()
        self._bracket = None
        yield from self._take_closed(next_character="\n")
        if self._span:
            yield from self._release_held()
        yield from self._end_sentence(len(self._text))

    def _toggle_fence(self, line: str) -> None:
        if self._opens_fence:
            self._fence = self._opens_fence
        elif set(line.strip()) == {self._fence[0]} and len(line.strip()) >= len(self._fence):
            self._fence = ""

    def _character(self, character: str) -> Iterator[Mark | Sentence]:
        if self._fence:
            return
        if self._opens_fence:
            self._continue_fence(character)
            return
        yield from self._take_closed(character)
        if character == "`":
            self._run += 1
        else:
            self._end_run()
        if character in "`~" and self._is_fence(character):
            return
        if self._bracket is not None:
            self._continue_bracket(character)
        if self._bracket is None and self._closed is None and character == "[" and self._may_open():
            self._bracket = len(self._text)
        if self._ended is not None and self._bracket is None and self._closed is None and not character.isspace():
            yield from self._end_sentence(self._ended)
        self._look_for_end(character)

    # --- code ---

    def _is_fence(self, character: str) -> bool:
        """Three backticks or tildes and nothing but a list's bullet before them. More of them make a longer fence."""
        line = self.slice(self._line, len(self._text)) + character
        before = line.rstrip(character)
        if len(line) - len(before) == 3 and FENCE_PREFIX.fullmatch(before):
            self._opens_fence = character * 3
            self._run = 0
            return True
        return False

    def _continue_fence(self, character: str) -> None:
        """Count on, or learn that "```a``` …" is a span after all: a fence's first line holds no backtick after its name."""
        before = self.slice(self._line, len(self._text))
        if character == self._opens_fence[0] and before.endswith(self._opens_fence):
            self._opens_fence += character
        elif character == "`" == self._opens_fence[0]:
            self._span, self._run, self._opens_fence = len(self._opens_fence), 1, ""

    def _end_run(self) -> None:
        """A run of backticks opens a code span, or closes the one that a run of the same length opened."""
        run, self._run = self._run, 0
        if not run:
            return
        if not self._span:
            self._span = run
        elif self._span == run:
            self._span = 0
            self._held.clear()

    def _release_held(self) -> Iterator[Mark]:
        """The line ended inside a code span: so it was none."""
        self._span = 0
        for mark in self._held:
            self._marks.append(mark)
            yield mark
        self._held.clear()

    # --- brackets ---

    def _may_open(self) -> bool:
        before = self._text[-1] if len(self._text) > self._line else " "
        return before != "\\" and not (before == "_" or (before.isascii() and before.isalnum()))

    def _continue_bracket(self, character: str) -> None:
        start = self._bracket
        assert start is not None
        if character == "]":
            written = self.slice(start, len(self._text)) + character
            self._bracket = None
            if MARK.fullmatch(written):
                self._closed = Mark(start, start + len(written), numbers_in(written))
        elif character not in MARK_CHARACTERS or len(self._text) - start >= LONGEST_MARK:
            self._bracket = None

    def _take_closed(self, next_character: str) -> Iterator[Mark | Sentence]:
        """A bracket has closed, and the character after it says whether it was a link."""
        mark, self._closed = self._closed, None
        if mark is None or next_character == "(":
            return
        if self._span:
            self._held.append(mark)
            return
        yield from self._begin_after_stop(mark)
        self._marks.append(mark)
        yield mark

    # --- sentences ---

    def _look_for_end(self, character: str) -> None:
        """A stop ends a sentence when a space or a bracket follows it, with at most quotes and the like between them."""
        if self._span or self._ended is not None or (self._bracket is not None and character != "["):
            return
        at = len(self._text)
        while at > self._sentence and self._text[at - 1] in CLOSERS:
            at -= 1
        stop = self._text[at - 1] if at > self._sentence else ""
        is_stop = stop in WIDE_STOPS or (stop in STOPS and (character.isspace() or character == "["))
        if is_stop and not ABBREVIATION.search(self.slice(self._sentence, at - 1)):
            self._ended = len(self._text)

    def _begin_after_stop(self, mark: Mark) -> Iterator[Sentence]:
        """A mark after the full stop belongs to the sentence that it ends, unless that one has its own."""
        if self._ended is not None and self._marks and self._marks[-1].start < self._ended:
            yield from self._end_sentence(self._ended, next_start=mark.start)

    def _end_sentence(self, end: int, next_start: int | None = None) -> Iterator[Sentence]:
        words = self.slice(self._sentence, end)
        if words.strip():
            start = self._sentence + len(words) - len(words.lstrip())
            yield Sentence(start, start + len(words.strip()), tuple(self._marks))
        after_marks = max((mark.end for mark in self._marks), default=end)
        self._sentence = max(end, after_marks) if next_start is None else next_start
        self._marks = []
        self._ended = None


def numbers_in(mark: str) -> tuple[int, ...]:
    """`[1, 3-5]` → 1, 3, 4, 5. A range that runs backwards or is absurdly long is only its ends."""
    numbers: list[int] = []
    for item in re.split(r"[,;]", mark.strip("[] ")):
        ends = [int(number) for number in re.findall(r"\d+", item)]
        first, last = ends[0], ends[-1]
        numbers += range(first, last + 1) if first < last <= first + LONGEST_RANGE else ends
    return tuple(dict.fromkeys(numbers))
