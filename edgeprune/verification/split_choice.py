"""What to split: the neuron whose relaxation loses most, at its kink."""

from __future__ import annotations

import numpy as np

from edgeprune.verification.activations import Activations
from edgeprune.verification.bound_nodes import BoundGraph, Step
from edgeprune.verification.input_sets import InputSets
from edgeprune.verification.linear_maps import FloatArray
from edgeprune.verification.outcomes import Split

# Input values are split, before neurons whose clamps are settled, while so few members are left.
_FEW_BITS = 16.0
_NEGLIGIBLE = 1e-9


def choose_split(
    graph: BoundGraph,
    box: InputSets,
    activations: Activations,
    scores: dict[int, FloatArray],
) -> tuple[Split, Split] | None:
    """Return the two sides of the best split; None where every value is settled.

    Args:
        graph: The graph.
        box: The input set of one problem.
        activations: Its bounds.
        scores: By the number of the Step node, what its relaxations lose [size].
    """
    kinked = _at_a_kink(graph, activations, scores)
    if kinked is not None:
        return kinked
    by_input = _input_split(graph, box)
    if by_input is not None and _bits(box) <= _FEW_BITS:
        return by_input
    return _halved(graph, activations, scores) or by_input


def width(sets: InputSets) -> float:
    """Return the sum of the widths of all input values."""
    return float(
        sum(
            (high.astype(np.float64) - low).sum()
            for low, high in zip(sets.low, sets.high, strict=True)
        )
    )


def _at_a_kink(
    graph: BoundGraph, activations: Activations, scores: dict[int, FloatArray]
) -> tuple[Split, Split] | None:
    best, chosen = _NEGLIGIBLE, None
    for number in graph.steps:
        step = graph.nodes[number]
        if not isinstance(step, Step) or number not in scores:
            continue
        low, high = activations.low[step.operand][0], activations.high[step.operand][0]
        moves = step.factor > 0
        factor = np.where(moves, step.factor, 1.0)
        with np.errstate(invalid="ignore"):
            kinks = np.stack(
                [(step.low - step.offset) / factor, (step.high - step.offset) / factor]
            )
        inside = moves & (kinks > low) & (kinks < high)
        # Of two kinks within the range, the one that divides it more evenly.
        evenness = np.where(inside, np.minimum(kinks - low, high - kinks), -1.0)
        which = evenness.argmax(axis=0)
        score = np.where(inside.any(axis=0), scores[number], 0.0)
        neuron = int(score.argmax())
        if score[neuron] > best:
            best = float(score[neuron])
            kink = float(kinks[which[neuron], neuron])
            chosen = _sides(step, number, neuron, kink)
    return chosen


def _halved(
    graph: BoundGraph, activations: Activations, scores: dict[int, FloatArray]
) -> tuple[Split, Split] | None:
    """Halve the range of the accumulator whose rounding costs most."""
    best, chosen = -1.0, None
    for number in graph.steps:
        step = graph.nodes[number]
        if not isinstance(step, Step):
            continue
        low, high = activations.low[step.operand][0], activations.high[step.operand][0]
        moves = (activations.high[number][0] > activations.low[number][0]) & (high - low >= 1)
        score = np.where(moves, scores.get(number, np.zeros(step.size)), -1.0)
        neuron = int(score.argmax())
        if score[neuron] > best:
            best = float(score[neuron])
            chosen = _sides(step, number, neuron, 0.5 * (low[neuron] + high[neuron]))
    return chosen


def _sides(step: Step, number: int, neuron: int, place: float) -> tuple[Split, Split]:
    above = float(np.floor(place)) + 1.0
    exact = step.levels is not None and step.slack[neuron] == 0
    below = above - 1.0 if exact else above
    return Split(number, neuron, below, False), Split(number, neuron, above, True)


def _input_split(graph: BoundGraph, box: InputSets) -> tuple[Split, Split] | None:
    best, chosen = 0, None
    for number, lows, highs in zip(graph.sources, box.low, box.high, strict=True):
        low, high = lows.reshape(-1).astype(np.int64), highs.reshape(-1).astype(np.int64)
        neuron = int((high - low).argmax())
        if high[neuron] - low[neuron] > best:
            best = int(high[neuron] - low[neuron])
            above = float((low[neuron] + high[neuron]) // 2 + 1)
            chosen = (
                Split(number, neuron, above - 1.0, False),
                Split(number, neuron, above, True),
            )
    return chosen


def _bits(box: InputSets) -> float:
    return float(
        sum(
            np.log2(high.astype(np.float64) - low + 1.0).sum()
            for low, high in zip(box.low, box.high, strict=True)
        )
    )
