"""A small repository to ask about, and what the browser tests do on its page and read from its logs."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.processes import Deployment

QUESTION = "How does hash_password make its salt?"
PATIENCE_MS = 60_000
"""How long a busy machine may take; a test that passes doesn't wait for it."""

SOURCE = '''"""Passwords are kept as salted hashes."""

import hashlib
import os


def hash_password(password: str) -> bytes:
    """A salt and the scrypt hash of `password`."""
    salt = os.urandom(16)
    return salt + hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)


def check_password(password: str, stored: bytes) -> bool:
    salt, expected = stored[:16], stored[16:]
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1) == expected
'''
README = "# Vault\n\nKeeps passwords.\n\n## Hashing\n\nSee `hash_password`.\n"


def make_repository(folder: Path) -> Path:
    (folder / "vault").mkdir(parents=True)
    (folder / "vault" / "passwords.py").write_text(SOURCE)
    (folder / "README.md").write_text(README)
    git = ["git", "-C", str(folder), "-c", "user.name=A", "-c", "user.email=a@example.org"]
    for command in (["init", "-qb", "main"], ["add", "."], ["commit", "-qm", "Keep passwords"]):
        subprocess.run([*git, *command], check=True)
    return folder


def ask(page: Page, question: str = QUESTION) -> None:
    page.get_by_label("Your question about vault").fill(question)
    page.keyboard.press("Enter")


def stop(page: Page) -> None:
    page.get_by_role("button", name=re.compile("^Stop")).click()


def prose(page: Page) -> str:
    """What the last answer on the page reads as."""
    return " ".join(page.locator(".turn").last.locator(".prose").inner_text().split())


def copied_answer(page: Page) -> str:
    """The last answer's text as the page has it, before it was rendered: what its copy button copies."""
    page.locator(".turn").last.get_by_role("button", name="Copy the answer").click()
    text = page.evaluate("navigator.clipboard.readText()")
    return str(text)


def wait_for_text(page: Page, text: str | re.Pattern[str]) -> None:
    expect(page.locator(".turn").last.locator(".prose")).to_contain_text(text, timeout=PATIENCE_MS)


def wait_for_end(page: Page) -> None:
    """The last answer has ended, however it did, and the next question can be asked."""
    expect(page.locator(".turn").last.locator(".done")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_role("button", name=re.compile("^Ask"))).to_be_visible()


Log = list[tuple[int, str, dict[str, object]]]


def last_log(sextant: Deployment) -> tuple[str, Log]:
    """The text and the log of the answer that was asked last."""
    with sqlite3.connect(f"file:{sextant.folder}/data/sextant.sqlite3?mode=ro", uri=True) as database:
        answer, text = database.execute("SELECT id, text FROM assistant_answer ORDER BY created_at DESC LIMIT 1").fetchone()
        rows = database.execute(
            "SELECT seq, kind, payload FROM assistant_answerevent WHERE answer_id = ? ORDER BY seq", [answer]
        )
        return text, [(seq, kind, json.loads(payload)) for seq, kind, payload in rows]


def check_log(sextant: Deployment, text: str) -> list[str]:
    """The log has every seq once, its deltas since the last reset make `text`, and it ends once. Returns its kinds."""
    stored, log = last_log(sextant)
    kinds = [kind for _, kind, _ in log]
    assert [seq for seq, _, _ in log] == list(range(1, len(log) + 1))
    since = max((index for index, kind in enumerate(kinds) if kind == "reset"), default=0)
    assert "".join(str(payload["text"]) for _, kind, payload in log[since:] if kind == "delta") == stored
    assert " ".join(stored.split()) == text
    assert [kind for kind in kinds if kind in ("completed", "failed", "cancelled")] == kinds[-1:]
    return kinds
