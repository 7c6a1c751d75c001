"""`manage.py answerer`: the worker that answers questions. SIGTERM or Ctrl-C ends it and gives up what isn't finished.

Beside answering it keeps the ModelEndpoint rows up to date: the web process asks no model server, and by these rows the page
also sees that an answerer is alive.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from typing import Any

import uvloop
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from assistant import interpreter, route_model
from assistant.answerer import Answerer
from assistant.endpoints import watch_endpoints
from indexer.errors import IndexerError
from indexer.retriever import Retriever

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Answer questions, until stopped."

    def handle(self, *args: Any, **options: Any) -> None:
        from assistant.answering import answer_question, shared_retriever

        retriever = shared_retriever()
        if problem := retriever.problem():
            raise CommandError(problem)
        threading.Thread(target=warm_up, args=(retriever,), name="warm-up", daemon=True).start()
        interpreter.let_threads_take_turns()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(Answerer(answer_question)))


def warm_up(retriever: Retriever) -> None:
    """In a thread of its own: answering begins at once, and the first question finds torch, the embedder and what chooses its
    route loaded."""
    try:
        retriever.warm_up(settings.EMBEDDER)
    except IndexerError as error:
        logger.warning("searching without vectors: %s", error)
    route_model.warm_up()
    interpreter.settle()


async def serve(answerer: Answerer) -> None:
    """Run `answerer`, and watch the model servers, until the process is told to end."""
    loop = asyncio.get_running_loop()
    for ending in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(ending, answerer.stop)
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watch_endpoints())
        await answerer.run()
        watching.cancel()
