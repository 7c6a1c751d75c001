"""Give a published snapshot its vectors, in the background of searches that use what is there already.

    cards.faiss            one vector a file (id = file id); comes first, and in parts where there are many
    vectors-partial.faiss  the chunks that have a vector so far (id = chunk id), while embedding
    vectors.faiss          all chunks; the partial one goes when it appears

The most central files come first: code before tests, and what the rest of the repository refers to most before the rest. Every
vector goes to the cache as soon as it is made, so an interrupted embedding goes on where it stopped.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from indexer.disk import disk_errors
from indexer.embedded_texts import card_text, embedded_texts, text_hash
from indexer.embedder import Embedder
from indexer.embedding_cache import EmbeddingCache
from indexer.file_traits import traits_of
from indexer.snapshot import SnapshotReader
from indexer.types import Progress
from indexer.vector_index import kind_for, write_index

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A partial index appears with so many vectors, and again when there are half as many more, which in all costs three times the
# writing of the last one.
FIRST_PARTIAL = 500
_GROWTH = 1.5
_READ_TOGETHER = 8192


@dataclass(frozen=True, slots=True)
class _File:
    """One file, the hash of its card, and its chunks, (id, hash of the embedded text) each."""

    file_id: int
    path: str
    card: str
    chunks: tuple[tuple[int, str], ...]


def embed(snapshot: SnapshotReader, embedder: Embedder, cache_path: Path, step: Callable[[Progress], None]) -> int:
    """Embed what the cache doesn't hold, and write the index; returns how many of the snapshot's chunks had to be embedded.

    step: told often how far this is, in chunks, and may raise to stop it.
    """
    if snapshot.has_vectors:
        return 0
    with disk_errors(cache_path), EmbeddingCache(cache_path, embedder.cache_key) as cache:
        return _Embedding(snapshot, embedder, cache, step).run()


class _Embedding:
    def __init__(
        self, snapshot: SnapshotReader, embedder: Embedder, cache: EmbeddingCache, step: Callable[[Progress], None]
    ) -> None:
        self._snapshot = snapshot
        self._embedder = embedder
        self._cache = cache
        self._step = step
        self._files = _by_centrality(snapshot)
        self._uses = Counter(text_hash for file in self._files for _, text_hash in file.chunks)
        self._total = self._uses.total()
        self._missing = cache.missing(self._uses)
        self._next_partial = FIRST_PARTIAL

    @property
    def _done(self) -> int:
        return self._total - sum(self._uses[text_hash] for text_hash in self._missing)

    def run(self) -> int:
        to_embed = self._total - self._done
        self._tell()
        if to_embed:
            self._write_partial()
        self._embed_cards()
        done = self._done
        for texts in self._portions(self._missing_texts()):
            self._put(texts)
            self._missing.difference_update(texts)
            done += sum(self._uses[text_hash] for text_hash in texts)
            self._tell(done)
            if self._missing and done >= self._next_partial:
                self._write_partial(done)
        self._write(self._snapshot.vectors, _chunks(self._files))
        self._snapshot.partial_vectors.unlink(missing_ok=True)
        return to_embed

    def _tell(self, done: int | None = None) -> None:
        self._step(Progress("embedding", self._done if done is None else done, self._total))

    # --- what is embedded -------------------------------------------------------------------------------------------

    def _embed_cards(self) -> None:
        missing = self._cache.missing(file.card for file in self._files)
        there = [(file.file_id, file.card) for file in self._files if file.card not in missing]
        done = self._done
        next_write = max(FIRST_PARTIAL, len(there) * _GROWTH)
        remaining = (file for file in self._files if file.card in missing)
        while some := list(islice(remaining, self._embedder.portion)):
            self._put({file.card: card_text(file.path, self._snapshot.parsed(file.path)) for file in some})
            there += [(file.file_id, file.card) for file in some]
            self._tell(done)
            if len(there) >= next_write:
                self._write(self._snapshot.cards, sorted(there))
                next_write = len(there) * _GROWTH
        self._write(self._snapshot.cards, sorted(there))

    def _missing_texts(self) -> Iterator[tuple[str, str]]:
        """(hash, text) of the chunks that have no vector yet, each once."""
        wanted = set(self._missing)
        for file in self._files:
            if wanted.isdisjoint(text_hash for _, text_hash in file.chunks):
                continue
            for text in embedded_texts(file.path, self._snapshot.parsed(file.path)):
                if (found := text_hash(text)) in wanted:
                    wanted.discard(found)
                    yield found, text

    def _portions(self, texts: Iterator[tuple[str, str]]) -> Iterator[dict[str, str]]:
        """Texts by hash, in portions to embed at once."""
        while portion := dict(islice(texts, self._embedder.portion)):
            yield portion

    def _put(self, texts: dict[str, str]) -> None:
        if texts:
            self._cache.put(list(texts), self._embedder.encode_documents(list(texts.values())))

    # --- what is written --------------------------------------------------------------------------------------------

    def _write_partial(self, done: int | None = None) -> None:
        done = self._done if done is None else done
        if done < self._next_partial:
            return
        there = [(chunk_id, text_hash) for chunk_id, text_hash in _chunks(self._files) if text_hash not in self._missing]
        self._write(self._snapshot.partial_vectors, there)
        self._next_partial = int(done * _GROWTH)

    def _write(self, path: Path, hashes: Sequence[tuple[int, str]]) -> None:
        """The index of the vectors of (id, hash) pairs, which are all in the cache."""

        def sample(most: int) -> NDArray[np.float32]:
            # The same vectors make the same index.
            drawn = random.Random(len(hashes)).sample(hashes, min(most, len(hashes)))  # noqa: S311
            return self._cache.get([text_hash for _, text_hash in drawn])

        write_index(path, _read(self._cache, hashes), self._snapshot.manifest.dimension, kind_for(len(hashes)), sample)


def _read(cache: EmbeddingCache, hashes: Sequence[tuple[int, str]]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """(ids, vectors), in portions."""
    for start in range(0, len(hashes), _READ_TOGETHER):
        some = hashes[start : start + _READ_TOGETHER]
        yield np.array([each for each, _ in some], dtype=np.int64), cache.get([text_hash for _, text_hash in some])


def _chunks(files: Iterable[_File]) -> list[tuple[int, str]]:
    """(chunk id, hash) of all files' chunks, by id."""
    return sorted(chunk for file in files for chunk in file.chunks)


def _by_centrality(snapshot: SnapshotReader) -> list[_File]:
    """All files that have chunks: those that aren't tests first, and among them the most referred to."""
    rows = snapshot.chunks_of_files()
    ranks = {row.file_id: (traits_of(row.path, row.language).test, -row.referred, row.file_id) for row in rows}
    return [
        _File(row.file_id, row.path, row.card, row.chunks)
        for row in sorted(rows, key=lambda row: ranks[row.file_id])
        if row.chunks
    ]
