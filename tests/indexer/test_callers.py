"""Who calls what a question names, as passages beside those that were found."""

from __future__ import annotations

import pytest

from indexer.callers import _LONGEST, MOST_CALLERS

from .builds import Bench

PRICES = '''"""What things cost."""


def price_of(item):
    """The price of an item, with tax."""
    return item.net * 1.2
'''
CART = '''from shop.prices import price_of


class Cart:
    def total(self):
        """All of it."""
        return sum(price_of(item) for item in self.items)

    def is_empty(self):
        return not self.items
'''
LONG = "from shop.prices import price_of\n\n\ndef report(items):\n" + "".join(
    f"    print({n})\n" if n != 150 else "    print(price_of(items[0]))\n" for n in range(300)
)
SHOP = {
    "shop/prices.py": PRICES,
    "shop/cart.py": CART,
    "shop/long.py": LONG,
    "web/page.py": "from shop.prices import price_of\n\n\ndef show(item):\n    return price_of(item)\n",
    "tests/test_prices.py": "from shop.prices import price_of\n\n\ndef test_price():\n    assert price_of(1)\n",
    **{
        f"many/m{n}.py": f"from shop.prices import price_of\n\n\ndef use{n}(item):\n    return price_of(item)\n"
        for n in range(9)
    },
}

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("shop"), SHOP).build_without_vectors()


def search(retriever, shop, question="price_of", **more):
    return retriever.search(shop, question, limit=1, callers=True, **more)


def test_the_callers_of_what_is_asked_about_are_found_beside_its_definition(retriever, shop):
    result = search(retriever, shop, scope="shop")
    assert [passage.path for passage in result.passages] == ["shop/prices.py"]
    total, report = result.callers
    assert (total.path, total.symbol, total.start_line, total.end_line) == ("shop/cart.py", "Cart.total", 5, 7)
    assert total.text == "\n".join(CART.split("\n")[4:7])
    assert ([origin.signal for origin in total.origins], total.marked) == (["caller"], (7,))
    assert [step.detail for step in result.steps if step.name == "Callers"] == ["2 more definitions call what is asked about"]
    assert (report.symbol, report.marked, report.end_line - report.start_line + 1) == ("report", (155,), _LONGEST)
    assert report.start_line < 155 < report.end_line


def test_they_keep_to_the_filters_to_a_number_and_leave_tests_out(retriever, shop):
    assert len(search(retriever, shop).callers) == MOST_CALLERS
    assert [passage.path for passage in search(retriever, shop, scope="web").callers] == []
    everywhere = retriever.search(shop, "price_of", limit=1, callers=True)
    assert not any(passage.path.startswith("tests/") for passage in everywhere.callers)


def test_what_was_found_already_is_no_caller_again(retriever, shop):
    result = retriever.search(shop, "price_of", limit=30, callers=True, scope="shop")
    shown = {(passage.path, line) for passage in result.passages for line in range(passage.start_line, passage.end_line + 1)}
    assert not any((caller.path, line) in shown for caller in result.callers for line in caller.marked)


@pytest.mark.parametrize("question", ["is_empty", "what things cost", "who calls price_of", "/net/"])
def test_without_a_name_or_without_callers_there_are_none(retriever, shop, question):
    assert search(retriever, shop, question, scope="shop").callers == ()


def test_nobody_who_does_not_ask_for_them_pays_for_them(retriever, shop):
    assert retriever.search(shop, "price_of", limit=1).callers == ()
