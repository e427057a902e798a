"""What a network's inputs can be while the raw samples move within a perturbation set.

`InputSets` holds two descriptions of the same set for each window, both sound, and a bound may use
either wherever it is the tighter:

- a box: the least and greatest integer of every input value;
- for the signal, a linear one: an unrounded centre, plus one change that all channels share, plus a
  rounding. The change ranges over a set of which the support function is known, so that a linear
  form of the signal is bounded without forgetting that its samples move together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

Int8Array = npt.NDArray[np.int8]
Int64Array = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Selection = BoolArray | Int64Array | slice

# An a-priori bound on the relative error of the float64 sums below: they have fewer than 2^15
# terms, each step errs by at most 2^-53 of what was summed in absolute value.
RELATIVE_ERROR = 2.0**-38
# Directions times values that one step holds in memory.
_CHUNK = 1 << 22


class Shape(Protocol):
    """The set of changes of n windows, one for each, in the space of the raw samples.

    Neighbouring raw samples that the front end only ever adds are one value here ("block").
    """

    def __len__(self) -> int: ...

    def support(self, weights: FloatArray) -> FloatArray:
        """Return the greatest <weights, change>, before float error is accounted for.

        Args:
            weights: float64 [m, blocks], the same for all windows, or [n, m, blocks].

        Returns:
            float64 [n, m].
        """
        ...

    def magnitude(self) -> FloatArray:
        """Return what no change of a block exceeds in absolute value, float64 [n, blocks]."""
        ...

    def select(self, rows: Selection) -> Shape:
        """Return the sets of some windows."""
        ...


@dataclass(frozen=True, eq=False)
class CorrelatedInput:
    """The signal as a centre, one change that its channels share, and a rounding.

    signal[n, s, c] = centre[n, s, c] + change[n, s] + e,  |e| <= slack[n, s, c]

    Attributes:
        centre: The signal before any rounding, in LSB of the network's input [n, length, channels].
        slack: Greatest |e|: about half an LSB where only rounding is between the two, much more
            where a clip cuts in [n, length, channels].
        usable: Where only rounding is between the two; elsewhere the box says more
            [n, length, channels].
        shape: The changes of the raw samples.
        matrix: Change of the signal for a change of the raw blocks, before each window's scale,
            float64 [blocks, length]; None where they are the same.
        scale: Each window's factor on that [n].
    """

    centre: FloatArray
    slack: FloatArray
    usable: BoolArray
    shape: Shape
    matrix: FloatArray | None
    scale: FloatArray

    def __len__(self) -> int:
        return len(self.centre)

    def support(self, directions: FloatArray) -> FloatArray:
        """Return at least the greatest <direction, change>, float error included.

        Args:
            directions: float64 [m, length], shared by all windows (much the cheaper), or
                [n, m, length].

        Returns:
            float64 [n, m], in LSB of the network's input.
        """
        if directions.ndim == 2:
            return self._support(directions, slice(None))
        step = max(1, _CHUNK // max(1, directions[0].size * 4))
        parts = [
            self._support(directions[start : start + step], slice(start, start + step))
            for start in range(0, len(self), step)
        ]
        return np.concatenate(parts) if parts else np.zeros(directions.shape[:2])

    def reach(self) -> FloatArray:
        """Return what no change of a signal value exceeds, in LSB [n, length]."""
        greatest = self.shape.magnitude()
        if self.matrix is not None:
            greatest = greatest @ np.abs(self.matrix)
        return np.asarray(greatest * self.scale[:, None] * (1 + RELATIVE_ERROR))

    def select(self, rows: Selection) -> CorrelatedInput:
        """Return some windows."""
        return CorrelatedInput(
            self.centre[rows],
            self.slack[rows],
            self.usable[rows],
            self.shape.select(rows),
            self.matrix,
            self.scale[rows],
        )

    def _support(self, directions: FloatArray, rows: slice) -> FloatArray:
        part = self if rows == slice(None) else self.select(rows)
        weights = directions if self.matrix is None else directions @ self.matrix.T
        sizes = np.abs(directions)
        reach = part.reach()
        if directions.ndim == 2:
            error = reach @ sizes.T
        else:
            error = np.matmul(sizes, reach[:, :, None])[:, :, 0]
        greatest = part.shape.support(weights) * part.scale[:, None]
        return np.asarray(greatest + 4 * RELATIVE_ERROR * error)


@dataclass(frozen=True, eq=False)
class InputSets:
    """What the inputs of a network can be, for each of n windows.

    Attributes:
        low: Least value of every input value, one int8 array [n, ...] for each network input.
        high: Greatest value, the same.
        correlated: The linear description of input 0; None where there is none.
    """

    low: tuple[Int8Array, ...]
    high: tuple[Int8Array, ...]
    correlated: CorrelatedInput | None = None

    def __len__(self) -> int:
        return len(self.low[0])

    def select(self, rows: Selection) -> InputSets:
        """Return the sets of some windows."""
        return replace(
            self,
            low=tuple(values[rows] for values in self.low),
            high=tuple(values[rows] for values in self.high),
            correlated=None if self.correlated is None else self.correlated.select(rows),
        )

    def contains(self, inputs: tuple[Int8Array, ...]) -> BoolArray:
        """Return which windows' inputs lie in their boxes [n]."""
        inside = np.ones(len(self), np.bool_)
        for low, values, high in zip(self.low, inputs, self.high, strict=True):
            within = (low <= values) & (values <= high)
            inside &= within.reshape(len(self), -1).all(axis=1)
        return inside
