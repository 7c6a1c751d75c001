"""The chat templates that we ship write, byte for byte, what the models' own code writes.

The golden files hold what that code makes; `python -m tests.assistant.chat_templates.derive --help` says how. Templates are
rendered here as vLLM renders them, which is as transformers does.
"""

from __future__ import annotations

import json
from typing import Any

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant import rendered_prompt
from assistant.catalogue import FAMILIES
from assistant.chat import Message
from assistant.prompts import normalised
from tests.assistant.chat_templates.derive import DIALOGUES
from tests.processes import ROOT

TEMPLATES = sorted(path.stem for path in (ROOT / "assistant/chat_templates").glob("*.jinja"))
SERVED = [family for family in FAMILIES if family.chat_template]


def source(template: str) -> str:
    return (ROOT / f"assistant/chat_templates/{template}.jinja").read_text()


def render(template: str, messages: list[dict[str, str]]) -> str:
    return rendered_prompt.render(f"{template}.jinja", messages)


def golden(template: str) -> dict[str, Any]:
    return json.loads((ROOT / f"tests/assistant/chat_templates/{template}.json").read_text())


def cases() -> list[Any]:
    return [
        pytest.param(template, case, id=f"{template}: {case['name']}")
        for template in TEMPLATES
        for case in golden(template)["cases"]
    ]


@pytest.mark.parametrize(("template", "case"), cases())
def test_a_template_writes_what_the_models_own_code_writes(template: str, case: dict[str, Any]) -> None:
    assert render(template, case["messages"]) == case["text"]


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_has_a_golden_text_of_every_dialogue(template: str) -> None:
    assert {case["name"]: case["messages"] for case in golden(template)["cases"]} == DIALOGUES


@pytest.mark.integration
@pytest.mark.parametrize(("template", "case"), cases())
def test_transformers_renders_the_templates_to_the_same_text(template: str, case: dict[str, Any]) -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), **rendered_prompt.TOKENS)
    rendered = tokenizer.apply_chat_template(
        case["messages"], chat_template=source(template), tokenize=False, add_generation_prompt=True
    )
    assert rendered == case["text"]


def test_the_70b_text_is_the_one_on_its_model_card() -> None:
    """Whose ids are, by the card, those of Meta's code."""
    messages = [
        {"role": "system", "content": "System prompt    "},
        {"role": "user", "content": "First user query"},
        {"role": "assistant", "content": "Model response to first query"},
        {"role": "user", "content": "Second user query"},
    ]
    assert render("code-llama-70b", messages) == (
        "<s>Source: system\n\n System prompt <step> Source: user\n\n First user query <step> "
        "Source: assistant\n\n Model response to first query <step> Source: user\n\n Second user query <step> "
        "Source: assistant\nDestination: user\n\n "
    )


@pytest.mark.parametrize("template", ["llama-2", "code-llama-70b", "mixtral"])
@pytest.mark.parametrize("roles", [["assistant"], ["user", "user"], ["user", "assistant"], ["user", "system", "user"]])
def test_turns_out_of_order_are_refused_and_not_written_wrongly(template: str, roles: list[str]) -> None:
    with pytest.raises(jinja2.exceptions.TemplateError, match=r"must alternate|must be from the user"):
        render(template, [{"role": role, "content": "x"} for role in roles])


ROLES = st.sampled_from(["user", "assistant"])
TURNS = st.lists(st.builds(Message, ROLES, st.text(alphabet="ab \n<{}%", max_size=6)), max_size=8)


@given(TURNS, st.sampled_from(SERVED), st.sampled_from([[], [Message("system", "Be brief.")]]))
def test_what_sextant_sends_is_never_refused_and_every_turn_is_in_it(turns: list[Message], family: Any, system: list) -> None:
    messages = normalised([*system, *turns, Message("user", "And now?")], family)
    text = render(family.chat_template.removesuffix(".jinja"), [message.as_json() for message in messages])
    assert all(message.content in text for message in messages)
    assert "And now?" in text
