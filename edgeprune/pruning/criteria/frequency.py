"""How often a channel is among the most active of its layer.

Li et al., "The lazy neuron phenomenon" (arXiv 2210.06313): few activations carry a decision, and
keeping the k largest of a layer costs little. They choose them anew for each input, which takes a
sort and a branch for each input: on a microcontroller the products that this skips cost less than
finding them, and whoever certifies would have to follow every choice. What can pay is a choice that
is made once [our reading]: channels that are seldom among the k largest go, and their weights,
products and memory with them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgeprune.pruning.criteria.activations import activations
from edgeprune.pruning.materials import Materials


def top_frequency(
    model: nn.Module, layers: Sequence[str], materials: Materials
) -> dict[str, Tensor]:
    """Return how often each channel is among the upper half of its layer, [channels] by layer.

    The share of windows and positions at which it is active, that is above zero behind the
    rectifier, and among the k largest; k is half of the layer's channels, rounded up.

    Args:
        model: The classifier.
        layers: Qualified names of convolutions and dense layers.
        materials: Windows.

    Raises:
        ModelError: A layer does not exist.
        ConfigurationError: There are no windows.
    """
    found = activations(model, layers, materials, _among_the_largest)
    return {name: shares.mean(0) for name, shares in found.items()}


def _among_the_largest(value: Tensor) -> Tensor:
    """Return the share of positions, [n, channels] of [n, channels, positions]."""
    largest = value.topk((value.shape[1] + 1) // 2, dim=1).indices
    chosen = torch.zeros_like(value).scatter(1, largest, 1.0)
    return (chosen * (value > 0)).mean(2)
