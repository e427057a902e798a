"""Reads the operators with weights of a TFLite file."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeprune.errors import ModelError
from edgeprune.network.operation import Operation
from edgeprune.network.ops import Conv1d, Conv2d, Dense, DepthwiseConv1d, DepthwiseConv2d
from edgeprune.network.tensor import Float32Array, Int8Array, Int32Array
from edgeprune.network.tflite_file import FileOperator
from edgeprune.network.tflite_sketch import TfliteSketch
from edgeprune.network.tflite_windows import Geometry, geometry_of
from edgeprune.network.weighted import WeightedOperation

_WEIGHTS = "/weights"


def conv_2d(sketch: TfliteSketch, operator: FileOperator) -> None:
    """CONV_2D over a map of one axis or of two, or of one cell."""
    weights, scales = _weights(sketch, operator, axis=0, rank=4)
    outputs, height, width, inputs = weights.shape
    windows = geometry_of(sketch, operator, (height, width), _zero_point(sketch, operator))
    channels = windows.shape[-1]
    bias = _bias(sketch, operator, outputs)
    sketch.require(
        inputs > 0 and channels % inputs == 0 and outputs % (channels // inputs) == 0,
        f"{channels} channels do not fit weights of {inputs}",
    )
    groups = channels // inputs
    alone = windows.shape == (1, channels) and windows.slides[0].padding == (0, 0)
    if alone and height * width == 1 and groups == 1:
        source = sketch.settled(windows.number, (channels,))
        dense = {"weights": weights[:, 0, 0], "bias": bias, "weight_scales": scales}
        _finish(sketch, operator, Dense, source, dense)
        return
    filters = _over(windows, weights, 1)
    fields = _fields(windows, bias, scales)
    source = sketch.settled(windows.number, windows.shape)
    if groups == channels > 1:
        fields |= {
            "weights": np.moveaxis(filters[..., 0], 0, -1),
            "channel_multiplier": outputs // channels,
        }
        kind: type[WeightedOperation] = DepthwiseConv1d if windows.is_flat else DepthwiseConv2d
    else:
        fields |= {"weights": filters, "groups": groups}
        kind = Conv1d if windows.is_flat else Conv2d
    _finish(sketch, operator, kind, source, fields)


def depthwise_conv_2d(sketch: TfliteSketch, operator: FileOperator) -> None:
    """DEPTHWISE_CONV_2D over a map of one axis or of two."""
    weights, scales = _weights(sketch, operator, axis=3, rank=4)
    ones, height, width, outputs = weights.shape
    windows = geometry_of(sketch, operator, (height, width), _zero_point(sketch, operator))
    channels = windows.shape[-1]
    sketch.require(
        ones == 1 and outputs % channels == 0, f"{outputs} outputs do not fit {channels} channels"
    )
    filters = _over(windows, weights, 1)[0]
    fields = _fields(windows, _bias(sketch, operator, outputs), scales)
    source = sketch.settled(windows.number, windows.shape)
    if channels == 1:
        fields |= {"weights": np.moveaxis(filters, -1, 0)[..., np.newaxis]}
        _finish(sketch, operator, Conv1d if windows.is_flat else Conv2d, source, fields)
    else:
        fields |= {"weights": filters, "channel_multiplier": outputs // channels}
        kind = DepthwiseConv1d if windows.is_flat else DepthwiseConv2d
        _finish(sketch, operator, kind, source, fields)


def fully_connected(sketch: TfliteSketch, operator: FileOperator) -> None:
    """FULLY_CONNECTED: a dense layer, or one convolution of one cell over a length."""
    weights, scales = _weights(sketch, operator, axis=0, rank=2)
    sketch.require(
        operator.options.get("WeightsFormat", 0) == 0, "its weights are in a shuffled format"
    )
    outputs, inputs = weights.shape
    number = operator.inputs[0]
    size = math.prod(sketch.sizes(number))
    sketch.require(inputs > 0 and size % inputs == 0, f"{size} features meet weights for {inputs}")
    bias = _bias(sketch, operator, outputs)
    if size == inputs:
        source = sketch.settled(number, (inputs,))
        dense = {"weights": weights, "bias": bias, "weight_scales": scales}
        _finish(sketch, operator, Dense, source, dense)
        return
    fields = {
        "weights": weights[:, np.newaxis],
        "bias": bias,
        "weight_scales": np.broadcast_to(scales, outputs),
    }
    source = sketch.settled(number, (size // inputs, inputs))
    _finish(sketch, operator, Conv1d, source, fields)


def cell_by_cell(
    channels: int, cells: tuple[int, ...], scale: float
) -> tuple[type, dict[str, Any]]:
    """Return a convolution, as its kind and fields, that adds the cells of each channel.

    Args:
        channels: Channels of the map.
        cells: Cells of a window along each axis of the map.
        scale: What the sum is multiplied with.
    """
    fields: dict[str, Any] = {
        "bias": np.zeros(channels, np.int32),
        "weight_scales": np.full(channels, scale, np.float32),
    }
    flat = len(cells) == 1
    if channels == 1:
        kind: type[Operation] = Conv1d if flat else Conv2d
        return kind, fields | {"weights": np.ones((1, *cells, 1), np.int8)}
    kind = DepthwiseConv1d if flat else DepthwiseConv2d
    return kind, fields | {"weights": np.ones((*cells, channels), np.int8)}


def _zero_point(sketch: TfliteSketch, operator: FileOperator) -> int:
    return sketch.range_of(operator.inputs[0])[1]


def _over(windows: Geometry, weights: Int8Array, first: int) -> Int8Array:
    """Return weights without the axis of one cell along which nothing slides.

    Args:
        windows: The windows.
        weights: Of four axes.
        first: The axis of the height.
    """
    still = {1, 2} - set(windows.axes)
    return np.squeeze(weights, tuple(first - 1 + axis for axis in still))


def _fields(windows: Geometry, bias: Int32Array, scales: Float32Array) -> dict[str, Any]:
    return {
        "bias": bias,
        "weight_scales": np.broadcast_to(scales, len(bias)),
        **windows.fields("stride", "dilation", "padding"),
    }


def _weights(
    sketch: TfliteSketch, operator: FileOperator, *, axis: int, rank: int
) -> tuple[Int8Array, Float32Array]:
    tensor = sketch.constant(sketch.number(operator, 1), "weights")
    values: npt.NDArray[Any] | None = tensor.values
    assert values is not None
    sketch.require(
        tensor.type == "INT8", f"its weights '{tensor.name}' are {tensor.type}; int8 is supported"
    )
    sketch.require(
        len(tensor.shape) == rank and tensor.size > 0,
        f"its weights have the shape {list(tensor.shape)}",
    )
    if tensor.zero_points.any():
        raise ModelError(
            f"the weights '{tensor.name}' are not symmetric: their zero point is not 0",
            where=sketch.file.where,
            hint="convert with full integer quantization to int8",
        )
    scales = tensor.scales
    fits = len(scales) == 1 or (tensor.axis == axis and len(scales) == tensor.shape[axis])
    sketch.require(fits, f"its weights have {len(scales)} scales along axis {tensor.axis}")
    return values, scales


def _bias(sketch: TfliteSketch, operator: FileOperator, outputs: int) -> Int32Array:
    """Return the bias: TFLite adds its integers as they are, whatever scale the file gives them."""
    number = sketch.number(operator, 2)
    if number < 0:
        return np.zeros(outputs, np.int32)
    tensor = sketch.constant(number, "bias")
    assert tensor.values is not None
    sketch.require(
        tensor.type == "INT32" and tensor.size == outputs,
        f"its bias is {tensor.type} of {tensor.size}; {outputs} of int32 are needed",
    )
    return np.asarray(tensor.values.reshape(-1), np.int32)


def _finish(
    sketch: TfliteSketch,
    operator: FileOperator,
    kind: type[WeightedOperation],
    source: str,
    fields: dict[str, Any],
) -> None:
    """File the operation, called as its weights are where edgeprune wrote the file."""
    name = sketch.file.tensors[operator.inputs[1]].name
    own = name.removesuffix(_WEIGHTS) if name.endswith(_WEIGHTS) else ""
    output = sketch.file.tensors[operator.outputs[0]].name
    header = sketch.header(output, (source,), operation=own)
    said = sketch.sizes(operator.outputs[0])
    sketch.require(said[-1:] == (len(fields["bias"]),), f"its output has the shape {list(said)}")
    sketch.finish(operator, kind(**header, **fields, **sketch.activation(operator)))
