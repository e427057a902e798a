"""Reads Conv, Gemm and MatMul, and the constant that an Add gives them as a bias."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeprune.errors import ModelError
from edgeprune.network.ops import Conv1d, Conv2d, Dense, DepthwiseConv1d, DepthwiseConv2d
from edgeprune.network.qdq_sketch import Node, Sketch, real_constant
from edgeprune.network.qdq_values import (
    Clamp,
    Constant,
    Finish,
    Pending,
    QuantizedConstant,
    Range,
    Value,
    canonical_index,
)
from edgeprune.network.qdq_windows import mapped, windows_of
from edgeprune.network.tensor import Float32Array, Int32Array
from edgeprune.network.weighted import WeightedOperation

_INT32 = np.iinfo(np.int32)


def conv(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Value:
    """Conv, 1-D or 2-D."""
    value = sketch.activation(inputs[0], node.inputs[0])
    constant = _weights(sketch, node, inputs[1], node.inputs[1])
    node.require(constant.axis in (None, 0), "its weights have scales along another axis than 0")
    weights, sizes = constant.values, value.index.shape[2:]
    node.require(
        weights.ndim == 2 + len(sizes) and len(sizes) in (1, 2),
        f"weights of shape {list(weights.shape)} are neither 1-D nor 2-D",
    )
    source = mapped(sketch, node, value, windows_of(node, sizes, weights.shape[2:]))
    node.require(
        weights.shape[2:] == windows_of(node, sizes, weights.shape[2:]).kernel,
        "its kernel_shape is not that of its weights",
    )
    filters, channels = source.filters(weights), source.channels
    groups = int(node.attributes.get("group", 1))
    node.require(
        groups >= 1 and channels == groups * filters.shape[-1] and len(filters) % groups == 0,
        f"{channels} channels do not fit weights {list(weights.shape)} in {groups} groups",
    )
    fields: dict[str, Any] = {
        "weight_scales": np.broadcast_to(constant.scales, len(filters)),
        **source.fields(dilates=True),
    }
    is_flat = len(source.sizes) == 1
    operator: type[WeightedOperation]
    if groups == channels > 1:
        operator = DepthwiseConv1d if is_flat else DepthwiseConv2d
        fields["weights"] = np.moveaxis(filters[..., 0], 0, -1)
        fields["channel_multiplier"] = len(filters) // channels
    else:
        operator = Conv1d if is_flat else Conv2d
        fields |= {"weights": filters, "groups": groups}
    bias = inputs[2] if len(inputs) > 2 else None
    index = source.result(node, len(filters))
    return _pending(sketch, node, operator, source.tensor, fields, bias, index)


def gemm(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Value:
    """Gemm of a vector and constant weights."""
    attributes = node.attributes
    node.require(
        attributes.get("alpha", 1.0) == 1.0
        and attributes.get("beta", 1.0) == 1.0
        and not attributes.get("transA", 0),
        "only alpha = beta = 1 without transA",
    )
    bias = inputs[2] if len(inputs) > 2 else None
    return _dense(sketch, node, inputs, 0 if attributes.get("transB", 0) else 1, bias)


def matmul(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Value:
    """MatMul of a vector and constant weights."""
    return _dense(sketch, node, inputs, 1, None)


def _dense(
    sketch: Sketch, node: Node, inputs: Sequence[Value | None], out_axis: int, bias: Value | None
) -> Value:
    value = sketch.activation(inputs[0], node.inputs[0])
    constant = _weights(sketch, node, inputs[1], node.inputs[1])
    node.require(
        len(value.index.shape) == 2 and constant.values.ndim == 2,
        f"it multiplies {list(value.index.shape)} and {list(constant.values.shape)}: only a vector "
        "and a matrix are supported",
    )
    node.require(constant.axis in (None, out_axis), "its weights have scales along the inputs")
    rows = constant.values if out_axis == 0 else constant.values.T
    node.require(
        rows.shape[1] == value.index.size,
        f"{value.index.size} features meet weights for {rows.shape[1]}",
    )
    source = sketch.as_vector(value, node.name)
    # The order in which ONNX flattens (channels first) differs from ours: move the columns.
    columns = np.empty_like(rows)
    columns[:, value.index[0]] = rows
    fields = {"weights": columns, "weight_scales": constant.scales}
    return _pending(sketch, node, Dense, source, fields, bias, canonical_index((len(rows),)))


def _pending(
    sketch: Sketch,
    node: Node,
    operator: type[WeightedOperation],
    source: str,
    fields: dict[str, Any],
    bias: Value | None,
    index: npt.NDArray[np.int64],
) -> Pending:
    outputs = index.shape[1]
    scales = np.broadcast_to(fields["weight_scales"], outputs)
    steps = np.asarray(np.float32(sketch.tensors[source].scale) * scales, np.float32)
    integers = _bias(sketch, node, bias, steps)

    def finish_with(integers: Int32Array) -> Finish:
        def finish(output: str, to: Range, clamp: Clamp) -> str:
            header = sketch.header(node.name, (source,), output)
            operation = operator(**header, **fields, bias=integers, **clamp.integers(to))
            return sketch.append(operation, to)

        return finish

    pending = Pending(node.name, index, finish_with(integers))
    if bias is not None:
        return pending

    def add_bias(real: npt.NDArray[np.float64]) -> Pending:
        sizes = zip(reversed(real.shape), reversed(index.shape), strict=False)
        node.require(
            real.ndim <= index.ndim and all(size in (1, whole) for size, whole in sizes),
            f"a constant of shape {list(real.shape)} is added",
        )
        by_output = np.broadcast_to(real, index.shape)[0].reshape(outputs, -1)
        node.require(
            (by_output == by_output[:, :1]).all(), "the constant added differs along the length"
        )
        added = _steps(sketch, node, by_output[:, 0], steps)
        return replace(pending, finish=finish_with(added), add_bias=None, finished={})

    return replace(pending, add_bias=add_bias)


def _weights(sketch: Sketch, node: Node, value: Value | None, name: str) -> QuantizedConstant:
    if isinstance(value, QuantizedConstant):
        node.require(value.values.dtype != np.int32, f"its weights '{name}' are not 8 bits wide")
        if value.zero_point:
            raise ModelError(
                f"the weights '{value.name}' are not symmetric: their zero point is not 0",
                where=sketch.where,
                hint="quantize weights symmetrically (onnxruntime: WeightSymmetric=True)",
            )
        return replace(value, values=value.values.astype(np.int8))
    node.require(isinstance(value, Constant), f"its weights '{name}' are computed")
    assert isinstance(value, Constant)
    if not np.isfinite(value.values).all():
        raise ModelError(f"'{value.name}' holds NaN or infinite numbers", where=sketch.where)
    sketch.note_missing(name)
    # Nothing will run with these: they stand in so that reading finds all that is wrong.
    placeholder = np.zeros(value.values.shape, np.int8)
    return QuantizedConstant(value.name, placeholder, np.ones(1, np.float32), None)


def _bias(sketch: Sketch, node: Node, value: Value | None, steps: Float32Array) -> Int32Array:
    """Return the bias in steps of input scale times weight scale."""
    if value is None:
        return np.zeros(len(steps), np.int32)
    if (
        isinstance(value, QuantizedConstant)
        and value.values.dtype == np.int32
        and value.values.shape == steps.shape
        # The quantizer's product of the two scales may differ in the last bits of a float32.
        and np.allclose(value.scales, steps, rtol=1e-6, atol=0)
    ):
        return value.values.astype(np.int32)
    real = real_constant(value)
    node.require(real is not None, "its bias is computed")
    assert real is not None
    node.require(real.size in (1, len(steps)), f"its bias has the shape {list(real.shape)}")
    return _steps(sketch, node, real.reshape(-1), steps)


def _steps(
    sketch: Sketch, node: Node, real: npt.NDArray[np.float64], steps: Float32Array
) -> Int32Array:
    if not np.isfinite(real).all():
        raise ModelError(f"the bias of {node.label} is NaN or infinite", where=sketch.where)
    integers = np.rint(np.broadcast_to(real, steps.shape) / steps.astype(np.float64))
    if (np.abs(integers) > _INT32.max).any():
        raise ModelError(
            f"the bias of {node.label} does not fit int32 at the scale of its weights",
            where=sketch.where,
            hint="a channel with almost no weights has a large bias: prune it or widen its scale",
        )
    return np.asarray(integers, np.int32)
