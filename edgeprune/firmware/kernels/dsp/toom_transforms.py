"""Toom-Cook's three transforms as instructions on words of two 16-bit lanes or on 32-bit sums.

A word of lanes is treated as one number, `high * 2^16 + low`: sums and multiples of such numbers
stay exact in both lanes, whatever the signs. As lanes, SMLAD wants the high one without the borrow
of a negative low one; two instructions give it back, or take it.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgeprune.firmware.kernels.assembler import Assembler
from edgeprune.firmware.kernels.dsp.emission import load_constant
from edgeprune.firmware.kernels.thumb.points import Points


def combine(asm: Assembler, target: str, terms: Sequence[tuple[str, int]], spare: str) -> None:
    """Write a sum of registers times numbers, one of which is 1."""
    one = total = next(name for name, factor in terms if factor == 1)
    for name, factor in terms:
        if name == one or factor == 0:
            continue
        size = abs(factor)
        if size & (size - 1) == 0:
            opcode = "add.w" if factor > 0 else "sub.w"
            asm.emit(f"{opcode} {target}, {total}, {name}, lsl #{size.bit_length() - 1}")
        else:
            load_constant(asm, spare, size)
            asm.emit(f"{'mla' if factor > 0 else 'mls'} {target}, {name}, {spare}, {total}")
        total = target


def to_number(asm: Assembler, word: str, spare: str) -> None:
    """Turn two lanes into one number."""
    asm.emit(f"and.w {spare}, {word}, #0x8000", f"sub.w {word}, {word}, {spare}, lsl #1")


def to_lanes(asm: Assembler, word: str, spare: str) -> None:
    """Turn one number into two lanes."""
    asm.emit(f"and.w {spare}, {word}, #0x8000", f"add.w {word}, {word}, {spare}, lsl #1")


def inputs(asm: Assembler, points: Points, stride: int, *, signed: bool) -> None:
    """Transform the words of a tile at lr; write the products' words to r12, `stride` apart.

    r0, r1 and r4-r11 are overwritten.

    Args:
        asm: Where it is written.
        points: The points.
        stride: Bytes from one product's word to the next.
        signed: Whether the low lanes may be negative.
    """
    pairs = points.pairs
    held = [f"r{8 + index}" for index in range(pairs)]
    whole = points.squares_without(0)
    for parity in (0, 1):
        data = [f"r{4 + index}" for index in range(pairs + 1)]
        for index, register in enumerate(data):
            asm.emit(f"ldr.w {register}, [lr, #{4 * (2 * index + parity)}]")
            if signed:
                to_number(asm, register, "r1")
        combine(asm, "r0", list(zip(data, whole, strict=True)), "r1")
        to_lanes(asm, "r0", "r1")
        asm.emit(f"str.w r0, [r12, #{parity * stride}]")
        middle = data[1:] if parity == 0 else data[:-1]
        for p in range(1, pairs + 1):
            terms = list(zip(middle, points.squares_without(p), strict=True))
            if parity == 0:
                combine(asm, held[p - 1], terms, "r1")
                continue
            combine(asm, "r11", terms, "r1")
            if p > 1 and p & (p - 1):
                asm.emit(f"add.w r11, r11, r11, lsl #{(p - 1).bit_length() - 1}")
            shift = f", lsl #{p.bit_length() - 1}" if p > 1 and not p & (p - 1) else ""
            for offset, opcode in ((0, "add.w"), (1, "sub.w")):
                asm.emit(f"{opcode} r0, {held[p - 1]}, r11{shift}")
                to_lanes(asm, "r0", "r1")
                asm.emit(f"str.w r0, [r12, #{(2 * p + offset) * stride}]")


def outputs(
    asm: Assembler,
    points: Points,
    values: Sequence[str],
    offsets: Sequence[int],
    bias: int,
    *,
    doubled: bool,
) -> None:
    """Turn one tile's sums of products into its four outputs; r0-r3 are overwritten.

    r12 holds the inverse of the scale's odd part.

    Args:
        asm: Where it is written.
        points: The points.
        values: The four registers of the outputs.
        offsets: Of each product's sum, the offset from lr.
        bias: Offset from sp of the bias times the points' scale.
        doubled: Whether the outputs shall be doubled.
    """
    y0, y1, y2, y3 = values
    # What is added to the product of the point 1 reaches every output once.
    asm.emit(f"ldr.w r0, [lr, #{offsets[2]}]", f"ldr.w r1, [lr, #{offsets[3]}]")
    asm.emit(f"ldr.w r2, [sp, #{bias}]", "add.w r0, r0, r2")
    asm.emit(f"add.w {y0}, r0, r1", f"sub.w {y1}, r0, r1")
    even, odd = y0, y1
    for p in range(2, points.pairs + 1):
        asm.emit(f"ldr.w r0, [lr, #{offsets[2 * p]}]", f"ldr.w r1, [lr, #{offsets[2 * p + 1]}]")
        asm.emit("add.w r2, r0, r1", "sub.w r3, r0, r1")
        if p == 2:
            asm.emit(f"add.w {y2}, {even}, r2, lsl #2", f"add.w {y3}, {odd}, r3, lsl #3")
            asm.emit(f"add.w {y0}, {y0}, r2", f"add.w {y1}, {y1}, r3, lsl #1")
        else:
            asm.emit(f"add.w {y0}, {y0}, r2", f"add.w {y2}, {y2}, r2")
            asm.emit(f"add.w {y2}, {y2}, r2, lsl #3", "add.w r3, r3, r3, lsl #1")
            asm.emit(f"add.w {y1}, {y1}, r3", f"add.w {y3}, {y3}, r3")
            asm.emit(f"add.w {y3}, {y3}, r3, lsl #3")
    asm.emit(f"ldr.w r0, [lr, #{offsets[0]}]", f"add.w {y0}, {y0}, r0")
    asm.emit(f"ldr.w r0, [lr, #{offsets[1]}]")
    shift = points.twos - (1 if doubled else 0)
    asm.emit(*(f"mul {value}, {value}, r12" for value in values))
    # Infinity's product lacks the scale, of which the inverse leaves the power of two.
    asm.emit(f"add.w {y3}, {y3}, r0, lsl #{points.twos}")
    asm.emit(*(f"asr.w {value}, {value}, #{shift}" for value in values))


def weights(asm: Assembler, points: Points, stride: int) -> None:
    """Transform the taps of two output channels at lr; write the products' words to r12.

    A tap is four bytes: two lanes of the first channel in the even ones, two of the second in the
    odd ones, each plus 128. r3 holds 0x00800080. lr and r12 move on; r0, r1 and r4-r11 are
    overwritten.

    Args:
        asm: Where it is written.
        points: The points.
        stride: Bytes from one product's words to the next product's.
    """
    taps = [f"r{4 + index}" for index in range(points.products - 3)]
    for channel, rotation in enumerate(("", ", ror #8")):
        asm.emit(f"ldmia.w lr{'!' if channel else ''}, {{{', '.join(taps)}}}")
        for tap in taps:
            asm.emit(f"uxtb16 {tap}, {tap}{rotation}", f"sub.w {tap}, {tap}, r3")
        slopes = points.slopes
        _finish_weight(asm, "r0", taps[0], points.scale // slopes[0], 4 * channel)
        for p in range(1, points.pairs + 1):
            factor = points.scale // slopes[2 * p - 1]
            even = [(tap, p**index) for index, tap in enumerate(taps) if index % 2 == 0]
            odd = [(tap, p ** (index - 1)) for index, tap in enumerate(taps) if index % 2]
            combine(asm, "r0", even, "r1")
            if len(odd) > 1:
                combine(asm, "r9", odd, "r1")
            _, left = _multiple(asm, "r0", "r0", abs(factor))
            if left:
                asm.emit(f"lsl.w r0, r0, #{left}")
            if factor < 0:
                asm.emit("rsb.w r0, r0, #0")
            source, left = _multiple(asm, "r9", "r9" if len(odd) > 1 else "r5", p * abs(factor))
            opcodes = ("add.w", "sub.w") if factor > 0 else ("sub.w", "add.w")
            for offset, opcode in enumerate(opcodes):
                asm.emit(f"{opcode} r10, r0, {source}, lsl #{left}")
                to_lanes(asm, "r10", "r1")
                asm.emit(f"str.w r10, [r12, #{(2 * p + offset) * stride + 4 * channel}]")
        to_lanes(asm, taps[-1], "r1")
        asm.emit(f"str.w {taps[-1]}, [r12, #{stride + 4 * channel}]")
    asm.emit("add.w r12, r12, #8")


def _finish_weight(asm: Assembler, target: str, source: str, factor: int, offset: int) -> None:
    """Write a tap's multiple as lanes to r12."""
    made, left = _multiple(asm, target, source, abs(factor))
    asm.emit(f"lsl.w {target}, {made}, #{left}")
    if factor < 0:
        asm.emit(f"rsb.w {target}, {target}, #0")
    to_lanes(asm, target, "r1")
    asm.emit(f"str.w {target}, [r12, #{offset}]")


def _multiple(asm: Assembler, target: str, source: str, factor: int) -> tuple[str, int]:
    """Write a multiple; return its register and how far it must still be shifted left."""
    left = (factor & -factor).bit_length() - 1
    odd = factor >> left
    if odd == 1:
        return source, left
    below, above = (odd - 1).bit_length() - 1, (odd + 1).bit_length() - 1
    if odd - 1 == 1 << below:
        asm.emit(f"add.w {target}, {source}, {source}, lsl #{below}")
    elif odd + 1 == 1 << above:
        asm.emit(f"rsb.w {target}, {source}, {source}, lsl #{above}")
    else:
        load_constant(asm, "r1", odd)
        asm.emit(f"mul {target}, {source}, r1")
    return target, left
