"""Which catalogued models fit on which GPUs, and how vLLM is to be told to serve one.

A GPU has to hold the weights, what vLLM needs besides, and the KV cache, whose room for tokens is shared by everybody who asks
at the same time. Several GPUs hold a slice of each layer (tensor parallelism).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from assistant.catalogue import BITS, CODE_LLAMA, CODE_LLAMA_70B, MODELS, Model, Quantisation, Shape
from assistant.errors import DoesNotFit

GIB = 2**30
# What cards that are sold as so many GB have, in GiB (an L40S with 48 GB reports 46,068 MiB). Others: as if GB were 10**9.
CARDS_GIB = {24: 23.6, 48: 45.0, 80: 79.6}
# vLLM's own default, and what it takes of that besides weights and cache: activations, CUDA graphs.
UTILISATION = 0.92
OVERHEAD_GIB = 2.0
# A model that leaves room for fewer tokens than this isn't said to fit: the smallest window in the catalogue.
FEWEST_TOKENS = 4096
# A window that only the cache limits is rounded down to a multiple of this: what vLLM needs besides is an estimate.
ROUND_TOKENS = 1024
# The most precise weights that leave room for as many whole windows are chosen: people who ask at the same time.
WINDOWS = 4

IMAGE = "vllm/vllm-openai:v0.33.0"
TEMPLATES = Path(__file__).resolve().parent / "chat_templates"


@dataclass(frozen=True, slots=True)
class Gpus:
    """memory_gb: of one, as it is sold. fp8_cache: keys and values at 8 bits, which doubles the tokens."""

    memory_gb: float
    count: int = 1
    fp8_cache: bool = False

    @property
    def usable_bytes(self) -> float:
        """Of all of them together, for weights and cache."""
        each = CARDS_GIB.get(int(self.memory_gb) if self.memory_gb == int(self.memory_gb) else 0, self.memory_gb * 1e9 / GIB)
        return self.count * (each * UTILISATION - OVERHEAD_GIB) * GIB

    def divide(self, shape: Shape) -> bool:
        """Whether the attention heads can be dealt out evenly, which vLLM insists on."""
        return shape.heads % self.count == 0

    def cached_tokens(self, shape: Shape, quantisation: Quantisation) -> int:
        """How many tokens the KV cache holds; negative when not even the weights fit."""
        # More GPUs than KV heads: each keeps a copy of one head.
        copies = max(1, self.count / shape.kv_heads)
        token = shape.kv_bytes * copies / (2 if self.fp8_cache else 1)
        return math.floor((self.usable_bytes - shape.weight_bytes(quantisation)) / token)


@dataclass(frozen=True, slots=True)
class Fit:
    """tokens: what the KV cache holds, for all together. context: the window that one question may have."""

    model: Model
    quantisation: Quantisation
    tokens: int
    context: int

    @property
    def extended(self) -> bool:
        return self.context > self.model.family.context_tokens

    @property
    def at_once(self) -> float:
        """How many people can ask with a full window at the same time."""
        return self.tokens / self.context


def shape_of(model: Model) -> Shape:
    if model.shape is None:
        raise DoesNotFit(f"Nothing is known of the size of {model.title or model.family.name}.")
    return model.shape


def fits(gpus: Gpus) -> Iterator[Fit]:
    """Every model at every precision that fits, with the longest window that it is good at."""
    for model in MODELS:
        for quantisation in BITS:
            fit = _fit(model, quantisation, gpus, model.family.useful_tokens)
            if fit is not None:
                yield fit


def _fit(model: Model, quantisation: Quantisation, gpus: Gpus, context: int) -> Fit | None:
    shape = shape_of(model)
    if not gpus.divide(shape):
        return None
    tokens = gpus.cached_tokens(shape, quantisation)
    if tokens < FEWEST_TOKENS:
        return None
    return Fit(model, quantisation, tokens, context if context <= tokens else tokens - tokens % ROUND_TOKENS)


def choose(model: Model, gpus: Gpus, context: int = 0, quantisation: Quantisation | None = None) -> Fit:
    """The fit to serve. context, quantisation: what is wanted, 0 and None to choose. Raises DoesNotFit."""
    family, shape = model.family, shape_of(model)
    if not gpus.divide(shape):
        raise DoesNotFit(f"{model.title} has {shape.heads} attention heads, which {gpus.count} GPUs can't share evenly.")
    if context > (most := max(family.context_tokens, family.useful_tokens)):
        raise DoesNotFit(f"{model.title} reads at most {most:,} tokens; ask for a smaller --context.")
    wanted = context or min(family.context_tokens, family.useful_tokens)
    found = [_fit(model, each, gpus, wanted) for each in ([quantisation] if quantisation else BITS)]
    there = [fit for fit in found if fit is not None and fit.context >= context]
    if not there:
        what = f" with {context:,} tokens" if context else ""
        raise DoesNotFit(f"{model.title} doesn't fit{what} on {_told(gpus)}; `manage.py models fit` lists what does.")
    roomy = [fit for fit in there if fit.tokens >= WINDOWS * wanted]
    return roomy[0] if roomy else max(there, key=lambda fit: fit.tokens)


def _told(gpus: Gpus) -> str:
    return f"a GPU with {gpus.memory_gb:g} GB" if gpus.count == 1 else f"{gpus.count} GPUs with {gpus.memory_gb:g} GB"


def arguments(fit: Fit, gpus: Gpus, *, templates: str | Path = TEMPLATES, port: int = 8000) -> list[str]:
    """What `vllm serve` is to be called with. templates: the folder where it finds our chat templates."""
    model, family = fit.model, fit.model.family
    options = {
        "served-model-name": model.name,
        "max-model-len": fit.context,
        "chat-template": f"{templates}/{family.chat_template}",
        "gpu-memory-utilization": UTILISATION,
        "tensor-parallel-size": gpus.count if gpus.count > 1 else None,
        "quantization": "fp8" if fit.quantisation == "fp8" else None,
        "kv-cache-dtype": "fp8" if gpus.fp8_cache else None,
        "hf-overrides": json.dumps({"max_position_embeddings": family.extended_tokens}) if fit.extended else None,
        "port": port,
    }
    repository = model.awq if fit.quantisation == "4-bit" else model.repository
    return [repository, *(f"--{name}={value}" for name, value in options.items() if value is not None)]


def compose(fit: Fit, gpus: Gpus) -> str:
    """A docker-compose.override.yml beside ours: the server, and the answerer told of it."""
    service = f"vllm-{fit.model.key.replace('.', '-')}"
    route = "CODE" if fit.model.family in (CODE_LLAMA, CODE_LLAMA_70B) else "GENERAL"
    command = "\n".join(f"      - {json.dumps(each)}" for each in arguments(fit, gpus, templates="/chat-templates"))
    return f"""\
services:
  {service}:
    image: {IMAGE}
    restart: unless-stopped
    entrypoint: [vllm, serve]
    command:
{command}
    environment:
      HF_TOKEN:
      VLLM_NO_USAGE_STATS: "1"
      DO_NOT_TRACK: "1"
    volumes:
      - huggingface:/root/.cache/huggingface
      - ./assistant/chat_templates:/chat-templates:ro
    shm_size: 8gb
    deploy:
      resources:
        reservations:
          devices:
            - {{driver: nvidia, count: {gpus.count}, capabilities: [gpu]}}
    healthcheck:
      test: [CMD, python3, -c, "import urllib.request as u; u.urlopen('http://localhost:8000/health', timeout=8)"]
      interval: 15s
      timeout: 10s
      start_period: 60m
  answerer:
    environment:
      SEXTANT_{route}_MODEL_URL: http://{service}:8000
      SEXTANT_{route}_MODEL_NAME: {fit.model.name}
volumes:
  huggingface:
"""
