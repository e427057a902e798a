"""A board that runs Linux, reached by the machine's own `ssh`: keys, names and ports are its."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edgeprune.devices.qemu_user import exchange_with
from edgeprune.errors import ConfigurationError, DeviceError, MissingToolError

if TYPE_CHECKING:
    from edgeprune.targets import Target

SCHEME = "ssh://"
_CONNECT_SECONDS = 10
_COPY_SECONDS = 120.0
# ssh's own exit code where it could not reach the other side.
_UNREACHED = 255
_OPTIONS = ("-o", "BatchMode=yes", "-o", f"ConnectTimeout={_CONNECT_SECONDS}")
_NAME = "edgeprune-classify"


class SshDevice:
    """A `Device`: the command is copied to the board once and run there for every block.

    Args:
        elf: The command of Arm Linux.
        target: What it was built for.
        address: "ssh://user@host" or "ssh://user@host:port"; the user may be left out.

    Raises:
        ConfigurationError: The address is none, or the target is no Linux.
        MissingToolError: ssh is not installed.
        DeviceError: The board cannot be reached, or takes no file.

    Attributes:
        machine: What the board says of itself: `uname -srm`.
        folder: Where the command lies on the board.
    """

    def __init__(self, elf: Path, target: Target, address: str) -> None:
        if not target.is_linux:
            raise ConfigurationError(
                f"the target {target.name} runs no Linux that ssh could reach",
                where=f"--device {address}",
                hint="name its serial port, such as /dev/ttyACM0",
            )
        self._where = address
        self._target = target.name
        self._ssh = _command(address)
        answer = self._run(
            f'umask 077; folder=$(mktemp -d) && file="$folder/{_NAME}" && '
            '{ cat > "$file" && chmod 700 "$file" || { rm -rf "$folder"; exit 1; }; } && '
            'echo "$folder" && uname -srm',
            elf.read_bytes(),
        )
        found = answer.decode("utf-8", "replace").splitlines()
        if len(found) != 2:
            raise DeviceError(
                f"the board answered what was not asked: {' '.join(found)[:200]}",
                where=address,
                hint="a login script that prints something spoils the connection: silence it",
            )
        self.folder, self.machine = found

    def execute(
        self, exchange: bytes, read_bytes: int, timeout_seconds: float
    ) -> tuple[int, bytes]:
        """See `Device.execute`."""
        program = shlex.quote(f"{self.folder}/{_NAME}")
        # ssh joins its words to one line for the board's shell.
        return exchange_with(
            (*self._ssh, program),
            exchange,
            read_bytes,
            timeout_seconds,
            self._where,
            f"the command on {self.machine}",
            f"it was built for {self._target}: if the board is another, build for it; else its "
            "folder for temporary files may forbid programs: set TMPDIR there to one that does not",
        )

    def put(self, name: str, content: bytes) -> None:
        """Write a file beside the command, in a folder that `close` removes.

        Raises:
            DeviceError: The board cannot be reached, or takes no file.
        """
        self._run(f"cat > {shlex.quote(f'{self.folder}/{name}')}", content)

    def ask(self, line: str, timeout_seconds: float) -> bytes:
        """Run a line in the board's shell and return what it wrote to its output.

        Raises:
            DeviceError: The board cannot be reached, the line failed, or it took too long.
        """
        return self._run(line, timeout_seconds=timeout_seconds)

    def close(self) -> None:
        """Remove the command and all files beside it from the board."""
        self._run(f"rm -rf {shlex.quote(self.folder)}")

    def __enter__(self) -> SshDevice:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        elif not issubclass(kind, DeviceError):
            # The board is still there; what went wrong matters more than its folder.
            with suppress(DeviceError):
                self.close()

    def _run(
        self, line: str, content: bytes = b"", timeout_seconds: float = _COPY_SECONDS
    ) -> bytes:
        try:
            done = subprocess.run(
                (*self._ssh, line),
                input=content,
                capture_output=True,
                timeout=timeout_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise DeviceError(
                f"the board did not answer within {timeout_seconds:g} s",
                where=self._where,
                hint="look at its network, then run the same command again",
            ) from error
        if done.returncode:
            said = " ".join(done.stderr.decode("utf-8", "replace").split())[-300:]
            what = "cannot be reached" if done.returncode == _UNREACHED else "refused the command"
            raise DeviceError(
                f"the board {what}: {said or f'code {done.returncode}'}",
                where=self._where,
                hint=f"try it alone: {shlex.join(self._ssh)} uname -a (a key without a "
                "password question is needed)",
            )
        return done.stdout


def _command(address: str) -> tuple[str, ...]:
    """Return how ssh is started for an address."""
    program = shutil.which("ssh")
    if program is None:
        raise MissingToolError(
            "ssh is not installed", where="PATH", hint="sudo apt-get install openssh-client"
        )
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    user = parts.username if host else None
    # A name that begins with a dash would be an option of ssh's.
    if not host or host.startswith("-") or (user or "").startswith("-") or parts.path.strip("/"):
        raise ConfigurationError(
            f"'{address}' is no address of a board",
            where="--device",
            hint="write ssh://user@host or ssh://user@host:port",
        )
    place = f"{user}@{host}" if user else host
    return (program, *_OPTIONS, *(("-p", str(port)) if port else ()), "--", place)
