"""Operations over two axes as operations over one: the same bytes, in numpy and on cores."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgeprune.firmware.kernels import InstructionSet, KernelRequest
from edgeprune.firmware.kernels.flattening import flattened
from edgeprune.firmware.kernels.generators import candidates
from edgeprune.network import (
    AveragePool2d,
    Conv2d,
    DepthwiseConv2d,
    MaxPool2d,
    Operation,
    Tensor,
)
from edgeprune.targets import load_target
from tests.firmware.kernels.dsp_checks import check

LENGTH, LINES, CHANNELS = 19, 3, 4
CORES = {"cortex-m7": InstructionSet.DSP, "cortex-m0plus": InstructionSet.THUMB_1}


def request_of(kind: type[Operation], channels: int = CHANNELS, **fields: Any) -> KernelRequest:
    """Return the request for one operation over a map of 3 lines."""
    random = np.random.default_rng(7)
    if "weights" in fields:
        shape = fields["weights"]
        outputs = shape[-1 if kind is DepthwiseConv2d else 0]
        fields["weights"] = random.integers(-127, 128, shape).astype(np.int8)
        fields["bias"] = random.integers(-900, 900, outputs).astype(np.int32)
        fields["weight_scales"] = random.uniform(0.005, 0.02, outputs).astype(np.float32)
    operation = kind(name="y", inputs=("x",), output="y", clamp_low=-100, **fields)
    source = Tensor("x", (LENGTH, LINES, channels), 0.0625, 5)
    scale, zero_point = (0.25, -3) if "weights" in fields else (source.scale, source.zero_point)
    output = Tensor("y", operation.output_shape(source.shape), scale, zero_point)
    tensors = {"x": source, "y": output}
    operation.check(tensors)
    return KernelRequest("kernel", (operation,), tensors)


FLAT = {
    "filters": request_of(
        Conv2d, 1, weights=(5, 6, 1, 1), stride=(2, 1), dilation=(2, 1), padding=((3, 4), (0, 0))
    ),
    "filters of several channels": request_of(
        Conv2d, weights=(3, 5, 1, CHANNELS), padding=((1, 3), (0, 0))
    ),
    "whole height": request_of(
        Conv2d, weights=(6, 3, LINES, CHANNELS), stride=(2, 1), padding=((0, 2), (0, 0))
    ),
    "depthwise along the length": request_of(
        DepthwiseConv2d, weights=(4, 1, 2 * CHANNELS), channel_multiplier=2, stride=(3, 1)
    ),
    "depthwise over the height": request_of(
        DepthwiseConv2d, weights=(1, LINES, 3 * CHANNELS), channel_multiplier=3, stride=(2, 1)
    ),
    "largest": request_of(MaxPool2d, kernel=(3, 1), stride=(2, 1), padding=((1, 1), (0, 0))),
    "mean": request_of(AveragePool2d, kernel=(4, 1), stride=(4, 1)),
}
OTHERS = {
    "a window of two lines": request_of(Conv2d, weights=(5, 3, 2, CHANNELS)),
    "padding above": request_of(
        DepthwiseConv2d, weights=(1, LINES, CHANNELS), padding=((0, 0), (1, 0))
    ),
    "both axes": request_of(DepthwiseConv2d, weights=(2, LINES, CHANNELS)),
    "a pool over the height": request_of(MaxPool2d, kernel=(1, LINES)),
    "groups": request_of(Conv2d, weights=(4, 3, 1, 2), groups=2),
}


@pytest.mark.parametrize("name", FLAT)
@pytest.mark.parametrize("core", CORES)
def test_the_same_bytes(name: str, core: str) -> None:
    request = FLAT[name]
    flat = flattened(request)
    assert flat is not None
    (before,), (after,) = request.operations, flat.operations
    after.check(flat.tensors)
    values = np.random.default_rng(3).integers(-128, 128, (4, *request.source.shape))
    values = values.astype(np.int8)
    expected = before.run(request.tensors, values)
    found = after.run(flat.tensors, values.reshape(4, *flat.source.shape))
    np.testing.assert_array_equal(found.ravel(), expected.ravel())
    codes = candidates(request, CORES[core])
    assert codes
    for code in (codes[0], codes[-1]):
        check(code, request, load_target(core), 1)


@pytest.mark.parametrize("name", OTHERS)
def test_other_windows_stay_what_they_are(name: str) -> None:
    assert flattened(OTHERS[name]) is None


def test_copies_of_weights_end_somewhere() -> None:
    request = FLAT["filters"]
    (operation,) = request.operations
    tensors = {
        name: replace(tensor, shape=(tensor.shape[0], 9, tensor.shape[2]))
        for name, tensor in request.tensors.items()
    }
    assert flattened(replace(request, tensors=tensors)) is None
    assert flattened(replace(request, operations=(operation, operation))) is None
