"""Passages that speak to the model instead of being code: the reader is told, whatever the model makes of them.

The fence around passages and the neutralised control tokens keep them data (assistant/prompts.py); this only looks for what an
attack usually says, in a few forms of words, so it finds the plain ones and proves nothing about the others.
"""

from __future__ import annotations

import re2

# By RE2, which takes a fortieth of the time: every passage of every answer is looked through.
_SPEAKS_TO_THE_MODEL = re2.compile(
    r"(?i)\b(?:ignore|disregard|forget|override)[\s\pZ]+(?:(?:all|any|the|these|those|your|of|previous|prior|above|earlier)[\s\pZ]+){1,4}"
    r"(?:instructions?|prompts?|rules|passages|messages|text|context)\b"
    r"|\byou are (?:now|no longer) (?:an?|the|in|evil|free|unrestricted|dan)\b"
    r"|\b(?:answer|reply|respond|say|output|print) only(?: with)?\s*[:\"'`]"
    r"|\b(?:reveal|print|repeat|leak)\s+(?:your|the) (?:system prompt|instructions)\b"
    r"|\bdo not (?:tell|inform|mention (?:this|it) to) the (?:user|reader|human)\b"
    r"|<\|(?:im_start|im_end|system|user|assistant|eot_id|start_header_id)\|>|\[/?INST\]|<</?SYS>>"
    r"|\b(?:system prompt|developer mode|jailbreak)\s*:"
)


def is_suspicious(text: str) -> bool:
    """Whether a passage gives instructions to a model or holds a chat template's control tokens."""
    return _SPEAKS_TO_THE_MODEL.search(text) is not None
