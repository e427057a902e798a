"""A stretch of samples that is lost: anything in it, or one constant level (lead-off)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgeprune.verification.held_inputs import Held
from edgeprune.verification.input_sets import BoolArray, FloatArray, Int64Array, Selection
from edgeprune.verification.perturbations.part import (
    Changes,
    Part,
    block_size,
    converter,
    free_range,
    movable,
    one_lead,
)
from edgeprune.verification.perturbations.quantity import Amount, amount

# Windows times directions times positions that are summed at a time.
_CHUNK = 1 << 23


@dataclass(frozen=True, eq=False)
class BandShape:
    """One stretch of samples; each of its samples gains what `worth` says.

    Attributes:
        first: Each window's first position of the stretch [n]; may be negative.
        last: Its last position [n].
        length: Samples of the stretch.
        low: What samples of the stretch change by at least, float64 [n, samples].
        high: At most, the same; where `level` is set all are there at once.
        level: The stretch is constant: all at the least, all at the greatest, or between.
        size: Samples a block.
    """

    first: Int64Array
    last: Int64Array
    length: int
    low: FloatArray
    high: FloatArray
    level: bool
    size: int

    def __len__(self) -> int:
        return len(self.low)

    def support(self, weights: FloatArray) -> FloatArray:
        """Return the greatest <weights, change> [n, m]."""
        result = np.zeros((len(self), weights.shape[-2]))
        step = max(1, _CHUNK // max(1, weights.shape[-2] * self.low.shape[1]))
        for start in range(0, len(self), step):
            rows = slice(start, start + step)
            own = weights if weights.ndim == 2 else weights[rows]
            each = np.repeat(own, self.size, axis=-1)
            below, above = each * self.low[rows, None], each * self.high[rows, None]
            if self.level:
                sums = np.maximum(self._sums(below), self._sums(above))
            else:
                sums = self._sums(np.maximum(below, above))
            places = np.arange(sums.shape[-1]) - (self.length - 1)
            allowed = (places >= self.first[rows, None]) & (places <= self.last[rows, None])
            result[rows] = np.where(allowed[:, None], sums, -np.inf).max(axis=-1)
        return result

    def magnitude(self) -> FloatArray:
        """Return what no change of a block exceeds [n, blocks]."""
        sizes = np.maximum(np.abs(self.low), np.abs(self.high))
        return np.asarray(sizes.reshape(len(self), -1, self.size).sum(axis=2))

    def select(self, rows: Selection) -> BandShape:
        """Return the sets of some windows."""
        return BandShape(
            self.first[rows],
            self.last[rows],
            self.length,
            self.low[rows],
            self.high[rows],
            self.level,
            self.size,
        )

    def _sums(self, values: FloatArray) -> FloatArray:
        """Return the sums of every stretch that touches the window [..., samples + length - 1]."""
        edge = [(0, 0)] * (values.ndim - 1) + [(self.length, self.length - 1)]
        total = np.cumsum(np.pad(values, edge), axis=-1)
        return np.asarray(total[..., self.length :] - total[..., : -self.length])


@dataclass(frozen=True)
class Band(Part):
    """Any `time` of the window may hold anything. Parameter: the position of its first sample."""

    time: Amount
    name: ClassVar[str] = "band"
    in_counts: ClassVar[bool] = True
    rounds: ClassVar[bool] = False
    dimensions: ClassVar[int] = 1

    @staticmethod
    def parse(text: str, where: str) -> Band:
        """Read "50ms"."""
        return Band(amount(text, ("ms", "s"), where))

    @property
    def text(self) -> str:
        """As it is written."""
        return f"{self.name}:{self.time}"

    def describe(self) -> str:
        """Return what may happen."""
        return f"any {self.time} of raw samples take any values of the converter's range"

    def length(self, held: Held) -> int:
        """Return the samples of the stretch: the time, rounded up."""
        one_lead(held, self.text)
        samples = self.time.milliseconds * converter(held).adc.rate_hz / 1000
        return min(max(1, int(np.ceil(samples - 1e-9))), movable(held))

    def whole(self, held: Held) -> list[tuple[FloatArray, FloatArray]]:
        """Return the range of positions; a stretch that sticks out is part of one that does not."""
        ones = np.ones((len(held), 1))
        return [(0 * ones, ones * (movable(held) - self.length(held)))]

    def at(self, held: Held, parameters: FloatArray) -> FloatArray:
        """Return no change: where a stretch lies says nothing of what it holds."""
        return np.zeros(held.raw.shape)

    def effects(self, held: Held, low: FloatArray, high: FloatArray) -> FloatArray:
        """Return the extent of each range of positions."""
        return high - low

    def changes(self, held: Held, low: FloatArray, high: FloatArray) -> Changes:
        """Return what stretches at positions between `low` and `high` [n, 1] can change."""
        first, last = positions(low[:, 0], high[:, 0])
        length, count = self.length(held), movable(held)
        touched, _ = reached(first, last, length, held.raw.shape[1])
        least, greatest = free_range(held)
        least, greatest = np.where(touched, least, 0.0), np.where(touched, greatest, 0.0)
        below, above = least[:, :count], greatest[:, :count]
        shape = BandShape(first, last, length, below, above, False, block_size(held))
        return Changes(shape if (first != last).any() else None, least, greatest)

    def random(self, held: Held, generator: np.random.Generator) -> FloatArray:
        """Return a stretch of random values for each window."""
        length = self.length(held)
        first = generator.integers(0, movable(held) - length + 1, len(held))
        touched, _ = reached(first, first, length, held.raw.shape[1])
        least, greatest = free_range(held)
        values = generator.integers(least.astype(int), greatest.astype(int) + 1)
        return np.where(touched, values, 0).astype(np.float64)

    def best(self, held: Held, weights: FloatArray) -> FloatArray:
        """Return the stretch that gains most, each sample at an end of the range."""
        least, greatest = free_range(held)
        target = np.where(weights < 0, least, greatest)
        first = best_stretch((target * weights)[:, : movable(held)], self.length(held))
        touched, _ = reached(first, first, self.length(held), held.raw.shape[1])
        return np.where(touched, target, 0.0)

    def contains(self, held: Held, low: FloatArray, high: FloatArray) -> BoolArray:
        """Return for which windows some change lies between `low` and `high`."""
        first, last, moved = extent(low, high)
        within = (last - first < self.length(held)) & (last < movable(held))
        return np.asarray(~moved | within)

    def project(self, held: Held, change: FloatArray) -> FloatArray | None:
        """Return the stretch that keeps most of the change."""
        length = self.length(held)
        first = best_stretch(np.abs(change)[:, : movable(held)], length)
        touched, _ = reached(first, first, length, held.raw.shape[1])
        return np.where(touched, np.rint(change), 0.0)


def positions(low: FloatArray, high: FloatArray) -> tuple[Int64Array, Int64Array]:
    """Return the first and last whole number of ranges; of an empty range the next one."""
    first = np.ceil(low).astype(np.int64)
    return first, np.maximum(first, np.floor(high).astype(np.int64))


def reached(
    first: Int64Array, last: Int64Array, length: int, size: int
) -> tuple[BoolArray, BoolArray]:
    """Return the samples that some, and that every stretch of positions covers [n, size]."""
    places = np.arange(size)
    some = (places >= first[:, None]) & (places < last[:, None] + length)
    return some, (places >= last[:, None]) & (places < first[:, None] + length)


def best_stretch(worth: FloatArray, length: int) -> Int64Array:
    """Return where the stretch of the largest sum starts [n]."""
    total = np.cumsum(np.pad(worth, ((0, 0), (1, 0))), axis=1)
    return np.asarray((total[:, length:] - total[:, :-length]).argmax(axis=1))


def extent(low: FloatArray, high: FloatArray) -> tuple[Int64Array, Int64Array, BoolArray]:
    """Return the first and last sample that must have changed [n], and whether any has."""
    moved = (low > 0) | (high < 0)
    first = moved.argmax(axis=1)
    last = moved.shape[1] - 1 - moved[:, ::-1].argmax(axis=1)
    return first, last, moved.any(axis=1)
