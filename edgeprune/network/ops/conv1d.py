"""1-D convolution, grouped or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgeprune.network.convolution import GroupedConvolution, OverLength


@dataclass(frozen=True, eq=False, kw_only=True)
class Conv1d(GroupedConvolution, OverLength):
    """Convolution over the length.

    Args:
        weights: int8 [out, kernel, in / groups].
        groups: Parts into which the channels are split; each sees only its own inputs.
    """

    kind: ClassVar[str] = "conv1d"
    summary: ClassVar[str] = "1-D convolution: stride, dilation, any padding, groups"
    weight_rank: ClassVar[int] = 3
