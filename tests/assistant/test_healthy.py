"""What `manage.py healthy` says of the workers."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone

from assistant.models import Answer, Conversation, ModelEndpoint
from indexer.models import IndexJob, Repository

pytestmark = pytest.mark.django_db


@pytest.fixture
def repository() -> Repository:
    return Repository.objects.create(name="shelf", source="/src/shelf")


def seen(seconds_ago: float) -> None:
    ModelEndpoint.objects.update_or_create(
        route="code", defaults={"state": "ready", "seen_at": timezone.now() - timedelta(seconds=seconds_ago)}
    )


def waiting_answer(repository: Repository, seconds: float) -> None:
    owner, _ = User.objects.get_or_create(username="ann")
    conversation = Conversation.objects.create(owner=owner, repository=repository, title="Fees")
    answer = Answer.objects.create(conversation=conversation, number=1, question="What is a fee?")
    Answer.objects.filter(pk=answer.pk).update(created_at=timezone.now() - timedelta(seconds=seconds))


def job(repository: Repository, state: str, seconds: float, leased_for_s: float = 0) -> None:
    made = IndexJob.objects.create(
        repository=repository,
        state=state,
        lease_token=uuid.uuid4(),
        leased_until=timezone.now() + timedelta(seconds=leased_for_s),
    )
    IndexJob.objects.filter(pk=made.pk).update(created_at=timezone.now() - timedelta(seconds=seconds))


def test_an_answerer_that_looked_at_the_models_a_moment_ago_is_well() -> None:
    seen(3)
    call_command("healthy", "answerer")


def test_before_its_first_look_and_long_after_its_last_an_answerer_is_not_well() -> None:
    with pytest.raises(CommandError, match="yet"):
        call_command("healthy", "answerer")
    seen(60)
    with pytest.raises(CommandError, match="since"):
        call_command("healthy", "answerer")


def test_a_question_that_nobody_takes_makes_the_answerer_unwell(repository: Repository) -> None:
    seen(3)
    waiting_answer(repository, seconds=5)
    call_command("healthy", "answerer")
    waiting_answer(repository, seconds=60)
    with pytest.raises(CommandError, match="nobody takes them"):
        call_command("healthy", "answerer")


def test_a_job_may_wait_while_another_one_is_being_built(repository: Repository) -> None:
    job(repository, IndexJob.State.QUEUED, seconds=600)
    with pytest.raises(CommandError, match="nobody takes them"):
        call_command("healthy", "indexer")
    job(repository, IndexJob.State.RUNNING, seconds=300, leased_for_s=20)
    call_command("healthy", "indexer")


def test_a_job_whose_lease_has_run_out_makes_the_indexer_unwell(repository: Repository) -> None:
    job(repository, IndexJob.State.RUNNING, seconds=300, leased_for_s=-20)
    with pytest.raises(CommandError, match="nobody takes them"):
        call_command("healthy", "indexer")


def test_an_indexer_with_nothing_to_do_is_well() -> None:
    call_command("healthy", "indexer")
