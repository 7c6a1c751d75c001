"""Chromium for the browser tests. A page that logs an error, throws or breaks the content security policy fails its test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from tests.browser.scripted_site import ScriptedSite

CHROMIUM = "/usr/bin/chromium"
# A busy machine may be slow; a test that passes doesn't wait.
expect.set_options(timeout=20_000)
# As root, without a network: no sandbox, and nothing that Chromium would look up by itself.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def playwright_driver() -> Iterator[Playwright]:
    with sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="session")
def chromium(playwright_driver: Playwright) -> Iterator[Browser]:
    browser = playwright_driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    yield browser
    browser.close()


@pytest.fixture
def new_page(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Makes pages of one browser context (tabs of one person). At the end none of them may have complained.

    `new_page.complaints` is the list so far; a test that makes an error happen on purpose takes it out of there.
    """
    context = chromium.new_context(permissions=["clipboard-read", "clipboard-write"])
    complaints: list[str] = []

    def make(width: int = 1280, height: int = 900, scheme: Literal["light", "dark"] = "light") -> Page:
        page = context.new_page()
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme)
        page.on("pageerror", lambda error: complaints.append(f"thrown: {error}"))
        page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
        return page

    make.complaints = complaints  # type: ignore[attr-defined]
    yield make
    context.close()
    assert complaints == []


@pytest.fixture
def site() -> Iterator[ScriptedSite]:
    with ScriptedSite() as running:
        yield running


@pytest.fixture
def page(site: ScriptedSite, new_page: Callable[..., Page]) -> Page:
    """Of the site that the test plays, connected."""
    return site.opened(new_page())
