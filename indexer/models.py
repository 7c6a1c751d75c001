"""What the database knows of repositories: their owners, their snapshots on disk, and the jobs that build these.

Every read of a repository goes through `Repository.objects.visible_to(user)`.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import models

from indexer.errors import SourceError


class RepositoryQuerySet(models.QuerySet["Repository"]):
    def visible_to(self, user: Any) -> RepositoryQuerySet:
        """The repositories that `user` may read: the only door to them.

        Public ones are visible to everybody who can sign in, private ones to their owner and to superusers.
        """
        if not user.is_authenticated:
            return self.none()
        if user.is_superuser:
            return self
        return self.filter(models.Q(visibility=Repository.Visibility.PUBLIC) | models.Q(owner=user))

    def named(self, name: str) -> Repository:
        """The repository `name`. Raises SourceError when there is no such one among these."""
        repository = self.select_related("live_snapshot").filter(name=name).first()
        if repository is None:
            names = ", ".join(self.values_list("name", flat=True)[:10])
            known = f"; there are {names}" if names else ""
            raise SourceError(f"There is no repository {name!r}{known}: index it with `manage.py index_repo`.")
        return repository

    def live_snapshot_of(self, name: str) -> Snapshot:
        """The snapshot that searches of the repository `name` use. Raises SourceError when there is no such one among these."""
        repository = self.named(name)
        if repository.live_snapshot is None:
            command = f"manage.py index_repo {repository.source} --name {name}"
            raise SourceError(f"{name} is not indexed yet: run `{command}`.")
        return repository.live_snapshot


class Repository(models.Model):
    """A source that is indexed under a name. `source` is an absolute folder or a git URL."""

    class Visibility(models.TextChoices):
        PRIVATE = "private"
        PUBLIC = "public"

    name = models.CharField(max_length=100, unique=True)
    source = models.CharField(max_length=1000)
    ref = models.CharField(
        max_length=250, blank=True, help_text="Branch, tag or commit; empty for the folder as it is, or HEAD."
    )
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    visibility = models.CharField(max_length=10, choices=Visibility, default=Visibility.PUBLIC)
    live_snapshot = models.ForeignKey("Snapshot", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = RepositoryQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "repositories"

    def __str__(self) -> str:
        return self.name

    def queue_build(self) -> IndexJob:
        """Have a worker index this repository again."""
        from indexer.queue import enqueue

        return enqueue(self)


class Snapshot(models.Model):
    """One published index of a repository: a directory under INDEX_ROOT that never changes, but for gaining its vectors."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    repository = models.ForeignKey(Repository, on_delete=models.CASCADE, related_name="snapshots")
    commit = models.CharField(max_length=64, blank=True, help_text="Empty when the folder is not under git.")
    ref = models.CharField(max_length=250, blank=True)
    dirty = models.BooleanField(default=False, help_text="The folder held changes that were not committed.")
    files = models.PositiveIntegerField(default=0)
    chunks = models.PositiveIntegerField(default=0)
    embedded = models.PositiveIntegerField(default=0, help_text="Chunks that have a vector in this snapshot.")
    skipped = models.JSONField(default=dict)
    redacted = models.JSONField(default=dict, help_text="How many secrets of each kind were taken out of the files.")
    allowed = models.JSONField(default=dict, help_text="How many were left in, as known false positives.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.repository} @ {self.commit[:7] or 'folder'}"

    @property
    def directory(self) -> Path:
        return Path(settings.INDEX_ROOT) / str(self.repository_id) / str(self.pk)


class SourceCheck(models.Model):
    """What the indexer has last seen of a repository's source, compared with one of its snapshots.

    A check that fails tells its `problem` beside what an earlier one has seen. docs/protocol.md tells what pages make of it.
    """

    repository = models.OneToOneField(Repository, on_delete=models.CASCADE, related_name="source_check")
    snapshot = models.ForeignKey(Snapshot, null=True, on_delete=models.CASCADE, related_name="+")
    commit = models.CharField(max_length=64, blank=True, help_text="What the source was at.")
    ref = models.CharField(max_length=250, blank=True)
    behind = models.PositiveIntegerField(null=True, help_text="Commits that the snapshot lacks; null where nobody can tell.")
    changed = models.JSONField(default=dict, help_text="By path, the blob that a file has now, or empty; the first of them.")
    changed_files = models.PositiveIntegerField(default=0)
    added_files = models.PositiveIntegerField(default=0)
    checked_at = models.DateTimeField(null=True, help_text="When the source was last seen.")
    problem = models.CharField(max_length=500, blank=True, help_text="Why it could not be seen since, in one sentence.")
    due_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.repository}: {self.behind} behind at {self.checked_at}"


class IndexJob(models.Model):
    """One build, waiting or running. A worker holds it by `lease_token` until `leased_until`."""

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        COMPLETED = "completed"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    repository = models.ForeignKey(Repository, on_delete=models.CASCADE, related_name="jobs")
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    stage = models.CharField(max_length=12, blank=True)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    message = models.TextField(blank=True, help_text="Why it failed, in one sentence.")
    attempts = models.PositiveSmallIntegerField(default=0)
    lease_token = models.UUIDField(null=True, blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)
    snapshot = models.ForeignKey(Snapshot, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    report = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.repository}: {self.state}"
