"""Messages as one text, as a server makes them with a chat template that we ship (assistant/chat_templates/).

Rendered as vLLM does it, which is as transformers does: sandboxed, with blocks trimmed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import NoReturn

from jinja2 import Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from assistant.catalogue import Family
from assistant.serving import TEMPLATES

# Of all the families that have a template here: theirs is Llama 2's vocabulary.
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}


def rendered(family: Family, messages: Sequence[Mapping[str, str]]) -> str | None:
    """The text, or None where the family's template isn't ours or doesn't take these messages."""
    if not family.chat_template:
        return None
    try:
        return render(family.chat_template, messages)
    except TemplateError:
        return None


def render(template: str, messages: Sequence[Mapping[str, str]]) -> str:
    """template: the name of its file. Raises TemplateError for messages that it refuses."""
    return _template(template).render(messages=messages, add_generation_prompt=True, **TOKENS)


@cache
def _template(name: str) -> Template:
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = _refuse
    return environment.from_string((TEMPLATES / name).read_text())


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)
