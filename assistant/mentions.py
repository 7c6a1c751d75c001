"""What `@` in the question box may mean: the folders, files and definitions of a repository whose name holds what was typed.

Names that begin with it come before names that hold it, short ones before long ones. Read from the snapshot, without the index
of words.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from indexer.snapshot import SnapshotReader

MOST = 12
_MOST_OF_A_KIND = 8
_LONGEST = 200

# Position 1 is a beginning; a path is compared by its last part first.
_FILES = """
    SELECT path FROM files WHERE instr(lower(path), ?1) > 0
    ORDER BY instr('/' || lower(path), '/' || ?1) = 0, length(path), path LIMIT ?2
"""
_SYMBOLS = """
    SELECT d.qualified_name, d.kind, f.path || ':' || d.line FROM definitions d JOIN files f ON f.id = d.file_id
    WHERE instr(lower(d.qualified_name), ?1) > 0 AND d.kind NOT IN ('variable', 'field', 'property', 'constant', 'test')
    GROUP BY d.qualified_name
    ORDER BY instr(lower(d.name), ?1) <> 1, length(d.qualified_name), d.qualified_name LIMIT ?2
"""


@dataclass(frozen=True, slots=True)
class Mention:
    """text: what comes after the `@`; detail: where a symbol is defined, or ""."""

    kind: Literal["folder", "file", "symbol"]
    text: str
    detail: str = ""


def mentions(snapshot_dir: Path, typed: str) -> list[Mention]:
    """At most MOST, best first. Raises SnapshotError, and sqlite3.Error for a damaged one."""
    wanted = typed.lower()[:_LONGEST]
    with SnapshotReader(snapshot_dir) as reader:
        db = reader.connection
        files = [path for (path,) in db.execute(_FILES, (wanted, 50))]
        folders = _folders(files, wanted)
        symbols = db.execute(_SYMBOLS, (wanted, _MOST_OF_A_KIND)).fetchall() if wanted else []
    found = [Mention("folder", folder) for folder in folders[:2]]
    found += [Mention("file", path) for path in files[: _MOST_OF_A_KIND if not symbols else 5]]
    found += [Mention("symbol", name, f"{kind}, {place}") for name, kind, place in symbols]
    return found[:MOST]


def languages(snapshot_dir: Path) -> list[str]:
    """The languages of a snapshot's files, the commonest first. Raises SnapshotError, and sqlite3.Error for a damaged one."""
    query = "SELECT language FROM files WHERE language <> '' GROUP BY language ORDER BY count(*) DESC, language LIMIT 12"
    with SnapshotReader(snapshot_dir) as reader:
        return [language for (language,) in reader.connection.execute(query)]


def _folders(paths: list[str], wanted: str) -> list[str]:
    """The folders of these files whose own name holds what is wanted, the shortest first."""
    folders = {f"{'/'.join(parts[:end])}/" for parts in (path.split("/") for path in paths) for end in range(1, len(parts))}
    tail = wanted.rstrip("/").rpartition("/")[2]
    named = [folder for folder in folders if tail in folder.rstrip("/").rpartition("/")[2].lower()]
    return sorted(named, key=lambda folder: (len(folder), folder))
