"""The pages. Each reads the database through `visible_to(request.user)` and renders a template; asking goes over the WebSocket.

What somebody may not see is answered with 404, as if it didn't exist.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict
from datetime import date, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ValidationError
from django.db import Error as DatabaseError
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST, require_safe

from assistant import conversations
from assistant.changed_files import changed_since
from assistant.errors import BadRequest
from assistant.indexing import may_index
from assistant.mentions import languages, mentions
from assistant.models import Conversation
from assistant.samples import samples
from assistant.status import identity, status
from indexer.errors import SnapshotError
from indexer.models import Repository, Snapshot
from indexer.snapshot import SnapshotReader
from indexer.types import StoredFile

logger = logging.getLogger(__name__)

MOST_PATHS = 200
"""Files that one request may ask about; an answer has a dozen or two."""
LISTED = 200
"""Conversations in the list; older ones keep their address."""


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """A new question, about the repository of ?repository=NAME or the one last asked about."""
    repositories = list(Repository.objects.visible_to(request.user).select_related("live_snapshot"))
    name = request.GET.get("repository")
    chosen = _named(repositories, name) if name else _last_used(request, repositories)
    return _page(request, repositories, chosen, None)


@require_safe
def conversation(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    found = Conversation.objects.visible_to(request.user).filter(pk=conversation_id).first()
    if found is None:
        raise Http404("There is no such conversation.")
    repositories = list(Repository.objects.visible_to(request.user).select_related("live_snapshot"))
    chosen = next(repository for repository in repositories if repository.pk == found.repository_id)
    return _page(request, repositories, chosen, found)


@require_POST
def rename(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    """`title` becomes the conversation's title. 404 where there is none such, 400 where the title is empty."""
    _must_exist(request, conversation_id)
    try:
        title = conversations.rename(request.user, conversation_id, request.POST.get("title", ""))
    except BadRequest as error:
        return JsonResponse({"message": str(error)}, status=400)
    if wants_json(request):
        return JsonResponse({"title": title})
    return redirect("conversation", conversation_id)


@require_POST
def delete(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    _must_exist(request, conversation_id)
    conversations.delete(request.user, conversation_id)
    return JsonResponse({}) if wants_json(request) else redirect("home")


@require_POST
def index_again(request: HttpRequest) -> JsonResponse:
    """Queue a build of `repository`. 404 where there is none such, 403 for who may only ask about it."""
    repository = _named(Repository.objects.visible_to(request.user), request.POST.get("repository", ""))
    if not may_index(request.user, repository):
        return JsonResponse({"message": "Only its owner and staff may have it indexed."}, status=403)
    repository.queue_build()
    return JsonResponse({})


@require_GET
def status_json(request: HttpRequest) -> JsonResponse:
    """docs/protocol.md. An unknown repository is 404; none at all leaves that part null."""
    repository = None
    if name := request.GET.get("repository"):
        repository = _named(Repository.objects.visible_to(request.user).select_related("live_snapshot"), name)
    return JsonResponse(status(repository), headers={"Cache-Control": "no-store"})


@require_GET
def mentions_json(request: HttpRequest) -> JsonResponse:
    """What `@q` may mean in a repository; docs/protocol.md."""
    repositories = Repository.objects.visible_to(request.user).select_related("live_snapshot")
    snapshot = _named(repositories, request.GET.get("repository", "")).live_snapshot
    try:
        found = mentions(snapshot.directory, request.GET.get("q", "")) if snapshot else []
    except (SnapshotError, sqlite3.Error) as error:
        raise Http404(str(error)) from error
    return JsonResponse({"mentions": [asdict(each) for each in found]}, headers={"Cache-Control": "no-store"})


@require_GET
def changed_json(request: HttpRequest) -> JsonResponse:
    """Which files of a snapshot have changed since; docs/protocol.md."""
    snapshot = _visible_snapshot(request, request.GET.get("snapshot", ""))
    paths = request.GET.getlist("path")[:MOST_PATHS]
    return JsonResponse(changed_since(snapshot, paths).as_json(), headers={"Cache-Control": "no-store"})


@require_safe
def source(request: HttpRequest, name: str, snapshot_id: UUID, path: str) -> HttpResponse:
    """A file as the snapshot has it."""
    snapshot = _visible_snapshot(request, snapshot_id)
    if snapshot.repository.name != name:
        raise Http404("There is no such snapshot.")
    try:
        with SnapshotReader(snapshot.directory) as reader:
            file, outline = reader.file(path), reader.outline(path)
    except SnapshotError as error:
        raise Http404(str(error)) from error
    return render(request, "source.html", {**_source(snapshot, file), "outline": outline_of(outline)})


def _source(snapshot: Snapshot, file: StoredFile) -> dict[str, Any]:
    from assistant.source_view import render_lines

    seen = changed_since(snapshot, [file.path])
    return {
        "indexed_at": snapshot.created_at,
        "ref": snapshot.ref,
        "dirty": snapshot.dirty,
        "seen_at": seen.seen_at,
        "changed": seen.changed.get(file.path, ""),
        "repository": snapshot.repository.name,
        "snapshot": str(snapshot.pk),
        "commit": snapshot.commit,
        "path": file.path,
        "language": file.language,
        "lines": [{"number": number, "html": html} for number, html in enumerate(render_lines(file), start=1)],
        "crumbs": file.path.split("/"),
    }


def outline_of(definitions: Iterable[Any]) -> list[dict[str, Any]]:
    return [{"symbol": definition.qualified_name, "line": definition.line} for definition in definitions]


@login_not_required
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        logger.warning("healthz: the database doesn't answer: %s", error)
        return HttpResponse("the database doesn't answer\n", status=503, content_type="text/plain")
    return HttpResponse("ok\n", content_type="text/plain")


def _page(
    request: HttpRequest, repositories: list[Repository], chosen: Repository | None, shown: Conversation | None
) -> HttpResponse:
    snapshot = chosen.live_snapshot if chosen else None
    context = {
        "repositories": [_repository(repository) for repository in repositories],
        "repository": _repository(chosen) if chosen else None,
        "conversation": {"id": str(shown.pk), "title": shown.title} if shown else None,
        "conversations": _conversations(request),
        "languages": _languages(snapshot),
        "samples": samples(snapshot.directory) if snapshot and not shown else (),
        "page_data": {
            "repository": chosen.name if chosen else None,
            "conversation": str(shown.pk) if shown else None,
            "socket": "/ws/",
            "status_url": reverse("status"),
            "mentions_url": reverse("mentions"),
            "changed_url": reverse("changed"),
            "moved_url": reverse("moved"),
            "index_url": reverse("index-again") if chosen and may_index(request.user, chosen) else "",
            "signIn": settings.SIGN_IN,
            "user": request.user.get_username(),
        },
    }
    return render(request, "page.html", context)


def _languages(snapshot: Snapshot | None) -> list[str]:
    try:
        return languages(snapshot.directory) if snapshot else []
    except (SnapshotError, sqlite3.Error) as error:
        logger.warning("%s: no languages to choose from: %s", snapshot, error)
        return []


def _repository(repository: Repository) -> dict[str, Any]:
    return {**identity(repository), "ready": repository.live_snapshot is not None}


def _named(repositories: Iterable[Repository], name: str) -> Repository:
    """Compared here, not in a query: PostgreSQL refuses a name that no database can keep, such as one with NUL."""
    for repository in repositories:
        if repository.name == name:
            return repository
    raise Http404("There is no such repository.")


def _last_used(request: HttpRequest, repositories: list[Repository]) -> Repository | None:
    """The repository of the last conversation; or else one that is ready, or any."""
    last = Conversation.objects.visible_to(request.user).values_list("repository_id", flat=True).first()
    by_preference = sorted(repositories, key=lambda r: (r.pk != last, r.live_snapshot_id is None))
    return by_preference[0] if by_preference else None


def _conversations(request: HttpRequest) -> list[dict[str, Any]]:
    """The user's conversations by age, newest first."""
    listed = Conversation.objects.visible_to(request.user)[:LISTED]
    today = timezone.localdate()
    return [
        {
            "group": group,
            "items": [{"id": str(c.pk), "title": c.title, "when": c.updated_at} for c in members],
        }
        for group, members in groupby(listed, lambda c: _age(timezone.localdate(c.updated_at), today))
    ]


def _age(day: date, today: date) -> str:
    if day >= today:
        return "Today"
    if day == today - timedelta(days=1):
        return "Yesterday"
    return "Previous 7 days" if day > today - timedelta(days=8) else "Older"


def _visible_snapshot(request: HttpRequest, snapshot_id: str | UUID) -> Snapshot:
    found = Snapshot.objects.select_related("repository__live_snapshot")
    try:
        snapshot = found.filter(pk=snapshot_id, repository__in=Repository.objects.visible_to(request.user)).first()
    except ValidationError:
        snapshot = None  # no UUID
    if snapshot is None:
        raise Http404("There is no such snapshot.")
    return snapshot


def _must_exist(request: HttpRequest, conversation_id: UUID) -> None:
    if not Conversation.objects.visible_to(request.user).filter(pk=conversation_id).exists():
        raise Http404("There is no such conversation.")


def wants_json(request: HttpRequest) -> bool:
    return request.get_preferred_type(["text/html", "application/json"]) == "application/json"
