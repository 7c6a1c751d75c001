"""Lines of a file that a prompt shows, with the passages in them."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from assistant.code_names import Evidence
from indexer.types import Passage, Span

# Fewer tell too little.
FEWEST_LINES = 3


@dataclass(slots=True, eq=False)
class Block:
    """Lines of a file, and the passages in them, best first. kept: as the last prompt had it. cut: less than its passage."""

    passages: list[Passage]
    evidence: Evidence
    tokens: int = 0
    kept: bool = False
    cut: bool = False

    @property
    def span(self) -> tuple[int, int]:
        return self.evidence.start_line, self.evidence.end_line

    @property
    def is_fixed(self) -> bool:
        return self.kept or self.cut

    def holds(self, path: str, start_line: int, end_line: int) -> bool:
        return self.evidence.path == path and self.span[0] <= start_line and end_line <= self.span[1]

    def touches(self, path: str, start_line: int, end_line: int) -> bool:
        return self.evidence.path == path and self.span[0] <= end_line and start_line <= self.span[1]


def block_of(number: int, passage: Passage) -> Block:
    text = passage.text
    return Block([passage], Evidence(number, passage.path, passage.start_line, passage.end_line, passage.symbol, text))


def by_path(blocks: Iterable[Block]) -> defaultdict[str, list[Block]]:
    found: defaultdict[str, list[Block]] = defaultdict(list)
    for block in blocks:
        found[block.evidence.path].append(block)
    return found


def without_shown(passage: Passage, blocks: Sequence[Block]) -> Passage | None:
    """The longest stretch of its lines that none of the blocks shows, or None where that is too short to tell anything."""
    if not blocks:
        return passage
    stretches: list[list[int]] = [[]]
    for line in range(passage.start_line, passage.end_line + 1):
        if any(block.span[0] <= line <= block.span[1] for block in blocks):
            stretches.append([])
        else:
            stretches[-1].append(line)
    longest = max(stretches, key=len)
    if len(longest) < FEWEST_LINES:
        return None
    text = "\n".join(passage.text.split("\n")[longest[0] - passage.start_line :][: len(longest)])
    return replace(passage, start_line=longest[0], end_line=longest[-1], text=text, wider=()) if text.strip() else None


def unused_numbers(blocks: Iterable[Block]) -> Iterator[int]:
    used = {block.evidence.number for block in blocks}
    return (number for number in itertools.count(1) if number not in used)


def lines_of(evidence: Evidence, first: int, last: int) -> Evidence:
    """Its lines [first, last), counted from 0."""
    text = "\n".join(evidence.text.split("\n")[first:last])
    start = evidence.start_line
    return replace(evidence, start_line=start + first, end_line=start + last - 1, text=text)


def known_lines(passages: Iterable[Passage], start_line: int, end_line: int) -> list[str] | None:
    for span in (span for passage in passages for span in _known(passage)):
        if span.start_line <= start_line and end_line <= span.end_line:
            return span.text.split("\n")[start_line - span.start_line : end_line - span.start_line + 1]
    return None


def _known(passage: Passage) -> list[Span]:
    return [Span(passage.start_line, passage.end_line, passage.text), *passage.wider]


def widened(block: Block) -> Block | None:
    """To the smallest span around it that holds more."""
    spans: list[Span] = [
        span
        for passage in block.passages
        for span in passage.wider
        if span.start_line <= block.span[0]
        and block.span[1] <= span.end_line
        and (span.start_line, span.end_line) != block.span
    ]
    if not spans:
        return None
    span = min(spans, key=lambda span: span.end_line - span.start_line)
    evidence = replace(block.evidence, start_line=span.start_line, end_line=span.end_line, text=span.text)
    return Block(block.passages, evidence)


def stretched(block: Block, lines: int) -> Block | None:
    """With so many of the lines after it, or else of those before it, where they are known."""
    first, last = block.span
    text = block.evidence.text
    if (after := known_lines(block.passages, last + 1, last + lines)) is not None:
        evidence = replace(block.evidence, end_line=last + lines, text="\n".join([text, *after]))
    elif first > lines and (before := known_lines(block.passages, first - lines, first - 1)) is not None:
        evidence = replace(block.evidence, start_line=first - lines, text="\n".join([*before, text]))
    else:
        return None
    longer = Block(block.passages, evidence)
    longer.cut = not all(longer.holds(one.path, one.start_line, one.end_line) for one in block.passages)
    return longer
