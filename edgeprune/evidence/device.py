"""What runs on the device: parity with the specification, size, memory, instructions."""

from __future__ import annotations

from dataclasses import dataclass

from edgeprune.evidence.quantity import Quantity, Where


@dataclass(frozen=True)
class ParityRow:
    """One implementation compared with the integer specification.

    Attributes:
        implementation: What was compared, e.g. "generated C" or "tflite-micro".
        version: Its version.
        where: Where it ran.
        place: The machine or board in words, e.g. "unicorn, cortex-m7".
        windows: Windows run through both.
        compared: What was compared, e.g. "every layer" or "logits".
        values: Numbers compared in all.
        mismatches: Numbers that differ.
        largest_difference_lsb: Largest difference found.
        gate: Whether a single mismatch fails the build; False for a runtime with another rounding.
    """

    implementation: str
    version: str
    where: Where
    place: str
    windows: int
    compared: str
    values: int
    mismatches: int
    largest_difference_lsb: int
    gate: bool = True


@dataclass(frozen=True)
class InstructionCount:
    """Instructions of one window, over the windows that were counted.

    Attributes:
        minimum: Fewest.
        median: Median; rounded down where two windows share the middle.
        maximum: Most.
        windows: Windows counted.
        where: "emulator (instructions)" unless a board counted them.
    """

    minimum: int
    median: int
    maximum: int
    windows: int
    where: Where = Where.EMULATOR


@dataclass(frozen=True)
class InstructionClass:
    """Instructions of one kind.

    Attributes:
        name: E.g. "multiply-accumulate", "load", "branch".
        median: Median a window.
    """

    name: str
    median: int


@dataclass(frozen=True)
class ModelRange:
    """A figure that a model gives; nothing measured it.

    Attributes:
        minimum: If all that is open goes well, in the cheapest window.
        expected: By the stated assumptions, in the average window.
        maximum: If all goes badly, in the dearest window.
        where: "cycle model".
    """

    minimum: float
    expected: float
    maximum: float
    where: Where = Where.CYCLE_MODEL


@dataclass(frozen=True)
class CycleEvidence:
    """What a window costs by the model of the core and the target's flash.

    Attributes:
        cycles: Of a whole window.
        microseconds: The same at the target's clock.
        microjoules: By the current of the data sheet; absent where the target file gives none.
        windows: Windows whose executed blocks went in.
        source: Where the core's timings were published.
        assumptions: What the expected figure rests on.
    """

    cycles: ModelRange
    microseconds: ModelRange
    windows: int
    source: str
    assumptions: tuple[str, ...]
    microjoules: ModelRange | None = None


@dataclass(frozen=True)
class LayerEvidence:
    """One function of the firmware: an operation, or several that are computed as one.

    Attributes:
        index: Position in the network of its last operation, from 0.
        name: Names of the operations.
        kernel: What runs it; empty where it emits no call.
        output_shape: Shape of its output without batch.
        macs: Multiply-accumulates a window.
        parameters: Numbers stored for it.
        flash_bytes: Code and constants of its own.
        arena_bytes: Working memory alive while it runs.
        instructions: Counted while it ran.
        instruction_classes: The same by kind.
        approach: How it is computed, and why not quicker where that is so.
        cycles: Modelled, of one window.
    """

    index: int
    name: str
    kernel: str
    output_shape: tuple[int, ...]
    macs: int
    parameters: int
    flash_bytes: int | None = None
    arena_bytes: int | None = None
    instructions: InstructionCount | None = None
    instruction_classes: tuple[InstructionClass, ...] = ()
    approach: str = ""
    cycles: ModelRange | None = None


@dataclass(frozen=True)
class PlannedTensor:
    """A tensor's place in the arena.

    Attributes:
        name: Its name.
        offset: First byte.
        size: Bytes.
        first_layer: Index of the layer before which it must exist.
        last_layer: Index of the last layer that reads it.
    """

    name: str
    offset: int
    size: int
    first_layer: int
    last_layer: int


@dataclass(frozen=True)
class MemoryEvidence:
    """The plan of the working memory, exact before compiling.

    Attributes:
        arena_bytes: Size of the one static arena.
        peak_layer: Index of the layer at which most of it is alive.
        peak_tensors: Tensors alive then.
        tensors: Every tensor's place.
        stack_bound_bytes: Deepest stack that the compiler's call graph allows.
        stack_measured: High-water mark while the windows ran.
    """

    arena_bytes: int
    peak_layer: int
    peak_tensors: tuple[str, ...]
    tensors: tuple[PlannedTensor, ...]
    stack_bound_bytes: int | None = None
    stack_measured: Quantity | None = None


@dataclass(frozen=True)
class Section:
    """A section of the linked image.

    Attributes:
        name: Its name, e.g. ".text".
        memory: Where it counts: "flash", "ram" or "flash and ram".
        size: Bytes.
        holds: What is in it, in words.
    """

    name: str
    memory: str
    size: int
    holds: str = ""


@dataclass(frozen=True)
class FirmwareEvidence:
    """The linked image.

    Attributes:
        toolchain: Compiler and version.
        flags: Flags that decide about the code.
        flash_bytes: All that is stored in flash.
        ram_bytes: All static memory, stack included where it is reserved.
        flash_available: What the target has.
        ram_available: What the target has.
        sections: What it is made of.
    """

    toolchain: str
    flags: str
    flash_bytes: int
    ram_bytes: int
    flash_available: int
    ram_available: int
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class DeviceEvidence:
    """Everything that holds for one target.

    Attributes:
        core: The processor core.
        instructions: Of a whole window, from input to logits.
        instruction_classes: The same by kind.
        layers: In the order of execution.
        memory: The plan of the working memory.
        firmware: The linked image; absent for a library only.
        clock_hz: Clock of the target, to put the instructions into proportion; not a latency.
        cycles: Cycles, time and energy of a window by a model; absent for a core without one.
    """

    core: str
    layers: tuple[LayerEvidence, ...]
    memory: MemoryEvidence
    instructions: InstructionCount | None = None
    instruction_classes: tuple[InstructionClass, ...] = ()
    firmware: FirmwareEvidence | None = None
    clock_hz: int | None = None
    cycles: CycleEvidence | None = None
