"""VNN on whole networks: what it promises is looked up in the networks themselves, with hooks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgeprune.classifiers import ClassifierSpec, create, load_classifier, save_classifier
from edgeprune.classifiers.structure import Layer
from edgeprune.config import PruningSettings
from edgeprune.errors import ConfigurationError
from edgeprune.progress import Silent
from edgeprune.pruning import History, count, load_history, prune, replay, save_history
from edgeprune.pruning.edits import apply
from edgeprune.pruning.materials import Materials
from edgeprune.pruning.vnn.im2col import input_rows, output_rows
from edgeprune.pruning.vnn.method import VnnResult, preserve
from edgeprune.pruning.vnn.network import folded_layers, in_double, rectified_layers
from edgeprune.pruning.words import edits_in_words

SETTINGS = PruningSettings(method="vnn", ratio=0.0, vnn_rows=0, vnn_epsilon=0.2, vnn_margin=0.05)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


class Plain(nn.Module):
    """Grouped, dilated, strided and padded convolutions, then dense layers."""

    def __init__(self, *, convolutions: bool) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList()
        if convolutions:
            self.convolutions.append(nn.Conv1d(2, 6, 4, stride=2, padding=1))
            self.convolutions.append(nn.Conv1d(6, 6, 3, dilation=2, groups=3, bias=False))
        self.hidden = nn.Linear(6 * 7 if convolutions else 48, 20)
        self.second = nn.Linear(20, 12, bias=False)
        self.dense = nn.Linear(12, 3)

    def forward(self, signal: Tensor) -> Tensor:
        value = signal
        for layer in self.convolutions:
            value = layer(value).relu()
        value = self.second(self.hidden(value.flatten(1)).relu()).relu()
        logits: Tensor = self.dense(value)
        return logits


@dataclass(frozen=True)
class Case:
    """A network, its windows and what VNN makes of it."""

    model: nn.Module
    materials: Materials


def plain(*, convolutions: bool) -> Case:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = Plain(convolutions=convolutions).eval()
        signal = torch.randn(13, 2, 24).cumsum(2) / 3
        if convolutions:
            signal[:, :, 10:] = 0  # most positions see the same: few rows that differ
    return case(model, (signal[:, :, :22] if convolutions else signal,))


def built(name: str, length: int, windows: int, rhythm: int = 3) -> Case:
    model = create(name, (length, 1), rhythm, 3, seed=1).eval()
    generator = torch.Generator().manual_seed(2)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm1d):
            layer.weight.data.uniform_(-1, 2, generator=generator)
            layer.bias.data.uniform_(-0.5, 0.5, generator=generator)
            layer.running_mean = torch.randn(layer.num_features, generator=generator) / 4
            layer.running_var = 0.3 + torch.rand(layer.num_features, generator=generator)
            layer.weight.data[0] = 0  # a channel that is a constant
    signal = torch.randn(windows, 1, length, generator=generator)
    features = torch.randn(windows, rhythm, generator=generator)
    return case(model, (signal, features) if name.startswith("residual") else (signal,))


def case(model: nn.Module, inputs: tuple[Tensor, ...]) -> Case:
    with torch.no_grad():
        labels = model(*inputs).argmax(1)
    labels[0] = (labels[0] + 1) % 3  # one that is classified wrongly
    example = tuple(value[:2] for value in inputs)
    return Case(model, Materials(example, inputs, labels))


CASES: dict[str, Callable[[], Case]] = {
    "dense": lambda: plain(convolutions=False),
    "convolutions": lambda: plain(convolutions=True),
    "residual": lambda: built("residual-ecg-small", 16, 10),
    "r1": lambda: built("r1", 16, 6),
}


@pytest.fixture(scope="module", params=CASES)
def network(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]()


def solved(network: Case, **settings: Any) -> tuple[VnnResult, nn.Module]:
    result = preserve(network.model, network.materials, replace(SETTINGS, **settings))
    return result, apply(network.model, result.edits, network.materials.example)


def right(network: Case) -> tuple[Tensor, ...]:
    return tuple(value[1:].double() for value in network.materials.inputs)


def watched(model: nn.Module, inputs: tuple[Tensor, ...]) -> dict[str, tuple[Tensor, Tensor]]:
    """Return what each layer received, and made once normalized, by the layer's name."""
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    last = [""]
    handles = []
    for name, module in model.named_modules():

        def hook(
            module: nn.Module, given: tuple[Tensor, ...], made: Tensor, name: str = name
        ) -> None:
            if isinstance(module, Layer):
                seen[name], last[0] = (given[0], made), name
            elif isinstance(module, nn.BatchNorm1d):
                seen[last[0]] = (seen[last[0]][0], made)

        handles.append(module.register_forward_hook(hook))
    with torch.no_grad():
        model(*inputs)
    for handle in handles:
        handle.remove()
    return seen


def rerun(model: nn.Module, name: str, given: Tensor) -> Tensor:
    """Return what one layer and its normalization make of an input."""
    modules = dict(model.named_modules())
    made = modules[name](given)
    norm = modules.get(name.replace("conv", "norm")) if "conv" in name else None
    with torch.no_grad():
        return norm(made) if isinstance(norm, nn.BatchNorm1d) else made


def assert_within(new: Tensor, old: Tensor, epsilon: float) -> None:
    """The state is kept, and the value within its band, to the rounding of 32-bit weights."""
    rounding = 3e-6 * float(old.abs().max())
    assert bool(((new - old).abs() <= epsilon * old.abs() + rounding).all())
    assert bool((new[old > rounding] > -rounding).all())
    assert bool((new[old < -rounding] < rounding).all())


@pytest.mark.parametrize("epsilon", [0.0, 0.3])
def test_released_keeps_every_neuron_on_what_the_original_gave_it(
    network: Case, epsilon: float
) -> None:
    result, model = solved(network, vnn_variant="released", vnn_epsilon=epsilon)
    assert result.windows == len(network.materials.labels) - 1
    original, new = in_double(network.model), in_double(model)
    seen = watched(original, right(network))
    assert len(result.outcomes) == len(seen) - 1
    for outcome in result.outcomes:
        given, made = seen[outcome.layer.name]
        assert_within(rerun(new, outcome.layer.name, given), made, epsilon)
        assert not (outcome.refit.widened | outcome.refit.unchanged).any()
    last = list(seen)[-1]
    weights = (dict(each.named_modules())[last].weight for each in (original, new))
    assert torch.equal(*weights)


@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_faithful_keeps_states_bands_and_margins_in_the_new_network(
    network: Case, margin: float
) -> None:
    result, model = solved(network, vnn_margin=margin)
    inputs = right(network)
    seen, now = watched(in_double(network.model), inputs), watched(in_double(model), inputs)
    for outcome in result.outcomes:
        held = torch.from_numpy(~outcome.refit.widened)
        old, new = (each[outcome.layer.name][1].movedim(1, -1)[..., held] for each in (seen, now))
        assert not outcome.refit.unchanged.any()
        if held.any():
            assert_within(new, old, 0.2)
    assert result.outcomes[-1].refit.keeps_margins
    old, new = (list(each.values())[-1][1] for each in (seen, now))
    decided = old.argmax(1, keepdim=True)
    wanted = (old.gather(1, decided) - old).clamp(max=margin)
    assert bool((new.gather(1, decided) - new >= wanted - 1e-5).all())


@pytest.mark.parametrize("variant", ["released", "faithful"])
def test_no_neuron_grows_and_the_rank_of_its_rows_limits_it(network: Case, variant: str) -> None:
    result, _ = solved(network, vnn_variant=variant, vnn_epsilon=0.0)
    seen = watched(in_double(network.model), right(network))
    modules = dict(network.model.named_modules())
    for outcome in result.outcomes:
        layer, refit = outcome.layer, outcome.refit
        before = np.abs(layer.weight).sum(1) + np.abs(layer.bias)
        after = np.abs(refit.weight).sum(1) + np.abs(refit.bias)
        assert (after <= before * (1 + 1e-9) + 1e-12).all() or layer is result.outcomes[-1].layer
        if layer is result.outcomes[-1].layer and variant == "faithful":
            continue
        rows = input_rows(modules[layer.name], seen[layer.name][0])
        with_bias = torch.cat([rows, torch.ones_like(rows[..., :1])], 2)
        rank = int(torch.linalg.matrix_rank(with_bias).max())
        left = (refit.weight != 0).sum(1) + (refit.bias != 0)
        assert left.max() <= rank


def test_inactive_neurons_may_take_any_value_that_is_not_positive(network: Case) -> None:
    kept, _ = solved(network, vnn_variant="released")
    result, model = solved(network, vnn_variant="released", vnn_keeps_inactive=False)
    seen = watched(in_double(network.model), right(network))
    new = in_double(model)
    names = rectified_layers(
        in_double(network.model),
        folded_layers(network.model, network.materials.example),
        tuple(value[:2] for value in right(network)),
    )
    for outcome in result.outcomes:
        name = outcome.layer.name
        given, made = seen[name]
        now = rerun(new, name, given)
        if name in names:
            now, made = now.relu(), made.relu()
        assert_within(now, made, 0.2)
    norms = [
        sum(float(np.abs(each.refit.weight).sum()) for each in one.outcomes)
        for one in (kept, result)
    ]
    assert norms[1] < norms[0]


def test_layers_in_front_of_an_addition_are_not_taken_for_rectified() -> None:
    network = CASES["residual"]()
    layers = folded_layers(network.model, network.materials.example)
    rectified = rectified_layers(network.model, layers, network.materials.example)
    others = {"block1.second.conv", "block2.second.conv", "block3.second.conv", "dense"}
    assert {layer.name for layer in layers} - rectified == others


def test_fewer_rows_leave_fewer_weights_and_the_draw_is_repeated() -> None:
    network = CASES["residual"]()
    (first, model), (again, _) = (solved(network, vnn_rows=6) for _ in range(2))
    whole, _ = solved(network, vnn_rows=9)
    left = [
        sum(int((outcome.refit.weight != 0).sum()) for outcome in result.outcomes)
        for result in (first, again, whole)
    ]
    assert left[0] == left[1] < left[2]
    assert count(model, network.materials.example).nonzero < left[2]


def test_the_method_reaches_a_ratio_and_the_result_is_saved_and_read(tmp_path: Path) -> None:
    network = CASES["residual"]()
    settings = replace(SETTINGS, ratio=0.97, importance="l1", vnn_rows=16)
    result = prune(network.model, network.materials, settings, lambda model, step: model, Silent())
    assert result.after.remaining <= 0.03 * result.before.remaining + 1
    assert result.after.remaining > 0.015 * result.before.remaining
    assert len(result.steps) == 1
    assert "left in 12 layers of new weights" in edits_in_words(result.steps[0].edits)
    save_history(History(result.steps), tmp_path / "history.json")
    steps = load_history(tmp_path / "history.json").steps
    again = replay(network.model, steps, network.materials.example).eval()
    assert torch.equal(
        again(*network.materials.inputs), result.model.eval()(*network.materials.inputs)
    )
    spec = ClassifierSpec("residual-ecg-small", (16, 1), 3, 3)
    save_classifier(result.model, spec, tmp_path / "classifier.safetensors")
    loaded, _ = load_classifier(tmp_path / "classifier.safetensors")
    inputs = network.materials.inputs
    assert torch.equal(loaded(*inputs), result.model.eval()(*inputs))


def test_vnn_without_windows_says_so() -> None:
    network = CASES["dense"]()
    nothing = Materials(
        network.materials.example,
        tuple(value[:0] for value in network.materials.inputs),
        torch.zeros(0, dtype=torch.int64),
    )
    with pytest.raises(ConfigurationError, match="none of 0 training windows"):
        preserve(network.model, nothing, SETTINGS)


def test_the_chb_mit_network_has_the_published_size_and_joins_channels() -> None:
    whole = create("chb-mit-cnn", (2048, 1), 0, 2, seed=1).eval()
    split = create("chb-mit-cnn", (1024, 2), 0, 2, seed=1).eval()
    assert sum(parameter.numel() for parameter in whole.parameters()) == 33_430
    windows = torch.randn(4, 2, 1024, generator=torch.Generator().manual_seed(1))
    joined = torch.cat([windows[:, :1], windows[:, 1:]], 2)
    assert torch.equal(split(windows), whole(joined))


def test_a_network_of_eeg_size_loses_most_of_its_dense_layer() -> None:
    model = create("chb-mit-cnn", (2048, 1), 0, 2, seed=1).eval()
    windows = torch.randn(9, 1, 2048, generator=torch.Generator().manual_seed(1))
    network = case(model, (windows,))
    _, new = solved(network, vnn_rows=24)
    counts = [count(each, network.materials.example) for each in (model, new)]
    assert counts[1].nonzero < 0.05 * counts[0].nonzero
    with torch.no_grad():
        assert torch.equal(new(windows[1:]).argmax(1), model(windows[1:]).argmax(1))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv1d(4, 6, 5, stride=3, padding=2),
        nn.Conv1d(4, 6, 3, dilation=3, groups=2, bias=False),
        nn.Conv1d(4, 4, 5, padding="same", groups=4),
        nn.Conv1d(4, 2, 3, padding=2, padding_mode="circular"),
        nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2),
        nn.Linear(11, 3),
    ],
    ids=str,
)
def test_rows_times_weights_are_the_layer(layer: Layer) -> None:
    generator = torch.Generator().manual_seed(1)
    shape = (3, 11) if isinstance(layer, nn.Linear) else (3, 4, 13, 9)
    shape = shape[:3] if isinstance(layer, nn.Conv1d) else shape
    value = torch.randn(shape, generator=generator)
    with torch.no_grad():
        made = output_rows(layer, layer(value))
        for chosen in (None, torch.tensor([0, 2, len(made) - 1])):
            rows = input_rows(layer, value, chosen)
            groups = layer.weight.flatten(1).chunk(len(rows))
            product = torch.cat([row @ w.T for row, w in zip(rows, groups, strict=True)], 1)
            product += 0 if layer.bias is None else layer.bias
            assert torch.allclose(product, made if chosen is None else made[chosen], atol=1e-5)
