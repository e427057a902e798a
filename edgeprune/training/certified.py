"""Training whose decisions can be proved: what is added to the loop where [robustness] is on.

The same settings also train against attacks (`edgeprune.training.adversarial`), where nothing is
proved; `edgeprune.training.robust` says which it is.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from edgeprune.config import RobustnessSettings, TrainingSettings
from edgeprune.quantization import float_inputs
from edgeprune.training.batches import Batch
from edgeprune.training.bounds import BoundedClassifier
from edgeprune.training.certified_losses import MARGINS, asked_penalties, worst_case_loss
from edgeprune.training.changes import training_spec
from edgeprune.training.objective import Objective, WorstCase
from edgeprune.training.segment_changes import perturbed

if TYPE_CHECKING:
    from edgeprune.data.front_ends import FrontEnd
    from edgeprune.data.windows import Windows
    from edgeprune.targets import Adc

_BATCH = 512
LARGEST_GRADIENT = 1.0  # norm; worst-case losses have steep walls early on


@dataclass(frozen=True)
class CertifiedTraining:
    """How decisions are made provable, or at least hard to attack.

    Attributes:
        settings: `[robustness]`.
        adc: The converter at which the perturbation acts.
        warm: The classifier has been trained for it already, so that nothing is warmed up.
    """

    settings: RobustnessSettings
    adc: Adc
    warm: bool = False

    def progress(self, done: float) -> float:
        """Return how far radius and weight have risen, 0 to 1, after a share of all steps."""
        if self.warm:
            return 1.0
        risen = (done - self.settings.natural) / max(self.settings.warm_up, 1e-9)
        return min(1.0, max(0.0, risen))

    def facts(self) -> dict[str, Any]:
        """Return all that decides the training, for its fingerprint."""
        return asdict(self)


def certified_settings(training: TrainingSettings, robust: RobustnessSettings) -> TrainingSettings:
    """Return the training settings of a robust build: all that differs from a natural one.

    Weights are averaged from when radius and weight of the worst-case loss have stopped rising.
    Teachers and logit offsets are those of `[robustness]`: what teachers know of rare classes is
    not what can be proved of them, and worst cases ask more of a class that is rare.
    """
    risen = robust.natural + robust.warm_up
    return replace(
        training,
        average_from=max(training.average_from, min(risen, 1.0)),
        teachers=robust.teachers,
        logit_offsets=robust.logit_offsets,
    )


class CertifiedObjective(Objective):
    """The worst-case loss of a training.

    Args:
        model: The classifier that is trained, in training mode.
        front_end: What made the windows.
        certified: How.
        offsets: What is taken off the logits before the loss.
    """

    def __init__(
        self,
        model: nn.Module,
        front_end: FrontEnd,
        certified: CertifiedTraining,
        offsets: Tensor,
    ) -> None:
        settings = certified.settings
        self._certified = certified
        self._bounded = BoundedClassifier(model)
        self._margins = MARGINS.get(settings.loss, where="robustness.loss")
        spec = training_spec(settings.perturbation, certified.adc)
        self._perturbed = perturbed(spec, front_end, certified.adc)
        self._penalties = asked_penalties(settings)
        self._offsets = offsets

    def progress(self, done: float) -> float:
        """Return how far the worst case has risen; at 0 there is nothing to bound."""
        return self._certified.progress(done)

    def __call__(self, batch: Batch, risen: float) -> WorstCase:
        """Run a batch with its bounds and return the worst-case loss with all penalties."""
        settings = self._certified.settings
        factor = settings.overshoot * risen
        signal, rhythm = self._perturbed.inputs(batch.signal, batch.rhythm, batch.gain, factor)
        passed = self._bounded(signal, rhythm)
        loss = worst_case_loss(self._margins(passed, batch.label), batch.label, self._offsets)
        for penalty, weight in self._penalties:
            loss = loss + weight * penalty(passed)
        weight = settings.weight * risen
        return WorstCase(passed.logits, 1 - weight, weight * loss)


def certified_share(
    model: nn.Module, windows: Windows, front_end: FrontEnd, certified: CertifiedTraining
) -> float:
    """Return the share of windows whose right decision the training's own bounds prove.

    Of the float classifier, without the outward rounding of a certificate: a figure to watch.

    Args:
        model: The classifier; it is not changed.
        windows: Windows of the front end.
        front_end: What made them.
        certified: Perturbation and bounds.
    """
    settings = certified.settings
    bounded = BoundedClassifier(copy.deepcopy(model).eval())
    spec = training_spec(settings.perturbation, certified.adc)
    moves = perturbed(spec, front_end, certified.adc)
    margins = MARGINS.get(settings.loss, where="robustness.loss")
    signal, rhythm = map(torch.from_numpy, float_inputs(windows, front_end))
    gain = torch.from_numpy(windows.gain.astype(np.float32))
    label = torch.from_numpy(windows.label)
    held = 0
    with torch.no_grad():
        for start in range(0, len(label), _BATCH):
            part = slice(start, start + _BATCH)
            inputs = moves.inputs(signal[part], rhythm[part], gain[part], 1.0)
            least = margins(bounded(*inputs), label[part])
            least = least.scatter(1, label[part, None], float("inf"))
            held += int((least > 0).all(1).sum())
    return held / max(len(label), 1)
