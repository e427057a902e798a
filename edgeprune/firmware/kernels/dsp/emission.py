"""Small pieces of assembly that several DSP generators share."""

from __future__ import annotations

from edgeprune.firmware.kernels.assembler import Assembler

SAVED_BYTES = 36
"""What `enter` pushes: r4-r11 and lr."""


def enter(asm: Assembler, frame: int = 0) -> None:
    """Save the registers and open a frame; `first` then lies at sp + frame + SAVED_BYTES."""
    asm.emit("push.w {r4-r11, lr}")
    if frame:
        asm.emit(f"subw sp, sp, #{frame}")


def leave(asm: Assembler, frame: int = 0) -> None:
    """Close the frame and return."""
    if frame:
        asm.emit(f"addw sp, sp, #{frame}")
    asm.emit("pop.w {r4-r11, pc}")


def load_constant(asm: Assembler, register: str, value: int) -> None:
    """Put a number into a register."""
    value &= 0xFFFFFFFF
    if value < 2**16:
        asm.emit(f"movw {register}, #{value}")
    elif value ^ 0xFFFFFFFF < 256:
        asm.emit(f"mvn {register}, #{value ^ 0xFFFFFFFF}")
    else:
        asm.emit(f"movw {register}, #{value & 0xFFFF}", f"movt {register}, #{value >> 16}")


def load_address(asm: Assembler, register: str, label: str) -> None:
    """Put an address into a register."""
    asm.emit(f"movw {register}, #:lower16:{label}", f"movt {register}, #:upper16:{label}")


def add_constant(asm: Assembler, register: str, value: int, temporary: str) -> None:
    """Add a number to a register."""
    if 0 < abs(value) < 4096:
        asm.emit(f"{'addw' if value > 0 else 'subw'} {register}, {register}, #{abs(value)}")
    elif value:
        load_constant(asm, temporary, value)
        asm.emit(f"add.w {register}, {register}, {temporary}")


def bytes_of(value: int) -> int:
    """Return the word whose four bytes are an int8."""
    return (value & 0xFF) * 0x01010101


def clamp_bytes(asm: Assembler, value: str, low: str, high: str, temporary: str) -> None:
    """Clamp the four int8 of a register between those of others; "" for no bound."""
    if low:
        asm.emit(f"ssub8 {temporary}, {value}, {low}", f"sel {value}, {value}, {low}")
    if high:
        asm.emit(f"ssub8 {temporary}, {high}, {value}", f"sel {value}, {value}, {high}")
