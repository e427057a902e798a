"""Reads the nodes with weights: convolutions, dense layers, normalizations, constants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from edgeprune.classifiers.onnx_import.builder import Builder, OnnxNode, parameter
from edgeprune.classifiers.onnx_import.values import Array, Value, plain_index, require

Operand = Value | Array | None
# A diagonal matrix larger than this is no layer.
_MOST_FEATURES = 512
_MOST_WEIGHTS = 1 << 26


def conv(builder: Builder, node: OnnxNode, inputs: Sequence[Operand]) -> Value:
    """Conv: a Conv1d where all of its windows are one cell high, else a Conv2d."""
    value, weight = computed(inputs[0]), constant(inputs, 1, "weights")
    require(weight is not None and weight.ndim in (3, 4), "its weights are not 1-D or 2-D")
    assert weight is not None
    spatial = weight.ndim - 2
    sizes = value.index.shape[2:]
    require(len(sizes) == spatial, f"its input has the shape {list(value.index.shape)}")
    strides, dilations, pads = geometry(node, sizes, weight.shape[2:])
    kept = _long_axes(sizes, weight.shape[2:], pads) if spatial == 2 else [0]
    groups = int(node.attributes.get("group", 1))
    outputs, channels = weight.shape[0], weight.shape[1] * groups
    require(
        value.index.shape[1] == channels and outputs % groups == 0,
        f"{value.index.shape[1]} channels do not fit weights {list(weight.shape)}",
    )
    given = builder.viewed(
        builder.as_map(value, spatial), (channels, *(sizes[axis] for axis in kept))
    )
    kind = nn.Conv1d if len(kept) == 1 else nn.Conv2d
    even = all(pads[axis][0] == pads[axis][1] for axis in kept)
    if not even:
        given = padded(builder, node, given, [pads[axis] for axis in kept])
    bias = constant(inputs, 2, "bias")
    layer = kind(
        channels,
        outputs,
        tuple(weight.shape[2 + axis] for axis in kept),  # type: ignore[arg-type]
        stride=tuple(strides[axis] for axis in kept),  # type: ignore[arg-type]
        dilation=tuple(dilations[axis] for axis in kept),  # type: ignore[arg-type]
        padding=tuple(pads[axis][0] if even else 0 for axis in kept),  # type: ignore[arg-type]
        groups=groups,
        bias=bias is not None,
    )
    layer.weight = parameter(weight.reshape(layer.weight.shape))
    if bias is not None:
        layer.bias = parameter(bias.reshape(-1))
    made = [
        (sizes[axis] + sum(pads[axis]) - (weight.shape[2 + axis] - 1) * dilations[axis] - 1)
        // strides[axis]
        + 1
        for axis in range(spatial)
    ]
    require(min(made) > 0, f"its windows do not fit {list(sizes)}")
    shape = (outputs, *(made[axis] for axis in kept))
    index = plain_index(shape).reshape(1, outputs, *made)
    called = builder.layer(node, layer, given)
    return Value(called, shape, index, "" if bias is not None else str(called.target))


def gemm(builder: Builder, node: OnnxNode, inputs: Sequence[Operand]) -> Value:
    """Gemm of a vector and constant weights."""
    attributes = node.attributes
    weight, bias = constant(inputs, 1, "weights"), constant(inputs, 2, "bias")
    require(weight is not None and weight.ndim == 2, "its weights are no matrix")
    require(not attributes.get("transA", 0), "it transposes its input")
    assert weight is not None
    rows = weight if attributes.get("transB", 0) else weight.T
    rows = rows * np.float32(attributes.get("alpha", 1.0))
    if bias is not None:
        bias = np.broadcast_to(bias.reshape(-1), len(rows)) * np.float32(attributes.get("beta", 1))
    return _dense(builder, node, computed(inputs[0]), rows, bias)


def matmul(builder: Builder, node: OnnxNode, inputs: Sequence[Operand]) -> Value:
    """MatMul of a vector and constant weights, or of every cell of a length."""
    value, weight = computed(inputs[0]), constant(inputs, 1, "weights")
    require(weight is not None and weight.ndim == 2, "its weights are no matrix")
    assert weight is not None
    if value.index.ndim == 3:
        return _dense_by_cell(builder, node, value, weight)
    return _dense(builder, node, value, weight.T, None)


def _dense(
    builder: Builder, node: OnnxNode, value: Value, rows: Array, bias: Array | None
) -> Value:
    require(
        value.index.ndim == 2 and value.index.size == rows.shape[1],
        f"an input of shape {list(value.index.shape)} meets weights for {rows.shape[1]}",
    )
    whole = math.prod(value.shape)
    require(len(rows) * whole <= _MOST_WEIGHTS, f"{len(rows)} x {whole} weights are too many")
    columns = np.zeros((len(rows), whole), np.float32)
    columns[:, value.index[0]] = rows
    layer = nn.Linear(whole, len(rows), bias=bias is not None)
    layer.weight = parameter(columns)
    if bias is not None:
        layer.bias = parameter(bias)
    called = builder.layer(node, layer, builder.as_vector(value))
    shape = (len(rows),)
    return Value(called, shape, plain_index(shape), "" if bias is not None else str(called.target))


def _dense_by_cell(builder: Builder, node: OnnxNode, value: Value, weight: Array) -> Value:
    """Multiply the channels of every cell of [1, length, channels]: a Conv1d of one cell."""
    _, length, channels = value.index.shape
    require(channels == len(weight), f"{channels} channels meet weights for {len(weight)}")
    turned = Value(value.node, value.shape, value.index.transpose(0, 2, 1))
    given = builder.viewed(builder.as_map(turned, 1), (channels, length))
    layer = nn.Conv1d(channels, weight.shape[1], 1, bias=False)
    layer.weight = parameter(weight.T[:, :, np.newaxis])
    called = builder.layer(node, layer, given)
    shape = (weight.shape[1], length)
    return Value(called, shape, plain_index(shape).transpose(0, 2, 1), str(called.target))


def batch_normalization(builder: Builder, node: OnnxNode, inputs: Sequence[Operand]) -> Value:
    """BatchNormalization in evaluation mode."""
    value = computed(inputs[0])
    names = ("scale", "shift", "mean", "variance")
    numbers = [constant(inputs, place, name) for place, name in enumerate(names, start=1)]
    require(all(each is not None for each in numbers), "its statistics are computed")
    scale, shift, mean, variance = (np.asarray(each, np.float32) for each in numbers)
    spatial = value.index.ndim - 2
    require(spatial in (0, 1, 2), f"its input has the shape {list(value.index.shape)}")
    given = builder.as_map(value, spatial)
    index = given.index
    if spatial == 2 and 1 in given.shape[1:]:
        long = max(given.shape[1:])
        given = builder.viewed(given, (given.shape[0], long))
    kind = nn.BatchNorm2d if len(given.shape) == 3 else nn.BatchNorm1d
    layer = kind(len(scale), eps=float(node.attributes.get("epsilon", 1e-5)))
    layer.weight, layer.bias = parameter(scale), parameter(shift)
    layer.running_mean = torch.from_numpy(mean.copy())
    layer.running_var = torch.from_numpy(variance.copy())
    return Value(builder.layer(node, layer, given), given.shape, index)


def with_constant(builder: Builder, node: OnnxNode, value: Value, number: Array) -> Value:
    """Add, Sub, Mul or Div of a constant: a bias, or a convolution of one cell a channel.

    Args:
        builder: The graph.
        node: The node; of Sub and Div the constant is the second operand.
        value: What is computed.
        number: The constant.
    """
    shape = np.broadcast_shapes(value.index.shape, number.shape)
    require(shape == value.index.shape, f"a constant of shape {list(number.shape)} widens it")
    require(np.isfinite(number).all(), "its constant is not finite")
    full = np.broadcast_to(np.asarray(number, np.float64), shape)
    at = np.zeros(math.prod(value.shape))
    at[value.index.reshape(-1)] = full.reshape(-1)
    by_channel = at.reshape(value.shape[0], -1)
    require(
        (by_channel == by_channel[:, :1]).all(), "its constant differs from cell to cell of a map"
    )
    channels = by_channel[:, 0]
    if node.operator == "Div":
        require(channels.all(), "it divides by zero")
        channels = 1 / channels
    multiplies = node.operator in ("Mul", "Div")
    if node.operator == "Sub":
        channels = -channels
    if not multiplies and value.layer and builder.readers.get(node.inputs[0], 2) == 1:
        builder.find(value.layer).bias = parameter(channels)
        return Value(value.node, value.shape, value.index)
    return _affine(
        builder,
        node,
        value,
        channels if multiplies else np.ones(len(channels)),
        np.zeros(len(channels)) if multiplies else channels,
    )


def _affine(builder: Builder, node: OnnxNode, value: Value, scale: Array, shift: Array) -> Value:
    channels = len(scale)
    layer: Any
    if len(value.shape) == 1:
        require(channels <= _MOST_FEATURES, "it scales more features than a layer can")
        layer = nn.Linear(channels, channels)
        layer.weight = parameter(np.diag(scale))
    else:
        kind = nn.Conv1d if len(value.shape) == 2 else nn.Conv2d
        layer = kind(channels, channels, 1, groups=channels)
        layer.weight = parameter(scale.reshape(layer.weight.shape[0], 1, *layer.kernel_size))
    layer.bias = parameter(shift)
    return Value(builder.layer(node, layer, value), value.shape, value.index)


def padded(
    builder: Builder, node: OnnxNode, value: Value, pads: Sequence[tuple[int, int]]
) -> Value:
    """Return a map with zeros around it; torch names the last axis first."""
    around = tuple(cells for pair in reversed(pads) for cells in pair)
    kind = nn.ConstantPad1d if len(pads) == 1 else nn.ConstantPad2d
    layer = kind(around, 0.0)  # type: ignore[arg-type]
    sizes = zip(value.shape[1:], pads, strict=True)
    shape = (value.shape[0], *(size + sum(pair) for size, pair in sizes))
    index = plain_index(shape)
    return builder.made(builder.layer(node, layer, value, "_pad"), shape, index)


def geometry(
    node: OnnxNode, sizes: Sequence[int], kernel: Sequence[int]
) -> tuple[list[int], list[int], list[tuple[int, int]]]:
    """Return strides, dilations and pads (before, after) along each axis of a Conv or pool."""
    axes = len(sizes)
    strides = [int(each) for each in node.attributes.get("strides", [1] * axes)]
    dilations = [int(each) for each in node.attributes.get("dilations", [1] * axes)]
    numbers = [int(each) for each in node.attributes.get("pads", [0] * 2 * axes)]
    require(
        len(strides) == len(dilations) == axes == len(kernel) and len(numbers) == 2 * axes,
        "its windows have other axes than its input",
    )
    require(min(*strides, *dilations, *kernel) > 0, "its windows are impossible")
    scheme = node.attributes.get("auto_pad", b"NOTSET").decode()
    if scheme in ("SAME_UPPER", "SAME_LOWER"):
        pads = []
        for size, stride, dilation, cells in zip(sizes, strides, dilations, kernel, strict=True):
            span = (cells - 1) * dilation + 1
            total = max((-(-size // stride) - 1) * stride + span - size, 0)
            less = total // 2
            pads.append((less, total - less) if scheme == "SAME_UPPER" else (total - less, less))
        return strides, dilations, pads
    require(scheme in ("NOTSET", "VALID"), f"its auto_pad is {scheme}")
    if scheme == "VALID":
        numbers = [0] * 2 * axes
    pads = [(numbers[axis], numbers[axes + axis]) for axis in range(axes)]
    require(min(numbers) >= 0, "it crops instead of padding")
    return strides, dilations, pads


def _long_axes(
    sizes: Sequence[int], kernel: Sequence[int], pads: Sequence[tuple[int, int]]
) -> list[int]:
    """Return the axes along which something slides; the other has one cell."""
    for axis, other in ((1, 0), (0, 1)):
        if sizes[other] == kernel[other] == 1 and pads[other] == (0, 0):
            return [axis]
    return [0, 1]


def computed(operand: Operand) -> Value:
    """Return an operand that must be computed."""
    require(isinstance(operand, Value), "its operand is a constant")
    assert isinstance(operand, Value)
    return operand


def constant(inputs: Sequence[Operand], place: int, what: str) -> Array | None:
    """Return an operand that must be constant; None where it is left out."""
    operand = inputs[place] if place < len(inputs) else None
    require(not isinstance(operand, Value), f"its {what} are computed")
    return operand if isinstance(operand, np.ndarray) else None
