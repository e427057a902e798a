"""Arm Linux: the library as `libedgeprune.a` with its headers, and a command that holds it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from elftools.elf.elffile import ELFFile

from edgeprune import __version__
from edgeprune.errors import ConfigurationError
from edgeprune.files import disk_errors, write_bytes, write_text
from edgeprune.firmware.programs import BoardFiles
from edgeprune.firmware.sources import FirmwareSources, Golden, InputRow, random_golden
from edgeprune.firmware.symbols import SymbolSize
from edgeprune.firmware.toolchains import WARNINGS, run, zig_command
from edgeprune.firmware.writer import comment_safe, environment, float_text, origin
from edgeprune.resources import resource_folder
from edgeprune.targets import Target

LIBRARY = "libedgeprune.a"
COMMAND = "edgeprune-classify"
WINDOWS, ANSWERS = "windows.bin", "windows.txt"
HEADERS = ("edgeprune_model.h", "edgeprune_code.h")
_COMPILER = "zig"
# A compiler's first program for a Linux makes its C library too: a minute or two, or far more on a
# machine that is busy.
_FIRST_LINK_S = 3600.0
_FLAGS = (
    *WARNINGS,
    "-ffunction-sections",
    "-fdata-sections",
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
    "-fno-sanitize=all",
    "-fPIC",
    "-g0",
)
_INCLUDE = ("-I.", "-Iruntime")
_WRITE, _ALLOCATED = 1, 2


@dataclass(frozen=True)
class LinuxSize:
    """What the library takes of a program that links it; libc and the command are not counted.

    Attributes:
        constant_bytes: Code and constants.
        data_bytes: Static memory.
        symbols: Every function and object, largest first.
    """

    constant_bytes: int
    data_bytes: int
    symbols: tuple[SymbolSize, ...]


def build_command(
    sources: FirmwareSources,
    target: Target,
    board: BoardFiles,
    toolchain: str,
    work: Path,
) -> tuple[LinuxSize, str]:
    """Compile the library and link the command, both in `work`.

    The command is static: it needs nothing of the board's Linux but the kernel.

    Args:
        sources: A generated folder.
        target: The Arm Linux target.
        board: The command's own files.
        toolchain: "zig".
        work: A folder for all files; LIBRARY, HEADERS and COMMAND are there afterwards.

    Returns:
        What the library takes, and the name and version of the compiler.

    Raises:
        ConfigurationError: The toolchain is another.
        MissingToolError: The package ziglang is not installed.
        CompilerError: The compiler refuses the sources.
    """
    check_toolchain(target, toolchain)
    assert target.toolchain is not None
    zig = zig_command()
    for name in sources.files:
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(sources.folder / name, work / name)
    for name in (*board.c_files, *board.headers):
        shutil.copyfile(resource_folder("firmware_export") / "boards" / name, work / name)
    machine = target.toolchain.zig
    objects = []
    for source in sources.target_c_files:
        objects.append(source.replace("/", "_").removesuffix(".c") + ".o")
        flags = (*machine, *_FLAGS, *target.toolchain.optimization, *_INCLUDE)
        run((*zig, *flags, "-c", source, "-o", objects[-1]), work)
    run((*zig[:-1], "ar", "rcsD", LIBRARY, *objects), work)
    flags = (*machine, *_FLAGS, "-Os", *board.defines, *_INCLUDE)
    link = (*board.c_files, LIBRARY, "-Wl,--gc-sections", "-s", "-o", COMMAND)
    run((*zig, *flags, *link), work, _FIRST_LINK_S)
    version = run((*zig[:-1], "version"), work).strip()
    return _size(work, objects), f"zig {version}"


def check_toolchain(target: Target, toolchain: str) -> None:
    """Refuse a toolchain that does not compile for Arm Linux.

    Raises:
        ConfigurationError: It is another than zig.
    """
    if toolchain != _COMPILER:
        raise ConfigurationError(
            f"'{toolchain}' compiles for microcontrollers, {target.name} runs Linux",
            where="firmware.toolchain",
            hint="leave --toolchain at zig, or compile the folder firmware/ with a compiler of "
            "yours: it has a CMakeLists.txt",
        )


def copy_products(work: Path, folder: Path) -> None:
    """Copy library, headers and command from where `build_command` left them.

    Raises:
        DiskError: A file cannot be written.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name in (LIBRARY, *HEADERS, COMMAND):
            shutil.copy(work / name, folder / name)


def write_guide(sources: FirmwareSources, golden: Golden, folder: Path) -> None:
    """Write what goes with the products: README.md, some windows, and what is said of them.

    Args:
        sources: The generated folder.
        golden: The windows; random ones where it holds none.
        folder: Where `copy_products` put the products.

    Raises:
        DiskError: A file cannot be written.
    """
    network, labels, target = sources.network, sources.labels, sources.target
    inputs = (golden if len(golden.inputs[0]) else random_golden(network)).inputs
    flat = np.concatenate([values.reshape(len(values), -1) for values in inputs], axis=1)
    lines = [
        " ".join((comment_safe(labels.class_names[int(row.argmax())]), *map(str, row.tolist())))
        for row in network.run(*inputs)
    ]
    left_out = {"the front end": sources.front_end, "the input monitor": sources.monitor}
    context = {
        "title": comment_safe(labels.title),
        "version": __version__,
        "origin": origin(labels),
        "target": target,
        "network_hash": network.sha256,
        "sources": sources.folder.name,
        "command": COMMAND,
        "library": LIBRARY,
        "headers": HEADERS,
        "windows_file": WINDOWS,
        "answers_file": ANSWERS,
        "count": len(flat),
        "window_bytes": flat.shape[1],
        "inputs": tuple(
            InputRow(region, list(tensor.shape), float_text(tensor.scale), tensor.zero_point)
            for region, tensor in zip(("signal", "rhythm"), network.input_tensors, strict=False)
        ),
        "left_out": [name for name, part in left_out.items() if part is not None],
    }
    guide = environment("templates").get_template("linux.md.j2").render(context)
    write_text(folder / "README.md", guide)
    write_bytes(folder / WINDOWS, flat.tobytes())
    write_text(folder / ANSWERS, "\n".join(lines) + "\n")


def _size(work: Path, objects: list[str]) -> LinuxSize:
    constant = data = 0
    symbols = []
    for name in objects:
        with (work / name).open("rb") as stream:
            file = ELFFile(stream)
            sections = list(file.iter_sections())
            for section in sections:
                if section["sh_flags"] & _ALLOCATED:
                    if section["sh_flags"] & _WRITE:
                        data += section["sh_size"]
                    else:
                        constant += section["sh_size"]
            table = file.get_section_by_name(".symtab")
            for symbol in table.iter_symbols() if table else ():
                index = symbol["st_shndx"]
                if symbol["st_size"] and isinstance(index, int):
                    kind = _kind(sections[index])
                    symbols.append(SymbolSize(symbol.name, kind, symbol["st_size"]))
    return LinuxSize(
        constant, data, tuple(sorted(symbols, key=lambda each: (-each.bytes, each.name)))
    )


def _kind(section: Mapping[str, Any]) -> str:
    """Return the section of an image that one of an object is counted in."""
    if not section["sh_flags"] & _WRITE:
        return ".text"
    return ".bss" if section["sh_type"] == "SHT_NOBITS" else ".data"
