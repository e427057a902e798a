"""Norm balls: membership in plain integers, projections against a general solver."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from edgeprune.attacks import NORMS, Ball
from edgeprune.attacks.projections import onto_l0, onto_l1, onto_l2, whole_counts
from edgeprune.errors import ConfigurationError, EdgepruneError
from edgeprune.verification.held_inputs import HeldInputs
from edgeprune.verification.perturbations import parse_perturbation
from tests import certified_beats

HELD = certified_beats.beats(6)
TEXTS = ("linf:23uV", "l2:180uV", "l1:940uV", "l0:4", "linf:0uV", "l1:0uV", "l0:2000", "l2:3uV")


def inside_by_hand(text: str, before: list[int], after: list[int]) -> bool:
    norm, _, size = text.partition(":")
    most = float(size.removesuffix("uV"))
    if any(not -1024 <= value <= 1023 for value in after):
        return False
    changes = [abs(new - old) for old, new in zip(before, after, strict=True)]
    if norm == "linf":
        return max(changes) * 5 <= most
    if norm == "l1":
        return sum(changes) * 5 <= most
    if norm == "l2":
        return sum(each * each for each in changes) * 25 <= most * most
    return sum(each > 0 for each in changes) <= most


@pytest.mark.parametrize("text", TEXTS)
def test_all_that_a_ball_makes_is_a_member(text: str) -> None:
    ball, random = Ball.parse(text), np.random.default_rng(3)
    slope = random.normal(size=HELD.raw.shape) ** 3
    far = HELD.raw + random.normal(size=HELD.raw.shape) * 900
    made = [ball.random(HELD, random), ball.rounded(HELD, far), HELD.raw]
    made.append(ball.rounded(HELD, ball.steepest(HELD, slope)))
    for raw in made:
        assert raw.dtype == np.int16
        assert ball.contains(HELD, raw).all()
        for before, after in zip(HELD.raw.tolist(), raw.tolist(), strict=True):
            assert inside_by_hand(text, before, after)


@pytest.mark.parametrize("text", ["linf:20uV", "l2:40uV", "l1:60uV", "l0:3"])
def test_members_are_those_of_a_definition_in_plain_integers(text: str) -> None:
    ball, random = Ball.parse(text), np.random.default_rng(5)
    agreed = set()
    for _ in range(40):
        raw = HELD.raw.copy()
        for row in raw:
            places = random.choice(len(row), random.integers(0, 6), replace=False)
            row[places] += random.integers(-5, 6, len(places)).astype(np.int16)
        expected = [
            inside_by_hand(text, before, after)
            for before, after in zip(HELD.raw.tolist(), raw.tolist(), strict=True)
        ]
        assert ball.contains(HELD, raw).tolist() == expected
        if not text.startswith("l1"):
            assert parse_perturbation(text).contains(HELD, raw).tolist() == expected
        agreed.update(expected)
    assert agreed == {True, False}


def test_what_the_converter_cannot_deliver_is_no_member() -> None:
    raw = HELD.raw.copy()
    raw[:, 0] = 1500
    assert not Ball("linf", 1e6).contains(HELD, raw).any()
    assert not Ball("l0", 5, "").contains(HELD, raw).any()


@pytest.mark.parametrize(("project", "power"), [(onto_l2, 2), (onto_l1, 1)])
def test_projections_are_the_nearest_points_of_ball_and_box(project: object, power: int) -> None:
    random = np.random.default_rng(0)
    count = 5
    change = random.normal(size=(12, count)) * 4
    low, high = -random.uniform(0, 4, change.shape), random.uniform(0, 4, change.shape)
    radius = 4.0
    found = project(change, low, high, radius)  # type: ignore[operator]
    for row in range(len(change)):
        # |x| = up + down with x = up - down makes the l1 constraint smooth.
        bounds = [(0, each) for each in high[row]] + [(0, -each) for each in low[row]]

        def distance(parts: np.ndarray, row: int = row) -> float:
            return float(((parts[:count] - parts[count:] - change[row]) ** 2).sum())

        def spare(parts: np.ndarray) -> float:
            return radius**power - float(((parts[:count] + parts[count:]) ** power).sum())

        best = minimize(
            distance,
            np.zeros(2 * count),
            bounds=bounds,
            constraints={"type": "ineq", "fun": spare},
            method="SLSQP",
            options={"ftol": 1e-12, "maxiter": 300},
        )
        nearest = best.x[:count] - best.x[count:]
        np.testing.assert_allclose(found[row], nearest, atol=2e-3)
        assert (np.abs(found[row]) ** power).sum() <= radius**power + 1e-9


def test_few_samples_are_those_that_save_most_distance() -> None:
    random = np.random.default_rng(1)
    change = random.normal(size=(20, 6)) * 3
    low, high = -random.uniform(0, 3, change.shape), random.uniform(0, 3, change.shape)
    found = onto_l0(change, low, high, 2)
    for row in range(len(change)):
        clipped = np.clip(change[row], low[row], high[row])
        distances = []
        for first in range(6):
            for second in range(6):
                kept = np.zeros(6)
                kept[[first, second]] = clipped[[first, second]]
                distances.append(((kept - change[row]) ** 2).sum())
        assert ((found[row] - change[row]) ** 2).sum() == pytest.approx(min(distances))


@given(
    values=st.lists(st.floats(-9, 9), min_size=1, max_size=12),
    squares=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_whole_counts_stay_in_the_budget_and_near(values: list[float], squares: bool) -> None:
    change = np.array([values])
    budget = float((change**2).sum() if squares else np.abs(change).sum())
    whole = whole_counts(change, budget, squares=squares)
    assert (whole == np.rint(whole)).all()
    assert (np.abs(whole - change) <= 1 + 1e-6).all()
    used = (whole**2).sum() if squares else np.abs(whole).sum()
    assert used <= budget + 1e-6


@pytest.mark.parametrize("norm", ["linf", "l1", "l0"])
def test_the_steepest_member_gains_most(norm: str) -> None:
    ball = {"linf": Ball("linf", 20), "l1": Ball("l1", 300), "l0": Ball("l0", 3)}[norm]
    random = np.random.default_rng(2)
    slope = random.normal(size=HELD.raw.shape)
    gained = ((ball.steepest(HELD, slope) - HELD.raw) * slope).sum(axis=1)
    for _ in range(30):
        other = ((ball.random(HELD, random) - HELD.raw) * slope).sum(axis=1)
        assert (other <= gained + 1e-9).all()
    by_hand = {
        "linf": 4 * np.abs(slope).sum(axis=1),
        "l1": 60 * np.abs(slope).max(axis=1),
    }
    if norm in by_hand:
        np.testing.assert_allclose(gained, by_hand[norm])


@pytest.mark.parametrize(
    "text", ["linf:20uV", "l2:0.3uV", "l1:1234.5678uV", "l0:3", "l2", "linf:2lsb"]
)
def test_a_ball_is_read_as_it_is_written(text: str) -> None:
    ball = Ball.parse(text)
    assert ball.text == text
    assert Ball.parse(ball.text) == ball
    assert str(int(ball.size)) in ball.describe() if not math.isinf(ball.size) else True


@pytest.mark.parametrize("text", ["linf:20", "l3:5uV", "l0:2.5", "l0:3uV", "l2:-5uV", "linf:x", ""])
def test_what_is_no_ball_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(EdgepruneError) as raised:
        Ball.parse(text)
    assert raised.value.hint


def test_units_fit_the_windows() -> None:
    inputs = HeldInputs.of(HELD)
    with pytest.raises(ConfigurationError):
        Ball.parse("linf:20uV").contains(inputs, inputs.raw)
    with pytest.raises(ConfigurationError):
        Ball.parse("linf:2lsb").contains(HELD, HELD.raw)
    moved = inputs.raw.copy()
    moved[:, -1] += 1
    # The rhythm beside the signal does not move.
    assert not Ball.parse("linf:2lsb").contains(inputs, moved).any()


@pytest.mark.parametrize("norm", NORMS)
def test_without_a_size_only_the_range_bounds(norm: str) -> None:
    ball = Ball(norm)
    raw = ball.random(HELD, np.random.default_rng(0))
    assert ball.contains(HELD, raw).all()
    assert np.abs(raw).max() > 900
    np.testing.assert_array_equal(ball.norm_of(HELD, HELD.raw), 0)
