"""How much a module's weights matter to what an attack achieves, and a pruning pace from it.

Bai, Tabia and Santos-Rodriguez, "Adaptive pruning with module robustness sensitivity" (arXiv
2410.15176), in our reading, which goes by the measure of Zhu et al., "Improving generalization of
adversarial training via robust critical fine-tuning", ICCV 2023 (arXiv 2308.02533):

    MRS_i = max over |D| <= a |W_i| of L(W with W_i + D) - L(W)

with L the loss on attacked windows and Frobenius norms. What layers lose falls as MRS rises, at
paces `1 / (1 + MRS_i / median)`: where nothing matters a layer loses twice the share of a usual
one, and one nine times as sensitive as the usual loses a fifth of the usual's share. The common
factor of the paces follows from how much is to go: pieces are taken in the order of the factor at
which their layer loses them, until enough are gone.
"""

from __future__ import annotations

import copy
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from edgeprune.classifiers import deciding, logits_of
from edgeprune.errors import ConfigurationError
from edgeprune.pruning.edits import layer_of
from edgeprune.pruning.materials import WorstLoss, drawn
from edgeprune.quantization import float_inputs
from edgeprune.training.adversarial import Adversary
from edgeprune.training.adversarial_losses import decision_loss
from edgeprune.training.batches import Batch
from edgeprune.training.determinism import generator_of

if TYPE_CHECKING:
    from edgeprune.config import PruningSettings
    from edgeprune.data.front_ends import FrontEnd
    from edgeprune.data.windows import Windows
    from edgeprune.pruning.materials import Materials
    from edgeprune.training.certified import CertifiedTraining

_SIZE = 0.1  # of a change of the weights, as a share of their norm: Zhu et al.
_STEPS = 10
_PACE = 2.5  # steps of this share of radius / steps reach the boundary from anywhere
_TINY = 1e-30


def by_sensitivity(
    model: nn.Module, layers: Sequence[str], materials: Materials, settings: PruningSettings
) -> dict[str, float]:
    """Return how fast each layer is pruned: the slower, the more sensitive it is.

    Where channels are removed, layers whose outputs an addition ties together are one module.

    Args:
        model: The classifier.
        layers: Names of layers; of tied ones, the first.
        materials: Who attacks.
        settings: The method.

    Raises:
        ConfigurationError: Nothing says what an attacker may do.
    """
    if materials.attack is None:
        raise ConfigurationError(
            'the scope "sensitivity" asks what an attack achieves, and none is described',
            where="pruning.scope",
            hint='give robustness.perturbation ("linf:50uV"), or take "global" or "local"',
        )
    modules: dict[str, tuple[str, ...]] = {name: (name,) for name in layers}
    if settings.method == "channel":
        from edgeprune.pruning.channels import tied_layers

        tied = tied_layers(model, materials.example)
        modules = {name: tied.get(name, (name,)) for name in layers}
    return paces(module_sensitivity(model, modules, materials.attack(model)))


def paces(sensitivities: Mapping[str, float]) -> dict[str, float]:
    """Return `1 / (1 + MRS / median)` of each module.

    Args:
        sensitivities: At least 0, of one module or more.
    """
    usual = max(statistics.median(sensitivities.values()), _TINY)
    return {name: usual / (usual + value) for name, value in sensitivities.items()}


def module_sensitivity(
    model: nn.Module,
    modules: Mapping[str, Sequence[str]],
    loss: WorstLoss,
    size: float = _SIZE,
    steps: int = _STEPS,
) -> dict[str, float]:
    """Return the module robustness sensitivity of each module.

    The greatest loss that normalized gradient ascent meets within the ball, less the loss of the
    unchanged weights: a lower bound of the maximum, never below 0.

    Args:
        model: The classifier; it is not changed, and judged as it decides.
        modules: By name, the layers whose weights change together.
        loss: The mean loss of a classifier on attacked windows, a scalar; the same for the same
            weights.
        size: Radius of the ball as a share of the norm of the module's weights.
        steps: Steps of the ascent.

    Raises:
        ModelError: A layer does not exist.
    """
    copied = copy.deepcopy(model)
    with deciding(copied):
        before = float(loss(copied).detach())
        return {
            name: max(0.0, _greatest(copied, tuple(members), loss, size, steps) - before)
            for name, members in modules.items()
        }


def _greatest(
    model: nn.Module,
    layers: tuple[str, ...],
    loss: WorstLoss,
    size: float,
    steps: int,
) -> float:
    """Return the greatest loss met; the weights are as they were afterwards."""
    weights = [layer_of(model, name).weight for name in layers]
    before = [weight.detach().clone() for weight in weights]
    radius = size * _norm(before)
    # A weight that has been pruned is none that could change.
    alive = [weight != 0 for weight in before]
    changes = [torch.zeros_like(weight) for weight in before]
    greatest = -torch.inf
    try:
        for step in range(steps + 1):
            with torch.enable_grad():
                value = loss(model)
                gradients = torch.autograd.grad(value, weights, allow_unused=True)
            greatest = max(greatest, float(value.detach()))
            if step == steps:
                break
            rises = [
                torch.zeros_like(mask, dtype=torch.float32) if gradient is None else gradient * mask
                for gradient, mask in zip(gradients, alive, strict=True)
            ]
            pace = _PACE * radius / steps / _norm(rises).clamp(min=_TINY)
            changes = [c + pace * rise for c, rise in zip(changes, rises, strict=True)]
            shrink = (radius / _norm(changes).clamp(min=_TINY)).clamp(max=1.0)
            changes = [change * shrink for change in changes]
            with torch.no_grad():
                for weight, start, change in zip(weights, before, changes, strict=True):
                    weight.copy_(start + change)
    finally:
        with torch.no_grad():
            for weight, start in zip(weights, before, strict=True):
                weight.copy_(start)
    return greatest


def _norm(parts: Sequence[Tensor]) -> Tensor:
    return torch.stack([part.square().sum() for part in parts]).sum().sqrt()


def attacked_loss(
    model: nn.Module,
    windows: Windows,
    front_end: FrontEnd,
    robust: CertifiedTraining,
    number: int,
    seed: int,
) -> WorstLoss:
    """Return the mean cross entropy of a classifier on windows attacked once.

    The attack is projected gradient ascent against `model`; other weights are judged on the same
    changes, as Zhu et al. do, so that the loss is a function of the weights alone.

    Args:
        model: The classifier that is attacked; it is not changed.
        windows: Training windows.
        front_end: What made them.
        robust: The perturbation and the steps of the attack, of which there are 10 or more.
        number: How many windows to draw at most, classes and records alike.
        seed: Seed of the draw and of the attack's start.

    Raises:
        ConfigurationError: The perturbation is not one that can be attacked within.
    """
    chosen = windows.select(np.asarray(drawn(windows.label, windows.record, number, seed)))
    signal, rhythm = map(torch.from_numpy, float_inputs(chosen, front_end))
    gain = torch.from_numpy(chosen.gain.astype(np.float32))
    label = torch.from_numpy(chosen.label.astype(np.int64))
    batch = Batch(signal, rhythm, label, gain)
    adversary = Adversary(copy.deepcopy(model).eval(), front_end, robust)
    generator = generator_of(seed, "sensitivity")
    start = adversary.ball.random(len(label), adversary.samples, 1.0, generator)

    def harm(logits: Tensor) -> Tensor:
        return decision_loss(logits, logits, label)

    *_, change = adversary.walk(batch, harm, start, max(_STEPS, robust.settings.steps), 1.0)
    attacked_signal, attacked_rhythm = adversary.inputs(batch, change)

    def loss(judged: nn.Module) -> Tensor:
        logits = logits_of(judged, attacked_signal, attacked_rhythm)
        return decision_loss(logits, logits, label)

    return loss
