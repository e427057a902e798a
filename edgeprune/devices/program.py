"""A firmware image as an emulator sees it: its bytes in flash, its start, its functions."""

from __future__ import annotations

import struct
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from edgeprune.errors import DeviceError

_STACK_BOTTOM = "edgeprune_stack_bottom"


@dataclass(frozen=True)
class Segment:
    """Bytes of the image at their load address."""

    address: int
    content: bytes


@dataclass(frozen=True)
class Symbol:
    """A named address range; `size` is 0 where the linker gave none."""

    name: str
    address: int
    size: int


@dataclass(frozen=True)
class Program:
    """A linked image.

    Attributes:
        path: The ELF file.
        segments: What a programmer would write to flash.
        functions: All function symbols, by address, without the Thumb bit; one address may have
            several names.
        stack_top: The first word of the vector table.
        entry: The second word of the vector table, with its Thumb bit.
        stack_bottom: How far the stack may grow down; None where the image does not say.
    """

    path: Path
    segments: tuple[Segment, ...]
    functions: tuple[Symbol, ...]
    stack_top: int
    entry: int
    stack_bottom: int | None

    @cached_property
    def _addresses(self) -> list[int]:
        return [symbol.address for symbol in self.functions]

    def function_at(self, address: int) -> Symbol | None:
        """Return the function whose code holds `address`, or None."""
        index = bisect_right(self._addresses, address) - 1
        if index < 0:
            return None
        symbol = self.functions[index]
        inside = address < symbol.address + symbol.size if symbol.size else True
        return symbol if inside else None

    def describe(self, address: int) -> str:
        """Return `0x00001234 (edgeprune_conv1d+0x10)`, or the bare address outside all code."""
        symbol = self.function_at(address)
        if symbol is None:
            return f"0x{address:08x}"
        return f"0x{address:08x} ({symbol.name}+0x{address - symbol.address:x})"


def read_program(path: Path, code_origin: int) -> Program:
    """Read an ELF image.

    Args:
        path: The linked image.
        code_origin: Where the core finds its vector table after reset.

    Raises:
        DeviceError: The file is absent, is no 32-bit little-endian Arm ELF, or has no vector table
            at `code_origin`.
    """
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        with path.open("rb") as stream:
            elf = ELFFile(stream)
            if elf["e_machine"] != "EM_ARM" or elf.elfclass != 32 or not elf.little_endian:
                raise DeviceError(
                    "the image is not for a little-endian 32-bit Arm core",
                    where=str(path),
                    hint="compile the firmware for the target that you emulate",
                )
            segments = tuple(
                Segment(int(part["p_paddr"]), bytes(part.data()))
                for part in elf.iter_segments()
                if part["p_type"] == "PT_LOAD" and part["p_filesz"]
            )
            table = elf.get_section_by_name(".symtab")
            symbols = tuple(table.iter_symbols()) if table is not None else ()
    except OSError as error:
        raise DeviceError(
            f"the image cannot be read: {error.strerror}",
            where=str(path),
            hint="build the firmware first",
        ) from error
    except ELFError as error:
        raise DeviceError(
            f"the image is not an ELF file: {error}",
            where=str(path),
            hint="pass the linked .elf, not a .bin or .hex",
        ) from error
    for segment in segments:
        offset = code_origin - segment.address
        if 0 <= offset <= len(segment.content) - 8:
            stack_top, entry = struct.unpack_from("<II", segment.content, offset)
            break
    else:
        raise DeviceError(
            f"the image has no vector table at 0x{code_origin:08x}",
            where=str(path),
            hint="link it with the linker script of this target and emulator",
        )
    functions = sorted(
        (
            Symbol(str(symbol.name), int(symbol["st_value"]) & ~1, int(symbol["st_size"]))
            for symbol in symbols
            if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_shndx"] != "SHN_UNDEF"
        ),
        key=lambda symbol: symbol.address,
    )
    stack_bottom = next(
        (int(symbol["st_value"]) for symbol in symbols if symbol.name == _STACK_BOTTOM), None
    )
    return Program(path, segments, tuple(functions), stack_top, entry, stack_bottom)
