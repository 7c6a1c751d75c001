"""A parsed file as a snapshot keeps it: rows and bytes that only have to be written.

Made in the parsing processes (`record_of`), so that the builder's own process has little left to do, which is the one that no
second core can help.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from isal import isal_zlib

from indexer.embedded_texts import card_text, embedded_texts, text_hash
from indexer.term_counts import FileTerms, count_terms
from indexer.types import ParsedFile, Reference

# ISA-L writes what zlib reads: as small as zlib's level 1 in a third of the time. Its own level 2 hardly saves anything; zlib's
# level 6 takes eight times as long for 13 % less.
_LEVEL = 1

ChunkRow = tuple[int, int, str, str, str]
DefinitionRow = tuple[str, str, str, int, int, int, str]
# As columns there are a third as many objects to pickle, and to make again.
ReferenceColumns = tuple[Sequence[str], Sequence[int], Sequence[str]]


class FileRecord(NamedTuple):
    """content: the text, compressed by zlib; card: sha256 of the text that stands for the file when it is embedded; chunks:
    (start line, end line, symbol, kind, sha256 of the text that stands for it when it is embedded); definitions: (name,
    qualified name, kind, line, start line, end line, signature); references: their names, lines and kinds; redacted: (kind of
    secret, how many were taken out), allowed: (kind, how many were left in); all in their order in the file."""

    language: str
    lines: int
    header: str
    note: str
    content: bytes
    card: str
    chunks: Sequence[ChunkRow]
    definitions: Sequence[DefinitionRow]
    references: ReferenceColumns
    redacted: Sequence[tuple[str, int]]
    allowed: Sequence[tuple[str, int]]
    terms: FileTerms


def record_of(path: str, parsed: ParsedFile) -> FileRecord:
    hashes = map(text_hash, embedded_texts(path, parsed))
    return FileRecord(
        language=parsed.language,
        lines=parsed.text.count("\n") + (not parsed.text.endswith("\n")) if parsed.text else 0,
        header=parsed.header,
        note=parsed.note,
        content=isal_zlib.compress(parsed.text.encode(), _LEVEL),
        card=text_hash(card_text(path, parsed)),
        chunks=[(c.start_line, c.end_line, c.symbol, c.kind, each) for c, each in zip(parsed.chunks, hashes, strict=True)],
        definitions=[
            (d.name, d.qualified_name, d.kind, d.line, d.start_line, d.end_line, d.signature) for d in parsed.definitions
        ],
        references=_columns(parsed.references),
        redacted=parsed.redacted,
        allowed=parsed.allowed,
        terms=count_terms(path, parsed),
    )


def _columns(references: Sequence[Reference]) -> ReferenceColumns:
    if not references:
        return (), (), ()
    names, lines, kinds = zip(*references, strict=True)
    return names, lines, kinds
