"""Tables of 256 entries, with the mean of positions that follows; runs on Cortex-M3 too."""

from __future__ import annotations

from edgeprune.firmware.kernels.assembler import Assembler
from edgeprune.firmware.kernels.code import KernelCode, KernelRequest
from edgeprune.firmware.kernels.dsp import look_up
from edgeprune.firmware.kernels.dsp.emission import (
    SAVED_BYTES,
    enter,
    leave,
    load_address,
    load_constant,
)
from edgeprune.firmware.kernels.dsp.filter_layers import following
from edgeprune.network import AveragePool1d, Table

_TOGETHER = 8
_ZERO = 128


def generate(request: KernelRequest) -> tuple[KernelCode, ...]:
    """Return the kernel of a table, alone or with a mean of positions that do not overlap."""
    layers = following(request.operations, request.source.row_size, request)
    if layers is None or not isinstance(request.operations[0], Table):
        return ()
    table, pool = layers
    channels = request.source.row_size
    if table is None or (pool is not None and not look_up.fits(pool.kernel, channels)):
        return ()
    asm = Assembler(request.symbol)
    enter(asm)
    asm.emit(f"ldr.w r4, [sp, #{SAVED_BYTES}]", f"ldr.w lr, [sp, #{SAVED_BYTES + 4}]")
    load_address(asm, "r3", f"{request.symbol}_constants")
    asm.emit(f"add.w r3, r3, #{_ZERO}")
    if pool is None:
        _elements(asm, request)
    else:
        _rows(asm, request, pool)
    leave(asm)
    return (
        KernelCode(
            request.symbol,
            asm.text,
            table.entries.tobytes(),
            0,
            SAVED_BYTES,
            asm.instructions,
            asm.code_bytes,
            "looked up one by one" if pool is None else "looked up and averaged",
            unit=1 if request.output.is_map else 0,
            # Nothing is read after the byte that lies there was written.
            overwrites_input=True,
        ),
    )


def _rows(asm: Assembler, request: KernelRequest, pool: AveragePool1d) -> None:
    """r4: the first row. lr: how many."""
    channels, rows = request.source.row_size, request.output.shape[0]
    load_constant(asm, "r5", channels)
    asm.emit("mul r4, r4, r5", "add.w r2, r2, r4")
    asm.emit(f"add.w r12, r0, r4, lsl #{pool.kernel.bit_length() - 1}")
    look_up.emit_rows(asm, pool, channels, rows, looks_up=True)


def _elements(asm: Assembler, request: KernelRequest) -> None:
    """The same, where each value becomes one: eight at a time, then the rest one by one."""
    output = request.output
    load_constant(asm, "r5", output.row_size if output.is_map else output.size)
    asm.emit("mul r4, r4, r5", "mul lr, lr, r5", "add.w r0, r0, r4", "add.w r2, r2, r4")
    several, single, one, done = (asm.label(stem) for stem in ("several", "single", "one", "done"))
    asm.emit(f"subs.w lr, lr, #{_TOGETHER}", f"blt.w {single}")
    registers = [f"r{number}" for number in (4, 5, 6, 7, 8, 9, 10, 11)]
    asm.place(several)
    with asm.repeated(output.size // _TOGETHER):
        for place, register in enumerate(registers):
            asm.emit(f"ldrsb.w {register}, [r0, #{place}]")
        for place, register in enumerate(registers):
            asm.emit(f"ldrsb.w {register}, [r3, {register}]")
            asm.emit(f"strb.w {register}, [r2, #{place}]")
        asm.emit(f"add.w r0, r0, #{_TOGETHER}", f"add.w r2, r2, #{_TOGETHER}")
        asm.emit(f"subs.w lr, lr, #{_TOGETHER}", f"bge.w {several}")
    asm.place(single)
    asm.emit(f"adds.w lr, lr, #{_TOGETHER}", f"beq.w {done}")
    asm.place(one)
    with asm.repeated(output.size % _TOGETHER):
        asm.emit("ldrsb r4, [r0], #1", "ldrsb.w r4, [r3, r4]", "strb r4, [r2], #1")
        asm.emit("subs.w lr, lr, #1", f"bne.w {one}")
    asm.place(done)
