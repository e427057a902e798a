"""One generated kernel alone on an emulated core: what it computes, touches and costs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import unicorn
from elftools.elf.elffile import ELFFile
from unicorn import arm_const

from edgeprune.devices.instructions import split
from edgeprune.firmware.kernels import KernelCode, KernelRequest
from edgeprune.network.tensor import Int8Array
from edgeprune.targets import Target

_CODE, _RAM, _RAM_BYTES = 0x0, 0x2000_0000, 0x80000
_RETURN = 0x7F000
_GUARD = 64
_PAINT = 0xA5
_STACK_BYTES = 0x4000
_SAVED = tuple(f"R{number}" for number in range(4, 12))
_SCRIPT = """
SECTIONS
{
    . = 0x100;
    .text : { *(.text .text.*) *(.rodata .rodata.*) }
    /DISCARD/ : { *(.ARM.exidx* .ARM.extab* .comment .debug_* .ARM.attributes) }
}
"""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one run of a kernel did.

    Attributes:
        output: int8, the whole output in its shape; what was not computed holds the paint.
        instructions: From entry to return.
        stack_bytes: How deep it went below the caller's stack pointer.
    """

    output: Int8Array
    instructions: int
    stack_bytes: int


class Bench:
    """An assembled kernel that can be run again and again.

    Args:
        code: The kernel.
        request: What it was asked for.
        target: The core; one that unicorn knows.
        misalignment: Bytes past a multiple of four at which input and output begin.
    """

    def __init__(
        self, code: KernelCode, request: KernelRequest, target: Target, misalignment: int = 0
    ) -> None:
        assert target.emulator is not None
        self.code, self.request = code, request
        self._strict = target.isa == "armv6-m"
        self._machine = unicorn.Uc(
            unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS
        )
        self._machine.ctl_set_cpu_model(getattr(arm_const, f"UC_CPU_ARM_{target.emulator.cpu}"))
        self._machine.mem_map(_CODE, 0x80000, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
        self._machine.mem_map(_RAM, _RAM_BYTES, unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE)
        self._entry = self._load(target)
        self._blocks: dict[tuple[int, int], int] = {}
        self._lengths: dict[tuple[int, int], int] = {}
        self._fault = ""
        self._machine.hook_add(unicorn.UC_HOOK_BLOCK, self._on_block)
        self._machine.hook_add(unicorn.UC_HOOK_MEM_INVALID, self._on_invalid)
        if self._strict:
            kinds = unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE
            self._machine.hook_add(kinds, self._on_access)
        sizes = [request.source.size, request.other.size if request.other else 0]
        starts = []
        address = _RAM + _GUARD
        for size in (*sizes, request.output.size):
            starts.append(address + misalignment)
            address = (address + misalignment + size + 2 * _GUARD + 7) // 8 * 8
        self._input, self._other, self._output = starts
        self._scratch = address
        self._top = _RAM + _RAM_BYTES - 256
        assert address + code.scratch_bytes + _GUARD < self._top - _STACK_BYTES

    def run(
        self,
        *inputs: Int8Array,
        first: int = 0,
        count: int | None = None,
        in_place: bool = False,
        over_other: bool = False,
    ) -> Outcome:
        """Run the kernel on one window and check everything but the values.

        Args:
            inputs: int8, the source and, if the request has one, the other, without batch.
            first: First output position.
            count: Output positions, by default all.
            in_place: Let the output begin where the input begins.
            over_other: Let the output begin where the other input begins.
        """
        machine, request = self._machine, self.request
        machine.mem_write(_RAM, bytes([_PAINT]) * _RAM_BYTES)
        machine.mem_write(self._input, inputs[0].tobytes())
        if request.other is not None:
            machine.mem_write(self._other, inputs[1].tobytes())
        output = self._input if in_place else self._other if over_other else self._output
        if count is None:
            count = request.output.shape[0] if request.output.is_map else 1
        frame = self._top - 8
        machine.mem_write(frame, first.to_bytes(4, "little") + count.to_bytes(4, "little"))
        self._set("R0", self._input)
        self._set("R1", self._other if request.other is not None else 0)
        self._set("R2", output)
        self._set("R3", self._scratch if self.code.scratch_bytes else 0)
        for number, name in enumerate(_SAVED):
            self._set(name, 0xC0DE0000 + number)
        self._set("R12", 0xDEAD)
        self._set("LR", _RETURN | 1)
        self._set("SP", frame)
        self._blocks.clear()
        self._fault = ""
        machine.emu_start(self._entry | 1, _RETURN)
        assert not self._fault, self._fault
        assert self._get("SP") == frame, "the stack pointer is not restored"
        for number, name in enumerate(_SAVED):
            assert self._get(name) == 0xC0DE0000 + number, f"{name} is not preserved"
        memory = np.frombuffer(bytes(machine.mem_read(_RAM, _RAM_BYTES)), np.uint8)
        stack = self._check_memory(memory, frame, output, in_place, inputs)
        found = memory[output - _RAM : output - _RAM + request.output.size].view(np.int8)
        return Outcome(found.reshape(request.output.shape).copy(), self._count(), stack)

    def _check_memory(
        self,
        memory: np.ndarray,
        frame: int,
        output: int,
        in_place: bool,
        inputs: tuple[Int8Array, ...],
    ) -> int:
        """Check that nothing but output, scratch and stack is written; return the stack used."""
        expected = np.full(_RAM_BYTES, _PAINT, np.uint8)
        free = np.zeros(_RAM_BYTES, bool)
        free[frame - _RAM :] = True
        deepest = frame - _RAM - self.code.stack_bytes
        free[deepest : frame - _RAM] = True
        free[output - _RAM : output - _RAM + self.request.output.size] = True
        free[self._scratch - _RAM : self._scratch - _RAM + self.code.scratch_bytes] = True
        places = (self._input, self._other)
        for place, values in zip(places, inputs, strict=False):
            expected[place - _RAM : place - _RAM + values.size] = values.reshape(-1).view(np.uint8)
            if in_place and place == self._input:
                free[place - _RAM : place - _RAM + values.size] = True
        wrong = np.flatnonzero((memory != expected) & ~free)
        assert not len(wrong), f"writes outside its memory: {[hex(_RAM + w) for w in wrong[:8]]}"
        used = np.flatnonzero(memory[deepest : frame - _RAM] != _PAINT)
        return int(self.code.stack_bytes - used[0]) if len(used) else 0

    def _load(self, target: Target) -> int:
        assert target.toolchain is not None
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "kernel.S").write_text(assembly_text(self.code))
            (folder / "kernel.ld").write_text(_SCRIPT)
            if shutil.which("arm-none-eabi-gcc"):
                command = ["arm-none-eabi-gcc", *target.toolchain.gnu]
            else:
                command = [sys.executable, "-m", "ziglang", "cc", *target.toolchain.zig]
            command += ["-nostdlib", "-T", "kernel.ld", "kernel.S", "-o", "kernel.elf"]
            command += [f"-Wl,-e,{self.code.symbol}"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            with (folder / "kernel.elf").open("rb") as stream:
                file = ELFFile(stream)
                section = file.get_section_by_name(".text")
                self._machine.mem_write(section["sh_addr"], section.data())
                table = file.get_section_by_name(".symtab")
                (symbol,) = table.get_symbol_by_name(self.code.symbol)
                self.code_bytes = symbol["st_size"]
                return int(symbol["st_value"]) & ~1

    def _count(self) -> int:
        total = 0
        for (address, size), times in self._blocks.items():
            if (address, size) not in self._lengths:
                code = bytes(self._machine.mem_read(address, size))
                self._lengths[address, size] = sum(1 for _ in split(code))
            total += times * self._lengths[address, size]
        return total

    def _on_block(self, _: object, address: int, size: int, __: object) -> None:
        self._blocks[address, size] = self._blocks.get((address, size), 0) + 1

    def _on_invalid(
        self, _: object, access: int, address: int, size: int, __: int, ___: object
    ) -> bool:
        self._fault = f"access {access} of {size} bytes at {address:#x}, pc {self._get('PC'):#x}"
        return False

    def _on_access(
        self, _: object, __: int, address: int, size: int, ___: int, ____: object
    ) -> None:
        if address % size and not self._fault:
            self._fault = f"unaligned access of {size} bytes at pc {self._get('PC'):#x}"

    def _set(self, name: str, value: int) -> None:
        self._machine.reg_write(getattr(arm_const, f"UC_ARM_REG_{name}"), value)

    def _get(self, name: str) -> int:
        return int(self._machine.reg_read(getattr(arm_const, f"UC_ARM_REG_{name}")))


def assembly_text(code: KernelCode) -> str:
    """Return the file that the kernel and its constants make."""
    words = np.frombuffer(code.constants + b"\0" * (-len(code.constants) % 4), "<u4")
    lines = [".syntax unified", ".thumb", ".text", code.text]
    lines += ['.section .rodata,"a",%progbits', ".balign 4", f"{code.symbol}_constants:"]
    lines += [f"    .word {word:#x}" for word in words]
    return "\n".join(lines) + "\n"


def expected(request: KernelRequest, *inputs: Int8Array) -> Int8Array:
    """Return the output of the request by the numpy specification, for one window."""
    values = {request.source.name: inputs[0][None]}
    if request.other is not None:
        values[request.other.name] = inputs[1][None]
    for operation in request.operations:
        read = [values[name] for name in operation.inputs]
        values[operation.output] = operation.run(request.tensors, *read)
    return values[request.output.name][0]
