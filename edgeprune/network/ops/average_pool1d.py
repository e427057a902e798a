"""Average over a sliding window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from edgeprune.network.operation import Shape, Tensors
from edgeprune.network.pool import Pool
from edgeprune.network.tensor import Int8Array

if TYPE_CHECKING:
    from edgeprune.network.tflite_graph import TfliteGraph


@dataclass(frozen=True, eq=False, kw_only=True)
class AveragePool1d(Pool):
    """Mean of the cells of each window that are no padding, rounded half away from zero.

    The integers are averaged as they are: TFLite does not subtract the zero point first. An
    average into another range is a depthwise convolution (see `qdq_reader`).
    """

    kind: ClassVar[str] = "average_pool1d"
    summary: ClassVar[str] = "average pool, also global: stride, padding as TFLite's SAME"
    onnx_operator: ClassVar[str] = "AveragePool"

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Operation.output_shape`."""
        shape = super().output_shape(*shapes)
        self.require(
            self.padding in ((0, 0), self.same_padding(shapes[0][0])),
            f"padding {self.padding} that is not counted has no form in TFLite",
            hint="count the padding (count_include_pad=1) or pad as TFLite's SAME",
        )
        return shape

    def same_padding(self, length: int) -> tuple[int, int]:
        """Return the padding that TFLite computes for SAME over that length."""
        windows = -(-length // self.stride)
        total = max((windows - 1) * self.stride + self.kernel - length, 0)
        return total // 2, total - total // 2

    def run(self, tensors: Tensors, *values: Int8Array) -> Int8Array:
        """See `Operation.run`."""
        taps = self.sliding.taps(self.sliding.pad(values[0].astype(np.int32), 0))
        sums = taps.sum(axis=2, dtype=np.int32)
        cells = self.sliding.valid_cells(values[0].shape[1]).astype(np.int32)[:, np.newaxis]
        half = cells // 2
        means = np.where(sums > 0, (sums + half) // cells, -((half - sums) // cells))
        return np.clip(means, self.clamp_low, self.clamp_high).astype(np.int8)

    def write_tflite(self, graph: TfliteGraph, tensors: Tensors) -> None:
        """AVERAGE_POOL_2D, also for a global average: MEAN differs from runtime to runtime."""
        source = tensors[self.inputs[0]]
        scheme = "VALID" if self.padding == (0, 0) else "SAME"

        def write(output: int, activation: str) -> None:
            graph.pool(
                "AVERAGE_POOL_2D",
                graph.activation(source),
                output,
                kernel=self.kernel,
                stride=self.stride,
                activation=activation,
                padding=scheme,
            )

        self.write_clamped(graph, tensors, write)
