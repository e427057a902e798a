"""The graph that linear bounds work on computes what the network computes."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings

from edgeprune.verification.bound_graph import bound_graph, pair
from edgeprune.verification.bound_nodes import Affine, Step
from tests.network.strategies import Case, cases

quietly = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=80, **quietly)
@given(case=cases(count=6))
def test_the_graph_computes_what_the_network_computes(case: Case) -> None:
    graph = bound_graph(case.network)
    values = graph.run(case.inputs)
    layers = case.network.run_layers(*case.inputs)
    for name, number in graph.values.items():
        expected = layers[name].reshape(6, -1)
        # The tables of a sum are linear but for their rounding, which is slack in its Step.
        near = isinstance(graph.nodes[number], Step) and graph.nodes[number].slack.any()
        if not near:
            np.testing.assert_array_equal(values[number], expected)


@settings(max_examples=80, **quietly)
@given(case=cases(count=6))
def test_a_step_stays_within_its_stated_error(case: Case) -> None:
    graph = bound_graph(case.network)
    layers = case.network.run_layers(*case.inputs)
    values = graph.run(case.inputs)
    named = {number: name for name, number in graph.values.items()}
    for number in graph.steps:
        step = graph.nodes[number]
        assert isinstance(step, Step)
        if number not in named:
            continue
        # Inputs of this very step, exact from the network's own tensors.
        source = graph.nodes[step.operand]
        if not isinstance(source, Affine) or not all(o in named for o in source.operands):
            continue
        sums = np.repeat(source.constant[np.newaxis], 6, axis=0)
        for operand, linear in zip(source.operands, source.maps, strict=True):
            sums += linear.forward(layers[named[operand]].reshape(6, -1).astype(np.float64))
        least = np.clip(
            step.offset + step.factor * (sums - step.slack) - step.error, step.low, step.high
        )
        most = np.clip(
            step.offset + step.factor * (sums + step.slack) + step.error, step.low, step.high
        )
        exact = layers[named[number]].reshape(6, -1)
        assert (exact >= least - 1e-9).all()
        assert (exact <= most + 1e-9).all()
        low, high = step.ends(sums, sums)
        assert (low <= exact).all()
        assert (exact <= high).all()
    del values


@settings(max_examples=60, **quietly)
@given(case=cases(count=2))
def test_a_transpose_is_the_transpose_on_every_range(case: Case) -> None:
    random = np.random.default_rng(0)
    for node in bound_graph(case.network).nodes:
        for linear in node.maps if isinstance(node, Affine) else ():
            matrix = linear.matrix()
            assert matrix.shape == (linear.outputs, linear.inputs)
            np.testing.assert_array_equal(linear.magnitudes, np.abs(matrix).sum(axis=1))
            low = int(random.integers(0, linear.outputs))
            high = int(random.integers(low + 1, linear.outputs + 1))
            rows = random.integers(-9, 10, (3, high - low)).astype(np.float64)
            found, (first, last) = linear.transpose(rows, (low, high))
            whole = np.zeros((3, linear.inputs))
            whole[:, first:last] = found
            np.testing.assert_array_equal(whole, rows @ matrix[low:high])


@settings(max_examples=20, **quietly)
@given(case=cases(count=3))
def test_two_networks_share_their_inputs(case: Case) -> None:
    graph = bound_graph(case.network)
    both = pair(graph, bound_graph(case.network, 1))
    single, joined = graph.run(case.inputs)[graph.output], both.run(case.inputs)[both.output]
    np.testing.assert_array_equal(joined, np.concatenate([single, single], axis=1))
    assert len(both.sources) == len(graph.sources)
