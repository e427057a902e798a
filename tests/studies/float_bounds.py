"""What is proved of a float network while its real-valued input moves within a box.

`edgeprune.verification.float_graph` takes integers times a step. With a step of 2^-20 real signals
are such integers to within a millionth of their unit; boxes are rounded outwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from edgeprune.network.tensor import Tensor
from edgeprune.quantization import to_float_onnx
from edgeprune.verification.activations import bound_activations
from edgeprune.verification.bound_nodes import BoundGraph
from edgeprune.verification.float_graph import float_graph
from edgeprune.verification.input_sets import InputSets
from edgeprune.verification.linear_bounds import BoundSettings, linear_bounds, margins

Floats = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
STEP = 2.0**-20
# Lines through interval bounds first; what they leave open gets bounds of its own neurons (CROWN).
_QUICK = BoundSettings(refines=False)
_THOROUGH = BoundSettings(least_kink=1e-4)
_BATCH = 16


def own_hash(module: str) -> str:
    """Return what results of a module's code, and of this one's, are kept under."""
    content = Path(module).read_bytes() + Path(__file__).read_bytes()
    return sha256(content).hexdigest()[:16]


class FloatBoxes:
    """The L-infinity boxes around some windows, and a network that is asked about them.

    Args:
        model: The classifier, of a signal [n, channels, length] and perhaps a rhythm [n, features].
        windows: Float [n, length, channels].
        radius: The largest radius that is asked for.
        rhythm: Float [n, features], which is held; None for a classifier of the signal alone.
        quick: Whether lines through intervals come first: they spare time where intervals say much,
            in networks of few layers.
    """

    def __init__(
        self,
        model: nn.Module,
        windows: Floats,
        radius: float,
        rhythm: Floats | None = None,
        *,
        quick: bool = True,
    ) -> None:
        self._windows = windows.astype(np.float64)
        self._rhythm = None if rhythm is None else np.rint(rhythm.astype(np.float64) / STEP)
        self._passes = (_QUICK, _THOROUGH) if quick else (_THOROUGH,)
        length, channels = windows.shape[1:]
        features = 0 if rhythm is None else rhythm.shape[1]
        onnx = to_float_onnx(model, (length, channels), features)
        tensors = [Tensor("signal", (length, channels), STEP, 0)]
        if features:
            tensors.append(Tensor("rhythm", (features,), STEP, 0))
        low, high = self._ends(np.arange(len(windows)), radius)
        boxes = list(zip(low, high, strict=True))
        self._graph: BoundGraph = float_graph(onnx, tensors, boxes=boxes)
        given = [np.rint(self._windows / STEP), *self._held(np.arange(len(windows)))]
        logits = self._graph.run(given)[self._graph.output]
        self.decisions: Int64Array = logits.argmax(axis=1)

    def linear(self, radii: Sequence[float]) -> Int64Array:
        """Return how many of these rising radii each window's decision is proved for, by lines."""
        return self._count(radii, self._proved_by_lines)

    def intervals(self, radii: Sequence[float]) -> Int64Array:
        """Return the same by intervals alone."""
        return self._count(radii, self._proved_by_intervals)

    def _count(self, radii: Sequence[float], proves: Any) -> Int64Array:
        count = np.zeros(len(self._windows), np.int64)
        left = np.arange(len(self._windows))
        for radius in radii:
            held = [
                proves(left[start : start + _BATCH], radius)
                for start in range(0, len(left), _BATCH)
            ]
            left = left[np.concatenate([np.zeros(0, np.bool_), *held])]
            count[left] += 1
        return count

    def _proved_by_lines(self, rows: Int64Array, radius: float) -> npt.NDArray[np.bool_]:
        proved = np.zeros(len(rows), np.bool_)
        for settings in self._passes:
            left = np.flatnonzero(~proved)
            if len(left):
                sets, objectives = self._sets(rows[left], radius)
                found = linear_bounds(self._graph, sets, objectives, settings=settings)
                proved[left] = (found.lower > 0).all(axis=1)
        return proved

    def _proved_by_intervals(self, rows: Int64Array, radius: float) -> npt.NDArray[np.bool_]:
        sets, _ = self._sets(rows, radius)
        bounds = bound_activations(self._graph, sets, refines=False)
        low, high = bounds.low[self._graph.output], bounds.high[self._graph.output]
        place, own = np.arange(len(rows)), self.decisions[rows]
        high = high.copy()
        high[place, own] = -np.inf
        return np.asarray(low[place, own] > high.max(axis=1))

    def _sets(self, rows: Int64Array, radius: float) -> tuple[InputSets, Floats]:
        low, high = self._ends(rows, radius)
        classes = self._graph.nodes[self._graph.output].size
        return InputSets(low, high), margins(self.decisions[rows], classes)

    def _ends(self, rows: Int64Array, radius: float) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        low = np.floor((self._windows[rows] - radius) / STEP)
        high = np.ceil((self._windows[rows] + radius) / STEP)
        held = self._held(rows)
        return (low, *held), (high, *held)

    def _held(self, rows: Int64Array) -> tuple[Any, ...]:
        return () if self._rhythm is None else (self._rhythm[rows],)
