"""Module robustness sensitivity, against closed forms and brute force, and what layers lose."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgeprune.classifiers import create
from edgeprune.config import PruningSettings, RobustnessSettings
from edgeprune.errors import ConfigurationError
from edgeprune.progress import Silent
from edgeprune.pruning import prune
from edgeprune.pruning.channels import channel_candidates, tied_layers
from edgeprune.pruning.edits import Removal
from edgeprune.pruning.materials import Materials
from edgeprune.pruning.sensitivity import (
    attacked_loss,
    by_sensitivity,
    module_sensitivity,
    paces,
)
from edgeprune.pruning.zeroing import ZeroCandidates, kernel_candidates, weight_candidates
from edgeprune.training import CertifiedTraining
from tests.training.bounded_modules import ADC, FEATURES, FRONT_END, beats


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def dense() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        return nn.Sequential(
            nn.Linear(6, 12), nn.ReLU(), nn.Dropout(0.5), nn.Linear(12, 12), nn.ReLU(),
            nn.Linear(12, 3),
        )  # fmt: skip


def loss_on(count: int = 40) -> Callable[[nn.Module], Tensor]:
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(count, 6, generator=generator)
    labels = torch.randint(0, 3, (count,), generator=generator)
    return lambda model: functional.cross_entropy(model(inputs), labels)


def weight_of(model: nn.Module, layer: str) -> Tensor:
    weight = model.get_submodule(layer).weight
    assert isinstance(weight, Tensor)
    return weight


def test_of_a_loss_linear_in_the_weights_it_is_the_length_of_the_gradient() -> None:
    model = dense()
    slope = torch.randn(12, 6)

    def loss(judged: nn.Module) -> Tensor:
        return (weight_of(judged, "0") * slope).sum() + 3

    found = module_sensitivity(model, {"a": ("0",), "b": ("3",)}, loss, size=0.3)
    expected = 0.3 * weight_of(model, "0").norm() * slope.norm()
    assert found["a"] == pytest.approx(float(expected.detach()), rel=1e-4)
    assert found["b"] == 0


def test_of_two_weights_it_is_the_greatest_loss_on_the_disc() -> None:
    model = nn.Sequential(nn.Linear(2, 1, bias=False))
    weight_of(model, "0").data = torch.tensor([[1.0, -0.5]])
    inputs, labels = torch.randn(30, 2), torch.randn(30, 1)

    def loss(judged: nn.Module) -> Tensor:
        return functional.huber_loss(judged(inputs), labels)

    with torch.no_grad():
        before = float(loss(model))
        radius = 0.4 * float(weight_of(model, "0").norm())
        angles, sizes = np.meshgrid(np.linspace(0, 2 * np.pi, 90), np.linspace(0, radius, 12))
        grid = np.stack((np.cos(angles) * sizes, np.sin(angles) * sizes), -1).reshape(-1, 2)
        rises = []
        for change in grid:
            other = copy.deepcopy(model)
            weight_of(other, "0").data += torch.from_numpy(change).float()
            rises.append(float(loss(other)) - before)
    found = module_sensitivity(model, {"a": ("0",)}, loss, size=0.4)["a"]
    assert found == pytest.approx(max(rises), rel=0.02)


def test_no_random_change_is_worse() -> None:
    model, loss = dense(), loss_on()
    state = copy.deepcopy(model.state_dict())
    modules = {"0": ("0",), "3": ("3",), "5": ("5",), "both": ("0", "3")}
    found = module_sensitivity(model.train(), modules, loss, size=0.2)
    generator = torch.Generator().manual_seed(1)
    model.eval()
    with torch.no_grad():
        before = float(loss(model))
        for name, layers in modules.items():
            weights = [weight_of(model, layer) for layer in layers]
            start = [weight.clone() for weight in weights]
            radius = 0.2 * torch.cat([weight.flatten() for weight in start]).norm()
            for _ in range(150):
                draws = [torch.randn(w.shape, generator=generator) for w in start]
                length = torch.cat([draw.flatten() for draw in draws]).norm()
                for weight, first, draw in zip(weights, start, draws, strict=True):
                    weight.copy_(first + radius * draw / length)
                assert float(loss(model)) - before <= found[name]
            for weight, first in zip(weights, start, strict=True):
                weight.copy_(first)
    # A module of two layers may put all of its change in one, of a radius that is larger yet.
    assert found["both"] >= max(found["0"], found["3"]) > 0
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())


def test_more_room_is_worse_and_what_has_been_pruned_stays() -> None:
    model, loss = dense(), loss_on()
    sizes = [module_sensitivity(model, {"3": ("3",)}, loss, size)["3"] for size in (0.05, 0.1, 0.3)]
    assert sizes == sorted(sizes)
    assert sizes[0] > 0
    weight_of(model, "3").data[:, 4:] = 0
    seen: list[Tensor] = []

    def watched(judged: nn.Module) -> Tensor:
        seen.append(weight_of(judged, "3").detach().clone())
        return loss(judged)

    module_sensitivity(model, {"3": ("3",)}, watched)
    assert all(not weight[:, 4:].any() for weight in seen)
    lengths = [float((weight - seen[0]).norm()) for weight in seen]
    assert max(lengths) == pytest.approx(0.1 * float(seen[0].norm()), rel=1e-4)


def test_paces_fall_as_sensitivity_rises_whatever_its_unit() -> None:
    found = paces({"a": 0.0, "b": 0.5, "c": 1.0, "d": 9.0, "e": 2.0})
    assert found["c"] == pytest.approx(0.5)
    assert found["a"] == 1
    assert found["d"] == pytest.approx(0.1)
    assert found["a"] > found["b"] > found["c"] > found["e"] > found["d"] > 0
    assert paces({"a": 0.0, "b": 500.0, "c": 1000.0, "d": 9000.0, "e": 2000.0}) == found
    assert paces({"a": 0.0, "b": 0.0}) == {"a": 1, "b": 1}


def residual() -> tuple[nn.Module, Materials]:
    model = create("residual-ecg-small", (32, 1), 2, 3, seed=1).eval()
    generator = torch.Generator().manual_seed(3)
    inputs = (
        torch.randn(30, 1, 32, generator=generator),
        torch.randn(30, 2, generator=generator),
    )
    labels = torch.randint(0, 3, (30,), generator=generator)

    def loss(judged: nn.Module) -> Tensor:
        return functional.cross_entropy(judged(*inputs), labels)

    return model, Materials((inputs[0][:2], inputs[1][:2]), inputs, labels, 0, lambda _: loss)


def untouched(model: nn.Module, _: int) -> nn.Module:
    return model


def settings(**changes: Any) -> PruningSettings:
    return PruningSettings(
        importance="l1", scope="sensitivity", channel_multiple=2, schedule="one-shot", **changes
    )


def test_layers_that_an_addition_ties_are_one_module() -> None:
    model, materials = residual()
    tied = tied_layers(model, materials.example)
    assert tied["stage3.conv"] == ("stage3.conv", "block3.second.conv")
    assert tied["block3.first.conv"] == ("block3.first.conv",)
    layers = ("stage3.conv", "block3.first.conv", "joint")
    assert materials.attack is not None
    found = by_sensitivity(model, layers, materials, settings())
    modules = {name: tied[name] for name in layers}
    assert found == paces(module_sensitivity(model, modules, materials.attack(model)))
    alone = by_sensitivity(model, layers, materials, settings(method="weight"))
    assert alone != found
    silent = Materials(materials.example, materials.inputs, materials.labels)
    with pytest.raises(ConfigurationError, match="what an attack achieves"):
        by_sensitivity(model, layers, silent, settings())


def test_every_layer_loses_the_common_multiple_of_its_pace() -> None:
    model, materials = residual()
    ratio = 0.5
    chosen = settings(ratio=ratio)
    candidates = channel_candidates(model, materials, chosen)
    assert all(isinstance(candidate, Removal) for candidate in candidates)
    layers = tuple(dict.fromkeys(candidate.layer for candidate in candidates))
    pace = by_sensitivity(model, layers, materials, chosen)
    available = {name: sum(c.layer == name for c in candidates) for name in layers}

    def lost(multiple: float) -> dict[str, int]:
        """Return how many sets each layer loses: those whose share is within its own."""
        return {
            name: int(np.floor(min(multiple * pace[name], 1) * (count + 1) + 1e-9))
            if multiple * pace[name] < 1
            else count
            for name, count in available.items()
        }

    result = prune(model, materials, chosen, untouched, Silent())
    (step,) = result.steps
    taken = {name: sum(edit.layer == name for edit in step.edits) for name in layers}
    # What is left meets the target, and would not with the last set kept.
    assert result.after.remaining <= round(result.before.remaining * (1 - ratio))
    # Bisection for the least multiple at which as many sets are gone.
    low, high = 0.0, 2 / min(pace.values())
    for _ in range(40):
        middle = (low + high) / 2
        if sum(lost(middle).values()) >= len(step.edits):
            high = middle
        else:
            low = middle
    assert lost(high) == taken


@pytest.mark.parametrize("rank", [weight_candidates, kernel_candidates])
def test_zeros_are_spread_by_sensitivity_too(
    rank: Callable[[nn.Module, Materials, PruningSettings], ZeroCandidates],
) -> None:
    model, materials = residual()
    chosen = settings(method="weight")
    candidates = rank(model, materials, chosen)
    layers = candidates.layers
    pace = by_sensitivity(model, layers, materials, chosen)
    zeros = {edit.layer: edit.positions for edit in candidates.first(len(candidates) // 5)}
    shares = {name: len(zeros[name]) / weight_of(model, name).numel() for name in layers}
    multiple = np.median([shares[name] / pace[name] for name in layers])
    for name, size in zip(layers, candidates.size, strict=True):
        pieces = weight_of(model, name).numel() // size
        expected = min(multiple * pace[name], 1 - 1 / pieces)
        assert abs(shares[name] - expected) < 2.5 / pieces


def test_the_attack_raises_the_loss_and_repeats_itself() -> None:
    model = create("certifiable-ecg", (96, 2), FEATURES, 3, seed=4)
    windows = beats(60, 1)
    losses = []
    for size in ("0.001uV", "150uV", "150uV"):
        attack = RobustnessSettings(perturbation=f"linf:{size}", steps=2)
        loss = attacked_loss(model, windows, FRONT_END, CertifiedTraining(attack, ADC), 12, 5)
        losses.append(loss(model))
    still, attacked, again = losses
    assert attacked > still
    assert torch.equal(attacked, again)
    (gradient,) = torch.autograd.grad(attacked, [weight_of(model, "joint")])
    assert gradient.abs().sum() > 0
