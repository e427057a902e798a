"""What a core's timing model offers, and what all of them share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from edgeprune.devices.cycles.decode import BRANCHES, Instruction
from edgeprune.devices.cycles.range import Range


@dataclass(frozen=True)
class BlockRuns:
    """How often a block ran and how often it ended in a jump.

    Attributes:
        instructions: The block.
        runs: How often it ran.
        taken: How often the next block was not the one behind it.
        targets: Instructions at the start of the blocks that were jumped to, with how often.
    """

    instructions: Sequence[Instruction]
    runs: int
    taken: int = 0
    targets: Sequence[tuple[Instruction, int]] = ()

    @property
    def last(self) -> Instruction:
        """The instruction that decides what runs next."""
        return self.instructions[-1]

    @property
    def ends_in_branch(self) -> bool:
        """Whether the block ends in a branch: a long run of code may be cut anywhere."""
        return self.last.kind in BRANCHES


class CoreModel(Protocol):
    """Timing of one core with memories that answer at once."""

    @property
    def source(self) -> str:
        """Where its timings stand."""

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the expected figure rests on, in words."""

    def cycles(self, block: BlockRuns) -> Range:
        """Return the cycles of all runs of a block."""
