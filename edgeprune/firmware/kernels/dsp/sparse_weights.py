"""The weights that are not zero, as instructions or as a stream, each for eight positions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeprune.firmware.kernels.assembler import Assembler
from edgeprune.firmware.kernels.dsp.planes import FIELD, Planes
from edgeprune.network import Conv1d
from edgeprune.network.convolution import OverLength

MOST_OFFSET = 2**14 - 4
"""What an entry of a stream holds."""

MOST_UNROLLED = 32
"""Entries of a stream that are computed without a branch."""

SCALE = 32 - FIELD
"""Bits by which weights are shifted left: the higher field then begins at bit 32."""

_LOW, _HIGH = ("r4", "r5", "r6", "r7"), ("r8", "r9", "r10", "r11")
_WORDS = ("r0", "r1", "r2", "r3")
_MOST_IMMEDIATE = 4095
_LEAST_LOAD = -255


@dataclass(frozen=True, order=True)
class Weight:
    """A weight that is not zero.

    Attributes:
        offset: Where the words begin that it is multiplied by, in bytes from the first plane.
        value: The int8.
    """

    offset: int
    value: int


def nonzero_weights(operation: OverLength, planes: Planes) -> tuple[tuple[Weight, ...], ...]:
    """Return the weights of each output channel that are not zero, by offset."""
    if isinstance(operation, Conv1d):
        weights = operation.weights
        depth = weights.shape[2]
        groups = operation.outputs // operation.groups
        firsts = [channel // groups * depth for channel in range(operation.outputs)]
    else:
        weights = operation.weights.T[:, :, np.newaxis]
        multiplier = operation.outputs // planes.channels
        firsts = [channel // multiplier for channel in range(operation.outputs)]
    return tuple(
        tuple(
            sorted(
                Weight(planes.offset(int(tap), first + int(depth)), int(filters[tap, depth]))
                for tap, depth in np.argwhere(filters)
            )
        )
        for filters, first in zip(weights, firsts, strict=True)
    )


def entry(weight: Weight) -> int:
    """Return the word of a stream: the weight on top, the offset in the lower half."""
    return ((weight.value & 0xFF) << 24) + weight.offset


def _multiply(asm: Assembler, words: tuple[str, ...], factor: str, first: int = 0) -> None:
    for index, word in enumerate(words, first):
        asm.emit(f"smlal {_LOW[index]}, {_HIGH[index]}, {word}, {factor}")


def emit_entries(
    asm: Assembler, label: str, counts: list[int], blocks: int, end: int, factor: int
) -> None:
    """Write the unrolled loop over a stream's entries; it falls through at the end.

    r12 is the stream and lr the base of the block's words; the accumulators are r4-r11.

    Args:
        asm: Where it is written.
        label: Of the entries, to which the entries left are appended.
        counts: Entries of each channel.
        blocks: How often each channel is computed.
        end: Where the stream's end lies in the stack frame, for loops longer than what is unrolled.
        factor: 2 if accumulators hold twice the sum.
    """
    most = min(max(counts), MOST_UNROLLED)
    for left in range(most, 0, -1):
        asm.place(f"{label}_{left}")
        times = sum(_runs(count, left) for count in counts)
        with asm.repeated(times * blocks):
            asm.emit(
                "ldr r3, [r12], #4",
                "uxtah r2, lr, r3",
                f"asr.w r3, r3, #{24 - SCALE - (factor - 1)}",
            )
            for pair in (0, 2):
                asm.emit(f"ldrd r0, r1, [r2, #{4 * pair}]")
                _multiply(asm, ("r0", "r1"), "r3", pair)
    if max(counts) > most:
        times = sum(-(-count // most) for count in counts)
        with asm.repeated(times * blocks):
            asm.emit(f"ldr.w r0, [sp, #{end}]", "cmp r12, r0", f"bne.w {label}_{most}")


def _runs(count: int, left: int) -> int:
    """Return how often the unrolled entry with `left` to go is computed for `count` entries."""
    return (count + MOST_UNROLLED - left) // MOST_UNROLLED


def emit_weights(asm: Assembler, weights: tuple[Weight, ...], centre: int, factor: int) -> int:
    """Write the products of one channel; return how many words of literals they need.

    lr is the address of the word at `centre` of the block's; the accumulators are r4-r11.
    """
    literals: set[int] = set()
    words, before, value = list(_WORDS), None, 0
    for weight in weights:
        offset = weight.offset - centre
        moved = (weight.offset - before) // 4 if before is not None else 4
        _load_words(asm, words, offset, moved)
        before = weight.offset
        if weight.value != value:
            value = weight.value
            scaled = value * factor << SCALE
            if scaled > 0:
                asm.emit(f"mov.w r12, #{scaled}")
            else:
                literals.add(scaled)
                asm.emit(f"ldr.w r12, ={scaled & 0xFFFFFFFF:#x}")
        _multiply(asm, tuple(words), "r12")
    return len(literals)


def _load_words(asm: Assembler, words: list[str], offset: int, moved: int) -> None:
    """Load the four words at an offset; a tap next to the one before shares some of them."""
    last = offset + 4 * len(words)
    if moved == 1 and _LEAST_LOAD <= last - 4 <= _MOST_IMMEDIATE:
        words.append(words.pop(0))
        asm.emit(f"ldr.w {words[-1]}, [lr, #{last - 4}]")
    elif moved == 2 and abs(last - 8) <= 1020:
        words += [words.pop(0), words.pop(0)]
        asm.emit(f"ldrd {words[-2]}, {words[-1]}, [lr, #{last - 8}]")
    else:
        words[:] = _WORDS
        if offset == 0:
            asm.emit("ldmia lr, {r0, r1, r2, r3}")
            return
        far, near = divmod(abs(offset), _MOST_IMMEDIATE + 1)
        add, base = ("add" if offset > 0 else "sub"), "lr"
        if far:
            asm.emit(f"{add}.w r0, lr, #{far * (_MOST_IMMEDIATE + 1)}")
            base = "r0"
        if near or not far:
            asm.emit(f"{add}w r0, {base}, #{near}")
        asm.emit("ldmia.n r0, {r0, r1, r2, r3}", size=2)
