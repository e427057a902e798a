"""Changes of range by a table, and sums, byte by byte, on Cortex-M0+ and Cortex-M3."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgeprune.firmware.kernels.code import KernelCode, KernelRequest
from edgeprune.firmware.kernels.dsp.linear_sum import LinearSum
from edgeprune.firmware.kernels.thumb.clamping import clamp_narrow, clamp_wide
from edgeprune.firmware.kernels.thumb.emission import ThumbAssembler, words
from edgeprune.firmware.kernels.thumb.low_registers import (
    Frame,
    add_number,
    enter,
    leave,
    load_number,
    loop_back,
)
from edgeprune.network import Add, Requantize

_FRAME = Frame("input", "planes", "constants")
_UNROLL = 8

_Write = Callable[[ThumbAssembler, int], None]


def requantize(request: KernelRequest) -> tuple[KernelCode, ...]:
    """Answer a change of range: a table of all bytes."""
    operation = request.operations[0]
    if len(request.operations) != 1 or not isinstance(operation, Requantize):
        return ()
    every = np.arange(256, dtype=np.uint8).view(np.int8)
    table = operation.run(request.tensors, every[np.newaxis])[0]

    def prepare(code: ThumbAssembler) -> None:
        code.put(f"ldr r4,{_FRAME['constants']}")

    def write(code: ThumbAssembler, place: int) -> None:
        code.put(f"ldrb r3,[r0,#{place}]", "ldrb r3,[r4,r3]", f"strb r3,[r2,#{place}]")

    return (_function(request, table.tobytes(), prepare, write, "a table of 256 bytes"),)


def add_narrow(request: KernelRequest) -> tuple[KernelCode, ...]:
    """Answer a sum on Cortex-M0+."""
    return _add(request, _write_narrow, narrow=True)


def add_wide(request: KernelRequest) -> tuple[KernelCode, ...]:
    """Answer a sum on Cortex-M3."""
    return _add(request, _write_wide, narrow=False)


def _add(
    request: KernelRequest,
    writer: Callable[[LinearSum, Add], _Write],
    *,
    narrow: bool,
) -> tuple[KernelCode, ...]:
    operation = request.operations[0]
    if len(request.operations) != 1 or not isinstance(operation, Add):
        return ()
    linear = LinearSum.of(operation, request.tensors)
    if linear is None:
        return ()
    fold = operation.clamp_low << linear.shift if narrow and _folds(linear, operation) else 0
    constants = words(linear.first, linear.second, linear.offset - fold)

    def prepare(code: ThumbAssembler) -> None:
        code.put(f"ldr r4,{_FRAME['constants']}", "ldr r6,[r4]", "ldr r7,[r4,#4]")
        code.put("ldr r4,[r4,#8]", "mov r8,r4")

    return (
        _function(
            request,
            constants,
            prepare,
            writer(linear, operation),
            "two products and a shift",
            narrow=narrow,
        ),
    )


def _folds(linear: LinearSum, operation: Add) -> bool:
    """Whether sums stay below 2^31 that count from the least output."""
    reach = 128 * (abs(linear.first) + abs(linear.second)) + abs(linear.offset)
    return reach + (abs(operation.clamp_low) << linear.shift) < 2**31


def _write_narrow(linear: LinearSum, operation: Add) -> _Write:
    def write(code: ThumbAssembler, place: int) -> None:
        code.put(f"ldrb r3,[r0,#{place}]", "sxtb r3,r3", "muls r3,r6,r3")
        code.put(f"ldrb r4,[r1,#{place}]", "sxtb r4,r4", "muls r4,r7,r4")
        code.put("adds r3,r3,r4", "add r3,r8", f"asrs r3,r3,#{linear.shift}")
        low, high = operation.clamp_low, operation.clamp_high
        if not _folds(linear, operation):
            add_number(code, "r3", -low, "r4")
        clamp_narrow(code, "r3", "r4", "r5", low, high)
        code.put(f"strb r3,[r2,#{place}]")

    return write


def _write_wide(linear: LinearSum, operation: Add) -> _Write:
    def write(code: ThumbAssembler, place: int) -> None:
        code.put(f"ldrsb r3,[r0,#{place}]", f"ldrsb r4,[r1,#{place}]")
        code.put("mla r3,r3,r6,r8", "mla r3,r4,r7,r3", f"ssat r3,#8,r3,asr #{linear.shift}")
        clamp_wide(code, "r3", operation.clamp_low, operation.clamp_high)
        code.put(f"strb r3,[r2,#{place}]")

    return write


def _function(
    request: KernelRequest,
    constants: bytes,
    prepare: Callable[[ThumbAssembler], None],
    write: _Write,
    approach: str,
    *,
    narrow: bool = True,
) -> KernelCode:
    """Return a function that writes every byte; eight at a time, then one at a time."""
    code = ThumbAssembler(request.symbol, narrow=narrow)
    output = request.output
    channels = output.row_size
    whole, rest = divmod(output.size, _UNROLL)
    pointers = ["r0", "r2"] if request.other is None else ["r0", "r1", "r2"]
    enter(code, _FRAME, f"{request.symbol}_constants")
    code.put(f"ldr r4,{_FRAME.argument(0)}", f"ldr r5,{_FRAME.argument(1)}")
    load_number(code, "r6", channels)
    code.put("muls r4,r6,r4", "muls r5,r6,r5")
    code.put(*(f"adds {pointer},{pointer},r4" for pointer in pointers))
    code.put("movs r4,#7", "ands r4,r5", "mov r10,r4", "lsrs r5,r5,#3", "mov r9,r5")
    prepare(code)
    first, second, ones, done = (code.label(name) for name in ("eight", "rest", "one", "done"))
    code.put("mov r5,r9", "cmp r5,#0", f"bne {first}")
    with code.times(int(whole == 0)):
        code.put(f"b {second}")
    code.place(first)
    start = code.code_bytes
    with code.times(whole):
        for place in range(_UNROLL):
            write(code, place)
        for pointer in pointers:
            add_number(code, pointer, _UNROLL, "r3")
        code.put("mov r5,r9", "subs r5,#1", "mov r9,r5", "cmp r5,#0")
    loop_back(code, first, start, whole, int(whole > 0))
    code.place(second)
    code.put("mov r5,r10", "cmp r5,#0", f"bne {ones}")
    with code.times(int(rest == 0)):
        code.put(f"b {done}")
    code.place(ones)
    start = code.code_bytes
    with code.times(rest):
        write(code, 0)
        for pointer in pointers:
            add_number(code, pointer, 1, "r3")
        code.put("mov r5,r10", "subs r5,#1", "mov r10,r5", "cmp r5,#0")
    loop_back(code, ones, start, rest, int(rest > 0))
    code.place(done)
    leave(code, _FRAME)
    return KernelCode(
        request.symbol,
        code.text,
        constants,
        0,
        _FRAME.stack_bytes,
        code.instructions,
        code.code_bytes,
        approach,
        unit=1 if output.is_map else 0,
        overwrites_input=True,
    )
