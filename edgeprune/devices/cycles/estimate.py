"""Cycles, time and energy of a window by a model of the core: never a measurement."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeprune.devices import exchange
from edgeprune.devices.blocks import Block, BlockCounter, Tally, count_blocks
from edgeprune.devices.cycles.core import BlockRuns, CoreModel
from edgeprune.devices.cycles.cortex_m7 import CORTEX_M7
from edgeprune.devices.cycles.cortex_m33 import CORTEX_M33
from edgeprune.devices.cycles.decode import Decoder, Instruction
from edgeprune.devices.cycles.flash import FlashModel
from edgeprune.devices.cycles.range import Range
from edgeprune.devices.cycles.scalar import CORTEX_M3, CORTEX_M4, CortexM0Plus
from edgeprune.errors import DeviceError
from edgeprune.registry import Registry
from edgeprune.targets import Energy, Target

WHERE = "cycle model"
CORES: Registry[CoreModel] = Registry("cycle model")
CORES.add("cortex-m0plus", CortexM0Plus())
CORES.add("cortex-m3", CORTEX_M3)
CORES.add("cortex-m4", CORTEX_M4)
CORES.add("cortex-m7", CORTEX_M7)
CORES.add("cortex-m33", CORTEX_M33)
_MAXIMUM_WINDOWS = 16
_LONGEST_INSTRUCTION = 4


@dataclass(frozen=True)
class LayerCycles:
    """Modelled cycles of one symbol a window, with all that it calls and that has no entry."""

    symbol: str
    cycles: Range


@dataclass(frozen=True)
class CycleEstimate:
    """Modelled cost of one window.

    Attributes:
        minimum: Cycles if every fetch hits and every open question of the pipeline goes well, in
            the cheapest window.
        expected: Cycles by the assumptions, in the average window.
        maximum: Cycles if every fetch misses and all goes badly, in the dearest window.
        microseconds: At the target's clock.
        microjoules: By the data sheet's current; None where the target file gives none.
        layers: The same cycles by symbol.
        windows: Number of windows.
        where: Where these figures come from, as every table must say.
        source: Where the core's timings stand.
        assumptions: What `expected` rests on.
    """

    minimum: int
    expected: int
    maximum: int
    microseconds: Range
    microjoules: Range | None
    layers: tuple[LayerCycles, ...]
    windows: int
    where: str
    source: str
    assumptions: tuple[str, ...]


def has_cycle_model(target: Target) -> bool:
    """Return whether the cycles of a target can be estimated."""
    return target.core in CORES and target.emulator is not None


def estimate_cycles(
    elf: Path,
    target: Target,
    signal: NDArray[np.int8],
    rhythm: NDArray[np.int8] | None,
    classes: int,
    *,
    seconds_per_window: float = 60.0,
) -> CycleEstimate:
    """Estimate the cycles of a window from the blocks that some windows execute.

    Args:
        elf: The linked image, with symbols.
        target: What it runs on.
        signal: int8 [n, length, channels], n from 1 to 16.
        rhythm: int8 [n, features], or None for a network without that input.
        classes: Number of logits.
        seconds_per_window: Wall clock that a window may take.

    Raises:
        DeviceError: There is no model of this core, or as `count_blocks`.
        MissingToolError: unicorn is not installed.
        ValueError: No window, or more than 16.
    """
    if not 1 <= len(signal) <= _MAXIMUM_WINDOWS:
        raise ValueError(f"estimate 1 to {_MAXIMUM_WINDOWS} windows, not {len(signal)}")
    if target.core not in CORES:
        raise DeviceError(
            f"there is no cycle model of {target.core}",
            where=f"target {target.name}",
            hint=f"models: {', '.join(CORES)}; count instructions instead",
        )
    waiting = target.timing is not None and target.timing.wait_states is not None
    counter = count_blocks(
        elf,
        target,
        exchange.pack_windows(signal, rhythm, classes),
        seconds_per_window * len(signal),
        flash_reads=waiting,
    )
    return _estimate(counter, target)


def _estimate(counter: BlockCounter, target: Target) -> CycleEstimate:
    core = CORES.get(target.core)
    flash = FlashModel(target.timing)
    costs = TallyCosts(counter, core)
    windows: defaultdict[int, Range] = defaultdict(Range)
    layers: dict[str, list[Range]] = {}
    for tally in counter.tallies:
        if tally.window == 0:
            continue
        spent = costs.cycles(tally) + flash.waits(tally)
        windows[tally.window] += spent
        layers.setdefault(tally.symbol, []).append(spent)
    total = _over_windows(list(windows.values()))
    return CycleEstimate(
        minimum=round(total.minimum),
        expected=round(total.expected),
        maximum=round(total.maximum),
        microseconds=total * (1e6 / target.clock_hz),
        microjoules=None if target.energy is None else total * _microjoules(target.energy),
        layers=tuple(LayerCycles(name, _over_windows(each)) for name, each in layers.items()),
        windows=len(windows),
        where=WHERE,
        source=core.source,
        assumptions=(*core.assumptions, *flash.assumptions),
    )


def _over_windows(ranges: list[Range]) -> Range:
    return Range(
        min(each.minimum for each in ranges),
        sum(each.expected for each in ranges) / len(ranges),
        max(each.maximum for each in ranges),
    )


def _microjoules(energy: Energy) -> float:
    """Return the energy of one cycle: the clock cancels out of current times time."""
    return energy.microampere_per_mhz * energy.supply_volts * 1e-6


class TallyCosts:
    """Turns counted blocks into cycles of a core whose memories answer at once.

    Args:
        counter: Holds the code.
        core: Model of the core.
    """

    def __init__(self, counter: BlockCounter, core: CoreModel) -> None:
        self._counter = counter
        self._core = core
        self._decoder = Decoder()
        self._blocks: dict[Block, tuple[Instruction, ...]] = {}
        self._targets: dict[int, Instruction] = {}

    def cycles(self, tally: Tally) -> Range:
        """Return the cycles of one symbol within one window."""
        jumps: defaultdict[Block, Counter[int]] = defaultdict(Counter)
        for (block, target), times in tally.jumps.items():
            jumps[block][target] += times
        total = Range()
        for block, runs in tally.blocks.items():
            jumped = jumps[block]
            total += self._core.cycles(
                BlockRuns(
                    self._decode(block),
                    runs,
                    min(runs, sum(jumped.values())),
                    tuple((self._target(target), times) for target, times in jumped.items()),
                )
            )
        return total

    def _decode(self, block: Block) -> tuple[Instruction, ...]:
        if block not in self._blocks:
            self._blocks[block] = self._decoder.decode(block[0], self._counter.code(block))
        return self._blocks[block]

    def _target(self, address: int) -> Instruction:
        if address not in self._targets:
            code = self._counter.code((address, _LONGEST_INSTRUCTION))
            self._targets[address] = self._decoder.decode(address, code)[0]
        return self._targets[address]
