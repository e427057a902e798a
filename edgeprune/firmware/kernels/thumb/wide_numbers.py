"""Numbers and addresses in registers on Armv7-M."""

from __future__ import annotations

from edgeprune.firmware.kernels.thumb.emission import ThumbAssembler


def load_constant(code: ThumbAssembler, register: str, value: int) -> None:
    """Load a number into a register, in one instruction where it has 16 bits."""
    value &= 0xFFFFFFFF
    code.put(f"movw {register},#{value & 0xFFFF}")
    if value >> 16:
        code.put(f"movt {register},#{value >> 16}")


def load_label(code: ThumbAssembler, register: str, label: str, offset: int = 0) -> None:
    """Load an address."""
    code.put(f"movw {register},#:lower16:({label}+{offset})")
    code.put(f"movt {register},#:upper16:({label}+{offset})")


def add_constant(code: ThumbAssembler, target: str, source: str, value: int) -> None:
    """Add any number; where it takes more than 12 bits, r7 is lost."""
    if value == 0:
        if target != source:
            code.put(f"mov {target},{source}")
    elif abs(value) < 4096:
        code.put(f"{'addw' if value > 0 else 'subw'} {target},{source},#{abs(value)}")
    else:
        load_constant(code, "r7", value)
        code.put(f"add {target},{source},r7")
