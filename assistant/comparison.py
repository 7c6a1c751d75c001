"""What has changed between the passages of two answers to one question: the same, moved, changed, new or gone. Pure.

Each passage of the earlier answer is told exactly once, with the one of the later answer that it has become, and each of the
later answer at least once: two short passages may have become one. Where a passage only shows more or fewer of the same lines,
because the prompts were packed differently, it is the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from assistant.code_names import Evidence

Kind = Literal["same", "moved", "changed", "new", "gone"]

# Of two passages' lines that aren't blank, so many in common that one is taken for what the other was before.
ALIKE = 0.5


def shown_in(told: Mapping[str, Any]) -> list[Evidence]:
    """Those of a `passages` entry that the model saw, or that a search found, by number."""
    packed = [one for one in told["passages"] if one["state"] == "packed" and one.get("number")]
    fields = ("number", "path", "start_line", "end_line", "symbol", "text")
    return sorted((Evidence(*(one[field] for field in fields)) for one in packed), key=lambda one: one.number)


@dataclass(frozen=True, slots=True)
class Change:
    kind: Kind
    before: Evidence | None
    after: Evidence | None

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "before": _place_of(self.before) if self.before else None,
            "after": _place_of(self.after) if self.after else None,
        }


def _place_of(one: Evidence) -> dict[str, Any]:
    fields = ("number", "path", "start_line", "end_line", "symbol")
    return {field: getattr(one, field) for field in fields}


def compare(before: Sequence[Evidence], after: Sequence[Evidence]) -> list[Change]:
    """Both by number. First what there was, in its order, then what is new."""
    become = {one.number: change for one in before if (change := _same(one, after))}
    held = {change.after.number for change in become.values() if change.after}
    free = [other for other in after if other.number not in held]
    for one in before:
        if one.number not in become and (other := _like(one, free)):
            become[one.number] = Change("changed", one, other)
            free.remove(other)
    told = [become.get(one.number, Change("gone", one, None)) for one in before]
    return told + [Change("new", None, other) for other in free]


def _same(one: Evidence, after: Sequence[Evidence]) -> Change | None:
    """The passage that holds the same lines, or that these hold: in the same place if there is one, else the nearest."""
    found = []
    for other in after:
        if (shift := _shift(one, other)) is not None:
            found.append((other.path != one.path, abs(shift), other.number, shift, other))
    if not found:
        return None
    elsewhere, _, _, shift, other = min(found, key=lambda each: each[:3])
    return Change("moved" if elsewhere or shift else "same", one, other)


def _shift(one: Evidence, other: Evidence) -> int | None:
    """By how many lines the text of the shorter has moved in the longer, or None where it isn't in it."""
    ours, theirs = _lines(one.text), _lines(other.text)
    shorter, longer = (ours, theirs) if len(ours) <= len(theirs) else (theirs, ours)
    if ours != theirs and not any(line.strip() for line in shorter):
        return None
    at = [k for k in range(len(longer) - len(shorter) + 1) if longer[k : k + len(shorter)] == shorter]
    if not at:
        return None
    moved = [(other.start_line + k if shorter is ours else other.start_line - k) - one.start_line for k in at]
    return min(moved, key=lambda lines: (abs(lines), lines))


def _like(one: Evidence, after: Sequence[Evidence]) -> Evidence | None:
    """The passage with most lines in common: half of them, or fewer where it is of the same name in the same file."""
    shares = [(_share(one, other), one.path == other.path, -other.number, other) for other in after]
    alike = [each for each in shares if each[0] >= ALIKE or _is_namesake(one, each[3])]
    return max(alike, key=lambda each: each[:3])[3] if alike else None


def _is_namesake(one: Evidence, other: Evidence) -> bool:
    return bool(one.symbol) and (one.path, one.symbol) == (other.path, other.symbol)


def _share(one: Evidence, other: Evidence) -> float:
    """Sørensen's coefficient of the lines that aren't blank, as multisets, without their indentation."""
    ours, theirs = (Counter(line.strip() for line in _lines(each.text) if line.strip()) for each in (one, other))
    written = ours.total() + theirs.total()
    return 2 * (ours & theirs).total() / written if written else 0.0


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")
