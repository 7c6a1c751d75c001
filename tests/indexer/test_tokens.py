import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.tokens import LONGEST_TERM, fold, identifier_terms, is_stop_word, split_identifier, stem, terms, word_stems


@pytest.mark.parametrize(
    ("identifier", "parts"),
    [
        ("getUserName", ["get", "user", "name"]),
        ("get_user_name", ["get", "user", "name"]),
        ("GetUserName", ["get", "user", "name"]),
        ("GET_USER_NAME", ["get", "user", "name"]),
        ("HTTPServer2_start", ["http", "server", "2", "start"]),
        ("parseURLs", ["parse", "ur", "ls"]),
        ("utf8", ["utf", "8"]),
        ("x", ["x"]),
        ("__init__", ["init"]),
        ("_", []),
        ("größe_der_datei", ["größe", "der", "datei"]),
        ("検索する", ["検索", "索す", "する"]),
        ("", []),
    ],
)
def test_an_identifier_is_split_where_a_reader_would(identifier, parts):
    assert list(split_identifier(identifier)) == parts


@pytest.mark.parametrize("spelling", ["getUserName", "get_user_name", "GetUserName", "GET_USER_NAME", "get-user-name"])
def test_all_spellings_of_a_name_share_their_parts_and_most_their_whole(spelling):
    found = list(terms(spelling))
    assert [term for term in found if term != "getusername"] == ["get", "user", "name"]
    assert fold(spelling) == "getusername"


def test_words_are_stemmed_and_wholes_are_not():
    assert identifier_terms("connections") == ("connect",)
    assert identifier_terms("openConnections") == ("open", "connect", "openconnections")
    assert word_stems("Open connections, parsedFiles") == ["open", "connect", "pars", "file"]


def test_terms_come_in_reading_order_with_repetitions():
    assert list(terms("for a in a: b")) == ["for", "a", "in", "a", "b"]


def test_what_is_too_long_to_be_a_word_is_no_term():
    assert list(terms("a" * LONGEST_TERM)) == [stem("a" * LONGEST_TERM)]
    assert list(terms("a" * (LONGEST_TERM + 1))) == []
    assert list(terms("Ab" * LONGEST_TERM)) == ["ab"] * LONGEST_TERM


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=200))
def test_a_term_is_letters_and_digits_in_lower_case_whatever_the_text(text):
    for term in terms(text):
        assert term
        assert term.isalnum() or all(not character.isspace() and character not in "\"'()*:^-_\0" for character in term)
        assert "\0" not in term
        term.encode()


@given(st.text(alphabet="abcXYZ019_", max_size=30))
def test_the_parts_of_an_identifier_are_all_that_it_is_made_of(identifier):
    assert "".join(split_identifier(identifier)) == fold(identifier) == identifier.replace("_", "").lower()


@given(st.text(max_size=30))
def test_folding_twice_changes_nothing(text):
    assert fold(fold(text)) == fold(text)


@pytest.mark.parametrize("word", ["the", "The", "where", "implemented"])
def test_words_that_only_ask_are_stop_words(word):
    assert is_stop_word(word)


@pytest.mark.parametrize("word", ["session", "cookie", "import"])
def test_words_that_name_something_are_not(word):
    assert not is_stop_word(word)
