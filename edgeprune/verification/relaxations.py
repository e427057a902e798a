"""Lines below and above a rounding, clamping staircase, and below and above a maximum.

A step `y = clamp(round(o + f a))` with its accumulator known to lie in [L, U] has two ends that
are exact, `lo = y(L)` and `hi = y(U)`, and between them `|y - (o + f a)| <= e` wherever it is not
clamped. For any slope s in [0, f] the line

    y >= s a + min(lo - s A, hi - s U),   A = min((lo + e - o) / f, U)

holds: a value v that is not clamped from above is reached only by a <= (v + e - o) / f, and
v - s (v + e - o) / f does not fall with v, as s <= f; also a <= U. What is clamped from above is
hi. The line above is its mirror image, with B = max((hi - e - o) / f, L). Slopes beyond the chord
would lie lower everywhere (at the kink A they all meet), so that they end there. Float errors are
subtracted from the intercepts: a few units of 2^-53 of every magnitude in the formula.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from edgeprune.network.tensor import Int64Array
from edgeprune.verification.bound_nodes import Curve, Maximum, Step
from edgeprune.verification.linear_maps import FloatArray

# Each intercept is computed with fewer than eight roundings.
_MARGIN = 2.0**-49


@dataclass(frozen=True, eq=False)
class Kinks:
    """Where the lines of a step turn: what does not depend on slopes. All float64 [n, size].

    Args:
        low: Least accumulator L.
        high: Greatest accumulator U.
        least: Output at L.
        most: Output at U.
        lower: Where the lines below meet, A.
        upper: Where the lines above meet, B.
        steepest_lower: Largest useful slope below.
        steepest_upper: Largest useful slope above.
        margin: What float arithmetic may have added to an intercept, without the slope's part.
    """

    low: FloatArray
    high: FloatArray
    least: FloatArray
    most: FloatArray
    lower: FloatArray
    upper: FloatArray
    steepest_lower: FloatArray
    steepest_upper: FloatArray
    margin: FloatArray

    def lifted(self) -> Kinks:
        """Return the same with an axis for objectives, [n, 1, size]."""
        return Kinks(*(getattr(self, each.name)[:, np.newaxis] for each in fields(self)))

    def select(self, columns: Int64Array) -> Kinks:
        """Return the kinks of some elements."""
        return Kinks(*(getattr(self, each.name)[..., columns] for each in fields(self)))


@dataclass(frozen=True, eq=False)
class Lines:
    """`lower_slope * a + lower <= y <= upper_slope * a + upper`, all float64 [n, (k,) size]."""

    lower_slope: FloatArray
    lower: FloatArray
    upper_slope: FloatArray
    upper: FloatArray

    def lifted(self) -> Lines:
        """Return the same with an axis for objectives, [n, 1, size]."""
        return Lines(*(getattr(self, each.name)[:, np.newaxis] for each in fields(self)))


def kinks(
    step: Step, low: FloatArray, high: FloatArray, least: FloatArray, most: FloatArray
) -> Kinks:
    """Return the kinks of a step whose operand lies within `low..high`.

    Args:
        step: The step.
        low: Least operand values [n, size].
        high: Greatest.
        least: The step's outputs there (see `Step.ends`).
        most: The same at `high`.
    """
    factor = step.factor
    error = step.error + factor * step.slack * (1 + 2.0**-50)
    moves = factor > 0
    divisor = np.where(moves, factor, 1.0)
    lower = np.minimum(np.where(moves, (least + error - step.offset) / divisor, high), high)
    upper = np.maximum(np.where(moves, (most - error - step.offset) / divisor, low), low)
    rise = most - least
    margin = _MARGIN * (np.abs(least) + np.abs(most) + np.abs(step.offset) + error)
    return Kinks(
        low,
        high,
        least,
        most,
        lower,
        upper,
        _steepest(rise, high - lower, factor),
        _steepest(rise, upper - low, factor),
        margin,
    )


def lines(kinked: Kinks, lower_slope: FloatArray, upper_slope: FloatArray) -> Lines:
    """Return the lines of these slopes, which must lie between 0 and the steepest ones.

    Args:
        kinked: The kinks [n, size], or with an axis for objectives [n, 1, size].
        lower_slope: float64, broadcast against the kinks.
        upper_slope: The same.
    """
    lower = np.minimum(
        kinked.least - lower_slope * kinked.lower, kinked.most - lower_slope * kinked.high
    )
    upper = np.maximum(
        kinked.most - upper_slope * kinked.upper, kinked.least - upper_slope * kinked.low
    )
    reach = _MARGIN * (np.abs(kinked.low) + np.abs(kinked.high))
    lower -= kinked.margin + lower_slope * reach
    upper += kinked.margin + upper_slope * reach
    return Lines(lower_slope, lower, upper_slope, upper)


def adaptive(kinked: Kinks) -> tuple[FloatArray, FloatArray]:
    """Return slopes below and above: of the two extreme ones, that with the smaller gap.

    This is the choice of CROWN (Zhang et al. 2018, section 3.2) for either kink.
    """
    middle = 0.5 * (kinked.low + kinked.high)
    lower = np.where(middle > kinked.lower, kinked.steepest_lower, 0.0)
    upper = np.where(middle < kinked.upper, kinked.steepest_upper, 0.0)
    return lower, upper


def unstable(step: Step, low: FloatArray, high: FloatArray) -> FloatArray:
    """Return how far, in LSB, an operand's range reaches to either side of a kink [n, size].

    It is the smaller of the two parts into which the nearer clamp divides the range, the rounding
    left out: 0 where the step is linear or constant.
    """
    start, stop = step.offset + step.factor * low, step.offset + step.factor * high
    below = np.minimum(step.low - start, stop - step.low)
    above = np.minimum(step.high - start, stop - step.high)
    return np.asarray(np.maximum(np.maximum(below, above), 0.0))


def curve_lines(node: Curve, low: FloatArray, high: FloatArray) -> Lines:
    """Return the lines of a function of one value over an operand within `low..high` [n, size]."""
    return Lines(*node.rule.lines(low, high))


@dataclass(frozen=True, eq=False)
class MaximumLines:
    """Lines of a maximum: one cell below, one above.

    Args:
        lower_cell: int64 [n, size]: `y >= operand[lower_cell]`.
        upper_cell: int64 [n, size].
        upper_slope: float64 [n, size]: `y <= upper_slope * operand[upper_cell] + upper`.
        upper: float64 [n, size].
    """

    lower_cell: Int64Array
    upper_cell: Int64Array
    upper_slope: FloatArray
    upper: FloatArray


def maximum_lines(node: Maximum, low: FloatArray, high: FloatArray) -> MaximumLines:
    """Return the lines of a maximum over an operand within `low..high` [n, its size].

    Above, the cell that can be largest is held against the largest that all others can be: a
    maximum with a constant is a Relu, whose line above is the chord. Below, any cell will do.
    """
    lows, highs = low[:, node.cells], high[:, node.cells]
    best = np.argmax(lows + 1e-3 * highs, axis=2)
    top = np.argmax(highs, axis=2)
    places = np.arange(node.size)
    lower_cell, upper_cell = node.cells[places, best], node.cells[places, top]
    own = node.cells[np.newaxis] == upper_cell[:, :, np.newaxis]
    rest = np.where(own, -np.inf, highs).max(axis=2)
    least = np.take_along_axis(low, upper_cell, axis=1)
    most = np.take_along_axis(high, upper_cell, axis=1)
    floor = np.maximum(rest, least)
    slope = _steepest(most - floor, most - least, np.ones_like(most))
    upper = np.maximum(floor - slope * least, most - slope * most)
    upper += _MARGIN * (np.abs(floor) + np.abs(most) + slope * (np.abs(least) + np.abs(most)))
    return MaximumLines(lower_cell, upper_cell, slope, upper)


def _steepest(rise: FloatArray, run: FloatArray, factor: FloatArray) -> FloatArray:
    moves = run > 0
    return np.asarray(np.where(moves, np.minimum(rise / np.where(moves, run, 1.0), factor), 0.0))
