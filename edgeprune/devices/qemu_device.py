"""The cross-check: a whole board in QEMU, with vectors, faults, timers and the FPU's enable bit.

The board's external memory is a file on the host, so windows are written into it before the board
starts and logits are read from it after the board stopped. Instructions are counted by the
board's own timer under `-icount`, which makes it exact and independent of the host's load.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from edgeprune.devices.program import read_program
from edgeprune.errors import DeviceError, MissingToolError
from edgeprune.files import disk_errors
from edgeprune.targets import QemuSettings, Target

COMMAND = "qemu-system-arm"
INSTALL_LINE = "sudo apt-get install qemu-system-arm"
_MEBIBYTE = 1 << 20
# Start and size of the external memory of each board (QEMU 7.2, `info mtree`); QEMU accepts no
# other size for these boards.
_BOARD_MEMORY = {
    "mps2-an385": (0x2100_0000, 16 * _MEBIBYTE),
    "mps2-an386": (0x2100_0000, 16 * _MEBIBYTE),
    "mps2-an500": (0x6000_0000, 16 * _MEBIBYTE),
    "mps2-an505": (0x8000_0000, 16 * _MEBIBYTE),
    "mps3-an547": (0x6000_0000, 2048 * _MEBIBYTE),
}


def find_qemu() -> Path:
    """Return the path of QEMU.

    Raises:
        MissingToolError: QEMU is not installed.
    """
    found = shutil.which(COMMAND)
    if found is None:
        raise MissingToolError(f"{COMMAND} is not installed", where="PATH", hint=INSTALL_LINE)
    return Path(found)


class QemuDevice:
    """A `Device` on QEMU: each run starts the board anew.

    Args:
        elf: The linked image.
        target: What it was linked for.

    Raises:
        DeviceError: QEMU has no such board, or its memory does not hold the exchange block.
        MissingToolError: QEMU is not installed.
    """

    def __init__(self, elf: Path, target: Target) -> None:
        if target.qemu is None:
            raise DeviceError(
                f"QEMU has no board for {target.title}",
                where=f"target {target.name}",
                hint="use the backend 'unicorn'",
            )
        self._qemu = find_qemu()
        self._settings = target.qemu
        self._program = read_program(elf, self._settings.code_origin)
        self._memory_bytes, self._offset = _exchange_place(target.name, self._settings)

    def execute(
        self, exchange: bytes, read_bytes: int, timeout_seconds: float
    ) -> tuple[int, bytes]:
        """See `Device.execute`."""
        with tempfile.TemporaryDirectory(prefix="edgeprune-qemu-") as folder:
            memory = Path(folder) / "memory"
            with disk_errors(memory), memory.open("wb") as stream:
                # Sparse: only the pages that are touched take space.
                stream.truncate(self._memory_bytes)
                stream.seek(self._offset)
                stream.write(exchange)
            exit_code = self._run(memory, timeout_seconds)
            with memory.open("rb") as stream:
                stream.seek(self._offset)
                return exit_code, stream.read(read_bytes)

    def _run(self, memory: Path, timeout_seconds: float) -> int:
        settings = self._settings
        backing = f"memory-backend-file,id=external,share=on,size={self._memory_bytes}"
        command = [
            str(self._qemu),
            *("-M", f"{settings.machine},memory-backend=external"),
            *("-object", f"{backing},mem-path={memory.name}"),
            *("-kernel", str(self._program.path.resolve())),
            *("-icount", f"shift={settings.icount_shift}"),
            *("-semihosting-config", "enable=on,target=native"),
            *("-display", "none", "-monitor", "none", "-serial", "none", "-net", "none"),
        ]
        errors = memory.with_name("errors")
        place = f"{self._program.path.name} on QEMU's {settings.machine}"
        # Output goes to a file: a pipe that nobody reads would stop the board.
        with errors.open("wb") as stream:
            try:
                finished = subprocess.run(
                    command,
                    cwd=memory.parent,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    timeout=timeout_seconds,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise DeviceError(
                    f"the firmware did not finish within {timeout_seconds:g} s",
                    where=place,
                    hint="if the network is large, allow more time; else look for an endless loop",
                ) from error
        lines = errors.read_text(errors="replace").splitlines()
        complaints = [line for line in lines if line.startswith("qemu") and "warning:" not in line]
        if finished.returncode < 0 or (finished.returncode == 1 and complaints):
            raise DeviceError(
                f"QEMU stopped: {' '.join(complaints) or f'signal {-finished.returncode}'}",
                where=place,
                hint="a locked-up core means a fault inside a fault: keep the image and report it",
            )
        return finished.returncode


def _exchange_place(name: str, settings: QemuSettings) -> tuple[int, int]:
    """Return the size of the board's external memory and where in it the exchange block lies."""
    if settings.machine not in _BOARD_MEMORY:
        raise DeviceError(
            f"edgeprune does not know the memory of QEMU's board {settings.machine}",
            where=f"target {name}, key qemu.machine",
            hint=f"known: {', '.join(_BOARD_MEMORY)}",
        )
    origin, size = _BOARD_MEMORY[settings.machine]
    offset = settings.exchange_origin - origin
    if offset < 0 or offset + settings.exchange_bytes > size:
        raise DeviceError(
            f"the exchange memory lies outside {settings.machine}'s external memory "
            f"0x{origin:08x}..0x{origin + size:08x}",
            where=f"target {name}, key memories.exchange",
            hint=f"let it begin at 0x{origin:08x}",
        )
    return size, offset
