"""Settings of a pruning: what they mean, what contradicts, and what stops it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edgeprune.config import PruningSettings, RobustnessSettings, TrainingSettings
from edgeprune.errors import ConfigurationError, DataError, ModelError, UnknownNameError
from edgeprune.progress import Silent
from edgeprune.pruning import (
    FineTuning,
    History,
    NewWeights,
    Removal,
    ZeroedWeights,
    apply,
    check_pruning,
    draw_materials,
    held_zeros,
    load_history,
    prune,
    prune_classifier,
    replay,
    save_history,
    without_windows,
)
from edgeprune.pruning.fine_tuning import aim_of
from edgeprune.training import macro_f1, predict
from tests.pruning.networks import classifier
from tests.training.bounded_modules import ADC, FEATURES, FRONT_END, beats

PLAIN = RobustnessSettings()
ROBUST = RobustnessSettings(perturbation="linf:50uV", loss="interval", share=0.5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": "weights"}, "did you mean 'weight'"),
        ({"importance": "l3"}, "importance 'l3'"),
        ({"scope": "everywhere"}, "pruning scope"),
        ({"schedule": "progresive"}, "did you mean 'progressive'"),
        ({"fine_tune": "pdg"}, "did you mean 'pgd'"),
        ({"fine_tune": "pgd"}, "needs a perturbation"),
        ({"scope": "sensitivity"}, "none is described"),
        ({"method": "weight", "importance": "hrank"}, "scores each channel"),
        ({"importance": "consensus"}, "scores each block"),
        ({"method": "vnn", "vnn_variant": "faithfull"}, "did you mean 'faithful'"),
    ],
)
def test_names_and_contradictions_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises((UnknownNameError, ConfigurationError), match=words):
        check_pruning(replace(PruningSettings(), **changes), PLAIN)


def test_fine_tuning_is_for_what_it_says() -> None:
    def aim(name: str, robustness: RobustnessSettings, perturbation: str = "linf:20uV") -> Any:
        settings = PruningSettings(fine_tune=name, perturbation=perturbation)
        return aim_of(settings, robustness)

    assert aim("", PLAIN).taught
    assert aim("", PLAIN).robust is None
    assert aim("", ROBUST).robust == replace(ROBUST, share=0.0)
    assert not aim("", ROBUST).taught
    assert not aim("none", ROBUST).trains
    assert not aim_of(PruningSettings(method="vnn"), ROBUST).trains
    assert aim_of(PruningSettings(method="vnn", fine_tune="natural"), ROBUST).trains
    assert aim("natural", ROBUST) == aim("natural", PLAIN)
    assert aim("distilled", ROBUST).taught
    for name in ("pgd", "trades", "free"):
        robust = aim(name, ROBUST).robust
        assert (robust.loss, robust.perturbation) == (name, "linf:20uV")
        assert aim(name, ROBUST, "").robust.perturbation == "linf:50uV"
    assert aim("certified", replace(PLAIN, loss="pgd")).robust.loss == "interval"
    assert aim("certified", replace(PLAIN, loss="crown-interval")).robust.loss == "crown-interval"
    assert aim("stability", PLAIN).robust.neuron_stability > 0


def test_materials_are_drawn_by_class_and_record() -> None:
    windows = beats(300, 1)
    model, _ = classifier("certifiable-ecg")
    drawn = draw_materials(model, windows, FRONT_END, 60, seed=5)
    counts = Counter(drawn.labels.tolist())
    there = Counter(windows.label.tolist())
    assert sum(counts.values()) == 60
    assert all(counts[label] >= min(there[label], 20) for label in there)
    signal, rhythm = drawn.inputs
    assert signal.shape == (60, 2, 96)
    assert rhythm.shape == (60, FEATURES)
    again = draw_materials(model, windows, FRONT_END, 60, seed=5)
    assert torch.equal(again.inputs[0], signal)
    other = draw_materials(model, windows, FRONT_END, 60, seed=6)
    assert not torch.equal(other.inputs[0], signal)
    assert len(draw_materials(model, windows, FRONT_END, 10**6, seed=5).labels) == 300
    assert len(draw_materials(classifier("r1")[0], windows, FRONT_END, 8, seed=5).inputs) == 1


@pytest.mark.parametrize("importance", ["random", "undecayed", "l2"])
@pytest.mark.parametrize("name", ["residual-ecg", "eeg", "r1"])
def test_channels_go_by_every_importance(name: str, importance: str) -> None:
    model, materials = classifier(name)
    settings = PruningSettings(
        ratio=0.4, steps=1, channel_multiple=1, importance=importance, scope="local"
    )
    result = prune(model, materials, settings, lambda pruned, _: pruned, Silent())
    assert 1.6 < result.after.compression(result.before) < 2.1
    assert result.model(*materials.inputs).shape == model(*materials.inputs).shape


def test_guard_keeps_the_classifier_before_the_step_it_refuses() -> None:
    model, materials = classifier("certifiable-ecg")
    settings = PruningSettings(method="weight", ratio=0.75, steps=3)
    asked = []

    def guard(_: nn.Module, number: int) -> str:
        asked.append(number)
        return "S lost 3 points" if number == 1 else ""

    result = prune(model, materials, settings, lambda m, _: m, Silent(), guard=guard)
    assert asked == [0, 1]
    assert result.stopped == "S lost 3 points"
    assert len(result.steps) == 1
    assert result.after == result.steps[0].after
    assert 1.3 < result.after.compression(result.before) < 1.4


def test_history_of_every_kind_survives_its_file(tmp_path: Path) -> None:
    model, materials = classifier("certifiable-ecg")
    shape = tuple(model.joint.weight.shape)
    edits = (
        NewWeights("joint", np.full(shape, 0.25, np.float32), np.zeros(shape[0], np.float32)),
        ZeroedWeights("dense", np.array([0, 5, 17]), 0.125),
        Removal("convolutions.0", (2, 3), 0.5),
    )
    changed = apply(model, edits, materials.example)
    assert changed.convolutions[0].out_channels == 14
    assert not changed.dense.weight.flatten()[[0, 5, 17]].any()
    assert bool((changed.joint.weight == 0.25).all())
    assert model.convolutions[0].out_channels == 16
    from edgeprune.pruning import PruningStep, count

    counts = count(model, materials.example)
    path = tmp_path / "a" / "pruning-history.json"
    path.parent.mkdir()
    save_history(History((PruningStep(edits, counts, counts, None),), "why"), path)
    read = load_history(path)
    again = apply(model, read.steps[0].edits, materials.example)
    assert torch.equal(again(*materials.inputs), changed(*materials.inputs))
    assert (read.steps[0].before, read.stopped) == (counts, "why")
    written = path.read_bytes(), path.with_suffix(".safetensors").read_bytes()
    save_history(read, path)
    assert written == (path.read_bytes(), path.with_suffix(".safetensors").read_bytes())
    with pytest.raises(ModelError, match="does not fit|no layer|no channels"):
        apply(classifier("r1")[0], edits[:1], materials.example)
    for broken in ({"format": "other"}, json.loads(written[0]) | {"steps": [{}]}):
        path.write_text(json.dumps(broken), encoding="utf-8")
        with pytest.raises(DataError, match="not a pruning history"):
            load_history(path)


@pytest.mark.parametrize("fine_tune", ["none", "distilled", "pgd"])
def test_a_classifier_is_pruned_and_trained_in_one_call(fine_tune: str) -> None:
    model, _ = classifier("certifiable-ecg")
    windows = beats(80, 1)
    settings = PruningSettings(
        method="weight", ratio=0.5, steps=2, fine_tune=fine_tune, fine_tune_epochs=1,
        importance="undecayed", perturbation="linf:20uV", windows=32,
    )  # fmt: skip
    recipe = TrainingSettings(epochs=1, epoch_steps=2, batch_size=8)
    tuning = FineTuning(windows, windows, FRONT_END, ADC, recipe, PLAIN, settings, seed=2)
    found = prune_classifier(model, tuning, Silent())
    result = found.result
    assert result.after.compression(result.before) == pytest.approx(2, rel=1e-2)
    decided = predict(result.model, windows, FRONT_END).argmax(1)
    assert found.scores[-1] == pytest.approx(macro_f1(windows.label, decided))
    assert len(found.scores) == len(result.steps) == 2
    plain = replay(model, result.steps, without_windows(model, (96, 2), FEATURES).example)
    assert held_zeros(plain).keys() == held_zeros(result.model).keys()
    same = all(
        torch.equal(held_zeros(plain)[name], zeros)
        for name, zeros in held_zeros(result.model).items()
    )
    assert same
    moved = not torch.equal(plain.joint.weight, result.model.joint.weight)
    assert moved == (fine_tune != "none")
