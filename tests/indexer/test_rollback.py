"""Going back to an earlier snapshot, and that nothing that is still needed is collected meanwhile."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from assistant import leases
from assistant.models import Answer, Conversation
from indexer import jobs
from indexer.errors import RepositoryBusy, SnapshotError
from indexer.jobs import run_now
from indexer.models import Repository
from indexer.retriever import Retriever
from indexer.rollback import roll_back
from indexer.snapshot import SnapshotReader
from indexer.snapshot_locks import in_use, remove
from indexer.types import Progress
from tests.processes import environment

from .builds import small_repository, write_files

pytestmark = [pytest.mark.integration, pytest.mark.event_log, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def repository(tmp_path, settings):
    return small_repository(tmp_path, settings)


def build(repository: Repository, version: int) -> str:
    write_files(Path(repository.source), {"greetings.py": f"version = {version}\n"})
    return run_now(repository).snapshot


def live(repository: Repository) -> str:
    repository.refresh_from_db()
    return str(repository.live_snapshot_id)


def rollback(*arguments: str) -> str:
    out = io.StringIO()
    call_command("rollback", *arguments, stdout=out)
    return out.getvalue()


def rows(repository: Repository) -> set[str]:
    return {str(pk) for pk in repository.snapshots.values_list("pk", flat=True)}


def test_one_command_makes_the_snapshot_before_the_live_one_live(repository):
    first, second = build(repository, 1), build(repository, 2)
    assert live(repository) == second
    assert rollback("small").startswith(f"small is now at {first}")
    assert live(repository) == first
    with SnapshotReader(repository.live_snapshot.directory) as reader:
        assert reader.file("greetings.py").text == "version = 1\n"
    with pytest.raises(CommandError, match="small has no snapshot before the live one"):
        rollback("small")
    assert live(repository) == first


def test_a_snapshot_can_be_named_by_how_its_id_begins(repository):
    first, second = build(repository, 1), build(repository, 2)
    rollback("small", "--to", first[:8])
    assert live(repository) == first
    rollback("small", "--to", second.upper())
    assert live(repository) == second
    with pytest.raises(CommandError, match="There is no snapshot zzz: --list shows those that are kept"):
        rollback("small", "--to", "zzz")


def test_the_list_says_what_is_kept_and_which_one_is_live(repository):
    first, second = build(repository, 1), build(repository, 2)
    lines = rollback("small", "--list").splitlines()
    assert [line.split()[0] for line in lines] == [second, first]
    assert [line.endswith("live") for line in lines] == [True, False]


def test_the_next_build_starts_from_the_snapshot_that_was_gone_back_to_and_keeps_it(repository):
    first, bad = build(repository, 1), build(repository, 2)
    rollback("small")
    report = run_now(repository)
    assert report.snapshot not in (first, bad)
    assert report.reused == report.chunks
    assert rows(repository) == {first, report.snapshot}
    rollback("small")
    assert live(repository) == first
    write_files(Path(repository.source), {"greetings.py": "version = 1\n"})
    assert run_now(repository).snapshot == first


def test_a_snapshot_whose_files_are_gone_is_passed_over_and_refused_by_name(repository):
    first = build(repository, 1)
    build(repository, 2)
    shutil.rmtree(jobs._root(repository) / first)
    with pytest.raises(CommandError, match="has no snapshot before"):
        rollback("small")
    with pytest.raises(CommandError, match="holds no whole snapshot"):
        rollback("small", "--to", first)


def test_while_the_repository_is_being_indexed_nothing_is_moved(repository):
    build(repository, 1)
    second = build(repository, 2)
    refused: list[str] = []

    def go_back(progress: Progress) -> None:
        with pytest.raises(RepositoryBusy):
            roll_back(repository)
        refused.append(live(repository))

    run_now(repository, go_back)
    assert set(refused) == {second}


def test_a_snapshot_that_is_being_collected_can_not_be_made_live(repository, monkeypatch):
    """The collector has seen that nobody refers to the oldest snapshot; before it removes the row, somebody goes back to it."""
    first, second = build(repository, 1), build(repository, 2)
    outcome: list[str] = []
    is_referred_to = jobs._is_referred_to
    others: list[threading.Thread] = []

    def go_back() -> None:
        try:
            outcome.append(str(roll_back(Repository.objects.get(pk=repository.pk), first).snapshot.pk))
        except (SnapshotError, RepositoryBusy) as error:
            outcome.append(str(error))
        finally:
            connection.close()

    def looked(snapshot: object) -> bool:
        found = is_referred_to(snapshot)
        others.append(threading.Thread(target=go_back))
        others[-1].start()
        others[-1].join(0.5)  # it waits for the lock, or has been refused
        return found

    monkeypatch.setattr(jobs, "_is_referred_to", looked)
    third = build(repository, 3)
    others[0].join(30)
    assert outcome == [f"There is no snapshot {first}: --list shows those that are kept."]
    assert (live(repository), rows(repository)) == (third, {second, third})


def test_a_snapshot_that_was_gone_back_to_before_the_collector_came_stays(repository, monkeypatch):
    first = build(repository, 1)
    build(repository, 2)
    forget = jobs._forget

    def go_back_first(repository: Repository, old: object) -> None:
        roll_back(Repository.objects.get(pk=repository.pk), first)
        forget(repository, old)

    monkeypatch.setattr(jobs, "_forget", go_back_first)
    build(repository, 3)
    assert live(repository) == first
    SnapshotReader(repository.live_snapshot.directory).close()


def test_a_snapshot_that_a_search_uses_keeps_its_files_until_the_search_ends(repository):
    first = build(repository, 1)
    directory = jobs._root(repository) / first
    retriever = Retriever()
    with retriever._open(directory) as used:
        build(repository, 2)
        build(repository, 3)
        assert first not in rows(repository)
        assert used.reader.file("greetings.py").text == "version = 1\n"
        assert sorted(path.name for path in directory.iterdir()) == [
            "cards.faiss",
            "chunks.sqlite3",
            "manifest.json",
            "vectors.faiss",
            "words.bin",
        ]
    retriever.close()
    run_now(repository)
    assert not directory.exists()


def test_a_search_that_comes_while_a_snapshot_is_being_removed_is_told_that_it_is_gone(repository, monkeypatch):
    directory = jobs._root(repository) / build(repository, 1)
    told: list[str] = []
    rmtree = shutil.rmtree

    def search() -> None:
        with pytest.raises(SnapshotError) as error, in_use(directory):
            pass
        told.append(str(error.value))

    def begun(*arguments: object, **options: object) -> None:
        searches = threading.Thread(target=search)
        searches.start()
        searches.join(10)
        rmtree(*arguments, **options)

    monkeypatch.setattr("indexer.snapshot_locks.shutil.rmtree", begun)
    assert remove(directory)
    assert told == [f"{directory} holds no whole snapshot: index the repository again."]


def test_a_snapshot_that_an_answer_has_just_been_tied_to_is_not_collected(repository, monkeypatch):
    """The answer is claimed between two builds, and the collector comes while it waits for its model."""
    first = build(repository, 1)
    owner = get_user_model().objects.create(username="local")
    conversation = Conversation.objects.create(owner=owner, repository=repository, title="How?")
    answer = Answer.objects.create(conversation=conversation, number=1, question="How?")
    (claim,) = leases.claim(1)
    assert claim.job is not None
    assert claim.job.answer_id == answer.pk
    for version in (2, 3, 4):
        build(repository, version)
    assert first in rows(repository)
    with SnapshotReader(claim.job.snapshot_dir) as reader:
        assert reader.file("greetings.py").text == "version = 1\n"
    conversation.delete()
    fifth = build(repository, 5)
    assert first not in rows(repository)
    assert fifth in rows(repository)


def test_a_repository_that_is_not_known_is_one_sentence_and_bad_usage_ends_with_2(tmp_path):
    manage = [sys.executable, str(Path(__file__).parents[2] / "manage.py")]
    home = environment(tmp_path / "var")
    subprocess.run([*manage, "migrate", "--verbosity", "0"], env=home, check=True)
    for arguments, status in ((["nowhere"], 1), (["x", "--list", "--to", "y"], 2), ([], 2)):
        done = subprocess.run([*manage, "rollback", *arguments], env=home, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (status, "")
        assert "Traceback" not in done.stderr
