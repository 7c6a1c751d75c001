"""Tells when a folder has changed in a way that its index could notice.

What is ignored (by git, `.gitignore`, `.sextantignore`) wakes nobody, and neither does git's own bookkeeping, but for a
commit and a checkout. Changes are gathered until the folder has been quiet for a moment, so that a checkout of another
branch is one change. Whoever is woken in vain has lost little: indexing an unchanged folder only lists it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from watchfiles import watch

from indexer import git
from indexer.errors import SourceError
from indexer.walker import IGNORE_FILE, Folder, IgnoreRules

QUIET_MS = 500
# A folder that is never quiet is indexed all the same.
GATHER_MS = 30_000
_GIT_HAS_MOVED = frozenset({b".git/HEAD", b".git/logs/HEAD"})


def rounds(root: Path, own: Sequence[Path] = ()) -> Iterator[None]:
    """Yields once as soon as it watches `root`, and from then on whenever something has changed since the last time.

    own: folders that indexing itself writes to. Raises SourceError when the folder can't be watched, or is gone.
    """
    under_git = _under_git(root)
    try:
        # It also yields while nothing changes: only then it is known to have begun, and a folder that is gone is noticed.
        for number, changes in enumerate(
            watch(
                root,
                watch_filter=lambda change, path: not any(Path(path).is_relative_to(place) for place in own),
                debounce=GATHER_MS,
                step=QUIET_MS,
                rust_timeout=QUIET_MS,
                yield_on_timeout=True,
                ignore_permission_denied=True,
            )
        ):
            if not root.is_dir():
                raise SourceError(f"{root} is gone, so there is nothing left to watch.")
            paths = {os.fsencode(os.path.relpath(path, root)) for _, path in changes}
            if number == 0 or (paths and _concern(root, under_git, paths)):
                yield
    except OSError as error:
        raise SourceError(f"{root} can't be watched ({error}): raise fs.inotify.max_user_watches, or index by hand.") from error


def _under_git(root: Path) -> bool:
    """As `open_source` sees it. Raises SourceError for a bare repository, in which there is nothing to watch."""
    inside = git.run(["rev-parse", "--is-bare-repository", "--is-inside-work-tree"], folder=root, missing_ok=True).split()
    if inside[:1] == [b"true"]:
        raise SourceError(f"{root} is a bare repository: only a folder with files in it can be watched.")
    return inside[1:] == [b"true"] and not git.run(["check-ignore", "."], folder=root, missing_ok=True)


def _concern(root: Path, under_git: bool, paths: set[bytes]) -> bool:
    """Whether the index could hold something of what is at these paths, or has been."""
    if paths & _GIT_HAS_MOVED:
        return True
    paths = {path for path in paths if b".git" not in path.split(b"/")}
    try:
        folder = Folder(root)
    except OSError:
        return True
    try:
        left_out = IgnoreRules(folder.own_rules(IGNORE_FILE.encode()))
        paths = {path for path in paths if not left_out.ignore(os.fsdecode(path))}
        if under_git:
            return bool(paths - _ignored_by_git(root, paths))
        return not all(folder.ignores(path) for path in paths)
    finally:
        folder.close()


def _ignored_by_git(root: Path, paths: set[bytes]) -> set[bytes]:
    """Those that git ignores; tracked files are never among them. None where git can't say."""
    listed = b"".join(path + b"\0" for path in paths)
    return set(git.run(["check-ignore", "-z", "--stdin"], folder=root, missing_ok=True, data=listed).split(b"\0"))
