"""Expands rows so that one multiplication computes two positions.

A plane is a channel of every `stride`-th row; its word `q` is the cell `q` plus 2^23 times the
cell `q + 4` (2^24 times -128 would leave no room for a negative cell). SMLAL then accumulates the
products of both in two fields of 64 bits. Rows outside the input hold the zero point; where a tile
of a plane reaches beyond the input, its rows are first copied next to rows of zero points.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from edgeprune.firmware.kernels.assembler import Assembler
from edgeprune.firmware.kernels.dsp.emission import add_constant, bytes_of, load_constant
from edgeprune.network.convolution import OverLength

FIELD = 23
"""Bits of the sum that shares a 64-bit accumulator with the other."""

SPLIT = 4
"""Positions between the two that share a word."""

BLOCK = 2 * SPLIT
"""Positions of a block: four words."""

_MOST_OFFSET = 4095
_LOW, _HIGH = ("r4", "r5", "r6", "r7"), ("r8", "r9", "r10", "r11")


@dataclass(frozen=True, eq=False)
class Planes:
    """The planes that a convolution reads.

    Attributes:
        operation: The convolution.
        rows: Length of the input.
        channels: Channels of the input.
        zero_point: Of the input.
        tile: Words of a plane that are made at once, a power of two.
        blocks: Blocks of positions in a chunk, for which there is room.
    """

    operation: OverLength
    rows: int
    channels: int
    zero_point: int
    tile: int
    blocks: int

    @cached_property
    def taps(self) -> tuple[tuple[int, int], ...]:
        """Of each kernel index, its phase and its first word."""
        kernel, stride = self.operation.sliding.kernel, self.operation.stride
        places = (divmod(tap * self.operation.dilation, stride) for tap in range(kernel))
        return tuple((phase, word) for word, phase in places)

    @cached_property
    def phases(self) -> tuple[int, ...]:
        """The rows below the stride at which taps begin."""
        return tuple(sorted({phase for phase, _ in self.taps}))

    @property
    def extra(self) -> int:
        """Words that a chunk reads beyond eight for each block; negative if it reads less."""
        return max(word for _, word in self.taps) - SPLIT

    def tiles(self, blocks: int) -> int:
        """Tiles of each plane for so many blocks."""
        return -(-(BLOCK * blocks + self.extra) // self.tile)

    @property
    def words(self) -> int:
        """Words of a plane."""
        return self.tiles(self.blocks) * self.tile

    @property
    def tile_rows(self) -> int:
        """Rows of the input that a tile reads, from its first on."""
        return (self.tile + SPLIT - 1) * self.operation.stride + self.phases[-1] + 1

    @property
    def staging_bytes(self) -> int:
        """Room for the rows of a tile at the input's edge."""
        return -(-self.tile_rows * self.channels // 16) * 16

    @property
    def plane_bytes(self) -> int:
        """Bytes of all planes."""
        return 4 * self.words * self.channels * len(self.phases)

    def offset(self, tap: int, channel: int) -> int:
        """Return where a block's first word for a weight lies, in bytes from the first plane."""
        phase, word = self.taps[tap]
        plane = self.phases.index(phase) * self.channels + channel
        return 4 * (plane * self.words + word)

    def emit(self, asm: Assembler, starts: list[tuple[int, int]]) -> None:
        """Write the expansion of a chunk.

        r0: the first row, which may be negative; r1: its address, if it existed; r2: where the
        planes go; r3: room for a tile's rows; lr: tiles. All registers are overwritten and three
        words are pushed meanwhile.

        Args:
            asm: Where it is written.
            starts: Of each chunk of the whole output, the first row and the tiles.
        """
        step = self.tile * self.operation.stride
        rows = [row + step * tile for row, tiles in starts for tile in range(tiles)]
        inside = [row >= 0 and row + self.tile_rows <= self.rows for row in rows]
        count = len(rows)
        loop, copied = asm.label("tile"), asm.label("copied")
        asm.place(loop)
        with asm.repeated(count):
            asm.emit("push.w {r0, r1, r2, r3, lr}", "mov.w r12, r1")
            # A negative row is a large one here.
            load_constant(asm, "r4", max(self.rows - self.tile_rows + 1, 0))
            asm.emit("cmp r0, r4", f"blo.w {copied}")
        self._copy(asm, [row for row, fits in zip(rows, inside, strict=True) if not fits])
        asm.place(copied)
        for phase in self.phases:
            self._phase(asm, phase, count)
        with asm.repeated(count):
            asm.emit("pop.w {r0, r1, r2, r3, lr}")
            add_constant(asm, "r0", step, "r4")
            add_constant(asm, "r1", step * self.channels, "r4")
            asm.emit(f"addw r2, r2, #{4 * self.tile}", "subs.w lr, lr, #1", f"bgt.w {loop}")

    def _copy(self, asm: Assembler, rows: list[int]) -> None:
        """Fill the room with the zero point and copy the rows that exist; r12 becomes the room."""
        fill, channels, count = asm.label("fill"), self.channels, len(rows)
        with asm.repeated(count):
            asm.emit("mov.w r12, r3")
            load_constant(asm, "r5", bytes_of(self.zero_point))
            load_constant(asm, "r6", self.staging_bytes // 16)
            asm.emit("mov.w r7, r5", "mov.w r8, r5", "mov.w r9, r5")
            asm.place(fill)
            with asm.repeated(self.staging_bytes // 16):
                asm.emit("stmia r3!, {r5, r7, r8, r9}", "subs.w r6, r6, #1", f"bne.w {fill}")
            # r4: rows before the input; r5: bytes that exist.
            asm.emit("rsb.w r4, r0, #0", "bic.w r4, r4, r4, asr #31")
            load_constant(asm, "r5", self.rows)
            load_constant(asm, "r6", self.tile_rows)
            asm.emit("sub.w r5, r5, r0", "cmp r5, r6", "it gt", "movgt r5, r6")
            asm.emit("sub.w r5, r5, r4")
            load_constant(asm, "r6", channels)
            asm.emit("mla r7, r4, r6, r12", "mla r8, r4, r6, r1", "mul r5, r5, r6")
        sizes = [self._existing(row) * channels for row in rows]
        # A row outside leaves a negative rest, which every comparison skips.
        for size, stem in ((16, "quads"), (4, "words"), (1, "bytes")):
            again, past = asm.label(stem), asm.label("past")
            with asm.repeated(count):
                asm.emit(f"subs.w r5, r5, #{size}", f"blt.w {past}")
            asm.place(again)
            with asm.repeated(sum(each // size for each in sizes)):
                for _ in range(-(-size // 4)):
                    suffix, width = ("", 4) if size > 1 else ("b", 1)
                    asm.emit(f"ldr{suffix} r9, [r8], #{width}", f"str{suffix} r9, [r7], #{width}")
                asm.emit(f"subs.w r5, r5, #{size}", f"bge.w {again}")
            asm.place(past)
            sizes = [each % size for each in sizes]
            with asm.repeated(count):
                asm.emit(f"add.w r5, r5, #{size}")

    def _existing(self, row: int) -> int:
        """Return how many rows of the tile that begins at a row lie in the input."""
        return max(min(self.rows - row, self.tile_rows) - max(-row, 0), 0)

    def _phase(self, asm: Assembler, phase: int, count: int) -> None:
        """Write one tile of every channel's plane of one phase, from the rows at r12."""
        loop, channels = asm.label("plane"), self.channels
        step = self.operation.stride * channels
        with asm.repeated(count):
            asm.emit("mov.w r1, r12")
            add_constant(asm, "r1", phase * channels, "r3")
            if channels > 1:
                load_constant(asm, "r0", channels)
        asm.place(loop)
        with asm.repeated(count * channels):
            far = step * (self.tile + SPLIT - 1) > _MOST_OFFSET
            if far:
                asm.emit("mov.w r3, r1")
            self._load(asm, _LOW, 0, far)
            low, high = _LOW, _HIGH
            for first in range(0, self.tile, SPLIT):
                self._load(asm, high, first + SPLIT, far)
                for one, other in zip(low, high, strict=True):
                    asm.emit(f"add.w {one}, {one}, {other}, lsl #{FIELD}")
                asm.emit(f"stmia r2!, {{{', '.join(low)}}}")
                low, high = high, low
            add_constant(asm, "r2", 4 * (self.words - self.tile), "lr")
            if channels > 1:
                asm.emit("add.w r1, r1, #1", "subs.w r0, r0, #1", f"bne.w {loop}")

    def _load(self, asm: Assembler, registers: tuple[str, ...], first: int, far: bool) -> None:
        step = self.operation.stride * self.channels
        for index, register in enumerate(registers, first):
            if far:
                asm.emit(f"ldrsb.w {register}, [r3]")
                add_constant(asm, "r3", step, "lr")
            else:
                asm.emit(f"ldrsb.w {register}, [r1, #{index * step}]")
