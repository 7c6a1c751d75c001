import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.walker import SKIPPED_FOLDERS, Folder, IgnoreRules, TooLarge

from .builds import write_files

SECRET = "what is outside\n"


@pytest.fixture
def outside(tmp_path):
    return write_files(tmp_path / "outside", {"secret.txt": SECRET, "more/secret.txt": SECRET})


@pytest.fixture
def root(tmp_path):
    return write_files(tmp_path / "root", {"a.txt": "a\n", "sub/b.txt": "b\n", "sub/deep/c.txt": "c\n"})


def walked(root: Path) -> list[str]:
    with_paths = Folder(root)
    try:
        return sorted(os.fsdecode(path) for path in with_paths.walk())
    finally:
        with_paths.close()


@pytest.fixture
def folder(root):
    folder = Folder(root)
    yield folder
    folder.close()


def test_every_file_below_the_root_is_walked_and_read(root, folder):
    assert walked(root) == ["a.txt", "sub/b.txt", "sub/deep/c.txt"]
    assert folder.read(b"sub/deep/c.txt", 100) == b"c\n"


@pytest.mark.parametrize(
    "path",
    ["../outside/secret.txt", "sub/../../outside/secret.txt", "/etc/passwd", "", "sub//b.txt", "./a.txt", "sub/", "..", "sub"],
)
def test_a_path_that_is_no_plain_path_to_a_file_inside_is_refused(folder, outside, path):
    with pytest.raises(OSError):
        folder.read(path.encode(), 100)


def test_no_link_is_followed_at_any_level(root, outside, folder):
    (root / "file").symlink_to(outside / "secret.txt")
    (root / "folder").symlink_to(outside)
    (root / "inside").symlink_to(root / "a.txt")
    (root / "loop").symlink_to(root)
    (root / "self").symlink_to("self")
    (root / "nowhere").symlink_to("missing")
    links = ["file", "folder", "inside", "loop", "nowhere", "self"]
    assert walked(root) == sorted(["a.txt", "sub/b.txt", "sub/deep/c.txt", *links])
    for path in [*links, "folder/secret.txt", "loop/a.txt", "folder/more/secret.txt"]:
        with pytest.raises(OSError):
            folder.read(path.encode(), 100)
    assert all(folder.is_link(name.encode()) for name in links)
    assert not folder.is_link(b"a.txt")
    assert not folder.is_link(b"folder/secret.txt")


def test_a_folder_that_becomes_a_link_while_it_is_walked_leads_nowhere(root, outside, folder):
    walk = folder.walk()
    found = {next(walk)}
    (root / "sub").rename(root / "was-sub")
    (root / "sub").symlink_to(outside)
    found.update(walk)
    assert not any(b"secret" in path for path in found)
    with pytest.raises(OSError):
        folder.read(b"sub/secret.txt", 100)
    assert not folder.exists(b"sub/secret.txt")


def test_a_root_that_is_replaced_is_still_the_folder_that_was_opened(root, outside, folder):
    root.rename(root.with_name("moved"))
    root.symlink_to(outside)
    assert folder.read(b"a.txt", 100) == b"a\n"
    with pytest.raises(OSError):
        folder.read(b"secret.txt", 100)


@pytest.mark.timeout(10)
def test_a_pipe_a_socket_and_a_device_are_no_files_and_stop_nobody(root, folder):
    os.mkfifo(root / "pipe")
    os.mkfifo(root / ".gitignore")
    (root / "tty").symlink_to("/dev/zero")
    assert walked(root) == [".gitignore", "a.txt", "pipe", "sub/b.txt", "sub/deep/c.txt", "tty"]
    for name in (b"pipe", b"tty"):
        with pytest.raises(OSError):
            folder.read(name, 100)
        assert folder.exists(name)


def test_a_file_may_be_as_large_as_the_limit_and_no_larger(root, folder):
    assert folder.read(b"a.txt", 2) == b"a\n"
    with pytest.raises(TooLarge):
        folder.read(b"a.txt", 1)


def test_a_file_that_claims_to_be_empty_is_held_to_the_limit_too():
    folder = Folder(Path("/proc/self"))
    with pytest.raises(TooLarge):
        folder.read(b"status", 10)
    folder.close()


def test_names_may_hold_any_bytes(root, folder):
    names = [b"new\nline.txt", b"odd\xff\xfe.txt", b" blank ", b"-rf", "größe.txt".encode(), b"quote\"'.txt", b"back\\slash"]
    for name in names:
        (root / os.fsdecode(name)).write_bytes(name)
    assert set(names) <= {os.fsencode(path) for path in walked(root)}
    assert [folder.read(name, 100) for name in names] == names


@pytest.mark.parametrize("name", [".git", "node_modules", "__pycache__", ".venv"])
def test_what_tools_have_made_is_left_out_at_any_depth(root, name):
    assert name in SKIPPED_FOLDERS
    write_files(root, {f"{name}/x.py": "x", f"sub/{name}/deep/x.py": "x"})
    (root / "sub" / "deep" / name).write_text("a file of that name is a file\n")
    assert walked(root) == sorted(["a.txt", "sub/b.txt", "sub/deep/c.txt", f"sub/deep/{name}"])


def test_the_innermost_rule_that_says_anything_decides(root):
    write_files(root, {".gitignore": "*.txt\n!a.txt\n", "sub/.gitignore": "!b.txt\n", "sub/deep/.gitignore": "*\n"})
    assert walked(root) == [".gitignore", "a.txt", "sub/.gitignore", "sub/b.txt"]


@pytest.mark.parametrize("rule", ["sub/**", "/sub/**", "sub/** ", "**/sub/**"])
def test_a_rule_for_all_that_is_inside_a_folder_leaves_the_folder_to_rules_of_its_own(root, rule):
    write_files(root, {".gitignore": f"{rule}\n", "sub/.gitignore": "!b.txt\n"})
    assert walked(root) == [".gitignore", "a.txt", "sub/b.txt"] == git_sees(root)


def test_a_folder_that_is_gone_in_the_middle_of_the_walk_holds_nothing(root, folder):
    walk = folder.walk()
    next(walk)
    for path in (root / "sub/deep/c.txt", root / "sub/b.txt"):
        path.unlink()
    (root / "sub/deep").rmdir()
    (root / "sub").rmdir()
    assert list(walk) == []


@pytest.mark.parametrize(
    ("rules", "path", "ignored"),
    [
        (b"\xef\xbb\xbf*.log\n", "a.log", True),
        (b"*.log\r\n", "a.log", True),
        (b"!\n\\\n[z-a]\n[[:digit:]]\n*.log\n", "a.log", True),
        (b"*.log\x0c*.txt\n", "a.txt", False),
        (b"caf\xe9\n", os.fsdecode(b"caf\xe9"), True),
        (b"# *.log\n", "a.log", False),
        (b"\\#a\n", "#a", True),
        (b"", "a", False),
    ],
)
def test_a_file_of_rules_is_read_as_git_reads_it(rules, path, ignored):
    assert IgnoreRules(rules).ignore(path) == ignored


@given(st.binary(max_size=60), st.text(alphabet="ab/.é\udcff", min_size=1, max_size=10))
def test_any_bytes_are_rules(data, path):
    assert IgnoreRules(data).ignore(path) in (True, False)


NAMES = ["a", "b", "ab", "a.c", "b.c", ".c", "d"]
paths = st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map("/".join)
pieces = st.sampled_from(["a", "b", "ab", "a.c", "*", "**", "*.c", "?", "[ab]", "[!a]", "a*", ".*", "\\a"])
patterns = st.builds(
    lambda negated, rooted, parts, only_folders: negated + rooted + "/".join(parts) + only_folders,
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "", "/"]),
    st.lists(pieces, min_size=1, max_size=3),
    st.sampled_from(["", "", "/", " "]),
)
rules = st.lists(patterns, max_size=4).map("\n".join)


def git_sees(root: Path) -> list[str]:
    """What git would add to a new repository in `root`."""
    environment = {
        "PATH": os.environ["PATH"],
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "HOME": str(root),
    }
    subprocess.run(["git", "init", "-q", root], check=True, env=environment)
    listing = ["git", "-C", root, "ls-files", "-z", "--others", "--exclude-standard"]
    done = subprocess.run(listing, check=True, env=environment, capture_output=True, text=True)
    return sorted(filter(None, done.stdout.split("\0")))


@settings(max_examples=30)
@given(st.sets(paths, min_size=1, max_size=12), st.dictionaries(st.sampled_from(["", "a/", "b/", "a/b/"]), rules, max_size=3))
def test_a_folder_without_git_is_walked_as_git_would_walk_it(files, ignores):
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for path in [*files, *(f"{folder}.gitignore" for folder in ignores)]:
            if not any((root / parent).is_file() for parent in Path(path).parents) and not (root / path).is_dir():
                write_files(root, {path: ignores.get(path.removesuffix(".gitignore"), "") if path.endswith("ignore") else "x"})
        assert walked(root) == git_sees(root)


@settings(max_examples=30)
@given(st.sets(paths, min_size=1, max_size=12), rules)
def test_one_file_of_rules_leaves_out_of_a_list_what_git_would_leave_out(files, text):
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for path in files:
            if not any((root / parent).is_file() for parent in Path(path).parents) and not (root / path).is_dir():
                write_files(root, {path: "x"})
        everything = walked(root)
        write_files(root, {".gitignore": text})
        own = IgnoreRules(text.encode())
        assert [path for path in everything if not own.ignore(path)] == [
            path for path in git_sees(root) if path != ".gitignore"
        ]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", [".gitignore", ".sextantignore"])
def test_a_rule_with_hundreds_of_stars_stalls_nobody_and_still_counts(root, name):
    rule = "*a" * 300 + "b"
    write_files(root, {name: f"{rule}\n/sub/{'**/' * 8}c.txt\n*.log\n", "a" * 200: "x", "x.log": "x"})
    rules = IgnoreRules((root / name).read_bytes())
    assert [rules.ignore(path) for path in ("a" * 250, "a" * 300 + "b", "sub/deep/c.txt", "x.log", "b\udcff" * 40)] == [
        False, True, True, True, False
    ]  # fmt: skip
    assert "a" * 200 in walked(root)


def test_a_very_deep_path_is_no_trouble():
    assert not IgnoreRules(b"b\n").ignore("a/" * 5000 + "c")
    assert IgnoreRules(b"b\n").ignore("a/" * 5000 + "b/c")
