"""Average over a window that slides over the length and the height."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgeprune.network.pool import AveragePool, PoolOverMap


@dataclass(frozen=True, eq=False, kw_only=True)
class AveragePool2d(AveragePool, PoolOverMap):
    """Average of each window over the length and the height."""

    kind: ClassVar[str] = "average_pool2d"
    summary: ClassVar[str] = (
        "2-D average pool, also over the height alone: stride, padding as TFLite's SAME"
    )
