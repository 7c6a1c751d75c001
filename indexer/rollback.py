"""Back to an earlier snapshot: the live pointer moves, and nothing is built or removed.

The next build starts from the snapshot that is live then. Choosing one and moving the pointer happen under the lock under
which `indexer.jobs` collects old snapshots, so what was chosen is still there when it is live.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from indexer.errors import SnapshotError
from indexer.jobs import refuse_if_busy
from indexer.models import Repository, Snapshot, SourceCheck
from indexer.queue import lock
from indexer.snapshot import SnapshotReader


@dataclass(frozen=True, slots=True)
class Kept:
    """A snapshot that is still there. problem: "" or why it can't be made live, in one sentence."""

    snapshot: Snapshot
    live: bool
    vectors: bool
    problem: str


def kept_snapshots(repository: Repository) -> list[Kept]:
    """The snapshots of a repository, newest first."""
    repository.refresh_from_db()
    return [_kept(snapshot, repository.live_snapshot_id) for snapshot in repository.snapshots.all()]


def roll_back(repository: Repository, to: str = "") -> Kept:
    """Make the snapshot before the live one live, or the one whose id begins with `to`; returns it.

    Raises SnapshotError when there is none, RepositoryBusy while the repository is being indexed: the build would move the
    pointer again.
    """
    with transaction.atomic():
        lock(repository)
        refuse_if_busy(repository)
        chosen = _named(kept_snapshots(repository), to) if to else _before_the_live_one(repository)
        if chosen.problem:
            raise SnapshotError(chosen.problem)
        Repository.objects.filter(pk=repository.pk).update(live_snapshot=chosen.snapshot)
        SourceCheck.objects.filter(repository=repository.pk).update(due_at=timezone.now())
    repository.refresh_from_db()
    return Kept(chosen.snapshot, True, chosen.vectors, "")


def _kept(snapshot: Snapshot, live: uuid.UUID | None) -> Kept:
    try:
        with SnapshotReader(snapshot.directory) as reader:
            return Kept(snapshot, snapshot.pk == live, reader.has_vectors, "")
    except SnapshotError as error:
        return Kept(snapshot, snapshot.pk == live, False, str(error))


def _named(kept: list[Kept], to: str) -> Kept:
    matching = [found for found in kept if str(found.snapshot.pk).startswith(to.lower())]
    if not matching:
        raise SnapshotError(f"There is no snapshot {to}: --list shows those that are kept.")
    if len(matching) > 1:
        raise SnapshotError(f"{to} begins the ids of {len(matching)} snapshots: give more of it.")
    return matching[0]


def _before_the_live_one(repository: Repository) -> Kept:
    kept = kept_snapshots(repository)
    live = next((place for place, found in enumerate(kept) if found.live), None)
    if live is None:
        raise SnapshotError(f"{repository.name} is not indexed yet, so there is nothing to go back to.")
    ready = [found for found in kept[live + 1 :] if not found.problem]
    if not ready:
        raise SnapshotError(f"{repository.name} has no snapshot before the live one: --list shows those that are kept.")
    return ready[0]
