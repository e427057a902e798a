"""Cases of a branch and bound: accumulators that are held on one side of a threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeprune.network.tensor import Int64Array
from edgeprune.verification.linear_maps import FloatArray

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Splits:
    """Constraints on accumulators, any number for each problem.

    The two children of a split at `t` are `a >= t` and `a <= t - 1`: accumulators are integers.
    Where they are not exactly so (`Step.slack`, float networks) the children are `a >= t` and
    `a <= t`, and both hold for the operand's value as it stands in the graph.

    Args:
        problem: int64 [q]: the row of the batch that the constraint is about.
        node: int64 [q]: the number of a Step node of the graph.
        neuron: int64 [q]: the element of that node.
        threshold: float64 [q].
        above: bool [q]: `a >= threshold`; else `a <= threshold`.
    """

    problem: Int64Array
    node: Int64Array
    neuron: Int64Array
    threshold: FloatArray
    above: BoolArray

    def __len__(self) -> int:
        return len(self.problem)

    @staticmethod
    def none() -> Splits:
        """Return no constraint."""
        numbers = np.zeros(0, np.int64)
        return Splits(numbers, numbers, numbers, np.zeros(0), np.zeros(0, np.bool_))

    @staticmethod
    def of(cases: list[list[tuple[int, int, float, bool]]]) -> Splits:
        """Return the constraints of each problem's list of (node, neuron, threshold, above)."""
        flat = [(row, *split) for row, splits in enumerate(cases) for split in splits]
        if not flat:
            return Splits.none()
        problem, node, neuron, threshold, above = zip(*flat, strict=True)
        return Splits(
            np.array(problem, np.int64),
            np.array(node, np.int64),
            np.array(neuron, np.int64),
            np.array(threshold, np.float64),
            np.array(above, np.bool_),
        )

    def part(self, chosen: Int64Array, first: int) -> Splits:
        """Return some constraints, their problems counted from `first`."""
        return Splits(
            self.problem[chosen] - first,
            self.node[chosen],
            self.neuron[chosen],
            self.threshold[chosen],
            self.above[chosen],
        )
