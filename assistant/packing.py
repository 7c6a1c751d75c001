"""What fits: passages and earlier turns into the context window of the model that will read them.

Invariant, held by a property test over several tokenizers: the packed prompt, counted as a whole by the model's own
tokenizer, is never longer than the context minus what is kept for the answer. Pieces are counted one by one to choose, and
the whole is counted at the end, because tokens may join or split where pieces meet; what is too much then goes again, oldest
turn first, then the weakest passage.

Nothing disappears silently: a passage that did not fit is in the result with its cost. A passage that fits only in part
is cut to whole lines around what the question names, and its line numbers say so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from assistant.answer_log import Turn
from assistant.catalogue import Family
from assistant.chat_model import Message
from assistant.code_names import Evidence
from assistant.errors import ContextOverflow
from assistant.prompts import (
    code_messages,
    general_messages,
    neutralised,
    normalised,
    rendered_passage,
    sentences,
    without_marks,
)
from indexer.types import Passage, Span

Count = Callable[[Sequence[str]], Awaitable[list[int]]]
CountPrompt = Callable[[Sequence[Message]], Awaitable[int]]

# On two cores the embedded model reads some 60 tokens a second: 900 are a wait of 15 s.
EMBEDDED_EVIDENCE_TOKENS = 900
LONGEST_ANSWER_TOKENS = 2048
# Earlier turns get at most this part of the window: they are there to understand the question, not to answer it.
CONVERSATION_SHARE = 0.2
# A small budget is shared by this many passages at least: one long passage that misses the point would waste all of it.
FEWEST_PASSAGES = 4
# A cut passage shorter than this tells too little to be worth its place.
SHORTEST_PASSAGE_TOKENS = 120
# Below this, line numbers would take a fifth of the evidence, and small models cite them as if they were passages.
LINES_NUMBERED_FROM_TOKENS = 2000
# What a chat template puts around the two messages of a turn.
TURN_TOKENS = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """Tokens. context: the window; answer: kept for the answer; evidence: the most that passages may take."""

    context: int
    answer: int
    evidence: int

    @property
    def prompt(self) -> int:
        return self.context - self.answer

    @property
    def numbered(self) -> bool:
        """Whether each line carries its number, or only the head of a passage tells them."""
        return self.evidence >= LINES_NUMBERED_FROM_TOKENS

    @property
    def passage(self) -> int:
        """The most that one passage may take."""
        return self.evidence if self.numbered else self.evidence // FEWEST_PASSAGES

    def shrunk(self, factor: float) -> Limits:
        """For a server that found the prompt too long though we had counted: the same answer in a smaller window."""
        return Limits(max(self.answer + 1, int(self.context * factor)), self.answer, int(self.evidence * factor))


def limits_for(
    context_tokens: int | None, family: Family, *, embedded: bool, evidence_tokens: int = 0, answer_tokens: int = 0
) -> Limits:
    """context_tokens: as the server told, None to take the family's. evidence_tokens, answer_tokens: settings, 0 for automatic.

    Automatic: a quarter of the window for the answer, up to LONGEST_ANSWER_TOKENS; half of what remains for evidence, or
    EMBEDDED_EVIDENCE_TOKENS where a CPU reads it.
    """
    context = min(context_tokens or family.context_tokens, family.useful_tokens)
    answer = min(answer_tokens or min(context // 4, LONGEST_ANSWER_TOKENS), context // 2)
    evidence = evidence_tokens or ((context - answer) // 2)
    if embedded and not evidence_tokens:
        evidence = min(evidence, EMBEDDED_EVIDENCE_TOKENS)
    return Limits(context, answer, min(evidence, context - answer))


@dataclass(frozen=True, slots=True)
class Chosen:
    """A passage and what became of it: `evidence` as the model sees it, or None when it was dropped for its `tokens`."""

    passage: Passage
    evidence: Evidence | None
    tokens: int

    def as_json(self) -> dict[str, Any]:
        passage, shown = self.passage, self.evidence
        return {
            "number": shown.number if shown else None,
            "path": passage.path,
            "start_line": shown.start_line if shown else passage.start_line,
            "end_line": shown.end_line if shown else passage.end_line,
            "symbol": passage.symbol,
            "kind": passage.kind,
            "language": passage.language,
            "blob": passage.blob,
            "score": round(passage.score, 4),
            "origins": [
                {"signal": origin.signal, "rank": origin.rank, "score": round(origin.score, 4)} for origin in passage.origins
            ],
            "tokens": self.tokens,
            "state": "packed" if shown else "dropped",
            "text": shown.text if shown else "",
        }


def unpacked(passages: Sequence[Passage]) -> list[Chosen]:
    """All of them, whole, numbered: for a reader, where no model is asked. Tokens are not counted."""
    return [Chosen(passage, _evidence(number, passage), 0) for number, passage in enumerate(passages, start=1)]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt that fits. Token counts are of the parts as they stand in it; `tokens` is the whole."""

    messages: tuple[Message, ...]
    chosen: tuple[Chosen, ...]
    limits: Limits
    tokens: int
    instructions: int
    conversation: int

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        return tuple(chosen.evidence for chosen in self.chosen if chosen.evidence is not None)

    @property
    def answer_tokens(self) -> int:
        """How long the answer may be: what the prompt leaves, up to what was kept for it."""
        return min(self.limits.answer, self.limits.context - self.tokens)

    def budget_json(self) -> dict[str, int]:
        return {
            "context": self.limits.context,
            "instructions": self.instructions,
            "conversation": self.conversation,
            "evidence": sum(chosen.tokens for chosen in self.chosen if chosen.evidence),
            "evidence_limit": self.limits.evidence,
            "answer": self.limits.answer,
        }


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be asked.

    passages: best first; None for a general question. words: those that passages are cut around. missing: words of it that the
    repository doesn't hold. mark: the line that fences the passages.
    """

    text: str
    history: tuple[Turn, ...] = ()
    passages: tuple[Passage, ...] | None = None
    words: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    mark: str = "====="

    @property
    def about(self) -> str:
        return " ".join(self.words) or self.text

    def messages(self, conversation: Sequence[Message], evidence: Sequence[str]) -> list[Message]:
        if self.passages is None:
            return general_messages(self.text, conversation)
        return code_messages(self.text, conversation, evidence, mark=self.mark, missing=self.missing)


class Packer:
    """Packs questions for one model. Raises ContextOverflow when not even the question alone fits."""

    def __init__(self, count: Count, count_prompt: CountPrompt, family: Family, limits: Limits) -> None:
        self._count, self._count_prompt = count, count_prompt
        self._family, self._limits = family, limits

    async def pack(self, question: Question) -> Prompt:
        limits = self._limits
        instructions = await self._measure(question, (), ())
        if instructions > limits.prompt:
            raise ContextOverflow(
                f"The question takes {instructions} tokens and the model has room for {limits.prompt}; ask it shorter.",
                instructions,
                limits.context,
            )
        room = limits.prompt - instructions
        chosen = await self._choose(question, min(limits.evidence, room))
        room -= sum(one.tokens for one in chosen if one.evidence)
        conversation = await self._recall(question.history, min(room, int(limits.context * CONVERSATION_SHARE)))
        return await self._fit(question, chosen, conversation, instructions)

    async def _fit(self, question: Question, chosen: list[Chosen], conversation: list[Message], instructions: int) -> Prompt:
        """Take away until the whole fits, as it will be sent."""
        while True:
            messages = self._messages(question, conversation, chosen)
            tokens = await self._count_prompt(messages)
            if tokens <= self._limits.prompt or not (conversation or any(one.evidence for one in chosen)):
                break
            if conversation:
                conversation = conversation[2:]
            else:
                chosen = _without_last(chosen)
        told = sum(await self._count([message.content for message in conversation])) if conversation else 0
        return Prompt(tuple(messages), tuple(chosen), self._limits, tokens, instructions, told)

    def _messages(self, question: Question, conversation: Sequence[Message], chosen: Sequence[Chosen]) -> list[Message]:
        shown = [self._rendered(one.evidence) for one in chosen if one.evidence is not None]
        return normalised(question.messages(conversation, shown[::-1]), self._family)

    async def _measure(self, question: Question, conversation: Sequence[Message], chosen: Sequence[Chosen]) -> int:
        return await self._count_prompt(self._messages(question, conversation, chosen))

    def _rendered(self, evidence: Evidence) -> str:
        return rendered_passage(evidence, numbered=self._limits.numbered)

    # --- passages ---

    async def _choose(self, question: Question, budget: int) -> list[Chosen]:
        """Best first while they fit; one that doesn't is cut or dropped, and smaller ones after it still get their chance."""
        passages = in_reading_order(question.passages or (), question)
        # "\n\n" joins the passages in the prompt and is counted with each.
        whole = [_evidence(number, passage) for number, passage in enumerate(passages, start=1)]
        costs = await self._count([self._rendered(evidence) + "\n\n" for evidence in whole])
        chosen: list[Chosen] = []
        number, left = 1, budget
        for counted, passage, cost in zip(whole, passages, costs, strict=True):
            evidence: Evidence | None = _evidence(number, passage)
            tokens = cost
            if len(str(number)) != len(str(counted.number)):
                # Passages before it were dropped, and a shorter number can be a token less.
                (tokens,) = await self._count([self._rendered(_evidence(number, passage)) + "\n\n"])
            if tokens > (room := min(left, self._limits.passage)):
                evidence, tokens = await self._cut(_evidence(number, passage), question, room, tokens)
            chosen.append(Chosen(passage, evidence, tokens))
            if evidence is not None:
                number, left = number + 1, left - tokens
        return await self._widen(chosen, left) if self._limits.numbered else chosen

    async def _widen(self, chosen: list[Chosen], left: int) -> list[Chosen]:
        """What is left of the budget goes to the whole definitions around the passages, and to small files.

        Best first, and never over lines that another passage shows already. Small budgets are for more passages instead.
        """
        for place, one in enumerate(chosen):
            shown = one.evidence
            if shown is None or shown.text != one.passage.text:
                continue
            others = [other.evidence for other in chosen if other.evidence is not None and other is not one]
            for span in one.passage.wider:
                if any(_overlap(shown.path, span, other) for other in others):
                    break
                evidence = replace(shown, start_line=span.start_line, end_line=span.end_line, text=span.text)
                tokens = (await self._count([self._rendered(evidence) + "\n\n"]))[0]
                if tokens - chosen[place].tokens > left:
                    break
                left -= tokens - chosen[place].tokens
                chosen[place] = replace(one, evidence=evidence, tokens=tokens)
        return chosen

    async def _cut(self, evidence: Evidence, question: Question, room: int, cost: int) -> tuple[Evidence | None, int]:
        """The whole lines around the best part of the passage that fit into `room` tokens, or None and the full cost."""
        if room < SHORTEST_PASSAGE_TOKENS:
            return None, cost
        lines = evidence.text.split("\n")
        number = evidence.end_line if self._limits.numbered else ""
        line_costs = await self._count([f"{number} {line}\n" for line in lines])
        head = (await self._count([self._rendered(replace(evidence, text=""))]))[0]
        first, last = best_lines(lines, line_costs, line_scores(lines, question.about), room - head)
        while last - first >= 3:
            part = replace(
                evidence,
                start_line=evidence.start_line + first,
                end_line=evidence.start_line + last - 1,
                text="\n".join(lines[first:last]),
            )
            tokens = (await self._count([self._rendered(part) + "\n\n"]))[0]
            if tokens <= room:
                return part, tokens
            last -= 1
        return None, cost

    # --- earlier turns ---

    async def _recall(self, history: Sequence[Turn], budget: int) -> list[Message]:
        """The latest turns that fit, oldest first; an answer that doesn't is cut after a sentence."""
        recalled: list[Message] = []
        for turn in reversed(history):
            question = Message("user", neutralised(turn.question))
            pieces = sentences(neutralised(without_marks(turn.answer_text).strip()))
            costs = await self._count([question.content, *pieces])
            budget -= costs[0] + TURN_TOKENS
            answer, spent = _leading(pieces, costs[1:], budget)
            if not answer:
                break
            recalled[:0] = [question, Message("assistant", answer)]
            budget -= spent
        return recalled


def _leading(pieces: Sequence[str], costs: Sequence[int], budget: int) -> tuple[str, int]:
    taken, spent = "", 0
    for piece, cost in zip(pieces, costs, strict=True):
        if spent + cost > budget:
            break
        taken, spent = taken + piece, spent + cost
    return taken.strip(), spent


def _evidence(number: int, passage: Passage) -> Evidence:
    return Evidence(number, passage.path, passage.start_line, passage.end_line, passage.symbol, passage.text)


def _overlap(path: str, span: Span, other: Evidence) -> bool:
    return other.path == path and span.start_line <= other.end_line and other.start_line <= span.end_line


def _without_last(chosen: Sequence[Chosen]) -> list[Chosen]:
    """The weakest packed passage dropped; the numbers of the others stay as they are."""
    last = max(index for index, one in enumerate(chosen) if one.evidence is not None)
    return [replace(one, evidence=None) if index == last else one for index, one in enumerate(chosen)]


_TESTS = re.compile(r"(?:^|/)(?:tests?|specs?|__tests__)/|(?:^|/)test_|[._-](?:test|spec)\.\w+$|[a-z]Tests?\.\w+$")
_CHANGELOG = re.compile(r"(?:^|/)(?:change(?:s|log)|history|news|release[-_ ]?notes)(?:\.\w+)?$", re.IGNORECASE)
_ASKS_FOR_TESTS = re.compile(r"\btest(?:s|ed|ing)?\b", re.IGNORECASE)
_ASKS_FOR_CHANGES = re.compile(r"\b(?:change(?:s|d|log)?|versions?|release[sd]?|since|histor\w+|deprecat\w+|added)\b", re.I)


def in_reading_order(passages: Sequence[Passage], question: Question) -> list[Passage]:
    """Best first, but what tells a reader less comes last: tests and changelogs, unless they are asked for, and what names
    hardly anything of the question (a file's imports, say)."""
    enough = min(2, len(_words(question.about)))

    def tells_less(passage: Passage) -> bool:
        if _TESTS.search(passage.path):
            return not _ASKS_FOR_TESTS.search(question.text)
        if _CHANGELOG.search(passage.path):
            return not _ASKS_FOR_CHANGES.search(question.text)
        return len(set().union(*named_in(passage.text.split("\n"), question.about))) < enough

    return sorted(passages, key=tells_less)


_WORD = re.compile(r"[A-Za-z]{3,}")
_IMPORT = re.compile(r"\s*(?:import\b|from\s+\S+\s+import\b|#\s*include\b|using\s+[\w.:]+;|use\s+[\w:\\]+|require\b|package\b)")


def line_scores(lines: Sequence[str], question: str) -> list[float]:
    """How much each line tells of the question: each word that it names counts, more where it is rare in the passage."""
    named = named_in(lines, question)
    spread = Counter(word for words in named for word in words)
    return [sum(1 / spread[word] for word in words) for words in named]


def named_in(lines: Sequence[str], question: str) -> list[set[str]]:
    """The words of the question that each line names. An import names much and tells nothing."""
    wanted = _words(question)
    return [set() if _IMPORT.match(line) else _words(line) & wanted for line in lines]


def _words(text: str) -> set[str]:
    """The beginnings of its words, `getUserName` being three: "signed" and "signature" are alike."""
    return {word.lower()[:5] for word in _WORD.findall(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text))}


def best_lines(lines: Sequence[str], costs: Sequence[int], scores: Sequence[float], budget: int) -> tuple[int, int]:
    """[first, last) of the stretch of lines with the highest score that costs at most `budget`; the first of equals.

    A definition's first line says what it is, so that it counts as if the question had named it.
    """
    weights = [score + 1e-3 for score in scores]
    weights[0] += 1.0
    best, best_weight = (0, 0), 0.0
    first, spent, weight = 0, 0, 0.0
    for last, (cost, gain) in enumerate(zip(costs, weights, strict=True), start=1):
        spent, weight = spent + cost, weight + gain
        while spent > budget and first < last:
            spent, weight, first = spent - costs[first], weight - weights[first], first + 1
        if weight > best_weight + 1e-9:
            best, best_weight = (first, last), weight
    return best
