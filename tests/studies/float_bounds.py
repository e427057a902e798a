"""What is proved of a float network while its real-valued input moves within a box.

`edgeprune.verification.float_graph` takes integers times a step. With a step of 2^-20 real signals
are such integers to within a millionth of their unit; boxes are rounded outwards.
"""

from __future__ import annotations

from collections.abc import Sequence
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


class FloatBoxes:
    """The L-infinity boxes around some windows, and a network that is asked about them.

    Args:
        model: The classifier, of one signal [n, channels, length].
        windows: Float [n, length, channels].
        radius: The largest radius that is asked for.
    """

    def __init__(self, model: nn.Module, windows: Floats, radius: float) -> None:
        self._windows = windows.astype(np.float64)
        low, high = self._ends(np.arange(len(windows)), radius)
        shape = windows.shape[1:]
        onnx = to_float_onnx(model, (shape[0], shape[1]), 0)
        tensor = Tensor("signal", (shape[0], shape[1]), STEP, 0)
        self._graph: BoundGraph = float_graph(onnx, [tensor], boxes=[(low, high)])
        given = np.rint(self._windows / STEP)
        logits = self._graph.run((given,))[self._graph.output]
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
        for settings in (_QUICK, _THOROUGH):
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
        return InputSets((low,), (high,)), margins(self.decisions[rows], classes)

    def _ends(self, rows: Int64Array, radius: float) -> tuple[Any, Any]:
        low = np.floor((self._windows[rows] - radius) / STEP)
        return low, np.ceil((self._windows[rows] + radius) / STEP)
