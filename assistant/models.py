"""What the database knows of conversations. An answer is the log of its events; the other columns are read from that log.

Every read of a conversation goes through `Conversation.objects.visible_to(user)`, and of one answer by its own address through
`Answer.objects.visible_to(user)`.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db import models

from assistant.fence import new_mark
from indexer.models import Repository, Snapshot
from indexer.types import Filters


class ConversationQuerySet(models.QuerySet["Conversation"]):
    def visible_to(self, user: Any) -> ConversationQuerySet:
        """The conversations that `user` may read: their own, on repositories that they may still read."""
        if not user.is_authenticated:
            return self.none()
        return self.filter(owner=user, repository__in=Repository.objects.visible_to(user))


class Conversation(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    repository = models.ForeignKey(Repository, on_delete=models.CASCADE, related_name="+")
    title = models.CharField(max_length=200)
    fence_mark = models.CharField(max_length=20, default=new_mark, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ConversationQuerySet.as_manager()

    class Meta:
        ordering = ["-updated_at"]

    def __str__(self) -> str:
        return self.title


class AnswerQuerySet(models.QuerySet["Answer"]):
    def visible_to(self, user: Any) -> AnswerQuerySet:
        """The answers that `user` may read by their address, whoever asked: those about repositories that they may read."""
        return self.filter(conversation__repository__in=Repository.objects.visible_to(user))


class Answer(models.Model):
    """A question and the answer to it. A worker holds it by `lease_token` until `leased_until`.

    `id` is chosen by the client, so that asking twice over a broken connection asks once.
    """

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        COMPLETED = "completed"
        FAILED = "failed"
        CANCELLED = "cancelled"

    class Route(models.TextChoices):
        AUTO = "auto"
        CODE = "code"
        GENERAL = "general"
        SEARCH = "search"

    FINAL_STATES = (State.COMPLETED, State.FAILED, State.CANCELLED)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="answers")
    number = models.PositiveIntegerField(help_text="1 for the conversation's first question.")
    question = models.TextField()
    requested_route = models.CharField(max_length=10, choices=Route, default=Route.AUTO)
    requested_model = models.CharField(max_length=200, blank=True)
    filters = models.JSONField(default=dict, blank=True, help_text="What the search keeps to: folder, languages, tests.")
    retry_of = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    reasked_of = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="reasks",
        help_text="The answer that this one stands beside: the same question, asked again of a newer snapshot.",
    )
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0)
    cancel_requested = models.BooleanField(default=False)
    lease_token = models.UUIDField(null=True, blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)
    last_seq = models.PositiveIntegerField(default=0)

    text = models.TextField(blank=True, help_text="The deltas since the last reset, joined; written when the answer ends.")
    route = models.CharField(max_length=10, blank=True)
    model = models.CharField(max_length=200, blank=True)
    snapshot = models.ForeignKey(Snapshot, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = AnswerQuerySet.as_manager()

    class Meta:
        ordering = ["created_at", "id"]
        indexes = [models.Index(fields=["state", "leased_until"])]

    def __str__(self) -> str:
        return self.question[:80]

    @property
    def search_filters(self) -> Filters:
        return Filters.from_json(self.filters)


class AnswerEvent(models.Model):
    """One entry of an answer's log. Only `assistant.events` writes and reads these; docs/protocol.md lists the kinds."""

    class Kind(models.TextChoices):
        STATUS = "status"
        ROUTE = "route"
        PASSAGES = "passages"
        PROMPT = "prompt"
        DELTA = "delta"
        CITATION = "citation"
        PLACE = "place"
        RESET = "reset"
        COMPLETED = "completed"
        FAILED = "failed"
        CANCELLED = "cancelled"

    answer = models.ForeignKey(Answer, on_delete=models.CASCADE, related_name="events")
    seq = models.PositiveIntegerField(help_text="1, 2, 3, … within one answer, without gaps.")
    kind = models.CharField(max_length=10, choices=Kind)
    payload = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["seq"]
        constraints = [models.UniqueConstraint(fields=["answer", "seq"], name="one_event_a_seq")]

    def __str__(self) -> str:
        return f"{self.seq} {self.kind}"


class SentPrompt(models.Model):
    """What a model was sent for an answer, which a `prompt` event tells by its hash. Goes with the answer.

    Only `assistant.sent_prompts` writes and reads these.
    """

    answer = models.ForeignKey(Answer, on_delete=models.CASCADE, related_name="+")
    sha256 = models.CharField(max_length=64, help_text="Of the request's body.")
    body = models.BinaryField(help_text="The request's body as it was sent, compressed by zlib.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["answer", "sha256"], name="one_body_a_hash")]

    def __str__(self) -> str:
        return self.sha256


class AnswerCitation(models.Model):
    """A citation of a finished answer, as its last `citation` event told it."""

    answer = models.ForeignKey(Answer, on_delete=models.CASCADE, related_name="citations")
    start = models.PositiveIntegerField(help_text="Where it stands in the answer's text, in code points.")
    number = models.PositiveIntegerField()
    path = models.CharField(max_length=1000)
    start_line = models.PositiveIntegerField()
    end_line = models.PositiveIntegerField()
    commit = models.CharField(max_length=64, blank=True)
    blob = models.CharField(max_length=64, blank=True)
    verified = models.BooleanField()
    reason = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["start", "number"]

    def __str__(self) -> str:
        return f"[{self.number}] {self.path}:{self.start_line}-{self.end_line}"


class ModelEndpoint(models.Model):
    """What the answerer last saw of a model server, so that the web process can tell without asking it.

    One row a route ("code", "general"). `state` is "ready", "downloading", "loading" or "unreachable"; `percent` counts
    while downloading; `demonstration` says that this model is too small for real answers.
    """

    route = models.CharField(max_length=10, primary_key=True)
    state = models.CharField(max_length=12)
    message = models.CharField(max_length=500, blank=True)
    percent = models.PositiveSmallIntegerField(null=True)
    model = models.CharField(max_length=200, blank=True)
    context_tokens = models.PositiveIntegerField(null=True)
    demonstration = models.BooleanField(default=False)
    seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.route}: {self.state}"
