"""What follows the accumulators of packed products: lanes, pools, stores, averages."""

from __future__ import annotations

from dataclasses import dataclass

from edgeprune.firmware.kernels.thumb.emission import ThumbAssembler
from edgeprune.firmware.kernels.thumb.packed_frame import (
    BLOCKS,
    CARRY,
    CHUNK,
    FRAME,
    LAST,
    NEXT,
    OUT,
    PARTS,
    RECORD,
    ROW,
    SPLIT,
    SUMS,
)
from edgeprune.firmware.kernels.thumb.packed_plan import PackedPlan
from edgeprune.firmware.kernels.thumb.wide_numbers import add_constant, load_constant


@dataclass(frozen=True, eq=False)
class PackedOutputs(PackedPlan):
    """A plan that knows how to write the last steps of a block."""

    @property
    def frame(self) -> int:
        """Bytes of the frame."""
        return FRAME + (SPLIT if self.splits else 0)

    def _middle(self, code: ThumbAssembler, low: str, high: str) -> None:
        """Bring the middle lane to the register of the low word."""
        code.put(f"lsr {low},{low},#{self.lane}")
        code.put(f"bfi {low},{high},#{32 - self.lane},#{2 * self.lane - 32}")

    def begin_parts(self, code: ThumbAssembler) -> None:
        """Clear the sums of the rounds."""
        code.put("mov r0,#0", "mov r1,#0")
        for at in range(0, SPLIT, 8):
            code.put(f"strd r0,r1,[sp,#{PARTS + at}]")

    def add_parts(self, code: ThumbAssembler, pairs: list[list[tuple[str, str]]]) -> None:
        """Take the lanes of a round apart and add them to the sums."""
        lane, upper = self.lane, 2 * self.lane - 32
        for channel, words in enumerate(pairs):
            at = PARTS + 16 * channel
            if not self.single:
                code.put(f"ldr r0,[sp,#{NEXT + 4 * channel}]", f"ubfx r1,{words[0][0]},#0,#{lane}")
                code.put("add r0,r0,r1", f"str r0,[sp,#{NEXT + 4 * channel}]")
            for index, (low, high) in enumerate(words):
                after = words[index + 1][0] if index + 1 < len(words) else ""
                if after:
                    code.put(f"ubfx r2,{after},#0,#{lane}")
                self._middle(code, low, high)
                code.put(f"add {high},r2,{high},asr #{upper}" if after else f"asr {high},#{upper}")
                code.put(f"ldrd r0,r1,[sp,#{at + 8 * index}]", f"add {low},{low},r0")
                code.put(f"add {high},{high},r1", f"strd {low},{high},[sp,#{at + 8 * index}]")

    def _whole(self, code: ThumbAssembler, channel: int, pairs: list[tuple[str, str]]) -> list[str]:
        """Bring the sums of all rounds back; the last add left them in their registers."""
        if self.single:
            return [pairs[0][0]]
        carry, last = CARRY + 4 * channel, pairs[-1][1]
        code.put(f"ldr r0,[sp,#{carry}]", f"add {last},{last},r0")
        code.put(f"ldr r0,[sp,#{NEXT + 4 * channel}]", f"str r0,[sp,#{carry}]")
        return [register for pair in pairs for register in pair]

    def outputs(
        self, code: ThumbAssembler, channel: int, pairs: list[tuple[str, str]]
    ) -> list[str]:
        """Take the lanes apart, keep the maximum of a pool, rescale; return the registers."""
        lane, upper = self.lane, 2 * self.lane - 32
        carry = CARRY + 4 * channel
        if self.splits:
            values = self._whole(code, channel, pairs)
        elif self.single:
            self._middle(code, *pairs[0])
            values = [pairs[0][0]]
        else:
            code.put(f"ldr r0,[sp,#{carry}]", f"ubfx r1,{pairs[0][0]},#0,#{lane}")
            code.put(f"str r1,[sp,#{carry}]")
            following = [pair[0] for pair in pairs[1:]]
            for (low, high), after in zip(pairs, [*following, ""], strict=True):
                self._middle(code, low, high)
                if after:
                    code.put(f"ubfx r2,{after},#0,#{lane}")
                code.put(f"add {high},{'r2' if after else 'r0'},{high},asr #{upper}")
            values = [register for pair in pairs for register in pair]
        size = self.layer.chain.pool
        kept = []
        for at in range(0, len(values), size):
            for other in values[at + 1 : at + size]:
                code.put(f"cmp {values[at]},{other}", "it lt", f"movlt {values[at]},{other}")
            kept.append(values[at])
        self.rescaling.emit(code, 8 + 4 * self.rescaling.words * channel, kept)
        return kept

    def store(self, code: ThumbAssembler, outputs: list[list[str]], runs: int) -> None:
        """Store the outputs of a block, or add them to the sums of an average."""
        layer = self.layer
        tail = layer.needed // layer.chain.pool % self.rows_out if not self.single else 0
        tails = len(self.channel_blocks) if tail else 0
        skip = code.label("tail")
        if layer.chain.averaged:
            with code.times(runs):
                for values in outputs:
                    total = values[0]
                    for value in values[1 : tail or None]:
                        code.put(f"add {total},{total},{value}")
                if tail:
                    code.put(f"ldr r0,[sp,#{BLOCKS}]", f"ldr r1,[sp,#{CHUNK}]", "cmp r0,r1")
                    code.put(f"beq {skip}")
            with code.times(runs - tails):
                if tail:
                    for values in outputs:
                        for value in values[tail:]:
                            code.put(f"add {values[0]},{values[0]},{value}")
            code.place(skip)
            with code.times(runs):
                for channel, values in enumerate(outputs):
                    code.put(f"ldr r0,[sp,#{SUMS + 4 * channel}]", f"add r0,r0,{values[0]}")
                    code.put(f"str r0,[sp,#{SUMS + 4 * channel}]")
            return
        step = layer.outputs
        with code.times(runs):
            code.put(f"ldr lr,[sp,#{OUT}]")
            add_constant(code, "lr", "lr", -self.rows_out * step)
            code.put(f"str lr,[sp,#{OUT}]")
            self._store_rows(code, outputs, 0, tail or self.rows_out)
            if tail:
                add_constant(code, "r0", "lr", tail * step)
                code.put(f"ldr r1,[sp,#{LAST}]", "cmp r0,r1", f"bhs {skip}")
        with code.times(runs - tails):
            if tail:
                self._store_rows(code, outputs, tail, self.rows_out)
        code.place(skip)

    def _store_rows(
        self, code: ThumbAssembler, outputs: list[list[str]], first: int, last: int
    ) -> None:
        for row in range(first, last):
            for channel, values in enumerate(outputs):
                code.put(f"strb {values[row]},[lr,#{row * self.layer.outputs + channel}]")

    def average(self, code: ThumbAssembler) -> None:
        """Divide the sums of a block's channels and store the means."""
        chain = self.layer.chain
        load_constant(code, "r4", chain.averaged)
        code.put(f"ldr r12,[sp,#{RECORD}]", "ldr r5,[r12]", f"ldr r6,[sp,#{ROW}]")
        code.put("add r5,r5,r6")
        for channel in range(self.width):
            load_constant(code, "r1", chain.averaged // 2)
            code.put(f"ldr r0,[sp,#{SUMS + 4 * channel}]", "cmp r0,#0", "it le")
            code.put("rsble r1,r1,#0", "add r0,r0,r1", "sdiv r0,r0,r4")
            low, high = chain.average_low, chain.average_high
            if low > chain.low:
                code.put(f"cmp r0,#{low}", "it lt", f"movlt r0,#{low}")
            if high < chain.high:
                code.put(f"cmp r0,#{high}", "it gt", f"movgt r0,#{high}")
            code.put(f"strb r0,[r5,#{channel}]")
