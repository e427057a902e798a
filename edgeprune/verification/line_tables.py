"""The lines of every node of a graph, laid out for backward passes, float errors inside.

A coefficient L of an output y takes the line below where it is positive and that above where it is
negative. With the mean c and half the difference d of the two slopes that is `L c - |L| d`, without
a case; the same holds for the intercepts.

Float64 errors are bounded a priori and become part of the intercepts' half difference, which is
what |L| is multiplied with. With u = 2^-53 and gamma_k = k u (1 + 1 %), for k < 2^40 (Higham,
Accuracy and Stability of Numerical Algorithms, 2002, section 3.1; any order of summation), what is
added for a step over accumulators |a| <= X whose map has magnitudes m = |W| |x| and constant b is

    (|c| + |d|) (gamma_8 X + gamma_k m + gamma_N |b|) + gamma_N (|intercepts|) + gamma_4 |y|

that is: the rounded coefficient of `a`; the product with W, of at most k terms an entry; the sum
over b and over the intercepts, of N terms; and the sum of what a value's several readers left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgeprune.verification.bound_nodes import Affine, BoundGraph, Maximum, Step
from edgeprune.verification.linear_maps import FloatArray
from edgeprune.verification.relaxations import Lines, MaximumLines

UNIT = 2.0**-53


def gamma(terms: int) -> float:
    """Return a bound of the relative error of a float64 sum of that many products."""
    return (terms + 8) * UNIT * 1.01


@dataclass(frozen=True, eq=False)
class StepTable:
    """A step's lines as means and half differences, all float64 [n, k or 1, size].

    Args:
        slope: Mean slope.
        slope_half: Half of upper less lower slope.
        intercept: Mean intercept.
        intercept_half: Half of upper less lower intercept, float errors included.
    """

    slope: FloatArray
    slope_half: FloatArray
    intercept: FloatArray
    intercept_half: FloatArray


@dataclass(frozen=True, eq=False)
class MaximumTable:
    """A maximum's lines, cell by cell of its windows.

    Args:
        lower: float64 [cells, n, size]: 1 where the line below takes this cell.
        upper: float64 [cells, n, size]: slope of the line above, where it takes this cell.
        intercept: float64 [n, size]: of the line above.
        error: float64 [n, size]: what float arithmetic may add, a unit of coefficient.
    """

    lower: FloatArray
    upper: FloatArray
    intercept: FloatArray
    error: FloatArray


@dataclass(frozen=True, eq=False)
class Tables:
    """The lines that a pass takes, and what bounds the values of nodes.

    Args:
        steps: By the Step node's number.
        maxima: By the Maximum node's number.
        reach: For each node, what none of its values exceeds, over all problems.
    """

    steps: Mapping[int, StepTable]
    maxima: Mapping[int, MaximumTable]
    reach: Mapping[int, float]


def affine_error(node: Affine, reach: float) -> FloatArray:
    """Return the float error of a pass through an affine node, a unit of coefficient [size].

    Args:
        node: The node.
        reach: What no operand value exceeds.
    """
    error = gamma(node.size) * np.abs(node.constant)
    for linear in node.maps:
        error = error + gamma(linear.terms) * reach * linear.magnitudes
    return np.asarray(error)


def step_table(
    graph: BoundGraph,
    step: Step,
    found: Lines,
    reach: FloatArray,
    affine_errors: dict[int, FloatArray],
    extent: FloatArray,
) -> StepTable:
    """Lay out a step's lines.

    Args:
        graph: The graph.
        step: The step.
        found: Its lines [n, k or 1, size].
        reach: What the operand's values do not exceed, [n, 1, size].
        affine_errors: `affine_error` of the affine nodes.
        extent: What the outputs do not exceed, [n, 1, size].
    """
    slope, half = _mean(found.lower_slope, found.upper_slope)
    intercept, intercept_half = _mean(found.lower, found.upper)
    steepness = np.abs(slope) + np.abs(half)
    error = gamma(8) * reach
    if step.operand in affine_errors:
        error = error + affine_errors[step.operand]
    total = gamma(step.size + 4 * len(graph.nodes))
    margin = steepness * error + total * (np.abs(intercept) + np.abs(intercept_half))
    return StepTable(slope, half, intercept, intercept_half + margin + gamma(4) * extent)


def maximum_table(
    graph: BoundGraph, node: Maximum, found: MaximumLines, extent: FloatArray
) -> MaximumTable:
    """Lay out a maximum's lines; `extent` [n, size] is what its outputs do not exceed."""
    count = node.cells.shape[1]
    cells = node.cells[np.newaxis]
    low_tap = np.argmax(cells == found.lower_cell[:, :, np.newaxis], axis=2)
    high_tap = np.argmax(cells == found.upper_cell[:, :, np.newaxis], axis=2)
    taps = np.arange(count)[:, np.newaxis, np.newaxis]
    lower = (low_tap == taps).astype(np.float64)
    upper = (high_tap == taps) * found.upper_slope
    terms = gamma(node.size + 4 * len(graph.nodes))
    error = terms * (2 * extent + np.abs(found.upper))
    return MaximumTable(lower, upper, found.upper, error)


def straight_tables(graph: BoundGraph, values: Sequence[FloatArray]) -> Tables:
    """Return tables that pass a gradient straight through roundings, and stop it at clamps.

    Args:
        graph: The graph.
        values: Every node's values at the inputs of the gradient (see `BoundGraph.run`).
    """
    steps, maxima = {}, {}
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
            maxima[number] = MaximumTable(chosen, chosen, nothing, nothing)
    return Tables(steps, maxima, dict.fromkeys(range(len(graph.nodes)), 0.0))


def _mean(low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
    return 0.5 * (low + high), 0.5 * (high - low)
