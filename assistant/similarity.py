"""Which passage a sentence that cites nothing tells of, where no name says so: by meaning and by the words they share.

A small model writes its answer from the passages and forgets the numbers. Of a paraphrase without names nothing can be
verified, but mostly one passage stands out: its vector lies near the sentence's, and it holds the sentence's rare words. What
is found so is shown as similar and never as verified; benchmarks/uncited.py has the figures that the border comes from.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from assistant.code_names import TRIVIAL, Evidence, find, names_in, word_beginnings
from assistant.sentences import MARK

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The embedder that the border was measured with.
EMBEDDER = "minilm"
# Of the best passage's score, and twice as much again of its lead over the second.
CERTAIN = 1.15
LEAD = 2.0
# A lead over few passages tells little, and a sentence of few words is near to any.
FEWEST_PASSAGES = 4
# The border was measured among so many: with what was dropped no more than these are embedded.
COMPARED_PASSAGES = 10
FEWEST_WORDS = 4

Encode = Callable[[Sequence[str]], "NDArray[np.float32]"]


class Similarity:
    """Compares sentences with the passages of one prompt. The passages are embedded when the first sentence asks.

    encode: texts to their vectors, (len(texts), dimension) float32, L2-normalised. Slow enough for a thread of its own.
    dropped: what was found and not shown, best first; a sentence that is nearer to one of these tells of none that was.
    """

    def __init__(self, evidence: Sequence[Evidence], encode: Encode, dropped: Sequence[Evidence] = ()) -> None:
        self.evidence, self.encode = evidence, encode
        self._all = [*evidence, *dropped[: max(0, COMPARED_PASSAGES - len(evidence))]]

    def best(self, prose: str) -> Evidence | None:
        """The one passage that a sentence tells of, or None when it isn't certain."""
        passage, certainty = self.likeliest(prose)
        return passage if certainty >= CERTAIN else None

    def likeliest(self, prose: str) -> tuple[Evidence | None, float]:
        """(passage, how certain), or (None, 0) where there is too little to compare, or the nearest wasn't shown or lacks a
        name."""
        if len(self._all) < FEWEST_PASSAGES or len(word_beginnings(prose)) < FEWEST_WORDS:
            return None, 0.0
        scores = self.scores(prose)
        second, best = np.argsort(scores)[-2:]
        if best >= len(self.evidence):
            return None, 0.0
        passage = self.evidence[best]
        names = set(names_in(MARK.sub(" ", prose))) - TRIVIAL
        if any(find(name, passage) is None for name in names):
            return None, 0.0
        return passage, float(scores[best] + LEAD * (scores[best] - scores[second]))

    def scores(self, prose: str) -> NDArray[np.float64]:
        """For each passage, those that were dropped after those that were shown, the cosine and the shared words."""
        cosines = self._vectors @ self.encode([prose])[0]
        return np.asarray(cosines, np.float64) + self._shared_words(word_beginnings(prose))

    @functools.cached_property
    def _vectors(self) -> NDArray[np.float32]:
        return self.encode([f"{passage.path.rpartition('/')[2]} {passage.symbol}: {passage.text}" for passage in self._all])

    @functools.cached_property
    def _words(self) -> list[frozenset[str]]:
        return [word_beginnings(f"{passage.path} {passage.symbol} {passage.text}") for passage in self._all]

    def _shared_words(self, words: frozenset[str]) -> NDArray[np.float64]:
        """For each passage the part of the sentence's words that it holds, weighted by how few of the passages do, 0 to 1."""
        rarity = {word: math.log((len(self._words) + 1) / (sum(word in held for held in self._words) + 0.5)) for word in words}
        shared = [sum(rarity[word] for word in words & held) for held in self._words]
        return np.array(shared) / (sum(rarity.values()) or 1.0)
