"""Connections to devices: what pyserial opens, a port of this machine or a socket."""

from __future__ import annotations

import stat
from pathlib import Path
from types import TracebackType
from typing import Any

from edgeprune.errors import MissingToolError, PortError

DEFAULT_BAUD = 115_200
_WRITE_SECONDS = 10.0


class PortStream:
    """A `Stream` over a serial port, a pseudo-terminal or a TCP socket.

    Args:
        address: "/dev/ttyACM0", "COM3", the path of a pseudo-terminal, or any URL of pyserial's:
            "socket://host:port".
        baud: Bits a second; a socket and a pseudo-terminal have none.

    Raises:
        MissingToolError: pyserial is not installed.
        PortError: The port is not there, is in use, or may not be opened.
    """

    def __init__(self, address: str, baud: int = DEFAULT_BAUD) -> None:
        try:
            import serial
        except ImportError as error:
            raise MissingToolError(
                "pyserial is not installed", where=address, hint="pip install pyserial==3.5"
            ) from error
        self.address = address
        # A socket of pyserial's raises this only where the other end has gone.
        self._gone = (serial.SerialException, OSError)
        try:
            self._port: Any = serial.serial_for_url(
                address, baudrate=baud, timeout=0, write_timeout=_WRITE_SECONDS
            )
        except (*self._gone, ValueError) as error:
            raise PortError(
                f"the port cannot be opened: {_reason(error)}", where=address, hint=_hint(address)
            ) from error

    def write(self, content: bytes) -> None:
        """Send all bytes.

        Raises:
            PortError: The device was unplugged, or takes nothing any more.
        """
        try:
            self._port.write(content)
        except self._gone as error:
            raise self._unplugged() from error

    def read(self, timeout_seconds: float) -> bytes:
        """Return what has come, waiting for at least one byte; nothing after the time limit.

        Raises:
            PortError: The device was unplugged.
        """
        try:
            self._port.timeout = max(timeout_seconds, 0.0)
            first: bytes = self._port.read(1)
            if not first:
                return b""
            self._port.timeout = 0
            return first + bytes(self._port.read(4096))
        except self._gone as error:
            raise self._unplugged() from error

    def close(self) -> None:
        """Give the port back."""
        self._port.close()

    def __enter__(self) -> PortStream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _unplugged(self) -> PortError:
        return PortError(
            "the device was unplugged",
            where=self.address,
            hint="plug it in and run the same command again: what it answered is kept",
        )


def _reason(error: BaseException) -> str:
    """Return why, without the names that the address repeats."""
    number = getattr(error, "errno", None)
    if number is not None:
        import os

        return os.strerror(number).lower()
    return str(error).rsplit(": ", maxsplit=1)[-1]


def _hint(address: str) -> str:
    if "://" in address:
        return "start what listens there, and name it as socket://host:port"
    path = Path(address)
    if path.exists() and not stat.S_ISCHR(path.stat().st_mode):
        return "this is no serial port; name one as /dev/ttyACM0 or socket://host:port"
    if path.exists():
        return "close what else has it open; on Linux join the group that owns the port"
    return "plug the device in and look up its port: python -m serial.tools.list_ports"
