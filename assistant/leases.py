"""Who may write an answer: claim, write, release. The database side of the answerer, sync, one transaction each.

A claim is a conditional UPDATE whose row count is checked, so of two workers that see the same answer one gets it. The
claim gives a token; every write names it, and finds no row once another worker has taken the answer over. Times are the
database's own, so that the clocks of two machines don't matter.

An answer that is claimed again begins with `reset`: what the lost worker wrote is void. A worker that leaves in good order
(`release`) gives its try back; one that just vanishes has used it up, and after SEXTANT_ANSWER_ATTEMPTS of those the answer
fails, since a question that kills workers would otherwise kill them all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from assistant import events, sent_prompts
from assistant.answer_log import AnswerJob, Shown, Turn
from assistant.events import AnswerSoFar, Event
from assistant.models import Answer
from indexer.types import Cited

INTERRUPTED = "The answer was interrupted {tries} times: try again, or look at the answerer's log."
NO_SNAPSHOT = "This repository has no index at the moment: ask again when it has been indexed."


@dataclass(frozen=True, slots=True)
class Claim:
    """An answer that is ours to write until the lease ends. job None: it has ended already, in this very claim.

    seq: the answer's last event. events: those that claiming wrote.
    """

    token: UUID
    conversation: UUID
    job: AnswerJob | None
    seq: int
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Work:
    """What a worker has to write for one answer.

    after: the last event that the worker knows to be written. Where the log is further than that, a write that seemed to
    fail did succeed (a connection can break after the commit), and the first of `entries` are in it already.
    told: the whole log's fold when `entries` end it, else None. bodies: what `prompt` entries tell the hashes of.
    """

    token: UUID
    after: int
    entries: Sequence[tuple[str, Mapping[str, Any]]] = ()
    told: AnswerSoFar | None = None
    bodies: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Written:
    """What came of a write. Answers that are neither lost nor in `events` had nothing to write, but keep their lease."""

    events: Mapping[UUID, tuple[Event, ...]]
    lost: frozenset[UUID]
    cancel_requested: frozenset[UUID]


def _lease_end() -> Any:
    return Now() + timedelta(seconds=settings.ANSWER_LEASE_S)


_EXPIRED = Q(state=Answer.State.RUNNING, leased_until__lt=Now())


def claim(limit: int) -> list[Claim]:
    """Take up to `limit` answers that wait, or whose worker was lost, oldest first."""
    waiting = Answer.objects.filter(Q(state=Answer.State.QUEUED) | _EXPIRED).order_by("created_at", "pk")
    claims = (_claim(answer) for answer in waiting.values_list("pk", flat=True)[:limit])
    return [claim for claim in claims if claim is not None]


def _claim(answer_id: UUID) -> Claim | None:
    token = uuid4()
    with transaction.atomic():
        again = False
        if not _take(Answer.objects.filter(pk=answer_id, state=Answer.State.QUEUED), token):
            again = _take(Answer.objects.filter(_EXPIRED, pk=answer_id), token)
            if not again:
                return None
        answer = Answer.objects.select_related("conversation__repository__live_snapshot", "snapshot").get(pk=answer_id)
        if (end := _end_at_once(answer)) is not None:
            ended = tuple(events.append(answer, [end]))
            return Claim(token, answer.conversation_id, None, answer.last_seq, ended)
        begun = tuple(events.append(answer, [_reset(answer)])) if again else ()
        return Claim(token, answer.conversation_id, _job(answer), answer.last_seq, begun)


def _take(condition: QuerySet[Answer], token: UUID) -> bool:
    taken = condition.update(
        state=Answer.State.RUNNING, lease_token=token, leased_until=_lease_end(), attempts=F("attempts") + 1
    )
    return taken == 1


def _end_at_once(answer: Answer) -> tuple[str, dict[str, Any]] | None:
    if answer.cancel_requested:
        return "cancelled", {}
    if answer.attempts > settings.ANSWER_ATTEMPTS:
        message = INTERRUPTED.format(tries=answer.attempts - 1)
        return "failed", {"code": "interrupted", "message": message}
    if answer.snapshot is None and answer.conversation.repository.live_snapshot is None:
        return "failed", {"code": "internal", "message": NO_SNAPSHOT}
    return None


def _reset(answer: Answer) -> tuple[str, dict[str, Any]]:
    resets = answer.events.filter(kind="reset").count()
    return "reset", {"attempt": resets + 2, "reason": "The worker that wrote this was lost; the answer starts again."}


def _job(answer: Answer) -> AnswerJob:
    """The job of a claimed answer, which is tied to the live snapshot of this moment, if it isn't tied to one yet."""
    repository = answer.conversation.repository
    if answer.snapshot is None:
        answer.snapshot = repository.live_snapshot
        answer.save(update_fields=["snapshot"])
    snapshot = answer.snapshot
    assert snapshot is not None  # _end_at_once has seen to that
    told = _told_before(answer)
    return AnswerJob(
        answer_id=answer.pk,
        question=answer.question,
        history=_history_of(told),
        requested_route=answer.requested_route,
        requested_model=answer.requested_model,
        repository=repository.name,
        snapshot_id=snapshot.pk,
        snapshot_dir=snapshot.directory,
        commit=snapshot.commit,
        ref=snapshot.ref,
        dirty=snapshot.dirty,
        attempt=answer.attempts,
        filters=answer.search_filters,
        shown=_shown_by(told[-1]) if told and told[-1].snapshot_id == snapshot.pk else (),
        fence_mark=answer.conversation.fence_mark,
    )


def _told_before(answer: Answer) -> list[Answer]:
    """The answers before `answer` that have a text, oldest first; of a question that was tried again, the last try.

    One that is asked again follows what the first one followed, and what stands beside an answer is no turn of its own.
    """
    while answer.reasked_of is not None:
        answer = answer.reasked_of
    earlier = (
        Answer.objects.filter(conversation=answer.conversation_id, number__lt=answer.number, state__in=Answer.FINAL_STATES)
        .exclude(reasked_of__conversation=F("conversation"))
        .order_by("number", "created_at")
    )
    return [old for old in _last_tries(earlier) if old.text]


def _history_of(told: Sequence[Answer]) -> tuple[Turn, ...]:
    # A follow-up means what the last answer cited, so only that is read.
    return tuple(Turn(old.question, old.text, old.route, _cited_by(old) if old is told[-1] else ()) for old in told)


def _shown_by(answer: Answer) -> tuple[Shown, ...]:
    """What its prompt showed, in its order."""
    last = answer.events.filter(kind="passages").order_by("-seq").first()
    return Shown.all_in(last.payload) if last else ()


def _cited_by(answer: Answer) -> tuple[Cited, ...]:
    return tuple(Cited(cited.path, cited.start_line, cited.end_line) for cited in answer.citations.order_by("start", "number"))


def _last_tries(answers: Iterable[Answer]) -> list[Answer]:
    latest: dict[int, Answer] = {}
    for answer in answers:
        if answer.text or answer.number not in latest:
            latest[answer.number] = answer
    return list(latest.values())


def write(work: Iterable[Work]) -> Written:
    """Write the entries of many answers, and renew their leases, in one transaction."""
    by_token = {item.token: item for item in work}
    bodies = {item.token: sent_prompts.compressed(item.bodies) for item in by_token.values() if item.bodies}
    with transaction.atomic():
        # Locked in one order, so that two workers can't wait for each other.
        locked = Answer.objects.select_for_update().filter(lease_token__in=by_token)
        held = list(locked.only("lease_token", "last_seq", "cancel_requested").order_by("pk"))
        fresh = {_token(answer): _number(answer, by_token[_token(answer)]) for answer in held}
        events.write(event for added in fresh.values() for event in added)
        sent_prompts.write({answer.pk: bodies[_token(answer)] for answer in held if _token(answer) in bodies})
        _renew({answer.pk: len(fresh[_token(answer)]) for answer in held})
        for answer in held:
            if (told := by_token[_token(answer)].told) is not None:
                events.finish(answer, told)
    return Written(
        events={token: added for token, added in fresh.items() if added},
        lost=frozenset(by_token.keys() - fresh.keys()),
        cancel_requested=frozenset(token for token, answer in zip(fresh, held, strict=True) if answer.cancel_requested),
    )


def _renew(added: Mapping[UUID, int]) -> None:
    """Renew leases, and count the events added to each log: a statement for each number of them, and most logs grow alike."""
    by_number: dict[int, list[UUID]] = defaultdict(list)
    for answer, number in added.items():
        by_number[number].append(answer)
    for number, answers in by_number.items():
        Answer.objects.filter(pk__in=answers).update(last_seq=F("last_seq") + number, leased_until=_lease_end())


def _number(answer: Answer, item: Work) -> tuple[Event, ...]:
    """The events that `item` adds to the answer, whose `last_seq` is moved."""
    unwritten = item.entries[answer.last_seq - item.after :]
    fresh = tuple(events.number(answer.pk, answer.last_seq, unwritten))
    answer.last_seq += len(fresh)
    return fresh


def _token(answer: Answer) -> UUID:
    assert answer.lease_token is not None
    return answer.lease_token


def look(tokens: Collection[UUID]) -> Written:
    """`write` without writing: which answers are lost or asked to stop."""
    held = dict(Answer.objects.filter(lease_token__in=tokens).values_list("lease_token", "cancel_requested"))
    return Written({}, frozenset(tokens) - held.keys(), frozenset(token for token, stop in held.items() if stop and token))


def release(tokens: Collection[UUID]) -> int:
    """Give up answers that aren't finished, so that another worker takes them at once. Returns how many."""
    return Answer.objects.filter(lease_token__in=tokens).update(
        lease_token=None, leased_until=Now() - timedelta(seconds=1), attempts=F("attempts") - 1
    )


def cancel_unheld(answer_id: UUID) -> list[Event]:
    """End an answer that no worker holds: it waits, or its worker was lost. For the process that was told to stop it."""
    token = uuid4()
    with transaction.atomic():
        unheld = Q(state=Answer.State.QUEUED) | _EXPIRED
        if not _take(Answer.objects.filter(unheld, pk=answer_id), token):
            return []
        return events.append(Answer.objects.get(pk=answer_id), [("cancelled", {})])
