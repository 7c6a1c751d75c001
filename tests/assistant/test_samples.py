"""Sample questions: about central definitions of the code itself, one a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from assistant.samples import HOW_MANY, Sample, samples
from tests.indexer.builds import Bench

CLASSES = ("Warehouse", "Delivery", "Invoice", "Customer")
FUNCTIONS = ("reserve_stock", "print_label", "send_reminder", "round_price")


def defining(name: str) -> str:
    return f"class {name}:\n    pass\n" if name[0].isupper() else f"def {name}():\n    return 1\n"


def using(*names: str) -> str:
    imports = "".join(f"from shop.{name.lower()} import {name}\n" for name in names)
    return imports + "\n\ndef use():\n" + "".join(f"    {name}()\n" for name in names)


def shop(*names: str, **more: str) -> dict[str, str]:
    """Each name is defined in a file of its own, and used in two others."""
    files = {f"shop/{name.lower()}.py": defining(name) for name in names}
    return {**files, "shop/first.py": using(*names), "shop/second.py": using(*names), **more}


def asked_about(folder: Path, files: Mapping[str, str]) -> tuple[Sample, ...]:
    return samples(Bench(folder, files).build_without_vectors())


def test_types_and_functions_take_turns_and_no_file_is_asked_about_twice(tmp_path: Path) -> None:
    found = asked_about(tmp_path, shop(*CLASSES, *FUNCTIONS))
    assert len(found) == HOW_MANY
    assert [sample.symbol in CLASSES for sample in found] == [True, False, True, False, True]
    assert len({sample.path for sample in found}) == HOW_MANY
    for sample in found:
        assert sample.symbol in sample.question and sample.question.endswith("?")
        assert (sample.path, sample.line) == (f"shop/{sample.symbol.lower()}.py", 1)


def test_where_there_are_only_functions_all_questions_are_about_functions(tmp_path: Path) -> None:
    found = asked_about(tmp_path, shop(*FUNCTIONS))
    assert {sample.symbol for sample in found} == set(FUNCTIONS)
    assert len({sample.question.replace(sample.symbol, "…") for sample in found}) > 1


def test_what_is_named_in_more_files_comes_first(tmp_path: Path) -> None:
    files = shop("reserve_stock", "print_label")
    found = asked_about(tmp_path, {**files, "shop/third.py": using("print_label")})
    assert [sample.symbol for sample in found] == ["print_label", "reserve_stock"]


@pytest.mark.parametrize("folder", ["tests", "shop/testing", "examples", "docs", "vendor", "app/migrations"])
def test_nobody_is_asked_about_what_stands_beside_the_code(tmp_path: Path, folder: str) -> None:
    files = shop("print_label")
    files[f"{folder}/reserve.py"] = defining("reserve_stock")
    for user in ("shop/third.py", "shop/fourth.py", "shop/fifth.py"):
        files[user] = using("reserve_stock")
    assert [sample.symbol for sample in asked_about(tmp_path, files)] == ["print_label"]


def test_private_ambiguous_and_unused_names_make_no_questions(tmp_path: Path) -> None:
    files = shop("_internal_thing", "print_label")
    files |= {"a/twice.py": defining("defined_twice"), "b/twice.py": defining("defined_twice")}
    files |= {"c/third.py": using("defined_twice"), "c/never.py": defining("never_used")}
    assert [sample.symbol for sample in asked_about(tmp_path, files)] == ["print_label"]


def test_an_empty_repository_and_one_that_can_not_be_read_have_none(tmp_path: Path) -> None:
    assert asked_about(tmp_path / "empty", {"README.md": "# Nothing yet\n"}) == ()
    assert samples(tmp_path / "missing") == ()


def test_a_damaged_snapshot_has_none_and_is_read_again_when_it_is_whole(tmp_path: Path) -> None:
    snapshot = Bench(tmp_path, shop("print_label")).build_without_vectors()
    whole = (snapshot / "chunks.sqlite3").read_bytes()
    (snapshot / "chunks.sqlite3").write_bytes(b"damaged" * 1000)
    assert samples(snapshot) == ()
    (snapshot / "chunks.sqlite3").write_bytes(whole)
    assert [sample.symbol for sample in samples(snapshot)] == ["print_label"]
