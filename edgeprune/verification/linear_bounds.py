"""Backward linear bounds (CROWN) of the exact integer network, with optimised slopes.

Signatures first; the body follows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeprune.verification.bound_nodes import BoundGraph
from edgeprune.verification.input_sets import InputSets
from edgeprune.verification.linear_maps import FloatArray
from edgeprune.verification.splits import Splits

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class BoundSettings:
    """How much work linear bounds are.

    Args:
        refines: Whether unstable neurons get bounds by backward passes of their own; else interval
            bounds serve for the relaxation, which is many times faster and looser.
        iterations: Steps of the optimisation of slopes and multipliers; 0 keeps the first choice.
        rate: First step of a slope, as a share of its range.
        decay: Factor on the step after each iteration.
        batch: Windows bounded at a time.
    """

    refines: bool = True
    iterations: int = 0
    rate: float = 0.4
    decay: float = 0.92
    batch: int = 32


@dataclass(frozen=True, eq=False)
class Activations:
    """Bounds of the values of every node, for each of n problems.

    Args:
        low: For each node of the graph, float64 [n, size].
        high: The same.
        refined: For each Step node's number, bool [n, size]: which accumulators were bounded by a
            backward pass of their own. A node without any is absent.
    """

    low: tuple[FloatArray, ...]
    high: tuple[FloatArray, ...]
    refined: dict[int, BoolArray]


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
class LinearBounds:
    """Sound lower bounds of objectives.

    Args:
        lower: float64 [n, k]; float error included. Infinite where the splits are contradictory.
        slopes: The lines and multipliers that gave `lower`.
        activations: The bounds of all nodes, for later calls on parts of the same sets.
        scores: For each Step node's number, float64 [n, size]: what the relaxation of this neuron
            loses at the worst input of the objective that is the lowest; the best one to split.
        worst: For each input, float64 [n, k, size]: where each linear bound is attained over the
            box; a start for attacks.
    """

    lower: FloatArray
    slopes: Slopes
    activations: Activations
    scores: dict[int, FloatArray]


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
    raise NotImplementedError


def gradient(
    graph: BoundGraph, inputs: tuple[npt.NDArray[np.int8], ...], objectives: FloatArray
) -> tuple[FloatArray, ...]:
    """Return the straight-through gradient of objectives: roundings pass, clamps stop.

    Args:
        graph: See `bound_graph`.
        inputs: int8 [n, ...], one for each input.
        objectives: float64 [n, outputs].

    Returns:
        d <objective, output> / d input, float64 of the inputs' shapes.
    """
    raise NotImplementedError


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
    return rows[decisions]


def proves(lower: FloatArray, decisions: npt.NDArray[np.int64]) -> BoolArray:
    """Return which decisions hold, given lower bounds of `margins` [n, classes - 1].

    Logits are integers and the first of equal ones wins: a margin above -1 is at least 0, which
    suffices against later classes; against earlier ones it must be above 0.
    """
    others = np.arange(lower.shape[1])
    before = others < decisions[:, np.newaxis]
    return np.asarray(np.where(before, lower > 0, lower > -1).all(axis=1))
