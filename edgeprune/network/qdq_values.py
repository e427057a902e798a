"""What a float value of an ONNX graph stands for while the graph is read.

Layout operators (Reshape, Transpose, ...) move nothing: every value carries `index`, an array of
the value's ONNX shape (batch 1 first) that says which element of the network's tensor each of its
elements is. The layout operators are applied to that array.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgeprune.network.operation import Shape
from edgeprune.network.tensor import INT8_HIGH, INT8_LOW, Int64Array

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Range:
    """Scale and zero point of int8 integers."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class Clamp:
    """The real bounds that Relu and Clip put on a value before it is quantized."""

    low: float = -math.inf
    high: float = math.inf

    def within(self, low: float, high: float) -> Clamp:
        """Return this clamp followed by another."""
        return Clamp(*np.clip((self.low, self.high), low, high).tolist())

    def integers(self, to: Range) -> dict[str, Any]:
        """Return the clamp as fields of a ClampedOperation whose output has that range."""
        low, high = (
            INT8_LOW if bound == -math.inf else INT8_HIGH if bound == math.inf else _step(bound, to)
            for bound in (self.low, self.high)
        )
        return {"clamp_low": low, "clamp_high": high}


def _step(bound: float, to: Range) -> int:
    step = float(np.rint(np.float32(bound) / np.float32(to.scale))) + to.zero_point
    return int(np.clip(step, INT8_LOW, INT8_HIGH))


@dataclass(frozen=True, eq=False)
class GraphInput:
    """An input of the graph before its QuantizeLinear, which decides what its layout means.

    Args:
        name: The input's name.
        index: An array of the value's ONNX shape: which element of the graph's own input each is.
        shape: The shape of the graph's own input, batch 1 first.
    """

    name: str
    index: Int64Array
    shape: Shape

    @property
    def names_length_first(self) -> bool:
        """Whether a map of one channel [1, 1, height, width] has its length along the height.

        Of an input [1, channels, length] that is where its last axis went; of an input of two axes
        the longer one is taken for the length: windows have more samples than electrodes.
        """
        height, width = self.index.shape[2:]
        if len(self.shape) == 3 and min(height, width) > 1:
            return int(self.index[0, 0, 1, 0] - self.index[0, 0, 0, 0]) == 1
        return height > width


@dataclass(frozen=True, eq=False)
class Constant:
    """A constant float or integer array that is not quantized."""

    name: str
    values: Array


@dataclass(frozen=True, eq=False)
class QuantizedConstant:
    """Constant integers with their scales; `axis` is None for a single scale.

    The integers have their zero point subtracted, so that they may need more than 8 bits.
    """

    name: str
    values: Array
    scales: npt.NDArray[np.float32]
    axis: int | None
    zero_point: int = 0

    def real(self) -> npt.NDArray[np.float64]:
        """Return the real numbers that the integers stand for."""
        scales = self.scales.astype(np.float64)
        if self.axis is not None:
            scales = scales.reshape([-1 if i == self.axis else 1 for i in range(self.values.ndim)])
        return np.asarray(self.values * scales)


@dataclass(frozen=True, eq=False)
class Activation:
    """A value that stands for a tensor of the network.

    Args:
        tensor: The tensor's name.
        index: See the module.
        node: The last layout or pass-through node on the way here, which names what it becomes.
        origin: What it was before it was quantized, for a bias that is added only now.
    """

    tensor: str
    index: Int64Array
    node: str = ""
    origin: Pending | None = None


class Finish(Protocol):
    """Appends the operation once its output's name and range are known."""

    def __call__(self, output: str, to: Range, clamp: Clamp) -> str:
        """Return the name of the tensor that stands for the value."""


@dataclass(frozen=True, eq=False)
class Pending:
    """The result of an operator whose range comes with the QuantizeLinear that follows.

    Args:
        node: Name of the operator's node.
        index: See the module; refers to the tensor that `finish` will return.
        finish: Appends the operation.
        clamp: Relu and Clip met since the operator.
        kept: The range that holds where no QuantizeLinear follows: known for operators that
            leave the range of their input alone.
        add_bias: Returns the same with a constant added, where that can be a bias.
        finished: Tensors made of this value so far, by their ranges.
    """

    node: str
    index: Int64Array
    finish: Finish
    clamp: Clamp = field(default_factory=Clamp)
    kept: Range | None = None
    add_bias: Callable[[npt.NDArray[np.float64]], Pending] | None = None
    finished: dict[tuple[Range, Clamp], str] = field(default_factory=dict)

    def clamped(self, low: float, high: float) -> Pending:
        """Return this value after a Relu or Clip."""
        return replace(self, clamp=self.clamp.within(low, high), add_bias=None)


@dataclass(frozen=True)
class Unknown:
    """The output of an operator that is not supported."""


Value = GraphInput | Constant | QuantizedConstant | Activation | Pending | Unknown


def canonical_index(shape: Shape) -> Int64Array:
    """Return the index of a value whose ONNX layout is the usual one for a tensor of that shape.

    Feature maps (length, channels) are [1, channels, length] in ONNX, (length, height, channels)
    are [1, channels, height, length]; vectors are [1, features].
    """
    positions = np.arange(math.prod(shape), dtype=np.int64).reshape(shape)
    return np.asarray(positions.T[np.newaxis])


def canonical_shape(index: Int64Array) -> Shape | None:
    """Return the shape of a tensor of which `index` is the usual ONNX layout, if there is one.

    Feature maps may have a height of 1: [1, channels, 1, length].
    """
    sizes = index.shape
    if len(sizes) == 2:
        shape: Shape = (index.size,)
    elif len(sizes) == 3 or (len(sizes) == 4 and sizes[2] == 1):
        shape = (sizes[-1], sizes[1])
    elif len(sizes) == 4:
        shape = (sizes[3], sizes[2], sizes[1])
    else:
        return None
    return shape if np.array_equal(index.ravel(), canonical_index(shape).ravel()) else None


def is_settled(index: Int64Array, shape: Shape) -> bool:
    """Return whether a tensor of that shape stands for a value laid out so as it is.

    A map [length, channels] may have a height or a length of 1 in ONNX; of a map of two axes ONNX
    may name either first.
    """
    if index.ndim == 2 or len(shape) == 1:
        return index.ndim == 2 and shape == (index.size,)
    if index.ndim not in (3, 4) or shape[-1] != index.shape[1]:
        return False
    usual = canonical_index(shape)
    if index.ndim == 3:
        return len(shape) == 2 and np.array_equal(index, usual)
    usual = usual if len(shape) == 3 else usual[:, :, np.newaxis]
    return any(np.array_equal(index, each) for each in (usual, usual.swapaxes(2, 3)))
