"""What must hold before the web process may start; each failure is one sentence. Run by manage.py and by assistant/asgi.py."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from assistant.sign_in import is_loopback

TAG = "sextant"


@register(TAG)
def free_sign_in_stays_on_this_machine(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    if settings.SIGN_IN != "free" or is_loopback(settings.HOST):
        return []
    return [
        Error(
            f"SEXTANT_SIGN_IN=free lets everybody in who reaches the server, and SEXTANT_HOST={settings.HOST} lets other "
            "machines reach it: set SEXTANT_SIGN_IN=required or SEXTANT_HOST=127.0.0.1.",
            id="sextant.E001",
        )
    ]
