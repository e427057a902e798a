"""Gradient attacks against brute force over tiny sets, and what a result says."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import pytest
import torch

from edgeprune.attacks import (
    ATTACKS,
    AttackResult,
    AttackSettings,
    Ball,
    IntegerVictim,
    Victim,
    judged,
)
from edgeprune.attacks.losses import cross_entropy, logits_ratio, margin, targeted_ratio
from edgeprune.errors import ConfigurationError
from tests import certified_beats
from tests.verification.perturbed_networks import raw_case

# A converter of 4 bits and seven samples: all changes by one count, and all small ones by more.
_MORE = np.array(list(product(range(-3, 4), repeat=7)), np.int16)
CHANGES = _MORE[(np.abs(_MORE).max(axis=1) <= 1) | (np.abs(_MORE).sum(axis=1) <= 3)]
# Those of the first dozen of which some window breaks in some ball.
SEEDS = (0, 1, 2, 4, 5, 9)
BALLS = ("linf:5uV", "l1:15uV", "l2:11uV")
HELD = certified_beats.beats(16)
NETWORK = certified_beats.network(HELD)
FAST = AttackSettings(steps=8, rounds=0)


@cache
def tiny(seed: int) -> IntegerVictim:
    case = raw_case(seed, "linf:5uV")
    return IntegerVictim(case.network, case.held)


@cache
def fragile(seed: int, text: str) -> tuple[bool, ...]:
    """Return for each window whether any member of the ball is decided otherwise."""
    victim, ball = tiny(seed), Ball.parse(text)
    found = []
    for window, own in enumerate(victim.decide(victim.held.raw, np.arange(2))):
        rows = np.full(len(CHANGES), window)
        raw = (victim.held.raw[window] + CHANGES).astype(np.int16)
        raw = raw[ball.contains(victim.held.select(rows), raw)]
        found.append(bool((victim.decide(raw, rows[: len(raw)]) != own).any()))
    return tuple(found)


def attacked(name: str, victim: Victim, ball: Ball, settings: AttackSettings) -> AttackResult:
    rows = np.arange(len(victim.held))
    labels = victim.decide(victim.held.raw, rows)
    result = ATTACKS.get(name)(victim, labels, ball, settings)
    assert (result.decided_before == labels).all()
    np.testing.assert_array_equal(result.decided_after, victim.decide(result.raw, rows))
    np.testing.assert_array_equal(result.success, result.decided_after != labels)
    assert ball.contains(victim.held, result.raw).all()
    assert (result.queries > 0).all()
    return result


@pytest.mark.parametrize("text", BALLS)
def test_attacks_find_most_of_what_brute_force_finds_and_nothing_else(text: str) -> None:
    found = total = 0
    settings = AttackSettings(steps=6, restarts=3, rounds=20, seed=1)
    for seed in SEEDS:
        truth = np.array(fragile(seed, text))
        any_found = np.zeros(len(truth), np.bool_)
        for name in ("fgsm", "pgd", "apgd-ce", "apgd-t"):
            result = attacked(name, tiny(seed), Ball.parse(text), settings)
            assert not (result.success & ~truth).any()
            any_found |= result.success
        total, found = total + int(truth.sum()), found + int(any_found.sum())
    assert found >= 0.6 * total >= 3, (found, total)


def test_few_samples_are_found_too() -> None:
    found = total = 0
    settings = AttackSettings(steps=10, restarts=2, rounds=20)
    for seed in SEEDS:
        victim = tiny(seed)
        least, greatest = victim.held.count_range
        values = np.arange(least, greatest + 1, dtype=np.int16)
        result = attacked("pgd", victim, Ball.parse("l0:1"), settings)
        for window, own in enumerate(result.labels):
            raw = np.repeat(victim.held.raw[window][np.newaxis], 7 * len(values), axis=0)
            raw[np.arange(len(raw)), np.repeat(np.arange(7), len(values))] = np.tile(values, 7)
            decided = victim.decide(raw, np.full(len(raw), window))
            truth = bool((decided != own).any())
            assert truth or not result.success[window]
            total, found = total + truth, found + int(result.success[window])
    assert found >= 0.7 * total >= 3, (found, total)


@pytest.mark.parametrize("name", ["pgd", "apgd-ce"])
@pytest.mark.parametrize("text", ["linf:40uV", "l2:300uV"])
def test_equal_seeds_equal_results(name: str, text: str) -> None:
    victim = IntegerVictim(NETWORK, HELD)
    settings = AttackSettings(steps=4, restarts=2, rounds=1, seed=7, random_start=True)
    first = attacked(name, victim, Ball.parse(text), settings)
    again = attacked(name, victim, Ball.parse(text), settings)
    np.testing.assert_array_equal(first.raw, again.raw)
    np.testing.assert_array_equal(first.queries, again.queries)


def test_large_balls_break_most_windows_and_none_of_size_0_does() -> None:
    victim = IntegerVictim(NETWORK, HELD)
    for name in ("pgd", "apgd-ce", "apgd-dlr", "apgd-t"):
        rates = [
            attacked(name, victim, Ball("linf", size), FAST).success_rate
            for size in (0.0, 100.0, 3000.0)
        ]
        assert rates[0] == 0
        assert min(rates[1:]) > 0.6, name


def test_windows_decided_wrongly_are_left_alone() -> None:
    victim = IntegerVictim(NETWORK, HELD)
    rows = np.arange(len(HELD))
    labels = victim.decide(HELD.raw, rows)
    labels[::2] = (labels[::2] + 1) % 3
    result = ATTACKS.get("pgd")(victim, labels, Ball("linf", 2000.0), FAST)
    assert result.attacked.tolist() == [bool(row % 2) for row in rows]
    assert not result.success[::2].any()
    assert (result.size[::2] == 0).all()
    np.testing.assert_array_equal(result.raw[::2], HELD.raw[::2])
    right = result.attacked & ~result.success
    assert result.robust_accuracy == right.mean()
    assert result.success_rate == result.success.sum() / 8


def test_a_candidate_outside_the_ball_or_the_range_never_counts() -> None:
    victim = IntegerVictim(NETWORK, HELD)
    rows = np.arange(len(HELD))
    labels = victim.decide(HELD.raw, rows)
    broken = ATTACKS.get("pgd")(victim, labels, Ball("linf", 3000.0), FAST)
    assert broken.success.sum() > 4
    small = Ball("linf", 10.0)
    none = judged("made up", victim, labels, small, broken.raw, broken.queries)
    assert not none.success.any()
    assert np.isinf(none.size).all()
    np.testing.assert_array_equal(none.raw, HELD.raw)
    far = HELD.raw + np.int16(5000)
    assert not judged("made up", victim, labels, Ball("linf"), far, broken.queries).success.any()
    better = none.better_of(broken)
    np.testing.assert_array_equal(better.success, broken.success)
    np.testing.assert_array_equal(better.select(np.array([3])).raw[0], broken.raw[3])


def test_what_an_attack_cannot_do_is_refused_with_a_hint() -> None:
    victim = IntegerVictim(NETWORK, HELD)
    labels = np.zeros(len(HELD), np.int64)
    for name, text in (("apgd-ce", "l0:3"), ("pgd", "linf")):
        with pytest.raises(ConfigurationError) as raised:
            ATTACKS.get(name)(victim, labels, Ball.parse(text), FAST)
        assert raised.value.hint
    with pytest.raises(ConfigurationError):
        AttackSettings(steps=0)


def test_slopes_of_losses_are_those_that_torch_finds() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(12, 5)) * 3
    labels, targets = random.integers(0, 4, 12), np.full(12, 4)
    rows = np.arange(12)

    def ratio(values: torch.Tensor) -> torch.Tensor:
        # Croce and Hein (2020), equation 6, as written.
        ordered = values.sort(1, descending=True).values
        own = values[rows, labels]
        others = values.clone()
        others[rows, labels] = -np.inf
        return -(own - others.max(1).values) / (ordered[:, 0] - ordered[:, 2])

    def targeted(values: torch.Tensor) -> torch.Tensor:
        # Equation 7.
        ordered = values.sort(1, descending=True).values
        span = ordered[:, 0] - (ordered[:, 2] + ordered[:, 3]) / 2
        return -(values[rows, labels] - values[rows, targets]) / span

    def entropy(values: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(values, torch.from_numpy(labels), reduction="none")

    for made, expected in (
        (cross_entropy, entropy),
        (logits_ratio, ratio),
        (targeted_ratio(targets), targeted),
    ):
        values = torch.from_numpy(logits).requires_grad_()
        loss = expected(values)
        (slope,) = torch.autograd.grad(loss.sum(), values)
        found, found_slope = made(logits, labels)
        np.testing.assert_allclose(found, loss.detach().numpy())
        np.testing.assert_allclose(found_slope, slope.numpy(), atol=1e-12)
    # Neither scale nor shift changes a ratio; of two classes it is the margin.
    np.testing.assert_allclose(
        logits_ratio(7 * logits + 3, labels)[0], logits_ratio(logits, labels)[0]
    )
    two = logits[:, :2]
    np.testing.assert_array_equal(logits_ratio(two, labels % 2)[0], margin(two, labels % 2)[0])
