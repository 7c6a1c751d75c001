"""Many texts are counted in one request by parting the tokens that come back, and alone where that can't be done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from assistant import token_counter
from assistant.errors import ModelRejected
from assistant.token_counter import TokenCounter, estimated_tokens, forget_tokenizers, separator_in
from tests.assistant.test_packing import byte_fallback, byte_pairs, word_pieces

TEXTS = [f"[{number}] src/a.py:{number}-{number + 9} f\n{number} x = compute({number})\n\n" for number in range(40)]


@pytest.fixture(autouse=True)
def nothing_counted() -> Iterator[None]:
    forget_tokenizers()
    token_counter._counts.clear()
    yield
    token_counter._counts.clear()


class Server:
    """/tokenize over a real tokenizer, as vLLM answers; `requests` counts what was asked."""

    def __init__(self, encode: Callable[[str], list[int]]) -> None:
        self.encode, self.requests = encode, 0

    async def post(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        assert path == "/tokenize"
        self.requests += 1
        tokens = self.encode(body["prompt"])
        return {"count": len(tokens), "tokens": tokens}


def encoder(tokenizer: Any) -> Callable[[str], list[int]]:
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize(
    ("encode", "requests"),
    [
        (lambda text: encoder(byte_pairs())(text), 3),
        (lambda text: encoder(byte_fallback())(text), 3),
        (lambda text: [*text.encode()], 3),
        # Drops the separator, and tells no text from another.
        (lambda text: [0] * len(text.replace("\u241e", "")), 42),
    ],
    ids=["byte pairs", "byte fallback", "bytes", "one token for all"],
)
async def test_many_texts_are_counted_in_one_request_where_the_tokenizer_lets_them_be_parted(encode, requests):
    server = Server(encode)
    counts = await TokenCounter(server.post, "http://a", "m").count(TEXTS)
    alone = [len(encode(text)) for text in TEXTS]
    # A tokenizer that begins each text with a space of its own counts a token more for a text that stands alone.
    assert all(one - 1 <= count <= one for count, one in zip(counts, alone, strict=True))
    assert server.requests == requests


async def test_a_tokenizer_that_knows_no_such_character_counts_each_text_alone():
    encode = encoder(word_pieces())
    server = Server(encode)
    assert await TokenCounter(server.post, "http://a", "m").count(TEXTS) == [len(encode(text)) for text in TEXTS]


async def test_what_was_counted_is_not_asked_again_not_even_by_another_counter():
    server = Server(encoder(byte_pairs()))
    first = await TokenCounter(server.post, "http://a", "m").count(TEXTS)
    asked = server.requests
    assert await TokenCounter(server.post, "http://a", "m").count([*TEXTS, *TEXTS]) == [*first, *first]
    assert server.requests == asked
    await TokenCounter(server.post, "http://a", "other").count(TEXTS[:1])
    assert server.requests > asked


async def test_a_text_that_holds_the_separator_itself_is_counted_all_the_same():
    encode = encoder(byte_pairs())
    texts = [*TEXTS, "x = '\u241e'\n\u241e\ny\n\n"]
    counts = await TokenCounter(Server(encode).post, "http://a", "m").count(texts)
    assert counts == [len(encode(text)) for text in texts]


async def test_a_long_list_goes_in_several_requests(monkeypatch):
    monkeypatch.setattr(token_counter, "BATCH_CHARACTERS", 500)
    encode = encoder(byte_pairs())
    server = Server(encode)
    assert await TokenCounter(server.post, "http://a", "m").count(TEXTS) == [len(encode(text)) for text in TEXTS]
    assert 4 < server.requests < len(TEXTS)


async def test_without_a_tokenizer_counts_are_estimates():
    async def post(path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        raise ModelRejected("There is no such path.")

    assert await TokenCounter(post, "http://a", "m").count(["def f(): pass"]) == [estimated_tokens("def f(): pass")]


def test_the_separator_is_the_longest_run_that_comes_as_often_as_it_must() -> None:
    assert separator_in([1, 2, 8, 9, 3, 4, 8, 9, 5, 8, 9, 1], 3) == (8, 9)
    assert separator_in([1, 2, 3, 4, 5, 6], 3) == ()
