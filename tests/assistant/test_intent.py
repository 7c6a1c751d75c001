"""Which way a question goes, and what the reader is told of the reason."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from assistant.answer_log import Turn
from assistant.intent import IS_CODE, SHOWS_EVIDENCE, Decision, choose_route
from assistant.route_features import features, phrases, prose_of
from assistant.route_model import REASONS, WEIGHTS, judge, shipped_mixes
from benchmarks.train_routes import QUESTIONS, read_questions
from indexer.types import Origin, Passage, SearchResult, Strength
from tests.processes import ROOT, environment

STRONG = Strength(bm25=20.0, coverage=1.0, rarities=(4.0, 5.0), definition=0.5, chance=0.6, name_in_query=1.0)


def passage(path: str, *signals: str) -> Passage:
    origins = tuple(Origin(signal, 1, 1.0) for signal in signals)  # type: ignore[arg-type]
    return Passage(1, path, "0" * 40, 1, 2, "", "lines", "python", "x = 1", 1.0, origins)


def found(
    symbols: str = "", matched: str = "", missing: str = "", strength: Strength = STRONG, kind: str = "plain"
) -> SearchResult:
    passages = (passage("src/web/session.py"), passage("docs/keys.md"))
    terms = tuple(matched.split()), tuple(missing.split())
    return SearchResult(passages, (), False, tuple(symbols.split()), *terms, kind=kind, chunks=500, strength=strength)


NOTHING = found(missing="bread baked", strength=Strength())


def route(question: str, search: SearchResult, *history: Turn) -> Decision:
    return choose_route(question, "auto", search, "vault", history)


@pytest.mark.parametrize("requested", ["code", "general", "search"])
def test_what_the_reader_chose_goes_before_everything(requested: str) -> None:
    assert choose_route("hello", requested, found("Session"), "vault") == Decision(requested, "you chose it")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "decision"), [("trace", Decision("code", "a stack trace")), ("regex", Decision("search", "a regular expression"))]
)
def test_what_is_certain_by_its_kind_is_not_judged(kind: str, decision: Decision) -> None:
    assert route("What is middleware?", found(kind=kind)) == decision


def test_a_pin_asks_about_the_code() -> None:
    pinned = SearchResult((passage("a.py", "pin"),), (), False)
    assert route("What is a monad?", pinned) == Decision("code", "a.py is pinned")


@pytest.mark.parametrize(
    ("question", "search"),
    [
        ("Where is the session signed in this project?", found(matched="session signed")),
        ("What does `Session` do here?", found("Session", matched="Session")),
        ("How does Vault rotate its keys?", found(matched="rotate keys")),
        ("Wo werden hier die Schlüssel gelesen?", found(strength=Strength(language="de"))),
    ],
)
def test_a_question_about_the_repository_goes_to_the_code(question: str, search: SearchResult) -> None:
    decision = route(question, search)
    assert (decision.route, decision.unsure) == ("code", False)
    assert decision.chance is not None
    assert decision.chance >= IS_CODE


@pytest.mark.parametrize(
    ("question", "search"),
    [
        ("hello", NOTHING),
        ("What is a monad in Haskell?", NOTHING),
        ("Django or Flask for a beginner?", NOTHING),
        ("Was ist ein Generator in Python?", found(strength=Strength(language="de"))),
    ],
)
def test_a_question_about_anything_goes_to_general_knowledge(question: str, search: SearchResult) -> None:
    assert route(question, search).route == "general"


def test_a_name_that_is_defined_here_is_told() -> None:
    assert route(
        "What does `get_session_key` do?",
        found("get_session_key", matched="get_session_key", strength=Strength(definition=0.9)),
    ).reason == ("get_session_key is defined here")


def test_a_follow_up_leans_on_the_route_before() -> None:
    strength = Strength(follows=True)
    after = {
        last: judge("And where does it end?", found(strength=strength), "vault", [last]).chance for last in ("code", "general")
    }
    assert after["code"] > after["general"]


def test_a_general_answer_that_may_be_about_the_code_sees_the_passages() -> None:
    questions = read_questions()
    decisions = [route(question.text, found(matched="a b", missing="c")) for question in questions]
    assert {decision.unsure for decision in decisions} == {True, False}
    for decision in decisions:
        assert decision.chance is not None
        assert decision.unsure == (SHOWS_EVIDENCE <= decision.chance < IS_CODE)
        assert decision.shows_evidence == (decision.chance >= SHOWS_EVIDENCE)


def test_nothing_found_is_no_evidence_to_show() -> None:
    nothing = SearchResult((), (), False)
    assert not any(route(question.text, nothing).unsure for question in read_questions()[:100])


def test_the_weights_know_each_feature_and_no_other() -> None:
    names = [*features("Why?", NOTHING, "vault")]
    for mix in shipped_mixes().values():
        assert [*mix.features] == names
        assert all(piece in mix.words or piece in "^$*#?`" for phrase in mix.phrases for piece in phrase.split())
    assert set(REASONS) <= set(names)


def test_the_vector_has_a_say_only_where_it_is_the_known_embedders() -> None:
    assert shipped_mixes()["words"].vector is None
    vector = np.full(384, 0.05, np.float32)
    told = {
        name: judge("Why?", found(strength=Strength(vector=vector, embedder=name)), "vault") for name in ("minilm", "hashing")
    }
    assert {name: judgement.mix for name, judgement in told.items()} == {"minilm": "vectors", "hashing": "words"}
    assert told["minilm"].chance != told["hashing"].chance


def test_phrases_keep_the_words_that_ask() -> None:
    said = phrases("How do I sign 2 cookies?", frozenset(("how", "do", "i")))
    assert {"^ how do", "do i *", "* # *"} <= said
    assert phrases("", frozenset()) == {"^", "$", "^ $"}


@pytest.mark.parametrize(
    ("question", "prose"),
    [
        ("```go\nfor i := range xs {}\n```\nwhat is i", "`\nwhat is i"),
        ("xs.map(f)\n  .filter(g)\nwhy is f called twice", "why is f called twice"),
        ("set a timeout\n\nand a retry", "set a timeout\n\nand a retry"),
        ("is `None` falsy?", "is ` falsy?"),
        ("if (a) { b(); }", "if (a) { b(); }"),
    ],
)
def test_code_is_no_part_of_what_is_said_unless_nothing_else_is(question: str, prose: str) -> None:
    assert prose_of(question) == prose


@pytest.mark.parametrize(
    ("question", "untied"),
    [
        ("why would I pick this over Jackson?", 0.0),
        ("does it cache anything", 0.0),
        ("What is a ring buffer and where is it used?", 1.0),
        ("How do I sort a list?", 1.0),
        ("What does `get_session_key` do?", 0.0),
        ("What does `unique_ptr` do?", 1.0),
    ],
)
def test_this_and_it_point_here_unless_they_stand_for_a_notion(question: str, untied: float) -> None:
    assert features(question, found(matched="get_session_key unique_ptr"), "vault")["untied"] == untied


def test_the_questions_are_many_various_and_none_alike() -> None:
    questions = read_questions()
    assert len({question.text for question in questions}) == len(questions) >= 400
    assert len({question.repository for question in questions}) >= 10
    assert sum(question.hard for question in questions) >= 120
    assert all(json.loads(line)["kind"] for line in QUESTIONS.read_text().splitlines())


def test_a_decision_needs_no_scikit_learn_and_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from indexer.types import SearchResult; from assistant.intent import choose_route;"
        "choose_route('Why?', 'auto', SearchResult((), (), False), 'vault');"
        "print([name for name in ('sklearn', 'torch', 'django') if name in sys.modules])"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "[]"


def test_the_weights_are_small() -> None:
    assert WEIGHTS.stat().st_size < 200_000
