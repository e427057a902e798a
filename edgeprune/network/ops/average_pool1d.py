"""Average over a window that slides over the length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgeprune.network.pool import AveragePool, PoolOverLength


@dataclass(frozen=True, eq=False, kw_only=True)
class AveragePool1d(AveragePool, PoolOverLength):
    """Average of each window over the length."""

    kind: ClassVar[str] = "average_pool1d"
    summary: ClassVar[str] = "average pool, also global: stride, padding as TFLite's SAME"
