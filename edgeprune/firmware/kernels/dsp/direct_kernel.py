"""A convolution, chunk by chunk: expand rows, then block by block for each pair of channels.

A chunk of positions at a time: the rows that it reads are expanded once to words of two 16-bit
numbers, then for each pair of output channels its int8 weights are expanded onto the stack and the
chunk's blocks are computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgeprune.firmware.kernels.assembler import Assembler
from edgeprune.firmware.kernels.code import KernelCode, KernelRequest
from edgeprune.firmware.kernels.dsp import rolled, sliding
from edgeprune.firmware.kernels.dsp.emission import (
    SAVED_BYTES,
    add_constant,
    enter,
    leave,
    load_address,
)
from edgeprune.firmware.kernels.dsp.epilogue import Epilogue, Runs, Slots
from edgeprune.firmware.kernels.dsp.expansion import Expansion, Tiles, emit_weights, words_in
from edgeprune.firmware.kernels.dsp.geometry import LANES, Geometry, Layout, packed
from edgeprune.firmware.kernels.dsp.sliding import ACCUMULATORS

_MOST_FRAME_WORDS = 800

# The stack frame below the record and the weights, in bytes from sp.
_OUTPUT, _OTHER, _SUMS, _PAIR_OUTPUT, _COUNT, _PAIR_OTHER = 0, 8, 12, 20, 24, 28
_CONSTANTS, _PAIRS, _ROW, _ADDRESS, _CHUNK_OUTPUT, _CHUNK_OTHER = 32, 36, 40, 44, 48, 52
_LEFT, _SCRATCH, _TILES, _GROUPS, _GROUP_ADDRESS, _PAIR_SUMS = 56, 60, 64, 68, 72, 76
_WEIGHTS, _RECORD = 80, 84


@dataclass(frozen=True, eq=False)
class DirectKernel:
    """One kernel.

    Attributes:
        request: What it computes.
        epilogue: What follows the sums.
        geometry: The convolution.
        chunk: Blocks of a chunk.
        tails: Whether the last block may be short.
        rolls: Whether a block loops over the input channels.
        alone: Whether the last of an odd number of output channels is computed on its own, with
            code of its own, and not a second time with its neighbour.
        slower: What keeps it from the fewest instructions.
    """

    request: KernelRequest
    epilogue: Epilogue
    geometry: Geometry
    chunk: int
    tails: bool
    rolls: bool
    alone: bool
    slower: str

    def code(self) -> KernelCode:
        """Write it."""
        asm = Assembler(self.request.symbol)
        self._prologue(asm)
        self._chunks(asm)
        leave(asm, self._frame)
        firsts = [
            channel for start, count in self._starts for channel in range(start, start + count)
        ]
        sizes = f"{self._channels} channels x {LANES} positions"
        sizes += ", the last channel alone" if self.alone else ""
        parts = f", {len(self._counts)} chunks" if len(self._counts) > 1 else ""
        return KernelCode(
            self.request.symbol,
            asm.text,
            self._constants(),
            self._sums_bytes + self._layout.size + self._scratch_weights,
            SAVED_BYTES + self._frame,
            asm.instructions,
            asm.code_bytes,
            f"direct, {sizes}{', rolled' if self.rolls else ''}{parts}",
            slower=self.slower,
            unit=0 if self.epilogue.averages else 1 if self.tails else self._step,
            block=self._step,
            # Then all that is read is in scratch memory before anything is written.
            overwrites_input=len(self._counts) == 1 and self.geometry.operation.groups == 1,
            # Each cell is read before it is written, unless a channel is computed twice.
            overwrites_other=self.epilogue.reads_other and len(set(firsts)) == len(firsts),
        )

    @cached_property
    def _layout(self) -> Layout:
        make = Layout.by_plane if self.rolls else Layout.by_tile
        return make(len(self.geometry.planes), self.chunk + self.geometry.extra_tiles)

    @cached_property
    def _expansion(self) -> Expansion:
        zero_point = self.request.source.zero_point
        return Expansion(self.geometry, self._layout, zero_point, self.epilogue.doubled)

    @property
    def _channels(self) -> int:
        return min(self.geometry.outputs, 2)

    @property
    def _pairs(self) -> int:
        return sum(count for _, count in self._sections)

    @property
    def _sections(self) -> tuple[tuple[int, int], ...]:
        """Output channels of a block, and how many blocks a position of a group has of them."""
        if self.alone:
            return (2, self.geometry.outputs // 2), (1, 1)
        return ((self._channels, -(-self.geometry.outputs // self._channels)),)

    @property
    def _step(self) -> int:
        """Output positions of a block."""
        return LANES // self.epilogue.pool

    @property
    def _outputs(self) -> int:
        return self.geometry.positions // self.epilogue.pool

    @property
    def _counts(self) -> list[int]:
        """Output positions of each chunk of the whole output."""
        size = self.chunk * self._step
        return [min(size, self._outputs - start) for start in range(0, self._outputs, size)]

    @property
    def _chunk_positions(self) -> int:
        return self.chunk * LANES

    def _ends(self, channels: int) -> int:
        """Where the record of some channels ends in the frame."""
        return _RECORD + 4 * self.epilogue.record_words(channels)

    def _weight_words(self, channels: int) -> int:
        return len(self.geometry.visits) * channels

    @property
    def _weight_bytes(self) -> int:
        """Bytes of a pair's expanded weights and of what lies with them."""
        biases = rolled.bias_bytes(self._channels) if self.rolls else 0
        return biases + 4 * words_in(self._weight_words(self._channels))

    @property
    def _scratch_weights(self) -> int:
        """Bytes of weights in scratch memory, where the stack is no place for them."""
        return self._weight_bytes if self._weight_words(self._channels) > _MOST_FRAME_WORDS else 0

    @property
    def _frame(self) -> int:
        bytes_ = self._ends(self._channels) + self._weight_bytes - self._scratch_weights
        # With the saved registers the stack stays a multiple of eight.
        return bytes_ + (4 - bytes_) % 8

    @property
    def _carries_sums(self) -> bool:
        """Whether the sums of an average live longer than one chunk."""
        return self.epilogue.averages and len(self._counts) > 1

    @property
    def _sums_bytes(self) -> int:
        return 8 * self._pairs * self.geometry.operation.groups if self._carries_sums else 0

    @property
    def _slots(self) -> Slots:
        return Slots(record=_RECORD, output=_OUTPUT, other=_OTHER, sums=_SUMS)

    def _constants(self) -> bytes:
        constants = b""
        visits = rolled.ordered(self.geometry) if self.rolls else self.geometry.visits
        operation = self.geometry.operation
        for group in range(operation.groups):
            for start, count in self._starts:
                first = group * self.geometry.outputs + start
                channels = tuple(range(first, first + count))
                biases = [self._expansion.bias(channel) for channel in channels]
                record = self.epilogue.record(channels, biases)
                constants += np.array(record, "<u4").tobytes()
                constants += packed(self.geometry.weight_words(channels, visits))
        return constants

    @property
    def _starts(self) -> list[tuple[int, int]]:
        """First channel in the group and number of channels of each block."""
        starts: list[tuple[int, int]] = []
        for channels, count in self._sections:
            for _ in range(count):
                first = starts[-1][0] + starts[-1][1] if starts else 0
                starts.append((min(first, self.geometry.outputs - channels), channels))
        return starts

    def _prologue(self, asm: Assembler) -> None:
        """Save registers; derive where the first chunk reads and writes."""
        shape, operation = self.geometry, self.geometry.operation
        enter(asm, self._frame)
        if self.epilogue.averages:
            asm.emit("mov.w r4, #0", f"movw r5, #{self._outputs}")
        else:
            arguments = self._frame + SAVED_BYTES
            asm.emit(f"ldr r4, [sp, #{arguments}]", f"ldr r5, [sp, #{arguments + 4}]")
        asm.emit(f"str r3, [sp, #{_SCRATCH}]", f"str r5, [sp, #{_LEFT}]")
        asm.emit(f"movw r6, #{operation.outputs}", "mla r2, r4, r6, r2")
        asm.emit(f"str r2, [sp, #{_CHUNK_OUTPUT}]")
        if self.epilogue.pool > 1:
            asm.emit(f"lsl.w r4, r4, #{self.epilogue.pool.bit_length() - 1}")
        if self.epilogue.reads_other:
            asm.emit("mla r1, r4, r6, r1", f"str r1, [sp, #{_CHUNK_OTHER}]")
        asm.emit(f"movw r6, #{shape.stride}", "mul r4, r4, r6")
        add_constant(asm, "r4", -operation.padding[0], "r7")
        asm.emit(f"movw r6, #{shape.channels}", "mla r0, r4, r6, r0")
        asm.emit(f"strd r4, r0, [sp, #{_ROW}]")
        if self._scratch_weights:
            asm.emit("mov r0, r3")
            add_constant(asm, "r0", self._sums_bytes + self._layout.size, "r1")
            asm.emit(f"str r0, [sp, #{_WEIGHTS}]")
        if self._carries_sums:
            loop = asm.label("zero")
            asm.emit("mov.w r0, #0", f"movw r1, #{self._sums_bytes // 4}")
            asm.place(loop)
            with asm.repeated(self._sums_bytes // 4):
                asm.emit("str r0, [r3], #4", "subs.w r1, r1, #1", f"bne.w {loop}")

    def _chunks(self, asm: Assembler) -> None:
        """The loop over chunks, in each of which all groups are computed."""
        chunks, groups = len(self._counts), self.geometry.operation.groups
        chunk_loop, group_loop = asm.label("chunk"), asm.label("group")
        asm.place(chunk_loop)
        with asm.repeated(chunks):
            self._begin_chunk(asm)
            if groups > 1:
                asm.emit(f"ldr r1, [sp, #{_ADDRESS}]", f"movw r0, #{groups}")
                asm.emit(f"strd r0, r1, [sp, #{_GROUPS}]")
        asm.place(group_loop)
        with asm.repeated(chunks * groups):
            asm.emit(f"ldr r0, [sp, #{_ROW}]")
            asm.emit(f"ldr r1, [sp, #{_GROUP_ADDRESS if groups > 1 else _ADDRESS}]")
            asm.emit(f"ldr r2, [sp, #{_SCRATCH}]", f"ldr.w lr, [sp, #{_TILES}]")
            add_constant(asm, "r2", self._sums_bytes, "r3")
        with asm.repeated(groups):
            self._expansion.emit(asm, self._tiles)
            for channels, count in self._sections:
                self._pair_loop(asm, channels, count)
        with asm.repeated(chunks * groups):
            if groups > 1:
                asm.emit(f"ldrd r0, r1, [sp, #{_GROUPS}]")
                add_constant(asm, "r1", self.geometry.depth, "r3")
                asm.emit("subs.w r0, r0, #1")
                asm.emit(f"strd r0, r1, [sp, #{_GROUPS}]", f"bne.w {group_loop}")
        with asm.repeated(chunks):
            if chunks > 1:
                self._end_chunk(asm)
                asm.emit(f"ldr r0, [sp, #{_LEFT}]", "cmp r0, #0", f"bgt.w {chunk_loop}")
        if self._carries_sums:
            self._divide(asm)

    @property
    def _tiles(self) -> Tiles:
        """The tiles of all chunks."""
        shape, row = self.geometry, -self.geometry.operation.padding[0]
        total = Tiles(0, 0, 0, (0,) * len(shape.phases))
        for count in self._counts:
            tiles = -(-count // self._step) + shape.extra_tiles
            total += self._expansion.tiles(row, tiles)
            row += self._chunk_positions * shape.stride
        return total

    def _begin_chunk(self, asm: Assembler) -> None:
        """Count the chunk's positions and tiles, and point to the first pair."""
        asm.emit(f"ldr r0, [sp, #{_LEFT}]")
        if len(self._counts) > 1:
            asm.emit(f"movw r1, #{self.chunk * self._step}", "cmp r0, r1", "it lt", "movlt r1, r0")
            asm.emit("sub.w r0, r0, r1", f"str r0, [sp, #{_LEFT}]", "mov r0, r1")
        asm.emit(f"str r0, [sp, #{_COUNT}]")
        if self._step > 1:
            asm.emit(f"add.w r0, r0, #{self._step - 1}")
            asm.emit(f"lsr.w r0, r0, #{self._step.bit_length() - 1}")
        add_constant(asm, "r0", self.geometry.extra_tiles, "r3")
        asm.emit(f"str r0, [sp, #{_TILES}]")
        load_address(asm, "r0", f"{self.request.symbol}_constants")
        asm.emit(f"str r0, [sp, #{_CONSTANTS}]", f"ldr r0, [sp, #{_CHUNK_OUTPUT}]")
        asm.emit(f"str r0, [sp, #{_PAIR_OUTPUT}]")
        if self.epilogue.reads_other:
            asm.emit(f"ldr r0, [sp, #{_CHUNK_OTHER}]", f"str r0, [sp, #{_PAIR_OTHER}]")
        if self._carries_sums:
            asm.emit(f"ldr r0, [sp, #{_SCRATCH}]", f"str r0, [sp, #{_PAIR_SUMS}]")

    def _end_chunk(self, asm: Assembler) -> None:
        """Move on to the next chunk's rows."""
        outputs, shape = self.geometry.operation.outputs, self.geometry
        rows = self._chunk_positions * shape.stride
        asm.emit(f"ldrd r4, r0, [sp, #{_ROW}]")
        add_constant(asm, "r4", rows, "r3")
        add_constant(asm, "r0", rows * shape.channels, "r3")
        asm.emit(f"strd r4, r0, [sp, #{_ROW}]")
        if not self.epilogue.averages:
            asm.emit(f"ldr r2, [sp, #{_CHUNK_OUTPUT}]")
            add_constant(asm, "r2", self.chunk * self._step * outputs, "r3")
            asm.emit(f"str r2, [sp, #{_CHUNK_OUTPUT}]")
        if self.epilogue.reads_other:
            asm.emit(f"ldr r0, [sp, #{_CHUNK_OTHER}]")
            add_constant(asm, "r0", self._chunk_positions * outputs, "r3")
            asm.emit(f"str r0, [sp, #{_CHUNK_OTHER}]")

    def _pair_loop(self, asm: Assembler, channels: int, pairs: int) -> None:
        """Of one group and all chunks: the pairs of output channels, or one alone."""
        chunks, block_count = len(self._counts), sum(-(-c // self._step) for c in self._counts)
        loop, block = asm.label("pair"), asm.label("block")
        with asm.repeated(chunks):
            if pairs > 1:
                asm.emit(f"movw r0, #{pairs}", f"str r0, [sp, #{_PAIRS}]")
        asm.place(loop)
        with asm.repeated(chunks * pairs):
            self._load_pair(asm, channels)
        asm.place(block)
        with asm.repeated(pairs):
            with asm.repeated(block_count):
                self._block(asm, channels)
            runs = Runs(chunks, block_count, self._outputs % self._step)
            values = ACCUMULATORS[:channels]
            self.epilogue.finish(asm, values, self._slots, block, runs, tails=self.tails)
        with asm.repeated(chunks * pairs):
            if self._carries_sums:
                asm.emit(f"ldr.w r12, [sp, #{_PAIR_SUMS}]", f"ldrd r0, r1, [sp, #{_SUMS}]")
                asm.emit("strd r0, r1, [r12], #8", f"str.w r12, [sp, #{_PAIR_SUMS}]")
            elif self.epilogue.averages:
                self.epilogue.finish_average(asm, self._slots, channels)
            if pairs > 1:
                asm.emit(f"ldr r1, [sp, #{_PAIRS}]", "subs.w r1, r1, #1")
            self._next_channels(asm, channels, odd=pairs > 1 and not self.alone)
            if pairs > 1:
                asm.emit(f"str r1, [sp, #{_PAIRS}]", f"bne.w {loop}")

    def _block(self, asm: Assembler, channels: int) -> None:
        """The sums of one block."""
        if self.rolls:
            base = rolled.Place(self._ends(channels))
            if self._scratch_weights:
                base = rolled.Place(_WEIGHTS, indirect=True)
            rolled.emit_block(asm, self.geometry, self._layout, channels, base)
        else:
            sliding.emit_block(asm, self.geometry, channels, _RECORD, self._ends(channels))

    def _load_pair(self, asm: Assembler, channels: int) -> None:
        """Copy the pair's record, expand its weights, point to its first block."""
        asm.emit(f"ldr.w r12, [sp, #{_CONSTANTS}]", f"addw lr, sp, #{_RECORD}")
        words = self.epilogue.record_words(channels)
        # `emit_biases` finds the biases, which come first, in r0 and r1.
        for first, start, end in ((0, 0, min(words, 12)), (4, 12, words)):
            registers = [f"r{first + index}" for index in range(end - start)]
            if registers:
                names = ", ".join(registers)
                asm.emit(f"ldmia r12!, {{{names}}}", f"stmia lr!, {{{names}}}")
        if self._scratch_weights:
            asm.emit(f"ldr.w lr, [sp, #{_WEIGHTS}]")
        if self.rolls:
            rolled.emit_biases(asm, channels)
        emit_weights(asm, self._weight_words(channels))
        asm.emit(f"str.w r12, [sp, #{_CONSTANTS}]")
        asm.emit(f"ldrd r0, r1, [sp, #{_PAIR_OUTPUT}]", f"strd r0, r1, [sp, #{_OUTPUT}]")
        if self.epilogue.reads_other:
            asm.emit(f"ldr r0, [sp, #{_PAIR_OTHER}]", f"str r0, [sp, #{_OTHER}]")
        if self._carries_sums:
            asm.emit(f"ldr r0, [sp, #{_PAIR_SUMS}]", "ldrd r0, r1, [r0]")
            asm.emit(f"strd r0, r1, [sp, #{_SUMS}]")
        elif self.epilogue.averages:
            asm.emit("mov.w r0, #0", f"strd r0, r0, [sp, #{_SUMS}]")
        asm.emit(f"ldr.w lr, [sp, #{_SCRATCH}]")
        add_constant(asm, "lr", self._sums_bytes, "r3")

    def _next_channels(self, asm: Assembler, channels: int, *, odd: bool) -> None:
        """Move the outputs on by a pair; keep r1 and the zero flag, whether r1 is 0."""
        odd = odd and self.geometry.outputs % channels > 0
        places = [_PAIR_OUTPUT, *([_PAIR_OTHER] if self.epilogue.reads_other else [])]
        for place in places:
            asm.emit(f"ldr r0, [sp, #{place}]", f"add.w r0, r0, #{channels}")
            if odd:
                # The last pair computes a channel of the pair before it once more.
                asm.emit("cmp r1, #1", "it eq", "subeq.w r0, r0, #1")
            asm.emit(f"str r0, [sp, #{place}]")
        if odd:
            asm.emit("cmp r1, #0")

    def _divide(self, asm: Assembler) -> None:
        """Average the sums of all chunks."""
        shape = self.geometry
        loop = asm.label("average")
        total = self._pairs * shape.operation.groups
        asm.emit(f"movw r0, #{total}", f"str r0, [sp, #{_GROUPS}]")
        for place, source in ((_PAIR_SUMS, _SCRATCH), (_OUTPUT, _CHUNK_OUTPUT)):
            asm.emit(f"ldr r0, [sp, #{source}]", f"str r0, [sp, #{place}]")
        asm.emit(f"movw r0, #{self._pairs}", f"str r0, [sp, #{_PAIRS}]")
        asm.place(loop)
        with asm.repeated(total):
            asm.emit(f"ldr.w r12, [sp, #{_PAIR_SUMS}]", "ldrd r0, r1, [r12], #8")
            asm.emit(f"str.w r12, [sp, #{_PAIR_SUMS}]", f"strd r0, r1, [sp, #{_SUMS}]")
            self.epilogue.finish_average(asm, self._slots, self._channels)
            asm.emit(f"add.w r12, r12, #{self._channels}")
            if self.geometry.outputs % self._channels:
                asm.emit(f"ldr r1, [sp, #{_PAIRS}]", "subs.w r1, r1, #1", "cmp r1, #1")
                asm.emit("it eq", "subeq.w r12, r12, #1", "cmp r1, #0")
                asm.emit("it eq", f"movweq r1, #{self._pairs}", f"str r1, [sp, #{_PAIRS}]")
            asm.emit(f"str.w r12, [sp, #{_OUTPUT}]", f"ldr r0, [sp, #{_GROUPS}]")
            asm.emit("subs.w r0, r0, #1", f"str r0, [sp, #{_GROUPS}]", f"bne.w {loop}")
