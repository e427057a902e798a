"""The vectorised arithmetic against TFLite's C, transcribed statement by statement."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgeprune.errors import NetworkError
from edgeprune.network.arithmetic import Multiplier, every_int8, look_up, saturate


def c_quantize_multiplier(factor: float) -> tuple[int, int]:
    """tensorflow/lite/kernels/internal/quantization_util.cc: QuantizeMultiplier."""
    if factor == 0:
        return 0, 0
    fraction, shift = math.frexp(factor)
    fixed = math.floor(fraction * (1 << 31) + 0.5)
    if fixed == 1 << 31:
        fixed //= 2
        shift += 1
    if shift < -31:
        shift, fixed = 0, 0
    return fixed, shift


def truncated_divide(dividend: int, divisor: int) -> int:
    """The / of C."""
    quotient = abs(dividend) // divisor
    return quotient if dividend >= 0 else -quotient


def c_multiply(value: int, mantissa: int, shift: int) -> int:
    """tensorflow/lite/kernels/internal/common.cc: MultiplyByQuantizedMultiplier with gemmlowp's
    SaturatingRoundingDoublingHighMul and RoundingDivideByPOT.
    """
    left, right = max(shift, 0), max(-shift, 0)
    product = (value << left) * mantissa
    nudge = (1 << 30) if product >= 0 else 1 - (1 << 30)
    high = truncated_divide(product + nudge, 1 << 31)
    mask = (1 << right) - 1
    threshold = (mask >> 1) + (1 if high < 0 else 0)
    return (high >> right) + (1 if (high & mask) > threshold else 0)


factors = st.floats(2.0**-40, 2.0**20) | st.integers(-35, 20).map(lambda e: 2.0**e)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(factors)
@example(0.0)
@example(1.0)
@example(1 - 2.0**-53)
@example(2.0**-32)
@example(2.0**-33)
def test_multiplier_is_quantized_as_in_c(factor: float) -> None:
    multiplier = Multiplier.of(factor)
    assert (int(multiplier.mantissa), int(multiplier.exponent)) == c_quantize_multiplier(factor)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(factors, st.integers(-(2**31) + 256, 2**31 - 256))
@example(0.5, -1)
@example(0.5, 1)
@example(0.25, -2)
@example(2.0**-31, -(2**30))
@example(1.0, 2**20)
def test_multiplication_rounds_as_in_c(factor: float, value: int) -> None:
    multiplier = Multiplier.of(factor)
    mantissa, shift = int(multiplier.mantissa), int(multiplier.exponent)
    value >>= max(shift, 0)
    assert int(multiplier.apply(np.array([value]))[0]) == c_multiply(value, mantissa, shift)


def test_factors_by_channel_are_applied_to_the_last_axis() -> None:
    factors = [2.0, 1.0, 0.3, 2.0**-9, 2.0**-40]
    values = np.arange(-5000, 5000).reshape(-1, 5)
    result = Multiplier.of(factors).apply(values)
    for channel, factor in enumerate(factors):
        alone = Multiplier.of(factor).apply(values[:, channel])
        np.testing.assert_array_equal(result[:, channel], alone)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.floats(2.0**-20, 2.0**4), st.integers(-(2**26), 2**26))
def test_multiplication_is_monotone(factor: float, start: int) -> None:
    results = Multiplier.of(factor).apply(start + np.arange(64))
    assert (np.diff(results) >= 0).all()


def test_accumulators_that_could_overflow_are_refused() -> None:
    Multiplier.of(8.0).require_room(2**26, where="here")
    with pytest.raises(NetworkError, match="int32 accumulator could reach"):
        Multiplier.of(8.0).require_room(2**27, where="here")
    with pytest.raises(NetworkError):
        Multiplier.of(0.5).require_room(2**31, where="here")
    with pytest.raises(NetworkError):
        Multiplier.of(2.0**40).require_room(0, where="a left shift that C cannot do")


def test_look_up_maps_every_int8() -> None:
    values = np.array([[-128, -1], [0, 127]], np.int8)
    np.testing.assert_array_equal(look_up(every_int8() * 3, values), values.astype(int) * 3)


def test_saturate_adds_the_zero_point_before_the_clamp() -> None:
    values = np.array([-500, -3, 0, 4, 500])
    assert saturate(values, 2, -128, 5).tolist() == [-128, -1, 2, 5, 5]
