"""dense in Helium: eight outputs at a time, sixteen products an instruction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeprune.firmware.kernels.assembler import Assembler
from edgeprune.firmware.kernels.code import KernelCode, KernelRequest
from edgeprune.firmware.kernels.mve.emission import (
    ACCUMULATORS,
    SAVED_BYTES,
    function,
    set_address,
    set_constant,
    vectors_in,
)
from edgeprune.firmware.kernels.mve.scaling import Scaling, clamp_bytes, gather_lanes
from edgeprune.network import Dense

_BLOCK = 8
# Input vectors that stay in registers while all outputs are computed; the last two are for work.
_RESIDENT = 6
_MOST_UNROLLED = 8


@dataclass(frozen=True)
class _Loop:
    """How the vectors of the input are gone through: `turns` times `unrolled`, then the rest."""

    unrolled: int
    turns: int


def dense(request: KernelRequest) -> tuple[KernelCode, ...]:
    """Return the kernels for a dense layer on its own; none for anything else."""
    operation = request.operations[0]
    if len(request.operations) > 1 or not isinstance(operation, Dense):
        return ()
    full = operation.weights.shape[1] // 16
    if vectors_in(operation.weights.shape[1]) <= _RESIDENT:
        return (_Kernel(request, operation, None).code(),)
    divisors = {n for n in range(1, _MOST_UNROLLED + 1) if full % n == 0}
    return tuple(
        _Kernel(request, operation, _Loop(unrolled, full // unrolled)).code()
        for unrolled in sorted({1, max(divisors)})
    )


class _Kernel:
    """One way to compute one dense layer, while it is written."""

    def __init__(self, request: KernelRequest, operation: Dense, loop: _Loop | None) -> None:
        self._asm = Assembler(request.symbol)
        self._weights = operation.weights
        self._loop = loop
        output = request.output
        sums = self._weights.astype(np.int64).sum(axis=1)
        self._scaling = Scaling(
            operation.bias.astype(np.int64) - request.source.zero_point * sums,
            operation.multiplier(request.tensors),
            output.zero_point,
            (operation.clamp_low, operation.clamp_high),
            operation.clamp_low >= output.zero_point,
        )
        self._outputs, self._inputs = self._weights.shape
        self._full, self._rest = divmod(self._inputs, 16)

    def code(self) -> KernelCode:
        """Write the kernel."""
        asm = self._asm
        blocks, rest = divmod(self._outputs, _BLOCK)
        with function(asm):
            # r1: input, r3: constants, r5: output, r7 and r9: what is left of vectors and blocks.
            asm.emit("mov r1, r0", "mov r5, r2", "mov r11, r0")
            set_address(asm, "r3")
            if self._rest:
                set_constant(asm, "r9", self._rest)
                asm.emit("vctp.8 r9")
            if self._loop is None:
                self._load_input()
            if blocks > 1:
                set_constant(asm, "r9", blocks)
            body = asm.label("block")
            asm.place(body)
            with asm.repeated(blocks):
                if blocks:
                    self._block(_BLOCK)
                if blocks > 1:
                    asm.emit("subs r9, r9, #1", f"bne {body}")
            if rest:
                self._block(rest)
        way = "input in registers"
        if self._loop is not None:
            way = f"input vectors unrolled by {self._loop.unrolled}"
        return KernelCode(
            symbol=asm.symbol,
            text=asm.text,
            constants=self._constants(blocks, rest),
            scratch_bytes=0,
            stack_bytes=SAVED_BYTES,
            instructions=asm.instructions,
            code_bytes=asm.code_bytes,
            approach=f"Helium, {_BLOCK} outputs at once, {way}",
        )

    def _load_input(self) -> None:
        asm = self._asm
        for vector in range(self._full):
            asm.emit(f"vldrb.u8 q{vector}, [r1], #16")
        if self._rest:
            asm.emit("vpst", f"vldrbt.u8 q{self._full}, [r1]")

    def _block(self, outputs: int) -> None:
        """Emit some outputs; P0 lets the last bytes of the input through."""
        registers = ACCUMULATORS[:outputs]
        if self._loop is None:
            for vector in range(vectors_in(self._inputs)):
                self._products(registers, f"q{vector}", "q6", begins=vector == 0)
        else:
            self._looped(registers, self._loop)
        for quad in range(0, outputs, 4):
            self._finish(registers[quad : quad + 4], last=quad + 4 >= outputs)

    def _looped(self, registers: tuple[str, ...], loop: _Loop) -> None:
        asm = self._asm
        asm.emit("mov r1, r11", *(f"mov {register}, #0" for register in registers))
        body = asm.label("vector")
        if loop.turns > 1:
            set_constant(asm, "r7", loop.turns)
            asm.place(body)
        with asm.repeated(loop.turns):
            for _ in range(loop.unrolled):
                asm.emit("vldrb.u8 q0, [r1], #16")
                self._products(registers, "q0", "q1", begins=False)
            if loop.turns > 1:
                asm.emit("subs r7, r7, #1", f"bne {body}")
        if self._rest:
            # A block before this one has spent P0.
            set_constant(asm, "r7", self._rest)
            asm.emit("vctp.8 r7", "vpst", "vldrbt.u8 q0, [r1]")
            self._products(registers, "q0", "q1", begins=False)

    def _products(
        self, registers: tuple[str, ...], data: str, weights: str, *, begins: bool
    ) -> None:
        name = "vmladav" if begins else "vmladava"
        for register in registers:
            self._asm.emit(f"vldrw.u32 {weights}, [r3], #16")
            self._asm.emit(f"{name}.s8 {register}, {data}, {weights}")

    def _finish(self, registers: tuple[str, ...], *, last: bool) -> None:
        """Emit the rounding, the clamp and the writing of up to four outputs."""
        asm, scaling = self._asm, self._scaling
        lanes = len(registers)
        asm.emit(*gather_lanes("q6", (*registers, *("r0",) * (4 - lanes))))
        asm.emit("vldrw.u32 q7, [r3], #16", "vadd.i32 q6, q6, q7")
        if scaling.shifts_left:
            asm.emit("vldrw.u32 q7, [r3], #16", "vshl.s32 q6, q6, q7")
        asm.emit("vldrw.u32 q7, [r3], #16", "vqrdmulh.s32 q6, q6, q7")
        if scaling.corrects:
            asm.emit("vldrw.u32 q7, [r3], #16", "vpt.s32 lt, q6, zr", "vsubt.i32 q6, q6, q7")
        asm.emit("vldrw.u32 q7, [r3], #16", "vrshl.s32 q6, q6, q7", "vqmovnb.s32 q6, q6")
        if scaling.zero_point:
            # The accumulators of the second four are still needed.
            set_constant(asm, "r7", scaling.zero_point)
            asm.emit("vqadd.s16 q6, q6, r7")
        asm.emit("vqmovnb.s16 q6, q6")
        clamp_bytes(asm, "q6", "q7", scaling.clamp)
        if lanes < 4:
            set_constant(asm, "r7", lanes)
            asm.emit("vctp.32 r7", "vpst", "vstrbt.32 q6, [r5]")
        else:
            asm.emit("vstrb.32 q6, [r5], #4")

    def _constants(self, blocks: int, rest: int) -> bytes:
        padded = np.zeros((self._outputs, vectors_in(self._inputs), 16), np.int8)
        padded.reshape(self._outputs, -1)[:, : self._inputs] = self._weights
        sizes = [_BLOCK] * blocks + ([rest] if rest else [])
        parts, begin = [], 0
        for size in sizes:
            parts.append(padded[begin : begin + size].transpose(1, 0, 2).tobytes())
            for quad in range(begin, begin + size, 4):
                parts.append(self._quad_constants(range(quad, min(quad + 4, begin + size))))
            begin += size
        return b"".join(parts)

    def _quad_constants(self, channels: range) -> bytes:
        """Return vectors: bias, left shift, multiplier, correction, right shift."""
        scaling = self._scaling
        fields = np.zeros((scaling.field_count, 4), np.int64)
        for lane, channel in enumerate(channels):
            fields[:, lane] = scaling.fields(channel)
        order = [0]
        if scaling.shifts_left:
            order.append(3)
        order.append(1)
        if scaling.corrects:
            order.append(scaling.field_count - 1)
        order.append(2)
        return (fields[order] & 0xFFFFFFFF).astype("<u4").tobytes()
