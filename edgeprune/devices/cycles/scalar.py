"""Cortex-M0+, Cortex-M3 and Cortex-M4: one instruction at a time, by the reference manuals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edgeprune.devices.cycles.core import BlockRuns
from edgeprune.devices.cycles.decode import MEMORY, Instruction, Kind
from edgeprune.devices.cycles.range import Range

_DIRECT = (Kind.BRANCH, Kind.CALL, Kind.CONDITIONAL)
_ODD = {
    Kind.DIVIDE: Range(2, 7, 12),
    Kind.FLOAT: Range(1, 1, 14),
    Kind.SYSTEM: Range(1, 1, 4),
}
_MULTIPLE = {Kind.LOAD_MULTIPLE: 1, Kind.STORE_MULTIPLE: 1, Kind.LOAD_PC: 2}
_ACCUMULATING = ("smlal", "umlal", "umaal")


@dataclass(frozen=True)
class CortexM0Plus:
    """Two-stage pipeline with the multiplier of one cycle."""

    source: str = "Arm DDI 0484C (Cortex-M0+ r0p1), table 3-1"
    assumptions: tuple[str, ...] = (
        "the multiplier of one cycle (a core may have one of 32 cycles instead)",
        "loads and stores take 2 cycles: no single-cycle port, no other bus master",
    )

    def cycles(self, block: BlockRuns) -> Range:
        """See `CoreModel.cycles`."""
        total = sum(self._cost(instruction) for instruction in block.instructions)
        jump = {Kind.CALL: 2, Kind.LOAD_PC: 0}.get(block.last.kind, 1)
        return Range.exactly(
            total * block.runs + (jump * block.taken if block.ends_in_branch else 0)
        )

    def _cost(self, instruction: Instruction) -> int:
        kind = instruction.kind
        if kind in (Kind.LOAD, Kind.STORE):
            return 2
        if kind in (Kind.LOAD_MULTIPLE, Kind.STORE_MULTIPLE):
            return 1 + instruction.registers
        if kind is Kind.LOAD_PC:
            return 3 + instruction.registers + 1
        if kind is Kind.SYSTEM:
            return 3 if instruction.bytes == 4 else 1
        return 1


@dataclass(frozen=True)
class ThreeStages:
    """Cortex-M3 and Cortex-M4.

    Attributes:
        multiplies: Cycles of the multiplications that take more than one.
        chains_indexed_loads: Loads that move their base can follow each other without a gap.
    """

    source: str
    assumptions: tuple[str, ...]
    multiplies: Mapping[str, Range] = field(default_factory=dict)
    chains_indexed_loads: bool = True

    def cycles(self, block: BlockRuns) -> Range:
        """See `CoreModel.cycles`."""
        total = Range()
        before: Instruction | None = None
        for instruction in block.instructions:
            total += self._cost(instruction, before)
            before = instruction
        total *= block.runs
        if not block.ends_in_branch:
            return total
        if block.last.kind not in _DIRECT:
            # The reload behind a loaded address cannot begin early.
            return total + Range(1, 2 if block.last.kind is Kind.INDIRECT else 3, 3) * block.taken
        for target, times in block.targets:
            straddles = not target.is_narrow and target.address % 4 != 0
            total += Range(1, 2 if straddles else 1, 3) * times
        return total

    def _cost(self, instruction: Instruction, before: Instruction | None) -> Range:
        kind = instruction.kind
        if kind in MEMORY or kind in (Kind.LOAD_PC, Kind.TABLE):
            return self._memory(instruction, before) + self._address(instruction, before)
        if instruction.name in self.multiplies:
            return self.multiplies[instruction.name]
        if kind is Kind.IT:
            folds = before is not None and before.is_narrow
            return Range(0, 0 if folds else 1, 1)
        if kind is Kind.NOP and before is not None and before.kind is Kind.LOAD:
            return Range(0, 0, 1)
        return _ODD.get(kind, Range.exactly(1))

    def _memory(self, instruction: Instruction, before: Instruction | None) -> Range:
        kind = instruction.kind
        if kind in _MULTIPLE:
            return Range.exactly(_MULTIPLE[kind] + instruction.registers)
        if instruction.bytes_loaded == 8 or kind is Kind.TABLE:
            return Range.exactly(3)
        if kind is Kind.LOAD:
            return self._load(instruction, before)
        if instruction.offset is None:
            return Range(1, 2, 2)
        # A store fills the gap that a load leaves behind.
        return Range(0, 0, 1) if before and before.kind is Kind.LOAD else Range.exactly(1)

    def _load(self, instruction: Instruction, before: Instruction | None) -> Range:
        contention = 1 if instruction.is_literal else 0
        if before is not None and before.kind is Kind.STORE:
            return Range(2, 3, 3 + contention)
        follows = before is not None and before.kind is Kind.LOAD and before.bytes_loaded != 8
        if follows and before is not None:
            depends = bool(before.writes & instruction.address_reads)
            moves = before.writeback or instruction.writeback
            same = before.writeback and before.base == instruction.base
            chained = not depends and not same and (self.chains_indexed_loads or not moves)
            if chained:
                late = not instruction.is_narrow and instruction.address % 4 != 0
                return Range(1, 1, (2 if late else 1) + contention)
        return Range(2, 2, 2 + contention)

    def _address(self, instruction: Instruction, before: Instruction | None) -> Range:
        """Return the stall where an address depends on the instruction right before."""
        if before is None or before.kind in MEMORY:
            return Range()
        depends = before.writes & (instruction.address_reads | _index(instruction))
        return Range.exactly(1) if depends else Range()


def _index(instruction: Instruction) -> frozenset[str]:
    return instruction.reads if instruction.kind is Kind.TABLE else frozenset()


_SHARED: Sequence[str] = (
    "a direct jump refills the pipeline in 1 cycle, in 2 where the target is a 32-bit instruction "
    "across a word, a jump to a register in 2, to a loaded address in 3 (the manual gives 1 to 3; "
    "the delay loop of Nordic's nrfx, SUBS and BHI in 3 cycles, agrees)",
    "a division takes 7 cycles (2 to 12)",
    "a load that follows a load is pipelined, one that follows a store waits a cycle, and a store "
    "that follows a load fills the gap that the load leaves (measured on STM32F103 and STM32F407, "
    "github.com/jnk0le/random, pipeline cycle test/doc/cortex_m3m4.md)",
)

CORTEX_M3 = ThreeStages(
    source="Arm 100165 / DDI 0337 (Cortex-M3), instruction set summary and load/store timings",
    assumptions=(*_SHARED, "SMULL and UMULL take 4 cycles (3 to 5), SMLAL and UMLAL 5 (4 to 7)"),
    multiplies={
        **dict.fromkeys(("mla", "mls"), Range.exactly(2)),
        **dict.fromkeys(("smull", "umull"), Range(3, 4, 5)),
        **dict.fromkeys(_ACCUMULATING, Range(4, 5, 7)),
    },
    chains_indexed_loads=False,
)
CORTEX_M4 = ThreeStages(
    source="Arm 100166 / DDI 0439 (Cortex-M4), instruction set summary and load/store timings",
    assumptions=tuple(_SHARED),
)
