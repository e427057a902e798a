"""Every sample by at most so much: the L-infinity ball."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgeprune.verification.held_inputs import Held
from edgeprune.verification.input_sets import BoolArray, FloatArray
from edgeprune.verification.perturbations.part import Changes, Part, counts, movable
from edgeprune.verification.perturbations.quantity import Amount, amount

# A radius this near below a whole count is that count: 20 uV are 4 counts of 5 uV in any float.
_NEAR = 1e-9


@dataclass(frozen=True)
class LInfinity(Part):
    """Each value by whole counts (or LSB), at most `radius`."""

    radius: Amount
    name: ClassVar[str] = "linf"
    in_counts: ClassVar[bool] = True
    rounds: ClassVar[bool] = False

    @staticmethod
    def parse(text: str, where: str) -> LInfinity:
        """Read "20uV" or "2lsb"."""
        return LInfinity(amount(text, ("uV", "mV", "rms", "lsb"), where))

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
        if self.of_inputs:
            return f"each value of the network's signal input moves by up to {self.radius.value:g}"
        return f"each raw sample moves by up to {self.radius}, independently of the others"

    def bound(self, held: Held) -> FloatArray:
        """Return the greatest change of every value in whole counts [size]."""
        radius = np.zeros(held.raw.shape[1])
        radius[: movable(held)] = np.floor(counts(self.radius, held) + _NEAR)
        return radius

    def changes(self, held: Held, low: FloatArray, high: FloatArray) -> Changes:
        """Return what can change."""
        del low, high
        radius = np.broadcast_to(self.bound(held), held.raw.shape)
        return Changes(None, -radius, radius)

    def random(self, held: Held, generator: np.random.Generator) -> FloatArray:
        """Return uniform changes; those of every other window are at the bound."""
        radius = self.bound(held).astype(np.int64)
        change = generator.integers(-radius, radius + 1, held.raw.shape).astype(np.float64)
        change[::2] = np.where(change[::2] < 0, -radius, radius)
        return change

    def best(self, held: Held, weights: FloatArray) -> FloatArray:
        """Return the corner that lies farthest along `weights`."""
        return np.asarray(self.bound(held) * np.sign(weights))

    def contains(self, held: Held, low: FloatArray, high: FloatArray) -> BoolArray:
        """Return for which windows some change lies between `low` and `high`."""
        radius = self.bound(held)
        return np.asarray(((low <= radius) & (high >= -radius) & (low <= high)).all(axis=1))

    def widen(self, held: Held, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the limits that remain for the other parts."""
        radius = self.bound(held)
        return low - radius, high + radius

    def project(self, held: Held, change: FloatArray) -> FloatArray:
        """Return the nearest changes of the ball."""
        radius = self.bound(held)
        return np.asarray(np.clip(np.rint(change), -radius, radius))
