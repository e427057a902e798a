"""Generated sparse convolutions against the numpy specification, on emulated cores."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings

from edgeprune.errors import NetworkError
from edgeprune.firmware.kernels import KernelRequest, single_request
from edgeprune.firmware.kernels.dsp.planes import FIELD
from edgeprune.firmware.kernels.dsp.sparse import generate
from edgeprune.network import Conv1d, Tensor
from edgeprune.targets import load_target
from tests.firmware.kernels.dsp_checks import check
from tests.firmware.kernels.dsp_layers import Layer, layers, request_of
from tests.firmware.networks import r1

TARGETS = [load_target(name) for name in ("cortex-m4", "cortex-m7", "cortex-m33")]


@settings(max_examples=80, deadline=None)
@given(layers())
def test_a_sparse_convolution_is_exact(layer: Layer) -> None:
    try:
        request = request_of(layer)
    except NetworkError:
        return
    codes = generate(request)
    random = np.random.default_rng(layer.seed)
    for code in codes if len(codes) < 3 else random.permutation(np.array(codes))[:3]:
        check(code, request, TARGETS[layer.seed % 3], layer.seed)


@pytest.mark.parametrize("style", ["random", "magnitude", "blocks"])
def test_nine_tenths_fewer_weights_take_a_fraction_of_the_instructions(style: str) -> None:
    """The second convolution of R1 and its pool: 327,680 multiply-accumulates if dense."""
    request = single_request(r1(), 1, 2)
    convolution = request.operations[0]
    assert isinstance(convolution, Conv1d)
    random = np.random.default_rng(1)
    weights = convolution.weights.copy()
    ranks = random.random(weights.shape)
    if style == "magnitude":
        ranks = np.abs(weights.astype(float))
    elif style == "blocks":
        ranks = np.repeat(random.random((32, 5, 4)), 4, axis=2)
    weights[ranks < np.quantile(ranks, 0.9)] = 0
    operations = (dataclasses.replace(convolution, weights=weights), *request.operations[1:])
    request = KernelRequest(request.symbol, operations, request.tensors)
    codes = generate(request)
    quickest = min(codes, key=lambda code: code.instructions)
    smallest = min(codes, key=lambda code: code.flash_bytes)
    assert quickest.instructions < 60_000
    assert smallest.flash_bytes < 4_000
    for code in (quickest, smallest):
        check(code, request, TARGETS[1], 1)


def test_sums_that_need_more_than_a_field_are_left_to_others() -> None:
    weights = np.zeros((1, 1, 400), np.int8)
    weights[..., :200] = 127
    fields = {"name": "c", "inputs": ("x",), "output": "y", "bias": np.zeros(1, np.int32)}
    tensors = {"x": Tensor("x", (16, 400), 0.5, 0), "y": Tensor("y", (16, 1), 512.0, 0)}
    answers = []
    for count in (100, 200):
        weights[..., count:] = 0
        kept = Conv1d(weights=weights, weight_scales=np.full(1, 0.5, np.float32), **fields)
        answers.append(generate(KernelRequest("kernel", (kept,), tensors)))
        assert (2 * 255 * 127 * count < 2**FIELD) == bool(answers[-1])
        weights[..., :200] = 127


def test_a_convolution_with_few_zeros_is_left_to_others() -> None:
    assert generate(single_request(r1(), 3, 2)) == ()
