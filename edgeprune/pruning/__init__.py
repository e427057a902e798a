"""Pruning: narrower classifiers with real counts and a history that can be replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprune.late import late_names

if TYPE_CHECKING:
    from edgeprune.pruning.channels import IMPORTANCES, Removal
    from edgeprune.pruning.counts import Counts, count
    from edgeprune.pruning.pruner import METHODS, Cost, PruningResult, PruningStep, prune, replay

_HOMES = {
    "IMPORTANCES": "channels",
    "METHODS": "pruner",
    "Cost": "pruner",
    "Counts": "counts",
    "PruningResult": "pruner",
    "PruningStep": "pruner",
    "Removal": "channels",
    "count": "counts",
    "prune": "pruner",
    "replay": "pruner",
}

__all__ = [
    "IMPORTANCES",
    "METHODS",
    "Cost",
    "Counts",
    "PruningResult",
    "PruningStep",
    "Removal",
    "count",
    "prune",
    "replay",
]

__getattr__ = late_names(__name__, _HOMES)
