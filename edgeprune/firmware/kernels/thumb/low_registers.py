"""Armv6-M: a stack frame, numbers, and loops of any length with few registers."""

from __future__ import annotations

from edgeprune.firmware.kernels.thumb.emission import ThumbAssembler

_SAVED = 36
_SHORT = 250
_MEDIUM = 2040


class Frame:
    """Words on the stack by name.

    Args:
        names: What they are called.
    """

    def __init__(self, *names: str) -> None:
        self._names = names
        # Together with nine saved registers it takes a multiple of eight bytes.
        self.bytes = 4 * (len(names) + 1 - len(names) % 2)

    def __getitem__(self, name: str) -> str:
        return f"[sp,#{4 * self._names.index(name)}]"

    @property
    def stack_bytes(self) -> int:
        """What the function takes of the stack."""
        return self.bytes + _SAVED

    def argument(self, number: int) -> str:
        """Return where an argument lies that came on the stack."""
        return f"[sp,#{self.stack_bytes + 4 * number}]"


def enter(code: ThumbAssembler, frame: Frame, constants: str) -> None:
    """Save registers; keep the input, the scratch memory and the constants' address in words."""
    code.put("push {r4-r7,lr}")
    code.put(*(f"mov r{4 + number},r{8 + number}" for number in range(4)))
    code.put("push {r4-r7}", f"sub sp,#{frame.bytes}")
    pool, behind = code.label("pool"), code.label("behind")
    code.put(f"ldr r4,{pool}", f"b {behind}")
    code.directive(".balign 4", 2)
    code.place(pool)
    code.directive(f".word {constants}", 4)
    code.place(behind)
    code.put(f"str r4,{frame['constants']}", f"str r0,{frame['input']}")
    code.put(f"str r3,{frame['planes']}")


def leave(code: ThumbAssembler, frame: Frame) -> None:
    """Restore registers and return."""
    code.put(f"add sp,#{frame.bytes}", "pop {r0-r3}")
    code.put(*(f"mov r{8 + number},r{number}" for number in range(4)))
    code.put("pop {r4-r7,pc}")


def load_number(code: ThumbAssembler, register: str, number: int) -> None:
    """Load a number into a low register; flags are lost."""
    if number < 0:
        load_number(code, register, -number)
        code.put(f"rsbs {register},{register},#0")
        return
    zeros = (number & -number).bit_length() - 1 if number else 0
    if number >> zeros <= 255:
        code.put(f"movs {register},#{number >> zeros}")
        if zeros:
            code.put(f"lsls {register},{register},#{zeros}")
        return
    data = number.to_bytes(4, "big").lstrip(b"\0")
    code.put(f"movs {register},#{data[0]}")
    waiting = 0
    for byte in data[1:]:
        waiting += 8
        if byte:
            code.put(f"lsls {register},{register},#{waiting}", f"adds {register},#{byte}")
            waiting = 0
    if waiting:
        code.put(f"lsls {register},{register},#{waiting}")


def add_number(code: ThumbAssembler, register: str, number: int, spare: str) -> None:
    """Add a number to a low register; a large one needs a spare register."""
    opcode, size = ("adds" if number > 0 else "subs"), abs(number)
    if size > 510:
        load_number(code, spare, size)
        code.put(f"{opcode} {register},{register},{spare}")
        return
    while size:
        step = min(size, 255)
        code.put(f"{opcode} {register},#{step}")
        size -= step


def loop_back(code: ThumbAssembler, label: str, start: int, runs: int, entries: int) -> None:
    """Branch back to a label unless the last result was zero.

    Args:
        code: Where to.
        label: The head of the loop.
        start: `code_bytes` when it was placed.
        runs: How often the loop runs in all.
        entries: How often it is entered.
    """
    distance = code.code_bytes - start
    if distance < _SHORT:
        with code.times(runs):
            code.put(f"bne {label}")
        return
    skip = code.label("done")
    with code.times(runs):
        code.put(f"beq {skip}")
    with code.times(runs - entries):
        # lr is saved and holds nothing here: the only branch that reaches further.
        code.put(f"b {label}" if distance < _MEDIUM else f"bl {label}")
    code.place(skip)
