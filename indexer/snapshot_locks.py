"""Who uses a snapshot's directory: locks that the kernel drops with the process, so that nothing is removed under anybody.

A builder holds an flock on the directory itself, a search a shared one on its manifest. What is being built has a name of its
own, and where nobody holds it it is a leftover that `sweep` removes.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from indexer.errors import SnapshotError

MANIFEST = "manifest.json"
BUILDING = ".building-"


def hold(directory: Path) -> int:
    """Say that this process works in `directory`, until it closes the descriptor or ends. Raises SnapshotError when another
    one does."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise SnapshotError(f"Another process works on the snapshot {directory.name}: wait for it.") from error
    return descriptor


@contextmanager
def in_use(directory: Path) -> Iterator[None]:
    """Keep a snapshot from being removed by any process of this machine. Raises SnapshotError when it is gone.

    The lock is on the manifest, since a builder holds the directory itself while the snapshot gets its vectors.
    """
    try:
        descriptor = os.open(directory / MANIFEST, os.O_RDONLY)
    except OSError as error:
        raise SnapshotError(f"{directory} holds no whole snapshot: index the repository again.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if not os.fstat(descriptor).st_nlink:  # it was removed while we waited
            raise SnapshotError(f"{directory} holds no whole snapshot: index the repository again.")
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _unused(directory: Path) -> Iterator[bool]:
    """Whether no search uses the snapshot; none begins until the block ends."""
    try:
        descriptor = os.open(directory / MANIFEST, os.O_RDONLY)
    except FileNotFoundError:
        yield True
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


def remove(directory: Path) -> bool:
    """Remove a snapshot unless a process builds it or searches it; says whether it is gone."""
    try:
        descriptor = hold(directory)
    except FileNotFoundError:
        return True
    except SnapshotError:
        return False
    try:
        with _unused(directory) as unused:
            if not unused:
                return False
            # The manifest goes first: a removal that is interrupted leaves something that nobody takes for a snapshot.
            (directory / MANIFEST).unlink(missing_ok=True)
            shutil.rmtree(directory, ignore_errors=True)
    finally:
        os.close(descriptor)
    return not directory.exists()


def sweep(root: Path) -> int:
    """Remove what killed builders left under `root`; returns how many directories."""
    return sum(remove(leftover) for leftover in root.glob(f"{BUILDING}*"))
