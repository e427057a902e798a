"""Training: deterministic, resumable, mindful of imbalance and of what sensors do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeprune.training.loop import EpochRecord, TrainingResult, train
    from edgeprune.training.metrics import macro_f1, predict

_HOMES = {
    "EpochRecord": "loop",
    "TrainingResult": "loop",
    "macro_f1": "metrics",
    "predict": "metrics",
    "train": "loop",
}

__all__ = ["EpochRecord", "TrainingResult", "macro_f1", "predict", "train"]


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that importing the room does not import torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
