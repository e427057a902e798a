"""What a model would take of each target, before anything is run on windows or compiled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeprune.data import FrontEnd
from edgeprune.errors import EdgepruneError, ModelError
from edgeprune.firmware import Program, implement, lower, predict_footprint
from edgeprune.firmware.kernels import instruction_set
from edgeprune.network import IntegerNetwork, Operation
from edgeprune.pipeline.opened_model import OpenedModel
from edgeprune.targets import Target

if TYPE_CHECKING:
    from edgeprune.firmware.lowering import Layer

SCHEMA = "edgeprune.analysis/1"
COUNTED = "counted in the generated assembly"
ESTIMATED = "estimate: {macs} a multiply-accumulate and {elements} an output element in portable C"
# Instructions of portable C, compiled for size and speed alike, within a factor of two.
_BY_MAC = 6
_BY_ELEMENT = 30


@dataclass(frozen=True)
class LayerAnalysis:
    """What one operation takes on any target.

    Attributes:
        name: Its name.
        operator: Its operator.
        output: Shape of its output.
        macs: Multiply-accumulates of one window.
        parameters: Weights and biases.
        weight_bytes: Their bytes.
        output_bytes: Bytes of its output.
    """

    name: str
    operator: str
    output: tuple[int, ...]
    macs: int
    parameters: int
    weight_bytes: int
    output_bytes: int


@dataclass(frozen=True)
class TargetAnalysis:
    """What the model takes on one target.

    Attributes:
        target: Its name.
        title: Its title.
        fits: Whether flash and RAM hold it; True where the target sets no limit.
        why_not: What is too small, or unsupported; in words, empty where it fits.
        flash_bytes: Predicted flash, code and constants.
        flash_available: Flash of the target; None where it sets no limit.
        ram_bytes: Predicted RAM, stack included.
        ram_available: RAM of the target; None where it sets no limit.
        arena_bytes: Bytes of activations that are alive at the peak.
        peak: The layers at the peak.
        peak_tensors: What is alive then, with its bytes, largest first.
        instructions: Predicted instructions of one window.
        instructions_by: Where that number comes from.
    """

    target: str
    title: str
    fits: bool
    why_not: tuple[str, ...]
    flash_bytes: int | None = None
    flash_available: int | None = None
    ram_bytes: int | None = None
    ram_available: int | None = None
    arena_bytes: int | None = None
    peak: str = ""
    peak_tensors: tuple[tuple[str, int], ...] = ()
    instructions: int | None = None
    instructions_by: str = ""


@dataclass(frozen=True)
class Analysis:
    """What a model is and where it fits.

    Attributes:
        model: As it was named.
        format: What it is, in words.
        inputs: Shape of each input.
        classes: Number of logits.
        macs: Multiply-accumulates of one window.
        parameters: Weights and biases.
        weight_bytes: Their bytes.
        layers: Operation by operation.
        notes: What is to be known, in words.
        targets: Target by target.
    """

    model: str
    format: str
    inputs: tuple[tuple[int, ...], ...]
    classes: int
    macs: int
    parameters: int
    weight_bytes: int
    layers: tuple[LayerAnalysis, ...]
    notes: tuple[str, ...]
    targets: tuple[TargetAnalysis, ...]


def analyze(opened: OpenedModel, targets: Sequence[Target], optimize: str = "balanced") -> Analysis:
    """Return what a model takes of targets.

    Weights, tables and arena are exact; code and stack are upper estimates (see
    `predict_footprint`). Instructions are exact where every layer is generated assembly, and a
    rough estimate elsewhere, which is said.

    Args:
        opened: The model.
        targets: The targets.
        optimize: What the code makes small: a name of the firmware's objectives.

    Raises:
        UnknownNameError: There is no such objective.
    """
    network = opened.network
    programs: dict[object, Program | EdgepruneError] = {}
    found = []
    for target in targets:
        if target.memories is not None and network.weight_bytes() > target.flash_bytes:
            found.append(_too_heavy(network, target))
            continue
        # The code depends on the instruction set alone, and boards share theirs.
        key = instruction_set(target)
        if key not in programs:
            programs[key] = _program(network, target, optimize)
        found.append(_on_target(network, programs[key], target, opened.front_end))
    return Analysis(
        opened.name,
        opened.format,
        tuple(tensor.shape for tensor in network.input_tensors),
        network.output_tensor.size,
        network.multiply_accumulates(),
        network.parameters(),
        network.weight_bytes(),
        tuple(_layer(network, operation) for operation in network.operations),
        opened.notes,
        tuple(found),
    )


def _too_heavy(network: IntegerNetwork, target: Target) -> TargetAnalysis:
    """Refuse a target whose flash does not hold the weights, without writing any code for it."""
    lacking = network.weight_bytes() - target.flash_bytes
    return TargetAnalysis(
        target.name,
        target.title,
        fits=False,
        why_not=(f"{lacking:,} bytes of flash too few for the weights alone",),
        flash_bytes=network.weight_bytes(),
        flash_available=target.flash_bytes,
        ram_available=target.ram_bytes,
    )


def _layer(network: IntegerNetwork, operation: Operation) -> LayerAnalysis:
    output = network.tensors[operation.output]
    return LayerAnalysis(
        operation.name,
        operation.kind,
        output.shape,
        operation.multiply_accumulates(network.tensors),
        operation.parameters(),
        operation.weight_bytes(),
        output.size,
    )


def _program(network: IntegerNetwork, target: Target, optimize: str) -> Program | EdgepruneError:
    try:
        return lower(network, implement(network, target, optimize))
    except ModelError as error:
        return error


def _on_target(
    network: IntegerNetwork,
    program: Program | EdgepruneError,
    target: Target,
    front_end: FrontEnd | None,
) -> TargetAnalysis:
    if isinstance(program, EdgepruneError):
        return TargetAnalysis(target.name, target.title, fits=False, why_not=(program.what,))
    footprint = predict_footprint(program, target, front_end)
    limits = [
        ("flash", footprint.flash_bytes, target.flash_bytes),
        ("RAM", footprint.ram_bytes, target.ram_bytes),
    ]
    limited = target.memories is not None
    lacking = tuple(
        f"{need - have:,} bytes of {memory} too few"
        for memory, need, have in limits
        if limited and need > have
    )
    instructions, source = _instructions(network, program)
    return TargetAnalysis(
        target.name,
        target.title,
        fits=not lacking,
        why_not=lacking,
        flash_bytes=footprint.flash_bytes,
        flash_available=target.flash_bytes if limited else None,
        ram_bytes=footprint.ram_bytes,
        ram_available=target.ram_bytes if limited else None,
        arena_bytes=program.plan.arena_bytes,
        peak=program.plan.peak_operation,
        peak_tensors=program.plan.peak,
        instructions=instructions,
        instructions_by=source,
    )


def _instructions(network: IntegerNetwork, program: Program) -> tuple[int, str]:
    """Return the instructions of one window and where the number comes from."""
    total, estimated = 0, False
    for layer in program.layers:
        if not layer.symbol:
            continue
        if layer.step.code is not None:
            total += layer.step.code.instructions
        else:
            estimated = True
            total += _estimate(network, layer)
    words = ESTIMATED.format(macs=_BY_MAC, elements=_BY_ELEMENT)
    return total, words if estimated else COUNTED


def _estimate(network: IntegerNetwork, layer: Layer) -> int:
    operations = [each for each in network.operations if each.output == layer.step.output]
    macs = sum(each.multiply_accumulates(network.tensors) for each in operations)
    elements = network.tensors[layer.step.output].size
    return _BY_MAC * macs + _BY_ELEMENT * elements
