"""A global average that is fused with the convolution before it."""

from __future__ import annotations

from typing import ClassVar

from edgeprune.firmware.kernels.assembler import Assembler
from edgeprune.firmware.kernels.mve.emission import set_constant
from edgeprune.firmware.kernels.mve.geometry import Windowed


class Averaging:
    """Adds up the outputs of blocks in eight 16-bit lanes and turns the sums into means.

    Args:
        shape: The convolution with the average behind it.
    """

    MOST_OUTPUTS: ClassVar[int] = 255 * 4
    """A 16-bit lane sums at most 255 int8 values."""

    def __init__(self, shape: Windowed) -> None:
        assert shape.average is not None
        self._count, self._clamp = shape.outputs, shape.clamp
        if shape.residual is not None:
            self._clamp = (shape.residual.clamp_low, shape.residual.clamp_high)
        self._low, self._high = shape.average.clamp_low, shape.average.clamp_high

    @staticmethod
    def sum_up(asm: Assembler, outputs: str, sums: str, place: int | None, numbers: str) -> None:
        """Emit what adds eight outputs to the sums.

        Args:
            asm: Where to.
            outputs: The vector of the outputs, in the low bytes of its lanes.
            sums: The vector of the sums.
            place: Where in the frame the sums wait; None if they stay in their register.
            numbers: The vector that says which output each lane is, if r7 limits them.
        """
        asm.emit(f"vmovlb.s8 {outputs}, {outputs}")
        if place is not None:
            asm.emit(f"vldrw.u32 {sums}, [sp, #{place}]")
        if numbers:
            asm.emit(f"vpt.s16 lt, {numbers}, r7")
        asm.emit(f"vadd{'t' if numbers else ''}.i16 {sums}, {sums}, {outputs}")
        if place is not None:
            asm.emit(f"vstrw.32 {sums}, [sp, #{place}]")

    def finish(self, asm: Assembler, sums: str, spare: str, channels: int) -> None:
        """Emit the means of one channel or of two in alternating lanes, written to [r5]."""
        if channels == 1:
            asm.emit(f"vaddv.s16 r0, {sums}")
        else:
            asm.emit(f"vmovlb.s16 {spare}, {sums}", f"vmovlt.s16 {sums}, {sums}")
            asm.emit(f"vaddv.s32 r0, {spare}", f"vaddv.s32 r2, {sums}")
        set_constant(asm, "r4", self._count)
        set_constant(asm, "r6", self._count // 2)
        for index, register in enumerate(("r0", "r2")[:channels]):
            asm.emit(f"cmp {register}, #0", "ite gt", f"addgt {register}, {register}, r6")
            asm.emit(f"suble {register}, {register}, r6", f"sdiv {register}, {register}, r4")
            for condition, bound, needed in (
                ("lt", self._low, self._low > self._clamp[0]),
                ("gt", self._high, self._high < self._clamp[1]),
            ):
                if needed:
                    set_constant(asm, "r8", bound)
                    asm.emit(f"cmp {register}, r8", f"it {condition}")
                    asm.emit(f"mov{condition} {register}, r8")
            asm.emit(f"strb {register}, [r5, #{index}]")
