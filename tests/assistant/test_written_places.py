"""What an answer mentions without a number: linked where it exists, denied only where it is certainly nowhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from assistant.written_places import WrittenPlace, resolve, written_in
from indexer.lookup import Lookup
from indexer.retriever import Retriever
from tests.indexer.builds import Bench

FILES = {
    "src/web/session.py": "class Session:\n    def open_all(self, key):\n        return make_signer(key)\n\n\n"
    "def make_signer(key):\n    return key\n",
    "src/web/app.py": "from web.session import Session\n\n\ndef run():\n    return Session().open_all('k')\n",
    "src/cli/app.py": "def run():\n    return 'settings live in conf/local_overrides.py'\n",
    "docs/logo.png": b"\x89PNG\x00\x01",
    "README.md": "# Web\n\nSessions.\n",
}


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    bench = Bench(tmp_path_factory.mktemp("web"), FILES)
    bench.build()
    assert bench.live
    return bench.live


@pytest.fixture(scope="module")
def lookup(snapshot: Path) -> Iterator[Lookup]:
    retriever = Retriever()
    with retriever.look_up(snapshot) as found:
        yield found
    retriever.close()


def told(text: str, lookup: Lookup, passages: tuple[str, ...] = (), before: str = "") -> list[WrittenPlace]:
    return list(resolve(written_in(text, 0, before), lookup, passages))


@pytest.mark.parametrize(
    ("text", "path", "start_line", "end_line"),
    [
        ("It is in src/web/session.py, at the top.", "src/web/session.py", 0, 0),
        ("It is in `web/session.py`.", "src/web/session.py", 0, 0),
        ("It is in `session.py`.", "src/web/session.py", 0, 0),
        ("It is in `session.py:6`.", "src/web/session.py", 6, 6),
        ("It is in session.py:2-3.", "src/web/session.py", 2, 3),
        ("It is in `src/web/session.py#L2-L3`.", "src/web/session.py", 2, 3),
        ("It is in ./src/web/session.py here.", "src/web/session.py", 0, 0),
        ("It is in `session.py:900`.", "src/web/session.py", 0, 0),
        ("A `Session` is opened.", "src/web/session.py", 1, 3),
        ("A `make_signer(key)` is called.", "src/web/session.py", 6, 7),
        ("A `Session.open_all` is called.", "src/web/session.py", 2, 3),
        ("A `session.open_all()` is called.", "src/web/session.py", 2, 3),
    ],
)
def test_what_exists_is_linked_to_where_it_is(text: str, path: str, start_line: int, end_line: int, lookup: Lookup) -> None:
    (place,) = told(text, lookup)
    assert (place.state, place.path, place.start_line, place.end_line) == ("here", path, start_line, end_line)


def test_a_place_stands_for_the_span_with_its_backticks_and_for_the_bare_path(lookup: Lookup) -> None:
    text = "The `Session` is in src/web/session.py."
    assert [text[place.start : place.end] for place in told(text, lookup)] == ["`Session`", "src/web/session.py"]


def test_a_line_that_the_file_does_not_have_is_told_and_not_linked(lookup: Lookup) -> None:
    (place,) = told("It is in `session.py:900`.", lookup)
    assert place.reason == "src/web/session.py has no line 900: it has 7."


@pytest.mark.parametrize("text", ["It is in `app.py`.", "It calls `run`."])
def test_what_could_mean_several_is_linked_only_where_one_of_them_was_shown(text: str, lookup: Lookup) -> None:
    assert told(text, lookup) == []
    (place,) = told(text, lookup, ("src/cli/app.py",))
    assert place.path == "src/cli/app.py"


@pytest.mark.parametrize(
    "text",
    [
        "It is in `src/web/token_store.py`.",
        "It is in src/web/token_store.py:12 and works.",
        "It calls `flush_all_tokens()`.",
        "A `TokenRegistry` keeps them.",
        "It calls `Session.revoke_everything`.",
    ],
)
def test_what_is_certainly_nowhere_is_said_to_be_absent(text: str, lookup: Lookup) -> None:
    assert [place.state for place in told(text, lookup)] == ["absent"]


@pytest.mark.parametrize(
    "text",
    [
        "Create a file `src/web/token_store.py` for it.",
        "For example, `flush_all_tokens()` does it.",
        "You can write `flush_all_tokens()` yourself.",
        "It is called `my_token_handler` there.",
        "It is in `path/to/token_store.py`.",
        "It is at https://example.org/src/web/token_store.py here.",
        "It is at github.com/web/web/token_store.py here.",
        "Run `python src/web/token_store.py --flush_all_tokens` now.",
        "It is in `/etc/web/token_store.py`.",
        "It is in `~/web/token_store.py`.",
        "It uses `asyncio.create_named_task` there.",
        "It uses `ThreadPoolExecutor` there.",
        "It raises `NotImplementedError` there.",
        "It reads `TOKEN_STORE_URL` there.",
        "It is in conf/local_overrides.py there.",
        "The picture is docs/logo.png there.",
        "It lives in docs/ or src/web there.",
        "It is true and/or false.",
        "It is `token`.",
        "It is [here](src/web/token_store.py) now.",
        "It is in `{name}/token_store.py`.",
        "It is in `web/token_store.rb`.",
        "It is in `src/web/session.py https://example.org/x `.",
        "It is in `https://example.org/x session.py:6`.",
    ],
)
def test_rather_nothing_than_a_wrong_denial(text: str, lookup: Lookup) -> None:
    assert told(text, lookup) == []


def test_what_the_answer_made_up_in_its_own_code_is_not_denied(lookup: Lookup) -> None:
    code = "Define it:\n\n```py\ndef flush_all_tokens():\n    pass\n```\n"
    assert told("Now `flush_all_tokens()` is there.", lookup, before=code) == []
    assert told("Now `flush_all_tokens()` is there.", lookup) != []


def test_every_labelled_example_of_the_benchmark_is_well_formed() -> None:
    lines = Path("benchmarks/written_places/examples.jsonl").read_text(encoding="utf-8").splitlines()
    examples = [json.loads(line) for line in lines]
    assert len(examples) >= 80
    for example in examples:
        assert example["written"] in example["text"]
        assert example["expected"] in ("here", "absent", "nothing")
        assert ("path" in example) == (example["expected"] == "here")


def test_the_json_has_the_shape_of_the_protocol(lookup: Lookup) -> None:
    assert told("A `Session` is opened.", lookup)[0].as_json() == {
        "start": 2,
        "end": 11,
        "state": "here",
        "path": "src/web/session.py",
        "start_line": 1,
        "end_line": 3,
        "reason": "",
    }
