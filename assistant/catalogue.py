"""What is known of models before a server is asked: one table, and one look-up by the name under which a model is served.

A server's own word (its context window above all) goes before this table. Figures are from the models' configurations and
cards. A name that matches nothing gets `OTHER`, which assumes what current models have: a system role, a chat template of
their own, and an end token that the server knows by itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

Quantisation = Literal["fp16", "fp8", "4-bit"]
# What a weight takes. 4-bit is AWQ: groups of 128 weights share a scale (16 bits) and a zero (4 bits).
BITS: dict[Quantisation, float] = {"fp16": 16, "fp8": 8, "4-bit": 4 + 20 / 128}


@dataclass(frozen=True, slots=True)
class Licence:
    """limits: what it doesn't allow, in one sentence; "" for what a team will not run into."""

    name: str
    limits: str = ""
    commercial: bool = True

    @property
    def warning(self) -> str:
        """What has to be read before the model is used for the first time; "" where nothing has to be."""
        return "" if self.commercial else f"Licence {self.name}. {self.limits}"


LLAMA_2 = Licence(
    "Llama 2", "More than 700 million monthly users need a further licence; answers may not be used to train other models."
)
APACHE, MIT = Licence("Apache-2.0"), Licence("MIT")
NON_COMMERCIAL = Licence("CC-BY-NC-4.0", "Not for commercial use: no company may use it for its work.", commercial=False)


@dataclass(frozen=True, slots=True)
class Family:
    """What the sizes of a model have in common: how they are asked.

    pattern: matched anywhere in the model's name, case ignored.
    context_tokens: the configured window. useful_tokens: what it can be extended to; or, where that is less, beyond this the
    output is poor, whatever the window is.
    system_role: whether its chat template takes one; else the system message goes into the first user turn.
    alternating: whether the template refuses anything but user and assistant in turn.
    single_turn: trained on one question at a time, so that earlier turns are told inside the question.
    stop: what the server doesn't stop at by itself. languages: of people; None means many.
    chat_template: a file of assistant/chat_templates/; "" where the model brings its own.
    """

    name: str
    pattern: str
    context_tokens: int
    useful_tokens: int
    system_role: bool = True
    alternating: bool = False
    single_turn: bool = False
    stop: tuple[str, ...] = ()
    languages: tuple[str, ...] | None = ("en",)
    licence: Licence = Licence("")
    chat_template: str = ""
    good_at: str = ""

    @property
    def extended_tokens(self) -> int | None:
        """What the window can be extended to, or None."""
        return self.useful_tokens if self.context_tokens < self.useful_tokens else None


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes out of a model's config.json. parameters, active: in billions (active: those that one token uses)."""

    parameters: float
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int = 32000
    active: float | None = None
    head_size: int = 128

    @property
    def kv_bytes(self) -> int:
        """Bytes that one token takes in the KV cache: a key and a value of two bytes for each layer and KV head."""
        return 2 * self.layers * self.kv_heads * self.head_size * 2

    def weight_bytes(self, quantisation: Quantisation) -> float:
        """The weights. The embeddings at both ends, and the norms, stay at 16 bits."""
        kept = self.heads * self.head_size * (2 * self.vocabulary + 2 * self.layers + 1)
        return (self.parameters * 1e9 - kept) * BITS[quantisation] / 8 + kept * 2


@dataclass(frozen=True, slots=True)
class Model:
    """One size of a family. key: what `manage.py models serve` calls it. name: what vLLM is to serve it as.

    size: a pattern for its name beside the family's. awq: the repository of its 4-bit copy. note: what to know before choosing.
    shape is None, and the repositories are "", for a name of which only the family is known.
    """

    family: Family
    key: str = ""
    title: str = ""
    name: str = ""
    size: str = ""
    repository: str = ""
    awq: str = ""
    shape: Shape | None = None
    scores: str = ""
    gated: bool = False
    note: str = ""


OTHER = Family("other", "", 4096, 1_000_000, languages=None, good_at="whatever its card says; limits are read from its server")

# Fine-tuned at 16k; the larger sizes extrapolate, the 70B was trained at 4k and stops at <step>.
CODE_LLAMA_70B = Family(
    "Code Llama 70B",
    r"code[- _]?llama.*70b",
    4096,
    4096,
    alternating=True,
    stop=("<step>",),
    licence=LLAMA_2,
    chat_template="code-llama-70b.jinja",
    good_at="code, in short contexts",
)
CODE_LLAMA = Family(
    "Code Llama",
    r"code[- _]?llama",
    16384,
    100_000,
    alternating=True,
    licence=LLAMA_2,
    chat_template="llama-2.jinja",
    good_at="code; not meant for general questions",
)
LLAMA_2_CHAT = Family(
    "Llama 2",
    r"llama[- _]?2",
    4096,
    4096,
    alternating=True,
    licence=LLAMA_2,
    chat_template="llama-2.jinja",
    good_at="general questions in English; may refuse too much",
)
MIXTRAL = Family(
    "Mixtral",
    r"mixtral",
    32768,
    32768,
    system_role=False,
    alternating=True,
    languages=("en", "fr", "it", "de", "es"),
    licence=APACHE,
    chat_template="mixtral.jinja",
    good_at="general questions in five languages; no moderation of its own",
)
# Its sliding window is 4096 tokens: it reads more, but answers poorly.
ZEPHYR = Family(
    "Zephyr",
    r"zephyr",
    32768,
    8192,
    licence=MIT,
    chat_template="zephyr.jinja",
    good_at="general questions on a small GPU, mostly in English; no moderation of its own",
)
SOLAR = Family(
    "SOLAR",
    r"solar[- _]?10|^solar$",
    4096,
    4096,
    single_turn=True,
    stop=("### User:",),
    licence=NON_COMMERCIAL,
    chat_template="solar.jinja",
    good_at="single general questions in English",
)
# The first that matches: Code Llama's names hold "llama" too.
FAMILIES = (CODE_LLAMA_70B, CODE_LLAMA, LLAMA_2_CHAT, MIXTRAL, ZEPHYR, SOLAR)

# Code Llama is Llama 2 with, but for the 34B, a few control tokens more.
_7B, _13B, _70B = Shape(6.7384, 32, 32, 32), Shape(13.0159, 40, 40, 40), Shape(68.9766, 80, 64, 8)
_CODE_7B, _CODE_13B, _CODE_70B = (replace(shape, vocabulary=32016) for shape in (_7B, _13B, _70B))

MODELS = (
    Model(
        CODE_LLAMA,
        "codellama-7b",
        "Code Llama 7B Instruct",
        "codellama-7b-instruct",
        r"\b7b",
        "codellama/CodeLlama-7b-Instruct-hf",
        "TheBloke/CodeLlama-7B-Instruct-AWQ",
        _CODE_7B,
        "HumanEval 34.8, MBPP 44.4",
    ),
    Model(
        CODE_LLAMA,
        "codellama-13b",
        "Code Llama 13B Instruct",
        "codellama-13b-instruct",
        r"\b13b",
        "codellama/CodeLlama-13b-Instruct-hf",
        "TheBloke/CodeLlama-13B-Instruct-AWQ",
        _CODE_13B,
        "HumanEval 42.7, MBPP 49.4",
    ),
    Model(
        CODE_LLAMA,
        "codellama-34b",
        "Code Llama 34B Instruct",
        "codellama-34b-instruct",
        r"\b34b",
        "codellama/CodeLlama-34b-Instruct-hf",
        "TheBloke/CodeLlama-34B-Instruct-AWQ",
        Shape(33.744, 48, 64, 8),
        "HumanEval 41.5, MBPP 57.0",
        note="In 4-bit the one for code on a GPU with 48 GB.",
    ),
    Model(
        CODE_LLAMA_70B,
        "codellama-70b",
        "Code Llama 70B Instruct",
        "codellama-70b-instruct",
        r"\b70b",
        "codellama/CodeLlama-70b-Instruct-hf",
        "TheBloke/CodeLlama-70B-Instruct-AWQ",
        _CODE_70B,
        "HumanEval 67.8, MBPP 62.2",
        note="Its context is a quarter of the smaller ones', and can't be extended.",
    ),
    Model(
        MIXTRAL,
        "mixtral-8x7b",
        "Mixtral 8x7B Instruct v0.1",
        "mixtral-8x7b-instruct",
        r"",
        "mistralai/Mixtral-8x7B-Instruct-v0.1",
        "casperhansen/mixtral-instruct-awq",
        Shape(46.7028, 32, 32, 8, active=12.9),
        "MMLU 70.6, MT-Bench 8.30, HumanEval 40.2",
        note="TheBloke's AWQ copy gives empty answers (vllm#2543).",
    ),
    Model(
        LLAMA_2_CHAT,
        "llama-2-7b",
        "Llama 2 Chat 7B",
        "llama-2-7b-chat",
        r"\b7b",
        "meta-llama/Llama-2-7b-chat-hf",
        "TheBloke/Llama-2-7B-Chat-AWQ",
        _7B,
        "MMLU 45.3",
        gated=True,
    ),
    Model(
        LLAMA_2_CHAT,
        "llama-2-13b",
        "Llama 2 Chat 13B",
        "llama-2-13b-chat",
        r"\b13b",
        "meta-llama/Llama-2-13b-chat-hf",
        "TheBloke/Llama-2-13B-chat-AWQ",
        _13B,
        "MMLU 54.8",
        gated=True,
    ),
    Model(
        LLAMA_2_CHAT,
        "llama-2-70b",
        "Llama 2 Chat 70B",
        "llama-2-70b-chat",
        r"\b70b",
        "meta-llama/Llama-2-70b-chat-hf",
        "TheBloke/Llama-2-70B-Chat-AWQ",
        _70B,
        "MMLU 68.9",
        gated=True,
    ),
    Model(
        ZEPHYR,
        "zephyr-7b",
        "Zephyr 7B beta",
        "zephyr-7b-beta",
        r"",
        "HuggingFaceH4/zephyr-7b-beta",
        "TheBloke/zephyr-7B-beta-AWQ",
        Shape(7.2417, 32, 32, 8),
        "MT-Bench 7.34, AlpacaEval 90.6, HumanEval 30.0",
        note="It attends to 4,096 tokens at a time: more than 8,192 are read, but answered poorly.",
    ),
    Model(
        SOLAR,
        "solar-10.7b",
        "SOLAR 10.7B Instruct v1.0",
        "solar-10.7b-instruct",
        r"",
        "upstage/SOLAR-10.7B-Instruct-v1.0",
        "TheBloke/SOLAR-10.7B-Instruct-v1.0-AWQ",
        Shape(10.7315, 48, 32, 8),
        "MMLU 66.2",
        note="A conversation is sent as one question.",
    ),
)


def model_of(name: str) -> Model:
    """What the table holds of a served model's name: the model, or only its family, or `OTHER`."""
    family = next((family for family in FAMILIES if re.search(family.pattern, name, re.IGNORECASE)), OTHER)
    sizes = [model for model in MODELS if model.family is family and re.search(model.size, name, re.IGNORECASE)]
    return sizes[0] if sizes else Model(family)


def family_of(name: str) -> Family:
    """How the model of that name is asked."""
    return model_of(name).family
