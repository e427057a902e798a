"""Functions of one value: their exact range over an interval, and lines below and above them.

A line's slope is that of the edge of the convex hull over the middle of the interval, which makes
the area between line and function the smallest; its intercept is the least of what remains, taken
over every point of an int8 table, or over samples of a smooth function and what lies between them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from edgeprune.network.functions import Function
from edgeprune.network.tensor import INT8_HIGH, INT8_LOW, Int8Array
from edgeprune.verification.linear_maps import FloatArray

# Each intercept is computed with fewer than eight roundings.
_MARGIN = 2.0**-49
# Points of a smooth function, kinks aside.
_SAMPLES = 33
# What a runtime's own exponential may err, relative to the value and to 1.
_SINGLE = 2.0**-20
_DOUBLE = 2.0**-46
# An edge of a hull is found in a few rounds; after these the slope is good enough.
_ROUNDS = 12
# Over how many steps of a table its slope is measured for gradients, to either side.
_REACH = 4

Four = tuple[FloatArray, FloatArray, FloatArray, FloatArray]


class Rule(ABC):
    """A function of one value."""

    integral: bool

    @abstractmethod
    def of(self, values: FloatArray) -> FloatArray:
        """Return the function's values."""

    @abstractmethod
    def ends(self, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Bound the function between `low` and `high`, any shape."""

    @abstractmethod
    def lines(self, low: FloatArray, high: FloatArray) -> Four:
        """Return lower slope and intercept, upper slope and intercept between `low` and `high`."""

    @abstractmethod
    def slope(self, values: FloatArray) -> FloatArray:
        """Return the slope for a gradient."""


@dataclass(frozen=True, eq=False)
class TableRule(Rule):
    """A table over int8.

    Args:
        entries: int8 [256].
        spread: By how many LSB a runtime's output may differ.
    """

    entries: Int8Array
    spread: int = 0
    integral = True

    def of(self, values: FloatArray) -> FloatArray:
        """See `Rule.of`."""
        return self._wide[self._places(np.rint(values))]

    def ends(self, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See `Rule.ends`; exact."""
        last = self._places(np.floor(high))
        # An empty range (bounds that no input meets) must not turn into a crossed pair.
        first = np.minimum(self._places(np.ceil(low)), last)
        least, most = self._extremes
        return (
            np.clip(least[first, last] - self.spread, INT8_LOW, INT8_HIGH),
            np.clip(most[first, last] + self.spread, INT8_LOW, INT8_HIGH),
        )

    def lines(self, low: FloatArray, high: FloatArray) -> Four:
        """See `Rule.lines`."""
        last = self._places(np.floor(high))
        first = np.minimum(self._places(np.ceil(low)), last)
        pairs, where = np.unique(first * 256 + last, return_inverse=True)
        unknown = pairs[np.isnan(self._known[0, pairs])]
        if len(unknown):
            first, last = np.divmod(unknown, 256)
            places = np.minimum(first[:, np.newaxis] + np.arange(256), last[:, np.newaxis])
            found = _hull_lines(places + float(INT8_LOW), self._wide[places])
            self._known[:, unknown] = np.stack(found)
        lower_slope, lower, upper_slope, upper = self._known[:, pairs[where.reshape(low.shape)]]
        return lower_slope, lower - self.spread, upper_slope, upper + self.spread

    def slope(self, values: FloatArray) -> FloatArray:
        """See `Rule.slope`: the mean over a few steps, which rounding does not hide."""
        places = self._places(np.rint(values))
        before, after = np.maximum(places - _REACH, 0), np.minimum(places + _REACH, 255)
        return np.asarray((self._wide[after] - self._wide[before]) / (after - before))

    @cached_property
    def _known(self) -> FloatArray:
        # The lines found so far, by both ends: bounds ask for the same intervals again and again.
        return np.full((4, 1 << 16), np.nan)

    @cached_property
    def _wide(self) -> FloatArray:
        return self.entries.astype(np.float64)

    @cached_property
    def _extremes(self) -> tuple[FloatArray, FloatArray]:
        least, most = np.zeros((256, 256)), np.zeros((256, 256))
        for first in range(256):
            least[first, first:] = np.minimum.accumulate(self._wide[first:])
            most[first, first:] = np.maximum.accumulate(self._wide[first:])
        return least, most

    @staticmethod
    def _places(values: FloatArray) -> npt.NDArray[np.int64]:
        return np.clip(values, INT8_LOW, INT8_HIGH).astype(np.int64) - INT8_LOW


@dataclass(frozen=True, eq=False)
class SmoothRule(Rule):
    """A function of real numbers.

    Args:
        function: It.
        parameters: Its parameters.
        single_precision: Whether the errors of a float32 runtime are covered.
    """

    function: Function
    parameters: tuple[float, ...]
    single_precision: bool = False
    integral = False

    def of(self, values: FloatArray) -> FloatArray:
        """See `Rule.of`."""
        return np.asarray(self.function.of(values, *self.parameters), np.float64)

    def ends(self, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See `Rule.ends`: the extremes are at the ends, at kinks and where the function turns."""
        places = [low, high]
        for place in (*self.function.kinks(*self.parameters), *self.function.turns):
            places.append(np.clip(np.full_like(low, place), low, high))
        found = np.stack([self.of(each) for each in places])
        least, most = found.min(axis=0), found.max(axis=0)
        return least - self._error(least), most + self._error(most)

    def lines(self, low: FloatArray, high: FloatArray) -> Four:
        """See `Rule.lines`: between samples, the second derivative bounds what they miss."""
        steps = np.linspace(0.0, 1.0, _SAMPLES)
        width = (high - low)[..., np.newaxis]
        points = [np.minimum(low[..., np.newaxis] + width * steps, high[..., np.newaxis])]
        for kink in self.function.kinks(*self.parameters):
            points.append(np.clip(kink, low, high)[..., np.newaxis])
        places = np.sort(np.concatenate(points, axis=-1), axis=-1)
        values = self.of(places)
        curvature = self.function.curvature(*self.parameters)
        step = (width[..., 0] / (_SAMPLES - 1)) * (1 + 2.0**-40)
        missed = curvature * step**2 / 8 + self._error(np.abs(values).max(axis=-1))
        lower_slope, lower, upper_slope, upper = _hull_lines(places, values)
        return lower_slope, lower - missed, upper_slope, upper + missed

    def slope(self, values: FloatArray) -> FloatArray:
        """See `Rule.slope`."""
        step = 1e-4
        return np.asarray((self.of(values + step) - self.of(values - step)) / (2 * step))

    def _error(self, values: FloatArray) -> FloatArray:
        share = _SINGLE if self.single_precision else _DOUBLE
        return np.asarray(share * (1.0 + np.abs(values)))


def _hull_lines(places: FloatArray, values: FloatArray) -> Four:
    """Return lines below and above points [..., k], whose places ascend or repeat the last."""
    lower_slope, lower = _under(places, values)
    upper_slope, upper = _under(places, -values)
    return lower_slope, lower, -upper_slope, -upper


def _under(places: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return slope and intercept of the hull's edge under the middle of the places.

    From the chord on, the point farthest below the line takes the place of the end on its side of
    the middle; the line through both ends then lies lower at that point and higher nowhere.
    """
    left, right = places[..., 0], places[..., -1]
    middle = 0.5 * (left + right)
    below, above = values[..., 0], values[..., -1]
    slope = np.zeros_like(middle)
    for _ in range(_ROUNDS):
        run = right - left
        slope = np.where(run > 0, (above - below) / np.where(run > 0, run, 1.0), 0.0)
        rest = values - slope[..., np.newaxis] * places
        chosen = rest.argmin(axis=-1)[..., np.newaxis]
        least = np.take_along_axis(rest, chosen, axis=-1)[..., 0]
        place = np.take_along_axis(places, chosen, axis=-1)[..., 0]
        value = np.take_along_axis(values, chosen, axis=-1)[..., 0]
        lower = least < below - slope * left - 1e-9
        if not lower.any():
            break
        to_left, to_right = lower & (place <= middle), lower & (place > middle)
        left, below = np.where(to_left, place, left), np.where(to_left, value, below)
        right, above = np.where(to_right, place, right), np.where(to_right, value, above)
    rest = (values - slope[..., np.newaxis] * places).min(axis=-1)
    largest = np.abs(values).max(axis=-1) + np.abs(slope) * np.abs(places).max(axis=-1)
    return slope, rest - _MARGIN * largest
