"""Depthwise convolutions channel by channel: a column of 16-bit cells, two taps a SMLAD.

The rows that an input channel contributes are copied once to a column of 16-bit numbers, between
cells that hold the zero point for the padding. Two neighbouring cells are one (perhaps unaligned)
word, so that a SMLAD multiplies two taps; dilated taps are multiplied one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

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
from edgeprune.network import DepthwiseConv1d

_MOST_OFFSET = 4095
_ACCUMULATORS = tuple(f"r{number}" for number in range(4, 12))
# What a block loads at once: the bias comes with the first weights.
_BIAS = "r12"
_FACTORS = ("r1", "r2", "r3", "r12")
_EXPANDED = 8

# The stack frame, in bytes from sp.
_OUTPUT, _OTHER, _SUMS, _WEIGHTS = 0, 8, 12, 16
_CHANNEL_OUTPUT, _CHANNEL_OTHER, _COUNT, _CHANNELS = 20, 24, 28, 32
_COLUMN, _SOURCE, _VALID, _FIRST, _MULTIPLIER, _RECORD = 36, 40, 44, 48, 52, 56


def generate(request: KernelRequest) -> tuple[KernelCode, ...]:
    """Return the kernels of a depthwise convolution, alone or with what the epilogue fuses."""
    epilogue = Epilogue.of(request)
    operation = epilogue.chain.weighted if epilogue else None
    if epilogue is None or not isinstance(operation, DepthwiseConv1d):
        return ()
    outputs = request.tensors[operation.output].shape[0] // epilogue.pool
    whole = outputs % (len(_ACCUMULATORS) // epilogue.pool) == 0
    kernels = [_Kernel(request, epilogue, operation, tails) for tails in (False, True)]
    if not whole:
        kernels = kernels[1:]
    elif epilogue.averages:
        kernels = kernels[:1]
    return tuple(kernel.code() for kernel in kernels if kernel.fits)


@dataclass(frozen=True, eq=False)
class _Kernel:
    """One kernel; `tails` if its ends may lie anywhere."""

    request: KernelRequest
    epilogue: Epilogue
    operation: DepthwiseConv1d
    tails: bool

    @property
    def fits(self) -> bool:
        """Whether all offsets fit into the instructions."""
        return 2 * self._block_rows <= _MOST_OFFSET

    def code(self) -> KernelCode:
        """Write it."""
        asm = Assembler(self.request.symbol)
        self._prologue(asm)
        self._channels(asm)
        leave(asm, self._frame)
        return KernelCode(
            self.request.symbol,
            asm.text,
            self._constants(),
            2 * (self._room_before + self._rows(self._blocks * len(_ACCUMULATORS)) + 2),
            SAVED_BYTES + self._frame,
            asm.instructions,
            asm.code_bytes,
            f"depthwise, 1 channel x {len(_ACCUMULATORS)} positions",
            slower="" if self._pairs else "taps that are no neighbours are multiplied one by one",
            unit=0 if self.epilogue.averages else 1 if self.tails else self._step,
        )

    @property
    def _pairs(self) -> bool:
        return self.operation.dilation == 1

    @property
    def _step(self) -> int:
        """Output positions of a block."""
        return len(_ACCUMULATORS) // self.epilogue.pool

    @property
    def _outputs(self) -> int:
        positions = self.request.tensors[self.operation.output].shape[0]
        return positions // self.epilogue.pool

    @property
    def _positions(self) -> int:
        """Positions that are computed: a pool may leave some out."""
        return self._outputs * self.epilogue.pool

    @property
    def _blocks(self) -> int:
        return -(-self._outputs // self._step)

    @property
    def _channel_count(self) -> int:
        return self.request.tensors[self.operation.inputs[0]].shape[1]

    @property
    def _length(self) -> int:
        return self.request.tensors[self.operation.inputs[0]].shape[0]

    def _rows(self, positions: int) -> int:
        """Return the rows that so many positions read, an even kernel's partner among them."""
        return (positions - 1) * self.operation.stride + self.operation.sliding.span + 1

    @property
    def _block_rows(self) -> int:
        return self._rows(len(_ACCUMULATORS))

    @property
    def _room_before(self) -> int:
        """Cells before the first that exists: the padding, as an even number."""
        return -(-self.operation.padding[0] // 2) * 2

    @property
    def _weight_words(self) -> int:
        return 1 + -(-self.operation.sliding.kernel // 2)

    @property
    def _frame(self) -> int:
        bytes_ = _RECORD + 4 * self.epilogue.record_words(1)
        # With the saved registers the stack stays a multiple of eight.
        return bytes_ + (4 - bytes_) % 8

    def _constants(self) -> bytes:
        """Return, channel by channel, the epilogue's record and pairs of weights.

        The bias comes after the first weights, with which it is loaded.
        """
        factor = 2 if self.epilogue.doubled else 1
        zero_point = self.request.source.zero_point
        constants = b""
        for channel, weights in enumerate(self.operation.weights.T.astype(np.int64)):
            bias = factor * (int(self.operation.bias[channel]) - zero_point * int(weights.sum()))
            halves = np.pad(factor * weights, (0, len(weights) % 2)).astype("<i2")
            words = halves.view("<u4").tolist()
            words.insert(min(len(_FACTORS) - 1, len(words)), bias & 0xFFFFFFFF)
            words = self.epilogue.record([channel], [0]) + words
            constants += np.array(words, "<u4").tobytes()
        return constants

    def _prologue(self, asm: Assembler) -> None:
        """Derive which rows exist, fill the padding, point to the first channel."""
        operation, channels = self.operation, self._channel_count
        enter(asm, self._frame)
        if self.epilogue.averages:
            load_constant(asm, "r4", 0)
            load_constant(asm, "r5", self._outputs)
        else:
            arguments = self._frame + SAVED_BYTES
            asm.emit(f"ldr.w r4, [sp, #{arguments}]", f"ldr.w r5, [sp, #{arguments + 4}]")
        asm.emit(f"str.w r5, [sp, #{_COUNT}]")
        load_constant(asm, "r6", operation.outputs)
        asm.emit("mla r2, r4, r6, r2", f"str.w r2, [sp, #{_CHANNEL_OUTPUT}]")
        if self.epilogue.pool > 1:
            shift = self.epilogue.pool.bit_length() - 1
            asm.emit(f"lsl.w r4, r4, #{shift}", f"lsl.w r5, r5, #{shift}")
        if self.epilogue.reads_other:
            asm.emit("mla r1, r4, r6, r1", f"str.w r1, [sp, #{_CHANNEL_OTHER}]")
        load_constant(asm, "r6", operation.stride)
        # r4: the first row, r5: how many, r7: how many before the input, r8: how many in it.
        asm.emit("mul r4, r4, r6", "mul r5, r5, r6")
        add_constant(asm, "r4", -operation.padding[0], "r7")
        add_constant(asm, "r5", operation.sliding.span + 1 - operation.stride, "r7")
        asm.emit("rsb.w r7, r4, #0", "bic.w r7, r7, r7, asr #31")
        load_constant(asm, "r8", self._length)
        asm.emit("sub.w r8, r8, r4", "cmp r8, r5", "it gt", "movgt r8, r5", "sub.w r8, r8, r7")
        asm.emit("bic.w r8, r8, r8, asr #31", "add.w r4, r4, r7")
        load_constant(asm, "r6", channels)
        asm.emit("mla r0, r4, r6, r0")
        asm.emit(f"str.w r0, [sp, #{_SOURCE}]", f"str.w r8, [sp, #{_VALID}]")
        add_constant(asm, "r3", 2 * self._room_before, "r6")
        asm.emit("sub.w r9, r3, r7, lsl #1", f"str.w r3, [sp, #{_FIRST}]")
        asm.emit(f"str.w r9, [sp, #{_COLUMN}]", "sub.w r5, r5, r7", "sub.w r5, r5, r8")
        asm.emit("add.w r3, r3, r8, lsl #1")
        load_constant(asm, "r6", self.request.source.zero_point)
        before = operation.padding[0]
        for pointer, count, times in (("r9", "r7", before), ("r3", "r5", self._after)):
            loop, done = asm.label("padding"), asm.label("padded")
            asm.emit(f"subs.w {count}, {count}, #1", f"blt.w {done}")
            asm.place(loop)
            with asm.repeated(times):
                asm.emit(f"strh r6, [{pointer}], #2", f"subs.w {count}, {count}, #1")
                asm.emit(f"bge.w {loop}")
            asm.place(done)
        load_address(asm, "r0", f"{self.request.symbol}_constants")
        load_constant(asm, "r1", channels)
        asm.emit(f"str.w r0, [sp, #{_WEIGHTS}]", f"str.w r1, [sp, #{_CHANNELS}]")

    @property
    def _valid(self) -> int:
        """Rows of the input that the whole output reads."""
        before = self.operation.padding[0]
        rows = self._rows(self._positions)
        return max(min(self._length + before, rows) - before, 0)

    @property
    def _after(self) -> int:
        """Rows after the input that the whole output reads."""
        rows = self._rows(self._positions)
        return max(rows - self.operation.padding[0] - self._valid, 0)

    def _channels(self, asm: Assembler) -> None:
        """The loop over input channels, and over the output channels of each."""
        channels, multiplier = self._channel_count, self.operation.channel_multiplier
        outer, inner, block = (asm.label(stem) for stem in ("channel", "output", "block"))
        total = self.operation.outputs
        asm.place(outer)
        with asm.repeated(channels):
            self._expand(asm)
            if multiplier > 1:
                load_constant(asm, "r0", multiplier)
                asm.emit(f"str.w r0, [sp, #{_MULTIPLIER}]")
        asm.place(inner)
        with asm.repeated(total):
            self._begin(asm)
        asm.place(block)
        with asm.repeated(total * self._blocks):
            self._block(asm)
        slots = Slots(record=_RECORD, output=_OUTPUT, other=_OTHER, sums=_SUMS)
        with asm.repeated(total):
            runs = Runs(1, self._blocks, self._outputs % self._step)
            self.epilogue.finish(asm, (_ACCUMULATORS,), slots, block, runs, tails=self.tails)
            if self.epilogue.averages:
                self.epilogue.finish_average(asm, slots, 1)
            others = [_CHANNEL_OTHER] if self.epilogue.reads_other else []
            for place, step in (
                (_CHANNEL_OUTPUT, 1),
                *((other, 1) for other in others),
                (_WEIGHTS, 4 * self._weight_words),
            ):
                asm.emit(f"ldr.w r0, [sp, #{place}]")
                add_constant(asm, "r0", step, "r1")
                asm.emit(f"str.w r0, [sp, #{place}]")
            if multiplier > 1:
                asm.emit(f"ldr.w r0, [sp, #{_MULTIPLIER}]", "subs.w r0, r0, #1")
                asm.emit(f"str.w r0, [sp, #{_MULTIPLIER}]", f"bne.w {inner}")
        with asm.repeated(channels):
            asm.emit(f"ldr.w r0, [sp, #{_CHANNELS}]", "subs.w r0, r0, #1")
            asm.emit(f"str.w r0, [sp, #{_CHANNELS}]", f"bne.w {outer}")

    def _expand(self, asm: Assembler) -> None:
        """Copy an input channel's rows to the column; inside `repeated`."""
        channels = self._channel_count
        eights, single, done = (asm.label(stem) for stem in ("rows", "row", "column"))
        asm.emit(f"ldr.w r1, [sp, #{_SOURCE}]", f"ldr.w r2, [sp, #{_FIRST}]")
        asm.emit("add.w r3, r1, #1", f"str.w r3, [sp, #{_SOURCE}]", f"ldr.w r3, [sp, #{_VALID}]")
        asm.emit(f"subs.w r3, r3, #{_EXPANDED}", f"blt.w {single}")
        asm.place(eights)
        far = channels * (_EXPANDED - 1) > _MOST_OFFSET
        with asm.repeated(self._valid // _EXPANDED):
            for index, register in enumerate(_ACCUMULATORS):
                asm.emit(f"ldrsb.w {register}, [r1, #{0 if far else index * channels}]")
                if far:
                    add_constant(asm, "r1", channels, "r12")
            for low, high in list(pairwise(_ACCUMULATORS))[::2]:
                asm.emit(f"pkhbt {low}, {low}, {high}, lsl #16")
            asm.emit(f"stmia r2!, {{{', '.join(_ACCUMULATORS[::2])}}}")
            if not far:
                add_constant(asm, "r1", _EXPANDED * channels, "r12")
            asm.emit(f"subs.w r3, r3, #{_EXPANDED}", f"bge.w {eights}")
        asm.place(single)
        asm.emit(f"adds.w r3, r3, #{_EXPANDED}", f"beq.w {done}")
        again = asm.label("again")
        asm.place(again)
        with asm.repeated(self._valid % _EXPANDED):
            asm.emit("ldrsb.w r4, [r1]")
            add_constant(asm, "r1", channels, "r12")
            asm.emit("strh r4, [r2], #2", "subs.w r3, r3, #1", f"bne.w {again}")
        asm.place(done)

    def _begin(self, asm: Assembler) -> None:
        """Copy an output channel's record and point to its first block."""
        words = self.epilogue.record_words(1)
        registers = ", ".join(f"r{number}" for number in range(words))
        asm.emit(f"ldr.w r12, [sp, #{_WEIGHTS}]", f"addw lr, sp, #{_RECORD}")
        asm.emit(f"ldmia r12!, {{{registers}}}", f"stmia lr, {{{registers}}}")
        asm.emit(f"str.w r12, [sp, #{_WEIGHTS}]", f"ldr.w lr, [sp, #{_COLUMN}]")
        asm.emit(f"ldr.w r0, [sp, #{_CHANNEL_OUTPUT}]", f"ldr.w r1, [sp, #{_COUNT}]")
        asm.emit(f"strd r0, r1, [sp, #{_OUTPUT}]")
        if self.epilogue.reads_other:
            asm.emit(f"ldr.w r0, [sp, #{_CHANNEL_OTHER}]", f"str.w r0, [sp, #{_OTHER}]")
        if self.epilogue.averages:
            asm.emit("mov.w r0, #0", f"str.w r0, [sp, #{_SUMS}]")

    def _block(self, asm: Assembler) -> None:
        """Compute eight positions: the weights in groups that fit the registers."""
        operation = self.operation
        words, begun = self._weight_words - 1, False
        first = 0
        while first < words:
            taken = min(len(_FACTORS) - (0 if begun else 1), words - first)
            loaded = _FACTORS[:taken]
            asm.emit(f"ldr.w r12, [sp, #{_WEIGHTS}]")
            if begun:
                add_constant(asm, "r12", 4 * (1 + first), "r0")
                # The weights lie in the registers' order.
                listed = ", ".join(loaded)
                asm.emit(f"ldmia r12, {{{listed}}}" if taken > 1 else f"ldr {listed}, [r12]")
            else:
                # The bias follows them in the highest register.
                asm.emit(f"ldmia r12, {{{', '.join(loaded)}, {_BIAS}}}")
            self._products(asm, first, loaded, begun)
            first, begun = first + taken, True
        asm.emit(f"addw lr, lr, #{2 * len(_ACCUMULATORS) * operation.stride}")

    def _products(self, asm: Assembler, first: int, factors: tuple[str, ...], begun: bool) -> None:
        """Multiply a group of weights with all positions, word by word of the column."""
        kernel, stride = self.operation.sliding.kernel, self.operation.stride
        uses: dict[int, list[tuple[int, int, str]]] = {}
        for index, factor in enumerate(factors, first):
            for half in (0,) if self._pairs else (0, 1):
                tap = 2 * index + half
                if tap >= kernel:
                    continue
                for position in range(len(_ACCUMULATORS)):
                    cell = position * stride + tap * self.operation.dilation
                    uses.setdefault(cell, []).append((position, half, factor))
        summed: set[int] = set(range(len(_ACCUMULATORS))) if begun else set()
        for cell in sorted(uses):
            asm.emit(f"{'ldr.w' if self._pairs else 'ldrsh.w'} r0, [lr, #{2 * cell}]")
            for position, half, factor in uses[cell]:
                total = _ACCUMULATORS[position]
                addend = total if position in summed else _BIAS
                multiply = "smlad" if self._pairs else ("smlabb", "smlabt")[half]
                asm.emit(f"{multiply} {total}, r0, {factor}, {addend}")
                summed.add(position)
