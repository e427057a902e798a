"""Splits: each child is sound on its own side, and multipliers are worth having."""

from __future__ import annotations

import numpy as np
import pytest

from edgeprune.verification.bound_graph import bound_graph
from edgeprune.verification.bound_nodes import Affine, BoundGraph, Step
from edgeprune.verification.linear_bounds import BoundSettings, LinearBounds, linear_bounds, margins
from edgeprune.verification.splits import Splits
from tests.verification.provers import input_sets
from tests.verification.tiny_networks import TinyCase, tiny_case

Side = tuple[int, int, float, bool]


def splittable(graph: BoundGraph, found: LinearBounds, window: int) -> list[tuple[int, int]]:
    """Return the (step, neuron) whose exact accumulator can take two values or more."""
    pairs = []
    for number in graph.steps:
        step = graph.nodes[number]
        assert isinstance(step, Step)
        operand = graph.nodes[step.operand]
        if not isinstance(operand, Affine) or not operand.integral:
            continue
        wide = found.activations.high[step.operand] - found.activations.low[step.operand] >= 1
        pairs += [(number, int(neuron)) for neuron in np.flatnonzero(wide[window])]
    return pairs


def drawn_sides(
    graph: BoundGraph, found: LinearBounds, window: int, count: int, random: np.random.Generator
) -> list[Side]:
    """Return some random sides of one window."""
    pairs = splittable(graph, found, window)
    sides = []
    for _ in range(count if pairs else 0):
        number, neuron = pairs[random.integers(len(pairs))]
        step = graph.nodes[number]
        assert isinstance(step, Step)
        low = found.activations.low[step.operand][window, neuron]
        high = found.activations.high[step.operand][window, neuron]
        threshold = float(random.integers(low + 1, high + 1))
        above = bool(random.random() < 0.5)
        sides.append((number, neuron, threshold if above else threshold - 1, above))
    return sides


def inside(graph: BoundGraph, case: TinyCase, window: int, sides: list[Side]) -> np.ndarray:
    """Return which of the window's members lie on all of these sides."""
    own = case.owner == window
    values = graph.run([part[own] for part in case.members])
    mask = np.ones(int(own.sum()), np.bool_)
    for number, neuron, threshold, above in sides:
        step = graph.nodes[number]
        assert isinstance(step, Step)
        at = values[step.operand][:, neuron]
        mask &= at >= threshold if above else at <= threshold
    return mask


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("seed", range(40))
def test_a_child_is_sound_on_its_side(seed: int, known: bool) -> None:
    random = np.random.default_rng(seed)
    case = tiny_case(seed)
    # Sums of two tensors make accumulators that are no integers: the graph's run is not exact.
    graph = bound_graph(case.network)
    if any(step.slack.any() for step in graph.nodes if isinstance(step, Step)):
        pytest.skip("a sum's accumulators are only nearly what the graph's run says")
    sets, objectives = input_sets(case), margins(case.decisions, case.logits.shape[1])
    root = linear_bounds(graph, sets, objectives)
    cases = [
        drawn_sides(graph, root, window, int(random.integers(0, 4)), random)
        for window in range(case.windows)
    ]
    found = linear_bounds(
        graph,
        sets,
        objectives,
        settings=BoundSettings(iterations=4, rate=1.0),
        activations=root.activations if known else None,
        splits=Splits.of(cases),
    )
    for window, sides in enumerate(cases):
        mask = inside(graph, case, window, sides)
        logits = case.logits[case.owner == window][mask].astype(np.float64)
        if len(logits):
            least = (logits @ objectives[window].T).min(axis=0)
            assert (found.lower[window] <= least + 1e-9).all()


def test_multipliers_make_children_better() -> None:
    with_multipliers = without = 0.0
    for seed in range(30):
        random = np.random.default_rng(seed)
        case = tiny_case(seed, shared=False)
        graph = bound_graph(case.network)
        sets, objectives = input_sets(case), margins(case.decisions, case.logits.shape[1])
        root = linear_bounds(graph, sets, objectives)
        splits = Splits.of(
            [drawn_sides(graph, root, window, 1, random) for window in range(case.windows)]
        )
        first = linear_bounds(
            graph, sets, objectives, activations=root.activations, splits=splits
        ).lower
        climbed = linear_bounds(
            graph,
            sets,
            objectives,
            activations=root.activations,
            splits=splits,
            settings=BoundSettings(iterations=10),
        ).lower
        assert (climbed >= first - 1e-6).all()
        finite = np.isfinite(first)
        without += first[finite].sum()
        with_multipliers += climbed[finite].sum()
    assert with_multipliers > without


def test_contradictory_sides_leave_nothing() -> None:
    case = tiny_case(0, shared=False)
    graph = bound_graph(case.network)
    sets, objectives = input_sets(case), margins(case.decisions, case.logits.shape[1])
    root = linear_bounds(graph, sets, objectives)
    number, neuron = splittable(graph, root, 0)[0]
    sides = [(number, neuron, 1e6, True)]
    found = linear_bounds(
        graph, sets, objectives, splits=Splits.of([sides, *[[]] * (case.windows - 1)])
    )
    assert np.isposinf(found.lower[0]).all()
    np.testing.assert_allclose(found.lower[1:], root.lower[1:])


def test_batches_do_not_change_a_bound() -> None:
    case = tiny_case(3, windows=5)
    graph = bound_graph(case.network)
    sets, objectives = input_sets(case), margins(case.decisions, case.logits.shape[1])
    root = linear_bounds(graph, sets, objectives)
    random = np.random.default_rng(0)
    splits = Splits.of([drawn_sides(graph, root, window, 2, random) for window in range(5)])
    whole, parts = (
        linear_bounds(
            graph,
            sets,
            objectives,
            splits=splits,
            settings=BoundSettings(batch=batch, iterations=3, scores=True),
        )
        for batch in (32, 2)
    )
    finite = np.isfinite(whole.lower)
    np.testing.assert_allclose(parts.lower[finite], whole.lower[finite], rtol=1e-3, atol=1e-2)
    assert parts.slopes.multipliers.shape == whole.slopes.multipliers.shape
    assert parts.scores.keys() == whole.scores.keys()
    assert [values.shape for values in parts.worst] == [values.shape for values in whole.worst]
