"""Which model answers and what it is shown, from the question to the server: the unsure, and other languages."""

# Fixtures of test_answering.py are imported, and then are arguments of the same names.
# ruff: noqa: F811

from __future__ import annotations

from collections.abc import Iterator

import pytest

from assistant.intent import IS_CODE, OTHER_LANGUAGE, SHOWS_EVIDENCE
from assistant.prompts import MAY_BE_UNRELATED
from tests.assistant.test_answering import ask, bench, prompts, server  # noqa: F401
from tests.fakes.openai_server import FakeModelServer

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

CODE, GENERAL = "codellama-34b-instruct", "mixtral-8x7b-instruct"
UNSURE = "What is a shopping basket?"
CERTAIN = "Explain the concept of a monad"
GERMAN = "Wo legt add_item den Artikel in den Warenkorb?"
JAPANESE = "add_item はカートのどこに商品を追加しますか？"


@pytest.fixture
def code(server: FakeModelServer) -> FakeModelServer:
    server.set(models=[CODE])
    return server


@pytest.fixture
def general(settings) -> Iterator[FakeModelServer]:
    """The general model's own server."""
    with FakeModelServer(text="It is done in `Cart.add_item` [1].", models=[GENERAL], delay_s=0) as running:
        settings.GENERAL_MODEL_URL, settings.GENERAL_MODEL_NAME, settings.CODE_MODEL_NAME = running.url, GENERAL, CODE
        yield running


def asked_of(server: FakeModelServer) -> str:
    return "\n".join(message["content"] for message in prompts(server)[-1])


async def test_an_unsure_question_goes_to_the_general_model_with_passages_that_may_be_unrelated(ask, code, general):
    before = code.stats()["started"]
    answer = await ask(UNSURE).done()
    route = answer.last("route")
    assert (route["route"], route["unsure"], route["model"]) == ("general", True, GENERAL)
    assert SHOWS_EVIDENCE <= route["chance"] < IS_CODE
    told = asked_of(general)
    assert MAY_BE_UNRELATED in told and "class Cart" in told
    assert answer.packed() and answer.kinds.index("passages") < answer.kinds.index("delta")
    assert code.stats()["started"] == before


async def test_what_an_unsure_answer_cites_is_checked_as_any_other(ask, code, general):
    answer = await ask(UNSURE).done()
    assert answer.last("citation")["state"] == "verified"
    assert answer.last("completed")["claims"] == {"verified": 1, "total": 1}


async def test_a_question_that_is_surely_general_gets_neither_passages_nor_a_note(ask, code, general):
    answer = await ask(CERTAIN).done()
    route = answer.last("route")
    assert (route["route"], route["unsure"]) == ("general", False) and route["chance"] < SHOWS_EVIDENCE
    assert "passages" not in answer.kinds and "class Cart" not in asked_of(general)


async def test_a_switch_to_the_code_asks_the_code_model_with_its_prompt(ask, code, general):
    answer = await ask(UNSURE, "code").done()
    route = answer.last("route")
    assert (route["route"], route["reason"], route["unsure"], route["model"]) == ("code", "you chose it", False, CODE)
    assert MAY_BE_UNRELATED not in asked_of(code) and "class Cart" in asked_of(code)


async def test_a_switch_to_general_knowledge_shows_no_evidence(ask, code, general):
    answer = await ask(UNSURE, "general").done()
    assert (answer.last("route")["unsure"], "passages" in answer.kinds) == (False, False)
    assert "class Cart" not in asked_of(general)


async def test_a_question_about_the_code_in_a_language_of_the_general_model_alone_goes_there_with_the_evidence(
    ask, code, general
):
    before = code.stats()["started"]
    answer = await ask(GERMAN).done()
    route = answer.last("route")
    assert (route["route"], route["model"], route["reason"]) == ("code", GENERAL, OTHER_LANGUAGE)
    told = asked_of(general)
    assert GERMAN in told and "def add_item" in told and MAY_BE_UNRELATED not in told
    assert answer.last("citation")["state"] == "verified" and answer.last("citation")["path"] == "shop/cart.py"
    assert code.stats()["started"] == before


async def test_in_a_language_that_neither_serves_the_code_model_answers(ask, code, general):
    answer = await ask(JAPANESE).done()
    assert answer.last("route")["model"] == CODE and "def add_item" in asked_of(code)


async def test_when_the_general_model_is_away_the_code_model_answers_in_its_place_in_that_language_too(ask, code, general):
    general.stop()
    answer = await ask(GERMAN).done()
    route = answer.last("route")
    assert route["model"] == CODE and route["instead_of"].startswith("No model server answers at")
    assert "def add_item" in asked_of(code)
