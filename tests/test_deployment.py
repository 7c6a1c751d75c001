"""The container files agree with the rest of the project. scripts/compose-check brings them up for real."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from assistant.catalogue import MODELS, model_of
from assistant.serving import IMAGE
from tests.processes import ROOT
from tests.test_documentation import read_settings

# In a container these are what the image says, so that ports, volumes and health checks fit.
FIXED = {"SEXTANT_CACHE_DIR", "SEXTANT_INDEX_ROOT", "SEXTANT_PORT", "SEXTANT_EMBEDDED_PORT"}
NOT_FOR_A_TEAM = {"SEXTANT_DEBUG"}


def test_every_setting_can_be_set_for_the_compose_services() -> None:
    passed_on = set(re.findall(r"^ +(SEXTANT_[A-Z_]+):", (ROOT / "docker-compose.yml").read_text(), re.MULTILINE))
    assert passed_on | FIXED | NOT_FOR_A_TEAM == read_settings()


def test_the_images_are_installed_by_the_same_uv_as_a_clone() -> None:
    in_dockerfile = re.search(r"ARG UV_VERSION=(\S+)", (ROOT / "Dockerfile").read_text())
    in_makefile = re.search(r"UV_VERSION := (\S+)", (ROOT / "Makefile").read_text())
    assert in_dockerfile and in_makefile and in_dockerfile[1] == in_makefile[1]


@pytest.mark.parametrize("command", [("search", "sample", "why"), ("index_repo", ".")])
def test_where_searching_is_not_installed_its_commands_say_where_it_is(command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("raise ModuleNotFoundError('No module named numpy', name='numpy')\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "SEXTANT_DATA_DIR": str(tmp_path / "data")}
    done = subprocess.run(
        [sys.executable, ROOT / "manage.py", *command], env=environment, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "Searching isn't installed here: run index_repo in the indexer's container, ask and search in the answerer's."
    ]


def vllm_services() -> list[Any]:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return [pytest.param(services[name], id=name) for name in services if name.startswith("vllm-")]


@pytest.mark.parametrize("service", vllm_services())
def test_the_gpu_profile_serves_catalogued_models_as_the_catalogue_says(service: dict[str, Any]) -> None:
    repository, *options = service["command"]
    given = dict(option.removeprefix("--").split("=", 1) for option in options)
    model = model_of(given["served-model-name"])
    assert model in MODELS and given["served-model-name"] == model.name
    assert model.awq in repository
    assert given["max-model-len"] == str(model.family.context_tokens)
    assert given["chat-template"] == f"/chat-templates/{model.family.chat_template}"
    assert service["image"] == IMAGE
