"""Which file a name means that another file uses: between all files, and from one chunk."""

from __future__ import annotations

import pytest

from indexer import file_uses
from indexer.file_uses import MOST_DEFINING, MOST_MEANT, FileNames, FileUses, NamesOfFiles, files_used_in, uses_of_files

from .builds import reading

FILES = {
    "bank/accounts.py": "class Account:\n    def withdraw(self):\n        return self.balance\n",
    "bank/ledger.py": "from bank.accounts import Account\n\n\ndef post(entry):\n    return Account().withdraw()\n",
    "bank/report.py": "from bank.ledger import post\n\n\ndef report():\n    return post(1)\n",
    # Two definitions of one name: one is imported, one lies beside its use, one is its file's own.
    "one/scale.py": "def weigh():\n    return 1\n",
    "two/scales.py": "def weigh():\n    return 2\n",
    "far/importing.py": "from one import scale\n\n\ndef first():\n    return scale.weigh()\n",
    "two/beside.py": "def second():\n    return weigh()\n",
    "far/own.py": "def weigh():\n    return 3\n\n\ndef third():\n    return weigh()\n",
    "elsewhere/open.py": "def fourth():\n    return weigh()\n",
    # A header tells who declares a name, not who defines it.
    "c/door.h": "int open_door(void);\n",
    "c/unix.c": '#include "door.h"\nint open_door(void) {\n  return 1;\n}\n',
    "d/main.c": '#include "door.h"\nint main(void) {\n  return open_door();\n}\n',
    **{f"few{number}/common.py": "def seldom():\n    return 1\n" for number in range(MOST_MEANT + 1)},
    **{f"many{number}/common.py": "def often():\n    return 1\n" for number in range(MOST_DEFINING + 1)},
    # Files that pass on what others define, and one that imports as much and uses it.
    "ring/mod.rs": "mod alloy;\npub use alloy::Alloy;\npub use crate::gem::Gem;\npub use self::metal::*;\n",
    "ring/alloy.rs": "pub struct Alloy;\n",
    "ring/metal.rs": "pub struct Gold;\n",
    "ring/__init__.py": "from .finger import *\n",
    "ring/finger.py": "class Finger:\n    pass\n",
    "gem.rs": "pub struct Gem;\n",
    "ring/Bank.hs": "module Bank (module Vault) where\n\nimport Vault\n",
    "ring/Vault.hs": "module Vault where\n\ncoins :: Int\ncoins = 3\n",
    "ring/index.ts": 'export { Stone } from "./stone"\nexport * from "./setting"\n',
    "ring/stone.ts": "export class Stone {}\n",
    "ring/setting.ts": "export class Setting {}\n",
    "ring/shop.ts": 'import { Stone } from "./stone"\nexport const one = new Stone()\nexport const two = polish(new Stone())\n',
    "use.py": "def use():\n    return seldom()\n",
    "few1/beside.py": "def use():\n    return seldom()\n",
    "many1/beside.py": "def use():\n    return often()\n",
}


reader = reading(FILES)


@pytest.fixture
def ids(reader):
    return {path: file_id for file_id, path in reader.connection.execute("SELECT id, path FROM files")}


def all_uses(reader) -> FileUses:
    def column(query: str, file_id: int) -> list[str]:
        return [name for (name,) in reader.connection.execute(f"SELECT name FROM {query} AND file_id = ?", (file_id,))]

    names = NamesOfFiles()
    for file_id, path, language in reader.connection.execute("SELECT id, path, language FROM files ORDER BY id").fetchall():
        queries = (
            "refs WHERE 1",
            "refs WHERE kind = 'import'",
            "definitions WHERE 1",
            "definitions WHERE name = qualified_name",
        )
        names.add(path, language, FileNames(*(column(query, file_id) for query in queries)))
    return uses_of_files(names)


def used_by(reader, ids, path: str) -> dict[str, float]:
    """By path, what the file uses, told by all files' uses, and in the same way by the search of its chunks."""
    paths = {file_id: path for path, file_id in ids.items()}
    uses = all_uses(reader).uses
    found = {paths[used]: weight for file, used, weight in uses.tolist() if file == ids[path]}
    table = reader.lexical.table
    chunks = [chunk for (chunk,) in reader.connection.execute("SELECT id FROM chunks WHERE file_id = ?", (ids[path],))]
    by_chunk = files_used_in(reader.connection, chunks, table.imports, table.files["folder_number"])
    assert {paths[used] for used_there in by_chunk.values() for used in used_there} == set(found)
    return found


def test_a_file_uses_those_that_define_what_it_names(reader, ids):
    assert used_by(reader, ids, "bank/ledger.py") == {"bank/accounts.py": 2.0}
    assert used_by(reader, ids, "bank/report.py") == {"bank/ledger.py": 1.0}
    assert used_by(reader, ids, "bank/accounts.py") == {}


def test_a_name_means_a_definition_in_its_own_file_before_all_others(reader, ids):
    assert used_by(reader, ids, "far/own.py") == {}


def test_a_name_means_what_its_file_imports_before_the_others(reader, ids):
    assert used_by(reader, ids, "far/importing.py") == {"one/scale.py": 1.0}


def test_a_name_means_what_lies_beside_it_before_what_is_elsewhere(reader, ids):
    assert used_by(reader, ids, "two/beside.py") == {"two/scales.py": 1.0}


def test_a_name_that_stays_open_is_divided_among_the_files_that_define_it(reader, ids):
    third = pytest.approx(1 / 3)
    assert used_by(reader, ids, "elsewhere/open.py") == {"one/scale.py": third, "two/scales.py": third, "far/own.py": third}


def test_that_a_header_is_included_does_not_make_it_the_definition(reader, ids):
    assert used_by(reader, ids, "d/main.c") == {"c/door.h": 0.5, "c/unix.c": 0.5}


def test_a_name_that_may_mean_many_files_tells_nothing_unless_one_lies_beside_it(reader, ids):
    assert used_by(reader, ids, "use.py") == {}
    assert used_by(reader, ids, "few1/beside.py") == {"few1/common.py": 1.0}


def test_a_name_that_very_many_files_define_is_not_looked_into(reader, ids):
    assert used_by(reader, ids, "many1/beside.py") == {}


def test_a_file_that_imports_more_than_it_defines_and_uses_passes_on_what_others_define(reader, ids):
    paths = {file_id: path for path, file_id in ids.items()}
    passed_on = all_uses(reader).passed_on.tolist()
    found = {(paths[pair >> 32], paths[pair & 0xFFFFFFFF]) for pair in passed_on if paths[pair >> 32].startswith("ring/")}
    assert found == {
        ("ring/mod.rs", "ring/alloy.rs"),
        ("ring/mod.rs", "ring/metal.rs"),
        ("ring/mod.rs", "gem.rs"),
        ("ring/__init__.py", "ring/finger.py"),
        ("ring/Bank.hs", "ring/Vault.hs"),
        ("ring/index.ts", "ring/stone.ts"),
        ("ring/index.ts", "ring/setting.ts"),
    }


def test_no_chunks_use_nothing(reader):
    nothing = FileUses.none()
    assert files_used_in(reader.connection, [], nothing.imports, reader.lexical.table.files["folder_number"]) == {}


def test_uses_told_in_portions_are_the_same(reader, monkeypatch):
    whole = all_uses(reader)
    monkeypatch.setattr(file_uses, "_USES_TOGETHER", 3)
    assert all_uses(reader).uses.tolist() == whole.uses.tolist()
    assert len(whole.uses) > 3
