"""The packed inputs of a chunk and the packed weights of a block of channels.

Inputs that the next chunk reads again are kept: no row is read a second time,
and the output may overwrite it.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgeprune.firmware.kernels.thumb.emission import ThumbAssembler
from edgeprune.firmware.kernels.thumb.packed_frame import (
    CHUNK,
    INPUT,
    KEPT,
    PLANES,
    POSITION,
)
from edgeprune.firmware.kernels.thumb.packed_outputs import PackedOutputs
from edgeprune.firmware.kernels.thumb.wide_numbers import (
    add_constant,
    load_constant,
    load_label,
)

_MOST_KEPT = 12
_MOST_EXPANDED = 16


@dataclass(frozen=True, eq=False)
class PackedInputs(PackedOutputs):
    """A plan that knows how to expand inputs and weights."""

    @property
    def _shared(self) -> int:
        """Words of a plane that two neighbouring chunks read."""
        return self.words_of(self.chunk_blocks) - self.chunk_blocks * self.spans

    @property
    def _keeps(self) -> bool:
        """Whether the words that the next chunk reads too move to the front of their planes."""
        return len(self.chunks) > 1 and 0 < self._shared <= _MOST_KEPT

    @property
    def overwrites_input(self) -> bool:
        """Whether no chunk's outputs lie on input rows that a later chunk expands."""
        layer = self.layer
        if len(self.chunks) > 1 and self._shared and not self._keeps:
            return False
        for chunk in range(1, len(self.chunks)):
            blocks = chunk * self.chunk_blocks
            written = blocks * self.rows_out * layer.outputs
            words = blocks * self.spans + self._shared
            unread = 2 * words * layer.stride + layer.phases[0] - layer.pad_left
            if written > unread * layer.channels:
                return False
        return True

    def enter_inputs(self, code: ThumbAssembler) -> None:
        """Begin with nothing kept; overwrites r6."""
        if self._keeps:
            code.put("mov r6,#0", f"str r6,[sp,#{KEPT}]")

    def next_chunk(self, code: ThumbAssembler, chunk: str) -> None:
        """Write the branch to the next chunk, while the flags say that there is one."""
        again = len(self.chunks)
        if not self._keeps:
            with code.times(again):
                code.put(f"bne {chunk}")
            return
        done, loop = code.label("done"), code.label("keep")
        planes = self.layer.channels * len(self.layer.phases)
        with code.times(again):
            code.put(f"beq {done}")
        with code.times(again - 1):
            code.put(f"ldr r2,[sp,#{PLANES}]")
            load_constant(code, "r3", planes)
        code.place(loop)
        with code.times((again - 1) * planes):
            for word in range(self._shared):
                code.put(f"ldr r0,[r2,#{4 * (self.chunk_blocks * self.spans + word)}]")
                code.put(f"str r0,[r2,#{4 * word}]")
            add_constant(code, "r2", "r2", self.pitch)
            code.put("subs r3,r3,#1", f"bne {loop}")
        with code.times(again - 1):
            code.put(f"mov r0,#{self._shared}", f"str r0,[sp,#{KEPT}]", f"b {chunk}")
        code.place(done)

    def expand_inputs(self, code: ThumbAssembler) -> None:
        """Fill the planes of a chunk: for each phase and pair of rows, all channels."""
        layer = self.layer
        stride, channels = layer.stride, layer.channels
        chunks = len(self.chunks)
        pairs = sum(self.words_of(blocks) for blocks in self.chunks)
        if self._keeps:
            pairs -= self._shared * (chunks - 1)
        unroll = max(size for size in range(1, 9) if channels % size == 0)
        for index, phase in enumerate(layer.phases):
            start = phase - layer.pad_left
            with code.times(chunks):
                code.put(f"ldr r0,[sp,#{POSITION}]")
                if self._keeps:
                    code.put(f"ldr r7,[sp,#{KEPT}]", "add r0,r0,r7,lsl #1")
                load_constant(code, "r1", stride)
                code.put("mul r0,r0,r1")
                add_constant(code, "r0", "r0", start)
                load_constant(code, "r4", channels)
                code.put(f"ldr r1,[sp,#{INPUT}]", "mla r1,r0,r4,r1", f"ldr r2,[sp,#{PLANES}]")
                add_constant(code, "r2", "r2", index * self.pitch)
                if self._keeps:
                    code.put("add r2,r2,r7,lsl #2")
                load_constant(code, "r8", layer.rows)
                load_label(
                    code,
                    "r9",
                    f"{layer.chain.request.symbol}_constants",
                    self.record_bytes * len(self.channel_blocks),
                )
                load_constant(code, "r10", self.plane_bytes)
                code.put(f"ldr r11,[sp,#{CHUNK}]")
                if self.spans > 1:
                    # Two and three words a block are a shift and an addition.
                    code.put("lsl r11,r11,#1" if self.spans == 2 else "add r11,r11,r11,lsl #1")
                add_constant(code, "r11", "r11", self._shared)
                if self._keeps:
                    code.put("sub r11,r11,r7")
                load_constant(code, "r12", stride * channels)
            loop = code.label("pair")
            code.place(loop)
            with code.times(pairs):
                for pointer in ("r3", "r4"):
                    code.put("cmp r0,r8", "ite lo", f"movlo {pointer},r1", f"movhs {pointer},r9")
                    add_constant(code, "r0", "r0", stride)
                    code.put("add r1,r1,r12")
                code.put("mov lr,r2")
                if channels > unroll:
                    load_constant(code, "r5", channels // unroll)
            inner = code.label("channel")
            code.place(inner)
            with code.times(pairs * (channels // unroll)):
                for _ in range(unroll):
                    code.put("ldrsb r6,[r3],#1", "ldrsb r7,[r4],#1")
                    code.put(f"add r6,r6,r7,lsl #{self.lane}", "str r6,[lr]", "add lr,lr,r10")
                if channels > unroll:
                    code.put("subs r5,r5,#1", f"bne {inner}")
            with code.times(pairs):
                code.put("add r2,r2,#4", "subs r11,r11,#1", f"bne {loop}")

    def expand_weights(self, code: ThumbAssembler, each: int) -> None:
        """Pack the bytes at r0 into the words from r1 up to r8; r0 ends behind the bytes."""
        depth = self.layer.depth
        most = max(_MOST_EXPANDED // (len(self.steps) * self.width), 1)
        unroll = max(size for size in range(1, most + 1) if depth % size == 0)
        loop = code.label("weights")
        code.place(loop)
        with code.times(each * depth // unroll):
            place = 0
            held: list[str] = []
            for step in self.steps * unroll:
                for _ in range(self.width):
                    target = f"r{4 + len(held)}"
                    if step.odd is not None:
                        odd = "r2" if step.even is not None else target
                        code.put(f"ldrsb {odd},[r0,#{place}]")
                        place += 1
                    if step.even is not None:
                        code.put(f"ldrsb r3,[r0,#{place}]")
                        code.put(
                            f"add {target},r2,r3,lsl #{self.lane}"
                            if step.odd is not None
                            else f"lsl {target},r3,#{self.lane}"
                        )
                        place += 1
                    held.append(target)
                    if len(held) == 4:
                        code.put("stmia r1!,{r4-r7}")
                        held.clear()
            if held:
                code.put(f"stmia r1!,{{{','.join(held)}}}" if len(held) > 1 else "str r4,[r1],#4")
            add_constant(code, "r0", "r0", place)
            code.put("cmp r1,r8", f"bne {loop}")
