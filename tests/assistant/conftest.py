"""A person, their repository and a conversation about it, as rows; and doors into the database from async tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from channels.db import database_sync_to_async
from channels.layers import channel_layers
from django.contrib.auth.models import User

from assistant.circuits import shared_circuits
from assistant.conversations import ask
from assistant.messages import Ask
from assistant.models import Answer, Conversation
from assistant.token_counter import forget_tokenizers
from indexer.models import Repository, Snapshot
from tests.fakes.openai_server import FakeModelServer


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create_user("ada")


@pytest.fixture
def stranger(db: None) -> User:
    return User.objects.create_user("eve")


@pytest.fixture
def repository(user: User) -> Repository:
    """Of `user` alone, with a live snapshot that has no directory."""
    repository = Repository.objects.create(name="harbor", source="/srv/harbor", owner=user, visibility="private")
    repository.live_snapshot = Snapshot.objects.create(repository=repository, commit="a1b2c3d4" * 5, ref="main", files=2)
    repository.save()
    return repository


@pytest.fixture
def conversation(user: User, repository: Repository) -> Conversation:
    return Conversation.objects.create(owner=user, repository=repository, title="Guards")


@pytest.fixture
def ask_question(user: User, conversation: Conversation) -> Callable[..., Answer]:
    """Asks in `conversation`, and returns the answer that now waits in the queue."""

    def put(question: str = "Where are the guards run?", **fields: Any) -> Answer:
        asked = ask(user, Ask(uuid4(), question, conversation.pk, **fields))
        return Answer.objects.get(pk=asked.answer)

    return put


@pytest.fixture(autouse=True)
def strange_servers() -> Iterator[None]:
    """Servers that failed in one test are asked again in the next, and what they count by."""
    yield
    shared_circuits.cache_clear()
    forget_tokenizers()


@pytest.fixture(autouse=True)
def fresh_channel_layer() -> Iterator[None]:
    """A layer keeps its connections for the event loop of one test."""
    yield
    channel_layers.backends.clear()


@pytest.fixture(scope="module")
def process() -> Iterator[FakeModelServer]:
    """A model server in a process of its own; what it says is whatever the last `set` told it."""
    with FakeModelServer() as server:
        yield server


def in_database(work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """`await in_database(work, …)` runs sync code in a thread whose connection is closed afterwards."""
    return database_sync_to_async(work, thread_sensitive=False)(*arguments, **named)
