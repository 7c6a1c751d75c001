"""Which way a question goes, and what the reader is told of the reason."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assistant.answer_log import Turn
from assistant.gazetteer import known
from assistant.intent import IS_CODE, SHOWS_EVIDENCE, Decision, choose_route
from assistant.route_features import features, phrases, prose_first, prose_of
from assistant.route_kernel import MACHINE, Machine, read_machine, shipped_machine, states_of, write_machine
from assistant.route_model import REASONS, REASONS_WITHOUT, WEIGHTS, judge, reason_of, shipped_mix, warm_up
from benchmarks.route_examples import EXAMINATION, QUESTIONS, read_questions
from indexer import minilm
from indexer.types import Origin, Passage, SearchResult, Strength
from tests.processes import ROOT, environment

STRONG = Strength(bm25=20.0, coverage=1.0, rarities=(4.0, 5.0), definition=0.5, chance=0.6, name_in_query=1.0)


def passage(path: str, *signals: str, text: str = "x = 1") -> Passage:
    origins = tuple(Origin(signal, 1, 1.0) for signal in signals)  # type: ignore[arg-type]
    return Passage(1, path, "0" * 40, 1, 2, "", "lines", "python", text, 1.0, origins)


def found(
    symbols: str = "", matched: str = "", missing: str = "", strength: Strength = STRONG, kind: str = "plain"
) -> SearchResult:
    """symbols: the names in the question that are defined in the first passage."""
    passages = (passage("src/web/session.py", text=f"x = 1  # {symbols}"), passage("docs/keys.md"))
    terms = tuple(matched.split()), tuple(missing.split())
    return SearchResult(passages, (), False, tuple(symbols.split()), *terms, kind=kind, chunks=500, strength=strength)


def holding(text: str) -> SearchResult:
    """One passage with this text."""
    return SearchResult((passage("src/web/session.py", text=text),), (), False)


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
        ("What does `Session` do here?", found("Session", matched="Session", strength=replace(STRONG, definition=1.0))),
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
        found("get_session_key", matched="get_session_key", strength=replace(STRONG, definition=0.9, called=0.9)),
    ).reason == ("get_session_key is defined here")


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"error": 1.0, "here": 0.0, "definition": 0.0}, "an error message"),
        ({"error": 0.0, "here": 1.0, "definition": 0.0}, "points at this repository"),
        ({"error": 0.0, "here": 0.0, "definition": 0.0}, "reads like a question about the code"),
    ],
)
def test_what_a_question_lacks_is_never_told_as_if_it_were_there(told: dict[str, float], reason: str) -> None:
    shares = {"error": 0.9, "here": 0.5, "definition": 0.7, "": 0.1}
    assert reason_of(shares, told, code=True) == reason
    general = reason_of({name: -share for name, share in shares.items()}, {**told, "error": 0.0, "here": 1.0}, code=False)
    assert general == "names nothing that is defined here"


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


def test_a_notion_that_something_here_is_called_by_is_answered_with_evidence() -> None:
    here, elsewhere = Strength(called=1.0), Strength()
    asked = "what is a changeset"
    own, other = (route(asked, found(matched="changeset", strength=strength)) for strength in (here, elsewhere))
    assert own.shows_evidence
    assert own.chance is not None and other.chance is not None and own.chance > other.chance


def test_nothing_found_is_no_evidence_to_show() -> None:
    nothing = SearchResult((), (), False)
    assert not any(route(question.text, nothing).unsure for question in read_questions()[:100])


def test_the_weights_know_each_feature_and_no_other() -> None:
    names = [*features("Why?", NOTHING, "vault")]
    mix = shipped_mix()
    assert [*mix.features] == names == [*shipped_machine().names]
    assert all(piece in mix.words or piece in "^$*#?`" for phrase in mix.phrases for piece in phrase.split())
    assert {*REASONS, *REASONS_WITHOUT} <= set(names)


def small_machine() -> Machine:
    """Two features and three numbers of states, two of which count; one question of the code at (1, 0, …), a general one at
    (-1, 0, …)."""
    support = np.zeros((2, 4), np.float32)
    support[:, 0] = 1.0, -1.0
    mean, scale, centre = np.array([3, 0], np.float32), np.array([0.5, 1], np.float32), np.zeros(3, np.float32)
    axes = np.array([[1, 0, 0], [0, 2, 0]], np.float32)
    return Machine(("a", "b"), mean, scale, centre, axes, support, np.array([2.0, -2.0], np.float32), 0.25, 1.5, -0.5)


def test_the_machine_adds_up_how_near_a_question_is_to_those_it_leans_on() -> None:
    logit, shares = small_machine().shares({"a": 5.0, "b": 0.0}, np.zeros(3, np.float32))
    assert logit == pytest.approx(1.5 * (2.0 - 2.0 * np.exp(-2.0) + 0.25) - 0.5)
    assert shares == pytest.approx({"a": 1.5 * 4.0 * np.exp(-2.0), "b": 0.0, "": 0.0})


def test_a_feature_s_share_is_the_slope_of_the_decision_times_its_distance_from_the_mean() -> None:
    machine, states = small_machine(), np.array([0.3, -0.2, 0.1], np.float32)
    told = {"a": 2.0, "b": 0.7}
    _, shares = machine.shares(told, states)
    for name, mean in (("a", 3.0), ("b", 0.0)):
        more, less = (machine.shares({**told, name: told[name] + step}, states)[0] for step in (0.01, -0.01))
        assert shares[name] == pytest.approx((more - less) / 0.02 * (told[name] - mean), abs=2e-3)


def test_a_machine_that_is_written_is_read_again(tmp_path: Path) -> None:
    write_machine(small_machine(), tmp_path / "machine.npz")
    again = read_machine(tmp_path / "machine.npz")
    told = {"a": 4.0, "b": -1.0}, np.array([0.5, 0.25, 1.0], np.float32)
    assert again.shares(*told) == small_machine().shares(*told)


def test_places_are_kept_within_half_of_255_steps_along_each_axis(tmp_path: Path) -> None:
    support = np.random.default_rng(7).normal(size=(40, 4)).astype(np.float32) * np.array([1, 20, 0.01, 0], np.float32)
    machine = replace(small_machine(), support=support, weights=np.ones(40, np.float32))
    write_machine(machine, tmp_path / "machine.npz")
    off = np.abs(read_machine(tmp_path / "machine.npz").support - support).max(axis=0)
    assert (off <= np.abs(support).max(axis=0) / 127 / 2 * 1.001).all()
    assert off[0] > 0


@pytest.mark.parametrize(
    ("question", "read"),
    [
        ("app.use(x);\nreturn app;\n\nWhy twice?", "Why twice?\napp.use(x);\nreturn app;"),
        ("```\nan indented world\n```\nWhat does it say?\n", "What does it say?\nan indented world"),
        ("What does `x` do?", "What does `x` do?"),
        ("x = 1;\ny = 2;", "x = 1;\ny = 2;"),
    ],
)
def test_what_is_said_is_read_before_what_is_pasted(question: str, read: str) -> None:
    assert prose_first(question) == read


@pytest.mark.integration
def test_a_question_after_a_long_paste_is_read() -> None:
    minilm.converted()
    paste = "for (const each of settings) { apply(each, target); }\n" * 20
    first, second = (states_of(paste + question) for question in ("Where is apply defined?", "What is a for loop?"))
    assert first is not None and second is not None
    assert np.linalg.norm(first - second) > 0.5


@pytest.mark.integration
def test_the_lower_layers_have_a_say_only_where_minilm_made_the_vectors() -> None:
    minilm.converted()
    told = {name: judge("Why?", found(strength=Strength(embedder=name)), "vault") for name in ("minilm", "hashing", "")}
    assert {name: each.judge for name, each in told.items()} == {"minilm": "states", "hashing": "words", "": "words"}
    assert told["minilm"].chance != told["hashing"].chance == told[""].chance


@pytest.mark.integration
def test_a_model_that_is_converted_after_the_first_question_is_heard_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    minilm.converted()
    with monkeypatch.context() as patch:
        patch.setattr(minilm, "is_made", lambda: False)
        assert states_of("Why?") is None
    assert states_of("Why?") is not None


@pytest.mark.integration
def test_a_question_that_was_read_ahead_is_not_read_again() -> None:
    minilm.converted()
    assert states_of("Where is it read?") is states_of("Where is it read?") is not None


@pytest.mark.integration
def test_the_lower_layers_read_no_more_of_a_long_question_than_its_beginning() -> None:
    minilm.converted()
    long, longer, other = (states_of(text) for text in ("why " * 100, "why " * 5_000, "how " * 100))
    assert long is not None
    assert longer is not None
    assert other is not None
    assert long.shape == (768,)
    assert np.array_equal(long, longer)
    assert not np.allclose(long, other)


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
        ("How do I sort a list?", 1.0),
        ("What does `get_session_key` do?", 0.0),
        ("What does `unique_ptr` do?", 1.0),
        ("what does --line-range do", 0.0),
        ("what does --rebase do", 1.0),
    ],
)
def test_this_it_and_a_name_from_here_point_here(question: str, untied: float) -> None:
    assert features(question, found(matched="get_session_key unique_ptr line range"), "vault")["untied"] == untied


@pytest.mark.parametrize(
    ("question", "held", "not_held"),
    [
        ("What is ctx.state meant for?", 1, 0),
        ("What does string2ll return?", 1, 0),
        ("when is `sign cookie` written", 1, 0),
        ("Does stream.pipeline() close it?", 0, 1),
        ("What is a state?", 0, 0),
    ],
)
def test_a_name_is_looked_for_as_it_is_written(question: str, held: int, not_held: int) -> None:
    told = features(question, holding("ctx.state = string2ll(x)  # sign cookie"), "vault")
    assert (told["names_held"], told["names_not_held"]) == (held, not_held)


@pytest.mark.parametrize(
    ("pasted", "here", "elsewhere"),
    [
        ("if key.expired():\n        renew( key )\nwhy both?", 1.0, 0.0),
        ("if key.expired():\n    raise Gone(key)\nwhy both?", 0.5, 0.0),
        ("while True:\n    time.sleep(1)\nwhy does it wait?", 0.0, 1.0),
        ("why does it wait?", 0.0, 0.0),
    ],
)
def test_pasted_lines_are_known_that_stand_in_what_was_found(pasted: str, here: float, elsewhere: float) -> None:
    told = features(pasted, holding("def use(key):\n\tif key.expired():\n\t\trenew(key)\n"), "vault")
    assert (told["pasted_here"], told["pasted_elsewhere"]) == (here, elsewhere)


@pytest.mark.parametrize(
    ("question", "here"),
    [
        ("Where in this repo do we talk to Kafka?", 1.0),
        ("Gdzie w repozytorium jest tłumaczenie?", 1.0),
        ("Como são lidas as chaves neste projeto?", 1.0),
        ("Где в этом проекте читаются ключи?", 1.0),
        ("Bu projede anahtarlar nerede okunuyor?", 1.0),
        ("이 저장소에서 키는 어디에서 읽나요?", 1.0),
        ("What is a repository?", 0.0),
        ("Wie klone ich ein Repository?", 0.0),
    ],
)
def test_what_points_here_is_known_in_many_languages(question: str, here: float) -> None:
    assert features(question, NOTHING, "vault")["here"] == here


@pytest.mark.parametrize(
    ("question", "run"),
    [
        ("Key 'a' has expired at 12:00, renew it first", 3),
        ("renew it first! key x HAS EXPIRED AT noon", 3),
        ("it has expired", 0),
        ("def expired of key", 0),
        ("why?", 0),
    ],
)
def test_a_message_is_known_by_words_in_a_row_in_a_string_of_what_was_found(question: str, run: int) -> None:
    text = "def expired(key):\n    # has expired at some time\n    raise Gone(f'Key {key} has expired at {when}, renew it')\n"
    told = features(question, holding(text), "vault")
    assert told["string_here"] == run
    assert told["string_share"] == pytest.approx(run / max(3, len(question.replace("'", " ").replace(":", " ").split())))


@pytest.mark.parametrize(
    ("question", "tools", "tool"),
    [
        ("How do I rotate files with logrus or zerolog?", 2, 1.0),
        ("```\nlogrus.Info(1)\n```\nWhy twice?", 0, 1.0),
        ("How does the vault rotate?", 0, 0.0),
        ("How do I do it in vault?", 0, 0.0),
    ],
)
def test_other_software_is_known_by_its_name(question: str, tools: int, tool: float) -> None:
    told = features(question, NOTHING, "vault")
    assert (told["tools"], told["tool"]) == (tools, tool)


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        ("What is a bloom filter?", 1.0),
        ("Explain bloom filters", 1.0),
        ("What does the vault do with a bloom filter?", 0.0),
        ("What is a frobnicator?", 0.0),
    ],
)
def test_a_notion_is_known_that_is_asked_for_bare(question: str, asked: float) -> None:
    assert features(question, NOTHING, "vault")["asked_notion"] == asked


def test_what_a_language_has_is_known_in_what_is_said_and_in_what_is_pasted() -> None:
    said, pasted = (features(text, NOTHING, "vault") for text in ("Is a WaitGroup copied?", "x := sync.WaitGroup{}\ny()\nwhy?"))
    assert (said["language_names"], said["language_names_pasted"]) == (1, 1)
    assert (pasted["language_names"], pasted["language_names_pasted"]) == (0, 1)


@pytest.mark.parametrize(
    ("question", "other"),
    [
        ("In requests, how do I retry?", 1.0),
        ("How do I set a timeout in Jedis?", 1.0),
        ("scrape it with BeautifulSoup", 1.0),
        ("how do I retry in Vault", 0.0),
        ("how do requests get retried", 0.0),
        ("Where is it called in Session?", 0.0),
    ],
)
def test_another_library_as_the_means_is_known(question: str, other: float) -> None:
    assert features(question, found("Session"), "vault")["with_library"] == other


@pytest.mark.parametrize(
    ("question", "looks_up"),
    [("retry policy", 1.0), ("cómo funciona un semáforo", 0.0), ("how do monads work", 0.0), ("keys?", 0.0)],
)
def test_a_few_words_are_looked_up_unless_they_ask(question: str, looks_up: float) -> None:
    assert features(question, NOTHING, "vault")["keywords"] == looks_up


@pytest.mark.parametrize(
    ("question", "repository", "named"),
    [
        ("how do I paginate in laravel", "laravel-framework", True),
        ("What does uv_close do?", "libuv", True),
        ("undefined reference to fmt::v10::vformat", "fmtlib", True),
        ("What is a format?", "fmtlib", False),
        ("Why is it lazy?", "acme/lazy.nvim", True),
        ("Why?", ".config", False),
    ],
)
def test_the_repository_s_name_is_known_in_a_short_form_and_any_capitals(question: str, repository: str, named: bool) -> None:
    assert features(question, NOTHING, repository)["repository"] == named


def test_the_questions_are_many_various_and_none_alike() -> None:
    questions = read_questions()
    assert len({(question.repository, question.text, question.history) for question in questions}) == len(questions) >= 400
    assert len({question.repository for question in questions}) >= 10
    assert sum(question.hard for question in questions) >= 120
    assert all(json.loads(line)["kind"] for line in QUESTIONS.read_text().splitlines())


def test_no_repository_and_no_question_of_the_examination_is_learned_from() -> None:
    learned, examined = read_questions(), read_questions(EXAMINATION)
    assert len(examined) >= 400
    assert {question.repository for question in examined}.isdisjoint(question.repository for question in learned)
    first, first_examined = ({each.text.strip().lower() for each in told if not each.history} for told in (learned, examined))
    assert first_examined.isdisjoint(first)
    revisions = {each["name"] for each in json.loads(EXAMINATION.with_name("repos.json").read_text())}
    assert revisions >= {question.repository for question in examined}


def test_what_a_first_decision_needs_can_be_read_ahead() -> None:
    known.cache_clear()
    shipped_mix.cache_clear()
    warm_up()
    missed = known.cache_info().misses, shipped_mix.cache_info().misses
    judge("What is a bloom filter?", NOTHING, "vault")
    assert (known.cache_info().misses, shipped_mix.cache_info().misses) == missed == (4, 1)


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
    assert MACHINE.stat().st_size < 2_500_000
