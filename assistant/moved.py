"""Where lines that an answer cites are in another text of the repository: still there, moved, changed or gone. Pure.

The lines themselves are looked for, first letter by letter and then without their white space: in their own file at the place
nearest to the old one, in another file only where exactly one holds them, and only if there is enough of them to mean
something. What is no longer there as a whole is placed by the passage around it: lines that occur once in both texts and in
the same order hold its place (the anchors of Bram Cohen's patience diff).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

State = Literal["here", "moved", "changed", "gone"]

# Characters without white space. Fewer ("return None", a brace) are found everywhere.
TELLING = 20
# Of a passage's lines that aren't blank: so many must be in another file, in order, for it to be taken for the same code.
RECOGNISED_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class CitedLines:
    """Lines `start_line` to `end_line` of a passage whose text begins at line `first` of `path`."""

    path: str
    start_line: int
    end_line: int
    first: int
    passage: Sequence[str]

    @property
    def lines(self) -> Sequence[str]:
        return self.passage[self.start_line - self.first : self.end_line - self.first + 1]


@dataclass(frozen=True, slots=True)
class Now:
    """What has become of cited lines. "moved" and "changed" tell where they are now, the others where they were."""

    state: State
    path: str
    start_line: int
    end_line: int


def locate(cited: CitedLines, files: Mapping[str, Sequence[str]]) -> Now:
    """files: the lines of the file itself, if there is still one of its path, and of others that may hold what it held."""
    wanted = cited.lines
    own = files.get(cited.path)
    others = {path: lines for path, lines in files.items() if path != cited.path}
    told = len("".join(map(_without_space, wanted)))
    for read in (_exactly, _without_space):
        run = [read(line) for line in wanted]
        if own is not None and (start := _nearest(run, [read(line) for line in own], cited.start_line, told)):
            return _at(cited, "here" if start == cited.start_line else "moved", cited.path, start)
        homes = [(path, start) for path, lines in others.items() for start in _runs(run, [read(line) for line in lines])]
        if told >= TELLING and len({path for path, _ in homes}) == 1:
            path, start = min(homes, key=lambda home: (abs(home[1] - cited.start_line), home[1]))
            return _at(cited, "moved", path, start)
    if own is not None:
        return _changed(cited, cited.path, own) or _as_it_was(cited, "gone")
    recognised = [(path, lines) for path, lines in others.items() if _recognises(cited.passage, lines)]
    if len(recognised) == 1:
        return _changed(cited, *recognised[0]) or _as_it_was(cited, "gone")
    return _as_it_was(cited, "gone")


def _exactly(line: str) -> str:
    return line


def _without_space(line: str) -> str:
    return "".join(line.split())


def _at(cited: CitedLines, state: State, path: str, start: int) -> Now:
    return Now(state, path, start, start + cited.end_line - cited.start_line)


def _as_it_was(cited: CitedLines, state: State) -> Now:
    return Now(state, cited.path, cited.start_line, cited.end_line)


def _nearest(run: Sequence[str], lines: Sequence[str], old: int, told: int) -> int | None:
    """The line where `run` begins, nearest to `old`. Little text is believed at its old place, or where it is the only one."""
    found = list(_runs(run, lines))
    if not found:
        return None
    nearest = min(found, key=lambda start: (abs(start - old), start))
    return nearest if told >= TELLING or nearest == old or len(found) == 1 else None


def _runs(run: Sequence[str], lines: Sequence[str]) -> Iterator[int]:
    """The lines, counted from 1, at which `run` begins. None for an empty run or one of blank lines."""
    if not any(run):
        return
    for start in range(len(lines) - len(run) + 1):
        if lines[start] == run[0] and list(lines[start : start + len(run)]) == list(run):
            yield start + 1


def _changed(cited: CitedLines, path: str, lines: Sequence[str]) -> Now | None:
    """The lines that stand between what is still there around the cited ones, or None where nothing stands there any more."""
    anchors = [(cited.first + old, new + 1) for old, new in _anchors(cited.passage, lines)]
    if not anchors:
        return None
    length = cited.end_line - cited.start_line + 1
    before = [pair for pair in anchors if pair[0] < cited.start_line]
    inside = [pair for pair in anchors if cited.start_line <= pair[0] <= cited.end_line]
    after = [pair for pair in anchors if pair[0] > cited.end_line]
    if before:
        start = _past(cited, lines, before[-1], 1)
    else:  # as many lines above as there were
        start = max(1, inside[0][1] - (inside[0][0] - cited.start_line) if inside else after[0][1] - length)
    if after:
        end = _past(cited, lines, after[0], -1)
    else:
        end = min(len(lines), inside[-1][1] + cited.end_line - inside[-1][0] if inside else start + length - 1)
    if inside and inside[0][0] == cited.start_line:
        start = inside[0][1]
    if inside and inside[-1][0] == cited.end_line:
        end = inside[-1][1]
    while start <= end and not lines[start - 1].strip():
        start += 1
    return Now("changed", path, start, end) if start <= end else None


def _past(cited: CitedLines, lines: Sequence[str], anchor: tuple[int, int], step: Literal[1, -1]) -> int:
    """The first line beyond `anchor` (old, new), towards the cited ones, that isn't what the passage has there."""
    old, new = anchor[0] + step, anchor[1] + step
    while not cited.start_line <= old <= cited.end_line and 1 <= new <= len(lines):
        if _without_space(cited.passage[old - cited.first]) != _without_space(lines[new - 1]):
            break
        old, new = old + step, new + step
    return new


def _recognises(passage: Sequence[str], lines: Sequence[str]) -> bool:
    written = sum(bool(line.strip()) for line in passage)
    return written > 0 and len(_anchors(passage, lines)) >= RECOGNISED_SHARE * written


def _anchors(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """Indices (old, new) of lines that occur once in both, white space aside, as many as stand in the same order in both."""
    old_keys, new_keys = [_without_space(line) for line in old], [_without_space(line) for line in new]
    once = {key for key, times in Counter(old_keys).items() if times == 1 and key}
    times = Counter(key for key in new_keys if key in once)
    at = {key: place for place, key in enumerate(new_keys) if times.get(key) == 1}
    return _longest_rising([(place, at[key]) for place, key in enumerate(old_keys) if key in at])


def _longest_rising(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest part of `pairs`, which rise by their first, that rises by its second too (patience sorting)."""
    tops: list[int] = []
    ends: list[int] = []
    back: list[int] = []
    for place, (_, new) in enumerate(pairs):
        pile = bisect_left(tops, new)
        back.append(ends[pile - 1] if pile else -1)
        tops[pile : pile + 1] = [new]
        ends[pile : pile + 1] = [place]
    chain: list[tuple[int, int]] = []
    place = ends[-1] if ends else -1
    while place >= 0:
        chain.append(pairs[place])
        place = back[place]
    return chain[::-1]
