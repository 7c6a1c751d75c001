"""manage.py queue_index FOLDER --name NAME: have the indexer process index a folder, and don't wait for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from indexer.models import Repository
from indexer.queue import enqueue


class Command(BaseCommand):
    help = "Queue a folder for the indexer process, which may run elsewhere on the same disk."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--name", required=True)

    def handle(self, *args: Any, folder: Path, name: str, **options: Any) -> None:
        source = str(folder.resolve())
        repository, _ = Repository.objects.get_or_create(name=name, defaults={"source": source})
        if repository.source != source:  # the folder has moved, and its index with it
            repository.source = source
            repository.save(update_fields=["source"])
        enqueue(repository)
