"""Slopes and multipliers of one linear bound, and how to make it better.

Any slopes within their ranges and any multipliers >= 0 give a sound bound, which for fixed signs of
the coefficients is linear in each of them. Its gradient needs no differentiation by program: it is
coefficient times distance from the kink, taken at the input where the bound is attained, carried
forward through the lines that the bound chose (alpha-CROWN, Xu et al. 2021; multipliers of splits
as in beta-CROWN, Wang et al. 2021, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeprune.verification.activations import Activations
from edgeprune.verification.backward import Constraint, Owners, Passed, backward
from edgeprune.verification.bound_nodes import Affine, BoundGraph, Join, Maximum, Source, Step
from edgeprune.verification.input_forms import InputForms
from edgeprune.verification.line_tables import (
    Frame,
    MaximumTable,
    final_margin,
    gamma,
)
from edgeprune.verification.linear_maps import FloatArray, widen
from edgeprune.verification.relaxations import Kinks, Lines, adaptive, kinks, lines, maximum_lines
from edgeprune.verification.splits import BoolArray, Splits


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


@dataclass(frozen=True, eq=False)
class Attained:
    """One evaluation of the bounds.

    Args:
        lower: float64 [n, k].
        passed: Coefficients, kept at every Step.
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
    """

    def __init__(
        self,
        graph: BoundGraph,
        forms: InputForms,
        activations: Activations,
        rows: FloatArray,
        splits: Splits,
    ) -> None:
        self.graph, self.forms, self.splits = graph, forms, splits
        self.activations = activations
        self.count, self.width = rows.shape[:2]
        self._rows = rows.reshape(self.count * self.width, -1)
        self.owners = Owners(np.repeat(np.arange(self.count), self.width), self.width)
        self.kinks: dict[int, Kinks] = {}
        self._maxima: dict[int, MaximumTable] = {}
        nominal = graph.run([forms.nominal[number] for number in graph.sources])
        self._frame = Frame(graph, nominal, np.float64)
        self._base = np.einsum("nko,no->nk", rows, nominal[graph.output])
        self._margin = gamma(rows.shape[2]) * np.einsum(
            "nko,no->nk", np.abs(rows), np.abs(nominal[graph.output])
        )
        for number, node in enumerate(graph.nodes):
            self._prepare(number, node)

    def evaluate(self, slopes: Slopes) -> Attained:
        """Bound the objectives with these slopes and multipliers."""
        steps = {
            number: self._frame.step(number, self.lines(number, slopes)) for number in self.kinks
        }
        passed = backward(
            self.graph,
            self.graph.output,
            self._rows.copy(),
            (0, self._rows.shape[1]),
            self.owners,
            self._frame.tables(steps, self._maxima),
            constraints=self._constraints(slopes.multipliers),
            keeps=True,
        )
        lower = passed.constant + self.forms.least(passed.sources, self.owners)
        lower = lower.reshape(self.count, self.width) + self._base
        return Attained(lower - self._margin - final_margin(lower), passed)

    def lines(self, number: int, slopes: Slopes) -> Lines:
        """Return a Step's lines [n, k or 1, size]."""
        return lines(self.kinks[number], slopes.lower[number], slopes.upper[number])

    def coefficients(self, number: int, attained: Attained) -> FloatArray | None:
        """Return the coefficients [n, k, size] of a Step's outputs; None where nothing sees it."""
        if number not in attained.passed.kept:
            return None
        rows, span = attained.passed.kept[number]
        size = self.graph.nodes[number].size
        return widen(rows, span, (0, size)).reshape(self.count, self.width, size)

    def trace(self, slopes: Slopes, attained: Attained) -> dict[int, FloatArray]:
        """Return every node's value [n * k, size] at the inputs where the bounds are attained."""
        values = self.worst(attained)
        for number, node in enumerate(self.graph.nodes):
            match node:
                case Affine():
                    total = np.repeat(node.constant[np.newaxis], len(self._rows), axis=0)
                    for operand, linear in zip(node.operands, node.maps, strict=True):
                        total += linear.forward(values[operand])
                    values[number] = total
                case Step():
                    values[number] = self._traced_step(number, node, slopes, attained, values)
                case Maximum():
                    values[number] = values[node.operand][:, node.cells].max(axis=2)
                case Join():
                    joined = np.empty((len(self._rows), node.size))
                    for operand, places in zip(node.operands, node.places, strict=True):
                        joined[:, places] = values[operand]
                    values[number] = joined
        return values

    def worst(self, attained: Attained) -> dict[int, FloatArray]:
        """Return, for each source, the input [n * k, size] where each bound is attained."""
        found = {}
        for number in self.graph.sources:
            size = self.graph.nodes[number].size
            rows, span = attained.passed.sources.get(
                number, (np.zeros((len(self._rows), 0)), (0, 0))
            )
            found[number] = self.forms.attained(number, widen(rows, span, (0, size)), self.owners)
        return found

    def _prepare(self, number: int, node: Source | Affine | Step | Maximum | Join) -> None:
        low, high = self.activations.low[number], self.activations.high[number]
        self._frame.place(number, low, high)
        if isinstance(node, Step):
            before = self.activations.low[node.operand], self.activations.high[node.operand]
            found = kinks(node, *before, low, high)
            self.kinks[number] = found.lifted()
        elif isinstance(node, Maximum):
            before = self.activations.low[node.operand], self.activations.high[node.operand]
            self._maxima[number] = self._frame.maximum(number, maximum_lines(node, *before))

    def _constraints(self, multipliers: FloatArray) -> dict[int, Constraint]:
        splits, found = self.splits, {}
        for number in np.unique(splits.node).tolist():
            own = np.flatnonzero(splits.node == number)
            rows = splits.problem[own][:, np.newaxis] * self.width + np.arange(self.width)
            # `a >= t` lets t - a <= 0 be added, `a <= t` lets a - t.
            signs = np.where(splits.above[own], -1.0, 1.0)[:, np.newaxis] * multipliers[own]
            node = self.graph.nodes[number]
            assert isinstance(node, Step)
            nominal = self._frame.nominal[node.operand][splits.problem[own], splits.neuron[own]]
            beyond = (nominal - splits.threshold[own])[:, np.newaxis]
            found[number] = Constraint(
                rows.reshape(-1),
                np.repeat(splits.neuron[own], self.width),
                signs.reshape(-1),
                (signs * beyond).reshape(-1),
                self._frame.extents[node.operand],
            )
        return found

    def _traced_step(
        self,
        number: int,
        node: Step,
        slopes: Slopes,
        attained: Attained,
        values: dict[int, FloatArray],
    ) -> FloatArray:
        found, kinked = self.lines(number, slopes), self.kinks[number]
        shaped = values[node.operand].reshape(self.count, self.width, -1)
        coefficients = self.coefficients(number, attained)
        if coefficients is None:
            return np.repeat(kinked.least, self.width, axis=1).reshape(len(self._rows), -1)
        below = coefficients > 0
        slope = np.where(below, found.lower_slope, found.upper_slope)
        return np.asarray(slope * shaped + np.where(below, found.lower, found.upper)).reshape(
            len(self._rows), -1
        )


def scores(objectives: Objectives, slopes: Slopes, attained: Attained) -> dict[int, FloatArray]:
    """Return what each Step's relaxation loses where the lowest bound of its problem is attained.

    It is the coefficient times the distance of the chosen line from the step itself (without its
    rounding), float64 [n, size] for each Step's number; 0 where nothing is lost.
    """
    values = objectives.trace(slopes, attained)
    lowest = np.argmin(attained.lower, axis=1)
    rows = np.arange(objectives.count)
    found = {}
    for number, kinked in objectives.kinks.items():
        node = objectives.graph.nodes[number]
        assert isinstance(node, Step)
        coefficients = objectives.coefficients(number, attained)
        if coefficients is None:
            found[number] = np.zeros_like(kinked.low[:, 0])
            continue
        shape = objectives.count, objectives.width, -1
        operand = values[node.operand].reshape(shape)[rows, lowest]
        line = values[number].reshape(shape)[rows, lowest]
        inside = np.clip(operand, kinked.low[:, 0], kinked.high[:, 0])
        exact = np.clip(node.offset + node.factor * inside, kinked.least[:, 0], kinked.most[:, 0])
        found[number] = np.maximum(coefficients[rows, lowest] * (exact - line), 0.0)
    return found


def first_slopes(objectives: Objectives, splits: Splits) -> Slopes:
    """Return CROWN's adaptive slopes, shared by all objectives, and multipliers of 0."""
    lower, upper = {}, {}
    for number, kinked in objectives.kinks.items():
        lower[number], upper[number] = adaptive(kinked)
    return Slopes(lower, upper, np.zeros((len(splits), objectives.width)))


@dataclass(frozen=True)
class Ascent:
    """How slopes are optimised (Adam, projected).

    Args:
        iterations: Steps.
        rate: The first step of a slope, as a share of its range.
        decay: Factor on the step after each iteration.
    """

    iterations: int
    rate: float
    decay: float


class _Adam:
    """Adam (Kingma and Ba 2015) on arrays that are projected by whoever owns them."""

    def __init__(self) -> None:
        self._mean: FloatArray | None = None
        self._square: FloatArray | None = None

    def step(self, gradient: FloatArray, iteration: int) -> FloatArray:
        if self._mean is None or self._square is None:
            self._mean, self._square = np.zeros_like(gradient), np.zeros_like(gradient)
        self._mean += 0.2 * (gradient - self._mean)
        self._square += 0.05 * (gradient * gradient - self._square)
        mean = self._mean / (1 - 0.8**iteration)
        square = self._square / (1 - 0.95**iteration)
        return np.asarray(mean / (np.sqrt(square) + 1e-12))


def optimised(objectives: Objectives, start: Slopes, ascent: Ascent) -> tuple[Slopes, Attained]:
    """Improve slopes and multipliers; what is returned is each row's best, never worse than first.

    Args:
        objectives: The objectives.
        start: Where to start.
        ascent: How long and how fast.
    """
    if ascent.iterations == 0:
        within = _within(objectives, start)
        return within, objectives.evaluate(within)
    current = _own_rows(objectives, _within(objectives, start))
    attained = objectives.evaluate(current)
    best, best_attained = _copied(current), attained
    lower = attained.lower.copy()
    adams: dict[tuple[str, int], _Adam] = {}
    rate = ascent.rate
    for iteration in range(1, ascent.iterations + 1):
        _ascend(objectives, current, attained, adams, iteration, rate)
        attained = objectives.evaluate(current)
        better = attained.lower > lower
        if better.all():
            best_attained = attained
        _take(objectives, best, current, better)
        lower = np.maximum(lower, attained.lower)
        rate *= ascent.decay
    if (best_attained.lower < lower).any():
        best_attained = objectives.evaluate(best)
    return best, best_attained


def _within(objectives: Objectives, start: Slopes) -> Slopes:
    """Return the slopes within what is their range now: bounds may have narrowed since."""
    return Slopes(
        {n: np.minimum(start.lower[n], k.steepest_lower) for n, k in objectives.kinks.items()},
        {n: np.minimum(start.upper[n], k.steepest_upper) for n, k in objectives.kinks.items()},
        start.multipliers,
    )


def _own_rows(objectives: Objectives, start: Slopes) -> Slopes:
    """Return slopes of every objective's own."""

    def spread(values: FloatArray) -> FloatArray:
        shape = objectives.count, objectives.width, values.shape[-1]
        return np.broadcast_to(values, shape).copy()

    return Slopes(
        {number: spread(values) for number, values in start.lower.items()},
        {number: spread(values) for number, values in start.upper.items()},
        start.multipliers.copy(),
    )


def _copied(slopes: Slopes) -> Slopes:
    return Slopes(
        {number: values.copy() for number, values in slopes.lower.items()},
        {number: values.copy() for number, values in slopes.upper.items()},
        slopes.multipliers.copy(),
    )


def _take(objectives: Objectives, best: Slopes, current: Slopes, better: BoolArray) -> None:
    if not better.any():
        return
    for number in objectives.kinks:
        best.lower[number][better] = current.lower[number][better]
        best.upper[number][better] = current.upper[number][better]
    mask = better[objectives.splits.problem]
    best.multipliers[mask] = current.multipliers[mask]


def _ascend(
    objectives: Objectives,
    current: Slopes,
    attained: Attained,
    adams: dict[tuple[str, int], _Adam],
    iteration: int,
    rate: float,
) -> None:
    values = objectives.trace(current, attained)
    shape = objectives.count, objectives.width, -1
    for number, kinked in objectives.kinks.items():
        coefficients = objectives.coefficients(number, attained)
        if coefficients is None:
            continue
        node = objectives.graph.nodes[number]
        assert isinstance(node, Step)
        operand = values[node.operand].reshape(shape)
        for side, slopes, steepest, pivot, own in (
            ("lower", current.lower, kinked.steepest_lower, kinked.lower, coefficients > 0),
            ("upper", current.upper, kinked.steepest_upper, kinked.upper, coefficients < 0),
        ):
            gradient = np.where(own, coefficients * (operand - pivot), 0.0) * steepest
            adam = adams.setdefault((side, number), _Adam())
            moved = slopes[number] + rate * steepest * adam.step(gradient, iteration)
            slopes[number] = np.clip(moved, 0.0, steepest)
    splits = objectives.splits
    if len(splits):
        adam = adams.setdefault(("multipliers", 0), _Adam())
        gradient, size = np.empty_like(current.multipliers), np.empty_like(current.multipliers)
        for place, (problem, number, neuron) in enumerate(
            zip(splits.problem, splits.node, splits.neuron, strict=True)
        ):
            node = objectives.graph.nodes[number]
            assert isinstance(node, Step)
            at = values[node.operand].reshape(shape)[problem, :, neuron]
            gradient[place] = (splits.threshold[place] - at) * (1 if splits.above[place] else -1)
            # A multiplier cancels at most the coefficient: the step's factor is its natural size.
            size[place] = node.factor[neuron]
        moved = current.multipliers + rate * size * adam.step(gradient, iteration)
        current.multipliers[:] = np.maximum(moved, 0.0)
