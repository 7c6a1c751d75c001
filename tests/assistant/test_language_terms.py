"""What programming languages themselves have words for."""

from __future__ import annotations

import pytest

from assistant.language_terms import TERMS, all_terms, language_terms, named_in
from benchmarks.language_terms import as_json


@pytest.mark.parametrize(
    ("language", "keyword", "construct"),
    [
        ("python", "lambda", "list comprehension"),
        ("typescript", "satisfies", "arrow function"),
        ("go", "defer", "type parameter"),
        ("rust", "impl", "closure"),
        ("zig", "errdefer", "error union"),
    ],
)
def test_a_grammar_tells_its_language_s_keywords_and_constructs(language: str, keyword: str, construct: str) -> None:
    assert keyword in language_terms()[language].keywords
    assert construct in language_terms()[language].constructs
    assert keyword in all_terms().keywords
    assert construct in all_terms().constructs


def test_the_terms_are_what_the_grammars_tell() -> None:
    assert TERMS.read_text() == as_json(), "write them anew (benchmarks.language_terms), and learn (benchmarks.train_routes)"


@pytest.mark.parametrize("word", ["for", "with", "match", "string", ""])
def test_words_that_are_meant_otherwise_are_no_terms(word: str) -> None:
    assert word not in all_terms().keywords
    assert word not in all_terms().constructs


def test_a_construct_is_known_in_the_plural_and_in_a_sentence() -> None:
    assert not language_terms()["python"].constructs.isdisjoint(named_in("How are list comprehensions run?").constructs)
    assert language_terms()["python"].constructs.isdisjoint(named_in("How is the retry policy chosen?").constructs)
