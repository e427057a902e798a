"""Linear maps with integer weights, and the stairs that rounding makes of their sums.

A rounding layer is a monotone function from accumulators to int8. It is kept as its *stairs*: for
each output value the least accumulator that reaches it, found by bisection on the exact fixed-point
arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

LEAST, MOST = -128, 127
# An accumulator beyond this would overflow the device's int32.
REACH = 2**31 - 256
# Thresholds of values that are never, or always, reached.
NEVER = 2**61
# Fractional bits of slopes: so that the steepest has 18 bits, where there is room.
_SLOPE_BITS, _MOST_SHIFT = 18, 44


class Refused(Exception):  # noqa: N818  (a verdict, and no fault of the program)
    """The file, or a certificate in it, is not accepted; the text says why."""


def times(left: Ints, right: Ints) -> Ints:
    """Return the exact matrix product, in Python's integers where int64 has no room."""
    largest = int(np.abs(left).max(initial=0)) * int(np.abs(right).max(initial=0))
    if largest * right.shape[0] < 2**62:
        return np.asarray(left @ right)
    return np.asarray(left.astype(object) @ right.astype(object))


def narrow(values: Ints) -> Ints:
    """Return Python's integers as int64 where these have room for them."""
    if values.dtype != object or np.abs(values).max(initial=0) >= 2**62:
        return values
    return values.astype(np.int64)


@dataclass(frozen=True, eq=False)
class Linear:
    """Integer weights over a sliding window; a dense layer is a window over one cell.

    Attributes:
        weights: [kernel, channels in, channels out].
        length: Cells of the input.
        windows: Cells of the output.
        stride, dilation, before: The window's geometry; `before` zeros stand left of the input.
    """

    weights: Ints
    length: int
    windows: int
    stride: int = 1
    dilation: int = 1
    before: int = 0

    def _cells(self, tap: int) -> slice:
        first = tap * self.dilation
        return slice(first, first + self.stride * (self.windows - 1) + 1, self.stride)

    @property
    def _padded(self) -> int:
        kernel = len(self.weights)
        reach = (kernel - 1) * self.dilation + self.stride * (self.windows - 1) + 1
        return max(reach, self.before + self.length)

    def forward(self, values: Ints, weights: Ints | None = None) -> Ints:
        """Return sums [m, outputs] of values [m, inputs]."""
        weights = self.weights if weights is None else weights
        count, own = len(values), slice(self.before, self.before + self.length)
        padded = np.zeros((count, self._padded, weights.shape[1]), values.dtype)
        padded[:, own] = values.reshape(count, self.length, -1)
        sums = sum(times(padded[:, self._cells(k)], tap) for k, tap in enumerate(weights))
        return np.asarray(sums).reshape(count, -1)

    def backward(self, values: Ints) -> Ints:
        """Return the transposed product [m, inputs] of values [m, outputs]."""
        count, own = len(values), slice(self.before, self.before + self.length)
        rows = values.reshape(count, self.windows, -1)
        width = self.weights.shape[1]
        # What reaches one input cell comes from at most `kernel` windows: the sums have room.
        room = int(np.abs(values).max(initial=0)) * int(np.abs(self.weights).sum(axis=(0, 2)).max())
        rows = rows if room < 2**62 else rows.astype(object)
        padded = np.zeros((count, self._padded, width), rows.dtype)
        for k, tap in enumerate(self.weights):
            padded[:, self._cells(k)] += rows @ tap.T.astype(rows.dtype)
        return np.asarray(padded[:, own]).reshape(count, -1)

    def interval(self, low: Ints, high: Ints) -> tuple[Ints, Ints]:
        """Return the least and greatest sums [outputs] over a box of inputs."""
        plus, minus = np.maximum(self.weights, 0), np.minimum(self.weights, 0)
        rows = np.stack([low, high])
        first, second = self.forward(rows, plus), self.forward(rows[::-1], minus)
        least, greatest = first + second
        return least, greatest


@dataclass(frozen=True, eq=False)
class Stairs:
    """A monotone function from accumulators to int8, one a row.

    Attributes:
        thresholds: Least accumulator [rows, 255] that gives at least -127, -126, ... 127.
        slope: Real slope of the unclamped function times 2^shift [rows].
        shift: See `slope`.
    """

    thresholds: Ints
    slope: Ints
    shift: int

    def values(self, rows: Ints, accumulators: Ints) -> Ints:
        """Return the outputs of accumulators [n] in their rows [n]."""
        return np.asarray(LEAST + (self.thresholds[rows] <= accumulators[:, None]).sum(axis=1))


def requantizer(factors: list[Fraction]) -> tuple[Callable[[Ints], Ints], list[Fraction], int]:
    """Return TFLite's double-rounding multiplication by factors, its slopes, and its room.

    The factor is the float64 nearest to the quotient of the scales; its 31-bit mantissa is rounded
    half up (TFLite's QuantizeMultiplier, gemmlowp's fixed point).
    """
    mantissas, exponents = [], []
    for factor in factors:
        exponent = factor.numerator.bit_length() - factor.denominator.bit_length()
        exponent += factor >= Fraction(2) ** exponent
        double = Fraction(round(factor * Fraction(2) ** (53 - exponent)), 2**53)
        mantissa = (double * 2**31 + Fraction(1, 2)).__floor__()
        if mantissa == 2**31:
            mantissa, exponent = 2**30, exponent + 1
        if exponent < -31:
            mantissa, exponent = 0, 0
        mantissas.append(mantissa)
        exponents.append(exponent)
    scale, shift = np.array(mantissas, np.int64), np.array(exponents, np.int64)
    left, right = np.maximum(shift, 0), np.maximum(-shift, 0)

    def apply(accumulators: Ints) -> Ints:
        high = ((accumulators << left) * scale + 2**30) >> 31
        # Halves away from zero.
        nudged = high + ((1 << right) >> 1) - ((high < 0) & (right > 0))
        return np.asarray(nudged >> right)

    slopes = [
        Fraction(m) * Fraction(2) ** (e - 31) for m, e in zip(mantissas, exponents, strict=True)
    ]
    return apply, slopes, REACH >> int(left.max())


def stairs(
    function: Callable[[Ints], Ints],
    slopes: list[Fraction],
    offset: int,
    clamp: tuple[int, int],
    reach: int,
) -> Stairs:
    """Find the stairs of `clip(function(accumulator) + offset)` by bisection.

    Args:
        function: Monotone; from [values, rows] to [values, rows].
        slopes: Real slopes of the function.
        offset: Added before the clamp.
        clamp: Least and greatest output.
        reach: Accumulators lie within -reach..reach.
    """
    wanted = np.arange(LEAST + 1, MOST + 1)[:, None]
    least = np.full((len(wanted), len(slopes)), -reach - 1)
    most = np.full_like(least, reach + 1)
    # `least` stays below the threshold and `most` at or above it.
    while (gap := most - least).max() > 1:
        middle = least + gap // 2
        reached = function(np.clip(middle, -reach, reach)) + offset >= wanted
        least, most = np.where(reached, least, middle), np.where(reached, middle, most)
    most = np.where(most == reach + 1, NEVER, np.where(most == -reach, -NEVER, most))
    most = np.where(wanted <= clamp[0], -NEVER, np.where(wanted > clamp[1], NEVER, most))
    steepest = max([*slopes, Fraction(1, 2**60)])
    shift = _SLOPE_BITS + steepest.denominator.bit_length() - steepest.numerator.bit_length()
    shift = min(max(shift, 0), _MOST_SHIFT)
    slope = np.array([round(each * Fraction(2) ** shift) for each in slopes], np.int64)
    return Stairs(np.ascontiguousarray(most.T), slope, shift)
