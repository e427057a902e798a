"""Linear forms of the output, bounded with any slopes and multipliers.

Any slopes within their ranges and any multipliers >= 0 give a sound bound. Most steps are linear
or constant within their bounds and have one useful choice; only those with a kink well inside take
slopes of each objective's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeprune.network.tensor import Int64Array
from edgeprune.verification.activations import Activations
from edgeprune.verification.backward import Constraint, Owners, Passed, backward
from edgeprune.verification.bound_nodes import BoundGraph, Curve, Maximum, Product, Step
from edgeprune.verification.input_forms import InputForms
from edgeprune.verification.line_tables import (
    Frame,
    MaximumTable,
    ProductTable,
    StepTable,
    final_margin,
    gamma,
)
from edgeprune.verification.linear_maps import FloatArray, Real
from edgeprune.verification.relaxations import (
    Kinks,
    adaptive,
    curve_lines,
    kinks,
    lines,
    maximum_lines,
)
from edgeprune.verification.splits import BoolArray, Splits

# A kink that divides a step's range into parts of at least this many LSB gives a slope to choose.
_CHOICE = 1.0


@dataclass(frozen=True, eq=False)
class Slopes:
    """What a linear bound is made of, beside the bounds of the accumulators.

    Args:
        lower: For each Step node's number, float64 [n, k or 1, size]: slope of the line below.
        upper: The same of the line above.
        multipliers: float64 [q, k]: Lagrange multipliers >= 0 of the splits, for each objective.
    """

    lower: dict[int, FloatArray]
    upper: dict[int, FloatArray]
    multipliers: FloatArray

    def select(self, rows: Int64Array, splits: Int64Array) -> Slopes:
        """Return the slopes of some problems and the multipliers of some splits."""
        return Slopes(
            {number: values[rows] for number, values in self.lower.items()},
            {number: values[rows] for number, values in self.upper.items()},
            self.multipliers[splits],
        )


@dataclass(eq=False)
class Choice:
    """Slopes of each objective's own where there is a choice, and multipliers.

    Args:
        lower: For each Step node's number, float32 [n, k, f] for the columns with a choice.
        upper: The same of the line above.
        multipliers: float64 [q, k].
    """

    lower: dict[int, Real]
    upper: dict[int, Real]
    multipliers: FloatArray

    def copy(self) -> Choice:
        """Return a copy that can be changed."""
        lower = {number: values.copy() for number, values in self.lower.items()}
        upper = {number: values.copy() for number, values in self.upper.items()}
        return Choice(lower, upper, self.multipliers.copy())


@dataclass(frozen=True, eq=False)
class Corners:
    """Where the lines of the columns with a choice turn: deviations in float32, [n, 1, f].

    Args:
        lower: The kink below.
        least: The output there.
        steepest_lower: The largest slope below.
        upper: The kink above.
        most: The output there.
        steepest_upper: The largest slope above.
        sides: Whether any slope below, and any above, has a choice.
    """

    lower: Real
    least: Real
    steepest_lower: Real
    upper: Real
    most: Real
    steepest_upper: Real
    sides: tuple[bool, bool]


@dataclass(frozen=True, eq=False)
class Attained:
    """One evaluation of the bounds.

    Args:
        lower: float64 [n, k].
        passed: Where the pass arrived, and the coefficients that it kept.
    """

    lower: FloatArray
    passed: Passed


class Objectives:
    """Linear forms of the output, bounded again and again with other slopes.

    Args:
        graph: The graph.
        forms: The input sets of n problems.
        activations: Bounds of every node.
        rows: float64 [n, k, outputs].
        splits: Constraints.
        start: Slopes to begin with; None for CROWN's adaptive ones.
        chooses: Whether slopes will be optimised, or are each objective's own to begin with.
    """

    def __init__(
        self,
        graph: BoundGraph,
        forms: InputForms,
        activations: Activations,
        rows: FloatArray,
        splits: Splits,
        start: Slopes | None,
        *,
        chooses: bool,
    ) -> None:
        self.graph, self.forms, self.splits = graph, forms, splits
        self.activations = activations
        self.count, self.width = rows.shape[:2]
        self._rows = rows.reshape(self.count * self.width, -1)
        self.owners = Owners(np.repeat(np.arange(self.count), self.width), self.width)
        nominal = graph.run([forms.nominal[number] for number in graph.sources])
        self.frame = Frame(graph, nominal, np.float64)
        self.kinks: dict[int, Kinks] = {}
        self.columns: dict[int, Int64Array] = {}
        self.corners: dict[int, Corners] = {}
        self._own_kinks: dict[int, Kinks] = {}
        self.shared: dict[int, tuple[FloatArray, FloatArray]] = {}
        self._steps: dict[int, StepTable] = {}
        self._single: dict[int, StepTable] = {}
        self.others: dict[int, MaximumTable | ProductTable] = {}
        for number, node in enumerate(graph.nodes):
            self.frame.place(number, activations.low[number], activations.high[number])
            if isinstance(node, Step):
                self._prepare_step(number, node, chooses)
            elif isinstance(node, Maximum):
                operand = node.operand
                before = activations.low[operand], activations.high[operand]
                self.others[number] = self.frame.maximum(number, maximum_lines(node, *before))
            elif isinstance(node, Curve):
                operand = node.operand
                curved = curve_lines(node, activations.low[operand], activations.high[operand])
                self._steps[number] = self.frame.step(number, curved.lifted())
            elif isinstance(node, Product):
                self.others[number] = self.frame.product(number, activations.low, activations.high)
        self.first = self._first(start)
        outputs = nominal[graph.output]
        self._base = np.einsum("nko,no->nk", rows, outputs)
        self._margin = gamma(rows.shape[2]) * np.einsum("nko,no->nk", np.abs(rows), np.abs(outputs))

    def evaluate(self, choice: Choice, *, keeps: bool = False) -> Attained:
        """Bound the objectives: sound, in float64.

        Args:
            choice: Slopes and multipliers.
            keeps: Whether the coefficients of all Steps are kept, not only those with a choice.
        """
        tables = dict(self._steps)
        for number in self.columns:
            found = lines(self._own_kinks[number], *self._within(number, choice))
            own = self.frame.step(number, found, self.columns[number])
            tables[number] = self._steps[number].except_for(self.columns[number], own)
        return self._pass(tables, self.others, choice, np.float64, keeps=keeps)

    def estimate(self, choice: Choice) -> tuple[Attained, dict[int, StepTable]]:
        """Bound the objectives in float32, float errors left out: to climb by, not to prove by."""
        if not self._single:
            self._single = {
                number: table.cast(np.float32)
                if number not in self.columns
                else table.cast(np.float32).except_for(self.columns[number], table)
                for number, table in self._steps.items()
            }
        tables = dict(self._single)
        for number in self.columns:
            tables[number] = self._with_own(number, choice)
        return self._pass(tables, self.others, choice, np.float32), tables

    def slopes(self, choice: Choice) -> Slopes:
        """Return all slopes."""
        lower, upper = {}, {}
        for number, (below, above) in self.shared.items():
            lower[number], upper[number] = below, above
            if number in self.columns:
                shape = self.count, self.width, below.shape[2]
                lower[number] = np.broadcast_to(below, shape).copy()
                upper[number] = np.broadcast_to(above, shape).copy()
                columns, own = self.columns[number], self._within(number, choice)
                lower[number][:, :, columns], upper[number][:, :, columns] = own
        return Slopes(lower, upper, choice.multipliers)

    def worst(self, attained: Attained) -> dict[int, FloatArray]:
        """Return, for each source, the input [n * k, size] where each bound is attained."""
        return self.forms.attained(self.graph, attained.passed.sources, self.owners)

    def _prepare_step(self, number: int, node: Step, chooses: bool) -> None:
        before = self.activations.low[node.operand], self.activations.high[node.operand]
        after = self.activations.low[number], self.activations.high[number]
        kinked = kinks(node, *before, *after).lifted()
        self.kinks[number] = kinked
        self.shared[number] = adaptive(kinked)
        self._steps[number] = self.frame.step(number, lines(kinked, *self.shared[number]))
        if chooses:
            below, above = _choices(node, kinked)
            columns = np.flatnonzero((below | above).any(axis=(0, 1)))
            if len(columns):
                self.columns[number] = columns
                self._own_kinks[number] = kinked.select(columns)
                self.corners[number] = self._corners(number, bool(below.any()), bool(above.any()))

    def _corners(self, number: int, *sides: bool) -> Corners:
        node, columns = self.graph.nodes[number], self.columns[number]
        assert isinstance(node, Step)
        kinked = self._own_kinks[number]
        before = self.frame.nominal[node.operand][:, None, columns]
        after = self.frame.nominal[number][:, None, columns]
        return Corners(
            (kinked.lower - before).astype(np.float32),
            (kinked.least - after).astype(np.float32),
            kinked.steepest_lower.astype(np.float32),
            (kinked.upper - before).astype(np.float32),
            (kinked.most - after).astype(np.float32),
            kinked.steepest_upper.astype(np.float32),
            (sides[0], sides[1]),
        )

    def _within(self, number: int, choice: Choice) -> tuple[FloatArray, FloatArray]:
        """Return the slopes as float64; what float32 rounded up is cut to its range."""
        kinked = self._own_kinks[number]
        lower = np.minimum(choice.lower[number].astype(np.float64), kinked.steepest_lower)
        upper = np.minimum(choice.upper[number].astype(np.float64), kinked.steepest_upper)
        return np.asarray(lower), np.asarray(upper)

    def _first(self, start: Slopes | None) -> Choice:
        lower: dict[int, Real] = {}
        upper: dict[int, Real] = {}
        for number, columns in self.columns.items():
            below, above = (values[:, :, columns] for values in self.shared[number])
            if start is not None:
                below = start.lower[number][:, :, columns]
                above = start.upper[number][:, :, columns]
            shape = self.count, self.width, len(columns)
            corners = self.corners[number]
            lower[number] = np.minimum(
                np.broadcast_to(below, shape).astype(np.float32), corners.steepest_lower
            )
            upper[number] = np.minimum(
                np.broadcast_to(above, shape).astype(np.float32), corners.steepest_upper
            )
        multipliers = np.zeros((len(self.splits), self.width))
        if start is not None and start.multipliers.shape == multipliers.shape:
            multipliers = start.multipliers.copy()
        return Choice(lower, upper, multipliers)

    def _with_own(self, number: int, choice: Choice) -> StepTable:
        """Return a step's table in float32, from the corners alone."""
        corners, half = self.corners[number], np.float32(0.5)
        below, above = choice.lower[number], choice.upper[number]
        lower = corners.least - below * corners.lower
        upper = corners.most - above * corners.upper
        own = StepTable(
            half * (below + above),
            half * (above - below),
            half * (lower + upper),
            half * (upper - lower),
        )
        table = self._single[number]
        return StepTable(
            table.slope,
            table.slope_half,
            table.intercept,
            table.intercept_half,
            self.columns[number],
            own,
        )

    def _pass(
        self,
        steps: dict[int, StepTable],
        others: dict[int, MaximumTable | ProductTable],
        choice: Choice,
        dtype: npt.DTypeLike,
        *,
        keeps: bool = False,
    ) -> Attained:
        passed = backward(
            self.graph,
            self.graph.output,
            self._rows.astype(dtype),
            (0, self._rows.shape[1]),
            self.owners,
            self.frame.tables(steps, others),
            constraints=self._constraints(choice.multipliers),
            keeps=keeps,
        )
        lower = passed.constant + self.forms.least(passed.sources, self.owners)
        lower = lower.reshape(self.count, self.width) + self._base
        return Attained(lower - self._margin - final_margin(lower), passed)

    def _constraints(self, multipliers: FloatArray) -> dict[int, Constraint]:
        splits, found = self.splits, {}
        for number in np.unique(splits.node).tolist():
            own = np.flatnonzero(splits.node == number)
            rows = splits.problem[own][:, np.newaxis] * self.width + np.arange(self.width)
            # `a >= t` lets t - a <= 0 be added, `a <= t` lets a - t.
            signs = np.where(splits.above[own], -1.0, 1.0)[:, np.newaxis] * multipliers[own]
            node = self.graph.nodes[number]
            assert isinstance(node, Step)
            nominal = self.frame.nominal[node.operand][splits.problem[own], splits.neuron[own]]
            beyond = (nominal - splits.threshold[own])[:, np.newaxis]
            found[number] = Constraint(
                rows.reshape(-1),
                np.repeat(splits.neuron[own], self.width),
                signs.reshape(-1),
                (signs * beyond).reshape(-1),
                self.frame.extents[node.operand],
            )
        return found


def _choices(node: Step, kinked: Kinks) -> tuple[BoolArray, BoolArray]:
    """Return where a kink of the lines below, and of those above, lies well inside [n, 1, size]."""
    below = np.minimum(kinked.lower - kinked.low, kinked.high - kinked.lower)
    above = np.minimum(kinked.upper - kinked.low, kinked.high - kinked.upper)
    return np.asarray(node.factor * below > _CHOICE), np.asarray(node.factor * above > _CHOICE)
