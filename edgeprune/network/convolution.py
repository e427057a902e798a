"""What convolutions share: windows that slide over a map, ordinary or depthwise, 1-D or 2-D.

A 1-D layer is a 2-D one of height 1. What differs is kept in `Windows`, which has one axis or two.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from edgeprune.network.operation import CCall, Shape, Tensors
from edgeprune.network.tensor import Floats, Int8Array
from edgeprune.network.weighted import WeightedOperation
from edgeprune.network.windows import Sliding, Windows, c_sizes

if TYPE_CHECKING:
    from edgeprune.network.qdq_graph import QdqGraph
    from edgeprune.network.tflite_graph import TfliteGraph


@dataclass(frozen=True, eq=False, kw_only=True)
class Convolution(WeightedOperation):
    """A weighted sum over a sliding window, with one weight scale an output channel."""

    tflite_operator: ClassVar[str]

    @property
    @abstractmethod
    def windows(self) -> Windows:
        """The geometry of the windows."""

    @property
    @abstractmethod
    def kernel(self) -> Shape:
        """Cells of a window along each axis, from the weights."""

    @property
    @abstractmethod
    def onnx_groups(self) -> int:
        """The `group` attribute of ONNX's Conv."""

    @abstractmethod
    def onnx_weights(self) -> Int8Array:
        """Return the weights in ONNX's order [out, in / groups, (kernel height,) kernel]."""

    @abstractmethod
    def tflite_weights(self) -> tuple[Int8Array, int]:
        """Return the weights in TFLite's order, four axes, and the axis that counts outputs."""

    @abstractmethod
    def require_channels(self, channels: int) -> None:
        """Raise a NetworkError unless the weights fit that many input channels."""

    @property
    def sliding(self) -> Sliding:
        """The geometry of the windows along the length."""
        return self.windows.axes[0]

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Operation.output_shape`."""
        windows = self.windows
        sizes, channels = self.require_map(shapes[0], len(windows.axes))
        where = f"{self.kind} '{self.name}'"
        windows.check(where=where)
        self.require_channels(channels)
        idle = windows.idle_axis(sizes)
        self.require(
            not idle,
            f"over a {idle} of 1 it is a {self.kind.replace('2d', '1d')}",
            hint="put a reshape to [length, channels] before it",
        )
        return (*windows.output_sizes(sizes, where=where), self.outputs)

    def c_call(self, tensors: Tensors, own: Mapping[str, int]) -> CCall:
        """Return the kernel's call; `own` is the field that this kernel has and the other lacks."""
        source, output = tensors[self.inputs[0]], tensors[self.output]
        scalars = {
            **c_sizes("input", source.shape[:-1]),
            "input_channels": source.shape[-1],
            **c_sizes("output", output.shape[:-1]),
            "output_channels": output.shape[-1],
            **self.windows.c_fields(),
            **own,
        }
        if len(self.windows.axes) > 1:
            # Bytes from one row to the next: 0 where only one row is in memory at a time.
            scalars |= {"input_row": source.row_size, "output_row": output.row_size}
        scalars |= self.c_output_parameters(tensors)
        return CCall(self.kind, (0,), scalars, self.c_arrays(tensors))

    def write_tflite(self, graph: TfliteGraph, tensors: Tensors) -> None:
        """CONV_2D or DEPTHWISE_CONV_2D, after a PAD where there is padding."""
        source = tensors[self.inputs[0]]
        padded = graph.padded(source, self.windows.padding, source.zero_point, owner=self.name)
        operands = graph.weights(self, source, *self.tflite_weights())

        def write(output: int, activation: str) -> None:
            graph.windowed(
                self.tflite_operator,
                (padded, *operands),
                output,
                self.windows,
                padding="VALID",
                fusedActivationFunction=activation,
                **self.tflite_options(),
            )

        self.write_clamped(graph, tensors, write)

    def tflite_options(self) -> dict[str, int]:
        """Return options that only this operator has in TFLite."""
        return {}

    def write_qdq(self, graph: QdqGraph, tensors: Tensors) -> None:
        """Conv."""
        operands = self.write_qdq_weights(graph, tensors, self.onnx_weights())
        graph.clamped_node(
            self,
            tensors[self.output],
            "Conv",
            (graph.value(self.inputs[0]), *operands),
            **self.windows.onnx_attributes(),
            group=self.onnx_groups,
        )

    def multiply_accumulates(self, tensors: Tensors, *, nonzero_only: bool = False) -> int:
        """See `Operation.multiply_accumulates`."""
        weights = np.count_nonzero(self.weights) if nonzero_only else self.weights.size
        return math.prod(tensors[self.output].shape[:-1]) * int(weights)


@dataclass(frozen=True, eq=False, kw_only=True)
class GroupedConvolution(Convolution):
    """An ordinary convolution, its channels perhaps in groups.

    Args:
        weights: int8 [out, kernel, (kernel height,) in / groups].
        groups: Parts into which the channels are split; each sees only its own inputs.
    """

    tflite_operator: ClassVar[str] = "CONV_2D"

    groups: int = 1

    @property
    def output_axis(self) -> int:
        """See `WeightedOperation.output_axis`."""
        return 0

    @property
    def kernel(self) -> Shape:
        """See `Convolution.kernel`."""
        return self.weights.shape[1:-1]

    @property
    def onnx_groups(self) -> int:
        """See `Convolution.onnx_groups`."""
        return self.groups

    def onnx_weights(self) -> Int8Array:
        """See `Convolution.onnx_weights`."""
        return self.weights.transpose(0, *range(self.weights.ndim - 1, 0, -1))

    def tflite_weights(self) -> tuple[Int8Array, int]:
        """See `Convolution.tflite_weights`."""
        return _with_height(self.weights, 1), 0

    def require_channels(self, channels: int) -> None:
        """See `Convolution.require_channels`."""
        self.require(
            self.groups >= 1
            and channels == self.groups * self.weights.shape[-1]
            and self.outputs % self.groups == 0,
            f"{channels} channels in and {self.outputs} out do not split into {self.groups} groups "
            f"of {self.weights.shape[-1]} inputs",
        )
        self.require(
            self.groups == 1 or self.groups < channels,
            f"as many groups as channels are a depthwise_{self.kind}",
        )

    def weighted_sums(self, centred: Floats, weights: Floats) -> Floats:
        """See `WeightedOperation.weighted_sums`."""
        padded = self.windows.pad(centred, 0)
        by_group = [
            self._group_sums(part, filters)
            for part, filters in zip(
                np.split(padded, self.groups, axis=-1),
                np.split(weights, self.groups, axis=0),
                strict=True,
            )
        ]
        return by_group[0] if self.groups == 1 else np.concatenate(by_group, axis=-1)

    def _group_sums(self, padded: Floats, weights: Floats) -> Floats:
        taps = self.windows.taps(padded)
        positions = taps.shape[: 1 + len(self.kernel)]
        sums = taps.reshape(math.prod(positions), -1) @ weights.reshape(len(weights), -1).T
        return np.asarray(sums.reshape(*positions, len(weights)))

    def c_calls(self, tensors: Tensors) -> tuple[CCall, ...]:
        """See `Operation.c_calls`."""
        return (self.c_call(tensors, {"groups": self.groups}),)


@dataclass(frozen=True, eq=False, kw_only=True)
class DepthwiseConvolution(Convolution):
    """A convolution in which output channel o reads only input channel o // channel_multiplier.

    Args:
        weights: int8 [kernel, (kernel height,) out].
        channel_multiplier: Output channels an input channel.
    """

    tflite_operator: ClassVar[str] = "DEPTHWISE_CONV_2D"

    channel_multiplier: int = 1

    @property
    def output_axis(self) -> int:
        """See `WeightedOperation.output_axis`."""
        return self.weights.ndim - 1

    @property
    def kernel(self) -> Shape:
        """See `Convolution.kernel`."""
        return self.weights.shape[:-1]

    @property
    def onnx_groups(self) -> int:
        """See `Convolution.onnx_groups`."""
        return self.outputs // self.channel_multiplier

    def onnx_weights(self) -> Int8Array:
        """See `Convolution.onnx_weights`."""
        return self.weights.T[:, np.newaxis]

    def tflite_weights(self) -> tuple[Int8Array, int]:
        """See `Convolution.tflite_weights`."""
        return _with_height(self.weights[np.newaxis], 1), 3

    def tflite_options(self) -> dict[str, int]:
        """See `Convolution.tflite_options`."""
        return {"depthMultiplier": self.channel_multiplier}

    def require_channels(self, channels: int) -> None:
        """See `Convolution.require_channels`."""
        self.require(
            self.outputs == channels * self.channel_multiplier,
            f"{self.outputs} outputs are not {channels} channels times {self.channel_multiplier}",
        )
        self.require(channels > 1, f"of one channel it is a {self.kind.removeprefix('depthwise_')}")

    def weighted_sums(self, centred: Floats, weights: Floats) -> Floats:
        """See `WeightedOperation.weighted_sums`."""
        padded = self.windows.pad(centred, 0)
        if self.channel_multiplier > 1:
            padded = np.repeat(padded, self.channel_multiplier, axis=-1)
        cells = self.windows.by_cell(padded)
        first, value = next(cells)
        sums: Floats = value * weights[first]
        for cell, value in cells:
            sums += value * weights[cell]
        return sums

    def c_calls(self, tensors: Tensors) -> tuple[CCall, ...]:
        """See `Operation.c_calls`."""
        return (self.c_call(tensors, {"channel_multiplier": self.channel_multiplier}),)


@dataclass(frozen=True, eq=False, kw_only=True)
class OverLength(Convolution):
    """Windows that slide over a map [length, channels].

    Args:
        stride: Cells between two windows.
        dilation: Cells between two cells of a window.
        padding: Zeros (in real numbers) added left and right.
    """

    stride: int = 1
    dilation: int = 1
    padding: tuple[int, int] = (0, 0)

    @property
    def windows(self) -> Windows:
        """See `Convolution.windows`."""
        return Windows((Sliding(self.kernel[0], self.stride, self.dilation, self.padding),))


@dataclass(frozen=True, eq=False, kw_only=True)
class OverMap(Convolution):
    """Windows that slide over a map [length, height, channels].

    Args:
        stride: Cells between two windows, along the length and along the height.
        dilation: Cells between two cells of a window, along each axis.
        padding: Zeros (in real numbers) added before and after, along each axis.
    """

    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))

    @property
    def windows(self) -> Windows:
        """See `Convolution.windows`."""
        axes = zip(self.kernel, self.stride, self.dilation, self.padding, strict=True)
        return Windows(tuple(Sliding(*axis) for axis in axes))


def _with_height(weights: Int8Array, axis: int) -> Int8Array:
    """Return weights of four axes: TFLite knows no 1-D ones, they are a height of 1 there."""
    return np.expand_dims(weights, axis) if weights.ndim == 3 else weights
