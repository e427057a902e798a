"""Which windows a step sees: classes and records in balance."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def window_weights(
    label: NDArray[np.int64],
    record: NDArray[np.int64],
    mix: tuple[float, ...],
    balance: float,
) -> NDArray[np.float64]:
    """Return the probability of each window to be drawn.

    Within a class, a record that has n windows of it gets a share in proportion to
    `n ** balance`: 1 draws every window alike, 0 every record alike.

    Args:
        label: Class of each window.
        record: Record of each window.
        mix: Share of each class among the drawn windows; empty takes the square roots of the
            classes' own shares. Classes without windows, or beyond the mix, are not drawn.
        balance: Exponent of a record's share.

    Returns:
        Probabilities [n], summing to 1.
    """
    weights = np.zeros(len(label))
    counts = np.bincount(label)
    shares = np.zeros(len(counts))
    given = mix if mix else tuple(np.sqrt(counts))
    shares[: len(given)] = given[: len(counts)]
    for kind in np.flatnonzero((counts > 0) & (shares > 0)):
        mine = label == kind
        sizes = np.bincount(record[mine])
        weights[mine] = sizes[record[mine]] ** (balance - 1.0)
        weights[mine] *= shares[kind] / weights[mine].sum()
    return np.asarray(weights / weights.sum())


def draw(
    weights: NDArray[np.float64], steps: int, batch_size: int, generator: torch.Generator
) -> Tensor:
    """Draw window numbers [steps, batch_size] with replacement."""
    drawn = torch.multinomial(
        torch.from_numpy(weights), steps * batch_size, replacement=True, generator=generator
    )
    return drawn.view(steps, batch_size)
