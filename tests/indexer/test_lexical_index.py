"""Full-text search over real snapshots: what a term finds, what weighs more, and that no query is ever syntax."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.errors import SnapshotError
from indexer.lexical_index import LexicalIndex
from indexer.tokens import terms

from .builds import Bench

FILES = {
    "bank/accounts.py": 'class Account:\n    """Money."""\n\n    def withdraw(self):\n        return self.balance\n',
    "bank/ledger.py": "from bank.accounts import Account\n\n\ndef post(entry):\n    return Account().withdraw()\n",
    "bank/interest.py": "from bank.accounts import Account\n\n\ndef accrue(rate):\n    return Account().withdraw() * rate\n",
    "docs/withdraw.md": "# Withdraw\n\nHow to withdraw money.\n",
    "tests/test_accounts.py": "from bank.accounts import Account\n\n\ndef test_withdraw():\n    assert Account().withdraw()\n",
}


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("lexical"), FILES)
    bench.build_without_vectors()
    with bench.reader() as reader:
        yield reader.connection


@pytest.fixture
def index(database):
    return LexicalIndex(database)


def weighted(text: str) -> dict[str, float]:
    return dict.fromkeys(terms(text), 1.0)


def paths(database: sqlite3.Connection) -> dict[int, str]:
    return dict(database.execute("SELECT id, path FROM files"))


def test_a_term_finds_the_chunks_that_hold_it_best_first(index, database):
    hits = index.chunks(weighted("withdraw"), 10)
    assert {paths(database)[hit.file_id] for hit in hits} == FILES.keys()
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert paths(database)[hits[0].file_id] == "docs/withdraw.md"


def test_a_part_of_an_identifier_finds_it(index, database):
    assert {paths(database)[hit.file_id] for hit in index.chunks(weighted("entry posting"), 10)} == {"bank/ledger.py"}


def test_a_path_finds_the_chunks_of_its_file(index, database):
    assert {paths(database)[hit.file_id] for hit in index.chunks(weighted("interest"), 10)} == {"bank/interest.py"}


def test_a_weight_multiplies_a_terms_share_of_the_score(index):
    (once,) = index.chunks({"accru": 1.0}, 10)
    (half,) = index.chunks({"accru": 0.5}, 10)
    assert half.score == pytest.approx(once.score / 2)
    both = index.chunks({"accru": 1.0, "ledger": 0.5}, 10)
    alone = [*index.chunks({"accru": 1.0}, 10), *index.chunks({"ledger": 0.5}, 10)]
    assert {hit.chunk_id: hit.score for hit in both} == pytest.approx({hit.chunk_id: hit.score for hit in alone})


def test_chunks_keep_to_a_range_of_files(index, database):
    by_path = {path: file_id for file_id, path in paths(database).items()}
    only = by_path["bank/ledger.py"]
    assert {hit.file_id for hit in index.chunks(weighted("withdraw"), 10, (only, only))} == {only}
    assert index.chunks(weighted("withdraw"), 10, (10_000, 10_001)) == []
    assert index.cards(weighted("withdraw"), (1, 1, 1, 1), 10, (10_000, 10_001)) == {}


def test_cards_are_weighed_by_column(index, database):
    named = index.cards(weighted("withdraw"), (1.0, 0.0, 0.0, 0.0), 10)
    assert [paths(database)[file_id] for file_id in named] == ["docs/withdraw.md"]
    defined = index.cards(weighted("withdraw"), (0.0, 0.0, 0.0, 1.0), 10)
    assert {paths(database)[file_id] for file_id in defined} >= {"bank/accounts.py", "tests/test_accounts.py"}


def test_coverage_tells_which_terms_a_chunk_holds(index):
    (ledger,) = index.chunks({"post": 1.0}, 10)
    (interest,) = index.chunks({"accru": 1.0}, 10)
    held = index.coverage(["withdraw", "post", "rate", "nowhere"], [ledger.chunk_id, interest.chunk_id])
    assert held == {ledger.chunk_id: ["withdraw", "post"], interest.chunk_id: ["withdraw", "rate"]}


def test_frequencies_count_chunks_and_leave_out_what_does_not_occur(index):
    assert index.frequencies(["accru", "nowhere"]) == {"accru": 1}
    assert index.frequencies([]) == {}


def test_a_rarer_term_is_worth_more_and_none_is_worth_less_than_nothing(index):
    assert index.rarity(0) > index.rarity(1) > index.rarity(index.size) > 0


def test_what_other_files_use_is_referred_to_and_its_folder_is_the_main_one(database):
    query = "SELECT path, referred, main, folder FROM files JOIN file_signals ON file_id = id"
    signals = {path: rest for path, *rest in database.execute(query)}
    referred, main, folder = signals["bank/accounts.py"]
    assert referred == max(value for value, _, _ in signals.values()) > 0
    assert (main, folder) == (1.0, 1.0)
    assert signals["docs/withdraw.md"] == [0.0, 0.0, 0.0]


def test_a_snapshot_of_another_version_is_told_in_one_sentence(tmp_path):
    with sqlite3.connect(tmp_path / "other.sqlite3") as db:
        with pytest.raises(SnapshotError, match="holds no full-text index: index the repository again"):
            LexicalIndex(db)
        db.execute("CREATE TABLE lexical_version (version INTEGER)")
        db.execute("CREATE TABLE chunks (id INTEGER)")
        db.execute("INSERT INTO lexical_version VALUES (1)")
        with pytest.raises(SnapshotError, match="another version of Sextant: index the repository again"):
            LexicalIndex(db)
    db.close()


@given(st.text(st.characters()) | st.text(st.sampled_from('aé関_"*:^()-+{} \0\nORANDNOTNEAR')))
def test_no_text_is_ever_read_as_query_syntax(database, text):
    index = LexicalIndex(database)
    wanted = weighted(text)
    hits = index.chunks(wanted, 100)
    held = index.coverage(wanted, [chunk_id for (chunk_id,) in database.execute("SELECT id FROM chunks")])
    # Only a term can find a chunk: had an operator or a column filter got through, these would differ.
    assert {hit.chunk_id for hit in hits} == held.keys()
    assert index.frequencies(wanted).keys() == {term for found in held.values() for term in found}
    assert bool(index.cards(wanted, (4, 2, 1, 1), 100)) <= bool(wanted)


@pytest.mark.parametrize("text", ['"', "body : withdraw", "NEAR(withdraw money)", "withdraw*", "NOT withdraw", "-withdraw"])
def test_operators_of_fts5_are_words_like_others(index, text):
    found = {hit.chunk_id for hit in index.chunks(weighted(text), 100)}
    if "withdraw" in text:
        assert found >= {hit.chunk_id for hit in index.chunks({"withdraw": 1.0}, 100)}
