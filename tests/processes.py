"""Sextant's real processes, started for a test: each in its own process group, on free ports, over its own data folder.

with Deployment(tmp_path) as sextant:
    sextant.start("web", "answerer")
    sextant.kill("answerer")          # kill -9
    sextant.start("answerer")
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import httpx

ROOT = Path(__file__).resolve().parent.parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
    """Poll `condition` until it holds; fail with `what` when it doesn't within `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s:.0f} s in vain: {what}")
        time.sleep(0.05)


def environment(data_dir: Path, **settings: str) -> dict[str, str]:
    """For a process with Sextant's own settings over `data_dir`: what tests/settings.py set for this one stays out of it."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("SEXTANT_") and name != "DJANGO_SETTINGS_MODULE"
    }
    kept = {name: os.environ[name] for name in ("SEXTANT_CACHE_DIR",) if name in os.environ}
    return {**inherited, **kept, "SEXTANT_DATA_DIR": str(data_dir), "SEXTANT_EMBEDDER": "hashing", **settings}


class Deployment:
    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.model_port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = environment(
            folder / "data",
            SEXTANT_PORT=str(self.port),
            SEXTANT_EMBEDDED_PORT=str(self.model_port),
            SEXTANT_OFFLINE="1",
            PYTHONUNBUFFERED="1",
            **settings,
        )
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Deployment:
        self.manage("migrate", "--verbosity", "0")
        self.manage("collectstatic", "--noinput", "--verbosity", "0")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for name in list(self.processes):
            self.kill(name)

    def manage(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one management command to its end and return what it printed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        if check and done.returncode:
            raise AssertionError(f"manage.py {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
        return done

    def start(self, *names: str) -> None:
        for name in names:
            with (self.folder / f"{name}.log").open("ab") as log:  # the process has its own handle on it
                self.processes[name] = subprocess.Popen(
                    self._command(name), cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True
                )
        if "web" in names:
            wait_until(self._page_answers, f"{self.url} to answer; its log: {self.log('web')[-2000:]}")

    def kill(self, name: str) -> None:
        """kill -9, the whole process group."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=10)

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _command(self, name: str) -> list[str]:
        if name == "web":
            web = ["-m", "uvicorn", "assistant.asgi:application", "--host", "127.0.0.1", "--port", str(self.port)]
            return [sys.executable, *web, "--log-level", "warning"]
        commands = {"answerer": "answerer", "indexer": "indexer", "model": "model_server"}
        return [sys.executable, "manage.py", commands[name]]

    def _page_answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=2).status_code == 200
        except httpx.TransportError:
            return False
