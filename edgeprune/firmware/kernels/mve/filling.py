"""Brings a stretch of a group's input into the scratch memory, padded with the zero point.

Nothing outside the input is read: the loops end at the last byte by tail predication.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgeprune.firmware.kernels.assembler import Assembler
from edgeprune.firmware.kernels.mve.emission import add_constant, set_constant, vectors_in
from edgeprune.firmware.kernels.mve.geometry import Layout, Windowed


@dataclass(frozen=True)
class Stretch:
    """The cells of one chunk: how many lie before the input, in it and behind it."""

    before: int
    inside: int
    behind: int

    @property
    def cells(self) -> int:
        """All of them."""
        return self.before + self.inside + self.behind


def stretches(shape: Windowed, chunks: tuple[int, ...]) -> tuple[Stretch, ...]:
    """Return the cells that chunks of so many outputs read, one after the other."""
    found = []
    start = -shape.pad_left
    for count in chunks:
        cells = chunk_cells(shape, count)
        before = min(max(-start, 0), cells)
        inside = min(max(shape.length - start - before, 0), cells - before)
        found.append(Stretch(before, inside, cells - before - inside))
        start += count * shape.advance
    return tuple(found)


def chunk_cells(shape: Windowed, outputs: int) -> int:
    """Return how many cells so many outputs read."""
    return outputs * shape.advance + shape.span - shape.stride


class Filling:
    """The code that fills the scratch memory for one chunk and one group.

    Args:
        shape: The convolution.
        layout: Where cells go.
        chunks: Outputs of every chunk of the whole.
    """

    def __init__(self, shape: Windowed, layout: Layout, chunks: tuple[int, ...]) -> None:
        self._shape, self._layout = shape, layout
        self._stretches = stretches(shape, chunks)
        self._flat = shape.groups == 1 and layout.pitch == shape.depth
        # A flat copy counts bytes, the others count cells.
        self._unit = shape.channels if self._flat else 1

    @property
    def cell_bytes(self) -> int:
        """Bytes that a cell takes."""
        return self._layout.pitch

    def emit(self, asm: Assembler, *, count: str, start: str, source: str, scratch: str) -> None:
        """Emit it. Every register but sp is overwritten.

        Args:
            asm: Where to.
            count: Address of the chunk's outputs.
            start: Address of its first cell.
            source: Address of the pointer to the group's first channel.
            scratch: Address of the pointer to the scratch memory.
        """
        shape, unit = self._shape, self._unit
        runs = shape.groups * len(self._stretches)
        with asm.repeated(runs):
            asm.emit(f"ldr r0, {start}", f"ldr r2, {count}", f"ldr r1, {scratch}")
            set_constant(asm, "r4", shape.advance)
            asm.emit("mul r2, r2, r4")
            add_constant(asm, "r2", shape.span - shape.stride, "r4")
            if unit > 1:
                set_constant(asm, "r4", unit)
                asm.emit("mul r0, r0, r4", "mul r2, r2, r4")
            asm.emit(f"vmov.i8 q0, #{shape.source_zero & 0xFF}")
            # r4: what lies before the input, r6: in it, r2: behind it.
            asm.emit("rsbs r4, r0, #0", "it lt", "movlt r4, #0", "cmp r4, r2", "it gt")
            asm.emit("movgt r4, r2", "add r0, r0, r4", "sub r2, r2, r4")
            set_constant(asm, "r6", shape.length * unit)
            asm.emit("subs r6, r6, r0", "it lt", "movlt r6, #0", "cmp r6, r2", "it gt")
            asm.emit("movgt r6, r2", "sub r2, r2, r6", f"ldr r8, {source}")
            if self._flat:
                asm.emit("add r8, r8, r0")
            else:
                set_constant(asm, "r10", shape.channels)
                asm.emit("mla r8, r0, r10, r8")
        self._pad(asm, "r4", [each.before for each in self._stretches])
        if self._flat:
            self._copy_flat(asm)
        elif shape.depth == 1 and self._layout.pitch == 1:
            self._copy_column(asm)
        else:
            self._copy_rows(asm)
        self._pad(asm, "r2", [each.behind for each in self._stretches])

    def _pad(self, asm: Assembler, count: str, cells: list[int]) -> None:
        """Write padding for so many units and move r1 behind it."""
        shape, pitch = self._shape, self._layout.pitch
        if not self._flat and pitch > 1:
            with asm.repeated(shape.groups * len(cells)):
                set_constant(asm, "r11", pitch)
                asm.emit(f"mul r11, {count}, r11")
            count = "r11"
        loop, done = asm.label("pad"), asm.label("padded")
        with asm.repeated(shape.groups * len(cells)):
            asm.emit("mov r12, r1", f"wlstp.8 lr, {count}, {done}")
            asm.place(loop)
        with asm.repeated(shape.groups * sum(vectors_in(each * pitch) for each in cells)):
            asm.emit("vstrb.8 q0, [r12], #16", f"letp lr, {loop}")
        asm.place(done)
        with asm.repeated(shape.groups * len(cells)):
            asm.emit(f"add r1, r1, {count}")

    def _copy_flat(self, asm: Assembler) -> None:
        loop, done = asm.label("copy"), asm.label("copied")
        cells = [each.inside for each in self._stretches]
        with asm.repeated(len(cells)):
            asm.emit("mov r12, r1", f"wlstp.8 lr, r6, {done}")
            asm.place(loop)
        with asm.repeated(sum(vectors_in(each * self._unit) for each in cells)):
            asm.emit("vldrb.8 q1, [r8], #16", "vstrb.8 q1, [r12], #16", f"letp lr, {loop}")
        asm.place(done)
        with asm.repeated(len(cells)):
            asm.emit("add r1, r1, r6")

    def _copy_column(self, asm: Assembler) -> None:
        """One channel of several: gathered, eight cells at a time."""
        shape = self._shape
        loop, done = asm.label("copy"), asm.label("copied")
        runs = shape.groups * len(self._stretches)
        with asm.repeated(runs):
            asm.emit("mov r12, #0", "vidup.u16 q2, r12, #1", "vmul.i16 q2, q2, r10")
            set_constant(asm, "r10", 8 * shape.channels)
            asm.emit("mov r5, r1", f"wlstp.16 lr, r6, {done}")
            asm.place(loop)
        with asm.repeated(shape.groups * sum(-(-each.inside // 8) for each in self._stretches)):
            asm.emit("vldrb.u16 q1, [r8, q2]", "add r8, r8, r10", "vstrb.16 q1, [r5], #8")
            asm.emit(f"letp lr, {loop}")
        asm.place(done)
        with asm.repeated(runs):
            asm.emit("add r1, r1, r6")

    def _copy_rows(self, asm: Assembler) -> None:
        """Cell by cell; r10 is what the input's cells are apart."""
        shape, pitch = self._shape, self._layout.pitch
        loop, done = asm.label("copy"), asm.label("copied")
        runs = shape.groups * len(self._stretches)
        full, rest = divmod(shape.depth, 16)
        with asm.repeated(runs):
            if rest:
                asm.emit(f"mov r12, #{rest}", "vctp.8 r12")
            asm.emit(f"wls lr, r6, {done}")
            asm.place(loop)
        with asm.repeated(shape.groups * sum(each.inside for each in self._stretches)):
            if full:
                asm.emit("mov r5, r8", "mov r12, r1")
                for _ in range(full):
                    asm.emit("vldrb.8 q1, [r5], #16", "vstrb.8 q1, [r12], #16")
            if rest:
                read, write = ("r5", "r12") if full else ("r8", "r1")
                asm.emit("vpstt", f"vldrbt.8 q1, [{read}]", f"vstrbt.8 q1, [{write}]")
            asm.emit("add r8, r8, r10")
            add_constant(asm, "r1", pitch, "r12")
            asm.emit(f"le lr, {loop}")
        asm.place(done)
