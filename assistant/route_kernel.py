"""How likely a question is about the repository, where MiniLM's lower layers can read it: a support vector machine.

With a radial basis function over the standardised features and the layers' states of the question (`indexer.minilm`): unlike a
sum it can say that a word means one thing beside one finding and another beside another. What it decides is made a chance by a
logistic curve. `route_machine.npz` holds the questions that it leans on, as numbers only; benchmarks/train_routes.py writes it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.route_features import prose_first
from indexer.errors import EmbedderError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from indexer.minilm import LowerLayers

logger = logging.getLogger(__name__)

MACHINE = Path(__file__).with_name("route_machine.npz")


@dataclass(frozen=True, slots=True)
class Machine:
    """names: the features, n of them. mean and scale: (n,), which make them numbers that compare. centre: (768,) the mean
    states, axes: (a, 768) in which directions states differ most, as long as that counts. support: (s, n + a) places of
    questions, weights: (s,) theirs. slope and offset: of the logistic curve."""

    names: tuple[str, ...]
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    centre: NDArray[np.float32]
    axes: NDArray[np.float32]
    support: NDArray[np.float32]
    weights: NDArray[np.float32]
    bias: float
    slope: float = 1.0
    offset: float = 0.0
    _squares: NDArray[np.float32] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_squares", (self.support**2).sum(axis=1))

    def place(self, told: Mapping[str, float], states: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n + a,) where a question stands; the mean one stands at 0."""
        import numpy as np

        known = np.array([told[name] for name in self.names], np.float32)
        return np.concatenate([(known - self.mean) * self.scale, np.einsum("ah,h->a", self.axes, states - self.centre)])

    def shares(self, told: Mapping[str, float], states: NDArray[np.float32]) -> tuple[float, dict[str, float]]:
        """The logit, and what each feature adds to it, by its slope at the question; "" for how the question is worded."""
        import numpy as np

        place = self.place(told, states)
        # einsum and not @: a product so small isn't worth BLAS's threads, which wait for each other on a busy machine.
        near = np.einsum("sn,n->s", self.support, place) - 0.5 * (self._squares + np.sum(place**2))
        worth = self.weights * np.exp(near)
        logit = self.slope * (float(worth.sum()) + self.bias) + self.offset
        each = self.slope * (np.einsum("s,sn->n", worth, self.support) - worth.sum() * place) * place
        named = dict(zip(self.names, each.tolist(), strict=False))
        return logit, {**named, "": float(each[len(self.names) :].sum())}


@cache
def shipped_machine() -> Machine:
    return read_machine(MACHINE)


def read_machine(path: Path) -> Machine:
    import numpy as np

    with np.load(path) as told:
        mean, scale, centre, axes, steps, weights = (
            told[name].astype(np.float32) for name in ("mean", "scale", "centre", "axes", "steps", "weights")
        )
        numbers = (float(told[name]) for name in ("bias", "slope", "offset"))
        return Machine(tuple(told["names"].tolist()), mean, scale, centre, axes, told["support"] * steps, weights, *numbers)


def write_machine(machine: Machine, path: Path) -> None:
    """Places in 255 steps along each axis; weights to 2^-12, which leaves zeros to compress."""
    import numpy as np

    steps = np.maximum(np.abs(machine.support).max(axis=0), 1e-6) / 127
    np.savez_compressed(
        path,
        names=np.array(machine.names),
        mean=machine.mean,
        scale=machine.scale,
        centre=machine.centre,
        axes=machine.axes.astype(np.float16),
        steps=steps.astype(np.float32),
        support=np.rint(machine.support / steps).astype(np.int8),
        weights=np.ldexp(np.rint(np.ldexp(machine.weights, 12)), -12),
        bias=machine.bias,
        slope=machine.slope,
        offset=machine.offset,
    )


def states_of(question: str) -> NDArray[np.float32] | None:
    """(768,) what the lower layers make of it, or None where they can't be run, or not yet: the model is converted when
    something is embedded for the first time. Those of the last questions are kept: whoever calls this while a question is
    searched for has them when it is decided."""
    from indexer.minilm import is_made

    layers = _lower_layers() if is_made() else None
    return read_by(layers, question) if layers else None


@lru_cache(maxsize=64)
def read_by(layers: LowerLayers, question: str) -> NDArray[np.float32]:
    """(768,) the same by layers that are there, as it is learned and as it is decided."""
    return layers.states(prose_first(question))


@cache
def _lower_layers() -> LowerLayers | None:
    from indexer.minilm import LowerLayers

    try:
        return LowerLayers()
    except EmbedderError as error:
        logger.warning("Routes are chosen without MiniLM: %s", error)
        return None


def chance_of(logit: float) -> float:
    return 1.0 / (1.0 + math.exp(-logit))
