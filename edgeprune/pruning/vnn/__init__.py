"""VNN: the linear programs that keep a layer's behaviour with the fewest weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprune.late import late_names

if TYPE_CHECKING:
    from edgeprune.pruning.vnn.programs import (
        NeuronPrograms,
        Solutions,
        SolveSettings,
        Status,
        solve,
        value_band,
    )

_HOMES = dict.fromkeys(
    ["NeuronPrograms", "Solutions", "SolveSettings", "Status", "solve", "value_band"], "programs"
)

__all__ = ["NeuronPrograms", "Solutions", "SolveSettings", "Status", "solve", "value_band"]

__getattr__ = late_names(__name__, _HOMES)
