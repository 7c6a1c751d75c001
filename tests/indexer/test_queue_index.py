"""Queueing a folder for the indexer process: what `make run` does with its sample."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import call_command

from indexer.models import IndexJob, Repository

pytestmark = pytest.mark.django_db


def test_a_folder_waits_for_the_indexer_under_its_name(tmp_path: Path) -> None:
    call_command("queue_index", tmp_path, name="sample")
    job = IndexJob.objects.get()
    assert (job.state, job.repository.name, job.repository.source) == ("queued", "sample", str(tmp_path.resolve()))


def test_queueing_twice_makes_one_job(tmp_path: Path) -> None:
    for _ in range(2):
        call_command("queue_index", tmp_path, name="sample")
    assert IndexJob.objects.count() == 1


def test_a_folder_that_has_moved_keeps_its_name(tmp_path: Path) -> None:
    call_command("queue_index", tmp_path / "before", name="sample")
    call_command("queue_index", tmp_path / "after", name="sample")
    assert Repository.objects.get().source == str((tmp_path / "after").resolve())
