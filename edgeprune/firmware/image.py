"""Compiles and links an image for a target, and measures what it takes."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.elffile import ELFFile

from edgeprune.errors import CompilerError, ConfigurationError, TargetTooSmallError
from edgeprune.files import disk_errors, sha256_file, write_bytes
from edgeprune.firmware.footprint import check_fit, predict_footprint
from edgeprune.firmware.linux import COMMAND, build_command, copy_products
from edgeprune.firmware.programs import PROGRAMS, BoardFiles
from edgeprune.firmware.sources import FirmwareSources
from edgeprune.firmware.stack import Function, stack_bound
from edgeprune.firmware.symbols import SymbolSize
from edgeprune.firmware.toolchains import TOOLCHAINS, Compiler
from edgeprune.firmware.writer import environment
from edgeprune.resources import resource_folder
from edgeprune.targets import Target

# The Thumb instruction nop.
_NOP = b"\x00\xbf"
# An interrupt may come at the deepest point: its frame with FPU registers and alignment.
INTERRUPT_FRAME_BYTES = 112


@dataclass(frozen=True)
class Image:
    """A linked image; on Linux the command, of which the sizes count the library alone.

    Attributes:
        elf: The ELF file.
        target: What it runs on.
        compiler: Name and version of the compiler.
        flash_bytes: Code, constants and initial values, the program included.
        ram_bytes: Data, bss and stack; the exchange block is not counted.
        stack_bytes: Reserved stack: the static bound of the deepest call chain and one interrupt;
            0 on Linux, which reserves none.
        symbols: What every function and object takes, largest first.
        sha256: Of the ELF file.
    """

    elf: Path
    target: Target
    compiler: str
    flash_bytes: int
    ram_bytes: int
    stack_bytes: int
    symbols: tuple[SymbolSize, ...]
    sha256: str


def compile_image(
    sources: FirmwareSources,
    target: Target,
    elf: Path,
    *,
    toolchain: str = "zig",
    program: str = "exchange",
    products: Path | None = None,
) -> Image:
    """Compile the sources with the target's board files and link them.

    The bytes of the ELF file depend on the sources, the target and the compiler only.

    Args:
        sources: A generated folder.
        target: What to build for.
        elf: The file to write.
        toolchain: "zig" or "gnu".
        program: What the image does with the model: a name of `PROGRAMS`.
        products: For Arm Linux: a folder for the static library, its headers and the command.

    Raises:
        TargetTooSmallError: The image is larger than the target's flash or RAM.
        MissingToolError: The compiler is not on this machine.
        CompilerError: It refuses the sources.
        ConfigurationError: The target is the host, or lacks what the program needs.
        UnknownNameError: There is no such toolchain or program.
        DiskError: The file cannot be written.
    """
    if target.memories is None or target.toolchain is None:
        raise ConfigurationError(
            f"there is no image for target '{target.name}'", hint="choose a Cortex-M target"
        )
    board = PROGRAMS.get(program)(target)
    if target.is_linux:
        return _command(sources, target, board, elf, toolchain, products)
    compiler = TOOLCHAINS.get(toolchain)(target)
    with disk_errors(elf), tempfile.TemporaryDirectory(prefix="edgeprune-") as name:
        folder = Path(name)
        footprint = predict_footprint(
            sources.program, target, sources.front_end, monitor=sources.monitor is not None
        )
        check_fit(footprint, target)
        objects = _compile(compiler, sources, target, board, folder)
        # The stack's size follows from the linked code: link, measure, link again.
        _link(compiler, target, objects, 0, folder)
        stack = -(-(_stack_bound(folder / "image.elf") + INTERRUPT_FRAME_BYTES) // 8) * 8
        _link(compiler, target, objects, stack, folder)
        write_bytes(elf, (folder / "image.elf").read_bytes())
    flash, ram = _section_bytes(elf)
    return Image(
        elf,
        target,
        compiler.version,
        flash,
        ram,
        stack,
        _symbols(elf),
        sha256_file(elf),
    )


def _command(
    sources: FirmwareSources,
    target: Target,
    board: BoardFiles,
    elf: Path,
    toolchain: str,
    products: Path | None,
) -> Image:
    with disk_errors(elf), tempfile.TemporaryDirectory(prefix="edgeprune-") as name:
        work = Path(name)
        size, compiler = build_command(sources, target, board, toolchain, work)
        elf.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(work / COMMAND, elf)
        if products is not None:
            copy_products(work, products)
    return Image(
        elf,
        target,
        compiler,
        size.constant_bytes,
        size.data_bytes,
        0,
        size.symbols,
        sha256_file(elf),
    )


def _compile(
    compiler: Compiler,
    sources: FirmwareSources,
    target: Target,
    board: BoardFiles,
    folder: Path,
) -> list[str]:
    """Copy everything into `folder` and compile it there; return the object files."""
    for name in sources.files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(sources.folder / name, folder / name)
    for name in (*board.c_files, *board.headers):
        shutil.copyfile(resource_folder("firmware_export") / "boards" / name, folder / name)
    include = ("-I.", "-Iruntime")
    optimization = target.toolchain.optimization if target.toolchain else ()
    twin = ("-DEDGEPRUNE_TWIN",) if board.twin else ()
    board_flags = ("-Os", *board.defines, *twin, *include)
    library = sources.c_files if board.twin else sources.target_c_files
    work = [(name, (*optimization, *twin, *include)) for name in library]
    work += [(name, board_flags) for name in board.c_files]
    objects = []
    for source, flags in work:
        objects.append(source.replace("/", "_").removesuffix(".c") + ".o")
        compiler.compile(source, Path(objects[-1]), flags, folder)
    for source in sources.assembly_files:
        objects.append(source.removesuffix(".S") + ".o")
        compiler.assemble(source, Path(objects[-1]), folder)
    return objects


def _link(
    compiler: Compiler, target: Target, objects: list[str], stack_bytes: int, folder: Path
) -> None:
    script = environment("boards").get_template("image.ld.j2")
    (folder / "image.ld").write_text(script.render(target=target, stack_bytes=stack_bytes))
    try:
        compiler.link(objects, "image.ld", "image.elf", folder)
    except CompilerError as error:
        # The prediction is an estimate; the linker's refusal is the fact.
        if "overflow" in error.what or "will not fit" in error.what:
            raise TargetTooSmallError(error.what, where=f"target {target.name}") from error
        raise


def _section_bytes(elf: Path) -> tuple[int, int]:
    """Return (flash, RAM) that the sections of an image take."""
    flash = ram = 0
    with elf.open("rb") as stream:
        for section in ELFFile(stream).iter_sections():
            if not section["sh_flags"] & 2:  # not allocated on the device
                continue
            size = section["sh_size"]
            if section.name == ".text":
                flash += size
            elif section.name == ".data":
                flash, ram = flash + size, ram + size
            elif section.name in (".bss", ".stack"):
                ram += size
            elif size:
                raise CompilerError(f"the image has an unknown section '{section.name}'")
    return flash, ram


def _symbols(elf: Path) -> tuple[SymbolSize, ...]:
    with elf.open("rb") as stream:
        file = ELFFile(stream)
        table = file.get_section_by_name(".symtab")
        found = []
        for symbol in table.iter_symbols() if table else ():
            size, index = symbol["st_size"], symbol["st_shndx"]
            if size and isinstance(index, int):
                section = file.get_section(index).name
                found.append(SymbolSize(symbol.name, section, size))
    return tuple(sorted(found, key=lambda item: (-item.bytes, item.name)))


def _stack_bound(elf: Path) -> int:
    functions = _functions(elf)
    entry = next(item for item in functions.values() if item.name == "Reset_Handler")
    return stack_bound(functions, entry.address)


def _functions(elf: Path) -> Mapping[int, Function]:
    with elf.open("rb") as stream:
        file = ELFFile(stream)
        table = file.get_section_by_name(".symtab")
        functions = {}
        symbols = list(table.iter_symbols()) if table else []
        starts = sorted(
            (symbol["st_value"], symbol.name[:2] == "$d")
            for symbol in symbols
            if symbol.name[:2] in ("$d", "$t")
        )
        for symbol in symbols:
            if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_size"]:
                section = file.get_section(symbol["st_shndx"])
                address = symbol["st_value"] & ~1
                start = address - section["sh_addr"]
                code = section.data()[start : start + symbol["st_size"]]
                functions[address] = Function(
                    symbol.name, address, _without_data(code, address, starts)
                )
    return functions


def _without_data(code: bytes, address: int, starts: Sequence[tuple[int, bool]]) -> bytes:
    """Return the code with its constants turned into instructions that do nothing.

    Args:
        code: A function.
        address: Where it begins.
        starts: Ascending (address, whether data begins there) of the mapping symbols.
    """
    kept = bytearray(code)
    for (first, is_data), (last, _) in itertools.pairwise([*starts, (address + len(code), False)]):
        begin, end = max(first - address, 0), min(last - address, len(code))
        if is_data and begin < end:
            kept[begin:end] = (_NOP * len(code))[: end - begin]
    return bytes(kept)
