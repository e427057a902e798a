"""Which worst case `[robustness]` asks for: of bounds, of attacks, or of none but a penalty."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from edgeprune.errors import ConfigurationError, UnknownNameError
from edgeprune.training.adversarial import AdversarialObjective, ChangeBall, robust_accuracy
from edgeprune.training.adversarial_losses import ADVERSARIAL_LOSSES
from edgeprune.training.certified import CertifiedObjective, CertifiedTraining, certified_share
from edgeprune.training.certified_losses import MARGINS, asked_penalties
from edgeprune.training.changes import training_spec
from edgeprune.training.noise_to_signal import NoiseToSignalObjective
from edgeprune.training.objective import Objective
from edgeprune.training.stability import StabilityObjective

if TYPE_CHECKING:
    from edgeprune.config import RobustnessSettings
    from edgeprune.data.front_ends import FrontEnd
    from edgeprune.data.windows import Windows

NATURAL = "natural"  # no worst case: penalties alone


def proves(settings: RobustnessSettings) -> bool:
    """Return whether the training is by bounds, so that decisions become provable."""
    return settings.loss in MARGINS.names()


def check_robust(robust: CertifiedTraining) -> None:
    """Refuse what could not be trained, before anything is.

    Raises:
        UnknownNameError: Training knows no such perturbation or loss.
        ConfigurationError: The loss cannot be asked for with this perturbation, or nothing is.
    """
    settings = robust.settings
    training_spec(settings.perturbation, robust.adc)
    known = (*MARGINS, *ADVERSARIAL_LOSSES, NATURAL)
    if settings.loss not in known:
        raise UnknownNameError("loss", settings.loss, known, where="robustness.loss")
    if settings.loss not in MARGINS.names() or settings.noise_to_signal > 0:
        ChangeBall.parse(settings.perturbation, robust.adc)
    if settings.loss == NATURAL and not (settings.noise_to_signal or asked_penalties(settings)):
        raise ConfigurationError(
            'the loss "natural" alone makes nothing robust',
            where="robustness.loss",
            hint="set robustness.noise_to_signal or robustness.neuron_stability, or choose another "
            "loss",
        )


def objective_of(
    model: nn.Module,
    front_end: FrontEnd,
    robust: CertifiedTraining,
    offsets: Tensor,
    seed: int,
) -> Objective:
    """Return what is added to the loss.

    Args:
        model: The classifier that is trained, in training mode.
        front_end: What made the windows.
        robust: How.
        offsets: What is taken off the logits before the loss.
        seed: Seed of the training.
    """
    settings = robust.settings
    found: Objective | None = None
    if proves(settings):
        found = CertifiedObjective(model, front_end, robust, offsets)
    elif settings.loss != NATURAL:
        found = AdversarialObjective(model, front_end, robust, offsets, seed)
    if asked_penalties(settings) and not proves(settings):
        found = StabilityObjective(found, model, front_end, robust)
    if settings.noise_to_signal > 0 or found is None:
        return NoiseToSignalObjective(found, model, front_end, robust)
    return found


def watched_shares(
    model: nn.Module, windows: Windows, front_end: FrontEnd, robust: CertifiedTraining
) -> tuple[float | None, float | None]:
    """Return the share of windows proved right, and that which withstands an attack.

    Only what the training works towards is measured; the other is None.

    Args:
        model: The classifier; it is not changed.
        windows: Windows of the front end.
        front_end: What made them.
        robust: How it is trained.
    """
    if proves(robust.settings):
        return certified_share(model, windows, front_end, robust), None
    return None, robust_accuracy(model, windows, front_end, robust)
