"""Sets of changes, by their support functions; each holds one set for each window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from edgeprune.verification.input_sets import FloatArray, Selection, Shape


def dot(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Return <values[n], weights> for shared weights [m, b] or a window's own [n, m, b]: [n, m]."""
    if weights.ndim == 2:
        return np.asarray(values @ weights.T)
    return np.asarray(np.matmul(weights, values[:, :, None])[:, :, 0])


@dataclass(frozen=True, eq=False)
class BoxShape:
    """Every block anywhere between its least and its greatest change.

    Attributes:
        low: Least change of each block, float64 [n, blocks].
        high: Greatest change.
    """

    low: FloatArray
    high: FloatArray

    def __len__(self) -> int:
        return len(self.low)

    def support(self, weights: FloatArray) -> FloatArray:
        """Return the greatest <weights, change> [n, m]."""
        middle, radius = (self.low + self.high) / 2, (self.high - self.low) / 2
        return dot(radius, np.abs(weights)) + dot(middle, weights)

    def magnitude(self) -> FloatArray:
        """Return what no change of a block exceeds [n, blocks]."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    def extents(self) -> tuple[FloatArray, FloatArray]:
        """Return the least and greatest change of each block [n, blocks] each."""
        return self.low, self.high

    def select(self, rows: Selection) -> BoxShape:
        """Return the sets of some windows."""
        return BoxShape(self.low[rows], self.high[rows])


@dataclass(frozen=True, eq=False)
class SumShape:
    """All sums of one change from each part (Minkowski)."""

    parts: tuple[Shape, ...]

    def __len__(self) -> int:
        return len(self.parts[0])

    def support(self, weights: FloatArray) -> FloatArray:
        """Return the greatest <weights, change> [n, m]."""
        return np.asarray(sum(part.support(weights) for part in self.parts))

    def magnitude(self) -> FloatArray:
        """Return what no change of a block exceeds [n, blocks]."""
        return np.asarray(sum(part.magnitude() for part in self.parts))

    def select(self, rows: Selection) -> SumShape:
        """Return the sets of some windows."""
        return SumShape(tuple(part.select(rows) for part in self.parts))


@dataclass(frozen=True, eq=False)
class CommonShape:
    """A set inside each of several: their supports' minimum bounds its own."""

    parts: tuple[Shape, ...]

    def __len__(self) -> int:
        return len(self.parts[0])

    def support(self, weights: FloatArray) -> FloatArray:
        """Return at least the greatest <weights, change> [n, m]."""
        return np.asarray(np.minimum.reduce([part.support(weights) for part in self.parts]))

    def magnitude(self) -> FloatArray:
        """Return what no change of a block exceeds in any of the supports' sums [n, blocks]."""
        return np.asarray(np.maximum.reduce([part.magnitude() for part in self.parts]))

    def select(self, rows: Selection) -> CommonShape:
        """Return the sets of some windows."""
        return CommonShape(tuple(part.select(rows) for part in self.parts))


@dataclass(frozen=True, eq=False)
class UnionShape:
    """A change of any one of several sets."""

    parts: tuple[Shape, ...]

    def __len__(self) -> int:
        return len(self.parts[0])

    def support(self, weights: FloatArray) -> FloatArray:
        """Return the greatest <weights, change> [n, m]."""
        return np.asarray(np.maximum.reduce([part.support(weights) for part in self.parts]))

    def magnitude(self) -> FloatArray:
        """Return what no change of a block exceeds [n, blocks]."""
        return np.asarray(np.maximum.reduce([part.magnitude() for part in self.parts]))

    def select(self, rows: Selection) -> UnionShape:
        """Return the sets of some windows."""
        return UnionShape(tuple(part.select(rows) for part in self.parts))


@dataclass(frozen=True, eq=False)
class HullShape:
    """The convex hull of some changes, each block up to `deviation` beyond it.

    Attributes:
        vertices: float64 [n, k, blocks].
        deviation: float64 [n, blocks]; None for none.
    """

    vertices: FloatArray
    deviation: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.vertices)

    def support(self, weights: FloatArray) -> FloatArray:
        """Return the greatest <weights, change> [n, m]."""
        corners = range(self.vertices.shape[1])
        greatest = np.maximum.reduce([dot(self.vertices[:, k], weights) for k in corners])
        if self.deviation is not None:
            greatest = greatest + dot(self.deviation, np.abs(weights))
        return np.asarray(greatest)

    def magnitude(self) -> FloatArray:
        """Return what no change of a block exceeds [n, blocks]."""
        greatest = np.abs(self.vertices).max(axis=1)
        return np.asarray(greatest if self.deviation is None else greatest + self.deviation)

    def select(self, rows: Selection) -> HullShape:
        """Return the sets of some windows."""
        deviation = None if self.deviation is None else self.deviation[rows]
        return HullShape(self.vertices[rows], deviation)


# Directions times windows times blocks whose supports are taken at a time.
_CHUNK = 1 << 24


@runtime_checkable
class Extended(Protocol):
    """A set that knows the least and greatest change of each block itself."""

    def extents(self) -> tuple[FloatArray, FloatArray]:
        """Return the least and greatest change of each block [n, blocks] each."""
        ...


def extents(shape: Shape) -> tuple[FloatArray, FloatArray]:
    """Return the least and greatest change of each block by itself, float64 [n, blocks] each.

    Before float error is accounted for; where a set has no shorter way, by the supports of the
    unit directions.
    """
    if isinstance(shape, Extended):
        return shape.extents()
    if isinstance(shape, HullShape):
        low, high = shape.vertices.min(axis=1), shape.vertices.max(axis=1)
        return (
            (low, high)
            if shape.deviation is None
            else (low - shape.deviation, high + shape.deviation)
        )
    if isinstance(shape, SumShape | CommonShape | UnionShape):
        lows, highs = zip(*(extents(part) for part in shape.parts), strict=True)
        if isinstance(shape, SumShape):
            return np.asarray(sum(lows)), np.asarray(sum(highs))
        if isinstance(shape, CommonShape):
            return np.maximum.reduce(lows), np.minimum.reduce(highs)
        return np.minimum.reduce(lows), np.maximum.reduce(highs)
    blocks = shape.magnitude().shape[1]
    low, high = np.zeros((len(shape), blocks)), np.zeros((len(shape), blocks))
    step = max(1, _CHUNK // max(1, blocks * max(1, len(shape))))
    for start in range(0, blocks, step):
        some = np.arange(start, min(start + step, blocks))
        unit = np.zeros((len(some), blocks))
        unit[np.arange(len(some)), some] = 1.0
        high[:, some], low[:, some] = shape.support(unit), -shape.support(-unit)
    return low, high
