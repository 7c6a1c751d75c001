"""How fast a large folder is indexed from beginning to end, and how much memory that takes.

    python -m benchmarks.scale FOLDER [--every SECONDS] [--processes N]

Indexes FOLDER for search by words and symbols into a temporary folder, and prints a line every few seconds: how far it is,
how many files a second since the line before, and the resident memory of the builder and of its parsing processes together. The
last lines give the highest that each has had. Linux only, since memory is read from /proc.
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.machine import machine
from indexer.benchmark import build, request_of
from indexer.snapshot import read_manifest
from indexer.types import Progress

MIB = 1024 * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two lines (default: 10)")
    parser.add_argument("--processes", type=int, default=0, help="parsing processes (default: one a core, at most 8)")
    options = parser.parse_args()
    print(f"machine  {machine()}")
    with TemporaryDirectory() as place:
        measure(options.folder.resolve(), Path(place), options.every, options.processes)


@dataclass(slots=True)
class Memory:
    """The highest resident memory seen, in bytes: of the builder, of each parsing process by its id, and of all at one time."""

    builder: int = 0
    children: dict[int, int] = field(default_factory=dict)
    together: int = 0

    def look(self) -> tuple[int, int]:
        """The builder's and its children's memory now."""
        own, self.builder = resident(os.getpid())
        now = 0
        for child in children_of(os.getpid()):
            resident_now, highest = resident(child)
            now += resident_now
            self.children[child] = max(highest, self.children.get(child, 0))
        self.together = max(self.together, own + now)
        return own, now


def resident(process: int) -> tuple[int, int]:
    """(now, highest ever) of a process, in bytes; zeros when it is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0, 0
    found = {
        name: int(value.split()[0]) * 1024 for name, _, value in (line.partition(":") for line in lines) if name[:2] == "Vm"
    }
    return found.get("VmRSS", 0), found.get("VmHWM", 0)


def children_of(process: int) -> list[int]:
    return [int(child) for task in Path(f"/proc/{process}/task").iterdir() for child in (task / "children").read_text().split()]


class Watch:
    """A thread that looks at the memory every second, and prints a line every few."""

    def __init__(self, memory: Memory, every: float) -> None:
        self.step = Progress("reading", 0, 0)
        self.started = time.monotonic()
        self._memory = memory
        self._every = every
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def progress(self, step: Progress) -> None:
        self.step = step

    def _run(self) -> None:
        before, at, due = self.step, self.started, self.started + self._every
        while not self._ended.wait(min(self._every, 1.0)):
            own, children = self._memory.look()
            now, step = time.monotonic(), self.step
            if now < due:
                continue
            rate = (step.done - before.done) / (now - at) if step.stage == before.stage else 0.0
            print(
                f"{now - self.started:7.0f} s  {step.stage:10} {step.done:7,} of {step.total:7,}  {rate:6.0f} a second"
                f"  builder {own / MIB:6.0f} MiB, parsers {children / MIB:6.0f} MiB",
                flush=True,
            )
            before, at, due = step, now, now + self._every

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()


def measure(folder: Path, place: Path, every: float, processes: int) -> None:
    memory = Memory()
    with Watch(memory, every) as watch:
        snapshot = build(request_of(folder, place, parse_processes=processes), progress=watch.progress)
        seconds = time.monotonic() - watch.started
    memory.look()
    manifest = read_manifest(snapshot)
    size = sum(path.stat().st_size for path in snapshot.iterdir())
    print(
        f"\n{folder.name}: {manifest.files:,} files, {manifest.chunks:,} chunks, {manifest.definitions:,} definitions"
        f" searchable after {seconds:,.0f} s ({manifest.files / seconds:.0f} files a second); {size / MIB:,.0f} MiB on disk"
    )
    each = ", ".join(f"{highest / MIB:.0f}" for highest in memory.children.values())
    print(
        f"highest resident memory: builder {memory.builder / MIB:.0f} MiB; parsing processes {each} MiB;"
        f" all at one time {memory.together / MIB:.0f} MiB"
    )


if __name__ == "__main__":
    main()
