"""Which server a question goes to, what is waited for, and what the answerer's process tells the page of the servers."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys

import pytest

from assistant.chat import Endpoint
from assistant.chat_model import http_client
from assistant.endpoints import Seen, endpoint_for, endpoints_for, look, timeouts, timeouts_of
from assistant.errors import ModelUnreachable
from assistant.models import ModelEndpoint
from tests.assistant.conftest import in_database
from tests.assistant.test_answerer import database_url, until
from tests.fakes.openai_server import FakeModelServer, Scenario
from tests.processes import ROOT, environment


def free_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


# --- where questions go ----------------------------------------------------------------------------------------------------


def test_without_any_setting_both_routes_go_to_the_embedded_server(settings) -> None:
    settings.EMBEDDED_PORT = 8123
    assert endpoint_for("code") == endpoint_for("general") == Endpoint("http://127.0.0.1:8123", embedded=True)


def test_general_questions_go_where_code_goes_unless_they_have_a_server_of_their_own(settings) -> None:
    settings.CODE_MODEL_URL = "http://code:8000"
    assert endpoint_for("general").url == "http://code:8000"
    settings.GENERAL_MODEL_URL = "http://general:8000"
    assert endpoint_for("general").url == "http://general:8000"
    assert endpoint_for("code").url == "http://code:8000"


@pytest.mark.parametrize("written", ["http://code:8000", "http://code:8000/", "http://code:8000/v1", "http://code:8000/v1/"])
def test_an_address_may_be_written_with_or_without_v1(settings, written) -> None:
    settings.CODE_MODEL_URL = written
    assert endpoint_for("code").url == "http://code:8000"


def test_without_a_model_the_sentence_names_the_setting(settings) -> None:
    settings.EMBEDDED_MODEL = "off"
    with pytest.raises(ModelUnreachable, match="set SEXTANT_CODE_MODEL_URL"):
        endpoint_for("code")


def test_a_model_asked_for_by_name_is_looked_for_at_the_other_routes_server_too(settings) -> None:
    settings.CODE_MODEL_URL, settings.GENERAL_MODEL_URL = "http://code:8000", "http://general:8000"
    assert [(each.url, each.name) for each in endpoints_for("general", "mixtral")] == [
        ("http://general:8000", "mixtral"),
        ("http://code:8000", "mixtral"),
    ]


def test_one_server_for_both_routes_is_asked_once(settings) -> None:
    settings.CODE_MODEL_URL = "http://code:8000"
    assert len(endpoints_for("general", "mixtral")) == 1


def test_each_routes_model_is_the_others_fallback(settings) -> None:
    settings.CODE_MODEL_URL, settings.GENERAL_MODEL_URL = "http://code:8000", "http://general:8000"
    assert [each.url for each in endpoints_for("code")] == ["http://code:8000", "http://general:8000"]
    assert [each.url for each in endpoints_for("general")] == ["http://general:8000", "http://code:8000"]


def test_a_fallback_of_its_own_goes_before_the_other_routes_model(settings) -> None:
    settings.CODE_MODEL_URL, settings.GENERAL_MODEL_URL = "http://code:8000", "http://general:8000"
    settings.CODE_FALLBACK_URL, settings.CODE_FALLBACK_NAME = "http://spare:8000/v1", "coder-7b"
    settings.CODE_FALLBACK_API_KEY, settings.CODE_FALLBACK_CONTEXT = "secret", 4096
    assert endpoints_for("code")[1:] == [Endpoint("http://spare:8000", "coder-7b", "secret", 4096)]


def test_a_fallback_can_be_turned_off(settings) -> None:
    settings.CODE_MODEL_URL, settings.GENERAL_MODEL_URL = "http://code:8000", "http://general:8000"
    settings.CODE_FALLBACK_URL = "off"
    assert [each.url for each in endpoints_for("code")] == ["http://code:8000"]
    assert len(endpoints_for("general")) == 2


def test_a_general_model_answers_questions_about_code_where_there_is_no_model_for_them(settings) -> None:
    settings.GENERAL_MODEL_URL, settings.EMBEDDED_MODEL = "http://general:8000", "off"
    assert [each.url for each in endpoints_for("code")] == ["http://general:8000"]


def test_on_a_laptop_one_answers_tokens_may_wait_while_the_prompt_of_another_is_read(settings) -> None:
    settings.FIRST_TOKEN_TIMEOUT_S, settings.TOKEN_GAP_TIMEOUT_S = 300.0, 60.0
    assert timeouts_of(Endpoint("http://127.0.0.1:8011", embedded=True)).gap_s == 300.0
    assert timeouts_of(Endpoint("http://code:8000")).gap_s == 60.0


@pytest.fixture
def server(process: FakeModelServer) -> FakeModelServer:
    process.set(**vars(Scenario(models=["fake", "other"])))
    return process


# --- what the page is told ----------------------------------------------------------------------------------------------------


@pytest.mark.integration
@pytest.mark.parametrize(
    ("scenario", "seen"),
    [
        ({}, Seen("ready", model="fake", context_tokens=8192)),
        ({"models": ["a-demonstration"]}, Seen("ready", model="a-demonstration", context_tokens=8192, demonstration=True)),
        ({"fault": "loading"}, Seen("downloading", "The model's weights are still downloading.", 35)),
        ({"fault": "loading", "percent": None}, Seen("loading", "The model's weights are still downloading.")),
        ({"dialect": "bare"}, Seen("ready", model="fake")),
    ],
)
async def test_a_look_at_a_server_tells_its_state(server, settings, scenario, seen):
    settings.CODE_MODEL_URL = server.url
    server.set(**scenario)
    async with http_client(timeouts()) as client:
        found = await look(client, "code")
    assert found == seen


async def test_while_a_routes_server_is_away_the_state_is_its_fallbacks_and_says_so(server, settings):
    settings.CODE_MODEL_URL, settings.CODE_FALLBACK_URL = free_url(), server.url
    async with http_client(timeouts()) as client:
        found = await look(client, "code")
    assert (found.state, found.model) == ("ready", "fake")
    assert found.message.startswith("fake answers for now. No model server answers at http://127.0.0.1:")


async def test_a_server_that_is_not_there_is_unreachable_and_the_sentence_says_what_to_do(settings):
    settings.CODE_MODEL_URL = free_url()
    async with http_client(timeouts()) as client:
        found = await look(client, "code")
    assert found.state == "unreachable"
    assert "start it" in found.message


@pytest.mark.integration
@pytest.mark.django_db(transaction=True)
async def test_the_answerers_process_tells_how_far_a_download_is_and_when_it_is_ready(server, tmp_path):
    server.set(fault="loading", percent=35)
    settings = environment(tmp_path, SEXTANT_DATABASE_URL=database_url(), SEXTANT_CODE_MODEL_URL=server.url)
    answerer = await asyncio.create_subprocess_exec(sys.executable, "manage.py", "answerer", cwd=ROOT, env=settings)
    try:
        await until(lambda: code_model_is("downloading", 35))
        server.set(percent=70)
        await until(lambda: code_model_is("downloading", 70))
        server.set(fault="")
        await until(lambda: code_model_is("ready", None))
    finally:
        answerer.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(answerer.wait(), 20) == 0


async def code_model_is(state: str, percent: int | None) -> bool:
    return await in_database(ModelEndpoint.objects.filter(route="code", state=state, percent=percent).exists)
