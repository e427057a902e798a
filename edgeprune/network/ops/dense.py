"""Fully connected layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from edgeprune.network.operation import CCall, Shape, Tensors
from edgeprune.network.tensor import Floats
from edgeprune.network.weighted import WeightedOperation

if TYPE_CHECKING:
    from edgeprune.network.qdq_graph import QdqGraph
    from edgeprune.network.tflite_graph import TfliteGraph


@dataclass(frozen=True, eq=False, kw_only=True)
class Dense(WeightedOperation):
    """A vector times a matrix, with one weight scale for all outputs or one for each.

    Args:
        weights: int8 [out, in].
    """

    kind: ClassVar[str] = "dense"
    summary: ClassVar[str] = "fully connected layer (Gemm, MatMul), one weight scale or one a row"
    weight_rank: ClassVar[int] = 2
    shares_scale: ClassVar[bool] = True

    @property
    def output_axis(self) -> int:
        """See `WeightedOperation.output_axis`."""
        return 0

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Operation.output_shape`."""
        self.require(
            shapes[0] == self.weights.shape[1:],
            f"it reads {self.weights.shape[1]} features, its input has shape {shapes[0]}",
        )
        return (self.outputs,)

    def weighted_sums(self, centred: Floats, weights: Floats) -> Floats:
        """See `WeightedOperation.weighted_sums`."""
        return np.asarray(centred @ weights.T)

    def c_calls(self, tensors: Tensors) -> tuple[CCall, ...]:
        """See `Operation.c_calls`."""
        outputs, inputs = self.weights.shape
        scalars = {"input_features": inputs, "output_features": outputs}
        scalars |= self.c_output_parameters(tensors)
        return (CCall(self.kind, (0,), scalars, self.c_arrays(tensors)),)

    def write_tflite(self, graph: TfliteGraph, tensors: Tensors) -> None:
        """CONV_2D of 1 x 1 between two RESHAPEs.

        Not FULLY_CONNECTED, in which runtimes disagree: tflite-runtime multiplies the scales in
        float32 and tflite-micro in float64, ai-edge-litert rounds once and not twice, and few
        support a scale a row. As a convolution the layer is the same everywhere.
        """
        source, target = tensors[self.inputs[0]], tensors[self.output]
        outputs, inputs = self.weights.shape
        operands = graph.weights(self, source, self.weights[:, np.newaxis, np.newaxis], axis=0)
        lifted = graph.activation(source, f"{self.name}/input", (1, inputs))
        graph.reshape(graph.activation(source), lifted, (1, inputs))

        def write(output: int, activation: str) -> None:
            row = graph.activation(target, f"{self.name}/output", (1, outputs))
            graph.operator(
                "CONV_2D",
                (lifted, *operands),
                (row,),
                padding="VALID",
                strideW=1,
                strideH=1,
                dilationWFactor=1,
                dilationHFactor=1,
                fusedActivationFunction=activation,
            )
            graph.reshape(row, output, target.shape)

        self.write_clamped(graph, tensors, write)

    def write_qdq(self, graph: QdqGraph, tensors: Tensors) -> None:
        """Gemm."""
        operands = self.write_qdq_weights(graph, tensors, self.weights)
        graph.clamped_node(
            self, tensors[self.output], "Gemm", (graph.value(self.inputs[0]), *operands), transB=1
        )

    def multiply_accumulates(self, tensors: Tensors, *, nonzero_only: bool = False) -> int:
        """See `Operation.multiply_accumulates`."""
        return int(np.count_nonzero(self.weights)) if nonzero_only else self.weights.size
