"""The processes of `manage.py run`, side by side in one terminal. Honcho runs them and prefixes what they print.

Two things are added to it. A process that ends by itself is started again, with a line that says so, where Honcho alone
would stop the rest; and every process group is emptied when its first process has ended, so nothing is left behind,
whether the end was Ctrl-C, a closed terminal, a crash of one process or a kill -9 of the runner itself.

(Supervisor restarts too, but shows no process's name beside its output, and needs a file of its own for every setting.)
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from honcho.manager import Manager
from honcho.printer import Printer
from honcho.process import Process

from assistant.errors import BadRequest

# A process that keeps ending is started again after 1, 2, 4, … seconds, and from a minute of good health on after 1 again.
LONGEST_PAUSE_S = 30.0
HEALTHY_S = 60.0
OPEN_TIMEOUT_S = 2.0


def check_port(host: str, port: int, setting: str) -> None:
    """Raise BadRequest when something listens on host:port already."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise BadRequest(
                f"Port {port} can't be used ({error.strerror}): stop what runs there, or set {setting}."
            ) from error


class PersistentProcess(Process):  # type: ignore[misc]
    """A Honcho process that is started again until `stopping` is set. Runs in a child process of the runner."""

    def __init__(self, *args: Any, stopping: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stopping = stopping

    def run(self, events: Any = None, ignore_signals: bool = False) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _carry_on)
        self._events = events
        threading.Thread(target=self._end_with_runner, daemon=True).start()
        pause_s = 1.0
        while True:
            began = time.monotonic()
            status = self._run_once()
            if time.monotonic() - began > HEALTHY_S:
                pause_s = 1.0
            if self.stopping.is_set():
                break
            self._send_message(f"{self.name} {_how_it_ended(status)}; it starts again in {pause_s:.0f} s.")
            if self.stopping.wait(pause_s):
                break
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        self._send_message({"returncode": status}, type="stop")

    def _run_once(self) -> int:
        self._child = self._child_ctor(self.cmd, env=self.env, cwd=self.cwd)
        self._send_message({"pid": self._child.pid}, type="start")
        if self.stopping.is_set():  # it was set between the last look and the start
            os.killpg(self._child.pid, signal.SIGTERM)
        sweeper = threading.Thread(target=_empty_group_after, args=(self._child.pid,))
        sweeper.start()
        for line in iter(self._child.stdout.readline, b""):
            self._send_message(line)
        self._child.stdout.close()
        sweeper.join()
        return int(self._child.wait())

    def _end_with_runner(self) -> None:
        """Without the runner nobody would stop this process any more."""
        runner = multiprocessing.parent_process()
        assert runner is not None
        multiprocessing.connection.wait([runner.sentinel])
        if self._child is not None:
            _kill_group(self._child.pid)
        os._exit(1)


def _carry_on(number: int, frame: FrameType | None) -> None:
    """Not SIG_IGN, which the started program would inherit; a handler is dropped at exec."""


def _empty_group_after(leader: int) -> None:
    """Kill what a process has left in its group once it has ended. Its id can't be reused before it is waited for."""
    os.waitid(os.P_PID, leader, os.WEXITED | os.WNOWAIT)
    _kill_group(leader)


def _kill_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # nothing left in it
        return


def _how_it_ended(status: int) -> str:
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"


class Runner(Manager):  # type: ignore[misc]
    """Runs commands until one of SIGINT, SIGTERM and SIGHUP, and says once when the page answers."""

    def __init__(self, commands: Mapping[str, str], environment: Mapping[str, Mapping[str, str]], url: str) -> None:
        super().__init__(Printer(time_format=""))  # what is printed carries its own time
        self.url = url
        self._terminating = False
        self.stopping = multiprocessing.Event()
        self._process_ctor = self._make
        for name, command in commands.items():
            self.add_process(name, command, env=dict(environment[name]))

    def _make(self, *args: Any, **kwargs: Any) -> PersistentProcess:
        return PersistentProcess(*args, stopping=self.stopping, **kwargs)

    def _start(self) -> None:
        super()._start()
        signal.signal(signal.SIGHUP, lambda number, frame: os.kill(os.getpid(), signal.SIGTERM))
        announce = threading.Thread(target=say_when_it_answers, args=(self.url, self._system_print, self.stopping), daemon=True)
        announce.start()

    def terminate(self) -> None:
        """Ask every process to end; what hasn't after five seconds is killed, with or without a first one that has."""
        if self._terminating:
            return
        # Before `stopping`, whose lock a second Ctrl-C that interrupts this one would wait for without end.
        self._terminating = True
        self.stopping.set()
        threading.Thread(target=self._ask_to_end, daemon=True).start()
        killer = threading.Timer(5.0, self.kill)
        killer.daemon = True
        killer.start()

    def _ask_to_end(self) -> None:
        """SIGTERM, once, to every process, and to one that is only just starting as soon as its id is known."""
        waiting = list(self._processes.values())
        while waiting:
            for process in [process for process in waiting if "pid" in process]:
                waiting.remove(process)
                if "returncode" not in process:
                    self._procmgr.terminate(process["pid"])
            time.sleep(0.02)

    def kill(self) -> None:
        for process in self._processes.values():
            if "pid" in process and "returncode" not in process:
                self._procmgr.kill(process["pid"])

    def _system_print(self, data: str) -> None:
        """Honcho's own lines, less those that only a programmer reads."""
        if not data.startswith(tuple(self._processes)):
            super()._system_print(data)


def say_when_it_answers(url: str, say: Callable[[str], None], stopping: Any) -> None:
    while not stopping.wait(0.25):
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=OPEN_TIMEOUT_S):  # noqa: S310  (our own address)
                break
        except OSError:
            continue
    if not stopping.is_set():
        say(f"\nSextant is at {url}/   (Ctrl-C stops it)\n")
