"""Where files come from: a folder as it is, or a commit read from git's object store.

* A folder under git gives its work tree: what is tracked, and what is neither tracked nor ignored. git decides.
* A folder that is not under git is walked with its .gitignore files.
* A folder with a `ref`, a bare repository, or a URL gives a commit, without any work tree. The bare clone of a URL is kept
  and fetched the next time; it is made under another name and renamed, so a clone that was cut short leaves nothing
  that could be taken for one.

On top of each, a `.sextantignore` at the root (gitignore's syntax) leaves files out. Ignored files are not reported; all others
that can't be read are, each with a reason. Paths that are not UTF-8 are shown with their odd bytes as `\\xe9`.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Self

from indexer import git
from indexer.errors import SourceError
from indexer.file_lock import alone
from indexer.types import Skipped, SourceFile
from indexer.walker import IGNORE_FILE, Folder, IgnoreRules, TooLarge

_URL = re.compile(r"(?:https?|ssh|git|file)://[^\s-]\S*", re.IGNORECASE)
_SCP = re.compile(r"(?:[\w.][\w.-]*@)?[A-Za-z0-9][\w.-]*:(?![/\\]{2})[^\s:-][^\s]*")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_ABBREVIATED = re.compile(r"[0-9a-f]{4,63}")


# How much of a folder is kept from when it is listed until it is parsed, which spares reading it again.
KEPT_BYTES = 32 * 1024 * 1024


class Source(ABC):
    """Files to index. A context manager.

    commit: the full id, or "" when the files are under no git or before the first commit. ref: the branch's name, or
    the ref that was asked for, or "". dirty: the files differ from the commit's. listed: how many paths `files` goes through,
    known with the first that it gives.
    """

    commit: str = ""
    ref: str = ""
    dirty: bool = False
    listed: int = 0

    @abstractmethod
    def files(self, max_bytes: int) -> Iterator[SourceFile | Skipped]:
        """Every file, by path, each looked at when it is its turn. `SourceFile.read()` raises SourceError when the file is gone
        or has changed since."""

    @abstractmethod
    def close(self) -> None:
        """Let go of files and processes; the source gives nothing more."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def open_source(source: str, ref: str = "", *, clone_root: Path) -> Source:
    """Open a folder or a git URL. Raises SourceError, with one sentence, when it can't be read.

    ref: a branch, tag or commit; "" for a folder as it is, or for what HEAD names. clone_root: holds the clones of URLs.
    """
    folder = Path(source).expanduser()
    if source and folder.is_dir():
        return _open_folder(folder.resolve(), ref)
    if is_url(source):
        return GitSource(_kept_clone(source, clone_root), ref)
    if "://" in source or "::" in source:
        raise SourceError(f"{git.without_credentials(source)} is not a URL that can be cloned: use https, ssh, git or file.")
    raise SourceError(f"{source or 'The empty name'} is neither a folder nor a git URL.")


def is_url(source: str) -> bool:
    """Whether `source` is a URL of an allowed kind, or scp's `user@host:path`."""
    if "::" in source:
        return False  # git's transport helpers: `ext::sh -c …` runs a command
    return bool(_URL.fullmatch(source) if "://" in source else _SCP.fullmatch(source))


def _open_folder(folder: Path, ref: str) -> Source:
    question = ["rev-parse", "--is-bare-repository", "--is-inside-work-tree"]
    inside = git.run(question, folder=folder, missing_ok=True).split() if git.may_be_inside(folder) else []
    if inside[:1] == [b"true"]:
        return GitSource(folder, ref)
    under_git = inside[1:] == [b"true"] and not git.run(["check-ignore", "."], folder=folder, missing_ok=True)
    if ref:
        if not under_git:
            raise SourceError(f"{folder} is not under git, so it has no {ref}.")
        return GitSource(folder, ref)
    return FolderSource(folder, under_git)


class FolderSource(Source):
    """A folder as it is now."""

    def __init__(self, root: Path, under_git: bool) -> None:
        self.root = root
        self.under_git = under_git
        self._folder = Folder(root)
        self._free_bytes = KEPT_BYTES
        if under_git:
            self.commit = _line(git.run(["rev-parse", "--verify", "--quiet", "HEAD"], folder=root, missing_ok=True))
            self.ref = _line(git.run(["symbolic-ref", "--short", "--quiet", "HEAD"], folder=root, missing_ok=True))
            self.dirty = git.is_dirty(root)

    def close(self) -> None:
        self._folder.close()

    def files(self, max_bytes: int) -> Iterator[SourceFile | Skipped]:
        kept = list(self._kept())
        self.listed = len(kept)
        for raw, reason in kept:
            path = _shown(raw)
            item = Skipped(path, reason) if reason else self._file(raw, path, max_bytes)
            if item:
                yield item

    def paths(self) -> dict[str, bytes]:
        """By path, the raw path of every file that `files` would try to read."""
        return {_shown(raw): raw for raw, reason in self._kept() if not reason}

    def read(self, raw: bytes, max_bytes: int) -> bytes:
        """The bytes of a file at a raw path. Raises OSError and TooLarge."""
        return self._folder.read(raw, max_bytes)

    def _kept(self) -> Iterator[tuple[bytes, str]]:
        ignored = IgnoreRules(self._folder.own_rules(IGNORE_FILE.encode()))
        return ((raw, reason) for raw, reason in self._listed() if not ignored.ignore(os.fsdecode(raw)))

    def _listed(self) -> list[tuple[bytes, str]]:
        """Raw paths in order, each with the reason to skip it or ""."""
        if not self.under_git:
            return sorted((path, "") for path in self._folder.walk())
        tracked = [(entry.path, _reason(entry.mode)) for entry in git.index_entries(self.root)]
        others = [(path.rstrip(b"/"), "submodule" if path.endswith(b"/") else "") for path in git.untracked(self.root)]
        return sorted({*tracked, *others})

    def _file(self, raw: bytes, path: str, max_bytes: int) -> SourceFile | Skipped | None:
        """None for a file that git tracks but that is no longer there."""
        try:
            data = self._folder.read(raw, max_bytes)
        except TooLarge:
            return Skipped(path, "too large")
        except OSError:
            if self._folder.is_link(raw):
                return Skipped(path, "symlink")
            return Skipped(path, "unreadable") if self._folder.exists(raw) else None
        blob = blob_id(data)
        if len(data) <= self._free_bytes:
            self._free_bytes -= len(data)
            return SourceFile(path, len(data), blob, lambda: data)
        return SourceFile(path, len(data), blob, partial(self._read_again, raw, path, blob, max_bytes))

    def _read_again(self, raw: bytes, path: str, blob: str, max_bytes: int) -> bytes:
        try:
            data = self._folder.read(raw, max_bytes)
        except (OSError, TooLarge) as error:
            raise SourceError(f"{path} can no longer be read.") from error
        if blob_id(data) != blob:
            raise SourceError(f"{path} was changed while it was being read.")
        return data


class GitSource(Source):
    """A commit, read from the object store of a repository (bare or not)."""

    def __init__(self, repository: Path, ref: str) -> None:
        self.repository = repository
        wanted = ref or "HEAD"
        self.commit = _line(
            git.run(
                ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{wanted}^{{commit}}"],
                folder=repository,
                missing_ok=True,
            )
        )
        if not _COMMIT.fullmatch(self.commit):  # `^main` is not "", and no commit either
            raise SourceError(f"There is no commit {ref}." if ref else "The repository has no commit yet.")
        self.ref = ref or _line(git.run(["symbolic-ref", "--short", "--quiet", "HEAD"], folder=repository, missing_ok=True))
        prefix = _line(git.run(["rev-parse", "--show-prefix"], folder=repository, missing_ok=True))
        self._tree = f"{self.commit}:{prefix}" if prefix else self.commit
        self._objects = git.ObjectReader(repository)

    def close(self) -> None:
        self._objects.close()

    def files(self, max_bytes: int) -> Iterator[SourceFile | Skipped]:
        entries = sorted(git.tree_entries(self.repository, self._tree), key=lambda entry: entry.path)
        own = next((entry for entry in entries if entry.path == IGNORE_FILE.encode()), None)
        ignored = IgnoreRules(self._objects.read(own.blob) if own and not _reason(own.mode) and own.size >= 0 else b"")
        kept = [entry for entry in entries if not ignored.ignore(os.fsdecode(entry.path))]
        self.listed = len(kept)
        for entry in kept:
            path = _shown(entry.path)
            if reason := _reason(entry.mode) or _size_reason(entry.size, max_bytes):
                yield Skipped(path, reason)
            else:
                yield SourceFile(path, entry.size, entry.blob, partial(self._objects.read, entry.blob))


def open_newest(url: str, ref: str, *, clone_root: Path, timeout_s: float) -> Source:
    """A commit of a URL as the remote has it now; its clone is fetched only where the remote has another commit than the clone.

    timeout_s: how long each question to the network may take. Raises SourceError.
    """
    clone = clone_of(url, clone_root)
    if not clone.is_dir():
        raise SourceError("Its clone is gone: index it again.")
    if ref and _COMMIT.fullmatch(ref):
        return GitSource(clone, ref)
    names = [f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/tags/{ref}^{{}}"] if ref else ["HEAD"]
    listed = git.run(["ls-remote", "--end-of-options", url, *names], folder=clone_root, timeout_s=timeout_s)
    remote = {line.partition(b"\t")[0].decode() for line in listed.splitlines()}
    if not remote:
        if _ABBREVIATED.fullmatch(ref):
            return GitSource(clone, ref)
        raise SourceError(f"The remote has no {ref} any more." if ref else "The remote has no commit.")
    here = _line(git.run(["rev-parse", "--verify", "--quiet", f"{names[0]}^{{commit}}"], folder=clone, missing_ok=True))
    if here not in remote:
        with alone(_lock_of(clone)):
            _fetch(clone, timeout_s)
    return GitSource(clone, ref)


def blob_id(data: bytes) -> str:
    """The id that git gives to these bytes: SHA-1 over "blob SIZE\\0" and the bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _kept_clone(url: str, clone_root: Path) -> Path:
    """The bare clone of `url`, brought up to date or made. All refs of a URL, under whatever names, share one."""
    clone_root.mkdir(parents=True, exist_ok=True)
    clone = clone_of(url, clone_root)
    name = clone.stem
    with alone(_lock_of(clone)):
        for leftover in clone_root.glob(f".{name}.*.partial"):
            shutil.rmtree(leftover, ignore_errors=True)
        if clone.is_dir():
            _fetch(clone)
            return clone
        partial_clone = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=".partial", dir=clone_root))
        try:
            git.run(["clone", "--bare", "--quiet", "--", url, partial_clone], folder=clone_root)
            partial_clone.rename(clone)
        finally:
            shutil.rmtree(partial_clone, ignore_errors=True)
    return clone


def clone_of(url: str, clone_root: Path) -> Path:
    """Where the clone of a URL is kept, or will be."""
    return clone_root / f"{clone_name(url)}.git"


def _lock_of(clone: Path) -> Path:
    return clone.with_name(f".{clone.stem}.lock")


def clone_name(url: str) -> str:
    """Names the kept clone of a URL: how the URL ends, for people, and a hash of all of it."""
    last = re.split(r"[/:]", url.rstrip("/"))[-1].removesuffix(".git")
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", last).strip("-")[:60] or "clone"
    return f"{readable}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"


def _fetch(clone: Path, timeout_s: float | None = None) -> None:
    refs = ["--tags", "origin", "+refs/heads/*:refs/heads/*"]
    git.run(["fetch", "--quiet", "--prune", "--force", *refs], folder=clone, timeout_s=timeout_s)
    head = git.run(["ls-remote", "--symref", "origin", "HEAD"], folder=clone, timeout_s=timeout_s)
    if match := re.match(rb"ref: (refs/heads/\S+)\tHEAD", head):
        git.run(["symbolic-ref", "HEAD", match[1].decode()], folder=clone)


def _reason(mode: str) -> str:
    return {"120000": "symlink", "160000": "submodule"}.get(mode, "")


def _size_reason(size: int, max_bytes: int) -> str:
    if size < 0:
        return "missing object"  # of a partial clone, or of a damaged one
    return "too large" if size > max_bytes else ""


def _shown(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _line(output: bytes) -> str:
    return output.decode("utf-8", "replace").rstrip("\n")
