"""2-D convolution, grouped or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgeprune.network.convolution import GroupedConvolution, OverMap


@dataclass(frozen=True, eq=False, kw_only=True)
class Conv2d(GroupedConvolution, OverMap):
    """Convolution over the length and the height.

    Args:
        weights: int8 [out, kernel length, kernel height, in / groups].
        groups: Parts into which the channels are split; each sees only its own inputs.
    """

    kind: ClassVar[str] = "conv2d"
    summary: ClassVar[str] = "2-D convolution: stride, dilation, any padding, groups"
    weight_rank: ClassVar[int] = 4
