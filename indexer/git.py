"""The one place that starts git: always without a prompt, without hooks, and only over the transports that are allowed.

Output is bytes, names are separated by NUL, and refs are given after `--end-of-options`, so neither odd file names nor
odd ref names are taken for something else. git's own message ends up in a SourceError, without what a URL may hold of a
password.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Self

from indexer.errors import SourceError

ALLOWED_PROTOCOLS = "https:http:ssh:git:file"
# What only looks at files ends within seconds, or waits for a pipe that somebody has called .gitignore.
LOCAL_TIMEOUT_S = 300.0
_NETWORK = frozenset({"clone", "fetch", "ls-remote"})  # these end by http.lowSpeedTime
_FILTERS = r"^filter\..*\.(clean|process|required)$"
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")
# Nothing that a repository's own configuration names is run, and a stalled connection ends.
_SETTINGS = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.quotePath=false",
    "gc.auto=0",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
)


def run(
    arguments: Sequence[str | Path],
    *,
    folder: Path,
    missing_ok: bool = False,
    data: bytes = b"",
    timeout_s: float | None = None,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    """Output of `git ARGUMENTS` in `folder`. Raises SourceError when git fails, or with `missing_ok` returns b"".

    data: what git reads from its standard input. timeout_s: how long it may take, if not LOCAL_TIMEOUT_S, or for ever where it
    speaks to a network. settings: configuration for this one run, for names that `-c` could misread.
    """
    limit_s = timeout_s or (None if arguments[0] in _NETWORK else LOCAL_TIMEOUT_S)
    try:
        status, output, errors = _finished(command(arguments, folder), environment() | _as_environment(settings), data, limit_s)
    except OSError as error:
        raise SourceError(f"git can't be started ({error.strerror}): install git and try again.") from error
    except subprocess.TimeoutExpired as error:
        where = "" if arguments[0] in _NETWORK else f" in {folder}"
        raise SourceError(f"git {arguments[0]} did not end within {limit_s:g} s{where}.") from error
    if status == 0:
        return output
    if missing_ok:
        return b""
    if b"from promisor remote" in errors:
        raise SourceError(
            f"{folder} is a partial clone that lacks some of its files:"
            " run `git fetch --refetch --no-filter` in it, or index its URL."
        )
    raise SourceError(f"git {arguments[0]} failed: {_message(errors)}")


def may_be_inside(folder: Path) -> bool:
    """Whether the folder, or one above it, holds what git knows a repository by. Without that git, a process, need not be
    asked."""
    return any(os.path.lexists(place / name) for place in (folder, *folder.parents) for name in (".git", "HEAD"))


def _finished(
    arguments: Sequence[str], variables: Mapping[str, str], data: bytes, limit_s: float | None
) -> tuple[int, bytes, bytes]:
    """Exit status, output and errors. One that is too late is killed with the processes that it has started (git-remote-https,
    ssh), which would hold its pipes open. Raises OSError and TimeoutExpired."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        arguments, stdin=pipe, stdout=pipe, stderr=pipe, env=variables, process_group=0 if limit_s else None
    ) as process:
        try:
            output, errors = process.communicate(data, limit_s)
        except BaseException:
            if limit_s and process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            raise
        return process.returncode, output, errors


def command(arguments: Sequence[str | Path], folder: Path) -> list[str]:
    settings = [*_SETTINGS, f"safe.directory={folder}"]
    return ["git", "-C", str(folder), *(part for setting in settings for part in ("-c", setting)), *map(str, arguments)]


def _as_environment(settings: Mapping[str, str]) -> dict[str, str]:
    names = {f"GIT_CONFIG_KEY_{number}": name for number, name in enumerate(settings)}
    values = {f"GIT_CONFIG_VALUE_{number}": value for number, value in enumerate(settings.values())}
    return {"GIT_CONFIG_COUNT": str(len(settings)), **names, **values}


def environment() -> dict[str, str]:
    """This process's environment without what would point git to another repository, and without any prompt."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name in _KEPT}
    return {
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
        **kept,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_ALLOW_PROTOCOL": ALLOWED_PROTOCOLS,
        "GIT_NO_LAZY_FETCH": "1",
        "LC_ALL": "C",
    }


_KEPT = frozenset(
    {"GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSL_CAINFO", "GIT_SSL_NO_VERIFY", "GIT_PROXY_COMMAND", "GIT_CONFIG_GLOBAL"}
)


def without_credentials(text: str) -> str:
    """The text with `user:password@` taken out of every URL in it."""
    return _CREDENTIALS.sub("", text)


def _message(stderr: bytes) -> str:
    lines = [line for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines or ["no reason given"]
    return without_credentials(telling[0].partition(": ")[2] or telling[0])[:300].rstrip(".") + "."


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """A file of a tree or of the index: mode "100644", "120000" (link), "160000" (submodule); raw path.

    size: in bytes, or -1 where git gives none: of a submodule, of the index, and of an object that a partial clone lacks.
    """

    mode: str
    blob: str
    path: bytes
    size: int = -1


def tree_entries(folder: Path, treeish: str) -> list[TreeEntry]:
    """Every file below a tree, with its size."""
    entries = []
    for row in run(["ls-tree", "-r", "-z", "--long", "--full-tree", treeish], folder=folder).split(b"\0"):
        if row:
            head, _, path = row.partition(b"\t")
            mode, _, blob, size = head.decode().split()
            entries.append(TreeEntry(mode, blob, path, int(size) if size.isdecimal() else -1))
    return entries


def index_entries(folder: Path) -> list[TreeEntry]:
    """The tracked files below `folder`, with paths relative to it."""
    entries = {}
    for row in run(["ls-files", "-z", "--stage"], folder=folder).split(b"\0"):
        if row:
            head, _, path = row.partition(b"\t")
            mode, blob, _ = head.decode().split()
            entries[path] = TreeEntry(mode, blob, path)  # of a conflict's three stages one is enough
    return list(entries.values())


def untracked(folder: Path) -> list[bytes]:
    """Paths below `folder` that git neither tracks nor ignores; one that ends in "/" is a repository of its own."""
    output = run(["ls-files", "-z", "--others", "--exclude-standard"], folder=folder)
    return [path for path in output.split(b"\0") if path]


def is_dirty(folder: Path) -> bool:
    """Whether the work tree below `folder` differs from the commit, submodules aside.

    Comparing may run the filters that a configuration names, and a folder's own configuration is not trusted: they are off.
    """
    names = run(["config", "-z", "--name-only", "--get-regexp", _FILTERS], folder=folder, missing_ok=True).decode(
        "utf-8", "replace"
    )
    off = {name: "false" if name.endswith(".required") else "" for name in names.split("\0") if name}
    return bool(run(["status", "--porcelain", "-z", "--ignore-submodules=all", "--", "."], folder=folder, settings=off))


class ObjectReader:
    """Reads blobs through one `git cat-file --batch`. Thread-safe; a context manager."""

    def __init__(self, folder: Path) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            command(["cat-file", "--batch"], folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(),
        )

    def read(self, blob: str) -> bytes:
        """The bytes of a blob. Raises SourceError when the repository does not hold it."""
        assert self._process.stdin and self._process.stdout
        with self._lock:
            try:
                self._process.stdin.write(f"{blob}\n".encode())
                self._process.stdin.flush()
                head = self._process.stdout.readline().split()
                data = self._process.stdout.read(int(head[2]) + 1)[:-1] if len(head) == 3 else None
            except (OSError, ValueError) as error:
                raise SourceError("git ended while its objects were being read; try again.") from error
        if data is None:
            raise SourceError(f"The repository does not hold the object {blob}; fetch it whole and try again.")
        return data

    def close(self) -> None:
        assert self._process.stdin and self._process.stdout
        with self._lock:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue  # what was still to be written is of no use to anybody

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
