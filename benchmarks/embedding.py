"""How fast chunks are embedded on this machine, and what the way that Sextant does it costs in quality.

    python -m benchmarks.embedding FOLDER [FOLDER …] [--chunks 256]
    python -m benchmarks.embedding --dataset DIR --sources DIR [--index DIR] [--only NAME …]

The baseline is `SentenceTransformer.encode` in float32 over whole chunks. Against it stand the short texts that
`indexer.embedded_texts` makes of the same chunks, by the same engine and as Sextant embeds on a CPU (ONNX Runtime, int8). All
take turns over portions of the chunks, so that others who share the cores disturb them alike; ratios are of chunks per CPU
second. One query's time is measured in the same turns.

With a dataset whole searches are compared in place of speeds (benchmarks/embedded_search.py): every chunk is embedded both
ways, which takes processor hours for large repositories and is kept in the index folder.
"""

from __future__ import annotations

import argparse
import platform
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import embedded_search
from benchmarks.embedded_search import WHOLE_TOKENS
from indexer import embedder
from indexer.embedded_texts import embedded_texts
from indexer.embedder import MiniLMEmbedder, SentenceEmbedder
from indexer.evaluation import read_dataset
from indexer.parser_pool import ParserPool
from indexer.source import open_source
from indexer.types import ParsedFile, SourceFile

PORTION = 64
QUERIES = ("where are cookies signed", "how is a connection closed when the client goes away", "routing", "session backend")


@dataclass(frozen=True, slots=True)
class Input:
    """One chunk: where it is from, all of it, and the short text that stands for it."""

    path: str
    whole: str
    short: str


class Variant:
    """One way to embed, and what it took."""

    def __init__(
        self,
        name: str,
        text_of: Callable[[Input], str],
        encode: Callable[[Sequence[str]], NDArray[np.float32]],
        encode_query: Callable[[str], NDArray[np.float32]],
    ) -> None:
        self.name = name
        self.encode_query = encode_query
        self.clock_s = self.cpu_s = 0.0
        self.query_ms: list[float] = []
        self.query_cpu_ms: list[float] = []
        self._text_of = text_of
        self._encode = encode
        encode(["warm up"])
        encode_query("warm up")

    def embed(self, some: Sequence[Input]) -> None:
        texts = [self._text_of(chunk) for chunk in some]
        clock, cpu = time.perf_counter(), time.process_time()
        self._encode(texts)
        self.clock_s += time.perf_counter() - clock
        self.cpu_s += time.process_time() - cpu

    def ask(self, query: str) -> None:
        clock, cpu = time.perf_counter(), time.process_time()
        self.encode_query(query)
        self.query_ms.append(1000 * (time.perf_counter() - clock))
        self.query_cpu_ms.append(1000 * (time.process_time() - cpu))


def main() -> None:
    options = _options()
    if options.dataset:
        repositories = read_dataset(options.dataset)
        chosen = [each for each in repositories if not options.only or each.name in options.only]
        embedded_search.compare(chosen, options.sources, options.index)
        return
    print_machine()
    for folder in options.folders:
        print_speed(folder, options.chunks)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    parser.add_argument("--chunks", type=int, default=256, help="how many to embed, drawn at random (default: 256)")
    parser.add_argument("--dataset", type=Path, help="compare whole searches over these questions")
    parser.add_argument("--sources", type=Path, help="one folder for each repository of the dataset")
    parser.add_argument("--index", type=Path, default=Path("var/benchmark"), help="where snapshots are kept")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="these repositories of the dataset")
    options = parser.parse_args()
    if bool(options.dataset) != bool(options.sources) or bool(options.dataset) == bool(options.folders):
        parser.error("give folders, or --dataset and --sources")
    return options


def print_speed(folder: Path, most: int) -> None:
    inputs = read_inputs(folder)
    random.Random(1).shuffle(inputs)
    inputs = inputs[:most]
    compared = variants()
    print(f"\ninputs   {len(inputs)} chunks of {folder.name}: {describe(inputs)}")
    for start in range(0, len(inputs), PORTION):
        for variant in compared:
            variant.embed(inputs[start : start + PORTION])
            for query in QUERIES:
                variant.ask(query)
    print(f"{'variant':36}{'chunks/s':>10}{'per CPU-s':>11}{'ratio':>7}{'query ms':>10}{'CPU ms':>8}")
    for variant in compared:
        rates = f"{len(inputs) / variant.clock_s:10.1f}{len(inputs) / variant.cpu_s:11.1f}"
        queries = f"{median(variant.query_ms):10.1f}{median(variant.query_cpu_ms):8.1f}"
        print(f"{variant.name:36}{rates}{compared[0].cpu_s / variant.cpu_s:7.1f}{queries}", flush=True)


def variants() -> list[Variant]:
    """The baseline first."""
    sentences = SentenceEmbedder("minilm")
    single, onnx = sentences.load().float(), MiniLMEmbedder()
    query = one(plain(single, WHOLE_TOKENS))
    made = [
        Variant("whole chunks, float32", whole_text, plain(single, WHOLE_TOKENS), query),
        Variant("short texts, float32", short_text, plain(single, embedder.DOCUMENT_TOKENS), query),
    ]
    if embedder.computes_in_bfloat16():
        half = sentences.load().bfloat16()
        documents, query = plain(half, embedder.DOCUMENT_TOKENS), one(plain(half, WHOLE_TOKENS))
        made.append(Variant("short texts, bfloat16", short_text, documents, query))
    made.append(Variant("short texts, int8 (Sextant's)", short_text, onnx.encode_documents, onnx.encode_query))
    return made


def whole_text(chunk: Input) -> str:
    return chunk.whole


def short_text(chunk: Input) -> str:
    return chunk.short


def plain(model: Any, tokens: int) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """`SentenceTransformer.encode` as anybody would call it: (n, 384) float32, normalised."""

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        model.max_seq_length = tokens
        encoded = model.encode(list(texts), convert_to_tensor=True, normalize_embeddings=True, show_progress_bar=False)
        vectors: NDArray[np.float32] = encoded.float().cpu().numpy()
        return vectors

    return encode


def one(encode: Callable[[Sequence[str]], NDArray[np.float32]]) -> Callable[[str], NDArray[np.float32]]:
    return lambda text: encode([text])[0]


def read_inputs(folder: Path) -> list[Input]:
    with TemporaryDirectory() as clones, open_source(str(folder), clone_root=Path(clones)) as source:
        files = [file for file in source.files(1_000_000) if isinstance(file, SourceFile)]
        with ParserPool() as pool:
            found = zip(files, pool.parse_many((file.path, file.read()) for file in files), strict=True)
            parsed = [(file.path, result) for file, result in found if isinstance(result, ParsedFile)]
    return [
        Input(path, chunk.text, short)
        for path, result in parsed
        for chunk, short in zip(result.chunks, embedded_texts(path, result), strict=True)
    ]


def print_machine() -> None:
    import torch

    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    cpu = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())
    native = "bfloat16 in hardware" if embedder.computes_in_bfloat16() else "no bfloat16 in hardware"
    print(f"machine  {cpu}, {torch.get_num_threads()} threads, {native}; torch {torch.__version__}")


def describe(inputs: Sequence[Input]) -> str:
    whole = sum(len(chunk.whole) for chunk in inputs) / len(inputs)
    short = sum(len(chunk.short) for chunk in inputs) / len(inputs)
    return f"{whole:.0f} characters a chunk, {short:.0f} a short text"


if __name__ == "__main__":
    main()
