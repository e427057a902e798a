"""Reads pools: maxima, averages, global averages, means over spatial axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgeprune.network.ops import (
    AveragePool1d,
    AveragePool2d,
    Conv1d,
    Conv2d,
    DepthwiseConv1d,
    DepthwiseConv2d,
    MaxPool1d,
    MaxPool2d,
    Requantize,
)
from edgeprune.network.qdq_sketch import Node, Sketch, real_constant
from edgeprune.network.qdq_values import Clamp, Pending, Range, Value
from edgeprune.network.qdq_windows import Mapped, mapped, windows_of
from edgeprune.network.tensor import Int64Array
from edgeprune.network.windows import Sliding, Windows


def max_pool(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Value:
    """MaxPool."""
    node.require(len(node.outputs) == 1, "its indices are asked for")
    source = _pooled(sketch, node, inputs)
    kept = sketch.range_of(source.tensor)
    operator = MaxPool1d if len(source.sizes) == 1 else MaxPool2d

    def finish(output: str, to: Range, clamp: Clamp) -> str:
        def pool(output: str, clamp: Clamp) -> str:
            operation = operator(
                **sketch.header(node.name, (source.tensor,), output),
                kernel=source.field("kernel"),
                **source.fields(dilates=False),
                **clamp.integers(kept),
            )
            return sketch.append(operation, kept)

        return _in_range(sketch, node, pool, kept, output, to, clamp)

    return Pending(node.name, source.result(node, source.channels), finish, kept=kept)


def average_pool(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Value:
    """AveragePool."""
    node.require(not node.attributes.get("ceil_mode", 0), "its ceil_mode is 1")
    source = _pooled(sketch, node, inputs)
    counts_padding = bool(node.attributes.get("count_include_pad", 0))
    index = source.result(node, source.channels)
    return _average(sketch, node, source, index, counts_padding=counts_padding)


def global_average_pool(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Value:
    """GlobalAveragePool."""
    rank = sketch.activation(inputs[0], node.inputs[0]).index.ndim
    return _mean(sketch, node, inputs, set(range(2, rank)))


def reduce_mean(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Value:
    """ReduceMean over the length, the height, or both."""
    axes = node.attributes.get("axes")
    if axes is None and len(inputs) > 1 and inputs[1] is not None:
        constant = real_constant(inputs[1])
        node.require(constant is not None, "its axes are no constant")
        axes = np.asarray(constant).reshape(-1).tolist()
    rank = sketch.activation(inputs[0], node.inputs[0]).index.ndim
    reduced = {int(axis) % rank for axis in axes or ()}
    node.require(
        rank in (3, 4) and reduced and reduced <= set(range(2, rank)),
        "it reduces other axes than the length and the height",
    )
    kept = bool(node.attributes.get("keepdims", 1))
    return _mean(sketch, node, inputs, reduced, keeps=kept)


def _mean(
    sketch: Sketch,
    node: Node,
    inputs: Sequence[Value | None],
    reduced: set[int],
    *,
    keeps: bool = True,
) -> Value:
    value = sketch.activation(inputs[0], node.inputs[0])
    sizes = value.index.shape[2:]
    node.require(len(sizes) in (1, 2), f"its input {list(value.index.shape)} is no feature map")
    windows = Windows(
        tuple(Sliding(size if axis in reduced else 1) for axis, size in enumerate(sizes, 2))
    )
    source = mapped(sketch, node, value, windows)
    index = source.result(node, source.channels)
    if not keeps:
        index = index.squeeze(tuple(sorted(reduced)))
    return _average(sketch, node, source, index, counts_padding=False)


def _pooled(sketch: Sketch, node: Node, inputs: Sequence[Value | None]) -> Mapped:
    value = sketch.activation(inputs[0], node.inputs[0])
    windows = windows_of(node, value.index.shape[2:])
    node.require(not windows.is_dilated, "it is dilated")
    return mapped(sketch, node, value, windows)


def _average(
    sketch: Sketch, node: Node, source: Mapped, index: Int64Array, *, counts_padding: bool
) -> Pending:
    """Average in the input's range, or as a convolution with weights 1 and weight scale 1/k.

    The convolution rounds once from the exact sum into any output range, in every runtime; only
    where padding is not counted must the range be changed after an average.
    """
    own = sketch.range_of(source.tensor)
    channels, kernel, windows = source.channels, source.windows.kernel, source.windows
    is_flat = len(kernel) == 1
    average = AveragePool1d if is_flat else AveragePool2d

    def pool(output: str, clamp: Clamp) -> str:
        operation = average(
            **sketch.header(node.name, (source.tensor,), output),
            kernel=source.field("kernel"),
            **source.fields(dilates=False),
            **clamp.integers(own),
        )
        return sketch.append(operation, own)

    def convolve(output: str, to: Range, clamp: Clamp) -> str:
        fields = {
            **sketch.header(node.name, (source.tensor,), output),
            "bias": np.zeros(channels, np.int32),
            "weight_scales": np.full(channels, 1 / windows.cells, np.float32),
            **source.fields(dilates=False),
            **clamp.integers(to),
        }
        if channels == 1:
            ones = np.ones((1, *kernel, 1), np.int8)
            return sketch.append((Conv1d if is_flat else Conv2d)(weights=ones, **fields), to)
        ones = np.ones((*kernel, channels), np.int8)
        depthwise = DepthwiseConv1d if is_flat else DepthwiseConv2d
        return sketch.append(depthwise(weights=ones, **fields), to)

    def finish(output: str, to: Range, clamp: Clamp) -> str:
        if windows.is_padded and counts_padding:
            return convolve(output, to, clamp)
        if windows.is_padded or to == own:
            return _in_range(sketch, node, pool, own, output, to, clamp)
        return convolve(output, to, clamp)

    return Pending(node.name, index, finish)


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
