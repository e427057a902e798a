"""What a robust training adds to the loss of the unchanged windows: the seam of the loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from edgeprune.classifiers import logits_of
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


class PenalizedObjective(Objective):
    """An objective with a penalty added; the penalty alone where there is no other.

    Args:
        inner: The objective that it is added to, or None.
        model: The classifier that is trained.
        course: How far penalty and perturbation have risen after a share of all steps.
    """

    def __init__(
        self, inner: Objective | None, model: nn.Module, course: Callable[[float], float]
    ) -> None:
        self._inner = inner
        self._model = model
        self._course = course

    @abstractmethod
    def penalty(self, batch: Batch, risen: float) -> Tensor:
        """Return the penalty of a batch at its full weight, a scalar.

        Args:
            batch: Windows with their gains.
            risen: How far the perturbation has risen, above 0.
        """

    def progress(self, done: float) -> float:
        """Return how far penalty and perturbation have risen."""
        return self._course(done)

    def __call__(self, batch: Batch, risen: float) -> WorstCase:
        """Run a batch with the inner objective and the penalty."""
        if self._inner is None:
            logits = logits_of(self._model, batch.signal, batch.rhythm)
            found = WorstCase(logits, 1.0, torch.zeros(()))
        else:
            found = self._inner(batch, risen)
        return replace(found, added=found.added + risen * self.penalty(batch, risen))

    def begin(self, epoch: int) -> None:
        """Begin an epoch."""
        if self._inner is not None:
            self._inner.begin(epoch)

    def batch(self, batch: Batch, number: int) -> Batch:
        """Return the windows of a step."""
        return batch if self._inner is None else self._inner.batch(batch, number)

    def state(self) -> Mapping[str, Tensor]:
        """Return what outlives an epoch."""
        return {} if self._inner is None else self._inner.state()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continue from it."""
        if self._inner is not None:
            self._inner.restore(state)
