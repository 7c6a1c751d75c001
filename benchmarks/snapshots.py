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
    """By a repository's name its snapshot, made or brought up to date when it is first asked for. Raises SourceError."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._sources: Path = options.sources
        self._index: Path = options.index
        self._made: dict[str, Path] = {}

    def __getitem__(self, name: str) -> Path:
        if name not in self._made:
            folder = self._sources / name
            if not folder.is_dir():
                raise SourceError(f"{folder} is not there: the sources need one folder for each repository.")
            request = request_of(folder, self._index)
            self._made[name] = build(replace(request, previous=latest(request.root)), vectors=False)
        return self._made[name]
