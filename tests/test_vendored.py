"""The browser libraries in static/vendor are the ones that packages.json names, unchanged, each with its licence."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from django.conf import settings

VENDOR = Path(settings.BASE_DIR) / "static" / "vendor"
PACKAGES = json.loads((VENDOR / "packages.json").read_text())


def test_every_vendored_file_is_what_the_script_fetched() -> None:
    for package in PACKAGES.values():
        for name, expected in package["sha256"].items():
            assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == expected, name


def test_nothing_else_is_vendored() -> None:
    listed = {name for package in PACKAGES.values() for name in package["files"].values()}
    there = {str(file.relative_to(VENDOR)) for file in VENDOR.rglob("*") if file.is_file()}
    assert there == listed | {"packages.json"}


def test_every_package_comes_with_its_licence() -> None:
    for name, package in PACKAGES.items():
        assert any(file.startswith("licences/") for file in package["files"].values()), name
