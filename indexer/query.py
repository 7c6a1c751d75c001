"""What a question asks for, before anything is looked up.

A query has content words (what is left without function words), the names it mentions (`Session.request`, `HttpClient`,
`read_timeout()`), and the paths it mentions (`src/app.py:12`). A single name, or names alone, is a symbol query.

A follow-up ("and where is it closed?") says little by itself. It is one when it has at most two content words and mentions no
name or path, or when it points back ("it", "that", "there") with at most five; then the terms and names of the question
before it join at a lower weight, and through that question, if it was a follow-up too, those of the one before at a lower one
still. What it points at ("that function", "this file") is found by the search among what the last answer cited.

What a question is decides how it is searched (`Kind`): a pasted stack trace by its frames, an error by its message, `/…/` as a
regular expression, "who calls X" by references, a name by definitions, everything else by its words and their meaning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from indexer import natural_language
from indexer.pattern import Pattern, read_pattern
from indexer.stack_trace import Trace, read_exception, read_trace
from indexer.tokens import identifier_terms, is_stop_word, word_set, word_stems

# A pasted stack trace can be of any length: the first ones say what it is about.
MOST_WORDS = 400
BORROWED_WEIGHT = 0.4

Kind = Literal["plain", "symbol", "path", "overview", "trace", "error", "regex", "references"]
# What a follow-up points at: something, a file, or nothing in particular.
Pointed = Literal["", "definition", "file"]
# A name in a sentence is surer when it is written as code.
_SURE, _LIKELY, _PERHAPS = 1.0, 0.5, 0.35

_WORD = re.compile(r"\w+")
_QUALIFIER = re.compile(r"\.|::|#|->|\\")
_NAME = re.compile(r"[^\W\d]\w*(?:(?:\.|::|#|->|\\)[^\W\d]\w*)*(?:[!?](?=\s|$)|'+(?!\w)|\(\))?")
_PATH = re.compile(
    r"(?<![\w/.:-])((?:[\w@+.-]+/)+[\w@+.-]*\w|[\w@+-][\w@+.-]*\.[A-Za-z]\w{0,9})(?::(\d{1,7}))?(?:[:-]\d{1,7})?(?![\w/])"
)
_QUOTED = re.compile(r"`([^`\n]{1,200})`")
_CAMEL = re.compile(r"[a-z0-9][A-Z]|[A-Z]{2,}[a-z]")
_POINTS_BACK = word_set("it its this that these those they them their there same above previous former latter one ones")
_MOST_IN_BARE, _MOST_IN_POINTING = 2, 5
_POINTS_AT = re.compile(
    r"\b(?:this|that|the same|said)\s+(?P<what>file|module|function|method|class|type|struct|interface|macro|code|one)\b"
    r"|\b(?P<it>it|its|itself|this|that)\b",
    re.IGNORECASE,
)
_PIN = re.compile(r"(?<![\w@./`])@(?P<text>[\w.+-]*\w(?:(?:/|::|#|->|\\)[\w.+-]*\w)*/?)(?::(?P<line>\d{1,7}))?(?:-\d{1,7})?")
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_SUBJECT = (
    r"(?:the |a |an )?(?:function |method |class |type |macro )?"
    r"`?(?P<name>[^\W\d]\w*(?:(?:\.|::|#|->)[^\W\d]\w*)*'*)(?:\(\))?`?"
)
_USES = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        r"^\W*(?:who|what|which \w+)(?: else)? (?:calls?|uses?|invokes?|references|imports?|subclass(?:es)?|inherits? from"
        rf"|extends?|depends? on) {_SUBJECT}\W*$",
        r"^\W*(?:list |show |find |give )?(?:me )?(?:all |the |every )*"
        rf"(?:callers?|usages?|uses|references|call sites|subclasses) (?:of|to|for) {_SUBJECT}\W*$",
        rf"^\W*where(?: else)? (?:is|are|do we|does it) {_SUBJECT} (?:ever |actually |being )?"
        r"(?:used|called|invoked|referenced|imported|instantiated|subclassed)(?: from)?(?:,? and why)?\W*$",
    )
)
_ERROR_QUOTED = re.compile(r"[\"“](?P<message>[^\"“”\n]{8,300})[\"”]")
_SAYS_ERROR = re.compile(
    r"\b(?:errors?|messages?|warnings?|exceptions?|fails?|raises?d?|throws?|thrown|says|prints?|logs?)\b", re.IGNORECASE
)
_ERROR_PREFIX = re.compile(r"^\W*(?:error|fatal|warning|panic|e)\b\s*:\s*(?P<message>\S.*)$", re.IGNORECASE | re.MULTILINE)
_ASKS = re.compile(
    r"^\W*(?:how|what|where|why|who|which|when|does|do|is|are|can|should|explain|show|find|list|describe)\b|\?", re.IGNORECASE
)
# A text of at least so many words, function words among them, may be a message that somebody has copied.
_SHORTEST_MESSAGE = 4
_LONGEST_MESSAGE = 40
# With nothing else in it, a question asks what the repository is.
_ABOUT_THE_WHOLE = word_set(
    "project library package program application app tool code purpose overview architecture structure summary readme main "
    "software"
)


@dataclass(frozen=True, slots=True)
class Name:
    """A symbol that the question mentions: its last part, what qualifies it ("Session" of Session.request, or ""), and how
    surely it is meant as a name (0 to 1)."""

    text: str
    qualifier: str
    weight: float


@dataclass(frozen=True, slots=True)
class PathHint:
    """A path or file name in the question, and the line it names (0 for none)."""

    path: str
    line: int


@dataclass(frozen=True, slots=True)
class Pin:
    """`@text` in a question, and the line after it (0 for none)."""

    text: str
    line: int = 0


@dataclass(frozen=True, slots=True)
class Query:
    """terms: the index terms to look up, with their weights (1, or less when borrowed from an earlier question).

    stems: the stemmed parts among them, without the wholes of identifiers. words: the content words as they were written.
    gist: what vectors are asked for. language: the natural language's code, or "" for English. message: a text that may stand
    in the code as a string. subject: what is asked for the uses of. points_at: what a follow-up means by "that file" or "it".
    """

    text: str
    words: tuple[str, ...]
    terms: Mapping[str, float]
    stems: Mapping[str, float]
    names: tuple[Name, ...] = ()
    paths: tuple[PathHint, ...] = ()
    is_symbol: bool = False
    is_overview: bool = False
    borrowed_from: str = ""
    kind: Kind = "plain"
    gist: str = ""
    language: str = ""
    pattern: Pattern | None = None
    trace: Trace | None = None
    message: str = ""
    subject: Name | None = None
    pins: tuple[Pin, ...] = ()
    points_at: Pointed = ""


def analyse(text: str, history: Sequence[str] = ()) -> Query:
    """Read a question; `history` holds the earlier ones of the conversation, newest last."""
    query = _read(text)
    if not history or not _is_follow_up(query):
        return query
    earlier = analyse(history[-1], history[:-1])
    return _borrow(query, earlier) if earlier.terms else query


def _read(text: str) -> Query:
    pins, unpinned = _pins(text)
    if (pattern := read_pattern(unpinned)) is not None:
        return Query(text, (), {}, {}, kind="regex", pattern=pattern, pins=pins)
    if (trace := read_trace(unpinned)) is not None:
        return replace(_read_trace(text, trace), pins=pins)
    query = _read_words(unpinned)
    kind, message = _kind(query, unpinned)
    found = replace(query, text=text, kind=kind, message=message, pins=pins)
    return replace(found, kind="references", subject=subject) if (subject := _subject(unpinned)) is not None else found


def _read_words(text: str) -> Query:
    written = _WORD.findall(text)[:MOST_WORDS]
    language = natural_language.language_of(written)
    names = tuple(name for name in _names(text) if not language or name.text.isascii())
    is_name = _is_a_name(text) and not language
    spoken = natural_language.content_words(written, language) if language else written
    words = tuple(dict.fromkeys(word for word in spoken if _is_content(word)))
    # A function word alone can only be meant as a name.
    looked_up = words or (tuple(written) if len(written) == 1 else ())
    stems = dict.fromkeys((stem for word in looked_up for stem in word_stems(word)), 1.0)
    return Query(
        text=text,
        words=words,
        terms=MappingProxyType(dict.fromkeys((term for word in looked_up for term in identifier_terms(word)), 1.0)),
        stems=MappingProxyType(stems),
        names=names,
        paths=tuple(PathHint(path, int(line or 0)) for path, line in _PATH.findall(text[:20_000])[:8]),
        is_symbol=is_name or (len(words) <= 2 and any(name.weight == _SURE for name in names)),
        is_overview=len(written) > 1 and all(word.lower() in _ABOUT_THE_WHOLE for word in words) and not language,
        gist=text,
        language=language,
    )


def _read_trace(text: str, trace: Trace) -> Query:
    """The words of a trace are the exception's, its message's and those that somebody wrote around it."""
    gist = "\n".join(part for part in (trace.prose, trace.exception, trace.message) if part)
    query = _read_words(gist)
    functions = [re.findall(r"[^\W\d]\w*", frame.function) for frame in trace.frames]
    called = [Name(parts[-1], "", _PERHAPS) for parts in functions if parts and parts[-1] not in ("module", "anonymous")]
    names = dict.fromkeys((*query.names, *called[:8]))
    return replace(
        query,
        text=text,
        names=tuple(names),
        paths=(),
        kind="trace",
        is_symbol=False,
        is_overview=False,
        trace=trace,
        message=trace.message,
        gist=gist,
    )


def _pins(text: str) -> tuple[tuple[Pin, ...], str]:
    """The pins, and the text without their marks and without their paths, which say what is meant and not what is asked."""
    code = [match.span() for match in _CODE.finditer(text)]
    pins: dict[Pin, None] = {}

    def take(found: re.Match[str]) -> str:
        if any(start <= found.start() < end for start, end in code) or read_pattern(text):
            return found[0]
        pins[Pin(found["text"], int(found["line"] or 0))] = None
        return "" if "/" in found["text"] or found["line"] else found["text"]

    unpinned = _PIN.sub(take, text[:20_000]) + text[20_000:] if "@" in text else text
    return tuple(pins)[:8], unpinned


def _kind(query: Query, text: str) -> tuple[Kind, str]:
    """What a question without a trace is, and the message in it, if there may be one."""
    exception, message = read_exception(text)
    if exception and message:
        return "error", message
    if found := _ERROR_PREFIX.search(text):
        return "error", found["message"]
    if (found := _ERROR_QUOTED.search(text)) and len(found["message"].split()) > 2 and _SAYS_ERROR.search(text):
        return "error", found["message"]
    if query.is_overview:
        return "overview", ""
    if query.is_symbol:
        return "symbol", ""
    if query.paths and len(query.words) - sum(len(_WORD.findall(hint.path)) for hint in query.paths) <= 1:
        return "path", ""
    spoken = text.split()
    copied = _SHORTEST_MESSAGE <= len(spoken) <= _LONGEST_MESSAGE and not _ASKS.search(text)
    return "plain", text.strip() if copied or found else ""


def _subject(text: str) -> Name | None:
    """What a question asks for the uses of; a Name without text where it says "it"."""
    for form in _USES:
        if found := form.match(text.strip()):
            name = _name(found["name"], _SURE)
            return Name("", "", _SURE) if name.text.lower() in _POINTS_BACK else name
    return None


def _is_content(word: str) -> bool:
    """Words that name something: no function words, no single letters, but single characters of other scripts."""
    if not any(letter.isalnum() for letter in word):
        return False
    if len(word) == 1 and word.isascii():
        return word.isdigit()
    return not is_stop_word(word)


def _is_a_name(text: str) -> bool:
    """Whether a question is a single name and nothing else ("why?" is none)."""
    bare = _bare(text)
    return bool(_NAME.fullmatch(bare)) and not (bare.endswith("?") and is_stop_word(bare[:-1]))


def _bare(text: str) -> str:
    return text.strip().strip("`")


def _names(text: str) -> tuple[Name, ...]:
    if _is_a_name(text):
        return (_name(_bare(text), _SURE),)
    found: dict[tuple[str, str], Name] = {}
    quoted = {match.strip() for match in _QUOTED.findall(text)}
    for position, match in enumerate(_NAME.finditer(text[:20_000])):
        # Outside of code a word's prime is a quotation mark.
        written = match.group() if match.group() in quoted else match.group().rstrip("'")
        weight = _SURE if written in quoted else _weight_in_prose(written, position)
        if weight and len(found) < 16:
            name = _name(written, weight)
            found.setdefault((name.text, name.qualifier), name)
    return tuple(found.values())


def _weight_in_prose(written: str, position: int) -> float:
    """How surely a word of a sentence is a name: 0 for a plain word."""
    if written.endswith("()") or "::" in written or "->" in written or "_" in written.strip("_"):
        return _LIKELY
    bare = written.rstrip("!?")
    if _QUALIFIER.search(bare):
        return _LIKELY if not re.search(r"\.(?:com|org|net|io|dev)$", bare) else 0.0
    if _CAMEL.search(bare):
        return _LIKELY
    if bare[:1].isupper() and len(bare) > 2 and position > 0 and not is_stop_word(bare):
        return _PERHAPS
    return 0.0


def with_pins(query: Query, pins: Sequence[str]) -> Query:
    """The query with pins that it doesn't name itself: "src/app.py", "Session.request"."""
    kept, _ = _pins(" ".join(f"@{pin}" for pin in pins))
    return replace(query, pins=tuple(dict.fromkeys((*query.pins, *kept))))


def name_in(text: str) -> Name:
    """A name that somebody gave as such: "Session.request", "std::move" or "run()"."""
    return _name(text.strip(), _SURE)


def _name(written: str, weight: float) -> Name:
    *qualifiers, last = _QUALIFIER.split(written.removesuffix("()"))
    return Name(last, ".".join(qualifiers), weight)


def _is_follow_up(query: Query) -> bool:
    if query.kind in ("regex", "trace", "error") or query.pins:
        return False
    if query.subject is not None:
        return not query.subject.text
    if any(name.weight >= _LIKELY for name in query.names) or query.paths:
        return False
    points_back = any(word.lower() in _POINTS_BACK for word in _WORD.findall(query.text)[:MOST_WORDS])
    return len(query.words) <= (_MOST_IN_POINTING if points_back else _MOST_IN_BARE)


def _borrow(query: Query, earlier: Query) -> Query:
    def joined(own: Mapping[str, float], others: Mapping[str, float]) -> Mapping[str, float]:
        borrowed = {term: weight * BORROWED_WEIGHT for term, weight in others.items() if term not in own}
        return MappingProxyType({**own, **borrowed})

    names = tuple(replace(name, weight=name.weight * BORROWED_WEIGHT) for name in earlier.names)
    return replace(
        query,
        terms=joined(query.terms, earlier.terms),
        stems=joined(query.stems, earlier.stems),
        names=query.names + names,
        is_overview=False,
        kind="plain" if query.kind == "overview" else query.kind,
        borrowed_from=earlier.text,
        gist=f"{earlier.gist}\n{query.gist}",
        points_at=_points_at(query.text),
    )


def _points_at(text: str) -> Pointed:
    found = _POINTS_AT.search(text)
    if found is None:
        return ""
    return "file" if (found["what"] or "").lower() in ("file", "module") else "definition"


def is_identifier(word: str) -> bool:
    """Whether a word is written as only code writes names, so that its parts alone don't count as found."""
    return "_" in word.strip("_") or bool(_CAMEL.search(word))
