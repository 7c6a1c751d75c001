"""How long packing takes, how much of the budget it uses, and how alike the prompts of a conversation begin.

    python -m benchmarks.packing FOLDER [--tokens N …] [--rounds N] [--index DIR]

Indexes FOLDER without vectors, searches it, and packs what was found for budgets of different sizes, through the counter by
which a server is asked, with a tokenizer in this process (byte pairs learned from the folder) behind it. Cold: nothing has been
counted yet. Warm: everything has, as when a conversation goes on. Then a conversation of four follow-ups is packed, with what
the last prompt showed and without: the share of a prompt that the one before began with is what a server with a prefix cache
needn't read.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "assistant.settings")
django.setup()

from tokenizers import Tokenizer  # noqa: E402
from tokenizers.models import BPE  # noqa: E402
from tokenizers.pre_tokenizers import ByteLevel  # noqa: E402
from tokenizers.trainers import BpeTrainer  # noqa: E402

from assistant import token_counter  # noqa: E402
from assistant.answer_log import Shown, Turn  # noqa: E402
from assistant.catalogue import OTHER  # noqa: E402
from assistant.chat import Message  # noqa: E402
from assistant.packing import Limits, Packer, Prompt, Question  # noqa: E402
from assistant.token_counter import TokenCounter  # noqa: E402
from benchmarks.machine import machine  # noqa: E402
from indexer.benchmark import index_source  # noqa: E402
from indexer.evaluation import BenchmarkRepository  # noqa: E402
from indexer.retriever import Retriever  # noqa: E402

QUESTIONS = (
    "How are requests turned into responses?",
    "Where is the session read and stored?",
    "What happens when an error is raised while a request is handled?",
    "How is the configuration loaded?",
)
FOLLOW_UPS = (
    "How is a request turned into a response?",
    "Where are errors of that handled?",
    "And which headers does the response get?",
    "How is the response then sent?",
    "Who calls that?",
)
ANSWER = "It is done in `handle_request`. " * 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--tokens", type=int, nargs="+", default=[2000, 10_000, 30_000, 100_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--index", type=Path, default=Path("var/benchmark"), help="where snapshots are kept")
    options = parser.parse_args()
    folder = options.folder.resolve()
    snapshot = index_source(BenchmarkRepository(folder.name, "", "", ()), folder.parent, options.index, vectors=False)
    counter = TokenCounter(Local(folder).post, "http://local", "bpe")
    print(f"machine  {machine()}\ninput    {folder.name}\n")
    print(f"{'budget':>9} {'used':>7} {'passages':>9} {'cold ms':>9} {'warm ms':>9} {'warm CPU ms':>12}")
    retriever = Retriever()
    for tokens in options.tokens:
        asyncio.run(time_packing(retriever, snapshot, counter, tokens, options.rounds))
    print(f"\n{'budget':>9} {'shared by consecutive prompts':>30} {'without what was shown':>24}")
    for tokens in options.tokens:
        kept, anew = (asyncio.run(converse(retriever, snapshot, counter, tokens, keep)) for keep in (True, False))
        print(f"{tokens:>9,} {kept:>29.0%} {anew:>23.0%}")


class Local:
    """A tokenizer behind the two paths by which a server's is asked."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = Tokenizer(BPE())
        self._tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
        trainer = BpeTrainer(vocab_size=16_000, initial_alphabet=ByteLevel.alphabet(), show_progress=False)
        self._tokenizer.train([str(path) for path in sorted(folder.rglob("*.py"))[:400]], trainer)

    async def post(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        text = (
            body["prompt"] if "prompt" in body else "".join(f"<|{m['role']}|>\n{m['content']}</s>\n" for m in body["messages"])
        )
        tokens = self._tokenizer.encode(text, add_special_tokens=False).ids
        return {"count": len(tokens), "tokens": tokens}


def limits_of(tokens: int) -> Limits:
    return Limits(int(tokens / 0.75) + 2048, 2048, tokens)


async def pack(counter: TokenCounter, limits: Limits, question: Question) -> Prompt:
    async def count_prompt(messages: Sequence[Message]) -> int:
        return await counter.count_prompt([message.as_json() for message in messages])

    return await Packer(counter.count, count_prompt, OTHER, limits).pack(question)


async def time_packing(retriever: Retriever, snapshot: Path, counter: TokenCounter, tokens: int, rounds: int) -> None:
    limit, limits = max(12, tokens // 150), limits_of(tokens)
    cold: list[float] = []
    warm: list[float] = []
    used: list[float] = []
    shares: list[float] = []
    passages: list[int] = []
    for text in QUESTIONS:
        found = retriever.search(snapshot, text, limit=limit, vectors=False)
        question = Question(text, (), found.passages, found.matched_terms)
        token_counter._counts.clear()
        for times, again in ((cold, 1), (warm, rounds)):
            for _ in range(again):
                started, cpu = time.perf_counter(), time.process_time()
                prompt = await pack(counter, limits, question)
                times.append((time.perf_counter() - started) * 1000)
                if times is warm:
                    used.append((time.process_time() - cpu) * 1000)
        shares.append(sum(one.tokens for one in prompt.chosen if one.evidence) / tokens)
        passages.append(len(prompt.evidence))
    figures = f"{statistics.median(cold):>9.1f} {statistics.median(warm):>9.1f} {statistics.median(used):>12.1f}"
    print(f"{tokens:>9,} {min(shares):>7.1%} {statistics.median(passages):>9.0f} {figures}", flush=True)


async def converse(retriever: Retriever, snapshot: Path, counter: TokenCounter, tokens: int, keep: bool) -> float:
    """The mean share of a prompt, in characters, that the prompt before it began with."""
    shares: list[float] = []
    before = ""
    shown: tuple[Shown, ...] = ()
    turns: tuple[Turn, ...] = ()
    for text in FOLLOW_UPS:
        history = [turn.question for turn in turns]
        found = retriever.search(snapshot, text, limit=max(12, tokens // 200), vectors=False, history=history)
        prompt = await pack(counter, limits_of(tokens), Question(text, turns, found.passages, found.matched_terms, shown=shown))
        told = "".join(f"<|{message.role}|>{message.content}" for message in prompt.messages)
        if before:
            same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(before, told, strict=False))
            shares.append(sum(1 for _ in same) / len(told))
        before, turns = told, (*turns, Turn(text, ANSWER, "code"))
        if keep:
            shown = Shown.all_in({"passages": [one.as_json() for one in prompt.chosen]})
    return statistics.mean(shares)


if __name__ == "__main__":
    main()
