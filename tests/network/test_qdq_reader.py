"""Quantized graphs as onnxruntime makes them, in all their variety."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeprune.network import IntegerNetwork, read_qdq
from tests.network.float_models import FloatModel, classifier, quantized, run_onnx

pytest.importorskip("onnxruntime.quantization")
from onnxruntime.quantization import QuantType


def outputs_of(
    network: IntegerNetwork, model: FloatModel, count: int = 24
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the network's real outputs for random inputs, and the inputs as ONNX takes them."""
    samples = model.samples(count, seed=9)
    feeds = {name: np.concatenate([sample[name] for sample in samples]) for name in samples[0]}
    inputs = [
        tensor.quantize(feeds[tensor.name].reshape(count, *reversed(tensor.shape)).swapaxes(1, -1))
        for tensor in network.input_tensors
    ]
    return network.output_tensor.dequantize(network.run(*inputs)), feeds


def read(
    model: FloatModel, output: str, folder: Path, lsb: float = 2, **options: Any
) -> IntegerNetwork:
    """Quantize and read a model; its outputs must be onnxruntime's within `lsb` steps."""
    qdq = quantized(model.model(output), model.samples(24), folder, **options)
    network = read_qdq(qdq)
    ours, feeds = outputs_of(network, model)
    theirs = run_onnx(qdq, feeds)[0].reshape(ours.shape[0], -1)
    if ours.ndim == 3:
        ours = ours.swapaxes(1, 2)
    difference = np.abs(ours.reshape(len(ours), -1) - theirs).max()
    assert difference <= lsb * network.output_tensor.scale * 1.001
    return network


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"per_channel": False},
        {"activation_type": QuantType.QUInt8},
        {
            "activation_type": QuantType.QUInt8,
            "weight_type": QuantType.QUInt8,
            "per_channel": False,
            "extra_options": {"WeightSymmetric": True},
        },
        {"extra_options": {"ActivationSymmetric": True}},
        {"extra_options": {"UseQDQContribOps": True}},
        {"extra_options": {"AddQDQPairToWeight": True}},
        {"extra_options": {"QDQKeepRemovableActivations": True}},
    ],
    ids=[
        "int8",
        "per tensor",
        "uint8 activations",
        "uint8 weights",
        "symmetric",
        "com.microsoft",
        "float weights",
        "kept Relu",
    ],
)
def test_every_way_to_quantize_is_read(tmp_path: Path, options: dict[str, Any]) -> None:
    model = FloatModel()
    network = read(model, classifier(model), tmp_path, lsb=4, **options)
    kinds = Counter(operation.kind for operation in network.operations)
    assert kinds["conv1d"] == 3
    assert kinds["dense"] == 2
    assert network.inputs == ("signal", "rhythm")


@pytest.mark.parametrize("opset", [13, 15, 17, 18, 21, 22, 23])
def test_opsets_are_read_alike(tmp_path: Path, opset: int) -> None:
    model = FloatModel(opset=opset)
    output = classifier(model)
    read(model, output, tmp_path, lsb=4)


def test_opset_11_is_read(tmp_path: Path) -> None:
    model = FloatModel(opset=11)
    read(model, classifier(model), tmp_path, lsb=4, per_channel=False)


def _flattened_by_reshape(model: FloatModel, value: str) -> str:
    return model.node("Reshape", value, model.constant(np.array([0, -1], np.int64)))


def _flattened_by_shape_arithmetic(model: FloatModel, value: str) -> str:
    zero = model.constant(np.array(0, np.int64))
    batch = model.node("Gather", model.node("Shape", value), zero, axis=0)
    batch = model.node("Unsqueeze", batch, model.constant(np.array([0], np.int64)))
    rest = model.constant(np.array([-1], np.int64))
    return model.node("Reshape", value, model.node("Concat", batch, rest, axis=0))


def _flattened_length_first(model: FloatModel, value: str) -> str:
    return model.node("Flatten", model.node("Transpose", value, perm=[0, 2, 1]))


def _flattened_through_a_height(model: FloatModel, value: str) -> str:
    axes = model.constant(np.array([2], np.int64))
    lifted = model.node("Unsqueeze", value, axes)
    return model.node("Flatten", model.node("Squeeze", lifted, axes))


@pytest.mark.parametrize(
    "flatten",
    [
        _flattened_by_reshape,
        _flattened_by_shape_arithmetic,
        _flattened_length_first,
        _flattened_through_a_height,
    ],
)
def test_layouts_are_folded_into_the_dense_layer(
    tmp_path: Path, flatten: Callable[[FloatModel, str], str]
) -> None:
    model = FloatModel()
    value = model.conv(model.input("signal", 3, 16), 3, 5, 3)
    value = flatten(model, value)
    output = model.node("Gemm", value, model.weights(4, 70), model.weights(4), transB=1)
    network = read(model, output, tmp_path)
    assert [operation.kind for operation in network.operations] == ["conv1d", "reshape", "dense"]


@pytest.mark.parametrize("flatten", [_flattened_by_reshape, _flattened_length_first])
def test_a_signal_flattened_before_it_is_quantized_stays_a_map(
    tmp_path: Path, flatten: Callable[[FloatModel, str], str]
) -> None:
    model = FloatModel()
    value = flatten(model, model.input("signal", 3, 16))
    output = model.node("Gemm", value, model.weights(4, 48), model.weights(4), transB=1)
    network = read(model, output, tmp_path, op_types_to_quantize=["Gemm"])
    assert network.input_tensors[0].shape == (16, 3)
    assert [operation.kind for operation in network.operations] == ["reshape", "dense"]


def test_two_dimensions_of_height_one_are_one(tmp_path: Path) -> None:
    model = FloatModel()
    value = model.input("signal", 3, 1, 16)
    weights = model.weights(6, 3, 1, 3)
    value = model.node("Conv", value, weights, model.weights(6), pads=[0, 1, 0, 1], strides=[1, 2])
    value = model.node("Relu", value)
    value = model.node("MaxPool", value, kernel_shape=[1, 3], strides=[1, 2], pads=[0, 1, 0, 1])
    value = model.node("AveragePool", value, kernel_shape=[1, 2], strides=[1, 2])
    value = model.node("Flatten", model.node("GlobalAveragePool", value))
    output = model.node("Gemm", value, model.weights(6, 4), model.weights(4))
    network = read(model, output, tmp_path)
    assert network.input_tensors[0].shape == (16, 3)


def test_a_signal_given_length_first_is_understood(tmp_path: Path) -> None:
    model = FloatModel()
    value = model.node("Transpose", model.input("signal", 16, 3), perm=[0, 2, 1])
    output = model.node("Flatten", model.conv(value, 3, 2, 3))
    qdq = quantized(model.model(output), model.samples(8), tmp_path)
    network = read_qdq(qdq)
    (tensor,) = network.input_tensors
    assert tensor.shape == (16, 3)
    (sample,) = model.samples(1, seed=9)
    ours = network.run_layers(tensor.quantize(sample["signal"]))
    convolved = network.tensors[network.operations[0].output].dequantize(
        ours[network.operations[0].output]
    )
    theirs = run_onnx(qdq, sample)[0].reshape(1, 2, 14)
    assert np.abs(convolved.swapaxes(1, 2) - theirs).max() <= network.output_tensor.scale * 1.001


@pytest.mark.parametrize("keepdims", [0, 1])
def test_a_mean_over_the_length_is_an_average(tmp_path: Path, keepdims: int) -> None:
    model = FloatModel()
    value = model.conv(model.input("signal", 3, 16), 3, 5, 3)
    value = model.node("ReduceMean", value, axes=[-1], keepdims=keepdims)
    if keepdims:
        value = model.node("Flatten", value)
    output = model.node("Gemm", value, model.weights(5, 4), model.weights(4))
    read(model, output, tmp_path)


@pytest.mark.parametrize(
    "attributes",
    [
        {"pads": [1, 1], "count_include_pad": 1},
        {"pads": [1, 1], "count_include_pad": 0},
        {"auto_pad": "SAME_UPPER"},
        {"strides": [3]},
    ],
)
def test_averages_count_their_padding_as_told(tmp_path: Path, attributes: dict[str, Any]) -> None:
    model = FloatModel()
    value = model.conv(model.input("signal", 3, 17), 3, 4, 3)
    output = model.node("AveragePool", value, kernel_shape=[3], **attributes)
    read(model, output, tmp_path)


@pytest.mark.parametrize(
    "attributes",
    [
        {"pads": [1, 1], "strides": [2]},
        {"pads": [2, 0]},
        {"auto_pad": "SAME_LOWER", "strides": [2]},
        {"ceil_mode": 1, "strides": [2]},
    ],
)
def test_maxima_are_padded_as_told(tmp_path: Path, attributes: dict[str, Any]) -> None:
    model = FloatModel()
    value = model.conv(model.input("signal", 3, 18), 3, 4, 3)
    output = model.node("MaxPool", value, kernel_shape=[3], **attributes)
    read(model, output, tmp_path)


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_maps_are_concatenated(tmp_path: Path, axis: int) -> None:
    model = FloatModel()
    value = model.input("signal", 3, 16)
    first = model.node("Relu", model.conv(value, 3, 4, 3))
    output = model.node("Concat", first, model.conv(value, 3, 4, 3), first, axis=axis)
    read(model, output, tmp_path)


def test_a_bias_added_after_a_convolution_is_its_bias(tmp_path: Path) -> None:
    model = FloatModel()
    value = model.node("Conv", model.input("signal", 3, 16), model.weights(4, 3, 3))
    output = model.node("Relu", model.node("Add", value, model.weights(1, 4, 1)))
    network = read(model, output, tmp_path)
    assert [operation.kind for operation in network.operations] == ["conv1d"]


def test_a_fixed_batch_is_read_as_one_window(tmp_path: Path) -> None:
    model = FloatModel()
    value = model.conv(model.input("signal", 3, 16), 3, 5, 3)
    value = model.node("Reshape", value, model.constant(np.array([1, 70], np.int64)))
    output = model.node("Gemm", value, model.weights(4, 70), model.weights(4), transB=1)
    qdq = quantized(model.model(output), model.samples(8), tmp_path)
    alone = read_qdq(qdq)
    for node in qdq.graph.initializer:
        if (node.dims == [2] and node.int64_data) or node.raw_data == np.array([1, 70]).tobytes():
            node.raw_data = np.array([8, 70], np.int64).tobytes()
    qdq.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 8
    assert read_qdq(qdq) == alone
