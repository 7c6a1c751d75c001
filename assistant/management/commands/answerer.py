"""`manage.py answerer`: the worker that answers questions. SIGTERM or Ctrl-C ends it and gives up what isn't finished."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from django.core.management.base import BaseCommand

from assistant.answerer import Answerer


class Command(BaseCommand):
    help = "Answer questions, until stopped."

    def handle(self, *args: Any, **options: Any) -> None:
        from assistant.answering import answer_question

        asyncio.run(serve(Answerer(answer_question)))


async def serve(answerer: Answerer) -> None:
    """Run `answerer` until the process is told to end."""
    loop = asyncio.get_running_loop()
    for ending in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(ending, answerer.stop)
    await answerer.run()
