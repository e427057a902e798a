"""Convolutions of stride 1 with fewer multiplications: exact integer Toom-Cook, F(4, r).

A tile of four outputs takes r + 3 products instead of 4 r (see `thumb.points`). A chunk's rows are
expanded to words of two channels and transformed; for each pair of output channels the products
are summed over the input channels for four tiles at once, and each tile is then transformed back
to a block of the epilogue.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from edgeprune.firmware.kernels.assembler import Assembler
from edgeprune.firmware.kernels.code import KernelCode, KernelRequest
from edgeprune.firmware.kernels.dsp import direct_kernel as base
from edgeprune.firmware.kernels.dsp import expansion, toom_transforms
from edgeprune.firmware.kernels.dsp.direct_kernel import DirectKernel
from edgeprune.firmware.kernels.dsp.emission import add_constant, load_constant
from edgeprune.firmware.kernels.dsp.epilogue import Epilogue, Runs
from edgeprune.firmware.kernels.dsp.expansion import Expansion
from edgeprune.firmware.kernels.dsp.geometry import LANES, Geometry
from edgeprune.firmware.kernels.dsp.sliding import ACCUMULATORS
from edgeprune.firmware.kernels.thumb.points import Points
from edgeprune.network.tensor import Int64Array

_TILES = 4
"""Tiles that are multiplied at once."""

_MOST_OFFSET = 4092
_MOST_UNROLLED = 16
_CHUNKS = (4, 8, 16, 32)

# Behind the record in the stack frame: where a product's sums go and where the last of them end,
# the first of a group, groups and rounds left, tiles.
_SUM, _SUMS_END, _GROUP, _GROUPS_LEFT, _ROUNDS, _LANE = range(0, 24, 4)
_OWN_BYTES = 24


@dataclass(frozen=True, eq=False)
class ToomKernel(DirectKernel):
    """One kernel.

    Attributes:
        points: Where the polynomials are evaluated.
        expands: Whether the weights are transformed when they are used; otherwise they lie
            transformed in flash.
    """

    points: Points
    expands: bool

    def code(self) -> KernelCode:
        """Write it."""
        parts = f", {len(self._counts)} chunks" if len(self._counts) > 1 else ""
        approach = f"Toom-Cook F(4, {self._taps}), 2 channels x {_TILES} tiles{parts}"
        approach += "" if self.expands else ", transformed weights"
        return replace(super().code(), approach=approach, block=_TILES * self._step)

    @property
    def _taps(self) -> int:
        return self.points.products - LANES + 1

    @cached_property
    def _expansion(self) -> Expansion:
        return Expansion(self.geometry, self._layout, self.request.source.zero_point, False)

    @property
    def _pair_count(self) -> int:
        """Pairs of input channels."""
        return len(self.geometry.planes)

    @property
    def _room(self) -> int:
        """Tiles for which there is room: whole groups."""
        return -(-self.chunk // _TILES) * _TILES

    @property
    def _group_bytes(self) -> int:
        """Bytes of a group's transformed inputs."""
        return 4 * _TILES * self._pair_count * self.points.products

    @property
    def _row_bytes(self) -> int:
        """Bytes of one channel's sums of one product."""
        return 4 * self._room

    @property
    def _sum_bytes(self) -> int:
        return 2 * self._row_bytes * self.points.products

    @property
    def _scratch_weights(self) -> int:
        """Bytes of transformed inputs and weights, and of sums that need a place of their own."""
        inputs = self._group_bytes * self._room // _TILES
        weights = self._weight_row * self.points.products if self.expands else 0
        return inputs + weights + (0 if self._sums_fit else self._sum_bytes)

    @property
    def _weight_row(self) -> int:
        """Bytes of a pair's transformed weights of one product."""
        return 8 * self._pair_count

    @property
    def _sums_fit(self) -> bool:
        """Whether the sums may lie where the expanded rows did."""
        return self._sum_bytes <= self._layout.size

    @property
    def _sums_at(self) -> int:
        inputs = self._layout.size + self._group_bytes * self._room // _TILES
        return self._sums_bytes + (0 if self._sums_fit else inputs)

    @property
    def _frame(self) -> int:
        bytes_ = self._ends(2) + _OWN_BYTES
        return bytes_ + (4 - bytes_) % 8

    @property
    def _padded(self) -> Int64Array:
        """The weights [outputs, channels, taps], with zeros for the taps that lack."""
        weights = self.geometry.operation.weights.astype(np.int64).transpose(0, 2, 1)
        return np.pad(weights, ((0, 0), (0, 0), (0, self._taps - weights.shape[2])))

    @cached_property
    def transformed(self) -> Int64Array:
        """The transformed weights [outputs, channels, products]."""
        return self.points.weights(self._padded)

    @property
    def exact(self) -> bool:
        """Whether all numbers are proved to fit their words."""
        shape, zero_point = self.geometry, self.request.source.zero_point
        largest = max(127 - zero_point, 128 + zero_point)
        rows = [sum(map(abs, self.points.squares_without(0)))]
        for p in range(1, self.points.pairs + 1):
            rows.append((1 + p) * sum(map(abs, self.points.squares_without(p))))
        sums = np.abs(shape.operation.weights.astype(np.int64)).sum(axis=(1, 2)) * largest
        reach = int((sums + np.abs(shape.operation.bias.astype(np.int64))).max())
        return (
            max(rows) * largest < 2**15
            and int(np.abs(self.transformed).max()) < 2**15
            and reach < 2 ** (31 - self.points.twos)
        )

    def _constants(self) -> bytes:
        constants = b""
        for first, count in self._starts:
            channels = tuple(range(first, first + count))
            record = self.epilogue.record(channels, [0, 0])
            for index, channel in enumerate(channels):
                bias = int(self.geometry.operation.bias[channel])
                record[index] = bias * self.points.scale & 0xFFFFFFFF
            constants += np.array(record, "<u4").tobytes() + self._weights(channels)
        return constants

    def _weights(self, channels: tuple[int, ...]) -> bytes:
        """Return a pair's weights [product][pair of input channels][channel][lane]."""
        lanes = np.array([(plane.low, plane.high) for plane in self.geometry.planes])
        if self.expands:
            raw = self._padded[list(channels)][:, lanes]
            return (raw.transpose(1, 3, 2, 0) + 128).astype(np.uint8).tobytes()
        picked = self.transformed[list(channels)][:, lanes]
        return picked.transpose(3, 1, 0, 2).astype("<i2").tobytes()

    @property
    def _group_total(self) -> int:
        """Groups of all chunks."""
        return sum(-(-count // (self._step * _TILES)) for count in self._counts)

    def _transform(self, asm: Assembler) -> None:
        """Transform the expanded rows of a chunk."""
        own = self._ends(2)
        blocks = sum(-(-count // self._step) for count in self._counts)
        tile, pair = asm.label("transform"), asm.label("planes")
        with asm.repeated(len(self._counts)):
            asm.emit(f"ldr.w lr, [sp, #{base._SCRATCH}]", f"ldr.w r12, [sp, #{base._WEIGHTS}]")
            add_constant(asm, "lr", self._sums_bytes, "r3")
            asm.emit("mov.w r3, #0", f"str.w r3, [sp, #{own + _LANE}]")
        asm.place(tile)
        with asm.repeated(blocks):
            load_constant(asm, "r2", self._pair_count)
        asm.place(pair)
        with asm.repeated(blocks * self._pair_count):
            stride = 4 * _TILES * self._pair_count
            signed = self.request.source.zero_point > -128
            toom_transforms.inputs(asm, self.points, stride, signed=signed)
            asm.emit(f"add.w r12, r12, #{4 * _TILES}")
            add_constant(asm, "lr", self._layout.plane_bytes, "r0")
            asm.emit("subs.w r2, r2, #1", f"bne.w {pair}")
        with asm.repeated(blocks):
            back = self._layout.tile_bytes - self._pair_count * self._layout.plane_bytes
            add_constant(asm, "lr", back, "r0")
            add_constant(asm, "r12", 4 - 4 * _TILES * self._pair_count, "r0")
            asm.emit(f"ldr.w r3, [sp, #{own + _LANE}]", "add.w r3, r3, #1")
            asm.emit(f"str.w r3, [sp, #{own + _LANE}]")
            # The last tile of a group: on to the next group.
            load_constant(asm, "r1", self._group_bytes - 4 * _TILES)
            asm.emit(f"tst.w r3, #{_TILES - 1}", "it eq", "addeq.w r12, r12, r1")
            asm.emit(f"ldr.w r0, [sp, #{base._TILES}]")
            add_constant(asm, "r3", self.geometry.extra_tiles, "r1")
            asm.emit("cmp.w r3, r0", f"bne.w {tile}")

    def _pair_loop(self, asm: Assembler, channels: int, pairs: int) -> None:
        """Of all chunks: transform the inputs, then compute pair after pair."""
        chunks, block_count = len(self._counts), sum(-(-c // self._step) for c in self._counts)
        self._transform(asm)
        loop, block = asm.label("pair"), asm.label("block")
        with asm.repeated(chunks):
            load_constant(asm, "r0", pairs)
            asm.emit(f"str.w r0, [sp, #{base._PAIRS}]")
        asm.place(loop)
        with asm.repeated(chunks * pairs):
            self._load_record(asm)
        with asm.repeated(pairs):
            self._multiply(asm)
        with asm.repeated(chunks * pairs):
            self._point_outputs(asm)
        asm.place(block)
        with asm.repeated(pairs):
            with asm.repeated(block_count):
                self._block(asm, channels)
            runs = Runs(chunks, block_count, self._outputs % self._step)
            self.epilogue.finish(asm, ACCUMULATORS, self._slots, block, runs, tails=self.tails)
        with asm.repeated(chunks * pairs):
            if self._carries_sums:
                asm.emit(
                    f"ldr.w r12, [sp, #{base._PAIR_SUMS}]", f"ldrd r0, r1, [sp, #{base._SUMS}]"
                )
                asm.emit("strd r0, r1, [r12], #8", f"str.w r12, [sp, #{base._PAIR_SUMS}]")
            elif self.epilogue.averages:
                self.epilogue.finish_average(asm, self._slots, channels)
            asm.emit(f"ldr.w r1, [sp, #{base._PAIRS}]", "subs.w r1, r1, #1")
            self._next_channels(asm, channels, odd=True)
            asm.emit(f"str.w r1, [sp, #{base._PAIRS}]", f"bne.w {loop}")

    def _load_record(self, asm: Assembler) -> None:
        """Copy the pair's record; lr: the weights, r12: the inputs, r0: the sums."""
        own, words = self._ends(2), self.epilogue.record_words(2)
        asm.emit(f"ldr.w lr, [sp, #{base._CONSTANTS}]", f"addw r12, sp, #{base._RECORD}")
        for start in range(0, words, 12):
            names = ", ".join(f"r{index}" for index in range(min(words - start, 12)))
            braces = f"{{{names}}}"
            if words - start > 1:
                asm.emit(f"ldmia lr!, {braces}", f"stmia r12!, {braces}")
            else:
                asm.emit("ldr r0, [lr], #4", "str r0, [r12], #4")
        if self.expands:
            self._transform_weights(asm)
        asm.emit(f"ldr.w r0, [sp, #{base._TILES}]")
        add_constant(asm, "r0", _TILES - 1 - self.geometry.extra_tiles, "r1")
        asm.emit("lsr.w r0, r0, #2", f"str.w r0, [sp, #{own + _GROUPS_LEFT}]")
        asm.emit(f"ldr.w r12, [sp, #{base._WEIGHTS}]", f"ldr.w r0, [sp, #{base._SCRATCH}]")
        add_constant(asm, "r0", self._sums_at, "r1")

    def _transform_weights(self, asm: Assembler) -> None:
        """Transform the pair's weights; lr: before and after, where they are read."""
        row, loop = self._weight_row, asm.label("weights")
        at = self._layout.size + self._sums_bytes + self._scratch_weights
        at -= row * self.points.products
        asm.emit(f"ldr.w r12, [sp, #{base._SCRATCH}]")
        add_constant(asm, "r12", at, "r0")
        load_constant(asm, "r3", 0x00800080)
        load_constant(asm, "r2", self._pair_count)
        asm.place(loop)
        with asm.repeated(self._pair_count):
            toom_transforms.weights(asm, self.points, row)
            asm.emit("subs.w r2, r2, #1", f"bne.w {loop}")
        asm.emit(f"str.w lr, [sp, #{base._CONSTANTS}]", "mov.w lr, r12")
        add_constant(asm, "lr", -row, "r0")

    def _multiply(self, asm: Assembler) -> None:
        """Sum up the products of all groups of one pair of output channels."""
        own, count = self._ends(2), self._pair_count
        unrolled = max(size for size in range(1, _MOST_UNROLLED + 1) if count % size == 0)
        rounds, total = count // unrolled, self._group_total
        group, product, again = (asm.label(stem) for stem in ("group", "product", "round"))
        asm.place(group)
        with asm.repeated(total):
            asm.emit(f"str.w r0, [sp, #{own + _GROUP}]", f"str.w r0, [sp, #{own + _SUM}]")
            add_constant(asm, "r0", self._sum_bytes, "r1")
            asm.emit(f"str.w r0, [sp, #{own + _SUMS_END}]")
        asm.place(product)
        with asm.repeated(total * self.points.products):
            if rounds > 1:
                load_constant(asm, "r0", rounds)
                asm.emit(f"str.w r0, [sp, #{own + _ROUNDS}]")
                asm.emit(*(f"mov.w r{register}, #0" for register in range(4, 12)))
        asm.place(again)
        with asm.repeated(total * self.points.products * rounds):
            for step in range(unrolled):
                starts = step == 0 and rounds == 1
                asm.emit("ldrd r2, r3, [lr], #8")
                for half in (0, 2):
                    asm.emit("ldrd r0, r1, [r12], #8")
                    for lane in (0, 1):
                        for channel, weight in enumerate(("r2", "r3")):
                            sums = ACCUMULATORS[channel][half + lane]
                            if starts:
                                asm.emit(f"smuad {sums}, r{lane}, {weight}")
                            else:
                                asm.emit(f"smlad {sums}, r{lane}, {weight}, {sums}")
            if rounds > 1:
                asm.emit(f"ldr.w r0, [sp, #{own + _ROUNDS}]", "subs.w r0, r0, #1")
                asm.emit(f"str.w r0, [sp, #{own + _ROUNDS}]", f"bne.w {again}")
        with asm.repeated(total * self.points.products):
            asm.emit(f"ldrd r0, r1, [sp, #{own + _SUM}]", "stmia.w r0, {r4-r7}")
            add_constant(asm, "r0", self._row_bytes, "r2")
            asm.emit("stmia.w r0, {r8-r11}")
            add_constant(asm, "r0", self._row_bytes, "r2")
            asm.emit(f"str.w r0, [sp, #{own + _SUM}]", "cmp r0, r1", f"bne.w {product}")
        with asm.repeated(total):
            add_constant(asm, "lr", -8 * count * self.points.products, "r2")
            asm.emit(f"ldrd r0, r1, [sp, #{own + _GROUP}]", f"add.w r0, r0, #{4 * _TILES}")
            asm.emit("subs.w r1, r1, #1", f"str.w r1, [sp, #{own + _GROUPS_LEFT}]")
            asm.emit(f"bne.w {group}")

    def _point_outputs(self, asm: Assembler) -> None:
        """Point to the next pair's constants, this pair's outputs and its sums."""
        if not self.expands:
            add_constant(asm, "lr", self._weight_row * self.points.products, "r2")
            asm.emit(f"str.w lr, [sp, #{base._CONSTANTS}]")
        asm.emit(f"ldrd r0, r1, [sp, #{base._PAIR_OUTPUT}]", f"strd r0, r1, [sp, #{base._OUTPUT}]")
        if self.epilogue.reads_other:
            asm.emit(f"ldr.w r0, [sp, #{base._PAIR_OTHER}]", f"str.w r0, [sp, #{base._OTHER}]")
        if self._carries_sums:
            asm.emit(f"ldr.w r0, [sp, #{base._PAIR_SUMS}]", "ldrd r0, r1, [r0]")
            asm.emit(f"strd r0, r1, [sp, #{base._SUMS}]")
        elif self.epilogue.averages:
            asm.emit("mov.w r0, #0", f"strd r0, r0, [sp, #{base._SUMS}]")
        asm.emit(f"ldr.w lr, [sp, #{base._SCRATCH}]")
        add_constant(asm, "lr", self._sums_at, "r3")

    def _block(self, asm: Assembler, channels: int) -> None:
        """The four outputs of a tile for both channels."""
        load_constant(asm, "r12", self.points.inverse)
        for channel in range(channels):
            offsets = [
                (2 * product + channel) * self._row_bytes for product in range(self.points.products)
            ]
            toom_transforms.outputs(
                asm,
                self.points,
                ACCUMULATORS[channel],
                offsets,
                base._RECORD + 4 * channel,
                doubled=self.epilogue.doubled,
            )
        asm.emit("add.w lr, lr, #4")


def generate(request: KernelRequest) -> tuple[KernelCode, ...]:
    """Return the kernels of a convolution of 2 to 5 taps.

    They differ in the size of a chunk and in where the weights are transformed.
    """
    epilogue = Epilogue.of(request)
    geometry = Geometry.of(epilogue.chain) if epilogue else None
    if epilogue is None or geometry is None or not _fits(geometry):
        return ()
    points = Points(2 if geometry.kernel <= 3 else 3)
    outputs = geometry.positions // epilogue.pool
    step = LANES // epilogue.pool
    blocks = -(-outputs // step)
    if outputs % step:
        ends = [True]
    else:
        ends = [False] if step == 1 or epilogue.averages else [False, True]
    kernels = [
        ToomKernel(request, epilogue, geometry, chunk, tails, True, False, "", points, expands)
        for chunk in sorted({min(chunk, blocks) for chunk in _CHUNKS})
        for tails in ends
        for expands in (False, True)
    ]
    return tuple(kernel.code() for kernel in kernels if kernel.exact)


def _fits(geometry: Geometry) -> bool:
    """Whether it is a case for this, and all offsets fit into the instructions."""
    operation = geometry.operation
    stride = 4 * _TILES * len(geometry.planes)
    return (
        operation.groups == 1
        and operation.stride == 1
        and operation.dilation == 1
        and 2 <= geometry.kernel <= 5
        and geometry.last is None
        and geometry.outputs >= 2
        and 8 * stride <= _MOST_OFFSET
        and expansion.fits(geometry)
    )
