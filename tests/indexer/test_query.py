"""What a question asks for: its words, the names and paths in it, and what it takes over from the question before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.query import BORROWED_WEIGHT, MOST_WORDS, Name, PathHint, analyse


def named(text: str) -> dict[str, float]:
    return {f"{name.qualifier}.{name.text}".lstrip("."): name.weight for name in analyse(text).names}


def test_function_words_are_left_out():
    query = analyse("Where are the session cookies signed, and how?")
    assert query.words == ("session", "cookies", "signed")
    assert set(query.terms) == {"session", "cooki", "sign"}
    assert query.terms == query.stems


def test_an_identifier_is_looked_up_whole_and_by_its_parts():
    query = analyse("getUserName")
    assert set(query.terms) == {"get", "user", "name", "getusername"}
    assert set(query.stems) == {"get", "user", "name"}


def test_a_function_word_alone_is_looked_up_as_it_is():
    assert set(analyse("with").terms) == {"with"}
    assert analyse("with").is_symbol


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("HttpClient", Name("HttpClient", "", 1.0)),
        ("`HttpClient`", Name("HttpClient", "", 1.0)),
        ("Session.request", Name("request", "Session", 1.0)),
        ("std::vector::push_back", Name("push_back", "std.vector", 1.0)),
        ("Foo#bar", Name("bar", "Foo", 1.0)),
        ("empty?", Name("empty?", "", 1.0)),
        ("save!", Name("save!", "", 1.0)),
        ("foldl'", Name("foldl'", "", 1.0)),
        ("`Map.foldl''`", Name("foldl''", "Map", 1.0)),
        ("read_timeout()", Name("read_timeout", "", 1.0)),
    ],
)
def test_a_single_name_is_a_symbol_query(text, name):
    query = analyse(text)
    assert query.names == (name,)
    assert query.is_symbol


def test_names_in_a_sentence_are_found_by_how_they_are_written():
    found = named("why does Session.request call read_timeout() and HttpClient, but not `plain` in Flask")
    assert found == {"Session.request": 0.5, "read_timeout": 0.5, "HttpClient": 0.5, "plain": 1.0, "Flask": 0.35}


def test_a_prime_belongs_to_a_name_in_code_and_is_a_quotation_mark_elsewhere():
    assert named("the lazy `foldl'` and 'HttpClient'") == {"foldl'": 1.0, "HttpClient": 0.5}


def test_the_first_word_of_a_sentence_is_no_name_for_being_capitalised():
    assert named("Cookies are signed where") == {}


def test_a_sentence_is_no_symbol_query():
    assert not analyse("how is HttpClient closed when the pool is full").is_symbol


def test_an_internet_address_is_no_qualified_name():
    assert "example.com" not in named("who calls example.com from the client")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("what is in src/app.py", PathHint("src/app.py", 0)),
        ("crash at src/app.py:12", PathHint("src/app.py", 12)),
        ("crash at src/app.py:12:5 again", PathHint("src/app.py", 12)),
        ("look at setup.cfg please", PathHint("setup.cfg", 0)),
        ("why ./lib/core.c fails", PathHint("./lib/core.c", 0)),
    ],
)
def test_a_path_and_its_line_are_found(text, hint):
    assert analyse(text).paths == (hint,)


@pytest.mark.parametrize("text", ["see https://host/a/b.html", "3.14 is not a path", "either/or"])
def test_what_only_looks_like_a_path_is_left(text):
    assert [hint for hint in analyse(text).paths if "." in hint.path] == []


@pytest.mark.parametrize("text", ["what does this project do", "give me an overview", "explain the architecture"])
def test_a_question_about_the_whole_is_recognised(text):
    assert analyse(text).is_overview


def test_a_question_about_a_part_is_no_overview():
    assert not analyse("what does the session project do").is_overview


def test_a_follow_up_borrows_terms_and_names_at_a_lower_weight():
    query = analyse("and where is it closed?", ["how does HttpClient open a connection"])
    assert query.borrowed_from == "how does HttpClient open a connection"
    assert query.terms["close"] == 1.0
    assert query.terms["httpclient"] == query.terms["connect"] == BORROWED_WEIGHT
    assert [(name.text, name.weight) for name in query.names] == [("HttpClient", 0.5 * BORROWED_WEIGHT)]


def test_a_follow_up_of_a_follow_up_borrows_less_and_less():
    query = analyse("and why?", ["how does HttpClient open a connection", "where is it closed?"])
    assert query.terms["close"] == BORROWED_WEIGHT
    assert query.terms["httpclient"] == pytest.approx(BORROWED_WEIGHT**2)


def test_a_question_that_stands_alone_borrows_nothing():
    history = ["how does HttpClient open a connection"]
    for text in ("where are session cookies signed", "Session.close", "what is in src/app.py"):
        query = analyse(text, history)
        assert query == analyse(text)
        assert query.borrowed_from == ""


def test_an_own_term_keeps_its_weight_when_the_question_before_has_it_too():
    assert analyse("and the connection?", ["how is a connection opened"]).terms["connect"] == 1.0


def test_after_nothing_sayable_a_follow_up_is_a_question_of_its_own():
    assert analyse("and why?", ["???"]) == analyse("and why?")


def test_only_the_first_words_of_a_pasted_text_count():
    words = [f"word{number}" for number in range(MOST_WORDS + 100)]
    assert analyse(" ".join(words)).words == tuple(words[:MOST_WORDS])


def test_other_scripts_have_words_too():
    assert analyse("где подписываются cookies").words == ("подписываются", "cookies")
    assert "関数" in analyse("関数の定義").terms


ANY_TEXT = st.text(st.characters())
CODE_LIKE = st.text(st.sampled_from("aZ_é関 .:#->/\\()`'\"?!*^{}\n\0\t0"))


@given(ANY_TEXT | CODE_LIKE, st.lists(ANY_TEXT | CODE_LIKE, max_size=3))
def test_any_text_can_be_read_and_gives_terms_of_letters_and_digits_only(text, history):
    query = analyse(text, history)
    for term in (*query.terms, *query.stems):
        assert term
        assert all(letter.isalnum() for letter in term)
    assert all(0 < weight <= 1 for weight in query.terms.values())
    assert all(name.text and 0 < name.weight <= 1 for name in query.names)
    assert all(hint.path and hint.line >= 0 for hint in query.paths)


@given(ANY_TEXT)
def test_spaces_around_a_question_change_nothing(text):
    padded, bare = analyse(f"  {text}\n"), analyse(text)
    assert (padded.terms, padded.words) == (bare.terms, bare.words)


@given(st.text(st.sampled_from("abc./-_:1"), max_size=4000))
def test_a_long_run_of_path_characters_is_read_in_good_time(text):
    assert analyse(text).text == text
