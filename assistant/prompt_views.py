"""What did the model see: the exact prompt of an answer, for whoever may see the repository.

A prompt is text that others wrote (code, questions, old answers): it is shown as text, never read as HTML or Markdown, and its
plain forms are sent as what no browser renders.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from assistant.catalogue import Family, family_of
from assistant.models import Answer
from assistant.rendered_prompt import rendered
from assistant.sent_prompts import Sent, sent_for
from assistant.token_counter import estimated_tokens

NOT_KEPT = "What was sent isn't kept with this answer."


@dataclass(frozen=True, slots=True)
class ShownMessage:
    """tokens: its share of the prompt's, by its length, as it is written."""

    number: int
    role: str
    content: str
    tokens: str


@require_safe
@cache_control(no_store=True)
def prompt(request: HttpRequest, answer_id: UUID) -> HttpResponse:
    """Message by message, with what it was asked of. `?sent=N` shows the answer's N. request, else the last."""
    answer = _answer(request, answer_id)
    every = sent_for(answer)
    chosen = _chosen(every, request) if every else None
    return render(request, "prompt.html", _context(answer, every, chosen))


@require_safe
@cache_control(no_store=True)
def prompt_json(request: HttpRequest, answer_id: UUID) -> HttpResponse:
    """The request's body, byte for byte: its SHA-256 is the one that the log tells. 404 where there is none."""
    return HttpResponse(_body(request, answer_id).body, content_type="application/json")


@require_safe
@cache_control(no_store=True)
def prompt_txt(request: HttpRequest, answer_id: UUID) -> HttpResponse:
    """The messages as plain text, each under a line with its role. 404 where there is none."""
    messages = _body(request, answer_id).messages
    text = "\n".join(f"===== {message['role']} =====\n{message['content']}\n" for message in messages)
    return HttpResponse(text, content_type="text/plain; charset=utf-8")


def _answer(request: HttpRequest, answer_id: UUID) -> Answer:
    found = Answer.objects.visible_to(request.user).select_related("conversation__repository", "snapshot")
    return get_object_or_404(found, pk=answer_id)


def _chosen(every: list[Sent], request: HttpRequest) -> Sent:
    wanted = request.GET.get("sent", str(len(every)))
    for sent in every:
        if str(sent.number) == wanted:
            return sent
    raise Http404("No such request was sent for this answer.")


def _body(request: HttpRequest, answer_id: UUID) -> Sent:
    every = sent_for(_answer(request, answer_id))
    if not every or (sent := _chosen(every, request)).body is None:
        raise Http404(NOT_KEPT)
    return sent


def _context(answer: Answer, every: list[Sent], chosen: Sent | None) -> dict[str, Any]:
    snapshot = answer.snapshot
    return {
        "answer": answer,
        "repository": answer.conversation.repository.name,
        "snapshot": snapshot,
        "every": every,
        "sent": chosen,
        "nothing": _nothing(answer),
        **(told_of(chosen) if chosen else {}),
    }


def told_of(sent: Sent) -> dict[str, Any]:
    """What the page says of one request."""
    family = family_of(sent.told["model"])
    return {
        "messages": _messages(sent),
        "tokens": f"{sent.told['tokens']:,}",
        "sampling": {name: json.dumps(value, ensure_ascii=False) for name, value in sent.told["sampling"].items()}.items(),
        "chat_template": _template(family),
        "rendered": rendered(family, sent.messages) if sent.body is not None else None,
    }


def _messages(sent: Sent) -> list[ShownMessage]:
    lengths = [estimated_tokens(message["content"]) for message in sent.messages]
    share = sent.told["tokens"] / max(1, sum(lengths))
    return [
        ShownMessage(number, message["role"], message["content"], f"{round(length * share):,}")
        for number, (message, length) in enumerate(zip(sent.messages, lengths, strict=True), start=1)
    ]


def _template(family: Family) -> str:
    """Which chat template the server makes one text of the messages with, in a sentence."""
    if family.chat_template:
        return f"{family.chat_template}, where the server was started as “manage.py models serve” says."
    return "The model’s own, which its server applies."


def _nothing(answer: Answer) -> str:
    """Why no prompt is shown, in a sentence."""
    if answer.state not in Answer.FINAL_STATES:
        return "Nothing has been sent to a model yet: load this page again in a moment."
    if answer.route == Answer.Route.SEARCH:
        return "This was a search: no model was asked."
    return "No model was sent anything for this answer, or it was given before prompts were kept."
