"""A setting that can't be read stops every command with one sentence that names it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from assistant import settings
from tests.processes import ROOT, environment


def check(data_dir: Path, **values: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env=environment(data_dir, **values),
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SEXTANT_PORT", "many"),
        ("SEXTANT_PORT", ""),
        ("SEXTANT_PORT", "99999"),
        ("SEXTANT_EMBEDDED_PORT", "0"),
        ("SEXTANT_ANSWER_LEASE_S", "soon"),
        ("SEXTANT_ANSWER_LEASE_S", "0"),
        ("SEXTANT_INDEX_LEASE_S", "nan"),
        ("SEXTANT_TOKEN_GAP_TIMEOUT_S", "inf"),
        ("SEXTANT_ANSWER_CONCURRENCY", "-1"),
        ("SEXTANT_EVIDENCE_TOKENS", "-5"),
        ("SEXTANT_REDIS_URL", "localhost:6379"),
        ("SEXTANT_DEBUG", "perhaps"),
        ("SEXTANT_SIGN_IN", "maybe"),
        ("SEXTANT_LOG_LEVEL", "loud"),
        ("SEXTANT_EMBEDDED_MODEL", "enormous"),
        ("SEXTANT_DATABASE_URL", "mysql://sextant@localhost/sextant"),
        ("SEXTANT_DATABASE_URL", "sqlite:///"),
        ("SEXTANT_DATABASE_URL", "postgresql://localhost:many/sextant"),
        ("SEXTANT_DATABASE_URL", "postgresql://[localhost/sextant"),
        ("SEXTANT_DATA_DIR", "/dev/null/data"),
    ],
)
def test_a_value_that_can_not_be_read_stops_with_one_sentence(tmp_path: Path, name: str, value: str) -> None:
    done = check(tmp_path, **{name: value})
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("Sextant can't start:")
    assert name in line


def test_a_choice_that_does_not_exist_is_answered_with_those_that_do(tmp_path: Path) -> None:
    assert "free, required" in check(tmp_path, SEXTANT_SIGN_IN="maybe").stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_a_laptop_needs_no_settings_but_where_to_keep_things(tmp_path: Path, host: str) -> None:
    done = check(tmp_path, SEXTANT_HOST=host)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_server_that_others_can_reach_asks_for_sign_in_by_itself(tmp_path: Path) -> None:
    program = "import assistant.settings; print(assistant.settings.SIGN_IN)"
    for host, expected in {"0.0.0.0": "required", "192.168.0.7": "required", "127.0.0.1": "free"}.items():
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env=environment(tmp_path, SEXTANT_HOST=host),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.stdout.strip() == expected, host


def test_a_database_url_says_all_that_is_needed_to_connect() -> None:
    database = settings._database("postgresql://ada:p%40ss@db.example:5433/sex%20tant?sslmode=require&connect_timeout=3")
    assert (database["USER"], database["PASSWORD"], database["NAME"]) == ("ada", "p@ss", "sex tant")
    assert (database["HOST"], database["PORT"]) == ("db.example", "5433")
    assert database["OPTIONS"] == {"sslmode": "require", "connect_timeout": "3"}
    assert settings._database("sqlite:////srv/sextant.sqlite3")["NAME"] == "/srv/sextant.sqlite3"
