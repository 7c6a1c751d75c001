"""What readers switched is told as training data; and which model a natural language is asked of."""

from __future__ import annotations

import json
import uuid
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command

from assistant.languages import general_model_speaks_instead
from assistant.models import Answer, AnswerEvent, Conversation
from benchmarks.route_examples import read_questions
from indexer.models import Repository

pytestmark = pytest.mark.django_db


def answered(conversation: Conversation, number: int, question: str, route: str, **given: Any) -> Answer:
    """An answer with its route, and unless it is told otherwise what that was judged by."""
    features = given.pop("features", {"here": 1.0})
    answer = Answer.objects.create(
        id=uuid.uuid4(), conversation=conversation, number=number, question=question, route=route, state="completed", **given
    )
    payload = {"route": route, "reason": "", "chance": 0.7} | ({"features": features} if features else {})
    AnswerEvent.objects.create(answer=answer, seq=1, kind="route", payload=payload)
    return answer


@pytest.fixture
def conversation() -> Conversation:
    owner = get_user_model().objects.create_user("reader")
    repository = Repository.objects.create(name="vault", source="/src/vault")
    return Conversation.objects.create(owner=owner, repository=repository, title="t")


def exported(**options: Any) -> list[dict[str, Any]]:
    out = StringIO()
    call_command("export_route_switches", stdout=out, **options)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_switch_is_exported_with_what_was_chosen_and_can_be_learned_from(conversation: Conversation, tmp_path: Any) -> None:
    answered(conversation, 1, "Where are keys read?", "code")
    first = answered(conversation, 2, "What is a key?", "code")
    answered(conversation, 2, "What is a key?", "general", requested_route="general", retry_of=first)
    (switch,) = exported()
    assert switch == {
        "repository": "vault",
        "question": "What is a key?",
        "history": [{"question": "Where are keys read?", "route": "code"}],
        "chosen": "code",
        "route": "general",
        "chance": 0.7,
        "features": {"here": 1.0},
    }
    (tmp_path / "switches.jsonl").write_text(json.dumps(switch) + "\n")
    (question,) = read_questions(tmp_path / "switches.jsonl")
    assert (question.text, question.code, question.routes) == ("What is a key?", False, ("code",))
    assert exported(repository="another") == []


def test_what_was_not_a_switch_or_was_not_logged_stays_out(conversation: Conversation) -> None:
    same = answered(conversation, 1, "a", "code")
    answered(conversation, 1, "a", "code", requested_route="code", retry_of=same)
    searched = answered(conversation, 2, "b", "code")
    answered(conversation, 2, "b", "search", requested_route="search", retry_of=searched)
    unlogged = answered(conversation, 3, "c", "code", features=None)
    answered(conversation, 3, "c", "general", requested_route="general", retry_of=unlogged)
    assert exported() == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("language", "code", "general", "instead"),
    [
        ("de", "codellama-34b-instruct", "mixtral-8x7b-instruct", True),
        ("ja", "codellama-34b-instruct", "mixtral-8x7b-instruct", False),
        ("", "codellama-34b-instruct", "mixtral-8x7b-instruct", False),
        ("de", "qwen2.5-coder-32b", "mixtral-8x7b-instruct", False),
    ],
)
async def test_a_language_goes_to_the_general_model_where_only_that_serves_it(
    settings: Any, language: str, code: str, general: str, instead: bool
) -> None:
    settings.GENERAL_MODEL_URL, settings.CODE_MODEL_NAME, settings.GENERAL_MODEL_NAME = "http://general", code, general
    assert await general_model_speaks_instead(language) is instead
    settings.GENERAL_MODEL_URL = ""
    assert not await general_model_speaks_instead(language)
