"""Pruning: smaller classifiers with real counts and a history that can be replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprune.late import late_names

if TYPE_CHECKING:
    from edgeprune.pruning.counts import Counts, count
    from edgeprune.pruning.criteria import CRITERIA
    from edgeprune.pruning.edits import Edit, NewWeights, Removal, ZeroedWeights, apply, held_zeros
    from edgeprune.pruning.materials import Materials, draw_materials, without_windows
    from edgeprune.pruning.methods import METHODS
    from edgeprune.pruning.pruner import Cost, PruningResult, PruningStep, prune, replay
    from edgeprune.pruning.schedules import SCHEDULES
    from edgeprune.pruning.scopes import SCOPES

_HOMES = {
    "CRITERIA": "criteria",
    "Cost": "pruner",
    "Counts": "counts",
    "Edit": "edits",
    "METHODS": "methods",
    "Materials": "materials",
    "NewWeights": "edits",
    "PruningResult": "pruner",
    "PruningStep": "pruner",
    "Removal": "edits",
    "SCHEDULES": "schedules",
    "SCOPES": "scopes",
    "ZeroedWeights": "edits",
    "apply": "edits",
    "count": "counts",
    "draw_materials": "materials",
    "held_zeros": "edits",
    "prune": "pruner",
    "replay": "pruner",
    "without_windows": "materials",
}

__all__ = [
    "CRITERIA",
    "METHODS",
    "SCHEDULES",
    "SCOPES",
    "Cost",
    "Counts",
    "Edit",
    "Materials",
    "NewWeights",
    "PruningResult",
    "PruningStep",
    "Removal",
    "ZeroedWeights",
    "apply",
    "count",
    "draw_materials",
    "held_zeros",
    "prune",
    "replay",
    "without_windows",
]

__getattr__ = late_names(__name__, _HOMES)
