"""A whole board in QEMU that answers over its UART, at one end of a stream."""

from __future__ import annotations

import select
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeprune.devices.qemu_device import find_qemu
from edgeprune.errors import DeviceError, PortError
from edgeprune.targets import Target

_READ_BYTES = 65_536
# QEMU looks at a line that the board was not ready to hear only when something else happens: an
# empty line for its monitor does.
_NUDGE_SECONDS = 0.002


class QemuStream:
    """A `Stream` to the UART of a running board.

    Args:
        line: Our end of the UART.
        board: The running QEMU, whose monitor is its standard input.
        machine: Name of the board.
    """

    def __init__(self, line: socket.socket, board: subprocess.Popen[bytes], machine: str) -> None:
        self._machine = machine
        self._line = line
        self._board = board

    def write(self, content: bytes) -> None:
        """Send all bytes.

        Raises:
            PortError: QEMU has ended.
        """
        try:
            self._line.sendall(content)
            self._nudge()
        except OSError as error:
            raise self._ended() from error

    def read(self, timeout_seconds: float) -> bytes:
        """Return what has come, waiting for at least one byte; nothing after the time limit.

        Raises:
            PortError: QEMU has ended.
        """
        try:
            content = self._wait(timeout_seconds)
        except OSError as error:
            raise self._ended() from error
        if content is None:
            raise self._ended()
        return content

    def _wait(self, timeout_seconds: float) -> bytes | None:
        """Return what has come, nothing after the time limit; None where the line has ended."""
        waited = 0.0
        while waited <= timeout_seconds:
            step = min(_NUDGE_SECONDS, timeout_seconds - waited)
            if select.select([self._line], [], [], step)[0]:
                return self._line.recv(_READ_BYTES) or None
            if step < _NUDGE_SECONDS:
                break
            waited += step
            self._nudge()
        return b""

    def _nudge(self) -> None:
        monitor = self._board.stdin
        if monitor is not None:
            monitor.write(b"\n")
            monitor.flush()

    def _ended(self) -> PortError:
        return PortError(
            "QEMU ended",
            where=f"QEMU's {self._machine}",
            hint="run the same command again: what was answered is kept",
        )


@contextmanager
def qemu_stream(elf: Path, target: Target) -> Iterator[QemuStream]:
    """Start a board with an image of the program "serial"; stop it afterwards.

    Raises:
        DeviceError: QEMU has no such board.
        MissingToolError: QEMU is not installed.
    """
    if target.qemu is None:
        raise DeviceError(
            f"QEMU has no board for {target.title}",
            where=f"target {target.name}",
            hint="take --device emulator, or a board of your own",
        )
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [str(find_qemu()), "-M", target.qemu.machine, "-kernel", str(elf)]
        command += ["-display", "none", "-monitor", "stdio", "-net", "none"]
        command += ["-chardev", f"socket,id=uart,fd={theirs.fileno()}", "-serial", "chardev:uart"]
        board = subprocess.Popen(
            command,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        theirs.close()
        try:
            yield QemuStream(ours, board, target.qemu.machine)
        finally:
            board.kill()
            board.wait()
