"""Values of a chunk looked up in a table and averaged, position by position."""

from __future__ import annotations

from edgeprune.firmware.kernels.assembler import Assembler
from edgeprune.firmware.kernels.dsp.emission import add_constant, load_constant
from edgeprune.firmware.kernels.dsp.rescaling import clamp, saturation
from edgeprune.network import AveragePool1d

_MOST_OFFSET = 4095
_VALUES = ("r4", "r5", "r6", "r7")


def fits(pooled: int, channels: int) -> bool:
    """Whether all offsets fit into the instructions."""
    return pooled * channels <= _MOST_OFFSET


def emit_rows(
    asm: Assembler, pool: AveragePool1d | None, channels: int, rows: int, *, looks_up: bool
) -> None:
    """Write the loop over output rows.

    r12: the first value, [position][channel]. r2: the output. r3: the table's entry for 0, if
    there is a table. lr: number of rows, at least one. Overwrites r0-r2, r4-r9, r12 and lr.

    Args:
        asm: Where it is written.
        pool: What averages the positions of a row; None if each is one.
        channels: Values of a position.
        rows: How often the loop runs.
        looks_up: Whether there is a table.
    """
    unrolled = next(each for each in (4, 2, 1) if channels % each == 0)
    pooled = pool.kernel if pool else 1
    row, cell = asm.label("row"), asm.label("cell")
    with asm.repeated(rows):
        asm.place(row)
        load_constant(asm, "r1", channels // unrolled)
        asm.place(cell)
        with asm.repeated(channels // unrolled):
            for channel in range(unrolled):
                _cell(asm, [position * channels + channel for position in range(pooled)], looks_up)
                if pool is not None:
                    _mean(asm, pool)
                asm.emit("strb r8, [r2], #1")
            add_constant(asm, "r12", unrolled, "r0")
            asm.emit("subs.w r1, r1, #1", f"bne.w {cell}")
        add_constant(asm, "r12", (pooled - 1) * channels, "r0")
        asm.emit("subs.w lr, lr, #1", f"bne.w {row}")


def _cell(asm: Assembler, places: list[int], looks_up: bool) -> None:
    """The sum of what lies at some places, in r8; four at a time, so that no load is waited for."""
    for first in range(0, len(places), len(_VALUES)):
        group = places[first : first + len(_VALUES)]
        registers = _VALUES[: len(group)]
        for register, place in zip(registers, group, strict=True):
            asm.emit(f"ldrsb.w {register}, [r12, #{place}]")
        if looks_up:
            for register in registers:
                asm.emit(f"ldrsb.w {register}, [r3, {register}]")
        terms = [*(["r8"] if first else []), *registers]
        if len(terms) == 1:
            asm.emit(f"mov r8, {terms[0]}")
            continue
        asm.emit(f"add.w r8, {terms[0]}, {terms[1]}")
        for term in terms[2:]:
            asm.emit(f"add.w r8, r8, {term}")


def _mean(asm: Assembler, pool: AveragePool1d) -> None:
    """The sum in r8 divided by a power of two, halves away from zero, and clamped."""
    asm.emit("add.w r8, r8, r8, asr #31", f"add.w r8, r8, #{pool.kernel // 2}")
    asm.emit(f"asr.w r8, r8, #{pool.kernel.bit_length() - 1}")
    bounds = (pool.clamp_low, pool.clamp_high)
    saturated = saturation(*bounds)
    if saturated and bounds != (-128, 127):
        asm.emit(saturated.format("r8", "r8"))
    clamp(asm, [["r8"]], *bounds)
