"""A secret key for an installation that wasn't given one: made once, kept in the data folder, readable by its owner only."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path


def local_secret_key(data_dir: Path) -> str:
    """The key in `data_dir`/secret_key, which is made on first use. Two processes that start at once agree on one key."""
    path = data_dir / "secret_key"
    if not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        # A name of its own: processes in containers that share the folder may have the same process id.
        descriptor, name = tempfile.mkstemp(prefix="secret_key.", dir=data_dir)  # for the owner only
        os.close(descriptor)
        fresh = Path(name)
        try:
            fresh.write_text(secrets.token_urlsafe(50))
            os.link(fresh, path)  # fails where another process was first, whose key then counts
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text()
