"""Reads functions of one number in a TFLite file: TFLite's own, and look-ups in a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

import numpy as np
import numpy.typing as npt

from edgeprune.network.functions import FUNCTIONS
from edgeprune.network.ops import Table
from edgeprune.network.tensor import INT8_LOW, Int8Array, Tensor
from edgeprune.network.tflite_file import FileOperator
from edgeprune.network.tflite_sketch import Places, TfliteSketch

_ENTRIES = 256


def cast(sketch: TfliteSketch, operator: FileOperator) -> None:
    """CAST of int8 to int32, the first step of a look-up."""
    source, output = (sketch.file.tensors[n] for n in (operator.inputs[0], operator.outputs[0]))
    sketch.require(
        (source.type, output.type) == ("INT8", "INT32"), f"it makes {output.type} of {source.type}"
    )
    sketch.values[operator.outputs[0]] = Places(operator.inputs[0], 0)


def moved_places(sketch: TfliteSketch, operator: FileOperator) -> None:
    """ADD of a constant to the integers of a look-up."""
    value = sketch.values.get(operator.inputs[0])
    offset = sketch.constant(sketch.number(operator, 1), "second operand").values
    assert offset is not None
    sketch.require(
        isinstance(value, Places) and offset.dtype == np.int32 and offset.size == 1,
        "it computes with int32",
    )
    assert isinstance(value, Places)
    places = Places(value.source, value.offset + int(offset.reshape(-1)[0]))
    sketch.values[operator.outputs[0]] = places


def gather(sketch: TfliteSketch, operator: FileOperator) -> None:
    """GATHER among 256 entries: a table, whose function is found by its entries."""
    table = sketch.constant(operator.inputs[0], "table")
    value = sketch.values.get(sketch.number(operator, 1))
    values: npt.NDArray[np.generic] | None = table.values
    assert values is not None
    sketch.require(
        isinstance(value, Places) and value.offset == -INT8_LOW and values.shape == (_ENTRIES,),
        "it is no look-up of an int8 among 256 entries",
    )
    sketch.require(
        table.type == "INT8" and sketch.same_range(table.index, operator.outputs[0]),
        "its table is not in the range of its output",
    )
    assert isinstance(value, Places)
    entries = np.asarray(values, np.int8)
    source = sketch.tensors[sketch.natural(value.source)]
    target = Tensor("", source.shape, *sketch.range_of(operator.outputs[0]))
    usual = ((name, tuple(FUNCTIONS.get(name).parameters.values())) for name in FUNCTIONS)
    for name, parameters in (*_told(table.name), *usual):
        if np.array_equal(FUNCTIONS.get(name).entries(parameters, source, target), entries):
            _append(sketch, operator, value.source, name, parameters, entries)
            return
    _append(sketch, operator, value.source, "", (), entries)


def _told(name: str) -> list[tuple[str, tuple[float, ...]]]:
    """Return the function that the name of a table tells, as `write_tflite` gives it one."""
    told = name.rsplit("/", 1)[-1]
    found = []
    for known in FUNCTIONS:
        parts = told.removeprefix(known).split("_")[1:]
        if told != "_".join((known, *parts)) or len(parts) != len(FUNCTIONS.get(known).parameters):
            continue
        with suppress(ValueError):
            found.append((known, tuple(float(part) for part in parts)))
    return found


def function(
    name: str, read: Callable[[FileOperator], tuple[float, ...]] = lambda _: ()
) -> Callable[[TfliteSketch, FileOperator], None]:
    """Return how one of TFLite's own functions is read.

    Args:
        name: A name of `FUNCTIONS`.
        read: Returns its parameters.
    """

    def handler(sketch: TfliteSketch, operator: FileOperator) -> None:
        number = operator.inputs[0]
        source = sketch.tensors[sketch.natural(number)]
        target = Tensor("", source.shape, *sketch.range_of(operator.outputs[0]))
        parameters = read(operator)
        sketch.require(all(map(np.isfinite, parameters)), "its parameter is not finite")
        entries = FUNCTIONS.get(name).entries(parameters, source, target)
        sketch.notes.append(
            f"{operator.label}: runtimes round this function each in its own way; theirs may "
            "differ from this network's by 1 LSB"
        )
        _append(sketch, operator, number, name, parameters, entries)

    return handler


def _append(
    sketch: TfliteSketch,
    operator: FileOperator,
    number: int,
    name: str,
    parameters: tuple[float, ...],
    entries: Int8Array,
) -> None:
    sketch.require(name, f"its 256 entries are none of {', '.join(FUNCTIONS)}")
    header = sketch.header(sketch.file.tensors[operator.outputs[0]].name, (sketch.natural(number),))
    table = Table(**header, function=name, arguments=parameters, entries=entries)
    sketch.finish(operator, table)


def _alpha(operator: FileOperator) -> tuple[float, ...]:
    return (float(operator.options.get("Alpha", 0.0)),)


FUNCTION_HANDLERS: Mapping[str, Callable[[TfliteSketch, FileOperator], None]] = {
    "CAST": cast,
    "ELU": function("elu", lambda _: (1.0,)),
    "GATHER": gather,
    "HARD_SWISH": function("hard_swish"),
    "LEAKY_RELU": function("leaky_relu", _alpha),
    "LOGISTIC": function("sigmoid"),
    "TANH": function("tanh"),
}
