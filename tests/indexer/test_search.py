"""Whole searches in real snapshots of tiny repositories: what comes first, why, and what a search says about itself."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.embedder import HashingEmbedder
from indexer.errors import EmbedderError, PatternError, SnapshotError
from indexer.retriever import _OPEN_SNAPSHOTS, Retriever
from indexer.types import SearchResult

from .builds import SMALL, Bench

SHOP = {
    "README.md": "# Shop\n\nSells things to people.\n",
    "shop/__init__.py": '"""The shop."""\n',
    "shop/cart.py": '''"""What somebody is about to buy."""

from shop.prices import price_of


class Cart:
    def add_item(self, item):
        """Put an item into the cart."""
        self.items.append(item)

    def total(self):
        """The sum of all prices."""
        return sum(price_of(item) for item in self.items)
''',
    "shop/prices.py": '''"""What things cost."""


def price_of(item):
    """The price of an item, with tax."""
    return item.net * 1.2
''',
    "shop/payment/card.py": '''"""Payment by card."""

from shop.cart import Cart


def charge(cart: Cart):
    """Take the cart's total from the card, and refund it when the bank refuses."""
    return cart.total()
''',
    "shop/payment/__init__.py": "from shop.payment.card import charge\n",
    "docs/cart.md": "# The cart\n\nA cart holds items. Add an item to the cart with add_item.\n",
    "tests/test_cart.py": "from shop.cart import Cart\n\n\ndef test_add_item_to_cart():\n    Cart().add_item(1)\n",
    "examples/buy.py": "from shop.cart import Cart\n\ncart = Cart()\ncart.add_item(1)\nprint(cart.total())\n",
}


def built(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """A snapshot without vectors."""
    return Bench(folder, files).build_without_vectors()


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return built(tmp_path_factory.mktemp("shop"), SHOP)


def paths(result: SearchResult) -> list[str]:
    return list(dict.fromkeys(passage.path for passage in result.passages))


def test_a_question_in_words_finds_the_file_that_does_it(retriever, shop):
    assert paths(retriever.search(shop, "how is an item added to the cart"))[0] == "shop/cart.py"
    assert paths(retriever.search(shop, "what does a thing cost with tax"))[0] == "shop/prices.py"


def test_a_name_finds_its_definition_before_its_uses(retriever, shop):
    result = retriever.search(shop, "price_of")
    first = result.passages[0]
    assert (first.path, first.symbol) == ("shop/prices.py", "price_of")
    assert "def price_of" in first.text
    assert [origin.signal for origin in first.origins] == ["lexical", "symbol"]
    assert result.symbols == ("price_of",)


def test_a_search_tells_how_much_of_a_question_is_what_something_here_is_called(retriever, tmp_path):
    adapters = "".join(f"class {name}:\n    pass\n\n\n" for name in ("Policy", "Class", "TypeAdapter"))
    adapters += "def adapted():\n    return TypeAdapter()\n"
    snapshot = built(tmp_path, {"adapters.py": adapters, "tests/test_locks.py": "class Mutex:\n    pass\n"})

    def called(question: str) -> float:
        return retriever.search(snapshot, question).strength.called

    assert called("What is a type adapter?") == called("what are type adapters") == 1.0
    assert called("What is a type adapter factory?") == pytest.approx(2 / 3)
    assert called("what is adapted") == 0.9
    assert called("what are policies") == called("what are classes") == 1.0
    assert called("What is an adapter?") == called("What is a mutex?") == called("?") == 0.0


def test_any_spelling_of_a_name_finds_it(retriever, shop):
    for query in ("PriceOf", "priceOf", "price_of()", "`price_of`"):
        assert retriever.search(shop, query).passages[0].symbol == "price_of"


def test_names_that_differ_by_a_prime_are_two_and_each_finds_the_other_afterwards(retriever, tmp_path):
    files = {"src/Strict.hs": "sum' :: Int -> Int\nsum' x = x + sum' x\n", "src/Lazy.hs": "sum :: Int -> Int\nsum x = x\n"}
    live = Bench(tmp_path, files).build_without_vectors()
    assert [place.path for place in retriever.search(live, "sum'").passages] == ["src/Strict.hs", "src/Lazy.hs"]
    assert [place.path for place in retriever.search(live, "sum").passages] == ["src/Lazy.hs", "src/Strict.hs"]
    assert [place.path for place in retriever.search(live, "who calls sum'").passages][:1] == ["src/Strict.hs"]


def test_a_qualified_name_finds_the_member(retriever, shop):
    assert "def total" in retriever.search(shop, "Cart.total").passages[0].text


def test_of_a_file_the_member_that_a_question_names_whole_comes_first_and_a_bare_word_says_less_than_the_words_around_it(
    retriever, tmp_path
):
    told = "# A cart is closed before its orders are sold and shipped.\n" * 40
    members = "class Cart:\n    def close(self):\n        return 1\n\n\n" + "# -\n" * 300 + told + "ORDERS = 1\n"
    snapshot = built(tmp_path, {"cart.py": members})
    asked = "what does {} do before orders are sold and shipped"
    assert "def close" in retriever.search(snapshot, asked.format("Cart.close")).passages[0].text
    assert "def close" not in retriever.search(snapshot, asked.format("a cart that closes")).passages[0].text


def test_a_test_in_the_file_of_what_it_tests_comes_after_the_code_unless_tests_are_asked_for(retriever, tmp_path):
    body = "    let motion = state.cursor.move_right();\n" * 20
    move = f"/// The vi mode's motion.\npub fn advance(state: &mut State) {{\n{body}}}\n\n"
    tests = f"#[cfg(test)]\nmod tests {{\n    #[test]\n    fn vi_mode_motion() {{\n{body}    }}\n}}\n"
    snapshot = built(tmp_path, {"src/vi_mode.rs": move + tests})
    code, test, *_ = retriever.search(snapshot, "how does a motion of vi mode work").passages
    assert "pub fn advance" in code.text
    assert (code.test, test.test) == (False, True)
    assert "fn vi_mode_motion" in retriever.search(snapshot, "which test checks a motion of vi mode").passages[0].text


def test_of_a_file_what_it_does_comes_before_what_it_imports(retriever, tmp_path):
    imports = "".join(f"from .template_{name} import TemplateCache{name.title()}\n" for name in "abcdefghijklmnopqrstuvwxyz")
    code = "def store(key, text):\n" + "    # The cache keeps a template.\n" + "    entries[key] = text\n" * 30
    snapshot = built(tmp_path, {"environment.py": imports + "\n\n" + code})
    first, second, *_ = retriever.search(snapshot, "template cache").passages
    assert ("def store" in first.text, first.start_line > 1, second.start_line) == (True, True, 1)


def test_a_file_that_passes_a_name_on_comes_with_its_definition_and_one_that_only_imports_it_does_not(retriever, tmp_path):
    files = {
        "core/session.py": "class Session:\n    pass\n",
        "core/pool.py": "class Pool:\n    pass\n",
        "api/__init__.py": "from core.pool import Pool\nfrom core.session import Session\n",
        "app.py": "from core.session import Session\n\n\ndef run():\n    return Session()\n\n\ndef stop():\n    return None\n",
    }
    result = retriever.search(built(tmp_path, files), "Session")
    by_name = {place.path for place in result.passages if "symbol" in {origin.signal for origin in place.origins}}
    assert by_name == {"core/session.py", "api/__init__.py"}
    assert paths(result)[0] == "core/session.py"
    assert "1 definition of Session, passed on by 1 file" in [step.detail for step in result.steps]


def test_passing_on_what_others_than_this_repository_define_defines_nothing(retriever, tmp_path):
    files = {"core.py": "class Session:\n    pass\n", "api.py": "from tower import Layer\nfrom core import Session\n"}
    assert retriever.search(built(tmp_path, files), "Layer").symbols == ()


def test_a_path_in_the_question_comes_first(retriever, shop):
    assert paths(retriever.search(shop, "what is in examples/buy.py about the cart"))[0] == "examples/buy.py"


def test_a_line_in_the_question_chooses_the_passage(retriever, tmp_path):
    functions = "\n\n".join(f"def step{n}(value):\n" + f"    value += {n}\n" * 12 + "    return value" for n in range(20))
    snapshot = built(tmp_path, {"steps.py": functions})
    first = retriever.search(snapshot, "steps.py:200 fails").passages[0]
    assert first.start_line <= 200 <= first.end_line


def test_passages_are_best_first_and_no_more_than_asked_for(retriever, shop):
    result = retriever.search(shop, "cart item", limit=3)
    assert len(result.passages) == 3
    assert all(one.score >= other.score for one, other in pairwise(result.passages))
    assert len(retriever.search(shop, "cart item", limit=1).passages) == 1


def test_a_passage_holds_its_lines_and_every_origin_has_a_rank(retriever, shop):
    for passage in retriever.search(shop, "cart item total price").passages:
        text = SHOP[passage.path].split("\n")
        assert passage.text == "\n".join(text[passage.start_line - 1 : passage.end_line])
        assert all(origin.rank >= 1 for origin in passage.origins)


def test_a_scope_keeps_to_a_folder(retriever, shop):
    assert set(paths(retriever.search(shop, "cart total", scope="shop/payment"))) <= {
        "shop/payment/card.py",
        "shop/payment/__init__.py",
    }
    assert paths(retriever.search(shop, "cart", scope="tests/")) == ["tests/test_cart.py"]
    assert paths(retriever.search(shop, "cart", scope="./shop/cart.py")) == ["shop/cart.py"]


def test_a_scope_is_no_prefix_of_a_name(retriever, tmp_path):
    snapshot = built(tmp_path, {"app/a.py": "alpha = 1\n", "app2/b.py": "alpha = 2\n", "app.py": "alpha = 3\n"})
    assert paths(retriever.search(snapshot, "alpha", scope="app")) == ["app/a.py"]


@pytest.mark.parametrize("scope", ["nowhere", "shop/car", "../shop", "%", "shop_"])
def test_a_scope_that_holds_nothing_finds_nothing(retriever, shop, scope):
    assert retriever.search(shop, "Cart", scope=scope).passages == ()


def test_a_scope_of_slashes_is_everything(retriever, shop):
    assert retriever.search(shop, "cart", scope="/").passages == retriever.search(shop, "cart").passages


def test_what_occurs_nowhere_finds_nothing_and_is_named(retriever, shop):
    result = retriever.search(shop, "kubernetes deployment")
    assert result.passages == ()
    assert result.missing_terms == ("kubernetes", "deployment")
    assert [step.detail for step in result.steps if step.name == "Lexical"] == ["none of the words occurs"]


def test_matched_and_missing_words_are_told_apart(retriever, shop):
    result = retriever.search(shop, "does the cart use kubernetes or PriceOf or ItemOf")
    assert result.matched_terms == ("cart", "PriceOf")
    assert result.missing_terms == ("kubernetes", "ItemOf")


def test_a_follow_up_searches_with_the_question_before_it(retriever, shop):
    alone = retriever.search(shop, "and where is it tested?")
    after = retriever.search(shop, "and where is it tested?", history=["what does price_of compute"])
    assert alone.symbols == ()
    assert paths(after)[0] == "shop/prices.py"
    assert after.symbols == ("price_of",)


def test_a_question_about_everything_begins_with_the_readme(retriever, shop):
    found = paths(retriever.search(shop, "what does this project do"))
    assert found[:2] == ["README.md", "shop/cart.py"]


@pytest.mark.parametrize("query", ["", "   ", "???", "\0", '"'])
def test_a_question_that_says_nothing_finds_nothing(retriever, shop, query):
    assert retriever.search(shop, query).passages == ()


def test_the_steps_tell_what_each_signal_found(retriever, shop):
    steps = {step.name: step for step in retriever.search(shop, "how does price_of add tax").steps}
    assert list(steps) == ["Lexical", "Symbols", "Ranking"]
    assert steps["Symbols"].detail == "1 definition of price_of"
    assert steps["Lexical"].detail.endswith(" for tax, price, of, priceof, add")
    assert all(step.took_ms >= 0 for step in steps.values())


def test_the_same_search_gives_the_same_result(retriever, shop):
    one, other = retriever.search(shop, "cart item total"), Retriever().search(shop, "cart item total")
    assert one.passages == other.passages


def test_a_search_without_vectors_says_so(retriever, shop):
    assert not retriever.search(shop, "cart").vectors


def test_a_pasted_text_of_any_length_is_searched(retriever, shop):
    pasted = "Traceback:\n" + "\n".join(f'  File "shop/cart.py", line {n}, in total{n}' for n in range(3000))
    assert paths(retriever.search(shop, pasted))[0] == "shop/cart.py"


def test_a_missing_snapshot_is_told_in_one_sentence(retriever, tmp_path):
    with pytest.raises(SnapshotError, match="holds no whole snapshot: index the repository again"):
        retriever.search(tmp_path / "nowhere", "cart")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    query=st.text(st.characters()) | st.text(st.sampled_from("acrt_.\"'`*:()/\\#->é関 \0\n")),
    scope=st.text(max_size=20),
    history=st.lists(st.text(max_size=40), max_size=2),
)
def test_any_question_scope_and_history_can_be_searched_for(retriever, shop, query, scope, history):
    try:
        result = retriever.search(shop, query, scope=scope, history=history, limit=5)
    except PatternError:
        assert query.strip().startswith("/")
        return
    assert len(result.passages) <= 5
    assert len({passage.chunk_id for passage in result.passages}) == len(result.passages)


# --- vectors ------------------------------------------------------------------------------------------------------------


class NoModel:
    """An embedder whose model can't be loaded."""

    name = cache_key = "hashing"
    dimension = 256

    def encode_documents(self, texts):
        raise EmbedderError("The embedding model can't be loaded.")

    def encode_query(self, text):
        raise EmbedderError("The embedding model can't be loaded.")


class Listening(HashingEmbedder):
    """Remembers what it was asked for."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def encode_query(self, text):
        self.asked.append(text)
        return super().encode_query(text)


@pytest.mark.integration
def test_vectors_are_not_asked_for_what_most_chunks_say_unless_nothing_else_is_said(tmp_path):
    bench = Bench(tmp_path, {f"shop/{name}.py": f"def {name}():\n    return 1\n" for name in ("refund", "charge", "order")})
    bench.build()
    embedder = Listening()
    retriever = Retriever(embedder, device="cpu")
    retriever.search(bench.live, "how does shop refund?")
    retriever.search(bench.live, "what is shop?")
    assert embedder.asked == ["how does refund?", "what is shop?"]
    retriever.close()


@pytest.mark.integration
def test_vectors_take_part_where_they_are(tmp_path):
    bench = Bench(tmp_path, SHOP)
    bench.build()
    retriever = Retriever(device="cpu")
    result = retriever.search(bench.live, "payment by card refund")
    assert result.vectors
    assert "dense" in {origin.signal for origin in result.passages[0].origins}
    assert not retriever.search(bench.live, "payment by card refund", vectors=False).vectors
    assert set(paths(retriever.search(bench.live, "payment", scope="docs"))) <= {"docs/cart.md"}
    retriever.close()


@pytest.mark.integration
def test_a_model_that_can_not_be_loaded_is_told_and_the_words_still_find(tmp_path):
    bench = Bench(tmp_path, SHOP)
    bench.build()
    retriever = Retriever(NoModel(), device="cpu")
    result = retriever.search(bench.live, "how is an item added to the cart")
    assert paths(result)[0] == "shop/cart.py"
    assert not result.vectors
    assert [step.detail for step in result.steps if step.name == "Dense"] == ["left out: The embedding model can't be loaded."]
    retriever.close()


@pytest.mark.integration
def test_vectors_that_can_not_be_read_are_told_and_the_words_still_find(tmp_path):
    bench = Bench(tmp_path, SHOP)
    bench.build()
    (bench.live / "vectors.faiss").write_bytes(b"not an index")
    result = Retriever(device="cpu").search(bench.live, "how is an item added to the cart")
    assert paths(result)[0] == "shop/cart.py"
    assert not result.vectors


@pytest.mark.integration
def test_minilm_finds_by_meaning_what_no_word_finds(tmp_path):
    bench = Bench(tmp_path, SHOP)
    bench.build(embedder="minilm")
    retriever = Retriever(device="cpu")
    question = "reimburse purchaser"
    assert retriever.search(bench.live, question, vectors=False).passages == ()
    assert "shop/payment/card.py" in paths(retriever.search(bench.live, question))[:3]
    retriever.close()


# --- sharing a retriever --------------------------------------------------------------------------------------------------


def test_threads_share_a_retriever_while_it_is_closed_again_and_again(tmp_path):
    snapshots = [built(tmp_path / str(number), SMALL | {f"m{number}.py": f"value{number} = 1\n"}) for number in range(3)]
    retriever = Retriever()
    done = threading.Event()

    def search(number: int) -> None:
        for _ in range(30):
            found = paths(retriever.search(snapshots[number % 3], f"value{number % 3}"))
            assert found[0] == f"m{number % 3}.py"

    def close_often() -> None:
        while not done.is_set():
            retriever.close()

    with ThreadPoolExecutor(9) as threads:
        closing = threads.submit(close_often)
        for searching in [threads.submit(search, number) for number in range(8)]:
            searching.result()
        done.set()
        closing.result()
    retriever.close()


def test_a_snapshot_that_a_search_is_in_closes_when_the_search_ends(shop):
    retriever = Retriever()
    with retriever._open(shop) as snapshot:
        retriever.close()
        assert snapshot.dropped
        assert snapshot.reader.connection.execute("SELECT 1").fetchone() == (1,)
        opened = list(snapshot.reader._opened)
    assert len(opened) == 1
    assert snapshot.reader._opened == []


def test_only_a_few_snapshots_stay_open(shop, tmp_path):
    retriever = Retriever()
    for number in range(_OPEN_SNAPSHOTS + 3):
        copy = tmp_path / str(number)
        shutil.copytree(shop, copy)
        assert retriever.search(copy, "price_of").passages
    assert len(retriever._snapshots) == _OPEN_SNAPSHOTS
    retriever.close()
    assert len(retriever._snapshots) == 0
