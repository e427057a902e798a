"""Exact instruction counts per layer and per class of instruction.

A count is of instructions issued: an instruction in an IT block whose condition fails is counted,
as is the IT instruction itself, which is also how QEMU's `-icount` and a core's fetch see it.
Counts are of instructions, never of cycles.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median_low

import numpy as np
from numpy.typing import NDArray

from edgeprune.devices import exchange
from edgeprune.devices.emulator import Emulator
from edgeprune.devices.instructions import CLASSES, Disassembler
from edgeprune.devices.run import WHERE
from edgeprune.devices.unicorn_device import emulator_for
from edgeprune.errors import DeviceError
from edgeprune.targets import Target

WINDOW = "edgeprune_classify"
_ATTRIBUTED = re.compile(r"edgeprune_(classify$|layer_\d+_|front_end_|push_|next_window$)")
_MAXIMUM_WINDOWS = 16
_STRICT_ALIGNMENT = "armv6-m"
_NOWHERE = -1
_OUTSIDE = 0
_PAINT = b"\x5a"
_PAINTED_CALLS = 16


@dataclass(frozen=True)
class LayerInstructions:
    """What one symbol costs, with all that it calls and that has no entry of its own.

    Attributes:
        symbol: `edgeprune_layer_<nn>_<kernel>`, `edgeprune_classify` for what lies between the
            layers, or a function of the front end: `edgeprune_push_*`, `edgeprune_next_window`
            and `edgeprune_front_end_*`.
        calls: How often it was entered.
        total: Instructions of all calls.
        minimum: In the window where it took fewest.
        median: In the middle window (the lower of two).
        maximum: In the window where it took most.
        by_class: (class, count) for every class of `instructions.CLASSES`; they sum to `total`.
    """

    symbol: str
    calls: int
    total: int
    minimum: int
    median: int
    maximum: int
    by_class: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class InstructionProfile:
    """Exact instruction counts of some windows.

    Attributes:
        layers: Per symbol, summed over the windows, in the order in which they were first entered.
        windows: Number of windows.
        minimum: Instructions of the cheapest window, from the entry of `edgeprune_classify` to
            its return.
        median: Of the middle window (the lower of two).
        maximum: Of the dearest window.
        stack_bytes: Deepest stack of `edgeprune_classify` below its caller's, or of the front end.
        where: Where these figures come from, as every table must say.
    """

    layers: tuple[LayerInstructions, ...]
    windows: int
    minimum: int
    median: int
    maximum: int
    stack_bytes: int
    where: str


def count_instructions(
    elf: Path,
    target: Target,
    signal: NDArray[np.int8],
    rhythm: NDArray[np.int8] | None,
    classes: int,
    *,
    seconds_per_window: float = 60.0,
) -> InstructionProfile:
    """Count every instruction of up to 16 windows on unicorn.

    On Armv6-M the first window also shows that no access is unaligned, which would fault there.

    Args:
        elf: The linked image, with symbols.
        target: What it runs on.
        signal: int8 [n, length, channels], n from 1 to 16.
        rhythm: int8 [n, features], or None for a network without that input.
        classes: Number of logits.
        seconds_per_window: Wall clock that a window may take.

    Raises:
        DeviceError: The image faulted, hung, refused the windows, answered garbage, or has no
            symbol `edgeprune_classify`; or unicorn has no such core.
        MissingToolError: unicorn is not installed.
        ValueError: No window, or more than 16.
    """
    if not 1 <= len(signal) <= _MAXIMUM_WINDOWS:
        raise ValueError(f"profile 1 to {_MAXIMUM_WINDOWS} windows, not {len(signal)}")
    if target.isa == _STRICT_ALIGNMENT:
        one = exchange.pack_windows(signal[:1], None if rhythm is None else rhythm[:1], classes)
        emulator = emulator_for(elf, target)
        emulator.require_aligned_access()
        _run(emulator, elf, target, one, seconds_per_window)
    request = exchange.pack_windows(signal, rhythm, classes)
    profile = _profile(elf, target, request, seconds_per_window * len(signal))
    if profile.windows != len(signal):
        raise DeviceError(
            f"the image entered {WINDOW} {profile.windows} times for {len(signal)} windows",
            where=str(elf),
            hint="build the image with edgeprune's own main program",
        )
    return profile


def count_front_end(
    elf: Path,
    target: Target,
    samples: NDArray[np.int16],
    beats: NDArray[np.int64],
    signal_shape: tuple[int, int],
    rhythm_features: int,
    classes: int,
    *,
    timeout_seconds: float = 600.0,
) -> InstructionProfile:
    """Count every instruction of the front end and the classifier over a short recording.

    The front end's symbols stand in `layers` beside the network's; divide by `calls`.

    Args:
        elf: The linked image, with symbols and a front end.
        target: What it runs on.
        samples: int16 [n], counts of the device's converter.
        beats: int64 [k], ascending sample positions.
        signal_shape: (length, channels) of the network's signal input.
        rhythm_features: Features of the network's rhythm input, 0 for none.
        classes: Number of logits.
        timeout_seconds: Wall clock limit.

    Raises:
        DeviceError: As `count_instructions`.
        MissingToolError: unicorn is not installed.
    """
    signal_bytes = signal_shape[0] * signal_shape[1]
    request = exchange.pack_recording(samples, beats, signal_bytes, rhythm_features, classes)
    return _profile(elf, target, request, timeout_seconds)


def _profile(
    elf: Path, target: Target, request: exchange.Request, timeout_seconds: float
) -> InstructionProfile:
    emulator = emulator_for(elf, target)
    if all(symbol.name != WINDOW for symbol in emulator.program.functions):
        raise DeviceError(
            f"the image has no symbol {WINDOW}",
            where=str(elf),
            hint="do not strip the image that is to be profiled",
        )
    counter = _BlockCounter(emulator)
    _run(emulator, elf, target, request, timeout_seconds)
    return counter.profile()


def _run(
    emulator: Emulator,
    elf: Path,
    target: Target,
    request: exchange.Request,
    timeout_seconds: float,
) -> None:
    origin = emulator.memories.exchange.origin
    emulator.write(origin, request.content.ljust(request.total_bytes, b"\0"))
    exit_code = emulator.run(timeout_seconds)
    memory = emulator.read(origin, request.total_bytes)
    exchange.unpack(request, memory, exit_code, f"{elf.name} on {target.name}, unicorn")


_Blocks = dict[tuple[int, int], int]


@dataclass
class _Tally:
    """What one symbol cost within one window: how often each block (address, size) ran."""

    symbol: str
    window: int
    calls: int = 0
    blocks: _Blocks = field(default_factory=dict)


@dataclass(frozen=True)
class _Frame:
    """An attributed function that has been entered and not left."""

    tally: _Tally
    return_address: int
    stack_pointer: int


class _BlockCounter:
    """Follows calls and returns of the attributed functions and counts blocks within each.

    The innermost attributed function owns a block: shared kernels and compiler helpers are no
    attributed functions and so count for the layer that called them.
    """

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._entries = {
            symbol.address: symbol.name
            for symbol in emulator.program.functions
            if _ATTRIBUTED.match(symbol.name)
        }
        self._windows = 0
        self._tallies: dict[tuple[str, int], _Tally] = {}
        self._frames: list[_Frame] = []
        self._stack_bytes = 0
        # What the hook needs for every block, apart from the frames for speed.
        self._return_address = _NOWHERE
        self._blocks: _Blocks = {}
        emulator.on_block(self._on_block)

    def _on_block(self, address: int, size: int) -> None:
        if address == self._return_address:
            self._leave(address)
        elif address in self._entries:
            self._enter(self._entries[address])
        key = (address, size)
        count = self._blocks.get(key, 0)
        if count == 0 and self._frames:
            self._note_depth(self._emulator.register("SP"))
        self._blocks[key] = count + 1

    def _enter(self, symbol: str) -> None:
        stack_pointer = self._emulator.register("SP")
        return_address = self._emulator.register("LR") & ~1
        if self._frames:
            top = self._frames[-1]
            if (top.tally.symbol, top.return_address, top.stack_pointer) == (
                symbol,
                return_address,
                stack_pointer,
            ):
                return  # a loop that branches back to the function's first instruction
        window = self._frames[-1].tally.window if self._frames else _OUTSIDE
        if symbol == WINDOW:
            self._windows += 1
            window = self._windows
        tally = self._tallies.setdefault((symbol, window), _Tally(symbol, window))
        tally.calls += 1
        self._frames.append(_Frame(tally, return_address, stack_pointer))
        self._select()
        if len(self._frames) == 1:
            self._paint(self._frames[0])

    def _leave(self, address: int) -> None:
        stack_pointer = self._emulator.register("SP")
        while self._frames:
            top = self._frames[-1]
            if (top.return_address, top.stack_pointer) != (address, stack_pointer):
                break
            self._frames.pop()
            if not self._frames:
                self._read_paint(top)
        self._select()

    def _select(self) -> None:
        """Let the innermost frame own the blocks that follow."""
        if self._frames:
            self._return_address = self._frames[-1].return_address
            self._blocks = self._frames[-1].tally.blocks
        else:
            self._return_address = _NOWHERE
            self._blocks = {}

    def _paint(self, outermost: _Frame) -> None:
        """Paint the free stack: a leaf may push and pop within one block, unseen by the hook."""
        bottom = self._emulator.program.stack_bottom
        if bottom is not None and outermost.tally.calls <= _PAINTED_CALLS:
            self._emulator.write(bottom, _PAINT * (outermost.stack_pointer - bottom))

    def _read_paint(self, outermost: _Frame) -> None:
        bottom = self._emulator.program.stack_bottom
        if bottom is not None and outermost.tally.calls <= _PAINTED_CALLS:
            below = self._emulator.read(bottom, outermost.stack_pointer - bottom)
            self._stack_bytes = max(self._stack_bytes, len(below.lstrip(_PAINT)))

    def _note_depth(self, stack_pointer: int) -> None:
        self._stack_bytes = max(self._stack_bytes, self._frames[0].stack_pointer - stack_pointer)

    def profile(self) -> InstructionProfile:
        """Turn blocks into instructions: each block is disassembled once."""
        disassembler = Disassembler()
        blocks: dict[tuple[int, int], NDArray[np.int64]] = {}
        symbols: dict[str, NDArray[np.int64]] = {}
        calls: Counter[str] = Counter()
        per_window = [0] * (self._windows + 1)
        spent: dict[str, Counter[int]] = {}
        for tally in self._tallies.values():
            counts = symbols.setdefault(tally.symbol, np.zeros(len(CLASSES), np.int64))
            calls[tally.symbol] += tally.calls
            for (address, size), times in tally.blocks.items():
                if (address, size) not in blocks:
                    code = self._emulator.read(address, size)
                    blocks[address, size] = np.array(disassembler.count(code), np.int64)
                counts += times * blocks[address, size]
                cost = times * int(blocks[address, size].sum())
                per_window[tally.window] += cost
                spent.setdefault(tally.symbol, Counter())[tally.window] += cost
        layers = tuple(
            LayerInstructions(
                symbol,
                calls[symbol],
                int(counts.sum()),
                min(spent[symbol].values()),
                median_low(spent[symbol].values()),
                max(spent[symbol].values()),
                tuple(zip(CLASSES, counts.tolist(), strict=True)),
            )
            for symbol, counts in symbols.items()
        )
        totals = per_window[1:]
        return InstructionProfile(
            layers,
            self._windows,
            min(totals, default=0),
            median_low(totals) if totals else 0,
            max(totals, default=0),
            self._stack_bytes,
            WHERE,
        )
