"""`[robustness]` through the chain: what it changes, what it repeats, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeprune.config import load_config
from edgeprune.errors import EdgepruneError, UnknownNameError
from edgeprune.network import load_onnx
from edgeprune.pipeline.build import BuildResult, build
from edgeprune.quantization.graph import initializers_of
from tests.pipeline.small import SETTINGS, small_card


def _quantized(
    folder: Path, name: str, until: str = "quantize", **overrides: object
) -> BuildResult:
    flags = {
        **SETTINGS,
        "dataset": str(small_card(folder)),
        "model": "certifiable-ecg",
        "robustness.perturbation": "linf:30uV",
        "robustness.warm_up": 0.3,
        "robustness.quantized_epochs": 1,
        **overrides,
    }
    return build(load_config(None, flags), folder / name, until=until)


@pytest.fixture(scope="module")
def robust(tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    return _quantized(tmp_path_factory.mktemp("robust"), "result")


def _network(result: BuildResult) -> bytes:
    return result.stages["quantize"].file("network.safetensors").read_bytes()


def test_it_is_trained_through_the_roundings_of_what_is_flashed(robust: BuildResult) -> None:
    stage = robust.stages["quantize"]
    quantization = json.loads(stage.file("quantization.json").read_text(encoding="utf-8"))
    assert "ranges it was trained for" in json.dumps(quantization)
    graph = load_onnx(stage.file("float.onnx")).graph
    weight = initializers_of(graph)["joint.weight"]
    steps = weight / (abs(weight).max() / 127)
    assert abs(steps - steps.round()).max() < 1e-3


def test_the_evidence_says_what_it_was_trained_for(robust: BuildResult) -> None:
    record = robust.stages["train"].file("training.json").read_text(encoding="utf-8")
    summary = json.loads(record)["summary"]
    assert "provable under linf:30uV: the worst case of interval bounds under 1.2 times" in summary
    assert "distilled from 0 classifiers" in summary


def test_training_against_attacks_claims_no_proof(tmp_path: Path) -> None:
    flags = {
        "model": "",
        "training.epoch_steps": 2,
        "training.batch_size": 16,
        "robustness.loss": "trades",
        "robustness.steps": 1,
        "robustness.beta": 2.5,
        "robustness.noise_to_signal": 0.1,
        "robustness.neuron_stability": 0.02,
    }
    result = _quantized(tmp_path, "attacked", until="train", **flags)
    assert result.context.config.model == "residual-ecg"
    record = result.stages["train"].file("training.json").read_text(encoding="utf-8")
    summary = json.loads(record)["summary"]
    assert "hard to attack under linf:30uV, which proves nothing" in summary
    assert "attacked (trades) within 1.2 times that has a weight of 2.5" in summary
    assert "a weight of 0.1; units that can switch are penalized with 0.02" in summary
    assert "provable" not in summary


def test_the_same_bytes_again_and_others_without(robust: BuildResult, tmp_path: Path) -> None:
    assert _network(_quantized(tmp_path, "again")) == _network(robust)
    kept = build(robust.context.config, robust.out, until="quantize")
    assert all(stage.reused for stage in kept.stages.values())
    other = _quantized(tmp_path, "other", **{"robustness.quantized_epochs": 0})
    assert _network(other) != _network(robust)


def test_the_share_to_reach_trains_nothing_anew(robust: BuildResult, tmp_path: Path) -> None:
    from dataclasses import replace

    config = robust.context.config
    stricter = replace(config, robustness=replace(config.robustness, share=0.9))
    again = build(stricter, robust.out, until="quantize")
    assert all(stage.reused for stage in again.stages.values())


def test_what_cannot_be_trained_for_is_said(tmp_path: Path) -> None:
    with pytest.raises(EdgepruneError):
        _quantized(tmp_path, "result", **{"robustness.perturbation": "linf:30"})
    with pytest.raises(UnknownNameError, match="no loss .hope."):
        _quantized(tmp_path, "result", **{"robustness.loss": "hope"})
