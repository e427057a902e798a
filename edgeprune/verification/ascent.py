"""How slopes and multipliers become better.

For fixed signs of its coefficients a bound is linear in each slope and each multiplier. Its
gradient needs no differentiation by program: it is coefficient times distance from the kink, taken
at the input where the bound is attained and carried forward through the lines that the bound chose
(alpha-CROWN, Xu et al. 2021; multipliers of splits as in beta-CROWN, Wang et al. 2021, section 3).
Estimates in float32 are climbed; what comes out is bounded once more, soundly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeprune.network.tensor import Int64Array
from edgeprune.verification.bound_nodes import Affine, Curve, Join, Maximum, Product, Step
from edgeprune.verification.line_tables import StepTable
from edgeprune.verification.linear_maps import FloatArray, Real
from edgeprune.verification.relaxations import curve_lines
from edgeprune.verification.slopes import Attained, Choice, Objectives
from edgeprune.verification.splits import BoolArray

# A slope is taken as better only for more than float32 may err.
_BETTER = 1e-3


@dataclass(frozen=True)
class Ascent:
    """How long and how fast.

    Args:
        iterations: Steps.
        rate: The first step of a slope, as a share of its range.
        decay: Factor on the step after each iteration.
    """

    iterations: int
    rate: float
    decay: float


def climb(objectives: Objectives, ascent: Ascent) -> Choice:
    """Return each objective's best choice; the first where none is better."""
    current = objectives.first.copy()
    if not ascent.iterations or not (objectives.columns or len(objectives.splits)):
        return current
    best = current.copy()
    attained, tables = objectives.estimate(current)
    lower = attained.lower
    adams: dict[tuple[str, int], _Adam] = {}
    rate = ascent.rate
    for iteration in range(1, ascent.iterations + 1):
        _ascend(objectives, current, attained, tables, _Pace(adams, iteration, rate))
        attained, tables = objectives.estimate(current)
        better = attained.lower > lower + _BETTER
        _take(objectives, best, current, better)
        lower = np.where(better, attained.lower, lower)
        rate *= ascent.decay
    return best


def losses(objectives: Objectives, choice: Choice, attained: Attained) -> dict[int, FloatArray]:
    """Return what each Step's relaxation loses where the lowest bound of its problem is attained.

    It is the coefficient times the distance of the chosen line from the step itself (without its
    rounding), float64 [n, size] for each Step's number; 0 where nothing is lost.

    Args:
        objectives: The objectives.
        choice: Slopes and multipliers.
        attained: Their evaluation, all coefficients kept.
    """
    lowest = np.argmin(attained.lower, axis=1)
    problems = np.arange(objectives.count)
    rows = problems * objectives.width + lowest
    values = {number: found[rows] for number, found in objectives.worst(attained).items()}
    found: dict[int, FloatArray] = {}
    for number, node in enumerate(objectives.graph.nodes):
        match node:
            case Affine():
                total = np.repeat(node.constant[np.newaxis], objectives.count, axis=0)
                for operand, linear in zip(node.operands, node.maps, strict=True):
                    total += linear.forward(values[operand])
                values[number] = total
            case Step():
                coefficients = np.zeros((objectives.count, node.size))
                if number in attained.passed.kept:
                    kept, span = attained.passed.kept[number]
                    coefficients[:, slice(*span)] = kept[rows]
                line = _line(objectives, choice, number, lowest, coefficients, values[node.operand])
                kinked = objectives.kinks[number]
                inside = np.clip(values[node.operand], kinked.low[:, 0], kinked.high[:, 0])
                exact = node.offset + node.factor * inside
                exact = np.clip(exact, kinked.least[:, 0], kinked.most[:, 0])
                found[number] = np.maximum(coefficients * (exact - line), 0.0)
                values[number] = line
            case Maximum():
                values[number] = values[node.operand][:, node.cells].max(axis=2)
            case Curve():
                values[number] = node.rule.of(values[node.operand])
                _charge(objectives, found, node.operand, _curve_loss(objectives, node, number))
            case Product():
                first, second = (node.centred(i, values[node.operands[i]]) for i in (0, 1))
                values[number] = first * second
            case Join():
                joined = np.empty((objectives.count, node.size))
                for operand, places in zip(node.operands, node.places, strict=True):
                    joined[:, places] = values[operand]
                values[number] = joined
    return found


def _curve_loss(objectives: Objectives, node: Curve, number: int) -> FloatArray:
    """Return about what a curve's lines leave between them [n, size]."""
    bounds = objectives.activations
    low, high = bounds.low[node.operand], bounds.high[node.operand]
    found = curve_lines(node, low, high)
    middle = 0.5 * (low + high)
    gap = (found.upper_slope - found.lower_slope) * middle + found.upper - found.lower
    return np.asarray(np.maximum(gap, 0.0))


def _charge(
    objectives: Objectives, found: dict[int, FloatArray], number: int, loss: FloatArray
) -> None:
    """Add what a curve loses to the step that it reads: a split there narrows it."""
    node = objectives.graph.nodes[number]
    while isinstance(node, Curve):
        number = node.operand
        node = objectives.graph.nodes[number]
    if number in found:
        found[number] = found[number] + loss


def _line(
    objectives: Objectives,
    choice: Choice,
    number: int,
    lowest: FloatArray,
    coefficients: FloatArray,
    values: FloatArray,
) -> FloatArray:
    """Return the value of the line that each coefficient takes [n, size]."""
    kinked = objectives.kinks[number]
    below, above = (slopes[:, 0].copy() for slopes in objectives.shared[number])
    if number in objectives.columns:
        columns, problems = objectives.columns[number], np.arange(objectives.count)
        below[:, columns] = choice.lower[number][problems, lowest]
        above[:, columns] = choice.upper[number][problems, lowest]
    lower = kinked.least[:, 0] + below * (values - kinked.lower[:, 0])
    upper = kinked.most[:, 0] + above * (values - kinked.upper[:, 0])
    return np.where(coefficients > 0, lower, upper)


@dataclass(frozen=True, eq=False)
class _Pace:
    adams: dict[tuple[str, int], _Adam]
    iteration: int
    rate: float

    def move(self, side: str, number: int, gradient: Real) -> Real:
        adam = self.adams.setdefault((side, number), _Adam())
        return np.asarray(gradient.dtype.type(self.rate) * adam.step(gradient, self.iteration))


class _Adam:
    """Adam (Kingma and Ba 2015) on arrays that are projected by whoever owns them."""

    def __init__(self) -> None:
        self._mean: Real | None = None
        self._square: Real | None = None

    def step(self, gradient: Real, iteration: int) -> Real:
        if self._mean is None or self._square is None:
            self._mean, self._square = np.zeros_like(gradient), np.zeros_like(gradient)
        self._mean += 0.2 * (gradient - self._mean)
        self._square += 0.05 * (gradient * gradient - self._square)
        # Both means are too small at first; the roots are taken of plain numbers.
        scale = float(np.sqrt(1 - 0.95**iteration) / (1 - 0.8**iteration))
        size = np.sqrt(self._square)
        size += 1e-12
        return np.asarray(self._mean / size * gradient.dtype.type(scale))


def _take(objectives: Objectives, best: Choice, current: Choice, better: BoolArray) -> None:
    if not better.any():
        return
    for number in objectives.columns:
        best.lower[number][better] = current.lower[number][better]
        best.upper[number][better] = current.upper[number][better]
    mask = better[objectives.splits.problem]
    best.multipliers[mask] = current.multipliers[mask]


def _ascend(
    objectives: Objectives,
    current: Choice,
    attained: Attained,
    tables: dict[int, StepTable],
    pace: _Pace,
) -> None:
    values = _trace(objectives, attained, tables)
    shape = objectives.count, objectives.width, -1
    for number, columns in objectives.columns.items():
        if number not in attained.passed.own:
            continue
        part, inside = attained.passed.own[number]
        corners, node = objectives.corners[number], objectives.graph.nodes[number]
        assert isinstance(node, Step)
        operand = values[node.operand].reshape(shape)[:, :, columns[inside]]
        if corners.sides[0]:
            steepest, pivot = corners.steepest_lower[:, :, inside], corners.lower[:, :, inside]
            gradient = np.maximum(part, 0) * (operand - pivot) * steepest
            _project(current.lower[number], inside, steepest, pace.move("lower", number, gradient))
        if corners.sides[1]:
            steepest, pivot = corners.steepest_upper[:, :, inside], corners.upper[:, :, inside]
            gradient = np.minimum(part, 0) * (operand - pivot) * steepest
            _project(current.upper[number], inside, steepest, pace.move("upper", number, gradient))
    if len(objectives.splits):
        _ascend_multipliers(objectives, current, values, pace)


def _project(slopes: Real, columns: Int64Array, steepest: Real, move: Real) -> None:
    """Move slopes by shares of their ranges, and back into them."""
    moved = slopes[:, :, columns] + steepest * move
    slopes[:, :, columns] = np.minimum(np.maximum(moved, 0), steepest)


def _ascend_multipliers(
    objectives: Objectives, current: Choice, values: dict[int, Real], pace: _Pace
) -> None:
    splits = objectives.splits
    gradient, size = np.empty_like(current.multipliers), np.empty_like(current.multipliers)
    for number in np.unique(splits.node).tolist():
        node = objectives.graph.nodes[number]
        assert isinstance(node, Step)
        own = np.flatnonzero(splits.node == number)
        problem, neuron = splits.problem[own], splits.neuron[own]
        shaped = values[node.operand].reshape(objectives.count, objectives.width, -1)
        nominal = objectives.frame.nominal[node.operand][problem, neuron]
        beyond = (splits.threshold[own] - nominal)[:, np.newaxis] - shaped[problem, :, neuron]
        gradient[own] = np.where(splits.above[own], 1.0, -1.0)[:, np.newaxis] * beyond
        # A multiplier cancels at most a coefficient, of which the step's factor is the size.
        size[own] = node.factor[neuron][:, np.newaxis]
    moved = current.multipliers + size * pace.move("multipliers", 0, gradient * size)
    current.multipliers = np.maximum(moved, 0.0)


def _trace(
    objectives: Objectives, attained: Attained, tables: dict[int, StepTable]
) -> dict[int, Real]:
    """Return every node's deviation [n * k, size] where the bounds are attained, in float32."""
    forms, count = objectives.forms, objectives.count * objectives.width
    owners = objectives.owners
    values: dict[int, Real] = {
        number: (found - forms.nominal[number][owners.problem]).astype(np.float32)
        for number, found in objectives.worst(attained).items()
    }
    for number, node in enumerate(objectives.graph.nodes):
        match node:
            case Affine():
                total = np.zeros((count, node.size), np.float32)
                for operand, linear in zip(node.operands, node.maps, strict=True):
                    total += linear.forward(values[operand])
                values[number] = total
            case Step():
                values[number] = _trace_step(
                    objectives, number, values[node.operand], attained, tables[number]
                )
            case Curve():
                values[number] = _trace_step(
                    objectives, number, values[node.operand], attained, tables[number]
                )
            case Product():
                nominal = objectives.frame.nominal
                first, second = (
                    node.centred(
                        i, values[operand] + nominal[operand][owners.problem].astype(np.float32)
                    )
                    for i, operand in enumerate(node.operands)
                )
                after = first * second - nominal[number][owners.problem]
                values[number] = after.astype(np.float32)
            case Maximum():
                nominal = objectives.frame.nominal
                before = values[node.operand] + nominal[node.operand][owners.problem]
                after = before[:, node.cells].max(axis=2) - nominal[number][owners.problem]
                values[number] = after.astype(np.float32)
            case Join():
                joined = np.empty((count, node.size), np.float32)
                for operand, places in zip(node.operands, node.places, strict=True):
                    joined[:, places] = values[operand]
                values[number] = joined
    return values


def _trace_step(
    objectives: Objectives, number: int, operand: Real, attained: Attained, table: StepTable
) -> Real:
    """Take the mean of a step's lines, but the chosen one where there is a choice."""
    shaped = operand.reshape(objectives.count, objectives.width, -1)
    result = table.slope * shaped + table.intercept
    if table.own is not None and number in attained.passed.own:
        part, inside = attained.passed.own[number]
        columns, own = objectives.columns[number][inside], table.own
        at = shaped[:, :, columns]
        half = own.slope_half[:, :, inside] * at + own.intercept_half[:, :, inside]
        mean = own.slope[:, :, inside] * at + own.intercept[:, :, inside]
        result[:, :, columns] = mean - np.sign(part) * half
    return np.asarray(result.reshape(len(operand), -1))
