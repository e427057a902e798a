"""The ensemble, and whether hidden gradients are noticed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgeprune.attacks import ATTACKS, AttackSettings, Ball, FloatVictim, Guided, IntegerVictim
from edgeprune.attacks.ensemble import members
from edgeprune.attacks.masking import masking_report
from tests import certified_beats

HELD = certified_beats.beats(16)
NETWORK = certified_beats.network(HELD)
ROWS = np.arange(len(HELD))
SETTINGS = AttackSettings(steps=5, queries=60, rounds=0)


class Shallow(nn.Module):
    """A classifier that hides its gradients where it is told to: it decides by whole steps."""

    def __init__(self, hides: bool) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.hides = hides
        self.last = nn.Linear(96, 3)

    def forward(self, signal: Tensor, rhythm: Tensor) -> Tensor:
        beat = signal[:, 0]
        if self.hides:
            beat = torch.round(beat * 16) / 16
        return self.last(beat)


def shallow(hides: bool) -> tuple[FloatVictim, np.ndarray]:
    victim = FloatVictim(Shallow(hides), HELD.front_end, HELD)
    return victim, victim.decide(HELD.raw, ROWS)


def test_hidden_gradients_are_noticed_and_open_ones_are_not_blamed() -> None:
    for hides in (False, True):
        victim, labels = shallow(hides)
        report = masking_report(victim, labels, Ball("linf", 60.0), SETTINGS)
        checks = {check.name: check for check in report.checks}
        assert report.windows == len(HELD)
        assert checks["slopes"].passed is not hides
        assert checks["slopes"].values == (float(hides),)
        assert report.passed is not hides, [(c.name, c.values) for c in report.checks]
        for check in report.checks:
            assert len(check.values) == len(check.of)
            assert check.note
            assert check.question.endswith("?")


def test_the_ensemble_is_as_strong_as_its_strongest_member() -> None:
    victim = IntegerVictim(NETWORK, HELD)
    labels = victim.decide(HELD.raw, ROWS)
    ball = Ball("linf", 200.0)
    worst = ATTACKS.get("ensemble")(victim, labels, ball, SETTINGS)
    for attack in members(ball):
        alone = attack(victim, labels, ball, SETTINGS)
        if attack.name in ("apgd-ce", "apgd-t"):
            # Others draw other numbers where fewer windows are left.
            assert not (alone.success & ~worst.success).any()
        assert alone.success_rate <= worst.success_rate + 0.1
    assert worst.success_rate > 0
    np.testing.assert_array_equal(worst.decided_after, victim.decide(worst.raw, ROWS))
    assert ball.contains(HELD, worst.raw).all()
    led = Guided(victim, shallow(False)[0])
    assert ATTACKS.get("ensemble")(led, labels, ball, SETTINGS).success_rate >= (
        worst.success_rate - 0.1
    )


@pytest.mark.parametrize("norm", ["linf", "l1", "l2", "l0"])
def test_the_ensemble_knows_every_norm(norm: str) -> None:
    names = [attack.name for attack in members(Ball(norm))]
    assert len(names) >= 2
    assert all(norm in ATTACKS.get(name).norms for name in names)
