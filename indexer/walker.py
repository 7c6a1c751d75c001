"""Finds and opens the files of a folder, and nothing outside of it.

Every file is opened one path component at a time, each with O_NOFOLLOW, so that no symbolic link is followed at any
level, whatever happens to the folder meanwhile; and only a regular file is read.

Under git, git says what belongs to the repository (source.py). A folder that is not under git is walked here: nested
.gitignore files count as git counts them, and folders that hold what tools have made or installed are left out.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

IGNORE_FILE = ".sextantignore"

# Made or installed by tools; nobody asks about these, and a folder without git has nothing else to say so.
SKIPPED_FOLDERS = frozenset(
    {
        ".git", ".hg", ".svn", ".jj", "CVS",
        "node_modules", "bower_components", ".yarn", ".pnpm-store",
        ".venv", "venv", "__pycache__", ".tox", ".nox", ".eggs", "site-packages",
        ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", ".ipynb_checkpoints",
        ".gradle", ".idea", ".vs", ".terraform", ".next", ".nuxt", ".svelte-kit", ".cache", ".stack-work", ".zig-cache",
    }
)  # fmt: skip

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: a named pipe must not stop the walk before fstat can tell what it is.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


_DEEPEST_WAY = 64
_MANY_STARS = 6
# `a/**` matches what is inside of a; for git not a itself, for pathspec that too.
_EVERYTHING_INSIDE = re.compile(r"(/\*\*)(/?) *$")


class TooLarge(Exception):
    """The file has grown beyond the limit, or was beyond it from the start."""


class Folder:
    """An open folder: the root that nothing is read outside of. A context manager."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        # The folders that lead to the path that was opened last: the next path is mostly in the same one, or near.
        self._way: list[tuple[bytes, int]] = []

    def close(self) -> None:
        self._go_back(0)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _go_back(self, depth: int) -> None:
        while len(self._way) > depth:
            os.close(self._way.pop()[1])

    def read(self, path: bytes, max_bytes: int) -> bytes:
        """The bytes of the regular file at `path`. Raises TooLarge, or OSError for whatever can't be opened as one."""
        fd = self._open(path, _FILE)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(f"{os.fsdecode(path)} is not a regular file")
            if status.st_size > max_bytes:
                raise TooLarge
            data = os.read(fd, status.st_size + 1)
            while len(data) <= max_bytes and (more := os.read(fd, max_bytes + 1 - len(data))):
                data += more
        finally:
            os.close(fd)
        if len(data) > max_bytes:
            raise TooLarge
        return data

    def is_link(self, path: bytes) -> bool:
        """Whether the last component of `path` is a symbolic link now."""
        status = self._status(path)
        return status is not None and stat.S_ISLNK(status.st_mode)

    def exists(self, path: bytes) -> bool:
        """Whether something is at `path` now, reached without following a link."""
        return self._status(path) is not None

    def _status(self, path: bytes) -> os.stat_result | None:
        head, _, name = path.rpartition(b"/")
        try:
            fd = self._open(head, _DIRECTORY) if head else os.dup(self._fd)
        except OSError:
            return None
        try:
            return os.stat(name, dir_fd=fd, follow_symlinks=False)
        except OSError:
            return None
        finally:
            os.close(fd)

    def walk(self) -> Iterator[bytes]:
        """Raw paths of everything that is not a folder and not ignored, in no order. Symbolic links are among them."""
        pending: list[tuple[bytes, tuple[tuple[bytes, IgnoreRules], ...]]] = [(b"", ())]
        while pending:
            folder, rules = pending.pop()
            entries = self._entries(folder)
            if any(name == b".gitignore" for name, _ in entries):
                rules = (*rules, (folder, IgnoreRules(self.own_rules(folder + b".gitignore"))))
            for name, is_folder in entries:
                path = folder + name
                if is_folder and os.fsdecode(name) in SKIPPED_FOLDERS:
                    continue
                if _is_ignored(path + b"/" if is_folder else path, rules):
                    continue
                if is_folder:
                    pending.append((path + b"/", rules))
                else:
                    yield path

    def _entries(self, folder: bytes) -> list[tuple[bytes, bool]]:
        try:
            fd = self._open(folder.rstrip(b"/"), _DIRECTORY) if folder else os.dup(self._fd)
        except OSError:
            return []  # gone, replaced by a link, or closed to us: then it holds nothing that we may read
        try:
            with os.scandir(fd) as entries:
                return [(os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)) for entry in entries]
        finally:
            os.close(fd)

    def ignores(self, path: bytes) -> bool:
        """Whether `walk` would leave out what is at `path`, or has been."""
        rules: tuple[tuple[bytes, IgnoreRules], ...] = ()
        *folders, _ = path.split(b"/")
        inside = b""
        for name in folders:
            rules = (*rules, (inside, IgnoreRules(self.own_rules(inside + b".gitignore"))))
            inside += name + b"/"
            if os.fsdecode(name) in SKIPPED_FOLDERS or _is_ignored(inside, rules):
                return True
        return _is_ignored(path, (*rules, (inside, IgnoreRules(self.own_rules(inside + b".gitignore")))))

    def own_rules(self, path: bytes) -> bytes:
        """The file of rules at `path`; b"" where there is none, which is most folders."""
        try:
            return self.read(path, 1_000_000)
        except (OSError, TooLarge):
            return b""

    def _open(self, path: bytes, flags: int) -> int:
        """Open a path below the root one component at a time, following no link."""
        head, _, name = path.rpartition(b"/")
        folders = head.split(b"/") if head else []
        if any(part in (b"", b".", b"..") for part in (*folders, name)):
            raise OSError(f"{os.fsdecode(path)} is not a path inside the folder")
        if len(folders) > _DEEPEST_WAY:
            return self._open_deep((*folders, name), flags)
        shared = 0
        for (known, _), part in zip(self._way, folders, strict=False):
            if known != part:
                break
            shared += 1
        self._go_back(shared)
        fd = self._way[-1][1] if self._way else self._fd
        for part in folders[shared:]:
            fd = os.open(part, _DIRECTORY, dir_fd=fd)
            self._way.append((part, fd))
        return os.open(name, flags, dir_fd=fd)

    def _open_deep(self, parts: Sequence[bytes], flags: int) -> int:
        """The same without keeping any folder open, of which a path can hold more than a process may have open."""
        fd = os.dup(self._fd)
        for number, part in enumerate(parts, 1):
            try:
                inner = os.open(part, flags if number == len(parts) else _DIRECTORY, dir_fd=fd)
            finally:
                os.close(fd)
            fd = inner
        return fd


class IgnoreRules:
    """The rules of a .gitignore or .sextantignore, whose lines end and odd bytes count as they do for git.

    pathspec translates the patterns. Its own matching lets a rule for a folder speak for what is inside, which a later
    rule for another folder can then revoke; for git a rule speaks for the path that it names, and what is inside of an
    ignored folder is never looked at. So the paths are matched here.
    """

    def __init__(self, data: bytes) -> None:
        lines = data.removeprefix(codecs.BOM_UTF8).split(b"\n")
        rules = [rule for line in lines if (rule := _rule(os.fsdecode(line.removesuffix(b"\r"))))]
        self._rules = tuple(reversed(rules))
        self._any = _any_of(rules)
        self._folders: dict[str, bool] = {}

    def verdict(self, path: str) -> bool | None:
        """Whether the last rule for this very path ignores it; None without a rule. A folder's path ends in "/"."""
        if self._any is not None and not self._any.fullmatch(path):  # most paths, told at once
            return None
        return next((rule.ignores for rule in self._rules if rule.names(path)), None)

    def ignore(self, path: str) -> bool:
        """Whether a file, or a folder that it lies in, is ignored."""
        if not self._rules:
            return False
        for slash in (position for position, character in enumerate(path) if character == "/"):
            folder = path[: slash + 1]
            if folder not in self._folders:
                self._folders[folder] = bool(self.verdict(folder))
            if self._folders[folder]:
                return True
        return bool(self.verdict(path))


class _LinearPattern:
    """A pattern with so many stars that `re` could take for ever on one path: RE2 takes time in proportion to the path.

    It sees bytes, so that "?" is one byte of an odd character.
    """

    def __init__(self, pattern: str) -> None:
        import re2

        options = re2.Options()
        options.encoding, options.log_errors = re2.Options.Encoding.LATIN1, False
        self.pattern = pattern
        try:
            self._compiled = re2.compile(os.fsencode(pattern), options)
        except re2.error as error:
            raise ValueError(str(error)) from error

    def fullmatch(self, path: str) -> object | None:
        found: object | None = self._compiled.fullmatch(os.fsencode(path))
        return found


@dataclass(frozen=True, slots=True)
class _Rule:
    """ignores: False for a rule that begins with "!"."""

    regex: re.Pattern[str] | _LinearPattern
    ignores: bool

    def names(self, path: str) -> bool:
        if self.regex.pattern.startswith("^"):
            return self.regex.fullmatch(path) is not None
        return path.endswith("/") if "/" in self.regex.pattern else True  # `**/` and `*`


def _rule(line: str) -> _Rule | None:
    """The rule on one line; None for a comment, and for what is no valid pattern, which git passes over."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # re's, about `[[`
        try:
            pattern = GitIgnoreSpecPattern(_EVERYTHING_INSIDE.sub(r"\1/*\2", line))
            if pattern.regex is None or pattern.include is None:
                return None
            linear = line.count("*") > _MANY_STARS
            return _Rule(_LinearPattern(pattern.regex.pattern) if linear else pattern.regex, pattern.include)
        except (ValueError, re.error):
            return None


def _any_of(rules: Sequence[_Rule]) -> re.Pattern[str] | None:
    """An expression that matches whatever one of the rules matches; None where no such expression can be told."""
    patterns = [rule.regex.pattern for rule in rules if isinstance(rule.regex, re.Pattern)]
    if len(patterns) < len(rules) or not all(pattern.startswith("^") for pattern in patterns):
        return None
    # pathspec gives the slash of a folder a name, which an expression can hold only once.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # re's, about `[[`
        return re.compile("|".join(f"(?:{pattern.replace('(?P<ps_d>', '(?:')})" for pattern in patterns))


def _is_ignored(path: bytes, rules: tuple[tuple[bytes, IgnoreRules], ...]) -> bool:
    """git's rule: the innermost .gitignore that says anything about a path decides."""
    for folder, own in reversed(rules):
        verdict = own.verdict(os.fsdecode(path[len(folder) :]))
        if verdict is not None:
            return verdict
    return False
