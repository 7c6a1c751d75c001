"""The web process: pages over HTTP, answers over one WebSocket. `uvicorn assistant.asgi:application` starts it.

It refuses to start where a check of assistant/checks.py fails, since uvicorn runs none by itself.
"""

# ruff: noqa: E402  (models may be imported only when Django is set up)

from __future__ import annotations

import os
import sys
import warnings

# whitenoise reads static files from the disk, which doesn't keep a coroutine waiting.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators", category=Warning)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "assistant.settings")
# Its threads come and go, and each would connect anew; the other processes keep a connection or two for themselves.
os.environ.setdefault("SEXTANT_DATABASE_POOL", "8")

from django.core.asgi import get_asgi_application

pages = get_asgi_application()

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.checks import run_checks
from django.urls import path

from assistant.checks import TAG
from assistant.consumers import ConversationConsumer
from assistant.interpreter import settle
from assistant.sign_in import SocketSignIn

if problems := run_checks(tags=[TAG]):
    sys.exit(f"Sextant can't start: {problems[0].msg}")

sockets = URLRouter([path("ws/", ConversationConsumer.as_asgi())])

application = ProtocolTypeRouter(
    {"http": pages, "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(SocketSignIn(sockets)))}
)

settle()
