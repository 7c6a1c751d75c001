"""manage.py ask NAME QUESTION: answer one question about an indexed repository in this process, without queue or log.

The answer goes to stdout as it is written, and the citations after it; everything about how it comes to be goes to stderr.
Ctrl-C ends generation at the model server too. With --json one object is printed instead, also when the answer broke off:
then it holds what had come, and the exit status is 1.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError
from rich.console import Console
from rich.status import Status

from assistant.answer_log import AnswerJob, AnswerLog
from assistant.answerer import failure
from assistant.citations import Claims
from assistant.errors import AssistantError
from assistant.messages import QUESTION_LIMIT
from assistant.models import AnswerCitation
from indexer.errors import IndexerError
from indexer.models import Repository, Snapshot
from indexer.types import Filters

BAD_USAGE = 2
# Whoever sits at a terminal can see whether `make run` has just been typed: no need to wait as long as the answerer does.
PATIENCE_S = 2.0


class Command(BaseCommand):
    help = "Answer one question about an indexed repository, with citations."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the repository, as it was named when it was indexed")
        parser.add_argument("question")
        parser.add_argument("--model", default="", help="the model to ask (default: the route's)")
        parser.add_argument("--scope", default="", metavar="PATH", help="keep to this folder or file of the repository")
        parser.add_argument("--language", action="append", default=[], help="keep to this language; repeatable")
        parser.add_argument("--no-tests", action="store_false", dest="tests", help="leave tests, fixtures and benchmarks out")
        parser.add_argument("--anyway", action="store_true", help="ask the model even where nothing speaks for an answer")
        parser.add_argument("--json", action="store_true", dest="as_json", help="print one JSON object")

    def handle(self, *, name: str, question: str, model: str, as_json: bool, **options: Any) -> None:
        if not question.strip() or len(question) > QUESTION_LIMIT:
            raise CommandError(f"A question has 1 to {QUESTION_LIMIT:,} characters.", returncode=BAD_USAGE)
        filters = Filters(options["scope"], tuple(options["language"]), options["tests"])
        route = "code" if options["anyway"] else "auto"
        job = _job(_snapshot(name), question.strip(), model, filters, route)
        terminal = Terminal(self, quiet=as_json)
        try:
            asyncio.run(_answer(job, terminal))
        except (AssistantError, IndexerError) as error:
            # As the answerer ends a log: a refused answer isn't printed as JSON. What a terminal has shown stays there.
            terminal.add("failed", failure(job, error))
            raise CommandError(str(error)) from error
        except KeyboardInterrupt as error:
            raise CommandError("Stopped: the model server was told so too.") from error
        finally:
            terminal.close()
            if as_json and terminal.told.route:
                self.stdout.write(json.dumps(terminal.as_json(job), ensure_ascii=False))


async def _answer(job: AnswerJob, terminal: Terminal) -> None:
    from assistant.answering import answer_question

    await answer_question(job, terminal, embedded_start_s=PATIENCE_S)


def _snapshot(name: str) -> Snapshot:
    """The live snapshot of that repository, as an administrator sees it: who may run this may read the database anyway."""
    try:
        return Repository.objects.visible_to(User(is_superuser=True)).live_snapshot_of(name)
    except IndexerError as error:
        raise CommandError(str(error)) from error
    except DatabaseError as error:
        raise CommandError(f"The database can't be read ({error}): run `manage.py prepare` first.") from error


def _job(snapshot: Snapshot, question: str, model: str, filters: Filters, route: str) -> AnswerJob:
    return AnswerJob(
        answer_id=uuid4(),
        question=question,
        history=(),
        requested_route=route,
        requested_model=model,
        repository=snapshot.repository.name,
        snapshot_id=snapshot.pk,
        snapshot_dir=snapshot.directory,
        commit=snapshot.commit,
        ref=snapshot.ref,
        dirty=snapshot.dirty,
        attempt=1,
        filters=filters,
    )


@dataclass(frozen=True, slots=True)
class Cited:
    """One line of the list of citations."""

    number: int
    place: str
    times: int
    verified: int
    reason: str

    def __str__(self) -> str:
        if self.verified == self.times:
            state = "verified"
        elif self.verified:
            state = f"verified {self.verified} of {self.times} times"
        else:
            state = "not verified"
        return f"[{self.number}] {self.place}  {state}. {self.reason}".rstrip()


def cited(citations: Sequence[AnswerCitation]) -> list[Cited]:
    """The citations, each number once, with the reason of the first that isn't verified, if there is one."""
    numbers = sorted({citation.number for citation in citations})
    return [_cited([citation for citation in citations if citation.number == number]) for number in numbers]


def _cited(same: Sequence[AnswerCitation]) -> Cited:
    first = next((citation for citation in same if not citation.verified), same[0])
    place = f"{first.path}:{first.start_line}-{first.end_line}"
    return Cited(first.number, place, len(same), sum(citation.verified for citation in same), first.reason)


class Terminal(AnswerLog):
    """The answer's log, shown entry by entry. quiet: nothing goes to stdout."""

    def __init__(self, command: BaseCommand, *, quiet: bool) -> None:
        super().__init__()
        self._command, self._quiet = command, quiet
        self._console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        self._waiting: Status | None = None
        self._routed = False
        self._passages: list[dict[str, Any]] = []
        self._completed: dict[str, Any] = {}
        self._absent: list[Mapping[str, Any]] = []

    def add(self, kind: str, payload: Mapping[str, Any]) -> None:
        super().add(kind, payload)
        self.take()
        show = {
            "status": self._status,
            "route": self._route,
            "passages": self._show_passages,
            "delta": self._delta,
            "place": self._place,
            "completed": self._complete,
        }
        if kind in show:
            show[kind](payload)

    def close(self) -> None:
        """Clear what moves on the terminal, and end the line."""
        self._still()
        if self.text and not self._quiet and not self._completed:
            self._command.stdout.write("")

    def as_json(self, job: AnswerJob) -> dict[str, Any]:
        return {
            "answer": self.text,
            "route": self.told.route,
            "model": self.told.model,
            "citations": [
                {
                    "number": citation.number,
                    "path": citation.path,
                    "start_line": citation.start_line,
                    "end_line": citation.end_line,
                    "commit": job.commit,
                    "verified": citation.verified,
                }
                for citation in self.told.citations(job.answer_id)
            ],
            "claims": self._completed.get("claims", {}),
            "passages": self._passages,
            "usage": self._completed.get("usage", {}),
            "timings": self._completed.get("timings", {}),
        }

    # --- entries ---

    def _status(self, payload: Mapping[str, Any]) -> None:
        message = payload["message"]
        if payload["percent"] is not None and f"{payload['percent']} %" not in message:
            message = f"{message} {payload['percent']} %"
        if payload["stage"] == "generating":
            self._still()
        elif not self._console.is_terminal:
            self._console.print(message)
        elif self._waiting is None:
            self._waiting = self._console.status(message)
            self._waiting.start()
        else:
            self._waiting.update(message)

    def _route(self, payload: Mapping[str, Any]) -> None:
        """Comes once with the route, and again when a model is ready that wasn't known by name."""
        if not self._routed:
            self._console.print(f"Route: {payload['route']} ({payload['reason']})")
            self._routed = True
        if payload["model"]:
            demonstration = ", a demonstration: too small for real answers" if payload["demonstration"] else ""
            self._console.print(f"Model: {payload['model']}{demonstration}")
        for note in (payload["licence"], payload["not_moderated"]):
            if note:
                self._console.print(note)

    def _show_passages(self, payload: Mapping[str, Any]) -> None:
        """The same passages may come twice, when they had to be packed again."""
        self._passages = payload["passages"]
        packed = [passage for passage in self._passages if passage["number"]]
        places = [
            f"[{passage['number']}] {passage['path']}:{passage['start_line']}-{passage['end_line']}" for passage in packed
        ]
        if packed:
            self._console.print(f"Evidence: {', '.join(places)}")

    def _delta(self, payload: Mapping[str, Any]) -> None:
        self._still()
        if not self._quiet:
            self._command.stdout.write(payload["text"], ending="")
            self._command.stdout.flush()

    def _place(self, payload: Mapping[str, Any]) -> None:
        if payload["state"] == "absent":
            self._absent.append(payload)

    def _complete(self, payload: Mapping[str, Any]) -> None:
        self._completed = dict(payload)
        self._still()
        if not self._quiet:
            self._command.stdout.write("")
            self._list_citations(self.told.citations(uuid4()))
            self._sum_up(payload["claims"])
        if payload["finish_reason"] == "length":
            self._console.print("The answer was cut: it had no end in sight.")

    def _list_citations(self, citations: Sequence[AnswerCitation]) -> None:
        style = self._command.style
        if citations:
            self._command.stdout.write("")
        for each in cited(citations):
            paint = style.SUCCESS if each.verified == each.times else style.WARNING
            self._command.stdout.write(paint(str(each)))

    def _sum_up(self, claims: Mapping[str, int]) -> None:
        for place in self._absent:
            self._command.stdout.write(self._command.style.WARNING(place["reason"]))
        if claims["total"]:
            self._command.stdout.write(f"{Claims(**claims)}.")

    def _still(self) -> None:
        if self._waiting is not None:
            self._waiting.stop()
            self._waiting = None
