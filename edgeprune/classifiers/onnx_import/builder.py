"""The torch graph under construction while an ONNX graph is read."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from edgeprune.classifiers.onnx_import.values import (
    Array,
    Index,
    Shape,
    Value,
    plain_index,
    require,
)


@dataclass(frozen=True, eq=False)
class OnnxNode:
    """A node of the ONNX graph.

    Args:
        operator: Its type.
        name: Its name, or that of its output.
        inputs: Names of its inputs; empty where one is left out.
        outputs: Names of its outputs.
        attributes: Its attributes.
        place: Its number in the graph.
    """

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    place: int

    @property
    def label(self) -> str:
        """Operator and name, for messages."""
        return f"{self.operator} '{self.name}'"


@dataclass
class Builder:
    """Collects layers and the graph that calls them.

    Attributes:
        root: Holds the layers by their names.
        graph: The graph.
        notes: What is to be known of the reading, in words.
        readers: How many nodes read each ONNX value.
    """

    root: nn.Module = field(default_factory=nn.Module)
    graph: fx.Graph = field(default_factory=fx.Graph)
    notes: list[str] = field(default_factory=list)
    readers: dict[str, int] = field(default_factory=dict)

    def layer(self, node: OnnxNode, layer: nn.Module, value: Value, suffix: str = "") -> fx.Node:
        """File a layer under the node's name and call it on a value."""
        name = self._free(_module_name(node) + suffix)
        self.root.add_module(name, layer)
        return self.graph.call_module(name, (value.node,))

    def find(self, name: str) -> nn.Module:
        """Return a layer by its name."""
        return self.root.get_submodule(name)

    def viewed(self, value: Value, shape: Shape) -> Value:
        """Return a value as a torch tensor of another shape over the same elements."""
        if value.shape == shape:
            return value
        require(
            math.prod(value.shape) == math.prod(shape),
            f"{list(value.shape)} elements are no {list(shape)}",
        )
        if len(shape) == 1:
            node = self.graph.call_function(torch.flatten, (value.node, 1))
        else:
            node = self.graph.call_method("reshape", (value.node, -1, *shape))
        return replace(value, node=node, shape=shape)

    def as_map(self, value: Value, spatial: int) -> Value:
        """Return a feature map [channels, length] or [channels, height, width].

        Args:
            value: A value of the ONNX shape [1, channels, (height,) length].
            spatial: Axes after the channels, 1 or 2.
        """
        sizes = value.index.shape[1:]
        require(
            len(sizes) == spatial + 1, f"its input has the shape {[1, *sizes]}, axes are missing"
        )
        if not value.is_plain:
            value = self._moved(value)
        return self.viewed(value, sizes)

    def as_vector(self, value: Value) -> Value:
        """Return the elements as [features], in the torch tensor's order."""
        return self.viewed(value, (math.prod(value.shape),))

    def made(self, node: fx.Node, shape: Shape, index: Index | None = None) -> Value:
        """Return the value of a new torch operation."""
        return Value(node, shape, plain_index(shape) if index is None else index)

    def added(self, first: Value, second: Value, kind: str) -> Value:
        """Return an element-wise operation of two values."""
        functions = {"Add": operator.add, "Sub": operator.sub, "Mul": operator.mul}
        node = self.graph.call_function(functions[kind], (first.node, second.node))
        return Value(node, first.shape, first.index)

    def _moved(self, value: Value) -> Value:
        """Move the elements to where the ONNX value has them: a permutation of axes."""
        axes = value.axes
        require(axes is not None, "its input is laid out in a way that no permutation makes")
        assert axes is not None
        order = [axis for axis in axes if axis is not None]
        order += [axis for axis in range(len(value.shape)) if axis not in order]
        node = self.graph.call_method("permute", (value.node, 0, *(axis + 1 for axis in order)))
        shape = tuple(value.shape[axis] for axis in order)
        return Value(node, shape, np.arange(math.prod(shape)).reshape(value.index.shape))

    def _free(self, name: str) -> str:
        taken = {each for each, _ in self.root.named_children()} | set(dir(nn.Module()))
        candidates = (name, *(f"{name}_{number}" for number in range(2, len(taken) + 3)))
        return next(candidate for candidate in candidates if candidate not in taken)


def _module_name(node: OnnxNode) -> str:
    """Return "blocks_0_conv1" of "/blocks/blocks.0/conv1/Conv", which torch's exporter writes.

    Layers are children of the module itself, whose graph calls them: a name has no dots.
    """
    parts: list[str] = []
    for part in node.name.strip("/").split("/"):
        if parts and part.startswith(f"{parts[-1]}."):
            parts.pop()
        parts.append(part)
    if len(parts) > 1 and re.fullmatch(rf"{node.operator}(_\d+)?", parts[-1]):
        parts.pop()
    return re.sub(r"\W+", "_", "_".join(parts)).strip("_") or f"node_{node.place}"


def parameter(values: Array) -> nn.Parameter:
    """Return numbers as float32 to be trained."""
    return nn.Parameter(torch.from_numpy(np.array(values, np.float32)))
