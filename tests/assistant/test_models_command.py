"""manage.py models: the catalogue, what fits, and the command that serves one."""

from __future__ import annotations

import json
import shlex
from io import StringIO
from pathlib import Path

import pytest
import yaml
from django.core.management import CommandError, call_command

from assistant.catalogue import MODELS
from assistant.serving import Gpus, arguments, choose


def printed(*command: str) -> str:
    out = StringIO()
    call_command("models", *command, stdout=out)
    return out.getvalue()


def test_the_table_has_every_model_and_says_first_what_a_licence_forbids() -> None:
    first, *rest = printed().splitlines()
    assert first.startswith("# SOLAR 10.7B Instruct v1.0: Licence CC-BY-NC-4.0. Not for commercial use")
    lines = [line.split()[0] for line in rest if line.strip()]
    assert [key for key in lines if key in {model.key for model in MODELS}] == [model.key for model in MODELS]


def test_the_catalogue_as_json_holds_what_a_script_needs() -> None:
    told = {each["key"]: each for each in json.loads(printed("--json"))}
    assert told.keys() == {model.key for model in MODELS}
    seventy = told["codellama-70b"]
    assert (seventy["context"], seventy["extended_context"], seventy["stop"]) == (4096, None, ["<step>"])
    assert told["codellama-34b"]["extended_context"] == 100_000
    assert told["mixtral-8x7b"]["system_role"] is False and told["mixtral-8x7b"]["active_parameters_b"] == 12.9
    assert [key for key, each in told.items() if not each["commercial_use"]] == ["solar-10.7b"]
    assert all(Path(each["chat_template"]).name.endswith(".jinja") for each in told.values())


def test_fit_lists_what_fits_with_its_weights_and_context() -> None:
    lines = [line.split() for line in printed("fit", "--gpu", "48").splitlines()]
    assert ["codellama-34b", "4-bit", "100,000", "(extended)", "122,055", "1.2", "Llama", "2"] in lines
    assert ["codellama-70b", "fp8"] not in [line[:2] for line in lines]
    both = json.loads(printed("fit", "--gpu", "48", "--gpus", "2", "--json"))
    assert {"codellama-70b"} <= {each["key"] for each in both if each["weights"] == "fp8"}


def test_fit_says_when_nothing_fits() -> None:
    with pytest.raises(CommandError, match="No catalogued model fits"):
        printed("fit", "--gpu", "4")


def test_serve_prints_a_command_that_a_shell_can_run_and_a_compose_file() -> None:
    told = printed("serve", "codellama-34b", "--gpu", "48", "--port", "8100")
    command, _, snippet = told.partition("# Or as docker-compose.override.yml")
    (line,) = [line for line in command.splitlines() if line.startswith("vllm")]
    gpus = Gpus(48)
    expected = arguments(choose(MODELS[2], gpus), gpus, port=8100)
    assert shlex.split(line) == ["vllm", "serve", *expected]
    template = next(option for option in expected if option.startswith("--chat-template="))
    assert Path(template.partition("=")[2]).is_file()
    assert "vllm-codellama-34b" in yaml.safe_load("#" + snippet)["services"]


def test_serve_says_what_the_licence_forbids_before_anything_else() -> None:
    first, *rest = printed("serve", "solar-10.7b", "--gpu", "24").splitlines()
    assert first.startswith("# SOLAR 10.7B Instruct v1.0: Licence CC-BY-NC-4.0. Not for commercial use")
    assert any(line.startswith("vllm serve") for line in rest)
    assert "commercial" not in printed("serve", "zephyr-7b", "--gpu", "24")


@pytest.mark.parametrize(
    ("command", "status", "sentence"),
    [
        (["serve", "codellama-8b", "--gpu", "48"], 2, "No model is called 'codellama-8b'; there are codellama-7b, "),
        (["serve", "codellama-34b", "--gpu", "0"], 2, "positive numbers"),
        (["serve", "codellama-34b", "--gpu", "48", "--context", "-1"], 2, "positive numbers"),
        (["serve", "llama-2-70b", "--gpu", "24"], 1, "doesn't fit on a GPU with 24 GB"),
    ],
)
def test_what_cannot_be_served_is_told_in_a_sentence(command: list[str], status: int, sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence) as error:
        printed(*command)
    assert error.value.returncode == status
