"""Convolutions on Cortex-M0+: one output channel and four positions at a time.

A chunk of positions is expanded to words, `[input channel][phase][row]`, so that one LDM brings
the inputs of four positions for a tap. The product overwrites them, and the sums stay in r8..r11:
an addition reads and writes any register.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from edgeprune.firmware.kernels.code import KernelCode, KernelRequest
from edgeprune.firmware.kernels.thumb.emission import ThumbAssembler, words
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
from edgeprune.firmware.kernels.thumb.packed import packs

_FRAME = Frame(
    "input", "planes", "constants", "zeros", "left", "chunk", "position", "row", "last", "blocks",
    "record", "weights", "plane", "out", "sums", "end",
)  # fmt: skip
_CHUNKS = (4, 8, 16, 32, 64, 128, 256, 512)
_MOST_LANES = 4
_LONGEST_BODY = 1900


@dataclass(frozen=True, eq=False)
class _Direct:
    layer: Layer
    chunk: int
    unroll: int
    as_words: bool

    @property
    def lanes(self) -> int:
        """Positions of a block."""
        return min(_MOST_LANES, self.layer.needed)

    @cached_property
    def rescaling(self) -> NarrowRescaling:
        return NarrowRescaling(self.layer)

    @cached_property
    def output_rows(self) -> OutputRows:
        return OutputRows(self.layer, self.rescaling, _FRAME, self.lanes)

    @property
    def blocks(self) -> int:
        return -(-self.layer.needed // self.lanes)

    @property
    def chunk_blocks(self) -> int:
        return min(self.blocks, self.chunk // self.lanes)

    @cached_property
    def chunks(self) -> list[int]:
        whole, rest = divmod(self.blocks, self.chunk_blocks)
        return [self.chunk_blocks] * whole + ([rest] if rest else [])

    @property
    def pitch(self) -> int:
        return 4 * (self.chunk_blocks * self.lanes + self.layer.reach)

    @property
    def plane_bytes(self) -> int:
        return self.pitch * len(self.layer.phases)

    @property
    def planes_bytes(self) -> int:
        return self.plane_bytes * self.layer.channels

    @property
    def scratch_bytes(self) -> int:
        return self.planes_bytes + (4 * self.layer.outputs if self.layer.chain.averaged else 0)

    @property
    def rounds(self) -> int:
        return self.layer.depth // self.unroll

    @property
    def round_bytes(self) -> int:
        """Weights of one round of the inner loop."""
        taps = self.unroll * len(self.layer.taps)
        return 4 * taps if self.as_words else -(-taps // 4) * 4

    def constants(self) -> bytes:
        """Return records, a row of zero points, and the weights."""
        layer = self.layer
        records, weights = b"", b""
        for channel in range(layer.outputs):
            group = channel // layer.group_outputs
            records += self.rescaling.record(channel)
            records += words(group * layer.depth * self.plane_bytes)
            for first in range(0, layer.depth, self.unroll):
                numbers = [
                    int(layer.weights[channel, index, depth])
                    for depth in range(first, first + self.unroll)
                    for _, _, index in layer.taps
                ]
                if self.as_words:
                    weights += words(*numbers)
                else:
                    weights += bytes(number & 0xFF for number in numbers).ljust(
                        self.round_bytes, b"\0"
                    )
        return records + self._zeros + weights

    @property
    def _zeros(self) -> bytes:
        return bytes([self.layer.input_zero & 0xFF]) * (-(-self.layer.channels // 4) * 4)

    @property
    def record_bytes(self) -> int:
        return 4 * self.rescaling.words + 4

    def build(self) -> KernelCode:
        """Write the function."""
        layer, request = self.layer, self.layer.chain.request
        code = ThumbAssembler(request.symbol, narrow=True)
        count = len(self.chunks)
        enter(code, _FRAME, f"{request.symbol}_constants")
        self.output_rows.enter(code, self.planes_bytes)
        code.put(f"ldr r0,{_FRAME['constants']}")
        add_number(code, "r0", self.record_bytes * layer.outputs, "r1")
        code.put(f"str r0,{_FRAME['zeros']}")
        chunk = code.label("chunk")
        code.place(chunk)
        start = code.code_bytes
        self._limit_chunk(code)
        self._expand(code)
        with code.times(count):
            code.put(f"ldr r0,{_FRAME['constants']}", f"str r0,{_FRAME['record']}")
            code.put(f"ldr r0,{_FRAME['zeros']}")
            add_number(code, "r0", len(self._zeros), "r1")
            code.put(f"str r0,{_FRAME['weights']}")
        self._channel_loop(code)
        with code.times(count):
            self.output_rows.next_chunk(code)
        loop_back(code, chunk, start, count, 1)
        if layer.chain.averaged:
            self.output_rows.average(code)
        leave(code, _FRAME)
        how = "weights as words" if self.as_words else "weights as bytes"
        return KernelCode(
            request.symbol,
            code.text,
            self.constants(),
            self.scratch_bytes,
            _FRAME.stack_bytes,
            code.instructions,
            code.code_bytes,
            f"direct, 1 channel x {self.lanes} positions, {count} chunks of "
            f"{self.chunk_blocks * self.lanes}, {how}",
            "",
            self.output_rows.unit,
            count == 1,
        )

    def _limit_chunk(self, code: ThumbAssembler) -> None:
        """Take as many blocks as a chunk holds, or what is left."""
        partial = sum(blocks < self.chunk_blocks for blocks in self.chunks)
        skip = code.label("whole")
        with code.times(len(self.chunks)):
            load_number(code, "r1", self.chunk_blocks)
            code.put(f"ldr r0,{_FRAME['left']}", "cmp r0,r1", f"blo {skip}")
        with code.times(len(self.chunks) - partial):
            code.put("movs r0,r1")
        code.place(skip)
        with code.times(len(self.chunks)):
            code.put(f"str r0,{_FRAME['chunk']}")

    def _expand(self, code: ThumbAssembler) -> None:
        """Fill the planes of a chunk, row by row."""
        layer, count = self.layer, len(self.chunks)
        rows = sum(blocks * self.lanes + layer.reach for blocks in self.chunks)
        unroll = max(size for size in range(1, 17) if layer.channels % size == 0)
        for index, phase in enumerate(layer.phases):
            with code.times(count):
                load_number(code, "r0", layer.rows)
                load_number(code, "r1", layer.stride * layer.channels)
                load_number(code, "r2", self.plane_bytes)
                code.put("mov r8,r0", f"ldr r0,{_FRAME['zeros']}", "mov r9,r0")
                code.put("mov r10,r1", "mov r11,r2")
                code.put(f"ldr r0,{_FRAME['position']}")
                load_number(code, "r1", layer.stride)
                code.put("muls r0,r1,r0")
                add_number(code, "r0", phase - layer.pad_left, "r1")
                load_number(code, "r1", layer.channels)
                code.put("muls r1,r0,r1", f"ldr r2,{_FRAME['input']}", "adds r1,r1,r2")
                code.put(f"ldr r2,{_FRAME['planes']}")
                add_number(code, "r2", index * self.pitch, "r3")
                code.put(
                    f"ldr r4,{_FRAME['chunk']}", "movs r3,#" + str(self.lanes), "muls r4,r3,r4"
                )
                add_number(code, "r4", layer.reach, "r3")
                code.put("lsls r4,r4,#2", "adds r4,r4,r2", "mov r12,r4")
            loop, inside = code.label("row"), code.label("inside")
            code.place(loop)
            start = code.code_bytes
            outside = sum(not 0 <= row < layer.rows for row in self._rows_read(phase))
            with code.times(rows):
                code.put("mov r3,r1", "cmp r0,r8", f"blo {inside}")
            with code.times(outside):
                code.put("mov r3,r9")
            code.place(inside)
            with code.times(rows):
                add_number(code, "r0", layer.stride, "r5")
                code.put("add r1,r10", "movs r7,r2")
                if layer.channels > unroll:
                    load_number(code, "r4", layer.channels // unroll)
            inner = code.label("cell")
            code.place(inner)
            begin = code.code_bytes
            with code.times(rows * layer.channels // unroll):
                for cell in range(unroll):
                    code.put(f"ldrb r6,[r3,#{cell}]", "sxtb r6,r6", "str r6,[r7]")
                    if cell < unroll - 1 or layer.channels > unroll:
                        code.put("add r7,r11")
                if layer.channels > unroll:
                    code.put(f"adds r3,#{unroll}", "subs r4,#1")
            if layer.channels > unroll:
                loop_back(code, inner, begin, rows * layer.channels // unroll, rows)
            with code.times(rows):
                code.put("adds r2,#4", "cmp r2,r12")
            loop_back(code, loop, start, rows, count)

    def _rows_read(self, phase: int) -> Iterator[int]:
        position = 0
        for blocks in self.chunks:
            for place in range(blocks * self.lanes + self.layer.reach):
                yield (position + place) * self.layer.stride + phase - self.layer.pad_left
            position += blocks * self.lanes

    def _channel_loop(self, code: ThumbAssembler) -> None:
        layer = self.layer
        each = len(self.chunks) * layer.outputs
        outer = code.label("channel")
        code.place(outer)
        start = code.code_bytes
        with code.times(each):
            code.put(f"ldr r7,{_FRAME['record']}", f"ldr r0,[r7,#{self.record_bytes - 4}]")
            code.put(f"ldr r1,{_FRAME['planes']}", "adds r0,r0,r1", f"str r0,{_FRAME['plane']}")
            code.put(f"ldr r0,{_FRAME['chunk']}", f"str r0,{_FRAME['blocks']}")
            code.put(f"ldr r0,{_FRAME['weights']}")
            add_number(code, "r0", self.rounds * self.round_bytes, "r1")
            code.put(f"str r0,{_FRAME['end']}")
            self.output_rows.begin_channel(code)
        block = code.label("block")
        code.place(block)
        inside = code.code_bytes
        runs = self.blocks * layer.outputs
        self._block(code, runs)
        self.output_rows.finish_block(
            code, [f"r{8 + lane}" for lane in range(self.lanes)], runs, len(self.chunks)
        )
        with code.times(runs):
            code.put(f"ldr r0,{_FRAME['blocks']}", "subs r0,#1", f"str r0,{_FRAME['blocks']}")
        loop_back(code, block, inside, runs, each)
        with code.times(each):
            self.output_rows.end_channel(code)
            code.put(f"ldr r0,{_FRAME['end']}", f"str r0,{_FRAME['weights']}")
            code.put(f"ldr r0,{_FRAME['record']}", f"adds r0,#{self.record_bytes}")
            code.put(f"str r0,{_FRAME['record']}", f"ldr r1,{_FRAME['zeros']}", "cmp r0,r1")
        loop_back(code, outer, start, each, len(self.chunks))

    def _block(self, code: ThumbAssembler, runs: int) -> None:
        layer = self.layer
        with code.times(runs):
            code.put(f"ldr r7,{_FRAME['record']}", f"ldr r0,[r7,#{NarrowRescaling.BIAS}]")
            for lane in range(self.lanes):
                code.put(f"mov r{8 + lane},r0")
            code.put(f"ldr r6,{_FRAME['plane']}", "movs r0,r6", f"adds r0,#{4 * self.lanes}")
            code.put(f"str r0,{_FRAME['plane']}", f"ldr r7,{_FRAME['weights']}")
            if self.rounds > 1:
                code.put(f"ldr r0,{_FRAME['end']}", "mov r12,r0")
        loop = code.label("depth")
        code.place(loop)
        start = code.code_bytes
        addresses = [
            depth * self.plane_bytes + phase * self.pitch + 4 * place
            for depth in range(self.unroll)
            for phase, place, _ in layer.taps
        ]
        here = 0
        with code.times(runs * self.rounds):
            for number, address in enumerate(addresses):
                add_number(code, "r6", address - here, "r0")
                here = address + 4 * self.lanes
                self._weight(code, number, len(addresses))
                code.put(f"ldmia r6!,{{{','.join(f'r{lane}' for lane in range(self.lanes))}}}")
                for lane in range(self.lanes):
                    code.put(f"muls r{lane},r4,r{lane}", f"add r{8 + lane},r{lane}")
            if self.rounds > 1:
                add_number(code, "r6", self.unroll * self.plane_bytes - here, "r0")
                code.put("cmp r7,r12")
        if self.rounds > 1:
            loop_back(code, loop, start, runs * self.rounds, runs)

    def _weight(self, code: ThumbAssembler, number: int, count: int) -> None:
        if self.as_words:
            code.put("ldmia r7!,{r4}")
            return
        if number % 4 == 0:
            code.put("ldmia r7!,{r5}")
        else:
            code.put(f"asrs {'r5' if number % 4 < 3 else 'r4'},r5,#8")
        if number % 4 < 3:
            code.put("sxtb r4,r5")


def direct_after_packed(request: KernelRequest) -> tuple[KernelCode, ...]:
    """Answer on Cortex-M3 what the packed products refuse."""
    if packs(request):
        return ()
    slower = "sums could leave the lanes of packed products"
    return tuple(replace(code, slower=slower) for code in direct_convolution(request))


def direct_convolution(request: KernelRequest) -> tuple[KernelCode, ...]:
    """Answer convolutions and dense layers, with a maximum pool or a global average."""
    layer = Layer.of(request)
    if layer is None:
        return ()
    found: dict[tuple[int, int, bool], KernelCode] = {}
    for chunk in _CHUNKS:
        for as_words in (False, True):
            for unroll in (size for size in (1, 2, 4, 8) if layer.depth % size == 0):
                plan = _Direct(layer, chunk, unroll, as_words)
                body = 2 * 14 * unroll * len(layer.taps)
                if not plan.output_rows.possible or (unroll > 1 and body > _LONGEST_BODY):
                    continue
                key = (plan.chunk_blocks, unroll, as_words)
                if key not in found:
                    found[key] = plan.build()
    return tuple(found.values())
