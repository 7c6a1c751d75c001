"""From what the signals found to the files worth ranking, and what speaks for each of them.

The signals find chunks (lexical, dense), files (cards, paths, use) and definitions. Files are what is ranked, because a file's
evidence is spread over its chunks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from indexer.dense import Near
from indexer.lexical_index import Hits
from indexer.reranker import Evidence
from indexer.signals import Findings

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Files taken from each signal: 100 by their chunks hold 99 % of the answers of the development set.
FILES_BY_BODY = 100
FILES_BY_CARD = 60
FILES_BY_STEM = 40
FILES_BY_DEFINITION = 60
FILES_BY_DENSE = 40
FILES_BY_USE = 20

_CHUNKS_OF_A_BODY = 3


def evidence_of(findings: Findings, files: int, others: Iterable[int] = (), near: Near | None = None) -> Evidence:
    """What was found about each candidate. files: how many there are; others: files to be ranked whatever was found; near: what
    the vectors said, if they were asked."""
    body = _bodies(findings.lexical, files)
    ids = np.array(sorted({*_candidates(findings, body), *others}), dtype=np.int64)
    coverage = np.zeros(files + 1)
    np.maximum.at(coverage, findings.lexical.files, findings.shares)
    # Definitions come best first: in reverse the best comes last, and stays.
    definitions = {hit.file_id: hit.weight for hit in reversed(findings.definitions)}
    return Evidence(
        ids,
        body=body[ids],
        coverage=coverage[ids],
        card=_column(findings.cards, files)[ids],
        definition=_column(definitions, files)[ids],
        used=_column(findings.used, files)[ids],
        dense=_column(findings.dense.best_of_files(), files, np.nan)[ids],
        dense_card=near.of_cards(ids) if near else np.full(len(ids), np.nan),
    )


def _bodies(hits: Hits, files: int) -> NDArray[np.float64]:
    """By file id, the sum of its three best chunks' scores."""
    order = np.argsort(hits.files, kind="stable")
    sorted_files = hits.files[order]
    place_in_file = np.arange(len(order)) - np.searchsorted(sorted_files, sorted_files)
    best = order[place_in_file < _CHUNKS_OF_A_BODY]
    return np.bincount(hits.files[best], hits.scores[best], minlength=files + 1).astype(np.float64)


def _candidates(findings: Findings, body: NDArray[np.float64]) -> set[int]:
    """The ids of the files worth ranking."""
    found, firsts = np.unique(findings.lexical.files, return_index=True)
    # Of files with equal bodies, the one whose chunk came first.
    by_body = found[np.lexsort((firsts, -body[found]))]
    return {
        *findings.lines,
        *islice(dict.fromkeys(hit.file_id for hit in findings.definitions), FILES_BY_DEFINITION),
        *by_body[:FILES_BY_BODY].tolist(),
        *islice(findings.cards, FILES_BY_CARD),
        *islice(findings.stems, FILES_BY_STEM),
        *islice(dict.fromkeys(findings.dense.files.tolist()), FILES_BY_DENSE),
        *islice(findings.used, FILES_BY_USE),
    }


def _column(found: Mapping[int, float], files: int, otherwise: float = 0.0) -> NDArray[np.float64]:
    """By file id, what was found about it."""
    column = np.full(files + 1, otherwise)
    column[list(found.keys())] = list(found.values())
    return column
