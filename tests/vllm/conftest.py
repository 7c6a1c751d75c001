"""For `make test-vllm` only, which says where vLLM is: without that these tests are not collected."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.processes import ROOT
from tests.vllm.servers import PYTHON

collect_ignore_glob = [] if "TEST_VLLM_PYTHON" in os.environ else ["test_*.py"]


@pytest.fixture(scope="session")
def vllm_models(demonstration_weights: Path) -> Path:
    """The folder with both models, made once, beside the weights that one of them is made of."""
    made = demonstration_weights.parent.parent / "vllm-models"
    script = ROOT / "tests/vllm/make_models.py"
    subprocess.run([PYTHON, script, demonstration_weights, made], check=True, stderr=subprocess.DEVNULL)
    return made
