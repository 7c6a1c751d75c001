"""How long a warm search takes, and how many a second many clients get.

    python -m benchmarks.search_speed FOLDER [FOLDER ...] [--vectors] [--seconds S] [--clients N]
                                      [--dataset DIR] [--index DIR]

Indexes each FOLDER, searches it once by every question, and then times each search: the annotated questions of the
dataset's repository of the folder's name, or where there is none, questions made of names that the folder defines. With
--vectors the folder is embedded first, and a search's time holds the embedding of its question. CPU is the time of the
process in a search, all its threads together.

Searches a second: N threads of this process share one Retriever for S seconds; then N clients ask as many processes as
there are cores, each with a Retriever of its own, as several answerers would.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache
from itertools import cycle, islice
from pathlib import Path

from benchmarks.machine import machine
from indexer.benchmark import index_source
from indexer.evaluation import BenchmarkRepository, percentile, read_dataset
from indexer.retriever import Retriever
from indexer.snapshot import SnapshotReader

_MADE_QUESTIONS = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--vectors", action="store_true")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--dataset", type=Path, help="annotated questions: repos.json and annotations/")
    parser.add_argument("--index", type=Path, default=Path("var/benchmark"), help="where snapshots are kept")
    options = parser.parse_args()
    known = {repository.name: repository for repository in read_dataset(options.dataset)} if options.dataset else {}
    print(f"machine  {machine()}")
    asked: list[tuple[Path, str]] = []
    for folder in options.folders:
        name = folder.resolve().name
        repository = BenchmarkRepository(name, "", "", ())
        snapshot = index_source(repository, folder.resolve().parent, options.index, vectors=options.vectors)
        with SnapshotReader(snapshot) as reader:
            manifest = reader.manifest
            questions = [q.text for q in known[name].questions] if name in known else _made_questions(reader)
        print(f"input    {name}: {manifest.files:,} files, {manifest.chunks:,} chunks; {len(questions)} questions")
        asked += [(snapshot, question) for question in questions]
    _time_each(asked, options.vectors)
    _time_together(asked, options)


def _made_questions(reader: SnapshotReader) -> list[str]:
    query = "SELECT DISTINCT qualified_name FROM definitions WHERE kind IN ('function', 'method', 'class') ORDER BY id"
    names = [name for (name,) in reader.connection.execute(query)]
    step = max(1, len(names) // _MADE_QUESTIONS)
    forms = cycle(("{}", "where is {} used", "how does {} work"))
    return [form.format(name.replace(".", " ")) for form, name in zip(forms, names[::step][:_MADE_QUESTIONS], strict=False)]


def _time_each(asked: Sequence[tuple[Path, str]], vectors: bool) -> None:
    retriever = Retriever()
    for snapshot, question in asked:
        retriever.search(snapshot, question, vectors=vectors)
    took, used = [], []
    for snapshot, question in [*asked, *asked, *asked]:
        started, cpu = time.perf_counter(), time.process_time()
        retriever.search(snapshot, question, vectors=vectors)
        took.append((time.perf_counter() - started) * 1000)
        used.append((time.process_time() - cpu) * 1000)
    retriever.close()
    for name, values in (("clock, ms", took), ("CPU, ms", used)):
        print(f"{name:12} p50 {percentile(values, 0.5):6.1f}   p95 {percentile(values, 0.95):6.1f}")


def _time_together(asked: Sequence[tuple[Path, str]], options: argparse.Namespace) -> None:
    with ThreadPoolExecutor(options.clients) as threads:
        count, seconds = _drive(threads, asked, options)
    print(f"{options.clients} threads, one process: {count / seconds:.0f} searches a second")
    processes = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        count, seconds = _drive(pool, asked, options)
    print(f"{options.clients} clients, {processes} processes: {count / seconds:.0f} searches a second")


def _drive(
    workers: ThreadPoolExecutor | ProcessPoolExecutor, asked: Sequence[tuple[Path, str]], options: argparse.Namespace
) -> tuple[int, float]:
    """(searches, seconds): each client asks its next question when the last is answered. All are warm before that."""
    for done in [workers.submit(_search_all, asked, options.vectors) for _ in range(options.clients)]:
        done.result()
    started = time.perf_counter()
    until = started + options.seconds

    def client(number: int) -> int:
        questions = islice(cycle(asked), number * len(asked) // options.clients, None)
        count = 0
        while time.perf_counter() < until:
            workers.submit(_search, *next(questions), options.vectors).result()
            count += 1
        return count

    with ThreadPoolExecutor(options.clients) as clients:
        count = sum(clients.map(client, range(options.clients)))
    return count, time.perf_counter() - started


@cache
def _retriever() -> Retriever:
    """This process's."""
    return Retriever()


def _search(snapshot: Path, question: str, vectors: bool) -> None:
    _retriever().search(snapshot, question, vectors=vectors)


def _search_all(asked: Sequence[tuple[Path, str]], vectors: bool) -> None:
    for snapshot, question in asked:
        _search(snapshot, question, vectors)


if __name__ == "__main__":
    main()
