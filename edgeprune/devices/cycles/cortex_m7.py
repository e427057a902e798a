"""Cortex-M7: in order, two at a time; measured, for Arm publishes no timings of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from edgeprune.devices.cycles.core import BlockRuns
from edgeprune.devices.cycles.decode import BRANCHES, FLAGS, Instruction, Kind
from edgeprune.devices.cycles.range import Range
from edgeprune.devices.cycles.schedule import Scoreboard

# Where an operand is consumed: address generation, the early ALU with its shifter, the late ALU,
# the multiplier, its adder one stage later, and the store buffer.
_ADDRESS, _EARLY, _LATE, _FACTOR, _SUM, _STORE = (
    "address",
    "early",
    "late",
    "factor",
    "sum",
    "store",
)
_STAGES = (_ADDRESS, _EARLY, _LATE, _FACTOR, _SUM, _STORE)
_ALONE = (
    Kind.LOAD_MULTIPLE,
    Kind.STORE_MULTIPLE,
    Kind.LOAD_PC,
    Kind.TABLE,
    Kind.DIVIDE,
    Kind.SYSTEM,
    Kind.FLOAT,
)
_MULTIPLIES = (Kind.MULTIPLY, Kind.LONG_MULTIPLY)
# The multiplications that every Armv7-M core has; the others belong to the DSP extension.
_PLAIN = ("mul", "mla", "mls", "smull", "umull", "smlal", "umlal")
_ONLY_EARLY = ("ubfx", "sbfx", "rbit", "rev", "rev16", "revsh")
_SHIFTER = (*_ONLY_EARLY, "bfi", "bfc", "pkhbt", "pkhtb")
_EXTENDING = ("sxta", "uxta")
_DIVISION = Range(3, 8, 20)
_MISPREDICTED = 8


class _Luck(Enum):
    """What is assumed where the measurements leave it open."""

    GOOD = "good"
    EXPECTED = "expected"
    BAD = "bad"


@dataclass(frozen=True)
class CortexM7:
    """See the module."""

    source: str = (
        "measurements published at quinapalus.com/cm7cycles.html (STM32H730) and in "
        "github.com/jnk0le/random (pipeline cycle test/doc/cortex_m7.md, STM32H743)"
    )
    assumptions: tuple[str, ...] = (
        "two loads go together where they name the same base and an odd distance in words",
        "DSP instructions, SMLAD included, pair only from the older slot and never with each other",
        "of a conditional branch's two ways, each run of the rarer one is mispredicted half of the "
        f"time and costs {_MISPREDICTED} cycles",
        "a division takes 8 cycles (3 to 20)",
        "loads and stores are aligned, in tightly coupled memory or the data cache",
        "no result is awaited across the start of a block",
    )

    def cycles(self, block: BlockRuns) -> Range:
        """See `CoreModel.cycles`."""
        divisions = sum(each.kind is Kind.DIVIDE for each in block.instructions)
        spread = Range(
            divisions * (_DIVISION.minimum - _DIVISION.expected),
            0,
            divisions * (_DIVISION.maximum - _DIVISION.expected),
        )
        good, expected, bad = (_schedule(block, luck) for luck in _Luck)
        # Pairing greedily can be better by chance where less is allowed.
        straight = Range(min(good, expected), expected, max(bad, expected))
        total = (straight + spread) * block.runs
        return total + self._jumps(block) if block.ends_in_branch else total

    def _jumps(self, block: BlockRuns) -> Range:
        if block.last.kind is Kind.CONDITIONAL:
            rare = min(block.taken, block.runs - block.taken)
            wrong = Range(0, rare / 2, min(2 * rare + 1, block.runs)) * _MISPREDICTED
            return wrong + Range(0, 0, 1) * block.taken
        if block.last.kind in (Kind.BRANCH, Kind.CALL):
            return Range(0, 0, 1) * block.taken
        return Range(0, 2, _MISPREDICTED) * block.taken


def _schedule(block: BlockRuns, luck: _Luck) -> float:
    """Return the cycles of one run of a block, all branches predicted."""
    board = Scoreboard(_STAGES)
    now = -1
    older: Instruction | None = None
    for instruction in block.instructions:
        if older is not None and _pairs(older, instruction, luck):
            early = _runs_early(board, instruction, now, younger=True, luck=luck)
            if _ready(board, instruction, early=early) <= now:
                _write(board, instruction, now, early=early, luck=luck)
                older = None
                continue
        now += 1
        now = max(now, _ready(board, instruction, early=False))
        early = _runs_early(board, instruction, now, younger=False, luck=luck)
        _write(board, instruction, now, early=early, luck=luck)
        older = None if instruction.kind in _ALONE or instruction.bytes_loaded == 8 else instruction
        now += _occupies(instruction) - 1
    # What follows may join the last instruction.
    joins = older is not None and luck is not _Luck.BAD
    falls_through = block.taken == 0 or not block.ends_in_branch
    return now + 1 - (0.5 if joins and (falls_through or luck is _Luck.GOOD) else 0)


def _occupies(instruction: Instruction) -> int:
    kind = instruction.kind
    if kind in (Kind.LOAD_MULTIPLE, Kind.STORE_MULTIPLE):
        return max(1, (instruction.registers + 1) // 2)
    if kind is Kind.LOAD_PC:
        return 1 + (instruction.registers + 1) // 2
    if kind is Kind.TABLE:
        return 2
    return int(_DIVISION.expected) if kind is Kind.DIVIDE else 1


def _is_dsp(instruction: Instruction) -> bool:
    return instruction.kind is Kind.DSP or (
        instruction.kind in _MULTIPLIES and instruction.name not in _PLAIN
    )


def _pairs(older: Instruction, younger: Instruction, luck: _Luck) -> bool:
    """Return whether two neighbours can be issued together, their operands apart."""
    both = (older, younger)
    if younger.kind in _ALONE or younger.bytes_loaded == 8:
        return False
    if (older.kind, younger.kind) == (Kind.LOAD, Kind.LOAD):
        return _different_banks(older, younger, luck)
    return _units_are_free(both) and _slots_fit(both, luck) and _shifter_is_free(both)


def _units_are_free(both: tuple[Instruction, Instruction]) -> bool:
    stores = sum(each.kind is Kind.STORE for each in both)
    multiplies = sum(each.kind in _MULTIPLIES for each in both)
    return stores + multiplies < 2


def _slots_fit(both: tuple[Instruction, Instruction], luck: _Luck) -> bool:
    older, younger = both
    if not _is_dsp(younger):
        return True
    if not _is_dsp(older):
        return luck is _Luck.GOOD
    return luck is _Luck.GOOD and any(each.kind in _MULTIPLIES for each in both)


def _shifter_is_free(both: tuple[Instruction, Instruction]) -> bool:
    shifts = sum(bool(each.shifted) or each.shifted_constant for each in both)
    others = sum(each.name in _SHIFTER or each.name.startswith(_EXTENDING) for each in both)
    return shifts + min(others, 1) < 2


def _different_banks(older: Instruction, younger: Instruction, luck: _Luck) -> bool:
    if luck is _Luck.BAD:
        return False
    if older.base != younger.base or older.offset is None or younger.offset is None:
        return luck is _Luck.GOOD
    if older.writeback:
        return False
    return (older.offset ^ younger.offset) & 4 != 0


def _runs_early(
    board: Scoreboard, instruction: Instruction, now: int, *, younger: bool, luck: _Luck
) -> bool:
    """Return whether the early ALU executes an instruction, so that its pair can use the result."""
    if (
        luck is _Luck.BAD
        or instruction.is_conditional
        or instruction.shifted
        or instruction.shifted_constant
    ):
        return False
    simple = instruction.name in ("add", "sub", "addw", "subw") or instruction.kind is Kind.MOVE
    if not (instruction.kind is Kind.SHIFT or (simple and not younger)):
        return False
    return board.ready(_EARLY, instruction.reads) <= now


def _ready(board: Scoreboard, instruction: Instruction, *, early: bool) -> int:
    """Return the first cycle in which all operands are there."""
    kind = instruction.kind
    waits = [
        board.ready(_ADDRESS, instruction.address_reads),
        board.ready(_STORE, instruction.stored),
        board.ready(_EARLY, instruction.shifted),
    ]
    if kind in _MULTIPLIES:
        waits += [
            board.ready(_FACTOR, instruction.reads),
            board.ready(_SUM, instruction.accumulator),
        ]
    elif instruction.name in _ONLY_EARLY or early:
        waits.append(board.ready(_EARLY, instruction.reads))
    elif instruction.name.startswith(_EXTENDING):
        waits += [
            board.ready(_EARLY, instruction.reads),
            board.ready(_LATE, instruction.accumulator),
        ]
    elif kind not in BRANCHES:
        waits.append(board.ready(_LATE, instruction.reads))
    elif kind in (Kind.INDIRECT, Kind.TABLE):
        waits.append(board.ready(_ADDRESS, instruction.reads))
    return max(waits)


def _write(
    board: Scoreboard, instruction: Instruction, now: int, *, early: bool, luck: _Luck
) -> None:
    """Note when the results can be used."""
    kind = instruction.kind
    results = instruction.writes - {FLAGS}
    last = now + _occupies(instruction) - 1
    if kind in (Kind.LOAD, Kind.LOAD_MULTIPLE):
        moved = frozenset({instruction.base}) if instruction.writeback else frozenset()
        late = 1 if instruction.bytes_loaded >= 4 else 2
        board.write(results - moved, _after(last, late + 2, late + 1, late, 2, late - 1, 0))
        board.write(moved, _after(now, 1, 2, 0 if luck is not _Luck.BAD else 1, 1, 0, 0))
    elif kind is Kind.STORE:
        board.write(results, _after(now, 1, 2, 0 if luck is not _Luck.BAD else 1, 1, 0, 0))
    elif kind in _MULTIPLIES:
        board.write(results, _after(now, 3, 3, 2, 2, 1, 1))
    elif kind is Kind.DIVIDE:
        board.write(results, _after(last, 2, 2, 1, 1, 1, 1))
    elif early:
        board.write(results, _after(now, 1, 1, 0, 0, 0, 0))
    else:
        board.write(results, _after(now, 2, 2, 1, 1, 0, 0))
    board.write(instruction.writes & {FLAGS}, _after(now, 1, 1, 1, 1, 1, 1))


def _after(now: int, *cycles: int) -> dict[str, int]:
    return {stage: now + wait for stage, wait in zip(_STAGES, cycles, strict=True)}


CORTEX_M7 = CortexM7()
