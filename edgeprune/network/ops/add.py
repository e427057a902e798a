"""Sum of two tensors, each in its own range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgeprune.network.summing import Summing


@dataclass(frozen=True, eq=False, kw_only=True)
class Add(Summing):
    """Element-wise sum of two tensors of one shape."""

    kind: ClassVar[str] = "add"
    summary: ClassVar[str] = "element-wise sum of two tensors (residual connections)"
    sign: ClassVar[int] = 1
    onnx_operator: ClassVar[str] = "Add"
