"""Criteria that look at activations, against brute force and textbooks."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import rel_entr, softmax
from torch import Tensor, nn

from edgeprune.classifiers import create
from edgeprune.config import PruningSettings
from edgeprune.errors import ConfigurationError
from edgeprune.pruning.channels import channel_candidates
from edgeprune.pruning.criteria import CRITERIA
from edgeprune.pruning.criteria.absolute_value import expected_absolute_value
from edgeprune.pruning.criteria.activations import activations
from edgeprune.pruning.criteria.divergence import probability_divergence
from edgeprune.pruning.criteria.feature_rank import feature_rank, numerical_ranks
from edgeprune.pruning.criteria.least_squares import (
    partial_least_squares,
    projection_importance,
)
from edgeprune.pruning.materials import Materials
from tests.quantization.networks import everything

FloatArray = NDArray[np.float64]
NAMES = ("expected-absolute-value", "hrank", "kl", "pls")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def materials(count: int = 60, length: int = 32) -> Materials:
    generator = torch.Generator().manual_seed(3)
    signal = torch.randn(count, 1, length, generator=generator)
    rhythm = torch.randn(count, 2, generator=generator)
    labels = (signal[:, 0, :8].sum(1) > 0).long() + (rhythm[:, 0] > 0.5).long()
    return Materials((signal[:2], rhythm[:2]), (signal, rhythm), labels)


def residual() -> nn.Module:
    model = create("residual-ecg", (32, 1), 2, 3, seed=1).eval()
    generator = torch.Generator().manual_seed(2)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm1d):
            layer.weight.data.uniform_(0.2, 2, generator=generator)
        if isinstance(layer, nn.BatchNorm1d | nn.Linear):
            layer.bias.data.uniform_(0.8, 1.5, generator=generator)
    model.get_submodule("joint").weight.data.abs_()  # so that no unit is dead
    return model


def plain() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        return nn.Sequential(
            nn.Conv1d(1, 6, 3, padding=1), nn.MaxPool1d(4), nn.ReLU(inplace=True), nn.Flatten(),
            nn.Linear(48, 5), nn.ReLU(), nn.Linear(5, 3),
        ).eval()  # fmt: skip


def of_signal_alone(found: Materials) -> Materials:
    return Materials(found.example[:1], found.inputs[:1], found.labels)


def watched(model: nn.Module, module: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    """Return what a module puts out."""
    seen: list[Tensor] = []
    handle = module.register_forward_hook(lambda *call: seen.append(call[2].detach().clone()))
    with torch.no_grad():
        model(*inputs)
    handle.remove()
    return seen[0]


def same(values: Tensor) -> Tensor:
    return values


def test_activations_are_taken_behind_the_rectifier_wherever_it_stands() -> None:
    given = materials()
    model = residual()
    parts = dict(model.named_modules())
    # Modules that end where the activations of a convolution end.
    ends = {
        "stage1.conv": "stage1",
        "block1.first.conv": "block1.first",
        "block1.second.conv": "block1",
    }
    found = activations(model, tuple(ends), given, same)
    for layer, end in ends.items():
        torch.testing.assert_close(found[layer], watched(model, parts[end], given.inputs))
    mixed = everything()
    found = activations(mixed, ("stem", "grouped", "depthwise", "joint", "dense"), given, same)
    assert isinstance(mixed.pool, nn.Module)
    parts = dict(mixed.named_modules())
    stem = watched(mixed, parts["stem_norm"], given.inputs).relu()
    pooled = watched(mixed, parts["pool"], given.inputs)
    grouped = (pooled + watched(mixed, parts["grouped"], given.inputs)).relu()
    depthwise = watched(mixed, parts["depthwise_norm"], given.inputs).clamp(0, 6)
    joint = watched(mixed, parts["joint_norm"], given.inputs).relu()
    torch.testing.assert_close(found["stem"], stem)
    torch.testing.assert_close(found["grouped"], grouped)
    torch.testing.assert_close(found["depthwise"], depthwise)
    torch.testing.assert_close(found["joint"][:, :, 0], joint)
    torch.testing.assert_close(found["dense"][:, :, 0], mixed(*given.inputs).detach())
    alone = of_signal_alone(materials(70))  # more than a batch
    sequence = plain()
    assert isinstance(sequence, nn.Sequential)
    found = activations(sequence, ("0", "4"), alone, same)
    torch.testing.assert_close(found["0"], sequence[:3](*alone.inputs).detach())
    torch.testing.assert_close(found["4"][:, :, 0], sequence[:6](*alone.inputs).detach())


def test_expected_absolute_value_is_the_mean_over_windows_and_positions() -> None:
    given = materials()
    model = residual()
    expected = watched(model, dict(model.named_modules())["block2"], given.inputs).abs()
    found = expected_absolute_value(model, ("block2.second.conv",), given)
    torch.testing.assert_close(found["block2.second.conv"], expected.mean((0, 2)))


def test_ranks_are_those_of_the_shapes_a_channel_knows() -> None:
    generator = np.random.default_rng(4)
    shapes = np.kron(np.eye(13)[:12], generator.uniform(0.5, 1.5, (1, 3)))
    kinds = (1, 3, 0, 12, 5)
    maps = [generator.uniform(0, 1, (60, k)) @ shapes[:k] for k in kinds]
    signal = torch.from_numpy(np.stack(maps, 1)).float()
    convolution = nn.Conv1d(5, 5, 1, bias=False)
    convolution.weight.data = torch.eye(5)[:, :, None]
    model = nn.Sequential(convolution, nn.ReLU(), nn.Flatten(), nn.Linear(195, 2))
    given = Materials((signal[:2],), (signal,), torch.zeros(60, dtype=torch.int64))
    found = feature_rank(model, ("0",), given)["0"]
    expected = []
    for values in maps:
        singular = np.linalg.svd(values, compute_uv=False)
        expected.append(int((singular > 0.05 * singular[0]).sum()) if singular[0] > 0 else 0)
    assert expected == list(kinds)
    assert found.floor().int().tolist() == expected
    assert found[2] == 0
    # Equal ranks: the larger activations decide, by less than a rank.
    twice = numerical_ranks(torch.stack((signal[:, 0], 2 * signal[:, 0], 0 * signal[:, 0])))
    assert twice.tolist() == [1, 1, 0]
    assert torch.equal(numerical_ranks(signal.transpose(0, 1)), numerical_ranks(
        signal.transpose(0, 1).transpose(1, 2)
    ))  # fmt: skip


def without(model: nn.Module, layer: str, norm: str | None, channel: int) -> nn.Module:
    """Return a copy whose channel has no weights, no bias, scale or shift."""
    copied = copy.deepcopy(model)
    for part in (layer, norm) if norm else (layer,):
        module = copied.get_submodule(part)
        for tensor in (module.weight, module.bias):
            if isinstance(tensor, Tensor):
                tensor.data[channel] = 0
    return copied


@pytest.mark.parametrize(
    ("layer", "norm"), [("block2.first.conv", "block2.first.norm"), ("joint", None)]
)
def test_divergence_is_that_of_the_network_without_the_channel(
    layer: str, norm: str | None
) -> None:
    given, model = materials(), residual()
    found = probability_divergence(model, (layer,), given)[layer]
    with torch.no_grad():
        p = softmax(model(*given.inputs).double().numpy(), axis=1)
        for channel in range(0, len(found), 5):
            silent = without(model, layer, norm, channel)
            q = softmax(silent(*given.inputs).double().numpy(), axis=1)
            expected = rel_entr(q, p).sum(1).mean()
            assert float(found[channel]) == pytest.approx(expected, rel=1e-3, abs=1e-9)
    assert found.max() > 0


def nipals(
    inputs: FloatArray, outputs: FloatArray, directions: int
) -> tuple[FloatArray, FloatArray]:
    """PLS2 as the textbooks have it, vector by vector; returns weights and VIP."""
    x = (inputs - inputs.mean(0)) / inputs.std(0)
    y = (outputs - outputs.mean(0)) / outputs.std(0)
    weights, explained = [], []
    for _ in range(directions):
        u = y[:, 0]
        for _ in range(3000):
            w = x.T @ u / (u @ u)
            w /= np.linalg.norm(w)
            t = x @ w
            q = y.T @ t / (t @ t)
            u = y @ q / (q @ q)
        p = x.T @ t / (t @ t)
        x, y = x - np.outer(t, p), y - np.outer(t, q)
        weights.append(w)
        explained.append((t @ t) * (q @ q))
    shares = np.square(np.stack(weights, 1)) @ np.array(explained) / np.sum(explained)
    return np.stack(weights, 1), np.sqrt(inputs.shape[1] * shares)


def test_partial_least_squares_is_the_textbook_s() -> None:
    generator = np.random.default_rng(6)
    inputs = generator.normal(size=(50, 8)) @ generator.normal(size=(8, 8))
    outputs = inputs[:, :3] @ generator.normal(size=(3, 3)) + generator.normal(size=(50, 3))
    found = partial_least_squares(torch.from_numpy(inputs), torch.from_numpy(outputs), 3)
    weights, importance = nipals(inputs, outputs, 3)
    signs = np.sign((found.weights.numpy() * weights).sum(0))
    np.testing.assert_allclose(found.weights.numpy() * signs, weights, atol=1e-6)
    np.testing.assert_allclose(found.importance().numpy(), importance, rtol=1e-6)
    assert float(found.importance().square().mean()) == pytest.approx(1)
    crossed = (found.scores.T @ found.scores).numpy()
    np.testing.assert_allclose(crossed, np.diag(np.diag(crossed)), atol=1e-8)
    # One direction and one output: the correlations are all there is to it.
    single = partial_least_squares(torch.from_numpy(inputs), torch.from_numpy(outputs[:, :1]), 1)
    correlations = np.corrcoef(inputs.T, outputs[:, 0])[-1, :-1]
    expected = np.sqrt(8) * np.abs(correlations) / np.linalg.norm(correlations)
    np.testing.assert_allclose(single.importance().numpy(), expected, rtol=1e-9)


def test_what_does_not_move_has_no_part_in_a_projection() -> None:
    generator = np.random.default_rng(7)
    inputs = generator.normal(size=(30, 4))
    inputs[:, 1] = 0.3
    outputs = torch.from_numpy(inputs[:, :1] > 0).double()
    found = partial_least_squares(torch.from_numpy(inputs), outputs, 2)
    assert found.importance()[1] == 0
    assert found.importance().argmax() == 0
    still = partial_least_squares(torch.from_numpy(inputs), torch.ones(30, 1), 2)
    assert still.importance().tolist() == [0, 0, 0, 0]


def test_a_channel_that_tells_the_classes_apart_has_part_in_the_projection() -> None:
    given, model = materials(200), residual()
    names = ("stage1.conv", "rhythm")
    found = projection_importance(model, names, given)
    assert [len(found[name]) for name in names] == [16, 32]
    features = activations(model, names, given, lambda value: value.amax(2))
    inputs = torch.cat([features[name] for name in names], 1).double().numpy()
    moving = inputs.std(0) > 0
    classes = np.eye(3)[given.labels.numpy()]
    _, importance = nipals(inputs[:, moving], classes, 3)
    importance *= np.sqrt(len(moving) / moving.sum())
    together = torch.cat([found[name] for name in names]).numpy()
    np.testing.assert_allclose(together[moving], importance, rtol=1e-4)


def silence(model: nn.Module, layers: Sequence[str], channel: int) -> None:
    for name in layers:
        for part in (f"{name}.conv", f"{name}.norm"):
            module = model.get_submodule(part)
            for tensor in (module.weight, module.bias):
                if isinstance(tensor, Tensor):
                    tensor.data[channel] = 0


@pytest.mark.parametrize("name", NAMES)
def test_a_channel_that_carries_nothing_is_the_least_important(name: str) -> None:
    given, model = materials(), residual()
    silence(model, ("block2.first",), 7)
    silence(model, ("stage3", "block3.second"), 5)
    layers = ("block2.first.conv", "stage3.conv", "block3.second.conv")
    model.train()
    before = copy.deepcopy(model.state_dict())
    torch.manual_seed(1)
    scores = CRITERIA.get(name)(model, layers, given)
    torch.manual_seed(2)
    again = CRITERIA.get(name)(model, layers, given)
    for layer, dead in zip(layers, (7, 5, 5), strict=True):
        assert len(scores[layer]) == model.get_submodule(layer).out_channels
        assert scores[layer][dead] == 0
        assert (scores[layer] >= 0).all()
        assert (scores[layer] > 0).sum() > 1
        assert torch.equal(scores[layer], again[layer])
    assert model.training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_windows_are_asked_for(name: str) -> None:
    given = materials()
    none = Materials(given.example, tuple(t[:0] for t in given.inputs), given.labels[:0])
    with pytest.raises(ConfigurationError, match="training windows"):
        CRITERIA.get(name)(residual(), ("joint",), none)


@pytest.mark.parametrize("name", [*NAMES, "undecayed"])
def test_what_carries_nothing_goes_first(name: str) -> None:
    given, model = materials(), residual()
    silence(model, ("block2.first",), 7)
    silence(model, ("stage3", "block3.second"), 5)
    first = channel_candidates(
        model, given, PruningSettings(importance=name, channel_multiple=1, scope="global")
    )[:2]
    assert {(each.layer, each.channels) for each in first} == {
        ("block2.first.conv", (7,)),
        ("stage3.conv", (5,)),
    }
