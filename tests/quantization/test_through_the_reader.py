"""The QDQ graph, read as integers, is what onnxruntime computes: to one LSB in every layer."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from edgeprune.classifiers import create
from edgeprune.config import QuantizationSettings
from edgeprune.network import Concat, Conv1d, Dense, Reshape, read_qdq
from edgeprune.progress import Silent
from edgeprune.quantization import quantize, to_float_onnx
from edgeprune.quantization.calibration import open_session
from edgeprune.quantization.inputs import feeds
from tests.quantization.networks import everything, functions
from tests.small_windows import FRONT_END, small_windows

WINDOWS = small_windows(300, seed=2)


def quantized(name: str, quantizer: str) -> onnx.ModelProto:
    torch.set_num_threads(1)
    own = {"everything": everything, "functions": functions}
    model = own[name]() if name in own else create(name, (32, 1), 2, 3, 1)
    settings = QuantizationSettings(quantizer=quantizer, calibration_windows=128)
    graph = to_float_onnx(model, (32, 1), 2)
    return quantize(graph, WINDOWS, FRONT_END, settings, Silent(), seed=1).model


def integers_of_onnxruntime(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Return every quantized value, length before channels, by the name that the reader uses."""
    quantizers = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    del exposed.graph.output[:]
    for node in quantizers:
        value = onnx.helper.make_tensor_value_info(node.output[0], onnx.TensorProto.INT8, None)
        exposed.graph.output.append(value)
    found = open_session(exposed).run(None, dict(feeds(model, WINDOWS, FRONT_END)))
    return {
        node.input[0]: np.ascontiguousarray(value.transpose(0, 2, 1)) if value.ndim == 3 else value
        for node, value in zip(quantizers, found, strict=True)
    }


@pytest.mark.parametrize(
    ("name", "quantizer"),
    [
        ("everything", "onnxruntime"),
        ("functions", "onnxruntime"),
        ("residual-ecg-small", "onnxruntime"),
        ("r1", "onnxruntime"),
        ("certifiable-ecg", "onnxruntime"),
        ("certifiable-ecg-form", "onnxruntime"),
        ("residual-ecg-small", "neural-compressor"),
    ],
)
def test_every_layer(name: str, quantizer: str) -> None:
    model = quantized(name, quantizer)
    network = read_qdq(model)
    wanted = integers_of_onnxruntime(model)
    assert (wanted["signal"] == WINDOWS.signal).all()
    ours: set[str] = set()
    for operation in network.operations:
        single = network.single_layer(operation.name)
        found = single.run(*(wanted[each] for each in single.inputs))
        # What the reader adds has no counterpart, and it flattens in another order, which it folds
        # into the next dense layer.
        if operation.output not in wanted or isinstance(operation, Reshape | Concat):
            wanted[operation.output] = found
            ours.add(operation.output)
            continue
        difference = np.abs(found.astype(int) - wanted[operation.output].reshape(found.shape))
        same_inputs = not any(each in ours for each in single.inputs)
        assert difference.max() <= (1 if same_inputs else 2), operation.name
        if isinstance(operation, Conv1d | Dense) and same_inputs:
            # of the others, averages tie often, and ties go other ways
            assert (difference > 0).mean() < 0.05, operation.name
