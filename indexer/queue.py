"""Asking for a build: a row, and a task that wakes a worker up. Imports nothing that builds, so the web process can ask too."""

from __future__ import annotations

import logging

from django.db import transaction
from django_tasks import TaskResultStatus, task
from django_tasks_db.models import DBTaskResult

from indexer.errors import IndexerError, RepositoryBusy
from indexer.models import IndexJob, Repository

logger = logging.getLogger(__name__)

QUEUE = "index"


def enqueue(repository: Repository) -> IndexJob:
    """Have a worker index this repository. A job that waits already is not doubled."""
    with transaction.atomic():
        lock(repository)
        waiting = repository.jobs.filter(state=IndexJob.State.QUEUED).first()
        if waiting is not None:
            return waiting
        job = IndexJob.objects.create(repository=repository)
        index.enqueue(str(job.pk))
    return job


@task(queue_name=QUEUE)
def index(job_id: str) -> None:
    """The task behind `enqueue`. What goes wrong is told in the job's row."""
    from indexer.jobs import run_job

    job = IndexJob.objects.select_related("repository").filter(pk=job_id).first()
    if job is None:
        return
    try:
        run_job(job)
    except RepositoryBusy:
        logger.info("job %s: waits, %s is being indexed", job.pk, job.repository)
    except IndexerError as error:
        logger.warning("job %s: %s: %s", job.pk, job.repository, error)


def has_task(job: IndexJob) -> bool:
    """Whether a worker will be woken up for this job."""
    arguments = {"args": [str(job.pk)], "kwargs": {}}
    return DBTaskResult.objects.filter(queue_name=QUEUE, status=TaskResultStatus.READY, args_kwargs=arguments).exists()


def lock(repository: Repository) -> None:
    """Make claims of one repository take turns until the transaction ends. On SQLite its BEGIN IMMEDIATE does that."""
    Repository.objects.select_for_update().get(pk=repository.pk)
