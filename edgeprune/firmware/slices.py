"""Which rows a layer can compute alone, and how many of them are one bounded piece of work."""

from __future__ import annotations

from edgeprune.firmware.lowering import KernelCall, Layer, Program
from edgeprune.network import IntegerNetwork

# Instructions that one piece of work should not exceed: 0.1 ms at 200 MHz.
SLICE_INSTRUCTIONS = 20_000
# What portable C takes, roughly, of a core without DSP instructions.
_PER_MULTIPLY_ACCUMULATE = 8
_PER_ELEMENT = 40
# Portable kernels whose work is a sequence of rows.
_BY_ROWS = frozenset(
    {
        "average_pool1d",
        "average_pool2d",
        "conv1d",
        "conv2d",
        "copy",
        "depthwise_conv1d",
        "depthwise_conv2d",
        "max_pool1d",
        "max_pool2d",
    }
)
_POOLS_OF_TWO_AXES = ("average_pool2d", "max_pool2d")
_BY_ELEMENTS = frozenset({"add", "mul", "requantize", "sub", "table"})


def unit_of(layer: Layer, network: IntegerNetwork) -> int:
    """Return the number of rows of which every piece is a multiple; 0: only the whole layer.

    A piece may also reach the end of the output.
    """
    output = network.tensors[layer.step.output]
    if not layer.symbol or not output.is_map:
        return 0
    code = layer.step.code
    if code is not None:
        # Assembly may overwrite an input only if it computes the whole.
        return 0 if layer.output in layer.inputs else code.unit
    by_rows = all(
        call.kernel in _BY_ROWS | _BY_ELEMENTS
        and call.parameters.get("rows", output.shape[0]) == output.shape[0]
        for call in layer.calls
    )
    return 1 if by_rows else 0


def slice_rows(layer: Layer, network: IntegerNetwork, limit: int = SLICE_INSTRUCTIONS) -> int:
    """Return how many rows of a layer one step computes.

    The most within the limit, at least one unit; all rows where it cannot be cut.
    """
    unit = unit_of(layer, network)
    if not unit:
        return layer.rows
    share = layer.rows * limit // max(instructions_of(layer, network), 1)
    return min(max(share // unit, 1) * unit, layer.rows)


def steps_of(program: Program, network: IntegerNetwork) -> tuple[int, int]:
    """Return how many steps a window takes, and about the instructions of the largest."""
    count = largest = 0
    for layer in program.layers:
        if layer.symbol:
            rows = slice_rows(layer, network)
            count += -(-layer.rows // rows)
            largest = max(largest, instructions_of(layer, network) * rows // layer.rows)
    return max(count, 1), largest


def instructions_of(layer: Layer, network: IntegerNetwork) -> int:
    """Return the instructions of a whole layer: exact for assembly, an estimate for portable C."""
    if layer.step.code is not None:
        return layer.step.code.instructions
    tensors = network.tensors
    work = sum(operation.multiply_accumulates(tensors) for operation in layer.step.operations)
    cells = sum(map(_cells, layer.calls))
    elements = tensors[layer.step.output].size * max(cells, 1)
    return _PER_MULTIPLY_ACCUMULATE * work + _PER_ELEMENT * elements


def _cells(call: KernelCall) -> int:
    values = call.parameters
    if call.kernel in _POOLS_OF_TWO_AXES:
        return values["kernel_length"] * values["kernel_height"]
    return values.get("kernel", 1)


def range_arguments(call: KernelCall, unit: int, rows: int, row_bytes: int) -> str:
    """Return the arguments that tell a portable kernel its range, empty where it takes none."""
    if call.kernel in _BY_ROWS:
        return "first, count" if unit else f"0, {call.parameters.get('rows', rows)}"
    if call.kernel in _BY_ELEMENTS:
        if not unit:
            return f"0, {rows * row_bytes}"
        return f"first * {row_bytes}, count * {row_bytes}"
    return ""
