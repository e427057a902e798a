"""EEGNet's sizes as its paper's table says, and its way from torch to integers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgeprune.classifiers import create
from edgeprune.classifiers.eegnet import EegNet
from edgeprune.errors import ModelError
from edgeprune.network import read_qdq, write_qdq
from edgeprune.verification.runtimes import RUNTIMES
from tests.classifiers.eegnets import quantized_eegnet, signals
from tests.network.float_models import run_onnx


def test_parameters_are_those_of_the_paper() -> None:
    model = EegNet((128, 64), 4)
    weights = {name: value.numel() for name, value in model.named_parameters() if value.ndim > 1}
    # Table 2: 64 F1; C D F1; 16 D F1; F2 (D F1); N (F2 T // 32).
    assert weights == {
        "temporal.weight": 64 * 8,
        "spatial.weight": 64 * 2 * 8,
        "separable.weight": 16 * 2 * 8,
        "pointwise.weight": 16 * 2 * 8,
        "dense.weight": 4 * 16 * 128 // 32,
    }


@pytest.mark.parametrize(("length", "kernel"), [(32, 64), (100, 15), (131, 16)])
def test_any_length_fits_its_dense_layer(length: int, kernel: int) -> None:
    model = EegNet((length, 3), 2, kernel=kernel).eval()
    assert model(torch.zeros(2, 3, length)).shape == (2, 2)


def test_its_weights_are_those_of_the_seed() -> None:
    first, second = (create("eegnet", (64, 2), 0, 2, seed=4).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_signal_that_the_pools_use_up_is_refused() -> None:
    with pytest.raises(ModelError, match="31 samples are too few"):
        EegNet((31, 2), 2)


def test_two_axes_only_as_long_as_there_are_electrodes() -> None:
    _, network = quantized_eegnet()
    kinds = [operation.kind for operation in network.operations]
    assert kinds == [
        "reshape",
        "conv2d",
        "depthwise_conv2d",
        "table",
        "reshape",
        "average_pool1d",
        "depthwise_conv1d",
        "conv1d",
        "table",
        "average_pool1d",
        "reshape",
        "dense",
    ]
    assert network.input_tensors[0].shape == (64, 6)
    assert read_qdq(write_qdq(network)) == network


def test_integers_are_what_onnxruntime_makes_of_the_graph() -> None:
    qdq, network = quantized_eegnet()
    given = signals(24)
    ours = network.run(network.input_tensors[0].quantize(given.transpose(0, 2, 1)))
    theirs = run_onnx(qdq, {"signal": given})[0]
    difference = np.abs(network.output_tensor.dequantize(ours) - theirs).max()
    assert difference <= 2.001 * network.output_tensor.scale


@pytest.mark.parametrize(
    ("runtime", "package"),
    [("tflite-runtime BUILTIN_REF", "tflite_runtime"), ("tflite-micro", "tflite_micro")],
)
def test_tflite_gives_every_layer_to_the_bit(runtime: str, package: str) -> None:
    pytest.importorskip(package, exc_type=ImportError)
    _, network = quantized_eegnet()
    values = np.random.default_rng(0).integers(-128, 128, (3, 64, 6)).astype(np.int8)
    exact = network.run_layers(values)
    layers = RUNTIMES.get(runtime).open(network)([values])
    for operation in network.operations:
        np.testing.assert_array_equal(layers[operation.output], exact[operation.output])
