"""Sentences without names and numbers, and the passages that they tell of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from assistant.citations import CitationReader, Claims
from assistant.code_names import Evidence
from assistant.similarity import COMPARED_PASSAGES, FEWEST_PASSAGES, Similarity
from indexer.embedder import make_embedder

UPLOAD = Evidence(
    1, "web/upload.py", 1, 3, "Upload", "def store(part):\n    # large parts go to a temporary file on disk\n    spool(part)"
)
COOKIE = Evidence(
    2, "web/cookie.py", 1, 3, "Cookie", "def expire(name):\n    # empty value, date in the past\n    send(name, '')"
)
REDIRECT = Evidence(3, "web/redirect.py", 1, 2, "redirect", "def redirect(url):\n    return Response(status=302)")
TIMER = Evidence(4, "web/timer.py", 1, 2, "Timer", "def cancel(timer):\n    timer.deadline = None")
GIVEN = (UPLOAD, COOKIE, REDIRECT, TIMER)
PARAPHRASE = "Large parts are written to a temporary file on the disk."


class Counting:
    """The hashing embedder, and how many texts it was asked for at a time."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        self.asked.append(len(texts))
        return make_embedder("hashing").encode_documents(texts)


def best(prose: str, evidence: Sequence[Evidence] = GIVEN) -> Evidence | None:
    return Similarity(evidence, Counting()).best(prose)


def test_a_paraphrase_tells_of_the_one_passage_that_holds_its_rare_words() -> None:
    assert best(PARAPHRASE) == UPLOAD
    assert best("Its value becomes empty and its date lies in the past.") == COOKIE


def test_a_general_sentence_tells_of_no_passage() -> None:
    assert best("Reverse proxies usually terminate encryption for the servers behind them.") is None


def test_the_passage_must_hold_every_name_in_the_sentence() -> None:
    assert best("Large parts are written by `spool` to a temporary file on the disk.") == UPLOAD
    assert best("Large parts are written by `swap_out` to a temporary file on the disk.") is None


def test_few_passages_and_few_words_tell_too_little() -> None:
    assert best(PARAPHRASE, GIVEN[: FEWEST_PASSAGES - 1]) is None
    assert best("Temporary file.") is None


def test_passages_that_were_dropped_are_compared_and_never_told() -> None:
    assert Similarity((UPLOAD,), Counting(), (COOKIE, REDIRECT, TIMER)).best(PARAPHRASE) == UPLOAD
    assert Similarity((COOKIE, REDIRECT, TIMER), Counting(), (UPLOAD,)).best(PARAPHRASE) is None


def test_of_what_was_dropped_no_more_is_embedded_than_makes_ten() -> None:
    encode = Counting()
    Similarity(GIVEN, encode, [TIMER] * 300).best(PARAPHRASE)
    assert max(encode.asked) == COMPARED_PASSAGES


def test_the_passages_are_embedded_once_and_only_when_a_sentence_asks() -> None:
    encode = Counting()
    similarity = Similarity(GIVEN, encode)
    similarity.best("Yes.")
    assert encode.asked == []
    similarity.best(PARAPHRASE)
    similarity.best(PARAPHRASE)
    assert sorted(encode.asked) == [1, 1, len(GIVEN)]


def left(text: str) -> list[str]:
    reader = CitationReader(GIVEN)
    reader.feed(text)
    reader.finish()
    return [prose.strip() for _, prose in reader.unmatched()]


def test_left_to_similarity_are_the_sentences_that_claim_something_and_are_matched_to_nothing() -> None:
    denied, named = "The passages do not show how they are deleted.", "It calls `spool` and `store`."
    text = f"# Uploads\n\nThe steps are:\n\n{PARAPHRASE} {denied} {named}"
    assert left(text) == [PARAPHRASE]


def test_an_answer_with_numbers_leaves_nothing_to_similarity() -> None:
    assert left(f"It calls `spool` [1]. {PARAPHRASE}") == []
    assert left(f"{PARAPHRASE} It calls `spool` [1].") == []


def test_a_similar_passage_is_a_citation_of_its_own_and_no_claim() -> None:
    reader = CitationReader(GIVEN)
    reader.feed(PARAPHRASE)
    reader.finish()
    ((end, _),) = reader.unmatched()
    citation = reader.similar(end, UPLOAD)
    assert (citation.start, citation.end, citation.state, citation.origin) == (
        len(PARAPHRASE),
        len(PARAPHRASE),
        "similar",
        "matched",
    )
    assert reader.citations == (citation,)
    assert reader.claims == Claims(0, 0)
