"""Index jobs: claimed by lease, one a repository at a time, taken over when their process dies."""

from __future__ import annotations

import threading
import uuid
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.db import DatabaseError, connection
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from assistant.models import Answer, Conversation
from indexer import jobs
from indexer.embedder import HashingEmbedder
from indexer.errors import BuildCancelled, RepositoryBusy, SourceError
from indexer.jobs import requeue_expired, run_job, run_now
from indexer.models import IndexJob, Repository
from indexer.queue import enqueue
from indexer.snapshot import SnapshotReader
from indexer.types import Progress

from .builds import GREETINGS, SMALL, small_repository, write_files

pytestmark = [pytest.mark.integration, pytest.mark.event_log, pytest.mark.django_db(transaction=True)]

State = IndexJob.State


@pytest.fixture
def repository(tmp_path, settings):
    return small_repository(tmp_path, settings)


def change(repository: Repository, text: str = "changed = True\n") -> None:
    write_files(Path(repository.source), {"greetings.py": text})


def live(repository: Repository) -> SnapshotReader:
    repository.refresh_from_db()
    assert repository.live_snapshot is not None
    return SnapshotReader(repository.live_snapshot.directory)


def in_the_past() -> object:
    return timezone.now() - timedelta(seconds=1)


def tasks() -> int:
    return DBTaskResult.objects.filter(status="READY").count()


def test_a_job_that_ran_has_a_report_and_its_snapshot_is_live(repository):
    job = enqueue(repository)
    report = run_job(job)
    job.refresh_from_db()
    assert (job.state, job.stage, job.done, job.total) == (State.COMPLETED, "done", report.chunks, report.chunks)
    assert (job.attempts, job.lease_token, job.leased_until, job.message) == (1, None, None, "")
    assert job.report["snapshot"] == report.snapshot == str(job.snapshot_id)
    assert job.finished_at is not None
    repository.refresh_from_db()
    snapshot = repository.live_snapshot
    assert snapshot is not None
    counts = (snapshot.files, snapshot.chunks, snapshot.embedded)
    assert (str(snapshot.pk), *counts) == (report.snapshot, 3, report.chunks, report.chunks)
    assert live(repository).paths() == sorted(SMALL)


def test_running_the_task_is_running_the_job(repository):
    job = enqueue(repository)
    jobs.index.call(str(job.pk))
    job.refresh_from_db()
    assert job.state == State.COMPLETED
    jobs.index.call(str(job.pk))
    jobs.index.call(str(uuid.uuid4()))
    assert IndexJob.objects.get() == job


def test_indexing_again_without_a_change_keeps_the_snapshot(repository):
    first = run_now(repository)
    second = run_now(repository)
    assert (second.snapshot, second.embedded, second.reused) == (first.snapshot, 0, first.chunks)
    assert repository.snapshots.count() == 1


def test_a_job_that_waits_is_not_doubled(repository):
    assert enqueue(repository) == enqueue(repository)
    assert (IndexJob.objects.count(), tasks()) == (1, 1)


def test_a_job_is_run_by_one_of_two_workers(repository):
    job = enqueue(repository)
    refused: list[str] = []

    def another_worker(progress: Progress) -> None:
        if progress.stage == "parsing":
            with pytest.raises(RepositoryBusy) as busy:
                run_job(IndexJob.objects.get(pk=job.pk))
            refused.append(str(busy.value))

    run_job(job, another_worker)
    assert set(refused) == {"small is being indexed by another process: wait until it is done."}
    with pytest.raises(RepositoryBusy, match="taken by another process"):
        run_job(job)


def test_workers_that_reach_for_a_job_at_the_same_time_get_it_once(repository):
    waiting = [IndexJob.objects.create(repository=repository) for _ in range(2)]
    together = threading.Barrier(4)
    tokens: list[uuid.UUID] = []

    def reach(job: IndexJob) -> None:
        together.wait(10)
        with suppress(RepositoryBusy):
            tokens.append(jobs._claim(job))
        connection.close()

    workers = [threading.Thread(target=reach, args=(job,)) for job in waiting * 2]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(tokens) == 1
    assert IndexJob.objects.get(state=State.RUNNING).lease_token == tokens[0]


def test_a_repository_is_indexed_by_one_process_at_a_time(repository):
    def another_process(progress: Progress) -> None:
        with pytest.raises(RepositoryBusy):
            run_now(repository)

    run_now(repository, another_process)
    assert IndexJob.objects.count() == 1


def test_the_page_can_follow_a_build_in_its_row(repository, monkeypatch):
    monkeypatch.setattr(jobs, "PROGRESS_INTERVAL_S", 0.01)
    seen: set[tuple[str, int, int, int]] = set()
    written = threading.Event()

    def wait_until_it_is_written(progress: Progress) -> None:
        if progress.stage in ("parsing", "embedding"):
            while not seen & {(progress.stage, progress.done, progress.total, n) for n in (0, progress.done)}:
                job = IndexJob.objects.get()
                embedded = job.snapshot.embedded if job.snapshot else 0
                seen.add((job.stage, job.done, job.total, embedded))
                written.wait(0.01)

    report = run_now(repository, wait_until_it_is_written)
    assert {("parsing", n, 3, 0) for n in (1, 2, 3)} <= seen
    assert ("embedding", report.chunks, report.chunks, report.chunks) in seen


def test_a_source_that_can_not_be_read_fails_with_a_sentence_and_the_live_snapshot_stays(repository):
    run_now(repository)
    Repository.objects.update(source="/no/such/folder")
    with pytest.raises(SourceError):
        run_job(enqueue(repository))
    job = IndexJob.objects.first()
    assert (job.state, job.message) == (State.FAILED, "/no/such/folder is neither a folder nor a git URL.")
    assert job.finished_at is not None
    assert live(repository).file("greetings.py").text == GREETINGS


def test_an_error_of_our_own_fails_with_a_sentence_too(repository, monkeypatch, caplog):
    monkeypatch.setattr(HashingEmbedder, "encode_documents", lambda self, texts: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run_now(repository)
    job = IndexJob.objects.get()
    assert job.state == State.FAILED
    assert job.message == "Indexing failed inside Sextant (ZeroDivisionError); the indexer's log has the details."
    assert "ZeroDivisionError" in caplog.text
    assert live(repository).paths() == sorted(SMALL)


def interrupt(error: type[BaseException]):
    def at_parsing(progress: Progress) -> None:
        if progress.stage == "parsing":
            raise error

    return at_parsing


def test_a_build_that_is_stopped_by_hand_says_so(repository):
    with pytest.raises(KeyboardInterrupt):
        run_now(repository, interrupt(KeyboardInterrupt))
    job = IndexJob.objects.get()
    assert (job.state, job.message) == (State.FAILED, "Stopped by hand; what was indexed before is untouched.")
    assert run_now(repository).files == 3


def test_a_worker_that_is_told_to_end_gives_its_job_back_without_counting_the_attempt(repository):
    job = enqueue(repository)
    DBTaskResult.objects.all().delete()
    with pytest.raises(SystemExit):
        run_job(job, interrupt(SystemExit))
    job.refresh_from_db()
    assert (job.state, job.attempts, job.lease_token, tasks()) == (State.QUEUED, 0, None, 1)
    run_job(job)
    assert live(repository).paths() == sorted(SMALL)


def running_elsewhere(repository: Repository, **columns: object) -> IndexJob:
    """The row of a job whose process has been killed."""
    values = {"state": State.RUNNING, "lease_token": uuid.uuid4(), "leased_until": in_the_past(), "attempts": 1}
    return IndexJob.objects.create(repository=repository, **(values | columns))


def test_a_job_whose_process_has_died_is_queued_again_once(repository):
    job = running_elsewhere(repository)
    assert (requeue_expired(), requeue_expired()) == (1, 0)
    job.refresh_from_db()
    assert (job.state, job.lease_token, tasks()) == (State.QUEUED, None, 1)
    run_job(job)
    job.refresh_from_db()
    assert (job.state, job.attempts) == (State.COMPLETED, 2)


def test_indexing_by_hand_settles_a_job_whose_process_has_died(repository):
    job = running_elsewhere(repository)
    run_now(repository)
    job.refresh_from_db()
    assert (job.state, job.message) == (State.FAILED, "Its process has gone.")
    assert requeue_expired() == 0


def test_a_job_that_is_alive_is_left_alone(repository):
    running_elsewhere(repository, leased_until=timezone.now() + timedelta(seconds=30))
    assert requeue_expired() == 0


def test_a_job_is_given_up_after_three_attempts(repository):
    job = running_elsewhere(repository, attempts=3)
    assert requeue_expired() == 0
    job.refresh_from_db()
    assert (job.state, tasks()) == (State.FAILED, 0)
    assert job.message == "Indexing was interrupted 3 times: look at the indexer's log, then index again."


def test_a_waiting_job_that_lost_its_task_gets_another_one(repository):
    job = enqueue(repository)
    DBTaskResult.objects.all().delete()
    assert requeue_expired() == 0, "a moment ago its worker may just have taken the task"
    IndexJob.objects.filter(pk=job.pk).update(created_at=timezone.now() - timedelta(minutes=1))
    assert (requeue_expired(), requeue_expired()) == (1, 0)
    assert tasks() == 1


def test_a_waiting_job_is_not_woken_while_its_repository_is_being_indexed(repository):
    waiting = IndexJob.objects.create(repository=repository)
    IndexJob.objects.filter(pk=waiting.pk).update(created_at=timezone.now() - timedelta(minutes=1))
    running_elsewhere(repository, leased_until=timezone.now() + timedelta(seconds=30))
    assert requeue_expired() == 0


def test_a_worker_that_lost_its_lease_does_not_move_the_live_pointer(repository):
    first = run_now(repository)
    change(repository)
    job = enqueue(repository)

    def taken_over(progress: Progress) -> None:
        if progress.stage == "publishing":
            IndexJob.objects.filter(pk=job.pk).update(lease_token=uuid.uuid4())

    with pytest.raises(BuildCancelled, match="taken this job over"):
        run_job(job, taken_over)
    job.refresh_from_db()
    assert (job.state, job.message, job.snapshot) == (State.RUNNING, "", None)
    repository.refresh_from_db()
    assert str(repository.live_snapshot_id) == first.snapshot
    assert repository.snapshots.count() == 1


def test_a_worker_that_lost_its_lease_stops_while_it_reads(repository, monkeypatch):
    enter = jobs._Lease.__enter__
    monkeypatch.setattr(jobs, "PROGRESS_INTERVAL_S", 0.01)
    leases: list[jobs._Lease] = []
    monkeypatch.setattr(jobs._Lease, "__enter__", lambda lease: leases.append(lease) or enter(lease))
    job = enqueue(repository)

    def taken_over(progress: Progress) -> None:
        if progress == Progress("parsing", 1, 3):
            IndexJob.objects.filter(pk=job.pk).update(lease_token=uuid.uuid4())
            assert leases[0].lost.wait(10)

    with pytest.raises(BuildCancelled):
        run_job(job, taken_over)
    assert repository.snapshots.count() == 0


def test_a_directory_that_was_never_made_live_goes_with_the_next_build(repository):
    run_now(repository)
    root = jobs._root(repository)
    stray = root / str(uuid.uuid4())
    stray.mkdir()
    kept = root / "notes"
    kept.mkdir()
    run_now(repository)
    assert (stray.exists(), kept.exists()) == (False, True)


def test_old_snapshots_go_but_for_the_last_two_and_those_that_answers_stand_on(repository):
    made = []
    for number in range(4):
        change(repository, f"version = {number}\n")
        made.append(run_now(repository).snapshot)
        if number == 0:
            repository.refresh_from_db()
            owner = get_user_model().objects.create(username="local")
            conversation = Conversation.objects.create(owner=owner, repository=repository, title="How?")
            Answer.objects.create(conversation=conversation, number=1, question="How?", snapshot=repository.live_snapshot)
    kept = {str(pk) for pk in repository.snapshots.values_list("pk", flat=True)}
    assert kept == {made[0], made[2], made[3]}
    assert {path.name for path in jobs._root(repository).iterdir()} == kept
    assert live(repository).file("greetings.py").text == "version = 3\n"


def test_a_database_that_fails_for_a_moment_costs_the_build_nothing(repository, monkeypatch, caplog):
    monkeypatch.setattr(jobs, "PROGRESS_INTERVAL_S", 0.01)
    failed = threading.Event()
    held = jobs._held

    def held_but_for_once(job: IndexJob, token: uuid.UUID):
        if threading.current_thread().name.startswith("lease-") and not failed.is_set():
            failed.set()
            raise DatabaseError("the server closed the connection")
        return held(job, token)

    monkeypatch.setattr(jobs, "_held", held_but_for_once)
    report = run_now(repository, lambda progress: failed.wait(10) and None)
    assert report.files == 3
    assert "could not be renewed" in caplog.text
