"""Maximum and average pools, four channels at a time."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from edgeprune.firmware.kernels.assembler import Assembler
from edgeprune.firmware.kernels.code import KernelCode, KernelRequest
from edgeprune.firmware.kernels.dsp.emission import (
    SAVED_BYTES,
    add_constant,
    bytes_of,
    clamp_bytes,
    enter,
    leave,
    load_constant,
)
from edgeprune.network import AveragePool1d, MaxPool1d
from edgeprune.network.pool import PoolOverLength

_LOADS = {4: "ldr.w", 2: "ldrh.w", 1: "ldrb.w"}
_STORES = {4: "str.w", 2: "strh.w", 1: "strb.w"}
_MOST_OFFSET = 4095
_MOST_TAPS = 16
_MOST_RUNS = 12
_MOST_UNROLLED = 1500
# Sums of so many int8 fit an int16.
_MOST_HALVES = 256


@dataclass(frozen=True)
class _Run:
    """Output rows `start .. end - 1`, whose windows hold the same cells `low .. high - 1`."""

    start: int
    end: int
    low: int
    high: int

    @property
    def cells(self) -> int:
        return self.high - self.low


@dataclass(frozen=True, eq=False)
class _Shape:
    operation: PoolOverLength
    length: int
    channels: int
    rows: int

    @property
    def runs(self) -> tuple[_Run, ...]:
        """The output rows, grouped by the cells that lie in the input."""
        operation = self.operation

        def cells(row: int) -> tuple[int, int]:
            begin = row * operation.stride - operation.padding[0]
            return max(-begin, 0), min(self.length - begin, operation.kernel)

        runs = []
        for (low, high), rows in groupby(range(self.rows), cells):
            members = list(rows)
            runs.append(_Run(members[0], members[-1] + 1, low, high))
        return tuple(runs)

    @property
    def averages(self) -> bool:
        return isinstance(self.operation, AveragePool1d)

    def pieces(self, first: int = 0) -> list[tuple[int, int]]:
        """Offset and width of what is loaded at once, from a channel on."""
        pieces = [(offset, 4) for offset in range(first, self.channels - 3, 4)]
        rest = first + 4 * len(pieces)
        for width in (2, 1):
            if rest + width <= self.channels:
                pieces.append((rest, width))
                rest += width
        return pieces


def generate_pool(request: KernelRequest) -> tuple[KernelCode, ...]:
    """Write a maximum or an average pool: with unrolled taps, and in a loop over them."""
    (operation,) = request.operations if len(request.operations) == 1 else (None,)
    if not isinstance(operation, MaxPool1d | AveragePool1d):
        return ()
    length, channels = request.source.shape
    shape = _Shape(operation, length, channels, request.output.shape[0])
    candidates = []
    unrolled = (
        operation.kernel <= _MOST_TAPS
        and len(shape.runs) <= _MOST_RUNS
        and operation.kernel * channels <= _MOST_OFFSET
    )
    if unrolled:
        words = sum(run.cells for run in shape.runs) * len(shape.pieces())
        if words * 12 <= _MOST_UNROLLED:
            candidates.append(_Unrolled(request, shape, loops=False).code())
        if channels >= 8:
            candidates.append(_Unrolled(request, shape, loops=True).code())
    if not candidates:
        candidates.append(_Looping(request, shape).code())
    return tuple(candidates)


class _Writer:
    """What both ways share.

    r0 is the input, r4 the row, r5 the row after the last, r6 and r7 point into input and output,
    r10 and r11 hold the clamp's bounds.
    """

    approach = ""

    def __init__(self, request: KernelRequest, shape: _Shape) -> None:
        self.request, self.shape, self.asm = request, shape, Assembler(request.symbol)
        self.operation = shape.operation
        self.low = "r10" if self.operation.clamp_low > -128 else ""
        self.high = "r11" if self.operation.clamp_high < 127 else ""

    def code(self) -> KernelCode:
        asm, shape = self.asm, self.shape
        enter(asm)
        asm.emit(f"ldrd r4, r5, [sp, #{SAVED_BYTES}]", "add.w r5, r5, r4")
        load_constant(asm, "r3", shape.channels)
        asm.emit("mla r7, r4, r3, r2")
        for register, bound in (
            (self.low, self.operation.clamp_low),
            (self.high, self.operation.clamp_high),
        ):
            if register:
                load_constant(asm, register, bytes_of(bound))
        self.rows()
        leave(asm)
        return KernelCode(
            symbol=self.request.symbol,
            text=asm.text,
            constants=b"",
            scratch_bytes=0,
            stack_bytes=SAVED_BYTES,
            instructions=asm.instructions,
            code_bytes=asm.code_bytes,
            approach=self.approach,
            slower=self.slower,
            unit=1,
            overwrites_input=self.operation.padding[0] == 0,
        )

    @property
    def slower(self) -> str:
        return ""

    def rows(self) -> None:
        raise NotImplementedError


class _Unrolled(_Writer):
    """Every tap in a row, a piece of code for each kind of window."""

    def __init__(self, request: KernelRequest, shape: _Shape, *, loops: bool) -> None:
        super().__init__(request, shape)
        self.loops = loops
        self.approach = "unrolled taps" + (", a loop over channels" if loops else " and channels")

    def rows(self) -> None:
        asm, shape, operation = self.asm, self.shape, self.operation
        step = operation.stride * shape.channels
        for run in shape.runs:
            again, done = asm.label("row"), asm.label("after")
            load_constant(asm, "lr", run.end)
            asm.emit("cmp lr, r5", "it gt", "movgt lr, r5", "cmp r4, lr", f"bge.w {done}")
            load_constant(asm, "r3", step)
            asm.emit("mla r6, r4, r3, r0")
            add_constant(asm, "r6", (run.low - operation.padding[0]) * shape.channels, "r3")
            self.prepare(run.cells)
            asm.place(again)
            with asm.repeated(run.end - run.start):
                self.row(run.cells, step)
                asm.emit("add.w r4, r4, #1", "cmp r4, lr", f"blt.w {again}")
            asm.place(done)

    def row(self, cells: int, step: int) -> None:
        asm, channels = self.asm, self.shape.channels
        looped = channels // 4 * 4 if self.loops else 0
        if looped:
            inner = asm.label("channels")
            load_constant(asm, "r12", looped // 4)
            asm.place(inner)
            with asm.repeated(looped // 4):
                self.piece(cells, 0, 4)
                asm.emit("add.w r6, r6, #4", "add.w r7, r7, #4")
                asm.emit("subs.w r12, r12, #1", f"bne.w {inner}")
        for offset, width in self.shape.pieces(looped):
            self.piece(cells, offset - looped, width)
        add_constant(asm, "r6", step - looped, "r3")
        add_constant(asm, "r7", channels - looped, "r3")

    def prepare(self, cells: int) -> None:
        if self.shape.averages and cells > 1:
            # Slightly more than 2^32 / cells: a half below zero then rounds away from zero.
            double = 2 if cells == 2 else 1
            load_constant(self.asm, "r8", 2**32 // (cells * double) + 1)
            load_constant(self.asm, "r9", 0x8000)

    def piece(self, cells: int, offset: int, width: int) -> None:
        asm = self.asm
        at = [f"[r6, #{cell * self.shape.channels + offset}]" for cell in range(cells)]
        load = _LOADS[width]
        if not self.shape.averages or cells == 1:
            asm.emit(f"{load} r1, {at[0]}")
            for each in at[1:]:
                asm.emit(f"{load} r3, {each}", "ssub8 r8, r3, r1", "sel r1, r3, r1")
        else:
            self.average(cells, [f"{load} r1, {each}" for each in at], width)
        clamp_bytes(asm, "r1", self.low, self.high, "r3")
        asm.emit(f"{_STORES[width]} r1, [r7, #{offset}]")

    def average(self, cells: int, loads: list[str], width: int) -> None:
        """Add up even and odd bytes as halves and divide them into r1, through r2 and r3."""
        asm = self.asm
        halves = ((0, "r3"), (8, "r2")) if width > 1 else ((0, "r3"),)
        for index, load in enumerate(loads):
            asm.emit(load)
            for rotated, total in halves:
                turn = f", ror #{rotated}" if rotated else ""
                if index:
                    asm.emit(f"sxtab16 {total}, {total}, r1{turn}")
                else:
                    asm.emit(f"sxtb16 {total}, r1{turn}")
        for _, total in halves:
            if cells == 2:
                asm.emit(f"sadd16 {total}, {total}, {total}")
            if width == 4:
                asm.emit(f"smlawb r1, r8, {total}, r9", f"smlawt {total}, r8, {total}, r9")
                asm.emit(f"pkhtb {total}, {total}, r1, asr #16", f"uxtb16 {total}, {total}")
            else:
                asm.emit(f"smlawb {total}, r8, {total}, r9")
                asm.emit(f"ubfx {total}, {total}, #16, #8")
        if width > 1:
            asm.emit("orr.w r1, r3, r2, lsl #8")
        else:
            asm.emit("mov.w r1, r3")


class _Looping(_Writer):
    """A loop over the cells of each window, however many: r8 counts them."""

    approach = "a loop over taps"

    @property
    def slower(self) -> str:
        if self.wide:
            return f"sums over {self.operation.kernel} cells do not fit 16 bits"
        return "the window is too large or takes too many forms to be unrolled"

    @property
    def wide(self) -> bool:
        return self.shape.averages and self.operation.kernel > _MOST_HALVES

    def rows(self) -> None:
        asm, shape, operation = self.asm, self.shape, self.operation
        channels, rows = shape.channels, shape.rows
        cells = sum(run.cells * (run.end - run.start) for run in shape.runs)
        width = 1 if self.wide else 4
        looped = channels // width * width
        again, inner = asm.label("row"), asm.label("channels")
        asm.place(again)
        with asm.repeated(rows):
            load_constant(asm, "r3", operation.stride)
            asm.emit("mul r1, r4, r3")
            add_constant(asm, "r1", -operation.padding[0], "r3")
            load_constant(asm, "r3", operation.kernel)
            asm.emit("add.w r8, r1, r3")
            load_constant(asm, "r3", shape.length)
            asm.emit("cmp r8, r3", "it gt", "movgt r8, r3")
            asm.emit("bic.w r1, r1, r1, asr #31", "sub.w r8, r8, r1")
            load_constant(asm, "r3", channels)
            asm.emit("mla r6, r1, r3, r0")
            if looped:
                load_constant(asm, "r9", looped // width)
        if looped:
            asm.place(inner)
            self.piece(0, width, rows * looped // width, cells * looped // width)
            with asm.repeated(rows * looped // width):
                asm.emit(f"add.w r6, r6, #{width}", f"add.w r7, r7, #{width}")
                asm.emit("subs.w r9, r9, #1", f"bne.w {inner}")
        for offset, size in shape.pieces(looped):
            self.piece(offset - looped, size, rows, cells)
        with asm.repeated(rows):
            add_constant(asm, "r7", channels - looped, "r3")
            asm.emit("add.w r4, r4, #1", "cmp r4, r5", f"blt.w {again}")

    def piece(self, offset: int, width: int, times: int, cells: int) -> None:
        """Compute one piece of a row: `times` times in all, over `cells` cells in all."""
        asm, averages = self.asm, self.shape.averages
        again = asm.label("cell")
        start = 0 if averages else bytes_of(-128)
        with asm.repeated(times):
            asm.emit(f"add.w r1, r6, #{offset}", "mov.w r12, r8")
            load_constant(asm, "r3", start)
            if averages:
                load_constant(asm, "lr", 0)
        asm.place(again)
        with asm.repeated(cells):
            asm.emit(f"{'ldrsb.w' if self.wide else _LOADS[width]} r2, [r1]")
            left = self.shape.channels
            while left:
                asm.emit(f"addw r1, r1, #{min(left, _MOST_OFFSET)}")
                left -= min(left, _MOST_OFFSET)
            if self.wide:
                asm.emit("add.w r3, r3, r2")
            elif averages:
                asm.emit("sxtab16 r3, r3, r2", "sxtab16 lr, lr, r2, ror #8")
            else:
                asm.emit("ssub8 lr, r3, r2", "sel r3, r3, r2")
            asm.emit("subs.w r12, r12, #1", f"bne.w {again}")
        with asm.repeated(times):
            if averages:
                self.divide(width)
            clamp_bytes(asm, "r3", self.low, self.high, "lr")
            asm.emit(f"{_STORES[width]} r3, [r7, #{offset}]")

    def divide(self, width: int) -> None:
        """Divide the sums in r3, or in the halves of r3 and lr, and pack the means into r3."""
        asm = self.asm
        places = ["sxth r1, r3", "sxth r1, lr", "asr.w r1, r3, #16", "asr.w r1, lr, #16"][:width]
        for index, place in enumerate(["mov.w r1, r3"] if self.wide else places):
            asm.emit(place, "lsr.w r2, r8, #1", "cmp r1, #0", "it lt", "rsblt r2, r2, #0")
            asm.emit("add.w r1, r1, r2", "sdiv r1, r1, r8")
            asm.emit("mov.w r12, r1" if index == 0 else f"bfi r12, r1, #{8 * index}, #8")
        asm.emit("mov.w r3, r12")
