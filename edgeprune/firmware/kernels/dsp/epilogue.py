"""What follows the accumulators of a block: requantize, add, pool, clamp, pack, store.

A kernel leaves the sums of one or two adjacent output channels x some consecutive positions in
registers, each on top of its channel's bias, and lets `Epilogue.finish` write the rest of the
block: to the output's rows, or into running sums of a global average. See `Slots` for what it
expects in the stack frame and `Runs` for how it counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeprune.firmware.kernels.assembler import Assembler
from edgeprune.firmware.kernels.code import KernelRequest
from edgeprune.firmware.kernels.dsp.chain import Chain
from edgeprune.firmware.kernels.dsp.linear_sum import LinearSum, of_chain
from edgeprune.firmware.kernels.dsp.rescaling import Registers, Rescaling, clamp, saturation

FREE = ("r0", "r1", "r2", "r3", "r12")
_MOST_STRIDE = 1000
_MOST_POST_INDEX = 255


@dataclass(frozen=True)
class Slots:
    """Offsets from sp of what the epilogue reads and writes, multiples of four up to 1000.

    Attributes:
        record: The words of `Epilogue.record` for the block's channels.
        output: Address of the first byte that the next block writes; `finish` moves it on. The
            word after it counts the output positions (after the pool) that are left, this block's
            among them; `finish` counts it down.
        other: Address of the byte of the second tensor that belongs to the block's first channel
            and position; `finish` moves it on. Only read where `Epilogue.reads_other`.
        sums: One running int32 for each channel, of a global average.
    """

    record: int
    output: int
    other: int = 0
    sums: int = 0


@dataclass(frozen=True)
class Runs:
    """How often a loop over blocks runs, for each time around it, when all is computed.

    Attributes:
        loops: How often the loop is entered.
        blocks: Blocks in all these runs, the short ones among them.
        left: Output positions of the short block that ends the last run; 0 without one.
    """

    loops: int
    blocks: int
    left: int = 0

    @property
    def short(self) -> int:
        """Blocks that hold fewer positions than the others."""
        return 1 if self.left else 0


@dataclass(frozen=True, eq=False)
class Epilogue:
    """What a chain of operations does with its accumulators.

    Attributes:
        chain: The operations.
        rescaling: How int32 becomes int8.
        addition: The sum with the second tensor, if there is one.
    """

    chain: Chain
    rescaling: Rescaling
    addition: LinearSum | None

    @staticmethod
    def of(request: KernelRequest) -> Epilogue | None:
        """Return the epilogue of a request, or None where it cannot be fused or computed here."""
        chain = Chain.of(request)
        rescaling = Rescaling.of(chain) if chain else None
        if chain is None or rescaling is None or chain.weighted.outputs > _MOST_STRIDE:
            return None
        addition = of_chain(chain) if chain.addition else None
        if chain.addition and addition is None:
            return None
        return Epilogue(chain, rescaling, addition)

    @property
    def doubled(self) -> bool:
        """Whether accumulators must hold twice the sum: weights or activations are doubled."""
        return self.rescaling.doubled

    @property
    def reads_other(self) -> bool:
        """Whether a second tensor is added."""
        return self.addition is not None

    @property
    def averages(self) -> bool:
        """Whether nothing is stored until all positions are summed."""
        return self.chain.averaged > 0

    @property
    def pool(self) -> int:
        """Positions of the weighted operation that make one output position."""
        return self.chain.pool

    @property
    def row_bytes(self) -> int:
        """Bytes from one output position to the next: the channels."""
        return self.chain.weighted.outputs

    def record(self, channels: Sequence[int], biases: Sequence[int]) -> list[int]:
        """Return the words of one block's channels: first the biases, doubled where needed.

        Args:
            channels: One channel or two adjacent ones.
            biases: What each sum begins with, not doubled.
        """
        words = [bias * (2 if self.doubled else 1) for bias in biases]
        words += self.rescaling.words(channels)
        if self.addition is not None:
            words += [self.addition.first, self.addition.second, self.addition.offset]
        return [word & 0xFFFFFFFF for word in words]

    def record_words(self, channels: int) -> int:
        """Return the length of a record for that many channels."""
        return len(self.record(range(channels), [0] * channels))

    def finish(
        self, asm: Assembler, values: Registers, slots: Slots, loop: str, runs: Runs, *, tails: bool
    ) -> None:
        """Write all that follows the accumulators of a block, and the branch to the next block.

        r4-r11 or whichever registers hold the accumulators and r0-r3, r12 and the flags are
        overwritten, lr is kept. Call it outside the `repeated` of the loop's blocks: `runs` counts.

        Args:
            asm: Where it is written.
            values: For each channel (one or two), the registers of its positions; as many
                positions as a multiple of `pool`.
            slots: The stack frame.
            loop: Label of the block's beginning, to which it branches while positions are left.
            runs: How often it all runs.
            tails: Whether the last block may have fewer positions left than a block computes.
        """
        outputs = len(values[0]) // self.pool
        split = tails and (outputs > 1 or self.averages)
        done, short, joined = (asm.label(stem) for stem in ("done", "short", "joined"))
        full = runs.blocks - runs.short
        with asm.repeated(runs.blocks):
            self._rescale(asm, values, slots)
        if self.addition is not None:
            with asm.repeated(runs.blocks):
                if split:
                    asm.emit(f"ldr r0, [sp, #{slots.output + 4}]", f"cmp r0, #{outputs}")
                    asm.emit(f"blt.w {short}_add")
            with asm.repeated(full):
                self._add(asm, values, slots, self.addition, None)
            asm.place(joined)
        with asm.repeated(runs.blocks):
            rows = self._pooled(asm, values)
            if self.averages:
                asm.emit(f"ldr r3, [sp, #{slots.output + 4}]")
            else:
                self._load_clamps(asm)
                asm.emit(f"ldrd r12, r3, [sp, #{slots.output}]")
            asm.emit(f"subs r3, r3, #{outputs}")
            if split:
                asm.emit(f"blt.w {short}")
        with asm.repeated(full):
            if self.averages:
                asm.emit(f"str r3, [sp, #{slots.output + 4}]")
                self._sum_up(asm, rows, slots)
            else:
                self._store_all(asm, rows, slots)
            asm.emit(f"bgt.w {loop}")
        if not split:
            return
        with asm.repeated(runs.loops - runs.short):
            asm.emit(f"b.w {done}")
        if self.addition is not None:
            asm.place(f"{short}_add")
            with asm.repeated(runs.short):
                self._add(asm, values, slots, self.addition, runs.left)
                asm.emit(f"b.w {joined}")
        asm.place(short)
        if self.averages:
            with asm.repeated(runs.short):
                self._sum_up(asm, [registers[: runs.left] for registers in rows], slots)
        else:
            self._store_some(asm, rows, runs.left, done)
        asm.place(done)

    def finish_average(self, asm: Assembler, slots: Slots, channels: int) -> None:
        """Write the division of the running sums and the store of the averages.

        The word at `slots.output` is the address of the first channel's byte; r0-r3 and r12 are
        overwritten.

        Args:
            asm: Where it is written.
            slots: The stack frame.
            channels: One or two.
        """
        count = self.chain.averaged
        asm.emit(f"ldr r12, [sp, #{slots.output}]")
        _constant(asm, "r3", count)
        for channel in range(channels):
            asm.emit(f"ldr r0, [sp, #{slots.sums + 4 * channel}]")
            _constant(asm, "r1", count // 2)
            # A half away from zero, then SDIV's truncation.
            asm.emit("cmp r0, #0", "it lt", "rsblt r1, r1, #0", "add r0, r1", "sdiv r0, r0, r3")
            # `clamp` relies on a saturation before it, which a mean does not have.
            bounds = (self.chain.average_low, self.chain.average_high)
            saturated = saturation(*bounds)
            if saturated and bounds != (-128, 127):
                asm.emit(saturated.format("r0", "r0"))
            clamp(asm, [["r0"]], *bounds)
            asm.emit(f"strb.w r0, [r12, #{channel}]")

    def _rescale(self, asm: Assembler, values: Registers, slots: Slots) -> None:
        """Accumulators to int8 values; the pool first where no sum comes between."""
        reduced = values
        if self._pools_sums:
            reduced = _largest(asm, values, self.pool)
        self.rescaling.emit(asm, reduced, slots.record + 4 * len(values), FREE[:4])
        if self.reads_other or self.averages or self.chain.means:
            clamp(asm, reduced, *self.chain.weighted_bounds)

    @property
    def _pools_sums(self) -> bool:
        """Whether the largest sum is chosen before it is requantized."""
        return self.addition is None and not self.chain.means

    def _pooled(self, asm: Assembler, values: Registers) -> Registers:
        """Return the registers of the output positions; pool unless the sums were."""
        if self._pools_sums:
            return [registers[:: self.pool] for registers in values]
        if self.reads_other and self.chain.means:
            clamp(asm, values, self.chain.low, self.chain.high)
        rows = (_means if self.chain.means else _largest)(asm, values, self.pool)
        if self.averages:
            clamp(asm, rows, self.chain.low, self.chain.high)
        return rows

    def _add(
        self,
        asm: Assembler,
        values: Registers,
        slots: Slots,
        addition: LinearSum,
        left: int | None,
    ) -> None:
        """Add the second tensor's values; `left` where only some positions may be read."""
        at = slots.record + 4 * (self.record_words(len(values)) - 3)
        stride, positions = self.row_bytes, len(values[0])
        asm.emit(f"ldrd r0, r1, [sp, #{at}]", f"ldr r2, [sp, #{at + 8}]")
        asm.emit(f"ldr r12, [sp, #{slots.other}]")
        ended = asm.label("added")
        for position in range(positions):
            output, within = divmod(position, self.pool)
            if left is not None and within == 0 and output > 0:
                with asm.repeated(left >= output):
                    asm.emit(f"ldr r3, [sp, #{slots.output + 4}]", f"cmp r3, #{output}")
                    asm.emit(f"ble.w {ended}")
            with asm.repeated(left is None or left > output):
                for channel, registers in enumerate(values):
                    value = registers[position]
                    asm.emit(f"ldrsb.w r3, [r12, #{position * stride + channel}]")
                    asm.emit("mla r3, r3, r1, r2", f"mla {value}, {value}, r0, r3")
                    saturate = saturation(self.chain.low, self.chain.high) or "ssat {}, #8, {}"
                    asm.emit(f"{saturate.format(value, value)}, asr #{addition.shift}")
        asm.place(ended)
        asm.emit(f"addw r12, r12, #{positions * stride}", f"str r12, [sp, #{slots.other}]")

    @property
    def _clamps(self) -> tuple[tuple[str, int], ...]:
        """Registers and bounds of the clamps of packed bytes."""
        chain = self.chain
        low, high = chain.low, chain.high
        if chain.means:
            inside = chain.average_low <= low and high <= chain.average_high
            low, high = (-128, 127) if inside else (chain.average_low, chain.average_high)
        elif saturation(low, high):
            return ()
        return tuple(
            (register, bound)
            for register, bound, idle in (("r0", low, -128), ("r1", high, 127))
            if bound != idle
        )

    def _load_clamps(self, asm: Assembler) -> None:
        for register, bound in self._clamps:
            asm.emit(f"mov.w {register}, #{(bound & 0xFF) * 0x01010101:#x}")

    def _store(self, asm: Assembler, rows: Registers, row: int, offset: str) -> None:
        """Pack, clamp and store one position's channels at r12."""
        value = rows[0][row]
        if len(rows) == 2:
            asm.emit(f"bfi {value}, {rows[1][row]}, #8, #8")
        for register, _ in self._clamps:
            operands = f"{value}, {register}" if register == "r0" else f"{register}, {value}"
            asm.emit(f"ssub8 r2, {operands}", f"sel {value}, {value}, {register}")
        asm.emit(f"str{'h' if len(rows) == 2 else 'b'}.w {value}, {offset}")

    def _store_all(self, asm: Assembler, rows: Registers, slots: Slots) -> None:
        outputs, stride = len(rows[0]), self.row_bytes
        steps = stride <= _MOST_POST_INDEX
        for row in range(outputs):
            self._store(asm, rows, row, f"[r12], #{stride}" if steps else f"[r12, #{row * stride}]")
        if not steps:
            asm.emit(f"addw r12, r12, #{outputs * stride}")
        asm.emit(f"strd r12, r3, [sp, #{slots.output}]")

    def _store_some(self, asm: Assembler, rows: Registers, left: int, done: str) -> None:
        """Store as many positions as r3, which is negative, lacks to a full block."""
        outputs = len(rows[0])
        for row in range(outputs - 1):
            with asm.repeated(left > row):
                self._store(asm, rows, row, f"[r12, #{row * self.row_bytes}]")
                if row < outputs - 2:
                    asm.emit(f"cmn r3, #{outputs - 1 - row}", f"beq.w {done}")

    def _sum_up(self, asm: Assembler, rows: Registers, slots: Slots) -> None:
        """Add values to the running sums; no instruction that sets flags."""
        sums = ("r0", "r1")[: len(rows)]
        load = "ldrd" if len(rows) == 2 else "ldr"
        asm.emit(f"{load} {', '.join(sums)}, [sp, #{slots.sums}]")
        for total, registers in zip(sums, rows, strict=True):
            for register in registers:
                asm.emit(f"add.w {total}, {total}, {register}")
        asm.emit(f"{load.replace('ld', 'st')} {', '.join(sums)}, [sp, #{slots.sums}]")


def _largest(asm: Assembler, values: Registers, size: int) -> Registers:
    """Keep the largest of each `size` positions; return the registers that hold them."""
    for registers in values:
        for start in range(0, len(registers), size):
            for other in registers[start + 1 : start + size]:
                asm.emit(f"cmp {registers[start]}, {other}", "it lt")
                asm.emit(f"movlt {registers[start]}, {other}")
    return [registers[::size] for registers in values]


def _means(asm: Assembler, values: Registers, size: int) -> Registers:
    """Make the mean of each 2 or 4 positions, halves away from zero; return the registers."""
    for registers in values:
        for start in range(0, len(registers), size):
            total = registers[start]
            for other in registers[start + 1 : start + size]:
                asm.emit(f"add.w {total}, {total}, {other}")
            asm.emit(f"add.w {total}, {total}, {total}, asr #31")
            asm.emit(f"add.w {total}, {total}, #{size // 2}")
            asm.emit(f"asr.w {total}, {total}, #{size.bit_length() - 1}")
    return [registers[::size] for registers in values]


def _constant(asm: Assembler, register: str, value: int) -> None:
    asm.emit(f"movw {register}, #{value & 0xFFFF}")
    if value >> 16:
        asm.emit(f"movt {register}, #{value >> 16}")
