"""From accumulators to int8 on Cortex-M0+, which has neither a long product nor a saturation.

The output before its clamp is floor((a * m + c) / 2^s) (see `wide_rescaling`). The multiplier is
cut into digits, m = m0 + m1 * 2^d0 + m2 * 2^(d0 + d1), and the floor is taken digit by digit:
floor((floor((a * m0) / 2^d0) + a * m1) / 2^d1) and so on, which is the same for integers. How far
an accumulator can go follows from the weights, and the digits are so small that no sum overflows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from edgeprune.firmware.kernels.thumb.emission import ThumbAssembler, words
from edgeprune.firmware.kernels.thumb.layer import Layer

_INT32 = 2**31 - 2**8


@dataclass(frozen=True)
class _Channel:
    """Of one output channel: bounds of its accumulator, multiplier, constant, sign correction."""

    low: int
    high: int
    multiplier: int
    constant: int
    correction: int


@dataclass(frozen=True, eq=False)
class NarrowRescaling:
    """How the outputs of one layer are rescaled without branches.

    Attributes:
        layer: The layer.
    """

    layer: Layer

    @cached_property
    def shift(self) -> int:
        """The whole shift to the right, the same for all channels."""
        return 31 + max(max(-exponent, 0) for _, exponent in self._scales)

    @cached_property
    def _scales(self) -> list[tuple[int, int]]:
        """Mantissa and exponent of each channel; 0 and -1 where every output is the zero point."""
        multiplier = self.layer.chain.weighted.multiplier(self.layer.chain.request.tensors)
        pairs = zip(multiplier.mantissa.tolist(), multiplier.exponent.tolist(), strict=True)
        found = []
        for (mantissa, exponent), ends in zip(pairs, self._ends, strict=True):
            most = max(abs(end) for end in ends) * mantissa + (1 << 30) >> 31
            vanishes = exponent < 0 and most < 1 << (-exponent - 1)
            found.append((0, -1) if vanishes else (mantissa, exponent))
        return found

    @cached_property
    def _ends(self) -> list[tuple[int, int]]:
        """The least and greatest accumulator of each channel."""
        flat = self.layer.weights.reshape(self.layer.outputs, -1)
        above, below = np.maximum(flat, 0).sum(axis=1), np.minimum(flat, 0).sum(axis=1)
        return [
            (bias - 128 * more + 127 * less, bias + 127 * more - 128 * less)
            for bias, more, less in zip(
                self.layer.biases.tolist(), above.tolist(), below.tolist(), strict=True
            )
        ]

    @property
    def hidden(self) -> bool:
        """Whether the clamp hides which way halves of negative numbers go."""
        return self.layer.chain.low >= self.layer.output_zero

    @cached_property
    def channels(self) -> list[_Channel]:
        """What each output channel needs."""
        layer = self.layer
        found = []
        for (mantissa, exponent), ends in zip(self._scales, self._ends, strict=True):
            scale = self.shift - 31 - max(-exponent, 0)
            constant = (1 << 30 << scale) + (layer.output_zero - layer.chain.low << self.shift)
            correction = 0
            if exponent < 0:
                constant += 1 << (self.shift - 1)
                correction = 0 if self.hidden else 1 << 31 << scale
            multiplier = mantissa << max(exponent, 0) << scale
            found.append(_Channel(*ends, multiplier, constant, correction))
        return found

    @cached_property
    def bounded(self) -> bool:
        """Whether accumulators are clamped first: their whole range leaves no digits."""
        return not self._digits_for(self.channels)

    @cached_property
    def _effective(self) -> list[_Channel]:
        """The channels with the accumulators that reach the multiplication."""
        if not self.bounded:
            return self.channels
        return [
            replace(each, low=min(max(each.low, low), high), high=min(max(each.high, low), high))
            for each, (low, high) in zip(self.channels, self.limits, strict=True)
        ]

    @cached_property
    def limits(self) -> list[tuple[int, int]]:
        """Of each channel, accumulators beyond which the output is at its clamp."""
        span = self.layer.chain.high - self.layer.chain.low
        found = []
        for each in self.channels:
            least = _first(each, self.shift, 1) - 1
            most = _first(each, self.shift, span)
            # Where an end cannot be passed, any number between it and the other one will do.
            found.append(
                (
                    least if least > each.low else min(each.low, most),
                    most if most < each.high else max(each.high, least),
                )
            )
        return found

    @cached_property
    def digits(self) -> tuple[int, ...]:
        """Bits of all digits but the last; empty where no division fits."""
        return self._digits_for(self._effective)

    def _digits_for(self, channels: Sequence[_Channel]) -> tuple[int, ...]:
        for count in (2, 3):
            for bits in range(15, 5, -1):
                if count * bits <= 30 and self._fits(channels, (bits,) * count):
                    return (bits,) * count
        return ()

    @property
    def possible(self) -> bool:
        """Whether the digits fit, and the registers for them."""
        if self.bounded:
            pairs = list(zip(self._ends, self.limits, strict=True))
            apart = max(
                abs(end - limit) for ends, limits in pairs for end in ends for limit in limits
            )
            wide = max(high - low for low, high in self._ends)
            if max(apart, wide) >= 2**31:
                return False
        return bool(self.digits) and not (self._stores_correction and self.layer.chain.averaged)

    @property
    def _corrects(self) -> bool:
        return any(channel.correction for channel in self.channels)

    @property
    def _stores_correction(self) -> bool:
        """Whether the correction has no register: three digits are cut off."""
        return len(self.digits) == 3 and self._corrects

    def _split(self, number: int, bits: Sequence[int]) -> list[int]:
        parts = []
        for size in bits:
            low = (number + (1 << (size - 1))) % (1 << size) - (1 << (size - 1))
            parts.append(low)
            number = (number - low) >> size
        return [*parts, number]

    def _fits(self, channels: Sequence[_Channel], bits: Sequence[int]) -> bool:
        return sum(bits) < self.shift <= sum(bits) + 31 and all(
            self._channel_fits(channel, bits) for channel in channels
        )

    def _channel_fits(self, channel: _Channel, bits: Sequence[int]) -> bool:
        parts = self._split(channel.multiplier, bits)
        if not -(2**31) < parts[-1] < 2**31:
            return False
        rest = channel.constant + channel.correction >> sum(bits)
        if not abs(channel.constant >> sum(bits)) < _INT32:
            return False
        for end in (channel.low, channel.high):
            if abs(end) > _INT32:
                return False
            total = 0
            for part, size in zip(parts, (*bits, 0), strict=True):
                total += end * part
                if abs(total) + 2**8 > _INT32:
                    return False
                total >>= size
            if max(abs(total + rest), abs(total - rest)) > _INT32:
                return False
        return True

    def record(self, channel: int) -> bytes:
        """Return the constants of an output channel: digits, constant, correction, bias."""
        each = self.channels[channel]
        below = sum(self.digits)
        third = () if len(self.digits) == 3 else (each.correction >> below,)
        numbers = (
            *self._split(each.multiplier, self.digits),
            *third,
            each.constant >> below,
            int(self.layer.biases[channel]),
            *(self.limits[channel] if self.bounded else (0, 0)),
            each.correction >> below,
        )
        return words(*numbers[: self.words])

    @property
    def words(self) -> int:
        """Words of a channel's constants."""
        if self._stores_correction:
            return 9
        return 8 if self.bounded else 6

    BIAS = 20
    _LIMITS = 24
    _CORRECTION = 32

    def begin(self, code: ThumbAssembler) -> None:
        """Load the constants of a channel; r7 points to them and is lost, r0 too."""
        code.put("ldmia r7!,{r3,r4,r5,r6}", "ldr r0,[r7]", "mov r12,r0")

    def value(self, code: ThumbAssembler, record: str) -> None:
        """Turn the accumulator in r0 into the output in r1; r2 is lost.

        Args:
            code: Where to.
            record: The word on the stack that points to the channel's constants.
        """
        if self.bounded:
            for index, keep in enumerate(("ands", "bics")):
                code.put(f"ldr r1,{record}", f"ldr r1,[r1,#{self._LIMITS + 4 * index}]")
                code.put("subs r1,r0,r1", "asrs r2,r1,#31", f"{keep} r1,r2", "subs r0,r0,r1")
        # With two digits cut off, r6 is the correction; with three, the last digit.
        registers = ["r3", "r4", "r5", "r6"][: len(self.digits) + 1]
        code.put("movs r1,r0", "muls r1,r3,r1", f"asrs r1,r1,#{self.digits[0]}")
        for register, bits in zip(registers[1:-1], self.digits[1:], strict=True):
            code.put("movs r2,r0", f"muls r2,{register},r2", "adds r1,r1,r2")
            code.put(f"asrs r1,r1,#{bits}")
        if self._stores_correction:
            code.put("mov lr,r1", f"ldr r1,{record}", f"ldr r1,[r1,#{self._CORRECTION}]")
            code.put("asrs r2,r0,#31", "ands r2,r1", "mov r1,lr", "subs r1,r1,r2")
        elif self._corrects:
            code.put("asrs r2,r0,#31", "ands r2,r6", "subs r1,r1,r2")
        code.put(f"muls r0,{registers[-1]},r0", "adds r1,r1,r0", "add r1,r12")
        left = self.shift - sum(self.digits)
        code.put(f"asrs r1,r1,#{min(left, 31)}")
        self._clamp(code)

    def _clamp(self, code: ThumbAssembler) -> None:
        """Clamp r1, which counts from the least output, and add that."""
        low, span = self.layer.chain.low, self.layer.chain.high - self.layer.chain.low
        least, most = self._extent
        if least < 0:
            code.put("asrs r2,r1,#31", "bics r1,r2")
        if most > span:
            code.put(f"movs r2,#{span}", "subs r2,r2,r1")
            if span == 255 and not self.layer.chain.averaged:
                # Only the low byte is stored.
                code.put("asrs r2,r2,#31", "orrs r1,r2")
            else:
                code.put("asrs r0,r2,#31", "ands r2,r0", "adds r1,r1,r2")
        if low:
            code.put(f"{'adds' if low > 0 else 'subs'} r1,#{abs(low)}")

    @cached_property
    def _extent(self) -> tuple[int, int]:
        """The least and greatest output, from the least of the clamp, before the clamp."""
        ends = [
            (end * each.multiplier + each.constant - correction) >> self.shift
            for each in self._effective
            for end in (each.low, each.high)
            for correction in (0, each.correction)
        ]
        return min(ends), max(ends)


def _first(channel: _Channel, shift: int, bound: int) -> int:
    """Return the first accumulator whose output is at least `bound`, within 33 bits.

    Outputs count from the least of the clamp and do not fall where the accumulator rises.
    """
    low, high = -(1 << 32), 1 << 32
    while high - low > 1:
        middle = (low + high) // 2
        correction = channel.correction if middle < 0 else 0
        if (middle * channel.multiplier + channel.constant - correction) >> shift < bound:
            low = middle
        else:
            high = middle
    return high
