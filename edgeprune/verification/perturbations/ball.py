"""Few samples by anything (L0), and all samples by little together (L2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgeprune.errors import ConfigurationError
from edgeprune.verification.held_inputs import Held
from edgeprune.verification.input_sets import BoolArray, FloatArray, Selection
from edgeprune.verification.perturbations.part import (
    Changes,
    Part,
    block_size,
    counts,
    free_range,
    movable,
)
from edgeprune.verification.perturbations.quantity import Amount, amount

_HALVINGS = 60
# Windows times directions times samples that are sorted at a time.
_CHUNK = 1 << 23


@dataclass(frozen=True, eq=False)
class BallShape:
    """Every change whose root of squares over the samples is at most `radius`.

    Attributes:
        radius: In counts.
        size: Samples a block: they share their weight, so that a block counts `size` times.
        windows: How many windows.
        blocks: How many blocks.
    """

    radius: float
    size: int
    windows: int
    blocks: int

    def __len__(self) -> int:
        return self.windows

    def support(self, weights: FloatArray) -> FloatArray:
        """Return the greatest <weights, change> [n, m]."""
        length = np.sqrt(self.size * (weights * weights).sum(axis=-1))
        return np.broadcast_to(self.radius * length, (self.windows, weights.shape[-2]))

    def magnitude(self) -> FloatArray:
        """Return what no change of a block exceeds [n, blocks]."""
        return np.full((self.windows, self.blocks), self.radius * self.size)

    def select(self, rows: Selection) -> BallShape:
        """Return the sets of some windows."""
        windows = len(np.arange(self.windows)[rows])
        return BallShape(self.radius, self.size, windows, self.blocks)


@dataclass(frozen=True)
class L2(Part):
    """Whole counts whose root of squares is at most `radius`."""

    radius: Amount
    name: ClassVar[str] = "l2"
    in_counts: ClassVar[bool] = True
    rounds: ClassVar[bool] = False

    @staticmethod
    def parse(text: str, where: str) -> L2:
        """Read "100uV" or "3lsb"."""
        return L2(amount(text, ("uV", "mV", "rms", "lsb"), where))

    @property
    def text(self) -> str:
        """As it is written."""
        return f"{self.name}:{self.radius}"

    @property
    def of_inputs(self) -> bool:
        """Whether the network's inputs themselves move."""
        return self.radius.unit == "lsb"

    def describe(self) -> str:
        """Return what may happen."""
        what = "values of the signal input" if self.of_inputs else "raw samples"
        size = f"{self.radius.value:g}" if self.of_inputs else str(self.radius)
        return f"the {what} move together, the root of the sum of squares up to {size}"

    def changes(self, held: Held, low: FloatArray, high: FloatArray) -> Changes:
        """Return what can change."""
        radius, count = counts(self.radius, held) * (1 + 1e-12), movable(held)
        size = block_size(held)
        limit = np.zeros(held.raw.shape)
        limit[:, :count] = np.floor(radius)
        return Changes(BallShape(radius, size, len(held), count // size), -limit, limit)

    def random(self, held: Held, generator: np.random.Generator) -> FloatArray:
        """Return changes along random directions, near the sphere."""
        return self.best(held, generator.normal(size=held.raw.shape))

    def best(self, held: Held, weights: FloatArray) -> FloatArray:
        """Return the best whole counts: round(m |weight|) for the greatest m that fits, and more.

        What is left of the squares is spent on the samples that gain most for it.
        """
        square = counts(self.radius, held) ** 2 * (1 + 1e-12)
        sizes = np.zeros(held.raw.shape)
        sizes[:, : movable(held)] = np.abs(weights[:, : movable(held)])
        low = np.zeros((len(held), 1))
        high = np.full((len(held), 1), np.sqrt(square) + 1) / np.maximum(
            sizes.max(axis=1, keepdims=True), 1e-300
        )
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            fits = (np.rint(sizes * middle) ** 2).sum(axis=1, keepdims=True) <= square
            low, high = np.where(fits, middle, low), np.where(fits, high, middle)
        steps = np.rint(sizes * low)
        worth = np.argsort(-sizes / (2 * steps + 1), axis=1)
        more = np.take_along_axis(np.where(sizes > 0, 2 * steps + 1, np.inf), worth, axis=1)
        left = square - (steps * steps).sum(axis=1, keepdims=True)
        affordable = np.cumsum(more, axis=1) <= left
        extra = np.zeros_like(steps)
        np.put_along_axis(extra, worth, affordable.astype(np.float64), axis=1)
        return np.asarray(np.sign(weights) * (steps + extra))

    def contains(self, held: Held, low: FloatArray, high: FloatArray) -> BoolArray:
        """Return for which windows some change lies between `low` and `high`."""
        nearest = np.maximum(np.maximum(low, -high), 0)
        nearest[:, movable(held) :][nearest[:, movable(held) :] > 0] = np.inf
        square = counts(self.radius, held) ** 2 * (1 + 1e-12)
        return np.asarray((nearest**2).sum(axis=1) <= square)

    def project(self, held: Held, change: FloatArray) -> FloatArray:
        """Return changes scaled into the ball, their counts rounded towards 0."""
        moved = np.zeros_like(change)
        moved[:, : movable(held)] = change[:, : movable(held)]
        length = np.sqrt((moved * moved).sum(axis=1, keepdims=True))
        scaled = moved * np.minimum(1, counts(self.radius, held) / np.maximum(length, 1e-300))
        return np.asarray(np.trunc(scaled + np.sign(scaled) * 1e-9))


@dataclass(frozen=True, eq=False)
class FewShape:
    """Any few samples, each anywhere between its own least and greatest change.

    Attributes:
        low: Least change of each sample, float64 [n, samples], at most 0.
        high: Greatest change, at least 0.
        most: Samples that may change.
        size: Samples a block.
    """

    low: FloatArray
    high: FloatArray
    most: int
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
            worth = np.maximum(each * self.low[rows, None], each * self.high[rows, None])
            most = min(self.most, worth.shape[-1])
            if most:
                worth = np.partition(worth, -most, axis=-1)[..., -most:]
                result[rows] = worth.sum(axis=-1)
        return result

    def magnitude(self) -> FloatArray:
        """Return what no change of a block exceeds [n, blocks]."""
        sizes = np.maximum(-self.low, self.high)
        return np.asarray(sizes.reshape(len(self), -1, self.size).sum(axis=2))

    def select(self, rows: Selection) -> FewShape:
        """Return the sets of some windows."""
        return FewShape(self.low[rows], self.high[rows], self.most, self.size)


@dataclass(frozen=True)
class L0(Part):
    """Any `most` samples take any value that the converter can deliver."""

    most: int
    unit: str = ""
    name: ClassVar[str] = "l0"
    in_counts: ClassVar[bool] = True
    rounds: ClassVar[bool] = False

    @staticmethod
    def parse(text: str, where: str) -> L0:
        """Read "3" (raw samples) or "3lsb" (values of the signal input)."""
        size = amount(text, ("", "lsb"), where)
        if size.value != int(size.value):
            raise ConfigurationError(f"'{text}' is no whole number", where=where, hint="l0:3")
        return L0(int(size.value), size.unit)

    @property
    def text(self) -> str:
        """As it is written."""
        return f"{self.name}:{self.most}{self.unit}"

    @property
    def of_inputs(self) -> bool:
        """Whether the network's inputs themselves move."""
        return self.unit == "lsb"

    def describe(self) -> str:
        """Return what may happen."""
        if self.of_inputs:
            return f"any {self.most} values of the signal input take any value"
        return f"any {self.most} raw samples take any value of the converter's range"

    def changes(self, held: Held, low: FloatArray, high: FloatArray) -> Changes:
        """Return what can change."""
        least, greatest = free_range(held)
        count = movable(held)
        shape = FewShape(least[:, :count], greatest[:, :count], self.most, block_size(held))
        return Changes(shape, least, greatest)

    def random(self, held: Held, generator: np.random.Generator) -> FloatArray:
        """Return changes of random samples to random values."""
        return self._largest(held, generator.uniform(size=held.raw.shape), generator)

    def best(self, held: Held, weights: FloatArray) -> FloatArray:
        """Return the change of the samples that gain most, to the end of the range."""
        least, greatest = free_range(held)
        target = np.where(weights < 0, least, greatest)
        kept = self._kept(held, target * weights)
        return np.where(kept, target, 0.0)

    def contains(self, held: Held, low: FloatArray, high: FloatArray) -> BoolArray:
        """Return for which windows some change lies between `low` and `high`."""
        moved = (low > 0) | (high < 0)
        inside = ~moved[:, movable(held) :].any(axis=1)
        return np.asarray(inside & (moved.sum(axis=1) <= self.most))

    def project(self, held: Held, change: FloatArray) -> FloatArray:
        """Return the largest changes, the others undone."""
        return np.where(self._kept(held, np.abs(change)), np.rint(change), 0.0)

    def _kept(self, held: Held, worth: FloatArray) -> BoolArray:
        kept = np.zeros(worth.shape, np.bool_)
        if self.most:
            places = np.argsort(worth[:, : movable(held)], axis=1)[:, -self.most :]
            np.put_along_axis(kept, places, True, axis=1)
        return kept

    def _largest(self, held: Held, worth: FloatArray, generator: np.random.Generator) -> FloatArray:
        least, greatest = free_range(held)
        target = generator.integers(least.astype(int), greatest.astype(int) + 1)
        return np.where(self._kept(held, worth), target, 0).astype(np.float64)
