"""index_repo --watch: real changes to real folders, seen by a real process."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from indexer.errors import SourceError
from indexer.walker import Folder
from indexer.watch import rounds
from tests.processes import environment

from .builds import SMALL, write_files
from .test_source import commit, git

pytestmark = pytest.mark.integration

MANAGE = [sys.executable, str(Path(__file__).parents[2] / "manage.py")]
SOON_S = 60
# Longer than a watch waits for quiet, several times over: what would have woken it has done so by then.
QUIET_S = 2.5


class Watch:
    """The rounds that a folder gives, counted in a thread as they come."""

    def __init__(self, root: Path, **options: object) -> None:
        self._root = root
        self._options = options
        self._rounds: queue.Queue[str] = queue.Queue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            for _ in rounds(self._root, **self._options):
                self._rounds.put("round")
                if self._stop.is_set():
                    return
        except SourceError as error:
            self._rounds.put(str(error))

    def next(self) -> str:
        return self._rounds.get(timeout=SOON_S)

    def is_quiet(self) -> bool:
        try:
            self._rounds.get(timeout=QUIET_S)
        except queue.Empty:
            return True
        return False

    def __enter__(self) -> Watch:
        self._thread.start()
        assert self.next() == "round"
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        if self._root.is_dir():
            (self._root / "last.py").write_text("last = True\n")
        self._thread.join(SOON_S)


@pytest.fixture
def repository(tmp_path):
    folder = write_files(tmp_path / "repository", {**SMALL, ".gitignore": "build/\n*.log\n"})
    git(folder, "init", "--quiet", "--initial-branch", "main")
    commit(folder, "one")
    return folder


def test_a_change_wakes_it_once_and_what_is_ignored_does_not(repository):
    write_files(repository, {".sextantignore": "*.tmp\n"})
    with Watch(repository) as watch:
        write_files(repository, {"build/out.py": "x\n", "a.log": "x\n", "b.tmp": "x\n", "bank/c.log": "x\n"})
        assert watch.is_quiet()
        write_files(repository, {f"many{number}.py": "x = 1\n" for number in range(50)})
        assert watch.next() == "round"
        assert watch.is_quiet()
        (repository / "greetings.py").unlink()
        assert watch.next() == "round"


def test_git_at_work_wakes_nobody_but_a_commit_and_a_checkout_do_once_each(repository):
    git(repository, "checkout", "--quiet", "-b", "other")
    write_files(repository, {f"other{number}.py": "x = 1\n" for number in range(200)})
    commit(repository)
    git(repository, "checkout", "--quiet", "main")
    with Watch(repository) as watch:
        os.utime(repository / "greetings.py")
        assert watch.next() == "round"
        git(repository, "status")
        git(repository, "branch", "third")
        assert watch.is_quiet()
        git(repository, "checkout", "--quiet", "other")
        assert watch.next() == "round"
        assert watch.is_quiet()
        git(repository, "commit", "--quiet", "--allow-empty", "--message", "nothing")
        assert watch.next() == "round"


def test_a_folder_without_git_has_its_own_rules_and_the_folders_of_tools_are_left_out(tmp_path):
    folder = write_files(tmp_path / "plain", {**SMALL, "bank/.gitignore": "*.tmp\n"})
    with Watch(folder, own=[folder / "var"]) as watch:
        write_files(folder, {"node_modules/x.js": "x\n", "bank/a.tmp": "x\n", "var/index": "x\n"})
        # The folder itself has changed, which is a reason to look; what is inside of these is none.
        while not watch.is_quiet():
            pass
        write_files(folder, {"node_modules/y.js": "y\n", "bank/a.tmp": "y\n", "var/index": "y\n"})
        assert watch.is_quiet()
        write_files(folder, {"a.tmp": "x\n"})
        assert watch.next() == "round"


def test_what_the_walk_leaves_out_is_what_one_path_is_asked_about(tmp_path):
    files = {"a.py": "", "bank/a.tmp": "", "bank/b.py": "", "bank/.gitignore": "*.tmp\n", "venv/x.py": "", "out/deep/x.py": ""}
    folder = Folder(write_files(tmp_path / "plain", {**files, ".gitignore": "out/\n"}))
    walked = set(folder.walk())
    everything = {path.encode() for path in [*files, ".gitignore"]}
    assert {path for path in everything if not folder.ignores(path)} == walked
    folder.close()


def test_a_folder_that_goes_ends_the_watch_with_a_sentence(tmp_path):
    folder = write_files(tmp_path / "plain", SMALL)
    with Watch(folder) as watch:
        shutil.rmtree(folder)
        while (said := watch.next()) == "round":
            pass
        assert said == f"{folder} is gone, so there is nothing left to watch."


def test_a_bare_repository_can_not_be_watched(tmp_path):
    git(tmp_path, "init", "--quiet", "--bare", tmp_path / "bare.git")
    with pytest.raises(SourceError, match="only a folder with files in it can be watched"):
        next(rounds(tmp_path / "bare.git"))


@contextmanager
def watching(folder: Path, home: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    command = [*MANAGE, "index_repo", str(folder), "--watch", "--json"]
    with subprocess.Popen(command, env=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_folder_is_indexed_after_each_change_an_error_is_told_and_ctrl_c_ends_with_0(repository, tmp_path):
    home = environment(tmp_path / "var", SEXTANT_PARSE_PROCESSES="1")
    subprocess.run([*MANAGE, "migrate", "--verbosity", "0"], env=home, check=True)
    with watching(repository, home) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = json.loads(process.stdout.readline())
        assert first["files"] == 4
        write_files(repository, {"more.py": "def more():\n    return 1\n"})
        second = json.loads(process.stdout.readline())
        assert (second["files"], second["embedded"]) == (5, 1)
        (repository / ".git").rename(tmp_path / "hidden")
        (repository / "greetings.py").rename(tmp_path / "greetings.py")
        for path in [".gitignore", "README.md", "more.py", "bank"]:
            (repository / path).rename(tmp_path / f"hidden-{path}")
        for line in process.stderr:
            if ".sextantignore leave out: there is nothing to index. The next change tries again." in line:
                break
        write_files(repository, {"again.py": "again = 1\n"})
        assert json.loads(process.stdout.readline())["files"] == 1
        process.send_signal(signal.SIGINT)
        assert process.wait(SOON_S) == 0
        rest = process.stderr.read()
        assert "Stopped watching." in rest
        assert "Traceback" not in rest


def test_what_can_not_be_watched_is_bad_usage(tmp_path):
    home = environment(tmp_path / "var")
    write_files(tmp_path / "plain", SMALL)
    for arguments in (["https://example.org/a.git"], [str(tmp_path / "plain"), "--ref", "main"], ["/no/such/folder"]):
        done = subprocess.run([*MANAGE, "index_repo", *arguments, "--watch"], env=home, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (2, "")
        assert "--watch needs a folder" in done.stderr
