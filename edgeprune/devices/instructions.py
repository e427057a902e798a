"""Thumb instructions: how many a block of code holds, and of which class each is.

Counting needs only the architecture's length rule and is exact; the class comes from a
disassembler, and what it does not know is `other`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

CLASSES = (
    "load",
    "store",
    "multiply-accumulate",
    "multiply",
    "divide",
    "arithmetic",
    "move",
    "branch",
    "other",
)

_BRANCHES = ("b", "bl", "bx", "blx", "bxns", "blxns", "cbz", "cbnz", "tbb", "tbh")
# fmt: off
_OTHER = (
    "it", "nop", "yield", "wfe", "wfi", "sev", "isb", "dsb", "dmb", "bkpt", "svc", "udf", "cps",
    "mrs", "msr", "pld", "pli", "clrex", "sg", "hint", "dbg", "vmrs", "vmsr", "vlldm", "vlstm",
)
# fmt: on
_PREFIXES = (
    ("load", ("ldr", "ldm", "lda", "pop", "vldr", "vldm", "vpop")),
    ("store", ("str", "stm", "stl", "push", "vstr", "vstm", "vpush")),
    ("multiply-accumulate", ("mla", "mls", "smla", "smls", "smmla", "smmls", "umlal", "umaal")),
    ("multiply-accumulate", ("vmla", "vmls", "vfma", "vfms", "vfnma", "vfnms", "vnmla", "vnmls")),
    ("multiply", ("mul", "smul", "smmul", "umull", "smuad", "smusd", "vmul", "vnmul")),
    ("divide", ("sdiv", "udiv", "vdiv")),
    ("move", ("mov", "mvn", "vmov")),
)


def classify(name: str, operands: str) -> str:
    """Return the class of one instruction.

    Args:
        name: The base mnemonic, without condition and width suffix ("smlad").
        operands: The operands as the disassembler writes them: a load into pc is a branch.
    """
    if name in _BRANCHES:
        return "branch"
    if name in _OTHER:
        return "other"
    for class_name, prefixes in _PREFIXES:
        if name.startswith(prefixes):
            into_pc = operands.startswith("pc,") or operands.endswith("pc}")
            return "branch" if class_name == "load" and into_pc else class_name
    return "arithmetic"


def split(code: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, bytes) of every instruction by the length rule of the Thumb instruction set.

    A first halfword whose top five bits are 0b11101, 0b11110 or 0b11111 begins a 32-bit
    instruction (Armv7-M Architecture Reference Manual, A5.1).
    """
    offset = 0
    while offset < len(code):
        length = 4 if code[offset + 1] >> 3 >= 0b11101 else 2
        yield offset, code[offset : offset + length]
        offset += length


class Disassembler:
    """Counts the instructions of a block by class."""

    def __init__(self) -> None:
        import capstone

        mode = capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8
        self._capstone: Any = capstone.Cs(capstone.CS_ARCH_ARM, mode)

    def count(self, code: bytes) -> tuple[int, ...]:
        """Return how many instructions of each of `CLASSES` the block holds."""
        counts = [0] * len(CLASSES)
        for offset, instruction in split(code):
            decoded = next(self._capstone.disasm(instruction, offset, 1), None)
            if decoded is None:
                class_name = "other"
            else:
                class_name = classify(self._capstone.insn_name(decoded.id), decoded.op_str)
            counts[CLASSES.index(class_name)] += 1
        return tuple(counts)
