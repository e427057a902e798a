"""An assembler that counts loops by how often they run in all, and knows small encodings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from edgeprune.firmware.kernels.assembler import Assembler

_HALF = re.compile(
    r"it\w* |(push|pop) \{(r[0-7][-,r0-7]*)?,? ?(lr|pc)?\}$"
    r"|(adds|subs) r[0-7],r[0-7],(r[0-7]|#[0-7])$|(adds|subs|movs|cmp) r[0-7],#\d+$"
    r"|(ldrd?|str) r[0-7],\[sp,#\d+\]$|mov r\d+,(r\d+|lr)$"
)
_NEVER_HALF = re.compile(r"ldrd |\w+\.w ")


class ThumbAssembler(Assembler):
    """Counts what runs in a whole call; `times` sets how often, and does not nest.

    Args:
        symbol: Name of the function.
        narrow: Whether every instruction takes two bytes (Armv6-M).
    """

    def __init__(self, symbol: str, *, narrow: bool) -> None:
        super().__init__(symbol)
        self._narrow = narrow

    def put(self, *instructions: str) -> None:
        """Append instructions, each with its own size."""
        for instruction in instructions:
            self.emit(instruction, size=2 if self._is_half(instruction) else 4)

    @contextmanager
    def times(self, runs: int) -> Iterator[None]:
        """Everything that is put inside runs that often in a call for the whole output."""
        before, self._times = self._times, runs
        yield
        self._times = before

    def _is_half(self, instruction: str) -> bool:
        if self._narrow:
            return not instruction.startswith("bl ")
        if _NEVER_HALF.match(instruction):
            return False
        return _HALF.match(instruction) is not None


def words(*numbers: int) -> bytes:
    """Return 32-bit words as they lie in memory."""
    return b"".join((number & 0xFFFFFFFF).to_bytes(4, "little") for number in numbers)
