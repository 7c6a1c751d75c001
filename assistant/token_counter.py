"""How many tokens a text is, by the tokenizer of the server that will read it.

What was counted is remembered by the hash of server, model and text, so a passage that comes again costs no request. What
wasn't goes in few requests: the texts are joined by a line that tokenizers keep apart from what stands around it, and the
tokens that come back are parted at it. Where they can't be parted (the tokenizer drops or merges the line), each text goes
alone.

Only where a server has no tokenizer is the count estimated, and then too high.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import logging
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from assistant.errors import ModelRejected

logger = logging.getLogger(__name__)

TOKEN_CACHE_SIZE = 100_000
# Where no tokenizer can be asked. Llama 2's has about 2.7 bytes a token on code, newer ones more.
ESTIMATED_BYTES_A_TOKEN = 2.5
ESTIMATED_TOKENS_A_MESSAGE = 12
# A request that a tokenizer answers in some 50 ms.
BATCH_CHARACTERS = 100_000
REQUESTS_AT_ONCE = 8
# U+241E is in no vocabulary as a part of a longer word; its line is tokens of its own.
SEPARATOR = "\u241e\n"
# Ends and beginnings as packed texts have them, with nothing in common but the separators between.
_SAMPLES = ("alpha\n\n", "[7] beta(\n", " gamma = delta", "Word")

Kind = Literal["vllm", "llamacpp", "estimate"]
Post = Callable[[str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """kind: which dialect it is asked in. separator: the tokens of SEPARATOR, () where they can't be told apart."""

    kind: Kind
    separator: tuple[int, ...] = ()


class TokenCounter:
    """post: sends a body to a path of the server; raises ModelError. Raises what `post` does."""

    def __init__(self, post: Post, url: str, model: str) -> None:
        self._post, self._url, self._model = post, url, model

    async def count(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text is, without the template's own."""
        keys = [self._key(text) for text in texts]
        counts = {key: _counts[key] for key in keys if key in _counts}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in counts}
        counts.update(zip(missing, await self._ask(list(missing.values())), strict=True))
        _remember(counts)
        return [counts[key] for key in keys]

    async def count_prompt(self, messages: Sequence[Mapping[str, str]]) -> int:
        """How many tokens these messages are, template included."""
        kind = (await self._tokenizer()).kind
        if kind == "vllm":
            return int((await self._post("/tokenize", {"model": self._model, "messages": [*messages]}))["count"])
        if kind == "llamacpp":
            prompt = (await self._post("/apply-template", {"messages": [*messages]}))["prompt"]
            # parse_special: the template's markers are one token each, as they will be when the server reads them.
            return len(
                (await self._post("/tokenize", {"content": prompt, "add_special": True, "parse_special": True}))["tokens"]
            )
        return estimated_prompt_tokens(message["content"] for message in messages)

    def _key(self, text: str) -> bytes:
        named = f"{self._url}\0{self._model}\0{text}".encode(errors="surrogatepass")
        return hashlib.blake2b(named, digest_size=16).digest()

    async def _ask(self, texts: list[str]) -> list[int]:
        if not texts:
            return []
        tokenizer = await self._tokenizer()
        if tokenizer.kind == "estimate":
            return [estimated_tokens(text) for text in texts]
        at_once = asyncio.Semaphore(REQUESTS_AT_ONCE)

        async def ask(batch: list[str]) -> list[int]:
            async with at_once:
                if len(batch) > 1:
                    counts = parted(await self._tokens(SEPARATOR.join(batch)), tokenizer.separator)
                    if len(counts) == len(batch):
                        return counts
                return [len(await self._tokens(text)) for text in batch]

        batches = [*_batches(texts)] if tokenizer.separator else [[text] for text in texts]
        return [count for counts in await asyncio.gather(*map(ask, batches)) for count in counts]

    async def _tokens(self, text: str) -> Sequence[int]:
        body = {"model": self._model, "prompt": text, "content": text, "add_special_tokens": False}
        answer = await self._post("/tokenize", body)
        # Where vLLM's answer is cut down to the count by something in between.
        return answer["tokens"] if "tokens" in answer else range(int(answer["count"]))

    async def _tokenizer(self) -> Tokenizer:
        """Asked once a process: vLLM tells `count`, llama.cpp only `tokens`, others have no such path."""
        known = _tokenizers.get((self._url, self._model))
        if known is None:
            known = _tokenizers[self._url, self._model] = await self._find_out()
        return known

    async def _find_out(self) -> Tokenizer:
        try:
            answer = await self._post("/tokenize", {"model": self._model, "prompt": "a", "content": "a"})
        except ModelRejected:
            answer = {}
        kind: Kind = "vllm" if "count" in answer else "llamacpp" if "tokens" in answer else "estimate"
        if kind == "estimate":
            logger.warning("%s has no tokenizer to ask: token counts are estimated", self._url)
            return Tokenizer(kind)
        return Tokenizer(kind, separator_in(await self._tokens(SEPARATOR.join(_SAMPLES)), len(_SAMPLES) - 1))


def separator_in(tokens: Sequence[int], times: int) -> tuple[int, ...]:
    """The longest run of tokens that occurs `times` times in `tokens`, each after other tokens, or ().

    tokens: of texts that have nothing in common but the separator between them.
    """
    for length in range(8, 0, -1):
        places: dict[tuple[int, ...], list[int]] = {}
        for start in range(len(tokens) - length + 1):
            places.setdefault(tuple(tokens[start : start + length]), []).append(start)
        for run, starts in places.items():
            if len(starts) == times and all(b - a > length for a, b in itertools.pairwise(starts)):
                return run
    return ()


def parted(tokens: Sequence[int], separator: tuple[int, ...]) -> list[int]:
    """The numbers of tokens between the separators."""
    counts, begin, at, length = [], 0, 0, len(separator)
    first = separator[0]
    while at <= len(tokens) - length:
        if tokens[at] == first and tuple(tokens[at : at + length]) == separator:
            counts.append(at - begin)
            at = begin = at + length
        else:
            at += 1
    return [*counts, len(tokens) - begin]


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    characters = 0
    for text in texts:
        if batch and characters + len(text) > BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
        batch.append(text)
        characters += len(text)
    if batch:
        yield batch


def estimated_tokens(text: str) -> int:
    """More than a tokenizer would say, for a server that has none to ask."""
    return math.ceil(len(text.encode(errors="replace")) / ESTIMATED_BYTES_A_TOKEN)


def estimated_prompt_tokens(contents: Iterable[str]) -> int:
    return sum(estimated_tokens(content) + ESTIMATED_TOKENS_A_MESSAGE for content in contents)


# --- what this process has been told --------------------------------------------------------------------------------------

_tokenizers: dict[tuple[str, str], Tokenizer] = {}
_counts: OrderedDict[bytes, int] = OrderedDict()


def _remember(counts: Mapping[bytes, int]) -> None:
    """Keep the most recently used."""
    for key, count in counts.items():
        _counts[key] = count
        _counts.move_to_end(key)
    while len(_counts) > TOKEN_CACHE_SIZE:
        _counts.popitem(last=False)


def forget_tokenizers() -> None:
    """For a server that another has taken the place of."""
    _tokenizers.clear()
