"""The model server answers from its first second, tells how far it is, and then speaks OpenAI's protocol on the same port."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import httpx
import pytest

from assistant.errors import ModelError, WeightsError
from assistant.model_server import Fetcher, PlaceholderServer, placeholder, wait_for_weights
from assistant.prompts import code_messages
from assistant.weights import CODER, DEMONSTRATION, Choice, FetchProgress, Report, Weights, weights_path
from tests.processes import ROOT, environment, free_port, wait_until


class Refusing:
    """A source that has nothing."""

    name = "nowhere"

    def bring(self, weights: Weights, folder: Path, report: Report) -> Path:
        raise WeightsError("nowhere has nothing.")


class Paused:
    """A source that has brought a third, and goes on when told."""

    name = "a slow line"

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def bring(self, weights: Weights, folder: Path, report: Report) -> Path:
        report(FetchProgress(self.name, weights.size // 3, weights.size))
        self.go_on.wait(20)
        raise WeightsError("the line broke.")


def obtain_in_vain(fetcher: Fetcher, server: PlaceholderServer) -> None:
    with pytest.raises(WeightsError):
        fetcher.obtain(Choice(CODER), server)


def test_while_weights_come_health_tells_how_far_they_are(tmp_path: Path) -> None:
    port = free_port()
    source = Paused()
    fetcher = Fetcher(tmp_path, (source,))
    with placeholder("127.0.0.1", port, CODER) as server:
        worker = threading.Thread(target=obtain_in_vain, args=(fetcher, server))
        worker.start()
        wait_until(lambda: server.waiting.status == "downloading", "the download to begin")
        health = httpx.get(f"http://127.0.0.1:{port}/health")
        assert health.status_code == 503
        assert health.json() == {
            "status": "downloading",
            "percent": 33,
            "model": "qwen2.5-coder-1.5b-instruct",
            "demonstration": False,
            "message": "Downloading Qwen2.5-Coder-1.5B-Instruct from a slow line: 33 %.",
        }
        source.go_on.set()
        worker.join(20)


def test_while_weights_come_a_question_gets_an_openai_error(tmp_path: Path) -> None:
    port = free_port()
    with placeholder("127.0.0.1", port, CODER):
        answer = httpx.post(f"http://127.0.0.1:{port}/v1/chat/completions", json={"messages": []})
        assert answer.status_code == 503
        assert answer.json()["error"] == {"message": "The model server is starting.", "type": "unavailable_error", "code": 503}


def test_when_the_coder_can_not_be_had_the_demonstration_model_answers(tmp_path: Path) -> None:
    cached = weights_path(DEMONSTRATION, tmp_path)
    cached.parent.mkdir()
    with cached.open("wb") as file:
        file.truncate(DEMONSTRATION.size)
    assert wait_for_weights("127.0.0.1", free_port(), Choice(CODER), Fetcher(tmp_path, (Refusing(),))) == (
        DEMONSTRATION,
        cached,
    )


def test_the_reason_for_the_smaller_model_is_told(tmp_path: Path) -> None:
    messages: list[str] = []
    with placeholder("127.0.0.1", free_port(), CODER) as server:
        tell = server.tell
        server.tell = lambda *words: (messages.append(words[-1]), tell(*words))[1]  # type: ignore[method-assign]
        source = Paused()
        source.go_on.set()
        with pytest.raises(WeightsError):
            Fetcher(tmp_path, (source,)).obtain(Choice(CODER), server)
    assert "SmolLM2-135M-Instruct" in messages[-1]
    assert "Qwen2.5-Coder-1.5B-Instruct can't be had. the line broke." in messages[-1]


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ModelError, match="set SEXTANT_EMBEDDED_PORT"), placeholder("127.0.0.1", port, CODER):
            raise AssertionError("it listens on a port that is taken")


StartServer = Callable[..., tuple[subprocess.Popen[str], str]]


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Starts `manage.py model_server` with settings; returns the process and its address."""
    running: list[subprocess.Popen[str]] = []

    def start(**settings: str) -> tuple[subprocess.Popen[str], str]:
        port = settings.setdefault("SEXTANT_EMBEDDED_PORT", str(free_port()))
        command = [sys.executable, "manage.py", "model_server"]
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(tmp_path, SEXTANT_OFFLINE="1", **settings),
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        running.append(process)
        return process, f"http://127.0.0.1:{port}"

    yield start
    for process in running:
        process.kill()
        process.communicate()


def health(address: str) -> int:
    try:
        return httpx.get(f"{address}/health", timeout=5).status_code
    except httpx.TransportError:
        return 0


@pytest.mark.integration
def test_the_server_speaks_openai_with_the_demonstration_model(demonstration_weights: Path, start_server: StartServer) -> None:
    process, address = start_server(SEXTANT_EMBEDDED_MODEL="demonstration", SEXTANT_EMBEDDED_CONTEXT="2048")
    wait_until(lambda: health(address) == 200, "the model to load")
    model = httpx.get(f"{address}/v1/models").json()["data"][0]
    assert model["id"] == "smollm2-135m-demonstration"
    assert model["meta"]["n_ctx"] == 2048
    question = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8, "model": model["id"]}
    answer = httpx.post(f"{address}/v1/chat/completions", json=question, timeout=60).json()
    assert answer["usage"]["completion_tokens"] > 0
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0


@pytest.mark.integration
def test_the_first_question_finds_the_beginning_of_its_prompt_read(
    demonstration_weights: Path, start_server: StartServer
) -> None:
    process, address = start_server(SEXTANT_EMBEDDED_MODEL="demonstration", SEXTANT_EMBEDDED_CONTEXT="4096")
    assert any("has read the beginning of the prompts" in line for line in process.stderr or ())
    messages = code_messages("Where is the cart filled?", [], ["[1] cart.py:1-2\n def fill(self):\n     pass"], mark="=====")
    question = {"messages": [asdict(message) for message in messages], "max_tokens": 1, "model": "any"}
    usage = httpx.post(f"{address}/v1/chat/completions", json=question, timeout=60).json()["usage"]
    assert usage["prompt_tokens"] - usage["prompt_tokens_details"]["cached_tokens"] < 100


@pytest.mark.integration
def test_other_websites_may_not_speak_to_the_server(demonstration_weights: Path, start_server: StartServer) -> None:
    _, address = start_server(SEXTANT_EMBEDDED_MODEL="demonstration")
    wait_until(lambda: health(address) == 200, "the model to load")
    asked = {"Origin": "https://somewhere.example", "Access-Control-Request-Method": "POST"}
    answer = httpx.options(f"{address}/v1/chat/completions", headers=asked)
    assert answer.headers.get("Access-Control-Allow-Origin") not in ("*", "https://somewhere.example")
    assert httpx.get(f"{address}/slots").status_code == 501


@pytest.mark.integration
def test_without_weights_and_without_a_network_the_server_says_why(tmp_path: Path, start_server: StartServer) -> None:
    process, address = start_server(SEXTANT_CACHE_DIR=str(tmp_path / "empty"), SEXTANT_EMBEDDED_MODEL="coder")
    wait_until(lambda: health(address) == 503, "the placeholder to answer")
    wait_until(lambda: httpx.get(f"{address}/health").json()["status"] == "failed", "the reason")
    assert "can't be had" in httpx.get(f"{address}/health").json()["message"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0


@pytest.mark.integration
def test_a_damaged_file_in_the_cache_is_removed_and_named(tmp_path: Path, start_server: StartServer) -> None:
    cached = weights_path(DEMONSTRATION, tmp_path / "cache")
    cached.parent.mkdir(parents=True)
    with cached.open("wb") as file:
        file.truncate(DEMONSTRATION.size)
    process, _ = start_server(SEXTANT_CACHE_DIR=str(tmp_path / "cache"), SEXTANT_EMBEDDED_MODEL="demonstration")
    assert process.wait(timeout=60) == 1
    assert process.stderr is not None
    assert "was damaged and has been removed: it will be fetched again." in process.stderr.read()
    assert not cached.exists()


def test_a_server_that_is_switched_off_says_so(start_server: StartServer) -> None:
    process, _ = start_server(SEXTANT_EMBEDDED_MODEL="off")
    assert process.wait(timeout=30) == 1
    assert process.stderr is not None
    assert process.stderr.read().count("\n") == 1
