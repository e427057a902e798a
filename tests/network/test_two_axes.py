"""Maps of two axes: which axis a graph names first, what is a 1-D layer, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeprune.errors import NetworkError
from edgeprune.network import (
    AveragePool2d,
    Conv2d,
    DepthwiseConv2d,
    IntegerNetwork,
    MaxPool2d,
    Operation,
    Reshape,
    read_qdq,
)
from tests.network.builders import header, network_of, tensor
from tests.network.float_models import FloatModel, quantized, run_onnx

pytest.importorskip("onnxruntime.quantization")


def layers(model: FloatModel, value: str, *, time_last: bool) -> str:
    """Filters in time, electrodes weighed up, pools over both axes; the axes as told."""

    def sizes(time: int, electrodes: int) -> list[int]:
        return [electrodes, time] if time_last else [time, electrodes]

    filters = model.weights(4, 1, *sizes(5, 1))
    value = model.node("Conv", value, filters, model.weights(4), pads=[*sizes(2, 0)] * 2)
    value = model.node("Relu", value)
    value = model.node("MaxPool", value, kernel_shape=sizes(2, 1), strides=sizes(2, 1))
    weighed = model.weights(8, 1, *sizes(1, 3))
    value = model.node("Conv", value, weighed, model.weights(8), group=4, strides=sizes(1, 2))
    value = model.node("Relu", value)
    value = model.node("AveragePool", value, kernel_shape=sizes(3, 2), strides=sizes(2, 1))
    return model.node("GlobalAveragePool", value)


@pytest.mark.parametrize("time_last", [True, False])
@pytest.mark.parametrize("transposed", [True, False])
def test_either_axis_may_come_first(tmp_path: Path, time_last: bool, transposed: bool) -> None:
    """A signal [n, electrodes, time] becomes [n, 1, ...] without moving a byte, as told."""
    model = FloatModel()
    value = model.input("signal", 6, 32)
    if transposed != time_last:
        value = model.node("Transpose", value, perm=[0, 2, 1])
        value = model.node("Unsqueeze", value, model.constant(np.array([1])))
        if time_last:
            value = model.node("Transpose", value, perm=[0, 1, 3, 2])
    elif time_last:
        value = model.node("Unsqueeze", value, model.constant(np.array([1])))
    else:
        value = model.node("Unsqueeze", value, model.constant(np.array([3])))
        value = model.node("Transpose", value, perm=[0, 3, 2, 1])
    flat = model.node("Flatten", layers(model, value, time_last=time_last))
    output = model.node("Gemm", flat, model.weights(8, 3), model.weights(3))
    qdq = quantized(model.model(output), model.samples(16), tmp_path)
    network = read_qdq(qdq)
    assert network.input_tensors[0].shape == (32, 6)
    kinds = [operation.kind for operation in network.operations]
    assert kinds.count("conv2d") == kinds.count("depthwise_conv2d") == 1 + ("x" in kinds)
    given = np.concatenate([sample["signal"] for sample in model.samples(12, seed=3)])
    ours = network.run(network.input_tensors[0].quantize(given.swapaxes(1, 2)))
    theirs = run_onnx(qdq, {"signal": given})[0]
    difference = np.abs(network.output_tensor.dequantize(ours) - theirs).max()
    assert difference <= 2.001 * network.output_tensor.scale


def test_an_image_is_read_with_its_width_as_the_length(tmp_path: Path) -> None:
    model = FloatModel()
    value = model.input("signal", 3, 9, 12)
    value = model.node("Conv", value, model.weights(5, 3, 3, 3), pads=[1, 0, 2, 1], strides=[2, 1])
    value = model.node("MaxPool", value, kernel_shape=[2, 3], strides=[2, 2], ceil_mode=1)
    value = model.node("ReduceMean", value, axes=[2], keepdims=0)
    flat = model.node("Flatten", value)
    options = {"op_types_to_quantize": model.operators}
    qdq = quantized(model.model(flat), model.samples(16), tmp_path, **options)
    network = read_qdq(qdq)
    assert network.input_tensors[0].shape == (12, 9, 3)
    given = np.concatenate([sample["signal"] for sample in model.samples(12, seed=3)])
    ours = network.run(network.input_tensors[0].quantize(given.transpose(0, 3, 2, 1)))
    theirs = run_onnx(qdq, {"signal": given})[0]
    # The vector is the map's bytes; ONNX flattens its channels first.
    real = network.output_tensor.dequantize(ours).reshape(12, -1, 5).swapaxes(1, 2)
    assert np.abs(real.reshape(12, -1) - theirs).max() <= 2.001 * network.output_tensor.scale


SIGNAL = tensor("x", 6, 4, 2)


def weighted(kind: type[Operation], shape: tuple[int, ...], **changes: object) -> Operation:
    outputs = shape[-1] if kind is DepthwiseConv2d else shape[0]
    fields = {
        "weights": np.ones(shape),
        "bias": np.zeros(outputs),
        "weight_scales": np.full(outputs, 0.25),
    }
    return kind(**header("y", "x"), **{**fields, **changes})


@pytest.mark.parametrize(
    ("operation", "source", "message"),
    [
        (weighted(Conv2d, (3, 1, 3, 2)), tensor("x", 24, 2), r"\[length, height, channels\]"),
        (weighted(Conv2d, (3, 1, 5, 2)), SIGNAL, "does not fit a length of 4"),
        (weighted(Conv2d, (3, 1, 1, 2)), tensor("x", 6, 1, 2), "over a height of 1 it is a conv1d"),
        (weighted(Conv2d, (3, 1, 2, 2)), tensor("x", 1, 6, 2), "over a length of 1 it is a conv1d"),
        (weighted(Conv2d, (2, 1, 2, 1), groups=2), SIGNAL, "are a depthwise_conv2d"),
        (weighted(DepthwiseConv2d, (1, 2, 1)), tensor("x", 6, 4, 1), "one channel it is a conv2d"),
        (weighted(Conv2d, (3, 1, 2, 2), stride=(1, 0)), SIGNAL, "do not describe a window"),
        (MaxPool2d(**header("y", "x"), kernel=(2, 1)), tensor("x", 6, 1, 2), "it is a max_pool1d"),
        (MaxPool2d(**header("y", "x"), kernel=(1, 1), padding=((0, 0), (1, 0))), SIGNAL,
         "wholly in the padding"),
        (AveragePool2d(**header("y", "x"), kernel=(3, 3), padding=((1, 1), (0, 1))), SIGNAL,
         "no form in TFLite"),
    ],
)  # fmt: skip
def test_what_is_no_layer_of_two_axes(operation: Operation, source: object, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        operation.output_shape(source.shape)


def test_a_convolution_is_what_its_definition_says() -> None:
    random = np.random.default_rng(2)
    weights = random.integers(-9, 10, (3, 2, 3, 2))
    operation = weighted(
        Conv2d,
        weights.shape,
        weights=weights,
        stride=(2, 1),
        dilation=(1, 2),
        padding=((1, 0), (2, 1)),
    )
    output = tensor("y", *operation.output_shape((6, 4, 2)), scale=0.125)
    network = network_of(operation, output, tensor("x", 6, 4, 2))
    values = random.integers(-5, 6, (1, 6, 4, 2)).astype(np.int8)
    found = network.run(values)[0]
    for place in np.ndindex(*found.shape):
        length, height, out = place
        total = 0
        for along, across, channel in np.ndindex(2, 3, 2):
            row, cell = 2 * length - 1 + along, height - 2 + 2 * across
            if 0 <= row < 6 and 0 <= cell < 4:
                total += int(weights[out, along, across, channel]) * int(
                    values[0, row, cell, channel]
                )
        # 0.5 * 0.25 / 0.125 = 1
        assert found[place] == np.clip(total, -128, 127)


def test_costs_and_files_know_both_axes(tmp_path: Path) -> None:
    operation = weighted(DepthwiseConv2d, (3, 4, 4), channel_multiplier=2, padding=((1, 1), (0, 0)))
    reshape = Reshape(**header("x", "signal"), shape=(6, 4, 2))
    output = tensor("y", 6, 1, 4)
    tensors = {each.name: each for each in (tensor("signal", 6, 8), SIGNAL, output)}
    network = IntegerNetwork(tensors, ("signal",), ("y",), (reshape, operation))
    assert network.multiply_accumulates() == 6 * 3 * 4 * 4
    network.save(tmp_path / "network")
    assert IntegerNetwork.load(tmp_path / "network") == network
