"""Linear bounds against brute force: never contradicted, never looser than intervals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeprune.network import IntegerNetwork
from edgeprune.network.operation import ClampedOperation
from edgeprune.verification import box, output_bounds
from edgeprune.verification.bound_graph import bound_graph
from edgeprune.verification.bound_nodes import Curve, Maximum, Product, Step
from edgeprune.verification.input_sets import InputSets
from edgeprune.verification.linear_bounds import BoundSettings, gradient, linear_bounds
from tests.network.strategies import Case, cases
from tests.verification.tiny_networks import tiny_case

quietly = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}


def boxes_of(
    case: Case, radius: int, moving: int, random: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return boxes around the case's inputs in which only some values move."""
    boxes = []
    for values in case.inputs:
        free = random.permuted(
            np.broadcast_to(np.arange(values[0].size) < moving, (len(values), values[0].size)),
            axis=1,
        ).reshape(values.shape)
        boxes.append(box(values, np.where(free, radius, 0)))
    return boxes


def every_member(low: list[np.ndarray], high: list[np.ndarray], most: int) -> list[np.ndarray]:
    """Return all integer inputs of one window's boxes, or a random selection of the many."""
    flat_low = np.concatenate([part.ravel() for part in low]).astype(np.int64)
    flat_high = np.concatenate([part.ravel() for part in high]).astype(np.int64)
    sizes = flat_high - flat_low + 1
    count = float(np.prod(sizes.astype(np.float64)))
    if count <= most:
        grid = np.stack(np.unravel_index(np.arange(int(count)), tuple(sizes[sizes > 1]) or (1,)), 1)
        every = np.repeat(flat_low[np.newaxis], int(count), axis=0)
        every[:, sizes > 1] += grid[:, : (sizes > 1).sum()]
    else:
        random = np.random.default_rng(1)
        every = random.integers(flat_low, flat_high + 1, (most, len(sizes)))
        corners = random.random(every.shape) < 0.8
        sides = np.where(random.random(every.shape) < 0.5, flat_low, flat_high)
        every = np.where(corners, sides, every)
    parts = np.split(every, np.cumsum([part.size for part in low])[:-1], axis=1)
    return [
        part.reshape(len(every), *own.shape).astype(np.int8)
        for part, own in zip(parts, low, strict=True)
    ]


def objectives_for(network: IntegerNetwork, count: int, random: np.random.Generator) -> np.ndarray:
    """Return each logit both ways, and random forms."""
    outputs = network.output_tensor.size
    forms = np.concatenate([np.eye(outputs), -np.eye(outputs), random.normal(0, 1, (2, outputs))])
    return np.repeat(forms[np.newaxis], count, axis=0)


@pytest.mark.parametrize("settled", [{"refines": False}, {}, {"iterations": 6}])
@settings(max_examples=70, **quietly)
@given(
    case=cases(count=2),
    radius=st.integers(1, 6),
    moving=st.integers(1, 400),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_input_of_the_set_is_below_the_bound(
    settled: dict[str, int], case: Case, radius: int, moving: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    boxes = boxes_of(case, radius, moving, random)
    sets = InputSets(tuple(low for low, _ in boxes), tuple(high for _, high in boxes))
    objectives = objectives_for(case.network, 2, random)
    found = linear_bounds(
        bound_graph(case.network), sets, objectives, settings=BoundSettings(**settled)
    )
    low, high = output_bounds(case.network, boxes)
    for window in range(2):
        members = every_member(
            [part[window] for part, _ in boxes], [part[window] for _, part in boxes], 1500
        )
        outputs = case.network.run(*members).astype(np.float64)
        least = (outputs @ objectives[window].T).min(axis=0)
        assert (found.lower[window] <= least + 1e-9).all()
        # Each node's own bounds hold too, and are never looser than the interval's.
        own_low = found.activations.low[-1][window]
        own_high = found.activations.high[-1][window]
        assert (own_low <= outputs.min(axis=0)).all()
        assert (own_high >= outputs.max(axis=0)).all()
        assert (own_low >= low[window]).all()
        assert (own_high <= high[window]).all()


@settings(max_examples=40, **quietly)
@given(case=cases(count=2), radius=st.integers(1, 4), seed=st.integers(0, 2**32 - 1))
def test_the_climb_never_loosens_a_bound(case: Case, radius: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    boxes = boxes_of(case, radius, 400, random)
    sets = InputSets(tuple(low for low, _ in boxes), tuple(high for _, high in boxes))
    objectives = objectives_for(case.network, 2, random)
    graph = bound_graph(case.network)
    first = linear_bounds(graph, sets, objectives)
    for rate in (0.1, 0.5, 2.0):
        climbed = linear_bounds(
            graph,
            sets,
            objectives,
            activations=first.activations,
            settings=BoundSettings(iterations=5, rate=rate),
        )
        assert (climbed.lower >= first.lower - 1e-6 * (1 + np.abs(first.lower))).all()


@settings(max_examples=40, **quietly)
@given(case=cases(count=3), seed=st.integers(0, 2**32 - 1))
def test_any_runtime_stays_within_its_bounds(case: Case, seed: int) -> None:
    random = np.random.default_rng(seed)
    boxes = boxes_of(case, 1, 3, random)
    sets = InputSets(tuple(low for low, _ in boxes), tuple(high for _, high in boxes))
    objectives = objectives_for(case.network, 3, random)
    graph = bound_graph(case.network, rounding_lsb=1)
    found = linear_bounds(graph, sets, objectives, settings=BoundSettings(iterations=2))
    for window in range(3):
        members = every_member(
            [part[window] for part, _ in boxes], [part[window] for _, part in boxes], 300
        )
        for _ in range(4):
            outputs = rounded_anyhow(case.network, members, random)
            least = (outputs @ objectives[window].T).min(axis=0)
            assert (found.lower[window] <= least + 1e-9).all()


def rounded_anyhow(
    network: IntegerNetwork, inputs: list[np.ndarray], random: np.random.Generator
) -> np.ndarray:
    """Run a network each of whose layers that round is off by up to one step, anywhere."""
    values = dict(zip(network.inputs, inputs, strict=True))
    for operation in network.operations:
        operands = [values[name] for name in operation.inputs]
        exact = operation.run(network.tensors, *operands)
        if isinstance(operation, ClampedOperation) and operation.kind != "max_pool1d":
            # A runtime is off before it clamps; what an int8 cannot hold is not seen here.
            free = replace(operation, clamp_low=-128, clamp_high=127)
            wide = free.run(network.tensors, *operands).astype(np.int64)
            moved = wide + random.integers(-1, 2, wide.shape)
            moved = np.where(np.isin(wide, (-128, 127)), wide, moved)
            exact = np.clip(moved, operation.clamp_low, operation.clamp_high).astype(np.int8)
        values[operation.output] = exact
    return values[network.output].astype(np.float64)


def test_the_gradient_is_that_of_the_network_without_rounding() -> None:
    for seed in range(20):
        case = tiny_case(seed, shared=False)
        graph = bound_graph(case.network)
        objectives = np.random.default_rng(seed).normal(0, 1, (case.windows, case.logits.shape[1]))
        found = gradient(graph, case.centre, objectives)
        nodes = graph.run(case.centre)
        steps = [(number, graph.nodes[number]) for number in graph.steps]
        at_a_clamp = any(
            (np.abs(edge - step.offset - step.factor * nodes[step.operand]) < 1).any()
            for _, step in steps
            for edge in (step.low, step.high)
        )
        # A product goes by its operands as they are after their roundings.
        bends = any(isinstance(node, Maximum | Curve | Product) for node in graph.nodes)
        if at_a_clamp or bends:
            continue
        # Roundings of all layers aside, a move of 1e-3 moves the unrounded network linearly.
        smooth = replace(
            graph,
            nodes=tuple(
                replace(node, levels=None) if isinstance(node, Step) else node
                for node in graph.nodes
            ),
        )
        for position, values in enumerate(case.centre):
            for place in np.ndindex(values.shape[1:]):
                moved = [each.astype(np.float64) for each in case.centre]
                moved[position][(slice(None), *place)] += 1e-3
                change = smooth.run(moved)[graph.output] - smooth.run(case.centre)[graph.output]
                slope = (change * objectives).sum(axis=1) / 1e-3
                np.testing.assert_allclose(
                    found[position][(slice(None), *place)], slope, rtol=1e-3, atol=1e-4
                )
