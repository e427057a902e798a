"""Counterexamples are what they claim to be, and fragile networks are found out."""

from __future__ import annotations

import numpy as np
import pytest

from edgeprune.verification.bound_graph import bound_graph
from edgeprune.verification.enumeration import enumerate_members
from edgeprune.verification.falsify import (
    QUICK,
    Attacked,
    AttackSettings,
    Judge,
    Target,
    attack,
    counterexample,
)
from edgeprune.verification.held_inputs import HeldInputs
from edgeprune.verification.linear_bounds import gradient
from edgeprune.verification.parameter_search import search_parameters
from edgeprune.verification.perturbations import parse_perturbation
from edgeprune.verification.replay import replay
from tests.network.builders import dense_network
from tests.verification.perturbed_networks import lsb_case, raw_case
from tests.verification.test_complete import target_of, verify

THOROUGH = AttackSettings(restarts=4, steps=10, rounds=20)


@pytest.mark.parametrize("seed", range(12))
def test_every_falsified_window_is_a_member_that_is_decided_otherwise(seed: int) -> None:
    case = raw_case(seed)
    target, judge = target_of(case)
    found = attack(target, QUICK, np.random.default_rng(0), judge)
    assert not (found.falsified & case.holds).any()
    for window in np.flatnonzero(found.falsified).tolist():
        example = counterexample(target, window, found.raw[window])
        assert example is not None
        assert example.decision != case.decisions[window]
        row = np.array([window])
        assert case.perturbation.contains(case.held.select(row), example.raw[np.newaxis])[0]
        again = case.held.select(row).inputs(example.raw[np.newaxis])
        assert case.network.predict(*again)[0] == example.decision


def test_the_search_finds_most_of_what_brute_force_finds() -> None:
    fragile = found = 0
    for seed in range(25):
        case = raw_case(seed, "linf:5uV")
        target, judge = target_of(case)
        attacked = attack(target, THOROUGH, np.random.default_rng(0), judge)
        fragile += int((~case.holds).sum())
        found += int(attacked.falsified.sum())
    assert fragile > 8
    assert found >= 0.9 * fragile


def test_enumeration_misses_nothing() -> None:
    for seed in range(20):
        case = lsb_case(seed)
        target, judge = target_of(case)
        nothing = Attacked(
            case.held.raw, np.full(case.windows, np.inf), np.zeros(case.windows, np.bool_)
        )
        found = enumerate_members(target, nothing, judge)
        np.testing.assert_array_equal(found.falsified, ~case.holds)


@pytest.mark.parametrize("text", ["gain:60%", "offset:9uV", "hum:10uV@50Hz", "gain:20%+linf:5uV"])
def test_parameters_are_searched_within_the_set(text: str) -> None:
    missed = 0
    for seed in range(10):
        case = raw_case(seed, text)
        target, judge = target_of(case)
        found = search_parameters(target, THOROUGH, np.random.default_rng(0), judge)
        assert case.perturbation.contains(case.held, found.raw).all()
        found = found.better_of(attack(target, THOROUGH, np.random.default_rng(0), judge))
        missed += int((~case.holds & ~found.falsified).sum())
    # The converter of these cuts off most of what a sample may add to another gain.
    assert missed <= (3 if "+" in text else 1)


def test_a_fragile_network_is_falsified_and_a_sturdy_one_is_not() -> None:
    # Two logits, x0 - x1 and x1 - x0: at x0 = x1 + 3 a change by 2 of each turns the decision.
    network = dense_network([[1, -1], [-1, 1]], [0, 0])
    for gap, falsified in ((3, True), (5, False)):
        held = HeldInputs((np.array([[10 + gap, 10]], np.int8),))
        graph = bound_graph(network)
        target = Target(
            network,
            held,
            parse_perturbation("linf:2lsb"),
            network.predict(*held.values),
            lambda inputs, objectives, graph=graph: gradient(graph, inputs, objectives),
        )
        found = attack(target, QUICK, np.random.default_rng(0), Judge(network))
        assert found.falsified.tolist() == [falsified]


def test_a_counterexample_is_refused_where_it_is_none() -> None:
    case = raw_case(0, "linf:5uV")
    target, _ = target_of(case)
    assert counterexample(target, 0, case.held.raw[0]) is None
    outside = (case.held.raw[0] + 50).astype(np.int16)
    assert counterexample(target, 0, outside) is None


def test_the_attack_depends_on_its_seed_alone() -> None:
    case = raw_case(2)
    target, judge = target_of(case)
    first, second = (attack(target, THOROUGH, np.random.default_rng(7), judge) for _ in range(2))
    np.testing.assert_array_equal(first.raw, second.raw)
    np.testing.assert_array_equal(first.margin, second.margin)


def test_replay_counts_what_a_device_decides_otherwise() -> None:
    runs = [verify(lsb_case(seed)) for seed in range(10)]
    checked = 0
    for seed, run in enumerate(runs):
        case = lsb_case(seed)
        if not run.total.falsified:
            continue
        faithful = replay(run, lambda inputs, case=case: case.network.run(*inputs))
        assert faithful.windows == run.total.falsified
        assert faithful.failures == ()
        broken = replay(run, lambda inputs, case=case: -case.network.run(*inputs) - 1)
        assert len(broken.failures) == run.total.falsified
        checked += 1
    assert checked > 0
