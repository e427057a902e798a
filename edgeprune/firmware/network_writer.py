"""Writes the code of a network: portable C, and assembly for one core. Same input, same bytes."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from edgeprune import __version__
from edgeprune.firmware.constants import (
    ASSEMBLY_REGION,
    array_name,
    arrays,
    assembly_constants,
    check_sum,
    padded,
)
from edgeprune.firmware.kernels import InstructionSet
from edgeprune.firmware.lowering import Array, KernelCall, Layer, Program
from edgeprune.firmware.plan import MemoryPlan, Place
from edgeprune.firmware.slices import range_arguments, slice_rows, unit_of
from edgeprune.firmware.streaming import Overlap, StreamingPlan
from edgeprune.firmware.writer import comment_safe, environment
from edgeprune.network import IntegerNetwork

_LINE = 100
_C_TYPES = {"int8": "int8_t", "int16": "int16_t", "int32": "int32_t"}
_REGIONS = ("signal", "rhythm", "logits")
_CONDITIONS = {
    None: "0",
    InstructionSet.THUMB_1: "defined(__thumb__)",
    InstructionSet.THUMB_2: "defined(__thumb2__)",
    InstructionSet.DSP: "defined(__ARM_FEATURE_DSP)",
    InstructionSet.MVE: "defined(__ARM_FEATURE_MVE)",
}


@dataclass(frozen=True)
class _ArrayText:
    name: str
    type: str
    count: int
    comment: str
    values: str
    aligned: bool


@dataclass(frozen=True)
class _Move:
    """Rows that the next window keeps: they move down by `distance` bytes."""

    to: str
    distance: int
    count: int


@dataclass(frozen=True)
class _StreamText:
    signal: str
    length: int
    hop: int


@dataclass(frozen=True)
class _LayerText:
    place: int
    index: int
    symbol: str
    assembly: bool
    comment: str
    declaration: str
    whole: str
    part: str
    rows: int
    slice: int
    by_row: bool
    calls: tuple[str, ...]
    output: str
    output_bytes: int
    move: _Move | None
    ranges: tuple[str, ...]


@dataclass(frozen=True)
class _AssemblyText:
    symbol: str
    comment: str
    approach: str
    text: str
    constants: str


def write_network(
    network: IntegerNetwork,
    portable: Program,
    assembly: Program | None,
    instructions: InstructionSet | None,
) -> dict[str, str]:
    """Return the text of the files that compute the network, by name.

    Args:
        network: What to compute.
        portable: The network in portable C.
        assembly: The network in assembly, if there is any for the target's core.
        instructions: What the assembly is written for.
    """
    templates = environment("templates")
    texts = {
        "edgeprune_code.h": templates.get_template("edgeprune_code.h.j2").render(
            condition=_CONDITIONS[instructions]
        ),
        "edgeprune_network.h": templates.get_template("edgeprune_network.h.j2").render(
            stream=portable.stream
        ),
        "edgeprune_portable.c": _network_text(network, portable),
    }
    if assembly is not None:
        texts["edgeprune_assembly.c"] = _network_text(network, assembly)
        texts["edgeprune_layers.S"] = templates.get_template("edgeprune_layers.S.j2").render(
            version=__version__,
            instruction_set=instructions,
            layers=tuple(_assembly(layer, network) for layer in assembly.layers if layer.step.code),
        )
    return texts


def _network_text(network: IntegerNetwork, program: Program) -> str:
    plan, layers = program.plan, program.layers
    logits = plan.places[network.outputs[0]]
    touched = {region for layer in layers for region in layer.regions}
    if logits.region != "logits":
        touched.add("logits")
    return (
        environment("templates")
        .get_template("edgeprune_network.c.j2")
        .render(
            version=__version__,
            portable=program.portable,
            arena_bytes=plan.arena_bytes,
            lower_bound=plan.lower_bound_bytes,
            peak_operation=comment_safe(plan.peak_operation),
            peak=tuple((comment_safe(name), size) for name, size in plan.peak),
            arrays=tuple(_arrays(program)),
            constants=_regions(program),
            check_sum=check_sum(program),
            checks=tuple(_checks(plan, layers)),
            layers=tuple(
                _layer(place, layer, network, program.stream) for place, layer in enumerate(layers)
            ),
            stream=_stream(network, program),
            regions=tuple(
                (region.offset + region.size, _first_work(layers, region.first), region.last)
                for region in (plan.regions if plan.guard_bytes else ())
            ),
            touched=tuple(name for name in _REGIONS if name in touched),
            unused=tuple(name for name in _REGIONS if name not in touched),
            copied_logits="" if logits.region == "logits" else _expression(logits),
        )
    )


def _assembly(layer: Layer, network: IntegerNetwork) -> _AssemblyText:
    code = layer.step.code
    assert code is not None
    return _AssemblyText(
        layer.symbol,
        _comment(layer, network),
        comment_safe(code.approach + (f"; {code.slower}" if code.slower else "")),
        code.text,
        _words(code.constants),
    )


def _words(content: bytes) -> str:
    """Return constants as directives, words of four bytes."""
    words = np.frombuffer(padded(content), "<u4")
    text = ", ".join(f"0x{word:x}" for word in words.tolist())
    rows = textwrap.wrap(text, _LINE - 10, break_on_hyphens=False)
    return "\n".join(f"    .word {row.rstrip(', ')}" for row in rows)


def _comment(layer: Layer, network: IntegerNetwork) -> str:
    step, tensors = layer.step, network.tensors
    shapes = ", ".join(str(list(tensors[name].shape)) for name in step.inputs)
    work = sum(operation.multiply_accumulates(tensors) for operation in step.operations)
    return comment_safe(
        f"{layer.index:02d} {layer.kernel} '{step.name}': "
        f"{shapes} -> {list(tensors[step.output].shape)}" + (f", {work} MACs" if work else "")
    )


def _expression(place: Place) -> str:
    if place.region == "arena":
        return f"ARENA({place.offset})"
    return place.region if place.offset == 0 else f"{place.region} + {place.offset}"


def _layer(
    place: int, layer: Layer, network: IntegerNetwork, stream: StreamingPlan | None
) -> _LayerText:
    declarations = [
        f"int8_t *{name}" if name == "logits" else f"const int8_t *{name}" for name in layer.regions
    ]
    unit = unit_of(layer, network)
    if unit:
        declarations += ["int32_t first", "int32_t count"]
    row_bytes = network.tensors[layer.step.output].size // layer.rows
    move: _Move | None = None
    ranges: tuple[tuple[int, int], ...] = ((0, layer.rows),)
    if stream is not None and layer.symbol:
        overlap = stream.overlaps[layer.step.output]
        ranges = overlap.ranges(unit)
        move = _move(layer.output, overlap, ranges, row_bytes)
    return _LayerText(
        place=place,
        index=layer.index,
        symbol=layer.symbol,
        assembly=layer.step.code is not None,
        comment=_comment(layer, network),
        declaration=", ".join(declarations) or "void",
        whole=_arguments(layer, unit, f"0, {layer.rows}"),
        part=_arguments(layer, unit, "first, count" if unit else f"0, {layer.rows}"),
        rows=layer.rows,
        slice=slice_rows(layer, network),
        by_row=layer.step.is_by_row,
        calls=tuple(
            _call(
                layer,
                number,
                call,
                "row, 1"
                if layer.step.is_by_row
                else range_arguments(call, unit, layer.rows, row_bytes),
            )
            for number, call in enumerate(layer.calls)
        ),
        output=_expression(layer.output),
        output_bytes=network.tensors[layer.step.output].size,
        move=move,
        ranges=tuple(_arguments(layer, unit, f"{first}, {count}") for first, count in ranges),
    )


def _first_work(layers: tuple[Layer, ...], place: int) -> int:
    """Return the first layer from `place` on that has work to do."""
    return next((at for at in range(place, len(layers)) if layers[at].symbol), place)


def _move(
    output: Place, overlap: Overlap, ranges: tuple[tuple[int, int], ...], row_bytes: int
) -> _Move | None:
    """Return how the rows move that are in no range."""
    computed = sum(count for _, count in ranges)
    if computed == overlap.length:
        return None
    first = ranges[0][1] if ranges[0][0] == 0 else 0
    place = Place(output.region, output.offset + first * row_bytes)
    return _Move(
        _expression(place), overlap.shift * row_bytes, (overlap.length - computed) * row_bytes
    )


def _stream(network: IntegerNetwork, program: Program) -> _StreamText | None:
    if program.stream is None:
        return None
    tensor = network.tensors[program.stream.signal]
    return _StreamText(
        _expression(program.plan.places[tensor.name]),
        tensor.size,
        program.stream.hop * tensor.row_size,
    )


def _arguments(layer: Layer, unit: int, rows: str) -> str:
    """Return the arguments of a layer's function that computes those rows."""
    if layer.step.code is None:
        return ", ".join((*layer.regions, rows) if unit else layer.regions)
    places = [_expression(place) for place in layer.inputs]
    source, other = (*places, "NULL")[:2]
    scratch = "NULL" if layer.scratch is None else f"SCRATCH({layer.scratch})"
    return f"{source}, {other}, {_expression(layer.output)}, {scratch}, {rows}"


def _call(layer: Layer, number: int, call: KernelCall, part: str) -> str:
    fields = [f".{name}={int(value)}" for name, value in call.parameters.items()]
    fields += [f".{name}={array_name(layer, number, name)}" for name in call.arrays]
    # Wrapped before the spaces around "=" are added: a field is never cut in two.
    rows = textwrap.wrap(", ".join(fields), _LINE - 24, break_on_hyphens=False)
    arguments = ["&parameters", *(_expression(place) for place in (*call.inputs, call.output))]
    if call.scratch is not None:
        arguments.append(f"SCRATCH({call.scratch})")
    if part:
        arguments.append(part)
    return "\n".join(
        [
            f"static const edgeprune_{call.kernel}_parameters parameters = {{",
            *(f"    {row.replace('=', ' = ')}" for row in rows),
            "};",
            f"edgeprune_{call.kernel}({', '.join(arguments)});",
        ]
    )


def _arrays(program: Program) -> Iterable[_ArrayText]:
    for name, layer, field, array in arrays(program):
        yield _ArrayText(
            name=name,
            type=_C_TYPES[array.dtype.name],
            count=array.size,
            comment=comment_safe(f"'{layer.step.name}' {field} {list(array.shape)}"),
            values=values_text(array),
            aligned=field == "weights",
        )


def _regions(program: Program) -> tuple[tuple[str, int], ...]:
    """Return name and bytes of everything that the check sum goes over, in order."""
    assembly = len(assembly_constants(program))
    first = ((ASSEMBLY_REGION, assembly),) if assembly else ()
    return (*first, *((name, array.nbytes) for name, _, _, array in arrays(program)))


def values_text(array: Array) -> str:
    """Return the numbers of an array as lines of a C initializer."""
    text = ", ".join(map(str, array.ravel().tolist()))
    return textwrap.indent(textwrap.fill(text, _LINE - 4, break_on_hyphens=False), "    ")


def _checks(plan: MemoryPlan, layers: Iterable[Layer]) -> Iterable[str]:
    """Return C conditions: each scratch memory lies in the arena with the size the kernel wants."""
    for layer in layers:
        if layer.step.code is not None and layer.scratch is not None:
            yield f"{layer.scratch} + {layer.step.scratch_bytes} <= ARENA_BYTES"
        for call in layer.calls:
            if call.scratch is None:
                continue
            values = call.parameters
            if call.kernel == "conv1d":
                depth = values["kernel"] * (values["input_channels"] // values["groups"])
                need = f"EDGEPRUNE_CONV1D_SCRATCH({depth})"
            elif call.kernel == "conv2d":
                cells = values["kernel_length"] * values["kernel_height"]
                depth = cells * (values["input_channels"] // values["groups"])
                need = f"EDGEPRUNE_CONV1D_SCRATCH({depth})"
            else:
                need = f"EDGEPRUNE_DENSE_SCRATCH({values['input_features']})"
            yield f"{call.scratch} + {need} <= ARENA_BYTES"
    yield f"sizeof(arena) >= {plan.arena_bytes} + 2 * GUARD_BYTES"
