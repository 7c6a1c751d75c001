"""Two real vLLM servers behind the running app: SmolLM2 in the place of Code Llama, with our Code Llama template, and a tiny
random Mixtral. What they write means nothing; how it comes, ends and fails is what is looked at.

The tests run in their order, and the last one kills a server. `make test-vllm` runs them.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.vault import make_repository
from tests.processes import ROOT, Deployment, wait_until
from tests.vllm.reader import Reader
from tests.vllm.servers import VllmServer

logger = logging.getLogger(__name__)
pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

CODE, GENERAL = "codellama-34b-instruct", "mixtral-8x7b-instruct"
KEY = "sesame"
# A machine with other work may be given more time.
STOPPED_WITHIN_S = float(os.environ.get("TEST_VLLM_STOPPED_WITHIN_S", "1"))
CONTEXT = 4096
# The rest of a page of functions, so that there is more to show than the server's window holds.
FUNCTIONS = 60
QUESTION = "How does hash_password make its salt?"
GENERAL_QUESTION = "Explain the concept of a monad"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vllm")


@pytest.fixture(scope="module")
def starting(vllm_models: Path, folder: Path) -> Iterator[tuple[VllmServer, VllmServer]]:
    """Both servers, as soon as their processes are there."""
    code = VllmServer(vllm_models / "llama", CODE, "llama-2.jinja", folder / "code.log", context=CONTEXT, api_key=KEY)
    general = VllmServer(vllm_models / "mixtral", GENERAL, "mixtral.jinja", folder / "general.log", context=CONTEXT)
    try:
        code.start()
        general.start()
        yield code, general
    finally:
        code.stop()
        general.stop()


@pytest.fixture(scope="module")
def sextant(starting: tuple[VllmServer, VllmServer], folder: Path) -> Iterator[Deployment]:
    code, general = starting
    settings = {
        "SEXTANT_CODE_MODEL_URL": code.url,
        "SEXTANT_CODE_MODEL_API_KEY": KEY,
        # More than the server has: what is packed for it is too long.
        "SEXTANT_CODE_MODEL_CONTEXT": "16384",
        "SEXTANT_GENERAL_MODEL_URL": general.url,
        "SEXTANT_EMBEDDED_MODEL": "off",
        "SEXTANT_ANSWER_TOKENS": "600",
    }
    with Deployment(folder / "sextant", **settings) as deployment:
        deployment.start("answerer", "web")
        yield deployment


@pytest.fixture(scope="module")
def while_loading(starting: tuple[VllmServer, VllmServer], sextant: Deployment, vault: str) -> str:
    """What `ask` says while vLLM still loads its weights."""
    return refused(sextant, vault)


@pytest.fixture(scope="module")
def vault(sextant: Deployment, folder: Path) -> str:
    repository = make_repository(folder / "vault")
    sextant.manage("index_repo", str(repository), "--name", "vault")
    return "vault"


@pytest.fixture(scope="module")
def archive(sextant: Deployment, folder: Path) -> str:
    """A repository with much to say about one thing."""
    source = folder / "archive"
    source.mkdir()
    for number in range(FUNCTIONS):
        lines = "\n".join(f"    archive_step_{number}_{line} = read_archive({number}, {line})" for line in range(40))
        (source / f"archive_{number}.py").write_text(f"def restore_archive_{number}(path):\n{lines}\n    return path\n")
    sextant.manage("index_repo", str(source), "--name", "archive")
    return "archive"


@pytest.fixture(scope="module")
def servers(starting: tuple[VllmServer, VllmServer], while_loading: str) -> tuple[VllmServer, VllmServer]:
    """Both servers, ready."""
    for server in starting:
        server.wait()
    return starting


def refused(sextant: Deployment, repository: str, **settings: str) -> str:
    """The sentence with which `ask` fails."""
    environment = {**sextant.environment, "SEXTANT_CODE_FALLBACK_URL": "off", **settings}
    command = [sys.executable, "manage.py", "ask", repository, QUESTION]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 1, done.stdout
    return done.stderr.splitlines()[-1]


def test_a_model_that_still_loads_is_told_in_a_sentence(while_loading: str, starting: tuple[VllmServer, VllmServer]) -> None:
    assert while_loading.startswith(f"CommandError: No model server answers at {starting[0].url}; start it")


def test_a_wrong_key_and_a_wrong_name_are_told_in_a_sentence(
    sextant: Deployment, servers: tuple[VllmServer, VllmServer], vault: str
) -> None:
    code = servers[0]
    assert refused(sextant, vault, SEXTANT_CODE_MODEL_API_KEY="wrong") == (
        f"CommandError: {code.url} refuses the API key (HTTP 401); check the key in the settings."
    )
    assert refused(sextant, vault, SEXTANT_CODE_MODEL_NAME="codellama-70b") == (
        f"CommandError: {code.url} does not serve codellama-70b; it has {CODE}."
    )


def test_a_code_question_streams_from_the_one_and_a_general_question_from_the_other(
    sextant: Deployment, servers: tuple[VllmServer, VllmServer], vault: str
) -> None:
    with Reader(sextant.url) as reader:
        about_code = reader.ask(QUESTION, vault)
        reader.until_text(about_code)
        assert reader.last(about_code, "route")["model"] == CODE
        assert reader.last(about_code, "passages")["passages"][0]["path"] == "vault/passwords.py"
        kind, completed = reader.until_end(about_code)
        assert (kind, completed["model"]) == ("completed", CODE)
        general = reader.ask(GENERAL_QUESTION, vault)
        kind, completed = reader.until_end(general)
        assert (kind, completed["model"]) == ("completed", GENERAL)
        assert len(reader.all(general, "delta")) > 3
        assert reader.text(general).strip()


def test_a_prompt_that_is_too_long_is_packed_again_once_and_the_reader_sees_what_was_left_out(
    sextant: Deployment, servers: tuple[VllmServer, VllmServer], archive: str
) -> None:
    with Reader(sextant.url) as reader:
        answer = reader.ask("How does restore_archive_7 read_archive step by step?", archive, "code")
        kind, completed = reader.until_end(answer)
        assert (kind, completed["model"]) == ("completed", CODE)
        first, second = reader.all(answer, "passages")
        left_out = [passage for passage in second["passages"] if passage["state"] == "dropped"]
        assert first["budget"]["context"] == 16384 and second["budget"]["context"] <= CONTEXT
        assert len(left_out) > sum(passage["state"] == "dropped" for passage in first["passages"])
        assert all(passage["tokens"] > 0 for passage in left_out)
        assert completed["usage"]["prompt_tokens"] + completed["usage"]["completion_tokens"] <= CONTEXT


def test_stop_ends_generation_at_the_server_within_a_second(
    sextant: Deployment, servers: tuple[VllmServer, VllmServer], vault: str
) -> None:
    code = servers[0]
    wait_until(lambda: code.running() == 0, "the server to be idle")
    with Reader(sextant.url) as reader:
        answer = reader.ask(QUESTION, vault)
        reader.until_text(answer)
        assert code.running() == 1
        reader.send("stop", answer=answer)
        stopped = time.monotonic()
        wait_until(lambda: code.running() == 0, "vLLM to stop generating")
        took_s = time.monotonic() - stopped
        assert reader.until_end(answer)[0] == "cancelled"
        assert reader.text(answer).strip()
    logger.info("Stop ended generation after %.2f s", took_s)
    assert took_s <= STOPPED_WITHIN_S


def test_a_closed_page_does_not_and_the_answer_is_there_when_the_reader_comes_back(
    sextant: Deployment, servers: tuple[VllmServer, VllmServer], vault: str
) -> None:
    code = servers[0]
    with Reader(sextant.url) as reader:
        answer = reader.ask(QUESTION, vault)
        reader.until_text(answer)
        seen = reader.text(answer)
        conversation = reader.conversation
    assert code.running() == 1
    with Reader(sextant.url) as back:
        back.send("open", conversation=conversation, seen={})
        kind, completed = back.until_end(answer)
        assert (kind, completed["model"]) == ("completed", CODE)
        assert back.text(answer).startswith(seen) and len(back.text(answer)) > len(seen)


def test_a_server_that_is_killed_leaves_a_partial_answer_and_trying_again_goes_to_the_other_model(
    sextant: Deployment, servers: tuple[VllmServer, VllmServer], vault: str
) -> None:
    with Reader(sextant.url) as reader:
        answer = reader.ask(QUESTION, vault)
        reader.until_text(answer)
        servers[0].kill()
        kind, failed = reader.until_end(answer)
        assert (kind, failed["code"]) == ("failed", "broken_stream")
        assert failed["message"].endswith("try again, and look at its log if it happens again.")
        assert reader.text(answer).strip()
        again = reader.retry(answer)
        kind, completed = reader.until_end(again)
        assert (kind, completed["model"]) == ("completed", GENERAL)
        assert f"No model server answers at {servers[0].url}" in reader.last(again, "route")["instead_of"]
