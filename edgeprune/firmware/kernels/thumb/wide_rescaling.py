"""From accumulators to int8 on Cortex-M3: one 64-bit multiply-accumulate does both roundings.

With the accumulator a, the multiplier m and the right shift n >= 1, the output before its clamp is
floor((floor((a * m + 2^30) / 2^31) + 2^(n-1)) / 2^n) + z, which for integers is the same as
floor((a * m + c) / 2^(31+n)) with c = 2^30 + 2^(30+n) + z * 2^(31+n). Halves go away from zero,
which takes 2^31 off where a * m is negative; a clamp from the zero point upwards hides that. (For
the least multiplier, 2^30, and a = -1 the first rounding gives 0, and both forms the same.)
"""

from __future__ import annotations

from dataclasses import dataclass

from edgeprune.firmware.kernels.thumb.emission import ThumbAssembler, words
from edgeprune.firmware.kernels.thumb.layer import Layer

_LARGEST_QUICK_SHIFT = 24


@dataclass(frozen=True, eq=False)
class WideRescaling:
    """How the outputs of one layer are rescaled; `offset` is what the accumulators hold too much.

    Registers: r12 points to the record, r0..r3 are free, values are in other registers.

    Attributes:
        layer: The layer.
        offset: Subtracted from every accumulator.
    """

    layer: Layer
    offset: int

    @property
    def words(self) -> int:
        """Words of a channel's constants."""
        if self.quick and self.hidden:
            return 4 if self._varies else 3
        return 5

    @property
    def _varies(self) -> bool:
        return len(set(self._rights)) > 1

    @property
    def _rights(self) -> list[int]:
        multiplier = self.layer.chain.weighted.multiplier(self.layer.chain.request.tensors)
        pairs = zip(multiplier.mantissa.tolist(), multiplier.exponent.tolist(), strict=True)
        return [1 if mantissa == 0 else -exponent for mantissa, exponent in pairs]

    @property
    def quick(self) -> bool:
        """Whether every shift goes to the right, by 1 to 24."""
        return all(1 <= right <= _LARGEST_QUICK_SHIFT for right in self._rights)

    @property
    def hidden(self) -> bool:
        """Whether the clamp hides which way halves of negative numbers go."""
        return self.layer.chain.low >= self.layer.output_zero

    def record(self, channel: int) -> bytes:
        """Return the constants of an output channel."""
        layer = self.layer
        multiplier = layer.chain.weighted.multiplier(layer.chain.request.tensors)
        mantissa = int(multiplier.mantissa[channel])
        right = self._rights[channel]
        bias = int(layer.biases[channel]) - self.offset
        if not self.quick:
            one = int(right > 0)
            return words(mantissa, bias, max(-right, 0), max(right - 1, 0), one)
        start = (1 << 30) + (1 << (30 + right)) + layer.output_zero * (1 << (31 + right))
        if self.hidden:
            start += bias * mantissa
        numbers = (start, start >> 32, mantissa, right - 1, bias)
        return words(*numbers[: self.words])

    def emit(self, code: ThumbAssembler, at: int, values: list[str]) -> None:
        """Write the code that turns the accumulators of one channel into clamped outputs.

        Args:
            code: Where to.
            at: Where the channel's constants begin in the record.
            values: Registers of the accumulators.
        """
        if self.quick:
            self._emit_quick(code, at, values)
        else:
            self._emit_general(code, at, values)
        low, high = self.layer.chain.low, self.layer.chain.high
        for value in values:
            if low > -128:
                code.put(f"cmp {value},#{low}", "it lt", f"movlt {value},#{low}")
            if high < 127:
                code.put(f"cmp {value},#{high}", "it gt", f"movgt {value},#{high}")

    def _emit_quick(self, code: ThumbAssembler, at: int, values: list[str]) -> None:
        code.put(f"ldr r2,[r12,#{at + 8}]")
        if self._varies:
            code.put(f"ldr r3,[r12,#{at + 12}]")
        for value in values:
            if not self.hidden:
                code.put(f"ldr r0,[r12,#{at + 16}]", f"add {value},{value},r0")
            code.put(f"ldrd r0,r1,[r12,#{at}]", f"smlal r0,r1,{value},r2")
            if not self.hidden:
                code.put(f"asr {value},{value},#31", f"adds r0,r0,{value},lsl #31")
                code.put(f"adc r1,r1,{value}")
            if self._varies:
                code.put("asr r1,r1,r3", f"ssat {value},#8,r1")
            else:
                shift = self._rights[0] - 1
                code.put(f"ssat {value},#8,r1" + (f",asr #{shift}" if shift else ""))

    def _emit_general(self, code: ThumbAssembler, at: int, values: list[str]) -> None:
        code.put(f"ldr r2,[r12,#{at}]")
        for value in values:
            code.put(f"ldr r0,[r12,#{at + 4}]", f"add {value},{value},r0")
            code.put(f"ldr r0,[r12,#{at + 8}]", f"lsl {value},{value},r0")
            code.put("mov r0,#0x40000000", "mov r1,#0", f"smlal r0,r1,{value},r2")
            code.put("lsr r0,r0,#31", "add r0,r0,r1,lsl #1", f"ldr r3,[r12,#{at + 16}]")
            code.put("and r1,r3,r0,lsr #31", "sub r0,r0,r1", f"ldr r1,[r12,#{at + 12}]")
            code.put("asr r0,r0,r1", "add r0,r0,r3", "asr r0,r0,r3")
            code.put(
                "ssat r0,#16,r0",
                f"sub r0,r0,#{-self.layer.output_zero}"
                if self.layer.output_zero < 0
                else f"add r0,r0,#{self.layer.output_zero}",
            )
            code.put(f"ssat {value},#8,r0")
