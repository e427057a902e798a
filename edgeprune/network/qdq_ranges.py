"""Reads QuantizeLinear and DequantizeLinear: ranges of activations, scales of weights."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeprune.errors import ModelError, UnsupportedOperatorError
from edgeprune.network.qdq_sketch import Node, Sketch
from edgeprune.network.qdq_values import (
    Activation,
    Array,
    Constant,
    GraphInput,
    Pending,
    QuantizedConstant,
    Range,
    Unknown,
    Value,
)
from edgeprune.network.tensor import check_scale

# An unsigned byte minus this is the signed byte that means the same.
_UNSIGNED_OFFSET = 128


def quantize(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Value:
    """QuantizeLinear: gives a value its range."""
    value = inputs[0]
    if isinstance(value, Constant):
        return _quantized_constant(sketch, node, value, inputs)
    if isinstance(value, Unknown):
        return value
    if value is None or isinstance(value, QuantizedConstant):
        raise UnsupportedOperatorError("it quantizes what is quantized already")
    to = _range(sketch, node, inputs)
    name = node.inputs[0]
    if isinstance(value, GraphInput):
        return _input(sketch, value, to)
    if isinstance(value, Pending):
        activation = sketch.finish(value, name, to)
        return sketch.settled_layout(activation, value.node, f"{name}/reshaped")
    moved = sketch.settled_layout(value, node.name, name)
    tensor = sketch.requantized(moved.tensor, to, value.node or node.name, name)
    return Activation(tensor, moved.index)


def dequantize(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Value:
    """DequantizeLinear: of an activation, or of weights and biases."""
    value = inputs[0]
    if isinstance(value, Constant):
        return _dequantized_constant(sketch, node, value, inputs)
    if isinstance(value, GraphInput):
        return _input(sketch, value, _range(sketch, node, inputs))
    if isinstance(value, Activation):
        given = _range(sketch, node, inputs)
        if given != sketch.range_of(value.tensor):
            raise ModelError(
                f"{node.label} reads its integers in another range than they were written in",
                where=sketch.where,
            )
        return value
    if isinstance(value, Unknown):
        return value
    raise UnsupportedOperatorError("it dequantizes real numbers")


def _input(sketch: Sketch, value: GraphInput, to: Range) -> Activation:
    if value.name in sketch.tensors and sketch.range_of(value.name) != to:
        raise ModelError(f"input '{value.name}' is quantized to two ranges", where=sketch.where)
    return sketch.input(value, to)


def _range(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Range:
    scales, zero_points = _parameters(sketch, node, inputs)
    if scales.size != 1 or zero_points.size != 1:
        raise ModelError(
            f"{node.label} gives an activation {scales.size} scales; it can have one",
            where=sketch.where,
            hint="quantize activations per tensor",
        )
    if zero_points.dtype not in (np.int8, np.uint8):
        raise ModelError(
            f"{node.label} quantizes an activation to {zero_points.dtype}",
            where=sketch.where,
            hint="quantize activations to int8 or uint8",
        )
    offset = _UNSIGNED_OFFSET if zero_points.dtype == np.uint8 else 0
    return Range(float(scales.reshape(-1)[0]), int(zero_points.reshape(-1)[0]) - offset)


def _parameters(
    sketch: Sketch, node: Node, inputs: Sequence[Value | None]
) -> tuple[npt.NDArray[np.float32], Array]:
    """Return scales, which are checked, and zero points, whose type is that of the integers."""
    scale, zero_point = inputs[1], inputs[2] if len(inputs) > 2 else None
    if not isinstance(scale, Constant) or not isinstance(zero_point, Constant | None):
        raise ModelError(
            f"{node.label} has a scale or zero point that is no constant",
            where=sketch.where,
            hint="quantize statically: dynamic quantization needs floats on the device",
        )
    if node.attributes.get("block_size"):
        raise ModelError(f"{node.label} has a scale a block", where=sketch.where)
    scales = np.asarray(scale.values, np.float32)
    for each in scales.reshape(-1).tolist():
        if not (np.isfinite(each) and each > 0):
            raise ModelError(
                f"scale '{node.inputs[1]}' of {node.label} is {each}",
                where=sketch.where,
                hint="calibrate again; a scale must be positive and finite",
            )
        check_scale(each, where=f"scale '{node.inputs[1]}' of {node.label}")
    if zero_point is None:
        integers = inputs[0].values.dtype if isinstance(inputs[0], Constant) else np.uint8
        default = np.uint8 if np.dtype(integers).kind == "f" else integers
        return scales, np.zeros((), default)
    return scales, zero_point.values


def _quantized_constant(
    sketch: Sketch, node: Node, value: Constant, inputs: Sequence[Value | None]
) -> Value:
    """Quantize float weights that the file holds beside their QuantizeLinear."""
    scales, zero_points = _parameters(sketch, node, inputs)
    _require_type(sketch, value.name, zero_points.dtype)
    if not np.isfinite(value.values).all():
        raise ModelError(f"'{value.name}' holds NaN or infinite numbers", where=sketch.where)
    along = partial(_along, sketch, node, value)
    steps = np.rint(value.values / along(scales)) + along(zero_points.astype(np.float64))
    limits = np.iinfo(zero_points.dtype)
    return Constant(value.name, np.clip(steps, limits.min, limits.max).astype(zero_points.dtype))


def _dequantized_constant(
    sketch: Sketch, node: Node, value: Constant, inputs: Sequence[Value | None]
) -> Value:
    scales, zero_points = _parameters(sketch, node, inputs)
    integers = value.values
    _require_type(sketch, value.name, integers.dtype)
    centre = _UNSIGNED_OFFSET if integers.dtype == np.uint8 else 0
    offsets = zero_points.astype(np.int64) - centre
    wide = integers.dtype if integers.dtype == np.int32 else np.dtype(np.int16)
    centred = integers.astype(wide) - centre - _along(sketch, node, value, offsets).astype(wide)
    scales = _along(sketch, node, value, scales)
    axis = int(np.argmax(scales.shape)) if scales.size > 1 else None
    zero_point = int(np.abs(offsets).max(initial=0))
    return QuantizedConstant(value.name, centred, scales.reshape(-1), axis, zero_point)


def _require_type(sketch: Sketch, name: str, dtype: np.dtype[Any]) -> None:
    if dtype not in (np.int8, np.uint8, np.int32):
        raise ModelError(
            f"constant '{name}' is {dtype}",
            where=sketch.where,
            hint="quantize weights to int8 and biases to int32",
        )


def _along(sketch: Sketch, node: Node, value: Constant, numbers: Array) -> Array:
    """Return scales or zero points ready to broadcast against the constant that they belong to."""
    if numbers.size == 1:
        return numbers.reshape(-1)
    shape = value.values.shape
    axis = int(node.attributes.get("axis", 1))
    axis += len(shape) if axis < 0 else 0
    if not (0 <= axis < len(shape) and numbers.shape == shape[axis : axis + 1]):
        raise ModelError(
            f"the scales or zero points of '{value.name}' fit none of its axes",
            where=sketch.where,
        )
    return numbers.reshape([-1 if each == axis else 1 for each in range(len(shape))])
