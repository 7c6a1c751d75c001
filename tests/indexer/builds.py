"""Tiny repositories, and builds of them with the hashing embedder and one parsing process."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from indexer.build import BuildRequest, Hooks, build_snapshot
from indexer.errors import BuildCancelled
from indexer.models import Repository, Snapshot
from indexer.snapshot import SnapshotReader
from indexer.types import BuildReport

GREETINGS = '''"""Greetings."""


def hello(name):
    """Greet somebody by name."""
    return f"Hello, {name}"
'''
ACCOUNTS = '''class Account:
    """Money that belongs to somebody."""

    def withdraw(self, amount):
        """Take money out."""
        self.balance -= amount
'''
SMALL = {"greetings.py": GREETINGS, "bank/accounts.py": ACCOUNTS, "README.md": "# Bank\n\nKeeps accounts.\n"}


def write_files(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


class Bench:
    """A source folder, an index folder and a cache under one temporary folder; `build` builds on the latest snapshot."""

    def __init__(self, folder: Path, files: Mapping[str, str | bytes] = SMALL) -> None:
        self.folder = folder
        self.source = write_files(folder / "source", files)
        self.source.mkdir(parents=True, exist_ok=True)
        self.root = folder / "index"
        self.live: Path | None = None

    def request(self, **changes: object) -> BuildRequest:
        values = {
            "repository": "small",
            "source": str(self.source),
            "ref": "",
            "snapshot": str(uuid.uuid4()),
            "root": self.root,
            "clone_root": self.folder / "clones",
            "cache": self.folder / "embeddings.sqlite3",
            "embedder": "hashing",
            "previous": self.live,
            "parse_processes": 1,
        }
        return BuildRequest(**(values | changes))  # type: ignore[arg-type]

    def build(self, hooks: Hooks | None = None, **changes: object) -> BuildReport:
        report = build_snapshot(self.request(**changes), hooks or Hooks())
        self.live = self.root / report.snapshot
        return report

    def build_without_vectors(self) -> Path:
        """The directory of a snapshot that is searchable and was stopped before FAISS was needed."""
        published: list[Path] = []
        with pytest.raises(BuildCancelled):
            build_snapshot(self.request(), Hooks(published=published.append, cancelled=lambda: bool(published)))
        (self.live,) = published
        return self.live

    def build_anew(self) -> SnapshotReader:
        """A build of the same source with nothing to build on."""
        fresh = Bench(self.folder / f"fresh-{uuid.uuid4()}", {})
        fresh.build(source=str(self.source))
        assert fresh.live is not None
        return SnapshotReader(fresh.live)

    def reader(self) -> SnapshotReader:
        assert self.live is not None
        return SnapshotReader(self.live)

    def snapshots(self) -> list[str]:
        """The names of everything in the index folder."""
        return sorted(path.name for path in self.root.iterdir())


def small_repository(folder: Path, settings: Any) -> Repository:
    """The row of a repository that holds SMALL and isn't indexed yet. settings: pytest-django's, which keep to the folder."""
    settings.INDEX_ROOT = folder / "indexes"
    settings.DATA_DIR = folder / "data"
    settings.PARSE_PROCESSES = 1
    return Repository.objects.create(name="small", source=str(write_files(folder / "source", SMALL)))


def published(bench: Bench, repository: Repository, commit: str, ref: str = "") -> Snapshot:
    """A snapshot of the source as it is now, without vectors, among the repository's others; no later build is based on it."""
    directory = bench.build_without_vectors()
    snapshot = Snapshot.objects.create(repository=repository, commit=commit, ref=ref)
    snapshot.directory.parent.mkdir(parents=True, exist_ok=True)
    directory.rename(snapshot.directory)
    bench.live = None
    return snapshot


def make_live(repository: Repository, snapshot: Snapshot) -> None:
    repository.live_snapshot = snapshot
    repository.save()


def reading(files: Mapping[str, str | bytes]) -> Any:
    """A fixture for a module: a reader of a snapshot of these files, without vectors."""

    @pytest.fixture(scope="module")
    def reader(tmp_path_factory):
        bench = Bench(tmp_path_factory.mktemp("reading"), files)
        bench.build_without_vectors()
        with bench.reader() as reader:
            yield reader

    return reader
