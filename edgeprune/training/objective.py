"""What a robust training adds to the loss of the unchanged windows: the seam of the loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from edgeprune.training.batches import Batch


@dataclass(frozen=True)
class WorstCase:
    """What one step's worst case adds: `natural * loss + added`.

    Attributes:
        logits: Of the unchanged windows, float [n, classes].
        natural: Weight of the loss of the unchanged windows.
        added: The worst case's loss and all penalties, weighted, a scalar.
    """

    logits: Tensor
    natural: float
    added: Tensor


class Objective(ABC):
    """The worst case of a training, from its first step to its last."""

    @abstractmethod
    def progress(self, done: float) -> float:
        """Return how far the worst case has risen, 0 to 1, after a share of all steps.

        At 0 it is not asked for.
        """

    @abstractmethod
    def __call__(self, batch: Batch, risen: float) -> WorstCase:
        """Run a batch with its worst case.

        Args:
            batch: Windows with their gains.
            risen: How far it has risen, above 0.
        """

    def begin(self, epoch: int) -> None:  # noqa: B027
        """Begin an epoch, from 0: whatever is drawn in it depends on its number alone."""

    def batch(self, batch: Batch, number: int) -> Batch:
        """Return the windows of a step, from 0 in each epoch: those drawn, or earlier ones."""
        del number
        return batch

    def state(self) -> Mapping[str, Tensor]:
        """Return what outlives an epoch, for its checkpoint."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:  # noqa: B027
        """Continue from what `state` returned."""
