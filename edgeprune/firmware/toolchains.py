"""The two C compilers: zig (a Python package, the default) and GNU Arm."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from edgeprune.errors import CompilerError, ConfigurationError, DiskError, MissingToolError
from edgeprune.registry import Registry
from edgeprune.targets import Target, Toolchain

# What the generated C and the kernels must survive without a warning, whoever compiles them.
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror")
_ERROR_LINES = 12
_TIME_LIMIT_S = 600


@dataclass(frozen=True)
class Compiler:
    """One C compiler for a device.

    Attributes:
        name: "zig" or "gnu".
        command: How it is started.
        machine: Flags that choose the core.
        compile_flags: Flags for compiling that only this compiler needs.
        link_flags: Flags for linking that only this compiler needs.
        version: What it says of itself.
    """

    name: str
    command: tuple[str, ...]
    machine: tuple[str, ...]
    compile_flags: tuple[str, ...]
    link_flags: tuple[str, ...]
    version: str

    common_flags: ClassVar[tuple[str, ...]] = (
        *WARNINGS,
        "-ffreestanding",
        "-ffunction-sections",
        "-fdata-sections",
        "-fno-unwind-tables",
        "-fno-asynchronous-unwind-tables",
        "-fno-common",
        "-fomit-frame-pointer",
        "-g0",
    )

    common_link_flags: ClassVar[tuple[str, ...]] = (
        "-Wl,--gc-sections",
        "-Wl,--build-id=none",
        "-Wl,-z,max-page-size=256",
        "-Wl,-e,Reset_Handler",
    )

    def compile(self, source: str, target: Path, flags: Sequence[str], folder: Path) -> None:
        """Compile one file; `source` is relative to `folder`, so that no path enters the object.

        Raises:
            CompilerError: The compiler refuses it.
        """
        arguments = (*self.machine, *self.common_flags, *self.compile_flags, *flags)
        run((*self.command, *arguments, "-c", source, "-o", str(target)), folder)

    def assemble(self, source: str, target: Path, folder: Path) -> None:
        """Assemble one file after the C preprocessor has seen it.

        Raises:
            CompilerError: The assembler refuses it.
        """
        run((*self.command, *self.machine, "-g0", "-c", source, "-o", str(target)), folder)

    def link(self, objects: Sequence[str], script: str, target: str, folder: Path) -> None:
        """Link objects into an ELF file; all names are relative to `folder`.

        Raises:
            CompilerError: The linker refuses them.
        """
        flags = ("-T", script, *self.common_link_flags, *self.link_flags)
        run((*self.command, *self.machine, *objects, *flags, "-o", target), folder)


def zig(target: Target) -> Compiler:
    """Return zig's C compiler for a target.

    Raises:
        MissingToolError: The package ziglang is not installed.
        ConfigurationError: The target has no toolchain.
    """
    flags = _toolchain(target).zig
    command = zig_command()
    # Cores without a divider need zig's run-time library, which zig compiles once a machine.
    library = () if target.isa == "armv6-m" else ("-nostdlib",)
    version = run((*command[:-1], "version"), Path.cwd()).strip()
    return Compiler(
        "zig",
        command,
        flags,
        # zig adds checks of its own to debug builds; ours run on the host.
        ("-fno-sanitize=all", "-DEDGEPRUNE_OWN_STRING"),
        library,
        f"zig {version}",
    )


def gnu(target: Target) -> Compiler:
    """Return GNU Arm's C compiler for a target.

    Raises:
        MissingToolError: arm-none-eabi-gcc is not on the path.
        ConfigurationError: The target has no toolchain.
    """
    flags = _toolchain(target).gnu
    if not flags:
        raise ConfigurationError(
            f"arm-none-eabi-gcc compiles for microcontrollers, not for {target.name}",
            where="firmware.toolchain",
            hint="leave --toolchain at zig",
        )
    program = shutil.which("arm-none-eabi-gcc")
    if program is None:
        raise MissingToolError(
            "arm-none-eabi-gcc is not on this machine",
            where="PATH",
            hint="apt-get install gcc-arm-none-eabi, or leave --toolchain at zig",
        )
    version = run((program, "-dumpfullversion"), Path.cwd()).strip()
    return Compiler(
        "gnu",
        (program,),
        flags,
        ("-DEDGEPRUNE_OWN_STRING", "-fno-tree-loop-distribute-patterns"),
        ("-nostdlib", "-lgcc"),
        f"arm-none-eabi-gcc {version}",
    )


TOOLCHAINS = Registry("toolchain", zig=zig, gnu=gnu)


def zig_command() -> tuple[str, ...]:
    """Return how `zig cc` is started.

    Raises:
        MissingToolError: The package ziglang is not installed.
    """
    if importlib.util.find_spec("ziglang") is None:
        raise MissingToolError(
            "the C compiler of the package ziglang is not on this machine",
            where=sys.prefix,
            hint="pip install ziglang==0.17.0, or use --toolchain gnu",
        )
    return (sys.executable, "-m", "ziglang", "cc")


def host_compiler() -> str:
    """Return the name of a compiler for this machine: "zig", or "gcc" where zig is absent.

    Raises:
        MissingToolError: Neither is on this machine.
    """
    if importlib.util.find_spec("ziglang") is None and shutil.which("gcc") is not None:
        return "gcc"
    zig_command()
    return "zig"


def host_command(name: str) -> tuple[str, ...]:
    """Return how the compiler for this machine is started: "zig" or "gcc".

    Raises:
        MissingToolError: It is not on this machine.
        ConfigurationError: There is no compiler of that name.
    """
    if name == "zig":
        return zig_command()
    if name != "gcc":
        raise ConfigurationError(f"there is no host compiler '{name}'", hint="use zig or gcc")
    program = shutil.which("gcc")
    if program is None:
        raise MissingToolError(
            "gcc is not on this machine", where="PATH", hint="apt-get install gcc"
        )
    return (program,)


def run(command: Sequence[str], folder: Path, limit_s: float = _TIME_LIMIT_S) -> str:
    """Run a compiler in `folder` and return what it printed.

    Raises:
        CompilerError: It failed; the message holds the first lines of its complaint.
        DiskError: It found no space.
    """
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=_environment(),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CompilerError(
            f"the compiler did not finish within {limit_s:g} s",
            where=command[-1],
            hint="run the same command again when the machine is less busy: what is compiled of "
            "the compiler's own libraries is kept",
        ) from error
    if done.returncode != 0:
        if "No space left on device" in done.stderr or "NoSpaceLeft" in done.stderr:
            raise DiskError("the disk is full", where=str(folder), hint="free some space")
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()[:_ERROR_LINES]
        raise CompilerError(
            "the C compiler refused the sources:\n    " + "\n    ".join(lines),
            where=str(folder),
            hint="this is a defect of edgeprune or of the compiler, not of the network",
        )
    return done.stdout


def _environment() -> Mapping[str, str]:
    """Return the environment with one cache for zig, whatever the current folder."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    cache = home / "edgeprune" / "zig"
    if not os.access(next(each for each in (cache, *cache.parents) if each.exists()), os.W_OK):
        cache = Path(tempfile.gettempdir()) / "edgeprune-zig"
    defaults = {"ZIG_GLOBAL_CACHE_DIR": str(cache), "ZIG_LOCAL_CACHE_DIR": str(cache)}
    return {**defaults, **os.environ, "SOURCE_DATE_EPOCH": "0", "LC_ALL": "C"}


def _toolchain(target: Target) -> Toolchain:
    if target.toolchain is None:
        raise ConfigurationError(
            f"target '{target.name}' has no toolchain for a device",
            hint="choose one of the Cortex-M targets",
        )
    return target.toolchain
