"""Imports point one way, the core is free of Django, and the web process stays small."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import ROOT, environment

# The assistant's doors into the indexer.
DOORS = {"retriever", "lookup", "snapshot", "tokens", "types", "models", "errors", "minilm"}
DJANGO_SIDE = {"models", "jobs", "outdated", "queue", "rollback", "source_checks", "apps", "management", "migrations"}
HEAVY = ("torch", "faiss", "sentence_transformers", "transformers", "tree_sitter", "numpy", "xllamacpp")


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """The full names of all modules that a file imports anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def place(path: Path) -> str:
    """The part of a package that a module belongs to: "management" for indexer/management/commands/x.py."""
    return path.relative_to(ROOT).parts[1].removesuffix(".py")


def test_the_indexer_never_imports_the_assistant() -> None:
    found = {str(path): name for path in modules("indexer") for name in imports(path) if name.split(".")[0] == "assistant"}
    assert found == {}


def test_the_assistant_enters_the_indexer_only_through_its_doors() -> None:
    entered = {
        name.split(".")[1]
        for path in modules("assistant")
        for name in imports(path)
        if name.startswith("indexer.") and place(path) != "migrations"
    }
    assert entered <= DOORS


def test_the_core_of_the_indexer_knows_no_django() -> None:
    found = {
        f"{path.name}: {name}"
        for path in modules("indexer")
        if place(path) not in DJANGO_SIDE
        for name in imports(path)
        if name.split(".")[0] in ("django", "django_tasks", "django_tasks_db", "channels")
        or name in ("indexer.models", "indexer.jobs", "indexer.queue")
    }
    assert found == set()


@pytest.mark.parametrize("folder", ["assistant", "indexer"])
def test_every_module_says_what_it_is_for(folder: str) -> None:
    silent = [
        path.name
        for path in modules(folder)
        if path.stat().st_size and place(path) != "migrations" and path.name != "apps.py"
        if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_the_web_process_loads_nothing_heavy_even_after_serving_its_pages(tmp_path: Path) -> None:
    program = f"""
import django, os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "assistant.settings"
import assistant.asgi
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django.test import Client
client = Client(headers={{"host": "localhost"}})
assert client.get("/").status_code == 200
assert client.get("/status.json").status_code == 200
loaded = [name for name in {HEAVY!r} if name in sys.modules]
sys.exit(f"loaded: {{loaded}}" if loaded else 0)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
