"""One convolution that skips zero weights, written as a function; see `sparse`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgeprune.firmware.kernels.assembler import Assembler
from edgeprune.firmware.kernels.code import KernelCode, KernelRequest
from edgeprune.firmware.kernels.dsp.emission import (
    SAVED_BYTES,
    add_constant,
    enter,
    leave,
    load_address,
    load_constant,
)
from edgeprune.firmware.kernels.dsp.epilogue import Epilogue, Runs, Slots
from edgeprune.firmware.kernels.dsp.planes import BLOCK, FIELD, Planes
from edgeprune.firmware.kernels.dsp.sparse_sums import Sums
from edgeprune.firmware.kernels.dsp.sparse_weights import (
    MOST_UNROLLED,
    SCALE,
    Weight,
    emit_entries,
    emit_weights,
    entry,
)
from edgeprune.network.convolution import OverLength

# The stack frame, in bytes from sp.
_OUTPUT, _OTHER, _SUMS = 0, 8, 12
_TABLE, _CODE, _STREAM, _LEFT_CHANNELS = 16, 20, 24, 28
_CHUNK_OUTPUT, _CHUNK_OTHER, _LEFT, _SCRATCH = 32, 36, 40, 44
_ROW, _ADDRESS, _COUNT, _CHANNEL_SUMS = 48, 52, 56, 60
_CHANNEL_OUTPUT, _CHANNEL_OTHER, _BASE, _END = 64, 68, 72, 76
_HEADER, _BIAS, _LIFT, _RECORD = 80, 84, 92, 96


@dataclass(frozen=True, eq=False)
class SparseKernel:
    """One kernel: a chunk's size, how its weights are kept, whether its ends may lie anywhere."""

    request: KernelRequest
    epilogue: Epilogue
    operation: OverLength
    planes: Planes
    outputs: int
    tails: bool
    streams: bool

    @property
    def fits(self) -> bool:
        """Whether two sums fit into 64 bits side by side, for every input."""
        return all(high - low < 2**FIELD for low, high in self._sums.ranges)

    def code(self) -> KernelCode:
        """Write it."""
        asm = Assembler(self.request.symbol)
        self._prologue(asm)
        self._chunks(asm)
        leave(asm, self._frame)
        self._tables(asm)
        kept = "a stream of weights" if self.streams else "weights in the code"
        parts = f", {len(self._counts)} chunks" if len(self._counts) > 1 else ""
        total = self.operation.weights.size
        zeros = total - sum(len(weights) for weights in self._weights)
        return KernelCode(
            self.request.symbol,
            asm.text,
            self._constants(),
            self._staging + self.planes.staging_bytes,
            SAVED_BYTES + self._frame + 20,
            asm.instructions,
            asm.code_bytes,
            f"sparse, {zeros} of {total} weights are zero: {kept}{parts}",
            unit=0 if self.epilogue.averages else 1 if self.tails else self._step,
        )

    @property
    def _step(self) -> int:
        """Output positions of a block."""
        return BLOCK // self.epilogue.pool

    @property
    def _chunk_outputs(self) -> int:
        return self.planes.blocks * self._step

    @cached_property
    def _counts(self) -> list[int]:
        """Output positions of each chunk of the whole output."""
        size = self._chunk_outputs
        return [min(size, self.outputs - start) for start in range(0, self.outputs, size)]

    @property
    def _block_counts(self) -> list[int]:
        return [-(-count // self._step) for count in self._counts]

    @cached_property
    def _sums(self) -> Sums:
        return Sums(self.request, self.epilogue, self.operation, self.planes)

    @property
    def _weights(self) -> tuple[tuple[Weight, ...], ...]:
        return self._sums.weights

    @property
    def _fixed(self) -> dict[int, int]:
        return self._sums.fixed

    @property
    def _active(self) -> int:
        """Channels that are computed."""
        return self.operation.outputs - len(self._fixed)

    @property
    def _record_words(self) -> int:
        return self.epilogue.record_words(1)

    @property
    def _frame(self) -> int:
        bytes_ = _RECORD + 4 * self._record_words
        # With the saved registers the stack stays a multiple of eight.
        return bytes_ + (4 - bytes_) % 8

    @property
    def _carries_sums(self) -> bool:
        return self.epilogue.averages and len(self._counts) > 1

    @property
    def _sums_bytes(self) -> int:
        return 8 * -(-self.operation.outputs // 2) if self._carries_sums else 0

    @property
    def _staging(self) -> int:
        return self._sums_bytes + self.planes.plane_bytes

    @property
    def _centre(self) -> int:
        """Where the base of a block's offsets lies: immediate offsets reach 4095 both ways."""
        return 0 if self.streams else min(4092, self.planes.plane_bytes // 8 * 4)

    def _constants(self) -> bytes:
        words: list[int] = []
        for channel, weights in enumerate(self._weights):
            low, _ = self._sums.ranges[channel]
            bias = self._sums.biases[channel]
            # The low field counts from its least sum on, so that it never borrows.
            start = (bias << 32) + ((bias - low) << SCALE)
            entries = [entry(weight) for weight in weights] if self.streams else []
            words += [4 * len(entries), start, start >> 32, self._fixed.get(channel, low)]
            words += self.epilogue.record([channel], [0])
            words += entries
        return np.array([word & 0xFFFFFFFF for word in words], "<u4").tobytes()

    def _prologue(self, asm: Assembler) -> None:
        """Save registers; derive where the first chunk reads and writes."""
        operation = self.operation
        enter(asm, self._frame)
        if self.epilogue.averages:
            load_constant(asm, "r4", 0)
            load_constant(asm, "r5", self.outputs)
        else:
            arguments = self._frame + SAVED_BYTES
            asm.emit(f"ldr.w r4, [sp, #{arguments}]", f"ldr.w r5, [sp, #{arguments + 4}]")
        asm.emit(f"str.w r3, [sp, #{_SCRATCH}]", f"str.w r5, [sp, #{_LEFT}]")
        load_constant(asm, "r6", operation.outputs)
        asm.emit("mla r2, r4, r6, r2", f"str.w r2, [sp, #{_CHUNK_OUTPUT}]")
        if self.epilogue.pool > 1:
            asm.emit(f"lsl.w r4, r4, #{self.epilogue.pool.bit_length() - 1}")
        if self.epilogue.reads_other:
            asm.emit("mla r1, r4, r6, r1", f"str.w r1, [sp, #{_CHUNK_OTHER}]")
        load_constant(asm, "r6", operation.stride)
        asm.emit("mul r4, r4, r6")
        add_constant(asm, "r4", -operation.padding[0], "r6")
        load_constant(asm, "r6", self.planes.channels)
        asm.emit("mla r0, r4, r6, r0", f"strd r4, r0, [sp, #{_ROW}]")
        if self._carries_sums:
            loop = asm.label("zero")
            asm.emit("mov.w r0, #0")
            load_constant(asm, "r1", self._sums_bytes // 4)
            asm.place(loop)
            with asm.repeated(self._sums_bytes // 4):
                asm.emit("str r0, [r3], #4", "subs.w r1, r1, #1", f"bne.w {loop}")

    def _chunks(self, asm: Assembler) -> None:
        """The loop over chunks: expand the rows, then compute channel by channel."""
        counts, planes, operation = self._counts, self.planes, self.operation
        chunk_loop = asm.label("chunk")
        asm.place(chunk_loop)
        rows = self._chunk_outputs * self.epilogue.pool * operation.stride
        with asm.repeated(len(counts)):
            asm.emit(f"ldr.w r5, [sp, #{_LEFT}]")
            load_constant(asm, "r6", self._chunk_outputs)
            asm.emit("cmp r6, r5", "it gt", "movgt r6, r5", "sub.w r5, r5, r6")
            asm.emit(f"str.w r5, [sp, #{_LEFT}]", f"str.w r6, [sp, #{_COUNT}]")
            asm.emit(f"add.w lr, r6, #{self._step - 1}")
            if self._step > 1:
                asm.emit(f"lsr.w lr, lr, #{self._step.bit_length() - 1}")
            asm.emit(f"lsl.w lr, lr, #{BLOCK.bit_length() - 1}")
            add_constant(asm, "lr", planes.extra + planes.tile - 1, "r6")
            asm.emit(f"lsr.w lr, lr, #{planes.tile.bit_length() - 1}")
            asm.emit(f"ldrd r0, r1, [sp, #{_ROW}]", f"ldr.w r3, [sp, #{_SCRATCH}]")
            if self._sums_bytes:
                asm.emit(f"str.w r3, [sp, #{_CHANNEL_SUMS}]")
                add_constant(asm, "r3", self._sums_bytes, "r6")
            asm.emit("mov.w r2, r3")
            add_constant(asm, "r3", planes.plane_bytes, "r6")
            asm.emit("mov.w r4, r2")
            add_constant(asm, "r4", self._centre, "r6")
            asm.emit(f"str.w r4, [sp, #{_BASE}]")
        starts = [
            (index * rows - operation.padding[0], planes.tiles(blocks))
            for index, blocks in enumerate(self._block_counts)
        ]
        planes.emit(asm, starts)
        self._channels(asm)
        with asm.repeated(len(counts)):
            if len(counts) > 1:
                self._end_chunk(asm, rows)
            asm.emit(f"ldr.w r0, [sp, #{_LEFT}]", "cmp r0, #0", f"bgt.w {chunk_loop}")
        if self._carries_sums:
            self._divide(asm)

    def _end_chunk(self, asm: Assembler, rows: int) -> None:
        """Move on to the next chunk's rows."""
        outputs = self.operation.outputs
        asm.emit(f"ldrd r4, r0, [sp, #{_ROW}]")
        add_constant(asm, "r4", rows, "r6")
        add_constant(asm, "r0", rows * self.planes.channels, "r6")
        asm.emit(f"strd r4, r0, [sp, #{_ROW}]")
        if not self.epilogue.averages:
            asm.emit(f"ldr.w r2, [sp, #{_CHUNK_OUTPUT}]")
            add_constant(asm, "r2", self._chunk_outputs * outputs, "r6")
            asm.emit(f"str.w r2, [sp, #{_CHUNK_OUTPUT}]")
        if self.epilogue.reads_other:
            asm.emit(f"ldr.w r0, [sp, #{_CHUNK_OTHER}]")
            add_constant(asm, "r0", self._chunk_outputs * self.epilogue.pool * outputs, "r6")
            asm.emit(f"str.w r0, [sp, #{_CHUNK_OTHER}]")

    def _channels(self, asm: Assembler) -> None:
        """The loop over output channels of all chunks."""
        chunks, outputs, epilogue = len(self._counts), self.operation.outputs, self.epilogue
        channel_loop, block = asm.label("channel"), asm.label("block")
        with asm.repeated(chunks):
            load_address(asm, "r0", f"{self.request.symbol}_constants")
            load_address(asm, "r1", self._label("codes"))
            load_constant(asm, "r2", outputs)
            asm.emit(f"str.w r0, [sp, #{_STREAM}]", f"str.w r1, [sp, #{_TABLE}]")
            asm.emit(f"str.w r2, [sp, #{_LEFT_CHANNELS}]", "mov.w r0, #0")
            asm.emit(f"str.w r0, [sp, #{_HEADER}]", f"ldr.w r0, [sp, #{_CHUNK_OUTPUT}]")
            asm.emit(f"str.w r0, [sp, #{_CHANNEL_OUTPUT}]")
            if epilogue.reads_other:
                asm.emit(f"ldr.w r0, [sp, #{_CHUNK_OTHER}]", f"str.w r0, [sp, #{_CHANNEL_OTHER}]")
        asm.place(channel_loop)
        with asm.repeated(chunks * outputs):
            self._begin_channel(asm)
        asm.place(block)
        blocks = sum(self._block_counts)
        with asm.repeated(blocks * self._active + chunks * len(self._fixed)):
            for low, high in zip(("r4", "r5", "r6", "r7"), ("r8", "r9", "r10", "r11"), strict=True):
                asm.emit(f"ldrd {low}, {high}, [sp, #{_BIAS}]")
            if self.streams:
                asm.emit(f"ldr.w r12, [sp, #{_STREAM}]")
            asm.emit(f"ldr.w pc, [sp, #{_CODE}]")
        if self.streams:
            counts = [len(weights) for weights in self._weights]
            emit_entries(asm, self._label("entry_with"), counts, blocks, _END, self._sums.factor)
        asm.place(self._label("split"))
        with asm.repeated(blocks * self._active):
            asm.emit("addw lr, lr, #32", f"ldr.w r0, [sp, #{_LIFT}]")
            for low in ("r4", "r5", "r6", "r7"):
                asm.emit(f"add.w {low}, r0, {low}, lsr #{SCALE}")
        runs = Runs(chunks, blocks, self.outputs % self._step)
        values = (tuple(f"r{number}" for number in range(4, 12)),)
        slots = Slots(record=_RECORD, output=_OUTPUT, other=_OTHER, sums=_SUMS)
        with asm.repeated(self._active):
            epilogue.finish(asm, values, slots, block, runs, tails=self.tails)
        if self._fixed:
            self._fill(asm)
        with asm.repeated(chunks * outputs):
            if self._carries_sums:
                asm.emit(f"ldr.w r12, [sp, #{_CHANNEL_SUMS}]", f"ldr.w r0, [sp, #{_SUMS}]")
                asm.emit("str.w r0, [r12], #4", f"str.w r12, [sp, #{_CHANNEL_SUMS}]")
            elif epilogue.averages:
                epilogue.finish_average(asm, slots, 1)
            for place in (_CHANNEL_OUTPUT, *([_CHANNEL_OTHER] if epilogue.reads_other else [])):
                asm.emit(
                    f"ldr.w r0, [sp, #{place}]", "add.w r0, r0, #1", f"str.w r0, [sp, #{place}]"
                )
            asm.emit(f"ldr.w r0, [sp, #{_LEFT_CHANNELS}]", "subs.w r0, r0, #1")
            asm.emit(f"str.w r0, [sp, #{_LEFT_CHANNELS}]", f"bne.w {channel_loop}")

    def _fill(self, asm: Assembler) -> None:
        """Write a channel that has no weights: one value for all positions of the chunk."""
        chunks, fixed, stride = len(self._counts), len(self._fixed), self.operation.outputs
        done, loop = asm.label("filled"), asm.label("fill")
        with asm.repeated(chunks * self._active):
            asm.emit(f"b.w {done}")
        asm.place(self._label("fixed"))
        with asm.repeated(chunks * fixed):
            asm.emit(f"ldr.w r0, [sp, #{_LIFT}]", f"ldrd r12, r3, [sp, #{_OUTPUT}]")
            if self.epilogue.averages:
                asm.emit(f"ldr.w r1, [sp, #{_SUMS}]", "mla r1, r0, r3, r1")
                asm.emit(f"str.w r1, [sp, #{_SUMS}]")
        if not self.epilogue.averages:
            rows = 1 if self.tails else self._step
            asm.place(loop)
            with asm.repeated(sum(self._counts) // rows * fixed):
                for _ in range(rows):
                    asm.emit(f"strb r0, [r12], #{stride}" if stride < 256 else "strb r0, [r12]")
                    add_constant(asm, "r12", stride if stride >= 256 else 0, "r1")
                asm.emit(f"subs.w r3, r3, #{rows}", f"bgt.w {loop}")
        asm.place(done)

    def _begin_channel(self, asm: Assembler) -> None:
        """Copy the channel's record and point to its first block."""
        registers = ", ".join(f"r{number}" for number in range(4 + self._record_words))
        # The channel before left the bytes of its entries in the header.
        asm.emit(f"ldr.w r12, [sp, #{_STREAM}]", f"ldr.w r0, [sp, #{_HEADER}]")
        asm.emit("add.w r12, r12, r0", f"addw lr, sp, #{_HEADER}")
        asm.emit(f"ldmia r12!, {{{registers}}}", f"stmia lr, {{{registers}}}")
        asm.emit(f"str.w r12, [sp, #{_STREAM}]")
        if self._checks_end:
            asm.emit("add.w r12, r12, r0", f"str.w r12, [sp, #{_END}]")
        asm.emit(f"ldr.w r0, [sp, #{_TABLE}]", "ldr r1, [r0], #4", f"strd r0, r1, [sp, #{_TABLE}]")
        asm.emit(f"ldr.w r0, [sp, #{_CHANNEL_OUTPUT}]", f"ldr.w r1, [sp, #{_COUNT}]")
        asm.emit(f"strd r0, r1, [sp, #{_OUTPUT}]")
        if self.epilogue.reads_other:
            asm.emit(f"ldr.w r0, [sp, #{_CHANNEL_OTHER}]", f"str.w r0, [sp, #{_OTHER}]")
        if self._carries_sums:
            asm.emit(f"ldr.w r0, [sp, #{_CHANNEL_SUMS}]", "ldr.w r0, [r0]")
            asm.emit(f"str.w r0, [sp, #{_SUMS}]")
        elif self.epilogue.averages:
            asm.emit("mov.w r0, #0", f"str.w r0, [sp, #{_SUMS}]")
        asm.emit(f"ldr.w lr, [sp, #{_BASE}]")

    @property
    def _checks_end(self) -> bool:
        most = max(len(weights) for weights in self._weights)
        return self.streams and most > MOST_UNROLLED

    def _divide(self, asm: Assembler) -> None:
        """Average the sums of all chunks."""
        loop, outputs = asm.label("average"), self.operation.outputs
        load_constant(asm, "r4", outputs)
        asm.emit(f"ldr.w r5, [sp, #{_SCRATCH}]", f"ldr.w r6, [sp, #{_CHUNK_OUTPUT}]")
        asm.place(loop)
        with asm.repeated(outputs):
            asm.emit("ldr r0, [r5], #4", f"str.w r0, [sp, #{_SUMS}]")
            asm.emit(f"str.w r6, [sp, #{_OUTPUT}]", "add.w r6, r6, #1")
            self.epilogue.finish_average(asm, Slots(_RECORD, _OUTPUT, _OTHER, _SUMS), 1)
            asm.emit("subs.w r4, r4, #1", f"bne.w {loop}")

    def _label(self, stem: str) -> str:
        return f".L{self.request.symbol}_{stem}"

    def _tables(self, asm: Assembler) -> None:
        """Where the code of each channel begins, and that code."""
        asm.directive(".balign 4", size=2)
        asm.place(self._label("codes"))
        for channel, weights in enumerate(self._weights):
            if self.streams:
                label = self._label(
                    "split" if not weights else f"entry_with_{_start(len(weights))}"
                )
            else:
                label = self._label(f"code_of_{channel}")
            if channel in self._fixed:
                label = self._label("fixed")
            asm.directive(f".word {label} + 1", size=4)
        if self.streams:
            return
        for channel, weights in enumerate(self._weights):
            if channel in self._fixed:
                continue
            asm.place(self._label(f"code_of_{channel}"))
            with asm.repeated(sum(self._block_counts)):
                literals = emit_weights(asm, weights, self._centre, self._sums.factor)
                asm.emit(f"b.w {self._label('split')}")
            asm.directive(".ltorg", size=4 * literals + 2)


def _start(count: int) -> int:
    """Return how many unrolled entries are left where a channel's code begins."""
    return count if count <= MOST_UNROLLED else (count - 1) % MOST_UNROLLED + 1
