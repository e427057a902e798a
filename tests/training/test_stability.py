"""Penalties on units that can switch, with natural and adversarial training."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgeprune.classifiers import create
from edgeprune.config import RobustnessSettings
from edgeprune.errors import ConfigurationError
from edgeprune.training import CertifiedTraining
from edgeprune.training.batches import Batch
from edgeprune.training.bounded import Interval
from edgeprune.training.bounds import BoundedClassifier
from edgeprune.training.certified_losses import neuron_instability, rectifier_instability
from edgeprune.training.robust import check_robust, objective_of
from edgeprune.training.stability import StabilityObjective
from tests.training.bounded_modules import ADC, FEATURES, FRONT_END

ROBUST = RobustnessSettings(
    perturbation="linf:50uV", loss="natural", neuron_stability=2.0, overshoot=1.0, steps=2
)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def robust(**changes: Any) -> CertifiedTraining:
    return CertifiedTraining(replace(ROBUST, **changes), ADC, warm=True)


def some_batch(count: int = 6) -> Batch:
    generator = torch.Generator().manual_seed(8)
    return Batch(
        torch.randn(count, 2, 96, generator=generator),
        torch.randn(count, FEATURES, generator=generator),
        torch.arange(count) % 3,
        torch.linspace(400, 1600, count),
    )


def test_every_channel_of_every_layer_counts_alike() -> None:
    torch.manual_seed(5)
    first, second = nn.Conv1d(1, 3, 2, bias=False), nn.Linear(9, 5)
    norm = nn.BatchNorm1d(3)
    norm.weight.data = torch.tensor([2.0, -0.5, 1.5])
    model = nn.Sequential(first, norm, nn.ReLU(), nn.Flatten(), second, nn.ReLU()).eval()
    model.requires_grad_(requires_grad=False)
    value = torch.randn(7, 1, 4)
    signal = Interval(value, value, torch.full_like(value, 0.3))
    passed = BoundedClassifier(model)(signal, signal)
    channels = []
    # Interval arithmetic of a layer, by hand: centre and radius.
    positions = value.unfold(2, 2, 1)[:, 0]
    scale = norm.weight.detach() / (1 + norm.eps) ** 0.5
    centre = torch.einsum("npk,ck->ncp", positions, first.weight[:, 0]) * scale[:, None]
    radius = (first.weight[:, 0].abs().sum(1) * 0.3 * scale.abs())[:, None].expand_as(centre)
    for channel in range(3):
        low, high = centre[:, channel] - radius[:, channel], centre[:, channel] + radius[:, channel]
        unit = float(norm.weight.detach()[channel]) ** 2
        channels.append(float(-torch.tanh(1 + low * high / unit).mean()))
    low, high = (centre - radius).relu().flatten(1), (centre + radius).relu().flatten(1)
    middle = (low + high) / 2 @ second.weight.T + second.bias
    spread = (high - low) / 2 @ second.weight.abs().T
    units = (middle - spread) * (middle + spread)
    channels += (-torch.tanh(1 + units).mean(0)).tolist()
    assert neuron_instability(passed).item() == pytest.approx(np.mean(channels), rel=1e-4)


@pytest.mark.parametrize("loss", ["natural", "pgd"])
def test_the_penalty_comes_on_top_of_the_loss(loss: str) -> None:
    model = create("residual-ecg-small", (96, 2), FEATURES, 3, seed=4).train()
    batch, none = some_batch(), torch.zeros(())
    other = copy.deepcopy(model)  # statistics of the normalizations move with every pass
    objective = objective_of(model, FRONT_END, robust(loss=loss, relu_stability=0.5), none, 1)
    assert isinstance(objective, StabilityObjective)
    torch.manual_seed(1)
    found = objective(batch, 0.5)
    without = none
    if loss == "pgd":
        plain = robust(loss=loss, neuron_stability=0.0)
        torch.manual_seed(1)
        without = objective_of(other, FRONT_END, plain, none, 1)(batch, 0.5).added
    model.eval()
    passed = BoundedClassifier(model)(
        *objective._perturbed.inputs(batch.signal, batch.rhythm, batch.gain, 0.5)
    )
    expected = 2.0 * neuron_instability(passed) + 0.5 * rectifier_instability(passed)
    assert (found.added - without).item() == pytest.approx(0.5 * expected.item(), rel=1e-3)
    assert found.natural == (1.0 if loss == "natural" else 0.75)


def test_a_step_down_the_penalty_leaves_units_more_stable() -> None:
    model = create("residual-ecg-small", (96, 2), FEATURES, 3, seed=4).train()
    objective = objective_of(model, FRONT_END, robust(), torch.zeros(()), 1)
    assert isinstance(objective, StabilityObjective)

    def penalty() -> Tensor:
        return objective.penalty(some_batch(), 1.0)

    before = penalty()
    weights = [p for p in model.parameters() if p.ndim > 1]
    gradients = torch.autograd.grad(before, weights, allow_unused=True)
    with torch.no_grad():
        for weight, gradient in zip(weights, gradients, strict=True):
            if gradient is not None:
                weight.sub_(0.01 * gradient)
    assert penalty() < before
    assert model.training


def test_natural_training_may_have_the_penalty_alone() -> None:
    check_robust(robust(neuron_stability=0.01))
    check_robust(robust(neuron_stability=0.0, relu_stability=0.01))
    with pytest.raises(ConfigurationError, match="alone makes nothing robust"):
        check_robust(robust(neuron_stability=0.0))
