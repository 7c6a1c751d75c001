"""One hostile repository, a line for each kind of input: indexed rightly or skipped with a reason, nothing from outside read.

What is more than a file's contents is tested where it belongs: kill -9 at each stage in test_killed_builds.py, a repository
that changes while it is read and a full disk in test_build.py, links and names in test_walker.py and test_source.py.
"""

from __future__ import annotations

import codecs
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from indexer.types import BuildReport

from .builds import SMALL, Bench, write_files
from .test_source import commit, git

pytestmark = pytest.mark.integration

OUTSIDE = "what is outside of the root"
GOOD = "def good():\n    return 1\n"

SKIPPED: dict[str, tuple[bytes, str]] = {
    "a binary": (b"\x7fELF\x02\x01\0\xff" * 100, "binary"),
    "NUL in a source file": (GOOD.encode() + b"\0", "binary"),
    "5 MB, minified": (b"var a=1;" * 650_000, "too large"),
    "900 kB, minified": (b"var a=1;" * 112_000, "minified"),
    "invalid UTF-8": (b"caf\xe9 = 1\n", "not text"),
    "UTF-16 without a mark": (GOOD.encode("utf-16-le"), "binary"),
    "half of a UTF-16 character": (codecs.BOM_UTF16_LE + b"a\0b", "binary"),
    "an empty file": (b"", "empty"),
    "nothing but blanks": (b" \r\n\t\n", "empty"),
    "an LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1\n", "lfs pointer"),
}
INDEXED: dict[str, tuple[bytes, str]] = {
    "CRLF": (GOOD.replace("\n", "\r\n").encode(), GOOD),
    "CR only": (GOOD.replace("\n", "\r").encode(), GOOD),
    "UTF-16 with its mark": (codecs.BOM_UTF16_BE + GOOD.encode("utf-16-be"), GOOD),
    "UTF-8 with its mark": (codecs.BOM_UTF8 + GOOD.encode(), GOOD),
    "200,000 brackets deep": (b"(\n" * 200_000, "(\n" * 200_000),
    "a name with a line end\n": (GOOD.encode(), GOOD),
    "a name that is an option -rf": (GOOD.encode(), GOOD),
}


def file_name(case: str) -> str:
    return f"{case}.py"


@pytest.fixture(scope="module", params=["a folder", "a folder under git", "a commit"])
def built(request, tmp_path_factory) -> tuple[Bench, BuildReport]:
    folder = tmp_path_factory.mktemp("hostile")
    write_files(folder / "outside", {"secret.py": f"{OUTSIDE!r}\n"})
    cases = {file_name(case).replace(",", ""): data for case, (data, _) in (SKIPPED | INDEXED).items()}
    bench = Bench(folder, {**SMALL, **cases, ".gitignore": f"{'*a' * 200}b\n"})
    (bench.source / "link out.py").symlink_to(folder / "outside/secret.py")
    (bench.source / "folder out").symlink_to(folder / "outside")
    (bench.source / "loop").symlink_to(bench.source)
    (bench.source / os.fsdecode(b"odd \xff.py")).write_text(GOOD)
    if request.param != "a folder":
        git(bench.source, "init", "--quiet", "--initial-branch", "main")
        inner = write_files(bench.source / "inner", {"own.py": GOOD})
        git(inner, "init", "--quiet")
        commit(inner)
        commit(bench.source)
    else:
        os.mkfifo(bench.source / "a pipe.py")
    return bench, bench.build(ref="main" if request.param == "a commit" else "", parse_deadline_s=10.0)


def reasons(bench: Bench) -> dict[str, str]:
    with bench.reader() as reader:
        return {path: reason for path, reason, _ in reader.skipped()}


@pytest.mark.parametrize("case", SKIPPED)
def test_it_is_skipped_with_a_reason(built, case):
    assert reasons(built[0])[file_name(case).replace(",", "")] == SKIPPED[case][1]


@pytest.mark.parametrize("case", INDEXED)
def test_it_is_indexed_as_it_is(built, case):
    with built[0].reader() as reader:
        assert reader.file(file_name(case).replace(",", "")).text == INDEXED[case][1]


def test_a_name_with_odd_bytes_is_indexed_and_shown(built):
    with built[0].reader() as reader:
        assert reader.file("odd \\xff.py").text == GOOD


def test_links_and_their_loops_are_skipped_and_nothing_outside_is_read(built):
    bench, _ = built
    found = reasons(bench)
    assert {found[name] for name in ("link out.py", "folder out", "loop")} == {"symlink"}
    with bench.reader() as reader:
        texts = [zlib.decompress(row[0]).decode() for row in reader.connection.execute("SELECT content FROM files")]
    assert not any(OUTSIDE in text for text in texts)


def test_a_submodule_or_a_pipe_is_skipped_with_a_reason(built):
    found = reasons(built[0])
    assert found.get("inner") == "submodule" or found.get("a pipe.py") == "unreadable"


LIMITED = """
import resource, sys, uuid
from pathlib import Path
from indexer.build import BuildRequest, build_snapshot
from indexer.errors import SnapshotError

if __name__ == "__main__":
    source, folder, previous = sys.argv[1:]
    folder = Path(folder)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    request = BuildRequest(
        "small", source, "", str(uuid.uuid4()), folder / "index", folder / "clones", folder / "embeddings.sqlite3", "hashing",
        Path(previous), parse_processes=1,
    )
    try:
        build_snapshot(request)
    except SnapshotError as error:
        print(error)
"""


def test_a_disk_that_takes_no_more_bytes_is_one_sentence_and_the_live_snapshot_stays(tmp_path):
    """The kernel refuses to let any file grow over 200 kB, as a full disk would."""
    bench = Bench(tmp_path)
    first = bench.build()
    write_files(bench.source, {f"more{n}.py": f"NAME = {os.urandom(2000).hex()!r}\n" for n in range(400)})
    script = tmp_path / "limited.py"
    script.write_text(LIMITED)
    command = [sys.executable, str(script), str(bench.source), str(tmp_path), str(bench.live)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout.count("\n")) == (0, 1), done.stderr
    assert "index again" in done.stdout
    assert bench.snapshots() == [first.snapshot]
    with bench.reader() as reader:
        assert reader.file("greetings.py").text == SMALL["greetings.py"]
    assert bench.build().files == 403
