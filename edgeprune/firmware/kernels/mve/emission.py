"""What every Helium kernel writes: its frame, constants in registers, pointers that walk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from edgeprune.firmware.kernels.assembler import Assembler

# VMLADAVA adds to even registers only.
ACCUMULATORS = ("r0", "r2", "r4", "r6", "r8", "r10", "r12", "lr")
SAVED_BYTES = 104


@dataclass(frozen=True)
class Step:
    """One instruction of a straight piece of code; `{}` stands for the address of `offset`."""

    text: str
    offset: int | None = None


@contextmanager
def function(asm: Assembler, frame_bytes: int = 0) -> Iterator[None]:
    """Save what the caller wants kept, make room for a frame; undo both and return."""
    assert frame_bytes % 8 == 0
    asm.emit("push {r3-r11, lr}", "vpush {d8-d15}")
    if frame_bytes:
        asm.emit(f"sub sp, sp, #{frame_bytes}")
    yield
    if frame_bytes:
        asm.emit(f"add sp, sp, #{frame_bytes}")
    asm.emit("vpop {d8-d15}", "pop {r3-r11, pc}")


def set_constant(asm: Assembler, register: str, value: int) -> None:
    """Set a register to a 32-bit number."""
    value &= 0xFFFFFFFF
    if value > 0xFFFFFF00:
        asm.emit(f"mvn {register}, #{0xFFFFFFFF - value}")
        return
    asm.emit(f"movw {register}, #{value & 0xFFFF}")
    if value >> 16:
        asm.emit(f"movt {register}, #{value >> 16}")


def set_address(asm: Assembler, register: str, offset: int = 0) -> None:
    """Point a register at the kernel's constants."""
    symbol = f"{asm.symbol}_constants" + (f"+{offset}" if offset else "")
    asm.emit(f"movw {register}, #:lower16:{symbol}", f"movt {register}, #:upper16:{symbol}")


def add_constant(
    asm: Assembler, register: str, value: int, spare: str, source: str | None = None
) -> None:
    """Add a number to a register; `spare` may be overwritten."""
    source = source or register
    if value == 0 and source == register:
        return
    if abs(value) <= 4095:
        name = "addw" if value >= 0 else "subw"
        asm.emit(f"{name} {register}, {source}, #{abs(value)}")
        return
    set_constant(asm, spare, value)
    asm.emit(f"add {register}, {source}, {spare}")


def walk(asm: Assembler, steps: list[Step], pointer: str, end: int, spare: str) -> None:
    """Emit steps whose addresses are offsets from where `pointer` stands, and leave it at `end`.

    Every load moves the pointer to where the next one reads: an instruction less.
    """
    words = end % 4 == 0 and all(step.offset is None or step.offset % 4 == 0 for step in steps)
    name, reach = ("vldrw.u32", 508) if words else ("vldrb.u8", 127)
    loads = [step.offset for step in steps if step.offset is not None]
    targets = iter([*loads[1:], end])
    add_constant(asm, pointer, loads[0], spare)
    for step in steps:
        if step.offset is None:
            asm.emit(step.text)
            continue
        move = next(targets) - step.offset
        if 0 < abs(move) <= reach:
            asm.emit(f"{name} {step.text}, [{pointer}], #{move}")
        else:
            asm.emit(f"{name} {step.text}, [{pointer}]")
            add_constant(asm, pointer, move, spare)


def vectors_in(byte_count: int) -> int:
    """Return how many vectors of 16 bytes hold that many bytes."""
    return -(-byte_count // 16)
