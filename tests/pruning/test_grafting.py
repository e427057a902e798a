"""Grafting against formulas, and channels chosen by how often they are active against counting."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgeprune.classifiers import (
    ClassifierSpec,
    create,
    example_inputs,
    load_classifier,
    save_classifier,
)
from edgeprune.classifiers.replacements import replacements
from edgeprune.config import PruningSettings, QuantizationSettings
from edgeprune.errors import ConfigurationError, ModelError
from edgeprune.network import read_qdq
from edgeprune.progress import Silent
from edgeprune.pruning import count, prune, replay
from edgeprune.pruning.criteria import CRITERIA, channel_scores
from edgeprune.pruning.edits import apply
from edgeprune.pruning.grafting import (
    GraftedChannels,
    fit_lines,
    graft_edits,
    graftable,
    rearrange,
)
from edgeprune.pruning.history import History, load_history, save_history
from edgeprune.pruning.materials import Materials
from edgeprune.pruning.methods import METHODS
from edgeprune.quantization import quantize, to_float_onnx
from edgeprune.quantization.calibration import open_session
from tests.small_windows import FRONT_END, small_windows

SHAPE, FEATURES, CLASSES = (64, 1), 4, 3
SIZES = SHAPE, FEATURES, CLASSES


class Several(nn.Module):
    """One of each: with and without a bias, a normalization, a pool and a flatten behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, 6, 5, padding=2, bias=False)
        self.second = nn.Conv1d(6, 4, 3, bias=False)
        self.norm = nn.BatchNorm1d(4)
        self.third = nn.Linear(4 * 31, 8)
        self.last = nn.Linear(8, 3)

    def forward(self, signal: Tensor) -> Tensor:
        """Return logits of [n, 1, 64]."""
        value = functional.max_pool1d(functional.relu(self.first(signal)), 2)[..., :]
        value = torch.relu(self.norm(self.second(functional.pad(value, (1, 0)))))
        logits: Tensor = self.last(self.third(value.flatten(1)).relu())
        return logits

    def with_lines(self, signal: Tensor, lines: dict[str, GraftedChannels]) -> Tensor:
        """Say the same with lines in the place of some ReLUs."""
        value = _partly(self.first(signal), lines.get("first"))
        value = functional.max_pool1d(value, 2)
        value = self.norm(self.second(functional.pad(value, (1, 0))))
        value = _partly(value, lines.get("second"))
        logits: Tensor = self.last(_partly(self.third(value.flatten(1)), lines.get("third")))
        return logits


def _partly(value: Tensor, edit: GraftedChannels | None) -> Tensor:
    result = value.relu()
    if edit is not None:
        for channel, slope, height in zip(edit.channels, edit.slopes, edit.heights, strict=True):
            result[:, channel] = float(slope) * value[:, channel] + float(height)
    return result


def lively(model: nn.Module) -> nn.Module:
    """Give normalizations statistics, so that nothing is the identity by chance."""
    torch.manual_seed(5)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            for tensor in (module.running_mean, module.bias):
                assert tensor is not None
                tensor.data.uniform_(-0.5, 0.5)
            for tensor in (module.running_var, module.weight):
                assert tensor is not None
                tensor.data.uniform_(0.5, 1.5)
    return model.eval()


def edit_of(layer: str, channels: tuple[int, ...], seed: int = 1) -> GraftedChannels:
    random = np.random.default_rng(seed)
    slopes, heights = random.uniform(-1, 1, (2, len(channels))).astype(np.float32)
    return GraftedChannels(layer, channels, slopes, heights, 0.0)


def materials_of(model: nn.Module, windows: int = 40) -> Materials:
    example = example_inputs(model, SHAPE, FEATURES)
    generator = torch.Generator().manual_seed(3)
    inputs = tuple(torch.randn(windows, *e.shape[1:], generator=generator) for e in example)
    return Materials(example, inputs, torch.arange(windows) % CLASSES)


@torch.no_grad()
@pytest.mark.parametrize(
    "edits",
    [
        [edit_of("first", (1, 4))],
        [edit_of("second", (0,))],
        [edit_of("third", (0, 2, 7))],
        [edit_of("first", (0, 5), 2), edit_of("second", (1, 3), 3), edit_of("third", (6,), 4)],
        [edit_of("first", tuple(range(6))), edit_of("second", tuple(range(4)))],
    ],
)
def test_channels_become_the_lines_that_the_edits_say(edits: list[GraftedChannels]) -> None:
    torch.manual_seed(1)
    model = lively(Several())
    assert isinstance(model, Several)
    signal = torch.randn(9, 1, 64)
    grafted = apply(model, edits, (signal,))
    expected = model.with_lines(signal, {edit.layer: edit for edit in edits})
    assert torch.allclose(grafted(signal), expected, atol=1e-5)
    assert not torch.allclose(expected, model(signal), atol=1e-3)
    session = open_session(to_float_onnx(grafted, SHAPE, 0))
    (found,) = session.run(None, {"signal": signal.numpy()})
    np.testing.assert_allclose(found, expected, atol=1e-5)


@torch.no_grad()
def test_slope_one_and_height_nothing_everywhere_takes_the_relu_away() -> None:
    torch.manual_seed(2)
    model = lively(nn.Sequential(nn.Conv1d(1, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.Flatten()))
    model.append(nn.Linear(4 * 62, 3))
    line = GraftedChannels("0", (0, 1, 2, 3), np.ones(4, np.float32), np.zeros(4, np.float32), 0.0)
    signal = torch.randn(5, 1, 64)
    grafted = apply(model, [line], (signal,))
    bare = nn.Sequential(*(module for module in model if not isinstance(module, nn.ReLU)))
    assert torch.equal(grafted(signal), bare(signal))
    assert not any(isinstance(module, nn.ReLU) for module in grafted.modules())


@torch.no_grad()
@pytest.mark.parametrize("name", ["residual-ecg-small", "r1", "certifiable-ecg"])
def test_channels_in_another_order_are_the_same_network(name: str) -> None:
    model = lively(create(name, *SIZES, 1))
    materials = materials_of(model, 4)
    places = graftable(model, materials.example)
    expected = {"residual-ecg-small": 8, "r1": 4, "certifiable-ecg": 5}
    assert len(places) == expected[name]
    other = copy.deepcopy(model)
    for place in places:
        order = np.random.default_rng(place.channels).permutation(place.channels).tolist()
        rearrange(other, place.layer, order, materials.example)
        weight = model.get_submodule(place.layer).get_parameter("weight")
        if place == places[0]:
            moved = other.get_submodule(place.layer).get_parameter("weight")
            assert torch.equal(moved, weight[order])
    assert torch.allclose(other(*materials.inputs), model(*materials.inputs), atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize(("name", "steps"), [("residual-ecg-small", 1), ("r1", 2)])
def test_most_units_in_some_steps_saved_loaded_and_replayed(
    name: str, steps: int, tmp_path: Path
) -> None:
    model = lively(create(name, *SIZES, 1))
    materials = materials_of(model)
    units = sum(p.positions * p.channels for p in graftable(model, materials.example))
    settings = PruningSettings(method="graft", ratio=0.6, schedule="iterative", steps=steps)
    result = prune(model, materials, settings, lambda pruned, _: pruned, Silent())
    rest = graftable(result.model, materials.example)
    left = sum(place.positions * place.channels for place in rest)
    largest = max(place.positions for place in graftable(model, materials.example))
    assert 0.4 * units - steps * largest <= left <= 0.4 * units
    assert result.after.parameters == result.before.parameters
    assert result.after.multiply_accumulates == result.before.multiply_accumulates
    logits = result.model(*materials.inputs)
    spec = ClassifierSpec(name, *SIZES)
    save_classifier(result.model, spec, tmp_path / "c.safetensors")
    loaded, _ = load_classifier(tmp_path / "c.safetensors")
    assert torch.equal(loaded(*materials.inputs), logits)
    sent = pickle.loads(pickle.dumps(result.model))
    assert torch.equal(sent(*materials.inputs), logits)
    assert replacements(sent) == replacements(result.model) == replacements(loaded)
    save_history(History(result.steps), tmp_path / "history.json")
    history = load_history(tmp_path / "history.json")
    again = replay(model, history.steps, materials.example)
    assert torch.equal(again(*materials.inputs), logits)


def test_what_is_unstable_and_does_not_matter_goes_first() -> None:
    """Of four units: always active; at the edge but unread; at the edge; at the edge, read more."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.ReLU(), nn.Linear(4, 3)).eval()
    with torch.no_grad():
        model[1].weight.normal_(0, 0.1)
        model[1].bias.copy_(torch.tensor([50.0, 0.0, 0.0, 0.0]))
        model[1].weight[2:] = model[1].weight[1]
        model[3].weight.copy_(torch.tensor([[1.0, 0, 0.1, 1], [0, 0, 0, 0], [0, 0, -0.1, -1]]))
    materials = materials_of(model)
    (place,) = graftable(model, materials.example)
    lines = fit_lines(model, [place], materials)[place.layer]
    # An active unit is its own line, and cannot be switched.
    assert lines.slopes[0] == pytest.approx(1.0, abs=1e-4)
    assert lines.effect[0] == pytest.approx(0.0, abs=1e-5)
    assert lines.unstable[0] == 0
    assert (lines.unstable[1:] > 0).all()
    assert lines.effect[1] == 0
    assert lines.effect[3] == pytest.approx(10 * float(lines.effect[2]), rel=1e-3)
    # The least-squares line, by numpy.
    read = (materials.inputs[0].flatten(1) @ model[1].weight.T)[:, 1].detach().numpy()
    slope, height = np.polyfit(read, np.maximum(read, 0), 1)
    assert lines.slopes[1] == pytest.approx(slope, rel=1e-3)
    assert lines.heights[1] == pytest.approx(height, rel=1e-3)
    remaining = count(model, materials.example).remaining
    order = []
    for share in (0.25, 0.5, 0.75, 1.0):
        (edit,) = graft_edits(model, materials, PruningSettings(), round(remaining * (1 - share)))
        order += [channel for channel in edit.channels if channel not in order]
    assert order == [1, 2, 3, 0]
    assert graft_edits(model, materials, PruningSettings(), remaining) == ()


def test_a_grafted_network_becomes_an_integer_network_of_known_operations() -> None:
    windows = small_windows(120, 3)
    model = lively(create("residual-ecg-small", (32, 1), 2, 3, 1))
    inputs = torch.randn(60, 1, 32), torch.randn(60, 2)
    materials = Materials(example_inputs(model, (32, 1), 2), inputs, torch.arange(60) % 3)
    edits = graft_edits(
        model, materials, PruningSettings(), count(model, materials.example).remaining // 2
    )
    graph = to_float_onnx(apply(model, edits, materials.example), (32, 1), 2)
    settings = QuantizationSettings(calibration_windows=60, search=False, correct_biases=False)
    found = quantize(graph, windows, FRONT_END, settings, Silent(), 1)
    network = read_qdq(found.model)
    assert {operation.kind for operation in network.operations} <= {
        *("add", "average_pool1d", "concat", "conv1d", "dense", "requantize", "reshape"),
    }


def test_what_cannot_be_grafted_is_refused() -> None:
    model = lively(create("r1", *SIZES, 1))
    materials = materials_of(model)
    with pytest.raises(ModelError, match="can be grafted"):
        apply(model, [edit_of("dense", (0,))], materials.example)
    with pytest.raises(ModelError, match="can be grafted"):
        apply(model, [edit_of("conv1", (99,))], materials.example)
    empty = Materials(materials.example, tuple(t[:0] for t in materials.inputs), torch.zeros(0))
    with pytest.raises(ConfigurationError, match="training windows"):
        graft_edits(model, empty, PruningSettings(), 1)


def test_activity_is_counted_among_the_upper_half() -> None:
    """Of four units: never active; always the largest; active and never largest; now and then."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.ReLU(), nn.Linear(4, 3)).eval()
    with torch.no_grad():
        model[1].weight.zero_()
        model[1].bias.copy_(torch.tensor([-1.0, 9.0, 1.0, 2.0]))
        model[1].weight[3, 0] = 10.0
    materials = materials_of(model, 100)
    criterion = CRITERIA.get("activation-frequency")
    scores = channel_scores(criterion, model, ("1",), materials)["1"]
    fourth = float((10 * materials.inputs[0][:, 0, 0] + 2 > 1).float().mean())
    assert scores.tolist() == pytest.approx([0.0, 1.0, 1 - fourth, fourth])
    settings = PruningSettings(method="top-k", channel_multiple=1)
    ordered = METHODS.get("top-k").candidates(model, materials, settings)
    first, *_ = ordered.first(1)
    assert getattr(first, "channels", ()) == (0,)
