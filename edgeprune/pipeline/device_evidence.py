"""What holds for one target, as records of the evidence."""

from __future__ import annotations

from dataclasses import replace

from edgeprune.devices import CycleEstimate, InstructionProfile, LayerInstructions, Range
from edgeprune.evidence import (
    CycleEvidence,
    DeviceEvidence,
    FirmwareEvidence,
    InstructionClass,
    InstructionCount,
    LayerEvidence,
    MemoryEvidence,
    ModelRange,
    PlannedTensor,
    Quantity,
    Section,
    Where,
)
from edgeprune.firmware import FirmwareSources, Footprint, FootprintRow, Image, Layer, Program
from edgeprune.network import IntegerNetwork
from edgeprune.targets import Target

_STACK_HOLDS = "bound of the call graph and an interrupt"


def image_footprint(image: Image) -> Footprint:
    """Return what a linked image takes, symbol by symbol, largest first."""
    rows = tuple(
        FootprintRow(
            symbol.name,
            symbol.bytes if symbol.section in (".text", ".data") else 0,
            symbol.bytes if symbol.section in (".data", ".bss") else 0,
        )
        for symbol in image.symbols
    )
    flash = image.flash_bytes - sum(row.flash_bytes for row in rows)
    ram = image.ram_bytes - sum(row.ram_bytes for row in rows)
    return Footprint((*rows, FootprintRow("without a symbol, stack", flash, ram)))


def device_evidence(
    target: Target, sources: FirmwareSources, image: Image | None
) -> DeviceEvidence:
    """Describe layers, memory plan and image before anything has run.

    Args:
        target: The device.
        sources: What was generated.
        image: The linked image; None on the host.
    """
    network, program = sources.network, sources.program
    sizes = {symbol.name: symbol.bytes for symbol in image.symbols} if image else {}
    layers = tuple(
        LayerEvidence(
            index=layer.index,
            name=layer.step.name,
            kernel=layer.kernel,
            output_shape=network.tensors[layer.step.output].shape,
            macs=sum(
                operation.multiply_accumulates(network.tensors)
                for operation in layer.step.operations
            ),
            parameters=sum(operation.parameters() for operation in layer.step.operations),
            flash_bytes=layer.constant_bytes + sizes.get(layer.symbol, 0),
            arena_bytes=_alive(program, network, layer.index),
            approach=_approach(layer),
        )
        for layer in program.layers
    )
    return DeviceEvidence(
        core=target.core,
        layers=layers,
        memory=_memory(network, program, image),
        firmware=None if image is None else _firmware(target, image),
        clock_hz=target.clock_hz or None,
    )


def with_measurements(
    device: DeviceEvidence,
    sources: FirmwareSources,
    profile: InstructionProfile | None,
    stack_bytes: int | None,
    estimate: CycleEstimate | None = None,
) -> DeviceEvidence:
    """Add what the emulated device showed.

    Args:
        device: The description before anything ran.
        sources: What was generated.
        profile: Exact instruction counts; None where no emulator counts them.
        stack_bytes: High-water mark of the stack; None where nothing told it.
        estimate: Modelled cycles; None for a core without a model.
    """
    memory = device.memory
    if stack_bytes is not None:
        measured = Quantity(stack_bytes, "byte", Where.EMULATOR)
        memory = replace(memory, stack_measured=measured)
    if profile is None:
        return replace(device, memory=memory)
    counted = {layer.symbol: layer for layer in profile.layers}
    modelled = {layer.symbol: layer.cycles for layer in estimate.layers} if estimate else {}
    symbols = [layer.symbol for layer in sources.program.layers]
    layers = tuple(
        replace(
            _with_count(layer, counted.get(symbol), profile.windows),
            cycles=_range(modelled[symbol], 0) if symbol in modelled else None,
        )
        for layer, symbol in zip(device.layers, symbols, strict=True)
    )
    return replace(
        device,
        memory=memory,
        layers=layers,
        instructions=InstructionCount(
            profile.minimum, profile.median, profile.maximum, profile.windows
        ),
        instruction_classes=_classes(profile.layers, profile.windows),
        cycles=None if estimate is None else _cycles(estimate),
    )


def _cycles(estimate: CycleEstimate) -> CycleEvidence:
    total = Range(estimate.minimum, estimate.expected, estimate.maximum)
    return CycleEvidence(
        cycles=_range(total, 0),
        microseconds=_range(estimate.microseconds, 1),
        windows=estimate.windows,
        source=estimate.source,
        assumptions=estimate.assumptions,
        microjoules=None if estimate.microjoules is None else _range(estimate.microjoules, 2),
    )


def _range(modelled: Range, decimals: int) -> ModelRange:
    """Return a modelled figure without the digits that a model cannot mean."""
    return ModelRange(
        round(modelled.minimum, decimals),
        round(modelled.expected, decimals),
        round(modelled.maximum, decimals),
    )


def _with_count(
    layer: LayerEvidence, counted: LayerInstructions | None, windows: int
) -> LayerEvidence:
    if counted is None:
        return layer
    return replace(
        layer,
        instructions=InstructionCount(counted.minimum, counted.median, counted.maximum, windows),
        instruction_classes=_classes((counted,), windows),
    )


def _classes(layers: tuple[LayerInstructions, ...], windows: int) -> tuple[InstructionClass, ...]:
    totals: dict[str, int] = {}
    for layer in layers:
        for name, count in layer.by_class:
            totals[name] = totals.get(name, 0) + count
    return tuple(InstructionClass(name, total // windows) for name, total in totals.items())


def _approach(layer: Layer) -> str:
    """Return how a layer is computed, and why not in the quickest way where that is so."""
    code = layer.step.code
    if code is None:
        return "portable C" if layer.symbol else ""
    return f"{code.approach}; {code.slower}" if code.slower else code.approach


def _alive(program: Program, network: IntegerNetwork, index: int) -> int:
    """Return the arena bytes of tensors alive while a layer runs."""
    return sum(
        tensor.size
        for tensor in _planned(network, program)
        if tensor.first_layer <= index <= tensor.last_layer
    )


def _planned(network: IntegerNetwork, program: Program) -> tuple[PlannedTensor, ...]:
    first = {layer.step.output: layer.index for layer in program.layers}
    last = dict(first)
    for layer in program.layers:
        last.update(dict.fromkeys(layer.step.inputs, layer.index))
    return tuple(
        PlannedTensor(name, offset, network.tensors[name].size, first.get(name, 0), last[name])
        for name, offset in program.plan.offsets.items()
    )


def _memory(network: IntegerNetwork, program: Program, image: Image | None) -> MemoryEvidence:
    plan = program.plan
    peak = next(layer for layer in program.layers if layer.step.name == plan.peak_operation)
    return MemoryEvidence(
        arena_bytes=plan.arena_bytes,
        peak_layer=peak.index,
        peak_tensors=tuple(name for name, _ in plan.peak),
        tensors=_planned(network, program),
        stack_bound_bytes=image.stack_bytes or None if image else None,
    )


def _firmware(target: Target, image: Image) -> FirmwareEvidence:
    sizes: dict[str, int] = {}
    for symbol in image.symbols:
        sizes[symbol.section] = sizes.get(symbol.section, 0) + symbol.bytes
    flash, ram = sizes.get(".text", 0), sizes.get(".bss", 0)
    data = sizes.get(".data", 0)
    return FirmwareEvidence(
        toolchain=image.compiler,
        flags=" ".join(target.toolchain.optimization) if target.toolchain else "",
        flash_bytes=image.flash_bytes,
        ram_bytes=image.ram_bytes,
        flash_available=target.flash_bytes,
        ram_available=target.ram_bytes,
        sections=(
            Section(".text", "flash", image.flash_bytes - data, f"{flash} bytes have a symbol"),
            Section(".data", "flash and ram", data, "initial values"),
            Section(".bss", "ram", image.ram_bytes - data - image.stack_bytes, f"arena, {ram}"),
            *(
                [Section(".stack", "ram", image.stack_bytes, _STACK_HOLDS)]
                if image.stack_bytes
                else []
            ),
        ),
    )
