"""How well sentences without a number are matched to passages: by names, and by similarity for what names leave open.

    python -m benchmarks.uncited --sources SOURCES

SOURCES holds one folder for each repository, at the revision in `uncited/sentences.jsonl`; the README there tells the labels.
Three things are asked: what is matched as it is shipped; what border would have been chosen without each repository, and how
it does there; and what happens to the sentences whose passages are taken away, so that every match of theirs is wrong.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.claims import best_match
from assistant.code_names import Evidence
from assistant.similarity import EMBEDDER, Similarity
from benchmarks.machine import machine
from indexer.embedded_texts import shortened
from indexer.embedder import Embedder, make_embedder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SENTENCES = Path(__file__).parent / "uncited" / "sentences.jsonl"
PRECISION = 0.95
FEWER_PASSAGES = 6
SHOWN_PASSAGES = 3


@dataclass(frozen=True, slots=True)
class Sentence:
    """right: the numbers of the passages that hold what it says. kind: "names", "paraphrase" or "none"."""

    repository: str
    text: str
    kind: str
    right: frozenset[int]
    similarity: Similarity

    @property
    def passages(self) -> Sequence[Evidence]:
        return self.similarity.evidence


@dataclass(frozen=True, slots=True)
class Told:
    """likeliest: the passage that is most similar, whether or not its certainty is enough."""

    sentence: Sentence
    by_name: Evidence | None
    similar: Evidence | None
    likeliest: Evidence | None
    certainty: float

    def is_right(self, evidence: Evidence | None) -> bool:
        return evidence is not None and evidence.number in self.sentence.right


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=Path, required=True, help="one folder for each repository")
    options = parser.parse_args()
    embedder = make_embedder(EMBEDDER)
    print(machine())
    began = time.process_time()
    sentences = list(read(options.sources, embedder))
    told = [tell(sentence) for sentence in sentences]
    took_ms = (time.process_time() - began) * 1000
    repositories = len({one.repository for one in sentences})
    print(f"{len(told)} sentences of {repositories} repositories; {took_ms / len(told):.1f} ms of processor time each\n")
    print(f"{'':40}{'matched':>9}{'right':>7}{'of':>6}{'precision':>11}{'recall':>8}")
    report("by names", told, lambda one: one.by_name)
    report("by similarity, what names leave open", told, lambda one: one.similar)
    for kind in ("names", "paraphrase"):
        here = [one for one in told if one.sentence.kind == kind]
        report(f"both, kind {kind}", here, lambda one: one.by_name or one.similar)
    report("both", told, lambda one: one.by_name or one.similar)
    report_held_out(told)
    fewer = [tell(one) for one in map(with_fewer_passages, sentences)]
    report(f"both, among {FEWER_PASSAGES} passages", fewer, lambda one: one.by_name or one.similar)
    few = [tell(one) for one in map(with_few_shown, sentences)]
    report(f"both, {SHOWN_PASSAGES} shown, the others dropped", few, lambda one: one.by_name or one.similar)
    without = [tell(without_the_right(sentence)) for sentence in sentences if sentence.right]
    by_name, similar = (sum(getattr(one, way) is not None for one in without) for way in ("by_name", "similar"))
    print(f"\n{len(without)} sentences without their own passages: {by_name} are matched by names, {similar} by similarity")
    for one in told:
        if (found := one.by_name or one.similar) is not None and not one.is_right(found):
            print(f"wrong: {one.sentence.repository}, {found.path}:{found.start_line}: {one.sentence.text}")


def read(sources: Path, embedder: Embedder) -> Iterator[Sentence]:
    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        return embedder.encode_documents([shortened(text) for text in texts])

    for line in SENTENCES.read_text(encoding="utf-8").splitlines():
        asked = json.loads(line)
        passages = [
            _evidence(number, sources / asked["repository"], **place) for number, place in enumerate(asked["passages"], 1)
        ]
        similarity = Similarity(passages, encode)
        for each in asked["sentences"]:
            yield Sentence(asked["repository"], each["text"], each["kind"], frozenset(each["tells_of"]), similarity)


def _evidence(number: int, folder: Path, path: str, start_line: int, end_line: int, symbol: str) -> Evidence:
    lines = (folder / path).read_text(encoding="utf-8", errors="replace").split("\n")
    return Evidence(number, path, start_line, end_line, symbol, "\n".join(lines[start_line - 1 : end_line]))


def tell(sentence: Sentence) -> Told:
    by_name = best_match(sentence.text, sentence.passages)
    if by_name is not None:
        return Told(sentence, by_name, None, None, 0.0)
    similarity = sentence.similarity
    return Told(sentence, None, similarity.best(sentence.text), *similarity.likeliest(sentence.text))


def with_fewer_passages(sentence: Sentence) -> Sentence:
    """The first passages, and the right ones among the others in place of the last."""
    first = sentence.passages[:FEWER_PASSAGES]
    right = [passage for passage in sentence.passages[FEWER_PASSAGES:] if passage.number in sentence.right]
    return among(sentence, [*first[: FEWER_PASSAGES - len(right)], *right])


def with_few_shown(sentence: Sentence) -> Sentence:
    """The right passages and the first others are shown, and the rest was found and dropped, as for a small model."""
    shown = sorted(sentence.passages, key=lambda passage: passage.number not in sentence.right)[:SHOWN_PASSAGES]
    dropped = [passage for passage in sentence.passages if passage not in shown]
    return replace(sentence, similarity=Similarity(shown, sentence.similarity.encode, dropped))


def without_the_right(sentence: Sentence) -> Sentence:
    return among(sentence, [passage for passage in sentence.passages if passage.number not in sentence.right])


def among(sentence: Sentence, passages: Sequence[Evidence]) -> Sentence:
    return replace(sentence, similarity=Similarity(passages, sentence.similarity.encode))


def report(name: str, told: Iterable[Told], matched: Callable[[Told], Evidence | None]) -> None:
    told = list(told)
    found = [(one, matched(one)) for one in told]
    said = sum(evidence is not None for _, evidence in found)
    right = sum(one.is_right(evidence) for one, evidence in found)
    possible = sum(bool(one.sentence.right) for one in told)
    print(f"{name:40}{said:9}{right:7}{possible:6}{right / max(said, 1):11.3f}{right / possible:8.3f}")


def report_held_out(told: Sequence[Told]) -> None:
    said = right = 0
    borders = []
    for repository in sorted({one.sentence.repository for one in told}):
        borders.append(border([one for one in told if one.sentence.repository != repository]))
        here = [one for one in told if one.sentence.repository == repository and one.certainty >= borders[-1]]
        said += len(here)
        right += sum(one.is_right(one.likeliest) for one in here)
    name = f"similarity, borders {min(borders):.2f} to {max(borders):.2f} held out"
    possible = sum(bool(one.sentence.right) for one in told)
    print(f"{name:40}{said:9}{right:7}{possible:6}{right / max(said, 1):11.3f}{right / possible:8.3f}")


def border(told: Sequence[Told]) -> float:
    """The lowest certainty from which on PRECISION of the likeliest passages are right."""
    lowest, right = float("inf"), 0
    for count, one in enumerate(sorted(told, key=lambda one: -one.certainty), 1):
        if not one.certainty:
            break
        right += one.is_right(one.likeliest)
        if right / count >= PRECISION:
            lowest = one.certainty
    return lowest


if __name__ == "__main__":
    main()
