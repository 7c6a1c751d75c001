"""Which file answers: what the features measure, and what the shipped weights make of them."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.file_traits import traits_of
from indexer.query import analyse
from indexer.reranker import (
    FEATURES,
    MOST_WORDS_OF_SHORT,
    FileEvidence,
    chances,
    file_features,
    mix_name,
    score,
    shipped_mixes,
)

PLAIN = FileEvidence(file_id=1, path="src/thing.py", language="python", lines=100, referred=0.0, main=1.0, folder=1.0)


def features(query: str, *files: FileEvidence) -> list[dict[str, float]]:
    read = analyse(query)
    stems = set(read.stems).union(*(file.traits.name for file in files))
    rows = file_features(read, files, dict.fromkeys(stems, 1.0))
    return [dict(zip(FEATURES, row, strict=True)) for row in rows]


def at(path: str, **found: object) -> FileEvidence:
    return replace(PLAIN, path=path, **found)  # type: ignore[arg-type]


def test_scores_are_relative_to_the_best_candidate():
    best, half = features(
        "a b", at("a.py", chunk_scores=(8.0, 1.0, 1.0, 5.0), card=4.0), at("b.py", chunk_scores=(5.0,), card=1.0)
    )
    assert (best["body"], half["body"]) == (1.0, 0.5)
    assert (best["card"], half["card"]) == (1.0, 0.25)


def test_only_the_three_best_chunks_of_a_file_count():
    three, many = features("a", at("a.py", chunk_scores=(2.0, 2.0, 2.0)), at("b.py", chunk_scores=(2.0, 2.0, 2.0, 2.0, 2.0)))
    assert three["body"] == many["body"] == 1.0


def test_the_name_counts_by_how_much_of_it_the_query_says():
    whole, part, none = features("session cookies", at("session.py"), at("session_store.py"), at("router.py"))
    assert (whole["name_in_query"], part["name_in_query"], none["name_in_query"]) == (1.0, 0.5, 0.0)


def test_a_file_that_stands_for_its_folder_goes_by_the_folders_name():
    for path in ("app/session/__init__.py", "src/session/index.ts", "src/session/mod.rs"):
        (found,) = features("session cookies", at(path))
        assert found["name_in_query"] == 1.0
    (top,) = features("session", at("index.js"))
    assert top["name_in_query"] == 0.0


def test_the_whole_path_counts_by_how_much_of_the_query_it_says():
    in_folder, nowhere = features("session cookies", at("session/cookies/store.py"), at("router.py"))
    assert (in_folder["query_in_path"], nowhere["query_in_path"]) == (1.0, 0.0)


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
        at("a.py", file_id=1, chunk_scores=(4.0,)),
        at("b.py", file_id=2, chunk_scores=(2.0,)),
        at("c.py", file_id=3, uses=frozenset((1, 2))),
        at("d.py", file_id=4, uses=frozenset((2,))),
    )
    assert (fullest["uses"], half["uses"], both["uses"], one["uses"]) == (0.0, 0.0, 1.0, 4 / 20)


@pytest.mark.parametrize("path", ["tests/test_b.py", "docs/b.py", "examples/b.py"])
def test_what_is_no_source_gains_nothing_by_what_it_uses(path):
    _, other = features("a", at("a.py", file_id=1, chunk_scores=(4.0,)), at(path, file_id=2, uses=frozenset((1,))))
    assert other["uses"] == 0.0


def test_the_dense_signal_is_measured_between_the_nearest_and_the_farthest_that_it_found():
    near, far, unknown = features("a", at("a.py", dense=0.8), at("b.py", dense=0.3), at("c.py"))
    assert (near["dense"], far["dense"], unknown["dense"]) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("path", "language", "kind"),
    [
        ("tests/test_app.py", "python", "test"),
        ("src/app.spec.ts", "typescript", "test"),
        ("pkg/server_test.go", "go", "test"),
        ("src/AppTest.java", "java", "test"),
        ("docs/app.py", "python", "documentation"),
        ("examples/app.py", "python", "example"),
        ("README.md", "markdown", "prose"),
        ("package.json", "json", "prose"),
    ],
)
def test_a_path_tells_what_kind_of_file_it_is(path, language, kind):
    (found,) = features("a", at(path, language=language))
    assert {name for name in ("test", "documentation", "example", "prose") if found[name]} == {kind}


@pytest.mark.parametrize("path", ["src/contest/entry.py", "src/latest.py", "src/docstring.py", "src/exampled.py"])
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


def test_a_score_is_the_sum_of_weighted_features():
    assert score((1.0, 0.5), (2.0, -4.0)) == 0.0


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=50))
def test_chances_sum_to_one_and_keep_the_order(scores):
    found = chances(scores)
    assert sum(found) == pytest.approx(1.0)
    assert all(0 <= chance <= 1 for chance in found)
    assert found[scores.index(max(scores))] == max(found)


def test_no_candidates_have_no_chances():
    assert chances([]) == []


PATH_PARTS = st.lists(st.text(st.sampled_from("abT_.é関t"), min_size=1, max_size=8), min_size=1, max_size=4)


@given(st.text(max_size=60), st.lists(PATH_PARTS.map("/".join), min_size=1, max_size=5))
def test_shares_stay_between_nothing_and_everything(query, file_paths):
    for found in features(query, *map(at, file_paths)):
        for share in ("body", "coverage", "card", "name_in_query", "query_in_path", "dense"):
            assert 0 <= found[share] <= 1 + 1e-9
