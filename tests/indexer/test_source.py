import hashlib
import os
import re
import subprocess
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer import git as git_commands
from indexer.errors import SourceError
from indexer.source import FolderSource, GitSource, Source, blob_id, clone_name, is_url, open_source
from indexer.types import Skipped, SourceFile

from .builds import write_files

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@b",
    "GIT_ALLOW_PROTOCOL": "file",
}  # fmt: skip
LIMIT = 1000


def git(folder: Path, *arguments: str | Path, data: bytes | None = None) -> str:
    command = ["git", "-C", folder, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, env=ENVIRONMENT | {"HOME": str(folder)}, input=data)
    return done.stdout.decode().strip()


def commit(folder: Path, message: str = "more") -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path):
    folder = write_files(tmp_path / "repository", {"a.py": "a = 1\n", "src/b.py": "b = 2\n", ".gitignore": "*.log\nbuild/\n"})
    git(folder, "init", "--quiet", "--initial-branch", "main")
    commit(folder, "one")
    return folder


class Clones:
    """Opens a source as an index run does, with the clones kept beside the test's other folders."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "clones"

    def open(self, source: str | Path, ref: str = "") -> Source:
        return open_source(str(source), ref, clone_root=self.folder)

    def kept(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if not path.name.endswith(".lock"))

    def read(self, source: str | Path, ref: str = "") -> dict[str, str]:
        with self.open(source, ref) as opened:
            return texts(opened)


@pytest.fixture
def clones(tmp_path):
    return Clones(tmp_path)


def texts(source: Source) -> dict[str, str]:
    """Path → text of what can be read, "(reason)" of what was skipped; in order, each once, blobs as git counts them."""
    found = {}
    files = list(source.files(LIMIT))
    assert [file.path for file in files] == sorted({file.path for file in files}, key=lambda path: path.encode())
    for file in files:
        if isinstance(file, Skipped):
            found[file.path] = f"({file.reason})"
            continue
        data = file.read()
        assert (file.size, file.blob) == (len(data), blob_id(data))
        found[file.path] = data.decode()
    return found


# A folder as it is


def test_a_folder_under_git_gives_what_is_tracked_and_what_is_neither_tracked_nor_ignored(repository, clones):
    write_files(
        repository, {"a.py": "a = 3\n", "new.py": "new\n", "x.log": "x\n", "build/out.py": "x\n", "src/__pycache__/c": "c\n"}
    )
    (repository / "src/b.py").unlink()
    assert clones.read(repository) == {
        ".gitignore": "*.log\nbuild/\n", "a.py": "a = 3\n", "new.py": "new\n", "src/__pycache__/c": "c\n"
    }  # fmt: skip


def test_a_tracked_file_is_given_though_a_rule_ignores_its_name(repository, clones):
    write_files(repository, {"kept.log": "kept\n"})
    git(repository, "add", "--force", "kept.log")
    assert "kept.log" in clones.read(repository)


def test_a_folder_under_git_knows_its_commit_and_branch_and_whether_it_differs(repository, clones):
    with clones.open(repository) as source:
        assert isinstance(source, FolderSource)
        assert (source.commit, source.ref, source.dirty) == (git(repository, "rev-parse", "HEAD"), "main", False)
    write_files(repository, {"x.log": "ignored\n"})
    with clones.open(repository) as source:
        assert not source.dirty
    write_files(repository, {"src/new.py": "new\n"})
    with clones.open(repository) as source:
        assert source.dirty
    git(repository, "checkout", "--quiet", "--detach")
    with clones.open(repository) as source:
        assert source.ref == ""


def test_a_repository_before_its_first_commit_gives_its_files(tmp_path, clones):
    folder = write_files(tmp_path / "young", {"a.py": "a\n"})
    git(folder, "init", "--quiet", "--initial-branch", "main")
    with clones.open(folder) as source:
        assert (source.commit, source.ref, source.dirty, texts(source)) == ("", "main", True, {"a.py": "a\n"})
    with pytest.raises(SourceError, match=r"^There is no commit main\.$"):
        clones.open(folder, "main")


def test_a_subfolder_of_a_repository_gives_only_what_is_below_it(repository, clones):
    write_files(repository, {"src/deep/c.py": "c\n", "src/x.log": "x\n"})
    expected = {"b.py": "b = 2\n", "deep/c.py": "c\n"}
    with clones.open(repository / "src") as source:
        assert (texts(source), source.dirty, source.commit) == (expected, True, git(repository, "rev-parse", "HEAD"))
    write_files(repository, {"elsewhere.py": "e\n"})
    commit(repository)
    write_files(repository, {"elsewhere.py": "changed\n"})
    with clones.open(repository / "src") as source:
        assert not source.dirty
    assert clones.read(repository / "src", "main") == expected


def test_a_folder_that_its_repository_ignores_counts_as_a_folder_of_its_own(repository, clones):
    write_files(repository, {"build/a.py": "a\n", "build/.gitignore": "*.tmp\n", "build/b.tmp": "b\n"})
    with clones.open(repository / "build") as source:
        assert (source.commit, texts(source)) == ("", {".gitignore": "*.tmp\n", "a.py": "a\n"})


def test_a_folder_without_git_is_walked_with_its_own_rules(tmp_path, clones):
    folder = write_files(
        tmp_path / "plain",
        {"a.py": "a\n", "node_modules/x.js": "x\n", "sub/.gitignore": "*.tmp\n", "sub/b.tmp": "b\n", "sub/c.py": "c\n"},
    )
    with clones.open(folder) as source:
        assert texts(source) == {"a.py": "a\n", "sub/.gitignore": "*.tmp\n", "sub/c.py": "c\n"}
        assert (source.commit, source.ref, source.dirty) == ("", "", False)
    with pytest.raises(SourceError, match="is not under git, so it has no main"):
        clones.open(folder, "main")


@pytest.mark.parametrize("kind", ["plain", "work tree", "commit"])
def test_sextantignore_leaves_files_out_of_every_kind_of_source(repository, clones, kind):
    write_files(repository, {".sextantignore": "*.md\n/src/\n!keep.md\n", "b.md": "b\n", "keep.md": "k\n", "docs/c.md": "c\n"})
    commit(repository)
    if kind == "plain":
        (repository / ".git").rename(repository.parent / "elsewhere")
    found = clones.read(repository, "main" if kind == "commit" else "")
    assert sorted(found) == [".gitignore", ".sextantignore", "a.py", "keep.md"]


def test_a_sextantignore_that_is_a_link_is_not_followed(repository, clones, tmp_path):
    (tmp_path / "rules").write_text("*\n")
    (repository / ".sextantignore").symlink_to(tmp_path / "rules")
    assert clones.read(repository)[".sextantignore"] == "(symlink)"
    commit(repository)
    assert clones.read(repository, "main")["a.py"] == "a = 1\n"


def test_what_is_no_file_of_the_repository_is_skipped_with_a_reason(repository, clones, tmp_path):
    write_files(tmp_path / "outside", {"secret": "secret\n"})
    write_files(repository, {"large.py": "x" * (LIMIT + 1), "fits.py": "x" * LIMIT, "empty.py": ""})
    (repository / "link").symlink_to(tmp_path / "outside/secret")
    (repository / "folder").symlink_to(tmp_path / "outside")
    (repository / "loop").symlink_to("loop")
    write_files(repository / "nested", {"own.py": "o\n"})
    git(repository / "nested", "init", "--quiet")
    expected = {
        ".gitignore": "*.log\nbuild/\n", "a.py": "a = 1\n", "empty.py": "", "fits.py": "x" * LIMIT, "folder": "(symlink)",
        "large.py": "(too large)", "link": "(symlink)", "loop": "(symlink)", "src/b.py": "b = 2\n",
    }  # fmt: skip
    untracked = clones.read(repository)
    assert {path: text for path, text in untracked.items() if not path.startswith("nested")} == expected
    commit(repository / "nested")
    assert clones.read(repository)["nested"] == "(submodule)"
    commit(repository)
    assert clones.read(repository) == expected | {"nested": "(submodule)"}
    assert clones.read(repository, "main") == expected | {"nested": "(submodule)"}


@pytest.mark.timeout(20)
def test_a_pipe_in_place_of_a_file_is_unreadable_and_stops_nobody(repository, clones, tmp_path):
    (repository / "a.py").unlink()
    os.mkfifo(repository / "a.py")
    assert clones.read(repository)["a.py"] == "(unreadable)"
    plain = write_files(tmp_path / "plain", {"b.py": "b\n"})
    os.mkfifo(plain / "pipe")
    assert clones.read(plain) == {"b.py": "b\n", "pipe": "(unreadable)"}


@pytest.mark.timeout(20)
def test_a_pipe_in_place_of_a_file_that_git_reads_is_a_sentence(repository, clones, monkeypatch):
    monkeypatch.setattr(git_commands, "LOCAL_TIMEOUT_S", 1.0)
    os.mkfifo(repository / "src/.gitignore")
    with pytest.raises(SourceError, match=r"^git [a-z-]+ did not end within 1 s in /"):
        clones.read(repository)


def test_a_tracked_folder_that_was_replaced_by_a_link_is_not_followed(repository, clones, tmp_path):
    write_files(tmp_path / "outside", {"b.py": "secret\n"})
    (repository / "src/b.py").unlink()
    (repository / "src").rmdir()
    (repository / "src").symlink_to(tmp_path / "outside")
    assert clones.read(repository) == {".gitignore": "*.log\nbuild/\n", "a.py": "a = 1\n", "src": "(symlink)"}


def test_names_with_line_ends_and_odd_bytes_are_read_and_shown(repository, clones):
    names = [b"new\nline.py", b"caf\xe9.py", "größe.py".encode(), b"-rf.py", b"tab\t.py", b'"quoted".py', b"back\\slash.py"]
    for name in names:
        (repository / os.fsdecode(name)).write_bytes(b"x = 1\n")
    shown = {"new\nline.py", "caf\\xe9.py", "größe.py", "-rf.py", "tab\t.py", '"quoted".py', "back\\slash.py"}
    assert shown <= clones.read(repository).keys()
    commit(repository)
    assert clones.read(repository) == clones.read(repository, "main")
    (repository / ".git").rename(repository.parent / "elsewhere")
    assert shown <= clones.read(repository).keys()


@pytest.fixture
def nothing_kept(monkeypatch):
    monkeypatch.setattr("indexer.source.KEPT_BYTES", 0)


def test_a_file_that_is_kept_since_it_was_listed_stays_what_it_was(repository, clones):
    with clones.open(repository) as opened:
        files = {file.path: file for file in opened.files(LIMIT) if isinstance(file, SourceFile)}
        was = (repository / "a.py").read_bytes()
        write_files(repository, {"a.py": "a = 2\n"})
        assert files["a.py"].read() == was
        assert blob_id(was) == files["a.py"].blob


@pytest.mark.usefixtures("nothing_kept")
def test_a_file_that_changed_or_went_since_it_was_listed_is_refused(repository, clones):
    with clones.open(repository) as source:
        a, b = (file for file in source.files(LIMIT) if isinstance(file, SourceFile) and file.path.endswith(".py"))
        write_files(repository, {"a.py": "a = 2\n"})
        (repository / "src/b.py").unlink()
        with pytest.raises(SourceError, match=r"^a.py was changed while it was being read\.$"):
            a.read()
        with pytest.raises(SourceError, match=r"^src/b.py can no longer be read\.$"):
            b.read()


@pytest.mark.usefixtures("nothing_kept")
def test_a_file_that_became_a_link_since_it_was_listed_is_refused(repository, clones, tmp_path):
    write_files(tmp_path / "outside", {"a.py": "a = 1\n"})
    with clones.open(repository) as source:
        (a,) = (file for file in source.files(LIMIT) if file.path == "a.py")
        (repository / "a.py").unlink()
        (repository / "a.py").symlink_to(tmp_path / "outside/a.py")
        with pytest.raises(SourceError):
            a.read()


def test_nothing_that_a_folders_own_configuration_names_is_run(repository, clones, tmp_path):
    proof = tmp_path / "proof"
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch {proof}\ncat\n")
    script.chmod(0o755)
    (repository / "hooks").mkdir()
    for hook in ("post-index-change", "post-checkout"):
        (repository / "hooks" / hook).symlink_to(script)
    for key in ("filter.odd=name.clean", "filter.odd=name.smudge", "filter.p.process", "core.fsmonitor", "diff.odd.textconv"):
        git(repository, "config", key, str(script))
    git(repository, "config", "filter.odd=name.required", "true")
    git(repository, "config", "core.hooksPath", "hooks")
    write_files(repository, {".gitattributes": "a.py filter=odd=name diff=odd\nsrc/* filter=p\n"})
    os.utime(repository / "a.py", (1, 1))
    os.utime(repository / "src/b.py", (1, 1))
    write_files(repository, {"src/b.py": "c = 2\n"})
    with clones.open(repository) as source:
        assert source.dirty
        assert "a.py" in texts(source)
    clones.read(repository, "main")
    assert not proof.exists()


def test_the_environment_does_not_point_git_to_another_repository(repository, clones, tmp_path, monkeypatch):
    other = write_files(tmp_path / "other", {"other.py": "other\n"})
    git(other, "init", "--quiet")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    assert "a.py" in clones.read(repository)


def test_a_work_tree_that_claims_to_lie_elsewhere_gives_nothing_from_there(repository, clones, tmp_path):
    write_files(tmp_path / "elsewhere", {"secret.py": "secret\n"})
    git(repository, "config", "core.worktree", str(tmp_path / "elsewhere"))
    assert not any("secret" in path for path in clones.read(repository))


# A commit


def test_a_ref_gives_the_commit_whatever_the_work_tree_holds(repository, clones):
    one = git(repository, "rev-parse", "HEAD")
    git(repository, "tag", "v1")
    git(repository, "tag", "--annotate", "--message", "first", "v1.0")
    git(repository, "checkout", "--quiet", "-b", "feature/x")
    write_files(repository, {"a.py": "a = 2\n"})
    two = commit(repository)
    write_files(repository, {"a.py": "a = 3\n"})
    for ref, expected in {"v1": one, "v1.0": one, "main": one, one: one, one[:8]: one, "feature/x": two, "HEAD": two}.items():
        with clones.open(repository, ref) as source:
            assert isinstance(source, GitSource)
            assert (source.commit, source.ref, source.dirty) == (expected, ref, False)
            assert texts(source)["a.py"] == ("a = 1\n" if expected == one else "a = 2\n")


@pytest.mark.parametrize(
    "ref",
    [
        "nowhere",
        "main:a.py",
        "--upload-pack=touch proof",
        "-h",
        "--all",
        "main..HEAD",
        "@{-1}",
        "^main",
        "a b",
        "\n",
        "../main",
    ],
)
@pytest.mark.parametrize("as_url", [False, True])
def test_a_ref_that_names_no_commit_is_one_sentence_and_never_an_option(repository, clones, ref, as_url):
    source = f"file://{repository}" if as_url else repository
    with pytest.raises(SourceError) as caught:
        clones.open(source, ref)
    assert str(caught.value) == f"There is no commit {ref}."
    assert not (repository / "proof").exists()


def test_a_bare_repository_gives_the_commit_that_head_names(repository, clones, tmp_path):
    bare = tmp_path / "bare.git"
    git(repository, "clone", "--quiet", "--bare", repository, bare)
    with clones.open(bare) as source:
        assert (source.ref, source.commit) == ("main", git(repository, "rev-parse", "HEAD"))
        assert texts(source) == {".gitignore": "*.log\nbuild/\n", "a.py": "a = 1\n", "src/b.py": "b = 2\n"}


def test_an_empty_bare_repository_is_one_sentence(tmp_path, clones):
    git(tmp_path, "init", "--quiet", "--bare", tmp_path / "bare.git")
    with pytest.raises(SourceError, match=r"^The repository has no commit yet\.$"):
        clones.open(tmp_path / "bare.git")


def test_a_commit_without_files_gives_none(tmp_path, clones):
    git(tmp_path, "init", "--quiet", "--initial-branch", "main", tmp_path / "empty")
    git(tmp_path / "empty", "commit", "--quiet", "--allow-empty", "--message", "nothing")
    assert clones.read(tmp_path / "empty", "main") == {}


def test_an_object_that_is_not_in_the_repository_is_skipped_with_a_reason(repository, clones):
    blob = git(repository, "rev-parse", "HEAD:a.py")
    (repository / ".git/objects" / blob[:2] / blob[2:]).unlink()
    assert clones.read(repository, "main") == {
        ".gitignore": "*.log\nbuild/\n", "a.py": "(missing object)", "src/b.py": "b = 2\n"
    }  # fmt: skip


@pytest.mark.parametrize("left_out", ["blob:none", "tree:0"])
def test_a_partial_clone_whose_remote_is_gone_is_one_sentence_that_says_what_to_do(repository, clones, tmp_path, left_out):
    git(repository, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "--quiet", "--no-checkout", f"--filter={left_out}", f"file://{repository}", tmp_path / "partial")
    repository.rename(tmp_path / "gone")
    with pytest.raises(SourceError, match=r"/partial is a partial clone .*: run `git fetch --refetch"):
        clones.read(tmp_path / "partial", "HEAD")


def test_a_commit_is_read_after_its_repository_was_changed(repository, clones):
    with clones.open(repository, "main") as source:
        files = {file.path: file for file in source.files(LIMIT) if isinstance(file, SourceFile)}
        write_files(repository, {"a.py": "a = 2\n"})
        commit(repository)
        assert files["a.py"].read() == b"a = 1\n"


def test_a_closed_source_gives_a_sentence(repository, clones):
    with clones.open(repository, "main") as source:
        (file, *_) = (file for file in source.files(LIMIT) if isinstance(file, SourceFile))
    with pytest.raises(SourceError, match="git ended while its objects were being read"):
        file.read()


# A URL


def test_a_url_is_cloned_once_and_fetched_from_then_on(repository, clones):
    url = f"file://{repository}"
    assert clones.read(url) == {".gitignore": "*.log\nbuild/\n", "a.py": "a = 1\n", "src/b.py": "b = 2\n"}
    (clone,) = clones.kept()
    inode = (clones.folder / clone).stat().st_ino
    write_files(repository, {"a.py": "a = 2\n"})
    two = commit(repository)
    git(repository, "tag", "v2")
    with clones.open(url) as source:
        assert (source.commit, source.ref, texts(source)["a.py"]) == (two, "main", "a = 2\n")
    assert clones.read(url, "v2")["a.py"] == "a = 2\n"
    assert (clones.folder / clone).stat().st_ino == inode
    assert clones.kept() == [clone]


def test_branches_and_tags_that_were_moved_or_deleted_are_followed(repository, clones):
    url = f"file://{repository}"
    git(repository, "branch", "old")
    git(repository, "tag", "latest")
    clones.read(url)
    git(repository, "branch", "-D", "old")
    write_files(repository, {"a.py": "a = 2\n"})
    git(repository, "commit", "--quiet", "--all", "--amend", "--message", "rewritten")
    git(repository, "tag", "--force", "latest")
    for ref in ("main", "latest"):
        assert clones.read(url, ref)["a.py"] == "a = 2\n"
    with pytest.raises(SourceError, match=r"^There is no commit old\.$"):
        clones.open(url, "old")


def test_a_changed_default_branch_is_followed(repository, clones):
    url = f"file://{repository}"
    clones.read(url)
    git(repository, "checkout", "--quiet", "-b", "trunk")
    write_files(repository, {"a.py": "a = 2\n"})
    commit(repository)
    git(repository, "branch", "-D", "main")
    with clones.open(url) as source:
        assert (source.ref, texts(source)["a.py"]) == ("trunk", "a = 2\n")


def test_another_url_has_a_clone_of_its_own(repository, clones, tmp_path):
    clones.read(f"file://{repository}")
    other = write_files(tmp_path / "other", {"other.py": "other\n"})
    git(other, "init", "--quiet", "--initial-branch", "main")
    commit(other)
    assert clones.read(f"file://{other}") == {"other.py": "other\n"}


def test_what_a_clone_that_was_cut_short_left_is_swept_and_never_taken_for_one(repository, clones):
    name = clone_name(f"file://{repository}")
    write_files(clones.folder / f".{name}.abc.partial", {"HEAD": "ref: refs/heads/main\n"})
    assert "a.py" in clones.read(f"file://{repository}")
    assert clones.kept() == [f"{name}.git"]


def test_a_clone_that_fails_leaves_nothing_and_says_why(tmp_path, clones):
    with pytest.raises(
        SourceError, match=r"^git clone failed: .*missing.* does not (exist|appear to be a git repository)"
    ) as caught:
        clones.open(f"file://{tmp_path}/missing")
    assert "\n" not in str(caught.value)
    assert clones.kept() == []


def test_credentials_are_in_no_message(clones):
    with pytest.raises(SourceError) as caught:
        clones.open("http://user:hunter2@127.0.0.1:1/a.git")
    assert "127.0.0.1:1/a.git" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "user" not in str(caught.value)
    with pytest.raises(SourceError) as caught:
        clones.open("gopher://user:hunter2@example.org/a.git")
    assert str(caught.value) == "gopher://example.org/a.git is not a URL that can be cloned: use https, ssh, git or file."


@pytest.mark.parametrize(
    "source",
    [
        "ext::sh -c touch% proof", "fd::17", "ext::http://x", "http::https://example.org", "--upload-pack=touch proof",
        "-oProxyCommand=x", "ssh://-oProxyCommand=touch/x", "https:// example.org", "-oProxyCommand=x:path",
        "user@-oProxyCommand=x:path", "missing/folder", "", "ftp://example.org/a", "host:-path", "file:///a b",
    ],
)  # fmt: skip
def test_what_is_neither_a_folder_nor_a_url_of_an_allowed_kind_is_refused_before_git_sees_it(clones, monkeypatch, source):
    monkeypatch.setattr(git_commands, "run", lambda *arguments, **options: pytest.fail("git was started"))
    assert not is_url(source)
    with pytest.raises(SourceError, match=r"(neither a folder nor a git URL|is not a URL that can be cloned: .*)\.?$"):
        clones.open(source)


@pytest.mark.parametrize(
    "source",
    [
        "https://example.org/a.git",
        "ssh://git@example.org:22/a",
        "git@example.org:team/a.git",
        "example.org:a",
        "file:///a",
        "git://h/a",
    ],
)
def test_urls_of_the_usual_kinds_are_urls(source):
    assert is_url(source)


@given(st.text(max_size=40))
def test_no_text_that_git_could_take_for_an_option_or_a_helper_is_a_url(text):
    if is_url(text):
        assert not text.startswith("-")
        assert "::" not in text
        assert text.split() == [text]


@given(st.text(min_size=1))
def test_a_clone_is_named_so_that_it_stays_in_its_folder_and_meets_no_other(url):
    name = clone_name(url)
    assert re.fullmatch(r"[A-Za-z0-9_-]+-[0-9a-f]{12}", name)
    assert clone_name(url + "x") != name


def test_two_processes_that_want_the_same_clone_take_turns(repository, clones, monkeypatch):
    running = threading.Lock()
    run = git_commands.run

    def one_at_a_time(arguments, **options):
        if arguments[0] not in ("clone", "fetch"):
            return run(arguments, **options)
        assert running.acquire(blocking=False), "two at once"
        try:
            return run(arguments, **options)
        finally:
            running.release()

    monkeypatch.setattr(git_commands, "run", one_at_a_time)
    found: list[dict[str, str]] = []
    threads = [threading.Thread(target=lambda: found.append(clones.read(f"file://{repository}"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert found[0] == found[1] == found[2]
    assert len(clones.kept()) == 1


@given(st.binary(max_size=300))
def test_a_blob_id_is_the_one_that_git_gives(data):
    done = subprocess.run(["git", "hash-object", "--stdin"], input=data, capture_output=True, check=True, env=ENVIRONMENT)
    assert blob_id(data) == done.stdout.decode().strip()


def test_without_git_a_sentence_says_what_to_do(repository, clones, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(SourceError, match=r"git can't be started \(No such file or directory\): install git and try again\."):
        clones.open(repository)


def test_a_folder_that_no_git_knows_is_read_without_git(tmp_path, clones, monkeypatch):
    (tmp_path / "a.py").write_text("a = 1\n")
    monkeypatch.setenv("PATH", "/nonexistent")
    with clones.open(tmp_path) as source:
        assert [file.path for file in source.files(LIMIT)] == ["a.py"]


def test_a_blob_that_the_repository_lacks_is_a_sentence(repository):
    with git_commands.ObjectReader(repository) as objects:
        missing = hashlib.sha1(b"missing").hexdigest()
        with pytest.raises(SourceError, match=f"does not hold the object {missing}"):
            objects.read(missing)
        assert objects.read(git(repository, "rev-parse", "HEAD:a.py")) == b"a = 1\n"
