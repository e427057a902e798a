"""The square attack: members only, resumable to the bit, and it finds what is there to find."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeprune.attacks import ATTACKS, AttackSettings, Ball, IntegerVictim
from edgeprune.attacks.square import SquareSearch, SquareState, margins
from edgeprune.errors import ConfigurationError, DataError
from tests.verification.perturbations.beats import recorded
from tests.verification.perturbed_networks import raw_case

BALLS = ("linf:60uV", "l2:900uV")


def run(search: SquareSearch, held_rows: np.ndarray, batches: int, least: int) -> None:
    for _ in range(batches):
        asked = search.ask()
        if asked is None:
            return
        middle = slice(250, 330)
        recorded_mean = held_rows[asked.rows][:, middle].mean(axis=1)
        margin = least - (asked.raw[:, middle].mean(axis=1) - recorded_mean)
        search.tell(margin, margin < 0)


@pytest.mark.parametrize("text", BALLS)
def test_a_network_that_sees_a_level_is_turned_without_a_gradient(text: str) -> None:
    held, ball = recorded(), Ball.parse(text)
    search = SquareSearch(held, ball, AttackSettings(queries=150))
    run(search, held.raw, 150, 9)
    assert search.state.flipped.all()
    assert ball.contains(held, search.state.raw).all()
    assert (search.state.queries < 150).any()


@settings(max_examples=8, deadline=None)
@given(st.sampled_from(BALLS), st.integers(0, 2**32), st.integers(0, 30))
def test_all_that_is_asked_is_a_member_and_depends_on_seed_and_state_alone(
    text: str, seed: int, stop: int
) -> None:
    held, ball = recorded(), Ball.parse(text)
    chosen = AttackSettings(queries=40, seed=seed)
    whole = SquareSearch(held, ball, chosen)
    run(whole, held.raw, stop, 1000)
    state = whole.state
    resumed = SquareSearch(held, ball, chosen, state)
    first, second = whole.ask(), resumed.ask()
    assert first is not None
    assert second is not None
    assert ball.contains(held.select(first.rows), first.raw).all()
    np.testing.assert_array_equal(first.raw, second.raw)
    assert whole.ask() is first


def test_a_search_resumes_from_its_file(tmp_path: Path) -> None:
    held, ball = recorded(), Ball.parse("linf:60uV")
    chosen = AttackSettings(queries=60)
    whole = SquareSearch(held, ball, chosen)
    run(whole, held.raw, 60, 11)
    part = SquareSearch(held, ball, chosen)
    run(part, held.raw, 17, 11)
    part.state.save(tmp_path / "state.npz")
    rest = SquareSearch(held, ball, chosen, SquareState.load(tmp_path / "state.npz"))
    run(rest, held.raw, 60, 11)
    np.testing.assert_array_equal(rest.state.raw, whole.state.raw)
    np.testing.assert_array_equal(rest.state.queries, whole.state.queries)
    (tmp_path / "state.npz").write_bytes(b"no state")
    with pytest.raises(DataError, match="no state"):
        SquareState.load(tmp_path / "state.npz")


def test_a_search_refuses_what_it_cannot_do() -> None:
    held, chosen = recorded(), AttackSettings()
    with pytest.raises(ConfigurationError, match="linf or l2"):
        SquareSearch(held, Ball.parse("l0:3"), chosen)
    with pytest.raises(ConfigurationError, match="linf or l2"):
        SquareSearch(held, Ball("l2"), chosen)
    search = SquareSearch(held, Ball.parse("linf:60uV"), chosen)
    with pytest.raises(ConfigurationError, match="without a question"):
        search.tell(np.zeros(1), np.zeros(1, np.bool_))
    other = held.select(np.arange(2))
    with pytest.raises(ConfigurationError, match="state"):
        SquareSearch(other, Ball.parse("linf:60uV"), chosen, search.state)


@pytest.mark.parametrize("name", ["square", "square-decisions"])
def test_it_turns_tiny_networks_wherever_brute_force_does(name: str) -> None:
    there = found = 0
    for seed in (1, 4, 14):
        case = raw_case(seed, "linf:5uV")
        victim = IntegerVictim(case.network, case.held)
        labels = victim.decide(case.held.raw, np.arange(case.windows))
        ball = Ball.parse("linf:5uV")
        result = ATTACKS.get(name)(victim, labels, ball, AttackSettings(queries=50))
        assert not (result.success & case.holds).any()
        assert (result.queries <= 50).all()
        there += int((~case.holds).sum())
        found += int(result.success.sum())
    assert there >= 3
    assert found >= 0.5 * there


def test_margins_are_of_the_right_class() -> None:
    logits = np.array([[3.0, 1.0, 2.0], [0.0, 5.0, 4.0]])
    np.testing.assert_array_equal(margins(logits, np.array([0, 2])), [1.0, -1.0])
