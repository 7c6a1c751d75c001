"""After an upgrade: what another version of Sextant has indexed is indexed again, without anybody's asking."""

from __future__ import annotations

import logging
from pathlib import Path

from indexer.errors import OutdatedSnapshot, SnapshotError
from indexer.lexical_index import check_version
from indexer.models import IndexJob, Repository
from indexer.queue import enqueue
from indexer.snapshot import SnapshotReader

logger = logging.getLogger(__name__)

_UNDER_WAY = (IndexJob.State.QUEUED, IndexJob.State.RUNNING)


def queue_outdated() -> list[Repository]:
    """Queue the repositories whose live snapshot this version can't read, but for those that are being indexed anyway."""
    indexed = Repository.objects.filter(live_snapshot__isnull=False).select_related("live_snapshot")
    waiting = indexed.exclude(jobs__state__in=_UNDER_WAY)
    outdated = [each for each in waiting if each.live_snapshot and _is_outdated(each.live_snapshot.directory)]
    for repository in outdated:
        logger.info("%s was indexed by another version of Sextant, and is indexed again", repository)
        enqueue(repository)
    return outdated


def _is_outdated(directory: Path) -> bool:
    try:
        with SnapshotReader(directory) as reader:
            check_version(reader.connection)
    except OutdatedSnapshot:
        return True
    except SnapshotError as error:  # it is gone, or damaged: searches say so, and who knows where its disk is
        logger.warning("%s", error)
    return False
