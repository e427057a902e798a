"""Convolutions of stride 1 on Cortex-M0+ by exact integer Toom-Cook (see `points`).

A chunk is one block of four tiles (or two). Its rows are copied with their padding, every tile and
channel is transformed to words `[product][channel][tile]`, and then each output channel multiplies
and adds along them, transforms back, and rescales.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgeprune.firmware.kernels.code import KernelCode, KernelRequest
from edgeprune.firmware.kernels.thumb.emission import ThumbAssembler
from edgeprune.firmware.kernels.thumb.layer import Layer
from edgeprune.firmware.kernels.thumb.low_registers import (
    Frame,
    add_number,
    enter,
    leave,
    load_number,
    loop_back,
)
from edgeprune.firmware.kernels.thumb.narrow_rescaling import NarrowRescaling
from edgeprune.firmware.kernels.thumb.output_rows import OutputRows
from edgeprune.firmware.kernels.thumb.points import Points

_NAMES = (
    "input", "planes", "constants", "zeros", "left", "chunk", "position", "row", "last", "blocks",
    "record", "weights", "cells", "out", "count", "tile", "inverse",
)  # fmt: skip
_MOST_UNROLLED = 32


@dataclass(frozen=True, eq=False)
class _Toom:
    layer: Layer
    points: Points
    tiles: int

    @property
    def taps(self) -> int:
        return self.layer.weights.shape[1]

    @property
    def step(self) -> int:
        """Outputs of a tile."""
        return self.points.products - self.taps + 1

    @property
    def block(self) -> int:
        """Positions of a block."""
        return self.step * self.tiles

    @cached_property
    def rescaling(self) -> NarrowRescaling:
        return NarrowRescaling(self.layer)

    @cached_property
    def frame(self) -> Frame:
        products = [f"m{n}" for n in range(self.points.products * self.tiles)]
        return Frame(*_NAMES, *products, *(f"y{n}" for n in range(self.block)))

    @cached_property
    def output_rows(self) -> OutputRows:
        return OutputRows(self.layer, self.rescaling, self.frame, self.block)

    @property
    def unroll(self) -> int:
        even = -(-self.layer.depth // 2) * 2
        return min(even, _MOST_UNROLLED)

    @property
    def depth(self) -> int:
        """Input channels, filled up to whole rounds."""
        return -(-self.layer.depth // self.unroll) * self.unroll

    @property
    def blocks(self) -> int:
        return -(-self.layer.needed // self.block)

    @property
    def values_bytes(self) -> int:
        return 4 * self.points.products * self.depth * self.tiles

    @property
    def rows(self) -> int:
        """Input rows of a block."""
        return self.block + self.taps - 1

    @property
    def rows_bytes(self) -> int:
        return -(-self.rows * self.layer.channels // 4) * 4

    @property
    def scratch_bytes(self) -> int:
        sums = 4 * self.layer.outputs if self.layer.chain.averaged else 0
        return self.values_bytes + self.rows_bytes + sums

    @cached_property
    def transformed(self) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        """Transformed weights [outputs, products, depth]."""
        found = self.points.weights(self.layer.weights.transpose(0, 2, 1)).transpose(0, 2, 1)
        return np.pad(found, ((0, 0), (0, 0), (0, self.depth - self.layer.depth)))

    @property
    def possible(self) -> bool:
        layer = self.layer
        return (
            layer.groups == 1
            and layer.stride == 1
            and layer.dilation == 1
            and self.taps > 1
            and self.step > 1
            and self.output_rows.possible
            and int(np.abs(self.transformed).max()) < 2**15
            and all(
                max(abs(each.low), abs(each.high)) + abs(int(bias)) < 2 ** (31 - self.points.twos)
                for each, bias in zip(self.rescaling.channels, layer.biases, strict=True)
            )
        )

    @property
    def record_bytes(self) -> int:
        return 4 * self.rescaling.words

    @property
    def _zeros(self) -> bytes:
        return bytes([self.layer.input_zero & 0xFF]) * (-(-self.layer.channels // 4) * 4)

    def constants(self) -> bytes:
        """Return records, a row of zero points, the inverse of the scale, and the weights."""
        records = b"".join(self.rescaling.record(each) for each in range(self.layer.outputs))
        inverse = self.points.inverse.to_bytes(4, "little")
        return records + self._zeros + inverse + self.transformed.astype("<i2").tobytes()

    def build(self) -> KernelCode:
        """Write the function."""
        layer, request, frame = self.layer, self.layer.chain.request, self.frame
        code = ThumbAssembler(request.symbol, narrow=True)
        enter(code, frame, f"{request.symbol}_constants")
        self.output_rows.enter(code, self.values_bytes + self.rows_bytes)
        code.put(f"ldr r0,{frame['constants']}")
        add_number(code, "r0", self.record_bytes * layer.outputs, "r1")
        code.put(f"str r0,{frame['zeros']}")
        add_number(code, "r0", len(self._zeros), "r1")
        code.put("ldr r0,[r0]", f"str r0,{frame['inverse']}", "movs r0,#1")
        code.put(f"str r0,{frame['chunk']}", f"ldr r0,{frame['planes']}")
        add_number(code, "r0", self.values_bytes, "r1")
        code.put(f"str r0,{frame['cells']}")
        chunk = code.label("chunk")
        code.place(chunk)
        start = code.code_bytes
        self._copy(code)
        self._transform(code)
        with code.times(self.blocks):
            code.put(f"ldr r0,{frame['constants']}", f"str r0,{frame['record']}")
            code.put(f"ldr r0,{frame['zeros']}")
            add_number(code, "r0", len(self._zeros) + 4, "r1")
            code.put(f"str r0,{frame['weights']}", f"ldr r0,{frame['chunk']}")
            code.put(f"str r0,{frame['blocks']}")
        self._channels(code)
        with code.times(self.blocks):
            self.output_rows.next_chunk(code)
        loop_back(code, chunk, start, self.blocks, 1)
        if layer.chain.averaged:
            self.output_rows.average(code)
        leave(code, frame)
        return KernelCode(
            request.symbol,
            code.text,
            self.constants(),
            self.scratch_bytes,
            frame.stack_bytes,
            code.instructions,
            code.code_bytes,
            f"Toom-Cook F({self.step}, {self.taps}), {self.tiles} tiles",
            "",
            self.output_rows.unit,
            self.blocks == 1,
        )

    def _copy(self, code: ThumbAssembler) -> None:
        """Copy the rows of a block, zero points where there is padding."""
        layer, frame = self.layer, self.frame
        unroll = max(size for size in range(1, 17) if layer.channels % size == 0)
        total = self.blocks * self.rows
        with code.times(self.blocks):
            code.put(f"ldr r0,{frame['position']}")
            add_number(code, "r0", -layer.pad_left, "r1")
            load_number(code, "r1", layer.channels)
            code.put("mov r10,r1", "muls r1,r0,r1", f"ldr r2,{frame['input']}", "adds r1,r1,r2")
            code.put(f"ldr r2,{frame['cells']}")
            load_number(code, "r3", layer.rows)
            code.put("mov r8,r3", f"ldr r3,{frame['zeros']}", "mov r9,r3")
            load_number(code, "r4", self.rows)
        loop, inside = code.label("row"), code.label("inside")
        code.place(loop)
        start = code.code_bytes
        outside = sum(
            not 0 <= block * self.block + row - layer.pad_left < layer.rows
            for block in range(self.blocks)
            for row in range(self.rows)
        )
        with code.times(total):
            code.put("mov r3,r1", "cmp r0,r8", f"blo {inside}")
        with code.times(outside):
            code.put("mov r3,r9")
        code.place(inside)
        with code.times(total):
            if layer.channels > unroll:
                load_number(code, "r5", layer.channels // unroll)
        inner = code.label("cell")
        code.place(inner)
        begin = code.code_bytes
        with code.times(total * layer.channels // unroll):
            for cell in range(unroll):
                code.put(f"ldrb r6,[r3,#{cell}]", f"strb r6,[r2,#{cell}]")
            code.put(f"adds r2,#{unroll}")
            if layer.channels > unroll:
                code.put(f"adds r3,#{unroll}", "subs r5,#1")
        if layer.channels > unroll:
            loop_back(code, inner, begin, total * layer.channels // unroll, total)
        with code.times(total):
            code.put("adds r0,#1", "add r1,r10", "subs r4,#1")
        loop_back(code, loop, start, total, self.blocks)

    def _transform(self, code: ThumbAssembler) -> None:
        """Transform every tile and channel of the copied rows."""
        layer, frame, points = self.layer, self.frame, self.points
        runs = self.blocks * self.tiles * layer.depth
        with code.times(self.blocks):
            code.put(f"ldr r7,{frame['cells']}", f"ldr r0,{frame['planes']}", "mov r11,r0")
            load_number(code, "r0", 4 * self.tiles * self.depth)
            code.put("mov r12,r0", f"movs r0,#{self.tiles}", f"str r0,{frame['tile']}")
        tile, channel = code.label("tile"), code.label("cells")
        code.place(tile)
        outer = code.code_bytes
        with code.times(self.blocks * self.tiles):
            load_number(code, "r0", layer.depth)
            code.put(f"str r0,{frame['count']}")
        code.place(channel)
        start = code.code_bytes
        count = points.pairs
        with code.times(runs):
            code.put("mov r6,r11")
            for parity in (0, 1):
                # Even cells 2, 4 .., or odd ones 1, 3 ..; then the cell before or behind them.
                for index in range(count):
                    self._cell(code, f"r{index}", 2 + 2 * index - parity)
                self._cell(code, "r4", 0 if parity == 0 else 2 * count + 1)
                whole = points.squares_without(0)
                held = [f"r{index}" for index in range(count)]
                order = ["r4", *held] if parity == 0 else [*held, "r4"]
                _combine(code, "r3", list(zip(order, whole, strict=True)), "r5")
                code.put("str r3,[r6]", "add r6,r12")
                for p in range(1, count + 1):
                    terms = zip(held, points.squares_without(p), strict=True)
                    _combine(code, "r3", list(terms), "r5")
                    if parity == 0:
                        code.put(f"mov r{7 + p},r3")
                    else:
                        if p & (p - 1):
                            code.put(f"movs r5,#{p}", "muls r3,r5,r3")
                        elif p > 1:
                            code.put(f"lsls r3,r3,#{p.bit_length() - 1}")
                        code.put(f"mov r4,r{7 + p}", "adds r5,r4,r3", "str r5,[r6]", "add r6,r12")
                        code.put("subs r4,r4,r3", "str r4,[r6]", "add r6,r12")
            code.put("adds r7,#1", f"movs r0,#{4 * self.tiles}", "add r11,r0")
            code.put(f"ldr r0,{frame['count']}", "subs r0,#1", f"str r0,{frame['count']}")
        loop_back(code, channel, start, runs, self.blocks * self.tiles)
        with code.times(self.blocks * self.tiles):
            add_number(code, "r7", (self.step - 1) * layer.channels, "r0")
            load_number(code, "r0", 4 - 4 * self.tiles * layer.depth)
            code.put("add r11,r0", f"ldr r0,{frame['tile']}", "subs r0,#1")
            code.put(f"str r0,{frame['tile']}")
        loop_back(code, tile, outer, self.blocks * self.tiles, self.blocks)

    def _cell(self, code: ThumbAssembler, register: str, row: int) -> None:
        load_number(code, "r5", row * self.layer.channels)
        code.put(f"ldrsb {register},[r7,r5]")

    def _channels(self, code: ThumbAssembler) -> None:
        layer, frame = self.layer, self.frame
        runs = self.blocks * layer.outputs
        outer = code.label("channel")
        code.place(outer)
        start = code.code_bytes
        with code.times(runs):
            self.output_rows.begin_channel(code)
            code.put(f"ldr r6,{frame['planes']}", f"ldr r7,{frame['weights']}")
            code.put(f"add r5,{frame['m0'][1:-1]}", "mov lr,r5")
        product = code.label("product")
        code.place(product)
        inside = code.code_bytes
        times = runs * self.points.products
        self._products(code, times)
        with code.times(times):
            first = frame["y0"][1:-1]
            code.put(f"add r4,{first}", "cmp r5,r4")
        loop_back(code, product, inside, times, runs)
        with code.times(runs):
            code.put(f"str r7,{frame['weights']}", f"ldr r7,{frame['record']}")
            code.put(f"ldr r0,[r7,#{NarrowRescaling.BIAS}]", "mov r11,r0")
            code.put(f"ldr r6,{frame['inverse']}")
            for tile in range(self.tiles):
                self._outputs(code, tile)
        sources = [frame[f"y{n}"] for n in range(self.block)]
        self.output_rows.finish_block(code, sources, runs, self.blocks)
        with code.times(runs):
            self.output_rows.end_channel(code)
            code.put(f"ldr r0,{frame['record']}", f"adds r0,#{self.record_bytes}")
            code.put(f"str r0,{frame['record']}", f"ldr r1,{frame['zeros']}", "cmp r0,r1")
        loop_back(code, outer, start, runs, self.blocks)

    def _products(self, code: ThumbAssembler, runs: int) -> None:
        """Sum up the products of one point over all channels, for all tiles."""
        rounds = self.depth // self.unroll
        names = [f"r{lane}" for lane in range(self.tiles)]
        with code.times(runs):
            code.put("movs r0,#0", *(f"mov r{8 + lane},r0" for lane in range(self.tiles)))
            if rounds > 1:
                code.put("movs r5,r7")
                add_number(code, "r5", 2 * self.depth, "r4")
                code.put("mov r12,r5")
        loop = code.label("depth")
        code.place(loop)
        start = code.code_bytes
        with code.times(runs * rounds):
            for number in range(self.unroll):
                if number % 2 == 0:
                    code.put("ldmia r7!,{r5}", "sxth r4,r5")
                else:
                    code.put("asrs r4,r5,#16")
                code.put(f"ldmia r6!,{{{','.join(names)}}}")
                for lane, name in enumerate(names):
                    code.put(f"muls {name},r4,{name}", f"add r{8 + lane},{name}")
            if rounds > 1:
                code.put("cmp r7,r12")
        if rounds > 1:
            loop_back(code, loop, start, runs * rounds, runs)
        with code.times(runs):
            code.put(*(f"mov {name},r{8 + lane}" for lane, name in enumerate(names)))
            code.put("mov r5,lr", f"stmia r5!,{{{','.join(names)}}}", "mov lr,r5")

    def _outputs(self, code: ThumbAssembler, tile: int) -> None:
        """Transform the products of a tile back."""
        points, frame = self.points, self.frame

        def product(number: int) -> str:
            return frame[f"m{number * self.tiles + tile}"]

        for p in range(points.pairs):
            code.put(f"ldr r4,{product(2 + 2 * p)}", f"ldr r5,{product(3 + 2 * p)}")
            code.put(f"adds r{p},r4,r5", "subs r4,r4,r5", f"mov r{8 + p},r4")
        code.put(f"ldr r3,{product(0)}")
        for parity in (0, 1):
            if parity:
                code.put(*(f"mov r{p},r{8 + p}" for p in range(points.pairs)))
            for power in range(parity, self.step, 2):
                terms = [(f"r{p}", (p + 1) ** power) for p in range(points.pairs)]
                if power == 0:
                    terms.append(("r3", 1))
                _combine(code, "r4", terms, "r5")
                if power == self.step - 1:
                    load_number(code, "r7", points.scale)
                    code.put(f"ldr r5,{product(1)}", "muls r5,r7,r5", "adds r4,r4,r5")
                code.put("muls r4,r6,r4")
                if points.twos:
                    code.put(f"asrs r4,r4,#{points.twos}")
                code.put("add r4,r11", f"str r4,{frame[f'y{tile * self.step + power}']}")


def _combine(
    code: ThumbAssembler, target: str, terms: Sequence[tuple[str, int]], spare: str
) -> None:
    """Write a sum of registers times numbers below 256, one of which is 1."""
    first = next(name for name, factor in terms if factor == 1)
    code.put(f"movs {target},{first}")
    for name, factor in terms:
        if name == first or factor == 0:
            continue
        opcode, size = ("adds" if factor > 0 else "subs"), abs(factor)
        if size == 1:
            code.put(f"{opcode} {target},{target},{name}")
        elif size & (size - 1) == 0:
            code.put(f"lsls {spare},{name},#{size.bit_length() - 1}")
            code.put(f"{opcode} {target},{target},{spare}")
        else:
            load_number(code, spare, size)
            code.put(f"muls {spare},{name},{spare}", f"{opcode} {target},{target},{spare}")


def toom_convolution(request: KernelRequest) -> tuple[KernelCode, ...]:
    """Answer convolutions of stride 1 whose sums leave room for the scale."""
    layer = Layer.of(request)
    if layer is None or layer.needed < 4:
        return ()
    plans = (_Toom(layer, Points(pairs), tiles) for pairs in (1, 2, 3) for tiles in (4, 2))
    return tuple(plan.build() for plan in plans if plan.possible)
