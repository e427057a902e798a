"""The QDQ graph: every value has a range, the inputs lose nothing, the decisions stay."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from edgeprune.classifiers import create
from edgeprune.classifiers.eegnet import EegNet
from edgeprune.config import QuantizationSettings
from edgeprune.errors import DataError, MissingRangeError, ModelError, UnknownNameError
from edgeprune.network import read_qdq
from edgeprune.progress import Silent
from edgeprune.quantization import clean_float_onnx, quantize, to_float_onnx
from edgeprune.quantization.bias_correction import correct_biases
from edgeprune.quantization.calibration import (
    ActivationRange,
    measure,
    percentile_range,
    run_batches,
)
from edgeprune.quantization.inputs import draw_calibration, feeds, float_inputs
from edgeprune.quantization.qdq import make_qdq
from edgeprune.quantization.quantizer import input_ranges
from tests.quantization.networks import everything
from tests.small_windows import FRONT_END, small_windows

SETTINGS = QuantizationSettings(calibration_windows=128)
WINDOWS = small_windows(400, seed=2)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def float_graph() -> onnx.ModelProto:
    return to_float_onnx(everything(), (32, 1), 2)


def logits(model: onnx.ModelProto) -> np.ndarray:
    fed = feeds(model, WINDOWS, FRONT_END)
    return np.concatenate([batch for (batch,) in run_batches(model, ("logits",), fed)])


def test_decisions_stay() -> None:
    graph = float_graph()
    result = quantize(graph, WINDOWS, FRONT_END, SETTINGS, Silent(), seed=1)
    wanted, found = logits(graph), logits(result.model)
    assert (wanted.argmax(1) == found.argmax(1)).mean() > 0.97
    assert np.abs(wanted - found).mean() < 0.02 * np.abs(wanted).mean() + 0.01
    assert result.chosen.divergence == min(trial.divergence for trial in result.trials)
    assert result.windows == 128
    plain = replace(SETTINGS, search=False, correct_biases=False)
    assert len(quantize(graph, WINDOWS, FRONT_END, plain, Silent(), seed=1).trials) == 1


def test_same_seed_same_bytes_and_no_word(capfd: pytest.CaptureFixture[str]) -> None:
    graph = float_graph()
    first, second = (
        quantize(graph, WINDOWS, FRONT_END, SETTINGS, Silent(), seed=1).model for _ in range(2)
    )
    assert first.SerializeToString() == second.SerializeToString()
    assert capfd.readouterr() == ("", "")
    assert logging.root.manager.disable == logging.NOTSET


def test_every_value_is_int8_and_inputs_are_the_front_end_s() -> None:
    model = quantize(float_graph(), WINDOWS, FRONT_END, SETTINGS, Silent(), seed=1).model
    onnx.checker.check_model(model, full_check=True)
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    producers = {name: node for node in model.graph.node for name in node.output}
    quantized = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    forced = {
        node.input[0]: (float(values[node.input[1]]), int(values[node.input[2]]))
        for node in quantized
    }
    assert forced["signal"] == (FRONT_END.signal_scale, FRONT_END.signal_zero_point)
    assert forced["rhythm"] == (np.float32(FRONT_END.rhythm_scale), FRONT_END.rhythm_zero_point)
    assert all(values[node.input[2]].dtype == np.int8 for node in quantized)
    ranged = {node.input[0] for node in quantized}
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            continue
        for name in node.input:
            assert producers[name].op_type == "DequantizeLinear" or name in values
        assert set(node.output) <= ranged
    for node in model.graph.node:
        if node.op_type == "Conv":
            weight, scale = producers[node.input[1]].input[:2]
            assert values[weight].dtype == np.int8
            assert np.abs(values[weight].astype(int)).max(axis=(1, 2)).tolist() == [127] * len(
                values[weight]
            )
            assert len(values[scale]) == len(values[weight])
            assert values[producers[node.input[2]].input[0]].dtype == np.int32


class FlattensFirst(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = torch.nn.Linear(32, 3)

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        return self.dense(signal.transpose(1, 2).flatten(1))


@pytest.mark.parametrize("first", ["dense", "conv2d"])
def test_what_changes_its_layout_first_keeps_the_scale_of_the_front_end(first: str) -> None:
    if first == "dense":
        model: torch.nn.Module = FlattensFirst()
    else:
        model = EegNet((32, 1), 3, temporal_filters=2, kernel=9)
        model(torch.randn(8, 1, 32))  # fills the normalizations
    graph = to_float_onnx(model.eval(), (32, 1), 0)
    network = read_qdq(quantize(graph, WINDOWS, FRONT_END, SETTINGS, Silent(), seed=1).model)
    (tensor,) = network.input_tensors
    assert tensor.shape == FRONT_END.signal_shape
    found = tensor.scale, tensor.zero_point
    assert found == (FRONT_END.signal_scale, FRONT_END.signal_zero_point)


def test_quantizing_the_inputs_loses_nothing() -> None:
    signal, rhythm = float_inputs(WINDOWS, FRONT_END)
    integers = np.rint(signal / np.float32(FRONT_END.signal_scale)) + FRONT_END.signal_zero_point
    assert (integers.transpose(0, 2, 1) == WINDOWS.signal).all()
    integers = np.rint(rhythm / np.float32(FRONT_END.rhythm_scale)) + FRONT_END.rhythm_zero_point
    assert (integers == WINDOWS.rhythm).all()


def test_corrected_biases_take_the_mean_error_away() -> None:
    graph = clean_float_onnx(float_graph(), where="test")
    fed = feeds(graph, WINDOWS, FRONT_END)
    ranges = {name: percentile_range(h, 90.0) for name, h in measure(graph, fed).items()}
    plain = make_qdq(graph, {**ranges, **input_ranges(graph, FRONT_END)})
    corrected = correct_biases(plain, graph, fed)
    wanted = logits(graph).mean(0)
    before, after = (np.abs(logits(m).mean(0) - wanted).max() for m in (plain, corrected))
    step = ranges["logits"].scale
    assert after <= 0.5 * step
    assert after < before


def test_missing_range_is_named() -> None:
    graph = clean_float_onnx(float_graph(), where="test")
    with pytest.raises(MissingRangeError, match="logits"):
        make_qdq(graph, {"signal": ActivationRange(1.0, 0)})


def test_no_windows_and_unknown_quantizer() -> None:
    nothing = WINDOWS.select(np.zeros(400, bool))
    with pytest.raises(DataError, match="no windows"):
        quantize(float_graph(), nothing, FRONT_END, SETTINGS, Silent(), seed=1)
    other = replace(SETTINGS, quantizer="onnx-runtime")
    with pytest.raises(UnknownNameError, match="did you mean 'onnxruntime'"):
        quantize(float_graph(), WINDOWS, FRONT_END, other, Silent(), seed=1)


def test_more_than_the_stated_loss_of_accuracy_is_refused() -> None:
    graph = float_graph()
    # Untrained it would decide for one class alone.
    last = next(node for node in graph.graph.node if "logits" in node.output)
    bias = next(each for each in graph.graph.initializer if each.name == last.input[2])
    balanced = numpy_helper.to_array(bias) - logits(graph).mean(axis=0)
    bias.CopyFrom(numpy_helper.from_array(balanced.astype(np.float32), bias.name))
    right = replace(WINDOWS, label=logits(graph).argmax(1))
    plain = replace(SETTINGS, search=False, correct_biases=False)
    good = quantize(graph, right, FRONT_END, plain, Silent(), seed=1).ranges
    coarse = {n: ActivationRange(40 * each.scale, each.zero_point) for n, each in good.items()}
    found = quantize(graph, right, FRONT_END, plain, Silent(), seed=1, ranges=coarse)
    drawn = draw_calibration(right, SETTINGS.calibration_windows, 1)
    fed = feeds(found.model, drawn, FRONT_END)
    decided = np.concatenate([batch for (batch,) in run_batches(found.model, ("logits",), fed)])
    lost = 1 - float((decided.argmax(1) == drawn.label).mean())
    assert 0 < lost < 1
    enough = replace(plain, accuracy_loss=lost + 1e-6)
    again = quantize(graph, right, FRONT_END, enough, Silent(), seed=1, ranges=coarse)
    assert again.model == found.model
    less = replace(plain, accuracy_loss=lost - 1e-6)
    with pytest.raises(ModelError, match="more is lost than allowed") as caught:
        quantize(graph, right, FRONT_END, less, Silent(), seed=1, ranges=coarse)
    assert "quantization.accuracy_loss" in caught.value.where


def test_calibration_windows_are_drawn_evenly() -> None:
    drawn = draw_calibration(WINDOWS, 90, seed=4)
    rare = int((WINDOWS.label == 2).sum())
    assert len(drawn.label) == 90
    assert np.bincount(drawn.label).min() == min(rare, 30)
    again = draw_calibration(WINDOWS, 90, seed=4)
    assert (again.signal == drawn.signal).all()
    assert draw_calibration(WINDOWS, 400, seed=4) is WINDOWS


def test_neural_compressor_quantizes_every_layer(capfd: pytest.CaptureFixture[str]) -> None:
    graph = to_float_onnx(create("residual-ecg-small", (32, 1), 2, 3, 7), (32, 1), 2)
    settings = replace(SETTINGS, quantizer="neural-compressor")
    result = quantize(graph, WINDOWS, FRONT_END, settings, Silent(), seed=1)
    assert capfd.readouterr() == ("", "")
    onnx.checker.check_model(result.model, full_check=True)
    wanted, found = logits(graph), logits(result.model)
    assert (wanted.argmax(1) == found.argmax(1)).mean() > 0.9
    convolutions = [node for node in result.model.graph.node if node.op_type == "Conv"]
    producers = {name: node for node in result.model.graph.node for name in node.output}
    for node in convolutions:
        assert {producers[name].op_type for name in node.input} == {"DequantizeLinear"}
    assert len(convolutions) == sum(node.op_type == "Conv" for node in graph.graph.node)


def test_signal_alone_is_enough() -> None:
    graph = to_float_onnx(create("r1", (32, 1), 0, 3, 7), (32, 1), 0)
    result = quantize(graph, WINDOWS, FRONT_END, SETTINGS, Silent(), seed=1)
    assert [value.name for value in result.model.graph.input] == ["signal"]


def test_channels_without_weights_keep_their_bias() -> None:
    """onnxruntime gives them a scale of 1, in whose steps the bias is 0."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = torch.nn.Sequential(
            torch.nn.Conv1d(1, 4, 5), torch.nn.ReLU(), torch.nn.Flatten(),
            torch.nn.Linear(4 * 28, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3),
        ).eval()  # fmt: skip
    with torch.no_grad():
        model[0].weight[1:3] = 0
        model[0].bias[:] = torch.tensor([0.1, 0.01, -0.02, 0.0])
        model[3].weight[:] = 0
        model[3].bias[:] = torch.linspace(-0.004, 0.01, 8)
    windows = small_windows(40, 1)
    result = quantize(
        to_float_onnx(model, FRONT_END.signal_shape, 0), windows, FRONT_END, SETTINGS, Silent(), 0
    )
    network = read_qdq(result.model)
    convolution, dense, last = (step for step in network.operations if hasattr(step, "weights"))
    assert not convolution.weights[1:3].any()
    for step, layer in ((convolution, model[0]), (dense, model[3])):
        scales = network.tensors[step.inputs[0]].scale * np.broadcast_to(
            step.weight_scales, len(step.bias)
        )
        kept = step.bias * scales
        wanted = layer.bias.detach().numpy()
        assert np.abs(kept - wanted).max() < network.tensors[step.output].scale / 100
    assert last.weights.any()
    logits = network.output_tensor.dequantize(network.run(windows.signal))
    exact = model(torch.from_numpy(float_inputs(windows, FRONT_END)[0])).detach().numpy()
    assert np.abs(logits - exact).max() <= 2 * network.output_tensor.scale
