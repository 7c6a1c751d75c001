"""What `@` offers: folders, files and definitions of a repository by a part of their name."""

from __future__ import annotations

import pytest

from assistant.mentions import MOST, languages, mentions
from indexer.errors import SnapshotError
from tests.indexer.builds import SMALL, Bench


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("small"), SMALL).build_without_vectors()


def test_folders_files_and_symbols_are_offered_by_what_they_hold(small):
    found = [(each.kind, each.text) for each in mentions(small, "ACCOUNT")]
    assert found == [("file", "bank/accounts.py"), ("symbol", "Account"), ("symbol", "Account.withdraw")]
    assert ("folder", "bank/") in [(each.kind, each.text) for each in mentions(small, "ban")]
    assert mentions(small, "withdraw")[0].detail == "method, bank/accounts.py:4"


def test_what_begins_so_comes_first_and_nothing_matches_nothing(small):
    assert mentions(small, "read")[0].text == "README.md"
    assert mentions(small, "%") == []
    assert 0 < len(mentions(small, "")) <= MOST


def test_the_commonest_language_comes_first(small):
    assert languages(small) == ["python", "markdown"]


def test_a_snapshot_that_is_gone_is_told(tmp_path):
    with pytest.raises(SnapshotError):
        mentions(tmp_path / "gone", "a")
