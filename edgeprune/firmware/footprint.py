"""What a firmware will take of a target's flash and RAM, before anything is compiled."""

from __future__ import annotations

from dataclasses import dataclass

from edgeprune.data.front_ends import FrontEnd
from edgeprune.data.segment_front_end import SegmentFrontEnd
from edgeprune.errors import TargetTooSmallError
from edgeprune.firmware.front_end_files import front_end_ring
from edgeprune.firmware.lowering import Layer, Program
from edgeprune.targets import Target

# Code bytes of each kernel, the larger of both compilers, by what the core can do. A test holds
# them against compiled objects.
_KERNEL_CODE = {
    "thumb-1": {
        "add": 380,
        "average_pool1d": 230,
        "average_pool2d": 460,
        "conv1d": 1860,
        "conv2d": 2300,
        "copy": 80,
        "dense": 600,
        "depthwise_conv1d": 690,
        "depthwise_conv2d": 960,
        "max_pool1d": 200,
        "max_pool2d": 400,
        "mul": 240,
        "requantize": 220,
        "sub": 380,
        "table": 60,
    },
    "thumb-2": {
        "add": 360,
        "average_pool1d": 230,
        "average_pool2d": 460,
        "conv1d": 2450,
        "conv2d": 3000,
        "copy": 100,
        "dense": 630,
        "depthwise_conv1d": 520,
        "depthwise_conv2d": 900,
        "max_pool1d": 200,
        "max_pool2d": 400,
        "mul": 240,
        "requantize": 200,
        "sub": 360,
        "table": 60,
    },
}
# Start-up, vectors, exchange program; a core without a divider adds one in software.
_BOARD_CODE = 1000
_DIVISION_CODE = 450
_LAYER_CODE = 36
_POINTER_BYTES = 4
_STACK_BYTES = 600
# Stack around the deepest layer: the interface, the exchange program, one interrupt.
_OUTER_STACK = 300
_FRONT_END_CODE = 3700
_FRONT_END_STACK = 1700
# The front end's state beside its ring of 16-bit samples.
_FRONT_END_STATE = 760
# The front end of segments, beside its ring and a sum for each channel.
_SEGMENTS_CODE = 500
_SEGMENTS_STATE = 32
# The monitor with its tables; what it remembers of the window that waits.
_MONITOR_CODE = 1300
_MONITOR_STATE = 16
# Guards around the arena, what is under way, the board's own.
_BOARD_DATA = 48


@dataclass(frozen=True)
class FootprintRow:
    """One part of a firmware.

    Attributes:
        name: What it is.
        flash_bytes: What it takes of the flash.
        ram_bytes: What it takes of the RAM.
    """

    name: str
    flash_bytes: int
    ram_bytes: int


@dataclass(frozen=True)
class Footprint:
    """What a firmware takes, part by part, largest first."""

    rows: tuple[FootprintRow, ...]

    @property
    def flash_bytes(self) -> int:
        """Flash in all."""
        return sum(row.flash_bytes for row in self.rows)

    @property
    def ram_bytes(self) -> int:
        """RAM in all, stack included."""
        return sum(row.ram_bytes for row in self.rows)

    def table(self) -> str:
        """Return the parts as lines of text."""
        width = max(len(row.name) for row in self.rows)
        lines = [f"{'part':{width}}  {'flash':>8}  {'RAM':>8}"]
        lines += [
            f"{row.name:{width}}  {row.flash_bytes:8}  {row.ram_bytes:8}"
            for row in (*self.rows, FootprintRow("in all", self.flash_bytes, self.ram_bytes))
        ]
        return "\n".join(lines)


def predict_footprint(
    program: Program,
    target: Target,
    front_end: FrontEnd | None = None,
    *,
    monitor: bool = False,
) -> Footprint:
    """Predict what the firmware of a network takes on a target.

    Weights, tables and arena are exact; code is an upper estimate within 2 KB, for both compilers,
    and so is the stack within 300 bytes (1,100 with a front end).

    Args:
        program: The network as it runs on the target.
        target: The target.
        front_end: What turns raw samples into its inputs, if anything does.
        monitor: Whether it says that a window is none to decide about.
    """
    sizes = _KERNEL_CODE["thumb-1" if target.isa == "armv6-m" else "thumb-2"]
    layers = [layer for layer in program.layers if layer.symbol]
    rows = [_constants(layer) for layer in layers]
    rows += [
        FootprintRow(f"code of {kernel}", sizes[kernel], 0)
        for kernel in sorted({call.kernel for layer in layers for call in layer.calls})
    ]
    division = _DIVISION_CODE if target.isa == "armv6-m" else 0
    deepest = max((layer.step.code.stack_bytes for layer in layers if layer.step.code), default=0)
    beats = front_end is not None and not isinstance(front_end, SegmentFrontEnd)
    stack = _FRONT_END_STACK if beats else _STACK_BYTES
    rows += [
        FootprintRow("code of the layers", _LAYER_CODE * len(layers), 0),
        FootprintRow("start-up and exchange program", _BOARD_CODE + division, _BOARD_DATA),
        FootprintRow(f"arena, peak in {program.plan.peak_operation}", 0, program.plan.arena_bytes),
        FootprintRow("stack", 0, max(stack, deepest + _OUTER_STACK)),
    ]
    if isinstance(front_end, SegmentFrontEnd):
        length, channels = front_end.signal_shape
        state = _SEGMENTS_STATE + 4 * channels + length * channels
        rows.append(FootprintRow("front end", _SEGMENTS_CODE, state))
    elif front_end is not None:
        state = _FRONT_END_STATE + 2 * front_end_ring(front_end)
        rows.append(FootprintRow("front end", _FRONT_END_CODE, state))
    if monitor:
        rows.append(FootprintRow("input monitor", _MONITOR_CODE, _MONITOR_STATE))
    rows.sort(key=lambda row: (-row.flash_bytes - row.ram_bytes, row.name))
    return Footprint(tuple(rows))


def check_fit(footprint: Footprint, target: Target) -> None:
    """Refuse a firmware that does not fit; the host takes everything.

    Raises:
        TargetTooSmallError: It is larger than the target's flash or RAM.
    """
    if target.is_host:
        return
    for memory, need, available in (
        ("flash", footprint.flash_bytes, target.flash_bytes),
        ("RAM", footprint.ram_bytes, target.ram_bytes),
    ):
        if need > available:
            raise TargetTooSmallError(
                f"the firmware takes {need} bytes of {memory}, {target.name} has {available}\n"
                + "\n".join(f"    {line}" for line in footprint.table().splitlines()),
                where=f"target {target.name}",
                hint="prune further (--ratio, --max-flash, --max-ram) or choose a larger target",
            )


def _constants(layer: Layer) -> FootprintRow:
    name = f"{layer.kernel} '{layer.step.name}'"
    if layer.step.code is not None:
        return FootprintRow(name, layer.step.code.flash_bytes, 0)
    fields = sum(len(call.parameters) + len(call.arrays) for call in layer.calls)
    return FootprintRow(name, layer.constant_bytes + _POINTER_BYTES * fields, 0)
