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
from edgeprune.verification.bound_nodes import BoundGraph, Maximum, Step
from edgeprune.verification.input_forms import InputForms
from edgeprune.verification.line_tables import (
    Frame,
    MaximumTable,
    StepTable,
    final_margin,
    gamma,
)
from edgeprune.verification.linear_maps import FloatArray
from edgeprune.verification.relaxations import Kinks, adaptive, kinks, lines, maximum_lines
from edgeprune.verification.splits import Splits

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
        lower: For each Step node's number, [n, k, f] for the columns with a choice.
        upper: The same of the line above.
        multipliers: float64 [q, k].
    """

    lower: dict[int, FloatArray]
    upper: dict[int, FloatArray]
    multipliers: FloatArray

    def copy(self) -> Choice:
        """Return a copy that can be changed."""
        lower = {number: values.copy() for number, values in self.lower.items()}
        upper = {number: values.copy() for number, values in self.upper.items()}
        return Choice(lower, upper, self.multipliers.copy())


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
        self._own_kinks: dict[int, Kinks] = {}
        self.shared: dict[int, tuple[FloatArray, FloatArray]] = {}
        self._steps: dict[int, StepTable] = {}
        self._single: dict[int, StepTable] = {}
        self.maxima: dict[int, MaximumTable] = {}
        for number, node in enumerate(graph.nodes):
            self.frame.place(number, activations.low[number], activations.high[number])
            if isinstance(node, Step):
                self._prepare_step(number, node, chooses)
            elif isinstance(node, Maximum):
                operand = node.operand
                before = activations.low[operand], activations.high[operand]
                self.maxima[number] = self.frame.maximum(number, maximum_lines(node, *before))
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
            found = lines(self.own_kinks(number), choice.lower[number], choice.upper[number])
            own = self.frame.step(number, found, self.columns[number])
            tables[number] = self._steps[number].except_for(self.columns[number], own)
        return self._pass(tables, self.maxima, choice, np.float64, keeps=keeps)

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
        return self._pass(tables, self.maxima, choice, np.float32), tables

    def slopes(self, choice: Choice) -> Slopes:
        """Return all slopes."""
        lower, upper = {}, {}
        for number, (below, above) in self.shared.items():
            lower[number], upper[number] = below, above
            if number in self.columns:
                shape = self.count, self.width, below.shape[2]
                lower[number] = np.broadcast_to(below, shape).copy()
                upper[number] = np.broadcast_to(above, shape).copy()
                lower[number][:, :, self.columns[number]] = choice.lower[number]
                upper[number][:, :, self.columns[number]] = choice.upper[number]
        return Slopes(lower, upper, choice.multipliers)

    def own_kinks(self, number: int) -> Kinks:
        """Return the kinks [n, 1, f] of the columns with a choice."""
        return self._own_kinks[number]

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
            columns = np.flatnonzero(_has_choice(node, kinked).any(axis=(0, 1)))
            if len(columns):
                self.columns[number] = columns
                self._own_kinks[number] = kinked.select(columns)

    def _first(self, start: Slopes | None) -> Choice:
        lower, upper = {}, {}
        for number, columns in self.columns.items():
            kinked = self.own_kinks(number)
            below, above = (values[:, :, columns] for values in self.shared[number])
            if start is not None:
                below, above = (
                    start.lower[number][:, :, columns],
                    start.upper[number][:, :, columns],
                )
            shape = self.count, self.width, len(columns)
            lower[number] = np.broadcast_to(np.minimum(below, kinked.steepest_lower), shape).copy()
            upper[number] = np.broadcast_to(np.minimum(above, kinked.steepest_upper), shape).copy()
        multipliers = np.zeros((len(self.splits), self.width))
        if start is not None and start.multipliers.shape == multipliers.shape:
            multipliers = start.multipliers.copy()
        return Choice(lower, upper, multipliers)

    def _with_own(self, number: int, choice: Choice) -> StepTable:
        """Return a step's table in float32, from the kinks alone."""
        node, columns = self.graph.nodes[number], self.columns[number]
        assert isinstance(node, Step)
        kinked = self.own_kinks(number)
        before = self.frame.nominal[node.operand][:, None, columns]
        after = self.frame.nominal[number][:, None, columns]
        below, above = choice.lower[number], choice.upper[number]
        lower = (kinked.least - after) - below * (kinked.lower - before)
        upper = (kinked.most - after) - above * (kinked.upper - before)
        own = StepTable(
            (0.5 * (below + above)).astype(np.float32),
            (0.5 * (above - below)).astype(np.float32),
            (0.5 * (lower + upper)).astype(np.float32),
            (0.5 * (upper - lower)).astype(np.float32),
        )
        table = self._single[number]
        return StepTable(
            table.slope, table.slope_half, table.intercept, table.intercept_half, columns, own
        )

    def _pass(
        self,
        steps: dict[int, StepTable],
        maxima: dict[int, MaximumTable],
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
            self.frame.tables(steps, maxima),
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


def _has_choice(node: Step, kinked: Kinks) -> npt.NDArray[np.bool_]:
    """Return where a kink lies well inside the range [n, 1, size]."""
    below = np.minimum(kinked.lower - kinked.low, kinked.high - kinked.lower)
    above = np.minimum(kinked.upper - kinked.low, kinked.high - kinked.upper)
    return np.asarray(node.factor * np.maximum(below, above) > _CHOICE)
