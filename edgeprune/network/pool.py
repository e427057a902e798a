"""What maximum and average pools share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from edgeprune.network.operation import CCall, ClampedOperation, Shape, Tensors
from edgeprune.network.windows import Sliding

if TYPE_CHECKING:
    from edgeprune.network.qdq_graph import QdqGraph


@dataclass(frozen=True, eq=False, kw_only=True)
class Pool(ClampedOperation):
    """A pool over the length; input and output share one range. Padding cells are left out.

    Args:
        kernel: Cells that a window reads.
        stride: Cells between two windows.
        padding: Cells added left and right.
    """

    onnx_operator: ClassVar[str]

    kernel: int
    stride: int = 1
    padding: tuple[int, int] = (0, 0)

    @property
    def sliding(self) -> Sliding:
        """The geometry of the window."""
        return Sliding(self.kernel, self.stride, padding=self.padding)

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Operation.output_shape`."""
        length, channels = self.require_map(shapes[0])
        where = f"{self.kind} '{self.name}'"
        self.sliding.check(where=where)
        output_length = self.sliding.output_length(length, where=where)
        self.require(
            int(self.sliding.valid_cells(length).min()) > 0, "a window lies wholly in the padding"
        )
        return output_length, channels

    def check(self, tensors: Tensors) -> None:
        """See `Operation.check`."""
        super().check(tensors)
        self.require_same_range(tensors)

    def c_calls(self, tensors: Tensors) -> tuple[CCall, ...]:
        """See `Operation.c_calls`."""
        input_length, channels = tensors[self.inputs[0]].shape
        scalars = {
            "input_length": input_length,
            "channels": channels,
            "output_length": tensors[self.output].shape[0],
            "kernel": self.kernel,
            "stride": self.stride,
            "pad_left": self.padding[0],
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
            kernel_shape=[self.kernel],
            strides=[self.stride],
            pads=list(self.padding),
        )
