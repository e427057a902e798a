"""Depthwise 2-D convolution: every input channel has filters of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgeprune.network.convolution import DepthwiseConvolution, OverMap


@dataclass(frozen=True, eq=False, kw_only=True)
class DepthwiseConv2d(DepthwiseConvolution, OverMap):
    """Convolution over the length and the height, each channel by itself.

    Args:
        weights: int8 [kernel length, kernel height, out].
        channel_multiplier: Output channels an input channel.
    """

    kind: ClassVar[str] = "depthwise_conv2d"
    summary: ClassVar[str] = "depthwise 2-D convolution: stride, dilation, padding, multiplier"
    weight_rank: ClassVar[int] = 3
