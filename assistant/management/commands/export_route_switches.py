"""manage.py export_route_switches: what readers switched to another route, as training data for benchmarks/train_routes.py."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db.models import F

from assistant.models import Answer, AnswerEvent


class Command(BaseCommand):
    help = (
        "Print each question whose route a reader switched between code and general, as a line of JSON: the question, what was"
        " chosen, what it was switched to, and the features that were judged. These are questions of all users: keep the file"
        " as you keep the database. Questions asked while SEXTANT_LOG_ROUTES was off are left out."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--repository", default="", help="only of this repository")

    def handle(self, *args: Any, **options: Any) -> None:
        for switch in switches(options["repository"]):
            self.stdout.write(json.dumps(switch, ensure_ascii=False))


def switches(repository: str = "") -> Iterator[dict[str, Any]]:
    """Switches of what was chosen automatically, oldest first."""
    routes = (Answer.Route.CODE, Answer.Route.GENERAL)
    switched = (
        Answer.objects.filter(
            requested_route__in=routes, retry_of__requested_route=Answer.Route.AUTO, retry_of__route__in=routes
        )
        .exclude(retry_of__route=F("requested_route"))
        .select_related("conversation__repository")
    )
    if repository:
        switched = switched.filter(conversation__repository__name=repository)
    for answer in switched:
        told = AnswerEvent.objects.filter(answer=answer.retry_of, kind=AnswerEvent.Kind.ROUTE).first()
        if told is None or "features" not in told.payload:
            continue
        yield {
            "repository": answer.conversation.repository.name,
            "question": answer.question,
            "history": _history(answer),
            "chosen": told.payload["route"],
            "route": answer.requested_route,
            "chance": told.payload["chance"],
            "features": told.payload["features"],
        }


def _history(answer: Answer) -> list[dict[str, str]]:
    """The questions before, each with the route of its last answer."""
    before = Answer.objects.filter(conversation=answer.conversation, number__lt=answer.number).exclude(route="")
    last = {old.number: old for old in before.order_by("created_at")}
    return [{"question": last[number].question, "route": last[number].route} for number in sorted(last)]
