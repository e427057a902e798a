"""Exact instruction counts per layer and per class of instruction.

A count is of instructions issued: an instruction in an IT block whose condition fails is counted,
as is the IT instruction itself, which is also how QEMU's `-icount` and a core's fetch see it.
Counts are of instructions, never of cycles.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low

import numpy as np
from numpy.typing import NDArray

from edgeprune.devices import exchange
from edgeprune.devices.blocks import WINDOW, BlockCounter, count_blocks, run_request
from edgeprune.devices.instructions import CLASSES, Disassembler
from edgeprune.devices.run import WHERE
from edgeprune.devices.unicorn_device import emulator_for
from edgeprune.errors import DeviceError
from edgeprune.targets import Target

_MAXIMUM_WINDOWS = 16
_STRICT_ALIGNMENT = "armv6-m"


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
        run_request(emulator, elf, target, one, seconds_per_window)
    request = exchange.pack_windows(signal, rhythm, classes)
    profile = _profile(count_blocks(elf, target, request, seconds_per_window * len(signal)))
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
    return _profile(count_blocks(elf, target, request, timeout_seconds))


def _profile(counter: BlockCounter) -> InstructionProfile:
    """Turn blocks into instructions: each block is disassembled once."""
    disassembler = Disassembler()
    blocks: dict[tuple[int, int], NDArray[np.int64]] = {}
    symbols: dict[str, NDArray[np.int64]] = {}
    calls: Counter[str] = Counter()
    per_window = [0] * (counter.windows + 1)
    spent: dict[str, Counter[int]] = {}
    for tally in counter.tallies:
        counts = symbols.setdefault(tally.symbol, np.zeros(len(CLASSES), np.int64))
        calls[tally.symbol] += tally.calls
        for (address, size), times in tally.blocks.items():
            if (address, size) not in blocks:
                code = counter.code((address, size))
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
        counter.windows,
        min(totals, default=0),
        median_low(totals) if totals else 0,
        max(totals, default=0),
        counter.stack_bytes,
        WHERE,
    )
