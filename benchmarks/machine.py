"""What a figure was measured on."""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Iterator
from pathlib import Path


def machine() -> str:
    """The processor, how many of its cores this process may use, and Python's version."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    name = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores; Python {platform.python_version()}"


def descendants(process: int) -> Iterator[int]:
    """The ids of a process's children and theirs. Linux only."""
    try:
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return  # it is gone
    for child in children:
        yield child
        yield from descendants(child)


def cpu_seconds() -> tuple[float, float]:
    """(this process's own, that of all processes which it or they have started, ended ones included), user and system. Linux
    only."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    others = ended.ru_utime + ended.ru_stime
    for process in descendants(os.getpid()):
        try:
            others += process_seconds(process)
        except OSError:
            continue  # gone meanwhile: the next look counts it among the ended
    return time.process_time(), others


def process_seconds(process: int) -> float:
    """User and system time of a process and of those it has waited for. OSError where there is none such. Linux only."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
