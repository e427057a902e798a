"""Complete verification against brute force: right where it decides, and it decides in the end."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeprune.errors import ConfigurationError
from edgeprune.executor import Executor
from edgeprune.verification.bound_graph import bound_graph
from edgeprune.verification.branching import BranchSettings, branch, roots_of
from edgeprune.verification.falsify import Judge, Target
from edgeprune.verification.linear_bounds import gradient
from edgeprune.verification.outcomes import Method, Outcome, Proof, Runtime, VerificationRun
from edgeprune.verification.perturbations import parse_perturbation
from edgeprune.verification.result_codec import decode_results, encode_results
from edgeprune.verification.stages import Stages
from edgeprune.verification.verify import VerifySettings, verify_windows
from tests.verification.perturbed_networks import lsb_case, raw_case
from tests.verification.provers import _windows
from tests.verification.tiny_networks import TinyCase

quietly = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}
UNLIMITED = VerifySettings(seconds=1e6)


def verify(case: TinyCase, given: VerifySettings = UNLIMITED, **more: object) -> VerificationRun:
    return verify_windows(case.network, case.held, _windows(case), case.perturbation, given, **more)


def target_of(case: TinyCase) -> tuple[Target, Judge]:
    graph = bound_graph(case.network)
    target = Target(
        case.network,
        case.held,
        case.perturbation,
        case.decisions,
        lambda inputs, objectives: gradient(graph, inputs, objectives),
    )
    return target, Judge(case.network)


@settings(max_examples=25, **quietly)
@given(seed=st.integers(0, 2**32 - 1))
def test_with_unlimited_time_every_window_is_decided_as_brute_force_does(seed: int) -> None:
    case = lsb_case(seed)
    run = verify(case)
    assert run.mask(Outcome.PROVED).tolist() == case.holds.tolist()
    assert run.mask(Outcome.FALSIFIED).tolist() == (~case.holds).tolist()


@settings(max_examples=15, **quietly)
@given(seed=st.integers(0, 2**32 - 1))
def test_branching_needs_no_attack_and_no_first_bounds_to_prove(seed: int) -> None:
    case = lsb_case(seed)
    target, judge = target_of(case)
    rows = np.arange(case.windows)
    found = branch(
        target,
        judge,
        bound_graph(case.network),
        dict.fromkeys(rows.tolist(), 60.0),
        roots_of(target, rows),
        BranchSettings(iterations=2, batch=8),
    )
    for window, branched in found.items():
        assert (branched.outcome is Outcome.PROVED) == bool(case.holds[window])
        if branched.outcome is Outcome.PROVED:
            assert_leaves_cover(case, window, branched.proof)


def assert_leaves_cover(case: TinyCase, window: int, proof: Proof | None) -> None:
    """Every member lies in exactly one leaf: siblings part what they split."""
    assert proof is not None
    graph = bound_graph(case.network)
    mine = case.owner == window
    values = graph.run([each[mine] for each in case.members])
    count = np.zeros(int(mine.sum()), np.int64)
    for leaf in proof.leaves:
        inside = np.ones(len(count), np.bool_)
        for split in leaf.splits:
            node = split.node
            if node not in graph.sources:
                node = graph.nodes[node].operands[0]
            value = values[node][:, split.neuron]
            inside &= value >= split.threshold if split.above else value <= split.threshold
        count += inside
    np.testing.assert_array_equal(count, 1)


@settings(max_examples=8, **quietly)
@given(seed=st.integers(0, 2**32 - 1))
def test_sets_of_raw_samples_are_decided_as_brute_force_does(seed: int) -> None:
    case = raw_case(seed, "linf:5uV")
    run = verify(case, replace(UNLIMITED, seconds=0.5))
    assert not (run.mask(Outcome.PROVED) & ~case.holds).any()
    assert not (run.mask(Outcome.FALSIFIED) & case.holds).any()


@pytest.mark.parametrize("text", ["gain:30%", "offset:9uV", "gain:20%+linf:5uV", "hum:10uV@50Hz"])
def test_pieces_prove_nothing_that_a_member_refutes(text: str) -> None:
    branched = 0
    for seed in range(8):
        case = raw_case(seed, text)
        run = verify(case, replace(UNLIMITED, seconds=0.3))
        assert not (run.mask(Outcome.PROVED) & ~case.holds).any()
        branched += sum(each.method is Method.BRANCHING for each in run.results)
        for result in run.results:
            if result.proof is not None and result.method is Method.BRANCHING:
                assert_pieces_cover(case, result.proof)
    assert branched > 0


def assert_pieces_cover(case: TinyCase, proof: Proof) -> None:
    """Random parameters lie in at least one leaf's piece."""
    whole = case.perturbation.whole(case.held.select(np.array([0])))
    random = np.random.default_rng(0)
    for low, high in zip(whole.low, whole.high, strict=True):
        for point in random.uniform(low, high, (20, len(low))):
            assert any(
                (leaf.piece[0] <= point).all() and (point <= leaf.piece[1]).all()
                for leaf in proof.leaves
            )


@pytest.mark.parametrize("seed", range(6))
def test_a_proof_for_any_runtime_is_one_for_the_firmware(seed: int) -> None:
    case = lsb_case(seed)
    run = verify(case, VerifySettings(runtime=Runtime.ANY, seconds=0.3))
    assert not (run.mask(Outcome.PROVED) & ~case.holds).any()


def test_the_time_limit_is_kept_and_said() -> None:
    case = _hard_case()
    begin = time.monotonic()
    run = verify(case, VerifySettings(seconds=0.05))
    assert run.total.timeout > 0
    assert time.monotonic() - begin < 10.0


def _hard_case() -> TinyCase:
    """Return a case that bounds alone do not decide."""
    for seed in range(100):
        case = lsb_case(seed)
        bounds_only = VerifySettings(seconds=0)
        if verify(case, bounds_only).mask(Outcome.UNKNOWN).any():
            return case
    raise AssertionError("bounds decide every case")


def test_without_time_nothing_is_split() -> None:
    run = verify(_hard_case(), VerifySettings(seconds=0))
    assert run.total.unknown > 0
    assert run.total.timeout == 0
    assert all(result.method is not Method.BRANCHING for result in run.results)


def test_the_same_seed_gives_the_same_results(tmp_path: object) -> None:
    case = raw_case(3)
    given = VerifySettings(seconds=0, seed=5, group=1)
    first, second = verify(case, given), verify(case, given, executor=Executor(store=tmp_path))
    kept = verify(case, given, executor=Executor(store=tmp_path))
    for one, other, third in zip(first.results, second.results, kept.results, strict=True):
        assert (one.outcome, one.method, one.margin) == (other.outcome, other.method, other.margin)
        assert other.seconds == third.seconds


def test_results_survive_being_bytes() -> None:
    results = tuple(result for seed in range(6) for result in verify(lsb_case(seed)).results)
    found = decode_results(encode_results(results))
    assert len(found) == len(results)
    for one, other in zip(results, found, strict=True):
        assert (one.outcome, one.method, one.decision) == (
            other.outcome,
            other.method,
            other.decision,
        )
        assert one.margin == other.margin
        if one.proof is not None:
            for leaf, again in zip(one.proof.leaves, other.proof.leaves, strict=True):
                assert leaf.splits == again.splits
                np.testing.assert_array_equal(leaf.lower, again.lower)
                if leaf.lines is not None:
                    np.testing.assert_array_equal(leaf.lines.multipliers, again.lines.multipliers)
                    for node, slopes in leaf.lines.lower.items():
                        np.testing.assert_array_equal(slopes, again.lines.lower[node])
        if one.counterexample is not None:
            np.testing.assert_array_equal(one.counterexample.raw, other.counterexample.raw)


def test_tallies_never_merge_outcomes() -> None:
    case = lsb_case(0)
    run = verify(case)
    total = run.total
    assert total.proved + total.falsified + total.unknown + total.timeout == total.n
    assert sum(each.n for each in run.by_class()) == total.n
    assert sum(each.proved for each in run.by_record()) == total.proved
    assert total.share <= total.limit


def test_negative_settings_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="negative"):
        VerifySettings(seconds=-1)


def test_stages_stop_where_a_window_is_decided() -> None:
    case = lsb_case(1)
    stages = Stages(
        case.network,
        case.held,
        parse_perturbation("linf:0lsb"),
        runtime=Runtime.FIRMWARE,
        seconds=1e6,
        keeps_proofs=True,
        random=np.random.default_rng(0),
    )
    stages.intervals()
    # A set of one member: every decision holds by intervals alone.
    assert all(each.outcome is Outcome.PROVED for each in stages.results())
    assert all(each.method is Method.INTERVAL for each in stages.results())
