"""The network under construction while a QDQ graph is read, and a graph's nodes made handy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from onnx import helper

from edgeprune.errors import ModelError, UnsupportedOperatorError
from edgeprune.network.operation import Operation, Shape
from edgeprune.network.ops import Requantize, Reshape
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
    canonical_index,
    canonical_shape,
    is_settled,
)
from edgeprune.network.tensor import Tensor

QUANTIZERS = ("QuantizeLinear", "DequantizeLinear")

# The range of a tensor that has none, so that reading goes on and finds all that is wrong.
_PLACEHOLDER = Range(1.0, 0)


@dataclass(frozen=True, eq=False)
class Node:
    """A node of an ONNX graph."""

    proto: onnx.NodeProto
    operator: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    @staticmethod
    def of(proto: onnx.NodeProto) -> Node:
        """Return the node; where it has no name, its first output is its name."""
        return Node(
            proto,
            proto.op_type,
            proto.domain,
            proto.name or (proto.output[0] if proto.output else proto.op_type),
            tuple(proto.input),
            tuple(proto.output),
            {each.name: helper.get_attribute_value(each) for each in proto.attribute},
        )

    @property
    def label(self) -> str:
        """Operator and name, for messages."""
        domain = f"{self.domain}." if self.domain else ""
        return f"{domain}{self.operator} '{self.name}'"

    def require(self, condition: object, what: str) -> None:
        """Refuse this node as unsupported unless `condition` holds."""
        if not condition:
            raise UnsupportedOperatorError(what)


class Sketch:
    """Collects tensors and operations.

    Args:
        where: The file, for messages.

    Attributes:
        batch: The fixed batch of the graph's inputs, 1 where it is open.
        missing_ranges: Float values that something reads but nothing quantizes.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self.batch = 1
        self.tensors: dict[str, Tensor] = {}
        self.operations: list[Operation] = []
        self.missing_ranges: list[str] = []

    def append(self, operation: Operation, to: Range) -> str:
        """File an operation and its output; return the output's name."""
        shapes = (self.tensors[name].shape for name in operation.inputs)
        shape = operation.output_shape(*shapes)
        self.tensors[operation.output] = Tensor(operation.output, shape, to.scale, to.zero_point)
        self.operations.append(operation)
        return operation.output

    def input(self, value: GraphInput, to: Range) -> Activation:
        """File an input of the network, whose layout is what it has where it is quantized."""
        sizes = value.index.shape
        if len(sizes) > 4:
            raise UnsupportedOperatorError(
                f"input '{value.name}' of shape {list(sizes)} has more than two spatial axes"
            )
        shape: Shape = tuple(reversed(sizes[1:]))
        index = canonical_index(shape)
        if len(sizes) == 2 and len(value.shape) == 3:
            # Flattened before it was quantized: what is delivered is the map all the same.
            shape = tuple(reversed(value.shape[1:]))
            index = canonical_index(shape).reshape(-1)[value.index]
        if len(shape) == 3 and 1 in shape:
            # Of one channel, one row or one column it is a map [length, channels]: the bytes are
            # the same, and that is what a front end delivers.
            if sizes[1] == 1 and value.names_length_first:
                shape, index = sizes[2:], np.arange(index.size).reshape(sizes)
            kept = [size for size in shape if size != 1]
            shape = (*kept, *([1] * (2 - len(kept))))
        self.tensors[value.name] = Tensor(value.name, shape, to.scale, to.zero_point)
        return Activation(value.name, index)

    def range_of(self, tensor: str) -> Range:
        """Return the range of a tensor."""
        return Range(self.tensors[tensor].scale, self.tensors[tensor].zero_point)

    def header(self, name: str, inputs: tuple[str, ...], output: str) -> dict[str, Any]:
        """Return the fields that every operation has, with a name that is still free."""
        taken = {operation.name for operation in self.operations}
        return {"name": _free(name, taken), "inputs": inputs, "output": output}

    def free_tensor(self, name: str) -> str:
        """Return `name`, or a variation of it where a tensor has that name."""
        return _free(name, set(self.tensors))

    def finish(self, pending: Pending, output: str, to: Range) -> Activation:
        """Give a pending value its range."""
        key = (to, pending.clamp)
        if key not in pending.finished:
            pending.finished[key] = pending.finish(self.free_tensor(output), to, pending.clamp)
        return Activation(pending.finished[key], pending.index, origin=pending)

    def activation(self, value: Value | None, name: str) -> Activation:
        """Return a value that an operator reads as an activation; note where its range lacks.

        Args:
            value: What stands at the operator's input.
            name: The input's name in the graph.
        """
        if isinstance(value, Activation):
            return value
        if isinstance(value, Pending):
            if value.kept is None:
                self.note_missing(name)
            return self.finish(value, name, value.kept or _PLACEHOLDER)
        if isinstance(value, GraphInput):
            self.note_missing(name)
            return self.input(value, _PLACEHOLDER)
        raise UnsupportedOperatorError(f"its operand '{name}' is a constant")

    def settled(self, value: Value, name: str) -> str:
        """Return the tensor of a value that ends the graph ('' where it is unknown)."""
        if isinstance(value, Unknown):
            return ""
        if isinstance(value, Constant | QuantizedConstant):
            raise ModelError(f"the output '{name}' is a constant", where=self.where)
        return self.activation(value, name).tensor

    def note_missing(self, name: str) -> None:
        """Remember that the float value `name` has no range."""
        if name not in self.missing_ranges:
            self.missing_ranges.append(name)

    def shape(self, tensor: str) -> Shape:
        """Return the shape of a tensor without batch."""
        return self.tensors[tensor].shape

    def as_map(self, value: Activation, node: str, *, axes: int = 1) -> str:
        """Return a tensor that holds the value [1, channels, (height,) length] as a map.

        Args:
            value: The value.
            node: The node that reads it.
            axes: 1 for a tensor (length, channels), 2 for one (length, height, channels).
        """
        shape = canonical_shape(value.index)
        if shape is not None and len(shape) == 2 and axes == 2:
            shape = (shape[0], 1, shape[1])
        if shape is None or len(shape) != axes + 1:
            raise UnsupportedOperatorError(
                f"its input {list(value.index.shape)} is no feature map [batch, channels, length] "
                "without moving data"
            )
        return self.viewed(value, shape, node)

    def as_vector(self, value: Activation, node: str) -> str:
        """Return a tensor (features,) that holds the elements of the value in its own order."""
        return self.viewed(value, (value.index.size,), node)

    def requantized(self, tensor: str, to: Range, name: str, output: str) -> str:
        """Return the tensor in another range."""
        if self.range_of(tensor) == to:
            return tensor
        header = self.header(name, (tensor,), self.free_tensor(output))
        return self.append(Requantize(**header), to)

    def viewed(self, value: Activation, shape: Shape, node: str, output: str = "") -> str:
        """Return a tensor of that shape over the bytes of the value's tensor."""
        if self.shape(value.tensor) == shape:
            return value.tensor
        name = value.node or f"{node}/reshape"
        header = self.header(name, (value.tensor,), self.free_tensor(output or f"{name}/output"))
        return self.append(Reshape(**header, shape=shape), self.range_of(value.tensor))

    def settled_layout(self, value: Activation, node: str, output: str) -> Activation:
        """Return the value with a tensor that has as many axes as the ONNX value has."""
        if is_settled(value.index, self.shape(value.tensor)):
            return value
        shape = canonical_shape(value.index)
        if len(value.index.shape) == 2:
            shape = (value.index.size,)
        if shape is None:
            return value
        return replace(value, tensor=self.viewed(value, shape, node, output))


def real_constant(value: Value | None) -> Array | None:
    """Return the numbers of a constant, quantized or not; None for anything else."""
    if isinstance(value, Constant):
        return np.asarray(value.values, np.float64)
    return value.real() if isinstance(value, QuantizedConstant) else None


def _free(name: str, taken: set[str]) -> str:
    candidates = (name, *(f"{name}_{number}" for number in range(2, len(taken) + 3)))
    return next(candidate for candidate in candidates if candidate not in taken)
