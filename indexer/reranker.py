"""Which file answers: a linear model over a handful of signals, applied to all candidate files of a search at once.

A file's score is the sum of its features times their weights; the softmax over the candidates is the chance that the file is
the one that is asked for. The weights come from `reranker_weights.json`, which benchmarks/train_reranker.py writes (its
docstring tells the loss, and docs/retrieval.md what each feature is worth). There is one mix of weights for each of four
cases: short or long questions, with or without the dense signal.

Features are shares from 0 to 1, relative to the best candidate of the same search where they are scores, and logarithms of
counts; so a weight means the same in a small and in a large repository.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from indexer.file_traits import FileTraits, traits_of
from indexer.query import Query

# By the name of a mix, its weights in the order of FEATURES.
Mixes = Mapping[str, Sequence[float]]

WEIGHTS = Path(__file__).with_name("reranker_weights.json")

# Above this many content words a question has the long mix.
MOST_WORDS_OF_SHORT = 9

FEATURES = (
    "body",  # BM25, the sum of the three best chunks
    "coverage",  # how much of the query is in one of its chunks
    "card",  # BM25 of the file card
    "name_in_query",  # how much of the file's name the query says
    "query_in_path",  # how much of the query the whole path says
    "definition",  # it defines a name that the query mentions
    "dense",  # cosine of the nearest chunk, from the worst to the best of the nearest
    "test",
    "test_asked",  # it is a test, and the query speaks of tests
    "documentation",
    "example",
    "prose",
    "main",  # how much of the code that others use lies in its top folder
    "folder",  # how much of it lies in the file's own folder
    "referred",  # how much others use what it defines
    "used",  # how much the chunks that hold the query's words use what it defines
    "uses",  # how much it uses the files that hold the query's words; nothing for what is no source
    "lines",
)

# Two stems are taken for one word when one begins with the other and has at least this many letters: read and reader.
_SHORTEST_PREFIX = 4

_TEST_STEMS = frozenset(("test", "spec", "fixtur"))


@dataclass(frozen=True, slots=True)
class FileEvidence:
    """What the signals found out about one file. chunk_scores: BM25 of its chunks, best first; used: how much the best chunks
    of all files use what it defines; uses: the other candidates that it uses; dense: cosine of its nearest chunk, or None when
    it is not among the nearest."""

    file_id: int
    path: str
    language: str
    lines: int
    referred: float
    main: float
    folder: float
    chunk_scores: tuple[float, ...] = ()
    coverage: float = 0.0
    card: float = 0.0
    definition: float = 0.0
    used: float = 0.0
    uses: frozenset[int] = frozenset()
    dense: float | None = None

    @property
    def traits(self) -> FileTraits:
        return traits_of(self.path, self.language)

    @property
    def body(self) -> float:
        """BM25, the sum of its three best chunks."""
        return sum(self.chunk_scores[:3])


def file_features(query: Query, files: Sequence[FileEvidence], rarity: Mapping[str, float]) -> list[tuple[float, ...]]:
    """The FEATURES of each file, relative to the others. rarity: of the query's stems and of the stems in the files' names."""
    scale = _Scale.of(query, files, rarity)
    return [_features(file, scale) for file in files]


@dataclass(frozen=True, slots=True)
class _Scale:
    """What the features of one search are measured against. meant: the query's stems that each word of a path means."""

    stems: Mapping[str, float]
    total: float
    meant: Mapping[str, Sequence[str]]
    rarity: Mapping[str, float]
    asks_for_tests: bool
    body: float
    card: float
    used: float
    uses: Mapping[int, float]
    dense_least: float
    dense_most: float

    @classmethod
    def of(cls, query: Query, files: Sequence[FileEvidence], rarity: Mapping[str, float]) -> _Scale:
        dense = [file.dense for file in files if file.dense is not None]
        stems = {stem: weight * rarity[stem] for stem, weight in query.stems.items()}
        bodies = {file.file_id: file.body for file in files}
        uses = {file.file_id: _weight_of_uses(file, bodies) for file in files}
        most_used = _most(uses.values())
        return cls(
            stems=stems,
            total=sum(stems.values()) or 1.0,
            meant=_meant(stems, set().union(*(file.traits.place | file.traits.name for file in files))),
            rarity=rarity,
            asks_for_tests=any(stem in _TEST_STEMS for stem in query.stems),
            body=_most(file.body for file in files),
            card=_most(file.card for file in files),
            used=_most(file.used for file in files),
            uses={file_id: weight / most_used for file_id, weight in uses.items()},
            dense_least=min(dense, default=0.0),
            dense_most=max(dense, default=1.0),
        )

    def said_by(self, words: frozenset[str]) -> float:
        """The share of the query, by rarity, that is among these stems."""
        found = {stem for word in words & self.meant.keys() for stem in self.meant[word]}
        return sum(self.stems[stem] for stem in found) / self.total

    def says(self, words: frozenset[str]) -> float:
        """The share of these stems, by rarity, that the query says."""
        said = words & self.meant.keys()
        if not said:
            return 0.0
        return sum(self.rarity[word] for word in said) / (sum(self.rarity[word] for word in words) or 1.0)

    def nearness(self, dense: float | None) -> float:
        span = self.dense_most - self.dense_least
        return 0.0 if dense is None or not span else (dense - self.dense_least) / span


def _meant(stems: Iterable[str], words: Iterable[str]) -> dict[str, list[str]]:
    """For each of the words' stems, those of the query's stems that are the same word; without those that mean none."""
    heads: dict[str, list[str]] = defaultdict(list)
    for stem in stems:
        heads[stem[:_SHORTEST_PREFIX]].append(stem)
    meant = {}
    for word in words:
        near = heads.get(word[:_SHORTEST_PREFIX], ())
        if same := [stem for stem in near if stem.startswith(word) or word.startswith(stem)]:
            meant[word] = same
    return meant


def _features(file: FileEvidence, scale: _Scale) -> tuple[float, ...]:
    traits = file.traits
    return (
        file.body / scale.body,
        file.coverage,
        file.card / scale.card,
        scale.says(traits.name),
        scale.said_by(traits.place),
        file.definition,
        scale.nearness(file.dense),
        float(traits.test),
        float(traits.test and scale.asks_for_tests),
        float(traits.documentation),
        float(traits.example),
        float(traits.prose),
        file.main,
        file.folder,
        math.log1p(file.referred),
        file.used / scale.used,
        scale.uses[file.file_id],
        math.log1p(file.lines),
    )


def _weight_of_uses(file: FileEvidence, bodies: Mapping[int, float]) -> float:
    """How much a source file uses those that hold the query's words: the sum of the squares of their bodies."""
    traits = file.traits
    if traits.test or traits.example or traits.documentation:
        return 0.0
    return sum(bodies[used] ** 2 for used in file.uses)


def mix_name(query: Query, dense: bool) -> str:
    """Which weights a query has."""
    return ("long" if len(query.words) > MOST_WORDS_OF_SHORT else "short") + ("_dense" if dense else "")


@cache
def shipped_mixes() -> Mixes:
    """The mixes of reranker_weights.json; a feature that a mix does without has 0."""
    mixes = json.loads(WEIGHTS.read_text(encoding="utf-8"))["mixes"]
    return {name: tuple(float(mix.get(feature, 0.0)) for feature in FEATURES) for name, mix in mixes.items()}


def with_more_say(weights: Sequence[float], feature: str, times: float) -> Sequence[float]:
    """The same weights but for one feature's, which is so many times as large."""
    return [weight * times if name == feature else weight for name, weight in zip(FEATURES, weights, strict=True)]


def score(features: Sequence[float], weights: Sequence[float]) -> float:
    """A file's score, in logits: higher is likelier."""
    return sum(feature * weight for feature, weight in zip(features, weights, strict=True))


def chances(scores: Sequence[float]) -> list[float]:
    """The softmax of the files' scores: they sum to 1."""
    highest = max(scores, default=0.0)
    exponentials = [math.exp(value - highest) for value in scores]
    total = sum(exponentials)
    return [value / total for value in exponentials]


def _most(values: Iterable[float]) -> float:
    """The highest value, or 1 where none is above 0, so that it can be divided by."""
    return max(values, default=0.0) or 1.0
