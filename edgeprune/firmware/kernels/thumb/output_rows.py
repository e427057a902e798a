"""What follows the accumulators on Cortex-M0+: pools, rescaling, stores, averages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from edgeprune.firmware.kernels.thumb.emission import ThumbAssembler
from edgeprune.firmware.kernels.thumb.layer import Layer
from edgeprune.firmware.kernels.thumb.low_registers import (
    Frame,
    add_number,
    load_number,
    loop_back,
)
from edgeprune.firmware.kernels.thumb.narrow_rescaling import NarrowRescaling


@dataclass(frozen=True, eq=False)
class OutputRows:
    """Writes outputs channel by channel and block by block, from left to right.

    Of the frame: `row` is where the channel's outputs of a chunk begin (or its sum for an
    average), `out` the same of a block, `last` the end of the whole output (for an average, its
    beginning), `left` and `chunk` the blocks to do and of this chunk, `position` its first.

    Attributes:
        layer: The layer.
        rescaling: How its accumulators become outputs.
        frame: Words on the stack.
        block: Positions of the convolution in a block.
    """

    layer: Layer
    rescaling: NarrowRescaling
    frame: Frame
    block: int

    @property
    def possible(self) -> bool:
        """Whether this case can be written."""
        chain = self.layer.chain
        return (
            self.block % chain.pool == 0
            and self.rescaling.possible
            and (not chain.averaged or bool(self._division))
        )

    @property
    def rows(self) -> int:
        """Output rows of a block."""
        return self.block // self.layer.chain.pool

    @property
    def unit(self) -> int:
        """Rows of which a call must take whole multiples."""
        whole = self.layer.chain.averaged or not self.layer.chain.request.output.is_map
        return 0 if whole else self.rows

    @property
    def tail(self) -> int:
        """Output rows of the last block; 0 if it is whole."""
        return self.layer.needed // self.layer.chain.pool % self.rows

    @property
    def _step(self) -> int:
        return 4 if self.layer.chain.averaged else 1

    def enter(self, code: ThumbAssembler, sums: int) -> None:
        """Set the frame's words from the arguments; r2 and r3 are the function's own still.

        Args:
            code: Where to.
            sums: Where the sums of an average begin in the scratch memory.
        """
        layer, frame = self.layer, self.frame
        if layer.chain.averaged:
            code.put(f"str r2,{frame['last']}")
            add_number(code, "r3", sums, "r4")
            code.put(f"str r3,{frame['row']}", "movs r1,#0", f"str r1,{frame['position']}")
            load_number(code, "r0", -(-layer.needed // self.block))
            code.put(f"str r0,{frame['left']}")
            load_number(code, "r4", layer.outputs)
            loop = code.label("clear")
            code.place(loop)
            with code.times(layer.outputs):
                code.put("stmia r3!,{r1}", "subs r4,#1", f"bne {loop}")
            return
        code.put(f"ldr r4,{frame.argument(0)}", f"ldr r5,{frame.argument(1)}")
        load_number(code, "r6", layer.outputs)
        code.put("muls r6,r4,r6", "adds r6,r6,r2", f"str r6,{frame['row']}")
        load_number(code, "r6", layer.output_rows * layer.outputs)
        code.put("adds r6,r6,r2", f"str r6,{frame['last']}")
        if layer.chain.pool > 1:
            load_number(code, "r6", layer.chain.pool)
            code.put("muls r4,r6,r4")
        code.put(f"str r4,{frame['position']}")
        self._divide(code)
        code.put(f"str r5,{frame['left']}")

    def _divide(self, code: ThumbAssembler) -> None:
        """Round the rows in r5 up to blocks."""
        rows = self.rows
        add_number(code, "r5", rows - 1, "r6")
        odd, twos = rows, 0
        while odd % 2 == 0:
            odd, twos = odd // 2, twos + 1
        if twos:
            code.put(f"lsrs r5,r5,#{twos}")
        if odd > 1:
            # Exact below 2^15 for the small odd numbers that occur.
            load_number(code, "r6", (1 << 16) // odd + 1)
            code.put("muls r5,r6,r5", "lsrs r5,r5,#16")

    def next_chunk(self, code: ThumbAssembler) -> None:
        """Move on by a chunk; the flags say whether blocks are left."""
        frame, outputs = self.frame, self.layer.outputs
        code.put(f"ldr r4,{frame['chunk']}", f"ldr r0,{frame['row']}")
        if not self.layer.chain.averaged:
            load_number(code, "r1", self.rows * outputs)
            code.put("muls r1,r4,r1", "adds r0,r0,r1")
        add_number(code, "r0", -outputs * self._step, "r2")
        code.put(f"str r0,{frame['row']}")
        load_number(code, "r1", self.block)
        code.put("muls r1,r4,r1", f"ldr r0,{frame['position']}", "adds r0,r0,r1")
        code.put(f"str r0,{frame['position']}")
        code.put(f"ldr r0,{frame['left']}", "subs r0,r0,r4", f"str r0,{frame['left']}")

    def begin_channel(self, code: ThumbAssembler) -> None:
        """Start at the chunk's first row."""
        code.put(f"ldr r0,{self.frame['row']}", f"str r0,{self.frame['out']}")

    def end_channel(self, code: ThumbAssembler) -> None:
        """Move on to the next channel."""
        code.put(f"ldr r0,{self.frame['row']}", f"adds r0,#{self._step}")
        code.put(f"str r0,{self.frame['row']}")

    def finish_block(
        self, code: ThumbAssembler, sources: Sequence[str], runs: int, chunks: int
    ) -> None:
        """Turn the accumulators of a block into outputs.

        Args:
            code: Where to.
            sources: Of each position, a high register or a word of the stack.
            runs: How often a block is finished in all.
            chunks: How many chunks there are.
        """
        frame, tail = self.frame, self.tail
        with code.times(runs):
            code.put(f"ldr r7,{frame['record']}")
            self.rescaling.begin(code)
            code.put(f"ldr r7,{frame['out']}")
            if self.layer.chain.averaged:
                code.put("movs r0,#0", "mov lr,r0")
            self._rows(code, sources, 0, tail or self.rows)
        behind = code.label("tail")
        tails = self.layer.outputs if tail else 0
        if tail:
            self._skip_tail(code, behind, runs, tails, chunks)
        with code.times(runs - tails):
            if tail:
                self._rows(code, sources, tail, self.rows)
            if not self.layer.chain.averaged:
                code.put(f"str r7,{frame['out']}")
        code.place(behind)
        if self.layer.chain.averaged:
            with code.times(runs):
                code.put("ldr r0,[r7]", "add r0,lr", "str r0,[r7]")

    def _skip_tail(
        self, code: ThumbAssembler, behind: str, runs: int, tails: int, chunks: int
    ) -> None:
        frame, whole = self.frame, code.label("whole")
        if self.layer.chain.averaged:
            ends = chunks * self.layer.outputs
            with code.times(runs):
                code.put(f"ldr r0,{frame['blocks']}", "cmp r0,#1", f"bne {whole}")
            with code.times(ends):
                code.put(f"ldr r0,{frame['left']}", f"ldr r1,{frame['chunk']}", "cmp r0,r1")
                code.put(f"bne {whole}")
        else:
            with code.times(runs):
                code.put(f"ldr r0,{frame['last']}", "cmp r7,r0", f"blo {whole}")
        with code.times(tails):
            code.put(f"b {behind}")
        code.place(whole)

    def _rows(self, code: ThumbAssembler, sources: Sequence[str], first: int, last: int) -> None:
        size = self.layer.chain.pool
        for row in range(first, last):
            group = sources[row * size : (row + 1) * size]
            self._fetch(code, "r0", group[0])
            for other in group[1:]:
                self._fetch(code, "r1", other)
                code.put("subs r1,r0,r1", "asrs r2,r1,#31", "ands r1,r2", "subs r0,r0,r1")
            self.rescaling.value(code, self.frame["record"])
            if self.layer.chain.averaged:
                code.put("add lr,r1")
            else:
                code.put("strb r1,[r7]")
                add_number(code, "r7", self.layer.outputs, "r0")

    def _fetch(self, code: ThumbAssembler, register: str, source: str) -> None:
        code.put(f"{'ldr' if source.startswith('[') else 'mov'} {register},{source}")

    @cached_property
    def _division(self) -> tuple[int, int, int]:
        """Return (first shift, factor, second shift) that divide every sum; empty if none do."""
        cells = self.layer.chain.averaged
        most = 128 * cells + cells // 2
        odd, twos = cells, 0
        while odd % 2 == 0:
            odd, twos = odd // 2, twos + 1
        if odd == 1:
            return twos, 1, 0
        for shift in range(30, 8, -1):
            factor = (1 << shift) // odd + 1
            if (most >> twos) * factor < 2**32 and all(
                (number * factor) >> shift == number // odd
                for number in {
                    each
                    for quotient in range((most >> twos) // odd + 1)
                    for each in (quotient * odd, quotient * odd + odd - 1)
                }
            ):
                return twos, factor, shift
        return ()  # type: ignore[return-value]

    def average(self, code: ThumbAssembler) -> None:
        """Divide the sums of all channels and write them."""
        chain, frame, outputs = self.layer.chain, self.frame, self.layer.outputs
        first, factor, second = self._division
        code.put(f"ldr r7,{frame['row']}", f"ldr r6,{frame['last']}")
        load_number(code, "r5", outputs)
        load_number(code, "r4", factor)
        load_number(code, "r3", chain.averaged // 2)
        loop = code.label("mean")
        code.place(loop)
        start = code.code_bytes
        with code.times(outputs):
            code.put("ldmia r7!,{r0}", "asrs r1,r0,#31", "eors r0,r1", "subs r0,r0,r1")
            code.put("adds r0,r0,r3")
            if first:
                code.put(f"lsrs r0,r0,#{first}")
            if second:
                code.put("muls r0,r4,r0", f"lsrs r0,r0,#{second}")
            code.put("eors r0,r1", "subs r0,r0,r1")
            if chain.average_low > chain.low:
                self._at_least(code, chain.average_low, sign=1)
            if chain.average_high < chain.high:
                self._at_least(code, chain.average_high, sign=-1)
            code.put("strb r0,[r6]", "adds r6,#1", "subs r5,#1")
        loop_back(code, loop, start, outputs, 1)

    def _at_least(self, code: ThumbAssembler, bound: int, *, sign: int) -> None:
        """Keep r0 at or above a bound (sign 1), or at or below it (sign -1)."""
        load_number(code, "r1", bound)
        code.put("subs r1,r0,r1", "asrs r2,r1,#31")
        code.put("ands r1,r2" if sign > 0 else "bics r1,r2", "subs r0,r0,r1")
