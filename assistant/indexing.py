"""Who may have a repository indexed from the page."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from indexer.models import Repository


def may_add(user: Any) -> bool:
    """On a laptop everybody, who is the one at its keyboard; elsewhere staff."""
    return settings.SIGN_IN == "free" or bool(user.is_staff)


def may_index(user: Any, repository: Repository) -> bool:
    """Also whoever owns it."""
    return may_add(user) or repository.owner_id == user.pk
