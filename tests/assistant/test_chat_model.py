"""The client against a model server in another process, which fails in every way that we know of."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing

import httpx
import pytest
import trustme

from assistant.chat import Endpoint, Finished, Message, Reasoning, StreamPart, Text, Timeouts
from assistant.chat_model import OpenAIChatModel, connect, http_client
from assistant.errors import (
    ContextOverflow,
    ModelError,
    ModelLoading,
    ModelRejected,
    ModelTimeout,
    ModelUnreachable,
    StreamBroken,
)
from assistant.token_counter import estimated_tokens
from tests.fakes.openai_server import FakeModelServer, Scenario

pytestmark = pytest.mark.integration

QUESTION = [Message("user", "Where is the session signed?")]
FAST = Timeouts(connect_s=2, first_token_s=0.5, gap_s=0.3, metadata_s=2)
PATIENT = Timeouts(connect_s=2, first_token_s=20, gap_s=20, metadata_s=5)


@pytest.fixture
def server(process: FakeModelServer) -> FakeModelServer:
    """The module's server as if it had just been started."""
    process.set(**vars(Scenario(text="It is in [1] of them.", delay_s=0)))
    return process


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with http_client(PATIENT) as client:
        yield client


async def model_at(client: httpx.AsyncClient, url: str, timeouts: Timeouts = PATIENT, name: str = "") -> OpenAIChatModel:
    return await connect(client, Endpoint(url, name), timeouts)


async def read(model: OpenAIChatModel, max_tokens: int = 100) -> list[StreamPart]:
    return [part async for part in model.stream(model.request(QUESTION, max_tokens=max_tokens))]


async def text_until_error(model: OpenAIChatModel) -> tuple[str, ModelError]:
    text = ""
    with pytest.raises(ModelError) as raised:
        async for part in model.stream(model.request(QUESTION, max_tokens=100)):
            text += part.text if isinstance(part, Text) else ""
    return text, raised.value


async def running_falls_to(server: FakeModelServer, number: int) -> bool:
    for _ in range(100):
        if server.stats()["running"] == number:
            return True
        await asyncio.sleep(0.02)
    return False


async def test_a_complete_stream_ends_with_its_finish_reason_and_its_usage(client, server):
    parts = await read(await model_at(client, server.url))
    assert "".join(part.text for part in parts if isinstance(part, Text)) == "It is in [1] of them."
    assert isinstance(parts[-1], Finished)
    assert parts[-1].finish_reason == "stop"
    assert parts[-1].completion_tokens == 6


async def test_an_answer_that_reaches_its_limit_says_so(client, server):
    parts = await read(await model_at(client, server.url), max_tokens=2)
    assert parts[-1].finish_reason == "length"


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
async def test_reasoning_is_told_apart_from_the_answer(client, server, field):
    server.set(fault=field)
    parts = await read(await model_at(client, server.url))
    assert parts[0] == Reasoning()
    assert "".join(part.text for part in parts if isinstance(part, Text)) == "It is in [1] of them."


@pytest.mark.parametrize("fault", ["eof", "done_only", "cut", "error_event"])
async def test_a_stream_that_is_not_complete_is_broken_however_it_ends(client, server, fault):
    server.set(fault=fault)
    text, error = await text_until_error(await model_at(client, server.url))
    assert text == "It is in"
    assert type(error) is StreamBroken
    assert "try again" in str(error)


async def test_a_killed_server_is_a_broken_stream(client):
    with FakeModelServer(delay_s=0.05) as doomed:
        model = await model_at(client, doomed.url)
        with pytest.raises(StreamBroken):
            async for part in model.stream(model.request(QUESTION, max_tokens=100)):
                if isinstance(part, Text):
                    doomed.stop(signal.SIGKILL)


@pytest.mark.parametrize(
    ("fault", "prompt_tokens", "context_tokens"),
    [("overflow", 8193, 8192), ("overflow_flat", 8193, 8192), ("overflow_llamacpp", 20, 8192)],
)
async def test_an_overflow_is_told_in_every_envelope(client, server, fault, prompt_tokens, context_tokens):
    server.set(fault=fault)
    with pytest.raises(ContextOverflow) as raised:
        await read(await model_at(client, server.url))
    assert (raised.value.prompt_tokens, raised.value.context_tokens) == (prompt_tokens, context_tokens)


async def test_a_refused_key_names_the_key(client, server):
    server.set(api_key="right")
    with pytest.raises(ModelRejected, match="API key"):
        await read(await model_at(client, server.url))


async def test_the_key_is_sent(client, server):
    server.set(api_key="right")
    model = await connect(client, Endpoint(server.url, api_key="right"), PATIENT)
    assert isinstance((await read(model))[-1], Finished)
    assert "right" not in repr(model.endpoint)


async def test_a_model_that_the_server_lacks_is_named_beside_those_that_it_has(client, server):
    with pytest.raises(ModelRejected, match=r"does not serve absent; it has fake"):
        await model_at(client, server.url, name="absent")


async def test_a_404_of_the_chat_names_what_to_check(client, server):
    server.set(fault="unknown_model")
    with pytest.raises(ModelRejected, match="URL and name"):
        await read(await model_at(client, server.url))


async def test_a_loading_server_tells_how_far_it_is(client, server):
    server.set(fault="loading", percent=35)
    with pytest.raises(ModelLoading) as raised:
        await model_at(client, server.url)
    assert raised.value.percent == 35
    assert "downloading" in str(raised.value)


async def test_a_server_that_says_no_word_may_be_starting_or_may_have_died_and_the_sentence_says_both(client, server):
    server.set(fault="unready")
    with pytest.raises(ModelLoading, match="it is starting, or its engine has died") as raised:
        await model_at(client, server.url)
    assert raised.value.percent is None


async def test_a_server_that_loads_before_it_listens_is_one_that_does_not_answer_and_the_sentence_says_so(client):
    """As vLLM does it: the port is bound from the first, and refuses connections until the weights are there."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(ModelUnreachable, match="start it, wait if it has just been started") as raised:
            await model_at(client, url)
        assert str(raised.value).startswith(f"No model server answers at {url}; ")


async def test_a_server_that_goes_back_to_loading_says_so_instead_of_an_answer(client, server):
    model = await model_at(client, server.url)
    server.set(fault="loading", percent=70)
    with pytest.raises(ModelLoading) as raised:
        await read(model)
    assert raised.value.percent == 70


async def test_an_internal_error_of_the_server_is_told_in_its_words(client, server):
    server.set(fault="server_error")
    with pytest.raises(StreamBroken, match="the engine is dead"):
        await read(await model_at(client, server.url))


async def test_a_page_that_is_no_stream_is_not_taken_for_an_answer(client, server):
    server.set(fault="not_sse")
    with pytest.raises(ModelRejected, match="not with a stream"):
        await read(await model_at(client, server.url))


@pytest.mark.parametrize("fault", ["silent", "stall_first"])
async def test_a_first_token_that_does_not_come_has_a_deadline(client, server, fault):
    server.set(fault=fault)
    with pytest.raises(ModelTimeout, match=r"wrote nothing within 0\.5 s"):
        await read(await model_at(client, server.url, FAST))
    assert await running_falls_to(server, 0)


async def test_a_gap_between_tokens_has_a_deadline_and_ends_generation(client, server):
    server.set(fault="stall_gap")
    text, error = await text_until_error(await model_at(client, server.url, FAST))
    assert (text, type(error)) == ("It is in", ModelTimeout)
    assert await running_falls_to(server, 0)


async def test_nobody_listening_is_unreachable(client):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ModelUnreachable, match="start it"):
        await model_at(client, f"http://127.0.0.1:{port}")


async def test_an_unknown_host_is_told_apart_from_one_that_refuses(client):
    with pytest.raises(ModelUnreachable, match=r"host of http://models\.invalid:8000 is unknown"):
        await model_at(client, "http://models.invalid:8000")


async def test_a_certificate_that_nobody_has_signed_is_named(client):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ModelUnreachable, match=rf"certificate of https://localhost:{port} is not accepted \(CERTIFICATE"):
            await model_at(client, f"https://localhost:{port}")


async def test_a_server_that_closes_before_it_answers_is_told_apart_from_one_that_is_not_there(client):
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        with pytest.raises(ModelUnreachable, match="closed the connection"):
            await model_at(client, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")


async def test_what_one_read_brings_is_one_piece_that_knows_how_many_it_was(client, server):
    server.set(text="a b c d e f", delay_s=0)
    model = await model_at(client, server.url)
    async with aclosing(model.stream(model.request(QUESTION, max_tokens=100))) as stream:
        parts = [await anext(stream)]
        while server.stats()["running"]:  # noqa: ASYNC110 - the rest comes meanwhile, and the server is another process
            await asyncio.sleep(0.01)
        parts += [part async for part in stream]
    texts = [part for part in parts if isinstance(part, Text)]
    assert "".join(text.text for text in texts) == "a b c d e f"
    assert sum(text.pieces for text in texts) == 6 and len(texts) < 6


async def test_a_url_without_a_scheme_is_named(client):
    with pytest.raises(ModelRejected, match="http://"):
        await model_at(client, "localhost:8000")


async def test_closing_the_stream_ends_generation_at_the_server(client, server):
    server.set(delay_s=0.05, text="word " * 1000)
    model = await model_at(client, server.url)
    async with aclosing(model.stream(model.request(QUESTION, max_tokens=1000))) as parts:
        async for part in parts:
            if isinstance(part, Text):
                assert server.stats()["running"] == 1
                break
    assert await running_falls_to(server, 0)
    assert server.stats()["aborted"] >= 1


@pytest.mark.parametrize("fault", ["", "silent"])
async def test_cancelling_the_task_ends_generation_wherever_it_waits(client, server, fault):
    server.set(delay_s=0.05, text="word " * 1000, fault=fault)
    model = await model_at(client, server.url)
    reading = asyncio.create_task(read(model, 1000))
    assert await running_falls_to(server, 1)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await running_falls_to(server, 0)


@pytest.mark.parametrize("dialect", ["vllm", "llamacpp"])
async def test_tokens_are_counted_by_the_servers_own_tokenizer(client, server, dialect):
    server.set(dialect=dialect)
    model = await model_at(client, server.url, name="fake")
    texts = [f"{dialect} one two", "three", f"{dialect} one two"]
    assert await model.count(texts) == [3, 1, 3]
    prompt = await model.count_prompt(QUESTION)
    finished = (await read(model))[-1]
    assert isinstance(finished, Finished)
    assert prompt == finished.prompt_tokens


async def test_a_text_is_counted_once(client, server):
    model = await model_at(client, server.url)
    await model.count(["counted before the tokenizer changed"])
    server.set(tokenizer="characters")
    assert await model.count(["counted before the tokenizer changed", "abc"]) == [5, 3]


async def test_without_a_tokenizer_the_count_is_an_estimate(client, server):
    server.set(dialect="bare")
    model = await model_at(client, server.url)
    assert await model.count(["def estimate(): pass"]) == [estimated_tokens("def estimate(): pass")]
    assert await model.count_prompt(QUESTION) > estimated_tokens(QUESTION[0].content)


async def test_the_context_window_is_the_servers_word_unless_the_settings_have_theirs(client, server):
    server.set(context=12345)
    assert (await model_at(client, server.url)).info.context_tokens == 12345
    described = await connect(client, Endpoint(server.url, context_tokens=4000), PATIENT)
    assert described.info.context_tokens == 4000


async def test_a_demonstration_model_says_so_in_its_name(client, server):
    server.set(models=["smollm2-135m-demonstration"])
    assert (await model_at(client, server.url)).info.demonstration
