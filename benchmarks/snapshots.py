"""Snapshots of a folder of repositories, for the benchmarks that ask them something else than the annotated questions."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from indexer.benchmark import build, latest, request_of
from indexer.errors import SourceError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sources", type=Path, required=True, help="one folder for each repository")
    parser.add_argument("--index", type=Path, default=Path("var/benchmark"), help="where snapshots are kept")


class Snapshots:
    """By a repository's name its snapshot, made or brought up to date when it is first asked for. vectors: whether it is
    embedded too. Raises SourceError."""

    def __init__(self, sources: Path, index: Path, *, vectors: bool = False) -> None:
        self._sources, self._index, self._vectors = sources, index, vectors
        self._made: dict[str, Path] = {}

    def __getitem__(self, name: str) -> Path:
        if name not in self._made:
            folder = self._sources / name
            if not folder.is_dir():
                raise SourceError(f"{folder} is not there: the sources need one folder for each repository.")
            self._made[name] = self.of(folder)
        return self._made[name]

    def of(self, folder: Path) -> Path:
        """The snapshot of any folder."""
        request = request_of(folder, self._index)
        return build(replace(request, previous=latest(request.root)), vectors=self._vectors)
