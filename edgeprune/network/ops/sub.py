"""Difference of two tensors, each in its own range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgeprune.network.operation import Bounds, Tensors
from edgeprune.network.summing import Summing


@dataclass(frozen=True, eq=False, kw_only=True)
class Sub(Summing):
    """Element-wise difference of two tensors of one shape."""

    kind: ClassVar[str] = "sub"
    summary: ClassVar[str] = "element-wise difference of two tensors"
    sign: ClassVar[int] = -1
    onnx_operator: ClassVar[str] = "Sub"

    def interval(self, tensors: Tensors, *bounds: Bounds) -> Bounds:
        """Bound the output exactly: it grows with the first input and falls with the second."""
        (low, high), (least, most) = bounds
        return self.run(tensors, low, most), self.run(tensors, high, least)
