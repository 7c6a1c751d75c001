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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer.file_table import FileTable, Meant, Rows
from indexer.query import Query

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
    "folder_in_query",  # how much of its own folder's name the query says
    "definition",  # it defines a name that the query mentions
    "dense",  # how near its nearest chunk and its card are, for as much of the query as no path and no definition says
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
    "passed_on",  # how well the best of the files whose definitions it passes on holds the query's words
    "lines",
)

# Added to the rarity of a file's or folder's name: one that is a common word here, such as the project's own, tells little when
# it is said.
_COMMON_NAME = 0.5
# Of the candidates' cards: what lies farther than the fifth that lies farthest is just far.
_FAR_CARDS = 0.2
_TEST_STEMS = frozenset(("test", "spec", "fixtur"))


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What the signals found out about n candidate files, as arrays (n,), by file id.

    body: BM25, the sum of the three best chunks; coverage: the share of the query that is in one chunk; used: how much the best
    chunks of all files use what it defines; dense: cosine of its nearest chunk, NaN when it is not among the nearest;
    dense_card: cosine of its card, NaN when that has no vector.
    """

    ids: NDArray[np.int64]
    body: NDArray[np.float64]
    coverage: NDArray[np.float64]
    card: NDArray[np.float64]
    definition: NDArray[np.float64]
    used: NDArray[np.float64]
    dense: NDArray[np.float64]
    dense_card: NDArray[np.float64]


def file_features(
    query: Query, evidence: Evidence, table: FileTable, rarity: Mapping[str, float], folders: Sequence[str]
) -> NDArray[np.float64]:
    """The FEATURES of each file, relative to the others: (n, len(FEATURES)). rarity: of the query's stems; folders: the name of
    each file's own folder."""
    ids, files = evidence.ids, table.files[evidence.ids]
    meant = table.meant_by(query.stems)
    worth = np.array([weight * rarity[stem] for stem, weight in query.stems.items()])
    columns: dict[str, NDArray[Any]] = {
        "body": evidence.body / _most(evidence.body),
        "coverage": evidence.coverage,
        "card": evidence.card / _most(evidence.card),
        "name_in_query": _share_that_is_said(table.names.rows(ids), len(ids), meant, table.rarity),
        "query_in_path": _share_of_what_is_asked(table.places.rows(ids), len(ids), meant, worth),
        "folder_in_query": _share_that_is_said(table.stems_of(folders), len(ids), meant, table.rarity),
        "definition": evidence.definition,
        "dense": (_nearness(evidence.dense) + _nearness(evidence.dense_card, _FAR_CARDS)) / 2,
        "test": files["test"],
        "test_asked": files["test"] & asks_for_tests(query),
        "documentation": files["documentation"],
        "example": files["example"],
        "prose": files["prose"],
        "main": files["main"],
        "folder": files["folder"],
        "referred": np.log1p(files["referred"]),
        "used": evidence.used / _most(evidence.used),
        "uses": _uses(evidence, table, files),
        "passed_on": _passed_on(evidence, table),
        "lines": np.log1p(files["lines"].astype(np.float64)),
    }
    # Words are the better witness where they say something: vectors count for what these leave open.
    said = max(columns["query_in_path"].max(initial=0.0), columns["definition"].max(initial=0.0))
    columns["dense"] *= max(0.0, 1.0 - said)
    return np.column_stack([columns[feature] for feature in FEATURES]).astype(np.float64)


def _share_that_is_said(stems: Rows, files: int, meant: Meant, rarity: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of each name's stems, by rarity, that the query says."""
    worth = rarity[stems.values]
    held, _ = meant.among(stems.values)
    total = np.bincount(stems.places, worth, minlength=files)
    said = np.bincount(stems.places[held], worth[held], minlength=files)
    shares: NDArray[np.float64] = said / (total + _COMMON_NAME)
    return shares


def _share_of_what_is_asked(stems: Rows, files: int, meant: Meant, worth: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of the query, by the worth of its words, that is among each file's stems."""
    held, rows = meant.among(stems.values)
    said = np.zeros((files, len(worth)), dtype=bool)
    np.logical_or.at(said, stems.places[held], meant.words[rows])
    shares: NDArray[np.float64] = said @ worth / (worth.sum() or 1.0)
    return shares


def _nearness(cosines: NDArray[np.float64], far: float = 0.0) -> NDArray[np.float64]:
    """From 0 for the farthest of those that have a cosine to 1 for the nearest. far: what share of them counts as farthest."""
    near = ~np.isnan(cosines)
    if not near.any():
        return np.zeros(len(cosines))
    least, most = np.quantile(cosines[near], far), cosines[near].max()
    return np.where(near, np.clip(cosines - least, 0.0, None), 0.0) / ((most - least) or 1.0)


def _uses(evidence: Evidence, table: FileTable, files: NDArray[Any]) -> NDArray[np.float64]:
    """How much a source file uses those that hold the query's words: the squares of their bodies."""
    uses = table.uses.rows(evidence.ids)
    held = _squared_bodies(evidence, table)[uses.values]
    weights: NDArray[np.float64] = np.bincount(uses.places, held, minlength=len(files)).astype(np.float64)
    weights[files["test"] | files["example"] | files["documentation"]] = 0.0
    return weights / _most(weights)


def asks_for_tests(query: Query) -> bool:
    """Whether a query speaks of tests."""
    return not _TEST_STEMS.isdisjoint(query.stems)


def _passed_on(evidence: Evidence, table: FileTable) -> NDArray[np.float64]:
    """How well the best of the files whose definitions each passes on holds the query's words, by the square of its body."""
    others = table.passed_on.rows(evidence.ids)
    best = np.zeros(len(evidence.ids))
    np.maximum.at(best, others.places, _squared_bodies(evidence, table)[others.values])
    return best / _most(best)


def _squared_bodies(evidence: Evidence, table: FileTable) -> NDArray[np.float64]:
    """By file id; 0 for what is no candidate."""
    bodies = np.zeros(table.size + 1)
    bodies[evidence.ids] = evidence.body
    return bodies**2


def is_long(query: Query) -> bool:
    """Whether a query is a story rather than a question of a line."""
    return len(query.words) > MOST_WORDS_OF_SHORT


def mix_name(query: Query, dense: bool) -> str:
    """Which weights a query has."""
    return ("long" if is_long(query) else "short") + ("_dense" if dense else "")


@cache
def shipped_mixes() -> Mixes:
    """The mixes of reranker_weights.json; a feature that a mix does without has 0."""
    mixes = json.loads(WEIGHTS.read_text(encoding="utf-8"))["mixes"]
    return {name: tuple(float(mix.get(feature, 0.0)) for feature in FEATURES) for name, mix in mixes.items()}


def chances(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The softmax of the files' scores: they sum to 1."""
    if not len(scores):
        return scores
    exponentials = np.exp(scores - scores.max())
    likely: NDArray[np.float64] = exponentials / exponentials.sum()
    return likely


def _most(values: NDArray[np.float64]) -> float:
    """The highest value, or 1 where none is above 0, so that it can be divided by."""
    return float(values.max(initial=0.0)) or 1.0
