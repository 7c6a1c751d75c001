"""A secret key for an installation that wasn't given one: made once, kept in the data folder, readable by its owner only."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def local_secret_key(data_dir: Path) -> str:
    """The key in `data_dir`/secret_key, which is made on first use. Two processes that start at once agree on one key."""
    path = data_dir / "secret_key"
    if not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"secret_key.{os.getpid()}")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(50))
        try:
            os.link(fresh, path)  # fails where another process was first, whose key then counts
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text()
