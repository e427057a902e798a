"""Concatenation of tensors that share one range."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from edgeprune.network.operation import CCall, Operation, Shape, Tensors
from edgeprune.network.tensor import Int8Array

if TYPE_CHECKING:
    from edgeprune.network.qdq_graph import QdqGraph
    from edgeprune.network.tflite_graph import TfliteGraph


@dataclass(frozen=True, eq=False, kw_only=True)
class Concat(Operation):
    """Concatenation over channels, over the length, or of vectors.

    Args:
        axis: 0 is the length of feature maps or the features of vectors; then comes the height of
            those that have one; the last axis of a map are the channels.
    """

    kind: ClassVar[str] = "concat"
    summary: ClassVar[str] = "concatenation over channels, over the length, or of vectors"

    axis: int

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Operation.output_shape`."""
        self.require(len(shapes) >= 1, "it has no input")
        first = shapes[0]
        self.require(0 <= self.axis < len(first), f"there is no axis {self.axis} in {first}")
        rests = {shape[: self.axis] + shape[self.axis + 1 :] for shape in shapes}
        ranks = {len(shape) for shape in shapes}
        self.require(
            len(rests) == 1 and len(ranks) == 1,
            f"shapes {', '.join(map(str, shapes))} differ outside axis {self.axis}",
        )
        total = sum(shape[self.axis] for shape in shapes)
        return (*first[: self.axis], total, *first[self.axis + 1 :])

    def check(self, tensors: Tensors) -> None:
        """See `Operation.check`."""
        super().check(tensors)
        self.require_same_range(tensors)

    def run(self, tensors: Tensors, *values: Int8Array) -> Int8Array:
        """See `Operation.run`."""
        return np.concatenate(values, axis=self.axis + 1)

    def c_calls(self, tensors: Tensors) -> tuple[CCall, ...]:
        """Return one copy an input."""
        output = tensors[self.output].shape
        rows = math.prod(output[: self.axis])
        row_bytes = [tensors[name].size // rows for name in self.inputs]
        offsets = accumulate(row_bytes, initial=0)
        return tuple(
            CCall(
                "copy",
                (index,),
                {
                    "rows": rows,
                    "row_bytes": width,
                    "output_row_stride": sum(row_bytes),
                    "output_offset": offset,
                },
            )
            for index, (width, offset) in enumerate(zip(row_bytes, offsets, strict=False))
        )

    def write_tflite(self, graph: TfliteGraph, tensors: Tensors) -> None:
        """CONCATENATION."""
        output = tensors[self.output]
        graph.operator(
            "CONCATENATION",
            tuple(graph.activation(tensors[name]) for name in self.inputs),
            (graph.activation(output),),
            # Counted from the end, the axis is the same in one window and in a batch of any rank.
            axis=self.axis - len(output.shape),
        )

    def write_qdq(self, graph: QdqGraph, tensors: Tensors) -> None:
        """Concat."""
        output = tensors[self.output]
        axis = len(output.shape) - self.axis
        graph.node(self, output, "Concat", tuple(map(graph.value, self.inputs)), axis=axis)
