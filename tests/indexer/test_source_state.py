"""What a source has that its index hasn't, with real git: folders, refs and URLs."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from indexer import source_state
from indexer.errors import SourceError
from indexer.source import blob_id, open_source
from indexer.source_state import SourceLooker, SourceState

from .builds import write_files
from .test_source import commit, git

FILES = {"a.py": "a = 1\n", "src/b.py": "b = 2\n"}
BLOBS = {path: blob_id(text.encode()) for path, text in FILES.items()}
THREE = blob_id(b"a = 3\n")


@pytest.fixture
def repository(tmp_path):
    folder = write_files(tmp_path / "repository", FILES)
    git(folder, "init", "--quiet", "--initial-branch", "main")
    commit(folder, "one")
    return folder


@pytest.fixture
def looker(tmp_path):
    (tmp_path / "clones").mkdir()
    return SourceLooker(tmp_path / "clones", max_bytes=1000)


def look(
    looker: SourceLooker, place: Path | str, indexed: str, ref: str = "", skipped: frozenset[str] = frozenset()
) -> SourceState:
    return looker.look(str(place), ref, indexed, BLOBS, skipped)


def test_a_folder_tells_its_commits_and_what_is_changed_gone_and_new(repository, looker):
    one = git(repository, "rev-parse", "HEAD")
    assert look(looker, repository, one) == SourceState(one, "main", 0, {}, 0)
    write_files(repository, {"a.py": "a = 3\n", "new.py": "", "photo.png": b"\x89PNG\0"})
    (repository / "src/b.py").unlink()
    assert look(looker, repository, one, skipped=frozenset({"photo.png"})) == SourceState(
        one, "main", 0, {"a.py": THREE, "src/b.py": ""}, 1
    )
    two = commit(repository)
    three = commit(write_files(repository, {"a.py": "a = 1\n"}))
    assert two != three
    assert look(looker, repository, one) == SourceState(three, "main", 2, {"src/b.py": ""}, 2)


def test_a_file_that_has_changed_within_its_size_and_its_time_is_noticed(repository, looker):
    one = git(repository, "rev-parse", "HEAD")
    file = repository / "a.py"
    long_ago = time.time_ns() - 3_600_000_000_000
    os.utime(file, ns=(long_ago, long_ago))
    assert look(looker, repository, one).changed == {}
    file.write_text("a = 3\n")
    os.utime(file, ns=(long_ago, long_ago))
    assert look(looker, repository, one).changed == {"a.py": THREE}


def test_an_untouched_file_is_not_read_again(repository, looker, monkeypatch):
    one = git(repository, "rev-parse", "HEAD")
    monkeypatch.setattr(source_state, "_SETTLED_NS", 0)
    look(looker, repository, one)
    read = []
    monkeypatch.setattr(source_state, "blob_id", lambda data: read.append(data) or blob_id(data))
    assert look(looker, repository, one).changed == {}
    assert read == []
    write_files(repository, {"a.py": "a = 3\n"})
    assert look(looker, repository, one).changed == {"a.py": THREE}
    assert read == [b"a = 3\n"]


def test_a_folder_without_git_tells_its_files_and_no_commits(tmp_path, looker):
    folder = write_files(tmp_path / "plain", FILES)
    assert look(looker, folder, "") == SourceState("", "", None, {}, 0)
    write_files(folder, {"a.py": "a = 3\n", "c.py": ""})
    assert look(looker, folder, "") == SourceState("", "", None, {"a.py": THREE}, 1)


def test_a_ref_is_looked_at_as_it_is_committed(repository, looker):
    one = git(repository, "rev-parse", "HEAD")
    write_files(repository, {"a.py": "a = 3\n"})
    assert look(looker, repository, one, ref="main") == SourceState(one, "main", 0, {}, 0)
    two = commit(repository)
    assert look(looker, repository, one, ref="main") == SourceState(two, "main", 1, {"a.py": THREE}, 0)


def test_a_url_is_asked_and_fetched_only_when_it_has_another_commit(repository, looker, tmp_path, monkeypatch):
    url = f"file://{repository}"
    one = git(repository, "rev-parse", "HEAD")
    open_source(url, clone_root=tmp_path / "clones").close()
    asked = []
    run = source_state.open_newest.__globals__["git"].run
    monkeypatch.setattr("indexer.git.run", lambda arguments, **more: asked.append(arguments[0]) or run(arguments, **more))
    assert look(looker, url, one) == SourceState(one, "main", 0, {}, 0)
    assert "ls-remote" in asked
    assert "fetch" not in asked
    write_files(repository, {"a.py": "a = 3\n"})
    two = commit(repository)
    assert look(looker, url, one) == SourceState(two, "main", 1, {"a.py": THREE}, 0)
    assert look(looker, url, one, ref="main").behind == 1
    assert look(looker, url, one, ref=one) == SourceState(one, one, 0, {}, 0)
    git(repository, "branch", "other")
    assert look(looker, url, one, ref="other").behind == 1


def test_a_remote_that_is_gone_has_lost_the_branch_or_hangs_is_one_sentence_without_its_password(
    repository, looker, tmp_path, monkeypatch
):
    url = f"file://{repository}"
    one = git(repository, "rev-parse", "HEAD")
    open_source(url, clone_root=tmp_path / "clones").close()
    with pytest.raises(SourceError, match=r"^The remote has no other any more\.$"):
        look(looker, url, one, ref="other")
    repository.rename(tmp_path / "elsewhere")
    with pytest.raises(SourceError, match=r"^git ls-remote failed: .*\.$"):
        look(looker, url, one)
    monkeypatch.setattr(source_state, "NETWORK_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://ada:hunter2@127.0.0.1:{silent.getsockname()[1]}/x.git"
        clone = source_state.clone_of(url, tmp_path / "clones")
        next((tmp_path / "clones").glob("*.git")).rename(clone)
        with pytest.raises(SourceError, match=r"did not end within 0\.5 s\.") as failed:
            look(looker, url, one)
        assert "hunter2" not in str(failed.value)
