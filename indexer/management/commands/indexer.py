"""manage.py indexer: the worker that builds what the page and other processes have asked for.

It takes tasks from django-tasks' queue "index", one at a time, and looks every ten seconds for jobs whose process has died. Run
as many of them as there are cores to spare, on any machine that shares the database and the index folder. Beside that it looks
at the sources of what is indexed, so that pages can tell how far an index is behind. What another version of Sextant has
indexed it indexes again.
SIGTERM and SIGINT end it at once, and its job goes back to the queue; after a SIGKILL another worker takes the job when its
lease has run out.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection
from django.utils.crypto import get_random_string
from django_tasks_db.management.commands.db_worker import Worker

from indexer import parser_process
from indexer.jobs import requeue_expired
from indexer.languages import LANGUAGES
from indexer.outdated import queue_outdated
from indexer.queue import QUEUE
from indexer.source_checks import SourceChecks
from indexer.vector_index import faiss_problem

logger = logging.getLogger(__name__)

LOOK_FOR_TASKS_S = 1.0
LOOK_FOR_EXPIRED_S = 10.0
LOOK_FOR_CHECKS_S = 3.0


class Command(BaseCommand):
    help = "Build what is queued, until SIGTERM or Ctrl-C."

    def handle(self, **options: Any) -> None:
        if problem := faiss_problem(settings.FAISS_DEVICE):
            raise CommandError(problem)
        try:
            # The first build then finds them ready, however small it is.
            parser_process.prepare(list(LANGUAGES), when_idle=True)
        except OSError as error:
            raise CommandError(f"The parsing processes can't be started: {error}.") from error
        worker = _Worker()
        worker.configure_signals()
        queue_outdated()
        for name, every_s, work in (
            ("requeue-expired", LOOK_FOR_EXPIRED_S, requeue_expired),
            ("check-sources", LOOK_FOR_CHECKS_S, SourceChecks().run),
        ):
            threading.Thread(target=_for_ever, args=(work, every_s), name=name, daemon=True).start()
        logger.info("the indexer waits for work")
        worker.run()


class _Worker(Worker):
    """django-tasks' own loop, but a signal ends the task too: a build that is stopped loses nothing."""

    def __init__(self) -> None:
        super().__init__(
            queue_names=[QUEUE],
            interval=LOOK_FOR_TASKS_S,
            batch=False,
            backend_name="default",
            startup_delay=False,
            max_tasks=None,
            worker_id=get_random_string(32),
            excluded_queue_names=[],
        )

    def shutdown(self, signum: int, frame: FrameType | None) -> NoReturn:
        self.running = False
        signal.signal(signum, signal.SIG_DFL)  # the second one doesn't wait
        raise SystemExit(0)


def _for_ever(work: Callable[[], object], every_s: float) -> None:
    pause = threading.Event()
    while True:
        try:
            work()
        except DatabaseError as error:
            logger.warning("the database could not be asked, trying again: %s", error)
        except OSError:
            logger.exception("what is done in the background failed, trying again")
        finally:
            connection.close()
        pause.wait(every_s)
