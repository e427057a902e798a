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

    RESULT: ClassVar[str] = "q5"
    """Where the sums are."""

    FREE: ClassVar[str] = "q6"
    """What holds nothing afterwards; so does q7."""

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

    def prepare(self, asm: Assembler) -> None:
        """Emit what writes its numbers to the frame's beginning, 24 bytes."""
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
            asm.emit(f"str r6, [sp, #{4 * index}]")

    def emit(self, asm: Assembler, spill: int) -> None:
        """Emit the sum of int8 lanes in q6 and sign-extended 16-bit lanes in q7.

        The sums are in the low bytes of q5 afterwards; r0 to r10, q6 and q7 are overwritten, and
        16 bytes of the frame.
        """
        own_zero, other_zero, factor, output, zero, one = ("r0", "r2", "r4", "r6", "r8", "r10")
        asm.emit("ldm sp, {r0, r2, r4, r6, r8, r10}", "vmovlb.s8 q6, q6")
        _centre(asm, self._other, "q7", other_zero)
        asm.emit("vshllb.s16 q5, q7, #16", "vshllt.s16 q7, q7, #16")
        self._scale(asm, self._other, ("q5", "q7"), (factor, one))
        # Three vectors are too few for four terms: one waits in the frame.
        _centre(asm, self._own, "q6", own_zero)
        asm.emit(f"vstrw.32 q6, [sp, #{spill}]", "vshllt.s16 q6, q6, #16")
        self._scale(asm, self._own, ("q6",), (factor, one))
        asm.emit("vadd.i32 q7, q7, q6", f"vldrw.u32 q6, [sp, #{spill}]")
        asm.emit("vshllb.s16 q6, q6, #16")
        self._scale(asm, self._own, ("q6",), (factor, one))
        asm.emit("vadd.i32 q5, q5, q6")
        _rescale(asm, ("q5", "q7"), self._factor, (output, one), corrects=self._corrects)
        asm.emit("vqmovnb.s32 q5, q5", "vqmovnt.s32 q5, q7")
        if self._output.zero_point:
            asm.emit(f"vqadd.s16 q5, q5, {zero}")
        asm.emit("vqmovnb.s16 q5, q5")
        clamp_bytes(asm, "q5", "q7", (self._operation.clamp_low, self._operation.clamp_high))

    @staticmethod
    def _scale(
        asm: Assembler, term: _Term, vectors: tuple[str, ...], registers: tuple[str, str]
    ) -> None:
        if not is_half(term.multiplier):
            _rescale(asm, vectors, term.multiplier, registers, corrects=term.corrects)


def _centre(asm: Assembler, term: _Term, vector: str, zero: str) -> None:
    """Emit what is shifted left by 16 bits next: without the zero point, by 4 bits, halved."""
    if term.zero_point:
        asm.emit(f"vsub.i16 {vector}, {vector}, {zero}")
    asm.emit(f"vshl.i16 {vector}, {vector}, #{3 if is_half(term.multiplier) else 4}")


def _rescale(
    asm: Assembler,
    vectors: tuple[str, ...],
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
