"""conv1d and depthwise_conv1d in Helium, alone, with a maximum pool or a global average behind.

VMLADAVA.S8 adds sixteen products to a core register. A block of eight such accumulators covers 8
positions of a channel or 4 positions of two; the windows come from a copy in the scratch memory,
which has the padding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgeprune.firmware.kernels.assembler import Assembler
from edgeprune.firmware.kernels.code import KernelCode, KernelRequest
from edgeprune.firmware.kernels.mve.accumulation import Accumulation, Vectors
from edgeprune.firmware.kernels.mve.averaging import Averaging
from edgeprune.firmware.kernels.mve.emission import (
    ACCUMULATORS,
    SAVED_BYTES,
    add_constant,
    function,
    set_address,
    set_constant,
)
from edgeprune.firmware.kernels.mve.filling import Filling, chunk_cells
from edgeprune.firmware.kernels.mve.geometry import (
    Block,
    Layout,
    Windowed,
    blocks,
    layouts,
    windowed,
)
from edgeprune.firmware.kernels.mve.residual import Residual
from edgeprune.firmware.kernels.mve.scaling import Scaling, load_scalars

# The frame: the numbers of a sum, where the eight lanes are written, which output each is, the
# call's state, vectors that wait.
_LANE_TABLE, _LANE_OUTPUTS = 32, 48
_SOURCE, _OUTPUT, _SCRATCH, _START, _OTHER = 64, 68, 72, 76, 80
_LEFT, _COUNT, _GROUPS, _RECORD, _GROUP_SOURCE = 84, 88, 92, 96, 100
_SUMS, _SPILL = 112, 128
_FRAME_BYTES = 144
_TABLE_BYTES = 32
# VSTRB's offsets and the chunk's counter are 16-bit lanes.
_MOST_CHANNELS, _MOST_POSITIONS = 9000, 32767
_CHUNKS = (16, 32)
# A block is straight code: with a pool of so many products its parts on their own are smaller.
_MOST_POOLED_PRODUCTS = 2048


@dataclass(frozen=True)
class _Plan:
    layout: Layout
    block: Block
    chunk: int
    masked: bool


def convolution(request: KernelRequest) -> tuple[KernelCode, ...]:
    """Return the kernels for a convolution; none for what does not begin with one."""
    shape = windowed(request)
    if shape is None or shape.out_channels > _MOST_CHANNELS or shape.outputs > _MOST_POSITIONS:
        return ()
    if shape.average is not None and shape.outputs > Averaging.MOST_OUTPUTS:
        return ()
    residual = None
    if shape.residual is not None:
        residual = Residual(shape.residual, request.operations[0].output, request.tensors)
        if not residual.possible:
            return ()
    return tuple(_Kernel(request, shape, plan, residual).code() for plan in _plans(shape))


def _plans(shape: Windowed) -> Iterator[_Plan]:
    for layout in layouts(shape):
        if shape.pool > 1 and 8 * shape.pool * layout.vectors > _MOST_POOLED_PRODUCTS:
            continue
        for block in blocks(shape.pool):
            if block.channels > shape.out_channels // shape.groups:
                continue
            whole = -(-shape.outputs // block.outputs) * block.outputs
            chunks = [whole, *(each for each in _CHUNKS if each < shape.outputs)]
            even = shape.outputs % block.outputs == 0
            if shape.average is not None:
                yield _Plan(layout, block, whole, not even)
                continue
            for chunk in chunks:
                yield _Plan(layout, block, chunk, True)
                if even:
                    yield _Plan(layout, block, chunk, False)


class _Kernel:
    """One way to compute one convolution, while it is written."""

    def __init__(
        self, request: KernelRequest, shape: Windowed, plan: _Plan, residual: Residual | None
    ) -> None:
        self._shape, self._plan, self._residual = shape, plan, residual
        self._block, self._layout = plan.block, plan.layout
        self._adds_input = request.other is request.source
        self._asm = Assembler(request.symbol)
        self._scaling = Scaling(
            shape.bias, shape.multiplier, shape.zero_point, shape.clamp, shape.upward
        )
        self._averaging = Averaging(shape) if shape.average is not None else None
        whole, rest = divmod(shape.outputs, plan.chunk)
        self._chunks = (plan.chunk,) * whole + ((rest,) if rest else ())
        self._filling = Filling(shape, plan.layout, self._chunks)
        per_group = shape.out_channels // shape.groups
        self._channel_groups = -(-per_group // self._block.channels)
        self._channel_runs = self._channel_groups * shape.groups * len(self._chunks)
        self._block_runs = (
            self._channel_groups
            * shape.groups
            * sum(-(-each // self._block.outputs) for each in self._chunks)
        )
        self._allocate()

    def _allocate(self) -> None:
        """Share the eight vector registers out."""
        pooled = self._shape.pool > 1
        weights = self._layout.vectors * self._block.channels
        # A sixth vector of weights is worth more in a register than the sums.
        self._sums_in_frame = bool(self._averaging) and weights == 6 and not self._plan.masked
        spare = 5 if pooled or (self._averaging and not self._sums_in_frame) else 6
        if self._residual:
            self._sums_in_frame = bool(self._averaging)
            spare = 5
        header = 4 * self._record_words
        self._accumulation = Accumulation(self._layout, self._block, spare, header)
        used = self._accumulation.used
        free = [f"q{number}" for number in range(used, spare)]
        self._vectors = Vectors("q6", "q7", "q5" if pooled else "q6")
        self._sums = self._vectors.second if self._sums_in_frame else "q5"
        writes_lanes = self._averaging is None or self._residual is not None
        self._table = free.pop() if writes_lanes and free else ""
        self._numbers = free.pop() if self._plan.masked and free else ""

    @property
    def _fields(self) -> int:
        return self._scaling.field_count

    @property
    def _record_words(self) -> int:
        """Scalars of the block's channels, the zero point, where the output begins."""
        return self._fields * self._block.channels + 2

    @property
    def _record_bytes(self) -> int:
        return 4 * self._record_words + 16 * self._layout.vectors * self._block.channels

    def code(self) -> KernelCode:
        """Write the kernel."""
        asm, shape, plan = self._asm, self._shape, self._plan
        with function(asm, _FRAME_BYTES):
            self._begin()
            chunk, group = asm.label("chunk"), asm.label("group")
            asm.place(chunk)
            with asm.repeated(len(self._chunks)):
                self._begin_chunk()
            asm.place(group)
            source = _GROUP_SOURCE if shape.groups > 1 else _SOURCE
            self._filling.emit(
                asm,
                count=f"[sp, #{_COUNT}]",
                start=f"[sp, #{_START}]",
                source=f"[sp, #{source}]",
                scratch=f"[sp, #{_SCRATCH}]",
            )
            self._channels()
            if shape.groups > 1:
                with asm.repeated(len(self._chunks) * shape.groups):
                    self._end_group(group)
            if len(self._chunks) > 1:
                with asm.repeated(len(self._chunks)):
                    self._end_chunk(chunk)
        names = f"{self._block.outputs} positions x {self._block.channels} channels"
        cut = f", chunks of {plan.chunk}" if len(self._chunks) > 1 else ""
        # A channel that is computed twice would add what it has written.
        repeats = shape.out_channels // shape.groups % self._block.channels > 0
        added = ", with a sum" if self._residual else ""
        unit = 1 if plan.masked else self._block.outputs
        return KernelCode(
            symbol=asm.symbol,
            text=asm.text,
            constants=self._constants(),
            scratch_bytes=self._scratch_bytes(),
            stack_bytes=SAVED_BYTES + _FRAME_BYTES,
            instructions=asm.instructions,
            code_bytes=asm.code_bytes,
            approach=f"Helium, {self._layout.name} windows, {names}{added}{cut}",
            slower=self._slower(),
            unit=0 if self._averaging else unit,
            # All of the input is copied before the first output is written.
            overwrites_input=len(self._chunks) == 1
            and shape.groups == 1
            and not (repeats and self._adds_input),
            overwrites_other=self._residual is not None and not repeats,
        )

    def _slower(self) -> str:
        cells = self._shape.kernel * self._shape.depth
        products = 16 * self._layout.vectors
        if 2 * cells >= products:
            return ""
        if self._shape.groups == self._shape.channels > 1:
            return f"a channel on its own fills {cells} of {products} products"
        return f"a window fills {cells} of {products} products"

    def _scratch_bytes(self) -> int:
        shape, layout, block = self._shape, self._layout, self._block
        outputs = -(-max(self._chunks) // block.outputs) * block.outputs
        windows = (outputs * shape.pool - 1) * layout.step + max(layout.offsets) + 16
        cells = chunk_cells(shape, max(self._chunks)) * self._filling.cell_bytes
        return (max(windows, cells) + 7) // 8 * 8

    def _begin(self) -> None:
        asm, shape = self._asm, self._shape
        asm.emit(f"str r0, [sp, #{_SOURCE}]", f"str r3, [sp, #{_SCRATCH}]")
        asm.emit(f"ldrd r4, r5, [sp, #{_FRAME_BYTES + SAVED_BYTES}]")
        if self._averaging:
            set_constant(asm, "r5", shape.outputs)
        asm.emit(f"str r5, [sp, #{_LEFT}]")
        set_constant(asm, "r6", shape.advance)
        asm.emit("mul r6, r4, r6")
        add_constant(asm, "r6", -shape.pad_left, "r7")
        asm.emit(f"str r6, [sp, #{_START}]")
        set_constant(asm, "r6", shape.out_channels)
        if self._residual:
            # What lies where an output lies, in the other tensor.
            asm.emit("sub r1, r1, r2", f"str r1, [sp, #{_OTHER}]")
        asm.emit("mla r2, r4, r6, r2", f"str r2, [sp, #{_OUTPUT}]")
        if self._residual:
            self._residual.prepare(asm)
        set_address(asm, "r3")
        asm.emit("vldrw.u32 q0, [r3]", "vldrw.u32 q1, [r3, #16]")
        asm.emit(f"vstrw.32 q0, [sp, #{_LANE_TABLE}]", f"vstrw.32 q1, [sp, #{_LANE_OUTPUTS}]")

    def _begin_chunk(self) -> None:
        asm = self._asm
        asm.emit(f"ldr r5, [sp, #{_LEFT}]")
        if len(self._chunks) > 1:
            set_constant(asm, "r4", self._plan.chunk)
            asm.emit("cmp r5, r4", "it gt", "movgt r5, r4")
        asm.emit(f"str r5, [sp, #{_COUNT}]")
        if self._shape.groups > 1:
            set_address(asm, "r3", _TABLE_BYTES)
            set_constant(asm, "r4", self._shape.groups)
            asm.emit(f"ldr r0, [sp, #{_SOURCE}]", f"str r3, [sp, #{_RECORD}]")
            asm.emit(f"str r0, [sp, #{_GROUP_SOURCE}]", f"str r4, [sp, #{_GROUPS}]")

    def _end_group(self, group: str) -> None:
        asm = self._asm
        asm.emit(f"str r3, [sp, #{_RECORD}]", f"ldr r0, [sp, #{_GROUP_SOURCE}]")
        add_constant(asm, "r0", self._shape.depth, "r2")
        asm.emit(f"str r0, [sp, #{_GROUP_SOURCE}]", f"ldr r0, [sp, #{_GROUPS}]")
        asm.emit("subs r0, r0, #1", f"str r0, [sp, #{_GROUPS}]", f"bne {group}")

    def _end_chunk(self, chunk: str) -> None:
        asm, shape = self._asm, self._shape
        asm.emit(f"ldr r5, [sp, #{_COUNT}]", f"ldr r0, [sp, #{_START}]")
        set_constant(asm, "r4", shape.advance)
        asm.emit("mla r0, r5, r4, r0", f"str r0, [sp, #{_START}]", f"ldr r0, [sp, #{_OUTPUT}]")
        set_constant(asm, "r4", shape.out_channels)
        asm.emit("mla r0, r5, r4, r0", f"str r0, [sp, #{_OUTPUT}]", f"ldr r0, [sp, #{_LEFT}]")
        asm.emit("subs r0, r0, r5", f"str r0, [sp, #{_LEFT}]", f"bne {chunk}")

    def _channels(self) -> None:
        """Emit the loop over the channels of a group, and in it that over blocks."""
        asm, shape, block = self._asm, self._shape, self._block
        with asm.repeated(shape.groups * len(self._chunks)):
            if shape.groups > 1:
                asm.emit(f"ldr r3, [sp, #{_RECORD}]")
            else:
                set_address(asm, "r3", _TABLE_BYTES)
            set_constant(asm, "r9", self._channel_groups)
            for register, place in ((self._table, _LANE_TABLE), (self._numbers, _LANE_OUTPUTS)):
                if register:
                    asm.emit(f"vldrh.u16 {register}, [sp, #{place}]")
        advance = block.outputs * shape.pool * self._layout.step
        channel, body = asm.label("channel"), asm.label("block")
        asm.place(channel)
        with asm.repeated(self._channel_runs):
            self._accumulation.begin(asm)
            self._point_at_output()
            asm.emit(f"ldr r1, [sp, #{_SCRATCH}]", f"ldr r7, [sp, #{_COUNT}]")
            if self._averaging:
                asm.emit(f"vmov.i32 {self._sums}, #0")
                if self._sums_in_frame:
                    asm.emit(f"vstrw.32 {self._sums}, [sp, #{_SUMS}]")
        asm.place(body)
        with asm.repeated(self._block_runs):
            self._accumulation.emit(asm, self._vectors, advance)
            self._finish_block()
            asm.emit(f"subs r7, r7, #{block.outputs}", f"bgt {body}")
        with asm.repeated(self._channel_runs):
            if self._averaging:
                if self._residual:
                    self._point_at_output()
                self._averaging.finish(asm, self._sums, self._vectors.first, block.channels)
            add_constant(asm, "r3", self._record_bytes, "r0")
            asm.emit("subs r9, r9, #1", f"bne {channel}")

    def _point_at_output(self) -> None:
        """Let r5 point at the first output of the channels."""
        asm = self._asm
        asm.emit(f"ldr r5, [r3, #{4 * self._record_words - 4}]", f"ldr r0, [sp, #{_OUTPUT}]")
        asm.emit("add r5, r5, r0")

    def _finish_block(self) -> None:
        """Emit what turns eight accumulators into outputs and writes or sums them."""
        asm, scaling, block = self._asm, self._scaling, self._block
        first, second, count = self._vectors.first, self._vectors.second, self._fields
        zero = "r0"
        if count * block.channels + 1 <= len(ACCUMULATORS):
            registers = load_scalars(asm, "r3", 0, count * block.channels + 1)
            zero = registers[-1]
            fields = [registers[:count], registers[-1 - count : -1]]
            scaling.rescale(asm, [first, second], fields)
        else:
            for index, vector in enumerate((first, second)):
                registers = load_scalars(asm, "r3", index * count, count)
                scaling.rescale(asm, [vector], [registers])
            asm.emit(f"ldr r0, [r3, #{4 * self._record_words - 8}]")
        scaling.narrow(asm, first, second, zero)
        work = second
        if self._residual:
            self._add(self._residual)
            first, work = self._residual.RESULT, self._residual.FREE
        if self._averaging:
            numbers = self._lane_outputs(work) if self._plan.masked else ""
            place = _SUMS if self._sums_in_frame else None
            self._averaging.sum_up(asm, first, self._sums, place, numbers)
        else:
            mask = self._masks(work)
            table = self._lane_table(work)
            if mask:
                asm.emit("vpst")
            asm.emit(f"vstrb{mask}.16 {first}, [r5, {table}]")
        if self._residual or not self._averaging:
            add_constant(asm, "r5", block.outputs * self._shape.out_channels, "r0")

    def _masks(self, work: str) -> str:
        """Let P0 say which lanes are outputs; return what predicated instructions end on."""
        if not self._plan.masked:
            return ""
        self._asm.emit(f"vcmp.s16 lt, {self._lane_outputs(work)}, r7")
        return "t"

    def _lane_outputs(self, work: str) -> str:
        """Return the vector that says which output each lane is; it may be `work`."""
        if not self._numbers:
            self._asm.emit(f"vldrh.u16 {work}, [sp, #{_LANE_OUTPUTS}]")
        return self._numbers or work

    def _lane_table(self, work: str) -> str:
        """Return the vector that says where each lane lies; it may be `work`."""
        if not self._table:
            self._asm.emit(f"vldrh.u16 {work}, [sp, #{_LANE_TABLE}]")
        return self._table or work

    def _add(self, residual: Residual) -> None:
        """Emit the sum with the other tensor; nothing outside it is read."""
        asm, work = self._asm, residual.RESULT
        mask = self._masks(work)
        table = self._lane_table(work)
        asm.emit(f"ldr r0, [sp, #{_OTHER}]", "add r0, r0, r5")
        if mask:
            asm.emit("vpst")
        asm.emit(f"vldrb{mask}.s16 q7, [r0, {table}]")
        residual.emit(asm, _SPILL)

    def _constants(self) -> bytes:
        shape, block, layout = self._shape, self._block, self._layout
        table = [f * shape.out_channels + channel for f, channel in block.lanes]
        parts = [np.array(table, "<u2").tobytes()]
        parts.append(np.array([f for f, _ in block.lanes], "<u2").tobytes())
        per_group = shape.out_channels // shape.groups
        for group in range(shape.groups):
            for index in range(self._channel_groups):
                # The last block of channels repeats some rather than write beyond the group.
                begin = min(index * block.channels, per_group - block.channels)
                channels = [group * per_group + begin + n for n in range(block.channels)]
                words = [word for channel in channels for word in self._scaling.fields(channel)]
                words += [shape.zero_point, channels[0]]
                parts.append((np.array(words, np.int64) & 0xFFFFFFFF).astype("<u4").tobytes())
                weights = [layout.weights(shape, channel) for channel in channels]
                for vector in self._accumulation.order:
                    parts += [each[vector].tobytes() for each in weights]
        return b"".join(parts)
