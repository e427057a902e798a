"""Sums and changes of range, element by element."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgeprune.firmware.kernels.assembler import Assembler
from edgeprune.firmware.kernels.code import KernelCode, KernelRequest
from edgeprune.firmware.kernels.dsp.emission import (
    SAVED_BYTES,
    add_constant,
    bytes_of,
    clamp_bytes,
    enter,
    leave,
    load_address,
    load_constant,
)
from edgeprune.firmware.kernels.dsp.linear_sum import LinearSum
from edgeprune.firmware.kernels.dsp.rescaling import saturation
from edgeprune.network import Add, Requantize
from edgeprune.network.arithmetic import every_int8
from edgeprune.network.operation import ClampedOperation

_MOST_FACTOR = 2**15 - 1
_UNROLLED = 4
_Write = Callable[[Assembler], None]


@dataclass(frozen=True)
class _Body:
    """How four bytes and how one byte are computed.

    The inputs are read at r0 and r1 and the output is written at r2, which all move on.
    """

    prepare: _Write
    four: _Write | None
    one: _Write


def generate_requantize(request: KernelRequest) -> tuple[KernelCode, ...]:
    """Write a change of range: by a table, by arithmetic, or as a sum where the scale stays."""
    (operation,) = request.operations if len(request.operations) == 1 else (None,)
    if not isinstance(operation, Requantize):
        return ()
    values = every_int8()
    table = operation.run(request.tensors, values.astype(np.int8)[None])[0].astype(np.int64)
    candidates = []
    source, output = request.source, request.output
    shift = output.zero_point - source.zero_point if source.scale == output.scale else None
    if shift is not None:
        candidates.append(_function(request, _shifted(operation, shift), b"", "bytes added"))
    else:
        linear = _linear(values, table, operation)
        if linear is not None:
            candidates.append(_function(request, _scaled(*linear, operation), b"", "multiply"))
        # An unsigned byte indexes the table: 0..127, then -128..-1.
        constants = np.roll(table, -128).astype(np.int8).tobytes()
        candidates.append(_function(request, _looked_up(request), constants, "table of 256"))
    return tuple(candidates)


def generate_add(request: KernelRequest) -> tuple[KernelCode, ...]:
    """Write a sum of two tensors."""
    (operation,) = request.operations if len(request.operations) == 1 else (None,)
    if not isinstance(operation, Add):
        return ()
    linear = LinearSum.of(operation, request.tensors)
    if linear is not None:
        return (_function(request, _summed(linear, operation), b"", "two multiply-adds"),)
    slower = "no pair of factors reproduces gemmlowp's three roundings for every pair of bytes"
    return (
        _function(request, _exact(request, operation), b"", "gemmlowp's three roundings", slower),
    )


def _function(
    request: KernelRequest, body: _Body, constants: bytes, approach: str, slower: str = ""
) -> KernelCode:
    """Write the loops around a body: blocks of `unroll` words, words, bytes."""
    asm = Assembler(request.symbol)
    row = request.output.row_size
    two = request.other is not None
    enter(asm)
    asm.emit(f"ldrd r3, r4, [sp, #{SAVED_BYTES}]")
    load_constant(asm, "r5", row)
    asm.emit("mul r3, r3, r5", "mul r4, r4, r5")
    asm.emit(
        *(
            f"add.w {pointer}, {pointer}, r3"
            for pointer in ("r0", "r1", "r2")
            if two or pointer != "r1"
        )
    )
    body.prepare(asm)
    left = request.output.size
    for write, times, size in (
        (body.four, _UNROLLED, 4 * _UNROLLED),
        (body.four, 1, 4),
        (body.one, 1, 1),
    ):
        if write is None:
            continue
        again, done = asm.label(f"by{size}"), asm.label(f"after{size}")
        count, left = divmod(left, size)
        asm.emit(f"subs.w r4, r4, #{size}", f"blt.w {done}")
        asm.place(again)
        with asm.repeated(count):
            for _ in range(times):
                write(asm)
            asm.emit(f"subs.w r4, r4, #{size}", f"bge.w {again}")
        asm.place(done)
        if size > 1:
            asm.emit(f"add.w r4, r4, #{size}")
    leave(asm)
    return KernelCode(
        symbol=request.symbol,
        text=asm.text,
        constants=constants,
        scratch_bytes=0,
        stack_bytes=SAVED_BYTES,
        instructions=asm.instructions,
        code_bytes=asm.code_bytes,
        approach=approach,
        slower=slower,
        unit=1 if request.output.is_map else 0,
        overwrites_input=True,
        overwrites_other=two,
    )


def _clamps(operation: ClampedOperation) -> tuple[str, str]:
    """Return the registers that hold the bounds of packed bytes."""
    return (
        "r10" if operation.clamp_low > -128 else "",
        "r11" if operation.clamp_high < 127 else "",
    )


def _load_clamps(asm: Assembler, operation: ClampedOperation) -> None:
    low, high = _clamps(operation)
    if low:
        load_constant(asm, low, bytes_of(operation.clamp_low))
    if high:
        load_constant(asm, high, bytes_of(operation.clamp_high))


def _looked_up(request: KernelRequest) -> _Body:
    def one(asm: Assembler) -> None:
        asm.emit("ldrb.w r3, [r0], #1", "ldrb.w r3, [r5, r3]", "strb.w r3, [r2], #1")

    def four(asm: Assembler) -> None:
        for _ in range(4):
            one(asm)

    return _Body(lambda asm: load_address(asm, "r5", f"{request.symbol}_constants"), four, one)


def _shifted(operation: Requantize, shift: int) -> _Body:
    # QADD8 adds what an int8 can hold, and what saturates on the way saturates in the end.
    parts = []
    while shift:
        parts.append(max(min(shift, 127), -128))
        shift -= parts[-1]
    names = ("r5", "r6", "r7")

    def prepare(asm: Assembler) -> None:
        for name, part in zip(names, parts, strict=False):
            load_constant(asm, name, bytes_of(part))
        _load_clamps(asm, operation)

    def write(asm: Assembler, load: str, store: str) -> None:
        asm.emit(load)
        asm.emit(*(f"qadd8 r3, r3, {name}" for name, _ in zip(names, parts, strict=False)))
        clamp_bytes(asm, "r3", *_clamps(operation), "r12")
        asm.emit(store)

    return _Body(
        prepare,
        lambda asm: write(asm, "ldr.w r3, [r0], #4", "str.w r3, [r2], #4"),
        lambda asm: write(asm, "ldrb.w r3, [r0], #1", "strb.w r3, [r2], #1"),
    )


def _linear(
    values: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    wanted: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    operation: Requantize,
) -> tuple[int, int, int] | None:
    """Return factor, offset and shift of a line through all 256 values, if there is one."""
    if not saturation(operation.clamp_low, operation.clamp_high):
        return None
    inside = (wanted > operation.clamp_low) & (wanted < operation.clamp_high)
    if np.count_nonzero(inside) < 2:
        return None
    firsts = np.flatnonzero(inside)
    run, rise = firsts[-1] - firsts[0], wanted[firsts[-1]] - wanted[firsts[0]]
    slope = float(rise / run)
    for shift in range(20, 0, -1):
        if (slope + 1) * 2**shift > _MOST_FACTOR:
            continue
        spread = 2**shift / max(int(run), 1)
        middle = slope * 2**shift
        for factor in range(max(int(middle - spread), 0), int(middle + spread) + 2):
            products = values * factor
            lowest = np.where(wanted > operation.clamp_low, (wanted << shift) - products, -(2**40))
            highest = np.where(
                wanted < operation.clamp_high, ((wanted + 1) << shift) - 1 - products, 2**40
            )
            if factor <= _MOST_FACTOR and lowest.max() <= highest.min():
                return factor, int(lowest.max() + highest.min()) >> 1, shift
    return None


def _scaled(factor: int, offset: int, shift: int, operation: Requantize) -> _Body:
    saturate = saturation(operation.clamp_low, operation.clamp_high)

    def prepare(asm: Assembler) -> None:
        load_constant(asm, "r5", factor)
        load_constant(asm, "r6", offset)

    def four(asm: Assembler) -> None:
        asm.emit("ldr.w r3, [r0], #4", "sxtb16 r7, r3", "sxtb16 r8, r3, ror #8")
        asm.emit("smlabb r3, r7, r5, r6", "smlabb r9, r8, r5, r6")
        asm.emit("smlatb r7, r7, r5, r6", "smlatb r8, r8, r5, r6")
        for register in ("r3", "r9", "r7", "r8"):
            asm.emit(f"{saturate.format(register, register)}, asr #{shift}")
            asm.emit(f"strb.w {register}, [r2], #1")

    def one(asm: Assembler) -> None:
        asm.emit("ldrsb.w r3, [r0], #1", "smlabb r3, r3, r5, r6")
        asm.emit(f"{saturate.format('r3', 'r3')}, asr #{shift}", "strb.w r3, [r2], #1")

    return _Body(prepare, four, one)


def _summed(linear: LinearSum, operation: Add) -> _Body:
    saturate = saturation(operation.clamp_low, operation.clamp_high)
    halves = max(abs(linear.first), abs(linear.second)) <= _MOST_FACTOR

    def prepare(asm: Assembler) -> None:
        load_constant(asm, "r5", linear.first)
        load_constant(asm, "r6", linear.second)
        load_constant(asm, "r7", linear.offset)
        if not saturate:
            _load_clamps(asm, operation)

    def shift(asm: Assembler, value: str) -> None:
        asm.emit(f"{(saturate or 'ssat {}, #8, {}').format(value, value)}, asr #{linear.shift}")

    def finish(asm: Assembler, values: tuple[str, ...]) -> None:
        first, *others = values
        if saturate:
            asm.emit(*(f"strb.w {value}, [r2], #1" for value in values))
            return
        asm.emit(*(f"bfi {first}, {v}, #{8 * (i + 1)}, #8" for i, v in enumerate(others)))
        clamp_bytes(asm, first, *_clamps(operation), "r8")
        asm.emit(f"str.w {first}, [r2], #4" if others else f"strb.w {first}, [r2], #1")

    def four_halves(asm: Assembler) -> None:
        asm.emit("ldr.w r3, [r0], #4", "ldr.w r8, [r1], #4")
        asm.emit("sxtb16 r9, r3", "sxtb16 r3, r3, ror #8")
        asm.emit("sxtb16 r12, r8", "sxtb16 r8, r8, ror #8")
        asm.emit("smlabb lr, r9, r5, r7", "smlabb lr, r12, r6, lr")
        asm.emit("smlatb r9, r9, r5, r7", "smlatb r9, r12, r6, r9")
        asm.emit("smlabb r12, r3, r5, r7", "smlabb r12, r8, r6, r12")
        asm.emit("smlatb r3, r3, r5, r7", "smlatb r3, r8, r6, r3")
        values = ("lr", "r12", "r9", "r3")
        for value in values:
            shift(asm, value)
        finish(asm, values)

    def four(asm: Assembler) -> None:
        asm.emit("ldr.w r3, [r0], #4", "ldr.w r8, [r1], #4")
        for position in range(4):
            value = "r9" if position or saturate else "lr"
            rotated = f", ror #{8 * position}" if position else ""
            asm.emit(f"sxtb.w {value}, r3{rotated}", f"mla {value}, {value}, r5, r7")
            asm.emit(f"sxtb.w r12, r8{rotated}", f"mla {value}, r12, r6, {value}")
            shift(asm, value)
            if saturate:
                finish(asm, (value,))
            elif position:
                asm.emit(f"bfi lr, {value}, #{8 * position}, #8")
        if not saturate:
            clamp_bytes(asm, "lr", *_clamps(operation), "r8")
            asm.emit("str.w lr, [r2], #4")

    def one(asm: Assembler) -> None:
        asm.emit("ldrsb.w r3, [r0], #1", "ldrsb.w r8, [r1], #1")
        asm.emit("mla r3, r3, r5, r7", "mla r3, r8, r6, r3")
        shift(asm, "r3")
        finish(asm, ("r3",))

    return _Body(prepare, four_halves if halves else four, one)


def _exact(request: KernelRequest, operation: Add) -> _Body:
    """Return the three roundings one after the other, for any scales."""
    ((scalars),) = [call.parameters for call in operation.c_calls(request.tensors)]
    parts = (("first", "r3", "r5"), ("second", "r8", "r6"))

    def prepare(asm: Assembler) -> None:
        for name, register in (("first", "r5"), ("second", "r6"), ("output", "r7")):
            load_constant(asm, register, scalars[f"{name}_multiplier"])

    def round_twice(asm: Assembler, value: str, factor: str, shift: int) -> None:
        asm.emit(f"smmulr {value}, {value}, {factor}")
        if shift < 0:
            asm.emit(f"add.w {value}, {value}, {value}, asr #31")
            asm.emit(f"add.w {value}, {value}, #{1 << (-shift - 1)}")
            asm.emit(f"asr.w {value}, {value}, #{-shift}")

    def one(asm: Assembler) -> None:
        asm.emit("ldrsb.w r3, [r0], #1", "ldrsb.w r8, [r1], #1")
        for name, register, factor in parts:
            add_constant(asm, register, -scalars[f"{name}_zero_point"], "r12")
            # One bit more than TFLite's 20: SMMULR's product is not doubled.
            asm.emit(f"lsl.w {register}, {register}, #21")
            round_twice(asm, register, factor, scalars[f"{name}_shift"])
        asm.emit("add.w r3, r3, r8", "lsl.w r3, r3, #1")
        round_twice(asm, "r3", "r7", scalars["output_shift"])
        add_constant(asm, "r3", scalars["output_zero_point"], "r12")
        for bound, worse in ((operation.clamp_low, "lt"), (operation.clamp_high, "gt")):
            asm.emit(f"cmp.w r3, #{bound}", f"it {worse}", f"mov{worse}.w r3, #{bound}")
        asm.emit("strb.w r3, [r2], #1")

    return _Body(prepare, None, one)
