"""`.secrets.baseline`: what a team has looked at with `detect-secrets audit` and found to be no secret.

Only entries that were labelled as false (`"is_secret": false`) count: a baseline also lists what nobody has looked at yet, and
real secrets that are known. An entry is the SHA-1 of a value and the file that it stands in. For GitHub's and GitLab's tokens
and for private keys detect-secrets writes the hash of how they begin ("ghp", "BEGIN RSA PRIVATE KEY"), which would let every
other one in that file through as well; no secret has such a hash here, so these need the mark in the line (`secrets.py`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping

BASELINE_FILE = ".secrets.baseline"

Known = Mapping[str, frozenset[str]]
"""By path, the hashes of values that are no secrets."""

_SHA1 = re.compile(r"[0-9a-f]{40}")


def hash_of(value: str) -> str:
    """As detect-secrets hashes a value."""
    return hashlib.sha1(value.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def known_false_positives(data: bytes) -> Known:
    """What a baseline says. Raises ValueError for what is no baseline."""
    try:
        results = json.loads(data)["results"]
        entries = [(path, entry) for path, found in results.items() for entry in found]
        false = [(path, entry["hashed_secret"]) for path, entry in entries if entry.get("is_secret") is False]
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("it isn't what `detect-secrets scan` writes") from error
    known: dict[str, set[str]] = {}
    for path, value in false:
        if isinstance(value, str) and _SHA1.fullmatch(value):
            known.setdefault(path.removeprefix("./").replace("\\", "/"), set()).add(value)
    return {path: frozenset(values) for path, values in known.items()}


def digest(known: Known) -> str:
    """Tells one list from another; "" for an empty one."""
    rows = sorted(f"{path}\0{value}\n" for path, values in known.items() for value in values)
    return hashlib.sha256("".join(rows).encode("utf-8", "surrogatepass")).hexdigest() if rows else ""
