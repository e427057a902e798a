"""Cycles of whole images: attribution, jumps, waiting for the flash, time and energy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import unicorn

from edgeprune.devices import count_instructions, exchange
from edgeprune.devices.blocks import Tally
from edgeprune.devices.cycles import CORES, estimate_cycles, has_cycle_model
from edgeprune.devices.cycles.flash import FlashModel
from edgeprune.devices.cycles.range import Range
from edgeprune.devices.unicorn_device import emulator_for
from edgeprune.errors import DeviceError
from edgeprune.targets import Cache, Energy, FlashTiming, Target, load_target
from tests.devices import images
from tests.devices.conftest import UNICORN_TARGETS, Windows

Image = Callable[[str], tuple[Path, Target]]
# Arm DDI 0484C, table 3-1, by the first halfword of the few instructions of the pretended model.
LOADS_AND_STORES = range(0b0101, 0b1010)


def cortex_m0plus_cycles(elf: Path, target: Target, request: exchange.Request) -> int:
    """Count the cycles of `edgeprune_classify` instruction by instruction, without any block."""
    emulator = emulator_for(elf, target)
    (entry,) = (each for each in emulator.program.functions if each.name == "edgeprune_classify")
    cycles = 0
    inside = ""
    before: tuple[int, int, int] | None = None

    def cost(address: int, size: int, following: int) -> int:
        first = int.from_bytes(emulator.read(address, 2), "little")
        jumped = following != address + size
        if size == 4:
            return 3
        if first >> 9 == 0b1011010 or first >> 9 == 0b1011110:
            registers = (first & 0x1FF).bit_count()
            return (3 if jumped else 1) + registers
        if first >> 12 == 0b1100:
            return 1 + (first & 0xFF).bit_count()
        if first >> 12 in LOADS_AND_STORES or first >> 11 == 0b01001:
            return 2
        return 2 if jumped else 1

    def step(_: object, address: int, size: int, __: object) -> None:
        nonlocal cycles, inside, before
        if before is not None:
            cycles += cost(before[0], before[1], address)
            before = None
        if address == entry.address:
            inside = f"{emulator.register('LR') & ~1} {emulator.register('SP')}"
        elif inside == f"{address} {emulator.register('SP')}":
            inside = ""
        if inside:
            before = (address, size, 0)

    emulator.machine.hook_add(unicorn.UC_HOOK_CODE, step)
    origin = emulator.memories.exchange.origin
    emulator.write(origin, request.content.ljust(request.total_bytes, b"\0"))
    assert emulator.run(60) == 0
    return cycles


def test_blocks_and_jumps_against_single_steps(image: Image, windows: Windows) -> None:
    elf, target = image("cortex-m0plus")
    signal, rhythm, _ = windows
    found = estimate_cycles(elf, target, signal[:1], rhythm[:1], images.CLASSES)
    request = exchange.pack_windows(signal[:1], rhythm[:1], images.CLASSES)
    assert found.expected == cortex_m0plus_cycles(elf, target, request)
    # The manual leaves nothing open where memory answers at once.
    assert found.minimum == found.expected == found.maximum


@pytest.mark.parametrize("name", UNICORN_TARGETS)
def test_layers_add_up_and_the_cases_are_in_order(
    image: Image, windows: Windows, name: str
) -> None:
    elf, target = image(name)
    signal, rhythm, _ = windows
    found = estimate_cycles(elf, target, signal[:4], rhythm[:4], images.CLASSES)
    counted = count_instructions(elf, target, signal[:4], rhythm[:4], images.CLASSES)
    assert [each.symbol for each in found.layers] == [each.symbol for each in counted.layers]
    assert round(sum(each.cycles.expected for each in found.layers)) == found.expected
    assert found.minimum <= found.expected <= found.maximum
    # Two instructions a cycle at best; none of these takes ten.
    assert counted.minimum / 2 <= found.minimum
    assert found.maximum <= 10 * counted.maximum
    assert (found.windows, found.where, found.microjoules) == (4, "cycle model", None)
    assert found.microseconds.expected == pytest.approx(
        found.expected / target.clock_hz * 1e6, 0.01
    )
    assert found.source
    assert any("flash" in each for each in found.assumptions)


def test_time_and_energy_by_hand(image: Image, windows: Windows) -> None:
    elf, target = image("cortex-m4")
    signal, rhythm, _ = windows
    # 50 microampere a MHz at 3 V are 150 picojoule a cycle, whatever the clock.
    board = replace(target, clock_hz=100_000_000, energy=Energy(50, 3.0, "invented"))
    found = estimate_cycles(elf, board, signal[:1], rhythm[:1], images.CLASSES)
    assert found.microseconds.expected == pytest.approx(found.expected / 100, abs=0.01)
    assert found.microjoules is not None
    assert found.microjoules.expected == pytest.approx(found.expected * 150e-6, abs=1e-4)


def test_a_slow_flash_costs_more(image: Image, windows: Windows) -> None:
    elf, target = image("cortex-m4")
    signal, rhythm, _ = windows
    fast = estimate_cycles(elf, target, signal[:1], rhythm[:1], images.CLASSES)
    timing = FlashTiming("invented", wait_states=3, read_bytes=8)
    bare = estimate_cycles(
        elf, replace(target, timing=timing), signal[:1], rhythm[:1], images.CLASSES
    )
    caches = (Cache("unified", 65536, 8),)
    cached = estimate_cycles(
        elf,
        replace(target, timing=replace(timing, caches=caches)),
        signal[:1],
        rhythm[:1],
        images.CLASSES,
    )
    assert fast.minimum == cached.minimum == bare.minimum
    assert fast.expected < cached.expected < bare.expected
    assert fast.maximum < bare.maximum == cached.maximum


def tally() -> Tally:
    """Return 100 runs of 24 bytes over three lines of 8 bytes, jumping back 99 times."""
    block = (0x100, 24)
    return Tally(
        "edgeprune_classify",
        1,
        blocks={block: 100},
        jumps={(block, 0x100): 99},
        flash_reads={0x200: 10, 0x204: 10, 0x208: 10},
    )


@pytest.mark.parametrize(
    ("timing", "expected"),
    [
        (None, Range()),
        (FlashTiming("no wait states published"), Range()),
        # Every line of every run and each of the 30 reads wait 2 cycles.
        (FlashTiming("", wait_states=2, read_bytes=8), Range(0, 660, 660)),
        # The prefetch leaves the first line behind each jump.
        (FlashTiming("", wait_states=2, read_bytes=8, prefetch=True), Range(0, 258, 660)),
        # Three lines and two lines of data, once each.
        (
            FlashTiming("", wait_states=2, read_bytes=8, caches=(Cache("unified", 64, 8),)),
            Range(0, 10, 660),
        ),
        # Two of three lines fit, so a third of the 297 other fetches miss too: (3 + 99) * 2.
        (
            FlashTiming("", wait_states=2, read_bytes=8, caches=(Cache("instruction", 16, 8),)),
            Range(0, 204 + 60, 660),
        ),
        # A prefetch hides what is not behind one of the 99 jumps.
        (
            FlashTiming(
                "",
                wait_states=2,
                read_bytes=8,
                prefetch=True,
                caches=(Cache("instruction", 16, 8),),
            ),
            Range(0, 198 + 60, 660),
        ),
        # A line of 16 bytes takes two reads: 2 + 3 cycles of a bus at half the core's clock.
        (
            FlashTiming(
                "", wait_states=2, clock_divider=2, read_bytes=8, caches=(Cache("unified", 0, 16),)
            ),
            Range(0, 30, 2300),
        ),
    ],
)
def test_waiting_for_the_flash_by_hand(timing: FlashTiming | None, expected: Range) -> None:
    found = FlashModel(timing).waits(tally())
    assert (found.minimum, found.maximum) == (expected.minimum, expected.maximum)
    assert found.expected == pytest.approx(expected.expected)
    assert FlashModel(timing).assumptions


def test_what_has_no_model(image: Image, windows: Windows) -> None:
    elf, target = image("cortex-m4")
    signal, rhythm, _ = windows
    assert has_cycle_model(target)
    assert not has_cycle_model(load_target("cortex-m55"))
    assert not has_cycle_model(load_target("host"))
    assert all(CORES.get(core).source and CORES.get(core).assumptions for core in CORES)
    with pytest.raises(DeviceError, match="no cycle model of cortex-m55"):
        estimate_cycles(elf, load_target("cortex-m55"), signal[:1], rhythm[:1], images.CLASSES)
    with pytest.raises(ValueError, match="1 to 16"):
        estimate_cycles(elf, target, np.empty((0, 8, 1), np.int8), rhythm[:0], images.CLASSES)
