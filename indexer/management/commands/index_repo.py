"""manage.py index_repo SOURCE: index a folder or a git repository in this process, and return when search has all it can have.

The same name always means the same source. Running it again brings the index up to date; Ctrl-C leaves the index as it was,
and the next run goes on with the vectors that were made.

With --watch it stays, and indexes a folder again whenever it has changed. What goes wrong in one round is told, and the next
change tries again. Ctrl-C is how a watch ends, so once the first round is done it ends with 0.
"""

from __future__ import annotations

import json
import re
import signal
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from time import sleep
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar

from indexer.errors import IndexerError, RepositoryBusy, SourceError
from indexer.jobs import OnProgress, run_now
from indexer.management.command_line import BAD_USAGE
from indexer.models import Repository, Snapshot
from indexer.snapshot_locks import MANIFEST
from indexer.source import is_url
from indexer.types import BuildReport, Progress
from indexer.vector_index import faiss_problem

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_BUSY_POLL_S = 1.0
_STAGES = {
    "reading": "Reading the source",
    "parsing": "Parsing files",
    "publishing": "Publishing",
    "embedding": "Embedding chunks (search works already)",
    "done": "Done",
}


class Command(BaseCommand):
    help = "Index a folder or a git repository under a name, and print what was indexed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", help="a folder, or a git URL")
        parser.add_argument("--name", type=_valid_name, help="what to call it (default: the folder's or the URL's name)")
        parser.add_argument("--ref", default="", help="branch, tag or commit (default: the folder as it is, or a URL's HEAD)")
        parser.add_argument("--json", action="store_true", dest="as_json", help="print one last line of JSON")
        parser.add_argument("--watch", action="store_true", help="stay, and index the folder again whenever it has changed")

    def handle(self, *, source: str, name: str | None, ref: str, as_json: bool, watch: bool, **options: Any) -> None:
        if watch and (ref or not Path(source).expanduser().is_dir()):
            raise CommandError("--watch needs a folder, as it is: without --ref.", returncode=BAD_USAGE)
        console = Console(stderr=True)

        def index() -> None:
            report = _index(source, name, ref, console)
            snapshot = Snapshot.objects.get(pk=report.snapshot)
            self.stdout.write(json.dumps(asdict(report), ensure_ascii=False) if as_json else _summary(report, snapshot))
            self.stdout.flush()

        try:
            with _stopped_by(signal.SIGTERM, signal.SIGHUP):
                if watch:
                    _whenever_it_changes(source, index, console)
                else:
                    index()
        except IndexerError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt as error:
            raise CommandError("Stopped: what was indexed before is untouched, and the next run goes on from here.") from error


def _index(source: str, name: str | None, ref: str, console: Console) -> BuildReport:
    if problem := faiss_problem(settings.FAISS_DEVICE):
        raise CommandError(problem)
    place = _place(source)
    repository, created = _repository(name or _name_of(place), place, ref)
    try:
        with _progress(console) as on_progress:
            return _run_when_free(repository, console, on_progress)
    finally:
        repository.refresh_from_db()
        if created and repository.live_snapshot is None:
            repository.delete()


def _whenever_it_changes(source: str, index: Callable[[], None], console: Console) -> None:
    """Index now and after each change, until Ctrl-C. Raises what the first round raises, and what ends the watch."""
    from indexer.watch import rounds

    done = False
    try:
        for _ in rounds(Path(source).expanduser().resolve(), own=[Path(settings.DATA_DIR), Path(settings.INDEX_ROOT)]):
            try:
                index()
            except IndexerError as error:
                if not done:
                    raise
                console.print(f"{error} The next change tries again.", highlight=False, markup=False, soft_wrap=True)
            done = True
    except KeyboardInterrupt:
        if not done:
            raise
        console.print("Stopped watching.", highlight=False)


@contextmanager
def _stopped_by(*numbers: signal.Signals) -> Iterator[None]:
    """Let these signals do what Ctrl-C does, so that the job's row tells what became of it."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _place(source: str) -> str:
    """The folder's absolute path, or the URL as it is."""
    folder = Path(source).expanduser()
    if source and folder.is_dir():
        return str(folder.resolve())
    if is_url(source):
        return source
    raise SourceError(f"{source or 'The empty name'} is neither a folder nor a git URL that can be cloned.")


def _name_of(place: str) -> str:
    """ "flask" for both /src/flask and https://github.com/pallets/flask.git."""
    last = re.split(r"[/:]", place.rstrip("/"))[-1].removesuffix(".git")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", last).lstrip("._-")[:100]
    if not name:
        raise SourceError(f"{place} gives no name to call it by: add --name.")
    return name


def _valid_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ArgumentTypeError("use up to 100 letters, digits, '.', '-' and '_', beginning with a letter or a digit")
    return name


def _repository(name: str, place: str, ref: str) -> tuple[Repository, bool]:
    """The repository of that name, and whether it is new. The ref is the one that was asked for last."""
    repository, created = Repository.objects.get_or_create(name=name, defaults={"source": place, "ref": ref})
    if repository.source != place:
        raise SourceError(f"{name} is already the name of {repository.source}: choose another one with --name.")
    if repository.ref != ref:
        repository.ref = ref
        repository.save(update_fields=["ref"])
    return repository, created


def _run_when_free(repository: Repository, console: Console, on_progress: OnProgress) -> BuildReport:
    """Index, after whoever indexes this repository now."""
    told = False
    while True:
        try:
            return run_now(repository, on_progress)
        except RepositoryBusy as busy:
            if not told:
                console.print(str(busy), highlight=False)
                told = True
            sleep(_BUSY_POLL_S)


@contextmanager
def _progress(console: Console) -> Iterator[OnProgress]:
    """Shows each stage: as a bar on a terminal, as one line elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with ProgressBar(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        stage = ""

        def show(progress: Progress) -> None:
            nonlocal stage
            if progress.stage != stage:
                stage = progress.stage
                bar.reset(task, description=_STAGES[stage])
                if not console.is_terminal:
                    console.print(_STAGES[stage], highlight=False)
            bar.update(task, completed=progress.done, total=progress.total or None)

        yield show


def _summary(report: BuildReport, snapshot: Snapshot) -> str:
    commit = f" at {report.commit[:12]}" if report.commit else ""
    lines = [
        f"{report.repository}{commit}: {report.files:,} files, {report.chunks:,} chunks"
        f" ({report.embedded:,} embedded, {report.reused:,} reused).",
        f"Searchable after {report.searchable_after_s:.1f} s, complete after {report.seconds:.1f} s.",
    ]
    if report.skipped:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in report.skipped.items())
        lines.append(f"Skipped: {reasons}.")
    if snapshot.redacted:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in snapshot.redacted.items())
        lines.append(f"Secrets taken out: {kinds} (the files are named in {snapshot.directory / MANIFEST}).")
    if snapshot.allowed:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in snapshot.allowed.items())
        lines.append(f"Left in, as known to be no secrets: {kinds}.")
    return "\n".join(lines)
