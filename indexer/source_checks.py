"""Looks at the sources of indexed repositories, each when it is due, and writes what was seen into its SourceCheck.

The indexer's worker does this in a thread of its own; pages read the rows, so that no request waits for git or for a network.
A check is claimed by moving its `due_at` by a conditional UPDATE, so several workers share the work.
"""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from indexer.errors import IndexerError
from indexer.models import Repository, Snapshot, SourceCheck
from indexer.snapshot import SnapshotReader
from indexer.source import is_url
from indexer.source_state import SourceLooker, SourceState

logger = logging.getLogger(__name__)

FOLDER_EVERY_S = 20.0
"""Between two looks at a folder; one that takes long is looked at so seldom that it takes a fiftieth of a core."""
_SHARE = 50
# Whoever has claimed a check and died has it for this long.
_CLAIMED = timedelta(minutes=10)
MOST_CHANGED = 2000
"""Changed files that are kept by name. Where more have changed it is time to index anyway."""


_COLUMNS = (
    *("snapshot_id", "commit", "ref", "behind", "changed", "changed_files", "added_files"),
    *("checked_at", "problem", "due_at"),
)


class SourceChecks:
    def __init__(self) -> None:
        self._looker = SourceLooker(settings.CLONE_ROOT, settings.MAX_FILE_BYTES)

    def run(self) -> int:
        """Do what is due; returns how many checks were made."""
        done = 0
        for repository in Repository.objects.filter(live_snapshot__isnull=False).select_related("live_snapshot"):
            if self._is_wanted(repository) and (check := _claim(repository)):
                self._check(repository, check)
                done += 1
        return done

    def _is_wanted(self, repository: Repository) -> bool:
        return settings.SOURCE_CHECK_S > 0 and not (settings.OFFLINE and is_url(repository.source))

    def _check(self, repository: Repository, check: SourceCheck) -> None:
        snapshot = repository.live_snapshot
        assert snapshot is not None
        began, seen_at = time.perf_counter(), timezone.now()
        try:
            seen = self._look(repository, snapshot)
        except IndexerError as error:
            if check.problem != (problem := str(error)[:500]):
                logger.info("%s: its source could not be looked at: %s", repository, problem)
            check.problem = problem
        else:
            _note(check, snapshot, seen, seen_at)
        url_s = settings.SOURCE_CHECK_S
        every_s = url_s if is_url(repository.source) else min(url_s, FOLDER_EVERY_S)
        took_s = time.perf_counter() - began
        check.due_at = timezone.now() + timedelta(seconds=max(every_s, _SHARE * took_s))
        # The snapshot may have been removed meanwhile, and the check with it.
        if check.snapshot is None or Snapshot.objects.filter(pk=check.snapshot.pk).exists():
            SourceCheck.objects.filter(pk=check.pk).update(**{name: getattr(check, name) for name in _COLUMNS})

    def _look(self, repository: Repository, snapshot: Snapshot) -> SourceState:
        with SnapshotReader(snapshot.directory) as reader:
            blobs, skipped = reader.blobs(), frozenset(path for path, _, _ in reader.skipped())
        return self._looker.look(repository.source, repository.ref, snapshot.commit, blobs, skipped)


def _claim(repository: Repository) -> SourceCheck | None:
    """The check of a repository if it is due, for this process alone: nobody else finds it due meanwhile."""
    now = timezone.now()
    check, _ = SourceCheck.objects.get_or_create(repository=repository, defaults={"due_at": now})
    mine = SourceCheck.objects.filter(pk=check.pk, due_at__lte=now).update(due_at=now + _CLAIMED)
    return check if mine else None


def _note(check: SourceCheck, snapshot: Snapshot, seen: SourceState, seen_at: datetime) -> None:
    check.snapshot = snapshot
    check.commit, check.ref, check.behind = seen.commit, seen.ref, seen.behind
    check.changed = dict(sorted(seen.changed.items())[:MOST_CHANGED])
    check.changed_files, check.added_files = len(seen.changed), seen.added
    check.checked_at, check.problem = seen_at, ""
