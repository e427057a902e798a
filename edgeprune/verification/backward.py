"""Backward passes: coefficients of a node's values, carried to the inputs.

Rows are coefficients of many linear forms of many problems at once, each over the range of columns
that it can see. The products with the weights are shared by all problems; lines are each one's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edgeprune.network.tensor import Int64Array
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
from edgeprune.verification.line_tables import (
    MaximumTable,
    ProductTable,
    StepTable,
    Tables,
    gamma,
)
from edgeprune.verification.linear_maps import FloatArray, Real, Span, widen

# Rows of one problem from which on a loop over problems beats a copy of the lines for every row.
_LONG_RUN = 12


@dataclass(frozen=True, eq=False)
class Owners:
    """Whose rows they are.

    Args:
        problem: int64 [r], ascending: the problem of each row.
        objectives: The rows of every problem, where they are equally many, and each has lines of
            its own or shares its problem's; else 0.
    """

    problem: Int64Array
    objectives: int = 0
    runs: tuple[tuple[int, int, int], ...] = field(init=False)

    def __post_init__(self) -> None:
        numbers, starts = np.unique(self.problem, return_index=True)
        stops = np.append(starts[1:], len(self.problem))
        runs = tuple(zip(numbers.tolist(), starts.tolist(), stops.tolist(), strict=True))
        object.__setattr__(self, "runs", runs)

    @property
    def are_long(self) -> bool:
        """Whether a loop over problems is worth its calls."""
        return len(self.problem) >= _LONG_RUN * len(self.runs)


@dataclass(frozen=True, eq=False)
class Constraint:
    """Multipliers of splits at one Step: what they add to a pass.

    Args:
        rows: int64 [q]: the row that the constraint is about.
        neuron: int64 [q].
        slope: float64 [q]: what is added to the coefficient of the step's operand.
        intercept: float64 [q]: what is added to the bound, for deviations.
        reach: What no deviation of the operand exceeds.
    """

    rows: Int64Array
    neuron: Int64Array
    slope: FloatArray
    intercept: FloatArray
    reach: float


@dataclass(eq=False)
class Passed:
    """Where a backward pass arrived.

    Args:
        constant: float64 [r]: the part of the bound that does not depend on inputs; float errors
            of the pass are subtracted.
        sources: For each source's number, coefficients and the columns that they stand for.
        kept: For each Step passed, the coefficients of its outputs; kept only if asked for.
        own: The coefficients [n, k, f] of the columns that have lines of their own, and which of
            these they are.
    """

    constant: FloatArray
    sources: dict[int, tuple[Real, Span]]
    kept: dict[int, tuple[Real, Span]]
    own: dict[int, tuple[Real, Int64Array]]

    def keep(self, number: int, rows: Real, span: Span, *, asked: bool) -> None:
        """Keep the coefficients of a step's outputs, where that is asked for."""
        if asked:
            self.kept[number] = rows.copy(), span


def backward(
    graph: BoundGraph,
    start: int,
    rows: Real,
    span: Span,
    owners: Owners,
    tables: Tables,
    *,
    constraints: Mapping[int, Constraint] | None = None,
    keeps: bool = False,
) -> Passed:
    """Carry lower-bound coefficients of a node's values to the inputs.

    Args:
        graph: The graph.
        start: The node.
        rows: [r, width] in the arithmetic of the tables, overwritten.
        span: The columns of the node that they stand for.
        owners: Whose rows they are.
        tables: The lines.
        constraints: By Step node's number.
        keeps: Whether to keep the coefficients of every Step's outputs.
    """
    passed = Passed(np.zeros(len(rows)), {}, {}, {})
    pending = {start: (rows, span)}
    # Accumulators reached through a Step have their float error in its table.
    accounted = {start} if _starts_exactly(graph, start, rows, tables) else set()
    while pending:
        number = max(pending)
        rows, span = pending.pop(number)
        node = graph.nodes[number]
        if not isinstance(node, Step | Curve):
            accounted.difference_update(node.operands)
        match node:
            case Source():
                passed.sources[number] = rows, span
            case Affine():
                if number not in accounted:
                    passed.constant -= np.abs(rows) @ tables.errors[number][slice(*span)]
                for operand, linear in zip(node.operands, node.maps, strict=True):
                    _add(graph, pending, passed, tables, operand, *linear.transpose(rows, span))
            case Step() | Curve():
                passed.keep(number, rows, span, asked=keeps)
                _through_step(number, rows, span, owners, tables.steps[number], passed)
                constraint = (constraints or {}).get(number)
                if constraint is not None:
                    rows, span = _constrain(rows, span, constraint, passed, tables.dtype)
                # A multiplier's coefficient is not in the step's table.
                _account(accounted, pending, node.operand, constraint is None)
                _add(graph, pending, passed, tables, node.operand, rows, span)
            case Maximum() | Product():
                found = _through_other(node, rows, span, owners, tables.others[number], passed)
                for operand, coefficients in zip(node.operands, found, strict=True):
                    _add(graph, pending, passed, tables, operand, *coefficients)
            case Join():
                for operand, places in zip(node.operands, node.places, strict=True):
                    first, last = np.searchsorted(places, span)
                    part = rows[:, places[first:last] - span[0]]
                    _add(graph, pending, passed, tables, operand, part, (int(first), int(last)))
    return passed


def _starts_exactly(graph: BoundGraph, start: int, rows: Real, tables: Tables) -> bool:
    """Return whether the first product is exact: each row picks one row of exact coefficients.

    Integer weights are exact in float32 too, other coefficients only in float64.
    """
    node = graph.nodes[start]
    if not isinstance(node, Affine) or not (node.integral or tables.dtype == np.float64):
        return False
    picks = (np.count_nonzero(rows, axis=1) <= 1).all() and np.isin(rows, (-1, 0, 1)).all()
    return bool(picks)


def _account(
    accounted: set[int], pending: Mapping[int, object], number: int, by_step: bool
) -> None:
    if not by_step:
        accounted.discard(number)
    elif number not in pending:
        accounted.add(number)


def _add(
    graph: BoundGraph,
    pending: dict[int, tuple[Real, Span]],
    passed: Passed,
    tables: Tables,
    number: int,
    rows: Real,
    span: Span,
) -> None:
    if span[0] >= span[1]:
        return
    if number not in pending:
        pending[number] = rows, span
        return
    other, other_span = pending[number]
    union = min(span[0], other_span[0]), max(span[1], other_span[1])
    if other_span == union:
        rows, span, other, other_span = other, other_span, rows, span
    total = widen(rows, span, union)
    total[:, other_span[0] - union[0] : other_span[1] - union[0]] += other
    if not isinstance(graph.nodes[number], Step | Curve):
        # Of a Step the rounded sum is accounted for in its table.
        error = gamma(1, tables.dtype) * tables.extents[number]
        passed.constant -= error * np.abs(total).sum(axis=1)
    pending[number] = total, union


def _through_step(
    number: int, rows: Real, span: Span, owners: Owners, table: StepTable, passed: Passed
) -> None:
    cut = (slice(None), slice(None), slice(*span))
    slope, half = table.slope[cut], table.slope_half[cut]
    intercept, width = table.intercept[cut], table.intercept_half[cut]
    constant = passed.constant
    if owners.objectives:
        shaped = rows.reshape(-1, owners.objectives, rows.shape[1])
        replaced = _through_own_lines(number, shaped, span, table, passed)
        sizes = np.abs(shaped)
        found = np.matmul(shaped, intercept.transpose(0, 2, 1))
        found -= np.matmul(sizes, width.transpose(0, 2, 1))
        constant += found.reshape(-1)
        shaped *= slope
        sizes *= half
        shaped -= sizes
        if replaced is not None:
            shaped[:, :, replaced[0]] = replaced[1]
    elif owners.are_long:
        for problem, first, last in owners.runs:
            part = rows[first:last]
            sizes = np.abs(part)
            constant[first:last] += part @ intercept[problem, 0]
            constant[first:last] -= sizes @ width[problem, 0]
            part *= slope[problem, 0]
            sizes *= half[problem, 0]
            part -= sizes
    else:
        own = owners.problem
        sizes = np.abs(rows)
        constant += np.einsum("rc,rc->r", rows, intercept[own, 0])
        constant -= np.einsum("rc,rc->r", sizes, width[own, 0])
        rows *= slope[own, 0]
        sizes *= half[own, 0]
        rows -= sizes


def _through_own_lines(
    number: int, shaped: Real, span: Span, table: StepTable, passed: Passed
) -> tuple[Int64Array, Real] | None:
    """Return which columns take lines of their own, and their coefficients beyond the step."""
    if table.columns is None or table.own is None or not len(table.columns):
        return None
    inside = np.flatnonzero((table.columns >= span[0]) & (table.columns < span[1]))
    columns, own = table.columns[inside] - span[0], table.own
    part = shaped[:, :, columns]
    passed.own[number] = part, inside
    sizes = np.abs(part)
    found = np.einsum("nkc,nkc->nk", part, own.intercept[:, :, inside])
    found -= np.einsum("nkc,nkc->nk", sizes, own.intercept_half[:, :, inside])
    passed.constant += found.reshape(-1)
    return columns, part * own.slope[:, :, inside] - sizes * own.slope_half[:, :, inside]


def _through_other(
    node: Maximum | Product,
    rows: Real,
    span: Span,
    owners: Owners,
    table: MaximumTable | ProductTable,
    passed: Passed,
) -> list[tuple[Real, Span]]:
    """Return the coefficients of each operand."""
    if isinstance(node, Maximum):
        assert isinstance(table, MaximumTable)
        return [_through_maximum(node, rows, span, owners, table, passed)]
    assert isinstance(table, ProductTable)
    return _through_product(node, rows, span, owners, table, passed)


def _through_maximum(
    node: Maximum, rows: Real, span: Span, owners: Owners, table: MaximumTable, passed: Passed
) -> tuple[Real, Span]:
    columns = slice(*span)
    cells = node.cells[columns]
    first, last = int(cells.min()), int(cells.max()) + 1
    positive = np.maximum(rows, 0.0)
    negative = rows - positive
    own = owners.problem
    passed.constant += np.einsum("rc,rc->r", positive, table.lower_intercept[own][:, columns])
    passed.constant += np.einsum("rc,rc->r", negative, table.upper_intercept[own][:, columns])
    passed.constant -= np.einsum("rc,rc->r", np.abs(rows), table.error[own][:, columns])
    result = np.zeros((len(rows), last - first), rows.dtype)
    for tap in range(cells.shape[1]):
        part = positive * table.lower[tap][own][:, columns]
        part += negative * table.upper[tap][own][:, columns]
        into = cells[:, tap] - first
        if len(np.unique(into)) == len(into):
            result[:, into] += part
        else:
            np.add.at(result.T, into, part.T)
    return result, (first, last)


def _through_product(
    node: Product, rows: Real, span: Span, owners: Owners, table: ProductTable, passed: Passed
) -> list[tuple[Real, Span]]:
    columns, own = slice(*span), owners.problem
    passed.constant += np.einsum("rc,rc->r", rows, table.intercept[own][:, columns])
    passed.constant -= np.einsum("rc,rc->r", np.abs(rows), table.width[own][:, columns])
    found: list[tuple[Real, Span]] = []
    for cells, slope in zip(node.cells, table.slopes, strict=True):
        part = rows * slope[own][:, columns]
        into = cells[columns]
        first, last = int(into.min()), int(into.max()) + 1
        result = np.zeros((len(rows), last - first), rows.dtype)
        np.add.at(result.T, into - first, part.T)
        found.append((result, (first, last)))
    return found


def _constrain(
    rows: Real, span: Span, constraint: Constraint, passed: Passed, dtype: npt.DTypeLike
) -> tuple[Real, Span]:
    union = (
        min(span[0], int(constraint.neuron.min())),
        max(span[1], int(constraint.neuron.max()) + 1),
    )
    rows = widen(rows, span, union)
    place = constraint.rows, constraint.neuron - union[0]
    np.add.at(rows, place, constraint.slope)
    # The sum of a coefficient and its multipliers is rounded; so is that of the bound.
    sizes = np.abs(rows[place]) + np.abs(constraint.slope)
    error = gamma(8, dtype) * sizes * constraint.reach
    error += gamma(len(constraint.rows)) * np.abs(constraint.intercept)
    np.add.at(passed.constant, constraint.rows, constraint.intercept - error)
    return rows, union
