"""Vectors that come in the background: their order, what a search sees of them meanwhile, and what an interruption leaves."""

from __future__ import annotations

import re

import numpy as np
import pytest

from indexer import embedding
from indexer.dense import SnapshotVectors
from indexer.embedded_texts import card_text
from indexer.embedder import HashingEmbedder
from indexer.errors import BuildCancelled
from indexer.retriever import Retriever
from indexer.snapshot import SnapshotReader
from indexer.types import Chunk, Definition, ParsedFile

from .builds import Bench, Hooks

pytestmark = pytest.mark.integration


def module(name: str, functions: int, uses: str = "") -> str:
    lines = [f'"""The {name}."""', f"from {uses} import {uses}0" if uses else ""]
    for number in range(functions):
        body = f"    return {uses}0({number})\n" if uses else f"    return {number}\n"
        lines.append(f'def {name}{number}():\n    """{name} takes step {number}."""\n{body * 60}')
    return "\n\n".join(lines)


FILES = {
    "aside.py": module("aside", 4),
    "kernel.py": module("kernel", 4),
    "tests/test_kernel.py": module("trial", 4, uses="kernel"),
    "users/one.py": module("first", 4, uses="kernel"),
    "users/two.py": module("second", 4, uses="kernel"),
}


class Recording(HashingEmbedder):
    """Remembers what it embedded, two texts at a time."""

    portion = 2

    def __init__(self) -> None:
        self.texts: list[str] = []

    def encode_documents(self, texts):
        self.texts += texts
        return super().encode_documents(texts)


@pytest.fixture
def recording(monkeypatch):
    embedder = Recording()
    monkeypatch.setattr("indexer.build.make_embedder", lambda name: embedder)
    monkeypatch.setattr(embedding, "FIRST_PARTIAL", 4)
    return embedder


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path, FILES)


def first_words(texts: list[str]) -> list[str]:
    return list(dict.fromkeys(text.split()[0].rstrip(":") for text in texts))


def test_the_most_central_files_are_embedded_first_and_tests_last(bench, recording):
    report = bench.build()
    assert report.chunks > 15
    order = first_words(recording.texts)
    assert order[0] == "kernel.py"
    assert order[-1] == "test_kernel.py"


def test_the_cards_of_files_that_wait_for_several_vectors_come_before_all_chunks(bench, recording, monkeypatch):
    report = bench.build()
    cards = recording.texts[: len(FILES)]
    assert {re.sub(r"\d+", "", card.split()[-1]) for card in cards} == {"aside", "kernel", "trial", "first", "second"}
    assert len(recording.texts) == report.chunks + len(FILES)
    assert report.embedded == report.chunks


def test_nothing_at_all_is_embedded_when_a_folder_is_renamed_and_one_changed_file_is_all_that_is(bench, recording, monkeypatch):
    bench.build()
    recording.texts.clear()
    (bench.source / "users").rename(bench.source / "people")
    assert bench.build().embedded == 0
    assert recording.texts == []
    (bench.source / "aside.py").write_text(FILES["aside.py"].replace("takes step 2", "takes another step"))
    report = bench.build()
    assert 0 < report.embedded < 4
    assert first_words(recording.texts) == ["aside.py"]


def test_a_search_uses_what_is_embedded_so_far_tells_the_coverage_and_sees_each_addition(bench, recording):
    retriever = Retriever(recording, device="cpu")
    seen: list[tuple[int, int, bool]] = []
    published = []

    def look(progress):
        if published:
            result = retriever.search(published[0], "the kernel takes a step")
            dense = any(origin.signal == "dense" for passage in result.passages for origin in passage.origins)
            seen.append((result.embedded, progress.done, dense))
            assert result.chunks >= progress.done

    report = bench.build(Hooks(published=published.append, progress=look))
    counts = [embedded for embedded, _, _ in seen]
    assert counts == sorted(counts)
    assert counts[0] == 0 < counts[len(counts) // 2] < report.chunks
    assert all(embedded <= done for embedded, done, _ in seen)
    assert all(dense for embedded, _, dense in seen if embedded)
    assert counts[-1] == report.chunks
    assert not (bench.live / "vectors-partial.faiss").exists()
    retriever.close()


def test_a_file_whose_chunks_have_no_vector_yet_is_found_by_its_card(bench, recording, monkeypatch):
    published = []

    def stopped() -> bool:
        return bool(published) and (published[0] / "cards.faiss").exists()

    with pytest.raises(BuildCancelled):
        bench.build(Hooks(published=published.append, cancelled=stopped))
    retriever = Retriever(recording, device="cpu")
    result = retriever.search(published[0], "aside aside0 aside1")
    assert result.vectors
    assert result.embedded == 0
    (dense,) = [step.detail for step in result.steps if step.name == "Dense"]
    assert "4 near chunks" in dense
    assert f"0 of {result.chunks} chunks have a vector so far" in dense
    found = {(origin.signal, origin.rank): passage.path for passage in result.passages for origin in passage.origins}
    assert found["dense", 1] == "aside.py"
    retriever.close()
    bench.live = published[0]
    recording.texts.clear()
    report = bench.build()
    assert len(recording.texts) == report.embedded
    assert sorted(path.name for path in bench.live.iterdir()) == [
        "cards.faiss",
        "chunks.sqlite3",
        "manifest.json",
        "vectors.faiss",
        "words.bin",
    ]


def test_a_search_that_opened_a_part_goes_on_with_the_whole_when_it_appears(bench, recording):
    published = []

    def stopped() -> bool:
        return bool(published) and (published[0] / "vectors-partial.faiss").exists()

    with pytest.raises(BuildCancelled):
        bench.build(Hooks(published=published.append, cancelled=stopped))
    retriever = Retriever(recording, device="cpu")
    part = retriever.search(published[0], "second takes step 3")
    assert 0 < part.embedded < part.chunks
    bench.live = published[0]
    bench.build()
    whole = retriever.search(published[0], "second takes step 3")
    assert whole.embedded == whole.chunks == part.chunks
    retriever.close()


def test_a_narrow_scope_gets_its_near_chunks_however_many_are_nearer_elsewhere(tmp_path):
    files = {f"a/part{n}.py": f'def refund{n}():\n    """Refund the payment."""\n' for n in range(150)}
    bench = Bench(tmp_path, files | {"z/other.py": 'def cancel():\n    """Take the payment back, perhaps."""\n'})
    bench.build()
    retriever = Retriever(HashingEmbedder(), device="cpu")
    (passage,) = retriever.search(bench.live, "refund the payment", scope="z").passages
    assert "dense" in {origin.signal for origin in passage.origins}
    retriever.close()


def test_a_card_says_what_a_file_is_and_not_where_it_lies():
    definition = Definition("connect", "Client.connect", "method", 3, 3, 4, "def connect():")
    parsed = ParsedFile("python", "", (Chunk(1, 4, "", "module", ""),), (definition,), header="Talks to   servers. ------")
    assert card_text("src/net/client.py", parsed) == "client.py Talks to servers. - connect"
    assert card_text("lib/client.py", parsed) == card_text("src/net/client.py", parsed)


def test_each_file_is_compared_with_the_question_by_its_card_whatever_its_chunks_are(bench, recording):
    bench.build()
    with SnapshotReader(bench.live) as reader:
        vectors = SnapshotVectors(reader, "cpu")
        near = vectors.search(recording.encode_query("aside aside0 aside1"), 2, None, None)
        ids = dict(reader.connection.execute("SELECT path, id FROM files"))
        files = np.array([ids["kernel.py"], 10_000, ids["aside.py"]])
        kernel, unknown, aside = near.of_cards(files)
        card = recording.encode_documents([card_text("aside.py", reader.parsed("aside.py"))])[0]
        vectors.close()
    assert aside == pytest.approx(float(card @ near.vector), abs=1e-3)
    assert kernel < aside
    assert np.isnan(unknown)
    assert len(near.of_cards(files[:0])) == 0
