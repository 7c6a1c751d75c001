"""What the documents promise is there, and what is there is documented."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest
from django.core.management import get_commands

from assistant.catalogue import MODELS, Model
from assistant.management.commands.models import row
from assistant.models import AnswerEvent
from assistant.serving import CARDS_GIB, Gpus, shape_of
from tests.processes import ROOT

DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
SETTING = re.compile(r"`(SEXTANT_[A-Z0-9_]+)`")


def read_settings() -> set[str]:
    """The variables that assistant/settings.py reads."""
    tree = ast.parse((ROOT / "assistant/settings.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    return {
        f"SEXTANT_{call.args[0].value}"
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "env"
        and isinstance(call.args[0], ast.Constant)
    }


def test_every_setting_is_documented_and_every_documented_setting_is_read() -> None:
    table = (ROOT / "docs/configuration.md").read_text()
    documented = {
        match[1] for line in table.splitlines() if line.startswith("| `SEXTANT_") for match in [SETTING.search(line)] if match
    }
    assert documented == read_settings()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_no_document_names_a_setting_that_is_not_read(document: Path) -> None:
    named = set(SETTING.findall(document.read_text()))
    assert {name for name in named if not name.endswith("_")} <= read_settings()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", document.read_text())
    broken = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_and_commands_that_a_document_names_exist(document: Path) -> None:
    text = document.read_text()
    tracked = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    there = set(tracked.stdout.split("\n"))
    files = set(re.findall(r"`((?:assistant|indexer|tests|docs|scripts|benchmarks|static|templates)/[\w./-]+\.\w+)", text))
    assert {name for name in files if name not in there} == set()
    commands = set(re.findall(r"manage\.py ([a-z_]+)", text))
    assert commands <= get_commands().keys()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets


def test_every_kind_of_event_is_in_the_protocol() -> None:
    table = (ROOT / "docs/protocol.md").read_text().split("## Events")[1]
    documented = set(re.findall(r"^\| `(\w+)` \|", table.split("\n\nA **passage**")[0], re.MULTILINE))
    assert documented == set(AnswerEvent.Kind.values)


def test_the_tables_of_models_are_what_the_code_knows() -> None:
    lines = (ROOT / "docs/models.md").read_text().splitlines()
    described = [line.strip("| ").split(" | ") for line in lines if re.match(r"\| [a-z0-9-.]+ \| [\d.]+ B", line)]
    assert described == [list(row(model)) for model in MODELS]
    held = [line.strip("| ").split(" | ") for line in lines if re.match(r"\| [a-z0-9-.]+ \| [\d–]+ \|", line)]
    assert held == [[model.key, *map(_thousands, [model] * 3, CARDS_GIB)] for model in MODELS]


def _thousands(model: Model, memory_gb: int) -> str:
    tokens = Gpus(memory_gb).cached_tokens(shape_of(model), "4-bit")
    return str(tokens // 1000) if tokens >= 0 else "–"
