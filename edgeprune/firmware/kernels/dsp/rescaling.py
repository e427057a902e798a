"""From int32 accumulators to int8 values, in as few DSP instructions as the scales allow.

gemmlowp's double rounding is `(high + half - (high < 0)) >> right` with
`high = round(2 * sum * multiplier / 2^32)`. SMMLAR adds while it multiplies, so the half and the
output's zero point cost nothing where the accumulator holds twice the sum; SSAT shifts while it
saturates, so the shift costs nothing where it is the same for all channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from edgeprune.firmware.kernels.assembler import Assembler
from edgeprune.firmware.kernels.dsp.chain import Chain

Registers = Sequence[Sequence[str]]
"""Of each channel, the registers of its positions."""

_ROOM = 2**30
# Below this, a zero point times 2^right and its half fit an int32; QADD's saturation then lies
# beyond the int8 range.
_MOST_FOLDED_SHIFT = 22
# A multiplier of 0 as one that rounds every int32 to 0.
_VANISHING = (2**30, -31)
_ANY_INT8 = "ssat {}, #8, {}"


class Form(Enum):
    """How accumulators are multiplied and shifted."""

    DOUBLED = "accumulators hold twice the sum, no left shifts"
    PLAIN = "any accumulator, left shifts"
    WIDE = "any accumulator, right shifts too large for a folded zero point"


@dataclass(frozen=True, eq=False)
class Rescaling:
    """How the accumulators of a chain's weighted operation become int8.

    Attributes:
        form: The way.
        multipliers: Of each channel, as the instructions want it.
        lefts: Of each channel, the left shift before the multiplication.
        rights: Of each channel, the right shift after it.
        zero_point: Of the output.
        corrects_sign: Whether halves below zero must be rounded away from zero; a clamp at the
            zero point hides the difference.
        saturation: SSAT or USAT and its width: the clamp, where one instruction can do it.
    """

    form: Form
    multipliers: tuple[int, ...]
    lefts: tuple[int, ...]
    rights: tuple[int, ...]
    zero_point: int
    corrects_sign: bool
    saturation: str

    @staticmethod
    def of(chain: Chain) -> Rescaling | None:
        """Return the way for a chain, or None where shifts lie too far apart."""
        request, weighted = chain.request, chain.weighted
        multiplier = weighted.multiplier(request.tensors)
        pairs = [
            (int(mantissa), int(exponent))
            for mantissa, exponent in zip(multiplier.mantissa, multiplier.exponent, strict=True)
        ]
        zero_point = request.tensors[weighted.output].zero_point
        bounds = chain.weighted_bounds
        hides = bounds[0] >= zero_point
        reach = _reach(chain)
        if reach < _ROOM and all(-_MOST_FOLDED_SHIFT <= exponent <= 0 for _, exponent in pairs):
            form = Form.DOUBLED
        else:
            pairs = [pair if pair[0] else _VANISHING for pair in pairs]
            lowest = min(exponent for _, exponent in pairs)
            form = Form.PLAIN if lowest >= -_MOST_FOLDED_SHIFT else Form.WIDE
            if form is Form.WIDE and max(exponent for _, exponent in pairs) >= 0:
                return None
        adjust = 0 if form is Form.DOUBLED else 2**32
        return Rescaling(
            form,
            tuple(2 * mantissa - adjust if adjust else mantissa for mantissa, _ in pairs),
            tuple(max(exponent, 0) for _, exponent in pairs),
            tuple(max(-exponent, 0) for _, exponent in pairs),
            zero_point,
            not hides and any(exponent < 0 for _, exponent in pairs),
            saturation(*bounds) or _ANY_INT8,
        )

    @property
    def doubled(self) -> bool:
        """Whether the accumulators must hold twice the sum of bias and products."""
        return self.form is Form.DOUBLED

    @property
    def right(self) -> int | None:
        """The right shift of all channels; None where they differ."""
        return self.rights[0] if len(set(self.rights)) == 1 else None

    @property
    def shifts_left(self) -> bool:
        """Whether any channel is shifted left."""
        return any(self.lefts)

    def words(self, channels: Sequence[int]) -> list[int]:
        """Return what `emit` loads for some channels: the multipliers, then the rest."""
        words = [self.multipliers[channel] for channel in channels]
        if self.right is not None:
            words.append(self._offset(channels[0]))
        else:
            for channel in channels:
                words += [self._offset(channel), self.rights[channel]]
        if self.shifts_left:
            words += [self.lefts[channel] for channel in channels]
        return words

    def emit(
        self, asm: Assembler, values: Registers, at: int, free: Sequence[str], base: str = "sp"
    ) -> None:
        """Turn accumulators into int8 values, sign-extended, in place.

        Args:
            asm: Where it is written.
            values: The accumulators.
            at: Offset of the words.
            free: Four registers that may be overwritten.
            base: The register from which it counts.
        """
        multiplier, offset, shift, temporary = free[:4]
        count = len(values)
        lefts = at + 4 * (count + (1 if self.right is not None else 2 * count))
        if self.right is not None:
            asm.emit(f"ldr {offset}, [{base}, #{at + 4 * count}]")
        for index, registers in enumerate(values):
            if self.shifts_left:
                asm.emit(f"ldr {multiplier}, [{base}, #{lefts + 4 * index}]")
                for register in registers:
                    asm.emit(f"lsl.w {register}, {register}, {multiplier}")
            if self.right is not None and count == 2:
                # One LDRD brings both multipliers: the shift's register holds the second.
                if index == 0 or self.shifts_left:
                    asm.emit(f"ldrd {multiplier}, {shift}, [{base}, #{at}]")
                factor = (multiplier, shift)[index]
            else:
                asm.emit(f"ldr {multiplier}, [{base}, #{at + 4 * index}]")
                factor = multiplier
            if self.right is None:
                asm.emit(f"ldrd {offset}, {shift}, [{base}, #{at + 4 * count + 8 * index}]")
            # A value is shifted behind the product of the next one: it is not ready before.
            for register, before in zip(registers, ["", *registers], strict=False):
                self._product(asm, register, factor, offset, shift, temporary)
                if before:
                    self._shift(asm, before, offset, shift)
            self._shift(asm, registers[-1], offset, shift)

    def _offset(self, channel: int) -> int:
        right = self.rights[channel]
        if self.form is Form.WIDE:
            return self.zero_point
        return (self.zero_point << right) + ((1 << right) >> 1)

    def _product(
        self, asm: Assembler, value: str, factor: str, offset: str, shift: str, temporary: str
    ) -> None:
        """Multiply one accumulator; `_shift` makes an int8 of it."""
        addend = offset
        if self.corrects_sign:
            # The accumulator's sign is the product's, or the product is 0 and rounds to 0 anyway.
            if self.form is Form.DOUBLED and 0 not in self.rights:
                asm.emit(f"add.w {temporary}, {offset}, {value}, asr #31")
                asm.emit(f"smmlar {value}, {value}, {factor}, {temporary}")
                return
            if 0 in self.rights:
                # A channel without a right shift rounds once only.
                asm.emit(f"cmp {shift}, #1", "ite ge", f"asrge {temporary}, {value}, #31")
                asm.emit(f"movlt {temporary}, #0")
            else:
                asm.emit(f"asr.w {temporary}, {value}, #31")
        if self.form is Form.DOUBLED:
            if self.corrects_sign:
                asm.emit(f"add.w {temporary}, {offset}, {temporary}")
                addend = temporary
            asm.emit(f"smmlar {value}, {value}, {factor}, {addend}")
        else:
            asm.emit(f"smmlar {value}, {value}, {factor}, {value}")
            if self.corrects_sign:
                asm.emit(f"add.w {value}, {value}, {temporary}")
            if self.form is Form.PLAIN:
                asm.emit(f"qadd {value}, {value}, {offset}")

    def _shift(self, asm: Assembler, value: str, offset: str, shift: str) -> None:
        right, saturate = self.right, self.saturation
        if self.form is Form.WIDE:
            # The last bit that leaves is the carry: it rounds a half up without an overflow.
            asm.emit(f"asrs.w {value}, {value}, {shift if right is None else f'#{right}'}")
            asm.emit(f"adc.w {value}, {value}, {offset}")
            asm.emit(saturate.format(value, value))
        elif right is None:
            asm.emit(f"asr.w {value}, {value}, {shift}", saturate.format(value, value))
        elif right == 0:
            asm.emit(saturate.format(value, value))
        else:
            asm.emit(saturate.format(value, value) + f", asr #{right}")


def clamp(asm: Assembler, values: Registers, low: int, high: int) -> None:
    """Clamp sign-extended values, unless the saturation already did."""
    if saturation(low, high):
        return
    for registers in values:
        for register in registers:
            if low > -128:
                asm.emit(f"cmp.w {register}, #{low}", "it lt", f"movlt.w {register}, #{low}")
            if high < 127:
                asm.emit(f"cmp.w {register}, #{high}", "it gt", f"movgt.w {register}, #{high}")


def saturation(low: int, high: int) -> str:
    """Return the instruction that clamps to a range, with places for its registers; or ""."""
    for width in range(1, 9):
        if (low, high) == (-(1 << (width - 1)), (1 << (width - 1)) - 1):
            return f"ssat {{}}, #{width}, {{}}"
        if width < 8 and (low, high) == (0, (1 << width) - 1):
            return f"usat {{}}, #{width}, {{}}"
    return ""


def _reach(chain: Chain) -> int:
    """Return the largest magnitude of an accumulator, before any left shift."""
    weighted, source = chain.weighted, chain.request.source
    magnitudes = np.abs(np.moveaxis(weighted.weights.astype(np.int64), weighted.output_axis, 0))
    sums = magnitudes.reshape(weighted.outputs, -1).sum(axis=1) * (128 + abs(source.zero_point))
    return int(np.max(sums + np.abs(weighted.bias.astype(np.int64))))
