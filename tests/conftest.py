"""What all tests share: the small model's weights, fetched as a person's machine fetches them and kept outside the clone.

A file of tests names what it needs with a mark: `integration` (real parts and processes), `browser` (Chromium),
`event_log` (run again on PostgreSQL with Redis by `make test`). A test without a mark loads neither torch nor FAISS.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from django.conf import settings

from assistant.weights import DEMONSTRATION, fetch
from assistant.weights_sources import network_sources
from indexer.retriever import Retriever

# A busy machine is no reason to fail.
hypothesis.settings.register_profile("sextant", deadline=None)
hypothesis.settings.load_profile("sextant")

# A shell has what it starts in the background ignore Ctrl-C, and so would the processes that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def demonstration_weights() -> Path:
    """The 98 MB model that protocol tests run with; its answers are unusable on purpose."""
    return fetch(DEMONSTRATION, settings.CACHE_DIR, sources=network_sources())


@pytest.fixture(scope="module")
def retriever() -> Iterator[Retriever]:
    retriever = Retriever()
    yield retriever
    retriever.close()
