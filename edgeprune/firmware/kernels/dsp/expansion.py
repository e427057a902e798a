"""Expands the rows that a chunk reads to words of 16-bit numbers, and int8 weights likewise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeprune.firmware.kernels.assembler import Assembler
from edgeprune.firmware.kernels.dsp.geometry import LANES, Geometry, Layout, Plane

_MOST_OFFSET, _MOST_POST_INDEX = 4092, 255
_FLIP = 0x80808080
_MASK = 0x01FE01FE
_EVEN = ("r4", "r5", "r6", "r7")
_ODD = ("r8", "r9", "r10", "r11")


def fits(geometry: Geometry) -> bool:
    """Whether all offsets fit into the instructions."""
    rows = LANES * geometry.stride + geometry.operation.dilation
    return rows * geometry.channels <= _MOST_OFFSET


@dataclass(frozen=True)
class Tiles:
    """How many tiles and rows of which kind are expanded when the whole output is computed.

    Attributes:
        loops: Loops over tiles.
        inner: Tiles whose rows all lie in the input.
        edge: Other tiles.
        present: Of each phase, the rows of edge tiles that lie in the input.
    """

    loops: int
    inner: int
    edge: int
    present: tuple[int, ...]

    def __add__(self, other: Tiles) -> Tiles:
        present = zip(self.present, other.present, strict=True)
        return Tiles(
            self.loops + other.loops,
            self.inner + other.inner,
            self.edge + other.edge,
            tuple(mine + its for mine, its in present),
        )


@dataclass(frozen=True, eq=False)
class Expansion:
    """How input bytes become halves of words.

    Doubled, the halves are `2 * (value + 128)` (two instructions for two words) and the biases
    make up for the zero point; otherwise they are `value - zero_point`.

    Attributes:
        geometry: The convolution.
        layout: Of the words.
        zero_point: Of the input.
        doubled: Whether the halves are doubled.
    """

    geometry: Geometry
    layout: Layout
    zero_point: int
    doubled: bool

    @property
    def padding_word(self) -> int:
        """The word of two cells of padding."""
        return 2 * (self.zero_point + 128) * 0x10001 if self.doubled else 0

    def bias(self, channel: int) -> int:
        """Return what a channel's sum begins with."""
        bias = int(self.geometry.operation.bias[channel])
        if self.doubled:
            bias -= (self.zero_point + 128) * self.geometry.weight_sum(channel)
        return bias

    def tiles(self, row: int, count: int) -> Tiles:
        """Count the tiles and cells of `count` tiles, the first of which begins at `row`."""
        shape = self.geometry
        starts = [row + tile * LANES * shape.stride for tile in range(count)]
        edges = [start for start in starts if start < 0 or start + self._last_row >= shape.rows]
        present = tuple(
            sum(
                0 <= start + lane * shape.stride + phase < shape.rows
                for start in edges
                for lane in range(LANES)
            )
            for phase in shape.phases
        )
        return Tiles(1, count - len(edges), len(edges), present)

    @property
    def _last_row(self) -> int:
        """Of a tile, the last row that is read, counted from the first."""
        shape = self.geometry
        rows = (
            plane.phase + (shape.operation.dilation if plane.pairs_taps else 0)
            for plane in shape.planes
        )
        return (LANES - 1) * shape.stride + max(rows)

    def emit(self, asm: Assembler, tiles: Tiles) -> None:
        """Write the loop over tiles, each at least once.

        r0: the first tile's first row, which may be negative. r1: the address of that row's first
        channel, if it existed. r2: where the words go. lr: number of tiles. All registers but
        sp are overwritten.
        """
        shape = self.geometry
        loop, edge, joined = (asm.label(stem) for stem in ("tile", "edge", "joined"))
        with asm.repeated(tiles.loops):
            self._constants(asm)
        with asm.repeated(tiles.inner + tiles.edge):
            asm.place(loop)
            # Negative rows are very large ones here, and the limit below 0 none at all.
            asm.emit(f"movw r12, #{max(shape.rows - self._last_row, 0)}", "cmp r0, r12")
            asm.emit(f"bhs.w {edge}")
        with asm.repeated(tiles.inner):
            at = 0
            for phase in shape.phases:
                self._step(asm, "r1", phase * shape.channels - at)
                at = phase * shape.channels + self._phase(asm, phase)
            self._step(asm, "r1", LANES * shape.stride * shape.channels - at)
            self._step(asm, "r2", self._next_tile)
        with asm.repeated(tiles.inner + tiles.edge):
            asm.place(joined)
            asm.emit(f"addw r0, r0, #{LANES * shape.stride}", "subs.w lr, lr, #1")
            asm.emit(f"bne.w {loop}")
        past = asm.label("expanded")
        with asm.repeated(tiles.loops):
            asm.emit(f"b.w {past}")
        asm.place(edge)
        self._edge(asm, tiles)
        with asm.repeated(tiles.edge):
            asm.emit(f"b.w {joined}")
        asm.place(past)

    @property
    def _next_tile(self) -> int:
        """Bytes from the end of a tile's planes to the next tile."""
        layout = self.layout
        return layout.tile_bytes - len(self.geometry.planes) * layout.plane_bytes

    def _constants(self, asm: Assembler) -> None:
        word = _MASK if self.doubled else ((-self.zero_point) & 0xFFFF) * 0x10001
        asm.emit(f"movw r3, #{word & 0xFFFF}", f"movt r3, #{word >> 16}")

    @staticmethod
    def _step(asm: Assembler, register: str, amount: int) -> None:
        operation, amount = ("addw", amount) if amount > 0 else ("subw", -amount)
        while amount:
            now = min(amount, _MOST_OFFSET)
            asm.emit(f"{operation} {register}, {register}, #{now}")
            amount -= now

    def _in_phase(self, phase: int) -> tuple[int, Plane | None]:
        """Return how many pairs of channels a phase has, and the plane of the one left over."""
        planes = [plane for plane in self.geometry.planes if plane.phase == phase]
        alone = planes[-1] if planes[-1].low == self.geometry.last else None
        return len(planes) - (alone is not None), alone

    def _phase(self, asm: Assembler, phase: int) -> int:
        """Write one phase of a tile; return by how much r1 has moved."""
        shape = self.geometry
        pairs, alone = self._in_phase(phase)
        quads = pairs // 2
        rows = [lane * shape.stride * shape.channels for lane in range(LANES)]
        if quads:
            loop = asm.label("quad")
            if quads > 1:
                asm.emit(f"movw r12, #{quads}")
            with asm.repeated(quads):
                asm.place(loop)
                for register, row in zip(_ODD[1:], rows[1:], strict=True):
                    asm.emit(f"ldr.w {register}, [r1, #{row}]")
                asm.emit(f"ldr {_ODD[0]}, [r1], #4")
                self._quads(asm)
                if quads > 1:
                    asm.emit("subs.w r12, r12, #1", f"bne.w {loop}")
        if pairs % 2:
            for register, row in zip(_EVEN, rows, strict=True):
                asm.emit(f"ldrh.w {register}, [r1, #{row}]")
                self._pair(asm, register)
            self._store_plane(asm, _EVEN)
        if alone is not None:
            for register, row in zip(_EVEN, rows, strict=True):
                self._cells(asm, alone, register, row + 2 * (pairs % 2))
            self._store_plane(asm, _EVEN)
        return 4 * quads

    def _cells(self, asm: Assembler, plane: Plane, register: str, row: int) -> None:
        """The word of a single channel, and of the next tap."""
        shape = self.geometry
        if not plane.pairs_taps:
            self._byte(asm, register, f"[r1, #{row}]")
            return
        further = shape.operation.dilation * shape.channels
        if further == 1:
            asm.emit(f"ldrh.w {register}, [r1, #{row}]")
        else:
            asm.emit(f"ldrb.w {register}, [r1, #{row}]", f"ldrb.w r8, [r1, #{row + further}]")
            asm.emit(f"orr.w {register}, {register}, r8, lsl #8")
        self._pair(asm, register)

    def _quads(self, asm: Assembler) -> None:
        """Four channels of four rows, in r8-r11, to two planes."""
        for even, odd in zip(_EVEN, _ODD, strict=True):
            self._quad(asm, even, odd)
        if self.layout.plane_bytes == 4 * LANES:
            asm.emit(f"stmia r2!, {{{', '.join(_EVEN + _ODD)}}}")
            return
        for registers in (_EVEN, _ODD):
            self._store_plane(asm, registers)

    def _store_plane(self, asm: Assembler, registers: Sequence[str]) -> None:
        """Store four words of a plane and move on to the next plane."""
        asm.emit(f"stmia r2!, {{{', '.join(registers)}}}")
        self._step(asm, "r2", self.layout.plane_bytes - 4 * LANES)

    def _quad(self, asm: Assembler, even: str, odd: str) -> None:
        """Four bytes in `odd` to two words."""
        if self.doubled:
            asm.emit(f"eor {odd}, {odd}, #{_FLIP:#x}", f"and.w {even}, r3, {odd}, lsl #1")
            asm.emit(f"and.w {odd}, r3, {odd}, lsr #7")
        else:
            asm.emit(f"sxtab16 {even}, r3, {odd}", f"sxtab16 {odd}, r3, {odd}, ror #8")

    def _pair(self, asm: Assembler, register: str) -> None:
        """Two bytes, in the low half of a register, to a word."""
        if self.doubled:
            asm.emit(f"orr.w {register}, {register}, {register}, lsl #8")
            asm.emit(f"eor {register}, {register}, #{_FLIP & 0xFF00FF:#x}")
            asm.emit(f"and.w {register}, r3, {register}, lsl #1")
        else:
            asm.emit(f"orr.w {register}, {register}, {register}, lsl #8")
            asm.emit(f"sxtab16 {register}, r3, {register}")

    def _byte(self, asm: Assembler, register: str, place: str) -> None:
        """One byte of memory to the low half of a word; a weight of 0 meets the high half."""
        if self.doubled:
            asm.emit(f"ldrsb.w {register}, {place}", f"add.w {register}, {register}, #128")
            asm.emit(f"lsl.w {register}, {register}, #1")
        else:
            asm.emit(f"ldrsb.w {register}, {place}")
            self._step(asm, register, -self.zero_point)

    def _edge(self, asm: Assembler, tiles: Tiles) -> None:
        """A tile of which some rows lie outside the input, row by row.

        r4: the row; r5: its address; r6: where its words go; r7: the limit; r9: rows left.
        """
        shape = self.geometry
        with asm.repeated(tiles.edge):
            asm.emit(f"movw r7, #{shape.rows}")
        for number, phase in enumerate(shape.phases):
            pairs, alone = self._in_phase(phase)
            loop = asm.label("row")
            with asm.repeated(tiles.edge):
                asm.emit(f"addw r4, r0, #{phase}", f"addw r5, r1, #{phase * shape.channels}")
                asm.emit("mov r6, r2", f"mov.w r9, #{LANES}")
            asm.place(loop)
            inside = alone if alone is not None and not alone.pairs_taps else None
            if pairs or inside is not None:
                self._edge_row(asm, tiles, tiles.present[number], pairs, inside)
            with asm.repeated(LANES * tiles.edge):
                if alone is not None and alone.pairs_taps:
                    self._edge_cells(asm, 4 * (pairs // 2) + 2 * (pairs % 2))
                planes = pairs + (alone is not None)
                self._step(asm, "r6", 4 - self.layout.plane_bytes * planes)
                asm.emit(f"addw r5, r5, #{shape.stride * shape.channels}")
                asm.emit(f"addw r4, r4, #{shape.stride}", "subs.w r9, r9, #1", f"bne.w {loop}")
            with asm.repeated(tiles.edge):
                self._step(asm, "r2", self.layout.plane_bytes * planes)
        with asm.repeated(tiles.edge):
            self._step(asm, "r1", LANES * shape.stride * shape.channels)
            self._step(asm, "r2", self._next_tile)

    def _edge_cells(self, asm: Assembler, at: int) -> None:
        """A cell and the one of the next tap; what does not exist holds the zero point."""
        shape = self.geometry
        dilation = shape.operation.dilation
        for register in ("r8", "r12"):
            asm.emit(f"mov.w {register}, #{self.zero_point & 0xFF}")
        asm.emit("cmp r4, r7", "it lo", f"ldrblo.w r8, [r5, #{at}]")
        asm.emit(f"addw r11, r4, #{dilation}", "cmp r11, r7", "it lo")
        asm.emit(f"ldrblo.w r12, [r5, #{at + dilation * shape.channels}]")
        asm.emit("orr.w r8, r8, r12, lsl #8")
        self._pair(asm, "r8")
        self._store_word(asm, "r8")

    def _edge_row(
        self, asm: Assembler, tiles: Tiles, present: int, pairs: int, alone: Plane | None
    ) -> None:
        """All channels of a row, or as many words of padding."""
        quads = pairs // 2
        outside, joined, loop = (asm.label(stem) for stem in ("outside", "cell", "words"))
        with asm.repeated(LANES * tiles.edge):
            asm.emit("cmp r4, r7", f"bhs.w {outside}")
        with asm.repeated(present):
            if quads:
                asm.emit(f"movw r11, #{quads}")
                asm.place(loop)
                with asm.repeated(quads):
                    asm.emit("ldr r8, [r5], #4")
                    self._quad(asm, "r12", "r8")
                    self._store_word(asm, "r12")
                    self._store_word(asm, "r8")
                    asm.emit("subs.w r11, r11, #1", f"bne.w {loop}")
            if pairs % 2:
                asm.emit("ldrh.w r8, [r5]")
                self._pair(asm, "r8")
                self._store_word(asm, "r8")
            if alone is not None:
                self._byte(asm, "r8", f"[r5, #{2 * (pairs % 2)}]")
                self._store_word(asm, "r8")
            self._step(asm, "r5", -4 * quads)
            asm.emit(f"b.w {joined}")
        asm.place(outside)
        padded = asm.label("padding")
        planes = pairs + (alone is not None)
        with asm.repeated(LANES * tiles.edge - present):
            word = self.padding_word
            asm.emit(f"movw r10, #{word & 0xFFFF}", f"movt r10, #{word >> 16}")
            asm.emit(f"movw r11, #{planes}")
            asm.place(padded)
            with asm.repeated(planes):
                self._store_word(asm, "r10")
                asm.emit("subs.w r11, r11, #1", f"bne.w {padded}")
        asm.place(joined)

    def _store_word(self, asm: Assembler, register: str) -> None:
        """Store a word of an edge tile and move on to the next plane."""
        step = self.layout.plane_bytes
        if step <= _MOST_POST_INDEX:
            asm.emit(f"str {register}, [r6], #{step}")
        else:
            asm.emit(f"str.w {register}, [r6]")
            self._step(asm, "r6", step)


def emit_weights(asm: Assembler, words: int) -> None:
    """Write the expansion of `words` words of int8 weights at r12 to words at lr.

    Both move past what they reach; r0-r11 are overwritten. An odd number of words is expanded
    with one more.
    """
    loads, rest = divmod(-(-words // 2), LANES)
    unrolled = 2 if loads > 2 else 1
    loops = loads // unrolled if loads > 1 else 0
    if loops:
        loop = asm.label("weights")
        asm.emit(f"movw r11, #{loops}")
        asm.place(loop)
        with asm.repeated(loops):
            for _ in range(unrolled):
                _unpack(asm, LANES)
            asm.emit("subs.w r11, r11, #1", f"bne.w {loop}")
    for _ in range(loads - loops * unrolled):
        _unpack(asm, LANES)
    if rest:
        _unpack(asm, rest)


def _unpack(asm: Assembler, sources: int) -> None:
    """Expand one to four words at r12 to twice as many at lr."""
    # r7 is read before it is written again.
    loaded = [f"r{index}" for index in range(7, 7 + sources)]
    made = [f"r{index}" for index in range(2 * sources)]
    asm.emit("ldmia r12!, {" + ", ".join(loaded) + "}" if sources > 1 else "ldr r7, [r12], #4")
    for index, source in enumerate(loaded):
        asm.emit(f"sxtb16 {made[2 * index]}, {source}")
        asm.emit(f"sxtb16 {made[2 * index + 1]}, {source}, ror #8")
    asm.emit("stmia lr!, {" + ", ".join(made) + "}")


def words_in(words: int) -> int:
    """Return the words that `emit_weights` writes."""
    return words + words % 2
