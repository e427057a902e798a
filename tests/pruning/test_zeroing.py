"""Weights and kernels that become zero: the right ones, as many as asked for, and for good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from edgeprune.classifiers import ClassifierSpec, create, load_classifier, save_classifier
from edgeprune.classifiers.structure import Layer
from edgeprune.config import (
    PruningSettings,
    QuantizationSettings,
    RobustnessSettings,
    TrainingSettings,
)
from edgeprune.errors import ModelError
from edgeprune.network import read_qdq
from edgeprune.progress import Silent
from edgeprune.pruning import (
    CRITERIA,
    METHODS,
    History,
    Materials,
    apply,
    count,
    held_zeros,
    load_history,
    prune,
    replay,
    save_history,
    without_windows,
)
from edgeprune.pruning.criteria import weight_scores
from edgeprune.quantization import quantize, to_float_onnx
from edgeprune.quantization.graph import initializers_of
from edgeprune.training import CertifiedTraining, train, train_quantized
from tests.pruning.networks import classifier, eeg_cnn
from tests.training.bounded_modules import ADC, FEATURES, FRONT_END, beats
from tests.training.test_loop import Killer, PowerCutError

SETTINGS = PruningSettings(
    method="weight", ratio=0.6, schedule="one-shot", importance="l1", fine_tune="none"
)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def untouched(model: nn.Module, _: int) -> nn.Module:
    return model


def layers_of(model: nn.Module) -> dict[str, Any]:
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, Layer)}


def zeros_of(model: nn.Module) -> dict[str, np.ndarray]:
    return {name: (layer.weight == 0).numpy() for name, layer in layers_of(model).items()}


def run(name: str, **changes: Any) -> tuple[nn.Module, Materials, Any]:
    model, materials = classifier(name)
    settings = replace(SETTINGS, **changes)
    return model, materials, prune(model, materials, settings, untouched, Silent())


def zeroed(name: str, share: float, **changes: Any) -> tuple[nn.Module, dict[str, np.ndarray]]:
    """Return a classifier and what is zero once a share of all candidates is."""
    model, materials = classifier(name)
    settings = replace(SETTINGS, **changes)
    found = METHODS.get(settings.method).candidates(model, materials, settings)
    edits = found.first(round(len(found) * share))
    return model, zeros_of(apply(model, edits, materials.example))


def test_the_eeg_network_is_that_of_the_paper() -> None:
    counts = count(eeg_cnn(), (torch.zeros(2, 1, 2048),))
    assert counts.parameters == counts.remaining == 33430
    assert counts.multiply_accumulates == 1949 * 300 + 450 * 3000 + 750 * 40 + 80


@pytest.mark.parametrize(
    ("name", "method", "importance"),
    [
        ("residual-ecg", "weight", "l1"),
        ("certifiable-ecg", "kernel", "l1"),
        ("certifiable-ecg", "weight", "random"),
        ("r1", "kernel", "random"),
        ("eeg", "weight", "random"),
        ("eeg", "kernel", "l1"),
    ],
)
def test_ratio_is_real_and_replayable(
    name: str, method: str, importance: str, tmp_path: Path
) -> None:
    model, materials, result = run(name, method=method, importance=importance)
    left = layers_of(result.model).values()
    nonzero = sum(int((layer.weight != 0).sum()) for layer in left)
    assert result.after.remaining == nonzero + sum(len(layer.weight) for layer in left)
    wanted = 0.4 * result.before.remaining
    # A whole unit, or channel with all that read it, dies with its last weight.
    unit = {"weight": 751, "kernel": 3000}[method] if name == "eeg" else 200
    assert wanted - unit < result.after.remaining <= wanted + 1
    assert result.after.compression(result.before) >= 2.49
    save_history(History(result.steps), tmp_path / "history.json")
    read = load_history(tmp_path / "history.json")
    again = replay(model, read.steps, materials.example)
    assert torch.equal(again(*materials.inputs), result.model(*materials.inputs))
    assert all((layer.weight != 0).any() for layer in layers_of(result.model).values())


def test_global_magnitude_takes_the_smallest_weights_of_all() -> None:
    model, zeros = zeroed("eeg", 0.6)
    sizes = np.concatenate(
        [layer.weight.detach().abs().flatten() for layer in layers_of(model).values()]
    )
    gone = np.concatenate([each.flatten() for each in zeros.values()])
    assert gone.sum() == round((33380 - 4) * 0.6)  # a layer's last weight is no candidate
    limit = np.sort(sizes)[gone.sum() - 1]
    assert np.array_equal(gone, sizes <= limit)


def test_local_magnitude_takes_the_same_share_of_every_layer() -> None:
    model, zeros = zeroed("eeg", 0.6, scope="local")
    for name, gone in zeros.items():
        assert abs(gone.mean() - 0.6) < 0.01
        sizes = layers_of(model)[name].weight.detach().abs().numpy()
        assert sizes[gone].max() <= sizes[~gone].min()


def test_kernels_go_whole_and_by_their_mean() -> None:
    model, zeros = zeroed("eeg", 0.05, method="kernel")
    for name in ("0", "3"):
        whole = zeros[name].all(axis=2)
        assert np.array_equal(whole, zeros[name].any(axis=2))
    means = {
        name: layer.weight.detach().abs().flatten(2).mean(2) if layer.weight.ndim > 2
        else layer.weight.detach().abs()
        for name, layer in layers_of(model).items()
    }  # fmt: skip
    gone = np.concatenate([means[n][z.reshape(*z.shape[:2], -1).all(2)] for n, z in zeros.items()])
    kept = np.concatenate([means[n][~z.reshape(*z.shape[:2], -1).all(2)] for n, z in zeros.items()])
    assert gone.max() <= kept.min()


def test_steps_count_on_from_the_zeros_there_are() -> None:
    _, _, result = run("certifiable-ecg", schedule="iterative", steps=3)
    dense = result.before.remaining
    left = [step.after.remaining for step in result.steps]
    assert left == pytest.approx([dense * (1 - 0.6 * k / 3) for k in (1, 2, 3)], abs=2)
    _, _, progressive = run("certifiable-ecg", schedule="progressive", ratio=0.9)
    left = [step.after.remaining for step in progressive.steps]
    assert left == pytest.approx([dense / 2, dense / 4, dense / 8, dense * 0.1], rel=0.05)


def test_undecayed_scores_are_gradients_of_the_loss_alone() -> None:
    model, materials = classifier("certifiable-ecg")
    layer = layers_of(model)["joint"]
    before = layer.weight.detach().clone()
    found = weight_scores(CRITERIA.get("undecayed"), model, ("joint", "dense"), materials)
    assert found["dense"].shape == layers_of(model)["dense"].weight.shape
    model.double()
    inputs = tuple(tensor.double() for tensor in materials.inputs)

    def loss() -> float:
        with torch.no_grad():
            return float(functional.cross_entropy(model(*inputs), materials.labels))

    for row, column in ((0, 0), (5, 40), (47, 300), (20, 7)):
        value = before[row, column].double()
        with torch.no_grad():
            layer.weight[row, column] = value + 1e-5
            above = loss()
            layer.weight[row, column] = value - 1e-5
            below = loss()
            layer.weight[row, column] = value
        wanted = abs(float(value) * (above - below) / 2e-5)
        assert float(found["joint"][row, column]) == pytest.approx(wanted, rel=1e-2, abs=1e-7)


TRAINING = TrainingSettings(
    epochs=2, epoch_steps=3, batch_size=8, teachers=0, l1=1e-3, group_lasso=1e-4
)
WINDOWS, VALIDATION = beats(60, 1), beats(20, 2)
SHAPE = (96, 2)


@pytest.fixture(scope="module")
def sparse() -> nn.Module:
    model = create("residual-ecg-small", SHAPE, FEATURES, 3, seed=1).eval()
    materials = without_windows(model, SHAPE, FEATURES)
    return prune(model, materials, replace(SETTINGS, ratio=0.8), untouched, Silent()).model


def all_held(model: nn.Module, zeros: Mapping[str, torch.Tensor]) -> bool:
    found = held_zeros(model)
    return all(bool(found[name][mask].all()) for name, mask in zeros.items())


def test_zeros_survive_training_interrupted_or_not(sparse: nn.Module, tmp_path: Path) -> None:
    zeros = held_zeros(sparse)

    def fit(progress: Silent) -> nn.Module:
        return train(
            sparse, WINDOWS, VALIDATION, FRONT_END, TRAINING, 3, progress, tmp_path, (), zeros=zeros
        ).model

    with pytest.raises(PowerCutError):
        fit(Killer(4))
    trained = fit(Silent())
    assert all_held(trained, zeros)
    moved = trained.joint.weight != sparse.joint.weight
    assert bool(moved[~zeros["joint.weight"]].all())
    spec = ClassifierSpec("residual-ecg-small", SHAPE, FEATURES, 3)
    save_classifier(trained, spec, tmp_path / "a.safetensors")
    assert all_held(load_classifier(tmp_path / "a.safetensors")[0], zeros)
    with pytest.raises(ModelError, match="no parameter 'joint'"):
        train(
            sparse, WINDOWS, VALIDATION, FRONT_END, TRAINING, 3, Silent(), None, (),
            zeros={"joint": zeros["joint.weight"]},
        )  # fmt: skip


def test_zeros_survive_quantization_and_training_through_roundings(sparse: nn.Module) -> None:
    graph = to_float_onnx(sparse, SHAPE, FEATURES)
    settings = QuantizationSettings(calibration_windows=64, search=False)
    made = quantize(graph, WINDOWS, FRONT_END, settings, Silent(), 0)
    robust = RobustnessSettings(perturbation="linf:5uV", quantized_epochs=1)
    trained = train_quantized(
        graph, made.ranges, WINDOWS, VALIDATION, FRONT_END, TRAINING,
        CertifiedTraining(robust, ADC), 0, Silent(), keeps_zeros=True,
    ).model  # fmt: skip
    before, after = initializers_of(graph.graph), initializers_of(trained.graph)
    weights = [name for name, value in before.items() if value.ndim > 1]
    assert sum(int((before[name] == 0).sum()) for name in weights) == sum(
        int(mask.sum()) for mask in held_zeros(sparse).values()
    )
    for name in weights:
        assert not after[name][before[name] == 0].any()
        assert not np.array_equal(after[name], before[name])
    last = quantize(trained, WINDOWS, FRONT_END, settings, Silent(), 0, ranges=made.ranges)
    for result in (made, last):
        steps = [op for op in read_qdq(result.model).operations if hasattr(op, "weights")]
        found = sum(int((step.weights == 0).sum()) for step in steps)
        assert sum(step.weights.size for step in steps) == sum(before[n].size for n in weights)
        assert found >= sum(int((before[name] == 0).sum()) for name in weights)
