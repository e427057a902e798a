"""What the assembler writes and counts, against zig's assembler and a disassembler."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import capstone
from elftools.elf.elffile import ELFFile

from edgeprune.firmware.kernels import Assembler
from edgeprune.targets import load_target


def machine_code(text: str, folder: Path) -> bytes:
    """Assemble with zig for Cortex-M4 and return the bytes of .text."""
    toolchain = load_target("cortex-m4").toolchain
    assert toolchain is not None
    (folder / "text.S").write_text(f".syntax unified\n.thumb\n.text\n{text}")
    command = [sys.executable, "-m", "ziglang", "cc", *toolchain.zig, "-c", "text.S"]
    subprocess.run([*command, "-o", "text.o"], cwd=folder, check=True)
    with (folder / "text.o").open("rb") as stream:
        return bytes(ELFFile(stream).get_section_by_name(".text").data())


def test_negative_constants_as_every_assembler_knows_them(tmp_path: Path) -> None:
    asm = Assembler("negative")
    asm.emit("cmp.w r3, #-128", "it lt", "movlt.w r3, #-128", "mov r4, #-1")
    asm.emit("ldr.w r0, [lr, #-4]", "strb.w r1, [r2, #-1]")
    disassembler = capstone.Cs(
        capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS
    )
    found = [
        f"{item.mnemonic.removesuffix('.w')} {item.op_str}"
        for item in disassembler.disasm(machine_code(asm.text, tmp_path), 0)
    ]
    assert found == [
        "cmn r3, #0x80",
        "it lt",
        "mvnlt r3, #0x7f",
        "mvn r4, #0",
        "ldr r0, [lr, #-0x4]",
        "strb r1, [r2, #-0x1]",
    ]


def test_counts_follow_the_loops(tmp_path: Path) -> None:
    asm = Assembler("loops")
    asm.emit("movs r0, #3", size=2)
    with asm.repeated(3):
        asm.emit("subs r0, #1", size=2)
        with asm.repeated(2):
            asm.emit("add.w r1, r1, r0")
    with asm.repeated(0):
        asm.emit("nop", size=2)
    assert asm.instructions == 1 + 3 * (1 + 2)
    assert asm.code_bytes >= len(machine_code(asm.text, tmp_path)) == 10
