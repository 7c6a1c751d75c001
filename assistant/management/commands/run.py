"""manage.py run: everything that a laptop needs, in one terminal, until Ctrl-C."""

from __future__ import annotations

import os
import shlex
import sys
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from assistant.errors import AssistantError
from assistant.process_runner import Runner, check_port

PACKAGED_EMBEDDERS = ("minilm", "hashing")


class Command(BaseCommand):
    help = "Run the page, the answerer, the indexer and (without SEXTANT_CODE_MODEL_URL) the embedded model, until Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--sample", action="store_true", help="Index this project's own source too, as a first repository.")

    def handle(self, *args: Any, sample: bool, **options: Any) -> None:
        commands = self._commands()
        try:
            check_port(settings.HOST, settings.PORT, "SEXTANT_PORT")
            if "model" in commands:
                check_port(settings.EMBEDDED_HOST, settings.EMBEDDED_PORT, "SEXTANT_EMBEDDED_PORT")
        except AssistantError as error:
            raise CommandError(str(error)) from error
        call_command("prepare")
        if sample:
            call_command("queue_index", settings.BASE_DIR, name="sextant")
        runner = Runner(commands, {name: self._environment(name) for name in commands}, _url())
        runner.loop()

    def _commands(self) -> dict[str, str]:
        where = f"--host {settings.HOST} --port {settings.PORT}"
        web = f"-m uvicorn assistant.asgi:application {where} --lifespan off --log-level warning"
        commands = {"web": web, "answerer": "manage.py answerer", "indexer": "manage.py indexer"}
        if settings.EMBEDDED_MODEL != "off" and not settings.CODE_MODEL_URL:
            commands["model"] = "manage.py model_server"
        # `exec`: the shell that Honcho starts becomes the program, and there is one process less.
        return {name: f"exec {shlex.quote(sys.executable)} {command}" for name, command in commands.items()}

    def _environment(self, name: str) -> dict[str, str]:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        if settings.OFFLINE or (name != "model" and settings.EMBEDDER in PACKAGED_EMBEDDERS):
            environment["HF_HUB_OFFLINE"] = "1"
        return environment


def _url() -> str:
    host = {"0.0.0.0": "localhost", "::": "localhost"}.get(settings.HOST, settings.HOST)  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.PORT}"
