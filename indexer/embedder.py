"""Text to vectors.

What is embedded is not a whole chunk but a short text about it (`indexer.embedded_texts`).

MiniLM is run by ONNX Runtime on a CPU (`indexer.minilm`) and by sentence-transformers on a GPU or where ONNX Runtime can't be
had. Any other model, by path or hub name, is run by sentence-transformers too. A third embedder hashes words into buckets,
needs numpy only and works well enough for tests. None loads anything until it has to embed.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from indexer import minilm
from indexer.embedded_texts import text_hash
from indexer.errors import EmbedderError
from indexer.threads import sleep_when_idle

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

# 48 would take a quarter less time, and lose 0.009 of the dense signal's NDCG@10 (docs/vectors.md).
DOCUMENT_TOKENS = 64
QUERY_TOKENS = 256

# About 4,096 tokens: larger batches are no faster on a CPU, and need more memory.
CHARACTERS_PER_BATCH = 16_384
# About 1,000 of our short texts: a GPU is busy with that, and it takes well below 1 GB in float16.
CHARACTERS_PER_GPU_BATCH = 262_144
# NVIDIA's driver, the same under WSL, AMD's.
GPU_DEVICES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
_HASHING_DIMENSION = 256
# Documents that a GPU embeds lie close enough to be found by queries of the int8 model, but one cache holds vectors of one
# engine.
MINILM_INT8 = f"minilm-{minilm.SHA256[:8]}-{DOCUMENT_TOKENS}-int8-{minilm.RECIPE}"


class Embedder(Protocol):
    """name: what `make_embedder` takes; cache_key: changes whenever the same text would get another vector; portion: how many
    texts keep it busy for a second or two."""

    @property
    def name(self) -> str: ...

    @property
    def cache_key(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    @property
    def portion(self) -> int: ...

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, dimension) float32, L2-normalised, in the order of `texts`."""
        ...

    def encode_query(self, text: str) -> NDArray[np.float32]:
        """(dimension,) float32, L2-normalised."""
        ...


def make_embedder(name: str) -> Embedder:
    """The embedder called `name`: "minilm", "hashing", or what sentence-transformers can load (a folder or a hub name)."""
    if name == "hashing":
        return HashingEmbedder()
    if name == "minilm" and not has_gpu():
        return MiniLMEmbedder()
    return SentenceEmbedder(name)


class HashingEmbedder:
    """Words hashed into 256 buckets with a sign (the hashing trick, Weinberger et al. 2009), so that texts which share words
    are near each other. Deterministic across processes and machines."""

    name = "hashing"
    cache_key = "hashing-256-1"
    dimension = _HASHING_DIMENSION
    portion = 256

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            for word in _words(text):
                digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=4).digest()
                number = int.from_bytes(digest, "little")
                vector[number % self.dimension] += 1.0 if number >> 31 else -1.0
        # A text without words gets a direction too: FAISS and cosine similarity know no zero vector.
        vectors[~vectors.any(axis=1), 0] = 1.0
        return _normalised(vectors)

    def encode_query(self, text: str) -> NDArray[np.float32]:
        vector: NDArray[np.float32] = self.encode_documents([text])[0]
        return vector


def _words(text: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[^\W\d_a-zA-Z]+", text)]


def _normalised(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths: NDArray[np.float32] = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)


class MiniLMEmbedder:
    """MiniLM by ONNX Runtime (indexer.minilm), opened at its first use. Threads share it without waiting for each other.

    Where that can't be opened or made, whatever the reason, torch runs the model, slower, and one line of the log says so.
    """

    name = "minilm"
    dimension = minilm.DIMENSION
    portion = 128

    def __init__(self) -> None:
        self._opening = threading.Lock()
        self._opened: minilm.MiniLM | SentenceEmbedder | None = None

    @property
    def cache_key(self) -> str:
        # To be asked for a name opens nothing, where opening is sure enough to give the int8 model.
        if (self._opened is None and minilm.is_made()) or isinstance(self._model(), minilm.MiniLM):
            return MINILM_INT8
        return SentenceEmbedder(self.name).cache_key

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        model = self._model()
        if isinstance(model, SentenceEmbedder):
            return model.encode_documents(texts)
        return model.encode(texts, DOCUMENT_TOKENS)

    def encode_query(self, text: str) -> NDArray[np.float32]:
        model = self._model()
        if isinstance(model, SentenceEmbedder):
            return model.encode_query(text)
        vector: NDArray[np.float32] = model.encode([text], QUERY_TOKENS)[0]
        return vector

    def _model(self) -> minilm.MiniLM | SentenceEmbedder:
        with self._opening:
            if self._opened is None:
                try:
                    self._opened = minilm.MiniLM()
                except Exception as error:  # also what the exporter and ONNX Runtime raise
                    logger.warning("MiniLM runs by torch, slower than by ONNX Runtime: %s", _first_line(error))
                    self._opened = SentenceEmbedder(self.name)
            return self._opened


class SentenceEmbedder:
    """A sentence-transformers model, loaded at its first use: in bfloat16 on a CPU that computes in it, float16 on a GPU.

    Threads may share it; they take turns.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._turn = threading.Lock()

    @property
    def cache_key(self) -> str:
        # Vectors of one model in float32, bfloat16 and float16 differ by less than the fp16 of the index loses.
        version = minilm.SHA256[:8] if self.name == "minilm" else _folder_version(self.name)
        return f"{self.name}-{version}-{DOCUMENT_TOKENS}"

    @property
    def dimension(self) -> int:
        if self.name == "minilm":
            return minilm.DIMENSION
        return int(self._model.get_embedding_dimension())

    @property
    def portion(self) -> int:
        return 8192 if has_gpu() else 64

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        with self._turn:
            self._model.max_seq_length = DOCUMENT_TOKENS
            budget = CHARACTERS_PER_GPU_BATCH if self._model.device.type == "cuda" else CHARACTERS_PER_BATCH
            for batch in minilm.batches([len(text) for text in texts], budget):
                vectors[batch] = self._encode([texts[i] for i in batch])
        return vectors

    def encode_query(self, text: str) -> NDArray[np.float32]:
        with self._turn:
            self._model.max_seq_length = QUERY_TOKENS
            vector: NDArray[np.float32] = self._encode([text])[0]
            return vector

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        encoded = self._model.encode(
            texts, batch_size=len(texts), convert_to_tensor=True, normalize_embeddings=True, show_progress_bar=False
        )
        return _normalised(encoded.float().cpu().numpy())

    @cached_property
    def _model(self) -> Any:
        return self.load()

    def load(self) -> Any:
        """The model itself, a `SentenceTransformer`. Raises EmbedderError."""
        try:
            return _load(self.name)
        except EmbedderError:
            raise
        except Exception as error:  # whatever torch, transformers or the hub client make of a model that isn't there
            raise EmbedderError(f"The embedding model {self.name!r} can't be loaded: {_first_line(error)}") from error


def _load(name: str) -> Any:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    sleep_when_idle()
    try:
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils.logging import disable_progress_bar
    except ImportError as error:
        raise EmbedderError(
            "Embedding needs torch and sentence-transformers: install Sextant with the extra cpu or gpu."
        ) from error
    disable_progress_bar()  # type: ignore[no-untyped-call]
    place = minilm.verified_folder() if name == "minilm" else name
    on_gpu = torch.cuda.is_available()
    model = SentenceTransformer(str(place), device="cuda" if on_gpu else "cpu", local_files_only=Path(place).is_dir())
    if on_gpu:
        return model.half()
    return model.bfloat16() if computes_in_bfloat16() else model


def has_gpu() -> bool:
    """Whether torch sees a GPU. Importing it to ask takes seconds, so a machine without a GPU's device files isn't asked."""
    if not any(Path(device).exists() for device in GPU_DEVICES):
        return False
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available())


def computes_in_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware; without that bfloat16 is slower than float32."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _folder_version(name: str) -> str:
    """Changes when the files of a model in a folder do; a hub name stands for itself."""
    weights = sorted(Path(name).glob("*.safetensors")) if Path(name).is_dir() else []
    return text_hash(" ".join(f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in weights))[:8]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
