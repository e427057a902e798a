"""What the ordinary and the depthwise convolution share: a window that slides over the length."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgeprune.network.operation import CCall, Shape, Tensors
from edgeprune.network.tensor import Int8Array
from edgeprune.network.weighted import WeightedOperation
from edgeprune.network.windows import Sliding

if TYPE_CHECKING:
    from edgeprune.network.qdq_graph import QdqGraph
    from edgeprune.network.tflite_graph import TfliteGraph


@dataclass(frozen=True, eq=False, kw_only=True)
class Convolution(WeightedOperation):
    """A weighted sum over a sliding window, with one weight scale an output channel.

    Args:
        stride: Cells between two windows.
        dilation: Cells between two cells of a window.
        padding: Zeros (in real numbers) added left and right.
    """

    stride: int = 1
    dilation: int = 1
    padding: tuple[int, int] = (0, 0)

    @property
    @abstractmethod
    def kernel_axis(self) -> int:
        """The axis of `weights` that counts the cells of a window."""

    @property
    @abstractmethod
    def onnx_groups(self) -> int:
        """The `group` attribute of ONNX's Conv."""

    @abstractmethod
    def onnx_weights(self) -> Int8Array:
        """Return the weights in ONNX's order [out, in / groups, kernel]."""

    @abstractmethod
    def require_channels(self, channels: int) -> None:
        """Raise a NetworkError unless the weights fit that many input channels."""

    @property
    def sliding(self) -> Sliding:
        """The geometry of the window."""
        kernel = self.weights.shape[self.kernel_axis]
        return Sliding(kernel, self.stride, self.dilation, self.padding)

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Operation.output_shape`."""
        length, channels = self.require_map(shapes[0])
        where = f"{self.kind} '{self.name}'"
        self.sliding.check(where=where)
        self.require_channels(channels)
        return self.sliding.output_length(length, where=where), self.outputs

    def c_call(self, tensors: Tensors, own: Mapping[str, int]) -> CCall:
        """Return the kernel's call; `own` is the field that this kernel has and the other lacks."""
        input_length, input_channels = tensors[self.inputs[0]].shape
        output_length, output_channels = tensors[self.output].shape
        scalars = {
            "input_length": input_length,
            "input_channels": input_channels,
            "output_length": output_length,
            "output_channels": output_channels,
            "kernel": self.sliding.kernel,
            "stride": self.stride,
            "dilation": self.dilation,
            "pad_left": self.padding[0],
            **own,
            **self.c_output_parameters(tensors),
        }
        return CCall(self.kind, (0,), scalars, self.c_arrays(tensors))

    def write_tflite_convolution(
        self,
        graph: TfliteGraph,
        tensors: Tensors,
        code: str,
        weights: Int8Array,
        *,
        axis: int,
        **options: object,
    ) -> None:
        """Append the convolution of height 1, after a PAD where there is padding."""
        source = tensors[self.inputs[0]]
        padded = graph.padded(source, self.padding, source.zero_point, owner=self.name)
        operands = graph.weights(self, source, weights, axis)

        def write(output: int, activation: str) -> None:
            graph.operator(
                code,
                (padded, *operands),
                (output,),
                padding="VALID",
                strideW=self.stride,
                dilationWFactor=self.dilation,
                dilationHFactor=1,
                fusedActivationFunction=activation,
                **options,
            )

        self.write_clamped(graph, tensors, write)

    def write_qdq(self, graph: QdqGraph, tensors: Tensors) -> None:
        """Conv."""
        operands = self.write_qdq_weights(graph, tensors, self.onnx_weights())
        graph.clamped_node(
            self,
            tensors[self.output],
            "Conv",
            (graph.value(self.inputs[0]), *operands),
            kernel_shape=[self.sliding.kernel],
            strides=[self.stride],
            dilations=[self.dilation],
            pads=list(self.padding),
            group=self.onnx_groups,
        )

    def multiply_accumulates(self, tensors: Tensors, *, nonzero_only: bool = False) -> int:
        """See `Operation.multiply_accumulates`."""
        weights = np.count_nonzero(self.weights) if nonzero_only else self.weights.size
        return tensors[self.output].shape[0] * int(weights)
