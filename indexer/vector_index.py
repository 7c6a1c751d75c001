"""Nearest vectors by inner product: FAISS, on the CPU or on every GPU of the machine.

On disk an index is an IndexIDMap2, whose ids are the chunks' row ids, over one of three kinds, chosen by size (`kind_for`):

    up to 50,000 vectors    SQfp16      exact to the precision that embeddings have; half of Flat's memory and twice its speed
    up to 200,000           SQ8         a byte a dimension; still looks at every vector
    above                   IVF + SQ8   looks only at the cells nearest to the query

Of the 100 vectors nearest to a question they find 1.00, 0.99 and 0.985 (benchmarks/vector_index.py, docs/vectors.md). On a
CPU the file is mapped, so opening costs milliseconds. On a GPU the whole index is cloned in float16, and since FAISS's GPU
indices must not be used by two threads at once, not even for reading, one thread searches there and takes all waiting queries
in one batch.

`get_num_gpus()` is asked before anything else about GPUs: without one `index_cpu_to_all_gpus` returns an empty index and raises
nothing.
"""

from __future__ import annotations

import math
import os
import queue
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from indexer.disk import sync
from indexer.errors import VectorIndexError
from indexer.threads import sleep_when_idle

if TYPE_CHECKING:
    from numpy.typing import NDArray

FAISS_BUILDS = ("faiss-cpu", "faiss-gpu")

# From the first to the second, both included; or just these, (n,) int64.
Ids: TypeAlias = "tuple[int, int] | NDArray[np.int64]"


class Neighbours(NamedTuple):
    """scores: (n, k) float32 inner products, falling; ids: (n, k) int64, -1 where there are fewer than k vectors."""

    scores: NDArray[np.float32]
    ids: NDArray[np.int64]


class VectorIndex(Protocol):
    """Safe to share between threads."""

    @property
    def size(self) -> int: ...

    def search(self, queries: NDArray[np.float32], k: int, ids: Ids | None = None) -> Neighbours:
        """The k nearest of each of `queries` (n, dimension) float32, among all or among these ids."""
        ...

    def close(self) -> None: ...


def faiss_problem(device: str) -> str | None:
    """What is wrong with this machine's FAISS, in one sentence, or None. device: "auto", "cpu" or "gpu"."""
    installed = [build for build in FAISS_BUILDS if _is_installed(build)]
    if not installed:
        return "FAISS isn't installed: install Sextant with the extra cpu or with the extra gpu."
    if len(installed) > 1:
        return "Both faiss-cpu and faiss-gpu are installed and overwrite each other: uninstall both, then install one of them."
    if device == "gpu" and installed == ["faiss-cpu"]:
        return "SEXTANT_FAISS_DEVICE is gpu, but faiss-cpu is installed: install Sextant with the extra gpu instead of cpu."
    if device == "gpu" and not _gpus():
        return "SEXTANT_FAISS_DEVICE is gpu, but FAISS sees no GPU: look at the driver with nvidia-smi, or set it to auto."
    return None


class Kind(NamedTuple):
    """How vectors are kept. nlist: cells, 0 for an index that looks at every vector; nprobe: cells that a search looks at;
    sample: vectors to train with, a bound of its memory (float32)."""

    bits: int
    nlist: int = 0
    nprobe: int = 0
    sample: int = 0


EXACT = Kind(bits=16)
EXACT_UP_TO = 50_000
SCANNED_UP_TO = 200_000
_SCALARS_SAMPLE = 20_000
_MOST_CELLS = 8192
# k-means wants some 40 vectors a cell; 8,192 cells get 25, and all of the sample is 315 MB.
_CELL_SAMPLE = 40
_MOST_SAMPLE = 205_000
_PROBED_SHARE = 4
# A search looks at cells that hold, on average, at least so many vectors for each one that it is asked for.
_HELD_PER_NEIGHBOUR = 8


def kind_for(size: int) -> Kind:
    """The kind for `size` vectors: 4 √size cells, as a power of two, of which a quarter is looked at."""
    if size <= EXACT_UP_TO:
        return EXACT
    if size <= SCANNED_UP_TO:
        return Kind(bits=8, sample=_SCALARS_SAMPLE)
    nlist = min(_MOST_CELLS, 2 ** round(math.log2(4 * math.sqrt(size))))
    return Kind(bits=8, nlist=nlist, nprobe=nlist // _PROBED_SHARE, sample=min(_MOST_SAMPLE, _CELL_SAMPLE * nlist))


def write_index(
    path: Path,
    vectors: Iterable[tuple[NDArray[np.int64], NDArray[np.float32]]],
    dimension: int,
    kind: Kind = EXACT,
    sample: Callable[[int], NDArray[np.float32]] | None = None,
) -> int:
    """Write the index of `vectors`, portions of (ids, vectors), so that `path` appears, or is replaced, complete or not at all.

    sample(n): at most n of the vectors, drawn at random, which a kind that has to be trained needs. Returns how many vectors
    the index holds. Raises VectorIndexError, or OSError when the disk doesn't take it.
    """
    faiss = _faiss()
    inner = _empty(faiss, dimension, kind)
    if not inner.is_trained:
        assert sample is not None, "this kind of index has to be trained"
        inner.train(np.ascontiguousarray(sample(kind.sample), dtype=np.float32))
    index = faiss.IndexIDMap2(inner)
    for ids, some in vectors:
        index.add_with_ids(np.ascontiguousarray(some, dtype=np.float32), np.ascontiguousarray(ids, dtype=np.int64))
    unfinished = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        with unfinished.open("wb") as file:
            faiss.write_index(index, faiss.PyCallbackIOWriter(file.write))
        sync(unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    sync(path.parent)
    return int(index.ntotal)


def _empty(faiss: Any, dimension: int, kind: Kind) -> Any:
    scalars = faiss.ScalarQuantizer.QT_fp16 if kind.bits == 16 else faiss.ScalarQuantizer.QT_8bit
    if not kind.nlist:
        return faiss.IndexScalarQuantizer(dimension, scalars, faiss.METRIC_INNER_PRODUCT)
    cells = faiss.IndexFlatIP(dimension)
    index = faiss.IndexIVFScalarQuantizer(cells, dimension, kind.nlist, scalars, faiss.METRIC_INNER_PRODUCT)
    index.nprobe = kind.nprobe
    return index


def open_index(path: Path, device: str = "auto") -> VectorIndex:
    """Open the index at `path` on `device`: "cpu", "gpu", or "auto" for a GPU where there is one. Raises VectorIndexError."""
    if problem := faiss_problem(device):
        raise VectorIndexError(problem)
    faiss = _faiss()
    try:
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        raise VectorIndexError(f"The vectors {path} can't be read: index the repository again.") from error
    if device != "cpu" and _gpus():
        return GpuVectorIndex(_on_gpus(faiss, index), faiss.vector_to_array(index.id_map), CpuVectorIndex(index))
    return CpuVectorIndex(index)


class CpuVectorIndex:
    """FAISS lets any number of threads search an index in memory."""

    def __init__(self, index: Any) -> None:
        self._index = index

    @property
    def size(self) -> int:
        return int(self._index.ntotal)

    def search(self, queries: NDArray[np.float32], k: int, ids: Ids | None = None) -> Neighbours:
        wanted = np.ascontiguousarray(queries, dtype=np.float32)
        return Neighbours(*self._index.search(wanted, k, params=self._parameters(k, ids)))

    def _parameters(self, k: int, ids: Ids | None) -> Any:
        """Some ids are looked for in all cells: a folder's few vectors may lie in any of them. A search for many looks at
        so many cells that they hold several times as many, in the end at all of them: what a filter lets through is picked
        from more and more (`indexer.search`), and cells that were never looked at would end that too early."""
        faiss = _faiss()
        selected = {} if ids is None else {"sel": _selector(faiss, ids)}
        inner = faiss.downcast_index(self._index.index)
        if not isinstance(inner, faiss.IndexIVF):
            return faiss.SearchParameters(**selected) if selected else None
        holding = math.ceil(inner.nlist * _HELD_PER_NEIGHBOUR * k / max(1, self.size))
        nprobe = inner.nlist if selected else min(inner.nlist, max(inner.nprobe, holding))
        return faiss.SearchParametersIVF(nprobe=nprobe, **selected)

    def close(self) -> None:
        del self._index


def _selector(faiss: Any, ids: Ids) -> Any:
    if isinstance(ids, tuple):
        return faiss.IDSelectorRange(ids[0], ids[1] + 1)
    return faiss.IDSelectorBatch(ids)


class _Query(NamedTuple):
    vectors: NDArray[np.float32]
    k: int
    answer: Future[Neighbours]


# The largest k of FAISS's GPU indices.
_MOST_ON_GPU = 2048


class GpuVectorIndex:
    """One thread owns the GPU index; what waits when it is free is searched in one batch.

    index: counts its vectors 0, 1, 2, …; ids: (size,) int64, the id of each; ranges: searches what FAISS's GPU indices can't:
    among some of the ids, or for more neighbours than they give.
    """

    def __init__(self, index: Any, ids: NDArray[np.int64], ranges: VectorIndex) -> None:
        self._index = index
        self._ids = ids
        self._ranges = ranges
        self._waiting: queue.SimpleQueue[_Query] = queue.SimpleQueue()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="gpu-index")

    @property
    def size(self) -> int:
        return len(self._ids)

    def search(self, queries: NDArray[np.float32], k: int, ids: Ids | None = None) -> Neighbours:
        if ids is not None or k > _MOST_ON_GPU:
            return self._ranges.search(queries, k, ids)
        query = _Query(np.ascontiguousarray(queries, dtype=np.float32), k, Future())
        self._waiting.put(query)
        self._thread.submit(self._search_waiting)
        return query.answer.result()

    def _search_waiting(self) -> None:
        """Answer everything that waits; a call that finds nothing was served by the one before it."""
        batch = []
        while True:
            try:
                batch.append(self._waiting.get_nowait())
            except queue.Empty:
                break
        if not batch:
            return
        try:
            found = self._search_batch(np.concatenate([query.vectors for query in batch]), max(query.k for query in batch))
        except Exception as error:  # goes to those who wait for it
            for query in batch:
                query.answer.set_exception(VectorIndexError(f"The GPU index can't be searched: {error}"))
            return
        row = 0
        for query in batch:
            rows = slice(row, row + len(query.vectors))
            row = rows.stop
            query.answer.set_result(Neighbours(found.scores[rows, : query.k], found.ids[rows, : query.k]))

    def _search_batch(self, queries: NDArray[np.float32], k: int) -> Neighbours:
        scores, positions = self._index.search(queries, k)
        ids = np.where(positions < 0, -1, self._ids[positions])
        return Neighbours(scores, ids)

    def close(self) -> None:
        self._thread.shutdown()
        self._ranges.close()
        del self._index


_RECONSTRUCTED_TOGETHER = 65_536


def _on_gpus(faiss: Any, index: Any) -> Any:
    """A float16 clone of the whole index on the GPU, or one on each of them."""
    flat = faiss.IndexFlatIP(index.d)
    inner = faiss.downcast_index(index.index)
    if isinstance(inner, faiss.IndexIVF):
        inner.make_direct_map()
    for start in range(0, index.ntotal, _RECONSTRUCTED_TOGETHER):
        flat.add(inner.reconstruct_n(start, min(_RECONSTRUCTED_TOGETHER, index.ntotal - start)))
    options = faiss.GpuMultipleClonerOptions()
    options.useFloat16 = True
    if _gpus() > 1:
        return faiss.index_cpu_to_all_gpus(flat, options)
    return faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, flat, options)


def _gpus() -> int:
    """How many GPUs FAISS sees. StandardGpuResources tells a GPU build from the CPU one; both have get_num_gpus."""
    faiss = _faiss()
    return int(faiss.get_num_gpus()) if hasattr(faiss, "StandardGpuResources") else 0


def _is_installed(distribution: str) -> bool:
    try:
        metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def _faiss() -> Any:
    sleep_when_idle()
    try:
        import faiss
    except ImportError as error:
        raise VectorIndexError("FAISS isn't installed: install Sextant with the extra cpu or with the extra gpu.") from error
    return faiss
