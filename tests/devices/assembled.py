"""Short sequences of assembly, as the decoder sees them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from elftools.elf.elffile import ELFFile

from edgeprune.devices.cycles.decode import Decoder, Instruction
from edgeprune.targets import load_target


def assemble(core: str, sequences: Mapping[str, str]) -> dict[str, tuple[Instruction, ...]]:
    """Return the instructions of every sequence, each at an address that is a multiple of 32.

    Args:
        core: Name of the core's target.
        sequences: Assembly by name; the instructions of a line are parted by ";".
    """
    toolchain = load_target(core).toolchain
    assert toolchain is not None
    lines = [".syntax unified", ".thumb", ".text"]
    for number, text in enumerate(sequences.values()):
        lines += [".balign 32", f"s{number}:", *text.split(";"), f"e{number}: nop"]
    with tempfile.TemporaryDirectory() as name:
        source, elf = Path(name) / "a.S", Path(name) / "a.o"
        source.write_text("\n".join(lines) + "\n")
        command = [sys.executable, "-m", "ziglang", "cc", *toolchain.zig, "-c", "-o", str(elf)]
        subprocess.run([*command, str(source)], check=True, capture_output=True, text=True)
        with elf.open("rb") as stream:
            file = ELFFile(stream)
            code = file.get_section_by_name(".text").data()
            table = file.get_section_by_name(".symtab")
            places = {symbol.name: int(symbol["st_value"]) & ~1 for symbol in table.iter_symbols()}
    decoder = Decoder()
    found = {}
    for number, text in enumerate(sequences):
        start, end = places[f"s{number}"], places[f"e{number}"]
        found[text] = decoder.decode(0x1000_0000 + start, code[start:end])
    return found
