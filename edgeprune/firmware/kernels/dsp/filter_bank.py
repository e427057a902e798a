"""Filters over the length of each row of a map, and at once the weighted sums over its height.

The first layers of a network for many electrodes: a convolution over time that sees each electrode
alone, and behind it a depthwise convolution over all electrodes. What lies between them is the
network's largest tensor; here nothing of it is stored. A chunk of positions at a time: electrode
by electrode its samples are expanded and the filters slide over them two at a time (`sliding`);
the int8 values that follow are multiplied with the electrode's weights and added to the sums of
the chunk in scratch memory, which become the output when all electrodes have been added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeprune.firmware.kernels.assembler import Assembler
from edgeprune.firmware.kernels.code import KernelCode, KernelRequest
from edgeprune.firmware.kernels.dsp import look_up, sliding
from edgeprune.firmware.kernels.dsp.emission import (
    SAVED_BYTES,
    add_constant,
    enter,
    leave,
    load_address,
    load_constant,
)
from edgeprune.firmware.kernels.dsp.epilogue import FREE, Runs, Slots
from edgeprune.firmware.kernels.dsp.expansion import emit_weights, words_in
from edgeprune.firmware.kernels.dsp.filter_layers import FilterLayers
from edgeprune.firmware.kernels.dsp.filter_plan import FilterPlan
from edgeprune.firmware.kernels.dsp.geometry import LANES, Geometry
from edgeprune.firmware.kernels.dsp.rescaling import clamp
from edgeprune.firmware.kernels.dsp.sliding import ACCUMULATORS

_CHUNKS = (1, 2, 4, 8)
# With two sums of each filter, both weights lie in one register.
_PAIRED = 2

# The stack frame below the factors, the record and the weights, in bytes from sp. While filters
# slide, the first word is the address of the sums and the second counts blocks.
_OUTPUT, _ROW, _ADDRESS, _LEFT, _CHUNK_OUTPUT = 0, 8, 12, 16, 20
_SCRATCH, _COUNT, _TILES, _BLOCKS = 24, 28, 32, 36
_HEIGHT, _LINE, _CONSTANTS, _SPATIAL, _PAIRS, _SUMS = 40, 44, 48, 52, 56, 60
_UNIT_OUTPUT, _FACTORS = 64, 72


def generate(request: KernelRequest) -> tuple[KernelCode, ...]:
    """Return the kernels of a convolution along the length and of the sums over its height."""
    layers = FilterLayers.of(request)
    if layers is None or not look_up.fits(layers.pooled, layers.sums.row_bytes):
        return ()
    blocks = -(-layers.positions // LANES)
    chunks = sorted({min(blocks, chunk) for chunk in _CHUNKS}, reverse=True)
    return tuple(
        _Kernel(FilterPlan(request, layers, chunk)).code()
        for chunk in chunks
        if chunk * LANES % layers.pooled == 0
    )


@dataclass(frozen=True, eq=False)
class _Kernel:
    """One kernel: a plan as instructions."""

    plan: FilterPlan

    def code(self) -> KernelCode:
        """Write it."""
        asm = Assembler(self.plan.request.symbol)
        self._prologue(asm)
        self._chunks(asm)
        leave(asm, self._frame)
        return KernelCode(
            self.plan.request.symbol,
            asm.text,
            self.plan.constants,
            self.plan.scratch_bytes,
            SAVED_BYTES + self._frame,
            asm.instructions,
            asm.code_bytes,
            f"line by line, {self.plan.sections[0][0]} filters x {LANES} positions, all added to "
            f"the sums over the height, {self.plan.chunk_count} chunks",
            unit=1,
            block=max(LANES // self.plan.layers.pooled, 1),
        )

    @property
    def _geometry(self) -> Geometry:
        return self.plan.layers.geometry

    @property
    def _record(self) -> int:
        """Where records lie in the frame."""
        return _FACTORS + 8 * self.plan.layers.multiplier

    def _record_end(self, channels: int) -> int:
        return self._record + 4 * self.plan.layers.filters.record_words(channels)

    @property
    def _frame(self) -> int:
        channels = self.plan.sections[0][0]
        words = words_in(len(self._geometry.visits) * channels)
        ends = [self._record_end(each) + 4 * words for each, _ in self.plan.sections]
        sums = max(self.plan.layers.sums.record_words(len(each)) for each in self.plan.finished)
        bytes_ = max([*ends, self._record + 4 * sums])
        # With the saved registers the stack stays a multiple of eight.
        return bytes_ + (4 - bytes_) % 8

    def _prologue(self, asm: Assembler) -> None:
        """Save registers; derive where the first chunk reads and writes."""
        line = self._geometry.operation
        enter(asm, self._frame)
        arguments = self._frame + SAVED_BYTES
        asm.emit(f"ldr.w r4, [sp, #{arguments}]", f"ldr.w r5, [sp, #{arguments + 4}]")
        asm.emit(f"str r3, [sp, #{_SCRATCH}]")
        load_constant(asm, "r6", self.plan.layers.sums.row_bytes)
        asm.emit("mla r2, r4, r6, r2", f"str r2, [sp, #{_CHUNK_OUTPUT}]")
        if self.plan.layers.pool:
            shift = self.plan.layers.pooled.bit_length() - 1
            asm.emit(f"lsl.w r4, r4, #{shift}", f"lsl.w r5, r5, #{shift}")
        asm.emit(f"str r5, [sp, #{_LEFT}]")
        load_constant(asm, "r6", line.stride)
        asm.emit("mul r4, r4, r6")
        add_constant(asm, "r4", -line.padding[0], "r7")
        load_constant(asm, "r6", self._geometry.channels)
        asm.emit("mla r0, r4, r6, r0", f"strd r4, r0, [sp, #{_ROW}]")

    def _chunks(self, asm: Assembler) -> None:
        chunks, height = self.plan.chunk_count, self.plan.layers.height
        chunk, line = asm.label("chunk"), asm.label("line")
        asm.place(chunk)
        with asm.repeated(chunks):
            self._begin_chunk(asm)
        asm.place(line)
        with asm.repeated(chunks * height):
            asm.emit(f"ldr r0, [sp, #{_ROW}]", f"ldr r1, [sp, #{_LINE}]")
            asm.emit(f"ldr r2, [sp, #{_SCRATCH}]", f"ldr.w lr, [sp, #{_TILES}]")
            asm.emit(f"str r2, [sp, #{_SUMS}]")
            add_constant(asm, "r2", self.plan.sums_bytes, "r3")
        with asm.repeated(height):
            self.plan.expansion.emit(asm, self.plan.expanded)
        with asm.repeated(chunks * height):
            load_address(asm, "r0", f"{self.plan.request.symbol}_constants")
            asm.emit(f"str r0, [sp, #{_CONSTANTS}]")
        for channels, count in self.plan.sections:
            self._filter(asm, channels, count)
        with asm.repeated(chunks * height):
            asm.emit(f"ldrd r0, r1, [sp, #{_HEIGHT}]")
            add_constant(asm, "r1", self._geometry.depth, "r3")
            asm.emit("subs.w r0, r0, #1", f"strd r0, r1, [sp, #{_HEIGHT}]", f"bne.w {line}")
        self._finish(asm)
        if not self.plan.layers.is_direct:
            self._look_up(asm)
        with asm.repeated(chunks):
            if chunks > 1:
                self._end_chunk(asm, chunk)

    def _begin_chunk(self, asm: Assembler) -> None:
        """Count the chunk's positions, blocks and tiles, clear the sums."""
        asm.emit(f"ldr r0, [sp, #{_LEFT}]")
        load_constant(asm, "r1", self.plan.chunk * LANES)
        asm.emit("cmp r0, r1", "it lt", "movlt r1, r0", "sub.w r0, r0, r1")
        asm.emit(f"str r0, [sp, #{_LEFT}]", f"str r1, [sp, #{_COUNT}]")
        asm.emit(f"add.w r0, r1, #{LANES - 1}", f"lsr.w r0, r0, #{LANES.bit_length() - 1}")
        asm.emit(f"str r0, [sp, #{_BLOCKS}]")
        add_constant(asm, "r0", self._geometry.extra_tiles, "r3")
        asm.emit(f"str r0, [sp, #{_TILES}]")
        load_address(asm, "r0", f"{self.plan.request.symbol}_constants")
        add_constant(asm, "r0", self.plan.spatial_at, "r3")
        asm.emit(f"str r0, [sp, #{_SPATIAL}]", f"ldr r1, [sp, #{_ADDRESS}]")
        load_constant(asm, "r0", self.plan.layers.height)
        asm.emit(f"strd r0, r1, [sp, #{_HEIGHT}]", f"ldr r3, [sp, #{_SCRATCH}]")
        loop = asm.label("clear")
        load_constant(asm, "r4", self.plan.sums_bytes // 16)
        asm.emit(*(f"mov.w r{number}, #0" for number in (5, 6, 7, 8)))
        asm.place(loop)
        with asm.repeated(self.plan.sums_bytes // 16):
            asm.emit("stmia r3!, {r5, r6, r7, r8}", "subs.w r4, r4, #1", f"bne.w {loop}")

    def _end_chunk(self, asm: Assembler, loop: str) -> None:
        """Move on to the next chunk's rows."""
        rows = self.plan.chunk * LANES * self._geometry.stride
        asm.emit(f"ldrd r4, r0, [sp, #{_ROW}]")
        add_constant(asm, "r4", rows, "r3")
        add_constant(asm, "r0", rows * self._geometry.channels, "r3")
        asm.emit(f"strd r4, r0, [sp, #{_ROW}]", f"ldrd r0, r2, [sp, #{_LEFT}]")
        outputs = self.plan.chunk * LANES // self.plan.layers.pooled
        add_constant(asm, "r2", outputs * self.plan.layers.sums.row_bytes, "r3")
        asm.emit(f"str r2, [sp, #{_CHUNK_OUTPUT}]", "cmp r0, #0", f"bgt.w {loop}")

    def _filter(self, asm: Assembler, channels: int, count: int) -> None:
        """Of one line and all chunks: the filters, two at a time or the last one."""
        times = self.plan.chunk_count * self.plan.layers.height
        loop, block = asm.label("filters"), asm.label("block")
        epilogue, values = self.plan.layers.filters, ACCUMULATORS[:channels]
        with asm.repeated(times):
            load_constant(asm, "r0", count)
            asm.emit(f"str r0, [sp, #{_PAIRS}]")
            asm.place(loop)
        with asm.repeated(times * count):
            self._load_filters(asm, channels)
        asm.place(block)
        with asm.repeated(self.plan.block_count * self.plan.layers.height * count):
            sliding.emit_block(
                asm, self._geometry, channels, self._record, self._record_end(channels)
            )
            epilogue.rescaling.emit(asm, values, self._record + 4 * channels, FREE[:4])
            clamp(asm, values, *epilogue.chain.weighted_bounds)
            self._accumulate(asm, channels)
            asm.emit(f"bne.w {block}")
        with asm.repeated(times * count):
            asm.emit(f"ldrd r1, r0, [sp, #{_PAIRS}]")
            add_constant(asm, "r0", channels * self.plan.filter_bytes, "r3")
            asm.emit("subs.w r1, r1, #1", f"strd r1, r0, [sp, #{_PAIRS}]", f"bne.w {loop}")

    def _load_filters(self, asm: Assembler, channels: int) -> None:
        """Copy the filters' record and their weights over the height, expand their own."""
        self._load_record(asm, self.plan.layers.filters.record_words(channels))
        asm.emit(f"addw lr, sp, #{self._record_end(channels)}")
        emit_weights(asm, len(self._geometry.visits) * channels)
        asm.emit(f"str.w r12, [sp, #{_CONSTANTS}]", f"ldr r1, [sp, #{_SPATIAL}]")
        paired = self.plan.layers.multiplier == _PAIRED
        for number in range(channels * (1 if paired else self.plan.layers.multiplier)):
            asm.emit("ldrsb.w r0, [r1], #1")
            if paired:
                asm.emit("ldrsb.w r2, [r1], #1", "pkhbt r0, r0, r2, lsl #16")
            asm.emit(f"str r0, [sp, #{_FACTORS + 4 * number}]")
        asm.emit(f"str r1, [sp, #{_SPATIAL}]", f"ldr r0, [sp, #{_SUMS}]")
        asm.emit(f"ldr r1, [sp, #{_BLOCKS}]", f"strd r0, r1, [sp, #{_OUTPUT}]")
        asm.emit(f"ldr.w lr, [sp, #{_SCRATCH}]")
        add_constant(asm, "lr", self.plan.sums_bytes, "r3")

    def _load_record(self, asm: Assembler, words: int) -> None:
        """Copy a record to the frame; r12 then points behind it."""
        asm.emit(f"ldr.w r12, [sp, #{_CONSTANTS}]", f"addw lr, sp, #{self._record}")
        registers = ", ".join(f"r{number}" for number in range(words))
        asm.emit(f"ldmia r12!, {{{registers}}}", f"stmia lr, {{{registers}}}")

    def _accumulate(self, asm: Assembler, channels: int) -> None:
        """Add a block's values, multiplied, to the sums; set the zero flag after the last block."""
        asm.emit(f"ldr.w r12, [sp, #{_OUTPUT}]")
        if self.plan.layers.multiplier == _PAIRED:
            self._accumulate_pairs(asm, channels)
            add_constant(asm, "r12", self.plan.block_bytes, "r0")
        else:
            self._accumulate_any(asm, channels)
            back = (channels - 1) * self.plan.filter_bytes
            add_constant(asm, "r12", self.plan.block_bytes - back, "r0")
        asm.emit(f"ldr r3, [sp, #{_OUTPUT + 4}]", "subs.w r3, r3, #1")
        asm.emit(f"strd r12, r3, [sp, #{_OUTPUT}]")

    def _accumulate_pairs(self, asm: Assembler, channels: int) -> None:
        """Two sums of each value: loads and stores of two neighbours overlap.

        Both factors lie in r2. A value's register is free once it has been multiplied.
        """
        cells = [
            (channel, position, value)
            for channel, registers in enumerate(ACCUMULATORS[:channels])
            for position, value in enumerate(registers)
        ]
        before, stored = "", ""
        for number, (channel, position, value) in enumerate(cells):
            totals = ("r3", before) if number % 2 else ("r0", "r1")
            at = f"[r12, #{channel * self.plan.filter_bytes + 8 * position}]"
            if position == 0:
                asm.emit(f"ldr r2, [sp, #{_FACTORS + 4 * channel}]")
            asm.emit(_several("ldr", totals, at))
            if number:
                asm.emit(stored)
            asm.emit(f"smlabb {totals[0]}, {value}, r2, {totals[0]}")
            asm.emit(f"smlabt {totals[1]}, {value}, r2, {totals[1]}")
            stored, before = _several("str", totals, at), value
        asm.emit(stored)

    def _accumulate_any(self, asm: Assembler, channels: int) -> None:
        """Any number of sums of each value; leaves r12 at the last filter's."""
        multiplier = self.plan.layers.multiplier
        for channel, registers in enumerate(ACCUMULATORS[:channels]):
            if channel:
                add_constant(asm, "r12", self.plan.filter_bytes, "r0")
            for first in range(0, multiplier, 2):
                count = min(multiplier - first, 2)
                factors = ("r2", "r3")[:count]
                place = _FACTORS + 4 * (channel * multiplier + first)
                asm.emit(_several("ldr", factors, f"[sp, #{place}]"))
                for position, value in enumerate(registers):
                    totals = ("r0", "r1")[:count]
                    at = f"[r12, #{4 * (position * multiplier + first)}]"
                    asm.emit(_several("ldr", totals, at))
                    for total, factor in zip(totals, factors, strict=True):
                        asm.emit(f"mla {total}, {value}, {factor}, {total}")
                    asm.emit(_several("str", totals, at))

    def _finish(self, asm: Assembler) -> None:
        """The chunk's sums become the output."""
        chunks, units = self.plan.chunk_count, self._geometry.outputs // self.plan.unit
        loop, epilogue = asm.label("sums"), self.plan.layers.sums
        with asm.repeated(chunks):
            load_constant(asm, "r0", units)
            asm.emit(f"ldr r1, [sp, #{_SCRATCH}]", f"strd r0, r1, [sp, #{_PAIRS}]")
            if self.plan.layers.is_direct:
                asm.emit(f"ldr r0, [sp, #{_CHUNK_OUTPUT}]")
            else:
                # The values lie where the words did, of which nothing is read any more.
                asm.emit("mov r0, r1")
                add_constant(asm, "r0", self.plan.sums_bytes, "r3")
            asm.emit(f"str r0, [sp, #{_UNIT_OUTPUT}]")
            asm.place(loop)
        with asm.repeated(units):
            for cells in self.plan.finished:
                block = asm.label("finish")
                with asm.repeated(chunks):
                    self._load_record(asm, epilogue.record_words(len(cells)))
                    asm.emit(f"str.w r12, [sp, #{_CONSTANTS}]", f"ldr r0, [sp, #{_UNIT_OUTPUT}]")
                    asm.emit(f"ldr r1, [sp, #{_COUNT}]", f"strd r0, r1, [sp, #{_OUTPUT}]")
                    asm.emit(f"add.w r0, r0, #{len(cells)}", f"str r0, [sp, #{_UNIT_OUTPUT}]")
                    asm.emit(f"ldr.w lr, [sp, #{_SUMS}]")
                asm.place(block)
                with asm.repeated(self.plan.block_count):
                    self._load_sums(asm, cells)
                runs = Runs(chunks, self.plan.block_count, self.plan.layers.positions % LANES)
                values = ACCUMULATORS[: len(cells)]
                slots = Slots(record=self._record, output=_OUTPUT)
                epilogue.finish(asm, values, slots, block, runs, tails=True)
            with asm.repeated(chunks):
                asm.emit(f"ldrd r0, r1, [sp, #{_PAIRS}]")
                add_constant(asm, "r1", self.plan.unit * self.plan.filter_bytes, "r3")
                asm.emit("subs.w r0, r0, #1", f"strd r0, r1, [sp, #{_PAIRS}]", f"bne.w {loop}")

    def _look_up(self, asm: Assembler) -> None:
        """The chunk's values become the output: looked up, averaged, or both."""
        pool, table = self.plan.layers.pool, self.plan.layers.table
        with asm.repeated(self.plan.chunk_count):
            asm.emit(f"ldr.w r12, [sp, #{_SCRATCH}]", f"ldr r2, [sp, #{_CHUNK_OUTPUT}]")
            add_constant(asm, "r12", self.plan.sums_bytes, "r3")
            asm.emit(f"ldr.w lr, [sp, #{_COUNT}]")
            if pool is not None:
                asm.emit(f"lsr.w lr, lr, #{pool.kernel.bit_length() - 1}")
            if table is not None:
                load_address(asm, "r3", f"{self.plan.request.symbol}_constants")
                add_constant(asm, "r3", self.plan.spatial_at - 128, "r0")
        channels = self.plan.layers.sums.row_bytes
        rows = self.plan.layers.outputs
        look_up.emit_rows(asm, pool, channels, rows, looks_up=table is not None)

    def _load_sums(self, asm: Assembler, cells: tuple[tuple[int, int], ...]) -> None:
        """Load a block's sums from lr on and add the biases."""
        biases = ("r0", "r1")[: len(cells)]
        asm.emit(_several("ldr", biases, f"[sp, #{self._record}]"))
        adjacent = len(cells) == 2 and cells[0][0] == cells[1][0]
        for position in range(LANES):
            registers = [ACCUMULATORS[index][position] for index in range(len(cells))]
            places = [
                line * self.plan.filter_bytes + 4 * (position * self.plan.layers.multiplier + each)
                for line, each in cells
            ]
            if adjacent:
                asm.emit(_several("ldr", registers, f"[lr, #{places[0]}]"))
            else:
                for register, place in zip(registers, places, strict=True):
                    asm.emit(f"ldr.w {register}, [lr, #{place}]")
            for register, bias in zip(registers, biases, strict=True):
                shift = ", lsl #1" if self.plan.layers.sums.doubled else ""
                asm.emit(f"add.w {register}, {bias}, {register}{shift}")
        add_constant(asm, "lr", self.plan.block_bytes, "r2")


def _several(operation: str, registers: Sequence[str], place: str) -> str:
    """Return the load or store of one word or two."""
    width = "d" if len(registers) == 2 else ".w"
    return f"{operation}{width} {', '.join(registers)}, {place}"
