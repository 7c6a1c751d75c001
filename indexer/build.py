"""Make a snapshot of a source: list → parse → write → publish → embed.

    build_snapshot(request)
      ├─ the source's files, with their blobs                            reading
      ├─ the same as in the previous snapshot? then that one stays live
      ├─ files with a new blob are parsed, the others copied             parsing, from the first file on where there
      │                                                                  is no previous snapshot
      ├─ rename into place; `published` moves the live pointer           publishing    ← searchable from here on
      └─ vectors: cached ones read, missing ones embedded                embedding

Killed anywhere, it has hurt nothing: before the rename there is a directory that the next build sweeps, after it a whole
snapshot, and vectors that were computed are in the cache. Two builds at once work in two directories and share the cache.
What a build makes depends on the source alone and not on what was there before: a copied file gives the same rows as
a parsed one. No Django here; `indexer.jobs` connects this to the database.
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from indexer import lexical_index
from indexer.chunker import CHUNKER_VERSION
from indexer.disk import disk_errors
from indexer.embedder import Embedder, make_embedder
from indexer.embedding import embed
from indexer.errors import BuildCancelled, SnapshotError, SourceError
from indexer.parser_pool import ParserPool
from indexer.records import FileRecord, record_of
from indexer.secrets import REDACTION_VERSION
from indexer.secrets_baseline import BASELINE_FILE, Known, digest, known_false_positives
from indexer.snapshot import SCHEMA, SnapshotReader
from indexer.snapshot_locks import in_use, sweep
from indexer.snapshot_writer import SnapshotWriter
from indexer.source import Source, open_source
from indexer.types import BuildReport, Manifest, Progress, Skipped, SourceFile

logger = logging.getLogger(__name__)

Found = SourceFile | Skipped


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build and where.

    repository: its name; snapshot: the id for a new snapshot, which becomes the directory `root / snapshot`; previous: the
    directory of the snapshot to build on; relative: that of a snapshot of another repository, such as another ref of the same
    source, whose files are copied when there is no previous one; cache: the embedding cache's file.
    """

    repository: str
    source: str
    ref: str
    snapshot: str
    root: Path
    clone_root: Path
    cache: Path
    embedder: str = "minilm"
    previous: Path | None = None
    relative: Path | None = None
    max_file_bytes: int = 1_000_000
    parse_deadline_s: float = 5.0
    parse_processes: int = 0
    redact: bool = True


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a build tells and asks while it runs, always from its own thread.

    published(directory): the snapshot in `directory` is whole and searchable, so make it the live one; an error that this
    raises ends the build. progress(Progress): called often, has to return quickly. cancelled(): whether to stop, which
    raises BuildCancelled.
    """

    published: Callable[[Path], None] = lambda directory: None
    progress: Callable[[Progress], None] = lambda progress: None
    cancelled: Callable[[], bool] = lambda: False

    def step(self, progress: Progress) -> None:
        if self.cancelled():
            raise BuildCancelled("The build was stopped; what was indexed before is untouched.")
        self.progress(progress)


def build_snapshot(request: BuildRequest, hooks: Hooks = Hooks()) -> BuildReport:
    """Build, publish and embed; returns the report of it.

    Raises SourceError, SnapshotError (the disk), EmbedderError or VectorIndexError (the snapshot is published, and has no
    vectors), BuildCancelled.
    """
    started = time.monotonic()
    with disk_errors(request.root), ExitStack() as held:
        request.root.mkdir(parents=True, exist_ok=True)
        sweep(request.root)
        embedder = make_embedder(request.embedder)
        directory = _read_source(request, embedder, hooks, held)
        hooks.published(directory)
        searchable_after_s = time.monotonic() - started
        with SnapshotReader(directory) as snapshot:
            embedded = embed(snapshot, embedder, request.cache, hooks.step)
            manifest = snapshot.manifest
    hooks.progress(Progress("done", manifest.chunks, manifest.chunks))
    return BuildReport(
        repository=request.repository,
        snapshot=directory.name,
        commit=manifest.commit,
        files=manifest.files,
        chunks=manifest.chunks,
        embedded=embedded,
        reused=manifest.chunks - embedded,
        skipped=dict(manifest.skipped),
        searchable_after_s=round(searchable_after_s, 3),
        seconds=round(time.monotonic() - started, 3),
    )


def _read_source(request: BuildRequest, embedder: Embedder, hooks: Hooks, held: ExitStack) -> Path:
    """The directory of a whole snapshot of the source as it is now: a new one, or the previous when nothing has changed."""
    hooks.step(Progress("reading", 0, 0))
    previous = _usable(request.previous, request.redact)
    if previous is not None:
        held.callback(previous.close)
    pool = held.enter_context(ParserPool(request.parse_processes, request.parse_deadline_s, redact=request.redact))
    pool.start()
    with open_source(request.source, request.ref, clone_root=request.clone_root) as source:
        found = _each_once(source.files(request.max_file_bytes))
        listing: list[Found] = []
        if previous is not None:  # all that is there has to be known to tell whether it is the same
            listing = list(_told(found, hooks))
            found = iter(listing)
        known, note, found = _known_false_positives(found) if request.redact else ({}, "", found)
        pool.known_false_positives = known
        if previous is not None and previous.manifest.baseline != digest(known):
            previous = None
        if previous is not None and _is_same(previous, source, listing, embedder):
            return previous.directory
        if previous is None and (previous := _usable(request.relative, request.redact, digest(known))):
            held.callback(previous.close)
            held.enter_context(in_use(previous.directory))
        with SnapshotWriter(request.root, request.snapshot, previous) as writer:
            _Reading(source, found, previous, writer, pool, hooks).run()
            if not writer.files:
                raise SourceError(_nothing_to_index(request.source, writer.skipped))
            hooks.step(Progress("publishing", 0, 1))
            writer.notes += [note] if note else []
            directory = writer.publish(_manifest(request, source, writer, embedder, digest(known)))
            # The lock stays until the vectors are there, and keeps other processes from sweeping the new snapshot away.
            held.callback(os.close, os.dup(writer.held))
            return directory


def _each_once(found: Iterable[Found]) -> Iterator[Found]:
    paths: set[str] = set()
    for each in found:
        if isinstance(each, SourceFile) and each.path in paths:  # odd bytes and their escape can look the same
            yield Skipped(each.path, "unreadable")
        else:
            paths.add(each.path)
            yield each


def _told(found: Iterable[Found], hooks: Hooks) -> Iterator[Found]:
    for number, each in enumerate(found, 1):
        yield each
        hooks.step(Progress("reading", number, 0))


def _known_false_positives(found: Iterator[Found]) -> tuple[Known, str, Iterator[Found]]:
    """What the source's own baseline says is no secret, and "" or why it can't be read; and all that was found.

    Paths come sorted, so that it is told after a few of them.
    """
    first: list[Found] = []
    for each in found:
        first.append(each)
        if each.path >= BASELINE_FILE:
            break
    known, note = _read_baseline(first[-1]) if first else ({}, "")
    return known, note, chain(first, found)


def _read_baseline(file: Found) -> tuple[Known, str]:
    if not isinstance(file, SourceFile) or file.path != BASELINE_FILE:
        return {}, ""
    try:
        return known_false_positives(file.read()), ""
    except (SourceError, ValueError) as error:
        return {}, f"{BASELINE_FILE} is passed over: {str(error).rstrip('.')}"


def _usable(directory: Path | None, redact: bool, baseline: str | None = None) -> SnapshotReader | None:
    """The previous snapshot, if this version can build on it, and if it was made with this list of known false positives."""
    if directory is None:
        return None
    with ExitStack() as unusable:
        try:
            previous = unusable.enter_context(SnapshotReader(directory))
            lexical_index.check_version(previous.connection)
        except SnapshotError as error:
            logger.info("Building anew: %s", error)
            return None
        if (previous.manifest.chunker, previous.manifest.redaction) != (CHUNKER_VERSION, _redaction(redact)):
            return None
        if baseline is not None and previous.manifest.baseline != baseline:
            return None
        unusable.pop_all()
        return previous


def _redaction(redact: bool) -> int:
    return REDACTION_VERSION if redact else 0


def _is_same(previous: SnapshotReader, source: Source, listing: Sequence[Found], embedder: Embedder) -> bool:
    """Whether building again would give `previous` again."""
    manifest = previous.manifest
    made_from = (manifest.commit, manifest.ref, manifest.dirty, manifest.embedder)
    if made_from != (source.commit, source.ref, source.dirty, embedder.name):
        return False
    skipped = previous.skipped()
    known = previous.blobs() | {path: blob for path, _, blob in skipped if blob}
    unread = {(path, reason) for path, reason, blob in skipped if not blob}
    return known == {file.path: file.blob for file in listing if isinstance(file, SourceFile)} and unread == {
        (file.path, file.reason) for file in listing if isinstance(file, Skipped)
    }


def _nothing_to_index(source: str, skipped: Counter[str]) -> str:
    if not skipped:
        return f"{source} holds no files but what .gitignore and .sextantignore leave out: there is nothing to index."
    reasons = ", ".join(f"{count} {reason}" for reason, count in skipped.most_common())
    return f"{source} holds no file that can be indexed (skipped: {reasons})."


def _manifest(request: BuildRequest, source: Source, writer: SnapshotWriter, embedder: Embedder, baseline: str) -> Manifest:
    return Manifest(
        schema=SCHEMA,
        chunker=CHUNKER_VERSION,
        repository=request.repository,
        ref=source.ref,
        commit=source.commit,
        dirty=source.dirty,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        files=writer.files,
        chunks=writer.chunks,
        definitions=writer.definitions,
        embedder=embedder.name,
        dimension=embedder.dimension,
        skipped=dict(writer.skipped.most_common()),
        skipped_examples={reason: tuple(paths) for reason, paths in writer.skipped_examples.items()},
        notes=tuple(writer.notes),
        redaction=_redaction(request.redact),
        redacted=dict(writer.redacted.most_common()),
        redacted_files=tuple(writer.redacted_files),
        baseline=baseline,
        allowed=dict(writer.allowed.most_common()),
    )


class _Reading:
    """Brings what was found into a writer, in the order of the paths: parsed, or copied from the previous snapshot.

    Files are parsed while the next ones are still being found.
    """

    def __init__(
        self,
        source: Source,
        found: Iterable[Found],
        previous: SnapshotReader | None,
        writer: SnapshotWriter,
        pool: ParserPool,
        hooks: Hooks,
    ) -> None:
        self._source = source
        self._found = found
        self._writer = writer
        self._pool = pool
        self._hooks = hooks
        self._blobs = previous.blobs() if previous else {}
        self._known_skips = {path: (reason, blob) for path, reason, blob in previous.skipped() if blob} if previous else {}
        self._done = 0
        self._to_copy: deque[SourceFile] = deque()
        self._being_parsed: deque[SourceFile] = deque()
        self._unread: list[Skipped] = []
        self._skipped: list[tuple[str, str, str]] = []

    def run(self) -> None:
        for record in self._pool.map(self._contents(), record_of):
            self._take(self._being_parsed.popleft(), record)
        while self._to_copy:
            self._copy(self._to_copy.popleft())
        for unread in self._unread:
            self._writer.add_skipped(unread.path, unread.reason)
        for skipped in self._skipped:
            self._writer.add_skipped(*skipped)

    def _is_known(self, file: SourceFile) -> bool:
        return file.blob in (self._blobs.get(file.path), self._known_skips.get(file.path, ("", None))[1])

    def _contents(self) -> Iterator[tuple[str, bytes]]:
        """What the parsers read, noting which file each belongs to.

        A folder can change under us: a file that is not the one that was listed is left to the next run.
        """
        for each in self._found:
            if isinstance(each, Skipped):
                self._unread.append(each)
                self._step()
            elif self._is_known(each):
                self._to_copy.append(each)
            else:
                try:
                    data = each.read()
                except SourceError:
                    self._skipped.append((each.path, "changed meanwhile", ""))
                    self._step()
                    continue
                self._being_parsed.append(each)
                yield each.path, data

    def _take(self, file: SourceFile, record: FileRecord | Skipped) -> None:
        while self._to_copy and self._to_copy[0].path < file.path:
            self._copy(self._to_copy.popleft())
        if isinstance(record, Skipped):
            self._skipped.append((file.path, record.reason, file.blob))
        else:
            self._writer.add_file(file, record)
        self._step()

    def _copy(self, file: SourceFile) -> None:
        if file.path in self._known_skips:
            self._skipped.append((file.path, *self._known_skips[file.path]))
        else:
            self._writer.copy_file(file.path)
        self._step()

    def _step(self) -> None:
        self._done += 1
        self._hooks.step(Progress("parsing", self._done, self._source.listed))
