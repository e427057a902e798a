"""One Cortex-M core with exactly the memory that its target has, on the unicorn CPU emulator.

Unicorn executes the instruction set; it has no interrupt controller, no timers and no peripherals.
Private peripheral addresses read back what was written to them. Everything else outside flash, RAM
and the exchange memory ends the run with an error that names the address and the instruction.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

from edgeprune.devices.program import Program
from edgeprune.errors import DeviceError, MissingToolError
from edgeprune.targets import Memories, Memory

_POWER_UP = b"\xa5"
_PAGE = 4096
_NO_END = 0xFFFF_FFFF
_PRIVATE_PERIPHERALS = Memory(origin=0xE000_0000, bytes=0x0010_0000)
_BREAKPOINT = 7
_SEMIHOSTING = b"\xab\xbe"
_SYS_EXIT = 0x18
_SYS_EXIT_EXTENDED = 0x20
_APPLICATION_EXIT = 0x20026


class Emulator:
    """Runs one program, again and again, each time from reset.

    Args:
        program: The image.
        core: Suffix of unicorn's constant `UC_CPU_ARM_...`: "CORTEX_M7".
        memories: What the target has.

    Raises:
        DeviceError: Unicorn has no such core, or the image does not fit the memory.
        MissingToolError: unicorn is not installed.
    """

    def __init__(self, program: Program, core: str, memories: Memories) -> None:
        try:
            import unicorn
            from unicorn import arm_const
        except ImportError as error:
            raise MissingToolError(
                "the emulator unicorn is not installed", hint="pip install unicorn==2.1.4"
            ) from error
        self._unicorn: Any = unicorn
        self._registers: Any = arm_const
        self.program = program
        self.memories = memories
        self.machine: Any = unicorn.Uc(
            unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS
        )
        self.machine.ctl_set_cpu_model(self._model(core))
        read_write = unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE
        self._map(memories.flash, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
        self._map(memories.ram, read_write)
        self._map(memories.exchange, read_write)
        self._map(_PRIVATE_PERIPHERALS, read_write)
        for segment in program.segments:
            end = segment.address + len(segment.content)
            if segment.address < memories.flash.origin or end > _end(memories.flash):
                raise DeviceError(
                    f"the image loads bytes at 0x{segment.address:08x}..0x{end:08x}, outside flash",
                    where=str(program.path),
                    hint="link it with the linker script of this target",
                )
            self.machine.mem_write(segment.address, segment.content)
        self._exit_code: int | None = None
        self._failure: DeviceError | None = None
        self.machine.hook_add(unicorn.UC_HOOK_INTR, self._on_exception)
        self.machine.hook_add(unicorn.UC_HOOK_MEM_INVALID, self._on_invalid_access)

    def _model(self, core: str) -> int:
        model = getattr(self._registers, f"UC_CPU_ARM_{core}", None)
        if model is None:
            raise DeviceError(
                f"unicorn has no model of {core}",
                where="the target's [unicorn] table",
                hint="use a core that unicorn knows, or the backend 'qemu'",
            )
        return int(model)

    def _map(self, memory: Memory, permissions: int) -> None:
        start = memory.origin // _PAGE * _PAGE
        end = -(-_end(memory) // _PAGE) * _PAGE
        try:
            self.machine.mem_map(start, end - start, permissions)
        except self._unicorn.UcError as error:
            raise DeviceError(
                f"the memory 0x{start:08x}..0x{end:08x} cannot be emulated: {error}",
                where="the target's [memories] table",
                hint="give flash, RAM and exchange memory addresses that do not overlap",
            ) from error

    def register(self, name: str) -> int:
        """Return a core register by its name: "R0", "SP", "LR", "PC"."""
        return int(self.machine.reg_read(getattr(self._registers, f"UC_ARM_REG_{name}")))

    def on_block(self, callback: Callable[[int, int], None]) -> None:
        """Call `callback(address, size)` whenever the core enters a straight run of code."""
        self.machine.hook_add(
            self._unicorn.UC_HOOK_BLOCK, lambda _, address, size, __: callback(address, size)
        )

    def on_read(self, memory: Memory, callback: Callable[[int], None]) -> None:
        """Call `callback(address)` whenever the core reads data from a memory."""
        self.machine.hook_add(
            self._unicorn.UC_HOOK_MEM_READ,
            lambda _, __, address, *___: callback(address),
            begin=memory.origin,
            end=_end(memory) - 1,
        )

    def require_aligned_access(self) -> None:
        """Fail on unaligned access, as Armv6-M hardware does and unicorn does not; slow."""

        def check(_: Any, __: int, address: int, size: int, ___: int, ____: Any) -> None:
            if address % size and self._failure is None:
                self._failure = self._error(
                    f"the firmware accesses {size} unaligned bytes at 0x{address:08x}, "
                    "which faults on this core"
                )
                self.machine.emu_stop()

        kinds = self._unicorn.UC_HOOK_MEM_READ | self._unicorn.UC_HOOK_MEM_WRITE
        self.machine.hook_add(kinds, check)

    def write(self, address: int, content: bytes) -> None:
        """Write memory from outside, as a debugger would."""
        self.machine.mem_write(address, content)

    def read(self, address: int, size: int) -> bytes:
        """Read memory from outside, as a debugger would."""
        return bytes(self.machine.mem_read(address, size))

    def run(self, timeout_seconds: float) -> int:
        """Reset the core and run the program until it exits.

        RAM holds garbage after a reset, as on hardware, so that no image can rely on zeros.

        Returns:
            The exit code that the program passed to semihosting.

        Raises:
            DeviceError: The program faulted, stopped without exit, or ran longer than the limit.
        """
        ram = self.memories.ram
        self.write(ram.origin, _POWER_UP * ram.bytes)
        self._exit_code = self._failure = None
        for name in ("R0", "R1", "R2", "R3", "R12", "LR"):
            self.machine.reg_write(getattr(self._registers, f"UC_ARM_REG_{name}"), 0)
        self.machine.reg_write(self._registers.UC_ARM_REG_SP, self.program.stack_top)
        try:
            timed_out = self._start(timeout_seconds)
        except self._unicorn.UcError as error:
            raise self._failure or self._error(f"the core faulted: {error}") from error
        if self._failure is not None:
            raise self._failure
        if self._exit_code is None:
            if timed_out:
                raise self._error(
                    f"the firmware did not finish within {timeout_seconds:g} s",
                    "if the network is large, allow more time; else look for an endless loop there",
                )
            raise self._error("the core stopped without leaving through semihosting")
        return self._exit_code

    def _start(self, timeout_seconds: float) -> bool:
        """Let the core run; return whether it had to be stopped at the limit.

        Unicorn's own limit polls and halves the speed, and the call cannot be interrupted from the
        keyboard; so it runs in a thread of its own.
        """
        with ThreadPoolExecutor(max_workers=1) as pool:
            run = pool.submit(self.machine.emu_start, self.program.entry | 1, _NO_END)
            try:
                run.result(timeout_seconds)
            except TimeoutError:
                return True
            finally:
                # A stop that comes before the start is lost.
                while not run.done():
                    self.machine.emu_stop()
                    wait([run], 0.05)
        return False

    def _error(self, what: str, hint: str = "") -> DeviceError:
        place = self.program.describe(self.register("PC"))
        return DeviceError(
            what,
            where=f"{self.program.path.name}, at {place}",
            hint=hint or "this is a defect of the firmware: keep the image and report it",
        )

    def _on_exception(self, _: Any, number: int, __: Any) -> None:
        pc = self.register("PC")
        operation = self.register("R0")
        if number == _BREAKPOINT and self.read(pc, 2) == _SEMIHOSTING:
            if operation == _SYS_EXIT_EXTENDED:
                block = self.read(self.register("R1"), 8)
                reason = int.from_bytes(block[:4], "little")
                code = int.from_bytes(block[4:], "little")
                self._exit_code = code if reason == _APPLICATION_EXIT else reason
            elif operation == _SYS_EXIT:
                reason = self.register("R1")
                self._exit_code = 0 if reason == _APPLICATION_EXIT else reason
            else:
                self._failure = self._error(f"semihosting call 0x{operation:x} is not offered here")
        else:
            self._failure = self._error(f"the core took exception {number}")
        self.machine.emu_stop()

    def _on_invalid_access(
        self, _: Any, access: int, address: int, size: int, __: int, ___: Any
    ) -> bool:
        unicorn = self._unicorn
        if access in (unicorn.UC_MEM_WRITE_UNMAPPED, unicorn.UC_MEM_WRITE_PROT):
            verb = "writes"
        elif access in (unicorn.UC_MEM_FETCH_UNMAPPED, unicorn.UC_MEM_FETCH_PROT):
            verb = "executes"
        else:
            verb = "reads"
        flash = self.memories.flash
        in_flash = flash.origin <= address < _end(flash)
        place = "in flash" if in_flash else "where this target has no memory"
        if verb == "executes" and not in_flash:
            place = "where there is no code"
        self._failure = self._error(f"the firmware {verb} {size} bytes at 0x{address:08x}, {place}")
        return False


def _end(memory: Memory) -> int:
    return memory.origin + memory.bytes
