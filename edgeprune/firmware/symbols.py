"""What the symbols of compiled C take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SymbolSize:
    """What one symbol takes: section ".text" (flash), ".data" (both) or ".bss" (RAM)."""

    name: str
    section: str
    bytes: int
