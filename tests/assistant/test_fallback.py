"""Whichever way a model server fails before the first token, its fallback answers; after it nothing is tried again."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import pytest

from assistant import circuits as circuits_module
from assistant import fallback
from assistant.chat import Endpoint, Message, Text, Timeouts
from assistant.chat_model import OpenAIChatModel, http_client
from assistant.circuits import Circuits
from assistant.errors import (
    CircuitOpen,
    ContextOverflow,
    ModelError,
    ModelLoading,
    ModelRejected,
    ModelTimeout,
    ModelUnreachable,
    NotServed,
    StreamBroken,
)
from assistant.fallback import Caller
from tests.assistant.test_answerer import until as eventually
from tests.assistant.test_endpoints import free_url
from tests.fakes.openai_server import FakeModelServer, Scenario

pytestmark = pytest.mark.integration

QUESTION = [Message("user", "Where?")]
TIMEOUTS = Timeouts(connect_s=5.0, metadata_s=5.0)


@pytest.fixture(scope="module")
def processes() -> Iterator[tuple[FakeModelServer, FakeModelServer]]:
    with FakeModelServer() as first, FakeModelServer() as second:
        yield first, second


@pytest.fixture
def servers(processes, settings, monkeypatch) -> tuple[FakeModelServer, FakeModelServer]:
    """The route's server and its fallback, as if both had just been started."""
    monkeypatch.setattr(fallback, "RETRY_AFTER_S", 0.01)
    monkeypatch.setattr(fallback, "POLL_S", 0.01)
    for server, name in zip(processes, ("code", "general"), strict=True):
        server.set(**vars(Scenario(models=[name], text=f"{name} answers here.", delay_s=0)))
    return processes


class Asking:
    """One answer: what was written, by whom, and why by them."""

    def __init__(self, *endpoints: Endpoint, circuits: Circuits | None = None, embedded_start_s: float = 0.0) -> None:
        self.endpoints, self.circuits, self.embedded_start_s = endpoints, circuits or Circuits(), embedded_start_s
        self.text = ""
        self.tries: list[tuple[str, str]] = []
        self.waited_for: list[ModelError] = []

    async def waiting(self, error: ModelError) -> None:
        self.waited_for.append(error)

    async def write(self, model: OpenAIChatModel, instead_of: ModelError | None) -> None:
        self.tries.append((model.info.name, type(instead_of).__name__ if instead_of else ""))
        async for part in model.stream(model.request(QUESTION, max_tokens=50)):
            if isinstance(part, Text):
                self.text += part.text

    async def done(self) -> Asking:
        async with http_client(TIMEOUTS) as client:
            options: dict[str, Any] = {"embedded_start_s": self.embedded_start_s, "circuits": self.circuits}
            caller = Caller(client, self.endpoints, self.waiting, lambda: bool(self.text), **options)
            await asyncio.wait_for(caller.call(self.write), 20)
        return self


def places(servers: Sequence[FakeModelServer], **options: Any) -> list[Endpoint]:
    return [Endpoint(server.url, **options) for server in servers]


async def test_the_routes_own_server_answers_while_it_can(servers):
    asking = await Asking(*places(servers)).done()
    assert (asking.text, asking.tries) == ("code answers here.", [("code", "")])


@pytest.mark.parametrize(
    ("fault", "kind", "tries"),
    [
        ("server_error", StreamBroken, 2),
        ("error_event", StreamBroken, 2),
        ("cut", StreamBroken, 2),
        ("eof", StreamBroken, 2),
        ("silent", ModelTimeout, 1),
        ("stall_first", ModelTimeout, 1),
        ("unauthorized", ModelRejected, 1),
        ("unknown_model", ModelRejected, 1),
        ("not_sse", ModelRejected, 1),
        ("loading", ModelLoading, 0),
    ],
)
async def test_before_the_first_token_the_fallback_answers_and_is_told_why(servers, settings, fault, kind, tries):
    settings.FIRST_TOKEN_TIMEOUT_S = 0.3
    servers[0].set(fault=fault, after=0)
    asking = await Asking(*places(servers)).done()
    assert asking.text == "general answers here."
    assert asking.tries == [("code", "")] * tries + [("general", kind.__name__)]


async def test_a_server_that_refuses_connections_is_replaced(servers):
    asking = await Asking(Endpoint(free_url()), *places(servers[1:])).done()
    assert asking.tries == [("general", "ModelUnreachable")]


async def test_a_wrong_key_is_replaced_and_without_a_fallback_said(servers):
    servers[0].set(api_key="right")
    first, second = places(servers, api_key="wrong")
    assert (await Asking(first, second).done()).tries[-1] == ("general", "ModelRejected")
    with pytest.raises(ModelRejected, match="refuses the API key"):
        await Asking(first).done()


async def test_a_failure_that_passes_is_not_even_noticed(servers):
    servers[0].set(fault="server_error", times=1)
    asking = await Asking(*places(servers)).done()
    assert asking.tries == [("code", ""), ("code", "")]


async def test_a_killed_server_is_replaced_before_the_first_token_and_leaves_what_it_wrote_after_it(servers):
    with FakeModelServer(models=["mortal"], delay_s=0, hold=0) as mortal:
        asking = Asking(Endpoint(mortal.url), *places(servers[1:]))
        task = asyncio.create_task(asking.done())
        await held(mortal)
        mortal.stop(signal.SIGKILL)
        await task
        assert asking.tries == [("mortal", ""), ("general", "ModelUnreachable")]
    with FakeModelServer(models=["mortal"], text="one two three four", delay_s=0, hold=2) as mortal:
        asking = Asking(Endpoint(mortal.url), *places(servers[1:]))
        task = asyncio.create_task(asking.done())
        await until(lambda: asking.text == "one two")
        mortal.stop(signal.SIGKILL)
        with pytest.raises(StreamBroken):
            await task
        assert (asking.text, asking.tries) == ("one two", [("mortal", "")])


async def until(condition: Callable[[], bool]) -> None:
    async def holds() -> bool:
        return await asyncio.to_thread(condition)

    await eventually(holds)


async def held(server: FakeModelServer) -> None:
    await until(lambda: server.stats()["running"] > 0)


async def test_after_the_first_token_nothing_is_tried_again(servers):
    servers[0].set(fault="error_event", after=1)
    asking = Asking(*places(servers))
    with pytest.raises(StreamBroken):
        await asking.done()
    assert (asking.text, asking.tries) == ("code", [("code", "")])


async def test_when_nobody_can_answer_the_error_is_that_of_the_routes_own_server(servers):
    servers[0].set(fault="unauthorized")
    with pytest.raises(ModelRejected, match="refuses the API key"):
        await Asking(places(servers)[0], Endpoint(free_url())).done()


async def test_a_prompt_that_is_too_long_is_no_reason_to_ask_another_model(servers):
    servers[0].set(fault="overflow")
    asking = Asking(*places(servers))
    with pytest.raises(ContextOverflow):
        await asking.done()
    assert asking.tries == [("code", "")]


# --- waiting -----------------------------------------------------------------------------------------------------------------


async def test_a_model_that_is_downloading_is_waited_for_and_its_percent_told(servers):
    servers[0].set(fault="loading", percent=35)
    asking = Asking(*places(servers[:1]))
    task = asyncio.create_task(asking.done())
    await until(lambda: 35 in percents(asking))
    await asyncio.to_thread(servers[0].set, percent=70)
    await until(lambda: 70 in percents(asking))
    await asyncio.to_thread(servers[0].set, fault="")
    await task
    assert asking.text == "code answers here."


def percents(asking: Asking) -> list[int | None]:
    return [error.percent for error in asking.waited_for if isinstance(error, ModelLoading)]


async def test_a_loading_fallback_is_waited_for_when_the_routes_own_server_is_away(servers):
    servers[1].set(fault="loading")
    asking = Asking(Endpoint(free_url()), *places(servers[1:]))
    task = asyncio.create_task(asking.done())
    await until(lambda: bool(asking.waited_for))
    await asyncio.to_thread(servers[1].set, fault="")
    await task
    assert asking.tries[-1] == ("general", "ModelUnreachable")


async def test_a_server_that_is_away_and_has_no_fallback_is_an_error_at_once():
    with pytest.raises(ModelUnreachable, match="No model server answers at"):
        await Asking(Endpoint(free_url())).done()


async def test_the_embedded_server_may_take_a_moment_to_listen_and_then_the_sentence_says_what_to_start(monkeypatch):
    monkeypatch.setattr(fallback, "POLL_S", 0.01)
    asking = Asking(Endpoint(free_url(), embedded=True), embedded_start_s=0.05)
    with pytest.raises(ModelUnreachable, match="start it with `make run`"):
        await asking.done()
    assert asking.waited_for


# --- a model by its name ------------------------------------------------------------------------------------------------------


async def test_a_model_is_taken_from_the_server_that_has_it(servers):
    assert (await Asking(*places(servers, name="general")).done()).tries == [("general", "NotServed")]


async def test_a_model_that_nobody_has_is_rejected_with_the_names_that_there_are(servers):
    with pytest.raises(NotServed, match="does not serve absent; it has code"):
        await Asking(*places(servers, name="absent")).done()


# --- circuits ----------------------------------------------------------------------------------------------------------------


async def test_a_server_that_fails_again_and_again_is_left_alone_until_it_may_have_recovered(servers, monkeypatch):
    circuits = Circuits(failures=2, open_s=30)
    servers[0].set(fault="server_error")
    await Asking(*places(servers), circuits=circuits).done()
    asked = len(servers[0].stats()["requests"])
    again = await Asking(*places(servers), circuits=circuits).done()
    assert again.tries == [("general", "CircuitOpen")]
    assert len(servers[0].stats()["requests"]) == asked
    with pytest.raises(CircuitOpen, match=r"failed several times in a row; it is asked again in \d+ s\.$"):
        await Asking(*places(servers[:1]), circuits=circuits).done()

    servers[0].set(fault="")
    at = fallback.time.time() + 31
    monkeypatch.setattr("purgatory.domain.model.time.time", lambda: at)
    assert (await Asking(*places(servers), circuits=circuits).done()).tries == [("code", "")]


@pytest.mark.parametrize("fault", ["unauthorized", "loading"])
async def test_what_is_no_fault_of_the_server_opens_no_circuit(servers, fault):
    circuits = Circuits(failures=1, open_s=30)
    servers[0].set(fault=fault)
    await Asking(*places(servers), circuits=circuits).done()
    servers[0].set(fault="")
    assert (await Asking(*places(servers), circuits=circuits).done()).tries == [("code", "")]


@pytest.mark.parametrize("error", [ModelTimeout, ModelUnreachable])
@pytest.mark.parametrize(("stood_still_s", "opens"), [(circuits_module.STOOD_STILL_S * 2, False), (0.0, True)])
async def test_what_came_too_late_while_this_process_stood_still_is_no_fault_of_the_server(error, stood_still_s, opens):
    circuits, endpoint = Circuits(failures=1, open_s=30), Endpoint("http://busy.test")
    with pytest.raises(error):
        async with circuits.guard(endpoint):
            time.sleep(stood_still_s)  # noqa: ASYNC251 - it is what holds up the loop
            raise error("Nothing came in time.")
    with pytest.raises(CircuitOpen) if opens else nullcontext():
        async with circuits.guard(endpoint):
            pass


async def test_a_reader_who_stops_opens_no_circuit(servers):
    circuits = Circuits(failures=1, open_s=30)
    servers[0].set(hold=0)
    task = asyncio.create_task(Asking(*places(servers), circuits=circuits).done())
    await held(servers[0])
    task.cancel()
    await asyncio.wait([task])
    await asyncio.to_thread(servers[0].set, hold=None)
    assert (await Asking(*places(servers), circuits=circuits).done()).tries == [("code", "")]


async def test_the_embedded_server_has_no_circuit(servers):
    circuits = Circuits(failures=1, open_s=30)
    (embedded,) = places(servers[:1], embedded=True)
    servers[0].set(fault="server_error", times=1)
    with pytest.raises(StreamBroken):
        await Asking(embedded, circuits=circuits).done()
    assert (await Asking(embedded, circuits=circuits).done()).tries == [("code", "")]
