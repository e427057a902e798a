"""The backend that needs nothing but a Python package: instruction set emulation in the process."""

from __future__ import annotations

from pathlib import Path

from edgeprune.devices.emulator import Emulator
from edgeprune.devices.program import read_program
from edgeprune.errors import DeviceError
from edgeprune.targets import Target


def emulator_for(elf: Path, target: Target) -> Emulator:
    """Return an emulator of the target's core with exactly the target's memory.

    Raises:
        DeviceError: Unicorn cannot run this target, or the image is not for it.
        MissingToolError: unicorn is not installed.
    """
    if target.emulator is None or target.memories is None:
        raise DeviceError(
            f"unicorn has no model of {target.title}",
            where=f"target {target.name}",
            hint="use the backend 'qemu'" if target.qemu else "run the host library instead",
        )
    program = read_program(elf, target.memories.flash.origin)
    return Emulator(program, target.emulator.cpu, target.memories)


class UnicornDevice:
    """A `Device` on unicorn."""

    def __init__(self, elf: Path, target: Target) -> None:
        self._emulator = emulator_for(elf, target)

    def execute(
        self, exchange: bytes, read_bytes: int, timeout_seconds: float
    ) -> tuple[int, bytes]:
        """See `Device.execute`."""
        origin = self._emulator.memories.exchange.origin
        self._emulator.write(origin, exchange.ljust(read_bytes, b"\0"))
        exit_code = self._emulator.run(timeout_seconds)
        return exit_code, self._emulator.read(origin, read_bytes)
