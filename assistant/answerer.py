"""The worker that writes answers: claims what waits, runs `answer_question` for hundreds at once, writes their logs.

Three loops on one event loop, and one thread for the database:

* the claimer takes queued answers, and those whose worker was lost, as long as there is room;
* each answer runs in a task of its own, which only appends to its AnswerLog;
* the writer takes what the logs have got, every `WRITE_EVERY_S`, and writes it in one transaction, which also renews the
  leases and tells which answers are lost or asked to stop; of the others it asks now and then. A crowd takes turns, so that
  nobody's text waits until everybody's has been read and written. Right before its turn an answer is woken to read what its
  model server has sent meanwhile.

A lost or stopped answer's task is cancelled, so that it hears of it wherever it waits; its log raises besides. An answer
that is lost writes nothing more. A database that doesn't answer delays all this, and the logs collect meanwhile; leases may
run out then, and another worker (or this one) starts those answers again.

Why no thread or process an answer: they wait for a model server nearly all the time.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError, connection

from assistant import leases
from assistant.answer_log import AnswerJob, AnswerLog
from assistant.errors import AnswerCancelled, AssistantError, LeaseLost, ModelError, ModerationFailed, Refused
from assistant.events import FINAL_KINDS
from assistant.leases import Claim, Work, Written
from assistant.notices import Announcer
from indexer.errors import IndexerError

logger = logging.getLogger(__name__)

T = TypeVar("T")
AnswerQuestion = Callable[[AnswerJob, AnswerLog], Awaitable[None]]

CLAIM_EVERY_S = 0.1
SHORTEST_PAUSE_S = 0.005
WRITE_EVERY_S = 0.05
"""Twenty writes a second read as a steady stream, and keep one SQLite writer far from busy."""
WRITTEN_TOGETHER = 40
"""With more answers than that each write is for some of them, and each answer is written somewhat less often."""
LOOK_EVERY_S = 0.2
"""How soon a Stop is noticed by an answer without a token to write."""
CLOSE_WITHIN_S = 2.0
"""What the answers have to close their connections to the model when the worker leaves."""
DATABASE_PAUSE_S = 1.0
CLAIMS_AT_ONCE = 20
"""So that claiming a crowd doesn't keep the writer from its turn."""

UNAVAILABLE = (OperationalError, InterfaceError)

FAILURES = frozenset({"unreachable", "loading", "rejected", "overflow", "timeout", "broken_stream"})
INTERNAL = "Sextant failed on its own side: try again; the answerer's log tells more."

Entry = tuple[str, dict[str, Any]]


@dataclass(slots=True, eq=False)
class Running:
    """An answer that this worker writes at the moment.

    seq: the last event that is known to be written. in_doubt: what a write that failed may yet have written. bodies: of the
    prompts in it.
    """

    token: UUID
    conversation: UUID
    job: AnswerJob
    log: AnswerLog
    task: asyncio.Task[None]
    seq: int
    renewed_at: float
    in_doubt: list[Entry] = field(default_factory=list)
    bodies: dict[str, bytes] = field(default_factory=dict)

    @property
    def has_something_to_write(self) -> bool:
        return bool(self.in_doubt) or self.log.has_pending

    def work(self) -> Work:
        """What is to be written now; in doubt until `written` says otherwise."""
        told = self.log.told if self.log.has_ended else None
        self.in_doubt += self.log.take()
        self.bodies |= self.log.take_bodies()
        return Work(self.token, self.seq, tuple(self.in_doubt), told, dict(self.bodies))

    def written(self, at: float) -> None:
        self.seq += len(self.in_doubt)
        self.in_doubt.clear()
        self.bodies.clear()
        self.renewed_at = at

    def stop(self, reason: AssistantError) -> None:
        self.log.stop(reason)
        self.task.cancel()


class Answerer:
    """Runs until `stop` is called: `await Answerer(answer_question).run()`."""

    def __init__(self, answer_question: AnswerQuestion) -> None:
        self._answer_question = answer_question
        self._running: dict[UUID, Running] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._announcer = Announcer()
        self._turn: deque[UUID] = deque()
        self._database = ThreadPoolExecutor(1, "answers-database")
        self._looked_at = float("-inf")

    def stop(self) -> None:
        """End `run` soon: answers that aren't finished are given up, for another worker to begin again."""
        self._stopping.set()

    async def run(self) -> None:
        announcing = asyncio.create_task(self._announcer.run())
        try:
            async with asyncio.TaskGroup() as loops:
                loops.create_task(self._repeat(self._claim, lambda: CLAIM_EVERY_S))
                loops.create_task(self._repeat(self._write, lambda: WRITE_EVERY_S / self._turns))
        finally:
            await self._hand_over()
            announcing.cancel()
            await self._in_database(_close_connection)
            self._database.shutdown()

    async def _repeat(self, step: Callable[[], Awaitable[None]], every_s: Callable[[], float]) -> None:
        """`step`, every so often, until the worker stops; a database that doesn't answer is waited for."""
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                await step()
                rest_s = every_s() - (time.monotonic() - began)
            except UNAVAILABLE as error:
                logger.warning("the database doesn't answer: %s", error)
                rest_s = DATABASE_PAUSE_S
            await self._pause(max(rest_s, SHORTEST_PAUSE_S))

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    async def _in_database(self, work: Callable[..., T], *arguments: Any) -> T:
        """`work` in the one thread that has this worker's connection, which is opened anew after an error."""
        call = partial(_with_connection, work, *arguments)
        return await asyncio.get_running_loop().run_in_executor(self._database, call)

    # --- claiming ---

    async def _claim(self) -> None:
        room = min(settings.ANSWER_CONCURRENCY - len(self._running), CLAIMS_AT_ONCE)
        for claim in await self._in_database(leases.claim, room) if room > 0 else ():
            self._announcer.announce(claim.conversation, claim.events)
            if claim.job is not None:
                self._begin(claim, claim.job)

    def _begin(self, claim: Claim, job: AnswerJob) -> None:
        logger.info("answer %s: claimed, attempt %d", job.answer_id, job.attempt)
        log = AnswerLog(paced=True)
        task = asyncio.ensure_future(self._answer_question(job, log))
        running = Running(claim.token, claim.conversation, job, log, task, claim.seq, time.monotonic())
        self._running[claim.token] = running
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self._end(running))

    def _end(self, running: Running) -> None:
        """The answer's task is over: end its log, if it hasn't done so itself."""
        log, error = running.log, None if running.task.cancelled() else running.task.exception()
        if log.has_ended or isinstance(log.stopped_by, LeaseLost):
            if error is not None and not isinstance(error, AssistantError):
                logger.error("answer %s: failed while it ended", running.job.answer_id, exc_info=error)
        elif not (running.task.cancelled() and self._stopping.is_set()):
            log.add("failed", failure(running.job, error))

    # --- writing ---

    @property
    def _turns(self) -> int:
        return max(1, math.ceil(len(self._running) / WRITTEN_TOGETHER))

    async def _write(self) -> None:
        """Write what has come, and look now and then whether somebody wants something of those that have nothing to write."""
        turn = await self._woken()
        now, renew_after_s = time.monotonic(), settings.ANSWER_LEASE_S / 3
        due = [r for r in turn if r.has_something_to_write or now - r.renewed_at > renew_after_s]
        if due:
            await self._write_all(due)
        if self._running and now - self._looked_at > LOOK_EVERY_S:
            self._looked_at = now
            self._heed(await self._in_database(leases.look, tuple(self._running)))

    async def _woken(self) -> list[Running]:
        """The answers whose turn it is, once each has read what has come for it."""
        if not self._turn:
            self._turn.extend(self._running)
        size = math.ceil(len(self._running) / self._turns)
        tokens = [self._turn.popleft() for _ in range(min(size, len(self._turn)))]
        turn = [self._running[token] for token in tokens if token in self._running]
        for running in turn:
            running.log.wake()
        await asyncio.sleep(0)  # the woken go on, as far as they can without waiting for something else
        return turn

    async def _write_all(self, due: Sequence[Running]) -> None:
        try:
            await self._write_together(due)
        except UNAVAILABLE:
            raise
        except DatabaseError:
            logger.exception("%d answers can't be written together; each goes alone", len(due))
            for running in due:
                await self._write_alone(running)

    async def _write_together(self, due: Sequence[Running]) -> None:
        began = time.monotonic()
        written = await self._in_database(leases.write, [running.work() for running in due])
        for running in due:
            running.written(began)
        self._heed(written)

    async def _write_alone(self, running: Running) -> None:
        """One that the database refuses is given up: its lease runs out, and after its last attempt it fails."""
        try:
            await self._write_together([running])
        except UNAVAILABLE:
            raise
        except DatabaseError as error:
            logger.exception("answer %s: can't be written", running.job.answer_id)
            self._let_go(running.token, f"This answer can't be written: {error}")

    def _heed(self, written: Written) -> None:
        """Announce what was written, let go of what is finished or lost, and stop what was asked to."""
        for token, events in written.events.items():
            running = self._running[token]
            self._announcer.announce(running.conversation, events)
            if events[-1].kind in FINAL_KINDS:
                logger.info("answer %s: %s", running.job.answer_id, running.log.finished)
                del self._running[token]
        for token in written.lost:
            self._let_go(token, "Another worker has this answer, or it was deleted.")
        for token in written.cancel_requested:
            self._cancel(token)

    def _let_go(self, token: UUID, why: str) -> None:
        running = self._running.pop(token, None)
        if running is not None:
            logger.warning("answer %s: let go. %s", running.job.answer_id, why)
            running.stop(LeaseLost(why))

    def _cancel(self, token: UUID) -> None:
        """End the log right here: a task that takes long to close its connection doesn't hold that up."""
        running = self._running.get(token)
        if running is not None and not running.log.has_ended:
            running.stop(AnswerCancelled("The reader pressed Stop."))
            running.log.add("cancelled", {})

    # --- leaving ---

    async def _hand_over(self) -> None:
        """Write what is finished, and give the rest up at once, so that nobody waits for the leases to run out."""
        self._stopping.set()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_WITHIN_S)
        try:
            if finished := [running for running in self._running.values() if running.log.has_ended]:
                await self._write_all(finished)
            released = await self._in_database(leases.release, tuple(self._running))
        except DatabaseError as error:
            logger.warning("%d answers wait until their leases have run out: %s", len(self._running), error)
        else:
            logger.info("stopped; %d answers were given up to other workers", released)
        await self._announcer.drain()


def _close_connection() -> None:
    connection.close()  # looked up here, since each thread has its own


def _with_connection(work: Callable[..., T], *arguments: Any) -> T:
    try:
        return work(*arguments)
    except DatabaseError:
        connection.close()
        raise


def failure(job: AnswerJob, error: BaseException | None) -> dict[str, Any]:
    """The payload of `failed`. Errors raised on purpose carry their sentence; others go to the log, with their traceback."""
    if isinstance(error, ModelError):
        return {"code": error.code if error.code in FAILURES else "internal", "message": str(error)}
    if isinstance(error, Refused):
        return {"code": "refused", "message": str(error), "side": error.side, "categories": [*error.categories]}
    if isinstance(error, ModerationFailed):
        return {"code": "unmoderated", "message": str(error)}
    if isinstance(error, AssistantError | IndexerError):
        return {"code": "internal", "message": str(error)}
    logger.error("answer %s: failed", job.answer_id, exc_info=error or RuntimeError("it ended without a final entry"))
    return {"code": "internal", "message": INTERNAL}
