"""Writes assembly and counts, while it writes, how many instructions will run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

_COMMENT = "@"

# What every assembler writes in two bytes unless told otherwise.
_NARROW = re.compile(
    r"it[te]{0,3} \w\w|(mov|cmp) \w+, (r\d+|lr|sp)|(ldr|str) r[0-7], \[sp, #(\d+)\]"
)
_FARTHEST_NARROW = 1020
# GNU's assembler turns these into the instructions that exist, LLVM's refuses them.
_NEGATIVE_COMPARE = re.compile(r"^cmp(\S*) (.*), #-(\d+)$")
_NEGATIVE_MOVE = re.compile(r"^mov(\S*) (.*), #-(\d+)$")
# This one exists in 32 bits only: LLVM's wants no width there.
_NEGATIVE_OFFSET = re.compile(r"^((?:ldr|str)\w*)\.w (.*#-.*)$")


class Assembler:
    """The text of one function, its size and its instruction count.

    Args:
        symbol: Name of the function.
    """

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.instructions = 0
        self.code_bytes = 0
        self._lines: list[str] = []
        self._times = 1
        self._labels = 0

    def emit(self, *instructions: str, size: int = 4) -> None:
        """Append instructions, each of at most `size` bytes."""
        for instruction in instructions:
            self._lines.append(f"    {_existing(instruction)}")
            self.instructions += self._times
            self.code_bytes += min(size, _size(instruction))

    def label(self, stem: str) -> str:
        """Return a new local label."""
        self._labels += 1
        return f".L{self.symbol}_{stem}_{self._labels}"

    def place(self, label: str) -> None:
        """Put a label here."""
        self._lines.append(f"{label}:")

    def remark(self, text: str) -> None:
        """Append a comment."""
        self._lines.append(f"    {_COMMENT} {text}")

    def directive(self, text: str, size: int = 0) -> None:
        """Append a directive that takes `size` bytes and never runs, such as `.ltorg`."""
        self._lines.append(f"    {text}")
        self.code_bytes += size

    @contextmanager
    def repeated(self, times: int) -> Iterator[None]:
        """Everything that is emitted inside runs `times` times for each time around it.

        0 is for code that a call over the whole output never reaches.
        """
        before = self._times
        self._times *= times
        yield
        self._times = before

    @property
    def text(self) -> str:
        """The function: type, alignment, label and instructions."""
        head = [
            f"    .global {self.symbol}",
            f"    .type {self.symbol}, %function",
            "    .balign 4",
            "    .thumb_func",
            f"{self.symbol}:",
        ]
        tail = [f"    .size {self.symbol}, . - {self.symbol}"]
        return "\n".join([*head, *self._lines, *tail]) + "\n"


def _existing(instruction: str) -> str:
    """Return an instruction with a negative constant as both assemblers know it."""
    if found := _NEGATIVE_COMPARE.match(instruction):
        return f"cmn{found[1]} {found[2]}, #{found[3]}"
    if found := _NEGATIVE_MOVE.match(instruction):
        return f"mvn{found[1]} {found[2]}, #{int(found[3]) - 1}"
    if found := _NEGATIVE_OFFSET.match(instruction):
        return f"{found[1]} {found[2]}"
    return instruction


def _size(instruction: str) -> int:
    """Return the most bytes that an instruction takes."""
    narrow = _NARROW.fullmatch(instruction)
    if not narrow:
        return 4
    return 2 if int(narrow[4] or 0) <= _FARTHEST_NARROW else 4
