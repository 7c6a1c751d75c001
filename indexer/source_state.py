"""What a source has now that its index hasn't: commits, files that differ, files that are new.

For a process in the background. A folder costs a listing and a stat a file, and only what has been touched is read (all of it
the first time). A URL costs one `ls-remote`, and a fetch into the kept clone where that tells of another commit.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from indexer.freshness import commits_behind
from indexer.source import FolderSource, Source, blob_id, clone_of, is_url, open_newest, open_source
from indexer.types import SourceFile
from indexer.walker import TooLarge

NETWORK_S = 60.0
"""How long a remote may take to answer."""
_COUNTING_S = 10.0
# A file that has just been written may be written again within the clock's grain: its stat says nothing yet.
_SETTLED_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class SourceState:
    """commit, ref: what the source is at now. behind: commits that it has and the index hasn't, or None where that can't be
    told. changed: by path, the blob that an indexed file has now, or "" for one that is gone. added: files that are new."""

    commit: str
    ref: str
    behind: int | None
    changed: Mapping[str, str]
    added: int


class SourceLooker:
    """Looks at sources again and again. It remembers the blobs of files in folders, so that an untouched one is read once."""

    def __init__(self, clone_root: Path, max_bytes: int) -> None:
        self._clone_root, self._max_bytes = clone_root, max_bytes
        self._known: dict[Path, dict[str, tuple[tuple[int, ...], str]]] = {}

    def look(self, place: str, ref: str, commit: str, blobs: Mapping[str, str], skipped: frozenset[str]) -> SourceState:
        """place, ref, commit: what was indexed, ref "" for a folder as it is or a URL's HEAD. blobs: of the indexed files, by
        path; skipped: files that were left out. Raises SourceError, with one sentence that holds no password."""
        with self._open(place, ref) as source:
            now = self._blobs(source)
            changed = {path: now.get(path, "") for path, blob in blobs.items() if now.get(path) != blob}
            added = len(now.keys() - blobs.keys() - skipped)
            behind = self._behind(place, commit, source.commit)
            return SourceState(source.commit, source.ref, behind, changed, added)

    def _open(self, place: str, ref: str) -> Source:
        if is_url(place) and not Path(place).is_dir():
            return open_newest(place, ref, clone_root=self._clone_root, timeout_s=NETWORK_S)
        return open_source(place, ref, clone_root=self._clone_root)

    def _behind(self, place: str, commit: str, newest: str) -> int | None:
        if not commit or not newest:
            return None
        if commit == newest:
            return 0
        folder = clone_of(place, self._clone_root) if is_url(place) else Path(place)
        return commits_behind(folder, commit, newest, _COUNTING_S)

    def _blobs(self, source: Source) -> dict[str, str]:
        """The blobs of what could be indexed now, by path."""
        if isinstance(source, FolderSource):
            return self._blobs_of_folder(source)
        return {file.path: file.blob for file in source.files(self._max_bytes) if isinstance(file, SourceFile)}

    def _blobs_of_folder(self, source: FolderSource) -> dict[str, str]:
        before = self._known.get(source.root, {})
        settled = time.time_ns() - _SETTLED_NS
        known: dict[str, tuple[tuple[int, ...], str]] = {}
        blobs = {}
        for path, raw in source.paths().items():
            try:
                status = (source.root / os.fsdecode(raw)).lstat()
                signs = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
                if path in before and before[path][0] == signs:
                    blob = before[path][1]
                else:
                    blob = blob_id(source.read(raw, self._max_bytes))
            except (OSError, TooLarge):
                continue  # gone, or no longer a file that would be indexed
            blobs[path] = blob
            if max(status.st_mtime_ns, status.st_ctime_ns) < settled:
                known[path] = signs, blob
        self._known[source.root] = known
        return blobs
