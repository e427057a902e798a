"""Reads the operators without weights, and lists how every ONNX operator is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from edgeprune.network.ops import (
    AveragePool1d,
    Concat,
    Conv1d,
    DepthwiseConv1d,
    MaxPool1d,
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
from edgeprune.network.qdq_ranges import dequantize, quantize
from edgeprune.network.qdq_sketch import Node, Sketch, real_constant
from edgeprune.network.qdq_values import Clamp, Pending, Range, Value, canonical_index
from edgeprune.network.qdq_weighted import conv, gemm, matmul
from edgeprune.network.qdq_windows import sliding_of
from edgeprune.network.tensor import Int64Array
from edgeprune.network.windows import Sliding

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


def _max_pool(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Value:
    node.require(len(node.outputs) == 1, "its indices are asked for")
    source, sliding = _pooled(sketch, node, inputs)
    node.require(sliding.dilation == 1, "it is dilated")
    kept = sketch.range_of(source)

    def finish(output: str, to: Range, clamp: Clamp) -> str:
        def pool(output: str, clamp: Clamp) -> str:
            operation = MaxPool1d(
                **sketch.header(node.name, (source,), output),
                kernel=sliding.kernel,
                stride=sliding.stride,
                padding=sliding.padding,
                **clamp.integers(kept),
            )
            return sketch.append(operation, kept)

        return _in_range(sketch, node, pool, kept, output, to, clamp)

    return Pending(
        node.name, _pooled_index(sketch, node, inputs, source, sliding), finish, kept=kept
    )


def _average_pool(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Value:
    source, sliding = _pooled(sketch, node, inputs)
    node.require(sliding.dilation == 1, "it is dilated")
    node.require(not node.attributes.get("ceil_mode", 0), "its ceil_mode is 1")
    counts_padding = bool(node.attributes.get("count_include_pad", 0))
    index = _pooled_index(sketch, node, inputs, source, sliding)
    return _average(sketch, node, source, sliding, index, counts_padding=counts_padding)


def _global_average_pool(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Value:
    operand = sketch.activation(inputs[0], node.inputs[0])
    source = sketch.as_map(operand, node.name)
    length, channels = sketch.shape(source)
    index = np.arange(channels).reshape(1, channels, *([1] * (operand.index.ndim - 2)))
    return _average(sketch, node, source, Sliding(length), index, counts_padding=False)


def _reduce_mean(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Value:
    operand = sketch.activation(inputs[0], node.inputs[0])
    axes = node.attributes.get("axes")
    if axes is None and len(inputs) > 1 and inputs[1] is not None:
        constant = real_constant(inputs[1])
        node.require(constant is not None, "its axes are no constant")
        axes = np.asarray(constant).reshape(-1).tolist()
    rank = operand.index.ndim
    reduced = {int(axis) % rank for axis in axes or ()}
    # Over a height of 1 the mean changes nothing.
    node.require(
        rank in (3, 4) and reduced in ({rank - 1}, {2, rank - 1}),
        "it reduces other axes than the length",
    )
    source = sketch.as_map(operand, node.name)
    length, channels = sketch.shape(source)
    kept = node.attributes.get("keepdims", 1)
    shape = [
        1 if a in reduced else n
        for a, n in enumerate(operand.index.shape)
        if kept or a not in reduced
    ]
    index = np.arange(channels).reshape(shape)
    return _average(sketch, node, source, Sliding(length), index, counts_padding=False)


def _average(
    sketch: Sketch,
    node: Node,
    source: str,
    sliding: Sliding,
    index: Int64Array,
    *,
    counts_padding: bool,
) -> Pending:
    """Average in the input's range, or as a convolution with weights 1 and weight scale 1/k.

    The convolution rounds once from the exact sum into any output range, in every runtime; only
    where padding is not counted must the range be changed after an average.
    """
    own = sketch.range_of(source)
    channels = sketch.shape(source)[1]
    padded = sliding.padding != (0, 0)

    def pool(output: str, clamp: Clamp) -> str:
        operation = AveragePool1d(
            **sketch.header(node.name, (source,), output),
            kernel=sliding.kernel,
            stride=sliding.stride,
            padding=sliding.padding,
            **clamp.integers(own),
        )
        return sketch.append(operation, own)

    def convolve(output: str, to: Range, clamp: Clamp) -> str:
        fields = {
            **sketch.header(node.name, (source,), output),
            "bias": np.zeros(channels, np.int32),
            "weight_scales": np.full(channels, 1 / sliding.kernel, np.float32),
            "stride": sliding.stride,
            "padding": sliding.padding,
            **clamp.integers(to),
        }
        if channels == 1:
            ones = np.ones((1, sliding.kernel, 1), np.int8)
            return sketch.append(Conv1d(weights=ones, **fields), to)
        ones = np.ones((sliding.kernel, channels), np.int8)
        return sketch.append(DepthwiseConv1d(weights=ones, **fields), to)

    def finish(output: str, to: Range, clamp: Clamp) -> str:
        if padded and counts_padding:
            return convolve(output, to, clamp)
        if padded or to == own:
            return _in_range(sketch, node, pool, own, output, to, clamp)
        return convolve(output, to, clamp)

    return Pending(node.name, index, finish)


def _concat(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Value:
    operands = [
        sketch.activation(value, name) for value, name in zip(inputs, node.inputs, strict=True)
    ]
    rank = operands[0].index.ndim
    node.require(
        all(operand.index.ndim == rank for operand in operands), "its operands differ in rank"
    )
    axis = int(node.attributes["axis"]) % rank
    node.require(axis in (1, rank - 1), "it concatenates over the batch or the height")
    if rank == 2:
        sources = [sketch.as_vector(operand, node.name) for operand in operands]
        starts = np.cumsum([0, *(operand.index.size for operand in operands)])
        index = np.concatenate(
            [operand.index + start for operand, start in zip(operands, starts, strict=False)],
            axis=1,
        )
        along = 0
    else:
        sources = [sketch.as_map(operand, node.name) for operand in operands]
        along = 1 if axis == 1 else 0
        prototype = Concat(name=node.name, inputs=tuple(sources), output="", axis=along)
        length, channels = prototype.output_shape(*map(sketch.shape, sources))
        shape = (1, channels, *([1] * (rank - 3)), length)
        index = canonical_index((length, channels)).reshape(shape)
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


def _pooled(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> tuple[str, Sliding]:
    operand = sketch.activation(inputs[0], node.inputs[0])
    source = sketch.as_map(operand, node.name)
    return source, sliding_of(node, sketch.shape(source)[0], operand.index.ndim - 2)


def _pooled_index(
    sketch: Sketch, node: Node, inputs: Sequence[Value | None], source: str, sliding: Sliding
) -> Int64Array:
    length, channels = sketch.shape(source)
    windows = sliding.output_length(length, where=node.label)
    index = canonical_index((windows, channels))
    high = sketch.activation(inputs[0], node.inputs[0]).index.ndim == 4
    return index[:, :, np.newaxis] if high else index


def _in_range(
    sketch: Sketch,
    node: Node,
    write: Callable[[str, Clamp], str],
    own: Range,
    output: str,
    to: Range,
    clamp: Clamp,
) -> str:
    """Let `write` append an operator that keeps its input's range, then change the range."""
    if to == own:
        return write(output, clamp)
    between = write(sketch.free_tensor(f"{output}/own_range"), Clamp())
    header = sketch.header(f"{node.name}/requantize", (between,), output)
    return sketch.append(Requantize(**header, **clamp.integers(to)), to)


HANDLERS: dict[str, Handler] = {
    "Add": add,
    "AveragePool": _average_pool,
    "BatchNormalization": batch_normalization,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": conv,
    "DequantizeLinear": dequantize,
    "Div": div,
    "Gemm": gemm,
    "GlobalAveragePool": _global_average_pool,
    "MatMul": matmul,
    "MaxPool": _max_pool,
    "Mul": mul,
    "QuantizeLinear": quantize,
    "ReduceMean": _reduce_mean,
    "Relu": _relu,
    "Shape": shape_of,
    "Sub": sub,
    **dict.fromkeys(FUNCTION_OPERATORS, table),
    **dict.fromkeys(LAYOUT_OPERATORS, layout),
}
