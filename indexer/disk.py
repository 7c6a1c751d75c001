"""What is asked of the disk that holds indexes: errors that say what to do, and contents that are there after a power cut."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from indexer.errors import SnapshotError


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Turn a full or failing disk under `place` into a SnapshotError that says what to do."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "disk is full" in str(error)
        if full:
            raise SnapshotError(f"The disk that holds {place} is full: free some space and index again.") from error
        raise SnapshotError(f"{place} can't be written or read ({error}): look at the disk and index again.") from error


def sync(path: Path) -> None:
    """Have the file's or directory's contents on the disk before going on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
