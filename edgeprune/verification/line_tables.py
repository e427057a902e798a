"""The lines of every node of a graph, laid out for backward passes, float errors inside.

All values are deviations from a nominal run: x = x0 + dx, y = y0 + dy, where x0 is one input of
each problem and every other value what the graph computes from it. An affine node then has no
constant, and all magnitudes are those of the input set, not those of the values: float errors
shrink with it.

A coefficient L of a deviation dy takes the line below where it is positive and that above where it
is negative. With the mean c and half the difference d of the two slopes that is `L c - |L| d`,
without a case; the same holds for the intercepts.

Float errors are bounded a priori and become part of the intercepts' half difference, which is what
|L| is multiplied with. With the unit roundoff u of the passes (2^-53, or 2^-24 in float32, which
costs half) and gamma_k = k u (1 + 1 %) for k u < 0.01 (Higham, Accuracy and Stability of Numerical
Algorithms, 2002, section 3.1; any order of summation), what is added for a step is

    (|c| + |d|) (gamma_8 |da| + gamma_k |W| |dx| + r) + gamma_N |intercepts| + gamma_r |dy|

that is: the rounded coefficient of the accumulator's deviation; the product with W, of at most k
terms an entry; the rounding r of the nominal accumulator itself (0 for integers, computed in
float64); the sum over the intercepts, of N terms; and the sum of what a value's r readers left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeprune.network.tensor import Int64Array
from edgeprune.verification.bound_nodes import Affine, BoundGraph, Curve, Maximum, Product, Step
from edgeprune.verification.linear_maps import FloatArray, Real
from edgeprune.verification.relaxations import Lines, MaximumLines


def gamma(terms: int, dtype: npt.DTypeLike = np.float64) -> float:
    """Return a bound of the relative error of a sum of that many products in that arithmetic."""
    unit = 2.0**-24 if np.dtype(dtype) == np.float32 else 2.0**-53
    return (terms + 8) * unit * 1.01


def final_margin(values: FloatArray) -> FloatArray:
    """Return what the last few additions may have lost, and products too small for a float."""
    return np.asarray(2.0**-40 + 2.0**-48 * np.abs(values))


@dataclass(frozen=True, eq=False)
class StepTable:
    """A step's lines as means and half differences, all [n, k or 1, size].

    Args:
        slope: Mean slope.
        slope_half: Half of upper less lower slope.
        intercept: Mean intercept, of deviations.
        intercept_half: Half of upper less lower intercept, float errors included.
        columns: int64 [f]: elements that take the lines of `own` instead; None for none.
        own: Lines of each objective [n, k, f].
    """

    slope: Real
    slope_half: Real
    intercept: Real
    intercept_half: Real
    columns: Int64Array | None = None
    own: StepTable | None = None

    def cast(self, dtype: npt.DTypeLike) -> StepTable:
        """Return the same in another arithmetic; the errors stay those of this one."""
        return StepTable(
            self.slope.astype(dtype),
            self.slope_half.astype(dtype),
            self.intercept.astype(dtype),
            self.intercept_half.astype(dtype),
            self.columns,
            self.own,
        )

    def except_for(self, columns: Int64Array, own: StepTable) -> StepTable:
        """Return the table with other lines for some elements."""
        intercept, width = self.intercept.copy(), self.intercept_half.copy()
        intercept[:, :, columns], width[:, :, columns] = 0.0, 0.0
        return StepTable(self.slope, self.slope_half, intercept, width, columns, own)


@dataclass(frozen=True, eq=False)
class MaximumTable:
    """A maximum's lines, cell by cell of its windows.

    Args:
        lower: [cells, n, size]: 1 where the line below takes this cell.
        upper: [cells, n, size]: slope of the line above, where it takes this cell.
        lower_intercept: [n, size], of deviations.
        upper_intercept: [n, size].
        error: [n, size]: what float arithmetic may add, a unit of coefficient.
    """

    lower: Real
    upper: Real
    lower_intercept: Real
    upper_intercept: Real
    error: Real


@dataclass(frozen=True, eq=False)
class ProductTable:
    """A product's plane, by which it deviates: `sum of slopes[i] * dx[i] + intercept` +- `width`.

    Over a box of factors with the middles m and the widths w, a product is
    `m0 x1 + m1 x0 - m0 m1` to within `w0 w1 / 4`: McCormick's four planes, averaged.

    Args:
        slopes: Of each operand's cell, [n, size].
        intercept: [n, size], of deviations.
        width: [n, size], float errors included.
    """

    slopes: tuple[Real, Real]
    intercept: Real
    width: Real


@dataclass(frozen=True, eq=False)
class Tables:
    """The lines that a pass takes, and what bounds the deviations of nodes.

    Args:
        steps: By the number of the Step or Curve node.
        others: By the number of the Maximum or Product node.
        errors: For each Affine node's number, float64 [size]: what a pass through it may err, a
            unit of coefficient, over all problems.
        extents: For each node, what no deviation exceeds, over all problems.
        dtype: The arithmetic of the passes.
    """

    steps: Mapping[int, StepTable]
    others: Mapping[int, MaximumTable | ProductTable]
    errors: Mapping[int, FloatArray]
    extents: Mapping[int, float]
    dtype: npt.DTypeLike = np.float64


class Frame:
    """The nominal run, how far values deviate from it, and tables that account for both.

    Args:
        graph: The graph.
        nominal: Every node's values [n, size] at one input of each problem (`BoundGraph.run`).
        dtype: The arithmetic of the passes.
    """

    def __init__(
        self, graph: BoundGraph, nominal: Sequence[FloatArray], dtype: npt.DTypeLike
    ) -> None:
        self.graph, self.nominal, self.dtype = graph, nominal, np.dtype(dtype)
        self.deviation: dict[int, FloatArray] = {}
        self.errors: dict[int, FloatArray] = {}
        self.extents: dict[int, float] = {}

    def place(self, number: int, low: FloatArray, high: FloatArray) -> None:
        """Note the bounds of a node [n, size]; operands come first."""
        nominal = self.nominal[number]
        deviation = np.maximum(np.abs(high - nominal), np.abs(nominal - low))
        self.deviation[number] = deviation
        self.extents[number] = float(deviation.max(initial=0.0))
        node = self.graph.nodes[number]
        if isinstance(node, Affine):
            self.errors[number] = self._affine_error(node)

    def step(
        self, number: int, found: Lines, columns: Int64Array | slice = slice(None)
    ) -> StepTable:
        """Lay out the lines [n, k or 1, size] of a step or curve, or of some of its elements."""
        node = self.graph.nodes[number]
        assert isinstance(node, Step | Curve)
        before = self.nominal[node.operand][:, None, columns]
        after = self.nominal[number][:, None, columns]
        lower = found.lower + (found.lower_slope * before - after)
        upper = found.upper + (found.upper_slope * before - after)
        rounded = np.abs(found.lower) + np.abs(found.upper) + np.abs(after)
        slopes = np.abs(found.lower_slope) + np.abs(found.upper_slope)
        rounded = rounded + slopes * np.abs(before)
        slope, half = _mean(found.lower_slope, found.upper_slope)
        intercept, width = _mean(lower, upper)
        error = gamma(8, self.dtype) * self.deviation[node.operand][:, None, columns]
        if node.operand in self.errors:
            error = error + self.errors[node.operand][:, None, columns]
        readers = gamma(len(self.graph.nodes), self.dtype)
        width = width + (np.abs(slope) + np.abs(half)) * error + gamma(8) * rounded
        width = width + readers * self.deviation[number][:, None, columns]
        total = gamma(node.size + 4 * len(self.graph.nodes), self.dtype)
        width = width + total * (np.abs(intercept) + np.abs(width))
        return StepTable(
            self._cast(slope), self._cast(half), self._cast(intercept), self._cast(width)
        )

    def maximum(self, number: int, found: MaximumLines) -> MaximumTable:
        """Lay out the lines of a maximum."""
        node = self.graph.nodes[number]
        assert isinstance(node, Maximum)
        count = node.cells.shape[1]
        cells = node.cells[np.newaxis]
        low_tap = np.argmax(cells == found.lower_cell[:, :, np.newaxis], axis=2)
        high_tap = np.argmax(cells == found.upper_cell[:, :, np.newaxis], axis=2)
        taps = np.arange(count)[:, np.newaxis, np.newaxis]
        lower = (low_tap == taps).astype(np.float64)
        upper = (high_tap == taps) * found.upper_slope
        before, after = self.nominal[node.operand], self.nominal[number]
        below = np.take_along_axis(before, found.lower_cell, axis=1)
        above = np.take_along_axis(before, found.upper_cell, axis=1)
        lower_intercept = below - after
        upper_intercept = found.upper + (found.upper_slope * above - after)
        terms = gamma(node.size + count + 4 * len(self.graph.nodes), self.dtype)
        reached = self.deviation[node.operand][:, node.cells].max(axis=2)
        error = terms * (2 * reached + np.abs(lower_intercept) + np.abs(upper_intercept))
        error = error + gamma(8) * (np.abs(below) + np.abs(above) + np.abs(after))
        error = error + gamma(8) * np.abs(found.upper)
        values = (lower, upper, lower_intercept, upper_intercept, error)
        return MaximumTable(*(self._cast(each) for each in values))

    def product(
        self, number: int, low: Sequence[FloatArray], high: Sequence[FloatArray]
    ) -> ProductTable:
        """Lay out the plane of a product, given the bounds of all nodes before it."""
        node = self.graph.nodes[number]
        assert isinstance(node, Product)
        middles: list[FloatArray] = []
        widths: list[FloatArray] = []
        off: list[FloatArray] = []
        reached: list[FloatArray] = []
        for which, operand in enumerate(node.operands):
            ends = node.centred(which, low[operand]), node.centred(which, high[operand])
            middles.append(0.5 * (ends[0] + ends[1]))
            widths.append(np.maximum(ends[1] - ends[0], 0.0))
            off.append(node.centred(which, self.nominal[operand]) - middles[-1])
            reached.append(self.deviation[operand][:, node.cells[which]])
        intercept = np.asarray(-off[0] * off[1], np.float64)
        width = np.asarray(0.25 * widths[0] * widths[1], np.float64)
        slopes = middles[1], middles[0]
        spread = np.abs(slopes[0]) * reached[0] + np.abs(slopes[1]) * reached[1]
        terms = gamma(node.size + 4 * len(self.graph.nodes), self.dtype)
        after = np.abs(self.nominal[number])
        rounded = after + np.abs(intercept) + width + np.abs(middles[0] * middles[1])
        width = width + terms * (spread + np.abs(intercept) + width) + gamma(16) * rounded
        width = width + terms * self.deviation[number]
        first, second = (self._cast(slope) for slope in slopes)
        return ProductTable((first, second), self._cast(intercept), self._cast(width))

    def tables(
        self,
        steps: Mapping[int, StepTable],
        others: Mapping[int, MaximumTable | ProductTable],
    ) -> Tables:
        """Return what a pass needs."""
        errors = {number: error.max(axis=0) for number, error in self.errors.items()}
        return Tables(steps, others, errors, self.extents, self.dtype)

    def _affine_error(self, node: Affine) -> FloatArray:
        total = np.zeros_like(self.nominal[0][:, :1])
        for operand, linear in zip(node.operands, node.maps, strict=True):
            spread = linear.absolute().forward(self.deviation[operand])
            total = total + gamma(linear.terms, self.dtype) * spread
            if not node.integral:
                nominal = linear.absolute().forward(np.abs(self.nominal[operand]))
                total = total + gamma(linear.terms) * nominal
        if not node.integral:
            total = total + gamma(8) * np.abs(node.constant)
        return np.asarray(total)

    def _cast(self, values: FloatArray) -> Real:
        return values.astype(self.dtype, copy=False)


def straight_tables(graph: BoundGraph, values: Sequence[FloatArray]) -> Tables:
    """Return tables that pass a gradient straight through roundings, and stop it at clamps.

    Args:
        graph: The graph.
        values: Every node's values at the inputs of the gradient (see `BoundGraph.run`).
    """
    steps: dict[int, StepTable] = {}
    others: dict[int, MaximumTable | ProductTable] = {}
    for number, node in enumerate(graph.nodes):
        if isinstance(node, Step):
            real = node.offset + node.factor * values[node.operand]
            slope = np.where((real > node.low) & (real < node.high), node.factor, 0.0)[:, None]
            zeros = np.zeros_like(slope)
            steps[number] = StepTable(slope, zeros, zeros, zeros)
        elif isinstance(node, Maximum):
            cells = values[node.operand][:, node.cells]
            taps = np.arange(cells.shape[2])[:, np.newaxis, np.newaxis]
            chosen = (np.argmax(cells, axis=2) == taps).astype(np.float64)
            nothing = np.zeros(chosen.shape[1:])
            others[number] = MaximumTable(chosen, chosen, nothing, nothing, nothing)
        elif isinstance(node, Curve):
            slope = node.rule.slope(values[node.operand])[:, None]
            zeros = np.zeros_like(slope)
            steps[number] = StepTable(slope, zeros, zeros, zeros)
        elif isinstance(node, Product):
            first, second = (node.centred(i, values[node.operands[i]]) for i in (0, 1))
            nothing = np.zeros_like(first)
            others[number] = ProductTable((second, first), nothing, nothing)
    numbers = range(len(graph.nodes))
    errors = {number: np.zeros(graph.nodes[number].size) for number in numbers}
    return Tables(steps, others, errors, dict.fromkeys(numbers, 0.0))


def _mean(low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
    return 0.5 * (low + high), 0.5 * (high - low)
