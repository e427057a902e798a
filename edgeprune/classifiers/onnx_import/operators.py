"""Reads the nodes without weights, and lists how every ONNX operator is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from edgeprune.classifiers.onnx_import.builder import Builder, OnnxNode
from edgeprune.classifiers.onnx_import.layers import (
    Operand,
    batch_normalization,
    computed,
    constant,
    conv,
    gemm,
    geometry,
    matmul,
    padded,
    with_constant,
)
from edgeprune.classifiers.onnx_import.values import (
    Array,
    Index,
    Shape,
    Value,
    plain_index,
    require,
)

Handler = Callable[[Builder, OnnxNode, Sequence[Operand]], Value]
Move = Callable[[Index], Index]


def _pairwise(builder: Builder, node: OnnxNode, inputs: Sequence[Operand]) -> Value:
    first, second = inputs[:2]
    if isinstance(first, Value) and isinstance(second, np.ndarray):
        return with_constant(builder, node, first, second)
    if isinstance(second, Value) and isinstance(first, np.ndarray):
        require(node.operator in ("Add", "Mul"), "it subtracts from or divides a constant")
        turned = replace_inputs(node)
        return with_constant(builder, turned, second, first)
    one, other = computed(first), computed(second)
    require(node.operator != "Div", "it divides by something that is computed")
    if one.index.shape != other.index.shape:
        require(node.operator == "Mul", "its operands differ in shape")
        if one.index.size < other.index.size:
            one, other = other, one
        return _by_channel(builder, one, other)
    if not np.array_equal(one.index, other.index):
        one = builder.as_map(one, one.index.ndim - 2)
        other = builder.as_map(other, other.index.ndim - 2)
    return builder.added(one, builder.viewed(other, one.shape), node.operator)


def _by_channel(builder: Builder, value: Value, factor: Value) -> Value:
    """Multiply a map by one number a channel."""
    spatial = value.index.ndim - 2
    ones = (*[1] * spatial,)
    require(factor.index.shape == (1, value.index.shape[1], *ones), "its operands differ in shape")
    given = builder.as_map(value, spatial)
    by_channel = builder.viewed(builder.as_map(factor, spatial), (given.shape[0], *ones))
    return builder.added(given, by_channel, "Mul")


def replace_inputs(node: OnnxNode) -> OnnxNode:
    """Return a node whose computed operand comes first."""
    return replace(node, inputs=(node.inputs[1], node.inputs[0]))


def _layer(make: Callable[[OnnxNode], nn.Module]) -> Handler:
    def read(builder: Builder, node: OnnxNode, inputs: Sequence[Operand]) -> Value:
        value = computed(inputs[0])
        return Value(builder.layer(node, make(node), value), value.shape, value.index)

    return read


def _clip(builder: Builder, node: OnnxNode, inputs: Sequence[Operand]) -> Value:
    value = computed(inputs[0])
    bounds = []
    for place, name in ((1, "min"), (2, "max")):
        given = constant(inputs, place, name)
        bounds.append(node.attributes.get(name) if given is None else float(given.reshape(-1)[0]))
    low, high = (None if each is None or not np.isfinite(each) else each for each in bounds)
    layer: nn.Module
    if low == 0 and high is None:
        layer = nn.ReLU()
    elif (low, high) == (0, 6):
        layer = nn.ReLU6()
    elif low is not None and high is not None and low < high:
        layer = nn.Hardtanh(low, high)
    else:
        # One side alone: as far as float32 goes on the other.
        far = float(np.finfo(np.float32).max)
        layer = nn.Hardtanh(-far if low is None else low, far if high is None else high)
    return Value(builder.layer(node, layer, value), value.shape, value.index)


def _pool(builder: Builder, node: OnnxNode, inputs: Sequence[Operand]) -> Value:
    """MaxPool and AveragePool."""
    value = computed(inputs[0])
    require(len(node.outputs) == 1, "its indices are asked for")
    sizes = value.index.shape[2:]
    kernel = [int(each) for each in node.attributes.get("kernel_shape", ())]
    require(len(kernel) == len(sizes) in (1, 2), "its windows have other axes than its input")
    strides, dilations, pads = geometry(node, sizes, kernel)
    require(set(dilations) == {1}, "it is dilated")
    ceil = bool(node.attributes.get("ceil_mode", 0))
    given = builder.as_map(value, len(sizes))
    kept = list(range(len(sizes)))
    if len(sizes) == 2:
        kept = [axis for axis in kept if sizes[axis] > 1 or kernel[axis] > 1] or [1]
    given = builder.viewed(given, (given.shape[0], *(sizes[axis] for axis in kept)))
    even = all(pads[axis][0] == pads[axis][1] for axis in kept)
    is_max = node.operator == "MaxPool"
    counted = bool(node.attributes.get("count_include_pad", 0))
    if not even:
        # Zeros are padding only where they are counted, or where nothing is below them.
        require(not is_max and counted, "its padding differs between the two ends")
        given = padded(builder, node, given, [pads[axis] for axis in kept])
    settings = {
        "kernel_size": tuple(kernel[axis] for axis in kept),
        "stride": tuple(strides[axis] for axis in kept),
        "padding": tuple(pads[axis][0] if even else 0 for axis in kept),
        "ceil_mode": ceil,
    }
    if len(kept) == 1:
        settings |= {
            name: settings[name][0]  # type: ignore[index]
            for name in ("kernel_size", "stride", "padding")
        }
    layer: nn.Module
    if is_max:
        layer = (nn.MaxPool1d if len(kept) == 1 else nn.MaxPool2d)(**settings)  # type: ignore[arg-type]
    else:
        layer = (nn.AvgPool1d if len(kept) == 1 else nn.AvgPool2d)(
            **settings,  # type: ignore[arg-type]
            count_include_pad=counted,
        )
    with torch.no_grad():
        made = layer(torch.zeros(1, *given.shape)).shape[1:]
    full = [made[1 + kept.index(axis)] if axis in kept else 1 for axis in range(len(sizes))]
    shape: Shape = tuple(made)
    index = plain_index(shape).reshape(1, shape[0], *full)
    return Value(builder.layer(node, layer, given), shape, index)


def _global_pool(builder: Builder, node: OnnxNode, inputs: Sequence[Operand]) -> Value:
    value = computed(inputs[0])
    rank = value.index.ndim
    return _reduced(builder, node, value, set(range(2, rank)), keeps=True)


def _reduce_mean(builder: Builder, node: OnnxNode, inputs: Sequence[Operand]) -> Value:
    value = computed(inputs[0])
    axes = node.attributes.get("axes")
    if axes is None:
        given = constant(inputs, 1, "axes")
        axes = None if given is None else given.reshape(-1).tolist()
    require(axes is not None, "it names no axes")
    assert axes is not None
    reduced = {int(axis) % value.index.ndim for axis in axes}
    return _reduced(builder, node, value, reduced, keeps=bool(node.attributes.get("keepdims", 1)))


def _reduced(
    builder: Builder, node: OnnxNode, value: Value, reduced: set[int], *, keeps: bool
) -> Value:
    """Pool over all cells of some axes of the ONNX value."""
    axes = value.axes
    require(axes is not None, "its input is laid out in a way that no pool reads")
    assert axes is not None
    gone = {axes[axis - 1] for axis in reduced if axis > 0} - {None}
    require(0 not in reduced and 0 not in gone, "it pools over the batch or the channels")
    require(len(value.shape) in (2, 3), "it pools over a vector")
    size = tuple(1 if place in gone else None for place in range(1, len(value.shape)))
    flat = len(value.shape) == 2
    is_max = node.operator == "GlobalMaxPool"
    kinds = (
        (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d)
        if is_max
        else (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
    )
    layer = kinds[not flat](size[0] if flat else size)
    shape = tuple(1 if place in gone else each for place, each in enumerate(value.shape))
    called = value.node if not gone else builder.layer(node, layer, value)
    # What is left of each axis lies where it lay, one cell of what was reduced standing for all.
    plain = np.arange(math.prod(shape)).reshape(shape)
    order = [axis for axis in axes if axis is not None]
    order += [place for place in range(len(shape)) if place not in order]
    sizes = [1 if axis in reduced else each for axis, each in enumerate(value.index.shape)]
    index = plain.transpose(order).reshape(sizes)
    if not keeps:
        index = index.squeeze(tuple(axis for axis in reduced))
    return Value(called, shape, index)


def _concat(builder: Builder, node: OnnxNode, inputs: Sequence[Operand]) -> Value:
    values = [computed(each) for each in inputs]
    rank = values[0].index.ndim
    require(all(each.index.ndim == rank for each in values), "its operands differ in rank")
    axis = int(node.attributes["axis"]) % rank
    require(axis > 0, "it joins the windows of a batch")
    if rank == 2:
        parts = [builder.as_vector(each) for each in values]
        starts = np.cumsum([0, *(math.prod(each.shape) for each in parts)])
        index = np.concatenate(
            [each.index + start for each, start in zip(parts, starts, strict=False)], axis=1
        )
        along = 0
        shape: Shape = (int(starts[-1]),)
    else:
        parts = [builder.as_map(each, rank - 2) for each in values]
        along = axis - 1
        total = sum(part.shape[along] for part in parts)
        shape = (*parts[0].shape[:along], total, *parts[0].shape[along + 1 :])
        index = plain_index(shape)
    nodes = [part.node for part in parts]
    called = builder.graph.call_function(torch.cat, (nodes, along + 1))
    return Value(called, shape, index)


def _pad(builder: Builder, node: OnnxNode, inputs: Sequence[Operand]) -> Value:
    value = computed(inputs[0])
    given = constant(inputs, 1, "pads")
    numbers = node.attributes.get("pads") if given is None else given.reshape(-1).tolist()
    fill = constant(inputs, 2, "value")
    require(
        node.attributes.get("mode", b"constant") == b"constant"
        and constant(inputs, 3, "axes") is None,
        "it pads other than with a constant along all axes",
    )
    require(fill is None or not np.any(fill), "it pads other than with zeros")
    rank = value.index.ndim
    require(numbers is not None and len(numbers) == 2 * rank, "its pads fit no axes")
    assert numbers is not None
    pairs = [(int(numbers[axis]), int(numbers[rank + axis])) for axis in range(rank)]
    axes = value.axes
    require(axes is not None and pairs[0] == (0, 0), "it pads the batch")
    assert axes is not None
    if all(pair == (0, 0) for pair in pairs):
        return value
    if all(axes[axis - 1] not in (None, 0) for axis, pair in enumerate(pairs) if pair != (0, 0)):
        pads = [(0, 0)] * (len(value.shape) - 1)
        for axis, pair in enumerate(pairs):
            if pair != (0, 0):
                pads[int(axes[axis - 1] or 0) - 1] = pair
        result = padded(builder, node, value, pads)
        order = [axis for axis in axes if axis is not None]
        order += [place for place in range(len(value.shape)) if place not in order]
        sizes = [size + sum(pair) for size, pair in zip(value.index.shape, pairs, strict=True)]
        index = result.index.reshape(result.shape).transpose(order).reshape(sizes)
        return Value(result.node, result.shape, index)
    require(pairs[1] == (0, 0), "it pads the channels")
    return padded(builder, node, builder.as_map(value, rank - 2), pairs[2:])


def _softmax(builder: Builder, node: OnnxNode, inputs: Sequence[Operand]) -> Value:
    """Softmax of the logits is left to the host: it changes no decision."""
    value = computed(inputs[0])
    require(builder.readers.get(node.outputs[0]) == 0, "it is no end of the network")
    builder.notes.append(f"{node.label} is left to the host: it changes no decision")
    return value


def _layout(builder: Builder, node: OnnxNode, inputs: Sequence[Operand]) -> Value:
    value = computed(inputs[0])
    try:
        index = _moved(node, inputs, value.index)
    except ValueError as error:
        require(False, f"it cannot be applied to shape {list(value.index.shape)} ({error})")
        raise
    require(index.ndim > 1 and index.shape[0] == 1, "it mixes the windows of a batch")
    if node.operator in ("Flatten", "Reshape") and index.ndim == 2:
        value = builder.as_vector(value)
    return replace(value, index=index)


def _moved(node: OnnxNode, inputs: Sequence[Operand], index: Index) -> Index:
    numbers = _numbers(node, inputs)
    if node.operator == "Transpose":
        return index.transpose(node.attributes.get("perm"))
    if node.operator == "Flatten":
        axis = int(node.attributes.get("axis", 1)) % (index.ndim + 1)
        return index.reshape(math.prod(index.shape[:axis]), -1)
    if node.operator in ("Identity", "Dropout", "Cast"):
        return index
    require(numbers is not None, "its shape or axes are computed")
    assert numbers is not None
    if node.operator == "Reshape":
        if not node.attributes.get("allowzero"):
            numbers = [size or index.shape[axis] for axis, size in enumerate(numbers)]
        return index.reshape(numbers)
    if node.operator == "Squeeze":
        return index.squeeze(tuple(numbers))
    return np.expand_dims(index, tuple(numbers))


def _numbers(node: OnnxNode, inputs: Sequence[Operand]) -> list[int] | None:
    """Return integers that are an attribute in old opsets and an input in new ones."""
    for name in ("axes", "shape"):
        if name in node.attributes:
            return [int(each) for each in node.attributes[name]]
    given: Array | None = constant(inputs, 1, "shape or axes") if len(inputs) > 1 else None
    return None if given is None else [int(each) for each in given.reshape(-1)]


def _slice(builder: Builder, node: OnnxNode, inputs: Sequence[Operand]) -> Value:
    """Slice: a dense layer behind it reads what is left; anything else refuses a part."""
    value = computed(inputs[0])
    given = [constant(inputs, place, "bounds") for place in range(1, 5)]
    require(given[0] is not None and given[1] is not None, "its bounds are attributes")
    starts, ends = (np.asarray(each).reshape(-1).tolist() for each in given[:2])
    axes = range(len(starts)) if given[2] is None else np.asarray(given[2]).reshape(-1).tolist()
    steps = [1] * len(starts) if given[3] is None else np.asarray(given[3]).reshape(-1).tolist()
    index = value.index
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        place = int(axis) % index.ndim
        require(place > 0 and step != 0, "it chooses windows of a batch")
        parts: list[slice] = [slice(None)] * index.ndim
        stop = int(end) if -index.shape[place] <= end <= index.shape[place] else None
        parts[place] = slice(int(start), stop, int(step))
        index = index[tuple(parts)]
    require(index.size > 0, "it leaves nothing")
    return replace(value, index=index, layer="")


def _gelu(node: OnnxNode) -> nn.Module:
    return nn.GELU(approximate=node.attributes.get("approximate", b"none").decode())


def _hard_sigmoid(node: OnnxNode) -> nn.Module:
    alpha, beta = node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5)
    require(
        abs(alpha - 1 / 6) < 1e-4 and abs(beta - 0.5) < 1e-6,
        f"its slope is {alpha:g}; torch has 1/6",
    )
    return nn.Hardsigmoid()


_LAYOUT = ("Cast", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div"), _pairwise),
    **dict.fromkeys(_LAYOUT, _layout),
    "AveragePool": _pool,
    "BatchNormalization": batch_normalization,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": conv,
    "Elu": _layer(lambda node: nn.ELU(alpha=float(node.attributes.get("alpha", 1.0)))),
    "Gelu": _layer(_gelu),
    "Gemm": gemm,
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "HardSigmoid": _layer(_hard_sigmoid),
    "HardSwish": _layer(lambda _: nn.Hardswish()),
    "LeakyRelu": _layer(lambda node: nn.LeakyReLU(float(node.attributes.get("alpha", 0.01)))),
    "LogSoftmax": _softmax,
    "MatMul": matmul,
    "MaxPool": _pool,
    "Pad": _pad,
    "ReduceMean": _reduce_mean,
    "Relu": _layer(lambda _: nn.ReLU()),
    "Sigmoid": _layer(lambda _: nn.Sigmoid()),
    "Slice": _slice,
    "Softmax": _softmax,
    "Tanh": _layer(lambda _: nn.Tanh()),
}
