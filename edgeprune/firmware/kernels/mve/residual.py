"""The sum that is fused with the convolution before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgeprune.firmware.kernels.assembler import Assembler
from edgeprune.firmware.kernels.mve.emission import set_constant
from edgeprune.firmware.kernels.mve.scaling import clamp_bytes
from edgeprune.firmware.kernels.mve.summing import (
    centred,
    halves_matter,
    is_half,
    scaled,
    sum_factors,
)
from edgeprune.network import Add
from edgeprune.network.arithmetic import Multiplier
from edgeprune.network.operation import Tensors
from edgeprune.network.tensor import Int64Array


@dataclass(frozen=True)
class _Term:
    """An operand: its zero point, its factor and whether negative halves need care."""

    zero_point: int
    multiplier: Multiplier
    corrects: bool


class Residual:
    """Adds another tensor to eight outputs of a convolution.

    Args:
        operation: The sum.
        made: Name of the convolution's output.
        tensors: The network's tensors.
    """

    VECTORS: ClassVar[tuple[str, ...]] = ("q4", "q5", "q6", "q7")
    """What it works with; the convolution's outputs come and the sums go in the third."""

    WORDS: ClassVar[int] = 6
    """Words of the frame that hold its numbers."""

    def __init__(self, operation: Add, made: str, tensors: Tensors) -> None:
        self._operation = operation
        self._output = tensors[operation.output]
        *factors, self._factor = sum_factors(tensors, operation)
        terms = [
            _Term(tensors[name].zero_point, factor, halves_matter(factor, centred(tensors[name])))
            for name, factor in zip(operation.inputs, factors, strict=True)
        ]
        own = operation.inputs.index(made)
        self._own, self._other = terms[own], terms[1 - own]
        one, two = (
            scaled(tensors[name], factor)
            for name, factor in zip(operation.inputs, factors, strict=True)
        )
        sums: Int64Array = one[:, np.newaxis] + two
        hidden = operation.clamp_low >= self._output.zero_point
        self._corrects = not hidden and halves_matter(self._factor, sums)
        self.possible = max(int(each.exponent) for each in (*factors, self._factor)) <= 0

    def prepare(self, asm: Assembler, place: int) -> None:
        """Emit what writes its numbers into the frame."""
        # Only one operand's factor is not a half; of a tensor and itself neither's.
        factor = self._other if is_half(self._own.multiplier) else self._own
        numbers = (
            self._own.zero_point,
            self._other.zero_point,
            int(factor.multiplier.mantissa),
            int(self._factor.mantissa),
            self._output.zero_point,
            1,
        )
        for index, number in enumerate(numbers):
            set_constant(asm, "r6", number)
            asm.emit(f"str r6, [sp, #{place + 4 * index}]")

    def emit(self, asm: Assembler, place: int) -> None:
        """Emit the sum of int8 lanes in q6 and sign-extended 16-bit lanes in q4.

        The sums are in the low bytes of q6 afterwards; r0 to r10, q5 and q7 are overwritten.
        """
        own_zero, other_zero, factor, output, zero, one = ("r0", "r2", "r4", "r6", "r8", "r10")
        asm.emit(f"add r12, sp, #{place}", "ldm r12, {r0, r2, r4, r6, r8, r10}")
        asm.emit("vmovlb.s8 q6, q6")
        _widen(asm, self._other, ("q4", "q5"), (other_zero, factor, one))
        _widen(asm, self._own, ("q6", "q7"), (own_zero, factor, one))
        asm.emit("vadd.i32 q6, q6, q4", "vadd.i32 q7, q7, q5")
        _rescale(asm, ("q6", "q7"), self._factor, (output, one), corrects=self._corrects)
        asm.emit("vqmovnb.s32 q6, q6", "vqmovnt.s32 q6, q7")
        if self._output.zero_point:
            asm.emit(f"vqadd.s16 q6, q6, {zero}")
        asm.emit("vqmovnb.s16 q6, q6")
        clamp_bytes(asm, "q6", "q7", (self._operation.clamp_low, self._operation.clamp_high))


def _widen(
    asm: Assembler, term: _Term, vectors: tuple[str, str], registers: tuple[str, str, str]
) -> None:
    """Emit the term of eight 16-bit lanes: even ones in the first vector, odd in the second."""
    even, odd = vectors
    zero, factor, one = registers
    halves = is_half(term.multiplier)
    if term.zero_point:
        asm.emit(f"vsub.i16 {even}, {even}, {zero}")
    asm.emit(f"vshl.i16 {even}, {even}, #{3 if halves else 4}")
    asm.emit(f"vshllt.s16 {odd}, {even}, #16", f"vshllb.s16 {even}, {even}, #16")
    if not halves:
        _rescale(asm, vectors, term.multiplier, (factor, one), corrects=term.corrects)


def _rescale(
    asm: Assembler,
    vectors: tuple[str, str],
    multiplier: Multiplier,
    registers: tuple[str, str],
    *,
    corrects: bool,
) -> None:
    factor, one = registers
    right = -int(multiplier.exponent)
    for vector in vectors:
        asm.emit(f"vqrdmulh.s32 {vector}, {vector}, {factor}")
        if corrects:
            asm.emit(f"vpt.s32 lt, {vector}, zr", f"vsubt.i32 {vector}, {vector}, {one}")
        if right:
            asm.emit(f"vrshr.s32 {vector}, {vector}, #{right}")
