"""A user enters at any arrow: an own torch module, a float ONNX, a QDQ ONNX."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgeprune.data import BeatFrontEnd, load_card
from edgeprune.network import IntegerNetwork, read_qdq
from tests.cli.conftest import Edgeprune, Small
from tests.network.float_models import FloatModel

FRONT_END = BeatFrontEnd.for_adc(load_card("synthetic-ecg").adc)
LENGTH, CHANNELS = FRONT_END.signal_shape


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the result directory of the module's first build."""
    return tmp_path_factory.mktemp("own") / "result"


def _build(
    edgeprune: Edgeprune, small: Small, model: object, out: Path, *flags: str
) -> IntegerNetwork:
    result = edgeprune("build", *small.flags, "--model", model, "--out", out, *flags)
    assert result.code == 0, result.out + result.err
    return IntegerNetwork.load(out / "network.safetensors")


def _made(edgeprune: Edgeprune, small: Small, own: Path) -> IntegerNetwork:
    if own.exists():
        return IntegerNetwork.load(own / "network.safetensors")
    return _build(edgeprune, small, "tests.cli.own_models:make", own)


def test_an_own_module(edgeprune: Edgeprune, small: Small, own: Path) -> None:
    network = _made(edgeprune, small, own)
    assert network.output_tensor.size == 5
    assert "tests.cli.own_models:make" in (own / "report.html").read_text(encoding="utf-8")


def test_an_own_float_onnx_gives_the_network_that_it_was_made_of(
    edgeprune: Edgeprune, small: Small, own: Path, tmp_path: Path
) -> None:
    network = _made(edgeprune, small, own)
    unpruned = ("--pruning", "none")
    assert _build(edgeprune, small, own / "float.onnx", tmp_path / "result", *unpruned) == network


def test_an_own_qdq_onnx_is_that_network(
    edgeprune: Edgeprune, small: Small, own: Path, tmp_path: Path
) -> None:
    network = _made(edgeprune, small, own)
    assert _build(edgeprune, small, own / "model.onnx", tmp_path / "result") == network


def test_a_qdq_onnx_with_a_range_of_its_own_gets_a_change_of_range(
    edgeprune: Edgeprune, small: Small, own: Path, tmp_path: Path
) -> None:
    network = _made(edgeprune, small, own)
    model = onnx.load(str(own / "model.onnx"))
    node = next(node for node in model.graph.node if node.input[0] == network.inputs[0])
    for tensor in model.graph.initializer:
        if tensor.name == node.input[1]:
            halved = numpy_helper.to_array(tensor) / np.float32(2)
            tensor.CopyFrom(numpy_helper.from_array(halved, tensor.name))
    path = tmp_path / "halved.onnx"
    onnx.save(model, str(path))
    own_ranges = read_qdq(path)
    fitted = _build(edgeprune, small, path, tmp_path / "result")
    assert fitted.operations[0].kind == "requantize"
    rng = np.random.default_rng(0)
    signal, rhythm = (
        rng.integers(-40, 40, (50, *tensor.shape)).astype(np.int8)
        for tensor in fitted.input_tensors
    )
    doubled = 2 * (signal.astype(np.int64) - FRONT_END.signal_zero_point)
    finer = np.clip(doubled + own_ranges.input_tensors[0].zero_point, -128, 127).astype(np.int8)
    assert np.array_equal(fitted.run(signal, rhythm), own_ranges.run(finer, rhythm))


def test_an_own_tflite_file_is_that_network(
    edgeprune: Edgeprune, small: Small, own: Path, tmp_path: Path
) -> None:
    network = _made(edgeprune, small, own)
    out = small_copy(own, tmp_path)
    result = edgeprune("quantize", *small.flags, "--model", own / "model.tflite", "--out", out)
    assert result.code == 0, result.out + result.err
    read = IntegerNetwork.load(tmp_path / "result.work" / "quantize" / "network.safetensors")
    rng = np.random.default_rng(0)
    inputs = [
        rng.integers(-128, 128, (40, *tensor.shape)).astype(np.int8)
        for tensor in network.input_tensors
    ]
    assert np.array_equal(read.run(*inputs), network.run(*inputs))


def test_a_float_onnx_is_pruned_and_fine_tuned(
    edgeprune: Edgeprune, small: Small, own: Path, tmp_path: Path
) -> None:
    network = _made(edgeprune, small, own)
    out = small_copy(own, tmp_path)
    flags = (*small.flags, "--set", "pruning.channel_multiple=1")
    result = edgeprune("quantize", *flags, "--model", own / "float.onnx", "--out", out)
    assert result.code == 0, result.out + result.err
    read = IntegerNetwork.load(tmp_path / "result.work" / "quantize" / "network.safetensors")
    assert read.parameters() < 0.9 * network.parameters()


def small_copy(own: Path, folder: Path) -> Path:
    """Return a result directory elsewhere that has the data of `own`."""
    work = own.with_name(f"{own.name}.work")
    shutil.copytree(work / "data", folder / "result.work" / "data")
    return folder / "result"


def test_a_signal_alone_is_enough(edgeprune: Edgeprune, small: Small, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(_float_onnx(CHANNELS, LENGTH, 5), str(path))
    network = _build(edgeprune, small, path, tmp_path / "result", "--pruning", "none")
    assert len(network.inputs) == 1


@pytest.mark.parametrize(
    ("channels", "length", "classes", "words"),
    [
        (3, LENGTH, 5, f"3x{LENGTH}"),
        (CHANNELS, LENGTH + 2, 5, f"{CHANNELS}x{LENGTH + 2}"),
        (CHANNELS, LENGTH, 4, "4 logits"),
    ],
)
@pytest.mark.parametrize("verb", ["quantize", "build"])
def test_an_onnx_that_does_not_fit_the_windows(
    edgeprune: Edgeprune,
    built: Small,
    tmp_path: Path,
    channels: int,
    length: int,
    classes: int,
    words: str,
    verb: str,
) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(_float_onnx(channels, length, classes), str(path))
    out = built.copy(tmp_path)
    result = edgeprune(verb, *built.flags, "--model", path, "--out", out)
    result.failed(2, "EP301", words, str(path), "front end" if "x" in words else "data card")
    assert (tmp_path / "result.work" / "data").is_dir()


def _float_onnx(channels: int, length: int, classes: int) -> onnx.ModelProto:
    model = FloatModel()
    value = model.conv(model.input("signal", channels, length), channels, 4, 5, strides=[4])
    value = model.node("GlobalAveragePool", model.node("Relu", value))
    value = model.node("Flatten", value)
    logits = model.node("Gemm", value, model.weights(4, classes), model.weights(classes))
    return onnx.shape_inference.infer_shapes(model.model(logits))
