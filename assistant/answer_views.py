"""One answer by its own address: as it was given, asked again at HEAD, and what has changed since.

Readable by whoever may see the repository; for anybody else there is no such answer. None of it needs the WebSocket: the log
is in the page, and a page whose answer still runs fetches what follows.
"""

from __future__ import annotations

import logging
import sqlite3
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST, require_safe

from assistant import conversations, events
from assistant.citations_now import citations_now, passages_of
from assistant.comparison import compare, shown_in
from assistant.errors import BadRequest
from assistant.follower import answer_json
from assistant.models import Answer, Conversation
from assistant.views import wants_json
from indexer.errors import SnapshotError
from indexer.snapshot import read_manifest

logger = logging.getLogger(__name__)

MOST_ANSWERS = 50
"""Answers that one request may ask about; a conversation seldom has more on the page."""


@require_safe
def answer(request: HttpRequest, answer_id: UUID) -> HttpResponse:
    """The answer as it was given."""
    return _page(request, [_visible(request, answer_id)])


@require_safe
def changes(request: HttpRequest, answer_id: UUID) -> HttpResponse:
    """An answer that was asked again, beside the one before it. 404 where it wasn't, or that one has gone."""
    return _page(request, list(_both(request, answer_id)))


@require_GET
def log_json(request: HttpRequest, answer_id: UUID) -> JsonResponse:
    """The answer's events after seq `after`."""
    found = _visible(request, answer_id)
    after = request.GET.get("after", "0")
    return _json({"events": _events(found, int(after) if after.isascii() and after.isdecimal() else 0)})


@require_POST
def again(request: HttpRequest, answer_id: UUID) -> HttpResponse:
    """Ask the same question of the live snapshot; `answer` is the new answer's id, which the page chose. 400 says why not."""
    _visible(request, answer_id)
    try:
        asked = conversations.reask(request.user, _uuid(request.POST.get("answer", "")), answer_id)
    except BadRequest as error:
        return JsonResponse({"message": str(error)}, status=400)
    where = reverse("answer-changes", args=[asked.answer])
    return JsonResponse({"address": where}) if wants_json(request) else redirect(where)


@require_GET
def changes_json(request: HttpRequest, answer_id: UUID) -> JsonResponse:
    """docs/protocol.md. `passages` is null until both answers have found theirs."""
    before, after = _both(request, answer_id)
    was, now = passages_of(before), passages_of(after)
    told = [change.as_json() for change in compare(shown_in(was), shown_in(now))] if was and now else None
    return _json({"passages": told, "citations": _citations_now(before, after.snapshot)})


@require_GET
def moved_json(request: HttpRequest) -> JsonResponse:
    """What has become of the citations of these answers in the live snapshot; docs/protocol.md."""
    try:
        found = Answer.objects.visible_to(request.user).filter(pk__in=request.GET.getlist("answer")[:MOST_ANSWERS])
        asked = list(found.select_related("conversation__repository__live_snapshot").defer("text"))
    except ValidationError:
        raise Http404("There is no such answer.") from None
    told: dict[str, Any] = {}
    for one in asked:
        live = one.conversation.repository.live_snapshot
        if live is not None and one.snapshot_id != live.pk:
            told[str(one.pk)] = {"snapshot": str(live.pk), "commit": live.commit, "citations": _citations_now(one, live)}
    return _json({"answers": told})


def _citations_now(answer: Answer, snapshot: Any) -> list[dict[str, Any]]:
    """Empty where the snapshot has gone from the disk: whoever needs its text is told so there."""
    try:
        return [one.as_json() for one in citations_now(answer, snapshot)] if snapshot else []
    except (SnapshotError, sqlite3.Error) as error:
        logger.warning("answer %s: its citations can't be looked up in %s: %s", answer.pk, snapshot, error)
        return []


def _page(request: HttpRequest, shown: list[Answer]) -> HttpResponse:
    repository = shown[-1].conversation.repository
    context = {
        "question": shown[-1].question,
        "repository": repository.name,
        "compares": len(shown) > 1,
        "page_data": {
            "answers": [_told(request, one) for one in shown],
            "repository": repository.name,
            "changes_url": reverse("answer-changes-json", args=[shown[-1].pk]) if len(shown) > 1 else "",
            "changed_url": reverse("changed"),
            "moved_url": reverse("moved"),
        },
    }
    return render(request, "answer.html", context)


def _told(request: HttpRequest, one: Answer) -> dict[str, Any]:
    """Everything that a page shows of an answer. Of those that repeat it, the reader's own."""
    mine = Conversation.objects.visible_to(request.user)
    is_mine = mine.filter(pk=one.conversation_id).exists()
    return {
        "answer": {**answer_json(one), "reasks": [str(pk) for pk in _reasks(request, one)]},
        "events": _events(one, 0),
        "log_url": reverse("answer-log", args=[one.pk]),
        "conversation": reverse("conversation", args=[one.conversation_id]) if is_mine else "",
        "snapshot": _snapshot(one.snapshot),
    }


def _reasks(request: HttpRequest, one: Answer) -> list[UUID]:
    return list(one.reasks.filter(conversation__owner_id=request.user.pk).values_list("pk", flat=True))


def _events(one: Answer, after: int) -> list[dict[str, Any]]:
    return [event.as_json() for event in events.after({one.pk: after})]


def _snapshot(snapshot: Any) -> dict[str, Any] | None:
    """`kept`: whether its files are on the disk. Without them the log still has the text of every passage."""
    if snapshot is None:
        return None
    try:
        read_manifest(snapshot.directory)
    except SnapshotError:
        kept = False
    else:
        kept = True
    made = {"commit": snapshot.commit, "ref": snapshot.ref, "dirty": snapshot.dirty}
    return {"id": str(snapshot.pk), **made, "indexed_at": snapshot.created_at.isoformat(), "kept": kept}


def _visible(request: HttpRequest, answer_id: UUID) -> Answer:
    found = Answer.objects.visible_to(request.user).select_related(
        "snapshot__repository", "conversation__repository__live_snapshot"
    )
    one = found.filter(pk=answer_id).first()
    if one is None:
        raise Http404("There is no such answer.")
    return one


def _both(request: HttpRequest, answer_id: UUID) -> tuple[Answer, Answer]:
    """The answer that was asked before, and this one."""
    after = _visible(request, answer_id)
    if after.reasked_of_id is None:
        raise Http404("This answer doesn't ask an earlier question again.")
    return _visible(request, after.reasked_of_id), after


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise BadRequest("'answer' must be a UUID.") from None


def _json(told: dict[str, Any]) -> JsonResponse:
    return JsonResponse(told, headers={"Cache-Control": "no-store"})
