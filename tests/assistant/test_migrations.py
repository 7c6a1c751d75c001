"""What a migration makes of rows that were there before it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from assistant.fence import MARK

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.event_log]


@pytest.fixture
def migrated_back() -> Iterator[None]:
    yield
    call_command("migrate", verbosity=0)


def state_at(name: str):  # type: ignore[no-untyped-def]
    """The models as they are after the migration `name`, which the database is brought to."""
    executor = MigrationExecutor(connection)
    return executor.migrate([("assistant", name)]).apps


def test_each_conversation_that_there_is_gets_a_fence_of_its_own(migrated_back: None) -> None:
    before = state_at("0003_place_events")
    owner = before.get_model("auth", "User").objects.create(username="ada")
    repository = before.get_model("indexer", "Repository").objects.create(name="harbor", source="/srv/harbor")
    for title in ("One", "Two", "Three"):
        before.get_model("assistant", "Conversation").objects.create(owner=owner, repository=repository, title=title)
    after = state_at("0004_conversation_fence_mark")
    marks = [*after.get_model("assistant", "Conversation").objects.values_list("fence_mark", flat=True)]
    assert len(set(marks)) == 3 and all(re.fullmatch(MARK, mark) for mark in marks)
