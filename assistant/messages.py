"""What a page may send over the WebSocket, read strictly: unknown types and fields are refused, not ignored.

docs/protocol.md has the table. Everything beyond this module gets one of the four frozen values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from assistant.errors import BadRequest
from assistant.events import storable
from assistant.models import Answer
from indexer.types import NO_FILTERS, Filters

QUESTION_LIMIT = 20_000
"""Characters: about 5,000 tokens, more than any of the supported models leaves for a question."""

LONGEST_FOLDER = 500
MOST_LANGUAGES = 20
MOST_PINS = 8


@dataclass(frozen=True, slots=True)
class Ask:
    """conversation None: begin one, on the repository of that name."""

    answer: UUID
    question: str
    conversation: UUID | None = None
    repository: str = ""
    route: str = "auto"
    model: str = ""
    filters: Filters = NO_FILTERS


@dataclass(frozen=True, slots=True)
class Retry:
    """route and model None: as the first time."""

    answer: UUID
    of: UUID
    route: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Open:
    conversation: UUID
    seen: Mapping[UUID, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stop:
    answer: UUID


Message = Ask | Retry | Open | Stop


def parse(sent: Any) -> Message:
    """The message that `sent` (decoded JSON) is. BadRequest says in one sentence what is wrong with it."""
    if not isinstance(sent, dict):
        raise BadRequest("A message must be a JSON object.")
    kind = sent.get("type")
    if not isinstance(kind, str) or kind not in _SHAPES:
        raise BadRequest(f"There is no message of type {_quoted(kind)}.")
    shape, readers, required = _SHAPES[kind]
    fields = {name: value for name, value in sent.items() if name != "type"}
    if unknown := sorted(fields.keys() - readers.keys()):
        raise BadRequest(f"A message of type {kind!r} has no field {_quoted(unknown[0])}.")
    if missing := sorted(required - fields.keys()):
        raise BadRequest(f"A message of type {kind!r} needs the field {missing[0]!r}.")
    return shape(**{name: readers[name](name, value) for name, value in fields.items()})


def _quoted(value: Any) -> str:
    """`value` as Python writes it, cut to what fits a sentence."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def answer_id(sent: Any) -> str | None:
    """The answer that a message is about, if it tells one: for the `error` that refuses it."""
    answer = sent.get("answer") if isinstance(sent, dict) else None
    return answer if isinstance(answer, str) and len(answer) <= 36 else None


def _uuid(name: str, value: Any) -> UUID:
    try:
        return UUID(value)
    except (ValueError, TypeError, AttributeError):
        raise BadRequest(f"{name!r} must be a UUID.") from None


def _uuid_or_none(name: str, value: Any) -> UUID | None:
    return None if value is None else _uuid(name, value)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise BadRequest(f"{name!r} must be text.")
    text: str = storable(value)
    return text.strip()


def _name(name: str, value: Any) -> str:
    """Text that fits a column, or "" for null."""
    text = "" if value is None else _text(name, value)
    if len(text) > 100:
        raise BadRequest(f"{name!r} is longer than 100 characters.")
    return text


def _question(name: str, value: Any) -> str:
    text = _text(name, value)
    if not text:
        raise BadRequest("The question is empty.")
    if len(text) > QUESTION_LIMIT:
        raise BadRequest(f"The question is longer than {QUESTION_LIMIT:,} characters.")
    return text


def _route(name: str, value: Any) -> str:
    if value not in Answer.Route.values:
        raise BadRequest(f"{name!r} must be one of {', '.join(Answer.Route.values)}.")
    return str(value)


def _filters(name: str, value: Any) -> Filters:
    """A folder (text), languages (a list of names), tests (true or false) and pins (a list of what would follow an "@"), each
    optional."""
    if value is None:
        return Filters()
    if not isinstance(value, dict) or value.keys() - {"folder", "languages", "tests", "pins"}:
        raise BadRequest(f"{name!r} must be an object with 'folder', 'languages', 'tests' and 'pins'.")
    languages, tests = value.get("languages", []), value.get("tests", True)
    if not isinstance(languages, list) or len(languages) > MOST_LANGUAGES or not isinstance(tests, bool):
        raise BadRequest(f"{name!r} needs a list of at most {MOST_LANGUAGES} 'languages', and 'tests' true or false.")
    folder = _text("folder", value.get("folder", ""))
    if len(folder) > LONGEST_FOLDER:
        raise BadRequest(f"'folder' is longer than {LONGEST_FOLDER} characters.")
    return Filters(folder, tuple(_name("languages", language) for language in languages), tests, _pins(value.get("pins", [])))


def _pins(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MOST_PINS:
        raise BadRequest(f"'pins' must be a list of at most {MOST_PINS}.")
    pins = tuple(_text("pins", pin) for pin in value)
    if any(not pin or len(pin) > LONGEST_FOLDER or len(pin.split()) > 1 for pin in pins):
        raise BadRequest(f"Each of 'pins' must be one word of at most {LONGEST_FOLDER} characters.")
    return pins


def _seen(name: str, value: Any) -> dict[UUID, int]:
    if not isinstance(value, dict):
        raise BadRequest(f"{name!r} must be an object.")
    seen = {}
    for answer, seq in value.items():
        if not isinstance(seq, int) or isinstance(seq, bool) or seq < 0:
            raise BadRequest(f"{name!r} must give a number for each answer.")
        seen[_uuid("seen", answer)] = seq
    return seen


Reader = Callable[[str, Any], Any]
_SHAPES: dict[str, tuple[type[Message], dict[str, Reader], set[str]]] = {
    "ask": (
        Ask,
        {
            "answer": _uuid,
            "conversation": _uuid_or_none,
            "repository": _name,
            "question": _question,
            "route": _route,
            "model": _name,
            "filters": _filters,
        },
        {"answer", "question"},
    ),
    "retry": (Retry, {"answer": _uuid, "of": _uuid, "route": _route, "model": _name}, {"answer", "of"}),
    "open": (Open, {"conversation": _uuid, "seen": _seen}, {"conversation"}),
    "stop": (Stop, {"answer": _uuid}, {"answer"}),
}
