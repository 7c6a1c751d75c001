"""Threads that wait let other programs have the cores."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from indexer.threads import sleep_when_idle


def test_what_a_person_has_set_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    sleep_when_idle()
    assert (os.environ["OMP_WAIT_POLICY"], os.environ["GOMP_SPINCOUNT"]) == ("ACTIVE", "7")


@pytest.mark.integration
def test_it_is_said_before_faiss_reads_it() -> None:
    program = """
import os
from indexer.vector_index import _faiss
assert _faiss()
print(os.environ["OMP_WAIT_POLICY"], os.environ["GOMP_SPINCOUNT"])
"""
    environment = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["PASSIVE", "0"]
