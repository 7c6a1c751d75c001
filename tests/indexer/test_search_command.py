"""manage.py search and manage.py evaluate_retrieval: what they print, and how they end."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from indexer.models import Repository, Snapshot
from tests.processes import environment

from .builds import SMALL, Bench, write_files

MANAGE = [sys.executable, str(Path(__file__).parents[2] / "manage.py")]

pytestmark = pytest.mark.django_db


@pytest.fixture
def small(tmp_path, settings):
    """A repository called small that was indexed without vectors."""
    settings.INDEX_ROOT = tmp_path / "indexes"
    settings.DATA_DIR = tmp_path / "data"
    settings.PARSE_PROCESSES = 1
    repository = Repository.objects.create(name="small", source=str(tmp_path / "source"))
    bench = Bench(tmp_path)
    bench.root = settings.INDEX_ROOT / str(repository.pk)
    snapshot = Snapshot.objects.create(pk=bench.build_without_vectors().name, repository=repository)
    repository.live_snapshot = snapshot
    repository.save()
    return repository


def search(*arguments: object) -> str:
    out = io.StringIO()
    call_command("search", *map(str, arguments), stdout=out)
    return out.getvalue()


def test_people_read_where_it_is_how_it_was_found_and_the_lines(small):
    said = search("small", "withdraw")
    first = said.splitlines()
    assert first[0] == "1. bank/accounts.py:1-6  Account"
    assert first[1].startswith("   score ")
    assert "lexical #1 (" in first[1]
    assert "symbol #1 (" in first[1]
    assert "        def withdraw(self, amount):" in first
    assert said.splitlines()[-2].startswith("Lexical: ")
    assert said.splitlines()[-1] == "The index is of the folder as it was."
    assert said.splitlines()[-2].endswith(" ms in all.")


def test_words_that_the_repository_does_not_hold_are_named(small):
    assert "Not in this repository: kubernetes." in search("small", "withdraw from kubernetes").splitlines()


def test_a_result_whose_file_has_changed_since_is_named(small):
    Path(small.source, "bank/accounts.py").write_text("changed = True\n")
    assert search("small", "withdraw").splitlines()[-1] == "Changed since it was indexed: bank/accounts.py."


def test_nothing_found_is_said(small):
    assert search("small", "kubernetes").splitlines()[0] == "Nothing was found."


def test_a_line_of_json_has_the_documented_shape(small):
    (line,) = search("small", "withdraw money", "--json").splitlines()
    found = json.loads(line)
    assert list(found) == ["repo", "query", "latency_ms", "results"]
    assert (found["repo"], found["query"]) == ("small", "withdraw money")
    assert found["latency_ms"] > 0
    first = found["results"][0]
    assert list(first) == ["path", "start_line", "end_line", "symbol", "score", "origins"]
    assert (first["path"], first["start_line"], first["symbol"]) == ("bank/accounts.py", 1, "Account")
    assert [list(origin) for origin in first["origins"]] == [["signal", "rank", "score"]] * len(first["origins"])
    scores = [result["score"] for result in found["results"]]
    assert scores == sorted(scores, reverse=True)


def test_a_file_of_queries_is_answered_line_by_line(small, tmp_path):
    queries = tmp_path / "queries.jsonl"
    queries.write_text('{"query": "withdraw"}\n\n{"query": "hello", "category": "symbol"}\n{"query": ""}\n')
    lines = [json.loads(line) for line in search("small", "--queries", queries).splitlines()]
    assert [line["query"] for line in lines] == ["withdraw", "hello", ""]
    assert [line["results"][0]["path"] for line in lines[:2]] == ["bank/accounts.py", "greetings.py"]
    assert lines[2]["results"] == []


def test_limit_and_scope_narrow_the_results(small):
    assert len(json.loads(search("small", "bank name", "--limit", 1, "--json"))["results"]) == 1
    within = json.loads(search("small", "name money", "--scope", "bank", "--json"))["results"]
    assert {result["path"] for result in within} == {"bank/accounts.py"}


def test_an_unknown_repository_is_told_in_one_sentence_with_those_there_are(small):
    with pytest.raises(CommandError) as error:
        search("big", "withdraw")
    assert str(error.value) == "There is no repository 'big'; there are small: index it with `manage.py index_repo`."
    assert error.value.returncode == 1


def test_a_repository_that_is_not_indexed_yet_is_told_in_one_sentence():
    Repository.objects.create(name="new", source="/src/new")
    with pytest.raises(CommandError) as error:
        search("new", "withdraw")
    assert str(error.value) == "new is not indexed yet: run `manage.py index_repo /src/new --name new`."


def test_a_snapshot_that_is_gone_is_told_in_one_sentence(small):
    for file in small.live_snapshot.directory.iterdir():
        file.unlink()
    with pytest.raises(CommandError, match=r"^.* holds no whole snapshot: index the repository again\.$"):
        search("small", "withdraw")


@pytest.mark.parametrize("arguments", [("small",), ("small", "x", "--queries", "y"), ("small", "  ")])
def test_neither_query_nor_file_both_and_an_empty_query_are_bad_usage(small, arguments):
    with pytest.raises(CommandError) as error:
        search(*arguments)
    assert error.value.returncode == 2
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("line", ["withdraw", "[]", "{}", '{"query": 3}', "null"])
def test_a_line_that_is_no_query_is_named(small, tmp_path, line):
    queries = tmp_path / "queries.jsonl"
    queries.write_text('{"query": "withdraw"}\n' + line)
    with pytest.raises(CommandError, match=r"queries\.jsonl, line 2"):
        search("small", "--queries", queries)


def test_a_file_of_queries_that_is_not_there_is_named(small, tmp_path):
    with pytest.raises(CommandError, match=r"nowhere\.jsonl can't be read"):
        search("small", "--queries", tmp_path / "nowhere.jsonl")


@pytest.mark.integration
def test_exit_status_is_1_for_failure_and_2_for_bad_usage(tmp_path):
    env = environment(tmp_path / "var")
    subprocess.run([*MANAGE, "migrate", "--verbosity", "0"], env=env, check=True)
    for arguments, status in ((["big", "withdraw"], 1), (["big"], 2), (["big", "x", "--limit", "0"], 2), ([], 2)):
        done = subprocess.run([*MANAGE, "search", *arguments], env=env, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (status, ""), done.stderr
        assert "Traceback" not in done.stderr
        assert done.stderr.strip()


# --- evaluate_retrieval ---------------------------------------------------------------------------------------------------


@pytest.fixture
def benchmark(tmp_path, settings):
    settings.DATA_DIR = tmp_path / "data"
    settings.PARSE_PROCESSES = 1
    annotations = [
        {"query": "withdraw", "category": "symbol", "relevant": ["bank/accounts.py"]},
        {"query": "how is somebody greeted by name", "category": "semantic", "relevant": ["greetings.py"]},
        {"query": "hello", "category": "symbol", "relevant": ["bank/accounts.py"], "secondary": ["greetings.py"]},
    ]
    repositories = [{"name": "small", "language": "python", "benchmark_root": "bank"}]
    files = {"repos.json": json.dumps(repositories), "annotations/small.json": json.dumps(annotations)}
    write_files(tmp_path / "dataset", files)
    write_files(tmp_path / "sources" / "small", SMALL)
    return tmp_path


def evaluate(folder: Path, *arguments: object) -> str:
    out = io.StringIO()
    options = ["--sources", str(folder / "sources"), *map(str, arguments)]
    call_command("evaluate_retrieval", str(folder / "dataset"), *options, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def figures(said: str, row: str) -> list[float]:
    (line,) = [line for line in said.splitlines() if line[:26].rstrip() == row]
    return [float(figure) for figure in line[len(row) :].split()]


def test_figures_are_given_overall_and_by_category_language_and_repository(benchmark):
    said = evaluate(benchmark)
    count, ndcg10, hit1, hit5, *_ = figures(said, "Sextant")
    # The last question's only primary target holds none of its words, and its secondary one comes first.
    assert (count, hit1, hit5) == (3, 0.6667, 0.6667)
    assert ndcg10 == pytest.approx((1 + 1 + 1 / 1.63093) / 3, abs=1e-4)
    assert figures(said, "semantic")[:2] == [1, 1.0]
    assert figures(said, "python") == figures(said, "small") == figures(said, "Sextant")
    assert "latency p50" in said


def test_root_keeps_to_the_main_folder(benchmark):
    assert figures(evaluate(benchmark, "--scope", "root"), "semantic")[1] == 0.0


def test_our_own_rankings_as_baseline_differ_by_nothing(benchmark):
    rankings = benchmark / "ours.jsonl"
    evaluate(benchmark, "--output", rankings)
    said = evaluate(benchmark, "--baseline", rankings)
    assert "Sextant − ours: +0.0000 NDCG@10, between +0.0000 and +0.0000 (95 %, paired bootstrap)" in said.splitlines()
    assert figures(said, "ours") == figures(said, "Sextant")
    assert len(rankings.read_text().splitlines()) == 3


@pytest.mark.parametrize("missing", ["dataset/repos.json", "dataset/annotations/small.json", "sources/small"])
def test_what_is_missing_is_named_in_one_sentence(benchmark, missing):
    (benchmark / missing).rename(benchmark / "elsewhere")
    with pytest.raises(CommandError) as error:
        evaluate(benchmark)
    assert missing.split("/")[0] in str(error.value)
    assert "\n" not in str(error.value)


def test_a_baseline_that_is_none_is_named(benchmark):
    with pytest.raises(CommandError, match=r"repos\.json can't be read as rankings"):
        evaluate(benchmark, "--baseline", benchmark / "dataset/repos.json")


def test_baselines_are_given_by_name_as_often_as_wanted(benchmark):
    said = evaluate(benchmark, "--baseline", "bm25", "--baseline", "bm25-files")
    assert [figures(said, name)[0] for name in ("Sextant", "plain BM25", "BM25, sum of three")] == [3, 3, 3]
    assert "Sextant − BM25, sum of three: " in said


def test_vectors_alone_need_vectors(benchmark):
    with pytest.raises(CommandError, match="--baseline dense needs --vectors") as error:
        evaluate(benchmark, "--baseline", "dense")
    assert error.value.returncode == 2


def test_a_report_is_written_or_the_place_named(benchmark):
    evaluate(benchmark, "--report", benchmark / "report.html")
    assert "how is somebody greeted by name" in (benchmark / "report.html").read_text()
    with pytest.raises(CommandError, match=r"nowhere/report\.html can't be written: No such file"):
        evaluate(benchmark, "--report", benchmark / "nowhere" / "report.html")


# --- filters, patterns and lists --------------------------------------------------------------------------------------------


@pytest.fixture
def shop(small, tmp_path, settings):
    """The repository, with a caller and a test."""
    more = {
        "bank/till.py": "from bank.accounts import Account\n\n\ndef pay(amount):\n    Account().withdraw(amount)\n",
        "tests/test_till.py": "from bank.till import pay\n\n\ndef test_pay():\n    pay(1)\n",
    }
    bench = Bench(tmp_path / "shop", SMALL | more)
    bench.root = settings.INDEX_ROOT / str(small.pk)
    snapshot = Snapshot.objects.create(pk=bench.build_without_vectors().name, repository=small)
    small.live_snapshot = snapshot
    small.save()
    return small


def test_who_defines_uses_and_calls_a_name_is_listed(shop):
    assert search("small", "--definitions", "Account.withdraw") == "bank/accounts.py:4  Account.withdraw  method\n"
    assert search("small", "--callers", "withdraw") == "bank/till.py:4  pay  function, line 5\n"
    uses = [json.loads(line) for line in search("small", "--references", "Account", "--json").splitlines()]
    assert [(use["path"], use["line"], use["kind"], use["symbol"]) for use in uses] == [
        ("bank/till.py", 5, "call", "pay"),
        ("bank/till.py", 1, "import", ""),
    ]
    assert search("small", "--callers", "nobody") == "Nothing here calls nobody.\n"


def test_a_pattern_marks_its_lines_and_filters_keep_to_a_language_without_tests(shop):
    said = search("small", "/pay\\(/", "--no-tests")
    assert "  > def pay(amount):" in said.splitlines()
    assert "tests/" not in said
    assert "tests/test_till.py" in search("small", "/pay\\(/")
    assert "README.md" in search("small", "accounts", "--language", "markdown")
    assert "bank/" not in search("small", "accounts", "--language", "Markdown")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("/(a/",), "missing \\)"),
        (("cart", "--callers", "pay"), "Give one of"),
        ((), "Give one of"),
        (("cart", "--language", "klingon"), "there is no language 'klingon'"),
    ],
)
def test_what_can_not_be_meant_is_one_sentence(shop, arguments, sentence):
    with pytest.raises(CommandError, match=sentence):
        search("small", *arguments)
