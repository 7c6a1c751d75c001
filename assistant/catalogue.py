"""What is known of the model families before a server is asked: a table and a look-up by the model's name.

A server's own word (its context window above all) goes before this table. Figures are from the models' configurations and
cards; a name that matches nothing gets `OTHER`, which assumes what current models have: a system role, and an end token that
the server knows by itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Family:
    """pattern: matched anywhere in the model's name, case ignored.

    context_tokens: the configured window. useful_tokens: beyond this the output is poor, whatever the window is.
    system_role: whether its chat template takes one; else the system message goes into the first user turn.
    single_turn: trained on one question at a time, so that earlier turns are told inside the question.
    stop: what the server doesn't stop at by itself. languages: of people; None means many.
    """

    name: str
    pattern: str
    context_tokens: int
    useful_tokens: int
    system_role: bool = True
    single_turn: bool = False
    stop: tuple[str, ...] = ()
    languages: tuple[str, ...] | None = ("en",)
    licence: str = ""


OTHER = Family("other", "", 4096, 1_000_000, languages=None)

FAMILIES = (
    # Fine-tuned at 16k; the larger sizes extrapolate, the 70B was trained at 4k and stops at <step>.
    Family("Code Llama 70B", r"codellama.*70b.*instruct", 4096, 4096, stop=("<step>",), licence="Llama 2"),
    Family("Code Llama", r"codellama|code-llama", 16384, 100_000, licence="Llama 2"),
    Family("Llama 2", r"llama-?2", 4096, 4096, licence="Llama 2"),
    Family(
        "Mixtral", r"mixtral", 32768, 32768, system_role=False, languages=("en", "fr", "it", "de", "es"), licence="Apache-2.0"
    ),
    # Its sliding window is 4096 tokens: it reads more, but answers poorly.
    Family("Zephyr", r"zephyr", 32768, 8192, licence="MIT"),
    Family("SOLAR", r"solar-10\.7b", 4096, 4096, single_turn=True, stop=("### User:",), licence="CC-BY-NC-4.0"),
)


def family_of(model: str) -> Family:
    """The family that a model's name tells, or `OTHER`."""
    return next((family for family in FAMILIES if re.search(family.pattern, model, re.IGNORECASE)), OTHER)
