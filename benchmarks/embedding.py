"""How fast chunks are embedded on this machine, and what short texts cost in quality.

    python -m benchmarks.embedding FOLDER [--chunks 512] [--annotations FILE]

Compares whole chunks with the short texts that `indexer.embedder` makes of them, in float32 and bfloat16, and prints the
machine and the inputs with the figures. CPU seconds are given beside the clock's, since others may share the cores. With
annotations (a JSON list of {"query", "relevant": [path or {"path"}]}) all chunks are embedded and the dense signal alone is
scored: NDCG@10 over distinct files, each at its best chunk.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer import embedder
from indexer.embedder import SentenceEmbedder, embedded_texts
from indexer.parser import ParserPool
from indexer.source import open_source
from indexer.types import ParsedFile, SourceFile

WHOLE_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Input:
    """One chunk: where it is from, all of it, and the short text that stands for it."""

    path: str
    whole: str
    short: str


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    relevant: frozenset[str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--chunks", type=int, default=512, help="how many to embed, drawn at random (default: 512)")
    parser.add_argument("--annotations", type=Path, help="score the dense signal on these questions; embeds every chunk")
    options = parser.parse_args()
    inputs = read_inputs(options.folder)
    questions = read_questions(options.annotations) if options.annotations else []
    if not questions:
        inputs = random.Random(1).sample(inputs, min(options.chunks, len(inputs)))
    print_machine()
    print(f"inputs   {len(inputs)} chunks of {options.folder.name}: {describe(inputs)}")
    print(f"{'variant':24}{'chunks/s':>10}{'per CPU-s':>11}" + (f"{'NDCG@10':>10}" if questions else ""))
    for dtype in ("float32", "bfloat16"):
        for name, tokens, text_of in VARIANTS:
            report(f"{name}, {dtype}", model_in(dtype), tokens, inputs, text_of, questions)


def whole_text(chunk: Input) -> str:
    return chunk.whole


def short_text(chunk: Input) -> str:
    return chunk.short


VARIANTS: list[tuple[str, int, Callable[[Input], str]]] = [
    ("whole chunks", WHOLE_TOKENS, whole_text),
    ("short texts", embedder.DOCUMENT_TOKENS, short_text),
]


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


def read_questions(annotations: Path) -> list[Question]:
    return [
        Question(entry["query"], frozenset(hit if isinstance(hit, str) else hit["path"] for hit in entry["relevant"]))
        for entry in json.loads(annotations.read_text())
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


def model_in(dtype: str) -> Any:
    """MiniLM as sentence-transformers has it, in that precision."""
    model = SentenceEmbedder("minilm").load()
    return model.float() if dtype == "float32" else model.bfloat16()


def report(
    name: str, model: Any, tokens: int, inputs: Sequence[Input], text_of: Callable[[Input], str], questions: Sequence[Question]
) -> None:
    texts = [text_of(chunk) for chunk in inputs]
    encode(model, texts[:16], tokens)
    clock, cpu = time.monotonic(), time.process_time()
    vectors = encode(model, texts, tokens)
    clock, cpu = time.monotonic() - clock, time.process_time() - cpu
    quality = f"{score(model, vectors, inputs, questions):10.3f}" if questions else ""
    print(f"{name:24}{len(texts) / clock:10.0f}{len(texts) / cpu:11.0f}{quality}", flush=True)


def encode(model: Any, texts: Sequence[str], tokens: int) -> NDArray[np.float32]:
    """(n, 384) float32, normalised, batched as `SentenceEmbedder` does."""
    model.max_seq_length = tokens
    vectors = np.zeros((len(texts), model.get_embedding_dimension()), dtype=np.float32)
    for batch in embedder.batches([min(len(text), tokens * 4) for text in texts], embedder.CHARACTERS_PER_BATCH):
        encoded = model.encode(
            [texts[i] for i in batch], batch_size=len(batch), convert_to_tensor=True, show_progress_bar=False
        )
        vectors[batch] = encoded.float().cpu().numpy()
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def score(model: Any, vectors: NDArray[np.float32], inputs: Sequence[Input], questions: Sequence[Question]) -> float:
    """Mean NDCG@10 over distinct files, binary relevance."""
    queries = encode(model, [question.text for question in questions], WHOLE_TOKENS)
    total = 0.0
    for question, similarities in zip(questions, queries @ vectors.T, strict=True):
        ranked = dict.fromkeys(inputs[i].path for i in np.argsort(-similarities))
        gains = [1 / math.log2(rank + 2) for rank, path in enumerate(list(ranked)[:10]) if path in question.relevant]
        total += sum(gains) / sum(1 / math.log2(rank + 2) for rank in range(min(10, len(question.relevant))))
    return total / len(questions)


if __name__ == "__main__":
    main()
