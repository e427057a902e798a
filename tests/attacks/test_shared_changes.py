"""Smooth, universal and transferred changes: what they promise about themselves."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from edgeprune.attacks import ATTACKS, AttackSettings, Ball, FloatVictim
from edgeprune.attacks.smooth import DEVIATIONS, SIZES, Smoother, smoothing_kernel
from edgeprune.attacks.transfer import lent, transfer_count, transferred
from edgeprune.attacks.universal import fit_universal, try_universal
from edgeprune.errors import ConfigurationError
from edgeprune.progress import Silent
from edgeprune.verification.held_inputs import HeldInputs
from tests.verification.perturbations.beats import recorded

SETTINGS = AttackSettings(steps=8, seed=2)


class Sensitive(nn.Module):
    """A network of two classes that listens to slow changes of the signal."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        weights = torch.randn(1, 2, 9, generator=torch.Generator().manual_seed(seed))
        self.convolution = nn.Conv1d(2, 1, 9)
        self.convolution.weight.data = weights
        self.convolution.bias.data.zero_()

    def forward(self, signal: torch.Tensor, rhythm: torch.Tensor) -> torch.Tensor:
        level = self.convolution(signal).relu().mean(dim=(1, 2))
        return torch.stack((level, 0.15 - level), dim=1) + 0 * rhythm.sum()


@cache
def victim(seed: int = 0) -> tuple[FloatVictim, np.ndarray]:
    held = recorded()
    attacked = FloatVictim(Sensitive(seed), held.front_end, held, f"float {seed}")
    return attacked, attacked.decide(held.raw, np.arange(len(held)))


def test_the_kernel_is_the_papers() -> None:
    mean = np.zeros(max(SIZES))
    for size, deviation in zip(SIZES, DEVIATIONS, strict=True):
        place = torch.arange(size) - size // 2
        gaussian = torch.softmax(-0.5 * (place.double() / deviation) ** 2, 0).numpy()
        first = (max(SIZES) - size) // 2
        mean[first : first + size] += gaussian / len(SIZES)
    np.testing.assert_allclose(smoothing_kernel(360.0), mean)
    # Twice as fast, twice as many samples: the same time.
    assert len(smoothing_kernel(720.0)) == 2 * (max(SIZES) - 1) + 1
    assert smoothing_kernel(100.0).sum() == pytest.approx(1)


def test_smoothing_is_a_convolution_and_its_pull_the_transpose() -> None:
    random = np.random.default_rng(0)
    held = recorded()
    noise, slope = random.normal(size=(2, *held.raw.shape))
    smoother = Smoother(held)
    kernel = smoothing_kernel(held.adc.rate_hz)
    wanted = [np.convolve(row, kernel, mode="same") for row in noise]
    np.testing.assert_allclose(smoother.smooth(noise), wanted, atol=1e-12)
    left = (smoother.smooth(noise) * slope).sum()
    assert left == pytest.approx((noise * smoother.pull(slope)).sum())


@pytest.mark.parametrize("text", ["linf:300uV", "l2:6mV"])
def test_smooth_changes_are_members_and_smoother_than_steps_of_plain_gradients(text: str) -> None:
    attacked, labels = victim()
    ball = Ball.parse(text)
    rough = ATTACKS.get("pgd")(attacked, labels, ball, SETTINGS)
    fine = ATTACKS.get("smooth")(attacked, labels, ball, SETTINGS)
    assert ball.contains(attacked.held, fine.raw).all()
    assert fine.success.any()

    def roughness(raw: np.ndarray) -> float:
        change = (raw.astype(float) - attacked.held.raw)[fine.success & rough.success]
        return float(np.abs(np.diff(change, axis=1)).sum() / np.abs(change).sum())

    assert (fine.success & rough.success).any()
    assert roughness(fine.raw) < roughness(rough.raw)


def test_one_change_is_the_same_for_all_and_fits_others() -> None:
    attacked, labels = victim()
    ball = Ball.parse("linf:400uV")
    found = fit_universal(attacked, labels, ball, SETTINGS, Silent())
    change = found.applied(attacked.held).astype(int) - attacked.held.raw
    low, high = attacked.held.count_range
    free = (attacked.held.raw + found.change >= low) & (attacked.held.raw + found.change <= high)
    assert (change == found.change)[free].all()
    result = try_universal(attacked, labels, ball, found)
    assert result.success.mean() == pytest.approx(found.turned)
    assert found.windows == len(labels)
    assert found.turned > 0
    part = attacked.held.select(np.arange(3))
    fewer = FloatVictim(Sensitive(0), part.front_end, part)
    assert try_universal(fewer, labels[:3], ball, found).success.tolist() == (
        result.success[:3].tolist()
    )
    with pytest.raises(ConfigurationError, match="length|samples"):
        found.applied(HeldInputs.of(part))


def test_one_change_in_lsb_of_the_inputs() -> None:
    held = HeldInputs.of(recorded())
    attacked = FloatVictim(Sensitive(0), recorded().front_end, held)
    labels = attacked.decide(held.raw, np.arange(len(held)))
    ball = Ball.parse("linf:9lsb")
    found = fit_universal(attacked, labels, ball, SETTINGS, Silent())
    raw = found.applied(held)
    assert ball.contains(held, raw).all()


def test_what_is_lent_goes_further_than_the_boundary_and_is_counted() -> None:
    source, labels = victim()
    other, _ = victim(seed=0)[0], None
    ball = Ball.parse("linf:300uV")
    found = lent(source, labels, ball, SETTINGS, Silent())
    tried = transferred(other, labels, ball, found)
    counts = transfer_count(found, tried)
    # To itself everything transfers.
    assert counts.both_turned == counts.source_turned == found.success.sum() > 0
    assert counts.rate == 1
    assert tried.attack.startswith("transfer from")
    assert (tried.queries == 1).all()
    stopped = ATTACKS.get("pgd")(source, labels, ball, SETTINGS)
    both = stopped.success & found.success
    rows = np.flatnonzero(both)
    wrong = [
        source.logits(result.raw[rows], rows)[np.arange(len(rows)), 1 - labels[rows]]
        for result in (stopped, found)
    ]
    assert (wrong[1] >= wrong[0] - 1e-6).all()
    smaller = FloatVictim(Sensitive(1), source.held.front_end, source.held.select(np.arange(2)))
    with pytest.raises(ConfigurationError, match="windows"):
        transferred(smaller, labels[:2], ball, found)
