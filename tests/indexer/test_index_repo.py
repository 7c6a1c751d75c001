"""manage.py index_repo, and manage.py indexer as a process that is killed."""

from __future__ import annotations

import io
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from indexer import jobs
from indexer.embedder import HashingEmbedder
from indexer.models import IndexJob, Repository
from indexer.parser_pool import ParserPool
from indexer.snapshot import SnapshotReader
from tests.processes import environment

from .builds import SMALL, write_files

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

MANAGE = [sys.executable, str(Path(__file__).parents[2] / "manage.py")]


@pytest.fixture(autouse=True)
def folders(tmp_path, settings):
    settings.INDEX_ROOT = tmp_path / "indexes"
    settings.CLONE_ROOT = tmp_path / "clones"
    settings.DATA_DIR = tmp_path / "data"
    settings.PARSE_PROCESSES = 1


@pytest.fixture
def source(tmp_path):
    return write_files(tmp_path / "small", SMALL)


def index_repo(*arguments: object) -> str:
    out = io.StringIO()
    call_command("index_repo", *map(str, arguments), stdout=out)
    return out.getvalue()


def test_a_folder_is_indexed_under_its_name(source):
    said = index_repo(source)
    repository = Repository.objects.get()
    assert (repository.name, repository.source, repository.visibility) == ("small", str(source), "public")
    assert repository.live_snapshot is not None
    assert SnapshotReader(repository.live_snapshot.directory).paths() == sorted(SMALL)
    assert said.startswith("small: 3 files, 3 chunks (3 embedded, 0 reused).\nSearchable after ")


def test_the_last_line_of_json_is_the_report(source):
    report = json.loads(index_repo(source, "--json").splitlines()[-1])
    assert list(report) == [
        *("repository", "snapshot", "commit", "files", "chunks", "embedded", "reused", "skipped"),
        *("searchable_after_s", "seconds"),
    ]
    assert (report["repository"], report["files"], report["embedded"], report["skipped"]) == ("small", 3, 3, {})
    assert 0 < report["searchable_after_s"] <= report["seconds"]
    again = json.loads(index_repo(source, "--json"))
    assert (again["snapshot"], again["embedded"], again["reused"]) == (report["snapshot"], 0, 3)


def test_a_git_url_is_cloned_and_indexed_at_the_commit_asked_for(source, tmp_path):
    git = ["git", "-C", str(source), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "one"], ["tag", "v1"]):
        subprocess.run([*git, *command], check=True)
    (source / "greetings.py").unlink()
    subprocess.run([*git, "commit", "-q", "-a", "-m", "two"], check=True)
    bare = tmp_path / "greeter.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(source), str(bare)], check=True)
    assert json.loads(index_repo(f"file://{bare}", "--ref", "v1", "--json"))["files"] == 3
    report = json.loads(index_repo(f"file://{bare}", "--json"))
    assert (report["repository"], report["files"]) == ("greeter", 2)
    assert report["commit"] == subprocess.check_output([*git, "rev-parse", "HEAD"], text=True).strip()


def test_refs_of_one_source_share_its_clone_its_parsed_files_and_its_vectors(source, tmp_path, monkeypatch):
    git = ["git", "-C", str(source), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (
        ["init", "-q", "-b", "main"],
        ["add", "."],
        ["commit", "-q", "-m", "one"],
        ["checkout", "-q", "-b", "next"],
    ):
        subprocess.run([*git, *command], check=True)
    write_files(source, {"more.py": "def more():\n    return 1\n"})
    for command in (["add", "."], ["commit", "-q", "-m", "two"]):
        subprocess.run([*git, *command], check=True)
    parsed: list[str] = []
    map_files = ParserPool.map

    def noting(pool, files, finish):
        return map_files(pool, (parsed.append(path) or (path, data) for path, data in files), finish)

    monkeypatch.setattr(ParserPool, "map", noting)
    url = f"file://{source}"
    first = json.loads(index_repo(url, "--ref", "main", "--name", "small", "--json"))
    assert sorted(parsed) == sorted(SMALL)
    parsed.clear()
    second = json.loads(index_repo(url, "--ref", "next", "--name", "small-next", "--json"))
    assert (parsed, second["files"], second["embedded"], second["reused"]) == (["more.py"], 4, 1, first["chunks"])
    assert second["snapshot"] != first["snapshot"]
    same = json.loads(index_repo(url, "--ref", "main", "--name", "small-again", "--json"))
    assert (parsed, same["embedded"], same["snapshot"] == first["snapshot"]) == (["more.py"], 0, False)
    assert len(list((tmp_path / "clones").glob("*.git"))) == 1
    live = {r.name: r.live_snapshot for r in Repository.objects.select_related("live_snapshot")}
    assert {name: str(snapshot.repository) for name, snapshot in live.items()} == {name: name for name in live}
    jobs.remove(live["small"].directory)
    with SnapshotReader(live["small-next"].directory) as reader:
        assert reader.file("greetings.py").text == SMALL["greetings.py"]


def test_a_name_that_is_taken_by_another_source_is_refused(source, tmp_path):
    index_repo(source)
    other = write_files(tmp_path / "other", SMALL)
    with pytest.raises(CommandError, match=r"small is already the name of .*/small: choose another one with --name\."):
        index_repo(other, "--name", "small")
    index_repo(source / ".." / "small", "--name", "small")
    assert Repository.objects.count() == 1


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("/no/such/folder", "/no/such/folder is neither a folder nor a git URL that can be cloned."),
        ("ext::sh -c touch% /tmp/x", "neither a folder nor a git URL"),
        ("file:///no/such/repository.git", "no/such/repository"),
    ],
)
def test_a_source_that_can_not_be_read_is_told_in_one_sentence_and_leaves_no_repository(place, sentence):
    with pytest.raises(CommandError) as error:
        index_repo(place)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)
    assert Repository.objects.count() == 0


def test_an_empty_folder_is_told_in_one_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        CommandError, match=r"holds no files but what \.gitignore and \.sextantignore leave out: there is nothing to index"
    ):
        index_repo(tmp_path / "empty")
    assert Repository.objects.count() == 0


def test_ctrl_c_leaves_the_live_snapshot_and_the_cache_and_the_next_run_goes_on(source, monkeypatch):
    first = json.loads(index_repo(source, "--json"))
    write_files(source, {f"module{n}.py": f"def function{n}():\n    return {n}\n" for n in range(30)})
    encode = HashingEmbedder.encode_documents
    batches: list[int] = []

    def encode_cards_and_a_batch(self: HashingEmbedder, texts: list[str]):
        if len(batches) == 4:
            raise KeyboardInterrupt
        batches.append(len(texts))
        return encode(self, texts)

    with monkeypatch.context() as patch:
        patch.setattr("indexer.embedder.HashingEmbedder.portion", 10)
        patch.setattr(HashingEmbedder, "encode_documents", encode_cards_and_a_batch)
        with pytest.raises(CommandError) as error:
            index_repo(source)
    assert str(error.value) == "Stopped: what was indexed before is untouched, and the next run goes on from here."
    assert IndexJob.objects.first().state == IndexJob.State.FAILED
    report = json.loads(index_repo(source, "--json"))
    assert report["snapshot"] != first["snapshot"]
    assert (report["embedded"], report["reused"]) == (20, 13)


def test_a_run_that_is_stopped_before_it_was_searchable_leaves_the_live_snapshot(source, monkeypatch):
    first = json.loads(index_repo(source, "--json"))
    write_files(source, {"more.py": "more = 1\n"})
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "build_snapshot", lambda request, hooks: signal.raise_signal(signal.SIGTERM))
        with pytest.raises(CommandError, match=r"^Stopped"):
            index_repo(source)
    assert str(Repository.objects.get().live_snapshot_id) == first["snapshot"]


def test_it_waits_for_the_process_that_indexes_the_repository_now(source, monkeypatch, capsys):
    index_repo(source)
    job = IndexJob.objects.create(
        repository=Repository.objects.get(), state="running", leased_until=jobs._lease_end(), lease_token=jobs.uuid.uuid4()
    )
    waits: list[float] = []

    def end_the_other(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            job.delete()

    monkeypatch.setattr("indexer.management.commands.index_repo.sleep", end_the_other)
    index_repo(source)
    assert len(waits) == 2
    assert capsys.readouterr().err.count("is being indexed by another process: wait until it is done") == 1


def test_bad_usage_ends_with_2_and_failure_with_1(tmp_path):
    for arguments, status in ((["--name", "a/b", "."], 2), (["/no/such/folder"], 1)):
        done = subprocess.run(
            [*MANAGE, "index_repo", *arguments], env=environment(tmp_path / "var"), capture_output=True, text=True
        )
        assert (done.returncode, done.stdout) == (status, "")
        assert "Traceback" not in done.stderr


@pytest.fixture
def home(tmp_path) -> Iterator[dict[str, str]]:
    """The environment of processes with a data folder and a database of their own."""
    home = environment(tmp_path / "var", SEXTANT_INDEX_LEASE_S="1")
    subprocess.run([*MANAGE, "migrate", "--verbosity", "0"], env=home, check=True)
    return home


ENQUEUE = """
import django, sys; django.setup()
from indexer.queue import enqueue
from indexer.models import Repository
enqueue(Repository.objects.create(name="big", source=sys.argv[1]))
"""


def row(home: dict[str, str], query: str) -> tuple[object, ...]:
    with sqlite3.connect(Path(home["SEXTANT_DATA_DIR"]) / "sextant.sqlite3", timeout=20) as database:
        found: tuple[object, ...] = database.execute(query).fetchone()
    database.close()
    return found


def wait_for(home: dict[str, str], query: str, wanted: object) -> None:
    end = time.monotonic() + 60
    while (found := row(home, query)) != (wanted,):
        assert time.monotonic() < end, f"{query} is {found}, not {wanted}"


def test_a_worker_killed_in_mid_build_is_followed_by_another_that_ends_it(home, tmp_path):
    source = write_files(tmp_path / "big", {f"m{n}.py": f"def function{n}():\n    return {n}\n" * 20 for n in range(1500)})
    enqueue = [sys.executable, "-c", ENQUEUE, str(source)]
    subprocess.run(
        enqueue, env={**home, "DJANGO_SETTINGS_MODULE": "assistant.settings"}, cwd=Path(MANAGE[1]).parent, check=True
    )
    with subprocess.Popen([*MANAGE, "indexer"], env=home) as first:
        wait_for(home, "SELECT stage FROM indexer_indexjob", "parsing")
        first.kill()
    assert row(home, "SELECT state, attempts FROM indexer_indexjob") == ("running", 1)
    with subprocess.Popen([*MANAGE, "indexer"], env=home) as second:
        wait_for(home, "SELECT stage FROM indexer_indexjob WHERE attempts = 2 UNION ALL SELECT ''", "parsing")
        second.terminate()
        assert second.wait(10) == 0
    assert row(home, "SELECT state, attempts FROM indexer_indexjob") == ("queued", 1)
    with subprocess.Popen([*MANAGE, "indexer"], env=home) as third:
        wait_for(home, "SELECT state FROM indexer_indexjob", "completed")
        third.send_signal(signal.SIGINT)
        assert third.wait(10) == 0
    assert row(home, "SELECT files, embedded = chunks FROM indexer_snapshot") == (1500, 1)
