"""The names that a file uses, from what its language's query captured."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence, Set

from indexer.types import Reference

MAX_NAME = 200


# By where the name begins, in bytes: the pattern that captured it, what kind of use it is, and where the name ends.
Captured = dict[int, tuple[int, str, int]]


def references_of(
    captured: Captured, defining: Set[int], data: bytes, line_starts: Sequence[int], never: Set[str]
) -> tuple[Reference, ...]:
    """One for each name, kind and line, in order.

    defining: where names begin that are being defined, which is no use of them. line_starts: of all lines, in bytes. never:
    what a bare call never means.
    """
    names = _Names()
    found = {
        (bisect_right(line_starts, start), names[data[start:end]], kind)
        for start, (_, kind, end) in captured.items()
        if start not in defining
    }
    if never:
        found = {
            (line, name, "call" if kind == "bare" else kind)
            for line, name, kind in found
            if not (kind == "bare" and name in never)
        }
    return tuple([Reference(name, line, kind) for line, name, kind in sorted(found) if name])


def is_plain_name(name: str) -> bool:
    """Whether a name needs no cleaning; also with primes, as Haskell writes them (`foldl'`), which are no quotes around it."""
    return name.isidentifier() or ("'" in name and name[0] != "'" and name.replace("'", "").isidentifier())


class _Names(dict[bytes, str]):
    """By what stands in the text, the name that is meant: most names are used many times."""

    def __missing__(self, written: bytes) -> str:
        name = written[:MAX_NAME].decode("utf-8", "ignore")
        found = self[written] = name if is_plain_name(name) else name.strip().strip("\"'`<>")
        return found
