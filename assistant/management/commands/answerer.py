"""`manage.py answerer`: the worker that answers questions. SIGTERM or Ctrl-C ends it and gives up what isn't finished.

Beside answering it keeps the ModelEndpoint rows up to date: the web process asks no model server, and by these rows the page
also sees that an answerer is alive.
"""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from django.core.management.base import BaseCommand

from assistant.answerer import Answerer
from assistant.endpoints import watch_endpoints


class Command(BaseCommand):
    help = "Answer questions, until stopped."

    def handle(self, *args: Any, **options: Any) -> None:
        from assistant.answering import answer_question

        asyncio.run(serve(Answerer(answer_question)))


async def serve(answerer: Answerer) -> None:
    """Run `answerer`, and watch the model servers, until the process is told to end."""
    loop = asyncio.get_running_loop()
    for ending in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(ending, answerer.stop)
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watch_endpoints())
        await answerer.run()
        watching.cancel()
