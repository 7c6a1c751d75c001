"""What a snapshot holds under a path or a name: asked about what an answer mentions, not searched.

Nothing here guesses. A path means the files that it is or that end with it, a name the definitions that are spelled like it.
What occurs nowhere is told by the index of words, which knows every word of every file that was read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from indexer.snapshot import SnapshotReader
from indexer.tokens import LONGEST_TERM, fold, identifier_terms, stem

# A path or a name that more than this share says nothing about which is meant.
MOST = 20
# Chunks whose text is looked through for a path that they may write out.
_CHUNKS_READ = 60


@dataclass(frozen=True, slots=True)
class FilePlace:
    path: str
    lines: int


@dataclass(frozen=True, slots=True)
class DefinitionPlace:
    path: str
    name: str
    qualified_name: str
    kind: str
    start_line: int
    end_line: int


class Lookup:
    """Looks into one open snapshot, from one thread."""

    def __init__(self, reader: SnapshotReader) -> None:
        self._reader = reader
        self._db = reader.connection

    def files(self, path: str) -> list[FilePlace]:
        """The file that is called so, or else those whose path ends so; at most MOST."""
        exact = self._db.execute("SELECT path, lines FROM files WHERE path = ?", (path,)).fetchall()
        ends = "SELECT path, lines FROM files WHERE substr(path, ?) = ? ORDER BY path LIMIT ?"
        found = exact or self._db.execute(ends, (-len(path) - 1, f"/{path}", MOST)).fetchall()
        return [FilePlace(*row) for row in found]

    def definitions(self, name: str) -> list[DefinitionPlace]:
        """What is defined by exactly this name, at most MOST."""
        query = (
            "SELECT path, name, qualified_name, kind, d.start_line, d.end_line FROM definitions d"
            " JOIN files f ON f.id = d.file_id WHERE name = ? ORDER BY path, line LIMIT ?"
        )
        return [DefinitionPlace(*row) for row in self._db.execute(query, (name, MOST))]

    def homes(self, path: str, blob: str, names: Iterable[str]) -> list[str]:
        """The files that may hold what `path` held when its contents were `blob` and it defined `names`: those with the same
        contents, of the same name, or that define one of the names; at most MOST."""
        same = self._db.execute("SELECT path FROM files WHERE blob = ? ORDER BY path LIMIT ?", (blob, MOST))
        found = [path for (path,) in same]
        found += [place.path for place in self.files(path.rpartition("/")[2])]
        defined = (
            "SELECT DISTINCT path FROM definitions d JOIN files f ON f.id = d.file_id"
            " WHERE name IN (SELECT value FROM json_each(?)) ORDER BY path LIMIT ?"
        )
        found += [path for (path,) in self._db.execute(defined, (json.dumps(list(names)), MOST))]
        return list(dict.fromkeys(found))[:MOST]

    def has_suffix(self, suffix: str) -> bool:
        """Whether any file ends with it (".py")."""
        query = "SELECT 1 FROM files WHERE substr(path, ?) = ? LIMIT 1"
        return self._db.execute(query, (-len(suffix), suffix)).fetchone() is not None

    def is_beyond_the_index(self, path: str) -> bool:
        """Whether it is a folder, or a file that was left out: there, but not indexed."""
        ends = path.strip("/")
        folder = "SELECT 1 FROM files WHERE instr('/' || path, ?) LIMIT 1"
        if self._db.execute(folder, (f"/{ends}/",)).fetchone():
            return True
        left_out = "SELECT 1 FROM skipped WHERE path = ? OR substr(path, ?) = ? OR instr(?, path || '/') = 1 LIMIT 1"
        return self._db.execute(left_out, (ends, -len(ends) - 1, f"/{ends}", ends)).fetchone() is not None

    def occurs(self, identifier: str) -> bool:
        """Whether any file that was read spells an identifier of these letters and digits. True where that can't be told."""
        whole = fold(identifier)
        if not whole or len(whole) > LONGEST_TERM:
            return True
        wanted = {whole, stem(whole), *identifier_terms(identifier)[-1:]}
        return bool(self._reader.lexical.frequencies(wanted))

    def is_written(self, text: str, words: str) -> bool:
        """Whether some file writes `text` out; words: those of it that tell most."""
        terms = {term: 1.0 for word in words.split() for term in identifier_terms(word)}
        index = self._reader.lexical
        if not terms or len(index.frequencies(terms)) < len(terms):
            return False
        hits = index.chunks(terms, _CHUNKS_READ)
        files = dict.fromkeys(hit.file_id for hit in hits)
        wanted = text.encode()
        return any(wanted in content for _, content in self._reader.contents(files))
