"""Maximum and average pools on their own, in Helium: lanes are channels."""

from __future__ import annotations

from edgeprune.firmware.kernels.assembler import Assembler
from edgeprune.firmware.kernels.code import KernelCode, KernelRequest
from edgeprune.firmware.kernels.mve.emission import (
    SAVED_BYTES,
    add_constant,
    function,
    set_constant,
    vectors_in,
)
from edgeprune.firmware.kernels.mve.scaling import clamp_bytes
from edgeprune.network import AveragePool1d, MaxPool1d

# Rows that one pass of a maximum pool reads: as many pointers as there are registers.
_PASS = 5
_POINTERS = ("r4", "r5", "r6", "r7", "r8")
# A 16-bit lane sums at most 255 int8 values.
_MOST_CELLS = 255


def max_pool(request: KernelRequest) -> tuple[KernelCode, ...]:
    """Return the kernel for a maximum pool on its own, sixteen channels at once.

    A row in the padding is replaced by the nearest row of the input, which is in the window too:
    that changes no maximum.
    """
    operation = request.operations[0]
    if len(request.operations) > 1 or not isinstance(operation, MaxPool1d):
        return ()
    asm = Assembler(request.symbol)
    length, channels = request.source.shape
    positions = request.output.shape[0]
    left, _ = operation.padding
    beyond = (positions - 1) * operation.stride - left + operation.kernel > length
    with function(asm):
        # r0: input, r1: first row, r3: channels, r9: positions left, r10: last row.
        _begin(asm, operation.stride, left, channels)
        set_constant(asm, "r10", length - 1)
        body = asm.label("position")
        asm.place(body)
        with asm.repeated(positions):
            for begin in range(0, operation.kernel, _PASS):
                rows = range(begin, min(begin + _PASS, operation.kernel))
                for row, pointer in zip(rows, _POINTERS, strict=False):
                    add_constant(asm, "r11", row, "r12", "r1")
                    if left > row:
                        asm.emit("cmp r11, #0", "it lt", "movlt r11, #0")
                    if beyond:
                        asm.emit("cmp r11, r10", "it gt", "movgt r11, r10")
                    asm.emit(f"mla {pointer}, r11, r3, r0")
                last = rows.stop == operation.kernel
                clamp = (operation.clamp_low, operation.clamp_high) if last else (-128, 127)
                _pass(asm, _POINTERS[: len(rows)], channels, clamp, continues=begin > 0)
            asm.emit("add r2, r2, r3")
            add_constant(asm, "r1", operation.stride, "r12")
            asm.emit("subs r9, r9, #1", f"bne {body}")
    # Row p is written when everything that is still to be read lies in rows behind it.
    return (_code(asm, "Helium, 16 channels at once", left == 0),)


def _begin(asm: Assembler, stride: int, left: int, channels: int) -> None:
    asm.emit(f"ldrd r4, r9, [sp, #{SAVED_BYTES}]")
    set_constant(asm, "r3", channels)
    set_constant(asm, "r5", stride)
    asm.emit("mla r2, r4, r3, r2", "mul r1, r4, r5")
    add_constant(asm, "r1", -left, "r5")


def _pass(
    asm: Assembler,
    pointers: tuple[str, ...],
    channels: int,
    clamp: tuple[int, int],
    *,
    continues: bool,
) -> None:
    """Emit the maximum of some rows, and of what was written before if it `continues`."""
    loop, done = asm.label("channel"), asm.label("done")
    asm.emit("mov r12, r2", f"wlstp.8 lr, r3, {done}")
    asm.place(loop)
    with asm.repeated(vectors_in(channels)):
        asm.emit(f"vldrb.u8 q0, [{pointers[0]}], #16")
        for pointer in pointers[1:]:
            asm.emit(f"vldrb.u8 q1, [{pointer}], #16", "vmax.s8 q0, q0, q1")
        if continues:
            asm.emit("vldrb.u8 q1, [r12]", "vmax.s8 q0, q0, q1")
        clamp_bytes(asm, "q0", "q1", clamp)
        asm.emit("vstrb.8 q0, [r12], #16", f"letp lr, {loop}")
    asm.place(done)


def average_pool(request: KernelRequest) -> tuple[KernelCode, ...]:
    """Return the kernel for an average pool on its own, eight channels at once.

    A mean is the sum's magnitude plus half of the cells, divided by multiplying: with
    m = ceil(2^31 / cells), floor(2 n m / 2^32) is floor(n / cells) while n * cells < 2^31.
    """
    operation = request.operations[0]
    if len(request.operations) > 1 or not isinstance(operation, AveragePool1d):
        return ()
    length, channels = request.source.shape
    if min(operation.kernel, length) > _MOST_CELLS:
        return ()
    asm = Assembler(request.symbol)
    positions = request.output.shape[0]
    left, _ = operation.padding
    cells = operation.sliding.valid_cells(length)
    full, rest = divmod(channels, 8)
    with function(asm):
        _begin(asm, operation.stride, left, channels)
        body = asm.label("position")
        asm.place(body)
        with asm.repeated(positions):
            # r4: first cell, r6: cells, r7: half of them, r8: the factor that divides.
            asm.emit("mov r4, r1")
            add_constant(asm, "r6", operation.kernel, "r12", "r1")
            set_constant(asm, "r12", length)
            asm.emit("cmp r6, r12", "it gt", "movgt r6, r12", "cmp r4, #0", "it lt")
            asm.emit("movlt r4, #0", "sub r6, r6, r4", "mla r4, r4, r3, r0", "lsr r7, r6, #1")
            asm.emit("mvn r8, #0x80000000", "udiv r8, r8, r6", "add r8, r8, #1", "mov r5, r2")
            if full > 1:
                set_constant(asm, "r11", full)
        means = _Means(asm, operation, int(cells.sum()), positions)
        if full:
            means.emit(full, masked=False)
        if rest:
            with asm.repeated(positions):
                set_constant(asm, "r12", rest)
                asm.emit("vctp.16 r12")
            means.emit(1, masked=True)
        with asm.repeated(positions):
            asm.emit("add r2, r2, r3")
            add_constant(asm, "r1", operation.stride, "r12")
            asm.emit("subs r9, r9, #1", f"bne {body}")
    return (_code(asm, "Helium, 8 channels at once", False),)


class _Means:
    """The means of eight channels: r4 reads, r5 writes."""

    def __init__(
        self, asm: Assembler, operation: AveragePool1d, cells: int, positions: int
    ) -> None:
        self._asm, self._operation = asm, operation
        self._cells, self._positions = cells, positions

    def emit(self, groups: int, *, masked: bool) -> None:
        """Emit some groups of eight channels, the last of which may be `masked` by P0."""
        asm, operation = self._asm, self._operation
        body, loop = asm.label("channels"), asm.label("cell")
        prefix, suffix = (("vpst",), "t") if masked else ((), "")
        asm.place(body)
        runs = groups * self._positions
        with asm.repeated(runs):
            asm.emit("vmov.i32 q0, #0", "mov r12, r4", "dls lr, r6")
        asm.place(loop)
        with asm.repeated(groups * self._cells):
            asm.emit(*prefix, f"vldrb{suffix}.s16 q1, [r4]", "vadd.i16 q0, q0, q1")
            asm.emit("add r4, r4, r3", f"le lr, {loop}")
        with asm.repeated(runs):
            if masked:
                asm.emit("vmrs r10, p0")
            for target, half in (("q1", "b"), ("q2", "t")):
                asm.emit(f"vmovl{half}.s16 {target}, q0", f"vabs.s32 q3, {target}")
                asm.emit("vadd.i32 q3, q3, r7", "vshl.i32 q3, q3, #1", "vdup.32 q4, r8")
                asm.emit("vmulh.u32 q3, q3, q4", f"vpt.s32 lt, {target}, zr", "vnegt.s32 q3, q3")
                asm.emit(f"vmov {target}, q3")
            asm.emit("vmovnt.i32 q1, q2")
            clamp_bytes(asm, "q1", "q2", (operation.clamp_low, operation.clamp_high))
            if masked:
                asm.emit("vmsr p0, r10", "vpst", "vstrbt.16 q1, [r5]")
            else:
                asm.emit("vstrb.16 q1, [r5], #8")
                asm.emit("add r4, r12, #8")
            if groups > 1:
                asm.emit("subs r11, r11, #1", f"bne {body}")


def _code(asm: Assembler, approach: str, in_place: bool) -> KernelCode:
    return KernelCode(
        symbol=asm.symbol,
        text=asm.text,
        constants=b"",
        scratch_bytes=0,
        stack_bytes=SAVED_BYTES,
        instructions=asm.instructions,
        code_bytes=asm.code_bytes,
        approach=approach,
        unit=1,
        overwrites_input=in_place,
    )
