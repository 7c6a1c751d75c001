"""What the page polls: models, answerer and index, as the database tells them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from assistant.models import ModelEndpoint
from assistant.status import UNKNOWN, status
from indexer.models import IndexJob

pytestmark = pytest.mark.django_db


def seen(ago_s: float = 0, route: str = "code", **fields: object) -> ModelEndpoint:
    told = {"state": "ready", "model": "coder", "context_tokens": 4096, **fields}
    return ModelEndpoint.objects.create(route=route, seen_at=timezone.now() - timedelta(seconds=ago_s), **told)


def test_without_an_answerer_nothing_is_known_of_the_models() -> None:
    assert status(None) == {"models": {"code": UNKNOWN, "general": UNKNOWN}, "answerer": False, "repository": None}


def test_a_download_is_told_with_its_percentage() -> None:
    seen(state="downloading", percent=35, message="Downloading the model: 35 %.", model="", context_tokens=None)
    told = status(None)
    assert told["answerer"] is True
    assert told["models"]["code"] == {
        "state": "downloading",
        "message": "Downloading the model: 35 %.",
        "percent": 35,
        "model": "",
        "context": None,
        "demonstration": False,
        "licence": "",
    }


def test_a_model_that_only_demonstrates_says_so() -> None:
    seen(demonstration=True)
    assert status(None)["models"]["code"]["demonstration"] is True


def test_a_model_that_a_company_must_not_use_says_so_before_it_is_asked() -> None:
    seen(model="solar-10.7b-instruct")
    assert "Not for commercial use" in status(None)["models"]["code"]["licence"]


def test_what_an_answerer_saw_before_it_died_is_not_believed() -> None:
    seen(ago_s=11)
    assert status(None)["models"]["code"] == UNKNOWN
    assert status(None)["answerer"] is False


def test_a_repository_tells_what_is_indexed_and_how_much_of_it_has_vectors(repository) -> None:
    snapshot = repository.live_snapshot
    snapshot.chunks, snapshot.embedded, snapshot.skipped = 10, 4, {"binary": 2}
    snapshot.save()
    told = status(repository)["repository"]
    assert (told["name"], told["commit"], told["ref"]) == ("harbor", "a1b2c3d4" * 5, "main")
    assert (told["files"], told["chunks"], told["embedded"], told["skipped"]) == (2, 10, 4, {"binary": 2})
    assert told["job"] is None


def test_a_repository_that_was_never_indexed_tells_its_job(repository) -> None:
    repository.live_snapshot = None
    IndexJob.objects.create(repository=repository, state="running", stage="parsing", done=3, total=9)
    told = status(repository)["repository"]
    assert (told["files"], told["indexed_at"]) == (0, None)
    assert told["job"] == {"state": "running", "stage": "parsing", "done": 3, "total": 9, "message": ""}


def test_a_build_that_runs_is_told_even_when_another_waits_behind_it(repository) -> None:
    IndexJob.objects.create(repository=repository, state="running", stage="embedding", done=3, total=9)
    IndexJob.objects.create(repository=repository, state="queued")
    assert status(repository)["repository"]["job"]["state"] == "running"
    IndexJob.objects.filter(state="running").update(state="completed")
    assert status(repository)["repository"]["job"]["state"] == "queued"


def test_a_failed_build_stays_in_sight_until_one_succeeds(repository) -> None:
    IndexJob.objects.create(repository=repository, state="failed", message="The disk is full.")
    assert status(repository)["repository"]["job"]["message"] == "The disk is full."
    IndexJob.objects.create(repository=repository, state="completed")
    assert status(repository)["repository"]["job"] is None
