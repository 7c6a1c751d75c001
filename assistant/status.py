"""What the page polls at /status.json: are the models ready, is an answerer alive, how far is the index.

The web process asks nobody but the database. The answerer writes a ModelEndpoint row a route about once a second; rows that
have gone stale mean that no answerer is alive, and then nothing is known of the models either.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from assistant.catalogue import family_of
from assistant.models import ModelEndpoint
from indexer.models import IndexJob, Repository, SourceCheck

FRESH_S = 10
"""The answerer renews its rows about once a second; ten leave room for a busy machine."""

ROUTES = ("code", "general")
UNKNOWN = {
    "state": "unknown",
    "message": "",
    "percent": None,
    "model": "",
    "context": None,
    "demonstration": False,
    "licence": "",
}


def status(repository: Repository | None) -> dict[str, Any]:
    """The whole of status.json (docs/protocol.md). `repository` must be visible to whoever asks."""
    endpoints = {endpoint.route: endpoint for endpoint in ModelEndpoint.objects.all()}
    alive = any(_is_fresh(endpoint) for endpoint in endpoints.values())
    return {
        "models": {route: _model(endpoints.get(route)) for route in ROUTES},
        "answerer": alive,
        "repository": _repository(repository) if repository else None,
    }


def _is_fresh(endpoint: ModelEndpoint) -> bool:
    return timezone.now() - endpoint.seen_at < timedelta(seconds=FRESH_S)


def _model(endpoint: ModelEndpoint | None) -> dict[str, Any]:
    if endpoint is None or not _is_fresh(endpoint):
        return UNKNOWN
    return {
        "state": endpoint.state,
        "message": endpoint.message,
        "percent": endpoint.percent,
        "model": endpoint.model,
        "context": endpoint.context_tokens,
        "demonstration": endpoint.demonstration,
        "licence": family_of(endpoint.model).licence.warning,
    }


def identity(repository: Repository) -> dict[str, Any]:
    """A repository's name, and what its index was made from."""
    snapshot = repository.live_snapshot
    return {
        "name": repository.name,
        "commit": snapshot.commit if snapshot else "",
        "ref": snapshot.ref if snapshot else repository.ref,
        "dirty": bool(snapshot and snapshot.dirty),
    }


def _repository(repository: Repository) -> dict[str, Any]:
    snapshot = repository.live_snapshot
    return {
        **identity(repository),
        "files": snapshot.files if snapshot else 0,
        "chunks": snapshot.chunks if snapshot else 0,
        "embedded": snapshot.embedded if snapshot else 0,
        "skipped": snapshot.skipped if snapshot else {},
        "redacted": snapshot.redacted if snapshot else {},
        "allowed": snapshot.allowed if snapshot else {},
        "indexed_at": snapshot.created_at.isoformat() if snapshot else None,
        "source": _source(repository),
        "job": _job(repository),
    }


def _source(repository: Repository) -> dict[str, Any] | None:
    """What the indexer has last seen of the source; counts are null where they were not of the live snapshot."""
    check = SourceCheck.objects.defer("changed").filter(repository=repository).first()
    if check is None or (check.checked_at is None and not check.problem):
        return None
    compared = check.snapshot_id is not None and check.snapshot_id == repository.live_snapshot_id
    return {
        "commit": check.commit,
        "ref": check.ref,
        "behind": check.behind if compared else None,
        "changed": check.changed_files if compared else None,
        "added": check.added_files if compared else None,
        "checked_at": check.checked_at.isoformat() if check.checked_at else None,
        "problem": check.problem,
    }


def _job(repository: Repository) -> dict[str, Any] | None:
    """The job that runs, or else waits, or the last one if that failed: a failure stays in sight until a build succeeds."""
    jobs = repository.jobs.all()
    # Another may have been queued behind the one that runs, which is the one with something to tell.
    job = jobs.filter(state=IndexJob.State.RUNNING).first() or jobs.first()
    if job is None or job.state == IndexJob.State.COMPLETED:
        return None
    return {"state": job.state, "stage": job.stage, "done": job.done, "total": job.total, "message": job.message}
