"""Which model servers answer a route, and whether they are ready.

Code questions go to SEXTANT_CODE_MODEL_URL, or to the embedded server; general ones to SEXTANT_GENERAL_MODEL_URL, or to
wherever code questions go; each route has a fallback (assistant/fallback.py). The answerer watches both routes and writes what
it sees into ModelEndpoint rows, because the web process asks no model server: about every second while a model is not ready,
and every ten seconds once it is.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import httpx
from channels.db import database_sync_to_async
from django.conf import settings
from django.db import Error as DatabaseError
from django.utils import timezone

from assistant.chat import Endpoint, ModelInfo, Timeouts
from assistant.chat_model import describe, http_client
from assistant.errors import ModelError, ModelLoading, ModelUnreachable
from assistant.models import ModelEndpoint

logger = logging.getLogger(__name__)

ROUTES = ("code", "general")
NO_MODEL = "No model is set up; set SEXTANT_CODE_MODEL_URL, or leave SEXTANT_EMBEDDED_MODEL on. Search works without."
POLL_S = 1.0
POLL_READY_S = 10.0
# status.json believes rows that are at most 10 s old, so they are renewed more often than a ready server is asked.
RENEW_S = 3.0
# For the same reason a server that hangs is given up soon; it is asked twice in a look.
LOOK_TIMEOUTS = Timeouts(connect_s=3.0, metadata_s=3.0)


def timeouts() -> Timeouts:
    return Timeouts(
        connect_s=settings.CONNECT_TIMEOUT_S,
        first_token_s=settings.FIRST_TOKEN_TIMEOUT_S,
        gap_s=settings.TOKEN_GAP_TIMEOUT_S,
    )


def timeouts_of(endpoint: Endpoint) -> Timeouts:
    """On a laptop one answer's tokens wait while the prompt of another is read."""
    given = timeouts()
    return replace(given, gap_s=max(given.gap_s, given.first_token_s)) if endpoint.embedded else given


def endpoint_for(route: str) -> Endpoint:
    """Where questions of a route go. Raises ModelUnreachable when no model is set up for it."""
    if route == "general" and settings.GENERAL_MODEL_URL:
        return _from_settings("GENERAL_MODEL")
    if settings.CODE_MODEL_URL:
        return _from_settings("CODE_MODEL")
    if settings.EMBEDDED_MODEL == "off":
        raise ModelUnreachable(NO_MODEL)
    return Endpoint(f"http://{settings.EMBEDDED_HOST}:{settings.EMBEDDED_PORT}", embedded=True)


def fallback_for(route: str) -> Endpoint | None:
    """Who answers a route's questions when its own server can't: what the settings say, or the other route's model."""
    own = f"{route.upper()}_FALLBACK"
    if getattr(settings, f"{own}_URL") == "off":
        return None
    if getattr(settings, f"{own}_URL"):
        return _from_settings(own)
    try:
        return endpoint_for(_other(route))
    except ModelUnreachable:
        return None


def moderation_endpoint() -> Endpoint:
    """Where moderation is asked for; only where it is set up."""
    return _from_settings("MODERATION")


def is_general_model(endpoint: Endpoint) -> bool:
    """Whether this is where the general model is, and the code model isn't: it may answer in the code model's place."""
    if not settings.GENERAL_MODEL_URL:
        return False
    code, general = _from_settings("CODE_MODEL"), _from_settings("GENERAL_MODEL")
    return endpoint == general != code or endpoint.url == general.url != code.url


def _from_settings(prefix: str) -> Endpoint:
    url, name, key = (getattr(settings, f"{prefix}_{part}") for part in ("URL", "NAME", "API_KEY"))
    return Endpoint(url.rstrip("/").removesuffix("/v1").rstrip("/"), name, key, getattr(settings, f"{prefix}_CONTEXT", 0))


def _other(route: str) -> str:
    return "general" if route == "code" else "code"


def endpoints_for(route: str, model: str = "") -> list[Endpoint]:
    """Where to ask, best first. Raises ModelUnreachable when there is nowhere.

    A model that was asked for by name may be served for the other route, and no other model answers in its place.
    """
    if model:
        places = [replace(endpoint_for(each), name=model) for each in (route, _other(route))]
    elif fallback := fallback_for(route):
        try:
            places = [endpoint_for(route), fallback]
        except ModelUnreachable:
            places = [fallback]
    else:
        places = [endpoint_for(route)]
    return list(dict.fromkeys(places))


# --- what the web process reads ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seen:
    """How a route's model server looked when it was last asked. Ready with a message: its fallback is."""

    state: str
    message: str = ""
    percent: int | None = None
    model: str = ""
    context_tokens: int | None = None
    demonstration: bool = False


async def watch_endpoints() -> None:
    """Keep the ModelEndpoint rows up to date until cancelled. A database that fails is tried again."""
    watches = [_Watch(route) for route in ROUTES]
    async with http_client(LOOK_TIMEOUTS) as client:
        while True:
            await asyncio.gather(*(watch.look(client) for watch in watches))
            try:
                await database_sync_to_async(_write)({watch.route: watch.seen for watch in watches})
            except DatabaseError as error:
                logger.warning("can't write the state of the model servers: %s", error)
            ready = all(watch.seen.state == "ready" for watch in watches)
            await asyncio.sleep(RENEW_S if ready else POLL_S)


class _Watch:
    """One route's server: asked when it is due."""

    def __init__(self, route: str) -> None:
        self.route = route
        self.seen = Seen("unreachable")
        self._due = 0.0

    async def look(self, client: httpx.AsyncClient) -> None:
        if time.monotonic() < self._due:
            return
        before, self.seen = self.seen, await look(client, self.route)
        well = self.seen.state == "ready" and not self.seen.message
        self._due = time.monotonic() + (POLL_READY_S if well else POLL_S)
        if (before.state, before.model) != (self.seen.state, self.seen.model):
            logger.info("%s model is %s: %s", self.route, self.seen.state, self.seen.model or self.seen.message)


async def look(client: httpx.AsyncClient, route: str) -> Seen:
    """Ask the route's server once, and where it isn't ready its fallback, which then answers."""
    try:
        first, *others = endpoints_for(route)
    except ModelError as error:
        return Seen("unreachable", str(error))
    seen = await _look_at(client, first)
    if seen.state != "ready":
        for endpoint in others:
            instead = await _look_at(client, endpoint)
            if instead.state == "ready":
                return replace(instead, message=f"{instead.model} answers for now. {seen.message}")
    return seen


async def _look_at(client: httpx.AsyncClient, endpoint: Endpoint) -> Seen:
    try:
        info: ModelInfo = await describe(client, endpoint)
    except ModelLoading as error:
        state = "loading" if error.percent is None else "downloading"
        return Seen(state, str(error), error.percent)
    except ModelError as error:
        return Seen("unreachable", str(error))
    return Seen("ready", "", None, info.name, info.context_tokens, info.demonstration)


def _write(seen: Mapping[str, Seen]) -> None:
    """One statement, so that two answerers don't collide."""
    rows = [
        ModelEndpoint(
            route=route,
            state=each.state,
            message=each.message[:500],
            percent=each.percent,
            model=each.model[:200],
            context_tokens=each.context_tokens,
            demonstration=each.demonstration,
            seen_at=timezone.now(),
        )
        for route, each in seen.items()
    ]
    fields = ["state", "message", "percent", "model", "context_tokens", "demonstration", "seen_at"]
    ModelEndpoint.objects.bulk_create(rows, update_conflicts=True, unique_fields=["route"], update_fields=fields)
