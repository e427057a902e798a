"""Losses on bounds, and penalties on what makes bounds loose."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from edgeprune.config import RobustnessSettings
from edgeprune.registry import Registry
from edgeprune.training.bounds import BoundPass, RectifierBounds

Margins = Callable[[BoundPass, Tensor], Tensor]

MARGINS: Registry[Margins] = Registry(
    "certified loss",
    interval=BoundPass.interval_margins,
)
MARGINS.add("crown-interval", BoundPass.linear_margins)

Penalty = Callable[[BoundPass], Tensor]


def worst_case_loss(margins: Tensor, label: Tensor, offsets: Tensor) -> Tensor:
    """Return the cross entropy of the worst logits that the bounds allow.

    Args:
        margins: Lower bounds of `z_label - z_j`, float [n, classes].
        label: Int64 [n].
        offsets: What is taken off the logits before the loss, [classes] or a scalar.
    """
    return torch.nn.functional.cross_entropy(-margins - offsets, label)


def rectifier_instability(passed: BoundPass) -> Tensor:
    """Return `-mean tanh(1 + l u)`: small where few ReLUs can switch.

    Xiao et al., "Training for faster adversarial robustness verification via inducing ReLU
    stability", ICLR 2019 (arXiv 1809.03008), section 4.3; the mean over all units of a layer, then
    over the layers, where they take a sum.
    """
    layers = [_switching(layer).mean() for layer in passed.rectified]
    return torch.stack(layers).mean() if layers else torch.zeros(())


def neuron_instability(passed: BoundPass) -> Tensor:
    """Return `-mean tanh(1 + l u / g^2)`: the same in units of the normalization's scale g.

    Li et al., "Can pruning improve certified robustness of neural networks?", TMLR 2023 (arXiv
    2206.07311): the scale is detached, so that the penalty cannot be lowered by scaling a layer up,
    and the mean is over windows and positions of a channel, then over the channels of all layers
    alike. They leave ReLUs without a normalization out, which count here with g = 1 (a classifier
    may have no other).
    """
    channels = [
        _switching(layer, _squared_scale(layer)).transpose(0, 1).flatten(1).mean(1)
        for layer in passed.rectified
    ]
    return torch.cat(channels).mean() if channels else torch.zeros(())


def _squared_scale(layer: RectifierBounds) -> Tensor:
    if layer.scale is None:
        return torch.ones(())
    shape = (1, -1, *([1] * (layer.bounds.clean.ndim - 2)))
    return layer.scale.detach().square().clamp(min=1e-8).reshape(shape)


def _switching(layer: RectifierBounds, unit: Tensor | float = 1.0) -> Tensor:
    return -torch.tanh(1 + layer.bounds.low * layer.bounds.high / unit)


PENALTIES: Registry[Penalty] = Registry("penalty on bounds")
PENALTIES.add("relu_stability", rectifier_instability)
PENALTIES.add("neuron_stability", neuron_instability)


def asked_penalties(settings: RobustnessSettings) -> tuple[tuple[Penalty, float], ...]:
    """Return the penalties that have a weight in the settings, with their weights."""
    weights = {name: getattr(settings, name) for name in PENALTIES}
    return tuple((PENALTIES.get(name), weight) for name, weight in weights.items() if weight > 0)
