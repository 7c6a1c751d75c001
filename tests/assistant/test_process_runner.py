"""The whole of `manage.py run`: it says when the page answers, keeps its processes alive, and leaves none behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from assistant.errors import BadRequest
from assistant.process_runner import Runner, check_port
from tests.processes import ROOT, environment, free_port, wait_until

pytestmark = pytest.mark.integration


class Run:
    """`manage.py run` over its own data folder, with what it prints in a file."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.url = f"http://127.0.0.1:{settings['SEXTANT_PORT']}"
        self._output = folder / "output.txt"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "run"],
                cwd=ROOT,
                env=environment(folder / "data", SEXTANT_OFFLINE="1", PYTHONUNBUFFERED="1", **settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.seen: set[psutil.Process] = set()

    def printed(self) -> str:
        return self._output.read_text(errors="replace")

    def tree(self) -> set[psutil.Process]:
        """Every process that descends from the runner now."""
        now = set(psutil.Process(self.process.pid).children(recursive=True))
        self.seen |= now
        return now

    def remember(self) -> None:
        """Keep what descends from the runner now, which may end at any moment, in `seen`."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self.tree()

    def has_ended(self) -> bool:
        self.remember()
        return self.process.poll() is not None

    def program(self, words: str) -> psutil.Process | None:
        """The one process of the tree whose command line has `words`, after its shell has become it."""
        for process in self.tree():
            try:
                command = process.cmdline()
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
            if command[:1] == [sys.executable] and words in " ".join(command):
                return process
        return None

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def wait_until_it_is_up(self) -> None:
        wait_until(lambda: "Sextant is at" in self.printed() or self.process.poll() is not None, "the page to answer")
        assert "Sextant is at" in self.printed(), self.printed()

    def end(self) -> None:
        if self.process.poll() is None:
            self.remember()
            self.process.kill()
            self.process.wait(timeout=10)
        for process in self.seen:
            if process.is_running():
                process.kill()


def gone(process: psutil.Process) -> bool:
    """A process that has ended counts, whether or not somebody has asked for its status yet."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


StartRun = Callable[..., Run]


@pytest.fixture
def start_run(tmp_path: Path) -> Iterator[StartRun]:
    running: list[Run] = []

    def start(**settings: str) -> Run:
        ports = {"SEXTANT_PORT": str(free_port()), "SEXTANT_EMBEDDED_PORT": str(free_port())}
        running.append(Run(tmp_path, **{**ports, "SEXTANT_EMBEDDED_MODEL": "demonstration", **settings}))
        return running[-1]

    yield start
    for run in running:
        run.end()


PROGRAMS = ("uvicorn", "manage.py answerer", "manage.py indexer", "manage.py model_server")


def wait_for_programs(run: Run, programs: tuple[str, ...] = PROGRAMS) -> set[psutil.Process]:
    for words in programs:
        wait_until(lambda words=words: run.program(words) is not None, f"{words} to run")  # type: ignore[misc]
    return run.tree()


def test_one_command_runs_everything_until_ctrl_c(demonstration_weights: Path, start_run: StartRun) -> None:
    run = start_run()
    run.wait_until_it_is_up()
    assert f"Sextant is at {run.url}/" in run.printed()
    assert httpx.get(f"{run.url}/healthz").text == "ok\n"
    tree = wait_for_programs(run)
    assert len(tree) >= len(PROGRAMS)
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(timeout=30) == 0, run.printed()
    wait_until(lambda: all(gone(process) for process in tree), "every process to end")
    assert "Traceback" not in run.printed()


@pytest.mark.parametrize("started", [1, 2, 3])
def test_ctrl_c_in_the_first_moment_ends_everything_too(start_run: StartRun, started: int) -> None:
    run = start_run(SEXTANT_EMBEDDED_MODEL="off")
    runner = psutil.Process(run.process.pid)
    while len(runner.children()) < started:
        assert run.process.poll() is None, run.printed()
    run.process.send_signal(signal.SIGINT)
    wait_until(run.has_ended, "the runner to end")
    assert run.process.returncode == 0, run.printed()
    wait_until(lambda: all(gone(process) for process in run.seen), "every process to end")
    assert "Traceback" not in run.printed()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_closed_terminal_leaves_no_process(start_run: StartRun, number: signal.Signals) -> None:
    run = start_run(SEXTANT_EMBEDDED_MODEL="off")
    run.wait_until_it_is_up()
    tree = wait_for_programs(run, PROGRAMS[:3])
    run.process.send_signal(number)
    run.process.wait(timeout=30)
    wait_until(lambda: all(gone(process) for process in tree), "every process to end")


def test_a_runner_that_is_killed_leaves_no_process(demonstration_weights: Path, start_run: StartRun) -> None:
    run = start_run()
    run.wait_until_it_is_up()
    tree = wait_for_programs(run)
    run.process.kill()
    run.process.wait(timeout=10)
    wait_until(lambda: all(gone(process) for process in tree), "every process to end")
    assert not run.answers()


def test_a_process_that_is_killed_is_started_again(start_run: StartRun) -> None:
    run = start_run(SEXTANT_EMBEDDED_MODEL="off")
    run.wait_until_it_is_up()
    wait_for_programs(run, PROGRAMS[:3])
    others = {words: run.program(words) for words in PROGRAMS[1:3]}
    web = run.program("uvicorn")
    assert web is not None
    web.kill()
    wait_until(lambda: gone(web), "the web process to end")
    wait_until(run.answers, "the page to answer again")
    again = run.program("uvicorn")
    assert again is not None
    assert again != web
    wait_until(lambda: "web was ended by SIGKILL; it starts again in 1 s." in run.printed(), "a line that says so")
    assert {words: run.program(words) for words in PROGRAMS[1:3]} == others
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(timeout=30) == 0
    assert gone(again)


@pytest.mark.parametrize("setting", ["SEXTANT_PORT", "SEXTANT_EMBEDDED_PORT"])
def test_a_port_that_is_taken_is_one_sentence(tmp_path: Path, setting: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ports = {"SEXTANT_PORT": str(free_port()), "SEXTANT_EMBEDDED_PORT": str(free_port()), setting: port}
        done = subprocess.run(
            [sys.executable, "manage.py", "run"],
            cwd=ROOT,
            env=environment(tmp_path / "data", SEXTANT_OFFLINE="1", **ports),
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert f"Port {port} can't be used" in line
    assert line.endswith(f"or set {setting}.")


def test_with_a_model_server_of_ones_own_none_is_started(start_run: StartRun) -> None:
    run = start_run(SEXTANT_CODE_MODEL_URL=f"http://127.0.0.1:{free_port()}/v1", SEXTANT_CODE_MODEL_NAME="coder")
    run.wait_until_it_is_up()
    wait_for_programs(run, PROGRAMS[:3])
    assert run.program("model_server") is None
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(timeout=30) == 0


# --- the runner by itself, with small programs ---

RUN = """
import sys
from assistant.process_runner import Runner

commands = dict(argument.split("=", 1) for argument in sys.argv[1:])
Runner(commands, {name: {} for name in commands}, "http://127.0.0.1:1").loop()
"""


@contextlib.contextmanager
def running(**commands: str) -> Iterator[subprocess.Popen[str]]:
    """A runner of these shell commands, in a process group of its own as under a terminal, until the block ends."""
    arguments = [f"{name}={command}" for name, command in commands.items()]
    with subprocess.Popen(
        [sys.executable, "-c", RUN, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def lines_until(process: subprocess.Popen[str], end: str) -> list[str]:
    """What the runner prints, up to the line that has `end`."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip())
        if end in line:
            return lines
    raise AssertionError(f"{end!r} never came: {lines}")


def pid_in(line: str) -> psutil.Process:
    return psutil.Process(int(line.rsplit(maxsplit=1)[-1]))


def test_a_program_that_keeps_ending_is_started_again_after_growing_pauses() -> None:
    with running(short="exit 3", long="echo here; exec sleep 1000") as runner:
        lines = lines_until(runner, "it starts again in 4 s.")
    said = [line.partition("| ")[2] for line in lines if "starts again" in line]
    assert said == [f"short ended with status 3; it starts again in {seconds} s." for seconds in (1, 2, 4)]
    assert sum("here" in line for line in lines) == 1


def test_ctrl_c_in_a_terminal_reaches_everything_at_once_and_nothing_is_left() -> None:
    """The terminal sends SIGINT to the whole process group of the runner."""
    program = "trap '' INT TERM; sleep 1000 & echo child $!; echo leader $$; wait; exec sleep 1000"
    with running(stubborn=program, calm="echo calm $$; exec sleep 1000") as runner:
        lines: list[str] = []
        while sum(word in line for line in lines for word in ("child", "leader", "calm ")) < 3:
            lines += lines_until(runner, "")
        programs = [pid_in(line) for line in lines]
        os.killpg(runner.pid, signal.SIGINT)
        runner.wait(timeout=30)
        wait_until(lambda: all(gone(process) for process in programs), "every process to end")


def test_a_program_that_leaves_a_process_behind_leaves_none() -> None:
    with running(forking="sleep 1000 & echo left $!; exit 0") as runner:
        left = pid_in(lines_until(runner, "left")[-1])
        lines_until(runner, "ended with status 0; it starts again")
        assert gone(left)


def test_a_second_ctrl_c_that_interrupts_the_first_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = Runner({}, {}, "http://127.0.0.1:1")
    set_stopping = runner.stopping.set

    def interrupted() -> None:
        with runner.stopping._cond:  # as within set()
            runner.terminate()
        set_stopping()

    monkeypatch.setattr(runner.stopping, "set", interrupted)
    ending = threading.Thread(target=runner.terminate, daemon=True)
    ending.start()
    ending.join(5)
    assert not ending.is_alive() and runner.stopping.is_set()


def test_an_address_that_is_not_this_machines_is_one_sentence() -> None:
    with pytest.raises(BadRequest, match=r"^Port 8000 can't be used \(.+\): stop what runs there, or set SEXTANT_PORT\.$"):
        check_port("203.0.113.7", 8000, "SEXTANT_PORT")
