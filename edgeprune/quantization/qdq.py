"""Writes the QDQ graph: onnxruntime's quantizer with every activation's range given."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import onnx
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from edgeprune.errors import MissingRangeError
from edgeprune.quantization.calibration import ActivationRange, activations
from edgeprune.quantization.graph import initializers_of

_INFERRED = ("onnx.infer", "onnxruntime.quant")
_SYMMETRIC: Mapping[str, object] = {"quant_type": QuantType.QInt8, "symmetric": True}
_WEIGHTED = ("Conv", "Gemm", "MatMul")
_ACTIVATIONS = ("Relu", "Clip")
_LAYOUT = ("Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
_BIAS_STEPS = 1024  # of a step of the output


def make_qdq(
    float_model: onnx.ModelProto, ranges: Mapping[str, ActivationRange]
) -> onnx.ModelProto:
    """Return the QDQ graph of a clean float graph.

    Activations are int8 with the given ranges (a MaxPool, AveragePool or layout change keeps its
    input's range); weights int8 symmetric in -127..127, per output channel for convolutions and per
    tensor for dense layers, as TFLite knows them; biases int32.

    Args:
        float_model: A graph that `clean_float_onnx` made.
        ranges: Range of every graph input and of every node's output.

    Raises:
        MissingRangeError: A value has no range.
    """
    inputs = tuple(value.name for value in float_model.graph.input)
    needed = (*inputs, *activations(float_model))
    missing = [name for name in needed if name not in ranges]
    if missing:
        raise MissingRangeError(
            f"no range for {', '.join(missing)}",
            where="quantization",
            hint="calibrate with windows that reach these layers",
        )
    ranges = _carried(float_model, ranges)
    overrides = {name: [_override(ranges[name])] for name in needed}
    for node in float_model.graph.node:
        if node.op_type in ("Gemm", "MatMul"):
            overrides[node.input[1]] = [dict(_SYMMETRIC)]
    overrides |= _ranges_of_zeros(float_model, ranges)
    marked = onnx.ModelProto()
    marked.CopyFrom(float_model)
    onnx.helper.set_model_props(marked, dict([_INFERRED]))  # or it goes through a temporary file
    # onnxruntime wants bounds too; the overrides decide.
    bounds = {name: (np.float32(0), np.float32(1)) for name in needed}
    with _quiet():
        quantizer = QDQQuantizer(
            marked,
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QInt8,
            tensors_range=TensorsData(CalibrationMethod.MinMax, bounds),
            nodes_to_quantize=[],
            nodes_to_exclude=[],
            op_types_to_quantize=sorted({node.op_type for node in float_model.graph.node}),
            extra_options={
                "ActivationSymmetric": False,
                "WeightSymmetric": True,
                "TensorQuantOverrides": overrides,
            },
        )
        quantizer.quantize_model()
        quantizer.model.topological_sort()
    quantized: onnx.ModelProto = quantizer.model.model
    del quantized.metadata_props[:]
    del quantized.graph.value_info[:]
    return quantized


def _carried(
    model: onnx.ModelProto, ranges: Mapping[str, ActivationRange]
) -> Mapping[str, ActivationRange]:
    """Return the ranges with those of layout changes taken over from what they move.

    Where an input is flattened or turned first, onnxruntime quantizes it behind that.
    """
    carried = dict(ranges)
    for node in model.graph.node:
        if node.op_type in _LAYOUT and node.input[0] in carried:
            carried[node.output[0]] = carried[node.input[0]]
    return carried


def _ranges_of_zeros(
    model: onnx.ModelProto, ranges: Mapping[str, ActivationRange]
) -> dict[str, list[dict[str, object]]]:
    """Return ranges for weights that pruning has made zero: whole channels, or a dense layer.

    onnxruntime would take a scale of 1, in whose steps the bias, all that is left, rounds away.
    Here a step of the bias is a small part of one of the output.
    """
    weights = initializers_of(model.graph)
    found: dict[str, list[dict[str, object]]] = {}
    for node in model.graph.node:
        if node.op_type not in _WEIGHTED or node.input[1] not in weights:
            continue
        weight = weights[node.input[1]]
        per_channel = node.op_type == "Conv"
        zero = ~(weight.reshape(len(weight) if per_channel else 1, -1) != 0).any(axis=1)
        if not zero.any():
            continue
        step = ranges[_behind(model, node.output[0])].scale / _BIAS_STEPS
        largest = np.float32(127 * step / ranges[node.input[0]].scale)
        of_zeros = {"rmin": -largest, "rmax": largest}
        axis = {"axis": 0} if per_channel else {}
        found[node.input[1]] = [
            {**_SYMMETRIC, **axis, **(of_zeros if is_zero else {})} for is_zero in zero
        ]
    return found


def _behind(model: onnx.ModelProto, name: str) -> str:
    """Return the value that a layer's output becomes in the same step of the integer network."""
    readers = [node for node in model.graph.node if name in node.input]
    if len(readers) == 1 and readers[0].op_type in _ACTIVATIONS:
        return str(readers[0].output[0])
    return name


def _override(given: ActivationRange) -> dict[str, object]:
    return {
        "quant_type": QuantType.QInt8,
        "scale": np.array(given.scale, np.float32),
        "zero_point": np.array(given.zero_point, np.int8),
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep onnxruntime's advice, written to the root logger, off the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
