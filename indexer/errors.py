"""Everything that the indexer raises on purpose. Each message is one sentence that says what to do.

IndexerError
├── SourceError            the folder, URL or ref can't be read
├── SnapshotError          a snapshot directory is missing or incomplete
│   └── OutdatedSnapshot   another version of Sextant wrote it
├── PatternError           a regular expression can't be used
├── FilterError            no file of the repository is in a language that a search keeps to
├── EmbedderError          the embedding model can't be loaded
├── VectorIndexError       FAISS is missing, doubled, or has no GPU though one was asked for
├── RankingsError          a file of rankings, to compare with, isn't one
├── RepositoryBusy         another process indexes this repository right now
└── BuildCancelled         the build was asked to stop; the live snapshot is untouched
"""

from __future__ import annotations


class IndexerError(Exception):
    """Base of all; `str(error)` can be shown to a person as it is."""


class SourceError(IndexerError):
    pass


class SnapshotError(IndexerError):
    pass


class OutdatedSnapshot(SnapshotError):
    def __init__(self) -> None:
        super().__init__(
            "Another version of Sextant made this index: wait for the indexer to make it anew, or index the repository again."
        )


class PatternError(IndexerError):
    pass


class FilterError(IndexerError):
    pass


class EmbedderError(IndexerError):
    pass


class VectorIndexError(IndexerError):
    pass


class RankingsError(IndexerError):
    pass


class RepositoryBusy(IndexerError):
    pass


class BuildCancelled(IndexerError):
    pass
