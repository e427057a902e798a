"""Reads ONNX's layout operators: they move an index or a constant, never data on a device."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from edgeprune.errors import UnsupportedOperatorError
from edgeprune.network.qdq_sketch import Node, Sketch
from edgeprune.network.qdq_values import (
    Activation,
    Array,
    Constant,
    GraphInput,
    Pending,
    QuantizedConstant,
    Value,
)

Move = Callable[[Array], Array]


def shape_of(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Value:
    """Shape: a constant, since only the batch is open and one window stands for it."""
    value = inputs[0]
    if not isinstance(value, GraphInput | Activation | Pending):
        raise UnsupportedOperatorError("its operand is a constant")
    part = slice(node.attributes.get("start", 0), node.attributes.get("end"))
    return Constant(node.outputs[0], np.array(value.index.shape[part], np.int64))


def layout(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Value:
    """Reshape, Flatten, Squeeze, Unsqueeze, Transpose, Identity, Dropout."""
    value = inputs[0]
    move = _MOVES[node.operator](sketch, node, inputs)
    if isinstance(value, QuantizedConstant):
        return _moved_constant(node, value, move)
    if not isinstance(value, GraphInput | Activation | Pending):
        raise UnsupportedOperatorError("its operand is a constant")
    try:
        index = move(value.index)
    except ValueError as error:
        raise UnsupportedOperatorError(
            f"it cannot be applied to shape {list(value.index.shape)} ({error})"
        ) from error
    node.require(index.shape[:1] == (1,), "it mixes the windows of a batch")
    if isinstance(value, Pending):
        return replace(value, index=index, add_bias=None)
    if isinstance(value, GraphInput):
        return replace(value, index=index)
    return Activation(value.tensor, index, node.name)


def _moved_constant(node: Node, value: QuantizedConstant, move: Move) -> QuantizedConstant:
    """Move a constant; where its scales went shows from an array that counts along their axis."""
    values, axis = move(value.values), value.axis
    if axis is not None:
        counts = np.arange(len(value.scales))
        along = [-1 if each == axis else 1 for each in range(value.values.ndim)]
        counted = move(np.broadcast_to(counts.reshape(along), value.values.shape))
        fits = [
            each
            for each in range(counted.ndim)
            if counted.shape[each] == len(counts)
            and (np.moveaxis(counted, each, -1) == counts).all()
        ]
        node.require(fits, "it splits the axis along which weights have their scales")
        axis = fits[0]
    return replace(value, values=values, axis=axis)


def _numbers(node: Node, inputs: Sequence[Value | None], attribute: str) -> list[int] | None:
    """Return integers that are an attribute in old opsets and an input in new ones."""
    if attribute in node.attributes:
        return [int(each) for each in node.attributes[attribute]]
    operand = inputs[1] if len(inputs) > 1 else None
    if operand is None:
        return None
    node.require(isinstance(operand, Constant), f"its {attribute} are no constant")
    assert isinstance(operand, Constant)
    return [int(each) for each in operand.values.reshape(-1)]


def _reshape(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Move:
    target = _numbers(node, inputs, "shape")
    node.require(target, "it has no constant shape")
    assert target is not None

    def move(values: Array) -> Array:
        sizes = list(target)
        if not node.attributes.get("allowzero"):
            sizes = [size or values.shape[axis] for axis, size in enumerate(sizes)]
        # A file exported with a fixed batch is read as if its batch were one.
        if (
            sketch.batch > 1
            and sizes[0] == sketch.batch
            and not isinstance(inputs[0], QuantizedConstant)
        ):
            sizes[0] = 1
        return values.reshape(sizes)

    return move


def _flatten(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Move:
    axis = int(node.attributes.get("axis", 1))
    return lambda values: values.reshape(math.prod(values.shape[:axis]), -1)


def _squeeze(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Move:
    axes = _numbers(node, inputs, "axes")
    node.require(axes is not None, "it names no axes")
    return lambda values: np.squeeze(values, tuple(axes or ()))


def _unsqueeze(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Move:
    axes = _numbers(node, inputs, "axes")
    node.require(axes, "it names no axes")
    return lambda values: np.expand_dims(values, tuple(axes or ()))


def _transpose(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Move:
    order = node.attributes.get("perm")
    return lambda values: np.transpose(values, order)


def _nothing(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Move:
    return lambda values: values


_MOVES: dict[str, Callable[[Sketch, Node, Sequence[Value | None]], Move]] = {
    "Dropout": _nothing,
    "Flatten": _flatten,
    "Identity": _nothing,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
LAYOUT_OPERATORS = tuple(_MOVES)
