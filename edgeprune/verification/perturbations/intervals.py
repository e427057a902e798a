"""RR intervals that were measured a little wrong, or rhythm features that are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgeprune.data.held_front_end import HeldBeats
from edgeprune.verification.held_inputs import Held
from edgeprune.verification.input_sets import BoolArray, FloatArray, Int8Array
from edgeprune.verification.perturbations.part import Changes, Part, converter, movable
from edgeprune.verification.perturbations.quantity import TIMES, Amount, amount


@dataclass(frozen=True)
class Intervals(Part):
    """The RR intervals before and after the beat, each by at most `size`; earlier ones are held.

    In LSB: every value of the network's inputs after the signal.
    """

    size: Amount
    name: ClassVar[str] = "rr"
    in_counts: ClassVar[bool] = True
    rounds: ClassVar[bool] = False
    of_signal: ClassVar[bool] = False

    @staticmethod
    def parse(text: str, where: str) -> Intervals:
        """Read "8ms" or "2lsb"."""
        return Intervals(amount(text, ("ms", "s", "lsb"), where))

    @property
    def text(self) -> str:
        """As it is written."""
        return f"{self.name}:{self.size}"

    @property
    def of_inputs(self) -> bool:
        """Whether the network's inputs themselves move."""
        return self.size.unit == "lsb"

    def describe(self) -> str:
        """Return what may happen."""
        if self.of_inputs:
            return f"each value of the rhythm input moves by up to {self.size.value:g}"
        return f"the RR intervals before and after the beat are wrong by up to {self.size} each"

    def bound(self, held: Held) -> float:
        """Return the greatest change, in LSB or in whole raw samples."""
        if self.size.unit in TIMES:
            rate = converter(held).adc.rate_hz
            return float(np.floor(self.size.milliseconds * rate / 1000 + 1e-9))
        return float(np.floor(self.size.value))

    def changes(self, held: Held, low: FloatArray, high: FloatArray) -> Changes:
        """Return what can change: the last columns of raw."""
        least, greatest = self._free(held)
        return Changes(None, least, greatest)

    def random(self, held: Held, generator: np.random.Generator) -> FloatArray:
        """Return uniform changes."""
        least, greatest = self._free(held)
        change = generator.integers(least.astype(int), greatest.astype(int) + 1)
        return change.astype(np.float64)

    def best(self, held: Held, weights: FloatArray) -> FloatArray:
        """Return the end of the range that lies along `weights`."""
        least, greatest = self._free(held)
        return np.where(weights > 0, greatest, np.where(weights < 0, least, 0.0))

    def contains(self, held: Held, low: FloatArray, high: FloatArray) -> BoolArray:
        """Return for which windows some change lies between `low` and `high`."""
        least, greatest = self._free(held)
        return np.asarray(((low <= greatest) & (high >= least)).all(axis=1))

    def project(self, held: Held, change: FloatArray) -> FloatArray:
        """Return the nearest changes of the set."""
        return np.asarray(np.clip(np.rint(change), *self._free(held)))

    def _free(self, held: Held) -> tuple[FloatArray, FloatArray]:
        """Return the least and greatest changes that stay within what an interval can be."""
        least, greatest = held.count_range
        if isinstance(held, HeldBeats):
            least, greatest = held.front_end.rr_least, held.front_end.rr_most
        size, raw = self.bound(held), held.raw.astype(np.float64)
        low, high = np.maximum(least - raw, -size), np.minimum(greatest - raw, size)
        low[:, : movable(held)], high[:, : movable(held)] = 0, 0
        return np.minimum(low, 0), np.maximum(high, 0)


def interval_box(held: HeldBeats, low: FloatArray, high: FloatArray) -> tuple[Int8Array, Int8Array]:
    """Return the least and greatest interval features for changes of the intervals, both int8.

    The interval before the beat enters quantiles of its own history, so that each of its values is
    tried; the features rise with the interval after it.

    Args:
        held: The beats, with their intervals [n].
        low: Least change of the intervals before and after the beat, float64 [n, 2].
        high: Greatest change.
    """
    around = held.raw[:, held.samples :].astype(np.int64)
    first, last = around + low.astype(np.int64), around + high.astype(np.int64)
    least = np.full((len(held), held.front_end.interval_features), 127, np.int8)
    greatest = -least
    for step in range(int((last[:, 0] - first[:, 0]).max(initial=0)) + 1):
        before = np.minimum(first[:, 0] + step, last[:, 0])
        for after in (first[:, 1], last[:, 1]):
            features = held.interval_features(np.stack([before, after], axis=1))
            least, greatest = np.minimum(least, features), np.maximum(greatest, features)
    return least, greatest
