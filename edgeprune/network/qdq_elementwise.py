"""Reads what works element by element: sums, products, scale and shift, functions as tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edgeprune.errors import ModelError
from edgeprune.network.functions import FUNCTIONS, function_of
from edgeprune.network.ops import Add, Mul, Requantize, Sub, Table
from edgeprune.network.qdq_sketch import Node, Sketch, real_constant
from edgeprune.network.qdq_values import (
    Activation,
    Array,
    Clamp,
    Pending,
    QuantizedConstant,
    Range,
    Value,
)
from edgeprune.network.qdq_weighted import conv, gemm
from edgeprune.network.tensor import INT8_HIGH, Tensor

# A bias of more steps than this gets coarser ones.
_MOST_STEPS = 2.0**30


def add(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Value:
    """Add of two activations, or of a constant: a bias where it can be one, else a shift."""
    for value, other, name in _orders(node, inputs):
        real = real_constant(other)
        if real is not None:
            return _shifted(sketch, node, value, name, real)
    return _pair(sketch, node, inputs, Add)


def sub(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Value:
    """Sub of two activations, or with a constant on either side."""
    minuend, subtrahend = (real_constant(value) for value in inputs)
    if subtrahend is not None:
        return _shifted(sketch, node, inputs[0], node.inputs[0], -subtrahend)
    if minuend is not None:
        return _scaled(sketch, node, inputs[1], node.inputs[1], np.array(-1.0), minuend)
    return _pair(sketch, node, inputs, Sub)


def mul(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Value:
    """Mul of two activations, of which one may be a number a channel, or with a constant."""
    for value, other, name in _orders(node, inputs):
        real = real_constant(other)
        if real is not None:
            return _scaled(sketch, node, value, name, real)
    operands = [
        sketch.activation(value, name) for value, name in zip(inputs, node.inputs, strict=True)
    ]
    first, second = sorted(operands, key=lambda each: -each.index.size)
    channels = first.index.shape[1]
    if first.index.size == second.index.size:
        return _pair(sketch, node, inputs, Mul)
    node.require(
        first.index.ndim == second.index.ndim
        and second.index.shape[:2] == (1, channels)
        and np.array_equal(second.index.ravel(), np.arange(channels)),
        f"it multiplies shapes {list(first.index.shape)} and {list(second.index.shape)}: one of "
        "both shapes or one number a channel is supported",
    )
    whole = sketch.as_map(first, node.name)
    shape = (*([1] * (len(sketch.shape(whole)) - 1)), channels)
    pair = (whole, sketch.viewed(second, shape, node.name))

    def finish(output: str, to: Range, clamp: Clamp) -> str:
        header = sketch.header(node.name, pair, output)
        return sketch.append(Mul(**header, **clamp.integers(to)), to)

    return Pending(node.name, first.index, finish)


def div(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Value:
    """Div by a constant."""
    divisor = real_constant(inputs[1])
    node.require(divisor is not None and (divisor != 0).all(), "it divides by no constant or by 0")
    assert divisor is not None
    return _scaled(sketch, node, inputs[0], node.inputs[0], 1.0 / divisor)


def batch_normalization(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Value:
    """BatchNormalization that no layer took along: a scale and a shift a channel."""
    statistics = [real_constant(value) for value in inputs[1:5]]
    node.require(all(each is not None for each in statistics), "its statistics are no constants")
    node.require(len(node.outputs) == 1, "it is in training mode")
    scale, shift, mean, variance = (np.asarray(each, np.float64) for each in statistics)
    factor = scale / np.sqrt(variance + float(node.attributes.get("epsilon", 1e-5)))
    along = [-1] + [1] * (sketch.activation(inputs[0], node.inputs[0]).index.ndim - 2)
    offset = (shift - mean * factor).reshape(along)
    return _scaled(sketch, node, inputs[0], node.inputs[0], factor.reshape(along), offset)


def table(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Value:
    """A function of one number: a table of its values in the two ranges."""
    operand = sketch.activation(inputs[0], node.inputs[0])
    name, parameters = function_of(node.operator, node.attributes)

    def finish(output: str, to: Range, clamp: Clamp) -> str:
        def write(output: str) -> str:
            source = sketch.tensors[operand.tensor]
            target = Tensor(output, source.shape, to.scale, to.zero_point)
            header = sketch.header(node.name, (operand.tensor,), output)
            entries = FUNCTIONS.get(name).entries(parameters, source, target)
            operation = Table(**header, function=name, arguments=parameters, entries=entries)
            return sketch.append(operation, to)

        return clamped_after(sketch, node, write, output, to, clamp)

    return Pending(node.name, operand.index, finish)


def clamped_after(
    sketch: Sketch,
    node: Node,
    write: Callable[[str], str],
    output: str,
    to: Range,
    clamp: Clamp,
) -> str:
    """Let `write` append an operator that cannot clamp, then the clamp where there is one."""
    if clamp == Clamp():
        return write(output)
    unclamped = write(sketch.free_tensor(f"{output}/unclamped"))
    header = sketch.header(f"{node.name}/clamp", (unclamped,), output)
    return sketch.append(Requantize(**header, **clamp.integers(to)), to)


def _orders(
    node: Node, inputs: Sequence[Value | None]
) -> tuple[tuple[Value | None, Value | None, str], ...]:
    """Return each operand, the other one, and the first one's name."""
    return (inputs[0], inputs[1], node.inputs[0]), (inputs[1], inputs[0], node.inputs[1])


def _pair(
    sketch: Sketch,
    node: Node,
    inputs: Sequence[Value | None],
    operator: type[Add | Sub | Mul],
) -> Pending:
    first, second = (
        sketch.activation(value, name) for value, name in zip(inputs, node.inputs, strict=True)
    )
    node.require(
        np.array_equal(first.index, second.index),
        f"its operands of shapes {list(first.index.shape)} and {list(second.index.shape)} are laid "
        "out differently",
    )
    pair = (first.tensor, sketch.viewed(second, sketch.shape(first.tensor), node.name))

    def finish(output: str, to: Range, clamp: Clamp) -> str:
        header = sketch.header(node.name, pair, output)
        return sketch.append(operator(**header, **clamp.integers(to)), to)

    return Pending(node.name, first.index, finish)


def _shifted(sketch: Sketch, node: Node, value: Value | None, name: str, real: Array) -> Value:
    # A range between a product and its bias only loses precision: go back before it.
    before = value.origin if isinstance(value, Activation) else value
    if isinstance(before, Pending) and before.add_bias is not None:
        return before.add_bias(real)
    return _scaled(sketch, node, value, name, np.array(1.0), real)


def _scaled(
    sketch: Sketch,
    node: Node,
    value: Value | None,
    name: str,
    factor: npt.NDArray[np.float64],
    offset: npt.NDArray[np.float64] | None = None,
) -> Value:
    """Scale and shift by channel: a depthwise convolution of one tap, or a diagonal dense layer.

    The weights are -127, 0 or 127, so that each channel's factor is in its scale, to a float32.
    """
    operand = sketch.activation(value, name)
    factors = _by_channel(node, factor, operand)
    offsets = np.zeros_like(factors) if offset is None else _by_channel(node, offset, operand)
    if not (np.isfinite(factors).all() and np.isfinite(offsets).all()):
        raise ModelError(f"{node.label} scales by NaN or infinite numbers", where=sketch.where)
    step = sketch.tensors[operand.tensor].scale
    scales = np.maximum(np.abs(factors) / INT8_HIGH, np.abs(offsets) / (step * _MOST_STEPS))
    scales = np.where(scales > 0, scales, 1.0).astype(np.float32)
    weights = np.rint(factors / scales.astype(np.float64)).astype(np.int8)
    rank = operand.index.ndim
    if rank == 2:
        diagonal = QuantizedConstant(f"{node.name}.weight", np.diag(weights), scales, 0)
        like = replace(node, operator="Gemm", attributes={"transB": 1})
        found = gemm(sketch, like, [operand, diagonal])
    else:
        taps = weights.reshape(-1, *([1] * (rank - 1)))
        constant = QuantizedConstant(f"{node.name}.weight", taps, scales, 0)
        like = replace(node, operator="Conv", attributes={"group": len(weights)})
        found = conv(sketch, like, [operand, constant])
    assert isinstance(found, Pending)
    if offset is None or found.add_bias is None:
        return found
    return found.add_bias(offsets.reshape(-1, *([1] * (rank - 2))))


def _by_channel(
    node: Node, constant: npt.NDArray[np.float64], operand: Activation
) -> npt.NDArray[np.float64]:
    """Return a constant's numbers [channels]."""
    shape = operand.index.shape
    node.require(
        constant.ndim <= len(shape)
        and all(
            size in (1, whole)
            for size, whole in zip(reversed(constant.shape), reversed(shape), strict=False)
        ),
        f"its constant of shape {list(constant.shape)} does not fit {list(shape)}",
    )
    whole = np.broadcast_to(constant, shape)[0].reshape(shape[1], -1)
    node.require((whole == whole[:, :1]).all(), "its constant differs along the length")
    return np.asarray(whole[:, 0], np.float64)


FUNCTION_OPERATORS = tuple(dict.fromkeys(FUNCTIONS.get(name).onnx for name in FUNCTIONS))
