"""From the text of an answer, while it streams, to citations that the server has checked.

`CitationReader.feed` takes the text in any pieces and gives the same events for the same text: it looks at one character after
the other. What it decides, and why:

* `[1]`, `[1, 2]`, `[1][2]` and `[1-3]` are citations when every bracket holds numbers only. Inside code, as part of an index
  (`argv[1]`), as a Markdown link (`[1](…)`) or escaped (`\\[1]`) they are not. Numbers that were never given are left out.
* Sentences and code spans don't cross a line's end. A code span that is still open there was none, so a citation
  after a stray backtick counts, only later. A fenced block is code to its closing fence.
* A citation covers the words before it, back to the citation before or the sentence's beginning; where nothing stands before
  it, the words after it. `[1]` right after a full stop belongs to the sentence that it ends.
* It is verified when those words name code and all of the names occur in the cited lines (or in their path and symbol).
  Words that name none are verified when a run of QUOTED_WORDS of them stands in the lines: they quote, as answers from
  documentation do. Several numbers in one place share the names: together they must hold all, and each at least one.
* A sentence without a citation is matched to a passage when that one alone holds every name in it, or alone holds what it
  quotes. Rather no match than a wrong one: the sentence has to name something distinctive, and to share words with the
  passage. Words whose citation is wrong are matched in the same way, to one of the other passages, right after it.

A first event says "pending", as soon as the bracket closes; the second one when the sentence has ended.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["pending", "verified", "unverified"]
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
class Evidence:
    """One passage as the model saw it: `text` is what stands on `start_line` to `end_line` of `path`."""

    number: int
    path: str
    start_line: int
    end_line: int
    symbol: str
    text: str


@dataclass(frozen=True, slots=True)
class Found:
    name: str
    line: int


@dataclass(frozen=True, slots=True)
class Citation:
    """A `citation` event of docs/protocol.md."""

    start: int
    end: int
    evidence: Evidence
    state: State
    origin: Literal["model", "matched"]
    found: tuple[Found, ...] = ()
    missing: tuple[str, ...] = ()
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "start": self.start,
            "end": self.end,
            "number": self.evidence.number,
            "state": self.state,
            "origin": self.origin,
            "path": self.evidence.path,
            "start_line": self.evidence.start_line,
            "end_line": self.evidence.end_line,
            "found": [{"name": found.name, "line": found.line} for found in self.found],
            "missing": list(self.missing),
            "reason": self.reason,
        }


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


# --- finding marks and sentences ------------------------------------------------------------------------------------------


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
        for character in text:
            yield from self._newline() if character == "\n" else self._character(character)
            self._text.append(character)
            if character == "\n":
                self._new_line()

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


# --- what a sentence names --------------------------------------------------------------------------------------------------

_CODE_SPAN = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)")
_QUOTE = re.compile(r"[\"“]([^\"“”`]{3,80})[\"”]")
_PATH = re.compile(r"(?<![\w./-])[\w.-]+(?:/[\w.-]+)+(?<![.-])|(?<![\w./-])[\w-]+\.(?:[a-z]{1,4}|toml|json|yaml|html)(?![\w(])")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_DOTTED = re.compile(r"(?<![\w.])[A-Za-z_]\w*(?:(?:\.|::|->)[A-Za-z_]\w*)+(?:\(\))?|(?<![\w.])[A-Za-z_]\w*\(\)")
# Words in prose that only code has: an underscore inside, a capital after a small letter, or digits after letters (sha1).
_BARE = re.compile(r"(?<![\w.])(?:[A-Za-z]\w*_\w+|[A-Za-z]{2,}\d\w*|_\w+|[A-Za-z]*[a-z][A-Z]\w*|[A-Z][A-Z]+[a-z]\w+)(?!\w)")
# What occurs in nearly every passage proves nothing by itself.
TRIVIAL = frozenset(
    {"None", "True", "False", "null", "nil", "true", "false", "undefined", "self", "this", "return", "if", "def"}
)
_NOT_NAMES = frozenset({"e.g", "i.e", "JavaScript", "TypeScript", "GitHub", "PostgreSQL", "GraphQL", "OAuth", "YouTube"})


@functools.lru_cache(maxsize=2000)
def names_in(prose: str) -> tuple[str, ...]:
    """The code that a stretch of prose names, in the order of its kinds: code spans, quotes, paths, identifiers.

    A span is one name; "`a.b()`" is what stands between the backticks.
    """
    names: list[str] = []

    def take(pattern: re.Pattern[str], group: int, rest: str) -> str:
        names.extend(match[group].strip() for match in pattern.finditer(rest))
        return pattern.sub(" ", rest)

    rest = take(_CODE_SPAN, 2, prose)
    for quote in _QUOTE.finditer(rest):
        if re.search(r"[^A-Za-z]", quote[1]):
            names.append(quote[1].strip())
    rest = _QUOTE.sub(" ", rest)
    for pattern in (_PATH, _DOTTED, _BARE):
        rest = take(pattern, 0, rest)
    return tuple(dict.fromkeys(name for name in names if name not in _NOT_NAMES and re.search(r"\w", name)))


def find(name: str, evidence: Evidence) -> int | None:
    """The line where `name` occurs in the passage, or None. All of its identifiers have to, if it doesn't as it stands.

    `Session.get` is found where "Session.get" is, or where `get` is written and `Session` is, be that in the symbol.
    """
    if "/" in name and ("/" + evidence.path).endswith("/" + name.lstrip("./")):
        return evidence.start_line
    if (line := _line_of(name, evidence)) is not None:
        return line
    if name == evidence.path.rpartition("/")[2]:
        return evidence.start_line
    parts = _IDENTIFIER.findall(_without_literals(name)) if "/" not in name else []
    lines = [_line_of(part, evidence) or _in_symbol(part, evidence) for part in parts]
    return lines[-1] if lines and None not in lines else None


def _line_of(name: str, evidence: Evidence) -> int | None:
    left = r"(?<!\w)" if name[:1].isalnum() or name[:1] == "_" else ""
    right = r"(?!\w)" if name[-1:].isalnum() or name[-1:] == "_" else ""
    words = r"\s+".join(re.escape(word) for word in name.split())
    found = re.search(left + words + right, evidence.text)
    return evidence.start_line + evidence.text.count("\n", 0, found.start()) if found else None


def _in_symbol(name: str, evidence: Evidence) -> int | None:
    return evidence.start_line if name in _IDENTIFIER.findall(evidence.symbol) else None


def _without_literals(code: str) -> str:
    """`get("user", None)` names get and None; what its strings hold is checked only when the whole of it occurs."""
    return re.sub(r"\"[^\"]*\"|'[^']*'", " ", code)


# --- checking ---------------------------------------------------------------------------------------------------------------

_DENIAL = re.compile(
    r"\b(?:(?:do|does|did)(?: not|n't|n’t) (?:show|contain|mention|hold|say|include|provide|specify|define|describe|cover)"
    r"|(?:is|are)(?: not|n't|n’t) (?:shown|mentioned|defined|described|provided|found|included|covered)"
    r"|no (?:information|evidence|mention))\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[a-z]{4,}")
# Shorter runs of words are the same by chance.
QUOTED_WORDS = 6
_QUOTED_WORD = re.compile(r"\w+")
# A sentence that names one thing must share this part of its longer words with the passage to be matched to it.
MATCHED_WORDS = 0.3


class CitationReader:
    """The citations of one answer. `feed` and `finish` return the events that have become certain since the last call."""

    def __init__(self, evidence: Sequence[Evidence]) -> None:
        self._evidence = {passage.number: passage for passage in evidence}
        self._scanner = Scanner()
        self._latest: dict[tuple[int, int], Citation] = {}

    @property
    def citations(self) -> tuple[Citation, ...]:
        """The last word on every citation so far, in the order of the text."""
        return tuple(self._latest[key] for key in sorted(self._latest))

    def feed(self, text: str) -> list[Citation]:
        return self._take(self._scanner.feed(text))

    def finish(self) -> list[Citation]:
        return self._take(self._scanner.finish())

    def _take(self, seen: Iterator[Mark | Sentence]) -> list[Citation]:
        citations = [citation for item in seen for citation in self._read(item)]
        for citation in citations:
            self._latest[citation.start, citation.evidence.number] = citation
        return citations

    def _read(self, item: Mark | Sentence) -> Iterator[Citation]:
        if isinstance(item, Mark):
            for evidence in self._given(item):
                yield Citation(item.start, item.end, evidence, "pending", "model")
        elif any(self._given(mark) for mark in item.marks):
            yield from self._check(item)
        else:
            prose = self._scanner.slice(item.start, item.end)
            yield from self._match(prose, item.end, [*self._evidence.values()], "The answer gives no number here")

    def _given(self, mark: Mark) -> list[Evidence]:
        return [self._evidence[number] for number in mark.numbers if number in self._evidence]

    def _check(self, sentence: Sentence) -> Iterator[Citation]:
        for group, prose in self._clauses(sentence):
            cited = [evidence for mark in group for evidence in self._given(mark)]
            checked = check(prose, cited, self._evidence)
            for mark in group:
                for evidence in self._given(mark):
                    state, found, missing, reason = checked[evidence.number]
                    yield Citation(mark.start, mark.end, evidence, state, "model", found, missing, reason)
            if cited and all(state != "verified" for state, *_ in checked.values()):
                others = [evidence for evidence in self._evidence.values() if evidence.number not in checked]
                yield from self._match(prose, group[-1].end, others, "The answer cites another passage here")

    def _clauses(self, sentence: Sentence) -> Iterator[tuple[list[Mark], str]]:
        """The sentence's marks in groups of neighbours, each with the words that it covers."""
        groups: list[list[Mark]] = []
        for mark in sentence.marks:
            if groups and not self._prose(groups[-1][-1].end, mark.start):
                groups[-1].append(mark)
            else:
                groups.append([mark])
        ends = [group[0].start for group in groups[1:]]
        covers_following = not self._prose(sentence.start, groups[0][0].start)
        begin = sentence.start
        for number, group in enumerate(groups):
            last = number == len(groups) - 1
            if covers_following:
                begin, end = group[-1].end, sentence.end if last else ends[number]
            else:
                end = sentence.end if last else group[0].start
            yield group, self._scanner.slice(begin, max(begin, end))
            begin = group[-1].end

    def _prose(self, start: int, end: int) -> str:
        """The text between, but for marks, bullets and punctuation."""
        return MARK.sub("", self._scanner.slice(start, end)).strip(" \t,;.:-–*+>_()#")

    def _match(self, prose: str, at: int, passages: Sequence[Evidence], why: str) -> Iterator[Citation]:
        """The server's own citation of `prose`, which ends at `at`, if there is one to make."""
        if (evidence := best_match(prose, passages)) is None:
            return
        found = found_in(prose, evidence)
        reason = f"{why}, but this passage holds what it names: {_listed([each.name for each in found])}."
        if not found and (quote := quoted_in(prose, evidence)) is not None:
            found, reason = (quote,), f"{why}, but its words stand in these lines: “{quote.name[:120]}”."
        yield Citation(at, at, evidence, "verified", "matched", found, (), reason)


Checked = tuple[State, tuple[Found, ...], tuple[str, ...], str]


def check(prose: str, cited: Sequence[Evidence], given: Mapping[int, Evidence]) -> dict[int, Checked]:
    """Each cited passage's number → (state, found, missing, reason). `given`: all passages, to tell where a name is instead."""
    names = names_in(MARK.sub(" ", prose))
    if set(names) <= TRIVIAL:
        quotes = {number: quoted_in(prose, passage) for number, passage in given.items()}
        return {evidence.number: _judge_quote(evidence.number, quotes) for evidence in cited}
    lines = {evidence.number: found_in(prose, evidence) for evidence in cited}
    somewhere = {found.name for founds in lines.values() for found in founds}
    missing = tuple(name for name in names if name not in somewhere)
    return {number: _judge(number, names, found, missing, given) for number, found in lines.items()}


def found_in(prose: str, evidence: Evidence) -> tuple[Found, ...]:
    lines = [(name, find(name, evidence)) for name in names_in(MARK.sub(" ", prose))]
    return tuple(Found(name, line) for name, line in lines if line is not None)


def quoted_in(prose: str, evidence: Evidence) -> Found | None:
    """The longest run of words that stands in the passage too, whatever is between the words, if it is long enough."""
    words = _plain_words(MARK.sub(" ", prose))
    there = f" {' '.join(_plain_words(evidence.text))} "
    runs = (words[start : start + QUOTED_WORDS] for start in range(len(words) - QUOTED_WORDS + 1))
    if not any(f" {' '.join(run)} " in there for run in runs):
        return None
    places = list(_QUOTED_WORD.finditer(evidence.text))
    run = difflib.SequenceMatcher(None, words, [word[0].lower() for word in places], autojunk=False).find_longest_match()
    first, last = places[run.b], places[run.b + run.size - 1]
    quote = " ".join(evidence.text[first.start() : last.end()].split())
    return Found(quote, evidence.start_line + evidence.text.count("\n", 0, first.start()))


@functools.lru_cache(maxsize=1000)
def _plain_words(text: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in _QUOTED_WORD.findall(text))


def _judge_quote(number: int, quotes: Mapping[int, Found | None]) -> Checked:
    """quotes: what the words quote from each passage."""
    quote = quotes[number]
    if quote is not None:
        return "verified", (quote,), (), f"Its words stand in these lines: “{quote.name[:120]}”."
    elsewhere = [str(other) for other, found in quotes.items() if found is not None]
    if elsewhere:
        return "unverified", (), (), f"Its words don't stand in these lines, but in passage {elsewhere[0]}."
    return "unverified", (), (), "The words before it name no code that could be looked up in these lines."


def _judge(
    number: int, names: Sequence[str], found: tuple[Found, ...], missing: tuple[str, ...], given: Mapping[int, Evidence]
) -> Checked:
    if missing:
        elsewhere = [passage.number for passage in given.values() if all(find(name, passage) is not None for name in missing)]
        where = f", but in passage {elsewhere[0]}" if elsewhere and elsewhere[0] != number else ""
        return "unverified", found, missing, f"Names {_listed(missing)}, which isn't in these lines{where}."
    if not found:
        return "unverified", (), tuple(names), f"Names {_listed(names)}, which is in the passage cited beside it."
    return "verified", found, (), _verified_reason(found)


def _verified_reason(found: Sequence[Found]) -> str:
    return f"Named in the answer and found: {_listed([item.name for item in found])}."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name[:60]}`" for name in names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def best_match(prose: str, evidence: Sequence[Evidence]) -> Evidence | None:
    """The one passage that a stretch of prose tells of, or None when it isn't certain.

    Every name must occur there. Where several passages have them all, it is the one whose symbol is named.
    """
    names = names_in(MARK.sub(" ", prose))
    if prose.startswith("#") or _DENIAL.search(prose):
        return None
    if not names:
        quoting = [passage for passage in evidence if quoted_in(prose, passage) is not None]
        return quoting[0] if len(quoting) == 1 else None
    if not any(map(_is_distinctive, names)):
        return None
    holding = [passage for passage in evidence if all(find(name, passage) is not None for name in names)]
    if len(holding) > 1:
        holding = [passage for passage in holding if _names_symbol(names, passage)]
    if len(holding) != 1 or (len(names) < 2 and _shared_words(prose, holding[0]) < MATCHED_WORDS):
        return None
    return holding[0]


def denies(text: str) -> bool:
    """Whether an answer says itself that the passages don't hold it."""
    return _DENIAL.search(text) is not None


def _is_distinctive(name: str) -> bool:
    return len(name) >= 5 or any(not character.isalnum() for character in name)


def _names_symbol(names: Sequence[str], evidence: Evidence) -> bool:
    last = _IDENTIFIER.findall(evidence.symbol)[-1:]
    return any(_IDENTIFIER.findall(name)[-1:] == last for name in names) and bool(last)


def _shared_words(prose: str, evidence: Evidence) -> float:
    """The part of the sentence's longer words whose first five letters begin some word of the passage."""
    words = {word[:5] for word in _WORD.findall(_CODE_SPAN.sub(" ", prose).lower())}
    there = {word[:5] for word in _WORD.findall(f"{evidence.symbol} {evidence.text}".lower())}
    return len(words & there) / len(words) if words else 0.0
