"""From what a layer received and made to its new weights."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from edgeprune.pruning.vnn.network import FoldedLayer, Observation
from edgeprune.pruning.vnn.neuron import NeuronSolver
from edgeprune.pruning.vnn.programs import NeuronPrograms, Solutions, Status, solve, value_band

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
# Values this small against the largest of their neuron are rounding, not weights.
_ZERO = 1e-9
_ROUNDING = 2.0**-23
_SECONDS = 120.0


@dataclass(frozen=True)
class Band:
    """What the neurons of a layer must keep.

    Attributes:
        epsilon: Half width of the band around each value, as a share of it.
        of_inactive: Whether inactive neurons keep their values as well, and not their state alone;
            neurons that more than a ReLU reads always do.
    """

    epsilon: float
    of_inactive: bool

    def bounds(self, preactivations: Floats, *, rectified: bool) -> tuple[Floats, Floats]:
        """Return the least and greatest values that may replace these, both of their shape.

        Args:
            preactivations: What the layer made in the original.
            rectified: Whether a ReLU and nothing else reads them.
        """
        lower, upper = value_band(preactivations, self.epsilon)
        if rectified and not self.of_inactive:
            inactive = preactivations < 0
            return np.where(inactive, -np.inf, lower), np.where(inactive, 0.0, upper)
        return lower, upper


@dataclass(frozen=True, eq=False)
class Refit:
    """New folded values of a layer.

    Attributes:
        weight: Float64 [outputs, inputs a group * taps].
        bias: Float64 [outputs].
        rows: Rows that each neuron was held to.
        widened: Neurons whose constraints had no solution and were widened, bool [outputs].
        unchanged: Neurons that keep their weights because none better were found, bool [outputs].
        keeps_margins: Whether every decision keeps its margin; of the layer that makes the logits.
    """

    weight: Floats
    bias: Floats
    rows: int
    widened: Bools
    unchanged: Bools
    keeps_margins: bool = False


def refit(
    layer: FoldedLayer, seen: Observation, original: Floats, band: Band, *, rectified: bool
) -> Refit:
    """Solve the programs of all neurons of a layer.

    Where a program has no solution, its rows are widened as far as the present weights are out of
    them, so that these are a solution (our reading of "relaxed").

    Args:
        layer: The layer with its present weights.
        seen: What it receives now.
        original: What it made in the original for the same rows, float64 [rows, outputs].
        band: What is kept.
        rectified: Whether a ReLU and nothing else reads the layer.
    """
    weight, bias = layer.weight.copy(), layer.bias.copy()
    widened = np.zeros(len(bias), np.bool_)
    unchanged = widened.copy()
    rows = 0
    for group in range(layer.groups):
        outputs = layer.outputs_of(group)
        bounds = band.bounds(original[:, outputs], rectified=rectified)
        programs = distinct(seen.rows[group], *bounds)
        if not layer.biased:
            programs = _without_bias(programs)
        rows = max(rows, len(programs.inputs))
        new, failed = _values(solve(programs))
        widened[outputs] = failed
        if failed.any():
            present = programs.inputs @ weight[outputs].T + bias[outputs]
            new[failed], failed[failed] = _values(solve(_widened(programs, present, failed)))
        unchanged[outputs] = failed
        new[failed] = np.column_stack([weight[outputs], bias[outputs]])[failed]
        weight[outputs], bias[outputs] = new[:, :-1], new[:, -1]
    weight[layer.constant], bias[layer.constant] = 0, layer.bias[layer.constant]
    return Refit(weight, bias, rows, widened, unchanged)


def refit_output(
    layer: FoldedLayer, seen: Observation, original: Floats, band: Band, margin: float
) -> Refit:
    """Solve one program for the logits of all classes: margins tie them together.

    The logits keep their band, and the decision its distance: `margin` to every other class, or
    what it had in the original where that was less (our reading; an unattainable margin would leave
    no solution). Where there is no solution, the bands are widened as in `refit`, and where there
    is still none, the margins too.

    Args:
        layer: The last layer with its present weights; dense.
        seen: What it receives now, one row a window.
        original: Logits of the original, float64 [windows, classes].
        band: What is kept.
        margin: Least distance of the decision's logit to the others.
    """
    classes, columns = layer.weight.shape[0], layer.weight.shape[1] + 1
    inputs = np.column_stack([seen.rows[0], np.full(len(original), float(layer.biased))])
    lower, upper = band.bounds(original, rectified=False)
    decided = original.argmax(1)
    distances = original[np.arange(len(original)), decided][:, None] - original
    one = np.eye(classes)
    blocks = [np.kron(one[[c]], inputs) for c in range(classes)]
    ends = [(lower[:, c], upper[:, c]) for c in range(classes)]
    for c, j in permutations(range(classes), 2):
        mine = decided == c
        blocks.append(np.kron(one[[c]] - one[[j]], inputs[mine]))
        least = np.minimum(margin, distances[mine, j])
        ends.append((least, np.full(len(least), np.inf)))
    matrix = np.concatenate(blocks)
    least, most = (np.concatenate(end) for end in zip(*ends, strict=True))
    used = np.flatnonzero((matrix != 0).any(0))
    part = np.ascontiguousarray(matrix[:, used])
    solver = NeuronSolver(part, relaxed=False, seconds=_SECONDS)
    present = part @ np.column_stack([layer.weight, layer.bias]).reshape(-1)[used]
    is_band = np.arange(len(matrix)) < lower.size
    # What gives way: nothing, else the bands, else the margins too.
    wider = _around(least, most, present)
    for number, gives in enumerate((is_band & False, is_band, is_band | True)):
        bounds = np.where(gives, wider, (least, most))
        found = solver.solve(*bounds)
        if found.status == Status.OPTIMAL:
            values = np.zeros(classes * columns)
            values[used] = found.values
            new = _cleaned(values.reshape(classes, columns))
            widened = np.full(classes, number > 0)
            kept = np.zeros(classes, np.bool_)
            return Refit(new[:, :-1], new[:, -1], len(original), widened, kept, number < 2)
    everything = np.ones(classes, np.bool_)
    return Refit(layer.weight, layer.bias, len(original), everything, everything)


def distinct(rows: Floats, lower: Floats, upper: Floats) -> NeuronPrograms:
    """Return programs over the rows that differ; of equal rows all bounds hold.

    What only the rounding of 32-bit weights tells from zero counts as zero: a row of it would bind
    weights to noise.

    Args:
        rows: Float64 [rows, inputs].
        lower: Float64 [rows, neurons].
        upper: Float64 [rows, neurons].
    """
    rows = np.where(np.abs(rows) <= _ROUNDING * np.abs(rows).max(initial=0), 0, rows)
    order = np.lexsort(rows.T)
    ordered = rows[order]
    starts = np.flatnonzero(np.r_[True, (ordered[1:] != ordered[:-1]).any(1)])
    return NeuronPrograms(
        ordered[starts],
        np.maximum.reduceat(lower[order], starts),
        np.minimum.reduceat(upper[order], starts),
    )


def _without_bias(programs: NeuronPrograms) -> NeuronPrograms:
    """Return programs whose bias must be zero: what a row of zeros makes is the bias."""
    nothing = np.zeros((1, programs.neurons))
    return NeuronPrograms(
        np.vstack([programs.inputs, np.zeros((1, programs.inputs.shape[1]))]),
        np.vstack([programs.lower, nothing]),
        np.vstack([programs.upper, nothing]),
    )


def _widened(programs: NeuronPrograms, present: Floats, chosen: Bools) -> NeuronPrograms:
    """Return the chosen neurons' programs with the present values well within their bounds."""
    lower, upper = _around(programs.lower, programs.upper, present)
    return NeuronPrograms(programs.inputs, lower[:, chosen], upper[:, chosen])


def _around(lower: Floats, upper: Floats, present: Floats) -> tuple[Floats, Floats]:
    # Without room for rounding the present weights themselves may count as no solution.
    room = _ROUNDING * np.abs(present).max(0, initial=0)
    return np.minimum(lower, present - room), np.maximum(upper, present + room)


def _values(solutions: Solutions) -> tuple[Floats, Bools]:
    """Return weights with the bias last [neurons, inputs + 1], and which neurons have none."""
    failed = np.array([status != Status.OPTIMAL for status in solutions.status])
    return _cleaned(np.column_stack([solutions.weight, solutions.bias])), failed


def _cleaned(values: Floats) -> Floats:
    return np.where(np.abs(values) <= _ZERO * np.abs(values).max(1, keepdims=True), 0, values)
