"""Penalties on units whose ReLU can switch, where the training is not by bounds.

A training by bounds has them from the pass that bounds its decisions. Here a pass of its own bounds
the units, so that natural and adversarial training can be asked for stable units as well: Li et
al., "Can pruning improve certified robustness of neural networks?", TMLR 2023 (arXiv 2206.07311),
prune what is trained so, with `neuron_stability = 0.01`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from edgeprune.classifiers import deciding
from edgeprune.training.batches import Batch
from edgeprune.training.bounds import BoundedClassifier
from edgeprune.training.certified_losses import asked_penalties
from edgeprune.training.changes import training_spec
from edgeprune.training.objective import Objective, PenalizedObjective
from edgeprune.training.segment_changes import perturbed

if TYPE_CHECKING:
    from edgeprune.data.front_ends import FrontEnd
    from edgeprune.training.certified import CertifiedTraining


class StabilityObjective(PenalizedObjective):
    """An objective with the penalties on unstable units added; alone where there is no other.

    Args:
        inner: The objective that they are added to, or None.
        model: The classifier that is trained.
        front_end: What made the windows.
        robust: The perturbation and the weights.

    Raises:
        ModelError: Bounds do not go through the classifier.
    """

    def __init__(
        self,
        inner: Objective | None,
        model: nn.Module,
        front_end: FrontEnd,
        robust: CertifiedTraining,
    ) -> None:
        super().__init__(inner, model, robust.progress)
        self._overshoot = robust.settings.overshoot
        self._penalties = asked_penalties(robust.settings)
        self._bounded = BoundedClassifier(model)
        spec = training_spec(robust.settings.perturbation, robust.adc)
        self._perturbed = perturbed(spec, front_end, robust.adc)

    def penalty(self, batch: Batch, risen: float) -> Tensor:
        """Return the weighted penalties of a batch."""
        factor = self._overshoot * risen
        signal, rhythm = self._perturbed.inputs(batch.signal, batch.rhythm, batch.gain, factor)
        with deciding(self._model):
            passed = self._bounded(signal, rhythm)
        total = torch.zeros(())
        for penalty, weight in self._penalties:
            total = total + weight * penalty(passed)
        return total
