"""How late a token is on the page when many answers stream at once, and what each process spends on them.

    python -m benchmarks.streams [--answers N] [--tokens N] [--tokens-a-second N] [--ramp SECONDS] [--sqlite]

Real processes on this machine, as a team runs them: one web process, one answerer, PostgreSQL and Redis (neither with
--sqlite), and a paced model server (tests/fakes/openai_server.py). A process with one WebSocket for each answer asks N
questions, evenly over the ramp, and reads until all are answered. Every piece of text must arrive, in order.

A token's delay is the time from when the model server sends it until the WebSocket's client has received it. "Asking" is the
part of the run in which questions still come, each with its search and its prompt; "streaming" is what follows, until the first
answer ends. The model server's pace is what it reached: it and the clients share the cores. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
import numpy.typing as npt
from websockets.asyncio.client import connect
from websockets.typing import Origin

from benchmarks.machine import cpu_seconds, machine, process_seconds
from tests.fakes.openai_server import FakeModelServer
from tests.processes import ROOT, Deployment
from tests.services import postgresql, readable_folder, redis

REPOSITORY = "sextant"
PROSE = "architecture", "citations", "models"
QUESTION = "How does the answerer write the log of answer number {number}?"
SETTLE_S = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=1400, help="of each answer")
    parser.add_argument("--tokens-a-second", type=float, default=30.0)
    parser.add_argument("--ramp", type=float, default=30.0, help="seconds over which the questions are asked")
    parser.add_argument("--sqlite", action="store_true", help="as on a laptop: SQLite and no Redis")
    parser.add_argument("--read", metavar="URL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        asyncio.run(read_all(options.read, options.answers, options.ramp))
    else:
        measure(options)


def measure(options: argparse.Namespace) -> None:
    print(f"machine  {machine()}")
    pieces = text_of(options.tokens)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(readable_folder()))
        services: dict[str, str] = {}
        if not options.sqlite:
            services["SEXTANT_REDIS_URL"] = stack.enter_context(redis(folder))
            services["SEXTANT_DATABASE_URL"] = stack.enter_context(postgresql(folder))
        pace = {"delay_s": 1 / options.tokens_a_second, "context": 16_384}
        server = stack.enter_context(FakeModelServer(text="".join(pieces), **pace))
        answered = {"SEXTANT_CODE_MODEL_URL": server.url, "SEXTANT_ANSWER_TOKENS": str(2 * options.tokens)}
        sextant = stack.enter_context(Deployment(folder, **services, **answered))
        sextant.manage("index_repo", str(ROOT / "assistant"), "--name", REPOSITORY)
        sextant.start("web", "answerer")
        time.sleep(SETTLE_S)
        warm = read_in_a_process(sextant.url, 2, 0.0)
        assert all(answer.ended for answer in warm)
        ids = {"web": sextant.processes["web"].pid, "answerer": sextant.processes["answerer"].pid, "model": server.process.pid}
        before, everything = {name: process_seconds(pid) for name, pid in ids.items()}, sum(cpu_seconds())
        began = time.monotonic()
        answers = read_in_a_process(sextant.url, options.answers, options.ramp)
        used = {name: process_seconds(pid) - before[name] for name, pid in ids.items()}
        used["everything"] = sum(cpu_seconds()) - everything
        report(answers, server.sent(), pieces, used, began, options)


def text_of(tokens: int) -> list[str]:
    """An answer of so many pieces: this project's own documentation, with a citation in every third sentence."""
    prose = "\n".join((ROOT / "docs" / f"{name}.md").read_text() for name in PROSE)
    lines = [line for line in prose.splitlines() if line and line[0] not in "|#` " and "](" not in line]
    sentences = re.findall(r"[^.]+\.\s", " ".join(lines) + " ")
    cited = [s if number % 3 else f"{s.rstrip()[:-1]} [{number % 5 + 1}]. " for number, s in enumerate(sentences)]
    pieces = re.findall(r"\s*\S+", "".join(cited))
    if len(pieces) < tokens:
        sys.exit(f"The documentation has only {len(pieces)} words: ask for fewer tokens.")
    return [pieces[0].lstrip(), *pieces[1:tokens]]


# --- the page's side ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Read:
    """What came of one answer: (time.monotonic, seconds; message as JSON) of each, in order."""

    messages: list[tuple[float, str]]

    @property
    def ended(self) -> bool:
        return '"kind":"completed"' in self.messages[-1][1]


def read_in_a_process(url: str, answers: int, ramp_s: float) -> list[Read]:
    """So that reading doesn't wait for what this process does."""
    command = [sys.executable, "-m", "benchmarks.streams", "--read", url, "--answers", str(answers), "--ramp", str(ramp_s)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT)
    return [Read([(at, message) for at, message in json.loads(line)]) for line in done.stdout.splitlines()]


async def read_all(url: str, answers: int, ramp_s: float) -> None:
    """Print what came of each answer, a line of JSON each."""
    for messages in await asyncio.gather(*(read_one(url, number, ramp_s * number / answers) for number in range(answers))):
        print(json.dumps(messages))


async def read_one(url: str, number: int, start_s: float) -> list[tuple[float, str]]:
    async with connect(url.replace("http", "ws", 1) + "/ws/", origin=Origin(url), compression=None) as socket:
        await asyncio.sleep(start_s)
        question = QUESTION.format(number=number)
        ask = {"answer": str(uuid4()), "conversation": None, "repository": REPOSITORY, "question": question, "route": "code"}
        await socket.send(json.dumps({"type": "ask", **ask}))
        messages: list[tuple[float, str]] = []
        async for message in socket:
            messages.append((time.monotonic(), str(message)))
            if any(f'"kind":"{end}"' in message for end in ("completed", "failed", "cancelled")):
                break
    return messages


# --- the figures --------------------------------------------------------------------------------------------------------------


def delays(answer: Read, sent: Mapping[str, Sequence[float]], pieces: Sequence[str]) -> npt.NDArray[np.float64]:
    """[N, 2]: when each piece was sent, and how many seconds later it was read. Ends the program where one is missing."""
    text, lengths, times, digest = "", [0], [0.0], ""
    for at, message in answer.messages:
        event = json.loads(message)
        if event["type"] == "event" and event["kind"] == "prompt":
            digest = event["payload"]["sha256"]
        if event["type"] == "event" and event["kind"] == "delta":
            text += event["payload"]["text"]
            lengths.append(len(text))
            times.append(at)
    before = text.find("".join(pieces))  # what the server says itself stands before and after
    if before < 0:
        sys.exit(f"An answer isn't what the model wrote: …{text[-200:]!r}, last message {answer.messages[-1][1][:300]}")
    ends = before + np.cumsum([len(piece) for piece in pieces])
    arrived = np.array([times[bisect_right(lengths, end - 1)] for end in ends])
    began = np.array(sent[digest])
    if len(began) != len(pieces):
        sys.exit("A model was asked for an answer a second time: this machine is too busy for so many at once.")
    return np.stack([began, arrived - began], axis=1)


def report(
    answers: Sequence[Read],
    sent: Mapping[str, Sequence[float]],
    pieces: Sequence[str],
    used: Mapping[str, float],
    began: float,
    options: argparse.Namespace,
) -> None:
    of_each = [delays(answer, sent, pieces) for answer in answers]
    all_begun = max(each[0, 0] for each in of_each)
    first_ended = min(each[-1, 0] for each in of_each)
    tokens = np.concatenate(of_each)
    streaming = (tokens[:, 0] >= all_begun) & (tokens[:, 0] <= first_ended)
    took = max(each[-1].sum() for each in of_each) - began
    reached = np.median([(len(each) - 1) / (each[-1, 0] - each[0, 0]) for each in of_each])
    over = "SQLite" if options.sqlite else "PostgreSQL and Redis"
    print(f"{len(answers)} answers of {len(pieces)} tokens, asked within {options.ramp:g} s, by {over}")
    print(f"every token delivered; {took:.1f} s; the model server's pace {reached:.1f} tokens a second each")
    for name, which in (("asking", tokens[:, 0] < all_begun), ("streaming", streaming), ("all", tokens[:, 0] > 0)):
        if which.any():
            p50, p95, p99 = np.quantile(tokens[which, 1], (0.5, 0.95, 0.99)) * 1000
            print(f"delay of a token, {name:10} {which.sum():9,} tokens  p50 {p50:5.0f}  p95 {p95:5.0f}  p99 {p99:5.0f} ms")
    thousands = len(tokens) / 1000
    told = ", ".join(f"{name} {seconds / thousands * 1000:.0f}" for name, seconds in used.items())
    print(f"CPU, ms a 1,000 tokens: {told}; cores in use {used['everything'] / took:.2f}")


if __name__ == "__main__":
    main()
