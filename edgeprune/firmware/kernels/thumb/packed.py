"""Convolutions on Cortex-M3 with four products an instruction: packed into one long multiply.

Two neighbouring inputs in one register, x0 + x1 * 2^e, times two neighbouring weights, w1 + w0 *
2^e, are x0 * w1 + (x0 * w0 + x1 * w1) * 2^e + x1 * w0 * 2^2e: the middle lane is what one output
position needs, the outer ones are parts of its two neighbours. SMLAL adds up such products in 64
bits; the lanes stay apart where the weights prove that no sum leaves its lane.

A block is two output channels and four positions: two accumulators a channel. Blocks are computed
from right to left, because the fourth position waits for the low lane of the next accumulator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edgeprune.firmware.kernels.code import KernelCode, KernelRequest
from edgeprune.firmware.kernels.thumb.emission import ThumbAssembler
from edgeprune.firmware.kernels.thumb.layer import Layer
from edgeprune.firmware.kernels.thumb.packed_frame import (
    BLOCKS,
    CARRY,
    CHUNK,
    END,
    INPUT,
    LAST,
    LEFT,
    OUT,
    PLANE,
    PLANES,
    POSITION,
    RECORD,
    ROW,
    SAVED,
    SOURCE,
    SUMS,
    WEIGHTS,
)
from edgeprune.firmware.kernels.thumb.packed_inputs import PackedInputs
from edgeprune.firmware.kernels.thumb.packed_plan import LONGEST_PAIR, Step
from edgeprune.firmware.kernels.thumb.wide_numbers import (
    add_constant,
    load_constant,
    load_label,
)

_CHUNKS = (8, 16, 24, 32, 48, 64, 96, 128, 256, 512)
_TALL = 3
_POOLS = (1, 2, 3, 4, 6)
_MOST_TALL_OUTPUTS = 7


@dataclass(frozen=True, eq=False)
class _Packed(PackedInputs):
    def build(self) -> KernelCode:
        """Write the function."""
        layer, request = self.layer, self.layer.chain.request
        code = ThumbAssembler(request.symbol, narrow=False)
        self._enter(code)
        chunk = code.label("chunk")
        code.place(chunk)
        count = len(self.chunks)
        with code.times(count):
            code.put(f"ldr r4,[sp,#{LEFT}]", f"cmp r4,#{self.chunk_blocks}")
            code.put("it hi", f"movhi r4,#{self.chunk_blocks}", f"str r4,[sp,#{CHUNK}]")
        self.expand_inputs(code)
        with code.times(count):
            load_label(code, "r4", f"{request.symbol}_constants")
            code.put(f"str r4,[sp,#{RECORD}]")
            add_constant(
                code,
                "r4",
                "r4",
                self.record_bytes * len(self.channel_blocks) + -(-layer.channels // 4) * 4,
            )
            code.put(f"str r4,[sp,#{SOURCE}]")
        outer = code.label("channels")
        code.place(outer)
        each = count * len(self.channel_blocks)
        self._begin_channels(code, each)
        if self.has_edge:
            self._edge(code, each)
        self._block_loop(code)
        with code.times(each):
            if layer.chain.averaged:
                self.average(code)
            code.put(f"ldr r0,[sp,#{RECORD}]", f"add r0,r0,#{self.record_bytes}")
            code.put(f"str r0,[sp,#{RECORD}]")
            load_label(
                code,
                "r1",
                f"{request.symbol}_constants",
                self.record_bytes * len(self.channel_blocks),
            )
            code.put("cmp r0,r1", f"bne {outer}")
        with code.times(count):
            code.put(f"ldr r4,[sp,#{CHUNK}]", f"ldr r5,[sp,#{ROW}]")
            load_constant(code, "r6", self.rows_out * layer.outputs)
            code.put("mla r5,r4,r6,r5", f"str r5,[sp,#{ROW}]", f"ldr r5,[sp,#{POSITION}]")
            load_constant(code, "r6", self.positions)
            code.put("mla r5,r4,r6,r5", f"str r5,[sp,#{POSITION}]")
            code.put(f"ldr r5,[sp,#{LEFT}]", "subs r5,r5,r4", f"str r5,[sp,#{LEFT}]")
        self.next_chunk(code, chunk)
        code.put(f"add sp,sp,#{self.frame}", "pop {r4-r11,pc}")
        how = "weights expanded" if self.expands else "weights as words"
        words_ = f"{len(self.chunks)} chunks of {self.chunk_blocks * self.positions}"
        return KernelCode(
            request.symbol,
            code.text,
            self.constants(),
            self.scratch_bytes,
            self.frame + SAVED,
            code.instructions,
            code.code_bytes,
            f"packed products, {self.width} channels x {self.positions} positions, {words_}, {how}",
            "" if self.rescaling.quick else "scales beyond the quick rescaling",
            0 if layer.chain.averaged or self.single else self.rows_out,
            self.overwrites_input,
        )

    def _enter(self, code: ThumbAssembler) -> None:
        layer = self.layer
        pool, stack = layer.chain.pool, self.frame + SAVED
        code.put("push {r4-r11,lr}", f"sub sp,sp,#{self.frame}", f"str r0,[sp,#{INPUT}]")
        code.put(f"str r3,[sp,#{PLANES}]", f"ldr r4,[sp,#{stack}]", f"ldr r5,[sp,#{stack + 4}]")
        load_constant(code, "r6", layer.outputs)
        code.put("mla r7,r4,r6,r2", f"str r7,[sp,#{ROW}]")
        load_constant(code, "r7", layer.output_rows * layer.outputs)
        code.put("add r7,r7,r2", f"str r7,[sp,#{LAST}]")
        if layer.chain.averaged or self.single:
            code.put("mov r4,#0")
            load_constant(code, "r5", self.blocks)
        else:
            if pool > 1:
                load_constant(code, "r6", pool)
                code.put("mul r4,r4,r6", "mul r5,r5,r6")
            code.put(f"add r5,r5,#{self.positions - 1}")
            if self.tall:
                code.put(f"mov r6,#{self.positions}", "udiv r5,r5,r6")
            else:
                code.put("lsr r5,r5,#2")
        code.put(f"str r4,[sp,#{POSITION}]", f"str r5,[sp,#{LEFT}]")
        self.enter_inputs(code)
        load_constant(code, "r4", (1 << (self.lane - 1)) & 0xFFFFFFFF)
        both = (1 << (self.lane - 1)) + (1 << (2 * self.lane - 1))
        load_constant(code, "r4", both & 0xFFFFFFFF)
        load_constant(code, "r5", both >> 32)
        for at in range(0, 32, 8):
            code.put(f"strd r4,r5,[sp,#{at}]")

    def _begin_channels(self, code: ThumbAssembler, each: int) -> None:
        layer = self.layer
        with code.times(each):
            code.put(f"ldr r0,[sp,#{SOURCE}]")
            if self.expands:
                code.put(f"ldr r1,[sp,#{PLANES}]")
                add_constant(code, "r1", "r1", self.planes_bytes)
                code.put(f"str r1,[sp,#{WEIGHTS}]")
                add_constant(code, "r8", "r1", self.weight_words * 4)
            else:
                code.put(f"str r0,[sp,#{WEIGHTS}]")
                add_constant(code, "r0", "r0", self.weight_words * 4)
        if self.expands:
            self.expand_weights(code, each)
        with code.times(each):
            code.put(f"str r0,[sp,#{SOURCE}]")
            if self.rounds > 1:
                code.put(f"ldr r1,[sp,#{WEIGHTS}]")
                size = 4 * self.width * len(self.steps) * layer.depth
                add_constant(code, "r1", "r1", size)
                code.put(f"str r1,[sp,#{END}]")
            code.put("mov r1,#0", f"str r1,[sp,#{SUMS}]", f"str r1,[sp,#{SUMS + 4}]")
            code.put(f"ldr r12,[sp,#{RECORD}]", "ldrd r0,r1,[r12]")
            code.put(f"ldr r4,[sp,#{CHUNK}]", f"str r4,[sp,#{BLOCKS}]")
            code.put(f"ldr r2,[sp,#{PLANES}]", "add r1,r1,r2")
            # Blocks come from the right; a pointer waits one channel before its plane.
            add_constant(code, "r1", "r1", -self.plane_bytes + self._origin)
            code.put(f"add r1,r1,r4,lsl #{1 + min(self.spans, 2)}")
            if self.tall:
                code.put("add r1,r1,r4,lsl #2")
            code.put(f"str r1,[sp,#{PLANE}]")
            code.put(f"ldr r2,[sp,#{ROW}]", "add r2,r2,r0")
            load_constant(code, "r3", self.rows_out * layer.outputs)
            code.put("mla r2,r4,r3,r2", f"str r2,[sp,#{OUT}]")

    @property
    def _origin(self) -> int:
        return self._at(self.steps[0].phase, self.steps[0].place)

    def _at(self, phase: int, place: int) -> int:
        return phase * self.pitch + 4 * place

    def _loop(
        self, code: ThumbAssembler, runs: int, start: Callable[[], None], finish: Callable[[], None]
    ) -> Iterator[int]:
        """Yield the channels of one round of a loop over all input channels.

        Around each round with sums of its own, or else around all, comes `start`; `finish` only
        follows the former.
        """
        rounds = self.rounds
        loop = code.label("depth")
        if not self.splits:
            with code.times(runs):
                start()
        code.place(loop)
        with code.times(runs * rounds):
            if self.splits:
                start()
            yield from range(self.unroll)
            if self.splits:
                finish()
            if rounds > 1:
                code.put(f"ldr r0,[sp,#{END}]", "cmp lr,r0", f"bne {loop}")

    def _first(self, code: ThumbAssembler, opcode: str, registers: str) -> None:
        """Write the first load of a channel, which moves the pointer on to it."""
        if self.plane_bytes <= (LONGEST_PAIR if opcode == "ldrd" else 255):
            code.put(f"{opcode} {registers},[r12,#{self.plane_bytes}]!")
        else:
            add_constant(code, "r12", "r12", self.plane_bytes)
            code.put(f"{opcode} {registers},[r12]")

    def _edge(self, code: ThumbAssembler, each: int) -> None:
        """Compute the low lane of the accumulator to the right of the chunk."""
        size = 4 * self.width
        with code.times(each):
            code.put(f"ldr r12,[sp,#{PLANE}]", f"ldr lr,[sp,#{WEIGHTS}]")
            if self.splits:
                code.put("mov r6,#0", "mov r7,#0")
        for _ in self._loop(code, each, self._begin_edge(code), self._end_edge(code)):
            first = True
            for index, step in enumerate(self.steps):
                if step.odd is None and index:
                    continue
                place = self._at(step.phase, step.place) - self._origin
                if first:
                    self._first(code, "ldr", "r0")
                else:
                    code.put(f"ldr r0,[r12,#{place}]")
                first = False
                if step.odd is None:
                    continue
                if self.width == 2:
                    code.put(f"ldrd r2,r3,[lr,#{index * size}]", "mla r4,r0,r2,r4")
                    code.put("mla r5,r0,r3,r5")
                else:
                    code.put(f"ldr r2,[lr,#{index * size}]", "mla r4,r0,r2,r4")
            code.put(f"add lr,lr,#{size * len(self.steps)}")
        with code.times(each):
            if not self.splits:
                code.put(f"ubfx r4,r4,#0,#{self.lane}", f"ubfx r5,r5,#0,#{self.lane}")
            code.put(f"strd {'r6,r7' if self.splits else 'r4,r5'},[sp,#{CARRY}]")

    def _begin_edge(self, code: ThumbAssembler) -> Callable[[], None]:
        def start() -> None:
            load_constant(code, "r4", 1 << (self.lane - 1))
            code.put("mov r5,r4")

        return start

    def _end_edge(self, code: ThumbAssembler) -> Callable[[], None]:
        def finish() -> None:
            for low, total in (("r4", "r6"), ("r5", "r7")):
                code.put(f"ubfx {low},{low},#0,#{self.lane}", f"add {total},{total},{low}")

        return finish

    def _block_loop(self, code: ThumbAssembler) -> None:
        runs = self.blocks * len(self.channel_blocks)
        registers = [f"r{4 + number}" for number in range(2 * self.width * self.spans)]
        block = code.label("block")
        code.place(block)
        with code.times(runs):
            code.put(f"ldr r12,[sp,#{PLANE}]", f"sub r12,r12,#{4 * self.spans}")
            code.put(f"str r12,[sp,#{PLANE}]", f"ldr lr,[sp,#{WEIGHTS}]")
            if self.splits:
                self.begin_parts(code)
        accumulators = [
            [
                (
                    registers[2 * (channel * self.spans + span)],
                    registers[2 * (channel * self.spans + span) + 1],
                )
                for span in range(self.spans)
            ]
            for channel in range(self.width)
        ]
        for _ in self._loop(
            code,
            runs,
            lambda: code.put(f"ldmia sp,{{{registers[0]}-{registers[-1]}}}"),
            lambda: self.add_parts(code, accumulators),
        ):
            self._products(code, accumulators)
        with code.times(runs):
            code.put(f"ldr r12,[sp,#{RECORD}]")
            outputs = [
                self.outputs(code, channel, accumulators[channel]) for channel in range(self.width)
            ]
        self.store(code, outputs, runs)
        with code.times(runs):
            code.put(f"ldr r0,[sp,#{BLOCKS}]", "subs r0,r0,#1", f"str r0,[sp,#{BLOCKS}]")
            code.put(f"bne {block}")

    def _products(self, code: ThumbAssembler, accumulators: list[list[tuple[str, str]]]) -> None:
        held: list[str] = []
        before: Step | None = None
        ready = ""
        for number, step in enumerate(self.steps):
            place = self._at(step.phase, step.place) - self._origin
            slides = (
                before is not None
                and before.phase == step.phase
                and before.place + 1 == step.place
                and self.spans > 1
            )
            if slides:
                held = [*held[1:], held[0]]
                code.put(f"ldr {held[-1]},[r12,#{place + 4 * (self.spans - 1)}]")
            else:
                held = ["r0", "r1", "r3"][: self.spans]
                self._load_inputs(code, held, None if before is None else place)
            weights = ["r2", "r3"][: self.width]
            if self.width == 2:
                code.put("ldrd r2,r3,[lr],#8")
            elif ready:
                weights, ready = [ready], ""
            elif number + 1 < len(self.steps) and self.spans == _TALL:
                ready = "r10"
                code.put(f"ldrd r2,{ready},[lr],#8")
            else:
                code.put("ldr r2,[lr],#4")
            for weight, pairs in zip(weights, accumulators, strict=True):
                for (low, high), data in zip(pairs, held, strict=True):
                    code.put(f"smlal {low},{high},{data},{weight}")
            before = step

    def _load_inputs(self, code: ThumbAssembler, held: list[str], place: int | None) -> None:
        """Load a word for each span; the first of a channel move the pointer on to it."""
        if place is None:
            together = min(len(held), 2) if len(held) < _TALL else 1
            self._first(code, "ldrd" if together == 2 else "ldr", ",".join(held[:together]))
            if together < len(held):
                code.put(f"ldrd {','.join(held[1:])},[r12,#4]")
            return
        code.put(f"{'ldrd' if len(held) > 1 else 'ldr'} {','.join(held[:2])},[r12,#{place}]")
        if len(held) == _TALL:
            code.put(f"ldr {held[2]},[r12,#{place + 8}]")


def packed_convolution(request: KernelRequest) -> tuple[KernelCode, ...]:
    """Answer convolutions and dense layers, with a maximum pool or a global average."""
    found: dict[tuple[int, bool, int, bool], KernelCode] = {}
    for plan in _plans(request):
        key = (plan.chunk_blocks, plan.expands, plan.unroll, plan.tall)
        if key not in found:
            found[key] = plan.build()
    return tuple(found.values())


def packs(request: KernelRequest) -> bool:
    """Return whether `packed_convolution` has an answer."""
    return next(_plans(request), None) is not None


def _plans(request: KernelRequest) -> Iterator[_Packed]:
    layer = Layer.of(request, _POOLS)
    if layer is None:
        return
    unrolls = {1, max(size for size in range(1, 9) if layer.depth % size == 0)}
    # Channels two by two leave one over: little of many, much of few.
    odd = layer.group_outputs % 2 == 1 and layer.group_outputs <= _MOST_TALL_OUTPUTS
    tall = layer.needed > 1 and (odd or layer.chain.pool % _TALL == 0)
    for chunk in _CHUNKS:
        for expands in (True, False):
            for unroll in sorted(unrolls):
                for shape in (False, True) if tall else (False,):
                    plan = _Packed(layer, chunk, expands, unroll, shape)
                    if plan.fits:
                        yield plan
