"""Training: deterministic, resumable, mindful of imbalance and of what sensors do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprune.late import late_names

if TYPE_CHECKING:
    from edgeprune.training.certified import CertifiedTraining
    from edgeprune.training.loop import EpochRecord, TrainingResult, train
    from edgeprune.training.metrics import macro_f1, predict
    from edgeprune.training.quantized import train_quantized

_HOMES = {
    "CertifiedTraining": "certified",
    "EpochRecord": "loop",
    "TrainingResult": "loop",
    "macro_f1": "metrics",
    "predict": "metrics",
    "train": "loop",
    "train_quantized": "quantized",
}

__all__ = [
    "CertifiedTraining",
    "EpochRecord",
    "TrainingResult",
    "macro_f1",
    "predict",
    "train",
    "train_quantized",
]

__getattr__ = late_names(__name__, _HOMES)
