"""Direct convolutions and dense layers in DSP instructions against the numpy specification."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeprune.firmware.kernels import single_request
from edgeprune.firmware.kernels.dsp import dense, direct
from tests.firmware.kernels import dsp_requests
from tests.firmware.kernels.dsp_requests import CORES, Scales, Shape, check, scales, shapes
from tests.firmware.networks import r1

# First operation and number of operations, instructions at most.
_R1 = {"c1": (0, 1, 20_000), "c2": (1, 2, 233_000), "c3": (3, 2, 229_000), "c4": (5, 2, 143_000)}


@settings(max_examples=60, deadline=None)
@given(shapes(), scales, st.integers(0, 10**6), st.sampled_from(CORES))
def test_any_convolution_is_exact(shape: Shape, numbers: Scales, seed: int, core: str) -> None:
    request = dsp_requests.convolution(shape, numbers)
    kernels = direct.generate(request)
    if kernels:
        check(kernels[seed % len(kernels)], request, seed, core)


_PLAIN = Scales(seed=3, steps=0.5, spread=1.5, zero_points=(-128, -128), clamp="relu")


@pytest.mark.parametrize(
    "shape",
    [
        Shape(19, 128, 5, 9, padding=(4, 4)),
        Shape(70, 64, 4, 3, dilation=16, padding=(16, 16)),
        Shape(9, 8, 300, 3),
        Shape(20, 2, 2, 3, padding=(200, 300)),
        Shape(700, 3, 2, 3, dilation=300),
        Shape(900, 3, 2, 3, stride=300),
        Shape(13, 40, 7, 3, padding=(1, 1), average=True),
    ],
)
def test_extreme_shapes_are_exact(shape: Shape) -> None:
    request = dsp_requests.convolution(shape, _PLAIN)
    kernels = direct.generate(request)
    assert kernels
    for code in (kernels[0], kernels[-1]):
        check(code, request, 1)


def test_candidates_trade_memory_and_code_for_instructions() -> None:
    kernels = direct.generate(single_request(r1(), 3, 2))
    quickest = min(kernels, key=lambda code: code.instructions)
    smallest = min(kernels, key=lambda code: code.code_bytes)
    leanest = min(kernels, key=lambda code: code.scratch_bytes)
    assert smallest.code_bytes < 0.4 * quickest.code_bytes
    assert leanest.scratch_bytes < 0.2 * quickest.scratch_bytes
    assert {1, 2} == {code.unit for code in kernels}


def test_what_is_slower_says_why() -> None:
    odd = dsp_requests.convolution(Shape(12, 4, 3, 3), _PLAIN)
    even = dsp_requests.convolution(Shape(12, 4, 4, 3), _PLAIN)
    assert all("odd number of output channels" in code.slower for code in direct.generate(odd))
    assert all(code.slower == "" for code in direct.generate(even))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 70), st.integers(1, 20), scales, st.integers(0, 10**6))
def test_any_dense_layer_is_exact(features: int, outputs: int, numbers: Scales, seed: int) -> None:
    request = dsp_requests.dense(features, outputs, numbers)
    for code in dense.generate(request):
        check(code, request, seed)


@pytest.mark.parametrize("name", _R1)
def test_layers_of_r1_take_few_instructions(name: str) -> None:
    first, count, most = _R1[name]
    request = single_request(r1(), first, count)
    small = [code for code in direct.generate(request) if code.scratch_bytes <= 2400]
    quickest = min(small, key=lambda code: code.instructions)
    assert quickest.instructions <= most
    check(quickest, request, 1)


def test_dense_layer_of_r1_takes_few_instructions() -> None:
    request = single_request(r1(), 8)
    quickest = min(dense.generate(request), key=lambda code: code.instructions)
    assert quickest.instructions <= 500
    check(quickest, request, 1)
