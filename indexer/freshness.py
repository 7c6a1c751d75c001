"""How fresh an index is: how many commits its source has had since, and which of some files have changed.

Nothing here asks a network: of a URL it is known what the kept clone has last fetched. Each call of git has a deadline, and
what can't be found out in time is told as unknown, so that a search is never kept waiting by its source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from indexer import git
from indexer.errors import SourceError
from indexer.source import blob_id, clone_of, is_url
from indexer.walker import Folder, TooLarge

DEADLINE_S = 2.0


@dataclass(frozen=True, slots=True)
class Freshness:
    """behind: commits that the source has and the index hasn't, or None where that can't be told. changed: those of the files
    that were asked about whose contents are no longer the indexed ones."""

    behind: int | None
    changed: tuple[str, ...]


def freshness(source: str, ref: str, commit: str, blobs: Mapping[str, str], *, clone_root: Path, max_bytes: int) -> Freshness:
    """source, ref: as they are indexed, ref "" for a folder as it is. commit: the indexed one. blobs: indexed blobs by path."""
    folder = clone_of(source, clone_root) if is_url(source) else Path(source)
    if not folder.is_dir():
        return Freshness(None, ())
    try:
        as_it_is = not ref and not is_url(source) and not _is_bare(folder)
        behind = commits_behind(folder, commit, ref or "HEAD") if commit else None
        changed = _changed_in_folder(folder, blobs, max_bytes) if as_it_is else _changed_in(folder, ref or "HEAD", blobs)
    except (SourceError, OSError):
        return Freshness(None, ())
    return Freshness(behind, changed)


def _is_bare(folder: Path) -> bool:
    arguments = ["rev-parse", "--is-bare-repository"]
    return git.run(arguments, folder=folder, missing_ok=True, timeout_s=DEADLINE_S).strip() == b"true"


def commits_behind(folder: Path, commit: str, ref: str, timeout_s: float = DEADLINE_S) -> int | None:
    """How many commits `ref` has that `commit` hasn't; None where one of them isn't known here. Raises SourceError."""
    arguments = ["rev-list", "--count", "--end-of-options", f"{commit}..{ref}"]
    counted = git.run(arguments, folder=folder, missing_ok=True, timeout_s=timeout_s).strip()
    return int(counted) if counted.isdigit() else None


def _changed_in_folder(root: Path, blobs: Mapping[str, str], max_bytes: int) -> tuple[str, ...]:
    folder = Folder(root)
    try:
        return tuple(path for path, blob in blobs.items() if _blob_of(folder, path, max_bytes) != blob)
    finally:
        folder.close()


def _blob_of(folder: Folder, path: str, max_bytes: int) -> str:
    """ "" for a file that is gone, or that would no longer be indexed."""
    try:
        return blob_id(folder.read(path.encode(), max_bytes))
    except (OSError, TooLarge):
        return ""


def _changed_in(folder: Path, ref: str, blobs: Mapping[str, str]) -> tuple[str, ...]:
    paths = [path for path in blobs if "\n" not in path]
    below = "" if _is_bare(folder) else "./"  # a subfolder of a work tree has paths of its own
    asked = "".join(f"{ref}:{below}{path}\n" for path in paths).encode()
    answers = git.run(["cat-file", "--batch-check=%(objectname)"], folder=folder, data=asked, timeout_s=DEADLINE_S).split(b"\n")
    return tuple(path for path, found in zip(paths, answers, strict=False) if found != blobs[path].encode())
