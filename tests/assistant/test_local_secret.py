"""One secret key for an installation, whoever asks for it first."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from assistant.local_secret import local_secret_key
from tests.processes import ROOT, environment

ASK = "import sys; from pathlib import Path; from assistant.local_secret import local_secret_key as key;"
ASK += "print('ready', flush=True); sys.stdin.readline(); print(key(Path(sys.argv[1])))"


def test_the_key_is_made_once_and_stays_the_same(tmp_path: Path) -> None:
    first = local_secret_key(tmp_path / "data")
    assert len(first) >= 50
    assert local_secret_key(tmp_path / "data") == first
    assert (tmp_path / "data" / "secret_key").read_text() == first


def test_two_installations_have_different_keys(tmp_path: Path) -> None:
    assert local_secret_key(tmp_path / "one") != local_secret_key(tmp_path / "other")


def test_only_the_owner_can_read_the_key(tmp_path: Path) -> None:
    local_secret_key(tmp_path)
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600


def test_nothing_but_the_key_is_left_in_the_folder(tmp_path: Path) -> None:
    local_secret_key(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["secret_key"]


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    data = tmp_path / "data"
    command = [sys.executable, "-c", ASK, str(data)]
    processes = [
        subprocess.Popen(command, cwd=ROOT, env=environment(data), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    keys = [process.communicate(timeout=30)[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0] * 6
    assert set(keys) == {(data / "secret_key").read_text()}
    assert [path.name for path in data.iterdir()] == ["secret_key"]


def test_processes_with_the_same_id_agree_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in two containers on one volume. Every one has made its own key before the first one puts its into place."""
    everybody_has_a_key = threading.Barrier(8)
    link = os.link

    def link_together(source: Path, target: Path) -> None:
        everybody_has_a_key.wait(20)
        link(source, target)

    monkeypatch.setattr(os, "link", link_together)
    keys: list[str] = []
    threads = [threading.Thread(target=lambda: keys.append(local_secret_key(tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert keys == [(tmp_path / "secret_key").read_text()] * 8
