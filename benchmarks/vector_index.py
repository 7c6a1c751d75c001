"""What each kind of vector index finds of the exact result, and what it takes.

    python -m benchmarks.vector_index SNAPSHOTS [SNAPSHOTS ...] [--sizes N ...] [--queries N] [--probes N ...]

SNAPSHOTS are folders of snapshots with vectors (what `benchmarks.retrieval --vectors --index DIR` leaves in DIR): their vectors
are taken together, each once. For a size above that, real vectors are drawn again, each moved in a random direction by the
distance that lies between a real vector and its nearest neighbour (the median of a sample), and brought back to length one: so
there are as many clusters as in the real ones, and they are denser. The figures of these sizes say so.

Queries are the questions of --dataset, which are what real searches ask, or else vectors held out of the index. The exact
result is what float32 gives by looking at every vector. For each kind: recall@10 and @100 of that, bytes a vector on the disk,
processor milliseconds a query in one thread, and processor seconds to train and add. --probes tries other numbers of cells than
the rule's. Searches that keep to a folder are measured too: to the range of ids that holds a twentieth of the vectors, against
the exact result in that range.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.machine import machine
from indexer.embedder import make_embedder
from indexer.evaluation import read_dataset
from indexer.vector_index import EXACT, SCANNED_UP_TO, CpuVectorIndex, Kind, kind_for, write_index

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEIGHBOURS = 100
_QUERIES_TOGETHER = 32
_FOLDER_SHARE = 20
_SEED = 1


@dataclass(frozen=True, slots=True)
class Measured:
    """recall10, recall100: of the exact result; folder100: of the exact result in a range of ids; build_s, query_ms, folder_ms:
    processor time."""

    name: str
    recall10: float
    recall100: float
    folder100: float
    bytes_a_vector: float
    query_ms: float
    folder_ms: float
    build_s: float


def main() -> None:
    import faiss

    options = _options()
    faiss.omp_set_num_threads(1)
    real = real_vectors(options.snapshots)
    rng = np.random.default_rng(_SEED)
    real = real[rng.permutation(len(real))]
    if options.dataset:
        queries = question_vectors(options.dataset, options.queries)
    else:
        queries, real = real[: options.queries], real[options.queries :]
    if len(real) < _FOLDER_SHARE * (NEIGHBOURS + 1):
        raise SystemExit(f"{len(real):,} vectors are too few: a folder of them must hold more than {NEIGHBOURS}.")
    print(f"machine  {machine()}; FAISS {faiss.__version__}, one thread")
    kind = "questions" if options.dataset else "held-out vectors"
    print(f"inputs   {len(real):,} different vectors of {real.shape[1]} numbers, {len(queries)} {kind}")
    for size in options.sizes or [len(real)]:
        vectors = enlarged(real, size, rng)
        made = "real" if size <= len(real) else f"{len(real):,} real ones and {size - len(real):,} near them"
        print(f"\n{size:,} vectors, {made}; the rule's kind is {named(kind_for(size))}")
        titles = ("recall@10", "recall@100", "in a folder", "bytes", "ms", "ms, folder", "build s")
        print(f"  {'kind':26}" + "".join(f"{title:>12}" for title in titles))
        for each in measure(vectors, queries, kinds(size, options.probes)):
            print(
                f"  {each.name:26}{each.recall10:12.4f}{each.recall100:12.4f}{each.folder100:12.4f}{each.bytes_a_vector:12.0f}"
                f"{each.query_ms:12.2f}{each.folder_ms:12.2f}{each.build_s:12.1f}",
                flush=True,
            )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("snapshots", nargs="+", type=Path, help="folders that hold snapshots with vectors, at any depth")
    parser.add_argument("--sizes", nargs="*", type=int, default=[], help="numbers of vectors (default: those that are there)")
    parser.add_argument("--dataset", type=Path, help="take its questions as queries (default: vectors held out)")
    parser.add_argument("--queries", type=int, default=400)
    parser.add_argument("--probes", nargs="*", type=int, default=[], help="numbers of cells to look at, beside the rule's")
    return parser.parse_args()


def real_vectors(folders: Sequence[Path]) -> NDArray[np.float32]:
    """The different vectors (n, dimension) of all snapshots below these folders, as their float16 indexes hold them."""
    found = [stored(path) for folder in folders for path in sorted(folder.rglob("vectors.faiss"))]
    if not found:
        raise SystemExit(f"No vectors below {', '.join(map(str, folders))}: index something with --vectors first.")
    return np.unique(np.concatenate(found), axis=0)


def stored(path: Path) -> NDArray[np.float32]:
    """The vectors of an index, normalised."""
    import faiss

    index: Any = faiss.read_index(str(path))
    vectors = index.index.reconstruct_n(0, index.ntotal)
    return normalised(vectors)


def normalised(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    scaled: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return scaled


def question_vectors(dataset: Path, most: int) -> NDArray[np.float32]:
    embedder = make_embedder("minilm")
    texts = [question.text for repository in read_dataset(dataset) for question in repository.questions]
    drawn = np.random.default_rng(_SEED).permutation(len(texts))[:most]
    return np.stack([embedder.encode_query(texts[place]) for place in drawn])


def enlarged(real: NDArray[np.float32], size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """The first `size` of the real vectors, or all of them and as many near them as are missing."""
    if size <= len(real):
        return real[:size]
    spread = nearest_distance(real, rng)
    made = [real]
    missing = size - len(real)
    while missing:
        some = real[rng.integers(0, len(real), min(missing, len(real)))]
        moves = rng.standard_normal(some.shape, dtype=np.float32)
        made.append(normalised(some + spread * normalised(moves)))
        missing -= len(some)
    return np.concatenate(made)


def nearest_distance(real: NDArray[np.float32], rng: np.random.Generator, sample: int = 500) -> float:
    """The median distance from a vector to its nearest neighbour."""
    drawn = rng.choice(len(real), min(sample, len(real)), replace=False)
    similar = real[drawn] @ real.T
    similar[np.arange(len(drawn)), drawn] = -1
    return float(np.median(np.sqrt(np.maximum(0, 2 - 2 * similar.max(axis=1)))))


def kinds(size: int, probes: Sequence[int]) -> Iterator[tuple[str, Kind]]:
    """What is compared at a size: every kind that the rule knows, and the rule's cells with other numbers of them looked at."""
    scanned = Kind(bits=8, sample=20_000)
    rule = kind_for(size)
    cells = rule if rule.nlist else kind_for(SCANNED_UP_TO + 1)
    for kind in (EXACT, scanned, cells):
        yield named(kind) + (" (the rule)" if kind == rule else ""), kind
    for probed in probes:
        if probed != cells.nprobe:
            other = cells._replace(nprobe=probed)
            yield named(other), other


def named(kind: Kind) -> str:
    scalars = "float16" if kind.bits == 16 else "SQ8"
    return f"IVF{kind.nlist}/{kind.nprobe}, {scalars}" if kind.nlist else scalars


def measure(
    vectors: NDArray[np.float32], queries: NDArray[np.float32], compared: Iterable[tuple[str, Kind]]
) -> Iterator[Measured]:
    """Each kind in its turn; kinds that differ only by the cells that they look at share one index."""
    first = len(vectors) // 2
    folder = (first, first + len(vectors) // _FOLDER_SHARE)
    exact = nearest(vectors, queries)
    exact_in_folder = nearest(vectors[folder[0] : folder[1] + 1], queries) + folder[0]
    with TemporaryDirectory() as work:
        path, built, build_s = Path(work) / "vectors.faiss", None, 0.0
        for name, kind in compared:
            if built != kind._replace(nprobe=0):
                started = time.process_time()
                build(path, vectors, kind)
                build_s, built = time.process_time() - started, kind._replace(nprobe=0)
            index = opened(path, kind)
            found, query_ms = searched(index, queries, None)
            within, folder_ms = searched(index, queries, folder)
            index.close()
            yield Measured(
                name,
                recall(found[:, :10], exact[:, :10]),
                recall(found, exact),
                recall(within, exact_in_folder),
                path.stat().st_size / len(vectors),
                query_ms,
                folder_ms,
                build_s,
            )


def nearest(vectors: NDArray[np.float32], queries: NDArray[np.float32]) -> NDArray[np.int64]:
    """Where the NEIGHBOURS nearest vectors of each query are (n, NEIGHBOURS), by float32 and looking at all of them."""
    found = []
    for start in range(0, len(queries), _QUERIES_TOGETHER):
        similar = queries[start : start + _QUERIES_TOGETHER] @ vectors.T
        best = np.argpartition(-similar, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
        order = np.argsort(-np.take_along_axis(similar, best, axis=1), axis=1)
        found.append(np.take_along_axis(best, order, axis=1))
    return np.concatenate(found)


def build(path: Path, vectors: NDArray[np.float32], kind: Kind) -> None:
    def sample(most: int) -> NDArray[np.float32]:
        return vectors[np.random.default_rng(_SEED).choice(len(vectors), min(most, len(vectors)), replace=False)]

    ids = np.arange(len(vectors), dtype=np.int64)
    portions = ((ids[at : at + 8192], vectors[at : at + 8192]) for at in range(0, len(vectors), 8192))
    write_index(path, portions, vectors.shape[1], kind, sample)


def opened(path: Path, kind: Kind) -> CpuVectorIndex:
    """As a search opens it, but looking at this kind's number of cells."""
    import faiss

    index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    if kind.nlist:
        faiss.extract_index_ivf(index).nprobe = kind.nprobe
    return CpuVectorIndex(index)


def searched(
    index: CpuVectorIndex, queries: NDArray[np.float32], ids: tuple[int, int] | None
) -> tuple[NDArray[np.int64], float]:
    """The ids found, one query after the other, and the processor milliseconds of one."""
    started = time.process_time()
    found = [index.search(query.reshape(1, -1), NEIGHBOURS, ids).ids for query in queries]
    return np.concatenate(found), 1000 * (time.process_time() - started) / len(queries)


def recall(found: NDArray[np.int64], exact: NDArray[np.int64]) -> float:
    """The share of the exact result that was found."""
    hits = sum(len(np.intersect1d(*pair)) for pair in zip(found, exact, strict=True))
    return hits / exact.size


if __name__ == "__main__":
    main()
