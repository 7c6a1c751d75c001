"""The line around retrieved text in a prompt: what stands between two of them is data.

It is drawn at random once a conversation and kept with it. So whoever wrote the code can't know it, and a conversation's
prompts begin alike, which servers that cache prefixes need. A person may see a prompt, and so its mark may come into a file or
a question: inside the fence it is then written differently.
"""

from __future__ import annotations

import secrets

MARK = r"=====[0-9a-f]{8}"


def new_mark() -> str:
    """Matches MARK."""
    return "=====" + secrets.token_hex(4)


def without_mark(text: str, mark: str) -> str:
    """`text` as it may stand inside the fence; as long as before."""
    return text.replace(mark, mark.replace("=", "-"))


def fenced(text: str, mark: str) -> str:
    """Three lines or more: the mark, `text`, the mark."""
    return f"{mark}\n{without_mark(text, mark)}\n{mark}"
