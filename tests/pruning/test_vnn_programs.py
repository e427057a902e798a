"""VNN's linear programs against scipy's assembly of them, one joint program and hand-made cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from edgeprune.pruning.vnn import NeuronPrograms, SolveSettings, Status, solve, value_band
from edgeprune.pruning.vnn.checks import dual_bound, violations
from edgeprune.pruning.vnn.interior import interior
from edgeprune.pruning.vnn.neuron import solved_by


def _layer(
    seed: int, samples: int, inputs: int, neurons: int, living: float = 0.6
) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs as a ReLU leaves them and what a layer makes of them."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(samples, inputs))
    values = np.maximum(values, np.quantile(values, 1 - living)) - np.quantile(values, 1 - living)
    return values, values @ random.normal(size=(inputs, neurons)) + random.normal(size=neurons)


def _scipy(matrix: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> float | None:
    """Return the optimum with |v| bounded by variables of its own; None where there is none."""
    columns = matrix.shape[1]
    held_up, held_down = np.isfinite(upper), np.isfinite(lower)
    nothing, one = np.zeros_like(matrix), np.eye(columns)
    rows = np.vstack(
        [
            np.hstack([one, -one]),
            np.hstack([-one, -one]),
            np.hstack([matrix, nothing])[held_up],
            np.hstack([-matrix, nothing])[held_down],
        ]
    )
    ends = np.concatenate([np.zeros(2 * columns), upper[held_up], -lower[held_down]])
    costs = np.concatenate([np.zeros(columns), np.ones(columns)])
    found = linprog(costs, rows, ends, bounds=(None, None), method="highs")
    return float(found.fun) if found.status == 0 else None


def _check(programs: NeuronPrograms, tolerance: float = 1e-6) -> None:
    found = solve(programs)
    matrix = programs.matrix()
    for neuron in range(programs.neurons):
        lower, upper = programs.lower[:, neuron], programs.upper[:, neuron]
        values = np.append(found.weight[neuron], found.bias[neuron])[: matrix.shape[1]]
        best = _scipy(matrix, lower, upper)
        assert found.status[neuron] == (Status.INFEASIBLE if best is None else Status.OPTIMAL)
        if best is not None:
            reached = matrix @ values
            size = 1e-9 * (np.abs(matrix) @ np.abs(values) + 1e-12)
            assert np.all(reached >= lower - size)
            assert np.all(reached <= upper + size)
            assert found.objective[neuron] == pytest.approx(best, rel=tolerance, abs=tolerance)
            assert np.abs(values).sum() == pytest.approx(found.objective[neuron])


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.3])
@pytest.mark.parametrize(("samples", "inputs"), [(12, 30), (30, 12), (20, 20)])
def test_every_neuron_reaches_the_optimum_of_an_independent_solver(
    epsilon: float, samples: int, inputs: int
) -> None:
    values, outputs = _layer(samples, samples, inputs, 4)
    _check(NeuronPrograms(values, *value_band(outputs, epsilon)))


def test_the_neurons_together_reach_the_optimum_of_the_joint_program() -> None:
    values, outputs = _layer(3, 15, 24, 5)
    programs = NeuronPrograms(values, *value_band(outputs, 0.2))
    joint = np.kron(np.eye(5), programs.matrix())
    best = _scipy(joint, programs.lower.T.ravel(), programs.upper.T.ravel())
    assert solve(programs).objective.sum() == pytest.approx(best, rel=1e-7)


@pytest.mark.parametrize("epsilon", [0.0, 0.1])
def test_a_wide_layer_is_solved_by_the_interior_point_method_and_ends_at_a_vertex(
    epsilon: float,
) -> None:
    values, outputs = _layer(5, 40, 110, 6)
    programs = NeuronPrograms(values, *value_band(outputs, epsilon))
    matrix, lower, upper = programs.matrix(), programs.lower, programs.upper
    accepted = {}

    def accept(neuron: int, vertex: np.ndarray, duals: np.ndarray) -> bool:
        ends = lower[:, neuron], upper[:, neuron]
        accepted[neuron] = solved_by(matrix, *ends, vertex, duals)
        return accepted[neuron] is not None

    interior(matrix, lower, upper, accept, together=4)
    assert {neuron for neuron, one in accepted.items() if one is not None} == set(range(6))
    for neuron, one in accepted.items():
        best = _scipy(matrix, lower[:, neuron], upper[:, neuron])
        assert np.abs(one.values).sum() == pytest.approx(best, rel=1e-7)
        assert np.count_nonzero(one.values) <= 40
    np.testing.assert_allclose(
        solve(programs).objective, [np.abs(accepted[one].values).sum() for one in range(6)]
    )


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    samples=st.integers(1, 8),
    inputs=st.integers(1, 8),
    seed=st.integers(0, 1000),
    epsilon=st.sampled_from([0.0, 0.1, 0.3]),
    dead=st.booleans(),
    twice=st.booleans(),
    silent=st.booleans(),
)
def test_degenerate_layers(
    samples: int, inputs: int, seed: int, epsilon: float, dead: bool, twice: bool, silent: bool
) -> None:
    values, outputs = _layer(seed, samples, inputs, 2)
    if dead:
        outputs = outputs - values[:, :1]
        values[:, 0] = 0
        outputs = values @ np.ones((inputs, 2)) + 0.5
    if twice:
        values, outputs = np.vstack([values, values]), np.vstack([outputs, outputs])
    if silent:
        values[0], outputs[0] = 0, 0
        outputs[1:] = values[1:] @ np.ones((inputs, 2))
    _check(NeuronPrograms(values, *value_band(outputs, epsilon)))


def test_at_epsilon_0_a_neuron_keeps_no_more_weights_than_its_samples_have_rank() -> None:
    values, outputs = _layer(7, 10, 40, 3)
    values = np.vstack([values, values[:5]])
    outputs = np.vstack([outputs, outputs[:5]])
    found = solve(NeuronPrograms(values, *value_band(outputs, 0.0)))
    kept = np.count_nonzero(found.weight, axis=1) + (found.bias != 0)
    assert found.status == (Status.OPTIMAL,) * 3
    assert np.all(kept <= np.linalg.matrix_rank(np.hstack([values, np.ones((15, 1))])))


def test_thousands_of_samples_are_solved_over_the_few_that_bind() -> None:
    random = np.random.default_rng(9)
    signal = np.cumsum(random.normal(size=900))
    values = np.lib.stride_tricks.sliding_window_view(signal - signal.mean(), 7)
    outputs = values @ random.normal(size=(7, 2)) + 0.3
    _check(NeuronPrograms(np.ascontiguousarray(values), *value_band(outputs, 0.2)))


def test_bounds_may_be_absent_on_a_side() -> None:
    values, outputs = _layer(11, 40, 70, 3)
    lower, upper = value_band(outputs, 0.1)
    upper[outputs > 0] = np.inf
    lower[outputs < 0] = -np.inf
    _check(NeuronPrograms(values, lower, upper))


def test_a_layer_without_bias_gets_none() -> None:
    values, outputs = _layer(13, 12, 20, 2)
    programs = NeuronPrograms(values, *value_band(outputs, 0.1), has_bias=False)
    _check(programs)
    assert not solve(programs).bias.any()


def test_rows_that_contradict_each_other_give_by_the_least_sum() -> None:
    values = np.vstack([np.eye(3), np.eye(3)[:1]])
    target = np.array([[2.0], [1.0], [-1.0], [5.0]])
    lower, upper = value_band(target, 0.0)
    programs = NeuronPrograms(values, lower, upper, has_bias=False)
    assert solve(programs).status == (Status.INFEASIBLE,)
    found = solve(programs, SolveSettings(relaxed=True))
    assert found.status == (Status.RELAXED,)
    assert found.violation[0] == pytest.approx(3.0)
    assert 2 <= found.weight[0, 0] <= 5
    np.testing.assert_allclose(found.weight[0, 1:], [1, -1])


@pytest.mark.parametrize("inputs", [30, 70])
def test_what_is_found_does_not_depend_on_the_workers(inputs: int) -> None:
    values, outputs = _layer(15, 40, inputs, 20)
    programs = NeuronPrograms(values, *value_band(outputs, 0.1))
    one, two = (solve(programs, SolveSettings(workers=workers)) for workers in (1, 2))
    np.testing.assert_array_equal(one.weight, two.weight)
    np.testing.assert_array_equal(one.bias, two.bias)


def test_no_multipliers_prove_more_than_the_optimum() -> None:
    values, outputs = _layer(17, 10, 15, 1)
    lower, upper = (end[:, 0] for end in value_band(outputs, 0.1))
    best = _scipy(values, lower, upper)
    random = np.random.default_rng(0)
    for _ in range(50):
        assert dual_bound(values, lower, upper, random.normal(size=10)) <= best + 1e-9


def test_a_broken_row_is_seen() -> None:
    matrix, values = np.array([[1.0, 2.0], [0.0, 0.0]]), np.array([1.0, 1.0])
    broken = violations(matrix, np.array([3.3, 0.5]), np.array([9.0, 1.0]), values)
    np.testing.assert_allclose(broken, [0.3 / 3.3, 1.0])


def test_bounds_that_do_not_fit_the_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit 3 samples"):
        NeuronPrograms(np.zeros((3, 2)), np.zeros((2, 1)), np.zeros((2, 1)))


def test_the_band_keeps_the_state_even_when_it_is_wider_than_the_value() -> None:
    lower, upper = value_band(np.array([[2.0, -2.0, 0.0]]), 1.5)
    np.testing.assert_array_equal(lower, [[0, -5, 0]])
    np.testing.assert_array_equal(upper, [[5, 0, 0]])
