"""How every operator of a TFLite file is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from edgeprune.errors import ModelError
from edgeprune.network.arithmetic import Multiplier
from edgeprune.network.operation import Operation
from edgeprune.network.ops import (
    Add,
    AveragePool1d,
    AveragePool2d,
    Concat,
    MaxPool1d,
    MaxPool2d,
    Mul,
    Requantize,
    Sub,
)
from edgeprune.network.tensor import INT8_HIGH, INT8_LOW
from edgeprune.network.tflite_file import FileOperator
from edgeprune.network.tflite_functions import FUNCTION_HANDLERS, moved_places
from edgeprune.network.tflite_sketch import Padding, TfliteSketch
from edgeprune.network.tflite_weighted import (
    cell_by_cell,
    conv_2d,
    depthwise_conv_2d,
    fully_connected,
)
from edgeprune.network.tflite_windows import Geometry, geometry_of

Handler = Callable[[TfliteSketch, FileOperator], None]


def _pairwise(kind: type[Operation]) -> Handler:
    def read(sketch: TfliteSketch, operator: FileOperator) -> None:
        sketch.require(len(operator.inputs) == 2, "it has not two operands")
        first, second = operator.inputs
        if sketch.file.tensors[first].type == "INT32" and kind is Add:
            moved_places(sketch, operator)
            return
        source = sketch.natural(first)
        shape, other = sketch.tensors[source].shape, sketch.sizes(second)
        if sketch.sizes(first) != other:
            sketch.require(
                kind is Mul and len(shape) > 1 and other == (*[1] * (len(other) - 1), shape[-1]),
                "its operands differ in shape",
            )
            shape = (*[1] * (len(shape) - 1), shape[-1])
        pair = (source, sketch.settled(second, shape))
        header = _header(sketch, operator, pair)
        sketch.finish(operator, kind(**header, **sketch.activation(operator)))

    return read


def _average_pool(sketch: TfliteSketch, operator: FileOperator) -> None:
    windows = geometry_of(sketch, operator, None, None)
    _pool(sketch, operator, windows, AveragePool1d if windows.is_flat else AveragePool2d)


def _max_pool(sketch: TfliteSketch, operator: FileOperator) -> None:
    windows = geometry_of(sketch, operator, None, INT8_LOW)
    _pool(sketch, operator, windows, MaxPool1d if windows.is_flat else MaxPool2d)


def _pool(
    sketch: TfliteSketch, operator: FileOperator, windows: Geometry, kind: type[Operation]
) -> None:
    _require_kept_range(sketch, operator, windows.number)
    sketch.require(
        sketch.sizes(operator.outputs[0])[-1] == windows.shape[-1], "its output has other channels"
    )
    source = sketch.settled(windows.number, windows.shape)
    fields = {**_header(sketch, operator, (source,)), **sketch.activation(operator)}
    sketch.finish(operator, kind(**fields, **windows.fields("kernel", "stride", "padding")))


def _mean(sketch: TfliteSketch, operator: FileOperator) -> None:
    """MEAN over length or height: a depthwise convolution with ones, of weight scale 1 / cells.

    TFLite divides its multiplier by the cells and cuts the rest off, so that halves go down in
    magnitude unless their number is a power of two: the scale is cut off likewise. Where that
    leaves a multiplier with a bit less than usual, TFLite's first rounding is coarser than ours.
    """
    number = operator.inputs[0]
    axes = sketch.constant(sketch.number(operator, 1), "list of axes").values
    sizes = sketch.file.tensors[number].shape
    rank = len(sizes)
    sketch.require(axes is not None and axes.dtype.kind == "i" and rank >= 3, "it has no axes")
    assert axes is not None
    reduced = {int(axis) % rank for axis in axes.reshape(-1).tolist()}
    sketch.require(
        0 not in reduced and rank - 1 not in reduced, "it averages over the batch or the channels"
    )
    shape = sketch.shape(number)
    along = [axis for axis in range(1, rank - 1) if sizes[axis] > 1]
    kernel = tuple(sizes[axis] if axis in reduced else 1 for axis in along) or (1,)
    cells = math.prod(kernel)
    scale = np.float32(1 / cells)
    if float(scale) * cells > 1:
        scale = np.nextafter(scale, np.float32(0))
    kind, fields = cell_by_cell(shape[-1], kernel, float(scale))
    multiplier = Multiplier.of(sketch.range_of(number)[0] / sketch.range_of(operator.outputs[0])[0])
    if (int(multiplier.mantissa) << (cells.bit_length() - 1)) // cells < 1 << 30:
        sketch.notes.append(
            f"{operator.label}: runtimes round this mean each in its own way; theirs may differ "
            "from this network's by 1 LSB"
        )
    source = sketch.settled(number, shape)
    sketch.finish(operator, kind(**_header(sketch, operator, (source,)), **fields))


def _concatenation(sketch: TfliteSketch, operator: FileOperator) -> None:
    numbers = operator.inputs
    sketch.require(numbers, "it has no operand")
    sketch.require(
        operator.options.get("FusedActivationFunction", "NONE") == "NONE",
        "its activation is not supported",
    )
    for number in numbers:
        _require_kept_range(sketch, operator, number)
    full = [sketch.file.tensors[number].shape for number in numbers]
    rank = len(full[0])
    axis = int(operator.options.get("Axis", 0))
    sketch.require(-rank <= axis < rank and rank > 1, f"there is no axis {axis}")
    axis %= rank
    sketch.require(axis > 0, "it joins the windows of a batch")
    sketch.require(
        len({len(shape) for shape in full}) == 1
        and len({(*shape[:axis], *shape[axis + 1 :]) for shape in full}) == 1,
        "its operands differ in shape",
    )
    rows = math.prod(full[0][1:axis])
    if rows > 1:
        # Each row of the output is a row of each operand, whatever the axes are called.
        shapes: list[tuple[int, ...]] = [(rows, math.prod(shape[axis:])) for shape in full]
        along = 1
    elif axis == rank - 1:
        shapes = [(shape[-1],) for shape in full]
        along = 0
    else:
        channels = full[0][-1]
        shapes = [(math.prod(shape[axis:-1]), channels) for shape in full]
        along = 0
    sources = tuple(
        sketch.settled(number, shape) for number, shape in zip(numbers, shapes, strict=True)
    )
    sketch.finish(operator, Concat(**_header(sketch, operator, sources), axis=along))


def _pad(sketch: TfliteSketch, operator: FileOperator) -> None:
    number = operator.inputs[0]
    amounts = sketch.constant(sketch.number(operator, 1), "padding").values
    rank = len(sketch.file.tensors[number].shape)
    assert amounts is not None
    sketch.require(
        amounts.shape == (rank, 2) and (amounts >= 0).all() and (amounts < 1 << 16).all(),
        "its padding is impossible",
    )
    _require_kept_range(sketch, operator, number)
    fill = sketch.range_of(number)[1]
    if operator.code == "PADV2":
        values = sketch.constant(sketch.number(operator, 2), "filling").values
        assert values is not None
        sketch.require(values.size == 1 and values.dtype == np.int8, "its filling is no int8")
        fill = int(values.reshape(-1)[0])
    output = sketch.file.tensors[operator.outputs[0]].shape
    padded = [
        size + int(sum(pair))
        for size, pair in zip(sketch.file.tensors[number].shape, amounts.tolist(), strict=True)
    ]
    if list(output) != padded:
        raise ModelError(
            f"{operator.label} makes {padded}; the file says {list(output)}",
            where=sketch.file.where,
        )
    pairs = tuple((int(before), int(after)) for before, after in amounts.tolist())
    sketch.values[operator.outputs[0]] = Padding(sketch.view(number), number, pairs, fill)


def _view(sketch: TfliteSketch, operator: FileOperator) -> None:
    """RESHAPE, SQUEEZE, EXPAND_DIMS: other names for the same bytes."""
    if not sketch.same_range(operator.inputs[0], operator.outputs[0]):
        sketch.renamed_range(operator.outputs[0], operator.inputs[0])
    sketch.alias(operator.outputs[0], operator.inputs[0])


def _transpose(sketch: TfliteSketch, operator: FileOperator) -> None:
    """TRANSPOSE, where it moves axes of one cell only."""
    order = sketch.constant(sketch.number(operator, 1), "permutation").values
    shape = sketch.file.tensors[operator.inputs[0]].shape
    assert order is not None
    sketch.require(
        sorted(order.reshape(-1).tolist()) == list(range(len(shape))), "its order is impossible"
    )
    kept = [int(axis) for axis in order.reshape(-1) if shape[int(axis)] > 1]
    sketch.require(kept == sorted(kept), "it moves data")
    _view(sketch, operator)


def _quantize(sketch: TfliteSketch, operator: FileOperator) -> None:
    number, output = operator.inputs[0], operator.outputs[0]
    if sketch.file.tensors[number].type == "FLOAT32":
        # Where a network takes real numbers: the front end makes these integers.
        sketch.require(sketch.values.get(number) is not None, "it quantizes inside the graph")
        sketch.alias(output, number)
    elif sketch.same_range(number, output):
        sketch.alias(output, number)
    else:
        header = _header(sketch, operator, (sketch.natural(number),))
        sketch.finish(operator, Requantize(**header))


def _dequantize(sketch: TfliteSketch, operator: FileOperator) -> None:
    """DEQUANTIZE of the logits: what reads them takes the integers."""
    sketch.require(operator.outputs[0] in sketch.file.outputs, "it computes on in real numbers")
    sketch.alias(operator.outputs[0], operator.inputs[0])


def _softmax(sketch: TfliteSketch, operator: FileOperator) -> None:
    """SOFTMAX of the logits is left to the host: it changes no decision."""
    ends = {operator.outputs[0]}
    for other in sketch.file.operators:
        if other.code == "DEQUANTIZE" and other.inputs[:1] == operator.outputs[:1]:
            ends |= set(other.outputs)
    sketch.require(
        ends & set(sketch.file.outputs) and sketch.read_once(operator.outputs[0]),
        "it is no end of the network",
    )
    sketch.notes.append(f"{operator.label} is left to the host: it changes no decision")
    sketch.alias(operator.outputs[0], operator.inputs[0])


def _bound(sketch: TfliteSketch, operator: FileOperator) -> None:
    """MAXIMUM or MINIMUM with one constant integer."""
    sketch.require(len(operator.inputs) == 2, "it does not compare two tensors")
    constant = [
        number for number in operator.inputs if sketch.file.tensors[number].values is not None
    ]
    sketch.require(len(constant) == 1, "it compares two tensors that are computed")
    values = sketch.file.tensors[constant[0]].values
    assert values is not None
    sketch.require(values.size == 1 and values.dtype == np.int8, "it compares with no one int8")
    source = next(number for number in operator.inputs if number != constant[0])
    sketch.require(
        sketch.same_range(source, constant[0], operator.outputs[0]), "its operands differ in range"
    )
    bound = int(values.reshape(-1)[0])
    low, high = (bound, INT8_HIGH) if operator.code == "MAXIMUM" else (INT8_LOW, bound)
    sketch.clamped(operator, source, low, high)


def _relu(low: float, high: float | None) -> Handler:
    def read(sketch: TfliteSketch, operator: FileOperator) -> None:
        source, output = operator.inputs[0], operator.outputs[0]
        bounds = sketch.clamp(output, low, high)
        if sketch.same_range(source, output):
            sketch.clamped(operator, source, bounds["clamp_low"], bounds["clamp_high"])
        else:
            header = _header(sketch, operator, (sketch.natural(source),))
            sketch.finish(operator, Requantize(**header, **bounds))

    return read


def _shape_arithmetic(sketch: TfliteSketch, operator: FileOperator) -> None:
    """Integers that a RESHAPE takes its shape from; the file says that shape itself."""
    kinds = {sketch.file.tensors[number].type for number in operator.outputs}
    sketch.require(kinds <= {"INT32", "INT64"}, "it moves data")


def _header(sketch: TfliteSketch, operator: FileOperator, inputs: Sequence[str]) -> dict[str, Any]:
    return sketch.header(sketch.file.tensors[operator.outputs[0]].name, tuple(inputs))


def _require_kept_range(sketch: TfliteSketch, operator: FileOperator, number: int) -> None:
    sketch.require(
        sketch.same_range(number, operator.outputs[0]), "it changes the range of its operand"
    )


HANDLERS: Mapping[str, Handler] = {
    **FUNCTION_HANDLERS,
    "ADD": _pairwise(Add),
    "AVERAGE_POOL_2D": _average_pool,
    "CONCATENATION": _concatenation,
    "CONV_2D": conv_2d,
    "DEPTHWISE_CONV_2D": depthwise_conv_2d,
    "DEQUANTIZE": _dequantize,
    "EXPAND_DIMS": _view,
    "FULLY_CONNECTED": fully_connected,
    "MAXIMUM": _bound,
    "MAX_POOL_2D": _max_pool,
    "MEAN": _mean,
    "MINIMUM": _bound,
    "MUL": _pairwise(Mul),
    "PACK": _shape_arithmetic,
    "PAD": _pad,
    "PADV2": _pad,
    "QUANTIZE": _quantize,
    "RELU": _relu(0.0, None),
    "RELU6": _relu(0.0, 6.0),
    "RELU_N1_TO_1": _relu(-1.0, 1.0),
    "RESHAPE": _view,
    "SHAPE": _shape_arithmetic,
    "SOFTMAX": _softmax,
    "SQUEEZE": _view,
    "STRIDED_SLICE": _shape_arithmetic,
    "SUB": _pairwise(Sub),
    "TRANSPOSE": _transpose,
}
