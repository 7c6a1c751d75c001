"""The log of an answer: the only door through which AnswerEvents are written and read.

Invariants, which tests hold on SQLite and on PostgreSQL:

* `seq` counts 1, 2, 3, … within one answer. It is taken from `Answer.last_seq` in the transaction that writes the events,
  and the unique constraint on (answer, seq) is the guard behind that.
* Nothing follows a final event, and a final event, the columns read from the log (`text`, `route`, `model`) and the
  AnswerCitation rows are written in one transaction.
* Whoever reads the events in order, from any point and over any number of reconnects, gets what `AnswerSoFar` gets.
* What moderation withdrew is in no event any more once the refusal is.

Why not append from wherever something happens: one writer a worker (assistant/answerer.py) puts the events of all its
answers into one transaction about every 50 ms, and renews their leases in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from assistant.models import Answer, AnswerCitation, AnswerEvent

FINAL_KINDS = frozenset({"completed", "failed", "cancelled"})
KINDS = frozenset(AnswerEvent.Kind.values)
_WRITTEN = frozenset({"delta", "citation", "place"})


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a log, as it travels: `payload` is JSON (docs/protocol.md lists the kinds)."""

    answer: UUID
    seq: int
    kind: str
    payload: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The `event` message of the protocol."""
        return {"type": "event", "answer": str(self.answer), "seq": self.seq, "kind": self.kind, "payload": self.payload}

    def message(self) -> str:
        return as_sent(self.as_json())


def as_sent(message: Mapping[str, Any]) -> str:
    """A message of docs/protocol.md as it goes over the WebSocket."""
    return json.dumps(message, separators=(",", ":"))


class AnswerSoFar:
    """What a log amounts to: the text since the last reset, which a refusal withdraws, the citations, the route and the model.

    Apply events in order. `finished` is the final event's kind, or "". withdrawn: by a refusal.
    """

    def __init__(self) -> None:
        self.finished = ""
        self.withdrawn = False
        self.resets = 0
        self._forget()

    def _forget(self) -> None:
        self.route = ""
        self.model = ""
        self.commit = ""
        self._parts: list[str] = []
        self._blobs: dict[int, str] = {}
        self._citations: dict[tuple[int, int], dict[str, Any]] = {}

    @property
    def text(self) -> str:
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        return self._parts[0] if self._parts else ""

    def apply(self, kind: str, payload: Mapping[str, Any]) -> None:
        if kind == "delta":
            self._parts.append(payload["text"])
        elif kind == "citation":
            self._citations[payload["start"], payload["number"]] = dict(payload)
        elif kind == "route":
            self.route, self.model = payload["route"], payload.get("model") or ""
        elif kind == "passages":
            self.commit = payload.get("commit") or ""
            self._blobs = {p["number"]: p["blob"] for p in payload["passages"] if p.get("number")}
        elif kind == "reset":
            self._forget()
            self.resets += 1
        elif kind in FINAL_KINDS:
            self.finished = kind
            self.model = payload.get("model") or self.model
            if payload.get("code") == "refused":
                self.withdrawn = True
                self._parts, self._citations = [], {}

    def citations(self, answer: UUID) -> list[AnswerCitation]:
        """Unsaved rows, one a citation, in the order of the text."""
        return [
            AnswerCitation(
                answer_id=answer,
                start=start,
                number=number,
                path=told["path"],
                start_line=told["start_line"],
                end_line=told["end_line"],
                commit=self.commit,
                blob=self._blobs.get(number, ""),
                verified=told["state"] == "verified",
                reason=(told.get("reason") or "")[:500],
            )
            for (start, number), told in sorted(self._citations.items())
        ]


def so_far(events: Iterable[Event]) -> AnswerSoFar:
    """The fold of `events`, which must be in order."""
    answer = AnswerSoFar()
    for event in events:
        answer.apply(event.kind, event.payload)
    return answer


def storable(value: Any) -> Any:
    """`value` with every character that a database refuses (NUL, lone surrogates) replaced by U+FFFD, one for one; itself where
    there is none. ValueError or TypeError when it isn't JSON.

    One for one, because citations count code points of the text.
    """
    written = json.dumps(value, allow_nan=False, ensure_ascii=False)
    try:
        written.encode()
    except UnicodeEncodeError:
        return _cleaned(value)
    return _cleaned(value) if "\\u0000" in written else value


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return _storable_text(value)
    if isinstance(value, Mapping):
        return {_storable_text(str(key)): _cleaned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(item) for item in value]
    return value


def _storable_text(text: str) -> str:
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        text = "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)
    return text


def append(answer: Answer, entries: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Event]:
    """Write `entries` (kind, payload) after the answer's last event. Only inside a transaction that holds the answer's row.

    The caller's row must have been locked (select_for_update, or SQLite's IMMEDIATE transaction): `answer.last_seq` is
    trusted, and moved. A final event also writes the answer's text, state and citations, and gives up the lease.
    """
    events = number(answer.pk, answer.last_seq, entries)
    write(events)
    answer.last_seq += len(events)
    answer.save(update_fields=["last_seq"])
    if events and events[-1].kind in FINAL_KINDS:
        finish(answer, so_far(after({answer.pk: 0})))
    return events


def number(answer: UUID, last_seq: int, entries: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Event]:
    """`entries` as the events that follow `last_seq`."""
    return [Event(answer, last_seq + i, kind, storable(payload)) for i, (kind, payload) in enumerate(entries, start=1)]


def write(events: Iterable[Event]) -> None:
    """Insert `events` of any number of answers with one statement. IntegrityError where a seq is taken."""
    AnswerEvent.objects.bulk_create(
        AnswerEvent(answer_id=event.answer, seq=event.seq, kind=event.kind, payload=event.payload) for event in events
    )


def finish(answer: Answer, told: AnswerSoFar) -> None:
    """Close the answer: its columns and citations as `told` by its log, which has just ended. In the same transaction."""
    answer.state = told.finished
    answer.text, answer.route, answer.model = told.text, told.route, told.model[:200]
    answer.finished_at = timezone.now()
    answer.lease_token = answer.leased_until = None
    answer.save(update_fields=["state", "text", "route", "model", "finished_at", "lease_token", "leased_until"])
    AnswerCitation.objects.filter(answer=answer).delete()
    AnswerCitation.objects.bulk_create(told.citations(answer.pk))
    if told.withdrawn:
        # Emptied, not deleted: numbers have no gaps.
        AnswerEvent.objects.filter(answer=answer, kind__in=_WRITTEN).update(kind="delta", payload={"text": ""})


def after(seen: Mapping[UUID, int], limit: int | None = None) -> list[Event]:
    """The events that follow the given seq of each answer, answer by answer, each in order; at most `limit` of them."""
    if not seen:
        return []
    wanted = Q()
    for answer, seq in seen.items():
        wanted |= Q(answer_id=answer, seq__gt=seq)
    rows = AnswerEvent.objects.filter(wanted).order_by("answer_id", "seq").values_list("answer_id", "seq", "kind", "payload")
    return [Event(*row) for row in rows[:limit]]
