"""Lead-off: for some time the converter sees one constant level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgeprune.verification.held_inputs import Held
from edgeprune.verification.input_sets import BoolArray, FloatArray
from edgeprune.verification.perturbations.band import (
    Band,
    BandShape,
    extent,
    positions,
    reached,
)
from edgeprune.verification.perturbations.part import Changes, block_size, movable
from edgeprune.verification.perturbations.quantity import amount


@dataclass(frozen=True)
class Flat(Band):
    """Any `time` holds one level, whichever the converter can deliver.

    Parameters: the position of the first sample, which may lie before the window, and the level.
    """

    name: ClassVar[str] = "flat"
    dimensions: ClassVar[int] = 2

    @staticmethod
    def parse(text: str, where: str) -> Flat:
        """Read "50ms"."""
        return Flat(amount(text, ("ms", "s"), where))

    def describe(self) -> str:
        """Return what may happen."""
        return f"the lead is off for {self.time}: the converter sees any one constant level"

    def whole(self, held: Held) -> list[tuple[FloatArray, FloatArray]]:
        """Return the ranges of positions and of levels; no stretch at all is its own member."""
        ones = np.ones((len(held), 1))
        least, greatest = held.count_range
        # A stretch just before the window changes nothing.
        return [(ones * (-self.length(held), least), ones * (movable(held) - 1, greatest))]

    def at(self, held: Held, parameters: FloatArray) -> FloatArray:
        """Return the change that position and level [n, 2] make."""
        first = np.rint(parameters[:, 0]).astype(np.int64)
        touched, _ = reached(first, first, self.length(held), held.raw.shape[1])
        return np.where(touched, np.rint(parameters[:, 1:]) - held.raw, 0.0)

    def allows(self, held: Held, parameters: FloatArray) -> BoolArray:
        """Return which parameters are whole."""
        return np.asarray((parameters == np.rint(parameters)).all(axis=1))

    def effects(self, held: Held, low: FloatArray, high: FloatArray) -> FloatArray:
        """Return how far each range reaches: a position counts as much as the whole range."""
        least, greatest = held.count_range
        return np.asarray((high - low) * (float(greatest - least) / self.length(held), 1.0))

    def changes(self, held: Held, low: FloatArray, high: FloatArray) -> Changes:
        """Return what positions and levels between `low` and `high` [n, 2] can change."""
        first, last = positions(low[:, 0], high[:, 0])
        least, most = positions(low[:, 1], high[:, 1])
        length, count = self.length(held), movable(held)
        below, above = least[:, None] - held.raw * 1.0, most[:, None] - held.raw * 1.0
        some, every = reached(first, last, length, held.raw.shape[1])
        floor = np.where(every, below, np.where(some, np.minimum(below, 0), 0.0))
        ceiling = np.where(every, above, np.where(some, np.maximum(above, 0), 0.0))
        cut = (below[:, :count], above[:, :count])
        shape = BandShape(first, last, length, *cut, True, block_size(held))
        return Changes(shape, floor, ceiling)

    def random(self, held: Held, generator: np.random.Generator) -> FloatArray:
        """Return a flat stretch for each window."""
        (low, high), *_ = self.whole(held)
        return self.at(held, np.rint(generator.uniform(low, high)))

    def best(self, held: Held, weights: FloatArray) -> FloatArray:
        """Return the stretch and the level, at an end of the range, that gain most."""
        count, length = movable(held), self.length(held)
        raw, weights = held.raw[:, :count] * 1.0, weights[:, :count]
        chosen = []
        for level in held.count_range:
            worth = np.pad((level - raw) * weights, ((0, 0), (length, length - 1)))
            total = np.cumsum(np.pad(worth, ((0, 0), (1, 0))), axis=1)
            sums = total[:, length:] - total[:, :-length]
            place = sums.argmax(axis=1)
            parameters = np.stack([place - length, np.full(len(held), level)], axis=1)
            chosen.append((sums.max(axis=1), parameters * 1.0))
        (low_worth, low), (high_worth, high) = chosen
        return self.at(held, np.where((low_worth > high_worth)[:, None], low, high))

    def contains(self, held: Held, low: FloatArray, high: FloatArray) -> BoolArray:
        """Return for which windows some change lies between `low` and `high`."""
        first, last, moved = extent(low, high)
        count, length = movable(held), self.length(held)
        result = ~moved
        rows = np.flatnonzero(moved & (last - first < length) & (last < count))
        for row in rows.tolist():
            floor, ceiling = low[row] + held.raw[row], high[row] + held.raw[row]
            for start in range(int(last[row]) - length + 1, int(first[row]) + 1):
                cut = slice(max(start, 0), min(start + length, count))
                level = max(np.ceil(floor[cut].max()), held.count_range[0])
                if level <= min(ceiling[cut].min(), held.count_range[1]):
                    result[row] = True
                    break
        return np.asarray(result)

    def project(self, held: Held, change: FloatArray) -> FloatArray | None:
        """Return None: only whole moves make sense."""
        return None
