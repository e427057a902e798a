"""Pruned networks compute what the dense ones do without those channels; counts are real."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from edgeprune.classifiers import (
    ClassifierSpec,
    create,
    load_classifier,
    logits_of,
    save_classifier,
)
from edgeprune.classifiers.structure import layer_widths
from edgeprune.config import PruningSettings
from edgeprune.errors import (
    ConfigurationError,
    ModelError,
    TargetTooSmallError,
    UnknownNameError,
)
from edgeprune.progress import Silent
from edgeprune.pruning import (
    Cost,
    Materials,
    Removal,
    apply,
    count,
    prune,
    replay,
    without_windows,
)
from edgeprune.pruning.channels import channel_candidates
from tests.quantization.networks import everything

SHAPE = (32, 1)
SETTINGS = PruningSettings(ratio=0.5, steps=2, channel_multiple=2)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def untouched(model: nn.Module, _: int) -> nn.Module:
    return model


def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(5, 1, 32, generator=generator), torch.randn(5, 2, generator=generator)


def materials(model: nn.Module) -> Materials:
    return without_windows(model, SHAPE, 2)


def residual() -> nn.Module:
    model = create("residual-ecg", SHAPE, 2, 3, seed=1).eval()
    generator = torch.Generator().manual_seed(2)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm1d):
            layer.weight.data.uniform_(0.2, 2, generator=generator)
    return model


def flat() -> nn.Module:
    """Convolution, flatten, dense: the case that structured pruning is known to break."""
    with torch.random.fork_rng():
        torch.manual_seed(4)
        return nn.Sequential(
            nn.Conv1d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool1d(4), nn.Flatten(),
            nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 3),
        ).eval()  # fmt: skip


def silence(model: nn.Module, layer: str, norm: str | None, channels: tuple[int, ...]) -> None:
    """Make output channels of a layer exactly zero."""
    layers = dict(model.named_modules())
    names = ("weight", "bias")
    for part in [layers[layer], *([layers[norm]] if norm else [])]:
        for name in names:
            tensor = getattr(part, name)
            if tensor is not None:
                tensor.data[list(channels)] = 0


@pytest.mark.parametrize(
    ("layer", "norm"),
    [("block2.first.conv", "block2.first.norm"), ("rhythm", None), ("joint", None)],
)
def test_residual_network_without_zeroed_channels_is_the_same(layer: str, norm: str | None) -> None:
    model = residual()
    channels = (1, 4, 5)
    silence(model, layer, norm, channels)
    signal, rhythm = inputs()
    narrower = apply(model, [Removal(layer, channels, 0.0)], (signal, rhythm))
    assert torch.allclose(model(signal, rhythm), narrower(signal, rhythm), atol=1e-6)
    assert count(narrower, (signal, rhythm)).parameters < count(model, (signal, rhythm)).parameters


def test_channels_tied_by_an_addition_go_together() -> None:
    model = residual()
    for layer, norm in (
        ("stage1.conv", "stage1.norm"),
        ("block1.second.conv", "block1.second.norm"),
    ):
        silence(model, layer, norm, (0, 7))
    signal, rhythm = inputs()
    narrower = apply(model, [Removal("stage1.conv", (0, 7), 0.0)], (signal, rhythm))
    widths = {width.layer: width.outputs for width in layer_widths(narrower)}
    assert widths["stage1.conv"] == widths["block1.second.conv"] == 14
    assert widths["block1.second.norm"] == 14
    assert torch.allclose(model(signal, rhythm), narrower(signal, rhythm), atol=1e-6)


def test_flatten_that_is_concatenated_with_something_else() -> None:
    model = create("residual-ecg", (96, 2), 18, 5, seed=1).eval()
    example = torch.randn(2, 2, 96), torch.randn(2, 18)
    for layer in ("stage3", "block3.second"):
        silence(model, f"{layer}.conv", f"{layer}.norm", (1, 30))
    silence(model, "rhythm", None, (0, 31))
    removals = [Removal("stage3.conv", (1, 30), 0.0), Removal("rhythm", (0, 31), 0.0)]
    narrower = apply(model, removals, example)
    assert narrower.joint.in_features == 3 * 30 + 30
    assert torch.allclose(model(*example), narrower(*example), atol=1e-6)
    both = everything()
    silence(both, "rhythm", None, (1,))
    narrower = apply(both, [Removal("rhythm", (1,), 0.0)], inputs())
    assert torch.allclose(both(*inputs()), narrower(*inputs()), atol=1e-6)


@pytest.mark.parametrize("name", ["certifiable-ecg", "certifiable-ecg-form"])
def test_certifiable_network_without_zeroed_channels_is_the_same(name: str) -> None:
    model = create(name, (96, 2), 18, 5, seed=1).eval()
    example = torch.randn(2, 2, 96), torch.randn(2, 18)
    removals = []
    for layer, channels in (("convolutions.0", (1, 9)), ("rhythm", (0, 31)), ("joint", (7,))):
        silence(model, layer, None, channels)
        removals.append(Removal(layer, channels, 0.0))
    narrower = apply(model, removals, example)
    assert narrower.dense.in_features == model.dense.in_features - 1
    assert torch.allclose(model(*example), narrower(*example), atol=1e-6)


@pytest.mark.parametrize("layer", ["0", "4"])
def test_flatten_between_convolution_and_dense(layer: str) -> None:
    model = flat()
    silence(model, layer, None, (2, 3))
    signal, _ = inputs()
    narrower = apply(model, [Removal(layer, (2, 3), 0.0)], (signal,))
    assert torch.allclose(model(signal), narrower(signal), atol=1e-6)
    assert narrower[4].in_features == (48 if layer == "0" else 64)


@pytest.mark.parametrize("scope", ["global", "local"])
@pytest.mark.parametrize("importance", ["l1", "l2"])
@pytest.mark.parametrize("name", ["residual", "flat", "everything"])
def test_ratio_is_reached_and_replayable(name: str, importance: str, scope: str) -> None:
    model = {"residual": residual, "flat": flat, "everything": everything}[name]()
    settings = replace(SETTINGS, ratio=0.3, importance=importance, scope=scope)
    result = prune(model, materials(model), settings, untouched, Silent())
    assert 0.3 <= 1 - result.after.parameters / result.before.parameters < 0.65
    assert result.after.multiply_accumulates <= result.before.multiply_accumulates
    assert len(result.steps) == 2
    assert result.steps[0].after == result.steps[1].before
    again = replay(model, result.steps, materials(model).example)
    signal, rhythm = inputs()
    assert torch.equal(logits_of(again, signal, rhythm), logits_of(result.model, signal, rhythm))
    assert logits_of(again, signal, rhythm).shape == (5, 3)
    for width in layer_widths(result.model):
        last = width.layer in ("dense", "6", "entry", "rhythm_norm")
        assert last or width.outputs % 2 == 0


def test_local_scope_thins_all_layers_alike() -> None:
    model = flat()
    local = channel_candidates(model, materials(model), replace(SETTINGS, scope="local"))
    assert {removal.layer for removal in local[:3]} == {"0", "4"}


def test_least_important_channels_go_first() -> None:
    model = flat()
    for layer in ("0", "4"):
        silence(model, layer, None, (0, 5))
    first = channel_candidates(model, materials(model), SETTINGS)[:2]
    assert {(removal.layer, removal.channels) for removal in first} == {
        ("0", (0, 5)),
        ("4", (0, 5)),
    }


def test_counts_are_those_of_the_formulas() -> None:
    model = flat()
    model[0].weight.data[0] = 0
    counts = count(model, (torch.zeros(1, 1, 32),))
    assert counts.parameters == 8 * 3 + 8 + 64 * 12 + 12 + 12 * 3 + 3
    assert counts.nonzero == 7 * 3 + 64 * 12 + 12 * 3
    assert counts.multiply_accumulates == 8 * 3 * 32 + 64 * 12 + 12 * 3


def measured(model: nn.Module) -> Cost:
    counts = count(model, inputs())
    return Cost(
        flash=1000 + counts.parameters, ram=500, instructions=2 * counts.multiply_accumulates
    )


def test_budget_is_met_with_as_little_as_possible() -> None:
    model = residual()
    dense = measured(model)
    settings = replace(SETTINGS, max_instructions=int(dense.instructions * 0.6), ratio=0.9)
    calls = []

    def measure(candidate: nn.Module) -> Cost:
        calls.append(candidate)
        return measured(candidate)

    def fine_tune(candidate: nn.Module, number: int) -> nn.Module:
        tuned = apply(candidate, [], inputs())
        for parameter in tuned.parameters():
            parameter.data += 0.01 * number
        return tuned

    result = prune(model, materials(model), settings, fine_tune, Silent(), measure)
    cost = measured(result.model)
    assert cost.instructions <= settings.max_instructions
    assert cost.instructions > 0.8 * settings.max_instructions
    assert result.steps[-1].cost == cost
    assert len(calls) < 20


def test_network_within_the_budget_is_left_alone() -> None:
    model = residual()
    settings = replace(SETTINGS, max_flash=10**9)
    result = prune(model, materials(model), settings, untouched, Silent(), measured)
    assert result.steps == ()
    assert result.before == result.after
    assert (
        prune(model, materials(model), replace(SETTINGS, method="none"), untouched, Silent()).steps
        == ()
    )


def test_what_cannot_be_reached_says_how_far_it_went() -> None:
    model = residual()
    with pytest.raises(TargetTooSmallError, match="ram: smallest reached 500, budget 400"):
        prune(
            model, materials(model), replace(SETTINGS, max_ram=400), untouched, Silent(), measured
        )
    settings = replace(SETTINGS, ratio=0.95, channel_multiple=16)
    with pytest.raises(ConfigurationError, match="the smallest reached is"):
        prune(model, materials(model), settings, untouched, Silent())
    with pytest.raises(ConfigurationError, match="nothing that measures"):
        prune(model, materials(model), replace(SETTINGS, max_ram=400), untouched, Silent())
    with pytest.raises(UnknownNameError, match="did you mean 'channel'"):
        prune(model, materials(model), replace(SETTINGS, method="channels"), untouched, Silent())
    with pytest.raises(ModelError, match="no channels"):
        apply(model, [Removal("stage1.conv", (99,), 0.0)], inputs())


def test_pruned_network_survives_its_file(tmp_path: Path) -> None:
    model = residual()
    result = prune(model, materials(model), SETTINGS, untouched, Silent())
    spec = ClassifierSpec("residual-ecg", SHAPE, 2, 3)
    save_classifier(result.model, spec, tmp_path / "a.safetensors")
    again, _ = load_classifier(tmp_path / "a.safetensors")
    assert torch.equal(again(*inputs()), result.model(*inputs()))
    assert layer_widths(again) == layer_widths(result.model)
