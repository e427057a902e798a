"""Losses on bounds, and penalties on what makes bounds loose."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

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
    return _instability(passed, lambda layer: torch.ones(()))


def neuron_instability(passed: BoundPass) -> Tensor:
    """Return `-mean tanh(1 + l u / g^2)`: the same in units of the normalization's scale g.

    The scale is detached, so that the penalty cannot be lowered by scaling a layer up. A layer
    without normalization counts with g = 1.
    """

    def unit(layer: RectifierBounds) -> Tensor:
        if layer.scale is None:
            return torch.ones(())
        shape = (1, -1, *([1] * (layer.bounds.clean.ndim - 2)))
        return layer.scale.detach().square().clamp(min=1e-12).reshape(shape)

    return _instability(passed, unit)


def _instability(passed: BoundPass, unit: Callable[[RectifierBounds], Tensor]) -> Tensor:
    layers = [
        -torch.tanh(1 + layer.bounds.low * layer.bounds.high / unit(layer)).mean()
        for layer in passed.rectified
    ]
    return torch.stack(layers).mean() if layers else torch.zeros(())


PENALTIES: Registry[Penalty] = Registry("penalty on bounds")
PENALTIES.add("relu_stability", rectifier_instability)
PENALTIES.add("neuron_stability", neuron_instability)
