"""Pruning: narrower classifiers with real counts and a history that can be replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that importing the room does not import torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
