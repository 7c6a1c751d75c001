"""manage.py ask as a person or a script runs it: in a process of its own, on an index of its own."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.assistant.test_answering import FILES, LONG, WHERE
from tests.fakes.openai_server import FakeModelServer, Scenario
from tests.indexer.builds import write_files
from tests.processes import ROOT, Deployment, wait_until

# The last of its citations is wrong, and nothing else here holds the name.
ANSWER = "`Cart.add_item` does it [1], with `FreeGift` [1]."

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def sextant(process: FakeModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """An installation with one small repository that is indexed, and one that isn't yet."""
    folder = tmp_path_factory.mktemp("ask")
    write_files(folder / "shop", FILES)
    with Deployment(
        folder, SEXTANT_CODE_MODEL_URL=process.url, SEXTANT_LOG_LEVEL="WARNING", SEXTANT_TOKEN_GAP_TIMEOUT_S="1"
    ) as it:
        it.manage("index_repo", str(folder / "shop"))
        (folder / "empty").mkdir()
        it.manage("queue_index", str(folder / "empty"), "--name", "queued")
        yield it


@pytest.fixture
def server(process: FakeModelServer) -> FakeModelServer:
    """The module's server as if it had just been started."""
    process.set(**vars(Scenario(text=ANSWER, delay_s=0)))
    return process


def ask(sextant: Deployment, *arguments: str) -> subprocess.CompletedProcess[str]:
    return sextant.manage("ask", *arguments, check=False)


def test_the_answer_is_printed_with_its_citations_and_the_route_goes_to_stderr(
    sextant: Deployment, server: FakeModelServer
) -> None:
    done = ask(sextant, "shop", WHERE)
    assert done.returncode == 0
    answer, _, cited = done.stdout.partition("\n\n")
    assert answer == ANSWER
    assert re.fullmatch(
        r"\[1\] shop/cart\.py:\d+-\d+  verified 1 of 2 times\. Names `FreeGift`, which isn't in these lines\.\n"
        r"FreeGift occurs in no file of this repository\.\n1 of 2 claims verified\.\n",
        cited,
    )
    assert "Route: code" in done.stderr and "fake" in done.stderr


def test_json_is_one_object_with_everything(sextant: Deployment, server: FakeModelServer) -> None:
    done = ask(sextant, "shop", WHERE, "--json")
    assert done.returncode == 0
    told = json.loads(done.stdout)
    assert list(told) == ["answer", "route", "model", "citations", "claims", "passages", "usage", "timings"]
    assert (told["answer"], told["route"], told["model"]) == (
        ANSWER,
        "code",
        "fake",
    )
    assert [citation["verified"] for citation in told["citations"]] == [True, False]
    assert told["citations"][0].keys() == {"number", "path", "start_line", "end_line", "commit", "verified"}
    assert told["passages"][0]["path"] == "shop/cart.py"
    assert told["usage"]["completion_tokens"] == 7
    assert told["timings"]["total_ms"] >= told["timings"]["first_token_ms"]


def test_a_model_can_be_chosen(sextant: Deployment, server: FakeModelServer) -> None:
    server.set(models=["fake", "other"])
    assert json.loads(ask(sextant, "shop", WHERE, "--json", "--model", "other").stdout)["model"] == "other"


def test_a_failure_is_one_sentence_after_what_was_written(sextant: Deployment, server: FakeModelServer) -> None:
    server.set(fault="eof", after=2)
    done = ask(sextant, "shop", WHERE)
    assert (done.returncode, done.stdout) == (1, "`Cart.add_item` does\n")
    assert done.stderr.splitlines()[-1].startswith("CommandError: The model server at ")
    assert "Traceback" not in done.stderr


def test_a_failure_in_json_keeps_what_had_come(sextant: Deployment, server: FakeModelServer) -> None:
    server.set(fault="stall_gap", after=2)
    done = ask(sextant, "shop", WHERE, "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert (told["answer"], told["usage"]) == ("`Cart.add_item` does", {})
    assert told["passages"]
    assert "nothing came for 1 s" in done.stderr


def test_a_repository_that_is_not_there_or_not_indexed_is_one_sentence(sextant: Deployment, server: FakeModelServer) -> None:
    missing, queued = ask(sextant, "absent", WHERE), ask(sextant, "queued", WHERE)
    assert (missing.returncode, missing.stdout) == (1, "")
    assert re.fullmatch(
        r"CommandError: There is no repository 'absent'; there are .*shop.*: index it with .*\n", missing.stderr
    )
    assert queued.returncode == 1
    assert re.fullmatch(r"CommandError: queued is not indexed yet: run `manage.py index_repo .*`\.\n", queued.stderr)


@pytest.mark.parametrize("arguments", [["shop"], ["shop", "  "], ["shop", "Why?", "--colour"]])
def test_bad_usage_ends_with_2(sextant: Deployment, server: FakeModelServer, arguments: list[str]) -> None:
    done = ask(sextant, *arguments)
    assert (done.returncode, done.stdout) == (2, "")


def test_while_the_model_downloads_the_percent_goes_to_stderr_and_then_it_answers(
    sextant: Deployment, server: FakeModelServer
) -> None:
    server.set(fault="loading", percent=35)
    with start(sextant) as asking:
        assert asking.stderr is not None
        line = ""
        while "35 %" not in line:
            line = asking.stderr.readline()
            assert line, "it ended before it told how far the download is"
        server.set(fault="")
        answer, _ = asking.communicate(timeout=60)
    assert asking.returncode == 0
    assert answer.startswith("`Cart.add_item` does it [1]")


def test_ctrl_c_ends_generation_at_the_server_and_is_one_sentence(sextant: Deployment, server: FakeModelServer) -> None:
    server.set(text=LONG, delay_s=0.02)
    with start(sextant) as asking:
        assert asking.stdout is not None
        assert asking.stdout.read(9) == LONG[:9]
        assert server.stats()["running"] == 1
        asking.send_signal(signal.SIGINT)
        _, errors = asking.communicate(timeout=60)
    assert asking.returncode == 1
    assert errors.splitlines()[-1] == "CommandError: Stopped: the model server was told so too."
    assert "Traceback" not in errors
    wait_until(lambda: server.stats()["running"] == 0, "the server to stop")


def test_when_nothing_runs_it_says_soon_what_to_start(sextant: Deployment) -> None:
    before = dict(sextant.environment)
    sextant.environment["SEXTANT_CODE_MODEL_URL"] = ""
    try:
        began = time.monotonic()
        done = ask(sextant, "shop", WHERE)
    finally:
        sextant.environment.update(before)
    assert done.returncode == 1
    assert re.search(
        r"^CommandError: The embedded model server at \S+ is not running; start it with `make run`\.$", done.stderr, re.M
    )
    assert time.monotonic() - began < 60


def test_an_answer_that_moderation_refuses_is_not_in_the_json_and_the_sentence_says_why(
    sextant: Deployment, server: FakeModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.set(text="A cart is harmless, and holds what somebody is about to buy from a shop. " * 2 + "So is poison.")
    with FakeModelServer(unsafe={"poison": "S1"}) as guard:
        monkeypatch.setitem(sextant.environment, "SEXTANT_MODERATION_URL", guard.url)
        done = ask(sextant, "shop", "Explain the concept of a monad", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["answer"] == ""
    assert done.stderr.splitlines()[-1].startswith("CommandError: Moderation refused the answer (S1: Violent Crimes)")


def start(sextant: Deployment) -> subprocess.Popen[str]:
    command = [sys.executable, "manage.py", "ask", "shop", WHERE]
    return subprocess.Popen(
        command, cwd=ROOT, env=sextant.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=0
    )
