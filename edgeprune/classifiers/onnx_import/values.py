"""What a value of an ONNX graph is in the torch graph that is made of it.

Layout operators (Reshape, Transpose, ...) make no torch operation: every value carries `index`, an
array of the value's ONNX shape (batch 1 first) that says which element of the torch tensor each of
its elements is. So a graph exported with its channels last becomes one with its channels first, and
the columns of a dense layer behind a flattening go where its inputs went.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import fx

from edgeprune.errors import UnsupportedOperatorError

Array = npt.NDArray[Any]
Index = npt.NDArray[np.int64]
Shape = tuple[int, ...]
# A graph with larger values is no classifier for a device; a damaged one must not take the memory.
_MOST_ELEMENTS = 1 << 22


@dataclass(frozen=True, eq=False)
class Value:
    """A value that is computed.

    Args:
        node: What computes it in the torch graph.
        shape: Shape of the torch tensor without the batch: (channels, length), (channels, height,
            width), or (features,).
        index: See the module.
        layer: Name of the layer without a bias that made it, which a constant added now becomes.
    """

    node: fx.Node
    shape: Shape
    index: Index
    layer: str = ""

    @property
    def axes(self) -> tuple[int | None, ...] | None:
        """Which axis of the torch tensor each ONNX axis after the batch is.

        An axis of one cell is None. None instead of a tuple where the elements were moved about.
        """
        strides = [math.prod(self.shape[place + 1 :]) for place in range(len(self.shape))]
        found: list[int | None] = []
        for axis, size in enumerate(self.index.shape[1:], start=1):
            if size == 1:
                found.append(None)
                continue
            neighbours = np.moveaxis(self.index, axis, -1).reshape(-1, size)[0]
            step = int(neighbours[1] - neighbours[0])
            matching = [
                place
                for place, stride in enumerate(strides)
                if stride == step and self.shape[place] == size and place not in found
            ]
            if not matching:
                return None
            found.append(matching[0])
        moved = [place for place in found if place is not None]
        if any(self.shape[place] > 1 for place in range(len(self.shape)) if place not in moved):
            return None
        plain = np.arange(math.prod(self.shape)).reshape(self.shape)
        order = [*moved, *(place for place in range(len(self.shape)) if place not in moved)]
        same = np.array_equal(plain.transpose(order).reshape(-1), self.index.reshape(-1))
        return tuple(found) if same else None

    @property
    def is_plain(self) -> bool:
        """Whether the ONNX value lies as the torch tensor does, axes of one cell apart."""
        return np.array_equal(self.index.reshape(-1), np.arange(math.prod(self.shape)))


def plain_index(shape: Shape) -> Index:
    """Return the index of a value that is its torch tensor."""
    require(0 < math.prod(shape) <= _MOST_ELEMENTS, f"it makes {list(shape)} elements")
    return np.arange(math.prod(shape), dtype=np.int64).reshape(1, *shape)


def require(condition: object, what: str) -> None:
    """Refuse the node at hand as one that cannot be trained unless `condition` holds."""
    if not condition:
        raise UnsupportedOperatorError(what)
