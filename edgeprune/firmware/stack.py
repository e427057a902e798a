"""A static bound of the stack, from the machine code itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import capstone

from edgeprune.errors import CompilerError

_WORD = 4
_NUMBER = re.compile(r"#(-?(?:0x)?[0-9a-f]+)")


@dataclass(frozen=True)
class Function:
    """One function of an image: where it lies and its bytes."""

    name: str
    address: int
    code: bytes


@dataclass(frozen=True)
class _Frame:
    bytes: int
    callees: frozenset[int]


def stack_bound(functions: Mapping[int, Function], entry: int) -> int:
    """Return the most bytes of stack that `entry` and everything it calls can use.

    Adds up every push of a function, whether or not they happen on one path, and follows every
    direct call. Interrupts are not counted.

    Args:
        functions: By address (without the Thumb bit).
        entry: Address of the first function.

    Raises:
        CompilerError: The code has a recursion, a call through a pointer, or a stack of variable
            size, which edgeprune never emits.
    """
    frames: dict[int, _Frame] = {}
    open_calls: list[int] = []

    def depth(address: int) -> int:
        if address in open_calls:
            raise CompilerError("the image is recursive", where=functions[address].name)
        if address not in frames:
            frames[address] = _frame(functions[address], functions)
        open_calls.append(address)
        below = max((depth(callee) for callee in frames[address].callees), default=0)
        open_calls.pop()
        return frames[address].bytes + below

    return depth(entry)


def _frame(function: Function, functions: Mapping[int, Function]) -> _Frame:
    disassembler = capstone.Cs(
        capstone.CS_ARCH_ARM,
        capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8,
    )
    disassembler.skipdata = True
    used = 0
    callees = set()
    for item in disassembler.disasm(function.code, function.address):
        name, operands = item.mnemonic, item.op_str
        if name in ("push", "push.w", "vpush") or (
            name.startswith(("stmdb", "vstmdb")) and operands.startswith("sp!")
        ):
            used += _pushed(operands)
        elif name.startswith(("str", "strd")) and operands.endswith("]!") and "[sp" in operands:
            used += -_number(operands, function)
        elif name.startswith("sub") and operands.split(",")[0] == "sp":
            used += _number(operands, function)
        elif name == "blx" or (name == "bx" and operands != "lr"):
            raise CompilerError("the image calls through a pointer", where=function.name)
        elif name.startswith("b") and operands.startswith("#"):
            # A call, or a branch to another function's start as the last thing that is done.
            address = _number(operands, function)
            if address in functions and (address != function.address or name == "bl"):
                callees.add(address)
    return _Frame(used, frozenset(callees))


def _pushed(operands: str) -> int:
    registers = 0
    for part in operands[operands.index("{") + 1 : operands.index("}")].split(","):
        first, _, last = part.strip().partition("-")
        size = 2 if first.startswith("d") else 1
        span = int(last.strip()[1:]) - int(first[1:]) + 1 if last else 1
        registers += size * span
    return registers * _WORD


def _number(operands: str, function: Function) -> int:
    found = _NUMBER.findall(operands)
    if not found:
        raise CompilerError("the stack has no constant size", where=function.name)
    return int(found[-1], 0)
