"""A backward pass in rational numbers: slow, plain, without the package's arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from edgeprune.verification.activations import Activations
from edgeprune.verification.bound_nodes import (
    Affine,
    BoundGraph,
    Curve,
    Join,
    Maximum,
    Product,
    Source,
    Step,
)
from edgeprune.verification.curves import TableRule
from edgeprune.verification.relaxations import adaptive, kinks, maximum_lines

Row = list[Fraction]
Slopes = dict[int, tuple[np.ndarray, np.ndarray]]


def adaptive_slopes(graph: BoundGraph, activations: Activations) -> Slopes:
    """Return the slopes [n, size] below and above that refinement takes."""
    found = {}
    for number in graph.steps:
        node = graph.nodes[number]
        assert isinstance(node, Step)
        ends = [
            bounds[of]
            for of in (node.operand, number)
            for bounds in (activations.low, activations.high)
        ]
        found[number] = adaptive(kinks(node, *ends))
    return found


def exact_lower(
    graph: BoundGraph,
    activations: Activations,
    slopes: Slopes,
    window: int,
    start: int,
    row: np.ndarray,
    box: tuple[list[np.ndarray], list[np.ndarray]],
) -> Fraction:
    """Return the exact value of a linear lower bound of `<row, node start>` for one window."""
    rows: dict[int, Row] = {start: [Fraction(float(value)) for value in row]}
    total = Fraction(0)
    for number in range(start, -1, -1):
        if number not in rows:
            continue
        own, node = rows.pop(number), graph.nodes[number]
        match node:
            case Source():
                low, high = (side[node.position][window].reshape(-1) for side in box)
                total += sum(
                    coefficient * int(low[i] if coefficient > 0 else high[i])
                    for i, coefficient in enumerate(own)
                )
            case Affine():
                total += _dot(own, node.constant)
                for operand, linear in zip(node.operands, node.maps, strict=True):
                    matrix = linear.matrix()
                    carried = [_dot(own, matrix[:, i]) for i in range(linear.inputs)]
                    _add(rows, operand, carried)
            case Step():
                carried, constant = _through(node, number, own, activations, slopes[number], window)
                total += constant
                _add(rows, node.operand, carried)
            case Maximum():
                before = activations.low[node.operand], activations.high[node.operand]
                lines = maximum_lines(node, *before)
                carried = [Fraction(0)] * before[0].shape[1]
                for i, coefficient in enumerate(own):
                    if coefficient > 0:
                        carried[lines.lower_cell[window, i]] += coefficient
                    else:
                        slope = Fraction(float(lines.upper_slope[window, i]))
                        carried[lines.upper_cell[window, i]] += coefficient * slope
                        total += coefficient * Fraction(float(lines.upper[window, i]))
                _add(rows, node.operand, carried)
            case Curve():
                carried, constant = _through_curve(node, own, activations, window)
                total += constant
                _add(rows, node.operand, carried)
            case Product():
                total += _through_product(node, own, activations, window, rows)
            case Join():
                for operand, places in zip(node.operands, node.places, strict=True):
                    _add(rows, operand, [own[place] for place in places])
    return total


def _through(
    step: Step,
    number: int,
    own: Row,
    activations: Activations,
    slopes: tuple[np.ndarray, np.ndarray],
    window: int,
) -> tuple[Row, Fraction]:
    carried, total = [], Fraction(0)
    for i, coefficient in enumerate(own):
        below = coefficient > 0
        slope = Fraction(float(slopes[0 if below else 1][window, i]))
        factor = Fraction(float(step.factor[i]))
        error = Fraction(float(step.error[i])) + factor * Fraction(float(step.slack[i]))
        offset = Fraction(float(step.offset[i]))
        low = Fraction(float(activations.low[step.operand][window, i]))
        high = Fraction(float(activations.high[step.operand][window, i]))
        least = Fraction(float(activations.low[number][window, i]))
        most = Fraction(float(activations.high[number][window, i]))
        if below:
            kink = min((least + error - offset) / factor, high) if factor else high
            constant = min(least - slope * kink, most - slope * high)
        else:
            kink = max((most - error - offset) / factor, low) if factor else low
            constant = max(most - slope * kink, least - slope * low)
        carried.append(coefficient * slope)
        total += coefficient * constant
    return carried, total


def _through_curve(
    node: Curve, own: Row, activations: Activations, window: int
) -> tuple[Row, Fraction]:
    rule = node.rule
    assert isinstance(rule, TableRule)
    low, high = (bounds[node.operand][window] for bounds in (activations.low, activations.high))
    below, _, above, _ = rule.lines(low[np.newaxis], high[np.newaxis])
    carried, total = [], Fraction(0)
    for i, coefficient in enumerate(own):
        slope = Fraction(float((below if coefficient > 0 else above)[0, i]))
        places = range(int(low[i]), int(high[i]) + 1)
        rest = [int(rule.entries[place + 128]) - slope * place for place in places]
        total += coefficient * (min(rest) if coefficient > 0 else max(rest))
        carried.append(coefficient * slope)
    return carried, total


def _through_product(
    node: Product, own: Row, activations: Activations, window: int, rows: dict[int, Row]
) -> Fraction:
    """Add what both factors get, and return the constant: the mean of McCormick's planes."""
    factors = []
    for operand, cells, centre in zip(node.operands, node.cells, node.centres, strict=True):
        ends = (bounds[operand][window][cells] for bounds in (activations.low, activations.high))
        factors.append([[Fraction(float(v) - centre) for v in end] for end in ends])
    total = Fraction(0)
    middles = [[(a + b) / 2 for a, b in zip(*ends, strict=True)] for ends in factors]
    widths = [[b - a for a, b in zip(*ends, strict=True)] for ends in factors]
    for which, (operand, cells) in enumerate(zip(node.operands, node.cells, strict=True)):
        carried = [Fraction(0)] * activations.low[operand].shape[1]
        for i, coefficient in enumerate(own):
            carried[cells[i]] += coefficient * middles[1 - which][i]
            total -= coefficient * middles[1 - which][i] * Fraction(node.centres[which])
        _add(rows, operand, carried)
    for i, coefficient in enumerate(own):
        total -= coefficient * middles[0][i] * middles[1][i]
        total -= abs(coefficient) * widths[0][i] * widths[1][i] / 4
    return total


def _dot(row: Row, values: np.ndarray) -> Fraction:
    return sum(
        (c * Fraction(float(v)) for c, v in zip(row, values, strict=True) if c and v), Fraction(0)
    )


def _add(rows: dict[int, Row], number: int, row: Row) -> None:
    if number in rows:
        rows[number] = [a + b for a, b in zip(rows[number], row, strict=True)]
    else:
        rows[number] = row
