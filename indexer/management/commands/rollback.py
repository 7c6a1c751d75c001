"""manage.py rollback NAME: make the snapshot before the live one live again; --list shows what is kept, --to chooses."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from indexer.management.command_line import BAD_USAGE, told_in_a_sentence
from indexer.models import Repository
from indexer.rollback import Kept, kept_snapshots, roll_back


class Command(BaseCommand):
    help = "Go back to an earlier snapshot of a repository. The next index_repo starts from it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the repository, as it was named when it was indexed")
        parser.add_argument("--to", default="", metavar="SNAPSHOT", help="the id of a snapshot, or how it begins")
        parser.add_argument("--list", action="store_true", dest="as_list", help="show the snapshots that are kept")

    def handle(self, *, name: str, to: str, as_list: bool, **options: Any) -> None:
        if as_list and to:
            raise CommandError("Give either --list or --to.", returncode=BAD_USAGE)
        with told_in_a_sentence():
            repository = Repository.objects.named(name)
            if as_list:
                self.stdout.write("\n".join(_line(kept) for kept in kept_snapshots(repository)) or "No snapshot is kept.")
            else:
                self.stdout.write(f"{name} is now at {_line(roll_back(repository, to))}")


def _line(kept: Kept) -> str:
    snapshot = kept.snapshot
    at = snapshot.commit[:12] or "a folder"
    changes = " with uncommitted changes" if snapshot.dirty else ""
    parts = [
        str(snapshot.pk),
        f"{snapshot.created_at:%Y-%m-%d %H:%M} UTC",
        f"{at}{f' on {snapshot.ref}' if snapshot.ref else ''}{changes}",
        f"{snapshot.files:,} files",
        *(["without vectors"] if not kept.vectors and not kept.problem else []),
        *([kept.problem] if kept.problem else []),
        *(["live"] if kept.live else []),
    ]
    return "  ".join(parts)
