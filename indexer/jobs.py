"""Builds as rows: who builds what, how far it is, and what becomes of it when its process dies.

An `IndexJob` is the record, and its django-tasks row only wakes a worker up. A job is claimed by a conditional UPDATE that
gives it a lease and a token; a thread renews the lease and writes the progress while the build runs, each time `WHERE
lease_token = …`. No row updated means that somebody else has the job, and the build stops. A process that dies stops
renewing, and `requeue_expired` gives its job to another one, three times at most. One repository is built by one job at a
time; should two builds overlap all the same (a laptop that slept through its lease), each has its own directory and only the
one that holds the token moves the live pointer.

Every transaction here is a few statements, so that SQLite's one writer is never kept waiting by a build.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection, transaction
from django.db.models import F, ForeignObjectRel, QuerySet
from django.utils import timezone

from indexer.build import BuildRequest, Hooks, build_snapshot
from indexer.errors import BuildCancelled, IndexerError, RepositoryBusy
from indexer.models import IndexJob, Repository, Snapshot, SourceCheck
from indexer.queue import has_task, index, lock
from indexer.snapshot import read_manifest
from indexer.snapshot_locks import remove
from indexer.types import BuildReport, Progress

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
PROGRESS_INTERVAL_S = 0.5
# A queued job without a task is one whose worker died between taking the task and claiming the job; the two are this near.
_TASK_GRACE = timedelta(seconds=5)

OnProgress = Callable[[Progress], None]


def run_job(job: IndexJob, on_progress: OnProgress = lambda progress: None) -> BuildReport:
    """Claim a queued job, build, publish and embed, all in this process. on_progress is called often, from this thread.

    Raises RepositoryBusy when the repository is being indexed or the job isn't queued (any more), and otherwise what
    `build_snapshot` raises; the job's row tells the same.
    """
    return _run(job, _claim(job), on_progress)


def run_now(repository: Repository, on_progress: OnProgress = lambda progress: None) -> BuildReport:
    """Index in this process, past the queue. Raises as `run_job` does."""
    token = uuid.uuid4()
    with transaction.atomic():
        lock(repository)
        refuse_if_busy(repository)
        # This run does what they were to do.
        repository.jobs.filter(state=IndexJob.State.RUNNING).update(
            state=IndexJob.State.FAILED, message="Its process has gone.", finished_at=timezone.now(), lease_token=None
        )
        job = IndexJob.objects.create(repository=repository, **_taken(token), attempts=1)
    return _run(job, token, on_progress)


def requeue_expired() -> int:
    """Give jobs whose process has died to another one, and wake a worker up for jobs that wait unseen; returns how many."""
    now = timezone.now()
    woken = 0
    expired = IndexJob.objects.filter(state=IndexJob.State.RUNNING, leased_until__lt=now)
    for job in expired.select_related("repository"):
        woken += _requeue(job)
    waiting = IndexJob.objects.filter(state=IndexJob.State.QUEUED, created_at__lt=now - _TASK_GRACE)
    for job in waiting.select_related("repository"):
        if not has_task(job) and not _is_busy(job.repository):
            index.enqueue(str(job.pk))
            woken += 1
    return woken


def _requeue(job: IndexJob) -> bool:
    """Queue an expired job again, or give it up after MAX_ATTEMPTS; says whether it was queued."""
    assert job.lease_token is not None
    if job.attempts >= MAX_ATTEMPTS:
        _fail(
            job, job.lease_token, f"Indexing was interrupted {job.attempts} times: look at the indexer's log, then index again."
        )
        logger.error("job %s: %s: given up after %s attempts", job.pk, job.repository, job.attempts)
        return False
    logger.warning("job %s: %s: its process has gone, queued again", job.pk, job.repository)
    return _hand_back(job, job.lease_token, job.attempts)


def _hand_back(job: IndexJob, token: uuid.UUID, attempts: int) -> bool:
    """Queue a running job again; says whether it was still that token's to give."""
    with transaction.atomic():
        queued = _held(job, token).update(
            state=IndexJob.State.QUEUED, lease_token=None, leased_until=None, attempts=attempts, stage="", done=0, total=0
        )
        if queued:
            index.enqueue(str(job.pk))
    return bool(queued)


def _is_busy(repository: Repository) -> bool:
    return repository.jobs.filter(state=IndexJob.State.RUNNING, leased_until__gte=timezone.now()).exists()


def refuse_if_busy(repository: Repository) -> None:
    if _is_busy(repository):
        raise RepositoryBusy(f"{repository.name} is being indexed by another process: wait until it is done.")


def _lease_end() -> datetime:
    return timezone.now() + timedelta(seconds=settings.INDEX_LEASE_S)


def _taken(token: uuid.UUID) -> dict[str, object]:
    """The columns of a job that a process has just taken."""
    return {
        "state": IndexJob.State.RUNNING,
        "lease_token": token,
        "leased_until": _lease_end(),
        "stage": "reading",
        "done": 0,
        "total": 0,
        "message": "",
    }


def _claim(job: IndexJob) -> uuid.UUID:
    token = uuid.uuid4()
    with transaction.atomic():
        lock(job.repository)
        refuse_if_busy(job.repository)
        queued = IndexJob.objects.filter(pk=job.pk, state=IndexJob.State.QUEUED)
        if queued.update(**_taken(token), attempts=F("attempts") + 1) != 1:
            raise RepositoryBusy(f"This job for {job.repository.name} was taken by another process.")
    job.refresh_from_db()
    return token


def _held(job: IndexJob, token: uuid.UUID) -> QuerySet[IndexJob]:
    return IndexJob.objects.filter(pk=job.pk, state=IndexJob.State.RUNNING, lease_token=token)


def _run(job: IndexJob, token: uuid.UUID, on_progress: OnProgress) -> BuildReport:
    with _outcome(job, token), _Lease(job, token) as lease:

        def progress(step: Progress) -> None:
            lease.note(step)
            on_progress(step)

        hooks = Hooks(lambda directory: _make_live(job, token, directory), progress, lease.lost.is_set)
        request = _request(job.repository)
        before = job.repository.live_snapshot_id
        report = build_snapshot(request, hooks)
    _complete(job, token, report)
    _remove_old(job.repository, before)
    return report


def _request(repository: Repository) -> BuildRequest:
    repository.refresh_from_db()
    live = repository.live_snapshot
    relative = None if live else _relative(repository)
    return BuildRequest(
        repository=repository.name,
        source=repository.source,
        ref=repository.ref,
        snapshot=str(uuid.uuid4()),
        root=_root(repository),
        clone_root=settings.CLONE_ROOT,
        cache=settings.DATA_DIR / "embeddings.sqlite3",
        embedder=settings.EMBEDDER,
        previous=live.directory if live else None,
        relative=relative.directory if relative else None,
        max_file_bytes=settings.MAX_FILE_BYTES,
        parse_deadline_s=settings.PARSE_DEADLINE_S,
        parse_processes=settings.PARSE_PROCESSES,
        redact=settings.REDACT_SECRETS,
    )


def _relative(repository: Repository) -> Snapshot | None:
    """What another ref of the same source has newest, under a name of its own: most of its files are the same."""
    others = Repository.objects.filter(source=repository.source).exclude(pk=repository.pk)
    return Snapshot.objects.filter(pk__in=others.values("live_snapshot")).order_by("-created_at").first()


def _root(repository: Repository) -> Path:
    return Path(settings.INDEX_ROOT) / str(repository.pk)


def _make_live(job: IndexJob, token: uuid.UUID, directory: Path) -> None:
    """Move the repository's pointer to a snapshot that is whole on the disk, if this process still holds the job."""
    manifest = read_manifest(directory)
    with transaction.atomic():
        snapshot, _ = Snapshot.objects.get_or_create(
            pk=uuid.UUID(directory.name),
            defaults={
                "repository": job.repository,
                "commit": manifest.commit,
                "ref": manifest.ref,
                "dirty": manifest.dirty,
                "files": manifest.files,
                "chunks": manifest.chunks,
                "skipped": dict(manifest.skipped),
                "redacted": dict(manifest.redacted),
                "allowed": dict(manifest.allowed),
            },
        )
        if not _held(job, token).update(snapshot=snapshot):
            raise BuildCancelled("Another process has taken this job over; what was indexed before is untouched.")
        Repository.objects.filter(pk=job.repository_id).update(live_snapshot=snapshot)
        SourceCheck.objects.filter(repository=job.repository_id).update(due_at=timezone.now())
    job.snapshot = snapshot


def _complete(job: IndexJob, token: uuid.UUID, report: BuildReport) -> None:
    with transaction.atomic():
        _held(job, token).update(
            state=IndexJob.State.COMPLETED,
            stage="done",
            done=report.chunks,
            total=report.chunks,
            report=asdict(report),
            finished_at=timezone.now(),
            lease_token=None,
            leased_until=None,
        )
        Snapshot.objects.filter(pk=report.snapshot).update(embedded=report.chunks)
    logger.info(
        "job %s: %s: %s files, %s chunks (%s embedded), searchable after %.1f s, done after %.1f s",
        *(job.pk, report.repository, report.files, report.chunks, report.embedded, report.searchable_after_s, report.seconds),
    )


def _fail(job: IndexJob, token: uuid.UUID, message: str) -> None:
    _held(job, token).update(
        state=IndexJob.State.FAILED, message=message, finished_at=timezone.now(), lease_token=None, leased_until=None
    )


@contextmanager
def _outcome(job: IndexJob, token: uuid.UUID) -> Iterator[None]:
    """Write what became of a build into its row, if that is still ours: failed with a sentence, or, when this process is told
    to end (SystemExit), queued again without counting the attempt."""
    try:
        yield
    except IndexerError as error:
        _fail(job, token, str(error))
        raise
    except KeyboardInterrupt:
        _fail(job, token, "Stopped by hand; what was indexed before is untouched.")
        raise
    except SystemExit:
        _hand_back(job, token, max(0, job.attempts - 1))
        raise
    except Exception as error:
        logger.exception("job %s: %s", job.pk, job.repository)
        _fail(job, token, f"Indexing failed inside Sextant ({type(error).__name__}); the indexer's log has the details.")
        raise


class _Lease:
    """Renews a job's lease from a thread of its own, and writes progress to its row twice a second when there is any.

    `lost` is set once the row is somebody else's. A database that can't be reached is tried again: the lease outlives a few
    failures, and when it doesn't, the next renewal finds that out.
    """

    def __init__(self, job: IndexJob, token: uuid.UUID) -> None:
        self._job = job
        self._token = token
        self.lost = threading.Event()
        self._end = threading.Event()
        self._progress: Progress | None = None
        self._written: Progress | None = None
        self._renew_at = _half_way()
        self._thread = threading.Thread(target=self._renew, name=f"lease-{job.pk}", daemon=True)

    def note(self, progress: Progress) -> None:
        self._progress = progress

    def __enter__(self) -> _Lease:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end.set()
        self._thread.join()

    def _renew(self) -> None:
        try:
            while not self._end.wait(PROGRESS_INTERVAL_S) and not self.lost.is_set():
                progress = self._progress
                if progress is not self._written or timezone.now() >= self._renew_at:
                    self._write(progress)
        finally:
            connection.close()

    def _write(self, progress: Progress | None) -> None:
        values: dict[str, object] = {"leased_until": _lease_end()}
        if progress is not None:
            values |= {"stage": progress.stage, "done": progress.done, "total": progress.total}
        renew_at = _half_way()
        try:
            close_old_connections()
            with transaction.atomic():
                if not _held(self._job, self._token).update(**values):
                    self.lost.set()
                if progress is not None and progress.stage == "embedding" and self._job.snapshot_id:
                    Snapshot.objects.filter(pk=self._job.snapshot_id).update(embedded=progress.done)
        except DatabaseError as error:
            logger.warning("job %s: its lease could not be renewed, trying again: %s", self._job.pk, error)
            return
        self._written, self._renew_at = progress, renew_at


def _half_way() -> datetime:
    return timezone.now() + timedelta(seconds=settings.INDEX_LEASE_S / 2)


def _remove_old(repository: Repository, before: uuid.UUID | None) -> None:
    """Remove the snapshots that nobody needs: all but the live one, the one that was live before it (`before`, or else the
    newest), and those that something refers to.

    The row goes first, under the repository's lock, so that nobody makes a snapshot live that is just being removed. A
    directory without a row is what an interruption here leaves, a search that still uses it, or a builder that lost its
    job just before publishing, and goes the next time.
    """
    repository.refresh_from_db()
    others = [snapshot for snapshot in repository.snapshots.all() if snapshot.pk != repository.live_snapshot_id]
    kept = next((other for other in others if other.pk == before), others[0] if others else None)
    for old in others:
        if old != kept:
            _forget(repository, old)
    known = {str(pk) for pk in repository.snapshots.values_list("pk", flat=True)}
    for directory in _root(repository).iterdir():
        if directory.name not in known and _is_uuid(directory.name) and remove(directory):
            logger.info("%s: removed snapshot %s", repository, directory.name)


def _forget(repository: Repository, old: Snapshot) -> None:
    with transaction.atomic():
        lock(repository)
        is_live = Repository.objects.filter(pk=repository.pk, live_snapshot=old).exists()
        if not is_live and not _is_referred_to(old):
            old.delete()


def _is_referred_to(snapshot: Snapshot) -> bool:
    """Whether a row of another app (an answer) refers to this snapshot; what apps there are is not ours to know."""
    relations = (field for field in Snapshot._meta.get_fields(include_hidden=True) if isinstance(field, ForeignObjectRel))
    return any(
        relation.related_model._base_manager.filter(**{relation.field.name: snapshot}).exists()
        for relation in relations
        if relation.related_model._meta.app_label != "indexer"
    )


def _is_uuid(name: str) -> bool:
    try:
        uuid.UUID(name)
    except ValueError:
        return False
    return True
