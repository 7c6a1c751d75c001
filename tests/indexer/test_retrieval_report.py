"""The report of a comparison: its figures, what explains them, and that the file needs nothing else.

tests/indexer/scored holds a small dataset, two rankings of it, and in scores.json what an independent program printed for them
(the scorer that comes with the development set).
"""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from indexer.benchmark import Answered, Found, read_rankings
from indexer.comparison import Comparison, Options, Run, baseline, compare, told
from indexer.errors import RankingsError
from indexer.evaluation import Outcome, Question, Target, judge, read_dataset
from indexer.explanation import (
    ADVANTAGES,
    GROUPS,
    NO_SIGNAL,
    Explained,
    RankedFile,
    advantages,
    first_right,
    gains_by_group,
    gains_by_origin,
)
from indexer.management.retrieval_report import rendered
from indexer.reranker import FEATURES
from indexer.types import Origin

from .builds import SMALL, write_files

SCORED = Path(__file__).with_name("scored")
SCORES = json.loads((SCORED / "scores.json").read_text())


class Cells(HTMLParser):
    """The rows of all tables of a page as lists of texts, and every tag with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if "tr" in self.open and self.open[-1] != "tr":
            self.rows[-1][-1] += data

    def row(self, name: str) -> list[str]:
        """The first row of that name, without it."""
        return next(row[1:] for row in self.rows if row and row[0] == name)


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    questions = [question for repository in read_dataset(SCORED) for question in repository.questions]
    ours, theirs = (list(map(read_rankings(SCORED / f"{name}.jsonl"), questions)) for name in ("ours", "theirs"))
    return Comparison("whole", False, Run("Sextant", ours), [Run("theirs", theirs)], [], 0.0)


@pytest.fixture(scope="module")
def page(comparison) -> str:
    return rendered(comparison, "scored")


def test_totals_are_those_of_the_independent_scorer(page):
    measures = ("ndcg10", "hit1", "hit5", "hit10", "mrr10", "recall10", "file_ndcg10")
    *figures, p50, p95 = Cells(page).row("Sextant")
    assert list(map(float, figures)) == [SCORES["overall"][measure] for measure in measures]
    assert (float(p50), float(p95)) == (SCORES["latency_ms"]["p50"], SCORES["latency_ms"]["p95"])
    low, high = SCORES["ndcg10_ci95"]
    assert f"lies between {low:.3f} to {high:.3f}" in page


@pytest.mark.parametrize("by", ["category", "language", "repo"])
def test_groups_are_those_of_the_independent_scorer(page, by):
    for name, scores in SCORES[f"by_{by}"].items():
        asked, ndcg10, hit1, hit5, _ = Cells(page).row(name)
        assert int(asked) == scores["n"]
        assert (ndcg10, hit1, hit5) == (f"{scores['ndcg10']:.3f}", f"{scores['hit1']:.2f}", f"{scores['hit5']:.2f}")


def test_the_difference_to_a_baseline_is_that_of_the_independent_scorer(page, comparison):
    difference, between, _ = Cells(page).row("NDCG@10")
    low, high = SCORES["vs_baseline"]["ci95"]
    assert difference == f"{SCORES['vs_baseline']['ndcg10']:+.4f}"
    assert between == f"{low:+.3f} to {high:+.3f}".replace("-", "−")
    assert f"Sextant − theirs: {SCORES['vs_baseline']['ndcg10']:+.4f} NDCG@10" in "\n".join(told(comparison))


def test_the_printed_totals_are_those_of_the_independent_scorer(comparison):
    (line,) = [line for line in told(comparison) if line.startswith("Sextant  ")]
    assert [float(figure) for figure in line.split()[1:4]] == [4, SCORES["overall"]["ndcg10"], SCORES["overall"]["hit1"]]


def test_the_file_asks_for_nothing_else_and_runs_nothing(page):
    cells = Cells(page)
    assert cells.open == []
    assert not {tag for tag, _ in cells.tags} & {"script", "link", "img", "iframe", "object", "use", "image"}
    assert not [attributes for _, attributes in cells.tags if attributes.keys() & {"src", "href", "srcset"}]
    assert not re.search(r"https?:|url\(|@import", page)
    assert "prefers-color-scheme" in page or "light-dark(" in page


def test_texts_of_the_dataset_are_no_markup(page):
    assert "where do orders &lt;begin&gt;" in page
    assert "<begin>" not in page


def test_the_worst_question_comes_first_with_what_was_found_and_wanted(page):
    worst = page[page.index("<details") : page.index("</details>")]
    assert "checkout" in worst
    assert worst.index("checkout.go") < worst.index("not shown") < worst.index("pay.go:1–10")


# --- why ------------------------------------------------------------------------------------------------------------------


def question(*relevant: str, secondary: tuple[str, ...] = ()) -> Question:
    return Question("r", "python", "semantic", "q", tuple(map(Target, relevant)), tuple(map(Target, secondary)))


def ranked(path: str, **parts: float) -> RankedFile:
    return RankedFile(path, sum(parts.values()), tuple(parts.get(feature, 0.0) for feature in FEATURES))


def explained(*files: RankedFile, wanted: str = "right.py") -> Explained:
    return Explained(question(wanted), tuple(sorted(files, key=lambda file: -file.score)))


def group(name: str):
    return next(group for group in GROUPS if group.name == name)


def test_every_feature_is_in_one_group_and_has_words():
    assert sorted(feature for group in GROUPS for feature in group.features) == sorted(FEATURES)
    assert ADVANTAGES.keys() == set(FEATURES)


def test_a_group_alone_ranks_only_what_it_speaks_for():
    found = explained(ranked("right.py", body=1.0), ranked("wrong.py", body=0.5, main=2.0), ranked("other.py", main=1.0))
    assert found.measures()["hit1"] == 0.0
    assert found.alone(group("words in the text"))["mrr10"] == 1.0
    assert found.alone(group("main folders"))["hit10"] == 0.0
    assert found.alone(group("vectors"))["hit10"] == 0.0


def test_without_a_group_the_others_rank():
    found = explained(ranked("right.py", body=1.0), ranked("wrong.py", body=0.5, main=2.0))
    assert found.without(group("main folders"))["hit1"] == 1.0
    assert found.without(group("words in the text"))["hit1"] == 0.0


def test_gains_are_given_for_groups_that_have_a_say():
    pair = [explained(ranked("right.py", body=1.0), ranked("wrong.py", body=0.5, main=2.0)) for _ in range(3)]
    gains = {gain.group.name: gain for gain in gains_by_group(pair)}
    assert gains.keys() == {"words in the text", "main folders"}
    assert gains["main folders"].change > 0
    assert gains["main folders"].hit1_change == 1.0
    assert gains["words in the text"].alone["hit1"] == 1.0


def test_what_puts_a_file_ahead_is_told_the_most_first():
    wrong, right = ranked("wrong.py", main=2.0, used=0.4, body=0.1), ranked("right.py", main=0.5, body=0.9)
    assert [(each.feature, round(each.logits, 2)) for each in advantages(wrong, right)] == [("main", 1.5), ("used", 0.4)]
    assert [each.feature for each in advantages(right, wrong)] == ["body"]
    assert advantages(RankedFile("a", 0.0, ()), wrong) == []


def shown(*found: Found, wanted: str = "right.py") -> Answered:
    asked = question(wanted)
    return Answered(Outcome(asked, judge(asked, found), 1.0), found)


def test_signals_are_counted_by_where_the_passage_that_they_found_is_shown():
    lexical, dense = Origin("lexical", 3, 1.0), Origin("dense", 1, 0.5)
    answers = [
        shown(Found("right.py", 1, 9, (lexical, dense)), Found("right.py", 20, 29, (dense,))),
        shown(Found("wrong.py", 1, 9, (dense,)), Found("right.py", 1, 9, (lexical,))),
        shown(*(Found("wrong.py", 1, 9, (dense,)) for _ in range(6)), Found("right.py", 1, 9)),
        shown(Found("wrong.py", 1, 9, (dense,))),
    ]
    gains = {gain.signal: (gain.first, gain.second_to_fifth, gain.later, gain.own_first) for gain in gains_by_origin(answers)}
    assert gains == {"lexical": (1, 1, 0, 0), "dense": (1, 0, 0, 1), NO_SIGNAL: (0, 0, 1, 0)}
    assert [first_right(each)[0] for each in answers] == [1, 2, 7, 0]


# --- over a real snapshot ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compared(tmp_path_factory) -> Comparison:
    folder = tmp_path_factory.mktemp("compared")
    annotations = [
        {"query": "withdraw", "category": "symbol", "relevant": ["bank/accounts.py"]},
        {"query": "hello", "category": "semantic", "relevant": ["README.md"]},
    ]
    repositories = [{"name": "small", "language": "python", "benchmark_root": "bank"}]
    files = {"repos.json": json.dumps(repositories), "annotations/small.json": json.dumps(annotations)}
    dataset = read_dataset(write_files(folder / "dataset", files))
    write_files(folder / "sources" / "small", SMALL)
    names = ["bm25", "bm25-files", "dense"]
    options = Options(
        folder / "sources",
        folder / "index",
        vectors=True,
        baselines=list(map(baseline, names)),
        explained=True,
        embedder="hashing",
        parse_processes=1,
    )
    return compare(dataset, options)


def test_a_comparison_has_a_run_for_each_baseline_in_the_order_asked_for(compared):
    assert [run.name for run in compared.baselines] == ["plain BM25", "BM25, sum of three", "dense alone"]
    assert [len(run.answered) for run in (compared.ours, *compared.baselines)] == [2, 2, 2, 2]
    assert [each.question for each in compared.explained] == [each.outcome.question for each in compared.ours.answered]


def test_the_parts_of_a_score_add_up_to_it(compared):
    for each in compared.explained:
        gaps = [file.score - sum(file.parts) for file in each.files]
        assert max(gaps) - min(gaps) < 1e-6
        assert [file.score for file in each.files] == sorted((file.score for file in each.files), reverse=True)


def test_a_report_tells_what_puts_a_wrong_file_ahead(compared):
    page = rendered(compared, "small", "a machine")
    assert "dense alone" in page
    assert "a machine" in page
    assert re.search(r"is ahead of README\.md by \d+\.\d logits", page)
    assert any(said in page for said in ADVANTAGES.values())
    assert Cells(page).row("plain BM25")


def test_what_is_no_file_of_rankings_is_named(tmp_path):
    path = tmp_path / "rankings.jsonl"
    path.write_text("nothing of the kind\n")
    with pytest.raises(RankingsError, match=r"rankings\.jsonl can't be read as rankings"):
        compare([], Options(tmp_path, tmp_path / "index", baselines=[path]))
