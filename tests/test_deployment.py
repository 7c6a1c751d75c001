"""The container files agree with the rest of the project. scripts/compose-check brings them up for real."""

from __future__ import annotations

import re

import pytest
from jinja2 import Template

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


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("llama-2", "<s>[INST] <<SYS>>\nBe short.\n<</SYS>>\n\nWhat? [/INST] That. </s><s>[INST] Why? [/INST]"),
        ("mixtral", "<s>[INST] Be short.\n\nWhat? [/INST]That.</s>[INST] Why? [/INST]"),
    ],
)
def test_a_chat_template_writes_what_its_model_was_trained_on(template: str, expected: str) -> None:
    messages = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "What?"},
        {"role": "assistant", "content": "That."},
        {"role": "user", "content": "Why?"},
    ]
    # As vLLM renders them.
    text = Template((ROOT / f"assistant/chat_templates/{template}.jinja").read_text(), trim_blocks=True, lstrip_blocks=True)
    assert text.render(messages=messages, bos_token="<s>", eos_token="</s>") == expected
