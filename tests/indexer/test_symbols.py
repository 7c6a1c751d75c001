"""Who uses what: between whole files, and from one chunk."""

from __future__ import annotations

import pytest

from indexer import symbols

from .builds import Bench

FILES = {
    "bank/accounts.py": "class Account:\n    def withdraw(self):\n        return self.balance\n",
    "bank/ledger.py": "from bank.accounts import Account\n\n\ndef post(entry):\n    return Account().withdraw()\n",
    "bank/report.py": "from bank.ledger import post\n\n\ndef report():\n    return post(1)\n",
    "one/common.py": "def shared():\n    return 1\n",
    "two/common.py": "def shared():\n    return 2\n",
    "three/common.py": "def shared():\n    return 3\n",
    "four/common.py": "def shared():\n    return 4\n",
    "use.py": "def use():\n    return shared()\n",
}


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("symbols"), FILES)
    bench.build_without_vectors()
    with bench.reader() as reader:
        yield reader.connection


@pytest.fixture
def ids(database):
    return {path: file_id for file_id, path in database.execute("SELECT id, path FROM files")}


def chunk_of(database, file_id: int) -> int:
    (chunk_id,) = database.execute("SELECT min(id) FROM chunks WHERE file_id = ?", (file_id,)).fetchone()
    return chunk_id


def test_a_file_uses_the_files_that_define_what_it_names(database, ids):
    ledger, report = ids["bank/ledger.py"], ids["bank/report.py"]
    uses = list(symbols.uses_of_files(database))
    assert [use[:2] for use in uses] == sorted([(ledger, ids["bank/accounts.py"]), (report, ledger)])
    assert all(weight > 0 for *_, weight in uses)


def test_a_chunk_uses_what_its_lines_name_in_other_files(database, ids):
    report, accounts = (chunk_of(database, ids[path]) for path in ("bank/report.py", "bank/accounts.py"))
    assert symbols.files_used_in(database, [report, accounts]) == {report: {ids["bank/ledger.py"]: 1.0}, accounts: {}}
    assert symbols.files_used_in(database, []) == {}


def test_a_name_that_many_files_define_tells_nothing(database, ids):
    using = chunk_of(database, ids["use.py"])
    assert symbols.files_used_in(database, [using]) == {using: {}}
