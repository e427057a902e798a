"""Reads what Conv and the pools say of their windows, and over which map of ours they slide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeprune.errors import UnsupportedOperatorError
from edgeprune.network.operation import Shape
from edgeprune.network.qdq_sketch import Node, Sketch
from edgeprune.network.qdq_values import Activation, Array
from edgeprune.network.tensor import Int64Array
from edgeprune.network.windows import Sliding, Windows

# What stands along an axis of size 1 over which nothing slides.
_NOTHING = Sliding(1)


@dataclass(frozen=True, eq=False)
class Mapped:
    """A map of the network and the windows of a node over it.

    ONNX names the height before the length. Of two spatial axes one that has a single cell and
    over which nothing slides is left out; where only a layout with the two swapped fits the bytes
    (a signal [n, 1, time, electrodes]), the windows are swapped and not the bytes.

    Args:
        tensor: The tensor [length, channels] or [length, height, channels].
        windows: The geometry along the tensor's own axes.
        sizes: The sizes of those axes.
        channels: Channels.
        spatial: Spatial axes of the ONNX value.
        axes: Which spatial axis of ONNX each axis of the tensor is.
    """

    tensor: str
    windows: Windows
    sizes: Shape
    channels: int
    spatial: int
    axes: tuple[int, ...]

    def index(self, sizes: Sequence[int], channels: int) -> Int64Array:
        """Return the index of a result with such axes as the node's result has in ONNX."""
        index = np.moveaxis(
            np.arange(int(np.prod(sizes)) * channels).reshape(*sizes, channels), -1, 0
        )
        left_out = tuple(set(range(self.spatial)) - set(self.axes))
        index = np.expand_dims(index, tuple(range(1 + len(sizes), 1 + self.spatial)))
        order = np.argsort([*self.axes, *left_out])
        return np.asarray(index.transpose(0, *(1 + order))[np.newaxis], np.int64)

    def result(self, node: Node, channels: int) -> Int64Array:
        """Return the index of what the node's windows give."""
        return self.index(self.windows.output_sizes(self.sizes, where=node.label), channels)

    def filters(self, weights: Array) -> Array:
        """Return ONNX's weights [out, in, ...] as [out, kernel, (kernel height,) in]."""
        left_out = tuple(2 + axis for axis in range(self.spatial) if axis not in self.axes)
        kept = weights.transpose(0, *(2 + axis for axis in self.axes), *left_out, 1)
        return kept.reshape(len(weights), *self.windows.kernel, weights.shape[1])

    def fields(self, *, dilates: bool) -> dict[str, Any]:
        """Return stride, padding and dilation as fields of an operation over one axis or two."""
        names = ("stride", "padding", "dilation")[: 3 if dilates else 2]
        return {name: self.field(name) for name in names}

    def field(self, name: str) -> Any:
        """Return a number of the geometry: one over a single axis, a pair over two."""
        values = tuple(getattr(axis, name) for axis in self.windows.axes)
        return values[0] if len(values) == 1 else values


def mapped(sketch: Sketch, node: Node, value: Activation, windows: Windows) -> Mapped:
    """Return the tensor over which windows slide, given as ONNX orders a value's axes.

    Raises:
        UnsupportedOperatorError: The value is no feature map of one axis or two.
    """
    sizes, spatial = value.index.shape[2:], value.index.ndim - 2
    node.require(spatial in (1, 2), f"its input {list(value.index.shape)} is no feature map")
    trivial = [sizes[axis] == 1 and windows.axes[axis] == _NOTHING for axis in range(spatial)]
    # The length is ONNX's last axis; only then the other order.
    for axes in ((1,), (0,), (1, 0), (0, 1)) if spatial == 2 else ((0,),):
        left_out = [axis for axis in range(spatial) if axis not in axes]
        if not all(trivial[axis] for axis in left_out):
            continue
        own = Mapped(
            "",
            Windows(tuple(windows.axes[axis] for axis in axes)),
            tuple(sizes[axis] for axis in axes),
            value.index.shape[1],
            spatial,
            axes,
        )
        if np.array_equal(own.index(own.sizes, own.channels), value.index):
            tensor = sketch.viewed(value, (*own.sizes, own.channels), node.name)
            return Mapped(tensor, own.windows, own.sizes, own.channels, spatial, axes)
    raise UnsupportedOperatorError(
        f"its input {list(value.index.shape)} is no feature map [batch, channels, length] or "
        "[batch, channels, height, length] without moving data"
    )


def windows_of(node: Node, sizes: Sequence[int], kernel: Sequence[int] | None = None) -> Windows:
    """Return the geometry that a node's attributes describe, along ONNX's spatial axes.

    Args:
        node: A Conv or pool.
        sizes: Sizes of the spatial axes.
        kernel: The kernel where it is known from weights.
    """
    spatial = len(sizes)

    def numbers(attribute: str, default: Sequence[int]) -> list[int]:
        found = list(node.attributes.get(attribute) or default)
        node.require(len(found) == len(default), f"its {attribute} are {found}")
        return [int(each) for each in found]

    shape = numbers("kernel_shape", kernel if kernel is not None else [0] * spatial)
    node.require(min(shape) > 0, f"its kernel is {shape}")
    strides, dilations = numbers("strides", [1] * spatial), numbers("dilations", [1] * spatial)
    pads = numbers("pads", [0] * 2 * spatial)
    axes = []
    for axis, size in enumerate(sizes):
        bare = Sliding(shape[axis], strides[axis], dilations[axis])
        padding = _padding(node, bare, size, (pads[axis], pads[axis + spatial]))
        if node.attributes.get("ceil_mode", 0):
            room = size + sum(padding) - bare.span
            padding = padding[0], padding[1] + -room % bare.stride
        axes.append(Sliding(bare.kernel, bare.stride, bare.dilation, padding))
    return Windows(tuple(axes))


def _padding(
    node: Node, unpadded: Sliding, length: int, explicit: tuple[int, int]
) -> tuple[int, int]:
    scheme = node.attributes.get("auto_pad", b"NOTSET").decode()
    if scheme in ("SAME_UPPER", "SAME_LOWER"):
        less, more = unpadded.same_padding(length)
        return (less, more) if scheme == "SAME_UPPER" else (more, less)
    return (0, 0) if scheme == "VALID" else explicit
