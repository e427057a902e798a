"""`edgeprune analyze`: what a model takes, before anything is run."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from edgeprune.data import BeatFrontEnd, load_card
from edgeprune.network import IntegerNetwork, write_qdq, write_tflite
from tests.cli.conftest import Edgeprune
from tests.network.builders import dense_network
from tests.network.float_models import FloatModel
from tests.studies.reach_models import keras_mlp

LENGTH, CHANNELS = BeatFrontEnd.for_adc(load_card("synthetic-ecg").adc).signal_shape
TWO = ("--target", "cortex-m0plus", "--target", "cortex-m7")


def network() -> IntegerNetwork:
    return dense_network([[1, -2, 3], [4, 5, -6]], [7, 8])


@pytest.mark.parametrize("kind", ["result", "safetensors", "tflite", "onnx"])
def test_every_form_of_a_network_gives_the_same_counts(
    edgeprune: Edgeprune, tmp_path: Path, kind: str
) -> None:
    network().save(tmp_path / "network.safetensors")
    (tmp_path / "net.tflite").write_bytes(write_tflite(network()))
    (tmp_path / "net.onnx").write_bytes(write_qdq(network()))
    names = {"result": "", "safetensors": "network.safetensors"}
    path = tmp_path / names.get(kind, f"net.{kind}")
    result = edgeprune("analyze", path, *TWO, "--json")
    assert result.code == 0, result.out + result.err
    found = result.json["analysis"]
    assert found["schema"] == "edgeprune.analysis/1"
    assert (found["macs"], found["parameters"], found["weight_bytes"]) == (6, 8, 6 + 8)
    assert [each["target"] for each in found["targets"]] == ["cortex-m0plus", "cortex-m7"]
    for each in found["targets"]:
        assert each["fits"]
        assert 0 < each["flash_bytes"] < each["flash_available"]
        assert each["instructions"] > 6
        assert each["peak"]


def test_a_float_graph_of_keras_and_the_verdict_alone(edgeprune: Edgeprune, tmp_path: Path) -> None:
    path = tmp_path / "mlp.onnx"
    onnx.save(keras_mlp((LENGTH, CHANNELS), 5, hidden=(8,)), str(path))
    result = edgeprune("analyze", path, "--target", "cortex-m0plus")
    assert result.code == 0, result.out + result.err
    assert "can be trained and pruned" in result.out
    assert "Softmax" in result.out
    macs = LENGTH * CHANNELS * 8 + 8 * 5
    assert f"PASS analyze: {macs:,} MACs" in result.verdict
    quiet = edgeprune("analyze", path, "--target", "cortex-m0plus", "--quiet")
    assert quiet.out.splitlines() == [quiet.verdict]


def test_what_does_not_fit_says_how_much_is_missing(edgeprune: Edgeprune, tmp_path: Path) -> None:
    path = tmp_path / "wide.onnx"
    onnx.save(keras_mlp((LENGTH, CHANNELS), 5, hidden=(2000,)), str(path))
    result = edgeprune("analyze", path, "--target", "cortex-m0plus", "--json")
    assert result.code == 1
    (found,) = result.json["analysis"]["targets"]
    assert not found["fits"]
    assert "bytes of flash too few" in found["why_not"][0]


def test_everything_unsupported_is_said_at_once(edgeprune: Edgeprune, tmp_path: Path) -> None:
    model = FloatModel()
    value = model.node("Cos", model.node("Sin", model.input("signal", CHANNELS, LENGTH)))
    value = model.node("Flatten", model.node("Relu", value))
    logits = model.node("Gemm", value, model.weights(CHANNELS * LENGTH, 5), model.weights(5))
    path = tmp_path / "sine.onnx"
    onnx.save(onnx.shape_inference.infer_shapes(model.model(logits)), str(path))
    result = edgeprune("analyze", path, *TWO)
    result.failed(2, "EP302", "Sin 'sin0'", "Cos 'cos1'")


def test_names_that_are_none(edgeprune: Edgeprune, tmp_path: Path) -> None:
    edgeprune("analyze", tmp_path / "absent.onnx").failed(2, "EP301", "absent.onnx")
    edgeprune("analyze", "residual-egc", *TWO).failed(2, "EP102", "residual-ecg")
    edgeprune("analyze", "residual-ecg", "--target", "cortex-m8").failed(2, "EP102", "cortex-m7")
