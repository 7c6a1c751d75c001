"""Which files of a snapshot have changed since it was made, as far as anybody has looked. No request asks git or a source.

The newest that is known of a source is the later of two: what the indexer's last look has seen (`SourceCheck`), and the live
snapshot itself. So an old answer's files are compared rightly too, whose snapshot is not the live one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from indexer.errors import SnapshotError
from indexer.models import Snapshot, SourceCheck
from indexer.snapshot import SnapshotReader

CHANGED, GONE = "changed", "gone"


@dataclass(frozen=True, slots=True)
class Changed:
    """seen_at: when the source was seen, or None where nothing newer than the snapshot is known. changed: by path, CHANGED or
    GONE; files that are as they were are not in it."""

    seen_at: datetime | None
    changed: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {"seen_at": self.seen_at.isoformat() if self.seen_at else None, "changed": dict(self.changed)}


def changed_since(snapshot: Snapshot, paths: Sequence[str]) -> Changed:
    """Those of `paths` that are no longer what `snapshot` holds. What can't be told is left out."""
    live = snapshot.repository.live_snapshot
    check = SourceCheck.objects.select_related("snapshot").filter(repository=snapshot.repository_id).first()
    if check and check.snapshot and check.checked_at and (live is None or check.checked_at >= live.created_at):
        newest, since, seen_at = check.snapshot, check.changed, check.checked_at
    elif live is not None and live.pk != snapshot.pk:
        newest, since, seen_at = live, {}, live.created_at
    else:
        return Changed(None)
    try:
        now = _blobs(newest, paths) if newest.pk != snapshot.pk else None
        then = _blobs(snapshot, paths)
    except SnapshotError:
        return Changed(None)  # a snapshot has gone from the disk: whoever needs its text is told so there
    current = {**(now if now is not None else then), **{path: since[path] for path in paths if path in since}}
    changed = {path: CHANGED if current.get(path) else GONE for path in then if current.get(path, "") != then[path]}
    return Changed(seen_at, changed)


def _blobs(snapshot: Snapshot, paths: Sequence[str]) -> dict[str, str]:
    with SnapshotReader(snapshot.directory) as reader:
        return reader.blobs_of(paths)
