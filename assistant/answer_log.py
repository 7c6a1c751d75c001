"""What answering gets: a job to do, and a log to write into.

`answer_question(job, log)` (assistant/answering.py) knows nothing of leases, transactions or sockets. It appends to an
`AnswerLog`, which collects in memory; the answerer's writer takes what has come about every 50 ms and writes it for good.
So appending never waits for the database, and an AnswerLog works alone, without a writer, in a test.

Whether the answer should stop is told through the log: once the reader pressed Stop or another worker took the answer
over, every method raises AnswerCancelled or LeaseLost, and the task itself is cancelled, so that a task that waits for the
model hears of it too. Free what you hold in `finally`; write nothing more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from assistant.code_names import Evidence
from assistant.errors import AssistantError
from assistant.events import FINAL_KINDS, KINDS, AnswerSoFar, storable
from assistant.fence import new_mark
from indexer.types import NO_FILTERS, Cited, Filters, Passage


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier question of the conversation, and what was answered. route: "code", "general" or "search".

    cited: what the answer cited, in the order of its text; known of the last turn only.
    """

    question: str
    answer_text: str
    route: str
    cited: tuple[Cited, ...] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """A passage as the last prompt of the conversation had it."""

    passage: Passage
    evidence: Evidence

    @classmethod
    def all_in(cls, told: Mapping[str, Any]) -> tuple[Shown, ...]:
        """Those of a `passages` entry, in the order of the prompt."""
        packed = [one for one in told["passages"] if one["state"] == "packed" and one.get("place")]
        return tuple(cls._of(one) for one in sorted(packed, key=lambda one: int(one["place"])))

    @classmethod
    def _of(cls, told: Mapping[str, Any]) -> Shown:
        lines = told["path"], told["start_line"], told["end_line"]
        path, start, end = lines
        passage = Passage(
            0, path, told["blob"], start, end, told["symbol"], told["kind"], told["language"], told["text"], told["score"], ()
        )
        return cls(passage, Evidence(told["number"], *lines, told["symbol"], told["text"]))


@dataclass(frozen=True, slots=True)
class AnswerJob:
    """One question to answer, tied to one snapshot.

    history: the finished turns before this one, oldest first. requested_route: "auto", "code", "general" or "search".
    requested_model: "" or a model's name. attempt: 1, or more when a worker before this one was lost. filters: what the search
    keeps to. shown: what the last prompt showed of the same snapshot, in its order. fence_mark: the conversation's.
    """

    answer_id: UUID
    question: str
    history: tuple[Turn, ...]
    requested_route: str
    requested_model: str
    repository: str
    snapshot_id: UUID
    snapshot_dir: Path
    commit: str
    ref: str
    dirty: bool
    attempt: int
    filters: Filters = NO_FILTERS
    shown: tuple[Shown, ...] = ()
    fence_mark: str = field(default_factory=new_mark)


class AnswerLog:
    """Collects the entries of one answer, in order. Neighbouring deltas become one entry.

    Not for use from another thread than the event loop's.
    """

    def __init__(self, *, paced: bool = False) -> None:
        """paced: there is a writer, which calls `wake`."""
        self._paced = paced
        self._woken = asyncio.Event()
        self._told = AnswerSoFar()
        self._pending: list[tuple[str, dict[str, Any]]] = []
        self._bodies: dict[str, bytes] = {}
        self._stopped_by: AssistantError | None = None

    @property
    def text(self) -> str:
        """The text so far. Citations count code points of this."""
        return self._told.text

    @property
    def finished(self) -> str:
        """The kind of the final entry, or "" while there is none."""
        return self._told.finished

    async def append(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Add an entry: a kind and payload of docs/protocol.md.

        Characters that no database keeps (NUL, lone surrogates) become U+FFFD, one for one. ValueError or TypeError when
        the payload isn't JSON or the log has already ended; AnswerCancelled and LeaseLost as the module says.
        """
        await self.check()
        self.add(kind, payload)

    async def delta(self, text: str) -> None:
        """Add to the text."""
        await self.check()
        if text:
            self.add("delta", {"text": text})

    async def prompt(self, payload: Mapping[str, Any], body: bytes) -> None:
        """Add a `prompt` entry, and keep what it tells by the hash: the body of the request that is about to be sent."""
        await self.append("prompt", payload)
        self._bodies[payload["sha256"]] = body

    async def rest(self) -> None:
        """Until the writer is about to write this log. Worth a call after a piece of text, before the next is read: what a read
        costs hardly depends on how much it brings, and nobody sees a text before it is written."""
        if self._paced:
            self._woken.clear()
            await self._woken.wait()

    async def check(self) -> None:
        """Raise AnswerCancelled or LeaseLost when this answer should stop. Worth a call before anything that takes long."""
        if self._stopped_by is not None:
            raise self._stopped_by

    # --- the answerer's side ---

    @property
    def told(self) -> AnswerSoFar:
        return self._told

    @property
    def stopped_by(self) -> AssistantError | None:
        return self._stopped_by

    def stop(self, reason: AssistantError) -> None:
        """From now on every method for answering raises `reason`. The first reason stays."""
        self._stopped_by = self._stopped_by or reason

    def wake(self) -> None:
        """End the task's `rest`: a write comes."""
        self._woken.set()

    def add(self, kind: str, payload: Mapping[str, Any]) -> None:
        """`append` without asking whether the answer should stop."""
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is no kind of event")
        if self._told.finished:
            raise ValueError(f"the log has ended with {self._told.finished!r}, {kind!r} can't follow")
        clean = storable(payload)
        self._told.apply(kind, clean)
        if kind == "delta" and self._pending and self._pending[-1][0] == "delta":
            clean = {"text": self._pending.pop()[1]["text"] + clean["text"]}
        self._pending.append((kind, clean))

    def take(self) -> list[tuple[str, dict[str, Any]]]:
        """The entries that no one has taken yet."""
        taken, self._pending = self._pending, []
        return taken

    def take_bodies(self) -> dict[str, bytes]:
        """By hash: the bodies of the `prompt` entries that no one has taken yet."""
        taken, self._bodies = self._bodies, {}
        return taken

    @property
    def has_pending(self) -> bool:
        return bool(self._pending)

    @property
    def has_ended(self) -> bool:
        return self._told.finished in FINAL_KINDS
