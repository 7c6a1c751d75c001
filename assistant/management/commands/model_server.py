"""manage.py model_server: serve the embedded model on SEXTANT_EMBEDDED_HOST:SEXTANT_EMBEDDED_PORT."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from assistant import model_server
from assistant.errors import AssistantError
from assistant.weights import available_memory_bytes, choose
from assistant.weights_sources import network_sources


class Command(BaseCommand):
    help = "Serve the embedded model over OpenAI's protocol; fetches its weights first where they are missing."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.EMBEDDED_MODEL == "off":
            raise CommandError("SEXTANT_EMBEDDED_MODEL is off, so there is nothing to serve.")
        choice = choose(settings.EMBEDDED_MODEL, available_memory_bytes(), os.cpu_count() or 1)
        if choice.reason:
            self.stderr.write(f"{choice.reason} {choice.weights.title} answers, which only demonstrates.")
        fetcher = model_server.Fetcher(
            cache_dir=settings.CACHE_DIR,
            sources=() if settings.OFFLINE else network_sources(),
            given=Path(settings.EMBEDDED_WEIGHTS) if settings.EMBEDDED_WEIGHTS else None,
        )
        try:
            model_server.run(
                settings.EMBEDDED_HOST, settings.EMBEDDED_PORT, choice, fetcher, context_tokens=settings.EMBEDDED_CONTEXT
            )
        except AssistantError as error:
            raise CommandError(str(error)) from error
