"""From int32 accumulators to int8 outputs: TFLite's double rounding on vectors.

VQRDMULH.S32 is floor((2 a b + 2^31) / 2^32) with unlimited precision inside: the first rounding
exactly; it saturates only where both factors are -2^31, and a multiplier is never negative. VRSHL
rounds halves up where TFLite rounds them away from zero: one is taken from negative numbers first,
unless the output's clamp hides everything below zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeprune.firmware.kernels.assembler import Assembler
from edgeprune.firmware.kernels.mve.emission import ACCUMULATORS
from edgeprune.network.arithmetic import Multiplier
from edgeprune.network.tensor import Int64Array


@dataclass(frozen=True, eq=False)
class Scaling:
    """Which steps the channels of a kernel need, and their numbers.

    Attributes:
        bias: One a channel, modulo 2^32.
        multiplier: One a channel.
        zero_point: The output's.
        clamp: The output's.
        upward: Whether halves may be rounded up.
    """

    bias: Int64Array
    multiplier: Multiplier
    zero_point: int
    clamp: tuple[int, int]
    upward: bool

    @property
    def shifts_left(self) -> bool:
        """Whether a channel is shifted left before the product."""
        return bool(np.any(self.multiplier.exponent > 0))

    @property
    def corrects(self) -> bool:
        """Whether a channel's halves must be rounded away from zero."""
        return not self.upward and bool(np.any(self.multiplier.exponent < 0))

    @property
    def field_count(self) -> int:
        """Numbers a channel."""
        return 3 + self.shifts_left + self.corrects

    def fields(self, channel: int) -> list[int]:
        """Return a channel's numbers in the order in which `rescale` takes them."""
        exponent = int(self.multiplier.exponent[channel])
        numbers = [
            int(self.bias[channel]),
            int(self.multiplier.mantissa[channel]),
            min(exponent, 0),
        ]
        if self.shifts_left:
            numbers.append(max(exponent, 0))
        if self.corrects:
            numbers.append(int(exponent < 0))
        return numbers

    def rescale(self, asm: Assembler, vectors: list[str], fields: list[list[str]]) -> None:
        """Emit the two roundings of vectors, each with the scalar registers of its channel."""
        pairs = list(zip(vectors, fields, strict=True))
        for vector, scalars in pairs:
            asm.emit(f"vadd.i32 {vector}, {vector}, {scalars[0]}")
        if self.shifts_left:
            for vector, scalars in pairs:
                asm.emit(f"vshl.s32 {vector}, {scalars[3]}")
        for vector, scalars in pairs:
            asm.emit(f"vqrdmulh.s32 {vector}, {vector}, {scalars[1]}")
        if self.corrects:
            for vector, scalars in pairs:
                asm.emit(f"vpt.s32 lt, {vector}, zr")
                asm.emit(f"vsubt.i32 {vector}, {vector}, {scalars[-1]}")
        for vector, scalars in pairs:
            asm.emit(f"vrshl.s32 {vector}, {scalars[2]}")

    def narrow(self, asm: Assembler, first: str, second: str, zero_register: str) -> None:
        """Emit the rest: `first` gets eight outputs in the low bytes of its 16-bit lanes.

        The lanes of both vectors alternate. `second` is overwritten.
        """
        asm.emit(f"vqmovnb.s32 {first}, {first}", f"vqmovnt.s32 {first}, {second}")
        if self.zero_point:
            asm.emit(f"vqadd.s16 {first}, {first}, {zero_register}")
        asm.emit(f"vqmovnb.s16 {first}, {first}")
        clamp_bytes(asm, first, second, self.clamp)


def clamp_bytes(asm: Assembler, vector: str, spare: str, clamp: tuple[int, int]) -> None:
    """Emit the clamp of every byte of a vector; nothing for all of int8."""
    low, high = clamp
    if low > -128:
        asm.emit(f"vmov.i8 {spare}, #{low & 0xFF}", f"vmax.s8 {vector}, {vector}, {spare}")
    if high < 127:
        asm.emit(f"vmov.i8 {spare}, #{high & 0xFF}", f"vmin.s8 {vector}, {vector}, {spare}")


def load_scalars(asm: Assembler, base: str, word: int, count: int) -> list[str]:
    """Load words `word .. word + count - 1` behind a pointer into the accumulators' registers."""
    registers = list(ACCUMULATORS[:count])
    assert len(registers) == count
    if word == 0:
        asm.emit(f"ldm {base}, {{{', '.join(registers)}}}")
        return registers
    for index in range(0, count - 1, 2):
        pair = f"{registers[index]}, {registers[index + 1]}"
        asm.emit(f"ldrd {pair}, [{base}, #{4 * (word + index)}]")
    if count % 2:
        asm.emit(f"ldr {registers[-1]}, [{base}, #{4 * (word + count - 1)}]")
    return registers


def gather_lanes(vector: str, registers: tuple[str, ...]) -> list[str]:
    """Return the moves of four core registers into the lanes of a vector."""
    return [
        f"vmov {vector}[{lane + 2}], {vector}[{lane}], {registers[lane]}, {registers[lane + 2]}"
        for lane in range(2)
    ]
