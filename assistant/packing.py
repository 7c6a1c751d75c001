"""What fits: passages and earlier turns into the context window of the model that will read them.

Invariant, held by a property test over several tokenizers: the packed prompt is never longer, by the model's own tokenizer,
than the context minus what is kept for the answer. Pieces are counted one by one to choose. Tokens may join or split where
pieces meet, so near the border the whole is counted as well, and what is too much goes again, oldest turn first, then the
weakest passage; far from it the sum is enough, and a prompt of 100,000 tokens isn't counted twice.

Nothing disappears silently: a passage that did not fit is in the result with its cost. A passage that fits only in part
is cut to whole lines around what the question names, and its line numbers say so. What is chosen is decided in
assistant/evidence.py, what is told of earlier turns in assistant/recall.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from assistant.answer_log import Shown, Turn
from assistant.catalogue import Family
from assistant.chat import Message
from assistant.code_names import Evidence
from assistant.errors import ContextOverflow
from assistant.evidence import EvidencePicker, Selection, prompt_order
from assistant.prompts import code_messages, general_messages, normalised, rendered_passage
from assistant.reading_order import in_reading_order
from assistant.recall import Conversation, recall
from assistant.suspicion import is_suspicious
from indexer.types import Passage

Count = Callable[[Sequence[str]], Awaitable[list[int]]]
CountPrompt = Callable[[Sequence[Message]], Awaitable[int]]

# On two cores the embedded model reads some 60 tokens a second: 900 are a wait of 15 s.
EMBEDDED_EVIDENCE_TOKENS = 900
LONGEST_ANSWER_TOKENS = 2048
# Of what the answer leaves. The rest is for instructions and earlier turns.
EVIDENCE_SHARE = 0.75
# Earlier turns get at least this part of the window before evidence gets the rest, and at most what evidence leaves.
CONVERSATION_SHARE = 0.2
# A small budget is shared by this many passages at least: one long passage that misses the point would waste all of it. More
# of them would be cut, and show less of what is looked for (benchmarks.passages).
FEWEST_PASSAGES = 2
# Below this, line numbers would take a fifth of the evidence, and small models cite them as if they were passages.
LINES_NUMBERED_FROM_TOKENS = 3000
# Of a sum of parts: how far from the border it is taken for the whole, and the least of that in tokens.
BORDER_SHARE, BORDER_TOKENS = 1 / 32, 100


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
        """For a server that found the prompt too long though we had counted: the same answer in a smaller window, of which it
        takes half at most."""
        context = int(self.context * factor)
        return Limits(context, min(self.answer, context // 2), int(self.evidence * factor))


def limits_for(
    context_tokens: int | None, family: Family, *, embedded: bool, evidence_tokens: int = 0, answer_tokens: int = 0
) -> Limits:
    """context_tokens: as the server told, None to take the family's. evidence_tokens, answer_tokens: settings, 0 for automatic.

    Automatic: a quarter of the window for the answer, up to LONGEST_ANSWER_TOKENS; three quarters of what remains for evidence,
    or EMBEDDED_EVIDENCE_TOKENS where a CPU reads it.
    """
    context = min(context_tokens or family.context_tokens, family.useful_tokens)
    answer = min(answer_tokens or min(context // 4, LONGEST_ANSWER_TOKENS), context // 2)
    evidence = evidence_tokens or int((context - answer) * EVIDENCE_SHARE)
    if embedded and not evidence_tokens:
        evidence = min(evidence, EMBEDDED_EVIDENCE_TOKENS)
    return Limits(context, answer, min(evidence, context - answer))


@dataclass(frozen=True, slots=True)
class Chosen:
    """A passage and what became of it: `evidence` as the model sees it, or None when it was dropped for its `tokens`.

    place: where it stands in the prompt, from 1. merged: how many found passages it holds. kept: it was in the last prompt and
    stays at the beginning of this one. why: of one that was dropped, "budget" or "duplicate".
    """

    passage: Passage
    evidence: Evidence | None
    tokens: int
    place: int | None = None
    merged: int = 1
    kept: bool = False
    why: str = ""

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
            "why": self.why,
            "place": self.place,
            "merged": self.merged,
            "kept": self.kept,
            "suspicious": is_suspicious(shown.text) if shown else False,
            "text": shown.text if shown else "",
        }


def unpacked(passages: Sequence[Passage]) -> list[Chosen]:
    """All of them, whole, numbered: for a reader, where no model is asked. Tokens are not counted."""
    return [Chosen(passage, _evidence(number, passage), 0) for number, passage in enumerate(passages, start=1)]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt that fits. Token counts are of the parts as they stand in it; `tokens` is the whole, or where that is far from
    the border the sum of the parts."""

    messages: tuple[Message, ...]
    chosen: tuple[Chosen, ...]
    limits: Limits
    tokens: int
    instructions: int
    conversation: Conversation

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        return tuple(chosen.evidence for chosen in self.chosen if chosen.evidence is not None)

    @property
    def dropped(self) -> tuple[Evidence, ...]:
        """What was found and isn't shown, numbered 0."""
        return tuple(_evidence(0, chosen.passage) for chosen in self.chosen if chosen.why == "budget")

    @property
    def answer_tokens(self) -> int:
        """How long the answer may be: what the prompt leaves, up to what was kept for it."""
        return min(self.limits.answer, self.limits.context - self.tokens)

    def budget_json(self) -> dict[str, Any]:
        return {
            "context": self.limits.context,
            "instructions": self.instructions,
            "conversation": self.conversation.tokens,
            "turns": self.conversation.as_json(),
            "evidence": sum(chosen.tokens for chosen in self.chosen if chosen.evidence),
            "evidence_limit": self.limits.evidence,
            "answer": self.limits.answer,
        }


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be asked.

    passages: best first; None for a general question. words: those that passages are cut around. missing: words of it that the
    repository doesn't hold. mark: the line that fences the passages. shown: what the last prompt showed, in its order.
    unsure: a general question that passages come with, in case it is about the code.
    """

    text: str
    history: tuple[Turn, ...] = ()
    passages: tuple[Passage, ...] | None = None
    words: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    mark: str = "====="
    shown: tuple[Shown, ...] = ()
    unsure: bool = False

    @property
    def about(self) -> str:
        return " ".join(self.words) or self.text

    def messages(
        self, conversation: Sequence[Message], evidence: Sequence[str], *, evidence_first: bool = False
    ) -> list[Message]:
        if self.passages is None or self.unsure:
            return general_messages(self.text, conversation, evidence if self.unsure else None, mark=self.mark)
        return code_messages(
            self.text, conversation, evidence, mark=self.mark, missing=self.missing, evidence_first=evidence_first
        )


class Packer:
    """Packs questions for one model. Raises ContextOverflow when not even the question alone fits."""

    def __init__(self, count: Count, count_prompt: CountPrompt, family: Family, limits: Limits) -> None:
        self._count, self._count_prompt = count, count_prompt
        self._family, self._limits = family, limits

    async def pack(self, question: Question) -> Prompt:
        limits = self._limits
        instructions = await self._count_prompt(self._messages(question, Conversation(), Selection()))
        if instructions > limits.prompt:
            raise ContextOverflow(
                f"The question takes {instructions} tokens and the model has room for {limits.prompt}; ask it shorter.",
                instructions,
                limits.context,
            )
        room = limits.prompt - instructions
        wanted = 0 if question.passages is None else limits.evidence
        share = max(int(limits.context * CONVERSATION_SHARE), room - wanted)
        conversation = await recall(self._count, question.history, min(room, share))
        evidence = await self._pick(question, min(limits.evidence, room - conversation.tokens))
        if conversation.shortened or conversation.dropped:
            # The evidence may have left more than was thought.
            more = room - evidence.tokens - BORDER_TOKENS
            if more > share:
                conversation = await recall(self._count, question.history, more)
        return await self._fit(question, evidence, conversation, instructions)

    async def _pick(self, question: Question, budget: int) -> Selection:
        limits = self._limits
        passages = in_reading_order(question.passages or (), question.text, question.about)
        picker = EvidencePicker(self._count, self._rendered, question.about, most=limits.passage, widens=limits.numbered)
        return await picker.pick(passages, question.shown, budget)

    async def _fit(self, question: Question, evidence: Selection, conversation: Conversation, instructions: int) -> Prompt:
        """Take away until the whole fits, as it will be sent."""
        limits = self._limits
        while True:
            messages = self._messages(question, conversation, evidence)
            tokens = instructions + conversation.tokens + evidence.tokens
            if tokens + max(BORDER_TOKENS, tokens * BORDER_SHARE) > limits.prompt:
                tokens = await self._count_prompt(messages)
            if tokens <= limits.prompt or not (conversation.messages or evidence.blocks):
                break
            if conversation.messages:
                conversation = conversation.without_oldest()
            else:
                evidence.drop_last()
        return Prompt(tuple(messages), tuple(_chosen(evidence)), limits, tokens, instructions, conversation)

    def _messages(self, question: Question, conversation: Conversation, evidence: Selection) -> list[Message]:
        shown = [self._rendered(block.evidence) for block in prompt_order(evidence.blocks)]
        told = question.messages(conversation.messages, shown, evidence_first=self._limits.numbered)
        return normalised(told, self._family)

    def _rendered(self, evidence: Evidence) -> str:
        return rendered_passage(evidence, numbered=self._limits.numbered)


def _chosen(picked: Selection) -> list[Chosen]:
    """Best first, and then what was dropped."""
    places = {id(block): place for place, block in enumerate(prompt_order(picked.blocks), start=1)}
    shown = [
        Chosen(block.passages[0], block.evidence, block.tokens, places[id(block)], len(block.passages), block.kept)
        for block in picked.blocks
    ]
    left = [Chosen(passage, None, tokens, why="budget") for passage, tokens in picked.left]
    return shown + left + [Chosen(passage, None, tokens, why="duplicate") for passage, tokens in picked.twice]


def _evidence(number: int, passage: Passage) -> Evidence:
    return Evidence(number, passage.path, passage.start_line, passage.end_line, passage.symbol, passage.text)
