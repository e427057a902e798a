"""What a training watches: decisions on windows and their macro-F1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgeprune.classifiers import deciding, logits_of
from edgeprune.quantization import float_inputs

if TYPE_CHECKING:
    from edgeprune.data.front_ends import FrontEnd
    from edgeprune.data.windows import Windows

_BATCH = 1024


def predict(model: nn.Module, windows: Windows, front_end: FrontEnd) -> NDArray[np.float32]:
    """Return the float logits [n, classes] of a classifier in evaluation mode.

    Args:
        model: The classifier; its mode is restored afterwards.
        windows: Windows of the front end.
        front_end: Holds scales and zero points.
    """
    signal, rhythm = map(torch.from_numpy, float_inputs(windows, front_end))
    with torch.no_grad(), deciding(model):
        logits = [
            logits_of(model, signal[at : at + _BATCH], rhythm[at : at + _BATCH])
            for at in range(0, len(signal), _BATCH)
        ]
    return np.asarray(torch.cat(logits).numpy())


def macro_f1(label: NDArray[np.int64], decision: NDArray[np.int64]) -> float:
    """Return the mean F1 over the classes that `label` holds."""
    scores = []
    for kind in np.unique(label):
        right = int(((label == kind) & (decision == kind)).sum())
        scores.append(2 * right / (int((label == kind).sum()) + int((decision == kind).sum())))
    return float(np.mean(scores))
