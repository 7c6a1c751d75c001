"""Real tokenizers read what we send: Mixtral's own (out of mistral-common) and SmolLM2's."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from assistant.prompts import neutralised
from tests.assistant.chat_templates.derive import DIALOGUES
from tests.assistant.test_chat_templates import render
from tests.assistant.test_prompts import CONTROL_TOKENS
from tests.processes import ROOT
from tests.vllm.servers import PYTHON

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

PIECES = [*CONTROL_TOKENS, "<", ">", "|", "[", "]", "/", "s", "INST", "im_end", " ", "\n", "x = 1", "▁", "é"]
TEXTS = 1000


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Control tokens whole, cut into parts, and beside each other."""
    chosen = random.Random(0)
    return ["".join(chosen.choices(PIECES, k=chosen.randint(1, 12))) for _ in range(TEXTS)]


@pytest.fixture(scope="module")
def reply(texts: list[str], vllm_models: Path) -> dict[str, Any]:
    dialogues = [{"messages": messages, "rendered": render("mixtral", messages)} for messages in DIALOGUES.values()]
    request = json.dumps({"texts": [*texts, *map(neutralised, texts)], "dialogues": dialogues})
    script = [PYTHON, ROOT / "tests/vllm/read_texts.py", vllm_models]
    done = subprocess.run(script, input=request, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("tokenizer", ["llama", "mixtral"])
def test_no_control_token_is_read_out_of_what_somebody_wrote(tokenizer: str, reply: dict[str, Any]) -> None:
    found = reply["control"][tokenizer]
    as_written, as_sent = found[:TEXTS], found[TEXTS:]
    assert sum(map(bool, as_written)) > TEXTS / 10
    assert [tokens for tokens in as_sent if tokens] == []


def test_a_first_question_has_the_ids_of_mistral_common(reply: dict[str, Any]) -> None:
    """But where it begins or ends in blanks, which Sextant never sends."""
    first = [name for name, messages in DIALOGUES.items() if messages[-1]["content"] == messages[-1]["content"].strip()]
    pairs = dict(zip(DIALOGUES, reply["mixtral"], strict=True))
    for name in first:
        if not any(message["role"] == "assistant" for message in DIALOGUES[name]):
            theirs, ours = pairs[name]
            assert ours == theirs, name


def test_of_an_earlier_answer_only_the_first_token_is_another_than_mistral_commons(reply: dict[str, Any]) -> None:
    theirs, ours = dict(zip(DIALOGUES, reply["mixtral"], strict=True))["two turns"]
    assert len(theirs) == len(ours)
    assert sum(a != b for a, b in zip(theirs, ours, strict=True)) == 1
