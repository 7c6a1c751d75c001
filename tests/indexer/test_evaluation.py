"""The measures, held against figures worked out by hand, and datasets and rankings as files."""

from __future__ import annotations

import json
from math import log2
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.baselines import BY_CHUNK, BY_FILE, DENSE, by_vectors, by_words
from indexer.benchmark import Answered, Found, answer, index_source, read_rankings, write_rankings
from indexer.errors import SourceError
from indexer.evaluation import (
    MEASURES,
    BenchmarkRepository,
    Outcome,
    Question,
    Target,
    grouped,
    interval,
    judge,
    mean,
    ndcg,
    paired_difference,
    percentile,
    read_dataset,
)
from indexer.retriever import Retriever
from indexer.snapshot import SnapshotReader

from .builds import SMALL, write_files


def question(*relevant: Target, secondary: tuple[Target, ...] = (), text: str = "q", repository: str = "r") -> Question:
    return Question(repository, "python", "semantic", text, relevant, secondary)


def ranking(*paths: str) -> list[Found]:
    return [Found(path, 1, 10) for path in paths]


def outcome(ndcg10: float, text: str = "q") -> Outcome:
    return Outcome(question(Target("a"), text=text), {**dict.fromkeys(MEASURES, 0.0), "ndcg10": ndcg10}, 1.0)


@pytest.mark.parametrize(
    ("ranks", "expected"),
    [
        ([1], 1.0),
        ([2], 1 / log2(3)),
        ([3], 0.5),
        ([10], 1 / log2(11)),
        ([11], 0.0),
        ([0], 0.0),
        ([1, 2], 1.0),
        ([2, 1], 1.0),
        ([1, 0], 1 / (1 + 1 / log2(3))),
        ([1, 3], (1 + 0.5) / (1 + 1 / log2(3))),
        ([], 0.0),
    ],
)
def test_ndcg_is_what_the_formula_gives_by_hand(ranks, expected):
    assert ndcg(ranks) == pytest.approx(expected)


def test_two_targets_at_one_rank_count_once():
    assert ndcg([1, 1]) == pytest.approx(1 / (1 + 1 / log2(3)))


def test_more_than_ten_targets_can_be_answered_in_full():
    assert ndcg(list(range(1, 13))) == pytest.approx(1.0)


@given(st.lists(st.integers(0, 15), max_size=12))
def test_ndcg_lies_between_nothing_and_everything(ranks):
    assert 0 <= ndcg(ranks) <= 1 + 1e-9


def test_a_ranking_is_judged_by_passages_and_by_files():
    asked = question(Target("a.py"), secondary=(Target("b.py"),))
    found = judge(asked, ranking("x.py", "x.py", "a.py", "a.py", "b.py"))
    ideal = 1 + 1 / log2(3)
    assert found["ndcg10"] == pytest.approx((1 / log2(4) + 1 / log2(6)) / ideal)
    assert found["file_ndcg10"] == pytest.approx((1 / log2(3) + 1 / log2(4)) / ideal)
    assert found["mrr10"] == 0.5
    assert (found["hit1"], found["hit5"], found["recall5"]) == (0.0, 1.0, 1.0)
    assert found.keys() == set(MEASURES)


def test_secondary_targets_are_no_hits():
    found = judge(question(Target("a.py"), secondary=(Target("b.py"),)), ranking("b.py"))
    assert (found["hit10"], found["mrr10"], found["recall10"]) == (0.0, 0.0, 0.5)
    assert found["ndcg10"] > 0


def test_nothing_found_is_worth_nothing():
    assert set(judge(question(Target("a.py")), []).values()) == {0.0}


def test_a_target_with_lines_is_hit_by_what_overlaps_them():
    target = Target("a.py", 5, 8)
    assert [target.is_hit_by(Found("a.py", *lines)) for lines in [(1, 4), (1, 5), (8, 9), (9, 9), (6, 7)]] == [
        *(False, True, True, False, True)
    ]


def test_leading_folders_may_be_missing_on_either_side_but_no_part_of_a_name():
    assert Target("lib/a.py").is_in("src/lib/a.py")
    assert Target("src/lib/a.py").is_in("lib/a.py")
    assert not Target("a.py").is_in("data.py")


def test_a_paired_difference_is_taken_question_by_question():
    ours, theirs = [outcome(1.0), outcome(0.5)], [outcome(0.5), outcome(0.5)]
    assert paired_difference(ours, theirs) == (0.25, (0.0, 0.5))
    assert paired_difference(ours, ours) == (0.0, (0.0, 0.0))
    with pytest.raises(ValueError, match="shorter"):
        paired_difference(ours, theirs[:1])


def test_the_same_values_give_the_same_interval_around_their_mean():
    values = [0.0, 1.0] * 50
    low, high = interval(values)
    assert low < 0.5 < high
    assert interval(values) == (low, high)


def test_percentiles_and_means_and_groups():
    assert [percentile([5.0, 1.0, 3.0], share) for share in (0, 0.5, 0.95, 1)] == [1.0, 3.0, 5.0, 5.0]
    outcomes = [outcome(1.0, "b"), outcome(0.0, "a")]
    assert mean(outcomes, "ndcg10") == 0.5
    assert list(grouped(outcomes, lambda asked: asked.text)) == ["a", "b"]


# --- files ----------------------------------------------------------------------------------------------------------------

ANNOTATIONS = [
    {"query": "how is somebody greeted", "category": "semantic", "relevant": ["greetings.py"]},
    {
        "query": "withdraw",
        "category": "symbol",
        "relevant": [{"path": "bank/accounts.py", "start_line": 4, "end_line": 6}],
        "secondary": [{"path": "README.md"}],
    },
]


@pytest.fixture
def dataset(tmp_path):
    repositories = [{"name": "small", "slug": "x/small", "language": "python", "benchmark_root": "bank", "revision": "abc"}]
    files = {"repos.json": json.dumps(repositories), "annotations/small.json": json.dumps(ANNOTATIONS)}
    return write_files(tmp_path / "dataset", files)


def test_a_dataset_is_read_as_its_files_say(dataset):
    (repository,) = read_dataset(dataset)
    assert (repository.name, repository.root, repository.revision) == ("small", "bank", "abc")
    greeted, withdraw = repository.questions
    assert (greeted.text, greeted.relevant, greeted.secondary) == (ANNOTATIONS[0]["query"], (Target("greetings.py"),), ())
    assert withdraw.relevant == (Target("bank/accounts.py", 4, 6),)
    assert withdraw.secondary == (Target("README.md"),)


def test_rankings_that_were_written_are_judged_the_same_when_they_are_read(tmp_path):
    asked = question(Target("a.py", 5, 8), text="wörter “x”")
    found = (Found("b.py", 1, 3), Found("a.py", 1, 5))
    written = Answered(Outcome(asked, judge(asked, found), 3.25), found)
    write_rankings(tmp_path / "ours.jsonl", [written])
    assert read_rankings(tmp_path / "ours.jsonl")(asked) == written
    record = json.loads((tmp_path / "ours.jsonl").read_text())
    assert list(record) == ["repo", "query", "latency_ms", "results"]
    assert record["results"][1] == {"path": "a.py", "start_line": 1, "end_line": 5}


def test_a_ranking_without_lines_stands_for_whole_files_and_an_absent_one_for_nothing(tmp_path):
    path = tmp_path / "theirs.jsonl"
    path.write_text('\n{"repo": "r", "query": "q", "results": [{"path": "a.py"}]}\n\n')
    theirs = read_rankings(path)
    assert theirs(question(Target("a.py", 500, 510))).outcome.measures["ndcg10"] == 1.0
    assert theirs(question(Target("a.py"), text="another")).outcome.measures["ndcg10"] == 0.0


def small(dataset: Path) -> BenchmarkRepository:
    return read_dataset(dataset)[0]


def test_a_source_is_indexed_once_and_answers_its_questions(dataset, tmp_path):
    sources = write_files(tmp_path / "sources" / "small", SMALL).parent
    snapshot = index_source(small(dataset), sources, tmp_path / "index", embedder="hashing", parse_processes=1)
    assert index_source(small(dataset), sources, tmp_path / "index", embedder="hashing", parse_processes=1) == snapshot
    with SnapshotReader(snapshot) as reader:
        assert not reader.has_vectors
        assert reader.paths() == sorted(SMALL)
    retriever = Retriever()
    answered = answer(retriever, small(dataset), snapshot)
    assert [each.found[0].path for each in answered] == ["greetings.py", "bank/accounts.py"]
    assert answered[0].outcome.measures["ndcg10"] == 1.0
    within = answer(retriever, small(dataset), snapshot, "root")
    assert {found.path for each in within for found in each.found} == {"bank/accounts.py"}
    retriever.close()


def test_a_source_that_has_changed_is_indexed_anew(dataset, tmp_path):
    sources = write_files(tmp_path / "sources" / "small", SMALL).parent
    first = index_source(small(dataset), sources, tmp_path / "index", embedder="hashing", parse_processes=1)
    write_files(sources / "small", {"more.py": "more = 1\n"})
    second = index_source(small(dataset), sources, tmp_path / "index", embedder="hashing", parse_processes=1)
    assert first != second
    with SnapshotReader(second) as reader:
        assert "more.py" in reader.paths()


def test_a_source_that_is_not_there_is_named(dataset, tmp_path):
    with pytest.raises(SourceError, match=r"nowhere/small is not there: the sources need one folder for each repository"):
        index_source(small(dataset), tmp_path / "nowhere", tmp_path / "index")


@pytest.mark.integration
def test_vectors_come_to_a_snapshot_that_was_made_without(dataset, tmp_path):
    sources = write_files(tmp_path / "sources" / "small", SMALL).parent
    without = index_source(small(dataset), sources, tmp_path / "index", embedder="hashing", parse_processes=1)
    with_vectors = index_source(
        small(dataset), sources, tmp_path / "index", embedder="hashing", vectors=True, parse_processes=1
    )
    assert with_vectors == without
    with SnapshotReader(with_vectors) as reader:
        assert reader.has_vectors


def test_words_and_vectors_alone_answer_within_their_scope(dataset, tmp_path):
    sources = write_files(tmp_path / "sources" / "small", SMALL).parent
    snapshot = index_source(small(dataset), sources, tmp_path / "index", embedder="hashing", vectors=True, parse_processes=1)
    runs = by_words(small(dataset), snapshot, "whole") | by_vectors(small(dataset), snapshot, "whole")
    assert list(runs) == [BY_CHUNK, BY_FILE, DENSE]
    for name, answered in runs.items():
        assert "greetings.py" in [found.path for found in answered[0].found], name
    files = [found.path for found in runs[BY_FILE][0].found]
    assert len(files) == len(set(files))
    within = by_words(small(dataset), snapshot, "root") | by_vectors(small(dataset), snapshot, "root")
    assert {found.path.split("/")[0] for some in within.values() for each in some for found in each.found} == {"bank"}


def test_a_paired_difference_can_be_one_of_another_measure():
    ours, theirs = judge(question(Target("a")), ranking("b", "a")), judge(question(Target("a")), ranking("b"))
    pair = [[Outcome(question(Target("a")), measures, 1.0)] * 4 for measures in (ours, theirs)]
    assert paired_difference(*pair, "recall10") == (1.0, (1.0, 1.0))
    assert paired_difference(*pair, "hit1") == (0.0, (0.0, 0.0))
