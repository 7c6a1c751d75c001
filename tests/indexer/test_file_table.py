"""The arrays of files: what a build writes into them, and that rows of any length are found again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.file_table import FileRow, FileTable, Ragged, tabulate
from indexer.file_uses import FileUses

from .builds import reading

FILES = {
    "bank/accounts.py": 'class Account:\n    """Money."""\n\n    def withdraw(self):\n        return self.balance\n',
    "bank/ledger.py": "from bank.accounts import Account\n\n\ndef post(entry):\n    return Account().withdraw()\n",
    "docs/withdraw.md": "# Withdraw\n\nHow to withdraw money.\n",
    "tests/test_accounts.py": "from bank.accounts import Account\n\n\ndef test_withdraw():\n    assert Account().withdraw()\n",
}


reader = reading(FILES)


@pytest.fixture(scope="module")
def ids(reader):
    return {path: file_id for file_id, path in reader.connection.execute("SELECT id, path FROM files")}


def test_what_other_files_use_is_referred_to_and_its_folder_is_the_main_one(reader, ids):
    files = reader.lexical.table.files
    accounts, readme = files[ids["bank/accounts.py"]], files[ids["docs/withdraw.md"]]
    assert accounts["referred"] == files["referred"].max() > 0
    assert (accounts["main"], accounts["folder"]) == (1.0, 1.0)
    assert readme[["referred", "main", "folder"]].tolist() == (0.0, 0.0, 0.0)


def test_a_row_tells_the_length_and_the_kind_of_its_file(reader, ids):
    files = reader.lexical.table.files
    kinds = ["test", "documentation", "example", "prose"]
    assert files[ids["bank/ledger.py"]][["lines", *kinds]].tolist() == (5, False, False, False, False)
    assert files[ids["tests/test_accounts.py"]][kinds].tolist() == (True, False, False, False)
    assert files[ids["docs/withdraw.md"]][kinds].tolist() == (False, True, False, True)


def test_a_file_uses_those_that_define_what_it_names(reader, ids):
    numbers = np.array([ids["tests/test_accounts.py"], ids["docs/withdraw.md"], ids["bank/ledger.py"]])
    found = reader.lexical.table.uses.rows(numbers)
    assert (found.places.tolist(), found.values.tolist()) == ([0, 2], [ids["bank/accounts.py"]] * 2)


def test_a_stem_is_as_rare_as_its_term_is_among_the_chunks(reader, ids):
    index = reader.lexical
    names = index.table.names.rows(np.array([ids["docs/withdraw.md"]]))
    (frequency,) = index.frequencies(["withdraw"]).values()
    assert index.table.rarity[names.values].tolist() == [pytest.approx(index.rarity(frequency))]


def test_a_word_means_the_stems_that_begin_with_it_and_those_that_it_begins_with():
    rows = [FileRow(f"{name}.py", "python", 1) for name in ("read", "reader", "readm", "ready", "rea", "bread", "r")]
    table = FileTable(tabulate(rows, FileUses.none()), lambda hashes: np.ones(len(hashes)))

    def meant(word: str) -> set[str]:
        return {table._stems[stem] for stem in table.meant_by([word]).stems.tolist()}

    assert meant("read") == {"read", "reader", "readm", "readi"}
    assert meant("reader") == {"read", "reader"}
    assert meant("rea") == {"rea"}
    assert meant("s") == meant("readers") - {"read", "reader"} == set()


@given(st.lists(st.lists(st.integers(0, 9), max_size=5), min_size=1, max_size=8), st.data())
def test_rows_come_in_the_order_in_which_they_are_asked_for(rows, data):
    ragged = Ragged(
        np.cumsum([0, *map(len, rows)], dtype=np.uint32), np.array([value for row in rows for value in row], np.uint32)
    )
    asked = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=6))
    found = ragged.rows(np.array(asked, dtype=np.intp))
    wanted = [(place, value) for place, number in enumerate(asked) for value in rows[number]]
    assert list(zip(found.places.tolist(), found.values.tolist(), strict=True)) == wanted


def test_no_files_make_an_empty_table():
    table = FileTable(tabulate([], FileUses.none()), lambda hashes: np.ones(len(hashes)))
    assert table.size == 0
    assert len(table.meant_by(["word"]).stems) == 0
