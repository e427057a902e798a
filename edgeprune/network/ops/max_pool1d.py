"""Maximum over a window that slides over the length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgeprune.network.pool import MaxPool, PoolOverLength


@dataclass(frozen=True, eq=False, kw_only=True)
class MaxPool1d(MaxPool, PoolOverLength):
    """Maximum of each window over the length."""

    kind: ClassVar[str] = "max_pool1d"
    summary: ClassVar[str] = "maximum pool: stride, any padding"
