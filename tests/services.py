"""A throwaway Redis and PostgreSQL around one command:

    python -m tests.services pytest -m event_log

The command finds them in SEXTANT_REDIS_URL and SEXTANT_DATABASE_URL. Both live in a temporary folder on free ports of
127.0.0.1, and are gone when the command has ended, whatever ended it. PostgreSQL refuses to run as root, so root starts
it as the user `postgres` that Debian's package has made.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from tests.processes import free_port

START_S = 30.0


def main(command: Sequence[str]) -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    with ExitStack() as stack:
        folder = stack.enter_context(readable_folder())
        redis_url = stack.enter_context(redis(folder))
        database_url = stack.enter_context(postgresql(folder))
        return run(command, {"SEXTANT_REDIS_URL": redis_url, "SEXTANT_DATABASE_URL": database_url})


def run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    child = subprocess.Popen(command, env={**os.environ, **environment})
    try:
        return child.wait()
    except BaseException:
        child.terminate()
        child.wait()
        raise


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


@contextmanager
def readable_folder() -> Iterator[Path]:
    """A temporary folder that another user may enter."""
    with tempfile.TemporaryDirectory(prefix="sextant-services-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    port = free_port()
    program = shutil.which("redis-server") or "/usr/bin/redis-server"
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
    with _server([program, *options], folder / "redis.log", port):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    port = free_port()
    data = folder / "postgresql"
    programs = _postgresql_programs()
    data.mkdir()
    user = _postgresql_user()
    if user:
        shutil.chown(data, user)
    initdb = [str(programs / "initdb"), "-D", str(data), "-U", "sextant", "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run(initdb, user=user, cwd=data, check=True, stdout=subprocess.DEVNULL)
    quick = ["-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=200"]
    where = ["-p", str(port), "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={data}"]
    # SIGINT is PostgreSQL's "fast shutdown": it doesn't wait for clients to go.
    with _server(
        [str(programs / "postgres"), "-D", str(data), *where, *quick], folder / "postgresql.log", port, user, signal.SIGINT
    ):
        yield f"postgresql://sextant@127.0.0.1:{port}/postgres"


def _postgresql_programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        sys.exit("PostgreSQL isn't installed: apt-get install postgresql.")
    return found[-1].parent


def _postgresql_user() -> str | None:
    return "postgres" if os.geteuid() == 0 else None


@contextmanager
def _server(
    command: Sequence[str], log: Path, port: int, user: str | None = None, stop: signal.Signals = signal.SIGTERM
) -> Iterator[None]:
    """`command`, once it answers on `port`, until the block ends. In a session of its own, so that Ctrl-C doesn't reach it."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, user=user, cwd=log.parent, start_new_session=True)
    try:
        _wait_for(process, port, log)
        yield
    finally:
        process.send_signal(stop)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{log.stem} doesn't start: {log.read_text()[-2000:]}")
            time.sleep(0.05)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python -m tests.services COMMAND...")
    sys.exit(main(sys.argv[1:]))
