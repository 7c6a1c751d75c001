from pathlib import Path

import pytest

from indexer.freshness import Freshness, freshness
from indexer.source import blob_id, open_source

from .builds import write_files
from .test_source import commit, git

FILES = {"a.py": "a = 1\n", "src/b.py": "b = 2\n"}
BLOBS = {path: blob_id(text.encode()) for path, text in FILES.items()}


@pytest.fixture
def repository(tmp_path):
    folder = write_files(tmp_path / "repository", FILES)
    git(folder, "init", "--quiet", "--initial-branch", "main")
    commit(folder, "one")
    return folder


def fresh(source: str | Path, indexed: str, clone_root: Path = Path("/nowhere"), ref: str = "") -> Freshness:
    return freshness(str(source), ref, indexed, BLOBS, clone_root=clone_root, max_bytes=1000)


def test_a_folder_tells_how_many_commits_it_has_had_since_and_which_files_differ_now(repository):
    one = git(repository, "rev-parse", "HEAD")
    assert fresh(repository, one) == Freshness(0, ())
    write_files(repository, {"a.py": "a = 3\n"})
    assert fresh(repository, one) == Freshness(0, ("a.py",))
    commit(repository)
    (repository / "src/b.py").unlink()
    assert fresh(repository, one) == Freshness(1, ("a.py", "src/b.py"))


def test_a_ref_is_compared_as_it_is_committed(repository):
    one = git(repository, "rev-parse", "HEAD")
    write_files(repository, {"a.py": "a = 3\n"})
    assert fresh(repository, one, ref="main") == Freshness(0, ())
    commit(repository)
    assert fresh(repository, one, ref="main") == Freshness(1, ("a.py",))


def test_of_a_url_it_is_known_what_was_fetched_and_nobody_is_asked(repository, tmp_path):
    url = f"file://{repository}"
    one = git(repository, "rev-parse", "HEAD")
    open_source(url, clone_root=tmp_path / "clones").close()
    write_files(repository, {"a.py": "a = 3\n"})
    commit(repository)
    assert fresh(url, one, tmp_path / "clones") == Freshness(0, ())
    open_source(url, clone_root=tmp_path / "clones").close()
    repository.rename(tmp_path / "gone")
    assert fresh(url, one, tmp_path / "clones") == Freshness(1, ("a.py",))


def test_a_folder_without_git_tells_which_files_differ(tmp_path):
    folder = write_files(tmp_path / "plain", FILES)
    assert fresh(folder, "") == Freshness(None, ())
    write_files(folder, {"a.py": "a = 3\n"})
    assert fresh(folder, "") == Freshness(None, ("a.py",))


def test_what_can_not_be_found_out_is_unknown_and_no_error(repository, tmp_path):
    assert fresh(tmp_path / "gone", "0" * 40) == Freshness(None, ())
    assert fresh(repository, "0" * 40) == Freshness(None, ())


def test_a_link_to_a_file_outside_is_not_read_but_counts_as_changed(repository, tmp_path):
    write_files(tmp_path / "outside", {"a.py": FILES["a.py"]})
    (repository / "a.py").unlink()
    (repository / "a.py").symlink_to(tmp_path / "outside/a.py")
    assert fresh(repository, git(repository, "rev-parse", "HEAD")).changed == ("a.py",)
