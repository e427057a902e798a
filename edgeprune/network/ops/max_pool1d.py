"""Maximum over a sliding window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from edgeprune.network.operation import Tensors
from edgeprune.network.pool import Pool
from edgeprune.network.tensor import INT8_LOW, Int8Array

if TYPE_CHECKING:
    from edgeprune.network.tflite_graph import TfliteGraph


@dataclass(frozen=True, eq=False, kw_only=True)
class MaxPool1d(Pool):
    """Maximum of each window."""

    kind: ClassVar[str] = "max_pool1d"
    summary: ClassVar[str] = "maximum pool: stride, any padding"
    onnx_operator: ClassVar[str] = "MaxPool"

    def run(self, tensors: Tensors, *values: Int8Array) -> Int8Array:
        """See `Operation.run`."""
        taps = self.sliding.taps(self.sliding.pad(values[0], INT8_LOW))
        largest = taps[:, :, 0]
        for tap in range(1, self.kernel):
            largest = np.maximum(largest, taps[:, :, tap])
        return np.clip(largest, np.int8(self.clamp_low), np.int8(self.clamp_high))

    def write_tflite(self, graph: TfliteGraph, tensors: Tensors) -> None:
        """MAX_POOL_2D, after a PADV2 with -128 where there is padding."""
        source = tensors[self.inputs[0]]
        padded = graph.padded(source, self.padding, INT8_LOW, owner=self.name)

        def write(output: int, activation: str) -> None:
            graph.pool(
                "MAX_POOL_2D",
                padded,
                output,
                kernel=self.kernel,
                stride=self.stride,
                activation=activation,
                padding="VALID",
            )

        self.write_clamped(graph, tensors, write)
