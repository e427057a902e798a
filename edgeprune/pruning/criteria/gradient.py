"""Undecayed pruning: what a weight does to the loss, without what weight decay does to it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgeprune.pruning.edits import layer_of
from edgeprune.pruning.materials import Materials

_BATCH = 256


def undecayed(model: nn.Module, layers: Sequence[str], materials: Materials) -> dict[str, Tensor]:
    """Return |w dL/dw| with the gradient of the cross-entropy alone (Good et al. 2022).

    A gradient score taken with the decay's term 2 a w in it grows with w^2 and is mostly a
    magnitude (arXiv 2206.02976, sections 3 and 4). Here L is the mean over the windows, which are
    drawn with classes alike [our reading: the paper takes the training loss].

    Args:
        model: The classifier.
        layers: Names of layers with weights.
        materials: Windows and labels.
    """
    weights = [layer_of(model, name).weight for name in layers]
    total = [torch.zeros_like(weight) for weight in weights]
    windows = len(materials.labels)
    with torch.enable_grad():
        for start in range(0, windows, _BATCH):
            part = slice(start, start + _BATCH)
            logits = model(*(tensor[part] for tensor in materials.inputs))
            loss = functional.cross_entropy(logits, materials.labels[part], reduction="sum")
            gradients = torch.autograd.grad(loss, weights)
            total = [so_far + more for so_far, more in zip(total, gradients, strict=True)]
    return {
        name: (weight.detach() * gradient / windows).abs()
        for name, weight, gradient in zip(layers, weights, total, strict=True)
    }
