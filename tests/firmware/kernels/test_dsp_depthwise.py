"""Generated depthwise convolutions against the numpy specification, on emulated cores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from edgeprune.errors import NetworkError
from edgeprune.firmware.kernels import KernelRequest, single_request
from edgeprune.firmware.kernels.dsp.depthwise import generate
from edgeprune.network import DepthwiseConv1d, Tensor
from edgeprune.targets import load_target
from tests.firmware.kernels.dsp_checks import check
from tests.firmware.kernels.dsp_layers import Layer, layers, request_of
from tests.firmware.networks import r1

TARGETS = [load_target(name) for name in ("cortex-m4", "cortex-m7", "cortex-m33")]


@settings(max_examples=80, deadline=None)
@given(layers(choices=(0,)))
def test_a_depthwise_convolution_is_exact(layer: Layer) -> None:
    try:
        request = request_of(layer)
    except NetworkError:
        return
    for code in generate(request):
        assert bool(code.slower) == (layer.dilation > 1)
        check(code, request, TARGETS[layer.seed % 3], layer.seed)


def depthwise(length: int, channels: int, kernel: int) -> KernelRequest:
    random = np.random.default_rng(1)
    operation = DepthwiseConv1d(
        name="c",
        inputs=("x",),
        output="y",
        weights=random.integers(-127, 128, (kernel, channels)).astype(np.int8),
        bias=random.integers(-900, 900, channels).astype(np.int32),
        weight_scales=np.full(channels, 0.01, np.float32),
        padding=(kernel // 2, kernel // 2),
        clamp_low=-128,
    )
    tensors = {name: Tensor(name, (length, channels), 0.5, -128) for name in ("x", "y")}
    operation.check(tensors)
    return KernelRequest("kernel", (operation,), tensors)


@pytest.mark.parametrize(("kernel", "most"), [(3, 10.5), (5, 12), (9, 17), (31, 45)])
def test_an_output_takes_few_instructions(kernel: int, most: float) -> None:
    request = depthwise(128, 16, kernel)
    code = min(generate(request), key=lambda code: code.instructions)
    assert code.instructions < most * request.output.size
    assert code.scratch_bytes < 2 * (140 + 2 * kernel)
    check(code, request, TARGETS[0], 1)


def test_other_operations_are_left_to_others() -> None:
    assert generate(single_request(r1(), 3, 2)) == ()
