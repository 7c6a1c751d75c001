"""What the models were sent: the only door through which SentPrompts are written and read.

A `prompt` event tells the hash of each request in the order in which they were sent; here is the body that the hash is of, once
for each answer however often it was sent. Both are written in one transaction, and only by the worker that holds the answer.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from assistant.models import Answer, SentPrompt


@dataclass(frozen=True, slots=True)
class Sent:
    """One request.

    number: 1 for the answer's first. told: the payload of its `prompt` event. void: nothing of the answer came of it, since a
    later one took its place. body: None where it isn't kept.
    """

    number: int
    told: Mapping[str, Any]
    sent_at: datetime
    void: bool
    body: bytes | None

    @property
    def messages(self) -> list[dict[str, str]]:
        """Each with its `role` and `content`. Empty where the body isn't kept."""
        return json.loads(self.body)["messages"] if self.body is not None else []

    @property
    def is_whole(self) -> bool:
        """Whether the body still has the hash that the log tells."""
        return self.body is not None and hashlib.sha256(self.body).hexdigest() == self.told["sha256"]


def compressed(bodies: Mapping[str, bytes]) -> dict[str, bytes]:
    """Before the transaction: a long prompt takes some milliseconds."""
    return {sha256: zlib.compress(body) for sha256, body in bodies.items()}


def write(bodies: Mapping[UUID, Mapping[str, bytes]]) -> None:
    """Insert the compressed bodies of any number of answers, by their hashes; those that are there already stay."""
    rows = [
        SentPrompt(answer_id=answer, sha256=sha256, body=body)
        for answer, by_hash in bodies.items()
        for sha256, body in by_hash.items()
    ]
    if rows:
        SentPrompt.objects.bulk_create(rows, ignore_conflicts=True)


def sent_for(answer: Answer) -> list[Sent]:
    """What models were sent for `answer`, in that order; empty where none was asked."""
    bodies = {row.sha256: zlib.decompress(row.body) for row in SentPrompt.objects.filter(answer=answer)}
    told = [*answer.events.filter(kind__in=("prompt", "reset")).order_by("seq")]
    last = told[-1].seq if told else 0
    prompts = [event for event in told if event.kind == "prompt"]
    return [
        Sent(number, event.payload, event.created_at, event.seq != last, bodies.get(event.payload["sha256"]))
        for number, event in enumerate(prompts, start=1)
    ]
