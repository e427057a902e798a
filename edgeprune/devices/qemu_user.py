"""Runs the command of Arm Linux under QEMU's user mode: its instructions, no board around them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edgeprune.errors import DeviceError, MissingToolError
from edgeprune.files import disk_errors
from edgeprune.targets import Target

INSTALL_LINE = "sudo apt-get install qemu-user-static (or qemu-user)"
# What a program is killed by, as the shells say it.
_SIGNAL_BASE = 128


def find_qemu_user(target: Target) -> Path:
    """Return the path of the QEMU that runs programs of the target's processor.

    Raises:
        DeviceError: The target names none.
        MissingToolError: It is not installed.
    """
    if target.qemu_user is None:
        raise DeviceError(
            f"the target {target.name} names no QEMU that runs its programs",
            where=f"target {target.name}",
            hint="add a table [qemu_user] with 'program' and 'cpu' to its TOML file",
        )
    name = target.qemu_user.program
    found = shutil.which(name) or shutil.which(f"{name}-static")
    if found is None:
        raise MissingToolError(f"{name} is not installed", where="PATH", hint=INSTALL_LINE)
    return Path(found)


class QemuUserDevice:
    """A `Device`: the command under QEMU, one process a run.

    Args:
        elf: The command.
        target: What it was built for.

    Raises:
        DeviceError: The target is none of Arm Linux.
        MissingToolError: QEMU is not installed.
    """

    def __init__(self, elf: Path, target: Target) -> None:
        program = find_qemu_user(target)
        assert target.qemu_user is not None
        self._command = (str(program), "-cpu", target.qemu_user.cpu)
        self._elf = elf.resolve()
        self._where = f"{elf.name} under {program.name}, {target.qemu_user.cpu}"

    def execute(
        self, exchange: bytes, read_bytes: int, timeout_seconds: float
    ) -> tuple[int, bytes]:
        """See `Device.execute`."""
        with _executable(self._elf) as program:
            return exchange_with(
                (*self._command, str(program)), exchange, read_bytes, timeout_seconds, self._where
            )


@contextmanager
def _executable(elf: Path) -> Iterator[Path]:
    """Return a program that QEMU starts: archives and downloads lose the mode of a file."""
    if os.access(elf, os.X_OK):
        yield elf
        return
    with tempfile.TemporaryDirectory(prefix="edgeprune-") as folder, disk_errors(Path(folder)):
        copy = Path(folder) / elf.name
        shutil.copyfile(elf, copy)
        copy.chmod(0o700)
        yield copy


def exchange_with(
    command: Sequence[str],
    exchange: bytes,
    read_bytes: int,
    timeout_seconds: float,
    where: str,
    lines_of: str = "",
    hint: str = "the command must be the one that was built for this processor: build again",
) -> tuple[int, bytes]:
    """Hand a block to a command's standard input and take it back from its output.

    Args:
        command: How the command of Arm Linux is started; `--exchange` is added.
        exchange: The block.
        read_bytes: How much of it comes back.
        timeout_seconds: Wall clock limit.
        where: Names it in an error.
        lines_of: Beginning of the error's sentence where it gave less than was asked.
        hint: What to do where it gave less.

    Returns:
        The exit code and the block.

    Raises:
        DeviceError: It did not start, crashed, or did not finish.
    """
    try:
        done = subprocess.run(
            (*command, "--exchange", str(read_bytes)),
            input=exchange,
            capture_output=True,
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceError(
            f"the command did not finish within {timeout_seconds:g} s",
            where=where,
            hint="if the network is large, allow more time; else look for an endless loop",
        ) from error
    except OSError as error:
        raise DeviceError(
            f"the command cannot be started: {error.strerror}", where=where, hint="build again"
        ) from error
    if done.returncode < 0 or done.returncode > _SIGNAL_BASE or len(done.stdout) != read_bytes:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())[-300:]
        code = done.returncode
        raise DeviceError(
            f"{lines_of or 'the command'} ended with code {code} and gave {len(done.stdout):,} of "
            f"{read_bytes:,} bytes" + (f": {said}" if said else ""),
            where=where,
            hint=hint,
        )
    return done.returncode, done.stdout
