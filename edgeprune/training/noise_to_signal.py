"""A penalty on how much of a perturbation arrives at the decision, against the decision's margin.

Ma and Liang, "A regularization method to improve adversarial robustness of neural networks for ECG
signal classification", Computers in Biology and Medicine 144 (2022) 105345 (arXiv 2110.09759): a
network of rectifiers is linear about a window, so that a noise of bounded size adds to a logit at
most the dual norm of that logit's gradient. The penalty is the mean of `log(1 + R)` with the ratio
R of that noise to the logit, over the windows that are decided rightly.

They train by squared errors against targets of 0 and 1, which tie the logits down. Under a cross
entropy a constant could be added to all of them, which would lower the ratio and change no
decision; so the signal is here the margin of the right class over the strongest other one, and the
noise is what reaches that margin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from edgeprune.classifiers import deciding
from edgeprune.training.adversarial import Adversary
from edgeprune.training.adversarial_losses import wrong_by
from edgeprune.training.batches import Batch
from edgeprune.training.objective import Objective, PenalizedObjective

if TYPE_CHECKING:
    from edgeprune.data.front_ends import FrontEnd
    from edgeprune.training.certified import CertifiedTraining

_LEAST_MARGIN = 1e-3


def noise_to_signal(adversary: Adversary, batch: Batch, factor: float) -> Tensor:
    """Return the mean `log(1 + R)` of a batch; windows that are decided wrongly count as 0.

    Args:
        adversary: The classifier, with what may change.
        batch: The windows.
        factor: Share of the perturbation's size.
    """
    change = torch.zeros(len(batch.label), adversary.samples, requires_grad=True)
    margin = -wrong_by(adversary.logits(batch, change), batch.label)
    (gradient,) = torch.autograd.grad(margin.sum(), change, create_graph=True)
    # The support function of a ball along a gradient is the dual norm times the radius.
    noise = factor * adversary.ball.size.weigh(gradient)
    ratio = noise / margin.clamp(min=_LEAST_MARGIN)
    return torch.where(margin > 0, torch.log1p(ratio), 0.0).mean()


class NoiseToSignalObjective(PenalizedObjective):
    """An objective with the penalty added; alone where there is no other.

    Args:
        inner: The objective that it is added to, or None.
        model: The classifier that is trained.
        front_end: What made the windows.
        robust: The perturbation, which is the noise, and the weight.
    """

    def __init__(
        self,
        inner: Objective | None,
        model: nn.Module,
        front_end: FrontEnd,
        robust: CertifiedTraining,
    ) -> None:
        super().__init__(inner, model, robust.progress)
        self._settings = robust.settings
        self._adversary = Adversary(model, front_end, robust)

    def penalty(self, batch: Batch, risen: float) -> Tensor:
        """Return the weighted penalty of a batch."""
        with deciding(self._model):
            found = noise_to_signal(self._adversary, batch, self._settings.overshoot * risen)
        return self._settings.noise_to_signal * found
