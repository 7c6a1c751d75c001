"""From text to checked citations: what counts as one, what it covers, and when it is verified."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from assistant.citations import Citation, CitationReader
from assistant.claims import QUOTED_WORDS, best_match, quoted_in
from assistant.code_names import Evidence, find, names_in
from assistant.sentences import MARK, numbers_in
from indexer.tokens import stem

SESSION = Evidence(
    1,
    "src/web/session.py",
    10,
    14,
    "Session.open",
    "def open(self, key):\n    signer = make_signer(key)\n    if signer is None:\n        raise KeyMissing(key)",
)
SIGNING = Evidence(
    2,
    "src/web/signing.py",
    40,
    42,
    "make_signer",
    "def make_signer(key):\n    # no key, no signer\n    return Signer(key, salt=SALT)",
)
ROUTES = Evidence(3, "src/web/routes.py", 1, 2, "", 'ROUTES = {"home": home_view}\nDEFAULT_ROUTE = "home"')
GIVEN = (SESSION, SIGNING, ROUTES)


def read(text: str, evidence: tuple[Evidence, ...] = GIVEN, pieces: list[str] | None = None) -> list[Citation]:
    """All events, in order."""
    reader = CitationReader(evidence)
    events = [event for piece in (pieces if pieces is not None else [text]) for event in reader.feed(piece)]
    return events + reader.finish()


def final(text: str, evidence: tuple[Evidence, ...] = GIVEN) -> list[Citation]:
    reader = CitationReader(evidence)
    reader.feed(text)
    reader.finish()
    return list(reader.citations)


def numbers(text: str) -> list[int]:
    """The numbers that the model cited, in the order of the text."""
    return [citation.evidence.number for citation in final(text) if citation.origin == "model"]


def only(text: str, evidence: tuple[Evidence, ...] = GIVEN) -> Citation:
    (citation,) = final(text, evidence)
    return citation


# --- for every text --------------------------------------------------------------------------------------------------------

MARKS = [
    "[1]",
    "[2]",
    "[9]",
    "[1,2]",
    "[1, 4]",
    "[2-3]",
    "[3-1]",
    "[",
    "[[",
    "]",
    "](",
    "[1](x)",
    "\\[1]",
    "argv[1]",
    "`a[1]`",
    " [1] ",
]
CODE_MARKS = ["`", "``", "```", "~~~", "~~~~", "```py", "```a[1]```", "\n```\n", "`\n", "\n- ```\n", "> "]
ENDS = [
    ". ",
    ".[2] ",
    "!",
    "?",
    "…",
    "。",
    ".”",
    ".)",
    ".** ",
    "e.g.",
    "i.e. ",
    "1. ",
    "\n",
    "\n\n",
    "\r\n",
    "\n- ",
    "\n# ",
    " ",
    "  ",
]
WORDS = [
    "make_signer",
    "`make_signer`",
    "`Session.open`",
    "Signer(key)",
    '"no key"',
    "ROUTES",
    "it signs",
    "don't show",
    "😀",
    "字",
    "\x00",
]
FRAGMENTS = st.sampled_from(MARKS + CODE_MARKS + ENDS + WORDS)
TEXTS = st.lists(FRAGMENTS, max_size=40).map(lambda pieces: " ".join(pieces) if len(pieces) % 2 else "".join(pieces))


@given(TEXTS, st.data())
def test_however_a_text_is_cut_into_pieces_its_events_are_the_same(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert read(text, pieces=pieces) == read(text) == read(text, pieces=list(text))


@given(TEXTS)
def test_every_citation_stands_where_it_says(text: str) -> None:
    for citation in read(text):
        if citation.origin == "model":
            written = text[citation.start : citation.end]
            assert MARK.fullmatch(written)
            assert citation.evidence.number in numbers_in(written)
        else:
            assert 0 < citation.start == citation.end <= len(text)


@given(TEXTS, st.sets(st.sampled_from(GIVEN)))
def test_a_number_that_was_not_given_is_never_cited(text: str, evidence: set[Evidence]) -> None:
    assert {citation.evidence for citation in read(text, tuple(evidence))} <= evidence


@given(TEXTS)
def test_nothing_is_pending_once_the_text_has_ended_and_a_place_has_one_last_word(text: str) -> None:
    citations = final(text)
    assert all(citation.state != "pending" for citation in citations)
    places = [(citation.start, citation.evidence.number) for citation in citations]
    assert places == sorted(set(places))


@given(TEXTS)
def test_what_is_verified_was_found_on_the_line_that_it_names_and_nothing_is_missing(text: str) -> None:
    for citation in final(text):
        if citation.state == "verified":
            assert citation.found
            assert citation.missing == ()
        for found in citation.found:
            assert citation.evidence.start_line <= found.line <= citation.evidence.end_line
            assert found.line == find(found.name, citation.evidence) or citation.reason.startswith("Its words stand")


PROSE = st.sampled_from(["It is signed. ", "See [1]. ", "The signer [2] is [3].\n", "Later, ", "1. First\n", "- ", "x [1]"])
CODE = st.sampled_from(
    [
        " `argv[1]` ",
        " `` a ` [2] `` ",
        " `[1]` ",
        "\n```py\nx[1] = [2]\n```\n",
        "\n~~~~\n[3]\n~~~\n~~~~\n",
        "\n- ```\n  [1]\n  ```\n",
    ]
)


@given(st.lists(st.tuples(st.booleans(), PROSE, CODE), max_size=12))
def test_nothing_inside_code_is_a_citation(parts: list[tuple[bool, str, str]]) -> None:
    text, code = "", set()
    for is_code, prose, block in parts:
        piece = block if is_code else prose
        if is_code:
            code |= set(range(len(text), len(text) + len(piece)))
        text += piece
    assert not [each for each in read(text) if each.origin == "model" and each.start in code]


NAMES = st.from_regex(r"[a-z]{2,8}_[a-z]{1,8}", fullmatch=True)


@given(st.lists(NAMES, min_size=1, max_size=6), NAMES, st.lists(NAMES, max_size=3))
def test_a_name_is_verified_exactly_when_it_is_a_whole_word_of_the_cited_lines(
    held: list[str], named: str, others: list[str]
) -> None:
    cited = Evidence(1, "a.py", 5, 4 + len(held), "", "\n".join(held))
    other = Evidence(2, "b.py", 1, len(others) or 1, "", "\n".join(others))
    (citation,) = [each for each in final(f"It calls `{named}` [1].", (cited, other)) if each.origin == "model"]
    assert (citation.state == "verified") == (named in held)
    if named in held:
        assert citation.found[0].line == 5 + held.index(named)
    else:
        assert citation.missing == (named,)
        assert ("in passage 2" in citation.reason) == (named in others)


# --- what is looked up is what a search would find ---------------------------------------------------------------------------


def searched_line(name: str, passage: Evidence) -> int | None:
    """The definition: the first place where the name stands, any white space for its own, and no part of a longer word."""
    left = r"(?<!\w)" if name[:1].isalnum() or name[:1] == "_" else ""
    right = r"(?!\w)" if name[-1:].isalnum() or name[-1:] == "_" else ""
    found = re.search(left + r"\s+".join(re.escape(word) for word in name.split()) + right, passage.text)
    return passage.start_line + passage.text.count("\n", 0, found.start()) if found else None


def searched(name: str, passage: Evidence) -> int | None:
    if (line := searched_line(name, passage)) is not None:
        return line
    if "/" in name and ("/" + passage.path).endswith("/" + name.lstrip("./")):
        return passage.start_line
    if name == passage.path.rpartition("/")[2]:
        return passage.start_line
    identifier = r"[A-Za-z_]\w*"
    parts = re.findall(identifier, re.sub(r"\"[^\"]*\"|'[^']*'", " ", name)) if "/" not in name else []
    in_symbol = [passage.start_line if part in re.findall(identifier, passage.symbol) else None for part in parts]
    lines = [searched_line(part, passage) or symbol for part, symbol in zip(parts, in_symbol, strict=True)]
    return lines[-1] if lines and None not in lines else None


def quotes(prose: str, passage: Evidence) -> bool:
    words, there = ([stem(word.lower()) for word in re.findall(r"\w+", text)] for text in (prose, passage.text))
    runs = [words[at : at + QUOTED_WORDS] for at in range(len(words) - QUOTED_WORDS + 1)]
    return any(run == there[at : at + QUOTED_WORDS] for run in runs for at in range(len(there)))


PIECES = st.sampled_from(
    [
        *("a", "b_1", "get", "Get", "é", "İ", "²", "1x", "self"),
        *(".", "()", " ", "  ", "\n", "\r\n", "/", "::", '"', "'", "\u2028"),
    ]
)
CODE = st.lists(PIECES, max_size=40).map("".join)


@given(st.lists(PIECES, min_size=1, max_size=7).map("".join).map(str.strip), CODE, CODE)
def test_a_name_is_found_where_a_search_for_it_in_the_text_finds_it(name: str, text: str, symbol: str) -> None:
    assume(re.search(r"\w", name))
    passage = Evidence(1, "src/get.py", 7, 9, symbol, text)
    assert find(name, passage) == searched(name, passage)


@given(st.data(), CODE, CODE)
def test_words_are_quoted_when_a_run_of_them_stands_in_the_text(data: st.DataObject, prose: str, text: str) -> None:
    words = re.findall(r"\w+", text)
    at = data.draw(st.integers(0, len(words)))
    prose = f"{prose} {' '.join(words[at : at + data.draw(st.integers(0, 8))])}"
    passage = Evidence(1, "a.rst", 1, 9, "", text)
    assert (quoted_in(prose, passage) is not None) == quotes(prose, passage)


# --- what is a citation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It signs [1].", [1]),
        ("It signs [1, 2].", [1, 2]),
        ("It signs [1][2].", [1, 2]),
        ("It signs [1] [3].", [1, 3]),
        ("It signs [1-3].", [1, 2, 3]),
        ("It signs [1–3].", [1, 2, 3]),
        ("It signs [ 2 ; 3 ].", [2, 3]),
        ("It signs [1, 7].", [1]),
        ("It signs [7].", []),
        ("It signs [1, see below].", []),
        ("It signs [a].", []),
        ("It signs [[1]].", [1]),
        ("argv[1] is the name.", []),
        ("names_[1] is the name.", []),
        ("It signs [1](https://example.org).", []),
        ("It signs \\[1].", []),
        ("`argv [1]` is the name.", []),
        ("``a ` [1]`` is odd.", []),
        ("```\n[1]\n```\nIt signs [2].", [2]),
        ("~~~\n[1]\n```\n[1]\n~~~\nIt signs [2].", [2]),
        ("```\n[1]\nnever closed [2]", []),
        ("````\n```\n[1]\n````\nIt signs [2].", [2]),
        ("- ```\n  [1]\n  ```\n- It signs [2].", [2]),
        ("```a[1]``` is a span, it signs [2].", [2]),
        ("A stray ` backtick, and it signs [1].", [1]),
        ("A stray ` backtick [1].\nThe next line `x[2]` is its own [3].", [1, 3]),
        ("Broken over [1,\n2] lines.", []),
        ("Es signiert es [1]。", [1]),
    ],
)
def test_numbers_in_brackets_are_citations_unless_they_are_code_or_links(text: str, expected: list[int]) -> None:
    assert numbers(text) == expected


@pytest.mark.parametrize(
    ("mark", "expected"),
    [("[1]", (1,)), ("[1, 1]", (1,)), ("[2-4]", (2, 3, 4)), ("[4-2]", (4, 2)), ("[1-900]", (1, 900)), ("[1-2, 5]", (1, 2, 5))],
)
def test_a_range_means_all_of_it_unless_it_makes_no_sense(mark: str, expected: tuple[int, ...]) -> None:
    assert numbers_in(mark) == expected


def test_a_citation_is_pending_when_its_bracket_is_certain_and_checked_when_the_sentence_ends() -> None:
    reader = CitationReader(GIVEN)
    assert reader.feed("`make_signer` makes it [2") == []
    assert reader.feed("]") == []
    assert [event.state for event in reader.feed(" for")] == ["pending"]
    assert reader.feed(" you.") == []
    assert [event.state for event in reader.feed(" Then")] == ["verified"]
    assert reader.finish() == []


def test_the_end_of_the_text_ends_its_sentence() -> None:
    assert [event.state for event in read("`make_signer` makes it [2]")] == ["pending", "verified"]


# --- what it covers --------------------------------------------------------------------------------------------------------


def covered(text: str) -> list[tuple[int, tuple[str, ...]]]:
    """Each citation's number and every name that was looked up for it."""
    return [
        (each.evidence.number, tuple(sorted({*(found.name for found in each.found), *each.missing})))
        for each in final(text)
        if each.origin == "model"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("`make_signer` makes a `Signer` [2].", [(2, ("Signer", "make_signer"))]),
        ("`open` calls it [1], and `SALT` is added [2].", [(1, ("open",)), (2, ("SALT",))]),
        ("It is `KeyMissing`. It calls `open` [1].", [(1, ("open",))]),
        ("It calls `open`.[1] Then `SALT` [2].", [(1, ("open",)), (2, ("SALT",))]),
        ("It calls `open`. [1]", [(1, ("open",))]),
        ("It calls `open` [1]. [2] `SALT` is added.", [(1, ("open",)), (2, ("SALT",))]),
        ("[1] `open` calls it.", [(1, ("open",))]),
        ("- [1] `open` calls it, [2] `SALT` is added.", [(1, ("open",)), (2, ("SALT",))]),
        ("It calls `open`\nand so on [1].", [(1, ())]),
        ("See `key`, e.g. `open` [1].", [(1, ("key", "open"))]),
        ("It takes 1. `open` 2. `key` [1].", [(1, ("key", "open"))]),
    ],
)
def test_a_citation_covers_the_words_before_it_or_those_after_it_where_none_stand_before(text, expected) -> None:
    assert covered(text) == expected


def test_numbers_in_one_place_hold_the_names_together() -> None:
    citations = final("`open` calls `make_signer` with `SALT` [1][2].")
    assert [citation.state for citation in citations] == ["verified", "verified"]
    assert {found.name for found in citations[0].found} == {"open", "make_signer"}
    assert {found.name for found in citations[1].found} == {"make_signer", "SALT"}


def test_one_of_several_numbers_that_holds_no_name_is_not_verified() -> None:
    session, routes = final("`open` raises `KeyMissing` [1][3].")
    assert (session.state, routes.state) == ("verified", "unverified")
    assert "is in the passage cited beside it" in routes.reason


# --- when it is verified ---------------------------------------------------------------------------------------------------


def test_a_verified_citation_names_what_was_found_and_where() -> None:
    citation = only("`open` raises `KeyMissing` without a key [1].")
    assert citation.state == "verified"
    assert [(found.name, found.line) for found in citation.found] == [("open", 10), ("KeyMissing", 13)]
    assert citation.reason == "Named in the answer and found: `open`, `KeyMissing`."


def test_a_name_that_is_not_in_the_lines_is_missing_and_the_reason_tells_where_it_is() -> None:
    citation = only("`open` uses `SALT` [1].")
    assert (citation.state, citation.missing) == ("unverified", ("SALT",))
    assert citation.reason == "Names `SALT`, which isn't in these lines, but in passage 2."


def test_words_that_name_no_code_prove_nothing() -> None:
    citation = only("This is where it is signed [1].")
    assert citation.state == "unverified"
    assert "name no code" in citation.reason


def test_a_run_of_the_passages_own_words_is_a_quote_whatever_stands_between_them() -> None:
    manual = Evidence(
        1, "docs/keys.rst", 7, 9, "", "Keys\n====\nOld keys stay valid, until the\n  *last* session that used them ends."
    )
    citation = only("Old keys stay valid until the last session ends [1].", (manual,))
    assert (citation.state, citation.found[0].line) == ("verified", 9)
    assert citation.reason == "Its words stand in these lines: “Old keys stay valid, until the *last* session”."
    assert only("Keys stay valid until the end [1].", (manual,)).state == "unverified"


def test_a_quote_from_another_passage_is_not_verified_and_the_reason_tells_which() -> None:
    manual = Evidence(4, "docs/keys.rst", 7, 7, "", "Old keys stay valid until the last session ends.")
    wrong, right = final("Old keys stay valid until the last session ends [1].", (*GIVEN, manual))
    assert (wrong.state, wrong.reason) == ("unverified", "Its words don't stand in these lines, but in passage 4.")
    assert (right.origin, right.evidence) == ("matched", manual)


def test_words_that_a_comment_has_with_other_endings_are_quoted_too() -> None:
    text = '    """Finish the database, put everything on the disk and give the directory its final name."""'
    told = only(
        "It finishes the database, puts everything on the disk, and gives the directory its final name [1].",
        (Evidence(1, "writer.py", 166, 166, "Writer", text),),
    )
    assert (told.state, [found.line for found in told.found]) == ("verified", [166])
    assert told.found[0].name.startswith("Finish the database, put everything")


def test_a_quote_does_not_stand_for_a_name_that_is_missing() -> None:
    manual = Evidence(1, "docs/keys.rst", 7, 7, "", "Old keys stay valid until the last session ends.")
    assert only("With `KEEP_KEYS` old keys stay valid until the last session ends [1].", (manual,)).state == "unverified"


@pytest.mark.parametrize("name", ["`None`", "`True`", "`self`", "`return`"])
def test_what_stands_in_nearly_every_passage_proves_nothing(name: str) -> None:
    assert only(f"It gives {name} [1].").state == "unverified"


@pytest.mark.parametrize(
    "sentence",
    [
        "The method `Session.open` does it [1].",
        "The call `make_signer(key)` does it [1].",
        "In src/web/session.py make_signer does it [1].",
        "In `session.py` it is `make_signer` [1].",
        "The function `make_signer` of `web/session.py` does it [1].",
        "It is make_signer that does it [1].",
        "It is KeyMissing that is raised [1].",
        "It calls Session.open() for it [1].",
        'It is written "signer is None" there [1].',
        "It is `raise  KeyMissing(key)` [1].",
        "It is `Session.open(key)` [1].",
    ],
)
def test_names_are_found_in_lines_symbol_and_path_however_they_are_written(sentence: str) -> None:
    assert only(sentence).state == "verified"


@pytest.mark.parametrize(
    "sentence",
    [
        "The call `make_sign` does it [1].",
        "The call `Signer` does it [1].",
        "Look into `other/session.py` for it [1].",
        "It is `Session.close` [1].",
        "It is `make_signer(password)` [1].",
    ],
)
def test_a_name_that_only_resembles_one_there_is_not_found(sentence: str) -> None:
    assert only(sentence).state == "unverified"


@pytest.mark.parametrize("place", ["src/web/session.py", "session.py", "`web/session.py`", "`session.py`, at line 12,"])
def test_a_sentence_that_names_the_cited_file_and_nothing_in_it_is_not_verified(place: str) -> None:
    citation = only(f"Keys are renewed in {place} as well [1].")
    assert citation.state == "unverified"
    assert citation.reason == "The words before it name the file, and no code that could be looked up in these lines."


def test_a_sentence_that_names_only_a_file_is_matched_to_none_of_its_passages() -> None:
    first, other = (Evidence(number, "src/web/session.py", number, number, "", "keys = renew(keys)") for number in (1, 2))
    told = final("Keys are renewed in `src/web/session.py` [1].", (first, other))
    assert [(one.evidence.number, one.state) for one in told] == [(1, "unverified")]


def test_a_sentence_that_names_the_cited_file_and_quotes_it_is_verified() -> None:
    manual = Evidence(1, "docs/keys.rst", 7, 7, "", "Old keys stay valid until the last session ends.")
    assert only("`docs/keys.rst` says that old keys stay valid until the last session ends [1].", (manual,)).state == "verified"


def test_words_that_only_code_has_are_names_without_backticks() -> None:
    assert names_in("It takes max_age, _private, getUser, HTTPServer and sha1, not a Word or 3 of 12 and B2.") == (
        "max_age",
        "_private",
        "getUser",
        "HTTPServer",
        "sha1",
    )


def test_names_of_products_are_no_code() -> None:
    assert names_in("JavaScript and GitHub, i.e. PostgreSQL, use `x`.") == ("x",)


def test_the_json_has_the_shape_of_the_protocol() -> None:
    assert only("`open` does it [1].").as_json() == {
        "start": 15,
        "end": 18,
        "number": 1,
        "state": "verified",
        "origin": "model",
        "path": "src/web/session.py",
        "start_line": 10,
        "end_line": 14,
        "found": [{"name": "open", "line": 10}],
        "missing": [],
        "reason": "Named in the answer and found: `open`.",
    }


# --- sentences without a number --------------------------------------------------------------------------------------------


def test_a_sentence_without_a_number_is_matched_to_the_only_passage_that_holds_its_names() -> None:
    text = "The `DEFAULT_ROUTE` belongs to `home_view`. More."
    citation = only(text)
    assert (citation.origin, citation.state, citation.evidence) == ("matched", "verified", ROUTES)
    assert citation.start == citation.end == text.index(" More")


@pytest.mark.parametrize(
    "sentence",
    [
        "It uses `make_signer`.",
        "It uses `SALT` and `KeyMissing`.",
        "It uses `key`.",
        "It uses nothing of it.",
        "The passages do not show how `DEFAULT_ROUTE` and `home_view` are sent.",
        "# `DEFAULT_ROUTE` and `home_view`",
        "Use `DEFAULT_ROUTE` to bake pancakes tomorrow evening.",
    ],
)
def test_rather_no_match_than_a_wrong_one(sentence: str) -> None:
    assert final(sentence) == []


def test_of_several_passages_that_hold_the_names_it_is_the_one_whose_symbol_is_named() -> None:
    assert best_match("The signer comes from `make_signer`, whose `key` may be missing.", GIVEN) == SIGNING


def test_a_sentence_without_a_number_that_quotes_one_passage_is_matched_to_it() -> None:
    manual = Evidence(4, "docs/keys.rst", 7, 7, "", "Old keys stay valid until the last session ends.")
    citation = only("In short, old keys stay valid until the last session.", (*GIVEN, manual))
    assert (citation.origin, citation.state, citation.evidence.number) == ("matched", "verified", 4)
    assert "its words stand in these lines: “Old keys stay valid until the last session”" in citation.reason


def test_a_wrong_number_is_followed_by_the_passage_that_holds_the_names() -> None:
    text = "The `DEFAULT_ROUTE` belongs to `home_view` [1], and `make_signer` adds the `SALT` [2]."
    wrong, right, other = final(text)
    assert (wrong.evidence, wrong.origin, wrong.state) == (SESSION, "model", "unverified")
    assert (right.evidence, right.origin, right.state) == (ROUTES, "matched", "verified")
    assert right.start == right.end == wrong.end
    assert right.reason.startswith("The answer cites another passage here, but this passage holds what it names:")
    assert (other.evidence, other.state) == (SIGNING, "verified")


def test_a_sentence_whose_numbers_were_never_given_is_matched_like_one_without() -> None:
    (citation,) = final("The `DEFAULT_ROUTE` belongs to `home_view` [8].")
    assert (citation.origin, citation.evidence) == ("matched", ROUTES)


def test_a_very_long_answer_is_read_in_time_that_grows_with_its_length() -> None:
    text = "`make_signer` makes it [2], and so on, " * 2000
    assert len(re.findall(r"\[2\]", text)) == len(final(text))
