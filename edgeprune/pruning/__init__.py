"""Pruning: smaller classifiers with real counts and a history that can be replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprune.late import late_names

if TYPE_CHECKING:
    from edgeprune.pruning.checks import check_pruning
    from edgeprune.pruning.counts import Counts, count
    from edgeprune.pruning.criteria import CRITERIA
    from edgeprune.pruning.edits import Edit, NewWeights, Removal, ZeroedWeights, apply, held_zeros
    from edgeprune.pruning.fine_tuning import FINE_TUNINGS, FineTuning
    from edgeprune.pruning.history import History, load_history, save_history
    from edgeprune.pruning.materials import Materials, draw_materials, without_windows
    from edgeprune.pruning.methods import METHODS
    from edgeprune.pruning.pruned import PrunedClassifier, prune_classifier
    from edgeprune.pruning.pruner import Cost, PruningResult, PruningStep, prune, replay
    from edgeprune.pruning.schedules import SCHEDULES
    from edgeprune.pruning.scopes import SCOPES

_HOMES = {
    "CRITERIA": "criteria",
    "Cost": "pruner",
    "Counts": "counts",
    "Edit": "edits",
    "FINE_TUNINGS": "fine_tuning",
    "FineTuning": "fine_tuning",
    "History": "history",
    "METHODS": "methods",
    "Materials": "materials",
    "NewWeights": "edits",
    "PrunedClassifier": "pruned",
    "PruningResult": "pruner",
    "PruningStep": "pruner",
    "Removal": "edits",
    "SCHEDULES": "schedules",
    "SCOPES": "scopes",
    "ZeroedWeights": "edits",
    "apply": "edits",
    "check_pruning": "checks",
    "count": "counts",
    "draw_materials": "materials",
    "held_zeros": "edits",
    "load_history": "history",
    "prune": "pruner",
    "prune_classifier": "pruned",
    "replay": "pruner",
    "save_history": "history",
    "without_windows": "materials",
}

__all__ = [
    "CRITERIA",
    "FINE_TUNINGS",
    "METHODS",
    "SCHEDULES",
    "SCOPES",
    "Cost",
    "Counts",
    "Edit",
    "FineTuning",
    "History",
    "Materials",
    "NewWeights",
    "PrunedClassifier",
    "PruningResult",
    "PruningStep",
    "Removal",
    "ZeroedWeights",
    "apply",
    "check_pruning",
    "count",
    "draw_materials",
    "held_zeros",
    "load_history",
    "prune",
    "prune_classifier",
    "replay",
    "save_history",
    "without_windows",
]

__getattr__ = late_names(__name__, _HOMES)
