"""No claim of a prover is contradicted by brute force, and the harness notices where one is."""

from __future__ import annotations

import numpy as np
import pytest

from edgeprune.network import OPERATORS
from edgeprune.verification.linear_bounds import BoundSettings
from edgeprune.verification.verify import VerifySettings
from tests.verification import provers
from tests.verification.complete_mutations import COMPLETE, COMPLETE_MUTATIONS, nothing
from tests.verification.elementwise_mutations import ELEMENTWISE_MUTATIONS
from tests.verification.linear_mutations import LINEAR_MUTATIONS
from tests.verification.mutations import INTERVAL_MUTATIONS, try_mutation
from tests.verification.perturbed_networks import lsb_case, raw_case
from tests.verification.soundness import Claims, contradictions, search
from tests.verification.tiny_networks import TinyCase, elementwise_case, loose_case, tiny_case

PROVERS = {
    "interval": provers.interval,
    "linear, intervals within": provers.linear(BoundSettings(refines=False)),
    "linear": provers.linear(BoundSettings()),
    "linear, optimised": provers.linear(BoundSettings(iterations=4)),
}
ANY_RUNTIME = provers.linear(BoundSettings(iterations=2), rounding_lsb=1)
ALL_MUTATIONS = INTERVAL_MUTATIONS + LINEAR_MUTATIONS + ELEMENTWISE_MUTATIONS + COMPLETE_MUTATIONS


@pytest.mark.parametrize("name", PROVERS)
def test_brute_force_contradicts_nothing(name: str) -> None:
    result = search(PROVERS[name], range(90), draw=tiny_case)
    assert result.contradictions == ()
    assert result.proved > 20


@pytest.mark.parametrize("name", ["interval", "linear, optimised"])
def test_brute_force_over_products_and_tables_contradicts_nothing(name: str) -> None:
    result = search(PROVERS[name], range(45), draw=elementwise_case)
    assert result.contradictions == ()
    assert result.proved > 10


def test_no_runtime_that_is_off_by_an_lsb_contradicts_what_is_proved_of_any() -> None:
    result = search(ANY_RUNTIME, range(40), draw=loose_case)
    assert result.contradictions == ()
    assert result.proved > 5
    # The exact arithmetic's own proofs do not hold there.
    assert search(PROVERS["linear"], range(15), draw=loose_case).contradictions


@pytest.mark.parametrize("name", PROVERS)
def test_brute_force_over_raw_samples_contradicts_nothing(name: str) -> None:
    result = search(PROVERS[name], range(40), draw=raw_case)
    assert result.contradictions == ()
    assert result.proved > 20


def test_the_complete_prover_agrees_with_brute_force() -> None:
    prover = provers.complete(VerifySettings(seconds=3.0))
    result = search(prover, range(25), draw=lsb_case)
    assert result.contradictions == ()
    assert result.unsettled <= 2
    assert result.falsified == result.windows - result.holds


def test_the_complete_prover_is_right_about_raw_samples() -> None:
    prover = provers.complete(VerifySettings(seconds=0.2))
    result = search(prover, range(12), draw=raw_case)
    assert result.contradictions == ()
    assert result.proved > 5
    assert result.falsified > 2


def test_branch_and_bound_is_right_without_the_help_of_attacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nothing(monkeypatch)
    result = search(COMPLETE, range(10), draw=lsb_case)
    assert result.contradictions == ()
    assert result.proved > 3
    assert result.falsified == 0


@pytest.mark.parametrize("number", range(len(ALL_MUTATIONS)))
def test_a_broken_rule_is_noticed(number: int) -> None:
    mutation = ALL_MUTATIONS[number]
    row = try_mutation(mutation, 300 if mutation.expected else 20)
    assert row.caught == row.expected, f"{row.rule}: {row.change}"


def test_tiny_networks_have_every_operator_and_decisions_of_both_kinds() -> None:
    cases = [tiny_case(seed) for seed in range(120)]
    kinds = {operation.kind for case in cases for operation in case.network.operations}
    # Layers of two axes are the same rules over more cells; `test_two_axes` is about them.
    assert kinds == {name for name in OPERATORS if not name.endswith("2d")}
    held = np.concatenate([case.holds for case in cases])
    assert 0.3 < held.mean() < 0.8
    assert {case.shared is None for case in cases} == {True, False}
    assert {len(case.low) for case in cases} == {1, 2}


def test_the_members_are_the_whole_set() -> None:
    for seed in range(30):
        case = tiny_case(seed, shared=False)
        for window in range(case.windows):
            mine = case.owner == window
            rows = np.concatenate([m[mine].reshape(mine.sum(), -1) for m in case.members], axis=1)
            widths = [
                high[window].astype(int) - low[window] + 1
                for low, high in zip(case.low, case.high, strict=True)
            ]
            size = np.prod([np.prod(each) for each in widths])
            assert len(np.unique(rows, axis=0)) == len(rows) == size


def test_a_shared_change_supports_its_members() -> None:
    random = np.random.default_rng(3)
    for seed in range(20):
        shared = tiny_case(seed, shared=True).shared
        assert shared is not None
        directions = random.normal(size=(5, shared.reach.shape[1]))
        most = shared.support(directions)
        for window in range(len(most)):
            changes = shared.members(window)[0] * shared.gain[window]
            np.testing.assert_allclose(most[window], (directions @ changes.T).max(axis=1))


def _case_with(holds: bool) -> tuple[TinyCase, int]:
    for seed in range(100):
        case = tiny_case(seed)
        if (case.holds == holds).any():
            return case, int((case.holds == holds).argmax())
    raise AssertionError


def _complaints(case: TinyCase, claims: Claims) -> str:
    return "; ".join(each.what for each in contradictions(case, claims))


def test_a_wrong_proof_is_noticed() -> None:
    case, _ = _case_with(holds=False)
    every = np.ones(case.windows, np.bool_)
    assert "decided otherwise" in _complaints(case, Claims(proved=every))
    assert _complaints(case, Claims(proved=~every)) == ""


def test_a_wrong_counterexample_is_noticed() -> None:
    case, window = _case_with(holds=True)
    inside = tuple(values[window] for values in case.centre)
    assert "decided alike" in _complaints(case, Claims(falsified={window: inside}))
    outside = tuple(np.where(low[window] > -128, -128, 127) for low in case.low)
    found = _complaints(case, Claims(falsified={window: tuple(o.astype(np.int8) for o in outside)}))
    assert "no member" in found


def test_bounds_that_are_too_tight_by_one_are_noticed() -> None:
    for seed in range(10):
        case = tiny_case(seed)
        exact = provers.interval(case)
        name = case.network.inputs[0]
        high = {name: exact.high[name] - 1}
        assert "above" in _complaints(case, Claims(high=high))
        low = {name: exact.low[name] + 1}
        assert "below" in _complaints(case, Claims(low=low))
        classes = case.logits.shape[1]
        margins = np.array(
            [[case.least_margin(w, other) for other in range(classes)] for w in range(case.windows)]
        )
        assert _complaints(case, Claims(margins=margins.astype(np.float64))) == ""
        assert "margin" in _complaints(case, Claims(margins=margins + 1e-6))
