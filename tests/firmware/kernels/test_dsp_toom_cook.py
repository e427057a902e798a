"""Toom-Cook convolutions in DSP instructions: the mathematics by brute force, then the kernels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeprune.firmware.kernels import single_request
from edgeprune.firmware.kernels.dsp import toom_cook
from edgeprune.firmware.kernels.thumb.points import Points
from tests.firmware.kernels import dsp_requests
from tests.firmware.kernels.dsp_requests import CORES, Scales, Shape, check, scales
from tests.firmware.networks import r1

# First operation and number of operations, instructions at most.
_R1 = {"c2": (1, 2, 184_000), "c3": (3, 2, 149_000), "c4": (5, 2, 106_000)}
_PLAIN = Scales(seed=3, steps=0.5, spread=1.5, zero_points=(-128, -128), clamp="relu")


def _input_matrix(points: Points) -> np.ndarray:
    """Return the coefficients of M(x) / (x - p) for every product, from NumPy's polynomials."""
    whole = np.rint(np.poly(points.finite)).astype(np.int64)[::-1]
    rows = [np.rint(np.poly([q for q in points.finite if q != p]))[::-1] for p in points.finite]
    padded = [np.append(row, 0).astype(np.int64) for row in rows]
    return np.array([padded[0], whole, *padded[1:]])


@pytest.mark.parametrize("pairs", [2, 3])
@pytest.mark.parametrize("extreme", [False, True])
def test_the_transforms_compute_the_correlation(pairs: int, extreme: bool) -> None:
    points = Points(pairs)
    taps = points.products - 3
    random = np.random.default_rng(pairs)
    for _ in range(200):
        filters = random.choice([-128, 127], taps) if extreme else random.integers(-128, 128, taps)
        rows = points.products
        data = random.choice([-255, 0, 255], rows) if extreme else random.integers(-255, 256, rows)
        values, weights = _input_matrix(points) @ data, points.weights(filters.astype(np.int64))
        assert max(np.abs(values).max(), np.abs(weights).max()) < 2**15
        products = values * weights
        for output in range(4):
            powers = [p**output for p in points.finite]
            last = points.scale if output == 3 else 0
            total = int(np.dot([powers[0], last, *powers[1:]], products))
            shifted = (total % 2**32) * points.inverse % 2**32
            shifted -= 2**32 if shifted >= 2**31 else 0
            wanted = int(np.dot(filters, data[output : output + taps]))
            assert shifted >> points.twos == wanted


@st.composite
def _shapes(draw: st.DrawFn) -> Shape:
    kernel = draw(st.integers(2, 5))
    return Shape(
        length=draw(st.integers(max(kernel, 4), 75)),
        channels=2 * draw(st.integers(1, 20)),
        outputs=draw(st.integers(2, 7)),
        kernel=kernel,
        padding=draw(st.tuples(st.integers(0, 4), st.integers(0, 4))),
        pool=draw(st.sampled_from([1, 1, 2, 4])),
        average=draw(st.integers(0, 4)) == 0,
        means=draw(st.booleans()),
        add=draw(st.sampled_from(["", "", "first", "second"])),
    )


@settings(max_examples=60, deadline=None)
@given(_shapes(), scales, st.integers(0, 10**6), st.sampled_from(CORES))
def test_any_convolution_is_exact(shape: Shape, numbers: Scales, seed: int, core: str) -> None:
    request = dsp_requests.convolution(shape, numbers)
    kernels = toom_cook.generate(request)
    if kernels:
        check(kernels[seed % len(kernels)], request, seed, core)


@pytest.mark.parametrize("name", _R1)
def test_layers_of_r1_take_few_instructions(name: str) -> None:
    first, count, most = _R1[name]
    request = single_request(r1(), first, count)
    kernels = [code for code in toom_cook.generate(request) if code.scratch_bytes <= 3400]
    quickest = min(kernels, key=lambda code: code.instructions)
    assert quickest.instructions <= most
    check(quickest, request, 5)


def test_weights_transformed_when_used_take_less_flash() -> None:
    request = single_request(r1(), 1, 2)
    kernels = toom_cook.generate(request)
    small = [code for code in kernels if len(code.constants) < 3000]
    large = [code for code in kernels if len(code.constants) >= 3000]
    assert len(small) == len(large)
    quickest = min(small, key=lambda code: code.instructions)
    assert quickest.instructions <= 197_000
    check(quickest, request, 6)


@pytest.mark.parametrize(
    "shape",
    [
        Shape(20, 4, 4, 3, stride=2),
        Shape(20, 4, 4, 3, dilation=2),
        Shape(20, 4, 4, 3, groups=2),
        Shape(20, 3, 4, 3),
        Shape(20, 4, 4, 7),
        Shape(20, 4, 1, 3),
    ],
)
def test_other_cases_are_left_to_others(shape: Shape) -> None:
    assert toom_cook.generate(dsp_requests.convolution(shape, _PLAIN)) == ()


def test_sums_without_room_for_the_scale_are_refused() -> None:
    large = Scales(seed=3, steps=16, spread=0, zero_points=(0, 0), clamp="", large_bias=True)
    assert toom_cook.generate(dsp_requests.convolution(Shape(20, 4, 4, 5), large)) == ()
