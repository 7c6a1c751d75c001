"""Who is asking. Two ways, chosen by SEXTANT_SIGN_IN:

* "required": Django's accounts; every page but the sign-in page and /healthz needs one.
* "free": for a laptop. Everybody is the user "local", without a password, and that is safe only because nobody else can
  reach the server: it listens on a loopback address (assistant/checks.py refuses anything else), the Host must be a
  loopback name (so another site can't point its own name here), and a WebSocket must come from this very page's origin
  (so another program's page on another port can't open one).

The middleware and the WebSocket wrapper below apply the same rule.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.urls import reverse
from django.utils.functional import SimpleLazyObject

Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[Any]]

LOCAL_USER = "local"
NAME_AND_PORT = re.compile(r"([a-z0-9.-]+|\[[a-z0-9:.]+\])(?::[0-9]+)?", re.IGNORECASE)


def is_loopback(host: str) -> bool:
    """Whether `host` (a name or address, with or without a port) can only mean this machine."""
    match = NAME_AND_PORT.fullmatch(host)
    name = match[1].strip("[]") if match else host  # an IPv6 address without brackets has no port
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def local_user() -> User:
    """The user that everybody is on a laptop, made on first use. It has no password, so nobody can sign in as it."""
    user, made = User.objects.get_or_create(username=LOCAL_USER)
    if made:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    return user


class SignInMiddleware(LoginRequiredMiddleware):
    """After AuthenticationMiddleware: request.user is the local user, or must have signed in."""

    def process_view(
        self, request: HttpRequest, view_func: Callable[..., Any], view_args: Any, view_kwargs: Any
    ) -> HttpResponseBase | None:
        if settings.SIGN_IN == "free":
            if not is_loopback(request.get_host()):
                raise PermissionDenied("Without sign-in this page opens only under localhost.")
            # Lazy, so that /healthz can say by itself that the database doesn't answer.
            request.user = SimpleLazyObject(local_user)  # type: ignore[assignment]
            return None
        to_sign_in = super().process_view(request, view_func, view_args, view_kwargs)
        if to_sign_in is not None and _is_script(request):
            return JsonResponse({"message": "Sign in first."}, status=401)
        return to_sign_in


def _is_script(request: HttpRequest) -> bool:
    """Whether a page's script asks: it would follow a redirect to the sign-in page, and take that for success."""
    preferred = request.get_preferred_type(["text/html", "application/json"])
    return request.path == reverse("status") or preferred == "application/json"


class SocketSignIn:
    """Inside AuthMiddlewareStack: scope["user"] is the local user, a signed-in user, or anonymous."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> Any:
        if settings.SIGN_IN == "free":
            user = await database_sync_to_async(local_user)() if from_local_page(scope) else AnonymousUser()
            scope = {**scope, "user": user}
        return await self._application(scope, receive, send)


def from_local_page(scope: Scope) -> bool:
    """Whether a WebSocket was opened by a page that this server itself served, on this machine."""
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    host = headers.get(b"host", "")
    return is_loopback(host) and urlsplit(headers.get(b"origin", "")).netloc == host
