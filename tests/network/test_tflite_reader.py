"""A TFLite file read back: its own files, the converter's, and damaged ones."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from edgeprune.errors import EdgepruneError, ModelError, UnsupportedOperatorError
from edgeprune.network import IntegerNetwork, read_tflite, write_tflite
from tests.network.strategies import Case, cases, inputs_for
from tests.network.tflite_files import TfliteFile, reference


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(case=cases())
def test_a_network_that_was_written_computes_the_same(case: Case) -> None:
    read = read_tflite(write_tflite(case.network)).network
    np.testing.assert_array_equal(read.run(*case.inputs), case.network.run(*case.inputs))
    weighted = [each for each in case.network.operations if hasattr(each, "weights")]
    found = [each for each in read.operations if hasattr(each, "weights")]
    assert [each.name for each in found] == [each.name for each in weighted]


def sequence() -> bytes:
    """Conv1D, DepthwiseConv1D, dilation and dense layers, as Keras and the converter have them."""
    file = TfliteFile()
    signal = file.tensor("serving_default_signal:0", (1, 30, 8), 0.1, 5)
    value = file.reshape(signal, (1, 1, 30, 8))
    value = file.conv(value, (1, 1, 15, 12), 12, (1, 5), same=True, strides=(1, 2), relu="RELU")
    value = file.conv(value, (1, 1, 15, 24), 24, (1, 3), same=True, depthwise=True, relu="RELU6")
    value = file.conv(
        value, (1, 1, 11, 8), 8, (1, 3), dilations=(1, 2), relu="RELU_N1_TO_1", scale=0.01
    )
    value = file.reshape(file.reshape(value, (1, 11, 8)), (1, 88))
    value = file.dense(value, 16, relu="RELU", scale=0.2)
    logits = file.dense(value, 5, bias=False, scale=1.5)
    return file.content([signal], [logits])


def residual() -> bytes:
    """Padding, a sum, pools, clamps that stand alone and a concatenation, along the height."""
    file = TfliteFile()
    kinds = {"strideW": 1, "filterWidth": 1, "filterHeight": 3}
    signal = file.tensor("signal", (1, 40, 1, 6), 0.1, 5)
    amounts = file.constant("pads", np.array([[0, 0], [2, 2], [0, 0], [0, 0]], np.int32))
    padded = file.operator("PAD", [signal, amounts], file.tensor("p", (1, 44, 1, 6), 0.1, 5))
    value = file.conv(padded, (1, 40, 1, 6), 6, (5, 1))
    added = file.tensor("sum", (1, 40, 1, 6), 0.25, -9)
    file.operator("ADD", [value, signal], added, "AddOptions", fusedActivationFunction=1)
    largest = file.tensor("largest", (1, 20, 1, 6), 0.25, -9)
    file.operator("MAX_POOL_2D", [added], largest, "Pool2DOptions", padding=0, strideH=2, **kinds)
    mean = file.tensor("mean", (1, 7, 1, 6), 0.25, -9)
    file.operator("AVERAGE_POOL_2D", [largest], mean, "Pool2DOptions", strideH=3, **kinds)
    clamped = file.operator("RELU6", [mean], file.tensor("c", (1, 7, 1, 6), 0.05, -128))
    finer = file.operator("QUANTIZE", [mean], file.tensor("q", (1, 7, 1, 6), 0.05, -128))
    both = file.tensor("both", (1, 7, 1, 12), 0.05, -128)
    file.operator("CONCATENATION", [clamped, finer], both, "ConcatenationOptions", axis=3)
    logits = file.dense(file.reshape(both, (1, 84)), 3)
    return file.content([signal], [logits])


def plane() -> bytes:
    """EEGNet's kinds of layers over [length, height], products, and a mean over the length."""
    file = TfliteFile()
    signal = file.tensor("signal", (1, 32, 4, 1), 0.1, 5)
    value = file.conv(signal, (1, 32, 4, 6), 6, (9, 1), same=True)
    value = file.conv(value, (1, 32, 1, 12), 12, (1, 4), depthwise=True, relu="RELU")
    pooled = file.tensor("pooled", (1, 8, 1, 12), 0.2, 3)
    kinds = {"padding": 1, "strideH": 4, "strideW": 1, "filterHeight": 4, "filterWidth": 1}
    file.operator("AVERAGE_POOL_2D", [value], pooled, "Pool2DOptions", **kinds)
    wide = file.conv(
        file.reshape(pooled, (1, 8, 4, 3)),
        (1, 4, 4, 5),
        5,
        (3, 3),
        same=True,
        strides=(2, 1),
        scale=0.1,
    )
    amounts = file.constant("pads", np.array([[0, 0], [1, 0], [0, 2], [0, 0]], np.int32))
    padded = file.operator("PAD", [wide, amounts], file.tensor("p", (1, 5, 6, 5), 0.1, 3))
    value = file.conv(padded, (1, 4, 5, 5), 5, (2, 2), depthwise=True, relu="RELU6")
    product = file.tensor("product", (1, 4, 5, 5), 0.3, -20)
    file.operator("MUL", [value, value], product, "MulOptions")
    less = file.tensor("less", (1, 4, 5, 5), 0.4, 7)
    file.operator("SUB", [product, value], less, "SubOptions")
    axes = file.constant("axes", np.array([1], np.int32))
    mean = file.tensor("mean", (1, 5, 5), 0.4, 7)
    file.operator("MEAN", [less, axes], mean, "ReducerOptions")
    logits = file.dense(file.reshape(mean, (1, 25)), 4)
    return file.content([signal], [logits])


def padding_alone() -> bytes:
    """Padding that no operator with windows reads, and a dense layer over a length."""
    file = TfliteFile()
    signal = file.tensor("signal", (1, 1, 9, 4), 0.1, -3)
    amounts = file.constant("pads", np.array([[0, 0], [0, 0], [1, 2], [0, 0]], np.int32))
    padded = file.operator("PAD", [signal, amounts], file.tensor("p", (1, 1, 12, 4), 0.1, -3))
    added = file.tensor("sum", (1, 1, 12, 4), 0.2, 4)
    file.operator("ADD", [padded, padded], added, "AddOptions")
    value = file.dense(file.reshape(added, (1, 12, 4)), 5, relu="RELU", shape=(1, 12, 5))
    logits = file.dense(file.reshape(value, (1, 60)), 4)
    return file.content([signal], [logits])


def mean(length: int, output_scale: float) -> bytes:
    file = TfliteFile()
    signal = file.tensor("signal", (1, length, 4), 0.1, 5)
    axes = file.constant("axes", np.array([1], np.int32))
    output = file.tensor("mean", (1, 4), output_scale, -3)
    return file.content([signal], [file.operator("MEAN", [signal, axes], output, "ReducerOptions")])


def compared(content: bytes, count: int = 120) -> tuple[IntegerNetwork, int]:
    """Return the network read and its largest difference from TFLite's reference kernels."""
    pytest.importorskip("tflite_runtime", exc_type=ImportError)
    network = read_tflite(content).network
    inputs = inputs_for(network, count, 3)
    wanted = reference(content, list(inputs)).reshape(count, -1).astype(np.int64)
    assert wanted.std() > 1
    return network, int(np.abs(wanted - network.run(*inputs)).max())


@pytest.mark.parametrize("make", [sequence, residual, plane, padding_alone])
def test_the_converters_operators_are_bit_exact(make: object) -> None:
    assert callable(make)
    content = make()
    assert compared(content)[1] == 0
    assert read_tflite(content).notes == ()


@pytest.mark.parametrize("length", [6, 7, 8, 12, 50, 187])
@pytest.mark.parametrize("scale", [0.1, 0.03, 0.07])
def test_a_mean_is_exact_unless_a_note_says_otherwise(length: int, scale: float) -> None:
    content = mean(length, scale)
    notes = read_tflite(content).notes
    assert compared(content)[1] <= bool(notes)
    if length == 8:
        assert notes == ()


def test_tflites_own_functions_differ_by_a_step_at_most() -> None:
    file = TfliteFile()
    signal = file.tensor("signal", (1, 64), 0.06, 5)
    made = []
    for code in ("LOGISTIC", "TANH", "HARD_SWISH", "LEAKY_RELU"):
        scale, zero_point = {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0)}.get(code, (0.06, 4))
        options: dict[str, Any] = {}
        if code == "LEAKY_RELU":
            options = {"table": "LeakyReluOptions", "alpha": 0.25}
        output = file.tensor(code.lower(), (1, 64), scale, zero_point)
        made.append(file.operator(code, [signal], output, **options))
        content = file.content([signal], [made[-1]])
        assert compared(content)[1] <= 1
        assert code in read_tflite(content).notes[0]
        file.operators.clear()
        file.codes.clear()


def test_the_ends_in_real_numbers_are_left_out() -> None:
    file = TfliteFile()
    signal = file.tensor("signal", (1, 10), kind="FLOAT32")
    quantized = file.operator("QUANTIZE", [signal], file.tensor("q", (1, 10), 0.1, 5))
    logits = file.dense(quantized, 3)
    soft = file.operator("SOFTMAX", [logits], file.tensor("soft", (1, 3), 1 / 256, -128))
    real = file.operator("DEQUANTIZE", [soft], file.tensor("real", (1, 3), kind="FLOAT32"))
    reading = read_tflite(file.content([signal], [real]))
    assert [each.kind for each in reading.network.operations] == ["dense"]
    assert reading.network.input_tensors[0].zero_point == 5
    assert "SOFTMAX" in reading.notes[0]


def test_everything_unsupported_is_named_at_once() -> None:
    file = TfliteFile()
    signal = file.tensor("signal", (1, 10), 0.1, 5)
    sine = file.operator("SIN", [signal], file.tensor("sine", (1, 10), 0.1, 5))
    after = file.operator("COS", [sine], file.tensor("after", (1, 10), 0.1, 5))
    gathered = file.operator("CUMSUM", [signal], file.tensor("sums", (1, 10), 0.1, 5))
    both = file.tensor("both", (1, 10), 0.1, 5)
    file.operator("ADD", [after, gathered], both, "AddOptions")
    with pytest.raises(UnsupportedOperatorError) as caught:
        read_tflite(file.content([signal], [both]))
    assert "SIN 'sine'" in caught.value.what
    assert "CUMSUM 'sums'" in caught.value.what
    assert "ADD" not in caught.value.what


@pytest.mark.parametrize(
    ("kind", "words"), [("FLOAT32", "float model"), ("UINT8", "UINT8"), ("INT16", "INT16")]
)
def test_other_numbers_are_refused(kind: str, words: str) -> None:
    file = TfliteFile()
    scale = () if kind == "FLOAT32" else 0.1
    signal = file.tensor("signal", (1, 10), scale, kind=kind)
    file.tensors[signal].quantization = file.tensors[signal].quantization or None
    weights = file.constant("w", np.ones((3, 10), np.uint8), 0.1, zero_point=3)
    logits = file.tensor("logits", (1, 3), scale, kind=kind)
    file.operator("FULLY_CONNECTED", [signal, weights, -1], logits, "FullyConnectedOptions")
    with pytest.raises(ModelError, match=words):
        read_tflite(file.content([signal], [logits]))


def test_no_file_at_all(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        read_tflite(tmp_path / "absent.tflite")
    (tmp_path / "text.tflite").write_text("no flatbuffer", encoding="utf-8")
    with pytest.raises(ModelError, match="no TFLite file"):
        read_tflite(tmp_path / "text.tflite")


def test_damaged_files_are_refused_or_read_and_nothing_else() -> None:
    random = np.random.default_rng(7)
    whole = (sequence(), residual(), mean(12, 0.07))
    started, refused = time.monotonic(), 0
    for trial in range(240):
        content = bytearray(whole[trial % 3])
        for _ in range(random.integers(1, 5)):
            place = int(random.integers(0, len(content)))
            if trial % 4 == 0:
                content[place] = random.integers(0, 256)
            elif trial % 4 == 1:
                content[place] ^= 1 << int(random.integers(0, 8))
            elif trial % 4 == 2:
                word = random.choice([0, 1, 1 << 16, 1 << 24, (1 << 31) - 1, 1 << 31])
                content[place & ~3 : (place & ~3) + 4] = int(word).to_bytes(4, "little")
            else:
                del content[place : place + int(random.integers(1, 40))]
        try:
            read_tflite(bytes(content))
        except EdgepruneError:
            refused += 1
    assert refused > 120
    assert time.monotonic() - started < 60
