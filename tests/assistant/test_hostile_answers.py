"""Whatever a model writes, and however its text is cut: no link to anything that wasn't retrieved or doesn't exist."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assistant.citations import CitationReader
from assistant.code_names import Evidence
from assistant.sentences import MARK
from assistant.written_places import resolve, written_in
from indexer.lookup import Lookup
from indexer.retriever import Retriever
from tests.assistant.test_written_places import FILES
from tests.indexer.builds import Bench

HOSTILE = [
    *("[1]", "[2]", "[3]", "[99]", "[0]", "[-1]", "[1][2]", "[1, 2]", "[1-3]", "[1–3]", "[3-1]", "[1-99999]", "[1,,2]"),
    *("[1;2]", "[[1]]", "[[[1", "]]", "[1", "1]", "[ 1 ]", "[1\n]", "[１]", "[١]", "[²]", "[①]", "[1e3]", "[+1]"),
    *("[0x1]", "[00001]", "[99999999999999999999999999]", "[1](javascript:alert(1))", "[x](javascript:alert(1))"),
    *("![x](https://evil.example/p.png)", "![1](x)", "[1]: https://evil.example", "[1][evil]", "[^1]", "[^1]: note"),
    *("<a href='javascript:x'>[1]</a>", "<img src=x>", "<script>[1]</script>", "https://evil.example/[1]"),
    *("<https://evil.example/src/web/session.py>", "javascript:session.py:1", "\\[1]", "\\\\[1]", "`[1]`", "``[1]``"),
    *("`", "```", "~~~", "```py\n", "\n```\n", "\n~~~\n", "\n    [1]\n", "> [1]", "- [1]", "`Session`"),
    *("`Session.open_all`", "`nope_nope_nope()`", "src/web/session.py", "src/web/session.py:3", "session.py:99999999"),
    *("session.py:0", "session.py:3-1", "session.py#L2", "../../etc/passwd", "/etc/passwd", "..\\session.py"),
    *("src/web/../web/session.py", "src/web/ghost_file.py", "`src/web/ghost_file.py:1`", "file:///src/web/session.py"),
    *("`%2e%2e/session.py`", "C:\\session.py", "make_signer", "It signs", ". ", "! ", "? ", "\n", "\n\n", "\r\n", " "),
    *("# ", "| a | b |\n|---|---|\n| [1] | x |\n", "e.g. ", "\u202e[1]", "\u200b[1]\u200b", "\x00", "\ud800"),
    *("\ue0000\ue001", "‹\ue0000\ue001›", "字。", "😀", "a" * 300, "[" * 50, "`" * 7),
]
TEXTS = st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=16).map(
    lambda parts: (" " if len(parts) % 2 else "").join(parts)
)


@pytest.fixture(scope="module")
def lookup(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lookup]:
    bench = Bench(tmp_path_factory.mktemp("web"), FILES)
    bench.build()
    assert bench.live
    retriever = Retriever()
    with retriever.look_up(bench.live) as found:
        yield found
    retriever.close()


LINES = str(FILES["src/web/session.py"]).split("\n")
GIVEN = (
    Evidence(1, "src/web/session.py", 1, 3, "Session", "\n".join(LINES[:3])),
    Evidence(2, "src/web/session.py", 6, 7, "make_signer", "\n".join(LINES[5:7])),
)


def told(pieces: list[str], lookup: Lookup) -> tuple[list[dict[str, Any]], list[dict[str, Any]], Any]:
    """The citations, the places and the claims of an answer that comes in these pieces."""
    reader = CitationReader(GIVEN)
    citations, places = [], []
    for piece in [*pieces, None]:
        citations += reader.finish() if piece is None else reader.feed(piece)
        for sentence, prose, before in reader.sentences():
            places += resolve(written_in(prose, sentence.start, before), lookup, [passage.path for passage in GIVEN])
    return [each.as_json() for each in citations], [each.as_json() for each in places], reader.claims


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS, st.data())
def test_no_hostile_answer_links_to_what_is_not_there_at_any_split(lookup: Lookup, text: str, data: st.DataObject) -> None:
    citations, places, claims = told([text], lookup)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert told(pieces, lookup) == (citations, places, claims) == told(list(text), lookup)
    json.dumps([citations, places])
    given = {(each.number, each.path, each.start_line, each.end_line) for each in GIVEN}
    for citation in citations:
        assert (citation["number"], citation["path"], citation["start_line"], citation["end_line"]) in given
        if citation["origin"] == "model":
            assert MARK.fullmatch(text[citation["start"] : citation["end"]])
            assert text[citation["end"] : citation["end"] + 1] != "("
    for place in places:
        written = text[place["start"] : place["end"]]
        assert written.strip()
        assert "\n" not in written
        if place["state"] == "here":
            lines = str(FILES[place["path"]]).count("\n")
            assert 0 <= place["start_line"] <= place["end_line"] <= lines
            assert "evil" not in written
            assert "://" not in written
        else:
            assert place["path"] == ""
            assert not [path for path in FILES if written.strip("`").partition(":")[0] in (path, path.rpartition("/")[2])]
    assert 0 <= claims.verified <= claims.total


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_no_two_insertions_of_an_answer_overlap(text: str) -> None:
    reader = CitationReader(GIVEN)
    reader.feed(text)
    reader.finish()
    spans = {(each.start, each.end) for each in reader.citations}
    spans |= {
        (each.start, each.end) for sentence, prose, before in reader.sentences() for each in written_in(prose, sentence.start)
    }
    ordered = sorted(spans)
    assert all(first[1] <= second[0] for first, second in pairwise(ordered))
