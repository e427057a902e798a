"""Reads the operators without weights, and lists how every ONNX operator is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from edgeprune.network.ops import (
    Concat,
    Requantize,
)
from edgeprune.network.qdq_elementwise import (
    FUNCTION_OPERATORS,
    add,
    batch_normalization,
    clamped_after,
    div,
    mul,
    sub,
    table,
)
from edgeprune.network.qdq_layout import LAYOUT_OPERATORS, layout, shape_of
from edgeprune.network.qdq_pools import (
    average_pool,
    global_average_pool,
    max_pool,
    reduce_mean,
)
from edgeprune.network.qdq_ranges import dequantize, quantize
from edgeprune.network.qdq_sketch import Node, Sketch, real_constant
from edgeprune.network.qdq_values import Clamp, Pending, Range, Value, canonical_index
from edgeprune.network.qdq_weighted import conv, gemm, matmul

Handler = Callable[[Sketch, Node, Sequence[Value | None]], Value]


def _relu(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Value:
    return _clamped(sketch, node, inputs[0], 0.0, math.inf)


def _clip(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Value:
    bounds = [-math.inf, math.inf]
    for position, value in enumerate(inputs[1:]):
        if value is not None:
            real = real_constant(value)
            node.require(real is not None and real.size == 1, "its bounds are no constants")
            bounds[position] = float(np.asarray(real).reshape(-1)[0])
    return _clamped(sketch, node, inputs[0], *bounds)


def _clamped(sketch: Sketch, node: Node, value: Value | None, low: float, high: float) -> Value:
    """Fuse a clamp into the operator before it; after a quantization it stands alone."""
    if isinstance(value, Pending):
        return value.clamped(low, high)
    operand = sketch.activation(value, node.inputs[0])

    def finish(output: str, to: Range, clamp: Clamp) -> str:
        header = sketch.header(node.name, (operand.tensor,), output)
        return sketch.append(Requantize(**header, **clamp.integers(to)), to)

    kept = sketch.range_of(operand.tensor)
    return Pending(node.name, operand.index, finish, Clamp(low, high), kept)


def _concat(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Value:
    operands = [
        sketch.activation(value, name) for value, name in zip(inputs, node.inputs, strict=True)
    ]
    rank = operands[0].index.ndim
    node.require(
        all(operand.index.ndim == rank for operand in operands), "its operands differ in rank"
    )
    axis = int(node.attributes["axis"]) % rank
    node.require(rank in (2, 3, 4) and axis > 0, "it concatenates over the batch")
    if rank == 2:
        sources = [sketch.as_vector(operand, node.name) for operand in operands]
        starts = np.cumsum([0, *(operand.index.size for operand in operands)])
        index = np.concatenate(
            [operand.index + start for operand, start in zip(operands, starts, strict=False)],
            axis=1,
        )
        along = 0
    else:
        shapes = [sketch.shape(operand.tensor) for operand in operands]
        high = rank == 4 and (
            axis == 2
            or any(operand.index.shape[2] > 1 for operand in operands)
            or all(len(shape) == 3 for shape in shapes)
        )
        axes = 2 if high else 1
        sources = [sketch.as_map(operand, node.name, axes=axes) for operand in operands]
        # ONNX names the channels first and the length last.
        along = axes if axis == 1 else rank - 1 - axis
        prototype = Concat(name=node.name, inputs=tuple(sources), output="", axis=along)
        index = canonical_index(prototype.output_shape(*map(sketch.shape, sources)))
        index = index[:, :, np.newaxis] if rank == 4 and not high else index
    ranges = {sketch.range_of(source) for source in sources}

    def finish(output: str, to: Range, clamp: Clamp) -> str:
        def concat(output: str) -> str:
            aligned = tuple(
                sketch.requantized(source, to, f"{node.name}/requantize{i}", f"{output}/operand{i}")
                for i, source in enumerate(sources)
            )
            header = sketch.header(node.name, aligned, output)
            return sketch.append(Concat(**header, axis=along), to)

        return clamped_after(sketch, node, concat, output, to, clamp)

    return Pending(node.name, index, finish, kept=ranges.pop() if len(ranges) == 1 else None)


HANDLERS: dict[str, Handler] = {
    "Add": add,
    "AveragePool": average_pool,
    "BatchNormalization": batch_normalization,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": conv,
    "DequantizeLinear": dequantize,
    "Div": div,
    "Gemm": gemm,
    "GlobalAveragePool": global_average_pool,
    "MatMul": matmul,
    "MaxPool": max_pool,
    "Mul": mul,
    "QuantizeLinear": quantize,
    "ReduceMean": reduce_mean,
    "Relu": _relu,
    "Shape": shape_of,
    "Sub": sub,
    **dict.fromkeys(FUNCTION_OPERATORS, table),
    **dict.fromkeys(LAYOUT_OPERATORS, layout),
}
