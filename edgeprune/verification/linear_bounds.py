"""Backward linear bounds (CROWN) of the exact integer network, with optimised slopes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeprune.network.tensor import Int64Array
from edgeprune.verification.activations import (
    Activations,
    bound_activations,
    contradictory,
)
from edgeprune.verification.ascent import Ascent, climb, losses
from edgeprune.verification.backward import Owners, backward
from edgeprune.verification.bound_nodes import BoundGraph
from edgeprune.verification.input_forms import InputForms
from edgeprune.verification.input_sets import InputSets
from edgeprune.verification.line_tables import straight_tables
from edgeprune.verification.linear_maps import FloatArray, widen
from edgeprune.verification.slopes import Objectives, Slopes
from edgeprune.verification.splits import Splits

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class BoundSettings:
    """How much work linear bounds are.

    Args:
        refines: Whether unstable neurons get bounds by backward passes of their own; else interval
            bounds serve for the relaxation, which is many times faster and looser.
        least_kink: How far a neuron must reach to either side of a kink to be refined, in units of
            its output: LSB, or the real numbers of a float network.
        iterations: Steps of the optimisation of slopes and multipliers; 0 keeps the first choice.
        rate: First step of a slope, as a share of its range.
        decay: Factor on the step after each iteration.
        batch: Windows bounded at a time.
        scores: Whether to tell what each neuron's relaxation loses.
    """

    refines: bool = True
    least_kink: float = 0.5
    iterations: int = 0
    rate: float = 0.4
    decay: float = 0.92
    batch: int = 32
    scores: bool = False


@dataclass(frozen=True, eq=False)
class LinearBounds:
    """Sound lower bounds of objectives.

    Args:
        lower: float64 [n, k]; float error included. Infinite where the splits are contradictory.
        slopes: The lines and multipliers that gave `lower`.
        activations: The bounds of all nodes, for later calls on parts of the same sets.
        scores: For each Step node's number, float64 [n, size]: what the relaxation of this neuron
            loses at the worst input of the objective that is the lowest; the best one to split.
            Empty unless asked for.
        worst: For each input, float64 [n, k, size]: where each linear bound is attained over the
            box; a start for attacks.
    """

    lower: FloatArray
    slopes: Slopes
    activations: Activations
    scores: dict[int, FloatArray]
    worst: tuple[FloatArray, ...]


def linear_bounds(
    graph: BoundGraph,
    sets: InputSets,
    objectives: FloatArray,
    *,
    settings: BoundSettings | None = None,
    activations: Activations | None = None,
    splits: Splits | None = None,
    start: Slopes | None = None,
) -> LinearBounds:
    """Bound `<objective, output>` from below over each problem's input set.

    Args:
        graph: See `bound_graph`.
        sets: The inputs of n problems (windows, or cases of a branch and bound).
        objectives: float64 [n, k, outputs], over the elements of `graph.output`.
        settings: How much work it is.
        activations: Of these very problems or of larger sets, where they are known: no neuron is
            bounded again, splits only cut them.
        splits: Constraints; each objective then is bounded over the inputs that fulfil them all.
        start: Slopes and multipliers to start from, such as the parent's.
    """
    settings = settings or BoundSettings()
    splits = splits or Splits.none()
    parts = []
    for first in range(0, max(len(sets), 1), settings.batch):
        rows = np.arange(first, min(first + settings.batch, len(sets)))
        own = np.flatnonzero((splits.problem >= first) & (splits.problem < first + settings.batch))
        part = _Part(
            sets.select(rows),
            objectives[rows],
            None if activations is None else activations.select(rows),
            splits.part(own, first),
            None if start is None else start.select(rows, own),
        )
        parts.append((_bound(graph, part, settings), own))
    return parts[0][0] if len(parts) == 1 else _joined(parts, len(splits))


@dataclass(frozen=True, eq=False)
class _Part:
    sets: InputSets
    objectives: FloatArray
    activations: Activations | None
    splits: Splits
    start: Slopes | None


def _bound(graph: BoundGraph, part: _Part, settings: BoundSettings) -> LinearBounds:
    activations = part.activations
    if activations is None or len(part.splits):
        activations = bound_activations(
            graph,
            part.sets,
            refines=settings.refines,
            least_kink=settings.least_kink,
            known=activations,
            splits=part.splits,
        )
    forms = InputForms.of(graph, part.sets)
    bounded = Objectives(
        graph,
        forms,
        activations,
        part.objectives,
        part.splits,
        part.start,
        chooses=settings.iterations > 0 or part.start is not None,
    )
    choice = climb(bounded, Ascent(settings.iterations, settings.rate, settings.decay))
    attained = bounded.evaluate(choice, keeps=settings.scores)
    lower = np.where(contradictory(activations)[:, np.newaxis], np.inf, attained.lower)
    lost = losses(bounded, choice, attained) if settings.scores else {}
    worst = bounded.worst(attained).values()
    return LinearBounds(
        lower,
        bounded.slopes(choice),
        activations,
        lost,
        tuple(values.reshape(*lower.shape, -1) for values in worst),
    )


def _joined(parts: list[tuple[LinearBounds, Int64Array]], count: int) -> LinearBounds:
    """Return the bounds of several batches as one."""
    found = [part for part, _ in parts]
    lower = np.concatenate([part.lower for part in found])
    multipliers = np.zeros((count, lower.shape[1]))
    for part, own in parts:
        multipliers[own] = part.slopes.multipliers
    return LinearBounds(
        lower,
        Slopes(
            _by_node([part.slopes.lower for part in found]),
            _by_node([part.slopes.upper for part in found]),
            multipliers,
        ),
        Activations.join([part.activations for part in found]),
        _by_node([part.scores for part in found]),
        tuple(np.concatenate(each) for each in zip(*(p.worst for p in found), strict=True)),
    )


def _by_node(parts: list[dict[int, FloatArray]]) -> dict[int, FloatArray]:
    """Return arrays of several batches as one; objectives that shared slopes are told apart."""
    joined = {}
    for number in parts[0]:
        arrays = [part[number] for part in parts]
        if arrays[0].ndim == 3:
            width = max(each.shape[1] for each in arrays)
            arrays = [np.broadcast_to(each, (len(each), width, each.shape[2])) for each in arrays]
        joined[number] = np.concatenate(arrays)
    return joined


def gradient(
    graph: BoundGraph,
    inputs: tuple[npt.NDArray[np.int8], ...],
    objectives: FloatArray,
    *,
    values: list[FloatArray] | None = None,
) -> tuple[FloatArray, ...]:
    """Return the straight-through gradient of objectives: roundings pass, clamps stop.

    Args:
        graph: See `bound_graph`.
        inputs: int8 [n, ...], one for each input.
        objectives: float64 [n, outputs].
        values: What `graph.run(inputs)` gave, where it is known.

    Returns:
        d <objective, output> / d input, float64 of the inputs' shapes.
    """
    values = graph.run(inputs) if values is None else values
    tables = straight_tables(graph, values)
    owners = Owners(np.arange(len(objectives)), 1)
    passed = backward(
        graph, graph.output, objectives.copy(), (0, objectives.shape[1]), owners, tables
    )
    found = []
    for number, given in zip(graph.sources, inputs, strict=True):
        size = graph.nodes[number].size
        rows, span = passed.sources.get(number, (np.zeros((len(given), 0)), (0, 0)))
        found.append(widen(rows, span, (0, size)).reshape(given.shape))
    return tuple(found)


def margins(decisions: npt.NDArray[np.int64], classes: int) -> FloatArray:
    """Return the objectives `logit[decision] - logit[other]` for all other classes, in order.

    Args:
        decisions: int64 [n].
        classes: Number of logits.

    Returns:
        float64 [n, classes - 1, classes].
    """
    identity = np.eye(classes)
    others = [np.delete(np.arange(classes), decision) for decision in range(classes)]
    rows = np.stack([identity[own] - identity[rest] for own, rest in enumerate(others)])
    return np.asarray(rows[decisions])


def proves(lower: FloatArray, decisions: npt.NDArray[np.int64]) -> BoolArray:
    """Return which decisions hold, given lower bounds of `margins` [n, classes - 1].

    Logits are integers and the first of equal ones wins: a margin above -1 is at least 0, which
    suffices against later classes; against earlier ones it must be above 0.
    """
    others = np.arange(lower.shape[1])
    before = others < decisions[:, np.newaxis]
    return np.asarray(np.where(before, lower > 0, lower > -1).all(axis=1))
