"""What another version of Sextant has indexed is indexed again by the indexer, once."""

from __future__ import annotations

import json
import shutil

import pytest

from indexer.errors import OutdatedSnapshot
from indexer.jobs import run_job, run_now
from indexer.models import IndexJob, Repository
from indexer.outdated import queue_outdated
from indexer.snapshot import SCHEMA, SnapshotReader

from .builds import SMALL, small_repository

pytestmark = [pytest.mark.integration, pytest.mark.event_log, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def repository(tmp_path, settings):
    repository = small_repository(tmp_path, settings)
    run_now(repository)
    repository.refresh_from_db()
    return repository


def upgrade(repository: Repository) -> None:
    """As if the live snapshot were from before the last change of what a snapshot is."""
    assert repository.live_snapshot is not None
    manifest = repository.live_snapshot.directory / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "schema": SCHEMA - 1}))


def test_after_an_upgrade_the_index_is_made_anew_and_can_be_searched_again(repository):
    upgrade(repository)
    with pytest.raises(OutdatedSnapshot, match=r"or index the repository again\.$"):
        SnapshotReader(repository.live_snapshot.directory)
    assert queue_outdated() == [repository]
    run_job(repository.jobs.get(state=IndexJob.State.QUEUED))
    repository.refresh_from_db()
    with SnapshotReader(repository.live_snapshot.directory) as reader:
        assert reader.manifest.files == len(SMALL)
    assert queue_outdated() == []


def test_several_indexers_that_start_at_once_queue_one_build(repository):
    upgrade(repository)
    assert queue_outdated() == [repository]
    assert queue_outdated() == []
    assert repository.jobs.filter(state=IndexJob.State.QUEUED).count() == 1


def test_an_index_that_is_as_it_should_be_is_left_alone(repository, caplog):
    assert queue_outdated() == []
    assert not caplog.records


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda directory: shutil.rmtree(directory), "holds no whole snapshot"),
        (lambda directory: (directory / "chunks.sqlite3").write_bytes(b"damaged" * 1000), "holds no full-text index"),
    ],
)
def test_an_index_that_is_gone_or_damaged_is_told_and_keeps_nobody_from_starting(repository, caplog, harm, said):
    harm(repository.live_snapshot.directory)
    assert queue_outdated() == []
    assert said in caplog.text
