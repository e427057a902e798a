"""What the models of Cortex-M33 and Cortex-M7 share: when each result can be used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Scoreboard:
    """For each stage that consumes operands, the cycle from which a register can be read."""

    stages: tuple[str, ...]
    _ready: dict[tuple[str, str], int] = field(default_factory=dict)

    def ready(self, stage: str, registers: Iterable[str]) -> int:
        """Return the first cycle in which all registers can be read in a stage."""
        return max((self._ready.get((stage, register), 0) for register in registers), default=0)

    def write(self, registers: Iterable[str], cycles: dict[str, int]) -> None:
        """Note from which cycle on a result can be read in each stage."""
        for register in registers:
            for stage, cycle in cycles.items():
                self._ready[stage, register] = cycle
