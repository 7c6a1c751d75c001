"""Which names of the world a text mentions."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.gazetteer import FOLDER, Gazetteer, known, named_by_word

KINDS = ("software", "software_words", "languages", "notions")


def names(text: str, *listed: str) -> list[str]:
    return [mention.name for mention in Gazetteer(listed).mentions(text)]


@pytest.mark.parametrize("text", ["in logrus?", "LogRus logs", "(logrus)", "logrus's hooks", "logrus/v2", "two logruss"])
def test_a_name_without_capitals_is_found_in_any_spelling_and_number(text: str) -> None:
    assert names(text, "logrus") == ["logrus"]


@pytest.mark.parametrize(
    ("text", "found"),
    [("a WaitGroup", True), ("a waitgroup", False), ("sync.WaitGroup", False), ("WaitGroup.Add", True), ("WAITGROUP", False)],
)
def test_a_name_with_capitals_is_found_as_it_is_written(text: str, found: bool) -> None:
    assert names(text, "WaitGroup") == ["WaitGroup"] * found


def test_the_longest_name_is_found_and_none_within_it() -> None:
    assert names("Why spring boot and spring data?", "spring", "boot", "spring boot") == ["spring boot", "spring"]


def test_a_name_of_several_words_is_found_where_they_all_stand_together() -> None:
    listed = ("blue green deployment", "bloom filter")
    assert names("Bloom filters, and a blue green", *listed) == ["bloom filter"]
    assert names("a bloom in the filter", *listed) == []


def test_of_names_that_begin_alike_the_whole_one_is_found() -> None:
    assert names("git push --force-with-lease", "git push --force", "git push --force-with-lease") == [
        "git push --force-with-lease"
    ]
    assert names("git push --force-if-includes", "git push --force", "git push --force-with-lease") == ["git push --force"]


def test_marks_belong_to_a_name() -> None:
    assert names("io-ts or c++, with --watch and net/http", "io-ts", "c++", "--watch", "net/http", "io", "c", "watch") == [
        "io-ts",
        "c++",
        "--watch",
        "net/http",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("How do I do it in express?", ["express"]),
        ("an express app that hangs", ["express"]),
        ("Why is Express slower?", ["express"]),
        ("How do I express a union?", []),
        ("Express it otherwise", []),
    ],
)
def test_a_word_is_a_name_where_it_is_used_as_one(text: str, words: list[str]) -> None:
    assert [mention.name for mention in named_by_word(text)] == words


@given(st.text(alphabet="abc AB.:-/+#@$()", max_size=60), st.lists(st.text(alphabet="abc AB.-", min_size=1, max_size=8)))
def test_mentions_stand_in_the_text_in_their_order_and_apart(text: str, listed: list[str]) -> None:
    end = 0
    for mention in Gazetteer(listed).mentions(text):
        assert end <= mention.start < mention.end <= len(text)
        end = mention.end


@pytest.mark.parametrize("kind", KINDS)
def test_each_name_of_a_list_stands_there_once_and_finds_itself(kind: str) -> None:
    lines = [line for line in (FOLDER / f"{kind}.txt").read_text().splitlines() if not line.startswith("# ")]
    assert [line for line, count in Counter(lines).items() if count > 1 or not line.strip()] == []
    assert [line for line in lines if not is_one_name(line, kind)] == []


def is_one_name(line: str, kind: str) -> bool:
    """From its first letter to its last."""
    whole = re.search(r"\w(?:.*\w)?", line)
    mentions = known(kind).mentions(line)
    return whole is not None and len(mentions) == 1 and mentions[0].start <= whole.start() and whole.end() <= mentions[0].end


def test_software_whose_name_is_a_word_is_in_one_of_the_two_lists() -> None:
    certain, words = (set((FOLDER / f"{kind}.txt").read_text().splitlines()) for kind in ("software", "software_words"))
    assert {name for name in certain & words if not name.startswith("# ")} == set()
