"""Earlier turns of a conversation, as a prompt tells them: whole while they fit, then by their most telling sentences.

What an older turn is shortened to depends on that turn alone, so that the next prompt of the conversation begins like this one
and a server has read it already. The newest that isn't whole gets what is left.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from assistant.answer_log import Turn
from assistant.chat import Message
from assistant.prompts import neutralised, sentences, without_marks

Count = Callable[[Sequence[str]], Awaitable[list[int]]]

# What a chat template puts around the two messages of a turn.
TURN_TOKENS = 16
# A shortened turn: characters of its question, and sentences of its answer.
QUESTION_CHARACTERS, ANSWER_SENTENCES = 300, 3
_NAME = re.compile(r"`[^`\n]+`|\w+[_.]\w+|[a-z]\w*[A-Z]\w*")


@dataclass(frozen=True, slots=True)
class Conversation:
    """messages: a question and an answer a turn, oldest first; costs: tokens of each turn, with what a template adds.

    whole, shortened, dropped: how many turns.
    """

    messages: tuple[Message, ...] = ()
    costs: tuple[int, ...] = ()
    whole: int = 0
    shortened: int = 0
    dropped: int = 0

    @property
    def tokens(self) -> int:
        return sum(self.costs)

    def as_json(self) -> dict[str, int]:
        return {"whole": self.whole, "shortened": self.shortened, "dropped": self.dropped}

    def told(self) -> str:
        """What a reader should know of it, or ""."""
        parts = [f"{self.shortened} shortened" if self.shortened else "", f"{self.dropped} left out" if self.dropped else ""]
        turns = self.whole + self.shortened + self.dropped
        return f"Of {turns} earlier turns {' and '.join(filter(None, parts))}." if any(parts) else ""

    def without_oldest(self) -> Conversation:
        """For a prompt that is too long after all."""
        shortened = self.shortened > 0
        return Conversation(
            self.messages[2:], self.costs[1:], self.whole - (not shortened), self.shortened - shortened, self.dropped + 1
        )


async def recall(count: Count, history: Sequence[Turn], budget: int) -> Conversation:
    """As much of `history` as `budget` tokens hold."""
    told = [turn for turn in map(_Told, history) if turn.pieces]
    whole = await _costs(count, [turn.whole for turn in told])
    if sum(whole) <= budget:
        return _conversation([turn.whole for turn in told], whole, whole=len(told))
    short = await _costs(count, [turn.short for turn in told])
    first = _first_that_fit(short, budget)
    left = budget - sum(short[first:])
    texts, costs, from_here_whole = [turn.short for turn in told], short, len(told)
    while from_here_whole > first and whole[from_here_whole - 1] - short[from_here_whole - 1] <= left:
        from_here_whole -= 1
        left -= whole[from_here_whole] - short[from_here_whole]
        texts[from_here_whole], costs[from_here_whole] = told[from_here_whole].whole, whole[from_here_whole]
    # What is left goes to the newest that isn't whole; where not even the last turn's short form fits, it gets all there is.
    newest, alone = from_here_whole - 1, first == len(told)
    if newest >= first or alone:
        room, more_than = (budget, 0) if alone else (costs[newest] + left, ANSWER_SENTENCES)
        if longer := await _leading(count, told[newest], room, more_than):
            texts[newest], (costs[newest],), first = longer, await _costs(count, [longer]), min(first, newest)
    shortened = from_here_whole - first
    return _conversation(texts[first:], costs[first:], whole=len(told) - from_here_whole, shortened=shortened, dropped=first)


class _Told:
    """A turn as a prompt tells it: a question and an answer, whole and shortened."""

    def __init__(self, turn: Turn) -> None:
        question = neutralised(turn.question)
        self.pieces = sentences(neutralised(without_marks(turn.answer_text).strip()))
        self.whole = question, "".join(self.pieces).strip()
        cut = question if len(question) <= QUESTION_CHARACTERS else f"{question[:QUESTION_CHARACTERS].rstrip()} …"
        self.short = cut, extract(self.pieces)


def extract(pieces: Sequence[str]) -> str:
    """The first sentence, which says it, and those that name most code, in their order."""
    by_names = sorted(range(1, len(pieces)), key=lambda place: -len(set(_NAME.findall(pieces[place]))))
    places = sorted([0, *by_names[: ANSWER_SENTENCES - 1]]) if pieces else []
    text = ""
    for before, place in zip([-1, *places], places, strict=False):
        text += pieces[place] if place == before + 1 else f" … {pieces[place].strip()}"
    return text.strip()


def _first_that_fit(costs: Sequence[int], budget: int) -> int:
    """The oldest turn from which on all fit."""
    first, spent = len(costs), 0
    while first and spent + costs[first - 1] <= budget:
        first -= 1
        spent += costs[first]
    return first


async def _leading(count: Count, turn: _Told, budget: int, more_than: int) -> tuple[str, str] | None:
    """The turn with as many of the answer's first sentences as fit, where these are more than `more_than`."""
    costs = await count([turn.short[0], *turn.pieces])
    spent, taken = costs[0] + TURN_TOKENS, 0
    while taken < len(turn.pieces) and spent + costs[taken + 1] < budget:
        taken += 1
        spent += costs[taken]
    text = "".join(turn.pieces[:taken]).strip()
    return (turn.short[0], text) if taken > more_than else None


async def _costs(count: Count, turns: Sequence[tuple[str, str]]) -> list[int]:
    counted = await count([text for turn in turns for text in turn])
    return [TURN_TOKENS + question + answer for question, answer in zip(counted[::2], counted[1::2], strict=True)]


def _conversation(
    turns: Sequence[tuple[str, str]], costs: Sequence[int], *, whole: int = 0, shortened: int = 0, dropped: int = 0
) -> Conversation:
    messages = [message for turn in turns for message in (Message("user", turn[0]), Message("assistant", turn[1]))]
    return Conversation(tuple(messages), tuple(costs), whole, shortened, dropped)
