"""A signal with its channels last is turned: the same logits, float and quantized."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from edgeprune.errors import UnsupportedOperatorError
from edgeprune.network import read_qdq
from edgeprune.quantization.layout import channels_first
from tests.network.float_models import FloatModel, Reader, quantized, run_onnx

LENGTH, CHANNELS = 16, 3


def keras() -> tuple[FloatModel, onnx.ModelProto]:
    model = FloatModel()
    value = model.node("Transpose", model.input("input_1", LENGTH, CHANNELS), perm=[0, 2, 1])
    value = model.node("Relu", model.conv(value, CHANNELS, 4, 3, pads=[1, 1]))
    value = model.node("Transpose", value, perm=[0, 2, 1])
    value = model.node("Reshape", value, model.constant(np.array([-1, LENGTH * 4])))
    value = model.node("Gemm", value, model.weights(LENGTH * 4, 5), model.weights(5))
    return model, onnx.shape_inference.infer_shapes(model.model(value))


def test_a_float_graph_computes_the_same() -> None:
    model, graph = keras()
    (sample,) = model.samples(1, seed=4)
    turned = channels_first(graph, (LENGTH, CHANNELS))
    onnx.checker.check_model(turned, full_check=True)
    (entry,) = turned.graph.input
    found = run_onnx(turned, {entry.name: sample["input_1"].transpose(0, 2, 1)})[0]
    np.testing.assert_array_equal(found, run_onnx(graph, sample)[0])
    assert channels_first(turned, (LENGTH, CHANNELS)) is turned


def test_a_quantized_graph_keeps_its_integers(tmp_path: Path) -> None:
    model, graph = keras()
    qdq = quantized(graph, model.samples(12), tmp_path)
    network = read_qdq(channels_first(qdq, (LENGTH, CHANNELS)))
    assert [tensor.shape for tensor in network.input_tensors] == [(LENGTH, CHANNELS)]
    assert [operation.kind for operation in network.operations] == ["conv1d", "reshape", "dense"]
    samples = model.samples(60, seed=5)
    theirs = np.concatenate([run_onnx(qdq, sample)[0] for sample in samples])
    windows = np.concatenate([sample["input_1"] for sample in samples])
    ours = network.run(network.input_tensors[0].quantize(windows))
    output = network.output_tensor
    steps = np.abs(output.dequantize(ours) - theirs) / output.scale
    # onnxruntime multiplies in float: two layers may each differ by a step.
    assert steps.max() < 2.01


@pytest.mark.parametrize("shape", [(1, CHANNELS, LENGTH), (CHANNELS, LENGTH, 1)])
def test_axes_of_one_cell_are_left_out(shape: tuple[int, ...]) -> None:
    model = FloatModel()
    value = model.node("Flatten", model.input("x", *shape))
    graph = model.model(model.node("Gemm", value, model.weights(CHANNELS * LENGTH, 5)))
    turned = channels_first(graph, (LENGTH, CHANNELS))
    (sample,) = model.samples(1)
    (entry,) = turned.graph.input
    given = sample["x"].reshape(1, CHANNELS, LENGTH)
    np.testing.assert_allclose(
        run_onnx(turned, {entry.name: given})[0], run_onnx(graph, sample)[0], rtol=1e-6
    )


def test_other_windows_are_left_alone() -> None:
    _, graph = keras()
    assert channels_first(graph, (LENGTH + 1, CHANNELS)) is graph


def test_the_qoperator_format_and_dynamic_quantization_are_refused_by_name(tmp_path: Path) -> None:
    from onnxruntime.quantization import QuantFormat, quantize_dynamic, quantize_static

    model, graph = keras()
    source, target = tmp_path / "float.onnx", tmp_path / "quantized.onnx"
    onnx.save(graph, source)
    quantize_static(source, target, Reader(model.samples(4)), quant_format=QuantFormat.QOperator)
    with pytest.raises(UnsupportedOperatorError, match="QLinearConv") as caught:
        read_qdq(target)
    assert "QuantFormat.QDQ" in caught.value.hint
    quantize_dynamic(source, target)
    with pytest.raises(UnsupportedOperatorError, match="DynamicQuantizeLinear") as caught:
        read_qdq(target)
    assert "statically" in caught.value.hint
