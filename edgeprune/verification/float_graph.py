"""From a float ONNX graph to the graph that linear bounds work on.

Its inputs are the integers that the device's front end delivers: `x = scale * (q - zero_point)`,
so that a float network and its int8 twin share one input. Values are flat rows, maps [length,
(height,) channels]; ONNX has [channels, (height,) length], so that every value carries the order in
which ONNX reads it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx

from edgeprune.errors import ModelError
from edgeprune.network.tensor import Tensor
from edgeprune.network.windows import Windows
from edgeprune.verification.bound_nodes import BoundGraph, Source
from edgeprune.verification.float_elementwise import ElementwiseLowering
from edgeprune.verification.float_lowering import Value, attributes_of
from edgeprune.verification.float_sketch import Box
from edgeprune.verification.linear_maps import (
    FloatArray,
    Matrix,
    sliding_map,
)
from edgeprune.verification.twins import Twin

# About half a step of an int8 twin's activations.
_LEAST_KINK = 0.01


def float_graph(
    model: onnx.ModelProto,
    inputs: Sequence[Tensor],
    *,
    boxes: Sequence[Box] | None = None,
    single_precision: bool = False,
) -> BoundGraph:
    """Lower a float graph of convolutions, pools (over one axis or two), sums, joins, dense layers.

    Args:
        model: Inputs [n, channels, length] or [n, features], one output [n, classes]. Its weights
            are the exact numbers that float32 holds.
        inputs: What the integers of each input stand for, in the graph's order.
        boxes: Least and greatest integers of each input, int8 [n, ...]: bounds hold for members of
            these. None stands for all of int8.
        single_precision: Whether the errors of float32 arithmetic are covered, in any order of
            summation; else what is bounded is the network in real numbers.

    Raises:
        ModelError: An operator, or the form in which it is used, is not known here.
    """
    return _Lowering(model, inputs, boxes, single_precision).graph()


def float_twin(
    name: str,
    model: onnx.ModelProto,
    inputs: Sequence[Tensor],
    *,
    boxes: Sequence[Box] | None = None,
    single_precision: bool = False,
) -> Twin:
    """Return a float network as a twin of others that read the same integers; see `float_graph`."""
    graph = float_graph(model, inputs, boxes=boxes, single_precision=single_precision)
    return Twin(
        name,
        graph,
        1.0,
        integral=False,
        logits=lambda given: graph.run(given)[graph.output],
        least_kink=_LEAST_KINK,
    )


class _Lowering(ElementwiseLowering):
    def graph(self) -> BoundGraph:
        for node in self._graph.node:
            if node.output[0] in self._fused:
                continue
            lower = getattr(self, f"_{node.op_type.lower()}", None)
            if lower is None:
                self._refuse(node, f"'{node.op_type}' is not known")
            lower(node)
        output = self._values[self._graph.output[0].name]
        if len(output.shape) != 1 or not output.in_order:
            raise ModelError("the output is no plain vector", where="float graph")
        nodes = tuple(self._sketch.nodes)
        sources = tuple(i for i, node in enumerate(nodes) if isinstance(node, Source))
        values = {name: value.node for name, value in self._values.items()}
        return BoundGraph(nodes, sources, output.node, values)

    # Layers.

    def _conv(self, node: onnx.NodeProto) -> None:
        value = self._canonical(self._operand(node, 0))
        weights = self._constant(node, 1)
        outputs = len(weights)
        windows = self._windows(node, weights.shape[2:], value)
        groups = int(attributes_of(node).get("group", 1))
        channels, sizes = value.shape[0], value.shape[:0:-1]
        taps = np.zeros((*windows.kernel, outputs, channels))
        outs, ins = outputs // groups, channels // groups
        for group in range(groups):
            own = slice(group * outs, (group + 1) * outs)
            # [out, in, (kernel height,) kernel] to [kernel, (kernel height,) out, in]
            filters = weights[own].T.swapaxes(-1, -2)
            taps[..., own, group * ins : (group + 1) * ins] = filters
        linear = sliding_map(taps, windows, sizes)
        bias = self._constant(node, 2) if len(node.input) > 2 else np.zeros(outputs)
        constant = np.tile(bias.astype(np.float64), linear.outputs // outputs)
        found = windows.output_sizes(sizes, where=node.name)
        self._weighted(node, (value.node,), (linear,), constant, (outputs, *reversed(found)))

    def _gemm(self, node: onnx.NodeProto) -> None:
        fields = attributes_of(node)
        if (
            fields.get("alpha", 1.0) != 1.0
            or fields.get("beta", 1.0) != 1.0
            or fields.get("transA")
        ):
            self._refuse(node, "only alpha = beta = 1 and transA = 0 are known")
        weights = self._constant(node, 1)
        weights = weights if fields.get("transB") else weights.T
        self._dense(node, weights, self._constant(node, 2) if len(node.input) > 2 else None)

    def _matmul(self, node: onnx.NodeProto) -> None:
        self._dense(node, self._constant(node, 1).T, None)

    def _dense(self, node: onnx.NodeProto, weights: FloatArray, bias: FloatArray | None) -> None:
        value = self._operand(node, 0)
        if len(value.shape) != 1 or weights.shape[1:] != value.shape:
            self._refuse(node, f"weights {weights.shape} do not fit an input of {value.shape}")
        entries = np.zeros(weights.shape)
        entries[:, value.order] = weights
        constant = np.zeros(len(weights)) if bias is None else bias.astype(np.float64).reshape(-1)
        constant = np.broadcast_to(constant, len(weights)).copy()
        self._weighted(node, (value.node,), (Matrix(entries),), constant, (len(weights),))

    def _averagepool(self, node: onnx.NodeProto) -> None:
        value = self._canonical(self._operand(node, 0))
        fields = attributes_of(node)
        windows = self._windows(node, fields["kernel_shape"], value)
        self._average(node, value, windows, counts_padding=bool(fields.get("count_include_pad", 0)))

    def _globalaveragepool(self, node: onnx.NodeProto) -> None:
        value = self._canonical(self._operand(node, 0))
        windows = self._windows(node, value.shape[1:], value)
        self._average(node, value, windows, counts_padding=False)

    def _average(
        self, node: onnx.NodeProto, value: Value, windows: Windows, *, counts_padding: bool
    ) -> None:
        channels, sizes = value.shape[0], value.shape[:0:-1]
        taps = np.broadcast_to(np.eye(channels), (*windows.kernel, channels, channels))
        linear = sliding_map(taps, windows, sizes)
        cells = np.repeat(windows.valid_cells(sizes).reshape(-1).astype(np.float64), channels)
        factor = 1.0 / (np.full(cells.size, float(windows.cells)) if counts_padding else cells)
        found = windows.output_sizes(sizes, where=node.name)
        shape = (channels, *reversed(found))
        self._weighted(node, (value.node,), (linear,), np.zeros(cells.size), shape, factor)

    def _maxpool(self, node: onnx.NodeProto) -> None:
        value = self._canonical(self._operand(node, 0))
        windows = self._windows(node, attributes_of(node)["kernel_shape"], value)
        channels, sizes = value.shape[0], value.shape[:0:-1]
        if not windows.valid_cells(sizes).all():
            self._refuse(node, "a window lies in the padding altogether")
        cells = windows.elements(sizes, channels)
        number = self._sketch.maximum(node.name, value.node, cells)
        found = windows.output_sizes(sizes, where=node.name)
        self._file(node.output[0], number, (channels, *reversed(found)))

    # What moves values and changes none.

    def _flatten(self, node: onnx.NodeProto) -> None:
        value = self._operand(node, 0)
        if int(attributes_of(node).get("axis", 1)) != 1:
            self._refuse(node, "only axis 1 is known")
        self._values[node.output[0]] = replace(value, shape=(len(value.order),))

    def _reshape(self, node: onnx.NodeProto) -> None:
        value = self._operand(node, 0)
        target = self._constant(node, 1).astype(np.int64).tolist()[1:]
        known = math.prod(size for size in target if size > 0)
        shape = tuple(len(value.order) // known if size < 0 else size for size in target)
        if 0 in shape or len(shape) > 3 or math.prod(shape) != len(value.order):
            self._refuse(node, f"the shape {target} is not known")
        self._values[node.output[0]] = replace(value, shape=shape)

    def _unsqueeze(self, node: onnx.NodeProto) -> None:
        value = self._operand(node, 0)
        axes = self._constant(node, 1).reshape(-1).tolist() if len(node.input) > 1 else []
        rank = 1 + len(value.shape) + len(axes)
        places = sorted(int(axis) % rank for axis in axes)
        if not places or places[0] == 0 or rank > 4:
            self._refuse(node, f"the axes {axes} are not known")
        shape = list(value.shape)
        for place in places:
            shape.insert(place - 1, 1)
        self._values[node.output[0]] = replace(value, shape=tuple(shape))

    def _concat(self, node: onnx.NodeProto) -> None:
        values = [self._operand(node, i) for i in range(len(node.input))]
        if int(attributes_of(node)["axis"]) not in (1, -len(values[0].shape)):
            self._refuse(node, "only the axis after the batch is known")
        values = [self._canonical(value) for value in values]
        rest = values[0].shape[1:]
        shape = (sum(value.shape[0] for value in values), *rest)
        numbers = np.arange(math.prod(shape), dtype=np.int64).reshape(-1, shape[0])
        ends = np.cumsum([value.shape[0] for value in values])[:-1]
        places = tuple(part.reshape(-1) for part in np.split(numbers, ends, axis=1))
        operands = tuple(value.node for value in values)
        self._file(node.output[0], self._sketch.join(node.name, operands, places), shape)
