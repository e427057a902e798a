"""Another shape for the same bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from edgeprune.network.operation import CCall, Operation, Shape, Tensors
from edgeprune.network.tensor import Int8Array

if TYPE_CHECKING:
    from edgeprune.network.qdq_graph import QdqGraph
    from edgeprune.network.tflite_graph import TfliteGraph


@dataclass(frozen=True, eq=False, kw_only=True)
class Reshape(Operation):
    """A view of the input's bytes; moves nothing on any target.

    Args:
        shape: The output's shape, without the batch.
    """

    kind: ClassVar[str] = "reshape"
    summary: ClassVar[str] = "another shape for the same bytes (flatten), free of cost"
    aliases_input: ClassVar[bool] = True

    shape: tuple[int, ...]

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Operation.output_shape`."""
        self.require(
            math.prod(shapes[0]) == math.prod(self.shape),
            f"shape {shapes[0]} does not hold the elements of {self.shape}",
        )
        return self.shape

    def check(self, tensors: Tensors) -> None:
        """See `Operation.check`."""
        super().check(tensors)
        self.require_same_range(tensors)

    def run(self, tensors: Tensors, *values: Int8Array) -> Int8Array:
        """See `Operation.run`."""
        return np.reshape(values[0], (len(values[0]), *self.shape))

    def c_calls(self, tensors: Tensors) -> tuple[CCall, ...]:
        """Return no call: the output lies where the input lies."""
        return ()

    def write_tflite(self, graph: TfliteGraph, tensors: Tensors) -> None:
        """RESHAPE."""
        output = tensors[self.output]
        source = graph.activation(tensors[self.inputs[0]])
        graph.reshape(source, graph.activation(output), output.shape)

    def write_qdq(self, graph: QdqGraph, tensors: Tensors) -> None:
        """Reshape between Transpose, because ONNX keeps the channels before the length."""
        graph.reshape(self, tensors[self.inputs[0]], tensors[self.output])
