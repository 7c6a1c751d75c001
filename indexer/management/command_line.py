"""What the commands share: exit status, options, and the way from a repository's name to its snapshot."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth.models import User
from django.core.management.base import CommandError
from django.db import DatabaseError

from indexer.errors import IndexerError
from indexer.models import Repository, Snapshot

BAD_USAGE = 2


def language_name(text: str) -> str:
    """A language as an index names it; for an option of a command."""
    from indexer.languages import LANGUAGES

    if (name := text.strip().lower()) not in LANGUAGES:
        raise ArgumentTypeError(f"there is no language {text!r}; use one of {', '.join(sorted(LANGUAGES))}")
    return name


@contextmanager
def told_in_a_sentence() -> Iterator[None]:
    """Turn what the index or the database refuses into a CommandError."""
    try:
        yield
    except IndexerError as error:
        raise CommandError(str(error)) from error
    except DatabaseError as error:
        raise CommandError(f"The database can't be read ({error}): run `manage.py prepare` first.") from error


def live_snapshot(name: str) -> Snapshot:
    """The live snapshot of that repository, as an administrator sees it: who may run this may read the database anyway.

    Raises CommandError.
    """
    with told_in_a_sentence():
        return Repository.objects.visible_to(User(is_superuser=True)).live_snapshot_of(name)
