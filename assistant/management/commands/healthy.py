"""manage.py healthy answerer|indexer: end with status 0 when that kind of worker does its work; for a container's health check.

The database tells, since the workers have no port: somebody holds a live lease, or else nothing has waited for long. An
answerer besides renews the state of the model servers every few seconds. Where several workers of a kind run, this says
that one of them is well, not which.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from assistant.models import Answer, ModelEndpoint
from indexer.models import IndexJob

# A worker takes what waits within seconds; this leaves room for a busy machine, and for a worker that has just been started.
WAITS_AT_MOST_S = 30
# Renewed every three seconds at least.
SEEN_AT_MOST_S = 20


class Command(BaseCommand):
    help = "Say whether the answerers or the indexers do their work."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("worker", choices=("answerer", "indexer"))

    def handle(self, *args: Any, worker: str, **options: Any) -> None:
        problem = _work_waits(Answer if worker == "answerer" else IndexJob)
        if worker == "answerer":
            problem = problem or _models_unseen()
        if problem:
            raise CommandError(problem)


def _work_waits(model: type[Answer] | type[IndexJob]) -> str:
    now = timezone.now()
    if model._default_manager.filter(state=model.State.RUNNING, leased_until__gte=now).exists():
        return ""
    left = model._default_manager.filter(
        state__in=(model.State.QUEUED, model.State.RUNNING), created_at__lt=now - timedelta(seconds=WAITS_AT_MOST_S)
    )
    return f"{left.count()} wait, and nobody takes them." if left.exists() else ""


def _models_unseen() -> str:
    last = ModelEndpoint.objects.order_by("-seen_at").first()
    if last is None:
        return "No answerer has looked at the model servers yet."
    if timezone.now() - last.seen_at > timedelta(seconds=SEEN_AT_MOST_S):
        return f"No answerer has looked at the model servers since {last.seen_at:%H:%M:%S} UTC."
    return ""
