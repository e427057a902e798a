"""Depthwise 1-D convolution: every input channel has filters of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from edgeprune.network.convolution import Convolution
from edgeprune.network.operation import CCall, Tensors
from edgeprune.network.tensor import Floats, Int8Array

if TYPE_CHECKING:
    from edgeprune.network.tflite_graph import TfliteGraph


@dataclass(frozen=True, eq=False, kw_only=True)
class DepthwiseConv1d(Convolution):
    """Convolution in which output channel o reads only input channel o // channel_multiplier.

    Args:
        weights: int8 [kernel, out].
        channel_multiplier: Output channels an input channel.
    """

    kind: ClassVar[str] = "depthwise_conv1d"
    summary: ClassVar[str] = "depthwise 1-D convolution: stride, dilation, padding, multiplier"
    weight_rank: ClassVar[int] = 2

    channel_multiplier: int = 1

    @property
    def output_axis(self) -> int:
        """See `WeightedOperation.output_axis`."""
        return 1

    @property
    def kernel_axis(self) -> int:
        """See `Convolution.kernel_axis`."""
        return 0

    @property
    def onnx_groups(self) -> int:
        """See `Convolution.onnx_groups`."""
        return self.outputs // self.channel_multiplier

    def onnx_weights(self) -> Int8Array:
        """See `Convolution.onnx_weights`."""
        return self.weights.T[:, np.newaxis]

    def require_channels(self, channels: int) -> None:
        """See `Convolution.require_channels`."""
        self.require(
            self.outputs == channels * self.channel_multiplier,
            f"{self.outputs} outputs are not {channels} channels times {self.channel_multiplier}",
        )
        self.require(channels > 1, "of one channel it is a conv1d")

    def weighted_sums(self, centred: Floats, weights: Floats) -> Floats:
        """See `WeightedOperation.weighted_sums`."""
        padded = self.sliding.pad(centred, 0)
        if self.channel_multiplier > 1:
            padded = np.repeat(padded, self.channel_multiplier, axis=2)
        taps = self.sliding.taps(padded)
        sums: Floats = taps[:, :, 0] * weights[0]
        for tap in range(1, self.sliding.kernel):
            sums += taps[:, :, tap] * weights[tap]
        return sums

    def c_calls(self, tensors: Tensors) -> tuple[CCall, ...]:
        """See `Operation.c_calls`."""
        return (self.c_call(tensors, {"channel_multiplier": self.channel_multiplier}),)

    def write_tflite(self, graph: TfliteGraph, tensors: Tensors) -> None:
        """DEPTHWISE_CONV_2D of height 1, after a PAD where there is padding."""
        self.write_tflite_convolution(
            graph,
            tensors,
            "DEPTHWISE_CONV_2D",
            self.weights[np.newaxis, np.newaxis],
            axis=3,
            depthMultiplier=self.channel_multiplier,
            # Some runtimes insist on equal strides; over a height of 1 any stride is the same.
            strideH=self.stride,
        )
