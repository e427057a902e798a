"""TFLite's fixed-point arithmetic: gemmlowp's double rounding, vectorised in int64.

This is the arithmetic of tflite-micro and of TFLite's reference kernels. A real factor becomes a
multiplier in [2^30, 2^31) and an exponent; applying it rounds twice: once when the 64-bit product
is brought to 32 bits, once when the exponent shifts it right.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from edgeprune.errors import NetworkError
from edgeprune.network.tensor import (
    INT8_HIGH,
    INT8_LOW,
    Int8Array,
    Int32Array,
    Int64Array,
    Integers,
)

Scalar = TypeVar("Scalar", bound=np.generic)

# A shifted accumulator plus a zero point must fit an int32 on the device.
ACCUMULATOR_LIMIT = 2**31 - 256


@dataclass(frozen=True, eq=False)
class Multiplier:
    """Real factors as TFLite keeps them: `mantissa * 2^(exponent - 31)`, a scalar or one a channel.

    Args:
        mantissa: In [2^30, 2^31), or 0 for a factor too small to matter.
        exponent: TFLite's shift; positive shifts left before the product, negative right after.
    """

    mantissa: Int32Array
    exponent: Int32Array

    @staticmethod
    def of(factors: npt.ArrayLike) -> Multiplier:
        """Return the multipliers of real, non-negative factors (TFLite's QuantizeMultiplier)."""
        fractions, exponents = np.frexp(np.asarray(factors, np.float64))
        # std::round: halves away from zero; the scaled fraction is exact and below 2^31 + 1.
        mantissas = np.floor(fractions * 2.0**31 + 0.5).astype(np.int64)
        carried = mantissas == 2**31
        mantissas = np.where(carried, 2**30, mantissas)
        exponents = np.where(carried, exponents + 1, exponents)
        vanishing = (exponents < -31) | (mantissas == 0)
        return Multiplier(
            np.where(vanishing, 0, mantissas).astype(np.int32),
            np.where(vanishing, 0, exponents).astype(np.int32),
        )

    def apply(self, accumulators: Integers) -> Int64Array:
        """Multiply and round twice (TFLite's MultiplyByQuantizedMultiplier); monotone.

        Args:
            accumulators: Integers whose left-shifted values fit an int32 (see `require_room`);
                the last axis is the channels where the factors differ by channel.
        """
        # SaturatingRoundingDoublingHighMul: its truncation with a signed nudge is a floor of + 1/2.
        high = accumulators * self._factors
        high += 1 << 30
        high >>= 31
        # RoundingDivideByPOT: halves away from zero.
        right = self._right
        if right.any():
            below = high >> 63
            if not right.all():
                below *= right > 0
            high += below
            high += (np.int64(1) << right) >> 1
            high >>= right
        return high

    @cached_property
    def _factors(self) -> Int64Array:
        left = np.maximum(self.exponent, 0).astype(np.int64)
        return np.asarray(self.mantissa.astype(np.int64) << left)

    @cached_property
    def _right(self) -> Int64Array:
        return np.asarray(np.maximum(-self.exponent, 0).astype(np.int64))

    def require_room(self, bound: npt.ArrayLike, *, where: str) -> None:
        """Prove that no accumulator of magnitude up to `bound` overflows an int32 on the device.

        Raises:
            NetworkError: One could.
        """
        left = np.maximum(self.exponent, 0)
        largest = int(np.max(np.maximum(bound, 1.0) * np.exp2(left)))
        if largest > ACCUMULATOR_LIMIT:
            raise NetworkError(
                f"an int32 accumulator could reach {largest}, above {ACCUMULATOR_LIMIT}",
                where=where,
                hint="the output range is far too narrow or a bias far too large for the weights' "
                "scale: recalibrate this layer",
            )


def saturate(values: Int64Array, zero_point: int, low: int, high: int) -> Int8Array:
    """Add the output's zero point and clamp to `low..high`."""
    values += zero_point
    return np.clip(values, low, high, out=values).astype(np.int8)


def every_int8() -> Int64Array:
    """Return all int8 values in ascending order: the domain of a look-up table."""
    return np.arange(INT8_LOW, INT8_HIGH + 1, dtype=np.int64)


def look_up(table: npt.NDArray[Scalar], values: Int8Array) -> npt.NDArray[Scalar]:
    """Map int8 values through a table over `every_int8()`."""
    # As unsigned bytes the order is 0..127, -128..-1.
    turned: npt.NDArray[Scalar] = np.concatenate((table[-INT8_LOW:], table[:-INT8_LOW]))
    return turned[values.view(np.uint8)]
