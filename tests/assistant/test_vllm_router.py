"""vLLM's own router stands before two replicas behind one URL: one of them dies, and no answer is lost."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from assistant.chat import Endpoint
from tests.assistant.test_answerer import until
from tests.assistant.test_answering import free_port
from tests.assistant.test_fallback import Asking
from tests.fakes.openai_server import FakeModelServer

pytestmark = pytest.mark.integration

TEXT = "one two three four five six"
QUESTIONS = 8


@pytest.fixture
def replicas() -> Iterator[tuple[FakeModelServer, FakeModelServer]]:
    with FakeModelServer(text=TEXT, delay_s=0.01) as first, FakeModelServer(text=TEXT, delay_s=0.01) as second:
        yield first, second


@pytest.fixture
def router(replicas: tuple[FakeModelServer, FakeModelServer], tmp_path: Path) -> Iterator[str]:
    """Its URL. By turns, since what is asked here has one prefix, which the router would send to one replica."""
    port = free_port()
    command = [
        *(str(Path(sys.executable).parent / "vllm-router"), "--host", "127.0.0.1", "--port", str(port)),
        *("--prometheus-port", str(free_port()), "--policy", "round_robin", "--worker-startup-check-interval", "1"),
        *("--worker-urls", *(replica.url for replica in replicas)),
    ]
    with (tmp_path / "router.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()


async def test_a_replica_that_dies_behind_the_router_loses_no_answer(replicas, router):
    await until(lambda: is_ready(router), 60.0)
    for replica in replicas:
        await asyncio.to_thread(replica.set, hold=0)
    asking = [Asking(Endpoint(router)) for _ in range(QUESTIONS)]
    tasks = [asyncio.create_task(each.done()) for each in asking]

    async def all_wait() -> bool:
        return sum([await running_at(replica) for replica in replicas]) == QUESTIONS

    await until(all_wait)
    lives, dies = replicas if await running_at(replicas[1]) else replicas[::-1]
    dies.stop(signal.SIGKILL)
    await asyncio.to_thread(lives.set, hold=None)
    await asyncio.gather(*tasks)
    after = await asyncio.gather(*(Asking(Endpoint(router)).done() for _ in range(QUESTIONS)))
    assert [each.text for each in (*asking, *after)] == [TEXT] * (2 * QUESTIONS)


async def running_at(replica: FakeModelServer) -> int:
    return int((await asyncio.to_thread(replica.stats))["running"])


async def is_ready(url: str) -> bool:
    async with httpx.AsyncClient() as client:
        try:
            return (await client.get(f"{url}/health")).is_success
        except httpx.TransportError:
            return False
