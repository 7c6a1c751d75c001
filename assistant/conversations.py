"""What a person does to conversations: ask, try again, ask again at HEAD, stop, rename, delete. Sync; one transaction each.

Every function takes the user and goes through `visible_to`: what they may not see does not exist for them, and the
BadRequest that they get is the same in both cases.

An answer that no worker holds is the web process's to end; one that is held is only asked to stop, since a log has one
writer at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from assistant import events, leases
from assistant.errors import BadRequest
from assistant.messages import Ask, Retry
from assistant.models import Answer, Conversation
from indexer.models import Repository

QUEUED = ("status", {"stage": "queued", "message": "Waiting for its turn.", "percent": None})


@dataclass(frozen=True, slots=True)
class Asked:
    """Where a question has gone."""

    answer: UUID
    conversation: UUID
    title: str


def title_of(question: str) -> str:
    """The first line of a question, cut at a word near 80 characters."""
    line = question.strip().splitlines()[0].strip()
    return line if len(line) <= 80 else line[:79].rsplit(" ", 1)[0].rstrip(" ,;:") + "…"


def ask(user: Any, message: Ask) -> Asked:
    """Put a question into the queue. Asking twice under one id asks once. BadRequest says why it can't be asked."""
    if (asked := _already_asked(user, message.answer)) is not None:
        return asked
    try:
        with transaction.atomic():
            conversation = _conversation_for(user, message)
            _must_be_searchable(conversation.repository)
            return _enqueue(
                Answer(
                    id=message.answer,
                    conversation=conversation,
                    number=(conversation.answers.aggregate(last=Max("number"))["last"] or 0) + 1,
                    question=message.question,
                    requested_route=message.route,
                    requested_model=message.model,
                    filters=message.filters.as_json(),
                )
            )
    except IntegrityError:
        return _asked_meanwhile(user, message.answer)


def retry(user: Any, message: Retry) -> Asked:
    """Ask a question of `user`'s again, under a new id. The old answer stays. BadRequest as in `ask`."""
    if (asked := _already_asked(user, message.answer)) is not None:
        return asked
    try:
        with transaction.atomic():
            old = _answer_of(user, message.of)
            _must_be_searchable(_locked(user, old.conversation_id).repository)
            return _enqueue(
                Answer(
                    id=message.answer,
                    conversation=old.conversation,
                    number=old.number,
                    question=old.question,
                    requested_route=message.route or old.requested_route,
                    requested_model=old.requested_model if message.model is None else message.model,
                    filters=old.filters,
                    retry_of=old,
                )
            )
    except IntegrityError:
        return _asked_meanwhile(user, message.answer)


def reask(user: Any, answer_id: UUID, of: UUID) -> Asked:
    """Ask the question of a finished answer again, of the snapshot that is live now: a new answer beside the old one.

    It joins the conversation of the old one where that is `user`'s, and else begins one of theirs: whoever may read an answer
    may ask it again. BadRequest as in `ask`.
    """
    if (asked := _already_asked(user, answer_id)) is not None:
        return asked
    try:
        with transaction.atomic():
            old = Answer.objects.visible_to(user).select_related("conversation__repository").filter(pk=of).first()
            if old is None:
                raise BadRequest("There is no such answer.")
            if old.state not in Answer.FINAL_STATES:
                raise BadRequest("This answer isn't finished yet: ask it again when it is.")
            _must_be_searchable(old.conversation.repository)
            conversation = _beside(user, old)
            return _enqueue(
                Answer(
                    id=answer_id,
                    conversation=conversation,
                    number=old.number if conversation == old.conversation else 1,
                    question=old.question,
                    requested_route=old.requested_route,
                    requested_model=old.requested_model,
                    filters=old.filters,
                    reasked_of=old,
                )
            )
    except IntegrityError:
        return _asked_meanwhile(user, answer_id)


def _beside(user: Any, old: Answer) -> Conversation:
    if old.conversation.owner_id == user.pk:
        return _locked(user, old.conversation_id)
    return Conversation.objects.create(owner=user, repository=old.conversation.repository, title=title_of(old.question))


def stop(user: Any, answer_id: UUID) -> UUID:
    """Stop an answer, and return its conversation. One that has ended stays as it is."""
    with transaction.atomic():
        answer = _answer_of(user, answer_id)
        Answer.objects.filter(pk=answer_id).exclude(state__in=Answer.FINAL_STATES).update(cancel_requested=True)
        leases.cancel_unheld(answer_id)
    return answer.conversation_id


def rename(user: Any, conversation_id: UUID, title: str) -> str:
    """Give a conversation a title, and return it as it was stored. BadRequest when it is empty or there is none such."""
    title = " ".join(events.storable(title).split())[:200]
    if not title:
        raise BadRequest("A conversation needs a title.")
    # Not save(): renaming must not move the conversation to the top of the list.
    if not Conversation.objects.visible_to(user).filter(pk=conversation_id).update(title=title):
        raise BadRequest("There is no such conversation.")
    return title


def delete(user: Any, conversation_id: UUID) -> None:
    """Delete a conversation and its answers; a worker that writes one of them loses its lease. BadRequest if none such."""
    with transaction.atomic():
        conversation = _locked(user, conversation_id)
        # Locked too, in the workers' order: a worker that writes now would leave events without an answer.
        list(conversation.answers.select_for_update().order_by("pk").values_list("pk"))
        conversation.delete()


def _already_asked(user: Any, answer_id: UUID) -> Asked | None:
    answer = Answer.objects.select_related("conversation").filter(pk=answer_id).first()
    if answer is None:
        return None
    if not Conversation.objects.visible_to(user).filter(pk=answer.conversation_id).exists():
        raise BadRequest("This answer's id is taken: choose another.")
    return Asked(answer.pk, answer.conversation_id, answer.conversation.title)


def _asked_meanwhile(user: Any, answer_id: UUID) -> Asked:
    """The same message came over two connections at once, and the other one was first."""
    asked = _already_asked(user, answer_id)
    if asked is None:
        raise BadRequest("The conversation is gone.")
    return asked


def _conversation_for(user: Any, message: Ask) -> Conversation:
    if message.conversation is None:
        if not message.repository:
            raise BadRequest("Say which repository the question is about.")
        repository = Repository.objects.visible_to(user).filter(name=message.repository).first()
        if repository is None:
            raise BadRequest(f"There is no repository {message.repository!r}.")
        return Conversation.objects.create(owner=user, repository=repository, title=title_of(message.question))
    found = _locked(user, message.conversation)
    if message.repository and message.repository != found.repository.name:
        raise BadRequest(f"This conversation is about {found.repository.name}: begin a new one for {message.repository}.")
    return found


def _locked(user: Any, conversation_id: UUID) -> Conversation:
    """The conversation, which nobody else adds to or deletes until the transaction ends: its numbers stay distinct."""
    found = Conversation.objects.visible_to(user).select_for_update(of=("self",)).filter(pk=conversation_id).first()
    if found is None:
        raise BadRequest("There is no such conversation.")
    return found


def _must_be_searchable(repository: Repository) -> None:
    if repository.live_snapshot_id is None:
        raise BadRequest(f"{repository.name} is not indexed yet: ask as soon as its files have been read.")


def _answer_of(user: Any, answer_id: UUID) -> Answer:
    answer = (
        Answer.objects.select_related("conversation__repository")
        .filter(pk=answer_id, conversation__in=Conversation.objects.visible_to(user))
        .first()
    )
    if answer is None:
        raise BadRequest("There is no such answer.")
    return answer


def _enqueue(answer: Answer) -> Asked:
    conversation = answer.conversation
    answer.save(force_insert=True)
    events.append(answer, [QUEUED])
    Conversation.objects.filter(pk=conversation.pk).update(updated_at=timezone.now())
    return Asked(answer.pk, conversation.pk, conversation.title)
