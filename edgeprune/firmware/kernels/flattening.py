"""Operations over a map of two axes that are others over a map of one: the same bytes, other rows.

What reads each line of the height alone sees [length, height x channels]; what reads the whole
height at once does too, or, channel by channel, [length x height, channels].
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from edgeprune.firmware.kernels.code import KernelRequest
from edgeprune.network import (
    AveragePool1d,
    AveragePool2d,
    Conv1d,
    Conv2d,
    DepthwiseConv1d,
    DepthwiseConv2d,
    MaxPool1d,
    MaxPool2d,
    Operation,
)
from edgeprune.network.convolution import OverMap
from edgeprune.network.pool import PoolOverMap
from edgeprune.network.windows import Sliding

# Where lines are seen alone, each has its own copy of the weights.
_MOST_COPIES = 8


def flattened(request: KernelRequest) -> KernelRequest | None:
    """Return the request for an operation over one axis that computes the same bytes.

    Returns:
        None where the request is another one, or lines are so many that the copies of their
        weights would take more flash than their speed is worth.
    """
    if len(request.operations) != 1:
        return None
    (operation,) = request.operations
    source, output = request.source, request.output
    rows = source.shape[0]
    same: Operation | None = None
    if isinstance(operation, PoolOverMap):
        same = _pool(operation)
    elif isinstance(operation, OverMap):
        lines = source.shape[1]
        same = _convolution(operation, lines)
        if isinstance(operation, DepthwiseConv2d) and operation.windows.axes[1] != Sliding(1):
            rows *= lines
    if same is None:
        return None
    flat = {
        source.name: replace(source, shape=(rows, source.size // rows)),
        output.name: replace(output, shape=(output.shape[0], output.row_size)),
    }
    return replace(request, operations=(same,), tensors={**request.tensors, **flat})


def _pool(operation: PoolOverMap) -> Operation | None:
    along, across = operation.windows.axes
    if across != Sliding(1):
        return None
    kind = {AveragePool2d: AveragePool1d, MaxPool2d: MaxPool1d}[type(operation)]
    return kind(
        **_named(operation),
        clamp_low=operation.clamp_low,
        clamp_high=operation.clamp_high,
        kernel=along.kernel,
        stride=along.stride,
        padding=along.padding,
    )


def _convolution(operation: OverMap, lines: int) -> Operation | None:
    along, across = operation.windows.axes
    alone = across == Sliding(1) and lines <= _MOST_COPIES
    whole = across == replace(Sliding(lines), stride=across.stride)
    copies = lines if alone else 1
    shared: dict[str, Any] = {
        **_named(operation),
        "bias": np.tile(operation.bias, copies),
        "weight_scales": np.tile(operation.weight_scales, copies),
        "clamp_low": operation.clamp_low,
        "clamp_high": operation.clamp_high,
        "dilation": along.dilation,
        "padding": along.padding,
    }
    if isinstance(operation, DepthwiseConv2d):
        return _depthwise(operation, lines, shared, alone=alone, whole=whole)
    if isinstance(operation, Conv2d) and operation.groups == 1:
        return _grouped(operation, lines, shared, alone=alone, whole=whole)
    return None


def _depthwise(
    operation: DepthwiseConv2d, lines: int, shared: dict[str, Any], *, alone: bool, whole: bool
) -> Operation | None:
    weights, along = operation.weights, operation.windows.axes[0]
    shared["channel_multiplier"] = operation.channel_multiplier
    if alone:
        tiled = np.tile(weights[:, 0], (1, lines))
        return DepthwiseConv1d(weights=tiled, stride=along.stride, **shared)
    if whole and along == Sliding(1, along.stride):
        return DepthwiseConv1d(weights=weights[0], stride=along.stride * lines, **shared)
    return None


def _grouped(
    operation: Conv2d, lines: int, shared: dict[str, Any], *, alone: bool, whole: bool
) -> Operation | None:
    weights = operation.weights
    shared["stride"] = operation.stride[0]
    if alone and weights.shape[3] == 1:
        tiled = np.tile(weights[:, :, 0, 0], (lines, 1)).T
        return DepthwiseConv1d(weights=tiled, channel_multiplier=operation.outputs, **shared)
    if alone:
        return Conv1d(weights=np.tile(weights[:, :, 0], (lines, 1, 1)), groups=lines, **shared)
    if whole:
        return Conv1d(weights=weights.reshape(*weights.shape[:2], -1), **shared)
    return None


def _named(operation: Operation) -> dict[str, Any]:
    return {"name": operation.name, "inputs": operation.inputs, "output": operation.output}
