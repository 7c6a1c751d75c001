"""Which lines of which files a model is shown, within a budget of tokens.

Passages are taken best first while they fit; neighbours in a file become one; what is left widens them to whole definitions and
files, then takes in more passages, and is filled with the best lines of one that doesn't fit whole, or with a few around what
is shown. So a budget that there is material for is used to a few lines.

What the last prompt of the conversation showed stays at the front of the next, letter by letter, as far as little of it is of
no use any more: a server that keeps the state of a prefix doesn't read it again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from assistant.answer_log import Shown
from assistant.blocks import (
    FEWEST_LINES,
    Block,
    block_of,
    by_path,
    known_lines,
    lines_of,
    stretched,
    unused_numbers,
    widened,
    without_shown,
)
from assistant.code_names import Evidence
from assistant.reading_order import best_lines, line_scores
from indexer.types import Passage

Count = Callable[[Sequence[str]], Awaitable[list[int]]]

# The rest widens what was taken, where there is room for line numbers: the surroundings of the best tell more than the last.
PASSAGES_FIRST_SHARE = 0.8
# A cut passage shorter than this tells too little to be worth its place, but where it is the last to come.
SHORTEST_PASSAGE_TOKENS = 120
SHORTEST_LAST_TOKENS = 45
# Of the budget: what may go to passages of the last prompt that the search didn't find again, and to all that is kept.
KEPT_WASTE_SHARE, KEPT_SHARE = 0.15, 0.8
# Lines between two passages of a file that are shown with them, where they are known.
GAP_LINES = 3
# Counting again is cheaper than room that stays empty.
CUTS, CLOSE_ENOUGH = 5, 0.97
# Below this share of the budget, what is left is left; no more passages than this are cut to fill it, and where none of them
# gives a few lines for it, no more lines than these come from around what is shown.
ROOM_LEFT_SHARE, CUT_TRIES, MOST_STRETCHED = 0.02, 3, 8


@dataclass(slots=True)
class Selection:
    """blocks: best first. left: passages that didn't fit, with what each costs. twice: those whose text another has."""

    blocks: list[Block] = field(default_factory=list)
    left: list[tuple[Passage, int]] = field(default_factory=list)
    twice: list[tuple[Passage, int]] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        return sum(block.tokens for block in self.blocks)

    def drop_last(self) -> None:
        """Take out the weakest block. The numbers of the others stay as they are."""
        block = self.blocks.pop()
        self.left += [(passage, block.tokens) for passage in block.passages]


class EvidencePicker:
    """render: a passage as the prompt has it. most: tokens of one passage. widens: whether there is room for surroundings."""

    def __init__(self, count: Count, render: Callable[[Evidence], str], about: str, *, most: int, widens: bool) -> None:
        self._count, self._render, self._about = count, render, about
        self._most, self._widens = most, widens

    async def pick(self, passages: Sequence[Passage], shown: Sequence[Shown], budget: int) -> Selection:
        """passages: best first. shown: the last prompt's, in its order."""
        picked = Selection()
        if self._widens:
            picked.blocks = await self._kept(shown, passages, budget)
        fresh = self._sort_out(picked, passages)
        numbers = unused_numbers(picked.blocks)
        blocks = [block_of(next(numbers), passage) for passage in fresh]
        await self._cost(blocks)
        await self._take(picked, blocks, budget)
        await self._merge(picked)
        if self._widens:
            await self._widen(picked, budget)
        await self._fill(picked, budget)
        await self._number(picked)
        while picked.blocks and picked.tokens > budget:
            picked.drop_last()
        return picked

    # --- what is there already ---

    async def _kept(self, shown: Sequence[Shown], passages: Sequence[Passage], budget: int) -> list[Block]:
        """The longest beginning of the last prompt's passages that holds little that wasn't found again."""
        blocks = [Block([one.passage], one.evidence, kept=True) for one in shown]
        await self._cost(blocks)
        kept = spent = wasted = 0
        for place, block in enumerate(blocks, start=1):
            found = any(block.touches(one.path, one.start_line, one.end_line) for one in passages)
            spent, wasted = spent + block.tokens, wasted + (0 if found else block.tokens)
            if wasted > KEPT_WASTE_SHARE * budget or spent > KEPT_SHARE * budget:
                break
            if found:
                kept = place
        return blocks[:kept]

    def _sort_out(self, picked: Selection, passages: Iterable[Passage]) -> list[Passage]:
        """Those that neither a kept block nor a better passage holds already, without the lines that a kept block shows."""
        texts = {block.evidence.text.strip() for block in picked.blocks}
        fresh: list[Passage] = []
        for found in passages:
            span = found.path, found.start_line, found.end_line
            there = [block for block in picked.blocks if block.touches(*span)]
            passage = without_shown(found, there)
            if passage is None:
                there[0].passages.append(found)
            elif passage.text.strip() in texts:
                picked.twice.append((passage, 0))
            else:
                texts.add(passage.text.strip())
                fresh.append(passage)
        return fresh

    # --- best first ---

    async def _take(self, picked: Selection, blocks: Iterable[Block], budget: int) -> None:
        """Whole while they fit; where one may not take all there is, its best lines. Smaller ones still get their chance."""
        room = budget - picked.tokens
        share = room * PASSAGES_FIRST_SHARE if self._widens and any(block.passages[0].wider for block in blocks) else room
        in_file = by_path(picked.blocks)
        for block in blocks:
            passage, whole = block.passages[0], block.tokens
            if holder := next((one for one in in_file[passage.path] if one.holds(passage.path, *block.span)), None):
                holder.passages.append(passage)
                continue
            fits = whole <= min(share, self._most)
            if not fits and not self._widens:
                fits = await self._cut(block, min(int(share), self._most), SHORTEST_PASSAGE_TOKENS)
            if fits:
                picked.blocks.append(block)
                in_file[passage.path].append(block)
                share -= block.tokens
            else:
                picked.left.append((passage, whole))

    async def _cut(self, block: Block, room: int, shortest: int) -> bool:
        """Reduce the block to the best lines of its passage that fit into `room` tokens. False: too few do."""
        passage = block.passages[0]
        whole = block_of(block.evidence.number, passage)
        if room < shortest:
            return False
        await self._cost([whole])
        if whole.tokens <= room:
            block.evidence, block.tokens, block.cut = whole.evidence, whole.tokens, False
            return True
        best = await self._best_cut(whole, room)
        if best is None:
            return False
        block.evidence, block.tokens, block.cut = best.evidence, best.tokens, True
        return True

    async def _best_cut(self, whole: Block, room: int) -> Block | None:
        """The lines are chosen by estimates, and the choice is counted, until it is close below `room`."""
        lines = whole.evidence.text.split("\n")
        rendered = self._render(whole.evidence).split("\n", 1)
        a_character = whole.tokens / max(1, len(rendered[0]) + len(rendered[1]))
        costs = [max(1, round(len(line) * a_character)) for line in rendered[1].split("\n")]
        scores = line_scores(lines, self._about)
        target, best = room - round(len(rendered[0]) * a_character), None
        for _ in range(CUTS):
            first, last = best_lines(lines, costs, scores, target)
            if last - first < FEWEST_LINES:
                break
            part = Block(whole.passages, lines_of(whole.evidence, first, last), cut=True)
            await self._cost([part])
            if part.tokens <= room and (best is None or part.tokens > best.tokens):
                best = part
            if CLOSE_ENOUGH * room <= part.tokens <= room:
                break
            if part.tokens > room:
                target = round(sum(costs[first:last]) * room / part.tokens) - 2
            else:
                target = round(target * min(1.5, room / part.tokens))
        return best

    # --- together ---

    async def _merge(self, picked: Selection) -> None:
        """Neighbours in a file become one block, at the place of the better one."""
        merged: list[Block] = []
        changed: list[Block] = []
        for block in picked.blocks:
            whole = block
            while join := next(((one, joined) for one in merged if (joined := self._joined(one, whole))), None):
                merged.remove(join[0])
                changed = [one for one in changed if one not in (join[0], whole)]
                whole = join[1]
                changed.append(whole)
            merged.append(whole)
        await self._cost(changed)
        order = {id(passage): place for place, passage in enumerate(p for block in picked.blocks for p in block.passages)}
        picked.blocks = sorted(merged, key=lambda block: order[id(block.passages[0])])

    def _joined(self, better: Block, other: Block) -> Block | None:
        """One block of the two, if they are neighbours that may change and what stands between them is known."""
        if better.evidence.path != other.evidence.path or better.is_fixed or other.is_fixed:
            return None
        first, second = sorted((better.evidence, other.evidence), key=lambda one: (one.start_line, one.end_line))
        between: list[str] = []
        if (gap := second.start_line - first.end_line - 1) > 0:
            if gap > GAP_LINES or not self._widens:
                return None
            known = known_lines([*better.passages, *other.passages], first.end_line + 1, second.start_line - 1)
            if known is None:
                return None
            between = known
        above, below = first.text.split("\n"), second.text.split("\n")
        same = max(0, -gap)
        if above[len(above) - same :][: len(below)] != below[:same]:
            return None
        text = "\n".join([*above, *between, *below[same:]])
        whole = replace(better.evidence, start_line=first.start_line, end_line=max(first.end_line, second.end_line), text=text)
        return Block([*better.passages, *other.passages], whole)

    async def _widen(self, picked: Selection, budget: int) -> None:
        """To the definitions around them and to small files, best first, never over lines that must stay as they are."""
        tried: set[tuple[str, int, int]] = set()
        while wider := self._wider(picked, tried, budget - picked.tokens):
            await self._cost([wide for _, wide in wider])
            for block, wide in wider:
                tried.add((wide.evidence.path, *wide.span))
                path = wide.evidence.path
                inside = [one for one in picked.blocks if one.evidence.path == path and one.touches(path, *wide.span)]
                if block not in inside or any(one.is_fixed or not wide.holds(one.evidence.path, *one.span) for one in inside):
                    continue
                if wide.tokens - sum(one.tokens for one in inside) <= budget - picked.tokens:
                    wide.passages = [*block.passages, *(p for one in inside if one is not block for p in one.passages)]
                    place = min(picked.blocks.index(one) for one in inside)
                    picked.blocks = [one for one in picked.blocks if one not in inside]
                    picked.blocks.insert(place, wide)

    def _wider(self, picked: Selection, tried: set[tuple[str, int, int]], left: int) -> list[tuple[Block, Block]]:
        """Blocks with what they may be widened to next, as many as could be paid for by a rough estimate."""
        found: list[tuple[Block, Block]] = []
        a_character = picked.tokens / max(1, sum(len(block.evidence.text) for block in picked.blocks))
        for block in picked.blocks:
            if left <= 0:
                break
            wide = None if block.is_fixed else widened(block)
            if wide is not None and (wide.evidence.path, *wide.span) not in tried:
                more = (len(wide.evidence.text) - len(block.evidence.text)) * a_character
                if more <= 2 * left:
                    found.append((block, wide))
                    left -= round(more / 2)
        return found

    # --- to the last line ---

    async def _fill(self, picked: Selection, budget: int) -> None:
        """What is left goes to passages that fit now, to longer cuts, and to a cut of the best that doesn't fit."""
        numbers = unused_numbers(picked.blocks)
        waiting, picked.left = picked.left, []
        cuts, in_file, room = CUT_TRIES, by_path(picked.blocks), budget - picked.tokens
        for passage, cost in waiting:
            near = in_file[passage.path]
            there = [one for one in near if one.touches(passage.path, passage.start_line, passage.end_line)]
            rest = without_shown(passage, there)
            if rest is None:
                there[0].passages.append(passage)
                continue
            block = block_of(next(numbers), rest)
            if rest is passage:
                block.tokens = cost
            else:
                await self._cost([block])
            fits = block.tokens <= room
            if not fits and cuts and room > ROOM_LEFT_SHARE * budget:
                fits = await self._cut(block, room, SHORTEST_LAST_TOKENS)
                cuts -= 1
            if fits:
                picked.blocks.append(block)
                near.append(block)
                room -= block.tokens
            else:
                picked.left.append((passage, cost))
        for block in picked.blocks:
            room = budget - picked.tokens
            if block.cut and room > ROOM_LEFT_SHARE * budget:
                await self._cut(block, block.tokens + room, SHORTEST_LAST_TOKENS)
        if picked.left:
            await self._stretch(picked, budget)

    async def _stretch(self, picked: Selection, budget: int) -> None:
        """To a few lines around the best, for what is too little for a passage of its own."""
        for place, block in enumerate(picked.blocks):
            room = budget - picked.tokens
            if block.kept or room <= ROOM_LEFT_SHARE * budget:
                continue
            others = [one for one in picked.blocks if one is not block]
            for lines in range(MOST_STRETCHED, 0, -1):
                longer = stretched(block, lines)
                if longer is None or any(one.touches(longer.evidence.path, *longer.span) for one in others):
                    continue
                await self._cost([longer])
                if longer.tokens - block.tokens <= room:
                    picked.blocks[place] = longer
                    break

    async def _number(self, picked: Selection) -> None:
        """1 for the best, and so on, but for those that are kept, which keep their numbers."""
        numbers = unused_numbers([block for block in picked.blocks if block.kept])
        for block in picked.blocks:
            if not block.kept:
                block.evidence = replace(block.evidence, number=next(numbers))
        await self._cost(picked.blocks)

    async def _cost(self, blocks: Sequence[Block]) -> None:
        # "\n\n" joins the passages in the prompt and is counted with each.
        counted = await self._count([self._render(block.evidence) + "\n\n" for block in blocks])
        for block, tokens in zip(blocks, counted, strict=True):
            block.tokens = tokens


# --- the order in a prompt -------------------------------------------------------------------------------------------------


def prompt_order(blocks: Sequence[Block]) -> list[Block]:
    """First what the last prompt began with, then file by file, the best file last, and each file's lines in their order.

    Models of the Llama kind find best what stands next to the question; lines of a file are read in the order in which they
    were written.
    """
    kept = [block for block in blocks if block.kept]
    rank: dict[str, int] = {}
    for place, block in enumerate(blocks):
        if not block.kept:
            rank.setdefault(block.evidence.path, place)
    fresh = [block for block in blocks if not block.kept]
    return kept + sorted(fresh, key=lambda block: (-rank[block.evidence.path], block.evidence.start_line))
