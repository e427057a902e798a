"""Generates the folder of C sources that a firmware engineer drops into a project."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeprune import __version__
from edgeprune.data.front_ends import FrontEnd
from edgeprune.data.segment_front_end import SegmentFrontEnd
from edgeprune.errors import NetworkError
from edgeprune.files import write_text
from edgeprune.firmware.footprint import predict_footprint
from edgeprune.firmware.front_end_files import front_end_header, front_end_name
from edgeprune.firmware.interface_text import documented
from edgeprune.firmware.kernels import instruction_set
from edgeprune.firmware.lowering import Program, lower
from edgeprune.firmware.monitor_files import (
    MONITOR_HEADER,
    Monitor,
    monitor_sources,
    require_monitor,
)
from edgeprune.firmware.network_writer import values_text, write_network
from edgeprune.firmware.selection import (
    SMALLEST,
    Implementation,
    implement,
    implement_portably,
    with_guards,
)
from edgeprune.firmware.streaming import StreamingPlan, streaming_plan
from edgeprune.firmware.writer import (
    Labels,
    comment_safe,
    constant_bytes,
    environment,
    float_text,
    origin,
    write_model,
)
from edgeprune.network import IntegerNetwork
from edgeprune.network.tensor import Int8Array
from edgeprune.resources import resource_folder
from edgeprune.targets import Target

_GOLDEN_WINDOWS = 4
# The portable kernels of firmware_export/runtime.
KERNELS = frozenset(
    {
        "add",
        "average_pool1d",
        "average_pool2d",
        "conv1d",
        "conv2d",
        "copy",
        "dense",
        "depthwise_conv1d",
        "depthwise_conv2d",
        "max_pool1d",
        "max_pool2d",
        "mul",
        "requantize",
        "sub",
        "table",
    }
)

# Those that share edgeprune_columns.c.
_BY_COLUMNS = frozenset({"conv1d", "conv2d"})


@dataclass(frozen=True, eq=False)
class FirmwareSources:
    """A generated folder.

    Attributes:
        folder: Where the files lie.
        network: What they compute.
        portable: The network in portable C: what runs on the host.
        assembly: The network in assembly for the target's core; None for the host.
        labels: The words in the files.
        c_files: The C files to compile, relative to the folder.
        assembly_files: The files to assemble.
        files: All files of the library, relative to the folder.
        target: The target that they were generated for.
        front_end: What turns raw samples into its inputs, if anything does.
        monitor: What says that a window is none to decide about, if anything does.
    """

    folder: Path
    network: IntegerNetwork
    portable: Program
    assembly: Program | None
    labels: Labels
    c_files: tuple[str, ...]
    assembly_files: tuple[str, ...]
    files: tuple[str, ...]
    target: Target
    front_end: FrontEnd | None
    monitor: Monitor | None = None

    @property
    def program(self) -> Program:
        """What runs on the target."""
        return self.assembly or self.portable

    @property
    def target_c_files(self) -> tuple[str, ...]:
        """The C files that are not empty or unused on the target."""
        called = {call.kernel for layer in self.program.layers for call in layer.calls}
        unused = {f"runtime/edgeprune_{kernel}.c" for kernel in KERNELS - called}
        if _BY_COLUMNS.isdisjoint(called):
            unused.add("runtime/edgeprune_columns.c")
        if not self.program.portable:
            unused.add("edgeprune_portable.c")
        return tuple(name for name in self.c_files if name not in unused)


@dataclass(frozen=True, eq=False)
class Golden:
    """Windows whose logits the host test and a device can check themselves against.

    Attributes:
        inputs: int8 [n, ...] for each input of the network.
    """

    inputs: tuple[Int8Array, ...]


def generate(
    network: IntegerNetwork,
    front_end: FrontEnd | None,
    target: Target,
    labels: Labels,
    folder: Path,
    *,
    golden: Golden | None = None,
    optimize: str = "balanced",
    hop: int | None = None,
    guards: bool = False,
    small_steps: bool = False,
    monitor: Monitor | None = None,
) -> FirmwareSources:
    """Write the library of a network: model, kernels, CMakeLists.txt, host test, README.

    It holds the network twice: in assembly for the target's core, and in C99 for every other. Where
    the smallest is asked for and the C, whose layers share their kernels, is smaller, in C alone.

    The bytes depend on the arguments only.

    Args:
        network: What to compute.
        front_end: What turns raw samples into its inputs; None for an interface of ready windows.
        target: What it is meant for; the C itself runs anywhere.
        labels: Names and origin, for the comments and the class names.
        folder: Where to write; other files there stay.
        golden: Windows for the host test; random ones by default.
        optimize: What to make small: a name of `OBJECTIVES`.
        hop: New samples of each window, for a library that also classifies a stream; see
            `streaming_plan`.
        guards: Put a guard behind every tensor too, not only around the arena: for debugging.
        small_steps: Let no step of `edgeprune_step` be large, at the price of some instructions.
        monitor: What says that a window is none to decide about; None for a library without.

    Raises:
        UnknownNameError: There is no such objective.
        NetworkError: The network has not one or two inputs and one output, the class names do not
            fit, windows cannot move by that hop, or the monitor is another network's.
        DiskError: A file cannot be written.
    """
    if front_end is not None:
        require_front_end(network, front_end)
    if monitor is not None:
        require_monitor(network, front_end, monitor)
    stream = None if hop is None else _stream(network, hop)
    protect = with_guards if guards else _as_it_is
    portable = lower(network, protect(network, implement_portably(network, stream)))
    instructions = instruction_set(target)
    assembly = None
    if instructions is not None:
        implementation = implement(network, target, optimize, stream, small_steps=small_steps)
        assembly = lower(network, protect(network, implementation))
        if optimize == SMALLEST and _is_smaller(portable, assembly, target, front_end):
            instructions = assembly = None
    texts = write_model(network, portable, assembly, labels, front_end, monitor)
    texts |= write_network(network, portable, assembly, instructions)
    kernels = sorted({call.kernel for layer in portable.layers for call in layer.calls})
    runtime = ["edgeprune_crc32.c", *(f"edgeprune_{kernel}.c" for kernel in kernels)]
    runtime += ["edgeprune_columns.c"] * (not _BY_COLUMNS.isdisjoint(kernels))
    if front_end is not None:
        runtime.append(f"{front_end_name(front_end)}.c")
    if stream is not None:
        runtime.append("edgeprune_move.c")
    runtime += monitor_sources(monitor)
    if golden is None or not len(golden.inputs[0]):
        golden = random_golden(network)
    texts["edgeprune_self_test.c"] = _self_test(network, labels, golden)
    code = sorted(name for name in texts if name.endswith(".c"))
    c_files = (*code, *(f"runtime/{name}" for name in runtime))
    program = assembly or portable
    misra = resource_folder("firmware_export") / "MISRA.md"
    texts["MISRA.md"] = misra.read_text(encoding="utf-8")
    header = texts["edgeprune_model.h"]
    texts |= _companions(
        network, target, labels, program, c_files, golden, front_end, monitor, header
    )
    headers = ["edgeprune_arithmetic.h", "edgeprune_crc32.h", "edgeprune_kernels.h"]
    headers += ["edgeprune_columns.h"] * ("edgeprune_columns.c" in runtime)
    if stream is not None:
        headers.append("edgeprune_move.h")
    if monitor is not None:
        headers.append(MONITOR_HEADER)
    for name in (*headers, *runtime):
        source = resource_folder("firmware_export") / "runtime" / name
        texts[f"runtime/{name}"] = source.read_text(encoding="utf-8")
    if front_end is not None:
        name = front_end_name(front_end)
        texts[f"runtime/{name}.h"] = front_end_header(front_end)
    for name, text in texts.items():
        write_text(folder / name, text)
    return FirmwareSources(
        folder,
        network,
        portable,
        assembly,
        labels,
        c_files,
        tuple(name for name in sorted(texts) if name.endswith(".S")),
        tuple(sorted(texts)),
        target,
        front_end,
        monitor,
    )


def _as_it_is(_: IntegerNetwork, implementation: Implementation) -> Implementation:
    return implementation


def _stream(network: IntegerNetwork, hop: int) -> StreamingPlan:
    if len(network.inputs) != 1:
        raise NetworkError(
            "a stream has one input, this network has a second one for each window",
            hint="generate without a hop",
        )
    return streaming_plan(network, hop)


def _self_test(network: IntegerNetwork, labels: Labels, golden: Golden) -> str:
    """Return the file with the first golden window and its logits."""
    window = tuple(values[:1] for values in golden.inputs)
    return (
        environment("templates")
        .get_template("edgeprune_self_test.c.j2")
        .render(
            title=comment_safe(labels.title),
            version=__version__,
            inputs=tuple(
                _GoldenInput(region, values_text(values))
                for region, values in zip(("signal", "rhythm"), window, strict=False)
            ),
            logits=values_text(network.run(*window)),
        )
    )


def _companions(
    network: IntegerNetwork,
    target: Target,
    labels: Labels,
    program: Program,
    c_files: tuple[str, ...],
    golden: Golden,
    front_end: FrontEnd | None,
    monitor: Monitor | None,
    header: str,
) -> dict[str, str]:
    """Return the files around the library by name."""
    count = len(golden.inputs[0])
    rows = [_rows(values) for values in (*golden.inputs, network.run(*golden.inputs))]
    context = {
        "title": comment_safe(labels.title),
        "version": __version__,
        "network_hash": network.sha256,
        "origin": origin(labels),
        "front_end": front_end is not None,
        "segments": isinstance(front_end, SegmentFrontEnd),
        "monitor": monitor is not None,
        "raw_monitor": monitor is not None and monitor.raw_before is not None,
        "target": target,
        "c_files": c_files,
        "assembly": any(layer.step.code for layer in program.layers),
        "inputs": tuple(
            _InputRow(region, list(tensor.shape), float_text(tensor.scale), tensor.zero_point)
            for region, tensor in zip(("signal", "rhythm"), network.input_tensors, strict=False)
        ),
        "class_names": tuple(comment_safe(name) for name in labels.class_names),
        "weight_bytes": constant_bytes(program.layers),
        "arena_bytes": program.plan.arena_bytes,
        "count": count,
        "signals": rows[0],
        "rhythms": rows[1] if len(rows) == 3 else "",
        "logits": rows[-1],
        "functions": documented(header),
    }
    templates = environment("templates")
    return {
        name: templates.get_template(f"{name}.j2").render(context)
        for name in ("CMakeLists.txt", "host_test.c", "README.md")
    }


def _is_smaller(
    portable: Program, assembly: Program, target: Target, front_end: FrontEnd | None
) -> bool:
    """Whether portable C, whose layers share their kernels, takes less flash."""
    sizes = [
        predict_footprint(each, target, front_end).flash_bytes for each in (portable, assembly)
    ]
    return sizes[0] < sizes[1]


def require_front_end(network: IntegerNetwork, front_end: FrontEnd) -> None:
    """Refuse a network that reads its integers otherwise than the front end means them.

    Raises:
        NetworkError: An input has another shape, scale or zero point.
    """
    made = (
        (front_end.signal_shape, front_end.signal_scale, front_end.signal_zero_point),
        ((front_end.rhythm_features,), front_end.rhythm_scale, front_end.rhythm_zero_point),
    )
    for tensor, (shape, scale, zero_point) in zip(network.input_tensors, made, strict=False):
        if (tensor.shape, tensor.scale, tensor.zero_point) != (shape, scale, zero_point):
            raise NetworkError(
                f"input '{tensor.name}' is {tensor.shape} with scale {tensor.scale} and zero point "
                f"{tensor.zero_point}, the front end makes {shape}, {scale} and {zero_point}",
                hint="quantize with the front end's ranges, or generate without a front end",
            )


@dataclass(frozen=True)
class _InputRow:
    name: str
    shape: list[int]
    scale: str
    zero_point: int


@dataclass(frozen=True)
class _GoldenInput:
    name: str
    values: str


def _rows(values: Int8Array) -> str:
    """Return windows as the rows of a C initializer."""
    return ",\n".join(f"    {{\n{values_text(row)}\n    }}" for row in values)


def random_golden(network: IntegerNetwork) -> Golden:
    """Return windows of random values, the same for each network of a shape."""
    generator = np.random.default_rng(0)
    return Golden(
        tuple(
            generator.integers(-128, 128, (_GOLDEN_WINDOWS, *tensor.shape), dtype=np.int8)
            for tensor in network.input_tensors
        )
    )
