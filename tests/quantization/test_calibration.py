"""Ranges: what they cover, what they cost, and that 0 stays exact."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeprune.quantization.calibration import (
    BINS,
    ActivationRange,
    Histogram,
    least_error_range,
    percentile_range,
)


def histogram(values: np.ndarray) -> Histogram:
    low, high = float(values.min()), float(values.max())
    return Histogram(low, high, np.histogram(values, BINS, (low, high))[0].astype(np.int64))


def error(values: np.ndarray, given_range: ActivationRange) -> float:
    scale, zero = given_range.scale, given_range.zero_point
    integers = np.clip(np.round(values / scale) + zero, -128, 127)
    return float(((integers - zero) * scale - values).__pow__(2).mean())


@given(st.floats(-1e3, 1e3), st.floats(0, 1e3))
def test_range_covers_its_bounds_and_zero(low: float, width: float) -> None:
    high = low + width
    found = ActivationRange.covering(low, high)
    assert -128 <= found.zero_point <= 127
    assert found.scale == float(np.float32(found.scale)) > 0
    reach = [(edge - found.zero_point) * found.scale for edge in (-128, 127)]
    assert reach[0] <= min(low, 0) + found.scale
    assert reach[1] >= max(high, 0) - found.scale


def test_dead_activation_has_a_range() -> None:
    assert ActivationRange.covering(0.0, 0.0).scale > 0


def test_percentile_leaves_outliers_out() -> None:
    values = np.concatenate([np.random.default_rng(0).uniform(0, 1, 100_000), [50.0]])
    assert percentile_range(histogram(values), 100).scale == pytest.approx(50 / 255, rel=1e-3)
    assert percentile_range(histogram(values), 99.9).scale == pytest.approx(1 / 255, rel=0.05)


@pytest.mark.parametrize("shape", ["laplace", "relu", "uniform"])
def test_least_error_is_least(shape: str) -> None:
    generator = np.random.default_rng(1)
    values = generator.uniform(-1, 3, 200_000)
    if shape != "uniform":
        values = generator.laplace(0.5, 1, 200_000)
    if shape == "relu":
        values = np.maximum(values, 0)
    best = error(values, least_error_range(histogram(values)))
    for percentile in (100, 99.99, 99.9, 99):
        assert best <= 1.03 * error(values, percentile_range(histogram(values), percentile))
