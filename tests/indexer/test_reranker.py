"""Which file answers: what the features measure, and what the shipped weights make of them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.file_table import FileRow, FileTable, tabulate
from indexer.file_traits import traits_of
from indexer.file_uses import PAIR, USE, FileUses
from indexer.query import analyse
from indexer.reranker import FEATURES, MOST_WORDS_OF_SHORT, Evidence, chances, file_features, mix_name, shipped_mixes


@dataclass(frozen=True)
class File:
    """What was found about a file. uses, passed_on: the places, from 1 on, of the files that it uses, and whose definitions it
    passes on, among those of one test."""

    path: str
    language: str = "python"
    body: float = 0.0
    coverage: float = 0.0
    card: float = 0.0
    definition: float = 0.0
    used: float = 0.0
    dense: float = math.nan
    dense_card: float = math.nan
    uses: frozenset[int] = frozenset()
    passed_on: tuple[int, ...] = ()


at = File


def table_of(files: tuple[File, ...], rarities: Sequence[float] = ()) -> FileTable:
    """rarities: of the stems of all paths, in their order; 1 if not given."""
    uses = [(number, used, 1.0) for number, file in enumerate(files, 1) for used in sorted(file.uses)]
    rows = [FileRow(file.path, file.language, 100) for file in files]
    passed_on = [(number << 32) + other for number, file in enumerate(files, 1) for other in file.passed_on]
    uses_of_files = FileUses.none()._replace(uses=np.array(uses, dtype=USE), passed_on=np.array(passed_on, dtype=PAIR))
    return FileTable(tabulate(rows, uses_of_files), lambda hashes: np.array(rarities or [1.0] * len(hashes)))


def features(query: str, *files: File, rarities: Sequence[float] = ()) -> list[dict[str, float]]:
    read = analyse(query)
    columns = [np.array([getattr(file, name) for file in files]) for name in (field.name for field in fields(Evidence)[1:])]
    evidence = Evidence(np.arange(1, len(files) + 1), *columns)
    folders = [file.path.rpartition("/")[0].rpartition("/")[2] for file in files]
    rows = file_features(read, evidence, table_of(files, rarities), dict.fromkeys(read.stems, 1.0), folders)
    return [dict(zip(FEATURES, row, strict=True)) for row in rows.tolist()]


def test_scores_are_relative_to_the_best_candidate():
    best, half = features("a b", at("a.py", body=10.0, card=4.0), at("b.py", body=5.0, card=1.0))
    assert (best["body"], half["body"]) == (1.0, 0.5)
    assert (best["card"], half["card"]) == (1.0, 0.25)


def test_the_name_counts_by_how_much_of_it_the_query_says():
    whole, part, none = features("session cookies", at("session.py"), at("session_store.py"), at("router.py"))
    assert (whole["name_in_query"], part["name_in_query"], none["name_in_query"]) == pytest.approx((1 / 1.5, 1 / 2.5, 0.0))


def test_a_name_that_is_a_common_word_here_tells_less_when_it_is_said():
    files = (at("chi.py"), at("tree.py"))
    common, rare = (row["name_in_query"] for row in features("chi tree", *files, rarities=(0.1, 4.0)))
    assert common < 0.2 < 0.8 < rare < 1.0


def test_a_file_that_stands_for_its_folder_goes_by_the_folders_name():
    for path in ("app/session/__init__.py", "src/session/index.ts", "src/session/mod.rs"):
        (found,) = features("session cookies", at(path))
        assert found["name_in_query"] == pytest.approx(1 / 1.5)
    (top,) = features("session", at("index.js"))
    assert top["name_in_query"] == 0.0


def test_the_whole_path_counts_by_how_much_of_the_query_it_says():
    in_folder, nowhere = features("session cookies", at("session/cookies/store.py"), at("router.py"))
    assert (in_folder["query_in_path"], nowhere["query_in_path"]) == (1.0, 0.0)


def test_its_own_folder_counts_by_how_much_of_that_folders_name_the_query_says():
    own, part, above, root = features(
        "read tables", at("readers/latex.py"), at("reader_errors/latex.py"), at("readers/latex/math.py"), at("readers.py")
    )
    assert (own["folder_in_query"], part["folder_in_query"]) == pytest.approx((1 / 1.5, 1 / 2.5))
    assert above["folder_in_query"] == root["folder_in_query"] == 0.0


def test_a_doer_and_what_it_does_are_one_word():
    (reader,) = features("read markdown", at("readers/markdown.py"))
    assert reader["query_in_path"] == 1.0
    (short,) = features("us address", at("user.py"))
    assert short["name_in_query"] == 0.0


def test_what_the_best_chunks_use_counts_by_how_much_they_use_it():
    most, half, unused = features("a", at("a.py", used=3.0), at("b.py", used=1.5), at("c.py"))
    assert (most["used"], half["used"], unused["used"]) == (1.0, 0.5, 0.0)


def test_using_the_files_that_hold_the_words_counts_by_the_square_of_what_they_hold():
    fullest, half, both, one = features(
        "a",
        at("a.py", body=4.0),
        at("b.py", body=2.0),
        at("c.py", uses=frozenset((1, 2))),
        at("d.py", uses=frozenset((2,))),
    )
    assert (fullest["uses"], half["uses"], both["uses"], one["uses"]) == (0.0, 0.0, 1.0, 4 / 20)


def test_passing_on_what_others_define_counts_by_the_best_of_them():
    best, half, all_of_it, some = features(
        "a",
        at("a.py", body=4.0),
        at("b.py", body=2.0),
        at("__init__.py", passed_on=(1, 2)),
        at("c.py", passed_on=(2,)),
    )
    assert [row["passed_on"] for row in (best, half, all_of_it, some)] == [0.0, 0.0, 1.0, 0.25]


@pytest.mark.parametrize("path", ["tests/test_b.py", "docs/b.py", "examples/b.py"])
def test_what_is_no_source_gains_nothing_by_what_it_uses(path):
    _, other = features("a", at("a.py", body=4.0), at(path, uses=frozenset((1,))))
    assert other["uses"] == 0.0


def test_the_dense_signal_is_the_mean_of_a_chunks_and_a_cards_place_between_the_nearest_and_the_farthest():
    near, far, unknown = features("query", at("a.py", dense=0.8, dense_card=0.4), at("b.py", dense=0.3), at("c.py"))
    assert (near["dense"], far["dense"], unknown["dense"]) == (0.5, 0.0, 0.0)
    files = [at(f"{name}.py", dense_card=cosine) for name, cosine in zip("abcdef", (0.1, 0.2, 0.4, 0.5, 0.5, 0.6), strict=True)]
    cards = [each["dense"] for each in features("query", *files)]
    assert cards[:2] == [0.0, 0.0]  # the farthest fifth is just far
    assert cards == sorted(cards)
    assert cards[-1] == 0.5


def test_vectors_count_for_as_much_of_the_question_as_no_path_and_no_definition_says():
    files = (at("session.py", dense=0.8), at("b.py", dense=0.3))
    assert features("session", *files)[0]["dense"] == 0.0
    assert features("session cookies", *files)[0]["dense"] == 0.25
    assert features("how it ends", *files)[0]["dense"] == 0.5
    assert features("how it ends", at("session.py", dense=0.8, definition=0.5), at("b.py", dense=0.3))[0]["dense"] == 0.25


@pytest.mark.parametrize(
    ("path", "language", "kind"),
    [
        ("tests/test_app.py", "python", "test"),
        ("src/pkg/test_app.py", "python", "test"),
        ("src/app.spec.ts", "typescript", "test"),
        ("web/src/app.test.ts", "typescript", "test"),
        ("web/__tests__/app.js", "javascript", "test"),
        ("pkg/server_test.go", "go", "test"),
        ("src/AppTest.java", "java", "test"),
        ("spec/models/app_spec.rb", "ruby", "test"),
        ("docs/app.py", "python", "documentation"),
        ("examples/app.py", "python", "example"),
        ("README.md", "markdown", "prose"),
        ("package.json", "json", "prose"),
    ],
)
def test_a_path_tells_what_kind_of_file_it_is(path, language, kind):
    (found,) = features("a", at(path, language=language))
    assert {name for name in ("test", "documentation", "example", "prose") if found[name]} == {kind}


@pytest.mark.parametrize(
    "path", ["src/contest/entry.py", "src/latest.py", "src/attest.py", "src/testing.rst", "src/docstring.py", "src/exampled.py"]
)
def test_words_that_only_hold_a_kinds_name_are_of_no_kind(path):
    traits = traits_of(path, "python")
    assert not (traits.test or traits.documentation or traits.example or traits.prose)


def test_asking_for_tests_takes_back_what_a_test_loses():
    (asked,), (not_asked,) = features("tests of the cart", at("tests/test_cart.py")), features("cart", at("tests/test_cart.py"))
    assert (asked["test_asked"], not_asked["test_asked"]) == (1.0, 0.0)
    short = dict(zip(FEATURES, shipped_mixes()["short"], strict=True))
    assert short["test"] < 0 <= short["test"] + short["test_asked"]


def test_long_questions_and_vectors_have_mixes_of_their_own():
    short, long = analyse("session cookies"), analyse(" ".join(f"word{n}" for n in range(MOST_WORDS_OF_SHORT + 1)))
    assert [mix_name(short, False), mix_name(short, True)] == ["short", "short_dense"]
    assert [mix_name(long, False), mix_name(long, True)] == ["long", "long_dense"]


def test_every_mix_is_shipped_with_a_weight_for_known_features_only():
    assert shipped_mixes().keys() == {"short", "long", "short_dense", "long_dense"}
    for weights in shipped_mixes().values():
        assert len(weights) == len(FEATURES)
        assert all(math.isfinite(weight) for weight in weights)


@pytest.mark.parametrize("mix", ["short", "long", "short_dense", "long_dense"])
def test_no_shipped_weight_has_the_wrong_sign(mix):
    weights = dict(zip(FEATURES, shipped_mixes()[mix], strict=True))
    for good in ("body", "coverage", "card", "name_in_query", "query_in_path", "definition", "dense"):
        assert weights[good] >= 0, good
    for bad in ("test", "documentation", "example", "prose"):
        assert weights[bad] < 0, bad
    assert (weights["dense"] > 0) == mix.endswith("_dense")


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=50))
def test_chances_sum_to_one_and_keep_the_order(scores):
    found = chances(np.array(scores))
    assert found.sum() == pytest.approx(1.0)
    assert ((found >= 0) & (found <= 1)).all()
    assert found[scores.index(max(scores))] == found.max()


def test_no_candidates_have_no_chances():
    assert len(chances(np.zeros(0))) == 0


PATH_PARTS = st.lists(st.text(st.sampled_from("abT_.é関t"), min_size=1, max_size=8), min_size=1, max_size=4)


@given(st.text(max_size=60), st.lists(PATH_PARTS.map("/".join), min_size=1, max_size=5))
def test_shares_stay_between_nothing_and_everything(query, file_paths):
    for found in features(query, *map(at, file_paths)):
        for share in ("body", "coverage", "card", "name_in_query", "query_in_path", "dense"):
            assert 0 <= found[share] <= 1 + 1e-9


# --- the same as file by file ---------------------------------------------------------------------------------------------


def same_word(one: str, other: str) -> bool:
    return one == other or (one[:4] == other[:4] and (one.startswith(other) or other.startswith(one)))


def slowly(query: str, files: list[File]) -> list[dict[str, float]]:
    """The features that compare words and files, by their definitions: nothing is prepared, everything is compared."""
    stems = analyse(query).stems
    traits = [traits_of(file.path, file.language) for file in files]
    meant: dict[str, set[str]] = defaultdict(set)
    for word in set().union(*(each.place | each.name for each in traits)):
        meant[word] = {stem for stem in stems if same_word(stem, word)}
    uses = [
        0.0
        if each.test or each.example or each.documentation
        else sum(files[used - 1].body ** 2 for used in file.uses if used <= len(files))
        for file, each in zip(files, traits, strict=True)
    ]
    return [
        {
            "name_in_query": sum(bool(meant[word]) for word in each.name) / (len(each.name) + 0.5),
            "query_in_path": sum(stems[stem] for stem in set().union(*(meant[word] for word in each.place)))
            / (sum(stems.values()) or 1),
            "uses": used / (max(uses) or 1),
            **{kind: float(getattr(each, kind)) for kind in ("test", "documentation", "example", "prose")},
        }
        for each, used in zip(traits, uses, strict=True)
    ]


WORDS = st.sampled_from(["read", "reader", "reading", "readme", "rea", "test", "doc", "user", "us", "get", "関", "x1", "spec"])
FILES = st.builds(
    lambda words, **found: File("/".join(words) + ".py", **found),
    st.lists(WORDS, min_size=1, max_size=4),
    body=st.floats(0, 100),
    uses=st.frozensets(st.integers(1, 8)),
)


@given(st.lists(WORDS, max_size=6).map(" ".join), st.lists(FILES, min_size=1, max_size=8))
def test_all_files_at_once_get_what_each_gets_by_itself(query, files):
    files = [File(**{**vars(file), "uses": frozenset(use for use in file.uses if use <= len(files))}) for file in files]
    for found, wanted in zip(features(query, *files), slowly(query, files), strict=True):
        assert {name: found[name] for name in wanted} == pytest.approx(wanted)
