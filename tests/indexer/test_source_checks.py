"""What the indexer's worker writes down about sources, for pages to read."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from indexer.jobs import run_now
from indexer.models import Repository, SourceCheck
from indexer.rollback import roll_back
from indexer.source import blob_id
from indexer.source_checks import MOST_CHANGED, SourceChecks

from .builds import SMALL, write_files
from .test_source import commit, git

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def repository(tmp_path, settings):
    settings.INDEX_ROOT = tmp_path / "indexes"
    settings.DATA_DIR = tmp_path / "data"
    settings.CLONE_ROOT = tmp_path / "clones"
    settings.PARSE_PROCESSES = 1
    settings.EMBEDDER = "hashing"
    folder = write_files(tmp_path / "source", SMALL)
    git(folder, "init", "--quiet", "--initial-branch", "main")
    commit(folder, "one")
    repository = Repository.objects.create(name="small", source=str(folder))
    run_now(repository)
    return repository


def change(repository: Repository, text: str = "changed = True\n") -> None:
    commit(write_files(Path(repository.source.removeprefix("file://")), {"greetings.py": text}))


def checked(checks: SourceChecks) -> SourceCheck:
    SourceCheck.objects.update(due_at=timezone.now())
    assert checks.run() == 1
    return SourceCheck.objects.get()


def test_a_check_tells_how_far_the_live_snapshot_is_behind_and_is_not_due_again_at_once(repository):
    checks = SourceChecks()
    before = timezone.now()
    assert checks.run() == 1
    check = SourceCheck.objects.get()
    assert (check.behind, check.changed, check.problem) == (0, {}, "")
    assert check.checked_at >= before
    change(repository)
    assert checks.run() == 0
    check = checked(checks)
    assert (check.behind, check.ref) == (1, "main")
    assert check.changed == {"greetings.py": blob_id(b"changed = True\n")}
    assert check.due_at > timezone.now()


def test_a_new_snapshot_and_going_back_to_an_old_one_are_looked_at_at_once(repository):
    checks = SourceChecks()
    checks.run()
    change(repository)
    run_now(repository)
    assert checks.run() == 1
    assert SourceCheck.objects.get().behind == 0
    roll_back(repository)
    assert checks.run() == 1
    repository.refresh_from_db()
    check = SourceCheck.objects.get()
    assert (check.snapshot_id, check.behind, list(check.changed)) == (repository.live_snapshot_id, 1, ["greetings.py"])


def test_a_source_that_is_gone_is_told_beside_what_was_seen_of_it(repository):
    checks = SourceChecks()
    change(repository)
    checks.run()
    seen_at = SourceCheck.objects.get().checked_at
    shutil.rmtree(repository.source)
    check = checked(checks)
    assert check.problem.endswith("is neither a folder nor a git URL.")
    assert (check.behind, check.checked_at) == (1, seen_at)


def test_a_url_is_asked_every_few_minutes_and_never_where_that_is_switched_off(repository, settings):
    Repository.objects.update(source=f"file://{repository.source}")
    repository.refresh_from_db()
    run_now(repository)
    change(repository)
    settings.OFFLINE = True
    assert SourceChecks().run() == 0
    settings.OFFLINE, settings.SOURCE_CHECK_S = False, 0
    assert SourceChecks().run() == 0
    settings.SOURCE_CHECK_S = 500
    assert SourceChecks().run() == 1
    check = SourceCheck.objects.get()
    assert check.behind == 1
    assert check.due_at > timezone.now() + timedelta(seconds=400)


def test_two_workers_never_check_one_source_at_once(repository, monkeypatch):
    inner = []
    look = SourceChecks._look
    monkeypatch.setattr(SourceChecks, "_look", lambda *given: (inner.append(SourceChecks().run()), look(*given))[1])
    assert SourceChecks().run() == 1
    assert inner == [0]


def test_of_many_changed_files_the_first_are_named_and_all_are_counted(repository, monkeypatch):
    folder = Path(repository.source)
    monkeypatch.setattr("indexer.source_checks.MOST_CHANGED", 1)
    for name in SMALL:
        (folder / name).unlink()
    SourceChecks().run()
    check = SourceCheck.objects.get()
    assert (len(check.changed), check.changed_files) == (1, len(SMALL))
    assert MOST_CHANGED > 1
