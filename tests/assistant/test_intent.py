"""Which way a question goes, and what the reader is told of the reason."""

from __future__ import annotations

import pytest

from assistant.answer_log import Turn
from assistant.intent import Decision, choose_route
from indexer.types import Passage, SearchResult


def passage(path: str) -> Passage:
    return Passage(1, path, "0" * 40, 1, 2, "", "lines", "python", "x = 1", 1.0, ())


FOUND = (passage("src/web/session.py"), passage("docs/keys.md"))


def found(symbols: str = "", matched: str = "", missing: str = "", passages: tuple[Passage, ...] = FOUND) -> SearchResult:
    return SearchResult(passages, (), True, tuple(symbols.split()), tuple(matched.split()), tuple(missing.split()))


CODE_TURN, GENERAL_TURN = Turn("Where is the session signed?", "In it.", "code"), Turn("What is TLS?", "A.", "general")


@pytest.mark.parametrize("requested", ["code", "general", "search"])
def test_what_the_reader_chose_goes_before_every_rule(requested: str) -> None:
    decision = choose_route("hello", requested, found("Session", "session"))
    assert decision == Decision(requested, "you chose it")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("question", "search", "decision"),
    [
        ("What does Session do?", found("Session"), Decision("code", "Session is defined here")),
        ("How do Session and Signer differ?", found("Session Signer"), Decision("code", "2 symbols matched")),
        ("What is in src/web/session.py?", found(), Decision("code", "src/web/session.py is a file here")),
        ("Why does session.py fail?", found(), Decision("code", "session.py is a file here")),
        ("What belongs into src/web/?", found(), Decision("code", "src/web is a file here")),
        ("What does this project do?", found(), Decision("code", "asks about this repository")),
        ("How do we sign cookies?", found(), Decision("code", "asks about this repository")),
        ("How is OAuth login implemented here?", found(missing="OAuth"), Decision("code", "asks about this repository")),
        ("What is our release process?", found(), Decision("code", "asks about this repository")),
        ("Who calls `frobnicate`?", found(), Decision("code", "the question holds code")),
        ("Why is max_age ignored?", found(), Decision("code", "the question holds code")),
        ('Traceback (most recent call last):\n  File "x.py"', found(), Decision("code", "the question holds code")),
        ("hello", found(matched="hello"), Decision("general", "asks for general knowledge")),
        ("What is the difference between a process and a thread?", found(), Decision("general", "asks for general knowledge")),
        ("Explain the concept of a monad", found(matched="concept"), Decision("general", "asks for general knowledge")),
        ("How are sessions signed?", found(matched="session signed"), Decision("code", "2 of 2 words occur here")),
        (
            "How are sessions signed twice?",
            found(matched="session signed", missing="twice"),
            Decision("code", "2 of 3 words occur here"),
        ),
        ("Sessions?", found(matched="session"), Decision("code", "“session” occurs here")),
        (
            "How is bread baked in Rome?",
            found(missing="bread baked Rome"),
            Decision("general", "hardly any of its words occur here"),
        ),
        (
            "How is bread signed?",
            found(matched="signed", missing="bread"),
            Decision("general", "hardly any of its words occur here"),
        ),
        (
            "Sessions signed?",
            found(matched="session signed", passages=()),
            Decision("general", "hardly any of its words occur here"),
        ),
    ],
)
def test_the_first_rule_that_holds_decides_and_is_the_reason(question: str, search: SearchResult, decision: Decision) -> None:
    assert choose_route(question, "auto", search) == decision


@pytest.mark.parametrize("question", ["And why?", "What about the key?", "Where is it called?", "why is that so slow"])
@pytest.mark.parametrize(("turn", "route"), [(CODE_TURN, "code"), (GENERAL_TURN, "general")])
def test_a_question_that_leans_on_the_one_before_goes_the_same_way(question: str, turn: Turn, route: str) -> None:
    decision = choose_route(question, "auto", found(), [turn])
    assert decision == Decision(route, "follows up on the question before")  # type: ignore[arg-type]


def test_a_follow_up_to_a_mere_search_goes_to_the_code() -> None:
    assert choose_route("And why?", "auto", found(), [Turn("signing", "", "search")]).route == "code"


def test_a_follow_up_that_names_code_goes_to_the_code_whatever_was_before() -> None:
    assert choose_route("And what does Session do?", "auto", found("Session"), [GENERAL_TURN]).route == "code"


def test_without_a_question_before_it_nothing_is_followed_up() -> None:
    assert choose_route("Where is it baked?", "auto", found(missing="baked")).route == "general"
