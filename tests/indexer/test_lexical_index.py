"""Lexical search over real snapshots, and that its scores are those of FTS5's bm25() on random corpora."""

from __future__ import annotations

import sqlite3
import uuid
from array import array
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer import postings as postings_module
from indexer.array_file import ArrayFileWriter, open_arrays
from indexer.errors import SnapshotError
from indexer.lexical_index import LEXICAL_VERSION, WORDS, LexicalIndex
from indexer.postings import Postings, PostingsBuilder
from indexer.term_counts import TermCounts, term_hash
from indexer.tokens import terms

from .builds import reading

FILES = {
    "bank/accounts.py": 'class Account:\n    """Money."""\n\n    def withdraw(self):\n        return self.balance\n',
    "bank/ledger.py": "from bank.accounts import Account\n\n\ndef post(entry):\n    return Account().withdraw()\n",
    "bank/interest.py": "from bank.accounts import Account\n\n\ndef accrue(rate):\n    return Account().withdraw() * rate\n",
    "docs/withdraw.md": "# Withdraw\n\nHow to withdraw money.\n",
    "tests/test_accounts.py": "from bank.accounts import Account\n\n\ndef test_withdraw():\n    assert Account().withdraw()\n",
}


reader = reading(FILES)


@pytest.fixture(scope="module")
def database(reader):
    return reader.connection


@pytest.fixture(scope="module")
def index(reader):
    return reader.lexical


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
    assert not index.chunks(weighted("withdraw"), 10, (10_000, 10_001))
    assert index.cards(weighted("withdraw"), (1, 1, 1, 1), 10, (10_000, 10_001)) == {}


def test_cards_are_weighed_by_column(index, database):
    named = index.cards(weighted("withdraw"), (1.0, 0.0, 0.0, 0.0), 10)
    assert [paths(database)[file_id] for file_id in named] == ["docs/withdraw.md"]
    defined = index.cards(weighted("withdraw"), (0.0, 0.0, 0.0, 1.0), 10)
    assert {paths(database)[file_id] for file_id in defined} >= {"bank/accounts.py", "tests/test_accounts.py"}


def test_shares_add_up_what_the_terms_in_a_chunk_are_worth(index):
    (ledger,) = index.chunks({"post": 1.0}, 10)
    (interest,) = index.chunks({"accru": 1.0}, 10)
    worth = {"withdraw": 1.0, "post": 2.0, "rate": 4.0, "nowhere": 8.0}
    chunks = np.array([interest.chunk_id, ledger.chunk_id, ledger.chunk_id])
    assert index.shares(worth, chunks).tolist() == [5.0, 3.0, 3.0]
    assert index.shares(worth, chunks[:0]).tolist() == []


def test_frequencies_count_chunks_and_leave_out_what_does_not_occur(index):
    assert index.frequencies(["accru", "nowhere"]) == {"accru": 1}
    assert index.frequencies([]) == {}


def test_a_rarer_term_is_worth_more_and_none_is_worth_less_than_nothing(index):
    assert index.rarity(0) > index.rarity(1) > index.rarity(index.size) > 0


def test_what_is_allowed_is_a_mask_over_files(index, database):
    by_path = {path: file_id for file_id, path in paths(database).items()}
    some = {by_path["bank/ledger.py"], by_path["docs/withdraw.md"]}
    assert {hit.file_id for hit in index.chunks(weighted("withdraw"), 10, allowed=some)} == some
    assert index.cards(weighted("withdraw"), (1, 1, 1, 1), 10, allowed=some).keys() == {by_path["docs/withdraw.md"]}
    assert not index.chunks(weighted("withdraw"), 10, allowed=())


def test_equal_chunks_come_in_the_order_of_their_files_and_the_limit_keeps_the_first(index, database):
    hits = index.chunks(weighted("bank"), 100)
    assert list(hits) == sorted(hits, key=lambda hit: (-hit.score, hit.chunk_id))
    assert list(index.chunks(weighted("bank"), 2)) == list(hits[:2])


def test_a_snapshot_of_another_version_is_told_in_one_sentence(tmp_path):
    with sqlite3.connect(tmp_path / "other.sqlite3") as db:
        with pytest.raises(SnapshotError, match="holds no full-text index: index the repository again"):
            LexicalIndex(tmp_path, db)
        db.execute("CREATE TABLE lexical_version (version INTEGER)")
        db.execute("INSERT INTO lexical_version VALUES (1)")
        with pytest.raises(SnapshotError, match=r"Another version of Sextant made this index: .* index the repository again"):
            LexicalIndex(tmp_path, db)
        db.execute(f"UPDATE lexical_version SET version = {LEXICAL_VERSION}")
        with pytest.raises(SnapshotError, match=r"words\.bin of the snapshot can't be read: index the repository again"):
            LexicalIndex(tmp_path, db)
        (tmp_path / WORDS).write_bytes(b"cut short")
        with pytest.raises(SnapshotError, match=r"words\.bin of the snapshot can't be read: index the repository again"):
            LexicalIndex(tmp_path, db)
    db.close()


@given(st.text(st.characters()) | st.text(st.sampled_from('aé関_"*:^()-+{} \0\nORANDNOTNEAR')))
def test_any_text_can_be_looked_up(index, text):
    wanted = weighted(text)
    hits = index.chunks(wanted, 100)
    assert bool(hits) == bool(index.frequencies(wanted))
    assert bool(index.cards(wanted, (4, 2, 1, 1), 100)) <= bool(wanted)


# --- the same as FTS5 -----------------------------------------------------------------------------------------------

WORDS_OF_A_CORPUS = st.sampled_from(["account", "bank", "ledger", "post", "rate", "tax"])
CHUNKS = st.lists(st.lists(WORDS_OF_A_CORPUS, max_size=12), max_size=4)
CORPUS = st.lists(CHUNKS, min_size=1, max_size=12)
QUERY = st.dictionaries(WORDS_OF_A_CORPUS, st.sampled_from([1.0, 0.4]), min_size=1)
CARD = st.tuples(*[st.lists(WORDS_OF_A_CORPUS, max_size=5)] * 4)


def counts_of(documents: list[list[list[str]]]) -> TermCounts:
    """Documents with one list of words for each column."""
    terms, counts, distinct, lengths = array("Q"), array("H"), array("I"), array("I")
    for columns in documents:
        words = dict.fromkeys(word for column in columns for word in column)
        terms.extend(map(term_hash, words))
        counts.extend(column.count(word) for word in words for column in columns)
        distinct.append(len(words))
        lengths.append(sum(map(len, columns)))
    return TermCounts(terms.tobytes(), counts.tobytes(), distinct.tobytes(), lengths.tobytes())


def postings_of(folder, portions, columns=1, segment=10**6, previous=None, copies=()) -> Postings:
    """An index of portions (first number, documents); copies: (first, count, previous number), all in the order of numbers."""
    folder = folder / str(uuid.uuid4())
    folder.mkdir()
    path = folder / WORDS
    with pytest.MonkeyPatch.context() as patch, ArrayFileWriter(path) as file:
        patch.setattr(postings_module, "SEGMENT_POSTINGS", segment)
        patch.setattr(postings_module, "RANGE_POSTINGS", segment)
        builder = PostingsBuilder(folder, "chunks", columns)
        steps = [(first, documents, None) for first, documents in portions] + [
            (first, count, old) for first, count, old in copies
        ]
        for first, documents, old in sorted(steps, key=lambda step: step[0]):
            if old is None:
                builder.add(first, counts_of(documents))
            else:
                builder.copy(first, documents, old)
        builder.write(file, previous)
    builder.clear()
    return Postings(open_arrays(path), "chunks")


def scores_of(postings: Postings, query: dict[str, float], columns=None) -> dict[int, float]:
    scores = postings.scores({term_hash(term): weight for term, weight in query.items()}, columns)
    return {number: score for number, score in enumerate(scores.tolist()) if score}


def fts5_scores(documents: list[list[list[str]]], query: dict[str, float], columns: Sequence[float]) -> dict[int, float]:
    names = [f"c{number}" for number in range(len(columns))]
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute(f"CREATE VIRTUAL TABLE words USING fts5({', '.join(names)})")
        for number, document in enumerate(documents, 1):
            values = [number, *(" ".join(column) for column in document)]
            db.execute(f"INSERT INTO words (rowid, {', '.join(names)}) VALUES ({', '.join('?' * len(values))})", values)
        scores: dict[int, float] = defaultdict(float)
        kept = " ".join(name for name, weight in zip(names, columns, strict=True) if weight)
        for term, weight in query.items():
            match = f'{{{kept}}} : "{term}"'
            rows = db.execute(
                f"SELECT rowid, bm25(words, {', '.join('?' * len(columns))}) FROM words WHERE words MATCH ?", (*columns, match)
            )
            for number, score in rows:
                scores[number] -= weight * score
    return dict(scores)


@given(CORPUS, QUERY)
def test_chunks_are_scored_as_fts5_scores_them(tmp_path_factory, corpus, query):
    documents = [[words] for chunks in corpus for words in chunks]
    index = postings_of(tmp_path_factory.getbasetemp(), [(1, documents)])
    assert scores_of(index, query) == pytest.approx(fts5_scores(documents, query, [1.0]))


@given(st.lists(CARD, min_size=1, max_size=12), QUERY, st.sampled_from([(4.0, 2.0, 1.0, 1.0), (1.0, 0.0, 0.0, 0.0)]))
def test_cards_are_scored_as_fts5_scores_them_by_the_weights_of_their_columns(tmp_path_factory, cards, query, columns):
    documents = [list(card) for card in cards]
    index = postings_of(tmp_path_factory.getbasetemp(), [(1, documents)], columns=4)
    assert scores_of(index, query, columns) == pytest.approx(fts5_scores(documents, query, columns))


def everything(index: Postings) -> tuple[object, ...]:
    return tuple(array.tolist() for array in (index.terms, index.starts, index.postings, index.lengths))


@given(st.lists(st.tuples(CHUNKS, st.booleans()), min_size=1, max_size=12), st.integers(1, 30))
def test_segments_and_copies_give_the_same_index_as_memory_alone(tmp_path_factory, corpus, segment):
    folder = tmp_path_factory.getbasetemp()
    files = [[[words] for words in chunks] for chunks, _ in corpus]
    kept = [keep for _, keep in corpus]
    firsts = [1 + sum(map(len, files[:number])) for number in range(len(files))]
    whole = postings_of(folder, list(zip(firsts, files, strict=True)))
    assert everything(postings_of(folder, list(zip(firsts, files, strict=True)), segment=segment)) == everything(whole)

    # An older index with some of the files, and others in between; what it holds is copied, the rest is added.
    old_files, old_first, copies, added, number = [], {}, [], [], 1
    for place, (file, keep) in enumerate(zip(files, kept, strict=True)):
        for documents in [file] if keep else [[[["account", "gone"]]]]:
            if keep:
                old_first[place] = number
            old_files.append((number, documents))
            number += len(documents)
    for place, (first, file) in enumerate(zip(firsts, files, strict=True)):
        if kept[place]:
            copies.append((first, len(file), old_first[place]))
        else:
            added.append((first, file))
    older = postings_of(folder, old_files)
    assert everything(postings_of(folder, added, segment=segment, previous=older, copies=copies)) == everything(whole)
