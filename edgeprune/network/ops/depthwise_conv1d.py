"""Depthwise 1-D convolution: every input channel has filters of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgeprune.network.convolution import DepthwiseConvolution, OverLength


@dataclass(frozen=True, eq=False, kw_only=True)
class DepthwiseConv1d(DepthwiseConvolution, OverLength):
    """Convolution over the length, each channel by itself.

    Args:
        weights: int8 [kernel, out].
        channel_multiplier: Output channels an input channel.
    """

    kind: ClassVar[str] = "depthwise_conv1d"
    summary: ClassVar[str] = "depthwise 1-D convolution: stride, dilation, padding, multiplier"
    weight_rank: ClassVar[int] = 2

    def tflite_options(self) -> dict[str, int]:
        """See `Convolution.tflite_options`."""
        # Some runtimes insist on equal strides; over a height of 1 any stride is the same.
        return {**super().tflite_options(), "strideH": self.stride}
