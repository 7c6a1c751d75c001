"""What a question is read as, and what each kind finds in a real snapshot."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.error_message import literal_words, written_in
from indexer.errors import FilterError, PatternError
from indexer.pattern import Pattern, matches, read_pattern
from indexer.query import Pin, analyse
from indexer.types import Cited

from .builds import Bench

FILES = {
    "app/__init__.py": "",
    "app/session.py": '''"""Sessions of the app."""


class Session:
    """What is remembered of somebody."""

    def open(self, request):
        """Read the session from its cookie."""
        if request is None:
            raise RuntimeError(
                "Working outside of request context."
                " Push a context before the session is opened."
            )
        return sign(request.cookies)

    def close(self):
        """Write the session."""
        self.saved = True


def sign(value):
    """Sign what is stored in a cookie."""
    return f"{value}.{hash(value)}"
''',
    "app/options.py": '''"""Options of the command line."""


def check(name, kind):
    """Refuse what isn't known."""
    if name not in KNOWN:
        raise ValueError("Unknown option %r for command %s: try --help" % (name, kind))
''',
    "app/views.py": '''"""Pages."""

from app.session import Session, sign


def home(request):
    """The first page."""
    session = Session()
    session.open(request)
    return sign(request)


def bye(session):
    """The last page."""
    session.close()
''',
    "web/session.ts": "export function openSession(name: string) {\n  return name;\n}\n",
    "web/App.tsx": "export const App = () => <p>session</p>;\n",
    "tests/test_session.py": '''from app.session import sign


def test_sign():
    """Working outside of request context is tested here, as is sign."""
    assert sign("session")
''',
    "docs/session.md": "# Sessions\n\nA session is signed by sign.\n",
}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("app"), FILES).build_without_vectors()


def paths(result) -> list[str]:
    return list(dict.fromkeys(passage.path for passage in result.passages))


def step(result, name: str) -> str:
    return next((step.detail for step in result.steps if step.name == name), "")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("where are cookies signed", "plain"),
        ("Session.open", "symbol"),
        ("app/session.py", "path"),
        ("what does this project do", "overview"),
        ("why ValueError: Unknown option 'x'", "error"),
        ('who prints "Working outside of request context"', "error"),
        ("error: no such option here", "error"),
        ("/def \\w+/", "regex"),
        ("/app/session/", "plain"),
        ("who calls sign?", "references"),
        ("callers of Session.open", "references"),
        ("where is `sign` used?", "references"),
        ("what uses the class Session", "references"),
        ("what uses of memory are there in the app", "plain"),
        ('  File "a.py", line 3, in f', "trace"),
        ("how does retry work after a TimeoutException", "plain"),
    ],
)
def test_a_question_is_read_as_what_it_is(text, kind):
    assert analyse(text).kind == kind


# --- stack traces and messages ----------------------------------------------------------------------------------------


def test_a_trace_finds_its_innermost_frame_here_first_and_says_how_many_there_are(retriever, app):
    trace = """Traceback (most recent call last):
  File "/srv/app/views.py", line 9, in home
    session.open(request)
  File "/srv/app/session.py", line 10, in open
    raise RuntimeError(
  File "/usr/lib/python3/socket.py", line 3, in connect
RuntimeError: Working outside of request context."""
    result = retriever.search(app, trace)
    assert paths(result)[:2] == ["app/session.py", "app/views.py"]
    assert result.passages[0].marked[0] == 10
    assert result.passages[0].origins[0].signal == "trace"
    assert step(result, "Question") == "read as a stack trace: 2 frames in this repository, 1 outside"
    assert result.kind == "trace"
    assert result.missing_terms == ()


def test_a_frame_of_a_library_is_not_taken_for_a_file_of_any_folder(retriever, app):
    trace = '  File "/usr/lib/python3/json/__init__.py", line 1, in loads\nValueError: no'
    assert step(retriever.search(app, trace), "Question").startswith("read as a stack trace: 0 frames")


@pytest.mark.parametrize(
    "text",
    [
        "RuntimeError: Working outside of request context. Push a context before the session is opened.",
        "Working outside of request context",
    ],
)
def test_a_message_finds_the_line_that_raises_it(retriever, app, text):
    result = retriever.search(app, text)
    assert (result.passages[0].path, result.passages[0].marked) == ("app/session.py", (11,))
    assert step(result, "Message") == "written at app/session.py:11"


def test_a_message_whose_placeholders_are_filled_is_found(retriever, app):
    first = retriever.search(app, "ValueError: Unknown option '--speed' for command 'run': try --help").passages[0]
    assert (first.path, first.marked) == ("app/options.py", (7,))


def test_a_message_that_nobody_here_writes_is_told(retriever, app):
    assert step(retriever.search(app, "OSError: the disk has melted again"), "Message") == "no line here writes it"


def test_values_are_no_words_of_a_message():
    assert literal_words("Unknown option '--x' in /srv/a.py at 0x7f3a, 12 times") == ("unknown", "option", "in", "at", "times")
    assert written_in("# unknown option for it", ("unknown", "option")) is None


# --- regular expressions ----------------------------------------------------------------------------------------------


def test_a_pattern_finds_every_line_code_before_tests(retriever, app):
    result = retriever.search(app, "/def \\w*(sign|open)\\b/")
    assert [(passage.path, passage.marked) for passage in result.passages] == [
        ("app/session.py", (7, 21)),
        ("tests/test_session.py", (4,)),
    ]
    assert step(result, "Question") == "read as a regular expression: 3 lines in 2 files"
    assert {passage.origins[0].signal for passage in result.passages} == {"regex"}


def test_flags_and_ends_of_lines(retriever, app):
    assert retriever.search(app, "/^CLASS session:$/").passages == ()
    assert paths(retriever.search(app, "/^CLASS session:$/i")) == ["app/session.py"]


@pytest.mark.parametrize(
    ("pattern", "why"), [("/(a/", "missing )"), ("/(?<=a)b/", "look-around"), ("/a/y", "unknown flag “y”")]
)
def test_a_pattern_that_can_not_be_used_is_told_in_one_sentence(retriever, app, pattern, why):
    with pytest.raises(PatternError, match=why.replace("(", "\\(").replace(")", "\\)")):
        retriever.search(app, pattern)


def test_a_search_whose_time_is_over_says_what_it_looked_at():
    found = matches(Pattern("a"), [(1, b"a\na"), (2, b"a")], limit_s=-1)
    assert (found.files, found.in_time, found.total) == (0, False, 0)


def test_a_pattern_that_would_take_other_engines_for_ever_is_quick():
    assert matches(Pattern("(a+)+$"), [(1, b"a" * 20_000 + b"b")]).total == 0


@given(st.text())
def test_any_pattern_is_read_or_refused(text):
    pattern = read_pattern(f"/{text}/")
    if pattern is not None:
        try:
            matches(pattern, [(1, b"text\nand more")])
        except PatternError as error:
            assert str(error)


# --- other languages --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "language", "words"),
    [
        ("Wo werden Sitzungen in Session.open signiert?", "de", ("Sitzungen", "Session", "open", "signiert")),
        ("Où sont signées les sessions ?", "fr", ("signées", "sessions")),
        ("¿Dónde se firman las cookies?", "es", ("firman", "cookies")),
        ("Onde os cookies são assinados?", "pt", ("cookies", "assinados")),
        ("Dove vengono firmati i cookie di Session?", "it", ("vengono", "firmati", "cookie", "Session")),
        ("Где подписываются сессии в sign_value?", "ru", ("подписываются", "сессии", "sign_value")),
        ("会话在哪里签名？", "zh", ("会话", "签名")),
        ("セッションはどこで署名されますか", "ja", ("セッション", "署名")),
        ("세션 쿠키는 어디에서 서명됩니까?", "ko", ("세션", "쿠키", "서명")),
        ("total state final value", "", ("total", "state", "final", "value")),
        ("die on error in cli", "", ("die", "error", "cli")),
    ],
)
def test_function_words_of_other_languages_are_left_out_and_names_stay(text, language, words):
    query = analyse(text)
    assert (query.language, query.words) == (language, words)


def test_a_question_in_german_finds_by_the_names_in_it_and_misses_no_german_word(retriever, app):
    result = retriever.search(app, "Wo wird die Session mit sign unterschrieben, und was ist foo_bar?")
    assert paths(result)[0] == "app/session.py"
    assert result.missing_terms == ("foo_bar",)
    assert step(result, "Question").startswith("asked in German")


# --- pins -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "pins"),
    [
        ("what is in @app/session.py:12", (Pin("app/session.py", 12),)),
        ("@app/ and @Session.open", (Pin("app/"), Pin("Session.open"))),
        ("me@example.com wrote `@decorator` and\n```\n@fixture\n```", ()),
        ("see @views.py, please.", (Pin("views.py"),)),
    ],
)
def test_pins_are_read_and_addresses_and_code_are_none(text, pins):
    assert analyse(text).pins == pins


def test_a_pinned_file_comes_first_whatever_is_asked(retriever, app):
    result = retriever.search(app, "@options.py where are cookies signed")
    assert paths(result)[0] == "app/options.py"
    assert result.passages[0].origins[0].signal == "pin"
    assert "app/session.py" in paths(result)


def test_a_pinned_line_and_a_pinned_definition_come_first(retriever, app):
    first = retriever.search(app, "@session.py:18 what is the first page").passages[0]
    assert first.start_line <= 18 <= first.end_line
    assert first.path == "app/session.py"
    assert "def bye" in retriever.search(app, "how is a cookie signed @bye").passages[0].text


def test_pins_that_are_kept_count_as_those_of_the_question_and_a_follow_up_stays_one(retriever, app):
    kept = retriever.search(app, "how is a cookie signed", pins=["bye"])
    assert "def bye" in kept.passages[0].text
    history = ["where are cookies signed"]
    borrowed = retriever.search(app, "and when?", history=history).symbols
    assert retriever.search(app, "and when?", history=history, pins=["bye"]).symbols == borrowed


def test_a_pinned_folder_narrows_the_search(retriever, app):
    assert set(paths(retriever.search(app, "session @web/"))) == {"web/session.ts", "web/App.tsx"}
    assert set(paths(retriever.search(app, "session @web/ @docs/"))) == {"web/session.ts", "web/App.tsx", "docs/session.md"}


def test_a_pin_that_means_nothing_here_is_told_and_the_rest_is_searched(retriever, app):
    result = retriever.search(app, "@nowhere.py where are cookies signed")
    assert result.unresolved == ("nowhere.py",)
    assert step(result, "Pins") == "nothing here is called nowhere.py"
    assert paths(result)[0] == "app/session.py"


# --- filters ----------------------------------------------------------------------------------------------------------


def test_a_language_that_no_file_is_in_is_one_sentence_that_names_those_there_are(retriever, app):
    with pytest.raises(
        FilterError, match=r"No file here is in the language “klingon”: keep to one of .*python.*, or to none\."
    ):
        retriever.search(app, "session", languages=["klingon"])


def test_filters_keep_to_languages_and_leave_tests_out(retriever, app):
    assert set(paths(retriever.search(app, "session", languages=["typescript"]))) == {"web/session.ts", "web/App.tsx"}
    assert set(paths(retriever.search(app, "session", languages=["markdown"]))) == {"docs/session.md"}
    assert "tests/test_session.py" in paths(retriever.search(app, "sign session"))
    assert "tests/test_session.py" not in paths(retriever.search(app, "sign session", tests=False))
    assert retriever.search(app, "session", scope="docs", languages=["python"]).passages == ()
    assert "tests/test_session.py" not in paths(retriever.search(app, "/def/", tests=False))


def test_a_filter_loses_nothing_that_it_allows(retriever, tmp_path):
    many = {f"a{number}/thing.py": f"def thing():\n    return 'thing {number}'\n" for number in range(700)}
    snapshot = Bench(tmp_path, many | {"z/thing.ts": "export function thing() { return other; }\n"}).build_without_vectors()
    assert paths(retriever.search(snapshot, "thing", languages=["typescript"])) == ["z/thing.ts"]


def test_the_steps_say_what_a_search_kept_to(retriever, app):
    result = retriever.search(app, "session", scope="app", languages=["python"], tests=False)
    assert step(result, "Filters") == "app; python; no tests"
    assert result.filters.as_json() == {"folder": "app", "languages": ["python"], "tests": False}


# --- references -------------------------------------------------------------------------------------------------------


def test_who_calls_shows_the_definition_then_calls_and_tests_last(retriever, app):
    result = retriever.search(app, "who calls sign?")
    assert [passage.path for passage in result.passages[:3]] == [
        "app/session.py",
        "app/views.py",
        "tests/test_session.py",
    ]
    assert step(result, "References") == "sign is used in 3 lines of 3 files, 1 of them in tests"
    assert result.passages[1].marked == (10,)
    assert result.symbols == ("sign",)


# --- follow-ups -------------------------------------------------------------------------------------------------------

CITED = [Cited("app/views.py", 6, 10), Cited("app/session.py", 21, 23)]
BEFORE = ["how is what is stored kept safe"]


@pytest.mark.parametrize(
    ("question", "cited", "first"),
    [
        ("who calls it?", CITED, "app/session.py"),
        ("where is that function used?", CITED, "app/session.py"),
        ("and what does it return?", CITED, "app/session.py"),
        ("what else is in this file?", CITED, "app/session.py"),
        ("what else is in this file?", CITED[::-1], "app/views.py"),
        ("is it tested?", CITED, "tests/test_session.py"),
        ("and that method?", [Cited("app/session.py", 16, 18)], "app/session.py"),
        ("explain this one", [Cited("app/options.py", 4, 7)], "app/options.py"),
        ("why?", [Cited("app/session.py", 4, 7)], "app/session.py"),
        ("who uses it", [Cited("gone.py", 1, 2)], ""),
    ],
)
def test_a_follow_up_means_what_the_last_answer_cited(retriever, app, question, cited, first):
    found = paths(retriever.search(app, question, history=BEFORE, cited=cited))
    assert not first or found[0] == first


def test_it_is_the_last_definition_that_was_cited_and_the_search_says_so(retriever, app):
    result = retriever.search(app, "who calls it?", history=BEFORE, cited=CITED)
    assert step(result, "Question") == "about sign, which the last answer cited"
    assert step(result, "References").startswith("sign is used in 3 lines")


def test_a_question_that_stands_alone_takes_nothing_from_the_last_answer(retriever, app):
    alone = retriever.search(app, "how are unknown options of the command refused")
    after = retriever.search(app, "how are unknown options of the command refused", history=BEFORE, cited=CITED)
    assert alone.passages == after.passages


# --- widening -----------------------------------------------------------------------------------------------------------


def test_a_passage_can_be_widened_to_its_class_and_its_file(retriever, tmp_path):
    methods = "\n".join(f"    def step{n}(self):\n" + f"        self.value += {n}\n" * 20 for n in range(8))
    text = f"class Ladder:\n{methods}\n" + "\n\n" + "def top():\n    return 1\n"
    snapshot = Bench(tmp_path, {"ladder.py": text}).build_without_vectors()
    first = retriever.search(snapshot, "Ladder.step5").passages[0]
    lines = text.split("\n")
    assert [(span.start_line, span.end_line) for span in first.wider][-1] == (1, len(lines) - 1)
    for span in first.wider:
        assert span.start_line <= first.start_line and first.end_line <= span.end_line
        assert span.text == "\n".join(lines[span.start_line - 1 : span.end_line])
