"""Connections to devices: what pyserial opens, a port of this machine or a socket."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from edgeprune.errors import MissingToolError, PortError

DEFAULT_BAUD = 115_200
_WRITE_SECONDS = 10.0
_EXAMPLES = "name one as /dev/ttyACM0 or socket://host:port"
_NO_PORT = "it is no serial port"
_PORTS = 8


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
        _check_address(address)
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
            reason = _reason(error)
            raise PortError(
                f"the port cannot be opened: {reason}", where=address, hint=_hint(address, reason)
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


def _check_address(address: str) -> None:
    """Refuse an address that pyserial would not speak of in words.

    Raises:
        PortError: It is empty, or names no port of a socket.
    """
    if not address.strip():
        raise PortError("no device is named", where="--device", hint=_EXAMPLES)
    if address.startswith("socket://"):
        try:
            parts = urlsplit(address)
            whole = bool(parts.hostname) and parts.port is not None
        except ValueError:
            whole = False
        if not whole:
            raise PortError("the address names no host and port", where=address, hint=_EXAMPLES)


def _reason(error: BaseException) -> str:
    """Return why, without the names that the address repeats."""
    cause = error.__context__ if error.__context__ is not None else error
    number = getattr(error, "errno", None) or getattr(cause, "errno", None)
    # An error of termios holds its number without that name.
    number = number or next((each for each in cause.args if isinstance(each, int)), None)
    if number == errno.ENOTTY:
        return _NO_PORT
    if number is not None and number > 0:
        return os.strerror(number).lower()
    return str(cause if number is not None else error).rsplit("] ", maxsplit=1)[-1].lower()


def _hint(address: str, reason: str) -> str:
    if address.startswith("socket://"):
        return "start what listens there, and name it as socket://host:port"
    if "://" in address:
        return _EXAMPLES
    path = Path(address)
    if path.exists() and (reason == _NO_PORT or not stat.S_ISCHR(path.stat().st_mode)):
        return _EXAMPLES
    if path.exists():
        return (
            "close what else has it open; on Linux join the group that owns the port: "
            f"sudo usermod -aG {_group(path)} $USER, then log in again"
        )
    return f"plug the device in and name its port; {_ports()}"


def _group(path: Path) -> str:
    try:
        return path.group()
    except (KeyError, NotImplementedError, OSError):
        return "dialout"


def _ports() -> str:
    """Say which serial ports this machine has now."""
    from serial.tools.list_ports import comports

    named = [
        each.device + (f" ({each.description})" if each.description not in ("", "n/a") else "")
        for each in sorted(comports())[:_PORTS]
    ]
    return f"ports that are there: {', '.join(named) or 'none'}"
