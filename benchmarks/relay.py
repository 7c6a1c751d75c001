"""What answering adds to a bare call of the same model server, in the same run.

    python -m benchmarks.relay [--questions N] [--together N] [--tokens-a-second N]

A paced server in a process of its own (tests/fakes/openai_server.py) is asked directly and through `answer_question`, by turns:
the time to the first token, without what the search took, and the tokens a second after it. Then many answers stream at once in
this process; every token must arrive. CPU is this process's, so it holds on a busy machine too. The log's way into the database
and to the page isn't in it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path
from uuid import uuid4

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "assistant.settings")
django.setup()

from django.conf import settings  # noqa: E402

from assistant.answer_log import AnswerJob, AnswerLog  # noqa: E402
from assistant.answering import answer_question  # noqa: E402
from assistant.chat import Endpoint, Message, Text, Timeouts  # noqa: E402
from assistant.chat_model import connect, http_client  # noqa: E402
from benchmarks.machine import machine  # noqa: E402
from indexer.benchmark import index_source  # noqa: E402
from indexer.evaluation import BenchmarkRepository  # noqa: E402
from indexer.retriever import Retriever  # noqa: E402
from tests.fakes.openai_server import FakeModelServer  # noqa: E402

TOKENS = 120
SOURCE = Path(__file__).resolve().parent.parent / "assistant"


class TimedLog(AnswerLog):
    """Notes when the first and the last token came."""

    first = last = 0.0

    async def delta(self, text: str) -> None:
        self.last = time.perf_counter()
        self.first = self.first or self.last
        await super().delta(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=15)
    parser.add_argument("--together", type=int, default=200)
    parser.add_argument("--tokens-a-second", type=float, default=30.0)
    options = parser.parse_args()
    print(f"machine  {machine()}")
    with tempfile.TemporaryDirectory() as folder:
        repository = BenchmarkRepository(SOURCE.name, "", "", ())
        snapshot = index_source(repository, SOURCE.parent, Path(folder), vectors=False)
        text = " ".join(f"word{number}{'' if (number + 1) % 12 else '.'}" for number in range(TOKENS))
        with FakeModelServer(text=text, delay_s=1 / options.tokens_a_second, context=16_384) as server:
            settings.CODE_MODEL_URL = server.url
            asyncio.run(measure(server.url, snapshot, options))


async def measure(url: str, snapshot: Path, options: argparse.Namespace) -> None:
    retriever = Retriever()
    await answer(snapshot, retriever)
    added, ours, bare = [], [], []
    for _ in range(options.questions):
        direct_first, direct_rate = await ask_directly(url)
        first, rate = await answer(snapshot, retriever)
        added.append((first - direct_first) * 1000)
        bare.append(direct_rate)
        ours.append(rate)
    share = statistics.median(ours) / statistics.median(bare)
    print(f"first token, beyond search and server   {statistics.median(added):.1f} ms p50")
    print(f"tokens a second, of a bare call's        {share:.1%}")
    started, cpu, loop_cpu = time.perf_counter(), time.process_time(), time.thread_time()
    rates = await asyncio.gather(*(answer(snapshot, retriever) for _ in range(options.together)))
    took, used = time.perf_counter() - started, time.process_time() - cpu
    thousands = options.together * TOKENS / 1000
    loop_used = time.thread_time() - loop_cpu
    print(
        f"{options.together} answers at once, all tokens there  {took:.1f} s; tokens a second each "
        f"{statistics.median(rate for _, rate in rates):.1f}; CPU {used / thousands * 1000:.0f} ms a 1,000 tokens, "
        f"of it {loop_used / thousands * 1000:.0f} ms on the event loop, the rest in threads"
    )


async def ask_directly(url: str) -> tuple[float, float]:
    """Seconds to the first token, and tokens a second after it."""
    timeouts = Timeouts()
    async with http_client(timeouts) as client:
        model = await connect(client, Endpoint(url), timeouts)
        started, at = time.perf_counter(), []
        async for part in model.stream(model.request([Message("user", "Where?")], max_tokens=TOKENS)):
            if isinstance(part, Text):
                at.append(time.perf_counter())
    return at[0] - started, (len(at) - 1) / (at[-1] - at[0])


async def answer(snapshot: Path, retriever: Retriever) -> tuple[float, float]:
    """The same of an answer, the search's time taken off. Raises where a token is missing."""
    job = AnswerJob(uuid4(), "How is an answer written?", (), "code", "", "assistant", uuid4(), snapshot, "", "", False, 1)
    log, started = TimedLog(), time.perf_counter()
    await answer_question(job, log, retriever)
    entries = log.take()
    searched = next(payload["took_ms"] for kind, payload in entries if kind == "passages") / 1000
    written = len(set(re.findall(r"word\d+", log.text)))
    if written != TOKENS:
        sys.exit(f"{TOKENS - written} tokens are missing")
    return log.first - started - searched, (TOKENS - 1) / (log.last - log.first)


if __name__ == "__main__":
    main()
