"""Windows of which only the network's inputs are known: sets in LSB, without a front end."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edgeprune.data.held import HeldWindows
from edgeprune.network.tensor import INT8_HIGH, INT8_LOW

Int8Array = npt.NDArray[np.int8]
Int16Array = npt.NDArray[np.int16]
Selection = npt.NDArray[np.bool_] | npt.NDArray[np.int64] | slice


class Held(Protocol):
    """What perturbations move: raw counts (`HeldWindows`) or a network's inputs (`HeldInputs`)."""

    @property
    def raw(self) -> Int16Array:
        """What may move, int16 [n, size]."""
        ...

    @property
    def count_range(self) -> tuple[int, int]:
        """Least and greatest value that `raw` can have."""
        ...

    def __len__(self) -> int: ...

    def inputs(self, raw: Int16Array | None = None) -> tuple[Int8Array, ...]:
        """Return the network's inputs, for other raw values where these are given."""
        ...

    def select(self, mask: Selection, /) -> Held:
        """Return some windows."""
        ...


@dataclass(frozen=True, eq=False)
class HeldInputs:
    """The inputs of a network, from which LSB-space sets move away.

    Attributes:
        values: One int8 array [n, ...] for each input of the network.
    """

    values: tuple[Int8Array, ...]

    @staticmethod
    def of(held: HeldWindows) -> HeldInputs:
        """Return the unchanged inputs of held beats."""
        return HeldInputs(held.inputs())

    def __len__(self) -> int:
        return len(self.values[0])

    @property
    def sizes(self) -> tuple[int, ...]:
        """Values of each input."""
        return tuple(math.prod(values.shape[1:]) for values in self.values)

    @property
    def raw(self) -> Int16Array:
        """All inputs side by side, each flattened, int16 [n, sum of sizes]."""
        pairs = zip(self.values, self.sizes, strict=True)
        flat = [values.reshape(len(self), size) for values, size in pairs]
        return np.asarray(np.concatenate(flat, axis=1), np.int16)

    @property
    def count_range(self) -> tuple[int, int]:
        """Least and greatest value of an input."""
        return INT8_LOW, INT8_HIGH

    def inputs(self, raw: Int16Array | None = None) -> tuple[Int8Array, ...]:
        """Return the inputs, or those that lie side by side in `raw` [n, sum of sizes]."""
        if raw is None:
            return self.values
        parts = np.split(raw.astype(np.int8), np.cumsum(self.sizes)[:-1], axis=1)
        pairs = zip(parts, self.values, strict=True)
        return tuple(part.reshape(values.shape) for part, values in pairs)

    def select(self, mask: Selection) -> HeldInputs:
        """Return some windows."""
        return replace(self, values=tuple(values[mask] for values in self.values))
