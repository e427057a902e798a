"""Many Helium kernels in one image on QEMU's Cortex-M55: what each computes, touches and costs.

The board's external memory holds, for every run, the paint, the inputs and a stack of its own, so
that everything a kernel wrote can be looked at afterwards.
"""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from edgeprune.devices.qemu_device import COMMAND, QemuDevice
from edgeprune.firmware.kernels import KernelCode, KernelRequest
from edgeprune.network.tensor import Int8Array
from edgeprune.targets import Target, load_target
from tests.firmware.kernels.bench import assembly_text

COMPILER = "arm-none-eabi-gcc"
_MEMORY = 0x6000_0000
_RECORD_BYTES = 256
# Of the board's RAM; nothing answers before and behind it.
_EDGES = (0x3000_0000, 0x3008_0000)
_GUARD = 64
_HANDLER_STACK = 256
_PAINT = 0xA5
_SAVED = np.arange(0xC0DE0000, 0xC0DE0010, dtype=np.uint32)
_SCRIPT = """
SECTIONS
{
    . = 0x10000000;
    .text : { *(.vectors) *(.text .text.*) *(.rodata .rodata.*) }
    /DISCARD/ : { *(.ARM.exidx* .ARM.extab* .comment .debug_* .ARM.attributes) }
}
"""
# The record of a run: function, r0-r3, stack pointer, timer before and after; r4-r11 and the stack
# pointer as the kernel left them; two copies to make first: from, to, bytes; then d8-d15.
_RUNNER = """
    .syntax unified
    .thumb
    .section .vectors, "a"
    .word 0x30041000
    .word reset
    .rept 13
    .word fault
    .endr
    .word disturb
    .text
    .thumb_func
reset:
    ldr r0, =0xE000ED88
    mov r1, #0xF00000
    str r1, [r0]
    dsb
    isb
    ldr r0, =0xE000E010
    movs r1, #0
    str r1, [r0, #8]
    ldr r2, =0x60000000
    ldrd r3, r1, [r2, #4]
    str r3, [r0, #4]
    str r1, [r0]
    mov r0, r2
    ldr r1, [r0]
    add r0, r0, #256
    ldr r2, =0x30040000
    strd r0, r1, [r2]
next:
    ldr r2, =0x30040000
    ldrd r12, r1, [r2]
    cmp r1, #0
    beq done
    add r4, r12, #68
    movs r5, #2
pair:
    ldr r0, [r4], #4
    ldr r1, [r4], #4
    ldr r2, [r4], #4
copy:
    cbz r2, copied
    ldrb r3, [r0], #1
    strb r3, [r1], #1
    subs r2, #1
    b copy
copied:
    subs r5, #1
    bne pair
    ldr r0, =paint
    vldm r0, {d8-d15}
    ldm r0, {r4-r11}
    ldr r0, [r12, #20]
    mov sp, r0
    ldr lr, [r12]
    ldr r2, [r12, #12]
    ldr r3, [r12, #16]
    ldr r1, =0xE000E018
    ldr r1, [r1]
    str r1, [r12, #24]
    ldr r0, [r12, #4]
    ldr r1, [r12, #8]
    mvn r12, #0
    blx lr
    ldr r0, =0xE000E018
    ldr r0, [r0]
    ldr r2, =0x30040000
    ldrd r12, r1, [r2]
    str r0, [r12, #28]
    add r0, r12, #32
    stm r0, {r4-r11}
    mov r3, sp
    str r3, [r12, #64]
    add r0, r12, #128
    vstm r0, {d8-d15}
    ldr sp, =0x30041000
    subs r1, #1
    add r12, r12, #256
    strd r12, r1, [r2]
    b next
done:
    movs r1, #0
    b stop
    .thumb_func
fault:
    movs r1, #99
stop:
    sub sp, sp, #8
    ldr r0, =0x20026
    strd r0, r1, [sp]
    mov r1, sp
    movs r0, #0x20
    bkpt 0xab
    b .
    .thumb_func
disturb:
    push {r4, lr}
    movs r0, #3
    vmov.i8 q0, #0x5A
    vmov q1, q0
    vmov q2, q0
    vmov q3, q0
    wlstp.8 lr, r0, 2f
1:  vadd.i8 q0, q0, q0
    letp lr, 1b
2:  vctp.16 r0
    movs r1, #0x5A
    movs r2, #0x5A
    movs r3, #0x5A
    mov r12, r1
    pop {r4, pc}
    .global nothing
    .thumb_func
nothing:
    bx lr
    .balign 8
paint:
    .rept 16
    .word 0xC0DE0000 + (. - paint) / 4
    .endr
    .ltorg
"""

needs_board = [
    pytest.mark.system,
    pytest.mark.skipif(shutil.which(COMMAND) is None, reason=f"{COMMAND} is absent"),
    pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"{COMPILER} is absent"),
]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one run of a kernel did; see `bench.Outcome`."""

    output: Int8Array
    instructions: int
    stack_bytes: int
    code_bytes: int


@dataclass(frozen=True, eq=False)
class _Run:
    code: KernelCode
    request: KernelRequest
    record: bytearray
    start: int
    memory: bytes
    output: int
    free: np.ndarray
    frame: int


def _target() -> Target:
    """The M55 with a clock so slow that an instruction takes many ticks: the count is exact."""
    target = load_target("cortex-m55")
    assert target.qemu is not None
    return dataclasses.replace(target, qemu=dataclasses.replace(target.qemu, icount_shift=10))


@dataclass
class MveBench:
    """Collects runs, then does them all on one start of the board.

    Args:
        target: The core.
        interrupt_ticks: Let the timer interrupt this often, with a handler that overwrites all
            that it may; 0: never. Instructions are not counted then.
    """

    target: Target = field(default_factory=_target)
    runs: list[_Run] = field(default_factory=list)
    interrupt_ticks: int = 0
    _end: int = 1 << 20

    def add(
        self,
        code: KernelCode,
        request: KernelRequest,
        *inputs: Int8Array,
        first: int = 0,
        count: int | None = None,
        misalignment: int = 0,
        in_place: bool = False,
        over_other: bool = False,
        at_edges: bool = False,
    ) -> int:
        """Plan one run of a kernel and return its number.

        Args:
            code: The kernel.
            request: What it was asked for.
            inputs: int8, the source and, if the request has one, the other, without batch.
            first: First output position.
            count: Output positions, by default all.
            misalignment: Bytes past a multiple of eight at which everything begins.
            in_place: Let the output begin where the input begins.
            over_other: Let the output begin where the other input begins.
            at_edges: Let the inputs lie at the edges of a memory, where reading too far faults.
        """
        memory = bytearray()
        places: list[int] = []
        sizes = [request.source.size, request.other.size if request.other else 0]
        for size in (*sizes, request.output.size):
            memory += bytes([_PAINT]) * (_GUARD + -len(memory) % 8 + misalignment)
            places.append(len(memory))
            # An output in an input's place may be the larger one.
            memory += bytes([_PAINT]) * (max(size, request.output.size) + _GUARD)
        memory += bytes([_PAINT]) * (-len(memory) % 8)
        scratch = len(memory)
        memory += bytes([_PAINT]) * (code.scratch_bytes + 2 * _GUARD)
        memory += bytes([_PAINT]) * (-len(memory) % 8)
        stack = len(memory)
        memory += bytes([_PAINT]) * (code.stack_bytes + -code.stack_bytes % 8)
        if self.interrupt_ticks:
            memory += bytes([_PAINT]) * _HANDLER_STACK
        frame = len(memory)
        if count is None:
            count = request.output.shape[0] if request.output.is_map else 1
        memory += np.array([first, count], "<i4").tobytes() + bytes([_PAINT]) * _GUARD
        for place, values in zip(places, inputs, strict=False):
            memory[place : place + values.size] = values.tobytes()
        output = places[0] if in_place else places[1] if over_other else places[2]
        free = np.zeros(len(memory), bool)
        free[output : output + request.output.size] = True
        free[scratch : scratch + code.scratch_bytes] = True
        free[stack:frame] = True
        start = (self._end + 63) // 64 * 64
        self._end = start + len(memory)
        base = _MEMORY + start
        other = base + places[1] if request.other is not None else 0
        registers = [base + places[0], other, base + output]
        registers.append(base + scratch if code.scratch_bytes else 0)
        record = bytearray(_RECORD_BYTES)
        if at_edges:
            assert not in_place
            assert not over_other
            edges = (_EDGES[0], _EDGES[1] - sizes[1])
            if first or misalignment % 2:
                edges = (_EDGES[1] - sizes[0], _EDGES[0])
            for number in range(1 + (request.other is not None)):
                copy = (base + places[number], edges[number], sizes[number])
                record[68 + 12 * number : 80 + 12 * number] = np.array(copy, "<u4").tobytes()
                registers[number] = edges[number]
        if request.other is not None and request.other.name == request.source.name:
            registers[1] = registers[0]
        record[4:24] = np.array([*registers, base + frame], "<u4").tobytes()
        self.runs.append(
            _Run(code, request, record, start, bytes(memory), output, free, frame - stack)
        )
        return len(self.runs) - 1

    def execute(self) -> list[Outcome]:
        """Do all runs and check everything but the values."""
        codes = list({run.code.symbol: run.code for run in self.runs}.values())
        assert all(run.code in codes for run in self.runs), "one symbol, two kernels"
        assert len(self.runs) * _RECORD_BYTES < 1 << 20
        with tempfile.TemporaryDirectory() as name:
            elf = Path(name) / "bench.elf"
            symbols = self._link(codes, elf)
            block = bytearray(self._end)
            timer = (self.interrupt_ticks - 1, 7) if self.interrupt_ticks else (0xFFFFFF, 5)
            block[:12] = np.array([len(self.runs) + 1, *timer], "<u4").tobytes()
            # The first run is of a function that only returns: it tells what a call costs.
            nothing = bytearray(self.runs[0].record)
            nothing[:4] = (symbols["nothing"][0] | 1).to_bytes(4, "little")
            block[_RECORD_BYTES : 2 * _RECORD_BYTES] = nothing
            for number, run in enumerate(self.runs):
                place = (number + 2) * _RECORD_BYTES
                block[place : place + _RECORD_BYTES] = run.record
                address = symbols[run.code.symbol][0] | 1
                block[place : place + 4] = address.to_bytes(4, "little")
                block[run.start : run.start + len(run.memory)] = run.memory
            exit_code, after = QemuDevice(elf, self.target).execute(bytes(block), len(block), 300.0)
        records = np.frombuffer(after, "<u4", (len(self.runs) + 2) * 64).reshape(-1, 64)
        if exit_code:
            bad = int(np.flatnonzero(records[2:, 7] == 0)[0])
            raise AssertionError(f"{self.runs[bad].code.approach}: fault in run {bad}")
        base = self._ticks(records[1])
        return [
            self._outcome(run, records[number + 2], after, base, symbols[run.code.symbol][1])
            for number, run in enumerate(self.runs)
        ]

    def _outcome(
        self, run: _Run, record: np.ndarray, after: bytes, base: int, code_bytes: int
    ) -> Outcome:
        what = f"{run.code.symbol}: {run.code.approach}"
        assert list(record[8:16]) == list(_SAVED[:8]), f"{what}: r4-r11 are not preserved"
        assert record[16] == int.from_bytes(run.record[20:24], "little"), f"{what}: sp"
        assert list(record[32:48]) == list(_SAVED), f"{what}: d8-d15 are not preserved"
        before = np.frombuffer(run.memory, np.uint8)
        now = np.frombuffer(after, np.uint8, len(before), run.start)
        wrong = np.flatnonzero((before != now) & ~run.free)
        assert not len(wrong), f"{what}: writes outside its memory: {wrong[:8]}, {run.output}"
        stack = now[len(now) - _GUARD - 8 - run.frame : len(now) - _GUARD - 8]
        used = np.flatnonzero(stack != _PAINT)
        output = now[run.output : run.output + run.request.output.size].view(np.int8)
        settings = self.target.qemu
        assert settings is not None
        per_instruction = settings.systick_hz / 1e9 * (1 << settings.icount_shift)
        return Outcome(
            output.reshape(run.request.output.shape).copy(),
            round((self._ticks(record) - base) / per_instruction) + 1,
            len(stack) - int(used[0]) if len(used) else 0,
            code_bytes,
        )

    @staticmethod
    def _ticks(record: np.ndarray) -> int:
        return (int(record[6]) - int(record[7])) & 0xFFFFFF

    def _link(self, codes: list[KernelCode], elf: Path) -> dict[str, tuple[int, int]]:
        toolchain = self.target.toolchain
        assert toolchain is not None
        text = "\n".join(assembly_text(code) for code in codes)
        elf.with_name("runner.S").write_text(_RUNNER)
        elf.with_name("kernels.S").write_text(text)
        elf.with_name("bench.ld").write_text(_SCRIPT)
        command = [COMPILER, *toolchain.gnu, "-nostdlib", "-T", "bench.ld", "-Wl,-e,reset"]
        command += ["runner.S", "kernels.S", "-o", elf.name]
        done = subprocess.run(command, cwd=elf.parent, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[:4000]
        with elf.open("rb") as stream:
            file = ELFFile(stream)
            assert file.get_section_by_name(".text")["sh_size"] <= 0x80000
            table = file.get_section_by_name(".symtab")
            return {
                symbol.name: (int(symbol["st_value"]) & ~1, int(symbol["st_size"]))
                for symbol in table.iter_symbols()
            }
