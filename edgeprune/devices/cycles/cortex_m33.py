"""Cortex-M33: in order, with pairs of 16-bit instructions; measured, for Arm gives no table."""

from __future__ import annotations

from dataclasses import dataclass

from edgeprune.devices.cycles.core import BlockRuns
from edgeprune.devices.cycles.decode import BRANCHES, FLAGS, Instruction, Kind
from edgeprune.devices.cycles.range import Range
from edgeprune.devices.cycles.schedule import Scoreboard

_USE, _ACCUMULATE, _STORE = "use", "accumulate", "store"
_FOLLOWERS = BRANCHES | {Kind.NOP, Kind.IT}
_EXTENDED = ("sxta", "uxta")
_DIVISION = Range(2, 6, 11)


@dataclass(frozen=True)
class CortexM33:
    """See the module."""

    source: str = (
        "measurements on an RP2350 published in github.com/jnk0le/random "
        "(pipeline cycle test/doc/cortex_m33.md); Arm 100230 for the divider"
    )
    assumptions: tuple[str, ...] = (
        "a direct jump takes 2 cycles, or 1 behind a 16-bit instruction that sets no flags",
        "a jump to a register takes 2 cycles and a load of the program counter 2 more than its "
        "registers (not measured: up to 2 more)",
        "a division takes 6 cycles (2 to 11)",
        "no result is awaited across the start of a block",
    )

    def cycles(self, block: BlockRuns) -> Range:
        """See `CoreModel.cycles`."""
        minimum, paired = self._straight(block, ideal=True)
        expected, _ = self._straight(block, ideal=False)
        divisions = sum(each.kind is Kind.DIVIDE for each in block.instructions)
        spread = Range(
            divisions * (_DIVISION.minimum - _DIVISION.expected),
            0,
            divisions * (_DIVISION.maximum - _DIVISION.expected),
        )
        total = (Range(minimum, expected, expected) + spread) * block.runs
        if not block.ends_in_branch:
            return total
        return total + self._jump(block, paired=paired) * block.taken

    def _jump(self, block: BlockRuns, *, paired: bool) -> Range:
        """Return what a taken branch costs beyond one that falls through."""
        if block.last.kind in (Kind.INDIRECT, Kind.LOAD_PC, Kind.TABLE):
            return Range(1, 1, 3)
        if not paired:
            return Range(1, 1, 2)
        before = block.instructions[-2]
        return Range(1, 2, 3) if FLAGS in before.writes else Range(1, 1, 2)

    def _straight(self, block: BlockRuns, *, ideal: bool) -> tuple[int, bool]:
        """Return the cycles of a block that falls through, and whether its branch was paired."""
        board = Scoreboard((_USE, _ACCUMULATE, _STORE))
        now = 0
        free = False  # the last cycle can take one more instruction
        for instruction in block.instructions:
            follows = free and instruction.is_narrow and instruction.kind in _FOLLOWERS
            if instruction.kind is Kind.IT and free:
                follows = True
            if follows:
                free = False
                paired = True
                continue
            paired = False
            now = now if ideal else max(now, self._ready(board, instruction))
            self._write(board, instruction, now)
            now += self._occupies(instruction)
            free = instruction.is_narrow
        return now, paired

    def _ready(self, board: Scoreboard, instruction: Instruction) -> int:
        reads = instruction.reads | instruction.address_reads
        return max(
            board.ready(_USE, reads),
            board.ready(_ACCUMULATE, instruction.accumulator),
            board.ready(_STORE, instruction.stored),
        )

    def _occupies(self, instruction: Instruction) -> int:
        kind = instruction.kind
        if kind in (Kind.LOAD_MULTIPLE, Kind.STORE_MULTIPLE):
            return max(1, instruction.registers)
        if kind is Kind.LOAD_PC:
            return 1 + instruction.registers
        if instruction.bytes_loaded == 8 or kind is Kind.TABLE:
            return 2
        if kind is Kind.DIVIDE:
            return int(_DIVISION.expected)
        slow = kind is Kind.MULTIPLY or instruction.shifted_constant
        return 2 if slow and FLAGS in instruction.writes else 1

    def _write(self, board: Scoreboard, instruction: Instruction, now: int) -> None:
        kind = instruction.kind
        results = instruction.writes
        soon = {_USE: now + 1, _ACCUMULATE: now + 1, _STORE: now + 1}
        if kind in (Kind.LOAD, Kind.LOAD_MULTIPLE):
            last = now + self._occupies(instruction) - 1
            moved = frozenset({instruction.base}) if instruction.writeback else frozenset()
            board.write(moved, soon)
            late = {_USE: last + 2, _ACCUMULATE: last + 1, _STORE: last + 1}
            board.write(results - moved, late)
        elif (
            kind in (Kind.MULTIPLY, Kind.LONG_MULTIPLY)
            or instruction.shifted
            or instruction.shifted_constant
            or instruction.name.startswith(_EXTENDED)
        ):
            late = {_USE: now + 2, _ACCUMULATE: now + 1, _STORE: now + 1}
            board.write(results - {FLAGS}, late)
            board.write(results & {FLAGS}, late if instruction.shifted else soon)
        elif kind is Kind.DIVIDE:
            done = now + int(_DIVISION.expected)
            board.write(results, {_USE: done, _ACCUMULATE: done, _STORE: done})
        else:
            board.write(results, soon)


CORTEX_M33 = CortexM33()
