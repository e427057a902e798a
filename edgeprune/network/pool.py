"""What pools share: maxima and averages of windows over a map of one axis or of two."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from edgeprune.network.operation import CCall, ClampedOperation, Shape, Tensors
from edgeprune.network.tensor import INT8_LOW, Int8Array
from edgeprune.network.windows import Sliding, Windows, c_sizes

if TYPE_CHECKING:
    from edgeprune.network.qdq_graph import QdqGraph
    from edgeprune.network.tflite_graph import TfliteGraph


@dataclass(frozen=True, eq=False, kw_only=True)
class Pool(ClampedOperation):
    """A pool of windows; input and output share one range. Padding cells are left out."""

    onnx_operator: ClassVar[str]

    @property
    @abstractmethod
    def windows(self) -> Windows:
        """The geometry of the windows."""

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
        output_sizes = windows.output_sizes(sizes, where=where)
        self.require(
            int(windows.valid_cells(sizes).min()) > 0, "a window lies wholly in the padding"
        )
        idle = windows.idle_axis(sizes)
        self.require(
            not idle,
            f"over a {idle} of 1 it is a {self.kind.replace('2d', '1d')}",
            hint="put a reshape to [length, channels] before it",
        )
        return (*output_sizes, channels)

    def check(self, tensors: Tensors) -> None:
        """See `Operation.check`."""
        super().check(tensors)
        self.require_same_range(tensors)

    def c_calls(self, tensors: Tensors) -> tuple[CCall, ...]:
        """See `Operation.c_calls`."""
        shape = tensors[self.inputs[0]].shape
        scalars = {
            **c_sizes("input", shape[:-1]),
            "channels": shape[-1],
            **c_sizes("output", tensors[self.output].shape[:-1]),
            **self.windows.c_fields(dilates=False),
            "clamp_low": self.clamp_low,
            "clamp_high": self.clamp_high,
        }
        return (CCall(self.kind, (0,), scalars),)

    def write_qdq(self, graph: QdqGraph, tensors: Tensors) -> None:
        """MaxPool or AveragePool."""
        graph.clamped_node(
            self,
            tensors[self.output],
            self.onnx_operator,
            (graph.value(self.inputs[0]),),
            **self.windows.onnx_attributes(dilates=False),
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class MaxPool(Pool):
    """Maximum of each window."""

    onnx_operator: ClassVar[str] = "MaxPool"

    def run(self, tensors: Tensors, *values: Int8Array) -> Int8Array:
        """See `Operation.run`."""
        windows = self.windows
        cells = windows.by_cell(windows.pad(values[0], INT8_LOW))
        _, largest = next(cells)
        for _, value in cells:
            largest = np.maximum(largest, value)
        return np.clip(largest, np.int8(self.clamp_low), np.int8(self.clamp_high))

    def write_tflite(self, graph: TfliteGraph, tensors: Tensors) -> None:
        """MAX_POOL_2D, after a PADV2 with -128 where there is padding."""
        source, windows = tensors[self.inputs[0]], self.windows
        padded = graph.padded(source, windows.padding, INT8_LOW, owner=self.name)

        def write(output: int, activation: str) -> None:
            graph.pool(
                "MAX_POOL_2D", padded, output, windows, activation=activation, padding="VALID"
            )

        self.write_clamped(graph, tensors, write)


@dataclass(frozen=True, eq=False, kw_only=True)
class AveragePool(Pool):
    """Mean of the cells of each window that are no padding, rounded half away from zero.

    The integers are averaged as they are: TFLite does not subtract the zero point first. An
    average into another range is a depthwise convolution (see `qdq_reader`).
    """

    onnx_operator: ClassVar[str] = "AveragePool"

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Operation.output_shape`."""
        shape, windows = super().output_shape(*shapes), self.windows
        same = self.same_paddings(shapes[0])
        self.require(
            not windows.is_padded or windows.padding == same,
            f"padding {self._named(windows.padding)} that is not counted has no form in TFLite",
            hint="count the padding (count_include_pad=1) or pad as TFLite's SAME",
        )
        return shape

    def same_paddings(self, shape: Shape) -> tuple[tuple[int, int], ...]:
        """Return the padding along each axis that TFLite computes for SAME over a map."""
        return tuple(
            axis.same_padding(size) for axis, size in zip(self.windows.axes, shape, strict=False)
        )

    def run(self, tensors: Tensors, *values: Int8Array) -> Int8Array:
        """See `Operation.run`."""
        windows = self.windows
        taps = windows.taps(windows.pad(values[0].astype(np.int32), 0))
        axes = len(windows.axes)
        sums = taps.sum(axis=tuple(range(1 + axes, 1 + 2 * axes)), dtype=np.int32)
        cells = windows.valid_cells(values[0].shape[1:-1]).astype(np.int32)[..., np.newaxis]
        half = cells // 2
        means = np.where(sums > 0, (sums + half) // cells, -((half - sums) // cells))
        return np.clip(means, self.clamp_low, self.clamp_high).astype(np.int8)

    def write_tflite(self, graph: TfliteGraph, tensors: Tensors) -> None:
        """AVERAGE_POOL_2D, also for a global average: MEAN differs from runtime to runtime."""
        source, windows = graph.activation(tensors[self.inputs[0]]), self.windows
        scheme = "SAME" if windows.is_padded else "VALID"

        def write(output: int, activation: str) -> None:
            graph.pool(
                "AVERAGE_POOL_2D", source, output, windows, activation=activation, padding=scheme
            )

        self.write_clamped(graph, tensors, write)

    @staticmethod
    def _named(padding: tuple[tuple[int, int], ...]) -> str:
        return " and ".join(map(str, padding))


@dataclass(frozen=True, eq=False, kw_only=True)
class PoolOverLength(Pool):
    """A pool over a map [length, channels].

    Args:
        kernel: Cells that a window reads.
        stride: Cells between two windows.
        padding: Cells added left and right.
    """

    kernel: int
    stride: int = 1
    padding: tuple[int, int] = (0, 0)

    @property
    def windows(self) -> Windows:
        """See `Pool.windows`."""
        return Windows((Sliding(self.kernel, self.stride, padding=self.padding),))


@dataclass(frozen=True, eq=False, kw_only=True)
class PoolOverMap(Pool):
    """A pool over a map [length, height, channels].

    Args:
        kernel: Cells that a window reads along the length and along the height.
        stride: Cells between two windows, along each axis.
        padding: Cells added before and after, along each axis.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))

    @property
    def windows(self) -> Windows:
        """See `Pool.windows`."""
        axes = zip(self.kernel, self.stride, self.padding, strict=True)
        return Windows(tuple(Sliding(kernel, stride, 1, pad) for kernel, stride, pad in axes))
