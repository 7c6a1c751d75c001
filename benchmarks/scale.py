"""How fast a large folder is indexed from beginning to end, and how much memory that takes.

    python -m benchmarks.scale FOLDER [--every SECONDS] [--processes N] [--index DIR]

Indexes FOLDER for search by words and symbols into a temporary folder, or into DIR, which `benchmarks.search_speed --index`
searches afterwards. Prints a line every few seconds: how far it is, how many files a second since the line before, the CPU
seconds that the builder and its parsing processes used for every 1,000 of these files, and their resident memory.

Then the same by quarters of the files, with their bytes: files differ in size, and other programs may share the cores, so the
bytes for each CPU second tell whether an index grows more slowly as it becomes larger. The last line gives the highest memory
that each process has had. Linux only, since memory and CPU time are read from /proc.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import threading
import time
from bisect import bisect_left
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks.machine import cpu_seconds, descendants, machine
from indexer.benchmark import build, request_of
from indexer.snapshot import SnapshotReader
from indexer.types import Progress

MIB = 1024 * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two lines (default: 10)")
    parser.add_argument("--processes", type=int, default=0, help="parsing processes (default: one a core, at most 8)")
    parser.add_argument("--index", type=Path, help="where the index is kept (default: it is removed)")
    options = parser.parse_args()
    print(f"machine  {machine()}")
    with nullcontext(options.index) if options.index else TemporaryDirectory() as place:
        measure(options.folder.resolve(), Path(place), options.every, options.processes)


class Point(NamedTuple):
    """How far a build is: the second, the stage and the files done in it, and the CPU seconds used so far by the builder and by
    its parsing processes."""

    at: float
    stage: str
    done: int
    builder: float
    parsers: float


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
        for child in descendants(os.getpid()):
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


class Watch:
    """A thread that looks at the memory and the CPU time every second, and prints a line every few."""

    def __init__(self, memory: Memory, every: float) -> None:
        self.step = Progress("reading", 0, 0)
        self.started = time.monotonic()
        self.points: list[Point] = []
        self._memory = memory
        self._every = every
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def progress(self, step: Progress) -> None:
        self.step = step

    def look(self) -> Point:
        step = self.step
        self.points.append(Point(time.monotonic() - self.started, step.stage, step.done, *cpu_seconds()))
        return self.points[-1]

    def _run(self) -> None:
        before = self.look()
        while not self._ended.wait(min(self._every, 1.0)):
            own, children = self._memory.look()
            now = self.look()
            if now.at < before.at + self._every:
                continue
            files = now.done - before.done if now.stage == before.stage else 0
            used = now.builder + now.parsers - before.builder - before.parsers
            print(
                f"{now.at:7.0f} s  {now.stage:10} {now.done:7,} of {self.step.total:7,}"
                f"  {files / (now.at - before.at):6.0f} a second, {1000 * used / files if files else 0:6.1f} CPU s for 1,000"
                f"  builder {own / MIB:6.0f} MiB, parsers {children / MIB:6.0f} MiB",
                flush=True,
            )
            before = now

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
        last = watch.look()
    memory.look()
    with SnapshotReader(snapshot) as reader:
        manifest = reader.manifest
        sizes = sizes_parsed(reader.connection, folder)
    size = sum(path.stat().st_size for path in snapshot.iterdir())
    print(
        f"\n{folder.name}: {manifest.files:,} files, {manifest.chunks:,} chunks, {manifest.definitions:,} definitions"
        f" searchable after {last.at:,.0f} s ({manifest.files / last.at:.0f} files a second), {last.builder:,.0f} CPU s of the"
        f" builder and {last.parsers:,.0f} CPU s of the parsing processes; {size / MIB:,.0f} MiB on disk"
    )
    print_quarters([point for point in watch.points if point.stage == "parsing"], sizes)
    each = ", ".join(f"{highest / MIB:.0f}" for highest in memory.children.values())
    print(
        f"highest resident memory: builder {memory.builder / MIB:.0f} MiB; parsing processes {each} MiB;"
        f" all at one time {memory.together / MIB:.0f} MiB"
    )


def sizes_parsed(db: sqlite3.Connection, folder: Path) -> list[int]:
    """The size in bytes of every file that went through a parser, in their order."""
    query = "SELECT path, size FROM files UNION ALL SELECT path, -1 FROM skipped WHERE blob <> '' ORDER BY path"
    return [size if size >= 0 else (folder / path).stat().st_size for path, size in db.execute(query)]


def print_quarters(points: Sequence[Point], sizes: Sequence[int]) -> None:
    """One line for each quarter of the files, between the looks that come nearest to its ends."""
    if len(points) < 5:
        return
    done = [point.done for point in points]
    ends = [points[min(len(points) - 1, bisect_left(done, len(sizes) * quarter / 4))] for quarter in range(5)]
    bytes_until = [0, *accumulate(sizes)]
    print("files                        MB    files a second   CPU s for 1,000: builder, parsers   MB for a CPU s")
    for first, end in pairwise(ends):
        files, seconds = end.done - first.done, end.at - first.at
        builder, parsers = end.builder - first.builder, end.parsers - first.parsers
        mb = (bytes_until[min(end.done, len(sizes))] - bytes_until[min(first.done, len(sizes))]) / 1e6
        print(
            f"{first.done:7,} to {end.done:7,} {mb:12,.0f} {files / seconds:17.0f} {1000 * builder / files:27.2f}"
            f" {1000 * parsers / files:8.2f} {mb / (builder + parsers):16.2f}"
        )


if __name__ == "__main__":
    main()
