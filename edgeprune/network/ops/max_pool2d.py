"""Maximum over a window that slides over the length and the height."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgeprune.network.pool import MaxPool, PoolOverMap


@dataclass(frozen=True, eq=False, kw_only=True)
class MaxPool2d(MaxPool, PoolOverMap):
    """Maximum of each window over the length and the height."""

    kind: ClassVar[str] = "max_pool2d"
    summary: ClassVar[str] = "2-D maximum pool: stride, any padding"
